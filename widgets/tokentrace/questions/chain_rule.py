"""Questions of chapter 1: the product of conditionals, by hand and on the texts that stand on the page."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tokentrace import five_words
from tokentrace.chain_rule import FLOATS, Score, align, first_zero, products, smallest
from tokentrace.exercises import Choice, Number, Question, Text
from tokentrace.five_words import END
from tokentrace.student import pick

SENTENCES = (("I", "love", "AI", END), ("I", "love", "code", END), ("I", "code", END), ("I", "AI", END))
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
WEATHER = {"the": 0.3, "weather": 0.4, "is": 0.35, "nice": 0.5}  # a glossary's example; the words are ours


def questions(texts: Mapping[str, Score]) -> dict[str, Question]:
    """Return the chapter's questions by hand and about scored texts.

    Parameters
    ----------
    texts : "sentence", "long", "before" and "after" the change of a word, and "prompt": `I love cats`.
    """
    made = (
        product(),
        one_more(),
        greedy(),
        weather(),
        given(texts["prompt"]),
        costliest(texts),
        perplexity(texts),
        bits_per_byte(texts),
        underflow(texts["long"]),
        unmoved(texts["before"], texts["after"]),
    )
    return {question.name: question for question in made}


def product() -> Question:
    """A sentence's probability from its conditionals."""
    words = pick("product", SENTENCES)
    factors = [float(each) for each in five_words.factors(words)]
    whole = math.prod(factors)
    listed = ", ".join(f"{each:.2f}" for each in factors)
    return Number(
        "product",
        f"Take `{_said(words)}` word by word in the tree. The conditionals are {listed}. "
        "What is the probability of the whole sentence?",
        lambda: whole,
        low=0,
        high=0.1,
        tolerance=0.0006,
        why={
            math.fsum(factors): "Those are the conditionals added up. That all of them happen is their product.",
            math.fsum(factors) / len(factors): "That is their mean. Each word is drawn after the others: multiply.",
            whole / factors[0]: f"You left out {factors[0]:.2f}: the first word has a probability too.",
            whole / factors[-1]: f"You left out {factors[-1]:.2f}: that the sentence ends here is not certain either.",
        },
        too_high="Every factor below 1 makes the product smaller. Multiply all of them.",
        too_low="Multiply each of them once, from the first word to the end.",
        because=f"{' × '.join(f'{each:.2f}' for each in factors)}, and nothing else: that is the chain rule.",
    )


def one_more() -> Question:
    """A product grows by a factor, its logarithm by a term."""
    p = pick("one_more", (0.5, 0.25, 0.1))
    before = math.log(five_words.probability(SENTENCES[0][:-1]))
    return Number(
        "one_more",
        f"For `I love AI` without an end, ln P is −{-before:.2f}. Another word follows, and its conditional is {p}. "
        "What is ln P now?",
        lambda: before + math.log(p),
        low=-6,
        high=0,
        unit="nats",
        tolerance=0.06,
        why={
            before * p: "A product of probabilities is a sum of logs: do not multiply a log by a probability.",
            before + p: "Add the log of the conditional, not the conditional itself.",
            before - math.log(p): "The log of a number below 1 is negative: the sum must fall.",
            before + math.log10(p): "That is the log to base 10. These are natural logs.",
        },
        too_high="Each further word makes a text less probable, so the sum falls by −ln p.",
        too_low=f"Only one more term comes in: ln {p}.",
        because=f"ln {p} = −{-math.log(p):.2f} is added. Where P is multiplied, ln P is added to.",
    )


def greedy() -> Question:
    """The best word every time is not the best sentence."""
    ranked = five_words.sentences()
    choice = five_words.greedy()
    first = choice[0]
    offered = [words for words, _ in ranked[:4]]
    if choice not in offered:
        offered[-1] = choice
    reasons = {}
    for words in offered:
        size = f"Its product is {float(five_words.probability(words)):.4f}"
        if words == ranked[0][0]:
            reasons[f"`{_said(words)}`"] = (
                f"{size}, the largest of all {len(ranked):,}, though it begins with a rarer word."
            )
        elif words == choice:
            reasons[f"`{_said(words)}`"] = (
                f"{size}. It takes the best word each time, but after `{first}` the rest is spread."
            )
        else:
            reasons[f"`{_said(words)}`"] = f"{size}. Multiply the other ones out in the tree: one has more."
    return Choice(
        "greedy",
        "Which of these sentences of the five words is the most probable one of all?",
        lambda: f"`{_said(ranked[0][0])}`",
        options=reasons,
    )


def weather() -> Question:
    """A product of given numbers, of a beginning or of the whole."""
    n = pick("weather", (3, 4))
    numbers = list(WEATHER.values())[:n]
    whole = math.prod(numbers)
    listed = ", ".join(f"{each:g}" for each in numbers)
    return Number(
        "weather",
        f"A model gives the words `{' '.join(list(WEATHER)[:n])}` the conditionals {listed}. "
        "What is the probability of these words in this order?",
        lambda: whole,
        low=0,
        high=0.2,
        tolerance=0.001,
        why={
            math.fsum(numbers): "That is the sum, and here it is above 1: no probability can be.",
            math.fsum(numbers) / n: "That is the mean of the conditionals, not the probability of all of them.",
            whole
            ** (1 / n): "That is their geometric mean: one over the perplexity. The question is about the product.",
            min(numbers): "All of the words must come, so the whole is less probable than the rarest of them.",
        },
        too_high="Multiply all of them: the result is smaller than the smallest factor.",
        too_low="Each factor comes in once.",
        because=f"{' × '.join(f'{each:g}' for each in numbers)}. No source is needed for that: it is arithmetic.",
    )


def given(text: Score) -> Question:
    """What is given is not multiplied in."""
    first, second, third = (text.token_text(token).strip() for token in text.ids[:3])
    p = [token.probability for token in text.tokens]
    right = f"P({second} | {first}) · P({third} | {first} {second})"
    return Choice(
        "given",
        f"The prompt is `{first}`. How probable is it that the model goes on with `{second} {third}`?",
        lambda: right,
        options={
            right: f"The prompt is given, so its own probability does not count. Measured: {p[1] * p[2]:.2g}.",
            f"P({first}) · P({second} | {first}) · P({third} | {first} {second})": "That is the probability of "
            f"all three words from nothing, {math.prod(p):.2g}. But the first one stands there already.",
            f"P({second}) · P({third})": "Words do not come independently: each is conditioned on those before it.",
            f"P({third} | {first} {second})": f"That is how probable `{third}` is once `{second}` has come. "
            "But that has to come first.",
        },
    )


def costliest(texts: Mapping[str, Score]) -> Question:
    """Where a text surprises the model."""
    name = pick("costliest", ("sentence", "before", "after"))
    score = texts[name]
    order = sorted(score.tokens, key=lambda token: token.logprob)
    words = [score.token_text(token.token).strip() for token in order]
    return Text(
        "costliest",
        f"Here is a text: `{score.text}` Which of its tokens did the model expect the least? Type it as the chips "
        "show it; it may be a part of a word." + _where(name),
        lambda: words[0],
        why={
            words[1]: f"That is the second: its ln p is −{-order[1].logprob:.2f}. One bar hangs lower.",
            words[-1]: "That is the one it expected the most: the shortest bar.",
        },
        otherwise="Look for the bar that hangs lowest: the longer the bar, the less expected the token.",
        because=f"Its ln p is −{-order[0].logprob:.2f}: {order[0].probability:.2g}, rank {order[0].rank:,} "
        f"of {score.model.vocab_size:,}.",
    )


def perplexity(texts: Mapping[str, Score]) -> Question:
    """From the sum of logs to equal choices."""
    name = pick("perplexity", ("before", "after", "long"))
    score = texts[name]
    n, nats = len(score.ids), -score.logprob
    return Number(
        "perplexity",
        f"The log-probabilities of {_called(name)} add up to −{nats:.1f} nats, over {n} tokens. "
        "What is its perplexity?",
        lambda: score.perplexity,
        low=1,
        high=10_000,
        log=True,
        tolerance=1.05,
        why={
            nats / n: "Those are the nats a token. Perplexity is e to that power.",
            nats / n / math.log(2): "Those are the bits a token. Perplexity is e to the power of the nats.",
            2 ** (nats / n): "With nats the base is e. 2 goes with bits.",
            10 ** (nats / n): "With natural logs the base is e, not 10.",
            math.exp(nats / score.n_bytes): "That is per byte. Perplexity is per token.",
        },
        too_high="Divide by the number of tokens first, then take e to that power.",
        too_low="Divide by the number of tokens, then take e to that power.",
        because=f"exp({nats:.1f} / {n}): on average as unsure as among so many equally likely tokens.",
    )


def bits_per_byte(texts: Mapping[str, Score]) -> Question:
    """The measure that does not depend on the tokens."""
    score = texts["sentence"]
    # Each student scores another beginning of the text.
    end = pick("bits_per_byte", range(len(score.ids) // 2, len(score.ids) + 1))
    nats = -math.fsum(token.logprob for token in score.tokens[:end])
    size = sum(len(score.vocabulary[token]) for token in score.ids[:end])
    bits = nats / math.log(2)
    return Number(
        "bits_per_byte",
        f"The first {end} tokens of `{score.text}` cost {nats:.2f} nats and are {size} bytes long. "
        "How many bits per byte is that?",
        lambda: bits / size,
        low=0,
        high=6,
        unit="bits",
        tolerance=0.05,
        why={
            nats / size: "Those are nats a byte. A bit is 0.693 nats, so there are more bits than nats.",
            bits / end: "Those are bits a token. Divide by the bytes.",
            nats / end: "Those are nats a token. Change to bits, and divide by the bytes.",
            nats * math.log(2) / size: "A bit is smaller than a nat: divide by 0.693, do not multiply.",
        },
        too_high="Nats divided by 0.693 are bits; then divide by the number of bytes.",
        too_low="Nats divided by 0.693 are bits; then divide by the number of bytes.",
        because=f"{nats:.2f} / 0.693 / {size}. Two models may cut a text into different tokens, but its bytes stay.",
    )


def underflow(text: Score) -> Question:
    """Where a product becomes nothing."""
    logprobs = [token.logprob for token in text.tokens]
    zeros = {dtype: first_zero(products(logprobs, dtype)) for dtype in FLOATS}
    dtype = pick("underflow", [name for name in FLOATS[:2] if zeros[name] is not None])
    least = smallest(dtype)
    place = zeros[dtype] + 1
    others = {
        zero + 1: f"There {name} ends. The question is about {dtype}."
        for name, zero in zeros.items()
        if name != dtype and zero is not None
    }
    return Number(
        "underflow",
        f"{dtype} knows no number between 0 and {_power(least)}. Multiply the conditionals of the long text one by "
        "one: from which token on does it hold 0?",
        lambda: place,
        low=1,
        high=len(text.ids),
        step=1,
        tolerance=0 if dtype == FLOATS[0] else 1,
        why=others
        | {
            place - 1: "Nearly: there it still holds something, if only with few digits.",
            len(text.ids): "It is 0 long before that: look where the hatched part begins.",
        },
        too_high="It ends earlier: each token costs some nats, and the sum reaches the dashed line sooner.",
        too_low="Not yet: the sum of logs has not reached the dashed line there.",
        because=f"There ln P falls below −{-math.log(least):.0f}, and what is smaller than the smallest number is 0. "
        "The sum of logs goes on.",
    )


def unmoved(old: Score, new: Score) -> Question:
    """A changed word and what stands before it."""
    change = align(old.ids, new.ids)
    pair = change.pairs[change.before]
    was, is_now = old.token_text(old.ids[pair.old]).strip(), new.token_text(new.ids[pair.new]).strip()
    n = change.before
    return Number(
        "unmoved",
        f"In the second version `{was}` became `{is_now}`. {n} tokens stand before it. How many of these {n} now have "
        "another conditional?",
        lambda: 0,
        low=0,
        high=len(old.ids),
        step=1,
        tolerance=0,
        why={
            n: "Each is conditioned on what stands before it, and there nothing has changed.",
            change.after: "So many stand after the change. Those before it cannot see it.",
            1: "Not even the last one before it: it was scored before the changed word was read.",
        },
        too_low="Fewer than none cannot be.",
        too_high="A conditional depends only on what stands before its token.",
        because="The chain rule goes from left to right: each factor looks back, never ahead.",
    )


def _power(value: float) -> str:
    """A small number as readers write it: 6 · 10⁻⁸."""
    digits, _, power = f"{value:.0e}".partition("e")
    return f"{digits} · 10{str(int(power)).translate(SUPERSCRIPT)}"


def _said(words: tuple[str, ...]) -> str:
    return " ".join(words)


def _called(name: str) -> str:
    names = {"before": "the first version", "after": "the second version", "long": "the long text"}
    return names[name]


def _where(name: str) -> str:
    return "" if name == "sentence" else " You find its bars below, where one word is changed."
