"""The runs of chapter 4 with a cache and without: called by record.py. About 40 seconds on one core."""

from pathlib import Path

from tokentrace import plain_data
from tokentrace.cache_race import finished, race
from tokentrace.cache_run import say_race
from tokentrace.experiments import PROMPT
from tokentrace.experiments.cache_run import WHERE
from tokentrace.lm import GPT2

SHORT, LONG = 17, 120  # tokens: what a grid can show; enough for the race to be decided


def record_cache_run(model: GPT2, folder: Path):
    """Write the run of the grid, the run of the race, and where the time goes into `folder`."""
    for name, n in (("cache_run", SHORT), ("cache_race", LONG)):
        run = finished(race(model, PROMPT, n, edits=n == SHORT))
        print(f"{run.save(folder / f'{name}.json').name}: {say_race(run)}")
    *_, (_, _, found) = WHERE.measure(model, PROMPT)
    data = {"format": f"tokentrace {WHERE.name}", **found}
    print(f"{plain_data.save(folder / f'{WHERE.name}.json', data).name}: {WHERE.tell(found).sentence}")
