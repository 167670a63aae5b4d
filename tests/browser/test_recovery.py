"""Recovery and entropy drift as a reader uses them in both hosts; every number is read off the page."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tokentrace.data import measured
from tokentrace.experiments.entropy_drift import DRIFT
from tokentrace.recovery import OTHER, recorded_recovery, say

NOTEBOOK = "03_exposure.ipynb"
LIVE = 90_000  # ms that loading the model and the first prefixes may take on a busy machine


@pytest.fixture
def page(shared_notebook, host) -> Page:
    return shared_notebook(host, NOTEBOOK)


def view(page: Page, name: str, title: str) -> Locator:
    found = page.locator(f".tt-root.tt-{name}").filter(has=page.get_by_role("heading", name=title)).first
    found.scroll_into_view_if_needed()
    return found


def test_every_curve_can_be_looked_at(page, host, screenshot):
    """All kinds, both protocols, both measures, by mouse and by keys. Catches: a switch that draws another's curve."""
    run, recovery = recorded_recovery(), view(page, "rec", "Does it recover?")
    says, lines = recovery.locator(".tt-rec-say"), recovery.locator(".tt-plot-line")
    value = recovery.locator(".tt-stat-value")
    expect(recovery.locator(".tt-badge")).to_have_text(f"RECORDED {run.model.name}")
    expect(says).to_have_text(say(run, "random word", "given", "total_variation"))
    expect(lines).to_have_count(len(run.kinds))
    screenshot(page, f"recovery-{host}")
    for kind in run.kinds:
        recovery.get_by_role("radio", name=kind).check()
        expect(says).to_have_text(say(run, kind, "given", "total_variation"))
        half = run.curve(kind).half
        expect(value).to_contain_text(f"> {run.steps}" if half is None else str(half))
    recovery.get_by_role("radio", name=run.kinds[0]).check()
    page.keyboard.press("ArrowDown")
    expect(says).to_have_text(say(run, run.kinds[1], "given", "total_variation"))
    recovery.get_by_role("button", name="KL").click()
    expect(says).to_have_text(say(run, run.kinds[1], "given", "kl"))
    recovery.get_by_role("button", name="the model goes on by itself").click()
    expect(says).to_have_text(say(run, run.kinds[1], "own", "kl"))
    expect(lines).to_have_count(len(run.kinds) + 1)
    recovery.get_by_role("button", name="total variation").click()
    expect(says).to_have_text(say(run, run.kinds[1], "own", "total_variation"))
    met = run.curve(run.kinds[1], "own").met
    expect(value).to_have_text("no token" if met is None else f"token {met}")
    screenshot(page, f"recovery-own-{host}")


def test_the_table_holds_what_the_chart_draws(page):
    run, recovery = recorded_recovery(), view(page, "rec", "Does it recover?")
    recovery.get_by_role("button", name="the model goes on by itself").click()
    recovery.get_by_role("radio", name="foreign").check()
    recovery.get_by_role("button", name="As a table").click()
    rows = recovery.locator(".tt-rec-twin tbody tr")
    expect(rows).to_have_count(run.steps)
    heads = recovery.locator(".tt-rec-twin thead th").all_inner_texts()
    last = rows.last.locator("td").all_inner_texts()
    assert last[0] == str(run.steps)
    shown = dict(zip(heads[1:-1], last[1:-1], strict=True))
    for kind in (*run.kinds, OTHER):
        name = "no error, other numbers" if kind == OTHER else kind
        assert float(shown[name]) == pytest.approx(run.curve(kind, "own").mean[-1], abs=6e-4)
    foreign = run.curve("foreign", "own")
    low, high = map(float, last[-1].split(" to "))
    assert (low, high) == pytest.approx((foreign.low[-1], foreign.high[-1]), abs=6e-4)
    recovery.get_by_role("button", name="As a table").click()
    expect(rows).to_have_count(run.steps)
    expect(recovery.locator(".tt-rec-twin")).to_be_hidden()


def test_the_example_shows_what_was_spoilt(page):
    run, recovery = recorded_recovery(), view(page, "rec", "Does it recover?")
    recovery.get_by_role("button", name="the text goes on as it was").click()
    for example in run.examples[:3]:
        recovery.get_by_role("radio", name=example.kind).check()
        expect(recovery.locator(".tt-rec-was")).to_have_text(example.was.strip())
        expect(recovery.locator(".tt-rec-example mark")).to_have_text(example.now.strip())


def test_it_is_measured_here_until_it_is_stopped(page, host, screenshot):
    """Progress, a curve that grows, Stop that keeps what is done. Catches: a page that waits for the whole run."""
    recovery = view(page, "rec", "Does it recover?")
    recovery.get_by_label("Prefixes", exact=True).select_option("50")
    recovery.get_by_role("button", name="Measure here").click()
    stop = recovery.get_by_role("button", name="Stop")
    expect(stop).to_be_visible(timeout=LIVE)
    caption = recovery.locator(".tt-rec-caption")
    expect(caption).to_contain_text(re.compile(r"Mean over (12|24|36|48|50) prefixes"), timeout=LIVE)
    expect(recovery.locator(".tt-badge")).to_contain_text("LIVE storyteller")
    screenshot(page, f"recovery-live-{host}")
    if stop.is_visible():
        expect(recovery.get_by_role("progressbar")).to_have_attribute("aria-valuemax", "50")
        stop.click()
    expect(recovery.get_by_role("button", name="Measure here")).to_be_enabled(timeout=LIVE)
    expect(caption).to_contain_text(re.compile(r"Mean over (12|24|36|48|50) prefixes"))
    expect(recovery.locator(".tt-problem")).to_be_hidden()


def test_drift_is_shown_and_can_be_stopped(page, host, screenshot):
    drift = view(page, "measure", DRIFT.title)
    told = DRIFT.tell(measured("entropy_drift"))
    expect(drift.locator(".tt-measure-says")).to_have_text(told.sentence)
    drift.get_by_role("button", name="As a table").click()
    rows = drift.locator("tbody tr")
    expect(rows).to_have_count(len(told.rows))
    assert rows.nth(3).locator("td").all_inner_texts() == list(told.rows[3])
    screenshot(page, f"drift-{host}")
    drift.get_by_role("button", name="Measure here").click()
    stop = drift.get_by_role("button", name="Stop")
    stop.click(timeout=LIVE)
    expect(drift.locator(".tt-problem")).to_contain_text("the last whole measurement stays", timeout=LIVE)
    expect(drift.locator(".tt-measure-says")).to_have_text(told.sentence)
