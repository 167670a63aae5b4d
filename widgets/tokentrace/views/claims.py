"""The claim table of a page: what sources say, what was measured here, and the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import ClassVar

import traitlets

from tokentrace.claims import Claim
from tokentrace.views._assets import css, esm
from tokentrace.views._base import View


class Claims(View):
    """A table of claims, filled from the runs on the page; a button fills it anew after a run of one's own.

    Parameters
    ----------
    claims : the rows, or a function that returns them, called at every filling.
    """

    _esm = esm("claims.js")
    _css = css("claims.css")
    messages: ClassVar[frozenset[str]] = frozenset({"ping", "fill"})

    rows = traitlets.List(help="says, source, measured, verdict of each claim").tag(sync=True)
    busy = traitlets.Bool(False, help="whether it is being filled").tag(sync=True)

    def __init__(self, claims: Sequence[Claim] | Callable[[], Sequence[Claim]], **traits):
        self._claims = claims
        super().__init__(rows=self._filled(), **traits)

    def on_fill(self, message: dict):
        """Measure all claims again."""
        if not self.busy:
            self.busy, self.error = True, ""
            self.start(self._fill(message))

    async def _fill(self, message: dict):
        try:
            self.rows = await asyncio.to_thread(self._filled)
        except Exception as error:
            self.say(f"The table could not be filled ({type(error).__name__}: {error}). What was shown stays.")
        finally:
            self.busy = False
            self.on_ping(message)

    def _filled(self) -> list[dict[str, str]]:
        claims = self._claims() if callable(self._claims) else self._claims
        return [claim.to_dict() for claim in claims]
