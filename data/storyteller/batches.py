"""The order in which training reads the text: every window once per epoch, the same on every run."""

from pathlib import Path

import numpy as np
import torch


def read_ids(*paths: Path) -> np.ndarray:
    """Token ids of one or more files written by prepare.py or samples.py: uint16 [tokens]."""
    return np.concatenate([np.fromfile(path, dtype=np.uint16) for path in paths])


class Batches:
    """Batches of windows of `context` tokens and the one token after, in an order fixed by `seed`.

    Every epoch cuts the text at another offset and shuffles the windows anew. The order depends on
    `seed` and the epoch alone, so `taken`, the number of windows handed out so far, is all that a
    checkpoint has to remember.
    """

    def __init__(self, ids: np.ndarray, context: int, batch: int, seed: int = 0, taken: int = 0):
        self.ids, self.context, self.batch, self.seed, self.taken = ids, context, batch, seed, taken
        # One window is kept back so that every offset gives the same number of windows.
        self.per_epoch = (len(ids) - 1) // context - 1
        if self.per_epoch < batch:
            raise ValueError(f"{len(ids):,} tokens hold {self.per_epoch} windows of {context}: too few for {batch}")
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    def next(self) -> torch.Tensor:
        """Hand out the next batch: int64 [batch, context + 1]."""
        if self.taken % self.per_epoch + self.batch > self.per_epoch:
            self.taken += self.per_epoch - self.taken % self.per_epoch
        epoch, place = divmod(self.taken, self.per_epoch)
        self.taken += self.batch
        starts = self._starts(epoch)[place : place + self.batch]
        windows = np.stack([self.ids[start : start + self.context + 1] for start in starts])
        return torch.from_numpy(windows.astype(np.int64))

    def _starts(self, epoch: int) -> np.ndarray:
        if self._order[0] != epoch:
            random = np.random.default_rng((self.seed, epoch))
            offset = random.integers(self.context)
            self._order = (epoch, offset + self.context * random.permutation(self.per_epoch))
        return self._order[1]


def held_out_windows(ids: np.ndarray, context: int, count: int) -> torch.Tensor:
    """Cut `count` windows evenly spaced over the text: int64 [count, context + 1]; fewer if the text is short."""
    last = len(ids) - context - 1
    starts = np.unique(np.linspace(0, last, min(count, max(1, last // context))).astype(int))
    return torch.from_numpy(np.stack([ids[start : start + context + 1] for start in starts]).astype(np.int64))
