"""The trainings of chapter 3, on a language whose truth is known: called by record.py. No embedded model is needed."""

from pathlib import Path

from tokentrace.attention_learners import MaskTrainer
from tokentrace.mask_training import say_mask_training
from tokentrace.scheduled_sampling import KINDS, plan, say_run
from tokentrace.training import Trainer


def record_training(_model, folder: Path):
    """Write a training of every kind of comparison, and one with and without the mask, into `folder`."""
    for kind in KINDS:
        trainer = Trainer(plan(kind))
        trainer.advance(trainer.plan.updates)
        run = trainer.measure()
        print(f"{run.save(folder / f'training_{kind}.json').name}: {run.seconds:.0f} s. {say_run(run)}")
    pair = MaskTrainer()
    pair.advance(pair.updates)
    found = pair.measure()
    print(f"{found.save(folder / 'training_mask.json').name}: {found.seconds:.0f} s. {say_mask_training(found)}")
