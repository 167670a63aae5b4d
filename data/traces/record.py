"""Record the runs that the lessons show first, of all chapters or of some: python data/traces/record.py --help.

Run it again whenever the embedded model changes; the seeds are fixed, the texts are what they are. About six minutes
on two cores: the trainings, the recovery and the measurements take most of it.
"""

import argparse
from pathlib import Path

from cache_reading import record_reading
from cache_run import record_cache_run
from chain_rule import record_scores
from exposure import record_lanes
from exposure_bias import record_exposure_bias
from generation_loop import record_first_runs, record_searches_and_measurements
from kv_cache import record_kv_cache
from recovery import record_recovery
from regression import record_regression
from request_lengths import record_lengths
from scheduled_sampling import record_training

import tokentrace

CHAPTERS = {
    "chain_rule": (record_scores, record_regression),
    "generation_loop": (record_first_runs, record_searches_and_measurements),
    "exposure": (record_lanes, record_recovery, record_exposure_bias, record_training),
    "kv_cache": (record_cache_run, record_reading, record_lengths, record_kv_cache),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].partition(":")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent, help="where to write")
    parser.add_argument("--only", choices=CHAPTERS, nargs="+", default=list(CHAPTERS), help="these chapters")
    given = parser.parse_args()
    model = tokentrace.load("storyteller")
    for chapter in given.only:
        for record in CHAPTERS[chapter]:
            record(model, given.folder)
