"""The measurements of chapter 4: called by record.py; about half a minute with one thread."""

from pathlib import Path

from tokentrace import plain_data
from tokentrace.experiments import PROMPT
from tokentrace.experiments.kv_cache import CACHE_BITS, SPEEDS, WEIGHT_BITS
from tokentrace.lm import GPT2


def record_kv_cache(model: GPT2, folder: Path):
    """Write prefill_decode.json, quantized_cache.json and quantized_weights.json into `folder`."""
    for experiment in (SPEEDS, CACHE_BITS, WEIGHT_BITS):
        *_, (_, _, found) = experiment.measure(model, PROMPT)
        data = {"format": f"tokentrace {experiment.name}", **found}
        print(f"{plain_data.save(folder / f'{experiment.name}.json', data).name}: {experiment.tell(found).sentence}")
