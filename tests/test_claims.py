"""The claim table: its verdicts follow from what is measured, and it can be filled anew."""

import asyncio

import pytest

from tokentrace.claims import Claim, Finding
from tokentrace.views import Claims


def test_a_verdict_is_one_of_three():
    with pytest.raises(ValueError, match="holds, simplified, wrong"):
        Finding("0.5", "right")


def press(view: Claims, **message):
    async def act():
        view._receive(view, {"type": "fill", **message}, [])
        await asyncio.gather(*view._tasks)

    asyncio.run(act())


def test_the_table_is_filled_from_the_run_that_is_there_now():
    """Catches: rows worked out once and kept, a row that pretends to be measured before there is a run."""
    runs = []

    def measure():
        return Finding(f"{runs[-1]} tokens", "holds" if runs[-1] > 3 else "wrong") if runs else None

    view = Claims([Claim("A text has more than 3 tokens.", "somebody, 2026", measure)])
    assert view.rows[0] | {"says": "", "source": ""} == {"says": "", "source": "", "measured": "", "verdict": ""}
    for length, verdict in ((2, "wrong"), (5, "holds")):
        runs.append(length)
        press(view)
        assert (view.rows[0]["measured"], view.rows[0]["verdict"]) == (f"{length} tokens", verdict)
    assert not view.busy


def test_a_measurement_that_fails_keeps_what_was_shown():
    broken = []

    def measure():
        return Finding(str(1 / (1 - len(broken))), "holds")

    view = Claims([Claim("It works.", "nobody", measure)])
    before = view.rows
    broken.append(1)
    press(view)
    assert view.rows == before
    assert "ZeroDivisionError" in view.error
    assert not view.busy
