"""What sources say of the chain rule and of tokens, put to the test on the five words and on the scored texts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from tokentrace import five_words
from tokentrace.chain_rule import FLOATS, Score, moved, running
from tokentrace.claims import Claim, Finding
from tokentrace.five_words import END, Sentence

SHEKHAR = five_words.SOURCE
CARD = "a glossary card on autoregressive generation"
OVERVIEW = "a white paper on autoregressive models"
EXAMPLE: Sentence = ("I", "love", "AI", END)
WEATHER = (Fraction("0.3"), Fraction("0.4"), Fraction("0.35"), Fraction("0.5"))
CLOSE = 1e-3  # nats: recorded logs are rounded


def claims(texts: Mapping[str, Score]) -> list[Claim]:
    """Return the rows of chapter 1 that its first two sections can measure.

    Parameters
    ----------
    texts : "sentence", "long", "before" and "after" the change of a word, and "prompt": `I love cats`.
    """
    sentence, long, prompt = texts["sentence"], texts["long"], texts["prompt"]
    return [
        Claim(
            "A sentence’s probability is the product of its words’ conditionals, each given the words before.",
            f"{SHEKHAR}; a definition in every textbook",
            identity,
        ),
        Claim("0.20 × 0.60 × 0.70 × 0.80 = 0.0672.", SHEKHAR, example),
        Claim("Picking the best word each time gives `I love AI`.", SHEKHAR, best),
        Claim(
            "Conditionals of 0.3, 0.4, 0.35 and 0.5 belong to a sentence; its probability is left open.",
            CARD,
            weather,
        ),
        Claim("P(text | prompt) is the product of the conditionals after the prompt.", CARD, lambda: after(prompt)),
        Claim("The first word has a probability of its own: P(`I`) = 0.20.", SHEKHAR, lambda: first(prompt)),
        Claim(
            "Real vocabularies hold 50,000 tokens and more.",
            f"{SHEKHAR}; configurations on the Hugging Face hub: GPT-2 50,257, Llama 2 32,000, Gemma 3 262,208",
            lambda: vocabulary(sentence),
        ),
        Claim("A token is a word or a part of a word.", f"{OVERVIEW}; {SHEKHAR}", lambda: pieces(texts)),
        Claim("The model writes one *word* at a time.", f"{OVERVIEW}; {CARD}", lambda: words(long)),
        Claim(
            "Perplexity is e to the mean negative log-probability of a token.",
            "Hugging Face, *Perplexity of fixed-length models*",
            lambda: dresses(sentence),
        ),
        Claim("To get a text’s probability, multiply the conditionals.", SHEKHAR, lambda: underflow(long)),
        Claim(
            "A conditional depends on all tokens before it, and on none after it.",
            f"{SHEKHAR}; Radford et al. 2019",
            lambda: change(texts["before"], texts["after"]),
        ),
    ]


def identity() -> Finding:
    """The product against the joint distribution, forwards and backwards, exactly."""
    joint = dict(five_words.sentences())
    total, whole = sum(joint.values()), joint[EXAMPLE]
    forwards = backwards = Fraction(1)
    for place in range(len(EXAMPLE)):
        forwards *= _marginal(joint, EXAMPLE, range(place + 1)) / _marginal(joint, EXAMPLE, range(place))
        later = range(place + 1, len(EXAMPLE))
        backwards *= _marginal(joint, EXAMPLE, range(place, len(EXAMPLE))) / _marginal(joint, EXAMPLE, later)
    exact = forwards == backwards == whole and total == 1
    return Finding(
        f"All {len(joint):,} sentences of the five words add up to {total}. Conditionals taken back out of that list "
        f"multiply to {float(forwards):.4f} from left to right and to {float(backwards):.4f} from right to left: "
        f"{'the same fraction, in either order' if exact else 'not the same'}.",
        "holds" if exact else "wrong",
    )


def _marginal(joint: Mapping[Sentence, Fraction], wanted: Sentence, places: range) -> Fraction:
    """P that a sentence has the wanted words at these places; after its end it has none."""
    return sum(
        p for words, p in joint.items() if all(at < len(words) and words[at] == wanted[at] for at in places)
    ) or Fraction(0)


def example() -> Finding:
    """The worked example, and whether its tables are distributions."""
    factors = five_words.factors(EXAMPLE)
    whole = math.prod(factors)
    sums = {sum(table) for table in five_words.GIVEN.values()}
    logs = math.fsum(map(math.log, factors))
    right = whole == Fraction("0.0672") and sums == {100}
    return Finding(
        f"{' × '.join(f'{float(each):.2f}' for each in factors)} = {float(whole):.4f}; the logs add up to "
        f"{logs:.2f}, and e to that is {math.exp(logs):.4f}. Each of the {len(five_words.GIVEN)} tables adds up to "
        f"{', '.join(f'{each / 100:.2f}' for each in sums)}.".replace("-", "−"),
        "holds" if right else "wrong",
    )


def best() -> Finding:
    """Greedy from `I`, greedy from nothing, and the most probable sentence."""
    words: Sentence = ("I",)
    while words[-1] != END:
        table = five_words.conditionals(words)
        words = (*words, max(table, key=table.__getitem__))
    ranked, greedy = five_words.sentences(), five_words.greedy()
    top, p = ranked[0]
    gap = float(five_words.probability(greedy))
    same = greedy == top
    verdict = "wrong" if words != EXAMPLE else "holds" if same else "simplified"
    return Finding(
        f"From `I` on it does: `{_said(words)}`. Of all {len(ranked):,} sentences `{_said(top)}` has the most, "
        f"{float(p):.4f}. But greedy from the very start writes `{_said(greedy)}`, {gap:.4f}: "
        f"{'the same' if same else 'the best word each time need not give the best sentence'}.",
        verdict,
    )


def weather() -> Finding:
    """The product that the card leaves out."""
    whole = math.prod(WEATHER)
    return Finding(
        f"{' × '.join(f'{float(each):g}' for each in WEATHER)} = {float(whole):.3f}; ln P = −{-math.log(whole):.2f}.",
        "holds" if 0 < whole < min(WEATHER) else "wrong",
    )


def after(text: Score) -> Finding:
    """With the first token given: the sum of the rest against the whole less the first."""
    rest = math.fsum(token.logprob for token in text.tokens[1:])
    gap = abs(text.logprob - text.tokens[0].logprob - rest)
    first, *others = (text.token_text(token).strip() for token in text.ids)
    return Finding(
        f"`{' '.join(others)}` after the prompt `{first}`: ln P = {_nats(rest)}. The whole text has "
        f"{_nats(text.logprob)}; its first {_nats(text.tokens[0].logprob)} are the prompt’s own and do not count.",
        "holds" if gap < CLOSE else "wrong",
    )


def first(text: Score) -> Finding:
    """The first token after the start token."""
    token = text.tokens[0]
    start = text.token_text(text.start)
    best, p = text.token_text(token.candidates[0]).replace("\n", "↵").strip(), math.exp(token.candidate_logprobs[0])
    return Finding(
        f"Only because something stands before it: after `{start}` this model gives `{text.token_text(token.token)}` "
        f"{token.probability:.2g}, rank {token.rank:,}; first is `{best}` with {p:.2g}. "
        "0.20 is an example’s number.",
        "holds" if 0 < token.probability < 1 else "wrong",
    )


def vocabulary(text: Score) -> Finding:
    """The size of this model's vocabulary."""
    size = text.model.vocab_size
    return Finding(
        f"The model of this page, {text.model.name}, knows {size:,} tokens, and it writes text too: "
        "the size is a choice of who trains a model.",
        "holds" if size >= 50_000 else "simplified",
    )


def pieces(texts: Mapping[str, Score]) -> Finding:
    """Which tokens of the texts are words, parts of words, or neither."""
    kinds: dict[str, list[str]] = {"a word": [], "a part of a word": [], "neither": []}
    for text in texts.values():
        for place, token in enumerate(text.ids):
            kinds[_kind(text, place)].append(text.token_text(token).strip())
    total = sum(map(len, kinds.values()))
    shares = ", ".join(
        f"{len(found) / total:.0%} {name}" + (f" (`{_longest(found)}`)" if found else "")
        for name, found in kinds.items()
    )
    return Finding(
        f"Of {total:,} tokens here: {shares}. Neither are marks; elsewhere also line ends, or some bytes of a letter.",
        "simplified" if kinds["neither"] else "holds",
    )


def _kind(text: Score, place: int) -> str:
    here = text.token_text(text.ids[place])
    if not here.strip().isalpha():
        return "neither"
    following = text.token_text(text.ids[place + 1]) if place + 1 < len(text.ids) else " "
    opens = place == 0 or here[0].isspace() or not text.token_text(text.ids[place - 1])[-1].isalpha()
    return "a word" if opens and not following[0].isalpha() else "a part of a word"


def _longest(found: list[str]) -> str:
    return max(found, key=lambda word: (len(word), word))


def words(text: Score) -> Finding:
    """Tokens against words of the long text."""
    n_words, n_tokens = len(text.text.split()), len(text.ids)
    ratio = n_tokens / n_words
    return Finding(
        f"The long text has {n_words} words and {n_tokens} tokens: {ratio:.2f} a word. One token at a time.",
        "holds" if n_tokens == n_words else "simplified",
    )


def dresses(text: Score) -> Finding:
    """Four measures worked out from each other."""
    n = len(text.ids)
    from_product = math.exp(math.fsum(math.log(token.probability) for token in text.tokens)) ** (-1 / n)
    from_bits = 2 ** (text.bits_per_byte * text.n_bytes / n)
    same = all(math.isclose(value, text.perplexity, rel_tol=1e-6) for value in (from_product, from_bits))
    return Finding(
        f"ln P = {_nats(text.logprob)} over {n} tokens gives {text.perplexity:.2f}. The n-th root of 1/P gives "
        f"{from_product:.2f}, and 2 to the bits a token {from_bits:.2f}. With {text.n_bytes} bytes that is "
        f"{text.bits_per_byte:.3f} bits per byte.",
        "holds" if same else "wrong",
    )


def underflow(text: Score) -> Finding:
    """Where the product becomes 0 in each float type."""
    found = running(text)["products"]
    zeros = {dtype: found[dtype]["zero"] for dtype in FLOATS}
    parts = [
        f"{dtype} {'never in this text' if zero is None else f'from token {zero + 1} on'}"
        for dtype, zero in zeros.items()
    ]
    ends = any(zero is not None for zero in zeros.values())
    return Finding(
        f"On paper. A computer’s product of these {len(text.ids)} conditionals is 0 in {', in '.join(parts)}; "
        f"the sum of logs still says {_nats(text.logprob)}.",
        "simplified" if ends else "holds",
    )


def change(old: Score, new: Score) -> Finding:
    """One changed word, and what moved on either side of it."""
    before, after = moved(old, new)
    still, most = max(map(abs, before), default=0.0), max(map(abs, after), default=0.0)
    count = sum(abs(gap) > CLOSE for gap in after)
    return Finding(
        f"One word was changed. Before it {len(before)} conditionals moved by at most {still:.1g} nats; after it "
        f"{count} of {len(after)} moved, by up to {most:.2f} nats.",
        "holds" if still < CLOSE and count == len(after) else "simplified" if still < CLOSE else "wrong",
    )


def _nats(value: float) -> str:
    return f"{value:.2f} nats".replace("-", "−")


def _said(sentence: Sentence) -> str:
    return " ".join(sentence)
