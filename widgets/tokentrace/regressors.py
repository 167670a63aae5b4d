"""One idea, three regressors: AR(2) on numbers, a table of pairs on words, GPT-2 on all tokens before.

Each guesses what comes next from what came before, and writes by reading its own guesses. They differ in how far back
they look and in the function between past and guess.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tokentrace import plain_data
from tokentrace.autoregression import YULE, fit, interaction_of, roll_forward, sunspots
from tokentrace.bigram import Bigram, TableError, bits_per_byte, score_table
from tokentrace.models import data_folder
from tokentrace.plain_data import TraceError, exactly, list_of, mapping, typed

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

FORMAT, VERSION = "tokentrace regressors", 1
PROMPT = "The old king opened the"
SENTENCES = (
    "The old king opened the door and saw his daughter in the garden.",
    "It was raining, and the children stayed in the house all day.",
    "She put the letter on the table and did not say a word.",
    "The captain looked at the sea and shook his head.",
)
CANDIDATES = 5
WRITTEN = 24  # tokens
YEARS = 40
FIELDS = {
    "format", "version", "model", "recorded", "prompt", "seeds", "pairs", "counted", "refused", "series", "bigram",
    "gpt2", "sentences",
}  # fmt: skip


def compare(model: GPT2, table: Bigram, prompt: str = PROMPT, seeds: Sequence[int] = (0, 1)) -> dict[str, Any]:
    """Let the three regressors guess one step, roll forward, and score the same sentences.

    Returns
    -------
    dict
        Plain data. `refused` is a sentence where the table's tokens are not the model's; the table's part is
        then empty. Probabilities of the `CANDIDATES` best next tokens, texts by seed, bits per byte by sentence.

    Raises
    ------
    ValueError
        If the prompt cannot be used; the message says why.
    """
    from tokentrace.chain_rule import score
    from tokentrace.generation_loop import describe, generate, prompt_tokens

    ids = prompt_tokens(model, prompt)
    refused, bigram = "", {"given": "", "candidates": [], "texts": []}
    try:
        table.check(model.tokenizer, model.name)
    except TableError as error:
        refused = str(error)
    else:
        bigram = {
            "given": _shown(model, ids[-1]),
            "candidates": _best(model, table.next(ids[-1])),
            "texts": [model.tokenizer.decode(table.write(ids, WRITTEN, seed)) for seed in seeds],
        }
    probabilities = model.forward([ids], last_only=True)[0, -1].double().softmax(-1).numpy()
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": asdict(describe(model)),
        "recorded": datetime.now(UTC).isoformat(timespec="seconds"),
        "prompt": prompt,
        "seeds": list(seeds),
        "pairs": table.pairs,
        "counted": table.tokens,
        "refused": refused,
        "series": _series(),
        "bigram": bigram,
        "gpt2": {
            "given": prompt,
            "candidates": _best(model, probabilities),
            "texts": [generate(model, prompt, seed=seed, max_new_tokens=WRITTEN).text for seed in seeds],
        },
        "sentences": [
            {
                "text": text,
                "bytes": len(text.encode()),
                "bigram": None if refused else round(bits_per_byte(score_table(table, model, text), text), 4),
                "gpt2": round(score(model, text).bits_per_byte, 4),
            }
            for text in SENTENCES
        ],
    }


def _series() -> dict[str, Any]:
    """The AR(2) on Yule's years: its guess for the first year after them, and its own way on."""
    spots = sunspots()
    fitted, origin = fit(spots.between(*YULE), 2), YULE[1]
    known = spots.between(spots.first, origin)
    return {
        "origin": origin,
        "given": list(known[-2:]),
        "constant": fitted.constant,
        "coefficients": list(fitted.coefficients),
        "next": fitted.next(known),
        "truth": spots[origin + 1],
        "spread": fitted.spread,
        "history": list(known[-YEARS:]),
        "own": roll_forward(fitted, known, YEARS),
    }


def _best(model: GPT2, probabilities) -> list[list[Any]]:
    order = probabilities.argsort()[::-1][:CANDIDATES]
    return [[_shown(model, int(token)), float(f"{probabilities[token]:.4g}")] for token in order]


def _shown(model: GPT2, token: int) -> str:
    return model.tokenizer.token_bytes(token).decode("utf-8", "replace")


def checked(data: Any) -> dict[str, Any]:
    """Return a record if it is what `compare` gives; a TraceError names the field that is not."""
    data = mapping("regressors", data)
    plain_data.header(data, FORMAT, VERSION)
    exactly("regressors", data, FIELDS)
    n = len(list_of("seeds", data["seeds"], int))
    for name in ("bigram", "gpt2"):
        part = mapping(name, data[name])
        exactly(name, part, {"given", "candidates", "texts"})
        if name == "gpt2" or not typed("refused", data["refused"], str):
            list_of(f"{name}.texts", part["texts"], str, n)
        for index, pair in enumerate(list_of(f"{name}.candidates", part["candidates"], list)):
            if len(pair) != 2 or not 0 <= typed(f"{name}.candidates[{index}]", pair[1], float) <= 1:
                raise TraceError(f"{name}.candidates[{index}]: expected a token and its probability.")
    for index, row in enumerate(list_of("sentences", data["sentences"], dict)):
        exactly(f"sentences[{index}]", row, {"text", "bytes", "bigram", "gpt2"})
        typed(f"sentences[{index}].gpt2", row["gpt2"], float)
    exactly(
        "series",
        mapping("series", data["series"]),
        {"origin", "given", "constant", "coefficients", "next", "truth", "spread", "history", "own"},
    )
    return data


def recorded_regressors() -> dict[str, Any]:
    """Load the comparison that was made for the lessons."""
    return plain_data.load(data_folder() / "traces" / "regressors.json", checked)


def mean_bits(record: dict[str, Any], name: str) -> float:
    """Bits per byte of all sentences together; `name` is "bigram" or "gpt2"."""
    rows = record["sentences"]
    return math.fsum(row[name] * row["bytes"] for row in rows) / sum(row["bytes"] for row in rows)


@dataclass(frozen=True)
class Swap:
    """Two words of a text, each with another to put in its place, and a next word to watch."""

    text: str
    first: tuple[str, str]
    second: tuple[str, str]
    target: str


# Words that mean more together than each alone; the one whose effects add up the worst is shown.
SWAPS = (
    Swap("The king of the castle sat down on his", (" king", " cat"), (" castle", " garden"), " throne"),
    Swap("The captain stood on the ship and looked at the", (" captain", " woman"), (" ship", " stairs"), " sea"),
    Swap("The boy took the pen and began to", (" boy", " horse"), (" pen", " grass"), " write"),
    Swap("In the winter the river was full of", (" winter", " war"), (" river", " city"), " ice"),
)


def interaction(model: GPT2, swap: Swap) -> dict[str, Any]:
    """Ln P of a next token with none, each, and both of two words replaced.

    Returns
    -------
    dict
        text, first, second, target, values (the four log-probabilities, nats), apart (both changes together less
        the sum of the single ones: 0 for a weighted sum of words).

    Raises
    ------
    ValueError
        If a word does not stand in the text as one token, or is not one token.
    """
    import torch

    tokenizer = model.tokenizer
    ids = [tokenizer.end_of_text, *tokenizer.encode(swap.text)]

    def single(word: str) -> int:
        found = tokenizer.encode(word)
        if len(found) != 1:
            raise ValueError(f"“{word}” is {len(found)} tokens here; the comparison needs words of one token.")
        return found[0]

    places = []
    for old, _ in (swap.first, swap.second):
        if single(old) not in ids:
            raise ValueError(f"“{old}” does not stand in “{swap.text}” as a token.")
        places.append(ids.index(single(old)))
    versions = []
    for changed in ((), (0,), (1,), (0, 1)):
        row = list(ids)
        for which in changed:
            row[places[which]] = single((swap.first, swap.second)[which][1])
        versions.append(row)
    logits = model.forward(torch.tensor(versions), last_only=True)[:, -1].double()
    values = logits.log_softmax(-1)[:, single(swap.target)].tolist()
    return asdict(swap) | {"values": values, "apart": apart(values)}


def apart(values: Sequence[float]) -> float:
    """How far two changes together are from the sum of both alone: 0 for whatever is a weighted sum."""
    none, first, second, both = values
    return (both - none) - ((first - none) + (second - none))


def most_apart(model: GPT2) -> dict[str, Any]:
    """The pair of words, of those in `SWAPS` that this model has tokens for, whose effects add up the worst."""
    found = []
    for swap in SWAPS:
        try:
            found.append(interaction(model, swap))
        except ValueError:
            continue
    if not found:
        raise ValueError(f"{model.name} has no single tokens for any of the words that are to be compared.")
    return max(found, key=lambda each: abs(each["apart"]))


def linear_interaction() -> dict[str, Any]:
    """The same on the AR(2) of the sunspots: two past years raised by their spread, alone and together."""
    spots = sunspots()
    fitted = fit(spots.between(*YULE), 2)
    step = round(fitted.spread)
    values = interaction_of(fitted, spots.between(*YULE), {1: step, 2: step})
    return {"step": step, "year": YULE[1] + 1, "values": values, "apart": apart(values)}


def recorded_interaction() -> dict[str, Any]:
    """Load the non-additive change that was recorded for the lessons."""
    return plain_data.load(data_folder() / "traces" / "interaction.json", _interaction)


def _interaction(data: Any) -> dict[str, Any]:
    data = mapping("interaction", data)
    plain_data.header(data, "tokentrace interaction", 1)
    list_of("language.values", mapping("language", data["language"])["values"], float, 4)
    list_of("series.values", mapping("series", data["series"])["values"], float, 4)
    return data
