"""Small recurrent networks that learn a language side by side, each fed true words, its own, or a mixture.

All learners of one width are trained in one pass over stacked weights: a small network keeps a processor busy mostly
with calling, so fifteen of them side by side take about seven times as long as one. They share nothing but the clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

RATE = 4e-3  # of Adam
CLIP = 1.0  # longest gradient of one learner


class Learners:
    """Gated recurrent units (Cho et al. 2014) with a softmax over words, one for each seed.

    Parameters
    ----------
    seeds : of the weights; learners of one seed begin alike.
    words : size of the vocabulary; word 0 stands before every text.
    width : numbers in the state.
    """

    def __init__(self, seeds: Sequence[int], words: int, width: int):
        self.n, self.words, self.width = len(seeds), words, width
        shapes = {"table": (words, 3 * width), "recurrent": (width, 3 * width), "bias": (1, 3 * width)}
        shapes |= {"out": (width, words), "out_bias": (1, words)}
        made: dict[str, list[Tensor]] = {name: [] for name in shapes}
        for seed in seeds:
            numbers = torch.Generator().manual_seed(seed)
            for name, shape in shapes.items():
                made[name].append((torch.rand(shape, generator=numbers) * 2 - 1) / width**0.5)
        self.weights = {name: torch.stack(each).requires_grad_() for name, each in made.items()}
        self.adam = torch.optim.Adam(self.weights.values(), lr=RATE)
        self._offset = (torch.arange(self.n) * words)[:, None]

    def step(self, state: Tensor, word: Tensor) -> tuple[Tensor, Tensor]:
        """Read one word: state [learners, texts, width] and word [learners, texts] give logits and the new state."""
        weights = self.weights
        read = weights["table"].flatten(0, 1)[word + self._offset]
        kept = torch.baddbmm(weights["bias"], state, weights["recurrent"])
        reset, update = torch.sigmoid(read[..., : 2 * self.width] + kept[..., : 2 * self.width]).chunk(2, -1)
        new = torch.tanh(read[..., 2 * self.width :] + reset * kept[..., 2 * self.width :])
        state = new + update * (state - new)
        return torch.baddbmm(weights["out_bias"], state, weights["out"]), state

    def read(self, true: Tensor, chances: Sequence[float], coins: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """Guess every word of true texts, reading after each either that word or one of the learner's own.

        Parameters
        ----------
        true : words [learners, texts, places].
        chances : of each learner, that what it reads next is the true word and not its own sample.
        coins, uniforms : [learners, texts, places] in [0, 1): the true word is read where the coin is below the
            chance; the uniform number draws the sample.

        Returns
        -------
        logits [learners, texts, places, words], and the words that were read [learners, texts, places]
        """
        given = torch.tensor(chances)[:, None]
        own = min(chances) < 1
        word = torch.zeros(true.shape[:2], dtype=torch.long)
        state = torch.zeros(*true.shape[:2], self.width)
        guesses, inputs = [], []
        for place in range(true.shape[2]):
            inputs.append(word)
            logits, state = self.step(state, word)
            guesses.append(logits)
            word = true[:, :, place]
            if own:
                sample = drawn(logits.detach(), uniforms[:, :, place])
                word = torch.where(coins[:, :, place] < given, word, sample)
        return torch.stack(guesses, 2), torch.stack(inputs, 2)

    def learn(self, true: Tensor, chances: Sequence[float], coins: Tensor, uniforms: Tensor) -> list[float]:
        """Make one update; arguments as for `read`. Returns each learner's mean loss before it, nats a word."""
        logits, _ = self.read(true, chances, coins, uniforms)
        losses = functional.cross_entropy(logits.flatten(0, 2), true.flatten(), reduction="none")
        losses = losses.view(self.n, -1).mean(1)
        self.adam.zero_grad()
        losses.sum().backward()
        clip([each.grad for each in self.weights.values()])
        self.adam.step()
        return losses.tolist()

    @torch.no_grad()
    def conditionals(self, ids: np.ndarray) -> np.ndarray:
        """Ln P(word | the words given before it), nats: ids [learners, texts, places] give [..., words]."""
        true = torch.from_numpy(ids)
        logits, _ = self.read(true, [1.0] * self.n, true, true)
        return logits.double().log_softmax(-1).numpy()

    @torch.no_grad()
    def write(self, texts: int, places: int, seeds: Sequence[int]) -> np.ndarray:
        """Let every learner write on its own samples, drawn from its own seed: ids [learners, texts, places]."""
        uniforms = [torch.rand(places, texts, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        word = torch.zeros(self.n, texts, dtype=torch.long)
        state, written = torch.zeros(self.n, texts, self.width), []
        for numbers in torch.stack(uniforms, 1):
            logits, state = self.step(state, word)
            word = drawn(logits, numbers)
            written.append(word)
        return torch.stack(written, 2).numpy()


def drawn(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Draw a word for each row of logits [..., words] by its uniform number [...]."""
    ladder = logits.softmax(-1).cumsum(-1)
    return (ladder < uniforms[..., None]).sum(-1).clamp(max=logits.shape[-1] - 1)


def clip(gradients: Sequence[Tensor]):
    """Shorten each learner's gradient to `CLIP`; the first axis counts learners."""
    length = torch.stack([each.flatten(1).norm(dim=1) for each in gradients]).norm(dim=0)
    factor = (CLIP / length.clamp(min=1e-12)).clamp(max=1)
    for each in gradients:
        each.mul_(factor.view(-1, *[1] * (each.dim() - 1)))


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: these matrices are too small to be shared out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
