"""Beam search: keep the few most probable beginnings, extend each by every token, keep the few best again.

The same search as `generate(num_beams=...)` of transformers, but every step is kept: what was tried, what was
kept, what was pruned.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter

import torch
from torch import Tensor

from tokentrace.beams import Beams, BeamStep, Hypothesis, score
from tokentrace.generation_loop import Pick, describe, prompt_tokens, record
from tokentrace.lm import GPT2, KVCache
from tokentrace.trace import Settings, Step, Trace

SENTENCE_END = re.compile(r"[.!?]+[\"'”’)]*")


def beam_search(model: GPT2, prompt: str, num_beams: int = 4, max_new_tokens: int = 20, **options) -> Beams:
    """Search for a probable continuation and return the whole search.

    Parameters
    ----------
    **options : of `Search`.

    Raises
    ------
    PromptError, TraceError
        If prompt or options cannot be right.
    """
    search = Search(model, prompt, num_beams, max_new_tokens, **options)
    for _ in search:
        pass
    return search.beams


class Search:
    """A search under way: iterate for its steps, read `.beams` at any time.

    Parameters
    ----------
    num_beams : hypotheses kept at every step.
    length_penalty : a finished hypothesis scores log-probability / length ** length_penalty.
    ends : ids of the tokens that finish a hypothesis; the model's end of text unless given.
    n_return : how many finished hypotheses the ranking names; all beams unless given.
    """

    def __init__(
        self,
        model: GPT2,
        prompt: str,
        num_beams: int = 4,
        max_new_tokens: int = 20,
        *,
        length_penalty: float = 1.0,
        ends: tuple[int, ...] | None = None,
        n_return: int | None = None,
    ):
        if ends is None:
            ends = () if model.tokenizer.end_of_text is None else (model.tokenizer.end_of_text,)
        self.model = model
        self.recorded = datetime.now(UTC).isoformat(timespec="seconds")
        self.steps: list[BeamStep] = []
        self.greedy: list[tuple[int, float]] = []
        self.stop = "stopped"
        self.start = Beams(
            model=describe(model),
            prompt=prompt,
            prompt_tokens=tuple(prompt_tokens(model, prompt)),
            num_beams=num_beams,
            max_new_tokens=max_new_tokens,
            length_penalty=length_penalty,
            ends=tuple(ends),
            n_return=num_beams if n_return is None else n_return,
            recorded=self.recorded,
            stop="stopped",
            vocabulary={},
            steps=(),
            greedy=(),
        )
        self.start.check_options()

    def __iter__(self) -> Iterator[BeamStep]:
        """Run the search; a consumer may leave it at any step.

        One batch holds the beams and, as its last row, the greedy path to compare them with.
        """
        model, wanted, beams = self.model, self.start, self.start.num_beams
        prompt = list(wanted.prompt_tokens)
        room = model.config.n_ctx - len(prompt) + 1
        limit = min(wanted.max_new_tokens, room)
        began = perf_counter()
        first = model.new_cache(1, len(prompt))
        logits = model.forward([prompt], first, last_only=True)[:, -1].expand(2, -1)
        cache = spread(first, model, beams + 1, min(model.config.n_ctx, len(prompt) + limit))
        running, best_finished = torch.zeros(1, dtype=torch.float64), []
        while True:
            logprobs = logits.log_softmax(-1).double()
            self._greedy_step(logprobs[-1])
            last = len(self.steps) + 1 == limit
            rows = self._extend(logprobs[:-1] + running[:, None], last)
            self.steps.append(BeamStep(rows, round((perf_counter() - began) * 1000, 3)))
            kept, length = self.steps[-1].kept, len(self.steps)
            found = [score(row.logprob, length, wanted.length_penalty) for row in rows if row.fate == "finished"]
            best_finished = sorted([*best_finished, *found], reverse=True)[:beams]
            if not kept:
                self.stop = "length" if limit == wanted.max_new_tokens else "context"
            elif len(best_finished) == beams:
                # With one beam this is greedy decoding, which ends at its first end.
                could_reach = score(kept[0].logprob, length, wanted.length_penalty)
                if beams == 1 or could_reach <= best_finished[-1]:
                    self.stop = "settled"
            yield self.steps[-1]
            if self.stop != "stopped":
                return
            began = perf_counter()
            running = torch.tensor([row.logprob for row in kept], dtype=torch.float64)
            spare = [0] * (beams - len(kept))  # fewer hypotheses than beams: the rest of the batch is not looked at
            reorder(cache, [*(row.parent for row in kept), *spare, beams])
            tokens = [*(row.token for row in kept), *spare, self.greedy[-1][0]]
            logits = model.forward([[token] for token in tokens], cache, last_only=True)[:, -1]
            logits = torch.cat((logits[: len(kept)], logits[-1:]))

    def _extend(self, logprobs: Tensor, last: bool) -> tuple[Hypothesis, ...]:
        """Rank the extensions of all hypotheses; log-probabilities [kept, vocab] of the whole texts."""
        beams, vocab = self.start.num_beams, logprobs.shape[-1]
        # Enough of them that `num_beams` are left to go on with, even if every end token is among them.
        listed = min(max(2, 1 + len(self.start.ends)) * beams, logprobs.numel())
        values, places = logprobs.flatten().topk(listed)
        rows, kept = [], 0
        for rank, (logprob, place) in enumerate(zip(values.tolist(), places.tolist(), strict=True)):
            parent, token = divmod(place, vocab)
            if last or token in self.start.ends:
                fate = "finished" if rank < beams else "pruned"
            else:
                fate = "kept" if kept < beams else "pruned"
                kept += fate == "kept"
            rows.append(Hypothesis(parent, token, round(logprob, 6), fate))
        while len(rows) > 2 * beams and rows[-1].fate == "pruned":
            rows.pop()
        return tuple(rows)

    def _greedy_step(self, logprobs: Tensor):
        """Extend the greedy path by one token; past its end it is only carried along."""
        value, token = logprobs.max(-1)
        before = self.greedy[-1] if self.greedy else (-1, 0.0)
        if before[0] in self.start.ends:
            self.greedy.append(before)
        else:
            self.greedy.append((int(token), round(before[1] + float(value), 6)))

    @property
    def beams(self) -> Beams:
        """The search so far."""
        used = {*self.start.prompt_tokens, *self.start.ends, *(token for token, _ in self.greedy)}
        used |= {row.token for step in self.steps for row in step.rows}
        values = {name: getattr(self.start, name) for name in self.start.__slots__}
        return Beams(
            **values
            | {
                "stop": self.stop,
                "vocabulary": {token: self.model.tokenizer.token_bytes(token) for token in sorted(used)},
                "steps": tuple(self.steps),
                "greedy": tuple(self.greedy),
            }
        )


def sentence_ends(model: GPT2) -> tuple[int, ...]:
    """Tokens that end a sentence: a full stop and its like, perhaps with a closing quotation mark; and the end token.

    One hypothesis after the other then finishes at another length, as in a translation.
    """
    tokenizer = model.tokenizer
    texts = {token: tokenizer.token_bytes(token).decode("utf-8", "replace") for token in range(model.config.vocab_size)}
    ends = {token for token, text in texts.items() if SENTENCE_END.fullmatch(text)}
    if tokenizer.end_of_text is not None:
        ends.add(tokenizer.end_of_text)
    return tuple(sorted(ends))


def spread(cache: KVCache, model: GPT2, batch_size: int, capacity: int) -> KVCache:
    """Copy a cache of one text into every row of a larger one."""
    wide = model.new_cache(batch_size, capacity)
    wide.memory[..., : cache.length, :] = cache.memory[..., : cache.length, :]
    wide.length = cache.length
    return wide


def reorder(cache: KVCache, rows: list[int]) -> None:
    """Let row i of the batch go on from what row `rows[i]` has read."""
    used = cache.memory[..., : cache.length, :]
    used.copy_(used[:, :, rows])


def best_trace(model: GPT2, beams: Beams, settings: Settings, seed: int = 0) -> Trace:
    """Give the best text of a search as a trace: each step with what the model thought of it there.

    Nothing is drawn, so there are no random numbers, and nothing is cut but by the search itself.
    """
    tokens = beams.ranking()[0].tokens if beams.steps else ()
    steps, prompt = [], list(beams.prompt_tokens)
    if tokens:
        start = perf_counter()
        logits = model.forward([[*prompt, *tokens[:-1]]])[0, len(prompt) - 1 :]
        for row, token, searched in zip(logits, tokens, beams.steps, strict=False):
            steps.append(replace(record(row, _taken(row, token), start), ms=searched.ms))
    used = {*prompt, *tokens, *(each.token for step in steps for each in step.candidates)}
    stop = beams.stop if beams.stop in ("length", "context", "stopped") else "length"
    if tokens and tokens[-1] in beams.ends:
        stop = "end_of_text"
    return Trace(
        model=beams.model,
        prompt=beams.prompt,
        prompt_tokens=beams.prompt_tokens,
        settings=settings,
        seed=seed,
        recorded=beams.recorded,
        prefill_ms=0.0,
        stop=stop,
        vocabulary={token: model.tokenizer.token_bytes(token) for token in sorted(used)},
        steps=tuple(steps),
    )


def _taken(logits: Tensor, token: int) -> Pick:
    scores = torch.full_like(logits, -math.inf)
    scores[token] = 0.0
    return Pick(token, None, 0.0, scores, scores.softmax(-1), False)


class BeamRecording:
    """A beam search that a view can stream beside recordings: its steps are those of its best text, at the end."""

    fork = None

    def __init__(self, model: GPT2, prompt: str, settings: Settings, seed: int = 0):
        self.model, self.prompt, self.settings, self.seed = model, prompt, settings, seed
        self.search = Search(model, prompt, settings.num_beams, settings.max_new_tokens)
        self.prompt_tokens = list(self.search.start.prompt_tokens)
        self.steps: list[Step] = []
        self.stop = "stopped"

    def __iter__(self) -> Iterator[BeamStep]:
        """Run the search."""
        for step in self.search:
            if self.search.stop != "stopped":
                trace = self.trace
                self.steps, self.stop = list(trace.steps), trace.stop
            yield step

    @property
    def trace(self) -> Trace:
        """The best text found so far."""
        return best_trace(self.model, self.search.beams, self.settings, self.seed)
