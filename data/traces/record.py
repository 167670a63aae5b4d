"""Record the runs that the lessons show first: python data/traces/record.py [folder to write to].

Run it again whenever the embedded model changes; the seeds are fixed, the texts are what they are.
"""

import sys
from pathlib import Path

from chain_rule import record_scores
from generation_loop import record_chapter
from regression import record_regression

import tokentrace

PROMPT = "The lighthouse keeper opened the door and"
SEED = 6
LENGTH = 60  # tokens: long enough for greedy to have gone round
STRATEGIES = {
    "greedy": {"strategy": "greedy"},
    "temperature": {"temperature": 0.7},
    "top_k": {"top_k": 20},
    "top_p": {"top_p": 0.9},
    "beam": {"strategy": "beam", "num_beams": 4},
}


def record(folder: Path):
    """Write every trace of the lessons into `folder`."""
    model = tokentrace.load("storyteller")
    record_scores(model, folder)
    record_regression(model, folder)
    chapter = {"generation_loop": {"temperature": 0.8, "top_k": 40, "top_p": 0.9}}
    chapter |= {f"generation_loop_{name}": settings for name, settings in STRATEGIES.items()}
    for name, settings in chapter.items():
        trace = tokentrace.generate(model, PROMPT, seed=SEED, max_new_tokens=LENGTH, **settings)
        print(f"{trace.save(folder / f'{name}.json').name}: {trace.text!r}")
    record_chapter(model, folder, SEED)


if __name__ == "__main__":
    record(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
