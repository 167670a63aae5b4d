"""Let the embedded model answer every prompt at hand, for the lengths of real requests."""

from pathlib import Path

from tokentrace.request_lengths import measure


def record_lengths(model, folder: Path):
    """Write how long the prompts and the storyteller's paragraphs are, `request_lengths.json`."""
    *_, (_, _, found) = measure(model)
    print(f"{found.save(folder / 'request_lengths.json').name}: {found.prompts} {found.outputs}")
