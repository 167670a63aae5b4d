"""Prefill and decode, fewer bits, and many readers, as a reader uses them in both hosts; read off the page."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tokentrace.batching import Machine, compare, draw_requests, rates_worth_trying, say_batching
from tokentrace.data import measured
from tokentrace.experiments.kv_cache import EXPERIMENTS

NOTEBOOK = "04_kv_cache.ipynb"
LIVE = 90_000  # ms that loading the model and measuring may take on a busy machine
MACHINE = Machine.measured(measured("prefill_decode"))
RATES = [None, *rates_worth_trying(MACHINE)]


@pytest.fixture
def page(shared_notebook, host) -> Page:
    return shared_notebook(host, NOTEBOOK)


@pytest.fixture
def lanes(page) -> Locator:
    found = page.locator(".tt-root.tt-lanes").first
    found.scroll_into_view_if_needed()
    return found


def served(requests=24, lanes=8, rate=3, spread=0.8, seed=1) -> dict:
    """What Python makes of these settings."""
    return compare(draw_requests(requests, RATES[rate], spread, seed), MACHINE, lanes)


def test_lanes_show_the_simulation(page, lanes, host, screenshot):
    """Every control, each against Python's own numbers. Catches: a slider that is not heard, a block in another row."""
    say, wanted = lanes.locator(".tt-lanes-say"), served()
    expect(say).to_have_text(say_batching(wanted))
    for place, policy in enumerate(("static", "continuous")):
        plot = lanes.locator(".tt-lanes-rows").nth(place)
        for row in range(8):
            inside = plot.locator(f".tt-lanes-row >> nth={row}").locator(".tt-lanes-write").count()
            assert inside == sum(one["lane"] == row for one in wanted[policy]["served"])
        padded = sum(one["released"] > one["end"] for one in wanted[policy]["served"])
        expect(plot.locator(".tt-lanes-pad")).to_have_count(padded)
    screenshot(page, f"chapter4-lanes-{host}")
    lanes.get_by_label("requests", exact=True).focus()
    page.keyboard.press("ArrowLeft")
    expect(say).to_have_text(say_batching(served(requests=23)))
    lanes.get_by_label("they come").focus()
    page.keyboard.press("Home")
    expect(say).to_have_text(say_batching(served(requests=23, rate=0)))
    expect(lanes).to_contain_text("they come: all at once")
    lanes.get_by_label("lengths differ").focus()
    page.keyboard.press("Home")
    expect(say).to_have_text(say_batching(served(requests=23, rate=0, spread=0.0)))
    expect(lanes).to_contain_text("tokens each")
    page.keyboard.press("End")
    lanes.get_by_role("button", name="4 rows").click()
    lanes.get_by_role("button", name="Draw again").click()
    now = served(requests=23, rate=0, spread=1.0, lanes=4, seed=2)
    expect(say).to_have_text(say_batching(now))
    expect(lanes.locator(".tt-lanes-row")).to_have_count(8)

    lanes.get_by_role("group", name="Requests; arrow keys choose one").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    one = now["continuous"]["served"][21]
    expect(lanes.locator(".tt-lanes-chosen")).to_contain_text(
        f"Request 22 came at 0.00 s and wants {one['tokens']} token"
    )
    expect(lanes.locator(".tt-lanes-chosen")).to_contain_text(f"last after {one['end']:.3f} s.")
    assert lanes.locator("[data-now]").count() >= 4
    lanes.locator("[data-request='0'].tt-lanes-write").first.click()
    expect(lanes.locator(".tt-lanes-chosen")).to_contain_text("Request 1 came")
    lanes.get_by_role("button", name="As a table").click()
    expect(lanes.locator(".tt-lanes-twin tbody tr")).to_have_count(23)
    expect(lanes.locator(".tt-lanes-twin tbody tr").nth(21)).to_contain_text(f"{one['end']:.3f}")
    lanes.get_by_role("button", name="As a table").click()


def test_time_can_be_played_and_scrubbed(page, lanes):
    """Catches: a clock that does not start, counts of another time."""
    stands = lanes.locator(".tt-lanes-stand")
    count = len(measured_requests(lanes))
    expect(stands.first).to_have_text(f"0 waiting, 0 being served, {count} done")
    lanes.get_by_label("Time").focus()
    page.keyboard.press("Home")
    expect(lanes.locator(".tt-lanes-transport b")).to_have_text("0.00 s")
    expect(stands.nth(1)).to_contain_text("1 being served, 0 done")
    page.keyboard.press("ArrowRight")
    expect(lanes.locator(".tt-lanes-transport b")).not_to_have_text("0.00 s")
    lanes.get_by_role("button", name="true time").click()
    lanes.get_by_role("button", name="Play").click()
    expect(lanes.get_by_role("button", name="Pause")).to_be_visible()
    expect(stands.first).to_have_text(f"0 waiting, 0 being served, {count} done", timeout=30_000)
    expect(lanes.get_by_role("button", name="Play")).to_be_visible()


def measured_requests(lanes: Locator) -> set[str]:
    blocks = lanes.locator(".tt-lanes-rows >> nth=0").locator("[data-request]").all()
    return {block.get_attribute("data-request") for block in blocks}


def test_step_times_are_measured_here(page, lanes):
    """Stop keeps what was shown; a whole measurement serves everybody anew. Catches: a schedule of old times."""
    say, badge = lanes.locator(".tt-lanes-say"), lanes.locator(".tt-badge")
    expect(say).not_to_have_text("")
    before = say.text_content()  # a part of a notebook out of sight has no inner text in JupyterLab
    lanes.get_by_role("button", name="Measure step times here").click()
    expect(lanes.locator(".tt-lanes-foot")).to_contain_text("%", timeout=LIVE)
    lanes.get_by_role("button", name="Stop").click()
    expect(lanes.locator(".tt-problem")).to_contain_text("Stopped", timeout=LIVE)
    expect(say).to_have_text(before)
    expect(badge).to_contain_text("RECORDED")
    lanes.get_by_role("button", name="Measure step times here").click()
    expect(lanes.get_by_role("button", name="Stop")).to_be_visible()
    expect(lanes.get_by_role("button", name="Measure step times here")).to_be_visible(timeout=LIVE)
    expect(badge).to_contain_text("LIVE step times: storyteller", timeout=LIVE)
    expect(say).not_to_have_text(before)


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda each: each.title)
def test_measurements_are_told_and_drawn(page, host, screenshot, experiment):
    view = page.locator(".tt-root.tt-measure").filter(
        has=page.locator("h2", has_text=re.compile(f"^{experiment.title}$"))
    )
    view.scroll_into_view_if_needed()
    told = experiment.tell(measured(experiment.name))
    expect(view.locator(".tt-measure-says")).to_have_text(told.sentence)
    expect(view.locator("svg")).to_be_visible()
    view.get_by_role("button", name="As a table").click()
    expect(view.locator("tbody tr")).to_have_count(len(told.rows))
    assert view.locator("tbody tr").last.locator("td").all_inner_texts() == list(told.rows[-1])
    screenshot(page, f"chapter4-{experiment.title.replace(' ', '-').lower()}-{host}")
    view.get_by_role("button", name="As a table").click()


def test_what_is_said_of_speed_is_told_with_numbers(page):
    claims = page.locator(".tt-root").filter(has_text="Reading a prompt is compute-bound.").last
    claims.scroll_into_view_if_needed()
    expect(claims).to_contain_text("operations a byte")
    expect(claims).to_contain_text("Keys are better rounded per channel")
