"""One layer of attention, trained with the causal mask and without it, side by side.

A small pre-norm block as in GPT-2 (Radford et al. 2019), without biases: attention, then a two-layer perceptron.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from time import perf_counter

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tokentrace.learners import drawn, one_thread
from tokentrace.mask_training import MaskTraining, Pupil
from tokentrace.measuring import machine
from tokentrace.scheduled_sampling import PLACES
from tokentrace.synthetic_language import Language, barnyard, share_of_sentences

RATE = 4e-3  # of Adam
BATCH = 32  # texts of an update
TEXTS = 2000  # to learn from
HELD, OWN = 100, 200  # texts to measure on, and to write
POINTS, FEWEST = 25, 10  # of the curves, and updates between two
SHOWN = 4  # texts on the page
TRAINING_SEED, HELD_SEED, OWN_SEED = 1, 2, 3


class Attentive:
    """One attention layer for each entry of `masked`; all begin with the same weights.

    Parameters
    ----------
    masked : whether each learner has the causal mask.
    places : longest text, start included.
    """

    def __init__(self, masked: Sequence[bool], words: int, places: int, seed: int = 0, width: int = 64, heads: int = 2):
        self.n, self.width, self.heads = len(masked), width, heads
        numbers = torch.Generator().manual_seed(seed)
        shapes = {
            "words": (words, width), "places": (places, width), "mix": (width, 3 * width), "back": (width, width),
            "up": (width, 2 * width), "down": (2 * width, width), "out": (width, words),
        }  # fmt: skip
        self.weights = {}
        for name, shape in shapes.items():
            size = 0.3 if name in ("words", "places") else shape[0] ** -0.5
            one = torch.randn(shape, generator=numbers) * size
            self.weights[name] = torch.stack([one] * self.n).requires_grad_()
        self.adam = torch.optim.Adam(self.weights.values(), lr=RATE)
        square = torch.ones(places, places, dtype=torch.bool)
        self.seen = torch.stack([square.tril() if each else square for each in masked])

    def __call__(self, ids: Tensor) -> Tensor:
        """Logits [learners, texts, places, words] of what follows each of the words ids [learners, texts, places]."""
        (n, texts, places), weights = ids.shape, self.weights
        offset = (torch.arange(n) * weights["words"].shape[1])[:, None, None]
        stream = weights["words"].flatten(0, 1)[ids + offset] + weights["places"][:, None, :places]
        parts = (
            self._times(self._norm(stream), "mix").view(n, texts, places, 3, self.heads, -1).permute(3, 0, 1, 4, 2, 5)
        )
        query, key, value = parts
        scores = query @ key.transpose(-1, -2) / math.sqrt(key.shape[-1])
        # Minus infinity before the softmax is a weight of exactly 0 after it.
        scores = scores.masked_fill(~self.seen[:, None, None, :places, :places], -math.inf)
        gathered = (scores.softmax(-1) @ value).transpose(2, 3).reshape(n, texts, places, self.width)
        stream = stream + self._times(gathered, "back")
        stream = stream + self._times(torch.relu(self._times(self._norm(stream), "up")), "down")
        return self._times(self._norm(stream), "out")

    def losses(self, true: Tensor) -> Tensor:
        """Loss at every place of texts [learners, texts, places], nats: one pass guesses them all."""
        logits = self(shifted(true))
        return functional.cross_entropy(logits.flatten(0, 2), true.flatten(), reduction="none").view(true.shape)

    def losses_alone(self, true: Tensor) -> Tensor:
        """The same, but each guess is made by a pass that is given nothing from its own place on."""
        given = shifted(true)
        last = [self(given[:, :, : place + 1])[:, :, -1] for place in range(true.shape[2])]
        logits = torch.stack(last, 2)
        return functional.cross_entropy(logits.flatten(0, 2), true.flatten(), reduction="none").view(true.shape)

    def learn(self, true: Tensor) -> list[float]:
        """Make one update on the true texts and return each learner's loss before it, nats a word."""
        losses = self.losses(true).flatten(1).mean(1)
        self.adam.zero_grad()
        losses.sum().backward()
        self.adam.step()
        return losses.tolist()

    @torch.no_grad()
    def write(self, texts: int, places: int, seed: int) -> np.ndarray:
        """Let every learner write on its own samples: ids [learners, texts, places]."""
        numbers = torch.Generator().manual_seed(seed)
        words = torch.zeros(self.n, texts, 1, dtype=torch.long)
        for _ in range(places):
            new = drawn(self(words)[:, :, -1], torch.rand(self.n, texts, generator=numbers))
            words = torch.cat([words, new[..., None]], -1)
        return words[:, :, 1:].numpy()

    def _norm(self, stream: Tensor) -> Tensor:
        return functional.layer_norm(stream, (self.width,))

    def _times(self, stream: Tensor, name: str) -> Tensor:
        weight = self.weights[name]
        return torch.bmm(stream.flatten(1, 2), weight).view(*stream.shape[:3], -1)


def shifted(true: Tensor) -> Tensor:
    """What stands before each word: the text moved on by one place, with a full stop in front."""
    return functional.pad(true, (1, 0))[..., :-1]


class MaskTrainer:
    """Trains one learner with the mask and one without.

    Attributes
    ----------
    done : updates made.
    curves : for each learner the points so far: training loss, held-out loss, and held-out loss without peeking.
    """

    names = ("with the mask", "without the mask")

    def __init__(self, updates: int = 300, language: Language | None = None):
        self.updates, self.language = updates, language or barnyard()
        self.done, self.seconds, self.at = 0, 0.0, []
        self.curves = [{"training": [], "held": [], "alone": []} for _ in range(2)]
        self.learners = Attentive((True, False), len(self.language.words), PLACES)
        self._texts = torch.from_numpy(self.language.draw(TEXTS, PLACES, TRAINING_SEED))
        self.held = self.language.draw(HELD, PLACES, HELD_SEED)
        self._numbers = torch.Generator().manual_seed(0)
        self._sums, self._since = np.zeros(2), 0

    def advance(self, updates: int):
        """Make so many more updates, or as many as are left."""
        began = perf_counter()
        with one_thread():
            for _ in range(min(updates, self.updates - self.done)):
                rows = torch.randint(TEXTS, (BATCH,), generator=self._numbers)
                self._sums += self.learners.learn(self._texts[rows].expand(2, -1, -1))
                self.done, self._since = self.done + 1, self._since + 1
                if self.done % max(FEWEST, self.updates // POINTS) == 0 or self.done == self.updates:
                    self._mark()
        self.seconds += perf_counter() - began

    @torch.no_grad()
    def _mark(self):
        held = torch.from_numpy(self.held).expand(2, -1, -1)
        self.at.append(self.done)
        points = zip(
            self._sums / max(1, self._since), self.learners.losses(held), self.learners.losses_alone(held), strict=True
        )
        for curve, (training, seen, alone) in zip(self.curves, points, strict=True):
            curve["training"].append(float(training))
            curve["held"].append(float(seen.mean()))
            curve["alone"].append(float(alone.mean()))
        self._sums, self._since = np.zeros(2), 0

    def measure(self) -> MaskTraining:
        """Measure both learners as they are now."""
        with one_thread():
            if not self.at or self.at[-1] != self.done:
                self._mark()
            written = self.learners.write(OWN, PLACES, OWN_SEED)
            leaks = self._leaks()
            one_ms, many_ms, apart = self._one_pass_and_many()
        truth = -float(np.take_along_axis(self.language.conditionals(self.held), self.held[..., None], -1).mean())
        pupils = []
        for curve, ids, leak in zip(self.curves, written, leaks, strict=True):
            pupils.append(
                Pupil(
                    **{name: tuple(values) for name, values in curve.items()},
                    leak=leak,
                    share=share_of_sentences(self.language, ids),
                    samples=tuple(tuple(self.language.words[word] for word in row) for row in ids[:SHOWN]),
                    wrong=tuple(tuple(self.language.wrong_places(row)) for row in ids[:SHOWN]),
                )
            )
        return MaskTraining(
            recorded=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=machine(),
            updates=self.updates,
            done=self.done,
            seconds=self.seconds,
            places=PLACES,
            at=tuple(self.at),
            truth=truth,
            one_ms=one_ms,
            many_ms=many_ms,
            gradients_apart=apart,
            masked=pupils[0],
            open=pupils[1],
        )

    @torch.no_grad()
    def _leaks(self) -> list[float]:
        """How far changing the word in the middle moves a logit at the places before it, at most, by learner."""
        given = shifted(torch.from_numpy(self.held))
        changed, middle = given.clone(), PLACES // 2
        changed[:, middle] = (changed[:, middle] + 1) % len(self.language.words)
        before = [self.learners(each.expand(2, -1, -1))[:, :, :middle] for each in (given, changed)]
        return (before[0] - before[1]).abs().flatten(1).amax(1).tolist()

    def _one_pass_and_many(self) -> tuple[float, float, float]:
        """Milliseconds of one backward pass over all places and of one for each, and how far the gradients differ.

        The gradient is that of the learner with the mask, relative to its length.
        """
        true = torch.from_numpy(self.held[:BATCH]).expand(2, -1, -1)
        timed, gradients = [], []
        for losses in (self.learners.losses, self.learners.losses_alone):
            self.learners.adam.zero_grad()
            began = perf_counter()
            losses(true)[0].mean().backward()
            timed.append((perf_counter() - began) * 1000)
            gradients.append(torch.cat([weight.grad[0].flatten() for weight in self.learners.weights.values()]))
        apart = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
        return timed[0], timed[1], float(apart)
