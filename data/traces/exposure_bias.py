"""Both measurements of exposure bias, with the draft as the learner: called by record.py."""

from pathlib import Path

from tokentrace.bias_run import RECORDED
from tokentrace.lm import GPT2
from tokentrace.models import open_model
from tokentrace.visited_contexts import measure

TEXTS = 48
USUAL_VOCABULARY = 8192  # a larger one is compared on fewer texts, so that it takes about as long


def record_exposure_bias(model: GPT2, folder: Path):
    """Write `exposure_bias.json` into `folder`."""
    texts = max(8, min(TEXTS, TEXTS * USUAL_VOCABULARY // model.config.vocab_size))
    *_, (_, _, run) = measure(model, open_model("draft"), RECORDED, texts=texts)
    value, low, high = run.overall["total_variation"]
    name = run.save(folder / "exposure_bias.json").name
    print(f"{name}: EB-C in total variation {value} [{low}, {high}], {len(run.decoders)} decoders")
