"""The mask and the three regressors of chapter 1: called by record.py."""

from dataclasses import asdict
from pathlib import Path

from tokentrace import plain_data
from tokentrace.bigram import Bigram
from tokentrace.causal_mask import study
from tokentrace.generation_loop import describe
from tokentrace.lm import GPT2
from tokentrace.regressors import compare, linear_interaction, most_apart

TEXT = "The old woman took the lamp and went slowly up the stairs."
CHANGES = {3: " king", 6: " letter", 9: " quickly", 12: " hill"}


def record_regression(model: GPT2, folder: Path):
    """Write the study of the mask, the comparison of regressors and the non-additive change into `folder`."""
    run = study(model, TEXT, CHANGES)
    print(f"{run.save(folder / 'causal_mask.json').name}: one pass and {len(run.n_ms)} differ by {run.gap:.1g} at most")
    compared = compare(model, Bigram.load())
    plain_data.save(folder / "regressors.json", compared)
    print(f"regressors.json: {compared['bigram']['texts']}")
    found = {
        "format": "tokentrace interaction",
        "version": 1,
        "model": asdict(describe(model)),
        "language": most_apart(model),
        "series": linear_interaction(),
    }
    plain_data.save(folder / "interaction.json", found)
    print(f"interaction.json: {found['language']['apart']:.2f} nats apart")
