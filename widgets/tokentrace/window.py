"""Where a text ends: the model's end token, and the end of the window in which it reads."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

import numpy as np
import torch

from tokentrace.generation_loop import Recording, prompt_tokens
from tokentrace.lm import GPT2, KVCache
from tokentrace.measuring import Progress, heading
from tokentrace.sampling import draw
from tokentrace.timing import PIECE
from tokentrace.trace import Settings

STOPS = ("e", "he ", " a", ", and", ".\n", '"', "THE END")
REMEDIES = ("stop", "slide by one", "drop the older half")


def end_chances(model: GPT2, prompt: str, n: int = 400, seed: int = 0) -> Progress:
    """How probable the end token is at each step of one long run, drawn from the whole guess.

    If the end token is drawn, the run ends. The record's `p_end` has an entry a token.
    """
    end = model.tokenizer.end_of_text
    record = heading(model, prompt) | {"seed": seed, "p_end": [], "stop": "stopped"}
    recording = Recording(model, prompt, Settings(max_new_tokens=n), seed)
    total = min(n, model.config.n_ctx - len(recording.prompt_tokens) + 1)
    cache = model.new_cache()
    unread, numbers = recording.prompt_tokens, np.random.default_rng(seed)
    for done in range(1, total + 1):
        guess = model.forward([unread], cache, last_only=True)[0, -1].softmax(-1)
        record["p_end"].append(float(f"{float(guess[end]):.4g}"))
        unread = [draw(guess, float(numbers.random()))[0]]
        if unread == [end]:
            record["stop"] = "end_of_text"
            total = done
        elif done == total:
            record["stop"] = "length" if total == n else "context"
        if done % PIECE == 0 or done == total:
            yield done, total, record
        if done == total:
            return


def stop_strings(model: GPT2, prompt: str, stops: tuple[str, ...] = STOPS, n: int = 120, seed: int = 6) -> Progress:
    """One run cut short by different stop strings: where each of them is completed, and by which token.

    All runs draw the same random numbers, so that each is the beginning of the longest one.
    """
    record = heading(model, prompt) | {"seed": seed, "n": n, "runs": []}
    for done, stop in enumerate(("", *stops), 1):
        settings = Settings(temperature=0.8, top_k=40, top_p=0.9, max_new_tokens=n, stop=(stop,) if stop else ())
        recording = Recording(model, prompt, settings, seed)
        tokens = [step.token for step in recording]
        pieces = [model.tokenizer.token_bytes(token).decode("utf-8", "replace") for token in tokens]
        run = {
            "stop": stop,
            "tokens": len(tokens),
            "why": recording.stop,
            "last": pieces[-1],
            "end": "".join(pieces[-6:]),
        }
        record["runs"].append(run)
        yield done, len(stops) + 1, record


def beyond_the_window(model: GPT2, prompt: str, before: int = 24, after: int = 40, seed: int = 0) -> Progress:
    """Write up to the end of the window and on, and time each token, with three remedies for the end.

    "stop" is what the loop does. "slide by one" forgets the oldest token before every new one, "drop the older
    half" forgets half of the window when it is full. Whatever is forgotten, every position moves: GPT-2 learned a
    vector for each place in the window, so keys and values of the whole rest must be computed again.

    The record's `ms` has for each remedy an entry a token, the first of them `before` tokens from the window's end;
    `reads` how many tokens the model could look back on there; `changed` how much the keys of the same tokens
    differ, relative to their length, when they stand one place earlier.
    """
    n_ctx = model.config.n_ctx
    record = heading(model, prompt) | {"before": before, "ms": {}, "reads": {}, "changed": None}
    filling = n_ctx - before
    total, done = filling + 3 * (before + after), 0
    tokens: list[int] = []
    for done, tokens in _fill(model, prompt, filling, seed):  # noqa: B007
        yield done, total, record
    record["changed"] = key_change(model, tokens)
    for remedy in REMEDIES:
        text, cache = list(tokens), model.new_cache(1, n_ctx)
        model.forward([text[:-1]], cache, last_only=True)
        record["ms"][remedy], record["reads"][remedy] = ms, reads = [], []
        for turn in range(before + after):
            start = perf_counter()
            logits = next_logits(model, text, cache, remedy)
            if logits is None:
                done += before + after - turn
                break
            text.append(int(logits.argmax()))
            ms.append(round((perf_counter() - start) * 1000, 3))
            reads.append(cache.length)
            done += 1
            if turn % PIECE == 0:
                yield done, total, record
        yield done, total, record


def _fill(model: GPT2, prompt: str, length: int, seed: int) -> Iterator[tuple[int, list[int]]]:
    """Write, drawing from the whole guess, until prompt and text are `length` tokens long."""
    tokens, numbers = prompt_tokens(model, prompt)[:length], np.random.default_rng(seed)
    cache, unread = model.new_cache(), tokens
    while len(tokens) < length:
        guess = model.forward([unread], cache, last_only=True)[0, -1].softmax(-1)
        unread = [draw(guess, float(numbers.random()))[0]]
        tokens = [*tokens, *unread]
        if len(tokens) % PIECE == 0:
            yield len(tokens), tokens
    yield length, tokens


def next_logits(model: GPT2, text: list[int], cache: KVCache, remedy: str) -> torch.Tensor | None:
    """Logits [vocab] after a text of which the cache holds all but the last token, or as many as the window has places.

    None where the window is full and the remedy is to stop.
    """
    n_ctx = model.config.n_ctx
    if cache.length < n_ctx:
        return model.forward([text[-1:]], cache, last_only=True)[0, -1]
    if remedy == "stop":
        return None
    keep = n_ctx if remedy == "slide by one" else n_ctx // 2
    cache.truncate(0)
    return model.forward([text[-keep:]], cache, last_only=True)[0, -1]


def key_change(model: GPT2, tokens: list[int]) -> float:
    """How far the first layer's keys of the same tokens move when all stand one place earlier, relative to their size.

    In the first layer nothing but the place has changed: what a token is and what it sees come later.
    """
    caches = []
    for start in (0, 1):
        cache = model.new_cache(1, len(tokens))
        model.forward([tokens[start:]], cache, last_only=True)
        caches.append(cache.keys(0)[0].float())
    old, new = caches[0][:, 1:], caches[1]
    return round(float((new - old).norm(dim=-1).mean() / old.norm(dim=-1).mean()), 4)
