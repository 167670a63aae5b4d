"""What a cache weighs: each factor a control, the formula beside the bytes of a real run; and what fits a card."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from tokentrace import models
from tokentrace.architectures import PRESETS, CacheShape, ShapeError
from tokentrace.cache_reading import CacheReading, read, shape_in, shape_of
from tokentrace.kv_cache import (
    BITS,
    GB,
    KINDS,
    as_kind,
    cache_bytes,
    factors,
    largest_batch,
    longest_context,
    report,
    say_bytes,
    say_units,
    weight_bytes,
)
from tokentrace.views._assets import css, esm
from tokentrace.views._live import IDLE, LiveView

if TYPE_CHECKING:
    from tokentrace.lm import GPT2

# What a browser may set, and up to where; beyond, numbers have lost all meaning.
WHOLE = {"layers": 10_000, "heads": 10_000, "kv_heads": 10_000, "head_size": 100_000, "window": 10**9,
         "windowed": 10_000, "latent": 100_000, "rope": 100_000}  # fmt: skip
SETTINGS = {"positions": 100_000_000, "batch": 1_000_000}
RUN_IN = {"fp32": "fp32", "bf16": "bf16"}  # types of numbers that this project's models run in on any machine
POINTS = 24  # of a line in the chart


class CacheCalculator(LiveView):
    """The bytes of a KV cache: presets, every factor a control, measured where a model is at hand.

    Parameters
    ----------
    preset : a key of `PRESETS`, or the name of a model at hand.
    model : a model, or the name of one, whose real cache can be weighed; None only does the arithmetic.
    reading : a cache weighed before, shown while the settings are its own.
    positions, batch, dtype : what to begin with; by default those of the reading, else the preset's context.
    card, weights : size of the card in GB of 10^9 bytes, and what the weights are kept in.
    """

    _esm = esm("kv_cache.js")
    _css = css("kv_cache.css")
    messages: ClassVar[frozenset[str]] = frozenset({"ping", "change", "measure", "stop"})

    title = traitlets.Unicode("What a cache weighs", help="heading").tag(sync=True)
    presets = traitlets.List(help="key, name, source and note of each shape to choose from").tag(sync=True)
    settings = traitlets.Dict(help="the shape and how it is used: every factor").tag(sync=True)
    result = traitlets.Dict(help="factors, bytes, table, chart and what fits, as they are shown").tag(sync=True)
    measured = traitlets.Dict(help="the bytes of a real cache, or why there are none").tag(sync=True)
    sentence = traitlets.Unicode(help="what is seen, in words").tag(sync=True)
    mode = traitlets.Enum(["formula", "recorded", "live"], "formula", help="where the bytes are from").tag(sync=True)

    def __init__(
        self,
        preset: str = "",
        model: GPT2 | str | None = None,
        reading: CacheReading | None = None,
        *,
        positions: int | None = None,
        batch: int = 1,
        dtype: str = "fp16",
        card: float = 80,
        weights: str = "fp16",
        **traits,
    ):
        super().__init__(model, **traits)
        self._given = None if model is None or isinstance(model, str) else model
        self._here = self._at_hand()
        self._readings = {"recorded": reading, "live": None}
        shapes = self._here | PRESETS
        self.presets = [
            {"key": key, "name": shape.name, "here": key in self._here, "source": shape.source, "note": shape.note}
            for key, shape in shapes.items()
        ]
        name = preset or (reading.model.name if reading and reading.model.name in shapes else "llama-2-70b")
        if name not in shapes:
            raise ValueError(f"There is no preset {name!r}. There is: {', '.join(shapes)}.")
        own = reading and reading.model.name == name
        self._preset, self._shape = name, shapes[name]
        self._use = {
            "positions": positions or (reading.positions if own else self._shape.context or 4096),
            "batch": reading.batch if own and batch == 1 else batch,
            "dtype": reading.dtype if own else dtype,
            "card": card,
            "weights": weights,
        }
        self._compute()

    @property
    def shape(self) -> CacheShape:
        """The shape that is shown, for the next cell to work with."""
        return self._shape

    @property
    def nbytes(self) -> int:
        """Bytes by the formula."""
        return cache_bytes(self._shape, self._use["positions"], self._use["batch"], self._use["dtype"])

    def on_change(self, message: dict):
        """Take over what the reader has set, all of it or nothing."""
        kept = self._preset, self._shape, self._use
        self.error = ""
        try:
            fields = message.get("fields")
            if not isinstance(fields, dict):
                raise ShapeError("Nothing was set.")
            self._set(fields)
            self._compute()
        except (ShapeError, OverflowError) as error:
            self._preset, self._shape, self._use = kept
            self.say(str(error))
        if not self._busy:  # what the browser waits for
            self.status = IDLE | {"request": message.get("request")}

    def on_measure(self, message: dict):
        """Let the model read as much as is set, and weigh its cache."""
        why = self._why_not()
        if why:
            self.say(why)
        elif self._busy:
            self.say("A cache is still being filled; stop it first.")
        else:
            self._busy, self._stopping, self.error = True, False, ""
            self.start(self._measure(message.get("request")))

    async def _measure(self, request: Any):
        self.status = IDLE | {"state": "loading", "request": request}
        use = dict(self._use)
        try:
            model = await self._opened_in(self._preset, use["dtype"])
            pieces, found = read(model, use["positions"], use["batch"]), None
            while not self._stopping and (piece := await asyncio.to_thread(next, pieces, None)):
                done, total, found = piece
                self.status = IDLE | {"state": "running", "request": request, "done": done, "total": total}
            if found is None:
                raise ShapeError("Stopped before the text was read; nothing was weighed.")
            self._readings["live"] = found
            self._compute()
        except ValueError as error:
            self.say(str(error))
        except Exception as error:
            self.say(f"The run broke off ({type(error).__name__}: {error}). What was shown stays.")
        finally:
            self._busy, self.status = False, IDLE

    async def _opened_in(self, name: str, dtype: str) -> GPT2:
        if self._given or dtype == "fp32":
            return await self.opened(name)
        return await asyncio.to_thread(models.open_model, name, RUN_IN[dtype])

    def _at_hand(self) -> dict[str, CacheShape]:
        """Shapes of the models that can be run here."""
        folders = models.available()
        found = {}
        for name in self.model_names:
            opened = self._models.get(name)
            shape = shape_of(opened) if opened else shape_in(folders[name], name) if name in folders else None
            if shape:
                found[name] = shape
        return found

    def _set(self, fields: dict):
        """Apply what a browser sent; a ShapeError names what cannot be."""
        fields = dict(fields)
        if (preset := fields.pop("preset", None)) is not None:
            shapes = self._here | PRESETS
            if not isinstance(preset, str) or preset not in shapes:
                raise ShapeError("There is no such preset.")
            here = preset in self._here
            if here != (self._preset in self._here):  # from a model at hand to a large one, or back
                first = {"positions": 256, "dtype": "fp32"} if here else {"positions": 4096, "dtype": "fp16"}
                self._use = self._use | first
            self._preset, self._shape = preset, shapes[preset]
            if self._shape.context:
                self._use = self._use | {"positions": min(self._use["positions"], self._shape.context)}
        if (kind := fields.pop("kind", None)) is not None:
            if kind not in KINDS:
                raise ShapeError(f"The kinds of attention here are {', '.join(KINDS)}.")
            self._shape = as_kind(self._shape, kind, self._preset_shape)
        changes: dict[str, Any] = {}
        for name, value in fields.items():
            if name in WHOLE:
                low = 0 if name in ("windowed", "latent", "rope", "window") else 1
                changes[name] = _whole(name, value, low, WHOLE[name])
            elif name in SETTINGS:
                self._use = self._use | {name: _whole(name, value, 1, SETTINGS[name])}
            elif name in ("dtype", "weights"):
                if not isinstance(value, str) or value not in BITS:
                    raise ShapeError(f"Numbers are kept in {', '.join(BITS)}.")
                self._use = self._use | {name: value}
            elif name == "card":
                if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1_000_000:
                    raise ShapeError("A card has more than 0 and at most 1,000,000 GB.")
                self._use = self._use | {"card": value}
            else:
                raise ShapeError("There is no such factor.")
        if "heads" in changes and "kv_heads" not in changes and self._shape.kind == "MHA":
            changes["kv_heads"] = changes["heads"]
        if changes.get("window") == 0:
            changes |= {"window": None, "windowed": 0}
        elif "window" in changes and self._shape.windowed == 0 and "windowed" not in changes:
            changes["windowed"] = changes.get("layers", self._shape.layers)
        elif changes.get("windowed") and self._shape.window is None and "window" not in changes:
            changes["window"] = 4096
        if "layers" in changes and "windowed" not in changes:
            changes["windowed"] = min(self._shape.windowed, changes["layers"])
        if changes.get("latent") == 0:
            changes["rope"] = 0
        self._shape = replace(self._shape, **changes)

    @property
    def _preset_shape(self) -> CacheShape:
        return (self._here | PRESETS)[self._preset]

    def _same_cache(self, shape: CacheShape) -> bool:
        names = ("layers", "kv_heads", "head_size", "window", "windowed", "latent", "rope")
        return all(getattr(shape, name) == getattr(self._shape, name) for name in names)

    def _why_not(self) -> str:
        """Why this cache cannot be weighed here; empty if it can."""
        shape, use = self._here.get(self._preset), self._use
        if shape is None:
            return "There is no model of this shape at hand."
        if not self._same_cache(shape):
            return f"The {shape.name} at hand has another shape."
        if shape.windowed or shape.latent:
            return "This project keeps whole keys and values of every position."
        runs = tuple(RUN_IN)
        if self._given:
            runs = (RUN_IN.get(self._given.precision, "fp32"),)  # int8 weights work on fp32
        if use["dtype"] not in runs:
            return f"Here it runs in {' or '.join(runs)} only."
        if shape.context and use["positions"] > shape.context:
            return f"{shape.name} reads {shape.context:,} positions at most."
        return ""

    def _compute(self):
        shape, use = self._shape, self._use
        settings = (shape, use["positions"], use["batch"], use["dtype"])
        total = cache_bytes(*settings)
        source, found = "formula", None
        for name, each in self._readings.items():  # the live one is the last
            if each and each.model.name == self._preset and each.of(*settings):
                source, found = name, each
        why = self._why_not()
        result = {
            "total": f"{total:,}",
            "units": say_units(total),
            "factors": [each | {"value": f"{each['value']:,}"} for each in factors(*settings)],
            "rows": [list(row) for row in report(*settings, use["card"], use["weights"])],
            "kinds": self._kinds(),
            "kind": shape.kind,
            "card": self._card(),
            "source": shape.source + (f"; {shape.note}" if shape.note else ""),
        }
        measured = {"why": why, "bytes": "", "agrees": False, "ms": 0.0, "note": ""}
        if found:
            measured |= {"bytes": f"{found.nbytes:,}", "agrees": found.nbytes == total, "ms": found.ms}
            if found.allocated != found.nbytes:
                measured["note"] = f"{found.allocated:,} bytes are set aside"
        same = shape == self._preset_shape
        with self.hold_sync():
            self.settings = asdict(shape) | use | {"preset": self._preset, "changed": not same}
            self.result, self.measured, self.mode = result, measured, source
            self.sentence = self._say(total, found)

    def _kinds(self) -> list[dict[str, Any]]:
        """What each kind of attention would keep, as a share of the most."""
        use, rows = self._use, []
        for kind in KINDS:
            try:
                shape = self._shape if kind == self._shape.kind else as_kind(self._shape, kind, self._preset_shape)
            except ShapeError:
                rows.append({"kind": kind, "bytes": 0, "said": "", "heads": ""})
                continue
            n = cache_bytes(shape, use["positions"], use["batch"], use["dtype"])
            heads = f"{shape.latent} + {shape.rope}" if shape.latent else f"{shape.kv_heads} of {shape.heads}"
            rows.append({"kind": kind, "bytes": n, "said": say_bytes(n), "heads": heads})
        most = max(row["bytes"] for row in rows)
        return [row | {"bytes": None, "share": row["bytes"] / most} for row in rows]

    def _card(self) -> dict[str, Any]:
        """Weights and cache on the card, how much would fit, and how the cache grows with the positions."""
        shape, use = self._shape, self._use
        size, heavy = int(use["card"] * GB), weight_bytes(shape, use["weights"])
        total = self.nbytes
        room = max(0, size - (heavy or 0))
        longest = longest_context(shape, room, use["batch"], use["dtype"])
        batch = largest_batch(shape, room, use["positions"], use["dtype"])
        near = max(use["positions"], min(shape.context or 0, 8 * use["positions"]))
        high = max(32, round(1.25 * near), round(1.1 * longest) if longest and room and longest <= 3 * near else 0)
        places = sorted(
            {
                1,
                use["positions"],
                min(shape.window or 1, high),
                *(round(high * i / POINTS) for i in range(1, POINTS + 1)),
            }
        )
        plain = replace(as_kind(shape, "MHA"), window=None, windowed=0)
        lines = {"this cache": shape} | ({} if plain == shape else {"all heads, no window": plain})
        top = 1.15 * max(total, cache_bytes(shape, high, use["batch"], use["dtype"]))
        drawn = []
        for name, each in lines.items():
            points = [[n, cache_bytes(each, n, use["batch"], use["dtype"]) / GB] for n in places]
            drawn.append({"name": name, "points": _below(points, top / GB)})
        return {
            "known": heavy is not None,
            "heavy": (heavy or 0) / GB,
            "cache": total / GB,
            "size": use["card"],
            "fits": heavy is not None and total <= size - heavy,
            "room": room / GB if heavy is not None and room else None,
            "longest": "no limit" if longest is None else f"{longest:,}" if heavy is not None else "",
            "made_for": f"{shape.context:,}" if shape.context and longest and longest > shape.context else "",
            "longest_at": longest if heavy is not None and longest and longest <= high else None,
            "batch": f"{batch:,}" if heavy is not None else "",
            "lines": drawn,
            "high": high,
            "top": top / GB,
        }

    def _say(self, total: int, found: CacheReading | None) -> str:
        shape, use, card = self._shape, self._use, self._card()
        texts = "one text" if use["batch"] == 1 else f"{use['batch']:,} texts"
        head = f"{texts[0].upper()}{texts[1:]} of {use['positions']:,} positions: {say_bytes(total)} of keys and values"
        if shape.context and use["positions"] > shape.context:
            head += f", more positions than the {shape.context:,} this model was made for"
        if found:
            agrees = "exactly as many" if found.nbytes == total else "not as many"
            head += f". The live tensors hold {found.nbytes:,} bytes, {agrees}"
        if not card["known"]:
            return f"{head}. How many weights there are is not known, so nothing can be said of a card."
        if not card["room"]:
            return f"{head}. The weights alone do not fit a card of {use['card']:g} GB."
        fits = "fits" if card["fits"] else "does not fit"
        longest = "texts of any length" if card["longest"] == "no limit" else f"{card['longest']} positions"
        return (
            f"{head}. Beside the weights in {use['weights']} it {fits} a card of {use['card']:g} GB: there is room for "
            f"{longest} at this batch, or for {card['batch']} texts of this length."
        )


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ShapeError(f"{NAMES[name]} must be a whole number from {low:,} to {high:,}.")
    return value


NAMES = {"layers": "Layers", "heads": "Query heads", "kv_heads": "KV heads", "head_size": "Head size",
         "window": "The window", "windowed": "Layers with a window", "latent": "The latent", "rope": "Places",
         "positions": "Positions", "batch": "The batch"}  # fmt: skip


def _below(points: list[list[float]], top: float) -> list[list[float]]:
    """The part of a rising line that is below `top`, up to where it crosses."""
    kept = []
    for x, y in points:
        if y > top:
            if kept:
                x0, y0 = kept[-1]
                kept.append([x0 + (top - y0) / (y - y0) * (x - x0), top])
            break
        kept.append([x, y])
    return kept or [[points[0][0], top]]
