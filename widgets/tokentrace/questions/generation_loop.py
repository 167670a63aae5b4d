"""Questions of chapter 2: what the loop does at each turn, asked about the runs on the page."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tokentrace.beams import Beams
from tokentrace.exercises import Choice, Number, Question, Text
from tokentrace.student import pick
from tokentrace.trace import Step, Trace


def questions(trace: Trace, lanes: Mapping[str, Trace], beams: Beams) -> dict[str, Question]:
    """Return the chapter's questions about a sampled run, the lanes beside it, and a beam search."""
    made = (
        passes(trace),
        best_guess(trace),
        needle(trace),
        kept(trace),
        surprise(trace),
        power(trace),
        same_number(lanes),
        loop(lanes["greedy"]),
        lead(beams),
        normalised(beams),
        stop_string(trace),
        window(trace),
    )
    return {question.name: question for question in made}


def passes(trace: Trace) -> Question:
    """How often the model runs for a text."""
    prompt, written = len(trace.prompt_tokens), len(trace.steps)
    return Number(
        "passes",
        f"The prompt below is {prompt} tokens long, and the model will write {written} more. How often does it run?",
        lambda: written,
        low=1,
        high=2 * (prompt + written),
        step=1,
        unit="runs",
        tolerance=0,
        why={
            1: "One run gives the probabilities of one next token. The one after that depends on which was written.",
            prompt + written: "The prompt need not be read token by token: all of it goes through in one run.",
            written + 1: "Nearly: the run that reads the prompt already gives the first new token.",
        },
        because=f"One run reads the whole prompt and gives token 1. Each later one takes one more: 1 + {written - 1}.",
    )


def best_guess(trace: Trace) -> Question:
    """The first candidate is what greedy would write."""
    at = pick("best_guess", [i for i, step in enumerate(trace.steps) if step.rank > 1 and _is_word(trace, step)])
    step = trace.steps[at]
    best, written = (trace.token_text(token).strip() for token in (step.candidates[0].token, step.token))
    return Text(
        "best_guess",
        f"Go to token {at + 1} in the player. The run wrote `{written}` there. What would greedy have written?",
        lambda: best,
        why={written: "That is what the draw gave. Greedy does not draw: it takes the longest bar."},
        otherwise="Greedy writes the token with the longest bar, the first in the list.",
        because=f"It had {step.candidates[0].probability:.0%}, the most of all; `{written}` was number {step.rank}.",
    )


def needle(trace: Trace) -> Question:
    """Which token a random number falls on."""
    at = pick(
        "needle", [i for i, s in enumerate(trace.steps) if s.kept >= 4 and s.rank <= 4 and _distinct_words(trace, s)]
    )
    step = trace.steps[at]
    options, listed, low = {}, [], 0.0
    for candidate in step.candidates[:4]:
        text = f"`{trace.token_text(candidate.token).strip()}`"
        inside = "inside" if candidate.token == step.token else "outside"
        listed.append(f"{text} {candidate.filtered:.2f}")
        options[text] = f"It covers {low:.2f} to {low + candidate.filtered:.2f}, and {step.uniform:.2f} lies {inside}."
        low += candidate.filtered
    return Choice(
        "needle",
        f"At token {at + 1} the kept tokens lie end to end from 0 to 1, the most probable first: "
        f"{', '.join(listed)}, … The random number is {step.uniform:.2f}. Which token is written?",
        lambda: f"`{trace.token_text(step.token).strip()}`",
        options=options,
        shuffle=False,
    )


def kept(trace: Trace) -> Question:
    """How much a filter cuts away."""
    at = pick("kept", [i for i, step in enumerate(trace.steps) if 2 <= step.kept <= 30])
    step, size = trace.steps[at], trace.model.vocab_size
    return Number(
        "kept",
        f"The model knows {size:,} tokens. At token {at + 1}, how many of them did the filters leave to draw from?",
        lambda: step.kept,
        low=1,
        high=size,
        log=True,
        unit="tokens",
        why={trace.settings.top_k or size: "That is the most that top-k allows. Top-p then cut further."},
        too_high="Look at the bars: a handful of tokens holds nearly all of the probability.",
        too_low="Top-p keeps tokens until their shares add up; here one or two do not suffice.",
        because=f"These {step.kept} held {step.kept_mass:.0%} of the raw probability. "
        "A sharp guess keeps few tokens, a flat one many.",
    )


def surprise(trace: Trace) -> Question:
    """From a probability to bits."""
    good = [i for i, step in enumerate(trace.steps) if 0.02 < step.probability < 0.3 and _is_word(trace, step)]
    at = pick("surprise", good)
    step = trace.steps[at]
    p, bits = step.probability, step.surprise
    return Number(
        "surprise",
        f"Token {at + 1}, `{trace.token_text(step.token).strip()}`, came with a raw probability of {p:.3f}. "
        "How many bits of surprise is that?",
        lambda: bits,
        low=0,
        high=12,
        unit="bits",
        tolerance=0.3,
        why={
            bits * math.log(2): "That is −ln p, in nats. A bit is 0.693 nats, so divide by that.",
            bits * math.log10(2): "That is −log10 p. Bits count halvings: take the logarithm to base 2.",
            step.entropy: "That is the entropy of this guess: the surprise to expect before the token is known.",
        },
        too_low="Count how often 1 must be halved to come down to this probability.",
        too_high="Count how often 1 must be halved to come down to this probability.",
        because=f"Halve 1 that many times and you are at {p:.3f}.",
    )


def power(trace: Trace) -> Question:
    """From a log-probability to a probability."""
    nats = trace.logprob
    return Number(
        "power",
        f"The log-probabilities of all {len(trace.steps)} tokens add up to −{-nats:.1f} nats. "
        "The probability of the whole text is ten to the power of what?",
        lambda: nats / math.log(10),
        low=math.floor(nats) - 20,
        high=0,
        step=1,
        tolerance=1,
        why={
            nats: "That is the power of e. One power of ten is 2.3 nats, so divide by 2.3.",
            nats / math.log(2): "That is the power of two (bits). Divide the nats by 2.3 for a power of ten.",
            nats * math.log(10): "You multiplied by 2.3; a power of ten is larger than a power of e, so divide.",
        },
        because="Every single text is this improbable: there are very many others.",
    )


def same_number(lanes: Mapping[str, Trace]) -> Question:
    """How often two strategies agree although they see the same random numbers."""
    one, other = lanes["temperature 0.7"], lanes["top-k"]
    pairs = list(zip(one.tokens, other.tokens, strict=False))
    same = sum(a == b for a, b in pairs)
    return Number(
        "same_number",
        f"The lanes temperature 0.7 and top-k use the same {len(pairs)} random numbers. "
        "At how many of these steps do they write the same token?",
        lambda: same,
        low=0,
        high=len(pairs),
        step=1,
        tolerance=2,
        why={len(pairs): "Equal numbers do not make equal tokens: the shares that they fall on differ."},
        too_high="Step through both lanes: after they part, they tell different stories.",
        too_low="Step through both lanes from the start: they agree now and then.",
        because="The settings leave shares of different widths, so the same number can fall on another token. "
        "Once the texts differ, the guesses differ too, and what still agrees is chance.",
    )


def loop(greedy: Trace) -> Question:
    """How little a greedy run says."""
    found, n = len(set(greedy.tokens)), len(greedy.steps)
    return Number(
        "loop",
        f"The greedy lane wrote {n} tokens. How many different ones are among them?",
        lambda: found,
        low=1,
        high=n,
        step=1,
        tolerance=1,
        why={n: "Read the lane again: it repeats itself."},
        too_high="It repeats itself more than that.",
        too_low="A loop still has a few words in it.",
        because="What most probably follows a repeated text is one more repetition, and greedy always takes it.",
    )


def lead(beams: Beams) -> Question:
    """From a difference of log-probabilities to a ratio of probabilities."""
    best, (_, greedy) = beams.ranking()[0].logprob, beams.greedy[-1]
    gap = best - greedy
    times = math.exp(gap)
    return Number(
        "lead",
        f"Greedy's text has a log-probability of −{-greedy:.2f} nats, the beam's best text −{-best:.2f} nats. "
        "How many times as probable is the beam's?",
        lambda: times,
        low=0,
        high=math.ceil(2 * times) + 4,
        step=0.1,
        unit="times",
        tolerance=max(0.15, 0.08 * times),
        why={
            gap: "That is the difference in nats. A difference of logarithms is a ratio: raise e to it.",
            2**gap: "You raised 2 to the difference; nats belong to e.",
            10**gap: "You raised 10 to the difference; nats belong to e.",
            greedy / best: "A ratio of log-probabilities is not a ratio of probabilities.",
            best / greedy: "A ratio of log-probabilities is not a ratio of probabilities.",
        },
        because=f"e to the power {gap:.2f}: what is added in logarithms is multiplied in probabilities.",
    )


def normalised(beams: Beams) -> Question:
    """Divide by the length."""
    best, size = beams.ranking()[0], len(beams.ranking()[0].tokens)
    score = best.logprob / size
    return Number(
        "normalised",
        f"The best text of this search has {size} tokens and a log-probability of −{-best.logprob:.2f} nats. "
        "What is its score with the length penalty α = 1?",
        lambda: score,
        low=-4,
        high=0,
        step=0.01,
        unit="nats a token",
        tolerance=0.03,
        why={
            best.logprob: "That is its score with α = 0: no correction for the length.",
            best.logprob / math.sqrt(size): "That would be α = 0.5: divided by the root of the length.",
            -score: "The size is right. Log-probabilities are negative, and so is their mean.",
        },
        too_low="Divide by the number of tokens.",
        too_high="Divide by the number of tokens, once.",
        because=f"−{-best.logprob:.2f} / {size}: the mean log-probability of a token.",
    )


def stop_string(trace: Trace) -> Question:
    """A stop string need not keep to tokens."""
    good = [i for i in range(len(trace.tokens) - 1) if _crosses(trace, i)]
    at = pick("stop_string", good)
    stop = _crosses(trace, at)
    return Number(
        "stop_string",
        f"Suppose this run had the stop string `{stop}`. It stands across a border of two tokens of the text. "
        f"After how many of its {len(trace.steps)} tokens would the run have ended?",
        lambda: at + 2,
        low=1,
        high=len(trace.steps),
        step=1,
        unit="tokens",
        tolerance=0,
        why={
            at + 1: "There the stop string has only begun. Its last letter is in the next token.",
            len(trace.steps): "No token is the stop string, but the text is searched, not the tokens.",
            at + 3: "One earlier: the run ends as soon as the stop string is complete, even within a token.",
        },
        too_low="Find it in the text under the player; the token that completes it counts.",
        too_high="Find it in the text under the player; the token that completes it counts.",
        because=f"Token {at + 2} completes it. The loop looks at the text after every token, and borders play no part.",
    )


def window(trace: Trace) -> Question:
    """Why a model cannot write for as long as we like."""
    size, prompt = trace.model.n_ctx, len(trace.prompt_tokens)
    return Number(
        "window",
        f"This model reads at most {size} tokens at once, and the prompt is {prompt} long. If nothing else stops it, "
        "how many tokens can the loop write?",
        lambda: size - prompt + 1,
        low=0,
        high=2 * size,
        step=1,
        tolerance=0,
        why={
            size: "The prompt takes places in the window too.",
            size - prompt: "One more: the last token is written but never read, so it needs no place.",
            2 * size: "There is no place left to read a further token at: the loop must stop.",
        },
        too_low="Count the places that the prompt leaves free.",
        too_high="Count the places that the prompt leaves free.",
        because=f"{size} − {prompt} tokens can still be read, and one more be written after the last of them.",
    )


def _word(trace: Trace, token: int) -> str:
    """A token's text if it is a word, else nothing."""
    text = trace.token_text(token).strip()
    return text if text.isalpha() else ""


def _is_word(trace: Trace, step: Step) -> bool:
    return bool(_word(trace, step.token) and _word(trace, step.candidates[0].token))


def _distinct_words(trace: Trace, step: Step) -> bool:
    words = {_word(trace, candidate.token) for candidate in step.candidates[:4]}
    return len(words) == 4 and "" not in words


def _crosses(trace: Trace, at: int) -> str:
    """The end of one token and the beginning of the next, if that is plain and nowhere earlier; else nothing."""
    one, two = (trace.token_text(token) for token in trace.tokens[at : at + 2])
    text = trace.prompt + b"".join(trace.vocabulary[token] for token in trace.tokens[: at + 2]).decode(
        "utf-8", "replace"
    )
    found = one[-2:] + two[:3]
    plain = all(each.isalpha() or each == " " for each in found)
    return (
        found
        if plain and found == found.strip() and len(found) > 3 and text.find(found) >= len(text) - len(two) - 2
        else ""
    )
