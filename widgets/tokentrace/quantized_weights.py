"""Weights in fewer bits: what a pass costs in fp32, bf16 and int8, and what that does to the guesses."""

from __future__ import annotations

from tokentrace.beam_search import spread
from tokentrace.divergence import kl
from tokentrace.generation_loop import prompt_tokens
from tokentrace.linear import PRECISIONS
from tokentrace.lm import GPT2
from tokentrace.measuring import Progress, heading
from tokentrace.models import open_model
from tokentrace.prefill_decode import PAST, STEPS, read_prompt, write_step
from tokentrace.quantized_cache import Scheme, write_text
from tokentrace.roofline import shape_of, weight_bytes
from tokentrace.timing import continue_together

MANY = 16  # texts of the larger batch
PREFILL = 256


def quantized_weights(
    model: GPT2, prompt: str, rounds: int = 7, n: int = 224, write: int = 120, seed: int = 0
) -> Progress:
    """Time prefill and decode with the weights in each precision, and compare the guesses along one text.

    The record's `precisions` hold for each: `weight_bytes`; `seconds` of the `passes`, a list a pass with one entry
    a round; `kl`, KL(fp32 ‖ precision) after every token of a text that the model drew, nats; `text` and `same`,
    the greedy text and how many of its tokens are those of fp32 before the first that differs. In bf16 and int8
    what flows between the layers is bf16 too, and so is the cache.
    """
    n_ctx, prompt_ids = model.config.n_ctx, prompt_tokens(model, prompt)[: model.config.n_ctx // 2]
    past, length = min(PAST, n_ctx // 2), min(PREFILL, n_ctx)
    n, write = min(n, n_ctx) - len(prompt_ids), min(write, n_ctx - len(prompt_ids))
    ids = prompt_ids + continue_together(model, prompt, 1, n, seed)[0]
    text = (ids * (n_ctx // len(ids) + 1))[:n_ctx]
    passes = [("prefill", length, 1), ("decode", 1, 1), ("decode", 1, MANY)]
    record = heading(model, prompt) | {
        "passes": [{"kind": kind, "new": new, "batch": batch} for kind, new, batch in passes],
        "tokens": len(ids),
        "written": write,
        "precisions": [],
    }
    done, total = 0, len(PRECISIONS) + (rounds + 1) * len(PRECISIONS) * len(passes)
    opened, caches, exact, plain = [], [], None, []
    for precision in PRECISIONS:
        other = open_model(model.folder, precision)
        logits = other.forward([ids])[0]
        written = write_text(other, prompt_ids, write, Scheme(32))
        if exact is None:
            exact, plain = logits, written
        same = next((i for i, (a, b) in enumerate(zip(plain, written, strict=True)) if a != b), write)
        record["precisions"].append(
            {"name": precision, "weight_bytes": weight_bytes(shape_of(model.config), precision)}
            | {"kl": [float(f"{x:.3g}") for x in kl(exact, logits).tolist()]}
            | {"same": same, "text": other.tokenizer.decode(written), "seconds": [[] for _ in passes]}
        )
        read = other.new_cache(1, past)
        other.forward([text[:past]], read, last_only=True)
        opened.append(other)
        caches.append({batch: spread(read, other, batch, past + min(STEPS, n_ctx - past)) for batch in (1, MANY)})
        done += 1
        yield done, total, record
    for turn in range(rounds + 1):  # the first round warms up
        for other, cache, entry in zip(opened, caches, record["precisions"], strict=True):
            for (kind, new, batch), seconds in zip(passes, entry["seconds"], strict=True):
                if kind == "prefill":
                    spent = read_prompt(other, text[:new])
                else:
                    spent = write_step(other, cache[batch], past, text[past], min(STEPS, n_ctx - past))
                if turn:
                    seconds.append(float(f"{spent:.4g}"))
                done += 1
                yield done, total, record
