"""Static and continuous batching: by hand, against a clock that ticks, by theorem, and as a view."""

import itertools
import random
from dataclasses import replace

import pytest

from tokentrace.batching import (
    MEAN_TOKENS,
    POLICIES,
    Machine,
    Request,
    account,
    compare,
    draw_requests,
    rates_worth_trying,
    say_batching,
    simulate,
)
from tokentrace.data import measured
from tokentrace.plain_data import TraceError
from tokentrace.views.batching import Batching

UNIT = Machine(1.0, ((1, 1.0), (8, 1.0)))  # every pass takes a second, however many rows it has


def requests_of(*tokens, arrivals=None):
    return [Request(float(at), n) for at, n in zip(arrivals or [0] * len(tokens), tokens, strict=True)]


def moments(served):
    return [(one.lane, one.begin, one.first, one.end, one.released) for one in served]


def test_three_requests_by_hand():
    """Two rows; 3, 1 and 2 tokens. Static: read, read, 2 steps with padding, then the third one alone: 6.

    Continuous: read 1, read 2 (which is done with that), read 3 in its row, a step for both, a step for 1: 5.
    Catches: a first token that costs a step more, a row freed a pass too late, padding counted as work.
    """
    static, free = (simulate(policy, requests_of(3, 1, 2), UNIT, 2) for policy in POLICIES)
    assert moments(static) == [(0, 0, 1, 4, 4), (1, 1, 2, 2, 4), (0, 4, 5, 6, 6)]
    assert moments(free) == [(0, 0, 1, 5, 5), (1, 1, 2, 2, 2), (1, 2, 3, 4, 4)]
    found = account(requests_of(3, 1, 2), static, 2)
    assert found["seconds"] == 6 and found["rate"] == 1.0
    assert found["busy"] == (4 + 1 + 2) / 12 and found["padded"] == 2 / 12
    assert found["wait"] == (1 + 2 + 5) / 3 and found["worst"] == 5


def test_late_requests_by_hand():
    """The second comes while the first is written. Static makes it wait, continuous takes it in at the next pass."""
    late = requests_of(4, 2, arrivals=[0, 1.5])
    static, free = (simulate(policy, late, UNIT, 2) for policy in POLICIES)
    assert moments(static) == [(0, 0, 1, 4, 4), (0, 4, 5, 6, 6)]
    assert moments(free) == [(0, 0, 1, 5, 5), (1, 2, 3, 4, 4)]


def test_the_price_of_a_row_is_that_of_the_batch():
    """A static batch pays for all its rows to the end, a continuous one for those at work."""
    machine = Machine(0.0, ((1, 1.0), (2, 3.0)))
    static, free = (simulate(policy, requests_of(4, 2), machine, 2) for policy in POLICIES)
    assert [one.end for one in static] == [9, 3]
    assert [one.end for one in free] == [5, 3]


def test_between_two_measured_sizes_lies_a_line():
    machine = Machine(1.0, ((1, 2.0), (4, 5.0), (8, 7.0)))
    assert [machine.step(rows) for rows in (1, 2, 3, 4, 6, 8)] == [2, 3, 4, 5, 6, 7]
    with pytest.raises(TraceError, match="9 rows was not measured"):
        machine.step(9)
    with pytest.raises(TraceError, match="lanes must be a whole number from 1 to 8"):
        simulate("static", requests_of(1), machine, 9)


def ticking(policy, requests, machine, lanes):
    """The same in another way: a clock that ticks in whole seconds, rows that know what they are doing."""
    waiting = sorted(range(len(requests)), key=lambda i: requests[i].arrival)
    rows, firsts, ends, pass_left, what = [None] * lanes, {}, {}, 0, None
    left = {i: request.tokens for i, request in enumerate(requests)}
    to_read, closed = [], False
    for now in itertools.count():
        if pass_left == 0 and what is not None:
            for i in [what[1]] if what[0] == "read" else [each for each in rows if each is not None and each in firsts]:
                if left[i] > 0:
                    left[i] -= 1
                    firsts.setdefault(i, now)
                    if left[i] == 0:
                        ends[i] = now
            what = None
            if policy == "continuous":
                rows = [None if each in ends else each for each in rows]
            elif not to_read and all(each is None or each in ends for each in rows):
                rows, closed = [None] * lanes, False
        if len(ends) == len(requests):
            return firsts, ends
        if what is None:
            came = [i for i in waiting if requests[i].arrival <= now]
            if policy == "static" and not closed and came:
                to_read = came[:lanes]
                rows = [*to_read, *[None] * (lanes - len(to_read))]
                waiting = [i for i in waiting if i not in to_read]
                closed = True
            if policy == "continuous" and None in rows and came:
                rows[rows.index(None)] = came[0]
                waiting.remove(came[0])
                to_read = [came[0]]
            if to_read:
                what, pass_left = ("read", to_read.pop(0)), int(machine.read)
            elif any(each is not None for each in rows):
                what, pass_left = ("step", None), int(machine.step(sum(each is not None for each in rows)))
            else:
                continue
        pass_left -= 1


@pytest.mark.parametrize("policy", POLICIES)
def test_a_ticking_clock_comes_to_the_same(policy):
    """200 small cases with whole numbers. Catches: an order other than first come, a row too many, a pass left out."""
    numbers = random.Random(policy)
    for _ in range(200):
        n, lanes = numbers.randint(1, 7), numbers.randint(1, 4)
        arrivals = sorted(numbers.randint(0, 12) for _ in range(n))
        asked = requests_of(*(numbers.randint(1, 6) for _ in range(n)), arrivals=arrivals)
        steps = sorted(numbers.randint(1, 4) for _ in range(4))
        machine = Machine(float(numbers.randint(1, 3)), tuple(enumerate(map(float, steps), 1)))
        firsts, ends = ticking(policy, asked, machine, lanes)
        served = simulate(policy, asked, machine, lanes)
        assert [one.first for one in served] == [firsts[i] for i in range(n)]
        assert [one.end for one in served] == [ends[i] for i in range(n)]


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_is_lost_and_no_row_is_held_twice(policy):
    """Conservation. Catches: a token too few, two requests in one row, a request served before it came."""
    machine = Machine.measured(measured("prefill_decode"))
    for seed, rate, lanes in itertools.product(range(6), (None, 5.0, 50.0), (1, 3, 8)):
        asked = draw_requests(20, rate, 0.9, seed)
        served = simulate(policy, asked, machine, lanes)
        assert [one.tokens for one in served] == [request.tokens for request in asked]
        assert all(
            request.arrival <= one.begin < one.first <= one.end <= one.released
            for request, one in zip(asked, served, strict=True)
        )
        for lane in range(lanes):
            held = sorted((one.begin, one.released) for one in served if one.lane == lane)
            assert all(before[1] <= after[0] + 1e-12 for before, after in itertools.pairwise(held))
        found = account(asked, served, lanes)
        assert found["busy"] + found["padded"] + found["idle"] == pytest.approx(1)
        if policy == "continuous":
            assert found["padded"] == 0


def test_all_at_once_continuous_is_never_later():
    """The theorem in the module's docstring, on 400 draws: step times that do not fall, all requests at time 0.

    Catches: a continuous batch that waits for a whole one, an admission that is forgotten.
    """
    numbers = random.Random(0)
    for _ in range(400):
        asked = requests_of(*(numbers.randint(1, 30) for _ in range(numbers.randint(1, 24))))
        steps = sorted(numbers.uniform(0.1, 5) for _ in range(8))
        machine = Machine(numbers.uniform(0, 3), tuple(enumerate(steps, 1)))
        lanes = numbers.randint(1, 8)
        static, free = (simulate(policy, asked, machine, lanes) for policy in POLICIES)
        assert max(one.end for one in free) <= max(one.end for one in static) + 1e-9
        unread = replace(machine, read=0.0)
        static, free = (simulate(policy, asked, unread, lanes) for policy in POLICIES)
        assert all(b.end <= a.end + 1e-9 for a, b in zip(static, free, strict=True)), "without reading, nobody is later"


def test_equal_lengths_at_once_leave_nothing_to_gain():
    """By theory: full batches of equal length end together. Catches: a gain that comes from the bookkeeping."""
    machine = Machine(0.5, ((1, 1.0), (4, 2.0)))
    found = compare(requests_of(*[7] * 12), machine, 4)
    assert found["static"]["account"]["seconds"] == pytest.approx(found["continuous"]["account"]["seconds"])
    assert found["static"]["account"]["padded"] == pytest.approx(0, abs=1e-12)
    assert "the same number of" in say_batching(found)


def test_where_batching_loses_it_is_said():
    """Steps that cost more than their rows are worth, and a request that comes late. Catches: praise in any case."""
    machine = Machine(0.0, ((1, 1.0), (2, 9.0)))
    found = compare(requests_of(10, 2, 2, arrivals=[0, 0.5, 30]), machine, 2)
    static, free = (found[policy]["account"]["seconds"] for policy in POLICIES)
    assert ("later with the last token" in say_batching(found)) == (free > static)
    found = compare(requests_of(40, 40, arrivals=[0, 0.5]), machine, 2)
    assert found["continuous"]["account"]["seconds"] > found["static"]["account"]["seconds"]
    assert "later with the last token" in say_batching(found)


def test_draws_are_what_they_say():
    """Catches: lengths that change with the rate, gaps of the wrong mean, a spread that is not kept."""
    slow, fast, once = (draw_requests(64, rate, 0.5, 3) for rate in (1.0, 10.0, None))
    assert [each.tokens for each in slow] == [each.tokens for each in fast] == [each.tokens for each in once]
    assert {each.arrival for each in once} == {0.0} and slow[0].arrival == 0
    assert slow[-1].arrival == pytest.approx(10 * fast[-1].arrival)
    gaps = [b.arrival - a.arrival for a, b in itertools.pairwise(slow)]
    assert 0.6 < sum(gaps) / len(gaps) < 1.6
    assert all(MEAN_TOKENS * 0.5 - 1 < each.tokens < MEAN_TOKENS * 1.5 + 1 for each in slow)
    assert {each.tokens for each in draw_requests(9, None, 0.0)} == {MEAN_TOKENS}
    assert draw_requests(5, 2.0, 1.0, 9) == draw_requests(5, 2.0, 1.0, 9) != draw_requests(5, 2.0, 1.0, 8)
    for wrong in ((0, 1.0, 0.5), (5, -1.0, 0.5), (5, 1.0, 2.0)):
        with pytest.raises(TraceError):
            draw_requests(*wrong)


# ---- the view ----


@pytest.fixture
def view():
    return Batching(measured("prefill_decode"), model=None)


def test_the_view_shows_what_was_simulated(view):
    """Catches: a table or a sentence of other settings."""
    machine = Machine.measured(measured("prefill_decode"))
    wanted = compare(draw_requests(24, view.rates[view.rate] or None, 0.8, 1), machine, 8)
    assert view.served == wanted and view.sentence == say_batching(wanted)
    assert len(view.rows) == 24 and all(len(row) == len(view.heads) for row in view.rows)
    assert view.rates[1:] == rates_worth_trying(machine) and (view.mode, view.can_live) == ("recorded", False)
    assert view.title == "Many readers at once"


def test_the_browser_may_set_what_it_should(view):
    view.set_state({"requests": 5, "lanes": 2, "rate": 0, "spread": 0.0, "seed": 4})
    assert (view.requests, view.lanes, view.rate, view.spread, view.seed) == (5, 2, 0, 0.0, 4)
    assert len(view.served["requests"]) == 5 and view.served["lanes"] == 2
    assert {request["arrival"] for request in view.served["requests"]} == {0.0}


WRONG = [
    {"requests": 0},
    {"requests": 9999},
    {"requests": "many"},
    {"lanes": 64},
    {"lanes": 0},
    {"rate": 99},
    {"rate": -1},
    {"spread": 3},
    {"spread": float("nan")},
    {"seed": -1},
    {"rates": [1.0]},
    {"served": {}},
    {"record": {}},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_what_a_browser_may_not_send_changes_nothing(view, wrong):
    before = view.get_state(["requests", "lanes", "rate", "spread", "seed", "rates", "served"])
    view.set_state(wrong)
    assert view.get_state(list(before)) == before


def test_other_step_times_make_another_schedule(view):
    """A machine measured anew. Catches: step times kept from the record, a rate or a batch out of range."""
    record = measured("prefill_decode")
    for each in record["passes"]:
        each["seconds"] = [10 * second for second in each["seconds"]]
    record["passes"] = [each for each in record["passes"] if each["batch"] <= 4]
    view._show(record, "", "live")
    assert view.mode == "live" and view.lanes == 4 and view.lane_choices == [2, 4]
    assert view.served["lanes"] == 4 and view.rates[1] < 5
