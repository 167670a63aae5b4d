"""The runs, searches and measurements of chapter 2: called by record.py. The measurements take about a minute."""

from pathlib import Path

import tokentrace
from tokentrace import plain_data
from tokentrace.beam_search import beam_search, sentence_ends
from tokentrace.beams import Beams
from tokentrace.experiments import PROMPT
from tokentrace.experiments.generation_loop import EXPERIMENTS
from tokentrace.lm import GPT2
from tokentrace.repetition import loop

SEED = 6
LENGTH = 60  # tokens: long enough for greedy to have gone round
RUNS = {
    "generation_loop": {"temperature": 0.8, "top_k": 40, "top_p": 0.9},
    "generation_loop_greedy": {"strategy": "greedy"},
    "generation_loop_temperature": {"temperature": 0.7},
    "generation_loop_top_k": {"top_k": 20},
    "generation_loop_top_p": {"top_p": 0.9},
    "generation_loop_beam": {"strategy": "beam", "num_beams": 4},
}
# Tried in this order until one shows what the lesson is about; with most models the first does.
PROMPTS = (PROMPT, "The old king said that", "Once upon a time there was a", "She looked out of the window and")


def greedy_is_beaten(beams: Beams) -> bool:
    """Whether another text of the same length is clearly more probable than greedy's."""
    best = beams.ranking()[0]
    return len(best.tokens) == len(beams.greedy_tokens()) and best.logprob > beams.greedy[-1][1] + 0.5


def loops(beams: Beams) -> bool:
    """Whether the best text ends in a circle."""
    return loop(beams.ranking()[0].tokens) is not None


def lengths_differ(beams: Beams) -> bool:
    """Whether the length penalty decides which text wins."""
    return len({beams.ranking(penalty)[0].tokens for penalty in (0.0, 1.0, 2.0)}) > 1 and len(beams.steps) > 12


def first_that(shows, search) -> Beams:
    """Search from one prompt after the other until the search shows what it should."""
    made = []
    for prompt in PROMPTS:
        made.append(search(prompt))
        if shows(made[-1]):
            return made[-1]
    return made[0]


def record_first_runs(model: GPT2, folder: Path):
    """Write the runs of the player and of the strategies side by side into `folder`."""
    for name, settings in RUNS.items():
        trace = tokentrace.generate(model, PROMPT, seed=SEED, max_new_tokens=LENGTH, **settings)
        print(f"{trace.save(folder / f'{name}.json').name}: {trace.text!r}")


def record_searches_and_measurements(model: GPT2, folder: Path):
    """Write searches, a long run, and measurements into `folder`."""
    ends = sentence_ends(model)
    searches = {
        "beam_search": first_that(greedy_is_beaten, lambda prompt: beam_search(model, prompt, 4, 16)),
        "beam_search_sentence": first_that(lengths_differ, lambda prompt: beam_search(model, prompt, 6, 24, ends=ends)),
        "beam_search_loop": first_that(loops, lambda prompt: beam_search(model, prompt, 8, 60)),
    }
    for name, beams in searches.items():
        best = beams.ranking()[0]
        print(f"{beams.save(folder / f'{name}.json').name}: {best.logprob:.1f} nats, {beams.text(best.tokens)!r}")
    long = tokentrace.generate(model, PROMPT, seed=SEED, top_p=0.9, max_new_tokens=160)
    print(f"{long.save(folder / 'nucleus.json').name}: {long.text!r}")
    for experiment in EXPERIMENTS:
        *_, (_, _, found) = experiment.measure(model, PROMPT)
        data = {"format": f"tokentrace {experiment.name}", **found}
        print(f"{plain_data.save(folder / f'{experiment.name}.json', data).name}: {experiment.tell(found).sentence}")
