"""Sharing one memory among texts: against a slow simulation that keeps every slot, and by laws of conservation."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentrace.paging import KINDS, POLICIES, PagingError, Request, aside, serve
from tokentrace.plain_data import TraceError
from tokentrace.request_lengths import MOST, RequestLengths, measure, prompts, recorded_lengths
from tokentrace.views import Paging

# ---- a slow way: every slot knows whose it is ----


def slow(requests, slots, policy, longest, page):
    """Steps, and for each how many slots hold tokens, are reserved, never filled and free, from arrays of slots."""
    owner = [None] * slots
    waiting, served, done = list(range(len(requests))), {}, dict.fromkeys(range(len(requests)), 0)
    order, rows = [], []

    def cells(request):
        return [i for i in range(slots) if owner[i] == request]

    def grab(request, need):
        """First row of free slots that is long enough, or pages from the left."""
        if policy == "pages":
            free = [p for p in range(slots // page) if all(owner[p * page + i] is None for i in range(page))]
            if len(free) < need:
                return False
            for p in free[:need]:
                owner[p * page : (p + 1) * page] = [request] * page
            return True
        for start in range(slots - need + 1):
            if all(each is None for each in owner[start : start + need]):
                owner[start : start + need] = [request] * need
                return True
        return False

    def drop(request):
        for i in cells(request):
            owner[i] = None

    while waiting or served:
        if policy == "pages":
            for request in list(order):
                while request in served and len(cells(request)) < served[request]:
                    if not grab(request, 1):
                        last = order.pop()
                        drop(last)
                        done[last] = served.pop(last) - requests[last].prompt
                        waiting.insert(0, last)
        while waiting:
            request = waiting[0]
            held = requests[request].prompt + done[request]
            need = -(-held // page) if policy == "pages" else aside(policy, requests[request], longest)
            if not grab(request, need):
                break
            served[waiting.pop(0)] = held
            order.append(request)
        tokens = sum(served.values())
        taken = sum(each is not None for each in owner)
        reserved = sum(min(len(cells(each)), requests[each].total) - held for each, held in served.items())
        rows.append((tokens, reserved, taken - tokens - reserved, slots - taken, len(waiting)))
        for request in list(order):
            if served[request] == requests[request].total:
                drop(request)
                del served[request]
                order.remove(request)
            else:
                served[request] += 1
    return rows


REQUESTS = st.lists(st.builds(Request, st.integers(1, 12), st.integers(1, 14)), min_size=1, max_size=9)


@settings(deadline=None)
@given(REQUESTS, st.integers(32, 80), st.sampled_from(POLICIES), st.sampled_from([1, 3, 4, 8]))
def test_it_is_the_slow_way(requests, slots, policy, page):
    """Step for step. Catches: a hole not found or found twice, a page too few, a text that ends a step early, tokens
    lost when a text gives its pages back.
    """
    found = serve(requests, slots, policy, longest=26, page=page)
    wanted = slow(requests, slots, policy, 26, page)
    assert [
        (*row[:3], row[3] + row[4], waiting) for row, waiting in zip(found.use, found.waiting, strict=True)
    ] == wanted


@settings(deadline=None)
@given(REQUESTS, st.integers(32, 80), st.sampled_from(POLICIES), st.sampled_from([1, 3, 4, 8]))
def test_nothing_is_lost(requests, slots, policy, page):
    """All slots are accounted for, none is had twice, and every text gets every token.

    Catches: a piece handed out twice, memory that is never given back, a use that does not follow from the pieces.
    """
    found = serve(requests, slots, policy, longest=26, page=page)
    assert all(sum(row) == slots and min(row) >= 0 for row in found.use)
    assert sum(found.shares.values()) == pytest.approx(1)
    for step, row in enumerate(found.use):
        here = [stay for stay in found.stays if stay.begin <= step < stay.end]
        cells = [slot for stay in here for slot in range(stay.start, stay.start + stay.size)]
        assert len(cells) == len(set(cells)) <= slots
        parts = [stay.parts(requests[stay.request], step) for stay in here]
        assert [sum(each) for each in zip(*parts, strict=True)] == list(row[:3]) if parts else row[0] == 0
    written = {
        number: sum(
            step in range(stay.admitted, stay.end)
            for stay in {(s.admitted, s.end): s for s in found.stays if s.request == number and s.offset == 0}.values()
            for step in range(found.steps)
        )
        for number in range(len(requests))
    }
    assert written == {number: request.output for number, request in enumerate(requests)}


@settings(deadline=None)
@given(REQUESTS, st.integers(32, 80))
def test_what_theory_says(requests, slots):
    """Foreseen lengths waste no slot inside; pages of one slot reserve none; a text wastes less than a page."""
    exact = serve(requests, slots, "exact", longest=26)
    assert all(row[2] == 0 for row in exact.use)
    ones = serve(requests, slots, "pages", longest=26, page=1)
    assert all(row[1] == row[2] == 0 for row in ones.use)
    pages = serve(requests, slots, "pages", longest=26, page=8)
    assert all(row[1] + row[2] < 8 * max(1, running) for row, running in zip(pages.use, pages.running, strict=True))
    for policy in POLICIES:
        found = serve(requests, 26 * len(requests) + 8, policy, longest=26, page=1)
        assert found.steps == max(request.output for request in requests)
        assert not any(found.waiting)
        assert found.preempted == 0


def test_by_hand():
    """Two texts of 4 and 6 slots, 10 slots, one piece of 8: one after the other. Catches: the kinds mixed up."""
    two = [Request(2, 3), Request(3, 4)]
    one = serve(two, 10, "maximum", longest=8)
    assert one.steps == 7
    assert one.use[0] == (2, 2, 4, 2, 0)
    assert one.use[3] == (3, 3, 2, 0, 2)
    exact = serve(two, 10, "exact", longest=8)
    assert (exact.steps, exact.use[0]) == (4, (5, 5, 0, 0, 0))
    assert aside("power of two", Request(3, 5), 100) == 11
    assert aside("power of two", Request(3, 1), 100) == 4
    assert aside("power of two", Request(90, 33), 128) == 128


def test_a_text_that_gives_its_pages_back():
    """Two texts grow into one memory: the one that came last waits, and is read again with what it had written."""
    found = serve([Request(4, 9), Request(4, 9)], 16, "pages", longest=16, page=4)
    assert found.preempted == 1
    again = [stay for stay in found.stays if stay.request == 1 and stay.base > 4]
    assert again[0].base == 4 + 5
    assert found.running[0] == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([Request(5, 5)], 100, "luck", 50, 4), "A policy is one of"),
        (([Request(5, 5)], 100, "pages", 8, 4), "longer than the 8"),
        (([Request(5, 5)], 40, "maximum", 50, 4), "needs 50 slots and there are 40"),
        (([Request(5, 5)], 10, "pages", 50, 8), "more memory is needed"),
        (([Request(0, 5)], 100, "pages", 50, 8), "0|positions"),
        (([Request(5, 5)], 100, "pages", 50, 0), "at least one slot"),
    ],
)
def test_what_cannot_be_served_is_a_sentence(arguments, says):
    requests, slots, policy, longest, page = arguments
    with pytest.raises(PagingError, match=says):
        serve(requests, slots, policy, longest=longest, page=page)


# ---- lengths of real requests ----


def test_lengths_come_from_real_answers(tiny_model, tmp_path):
    """Catches: a length of the text instead of its tokens, an answer that runs past the context."""
    import tokentrace

    model = tokentrace.load("storyteller")
    texts = ["The old man opened the door and", "“Come in,” she said."]
    *_, (done, total, found) = measure(model, texts)
    assert (done, total) == (2, 2)
    assert found.prompts == tuple(len(model.tokenizer.encode(text)) for text in texts)
    again = tokentrace.generate(model, texts[0], seed=0, temperature=0.8, top_p=0.95, stop="\n", max_new_tokens=MOST)
    assert found.outputs[0] == len(again.steps)
    assert RequestLengths.load(found.save(tmp_path / "lengths.json")) == found
    for change, says in (
        ({"prompts": []}, "outputs"),
        ({"outputs": [0, 1]}, "at least one"),
        ({"ended": [1]}, "ended"),
    ):
        with pytest.raises(TraceError, match=says):
            RequestLengths.from_dict(found.to_dict() | change)


def test_prompts_are_of_many_lengths():
    lengths = {len(text.split()) for text in prompts()}
    assert len(prompts()) >= 40
    assert max(lengths) > 4 * min(lengths)


# ---- the view ----


@pytest.fixture
def view():
    return Paging(recorded_lengths(), model="storyteller")


def change(view, **fields):
    view._receive(view, {"type": "change", "fields": fields}, [])
    return view


def test_the_view_shows_the_simulation(view):
    """Catches: numbers of another policy, a simulation that was not made anew."""
    lengths = recorded_lengths()
    for fields in ({}, {"slots": 1024}, {"page": 1, "policy": "pages"}, {"longest": 400, "slots": 3000}):
        change(view, **fields)
        assert view.error == ""
        for row in view.services:
            made = serve(lengths.requests, view.settings["slots"], row["policy"], longest=view.settings["longest"],
                         page=view.settings["page"])  # fmt: skip
            assert (row["steps"], row["shares"], row["preempted"]) == (made.steps, made.shares, made.preempted)
        assert json.loads(json.dumps(view.shown, allow_nan=False))["use"] == [list(row) for row in view.service.use]
        assert 0 <= view.step < view.shown["steps"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"slots": 10}, "The memory has from 128"),
        ({"slots": "large"}, "The memory has"),
        ({"page": 0}, "A page has from 1"),
        ({"page": True}, "A page has"),
        ({"longest": 16}, "longer than the 16"),
        ({"longest": 4096}, "4,096 slots and there are 2,048"),
        ({"policy": "luck"}, "A policy is one of"),
        ({"policy": []}, "A policy is one of"),
        ({"speed": 1}, "no such setting"),
    ],
)
def test_what_cannot_be_set_changes_nothing(view, fields, says):
    before = view.settings, view.services, view.shown
    change(view, **fields)
    assert says in view.error
    assert (view.settings, view.services, view.shown) == before
    view._receive(view, {"type": "change"}, [])
    assert "Nothing was set" in view.error


def test_a_policy_that_cannot_serve_says_why(view):
    """Catches: a page that shows nothing because one of four ways fails."""
    change(view, policy="pages", slots=384)
    assert "more memory is needed" in view.services[0]["why"]
    assert view.services[3]["steps"] > 0
    assert "too small" in view.sentence


def test_the_sentence_follows_the_numbers(view):
    """Catches: pages praised where they gain nothing."""
    change(view, slots=8192)
    assert "nobody has to wait" in view.sentence
    change(view, slots=512, page=256)
    steps = {row["policy"]: row.get("steps") for row in view.services}
    assert ("not the fastest" in view.sentence) == (steps["pages"] > min(filter(None, steps.values())))


def test_the_prompts_are_answered_anew_and_stopped(view, monkeypatch):
    monkeypatch.setattr("tokentrace.request_lengths.prompts", lambda: ["The sea was", "He said"])

    async def act(stop):
        view._receive(view, {"type": "measure", "request": 1}, [])
        if stop:
            view._receive(view, {"type": "stop"}, [])
        await asyncio.gather(*view._tasks)

    asyncio.run(act(True))
    assert ("Stopped" in view.error, view.mode) == (True, "recorded")
    asyncio.run(act(False))
    assert (view.error, view.mode, len(view.lengths["prompts"])) == ("", "live", 2)
    assert all(sum(row["shares"].values()) == pytest.approx(1) for row in view.services)
    assert set(view.services[0]["shares"]) == set(KINDS)
