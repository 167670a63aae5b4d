"""Tokens a second of draft and target together, beside the target alone: one engine, the same prompts."""

from __future__ import annotations

from collections.abc import Callable

from benches.decoding import loop
from benches.timing import Spread, interleave, ratios, spread
from tokentrace.drafters import distribution
from tokentrace.lm import GPT2
from tokentrace.models import data_folder
from tokentrace.speculation import Dice, speculate
from tokentrace.trace import Settings

PROMPTS = (data_folder() / "prompts.txt").read_text(encoding="utf-8").splitlines()
PLAIN, GUESSES = "target alone", (1, 2, 3, 4)
WAYS = {"greedy": {"strategy": "greedy"}, "T = 1": {}}


def contestants(target: GPT2, draft: GPT2, settings: Settings, prompts: list[str]) -> dict[str, Callable[[], int]]:
    """Ways to continue all prompts; each says how many tokens it wrote."""
    texts = [target.tokenizer.encode(prompt) for prompt in prompts]

    def alone() -> int:
        dice = Dice()
        choose = lambda logits: dice.pick(distribution(logits, settings))  # noqa: E731
        return sum(len(loop(target, text, settings.max_new_tokens, choose)) for text in texts)

    def together(n_guesses: int) -> int:
        dice, written = Dice(), 0
        for text in texts:
            for found in speculate(target, draft, text, settings, dice, n_guesses):
                written += len(found.tokens)
        return written

    runs = {f"{n} guess{'es' * (n > 1)} a round": lambda n=n: together(n) for n in GUESSES}
    return {PLAIN: alone} | runs


def measure(target: GPT2, draft: GPT2, n: int, rounds: int, n_prompts: int = 6) -> dict[str, dict[str, dict]]:
    """Time `n` tokens after each of some prompts, for greedy and for sampling at temperature 1.

    Returns
    -------
    dict
        For both, and for every contestant: `rate` in tokens a second and `speed` in multiples of the target alone.
    """
    found: dict[str, dict[str, dict[str, Spread]]] = {}
    for way, chosen in WAYS.items():
        runs = contestants(target, draft, Settings(**chosen, max_new_tokens=n), PROMPTS[:n_prompts])
        # The dice fall alike in every turn, so one turn tells how many tokens all of them write.
        tokens = {name: run() for name, run in runs.items()}
        seconds = interleave(runs, rounds)
        rates = {name: [tokens[name] / each for each in own] for name, own in seconds.items()}
        found[way] = {
            name: {"rate": spread(own), "speed": spread(ratios(own, rates[PLAIN]))} for name, own in rates.items()
        }
    return found
