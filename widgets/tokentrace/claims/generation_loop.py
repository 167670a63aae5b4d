"""Claims of chapter 2, on how texts are written and what that costs, put to the test on the page's own runs."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tokentrace.beams import Beams
from tokentrace.claims import Claim, Finding
from tokentrace.measuring import middle
from tokentrace.repetition import loop
from tokentrace.trace import Step, Trace

HOLTZMAN = "Holtzman et al. 2020 on text that is made as probable as possible"


def claims(
    trace: Trace, lanes: Mapping[str, Trace], searches: Mapping[str, Beams], records: Mapping[str, dict[str, Any]]
) -> list[Claim]:
    """Return the rows of the table.

    Parameters
    ----------
    trace : the player's run; a sampled one for the rows on the draw.
    lanes : the runs side by side, by the names of the page.
    searches : beam searches: "a few tokens" and "a long text".
    records : measurements by the name of their experiment.
    """
    short, long = searches["a few tokens"], searches["a long text"]
    return [
        Claim(
            "Generation is a loop: scores, softmax, pick, append, until something says stop.",
            "every introduction; Radford et al. 2019 for GPT-2",
            lambda: steps_fit(trace),
        ),
        Claim("The model selects the most likely word.", "popular accounts", lambda: most_likely(trace)),
        Claim("It writes one word at a time; 100 words take 100 steps.", "popular accounts", lambda: words(trace)),
        Claim(
            "Greedy decoding is a kind of sampling.",
            "some overviews; it is sampling's limit at temperature 0",
            lambda: nothing_drawn(lanes["greedy"]),
        ),
        Claim(
            "Greedy decoding is deterministic, and falls into repetition.", HOLTZMAN, lambda: circles(lanes["greedy"])
        ),
        Claim(
            "Taking the most probable token each time gives the most probable text.",
            "a common belief; beam search was invented because it fails",
            lambda: beam_beats(short),
        ),
        Claim("Top-k keeps the k most probable tokens.", "Fan et al. 2018", lambda: keeps_k(lanes["top-k"])),
        Claim(
            "Top-p keeps the smallest set of tokens whose mass reaches p.",
            "Holtzman et al. 2020, who write “at least p”",
            lambda: keeps_p(lanes["top-p"]),
        ),
        Claim(
            "A temperature below 1 sharpens the guess: it divides the logits.",
            "Ackley, Hinton and Sejnowski 1985",
            lambda: sharpens(lanes["temperature 0.7"]),
        ),
        Claim(
            "Beam search keeps k hypotheses at every step.", "every textbook on translation", lambda: beams_kept(short)
        ),
        Claim(
            "A beam suits translation; left to itself in open-ended text it loops.",
            HOLTZMAN,
            lambda: beam_circles(long),
        ),
        Claim(
            "Generation never goes back on a choice.",
            "overviews of autoregressive models",
            lambda: taken_back(trace, short),
        ),
        Claim(
            "Every token sees all that came before it; a model can write as long as we let it.",
            "popular accounts; the window is part of every model card",
            lambda: window_ends(records["beyond_the_window"]),
        ),
        Claim(
            "A text ends at the end token, at a set length, or at a stop string.",
            "every interface to such models",
            lambda: ends(records["end_chances"], records["stop_strings"]),
        ),
        Claim("n tokens take n passes, one after the other.", "overviews", lambda: passes(trace)),
        Claim(
            "An answer ten times as long takes about ten times as long.",
            "overviews, which take a cache for granted",
            lambda: ten_times(records["writing_times"]),
        ),
        Claim(
            "Inference cannot be parallelised.",
            "overviews; Kwon et al. 2023 (vLLM) for batches",
            lambda: batches(records["batch_rates"]),
        ),
    ]


def drawn(trace: Trace) -> list[Step]:
    """Steps whose token a random number picked."""
    return [step for step in trace.steps if step.uniform is not None]


def steps_fit(trace: Trace) -> Finding | None:
    """Each drawn token must be the one that its random number falls on."""
    if not (steps := drawn(trace)):
        return None
    fit = sum(step.low - 1e-5 <= (step.uniform or 0) <= step.low + step.filtered + 1e-5 for step in steps)
    measured = (
        f"{fit} of {len(steps)} tokens are the one on which their random number fell; stopped by: {say(trace.stop)}."
    )
    return Finding(measured, "holds" if fit == len(steps) else "wrong")


def most_likely(trace: Trace) -> Finding | None:
    """Count the tokens that were the most probable one."""
    if not (steps := drawn(trace)):
        return None
    ranks = Counter(step.rank for step in steps)
    first = ranks[1]
    verdict = "holds" if first == len(steps) else "simplified" if first == max(ranks.values()) else "wrong"
    return Finding(f"{first} of {len(steps)} tokens of the sampled run were the most likely one.", verdict)


def words(trace: Trace) -> Finding:
    """Compare tokens with the words they make."""
    found, tokens = len(re.findall(r"\w+", trace.text)), len(trace.steps)
    ratio = tokens / max(1, found)
    measured = f"{tokens} steps wrote {found} words: {ratio:.2f} tokens a word, counting commas and parts of words."
    return Finding(measured, "holds" if abs(ratio - 1) < 0.02 else "simplified")


def nothing_drawn(greedy: Trace) -> Finding:
    """Greedy uses no random number."""
    used = len(drawn(greedy))
    measured = f"The greedy lane used {used} random numbers for {len(greedy.steps)} tokens: nothing was sampled."
    return Finding(measured, "holds" if used else "simplified")


def circles(greedy: Trace) -> Finding:
    """Look for the loop at the end."""
    first = sum(step.rank == 1 for step in greedy.steps)
    found = loop(greedy.tokens)
    measured = f"{first} of {len(greedy.steps)} tokens were the most probable one, with no chance in it. "
    if found is None:
        return Finding(measured + "No loop in a text of this length.", "simplified")
    measured += f"From token {found.start + 1} on the same {found.period} tokens go round {found.rounds:.1f} times."
    return Finding(measured, "holds")


def beam_beats(beams: Beams) -> Finding:
    """Compare the greedy path with the best text of a beam of equal length."""
    best, (_, greedy) = beams.ranking()[0], beams.greedy[-1]
    if len(best.tokens) != len(beams.greedy_tokens()):
        return Finding("The texts end at different lengths here, so they cannot be compared.", "simplified")
    lead = best.logprob - greedy
    measured = (
        f"Greedy's {len(best.tokens)} tokens: {nats(greedy)}; the best of {beams.num_beams} beams: {nats(best.logprob)}"
    )
    if lead < 1e-4:
        return Finding(f"{measured}: here the two are equally probable.", "simplified")
    return Finding(f"{measured}: {math.exp(lead):.2f} times as probable.", "wrong")


def keeps_k(trace: Trace) -> Finding:
    """Count what top-k left."""
    k, kept = trace.settings.top_k or 0, {step.kept for step in trace.steps}
    least, most = (min(step.kept_mass for step in trace.steps), max(step.kept_mass for step in trace.steps))
    measured = f"{span(kept)} tokens at every step, holding {least:.0%} to {most:.0%} of the guess."
    return Finding(measured, "holds" if kept == {k} else "simplified")


def keeps_p(trace: Trace) -> Finding:
    """The mass that was kept must reach p, and must not without its last token."""
    p = trace.settings.top_p or 1.0
    reached = all(step.kept_mass >= p - 1e-5 for step in trace.steps)
    seen = [step for step in trace.steps if step.kept <= len(step.candidates)]
    smallest = all(step.kept_mass - step.candidates[step.kept - 1].probability < p + 1e-4 for step in seen)
    least, most = (min(step.kept for step in trace.steps), max(step.kept for step in trace.steps))
    measured = f"{least} to {most} tokens, holding {min(step.kept_mass for step in trace.steps):.3f} at least"
    if seen:
        measured += f"; in {len(seen)} steps of few tokens, one less would{' not' * smallest} have reached {p}"
    measured += "."
    return Finding(measured, "holds" if reached and smallest else "wrong")


def sharpens(trace: Trace) -> Finding:
    """The first two candidates: the ratio of their probabilities before and after."""
    temperature, pairs = trace.settings.temperature, []
    for step in trace.steps:
        one, two = step.candidates[:2]
        if one.probability > two.probability * 1.05 and two.filtered > 0:
            before, after = (math.log(one.probability / two.probability), math.log(one.filtered / two.filtered))
            pairs.append(before / after)
    up = sum(step.candidates[0].filtered > step.candidates[0].probability for step in trace.steps)
    measured = (
        f"The first candidate gained in {up} of {len(trace.steps)} steps. Between the first two, log-ratios before "
        f"and after stand {min(pairs):.3f} to {max(pairs):.3f} to one; the temperature is {temperature}."
    )
    exact = all(abs(ratio - temperature) < 0.02 for ratio in pairs)
    return Finding(measured, "holds" if exact and up == len(trace.steps) else "simplified")


def beams_kept(beams: Beams) -> Finding:
    """Count the hypotheses that were kept and pruned."""
    steps = beams.steps[:-1] or beams.steps
    kept = {len(step.kept) for step in steps}
    pruned = sum(row.fate == "pruned" for step in steps for row in step.rows)
    measured = f"{span(kept)} kept at each of {len(steps)} steps, {pruned} pruned on the way."
    return Finding(measured, "holds" if kept == {beams.num_beams} else "simplified")


def beam_circles(beams: Beams) -> Finding:
    """Look for the loop in the best text of a long search."""
    best = beams.ranking()[0].tokens
    found = loop(best)
    if found is None:
        return Finding(f"No loop in the best of {beams.num_beams} beams, {len(best)} tokens long.", "simplified")
    measured = (
        f"The best of {beams.num_beams} beams, {len(best)} tokens long, goes round in {found.period} tokens from "
        f"token {found.start + 1} on, {found.rounds:.1f} times. (No translation was run here.)"
    )
    return Finding(measured, "holds")


def taken_back(trace: Trace, beams: Beams) -> Finding:
    """Sampling only appends; a beam drops beginnings that it had kept."""
    best, measured = beams.ranking()[0], f"The loop appended {len(trace.steps)} tokens and changed none. "
    dropped = (
        i for i, step in enumerate(beams.steps[: len(best.tokens)]) if beams.tokens(i, 0) != best.tokens[: i + 1]
    )
    if (first := next(dropped, None)) is None:
        return Finding(f"{measured}Nor did the beam drop what was ever its best beginning.", "holds")
    measured += (
        f"The beam did: at step {first + 1} its best beginning was “{beams.text(beams.tokens(first, 0)).strip()}”, "
    )
    return Finding(f"{measured}which it dropped later.", "simplified")


def window_ends(record: dict[str, Any]) -> Finding:
    """What happens where the window is full."""
    n_ctx, before = record["n_ctx"], record["before"]
    written = {remedy: len(ms) - before - 1 for remedy, ms in record["ms"].items()}
    looks = record["reads"]["drop the older half"][before + 1] if written["drop the older half"] > 0 else 0
    measured = (
        f"When all {n_ctx} places were taken, the loop wrote one last token and {max(0, written['stop']) or 'none'} "
        f"after it. By forgetting it wrote on: with the older half dropped, a token looked back on {looks} tokens."
    )
    return Finding(measured, "wrong" if written["stop"] <= 0 else "holds")


def ends(record: dict[str, Any], stops: dict[str, Any]) -> Finding:
    """How a long run ended, how likely it was to end by itself, and whether stop strings end one."""
    chances = record["p_end"]
    hit = sum(run["why"] == "stop_string" for run in stops["runs"])
    measured = (
        f"A run of {len(chances)} tokens ended by: {say(record['stop'])}. P(end token) was {max(chances):.1g} at "
    )
    measured += f"most. {hit} of {len(stops['runs']) - 1} stop strings ended a run early. (The window is a fourth end.)"
    return Finding(measured, "holds" if record["stop"] != "stopped" and hit else "simplified")


def passes(trace: Trace) -> Finding:
    """Each recorded token has a time of its own."""
    ms = [step.ms for step in trace.steps]
    measured = (
        f"{len(ms)} tokens, {len(ms)} passes: the first read the {len(trace.prompt_tokens)} tokens of the prompt, "
        f"each other one token, {middle(ms[1:] or ms)[1]:.1f} ms in the middle. (Guessing ahead can save some.)"
    )
    return Finding(measured, "holds" if all(each > 0 for each in ms) else "simplified")


def ten_times(record: dict[str, Any]) -> Finding | None:
    """How much longer the longest text took than the shortest."""
    lengths, factors = record["lengths"], {}
    for way, seconds in record["seconds"].items():
        if not seconds[0] or not seconds[-1]:
            return None
        factors[way] = middle(seconds[-1])[1] / middle(seconds[0])[1]
    longer = lengths[-1] / lengths[0]
    measured = f"{longer:.0f} times the tokens: {factors['cached']:.1f} times the time with a cache, "
    measured += f"{factors['uncached']:.0f} times without."
    with_it, without = (abs(factors[way] / longer - 1) < 0.35 for way in ("cached", "uncached"))
    return Finding(measured, "holds" if with_it and without else "simplified" if with_it or without else "wrong")


def batches(record: dict[str, Any]) -> Finding | None:
    """How many times the rate of one text the largest batch had."""
    rates = [
        size * record["n"] / middle(spent)[1]
        for size, spent in zip(record["sizes"], record["seconds"], strict=True)
        if spent
    ]
    if len(rates) < 2:
        return None
    gain, size = rates[-1] / rates[0], record["sizes"][len(rates) - 1]
    measured = f"One text waits for each of its tokens. {size} texts at once: {gain:.1f} times the tokens a second, "
    measured += f"each text at {gain / size:.0%} of its speed alone."
    return Finding(measured, "simplified" if gain > 1.1 else "holds")


def nats(logprob: float) -> str:
    """A log-probability with its unit."""
    return f"{logprob:.2f} nats".replace("-", "−")


def span(numbers: set[int]) -> str:
    """From the least to the most, or the one number that there is."""
    return str(*numbers) if len(numbers) == 1 else f"{min(numbers)} to {max(numbers)}"


def say(stop: str) -> str:
    """Why a run ended, in words."""
    return {
        "length": "the length that was set",
        "end_of_text": "the end token",
        "stop_string": "a stop string",
        "context": "the window",
        "stopped": "the reader",
    }[stop]
