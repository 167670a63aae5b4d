"""The generation loop, recorded: forward, filter, draw, append — and every turn kept as a step."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tokentrace.lm import GPT2
from tokentrace.sampling import draw, filter_logits
from tokentrace.trace import Branch, Candidate, Model, Settings, Step, Trace, TraceError

if TYPE_CHECKING:
    from tokentrace.beam_search import BeamRecording

N_CANDIDATES = 10


class PromptError(ValueError):
    """A prompt that the model cannot be given; the message is a sentence for the reader."""


def generate(model: GPT2, prompt: str, *, seed: int = 0, **settings) -> Trace:
    """Continue a prompt and return the recorded run.

    Parameters
    ----------
    seed : of the random numbers; step t uses the t-th, whatever the settings are.
    **settings : fields of `tokentrace.trace.Settings`.

    Raises
    ------
    PromptError, TraceError
        If prompt or settings cannot be right.
    """
    recording = stream(model, prompt, seed=seed, **settings)
    for _ in recording:
        pass
    return recording.trace


def stream(model: GPT2, prompt: str, *, seed: int = 0, **settings) -> Recording | BeamRecording:
    """Like `generate`, but yields each step as it happens; `.trace` is the run so far."""
    chosen = Settings(**settings)
    if chosen.strategy == "beam":
        from tokentrace.beam_search import BeamRecording

        return BeamRecording(model, prompt, chosen, seed)
    return Recording(model, prompt, chosen, seed)


def branch(model: GPT2, trace: Trace, at: int, token: int) -> Recording:
    """Go back to step `at` of a run, write `token` there instead, and go on from it.

    The steps before `at` are kept as they were recorded; the later ones use the same random
    numbers as the first run did.
    """
    if trace.model.fingerprint != model.fingerprint:
        raise PromptError("This run was recorded with other weights, so it cannot be continued here.")
    if not 0 <= at < len(trace.steps):
        raise PromptError(f"There is no token {at + 1} in this run to write another one for.")
    if not 0 <= token < model.config.vocab_size:
        raise PromptError(f"There is no token with the number {token}.")
    fork = Branch(at, token)
    return Recording(model, trace.prompt, trace.settings, trace.seed, trace.steps[:at], fork)


class Recording:
    """A run under way: iterate for its steps, read `.trace` at any time."""

    def __init__(
        self,
        model: GPT2,
        prompt: str,
        settings: Settings,
        seed: int = 0,
        steps: tuple[Step, ...] = (),
        fork: Branch | None = None,
    ):
        if settings.strategy == "beam":
            raise TraceError("A beam search does not write token by token: it has a view of its own.")
        self.model, self.prompt, self.settings, self.seed, self.fork = model, prompt, settings, seed, fork
        self.prompt_tokens = prompt_tokens(model, prompt)
        self.steps = list(steps)
        self.recorded = datetime.now(UTC).isoformat(timespec="seconds")
        self.prefill_ms = 0.0
        self.stop = "stopped"

    def __iter__(self) -> Iterator[Step]:
        """Run the loop; a consumer may leave it at any step."""
        model, limit = self.model, self.settings.max_new_tokens
        tokens = [*self.prompt_tokens, *(step.token for step in self.steps)]
        numbers = np.random.default_rng(self.seed)
        numbers.random(len(self.steps))
        cache = model.new_cache(capacity=min(model.config.n_ctx, len(self.prompt_tokens) + limit))
        forced = self.fork.token if self.fork else None
        text = b"".join(map(model.tokenizer.token_bytes, tokens))

        start = perf_counter()
        logits = model.forward(torch.tensor([tokens]), cache, last_only=True)[0, -1]
        self.prefill_ms = _milliseconds(start)
        while True:
            choice = pick(logits, self.settings, float(numbers.random()), forced)
            step, forced = record(logits, choice, start), None
            self.steps.append(step)
            piece = model.tokenizer.token_bytes(step.token)
            text += piece
            if step.token == model.tokenizer.end_of_text:
                self.stop = "end_of_text"
            elif completes(text, len(piece), self.settings.stop):
                self.stop = "stop_string"
            elif len(self.steps) >= limit:
                self.stop = "length"
            elif cache.length >= model.config.n_ctx:
                self.stop = "context"
            yield step
            if self.stop != "stopped":
                return
            start = perf_counter()
            logits = model.forward(torch.tensor([[step.token]]), cache, last_only=True)[0, -1]

    @property
    def trace(self) -> Trace:
        """The run so far."""
        steps = tuple(self.steps)
        used = {*self.prompt_tokens, *(c.token for s in steps for c in s.candidates), *(s.token for s in steps)}
        return Trace(
            model=describe(self.model),
            prompt=self.prompt,
            prompt_tokens=tuple(self.prompt_tokens),
            settings=self.settings,
            seed=self.seed,
            recorded=self.recorded,
            prefill_ms=self.prefill_ms,
            stop=self.stop,
            vocabulary={token: self.model.tokenizer.token_bytes(token) for token in sorted(used)},
            steps=steps,
            branch=self.fork,
        )


def prompt_tokens(model: GPT2, prompt: str) -> list[int]:
    """Token ids of a prompt, or a PromptError that says in a sentence what is wrong with it."""
    if not prompt.strip():
        raise PromptError("Type a few words first: the model continues a text, so it needs one.")
    for place, character in enumerate(prompt):
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t":
            raise PromptError(
                f"Character {place + 1} of the prompt is a control character (U+{ord(character):04X}); delete it."
            )
    tokens = model.tokenizer.encode(prompt)
    if len(tokens) > model.config.n_ctx:
        raise PromptError(
            f"The prompt is {len(tokens)} tokens long, and {model.name} reads at most {model.config.n_ctx}: shorten it."
        )
    return tokens


def completes(text: bytes, new: int, stop: tuple[str, ...]) -> bool:
    """Whether the last `new` bytes of a text complete one of the stop strings.

    A stop string may begin in any earlier token, even in the prompt, and the last token may go on after it:
    bytes are compared, and token boundaries play no part. So a character that is spread over several tokens
    is found as well. The same rule as `stop_strings` of transformers.
    """
    return any(each in text[-(new + len(each) - 1) :] for each in (one.encode() for one in stop) if new)


class Pick(NamedTuple):
    """How a token was chosen: `scores` are the filtered logits, `filtered` their softmax, `low` the mass before it."""

    token: int
    uniform: float | None
    low: float
    scores: Tensor
    filtered: Tensor
    forced: bool


def pick(logits: Tensor, settings: Settings, uniform: float, forced: int | None = None) -> Pick:
    """Choose the next token from logits [vocab] by the settings, unless the reader has forced one."""
    if settings.strategy == "greedy":
        scores, uniform = torch.full_like(logits, -torch.inf), None
        scores[logits.argmax()] = 0.0
    else:
        scores = filter_logits(logits, settings.temperature, settings.top_k, settings.top_p)
    filtered = scores.softmax(-1)
    if forced is not None:
        low = float(filtered[filtered > filtered[forced]].sum())
        return Pick(forced, None, low, scores, filtered, True)
    token, low = draw(filtered, uniform or 0.0)
    return Pick(token, uniform, low, scores, filtered, False)


def record(logits: Tensor, choice: Pick, start: float) -> Step:
    """What one turn was, rounded as traces keep it; `start` is when its forward pass began."""
    # numpy from here on: torch would wake its threads for each of these small sums, and on a busy
    # machine waiting for them costs more than the forward pass.
    logprobs, probabilities = logits.log_softmax(-1).numpy(), logits.softmax(-1).numpy()
    filtered, kept = choice.filtered.numpy(), choice.scores.numpy() > -np.inf
    token, top = choice.token, torch.from_numpy(probabilities).topk(min(N_CANDIDATES, len(logits))).indices.numpy()
    rows = zip(top.tolist(), probabilities[top].tolist(), filtered[top].tolist(), strict=True)
    return Step(
        token=token,
        logprob=round(float(logprobs[token]), 6),
        probability=_significant(probabilities[token], 6),
        filtered=_significant(filtered[token], 6),
        rank=int(np.count_nonzero(probabilities > probabilities[token])) + 1,
        entropy=round(-float((probabilities * logprobs).sum()) / math.log(2), 5),
        uniform=choice.uniform,
        low=_significant(choice.low, 6),
        kept=int(np.count_nonzero(kept)),
        kept_mass=min(1.0, _significant((probabilities * kept).sum(), 6)),
        ms=_milliseconds(start),
        forced=choice.forced,
        candidates=tuple(Candidate(each, _significant(raw, 4), _significant(after, 4)) for each, raw, after in rows),
    )


def describe(model: GPT2) -> Model:
    """What a trace says of the model."""
    return Model(
        name=model.name,
        fingerprint=model.fingerprint,
        n_parameters=model.n_parameters,
        vocab_size=model.config.vocab_size,
        n_ctx=model.config.n_ctx,
        precision=model.precision,
    )


def _significant(value: float, digits: int) -> float:
    return float(f"{float(value):.{digits}g}")


def _milliseconds(start: float) -> float:
    return round((perf_counter() - start) * 1000, 3)
