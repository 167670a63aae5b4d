"""Train learners by several recipes side by side, and measure how far each is from the truth.

Everything is compared on the same seeds: learners of one seed begin with the same weights, see the same batches and
use the same random numbers, so that only the recipe differs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import numpy as np
import torch

from tokentrace.bootstrap import band, ratio_band
from tokentrace.divergence import kl
from tokentrace.learners import Learners, one_thread
from tokentrace.measuring import machine
from tokentrace.scheduled_sampling import MOST_TEXTS, PLACES, Band, Outcome, Plan, TrainingRun, chance
from tokentrace.synthetic_language import Language, barnyard, share_of_sentences

BATCH = 32  # texts of an update
POINTS, FEWEST = 25, 4  # of the curves, and updates between two
HELD, OWN = 200, 300  # texts to measure on, after true words and after a learner's own
SHOWN = 4  # of them on the page
TOGETHER = 3  # places, in divergences by place
TRAINING_SEED, HELD_SEED, OWN_SEED = 1, 2, 3


class Trainer:
    """A plan on its way.

    Attributes
    ----------
    done : updates made.
    curves : for each recipe the points so far: chance, training loss, held-out loss.
    """

    def __init__(self, plan: Plan, language: Language | None = None):
        self.plan, self.language = plan, language or barnyard()
        self.done, self.seconds = 0, 0.0
        self.at: list[int] = []
        self.curves: list[dict[str, list[float]]] = [{"chances": [], "training": [], "held": []} for _ in plan.recipes]
        self._every = max(FEWEST, plan.updates // POINTS)
        self._sums, self._since = np.zeros((len(plan.recipes), plan.seeds)), 0
        # Always as many, so that the first texts are the same whoever takes part.
        self._texts = torch.from_numpy(self.language.draw(MOST_TEXTS, PLACES, TRAINING_SEED))
        self.held = self.language.draw(HELD, PLACES, HELD_SEED)
        self.truth = self.language.conditionals(self.held)
        self._numbers = [torch.Generator().manual_seed(1000 + seed) for seed in range(plan.seeds)]
        widths = sorted({recipe.width for recipe in plan.recipes})
        self._groups = [Group(plan, width, len(self.language.words)) for width in widths]

    @property
    def names(self) -> list[str]:
        """What the curves are of."""
        return [recipe.name for recipe in self.plan.recipes]

    def advance(self, updates: int):
        """Make so many more updates, or as many as are left."""
        began = perf_counter()
        with one_thread():
            for _ in range(min(updates, self.plan.updates - self.done)):
                self._update()
        self.seconds += perf_counter() - began

    def _update(self):
        plan = self.plan
        drawn = [
            (
                torch.rand(BATCH, generator=each),
                torch.rand(BATCH, PLACES, generator=each),
                torch.rand(BATCH, PLACES, generator=each),
            )
            for each in self._numbers
        ]
        chances = [chance(recipe.way, self.done, plan.updates, plan.floor) for recipe in plan.recipes]
        for group in self._groups:
            rows = [((drawn[seed][0] * plan.recipes[which].texts).long(), seed) for which, seed in group.members]
            true = torch.stack([self._texts[row] for row, _ in rows])
            coins, uniforms = (torch.stack([drawn[seed][part] for _, seed in rows]) for part in (1, 2))
            losses = group.learners.learn(true, [chances[which] for which, _ in group.members], coins, uniforms)
            for member, loss in zip(group.members, losses, strict=True):
                self._sums[member] += loss
        self.done += 1
        self._since += 1
        if self.done % self._every == 0 or self.done == plan.updates:
            self._mark(chances)

    def _mark(self, chances: list[float]):
        """Add a point to every curve."""
        self.at.append(self.done)
        held = np.zeros_like(self._sums)
        for group in self._groups:
            for member, guess in zip(group.members, group.conditionals(self.held), strict=True):
                held[member] = _loss(guess, self.held)
        means = self._sums.mean(1) / self._since
        for which, curve in enumerate(self.curves):
            curve["chances"].append(chances[which])
            curve["training"].append(float(means[which]))
            curve["held"].append(float(held[which].mean()))
        self._sums[:], self._since = 0, 0

    def measure(self) -> TrainingRun:
        """Measure every recipe as it is now."""
        if not self.at or self.at[-1] != self.done:
            self._since = max(1, self._since)
            plan = self.plan
            self._mark([chance(each.way, max(0, self.done - 1), plan.updates, plan.floor) for each in plan.recipes])
        with one_thread():
            found: dict[int, list[dict[str, Any]]] = {which: [] for which in range(len(self.plan.recipes))}
            for group in self._groups:
                for (which, _), each in zip(group.members, self._measured(group), strict=True):
                    found[which].append(each)
        truth_share = share_of_sentences(self.language, self.language.draw(3 * OWN, PLACES, OWN_SEED))
        return TrainingRun(
            recorded=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=machine(),
            plan=self.plan,
            done=self.done,
            seconds=self.seconds,
            at=tuple(self.at),
            truth=_loss(self.truth, self.held),
            truth_share=truth_share,
            outcomes=tuple(self._outcome(which, each) for which, each in found.items()),
        )

    def _measured(self, group: Group) -> list[dict[str, Any]]:
        """For each learner of a group: divergences [texts, places] after true words and after its own."""
        written = group.learners.write(OWN, PLACES, [OWN_SEED + seed for _, seed in group.members])
        plan, numbers = self.plan, torch.Generator().manual_seed(OWN_SEED)
        coins, uniforms = torch.rand(2, plan.seeds, HELD, PLACES, generator=numbers)
        seeds = [seed for _, seed in group.members]
        last = [
            chance(plan.recipes[which].way, max(0, self.done - 1), plan.updates, plan.floor)
            for which, _ in group.members
        ]
        with torch.no_grad():
            held = torch.from_numpy(self.held).expand(len(last), -1, -1)
            fed, _ = group.learners.read(held, last, coins[seeds], uniforms[seeds])
        found = []
        for place, (true, own) in enumerate(
            zip(group.conditionals(self.held), group.learners.conditionals(written), strict=True)
        ):
            ids = written[place]
            found.append(
                {
                    "data": kl(self.truth, true).numpy(),
                    "own": kl(self.language.conditionals(ids), own).numpy(),
                    "ids": ids,
                    "loss": _loss(true, self.held),
                    "fed": _loss(fed[place].double().log_softmax(-1).numpy(), self.held),
                    "last": last[place],
                }
            )
        return found

    def _outcome(self, which: int, found: list[dict[str, Any]]) -> Outcome:
        data = np.mean([each["data"] for each in found], 0)  # the same texts for every seed
        own = np.concatenate([each["own"] for each in found])
        ids = np.concatenate([each["ids"] for each in found])
        curve = self.curves[which]
        shown = found[0]["ids"][:SHOWN]
        return Outcome(
            recipe=self.plan.recipes[which],
            **{name: tuple(values) for name, values in curve.items()},
            data=_numbers(band(data.mean(1))),
            own=_numbers(band(own.mean(1))),
            ratio=_numbers(ratio_band(own.mean(1), data.mean(1))),
            each=tuple((float(each["data"].mean()), float(each["own"].mean())) for each in found),
            data_by_place=_by_place(data),
            own_by_place=_by_place(own),
            share=share_of_sentences(self.language, ids),
            fed=float(np.mean([each["fed"] for each in found])),
            fed_truth=-float(self.language.fed_on_itself(self.held, found[0]["last"], OWN_SEED).mean()),
            samples=tuple(tuple(self.language.words[word] for word in row) for row in shown),
            wrong=tuple(tuple(self.language.wrong_places(row)) for row in shown),
        )


class Group:
    """The learners of one width: `members` names the recipe and the seed of each."""

    def __init__(self, plan: Plan, width: int, words: int):
        self.members = [
            (which, seed)
            for which, recipe in enumerate(plan.recipes)
            if recipe.width == width
            for seed in range(plan.seeds)
        ]
        self.learners = Learners([seed for _, seed in self.members], words, width)

    def conditionals(self, ids: np.ndarray) -> np.ndarray:
        """Every learner on the same texts [texts, places]."""
        return self.learners.conditionals(np.repeat(ids[None], len(self.members), 0))


def _loss(guess: np.ndarray, ids: np.ndarray) -> float:
    return -float(np.take_along_axis(guess, ids[..., None], -1).mean())


def _by_place(rows: np.ndarray) -> tuple[Band, ...]:
    """Bands of [texts, places] over `TOGETHER` places at a time: one place alone varies too much."""
    means = rows.reshape(len(rows), -1, TOGETHER).mean(2)
    return tuple(zip(*(each.tolist() for each in band(means)), strict=True))


def _numbers(parts: tuple[np.ndarray, ...]) -> Band:
    return tuple(float(each) for each in parts)
