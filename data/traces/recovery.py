"""Recovery and entropy drift of chapter 3: called by record.py. About 100 s on one core, 60 s on two."""

from pathlib import Path

from tokentrace import plain_data
from tokentrace.experiments.entropy_drift import DRIFT
from tokentrace.lm import GPT2
from tokentrace.passages import passages
from tokentrace.recovering import recover
from tokentrace.recovery import say


def record_recovery(model: GPT2, folder: Path):
    """Write the recovery over 200 prefixes and the drift along own text into `folder`."""
    *_, (_, _, run) = recover(model, [passage.text for passage in passages()])
    print(f"{run.save(folder / 'recovery.json').name}: {say(run, run.kinds[0], 'given', 'total_variation')}")
    *_, (_, _, found) = DRIFT.measure(model, "")
    data = {"format": "tokentrace entropy_drift", **found}
    print(f"{plain_data.save(folder / 'entropy_drift.json', data).name}: {DRIFT.tell(found).sentence}")
