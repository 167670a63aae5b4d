"""Your loop beside the recorded run: press a button, see whether both write the same tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from tokentrace.trace import Trace, TraceError, vocabulary_to_dict
from tokentrace.views._assets import css, esm
from tokentrace.views._live import IDLE, LiveView

if TYPE_CHECKING:
    from tokentrace.lm import GPT2


class Compare(LiveView):
    """Runs a reader's own generation loop and compares its tokens with a trace's.

    Parameters
    ----------
    loop : called as ``loop(model, prompt, seed, n)``; returns the token ids, prompt included or not.
    trace : the run to reproduce.
    """

    _esm = esm("compare.js")
    _css = css("compare.css")
    messages: ClassVar[frozenset[str]] = frozenset({"ping", "generate"})

    recorded = traitlets.Dict(help="the trace as plain data").tag(sync=True)
    own = traitlets.Dict(help="what the loop wrote: tokens, vocabulary, agree, sentence; empty before").tag(sync=True)

    def __init__(self, loop: Callable[..., Sequence[int]], trace: Trace, model: GPT2 | str = "storyteller", **traits):
        self._loop, self._trace = loop, trace
        super().__init__(model, recorded=trace.to_dict(), **traits)

    def on_generate(self, message: dict):
        """Run the loop."""
        if not self._busy:
            self._busy = True
            self.start(self._run(message.get("request")))

    async def _run(self, request: Any):
        self.error, self.own, self.status = "", {}, IDLE | {"state": "loading", "request": request}
        try:
            model = await self.opened(self.model)
            if model.fingerprint != self._trace.model.fingerprint:
                raise TraceError("The run was recorded with other weights: record it anew to compare.")
            self.status = IDLE | {"state": "running", "request": request}
            arguments = model, self._trace.prompt, self._trace.seed, len(self._trace.steps)
            self.own = compare(await asyncio.to_thread(self._loop, *arguments), self._trace, model)
        except TraceError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"The loop broke off with {type(error).__name__}: {error}")
        finally:
            self._busy, self.status = False, IDLE


def compare(tokens: Any, trace: Trace, model: GPT2) -> dict[str, Any]:
    """How many tokens agree before the first difference, and a sentence that says so.

    Raises
    ------
    TraceError
        If `tokens` is not a list of token ids.
    """
    try:
        tokens = [int(token) for token in tokens]
    except (TypeError, ValueError):
        raise TraceError("The loop must return a list of token ids.") from None
    if not all(0 <= token < model.config.vocab_size for token in tokens):
        raise TraceError("The loop returned a number that is no token of this model.")
    prompt = trace.prompt_tokens
    if tuple(tokens[: len(prompt)]) == prompt and len(tokens) > len(trace.steps):
        tokens = tokens[len(prompt) :]
    wanted = trace.tokens
    agree = next(
        (place for place, pair in enumerate(zip(tokens, wanted, strict=False)) if pair[0] != pair[1]),
        min(len(tokens), len(wanted)),
    )
    if agree == len(wanted) == len(tokens):
        sentence = f"All {agree} tokens are the same: this loop is the recorded one."
    elif agree == min(len(tokens), len(wanted)):
        sentence = f"The loop wrote {len(tokens)} tokens, the recorded run {len(wanted)}; the first {agree} agree."
    else:
        sentence = f"{agree} of {len(wanted)} tokens agree; they part at token {agree + 1}."
    vocabulary = {token: model.tokenizer.token_bytes(token) for token in set(tokens)}
    return {"tokens": tokens, "vocabulary": vocabulary_to_dict(vocabulary), "agree": agree, "sentence": sentence}
