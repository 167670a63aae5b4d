"""A cache in fewer bits: keys and values rounded in a live cache, and what that does to the guesses.

Numbers are rounded in groups. A group has a least value and a step of its own, in half precision, and each of its
numbers becomes a code of a few bits: value = least + code × step, at most half a step off. What stands in one group
is the question: the same channel of several tokens (*per channel*), or several channels of the same token (*per
token*). Liu et al. 2024 (KIVI) take keys per channel and values per token, because a few channels of the keys are
far larger than the others.

Positions are rounded when a whole group of them is there; the last few stay as they are, as in KIVI. Attention reads
what the codes give back. A fused kernel would read the codes; so bytes are saved here, time is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from tokentrace.divergence import kl
from tokentrace.generation_loop import prompt_tokens
from tokentrace.lm import GPT2, KVCache
from tokentrace.measuring import Progress, heading
from tokentrace.timing import continue_together

GROUP = 32  # numbers that share a step
AXES = ("channel", "token")


@dataclass(frozen=True)
class Scheme:
    """How a cache is kept: bits of a number (32 and 16 are floats), and what keys and values share a step along."""

    bits: int
    keys: str = "channel"
    values: str = "token"

    @property
    def rounds(self) -> bool:
        """Whether numbers become codes."""
        return self.bits < 16

    @property
    def name(self) -> str:
        """What to call it."""
        return f"int{self.bits}" if self.rounds else {32: "fp32", 16: "bf16"}[self.bits]


KIVI = tuple(Scheme(bits) for bits in (8, 4, 2))
REVERSED = tuple(Scheme(bits, "token", "channel") for bits in (8, 4, 2))
SCHEMES = (Scheme(32), Scheme(16), *(one for pair in zip(KIVI, REVERSED, strict=True) for one in pair))


@dataclass(frozen=True)
class Packed:
    """Numbers as they would be stored: codes, several to a byte, and least value and step of each group."""

    codes: Tensor
    least: Tensor
    step: Tensor
    bits: int

    @property
    def nbytes(self) -> int:
        """Bytes of the three tensors."""
        return sum(each.numel() * each.element_size() for each in (self.codes, self.least, self.step))

    def restore(self) -> Tensor:
        """Give the numbers back [groups, size of a group], fp32."""
        per_byte = 8 // self.bits
        shifts = torch.arange(per_byte) * self.bits
        codes = (self.codes[..., None].int() >> shifts) & (2**self.bits - 1)
        return self.least.float()[:, None] + codes.flatten(1).float() * self.step.float()[:, None]


def pack(groups: Tensor, bits: int) -> Packed:
    """Round groups of numbers [groups, size], each between its least and its largest value.

    No number moves by more than half the step of its group (and what fp32 cannot hold).

    Raises
    ------
    ValueError
        If codes of so many bits do not fill whole bytes.
    """
    if bits not in (2, 4, 8) or groups.shape[1] * bits % 8:
        raise ValueError(f"Groups of {groups.shape[1]} numbers in {bits} bits do not fill whole bytes.")
    most_code = 2**bits - 1
    low, high = groups.float().aminmax(dim=1)
    least = _half(low, -np.inf)
    step = _half((high - least.float()) / most_code, np.inf)
    spacing = step.float()[:, None]
    codes = torch.where(spacing > 0, (groups.float() - least.float()[:, None]) / spacing, 0.0)
    codes = codes.round().clamp(0, most_code).to(torch.uint8)
    shifts = (torch.arange(8 // bits) * bits).to(torch.uint8)
    packed = (codes.unflatten(1, (-1, 8 // bits)) << shifts).sum(-1).to(torch.uint8)
    return Packed(packed, least, step, bits)


def _half(x: Tensor, towards: float) -> Tensor:
    """Round to half precision, never past `towards` the other side: a group must lie within its steps."""
    half = x.numpy().astype(np.float16)
    beyond = half > x.numpy() if towards < 0 else half < x.numpy()
    return torch.from_numpy(np.where(beyond, np.nextafter(half, np.float16(towards)), half))


def round_off(x: Tensor, bits: int, along: str, group: int = GROUP) -> tuple[Tensor, int]:
    """Numbers [..., tokens, channels] after rounding, and the bytes they take.

    Parameters
    ----------
    along : "channel" lets all tokens of one channel share a step, "token" `group` channels of one token (all
        channels, where they cannot be divided so).
    """
    if bits == 32:
        return x, x.numel() * 4
    if bits == 16:
        return x.bfloat16().to(x.dtype), x.numel() * 2
    turned = x.transpose(-1, -2) if along == "channel" else x
    size = x.shape[-2] if along == "channel" else group if x.shape[-1] % group == 0 else x.shape[-1]
    packed = pack(turned.reshape(-1, size), bits)
    rounded = packed.restore().reshape(turned.shape).to(x.dtype)
    return (rounded.transpose(-1, -2) if along == "channel" else rounded), packed.nbytes


@dataclass
class Rounding:
    """Keeps a live cache in fewer bits: call `update` after every pass.

    Attributes
    ----------
    settled : positions that are rounded; a multiple of `group`.
    packed_bytes : of those positions.
    """

    scheme: Scheme
    group: int = GROUP
    settled: int = field(default=0, init=False)
    packed_bytes: int = field(default=0, init=False)

    def update(self, cache: KVCache):
        """Round the groups of positions that have become whole since the last call."""
        while self.settled + self.group <= cache.length:
            span = slice(self.settled, self.settled + self.group)
            for which, along in enumerate((self.scheme.keys, self.scheme.values)):
                part = cache.memory[:, which, :, :, span]
                rounded, nbytes = round_off(part, self.scheme.bits, along, self.group)
                part.copy_(rounded)
                self.packed_bytes += nbytes
            self.settled = span.stop

    def nbytes(self, cache: KVCache) -> int:
        """Bytes of all positions: the rounded ones packed, the rest as they are."""
        return self.packed_bytes + (cache.length - self.settled) * cache.nbytes // max(1, cache.length)


def read_text(model: GPT2, ids: list[int], scheme: Scheme, group: int = GROUP) -> tuple[Tensor, Rounding, KVCache]:
    """Logits after every token of a text [n, vocab] with the cache kept as the scheme says.

    A group is read in one pass: its tokens see each other as they are and the groups before as they were rounded,
    the same as if they were read one by one.
    """
    cache, rounding, parts = model.new_cache(1, len(ids)), Rounding(scheme, group), []
    for start in range(0, len(ids), group):
        parts.append(model.forward([ids[start : start + group]], cache)[0])
        rounding.update(cache)
    return torch.cat(parts), rounding, cache


def write_text(model: GPT2, ids: list[int], n: int, scheme: Scheme, group: int = GROUP) -> list[int]:
    """Go on greedily for n tokens with the cache kept as the scheme says."""
    cache, rounding, written, unread = model.new_cache(1, len(ids) + n), Rounding(scheme, group), [], ids
    for _ in range(n):
        for start in range(0, len(unread), group):
            logits = model.forward([unread[start : start + group]], cache, last_only=True)
            rounding.update(cache)
        unread = [int(logits[0, -1].argmax())]
        written += unread
    return written


def quantized_cache(model: GPT2, prompt: str, n: int = 224, write: int = 120, seed: int = 0) -> Progress:
    """Read one text with the cache in every scheme, compare the guesses with those of fp32, and write on greedily.

    The text is one that the model drew itself. The record's `schemes` hold for each: `kl`, KL(fp32 ‖ scheme) after
    every token, nats; `nbytes` of the cache after the text; `text`, `same`, the greedy text and how many of its
    tokens are those of fp32 before the first that differs. `spans` are largest minus least value of every channel
    over the text, for the head whose keys differ the most from channel to channel.
    """
    n_ctx, prompt_ids = model.config.n_ctx, prompt_tokens(model, prompt)[: model.config.n_ctx // 2]
    group = GROUP if n_ctx >= 4 * GROUP else 4
    n, write = min(n, n_ctx) - len(prompt_ids), min(write, n_ctx - len(prompt_ids))
    ids = prompt_ids + continue_together(model, prompt, 1, n, seed)[0]
    record = heading(model, prompt) | {
        "group": group,
        "tokens": len(ids),
        "written": write,
        "d_head": model.config.d_head,
        "fp32_bytes": 0,
        "text": model.tokenizer.decode(ids),
        "spans": {},
        "schemes": [],
    }
    exact, plain = None, []
    for done, scheme in enumerate(SCHEMES, 1):
        logits, rounding, cache = read_text(model, ids, scheme, group)
        if exact is None:
            exact, plain = logits, write_text(model, prompt_ids, write, scheme, group)
            record["fp32_bytes"], record["spans"] = cache.nbytes, channel_spans(cache)
            written = plain
        else:
            written = write_text(model, prompt_ids, write, scheme, group)
        away = kl(exact, logits)
        same = next((i for i, (a, b) in enumerate(zip(plain, written, strict=True)) if a != b), write)
        record["schemes"].append(
            {"name": scheme.name, "bits": scheme.bits, "keys": scheme.keys, "values": scheme.values}
            | {"nbytes": rounding.nbytes(cache), "kl": [float(f"{x:.3g}") for x in away.tolist()]}
            | {"same": same, "text": model.tokenizer.decode(written)}
        )
        yield done, len(SCHEMES), record


def channel_spans(cache: KVCache) -> dict:
    """Spans of the channels of one head's keys and values, largest first: the head with the largest outlier."""
    seen = cache.memory[:, :, 0, :, : cache.length]
    spans = seen.amax(-2) - seen.amin(-2)  # [n_layer, 2, n_head, d_head]
    ratio = spans[:, 0].amax(-1) / spans[:, 0].median(-1).values.clamp_min(1e-9)
    layer, head = divmod(int(ratio.argmax()), spans.shape[2])
    keys, values = (
        [float(f"{x:.3g}") for x in sorted(spans[layer, which, head].tolist(), reverse=True)] for which in (0, 1)
    )
    return {"layer": layer, "head": head, "keys": keys, "values": values}
