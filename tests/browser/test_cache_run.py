"""The grid, the race and the measurement, as a reader uses them in both hosts; every control, read off the page."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

import tokentrace
from tokentrace.cache_race import finished, race
from tokentrace.cache_run import WAYS, projections, recorded_cache_run, say_edit, say_race
from tokentrace.data import measured
from tokentrace.experiments.cache_run import tell_where

NOTEBOOK = "04_kv_cache.ipynb"
ADD_UP = "all => all.reduce((sum, each) => sum + each.getBoundingClientRect().width, 0)"
LIVE = 60_000  # ms that loading the model, or a run, may take on a busy machine


@pytest.fixture
def page(shared_notebook, host) -> Page:
    return shared_notebook(host, NOTEBOOK)


def view(page: Page, name: str) -> Locator:
    found = page.locator(f".tt-root.tt-{name}").first
    found.scroll_into_view_if_needed()
    return found


def shown(grid: Locator, fate: str) -> int:
    return grid.locator(f".tt-cachegrid-grid i[data-fate={fate}]").count()


def bars(grid: Locator) -> list[str]:
    return grid.locator(".tt-cachegrid-meter b").all_inner_texts()


def test_the_grid_grows_and_agrees_with_its_formula(page, host, screenshot):
    """Transport, keys, range, switch, table. Catches: a step that draws another one's bytes; a dead clock."""
    run, grid = recorded_cache_run(), view(page, "cachegrid")
    p, last, halves = (
        len(run.prompt_tokens),
        len(run.tokens) - 1,
        2 * min(run.shape.n_layer, 5 + (run.shape.n_layer < 7)),
    )
    sides, say = grid.locator(".tt-cachegrid-sides b"), grid.locator(".tt-cachegrid-say")
    screenshot(page, f"chapter4-grid-{host}")
    grid.get_by_role("button", name="The prompt’s pass").click()
    expect(say).to_contain_text(f"reads the {p} tokens of the prompt")
    assert (shown(grid, "pre"), shown(grid, "new"), shown(grid, "dec")) == (p * halves, 0, 0)
    expect(sides).to_have_text([f"{run.nbytes[0]:,}"] * 2)
    expect(grid.locator(".tt-cachegrid-agree")).to_have_text("✓ agree")
    grid.get_by_role("button", name="One pass forward").click()
    page.keyboard.press("ArrowRight")
    expect(say).to_contain_text("Pass 2 reads one token")
    assert (shown(grid, "new"), shown(grid, "dec")) == (halves, halves)
    expect(sides).to_have_text([f"{run.shape.bytes_of(p + 2):,}"] * 2)
    grid.get_by_role("button", name="cache off").click()
    expect(say).to_contain_text(f"reads all {p + 2} tokens again")
    assert (shown(grid, "redo"), shown(grid, "pre")) == ((p + 1) * halves, 0)
    grid.get_by_role("button", name="cache on").click()
    grid.get_by_role("button", name="One pass back").click()
    grid.get_by_role("button", name="Play").click()
    expect(say).to_contain_text("Pass 3 reads one token", timeout=10_000)
    grid.get_by_role("button", name="Pause").click()
    grid.get_by_role("slider", name="Pass").press("End")
    expect(say).to_contain_text(f"Pass {last} reads one token")
    kept, anew = (projections(p, last + 1, cached) for cached in (True, False))
    assert bars(grid)[:2] == [f"{kept:,} columns", f"{anew:,} columns"]
    grid.get_by_role("button", name="As a table").click()
    cells = grid.locator(".tt-cachegrid-twin tbody tr").nth(3).locator("td").all_inner_texts()
    assert cells[:4] == ["3", str(p + 3), f"{run.nbytes[3]:,}", f"{run.nbytes[3]:,}"]
    grid.get_by_role("button", name="As a table").click()
    grid.get_by_role("button", name="The last pass").click()


def test_a_cell_says_what_it_is_and_an_edit_what_it_spoils(page, host, screenshot):
    """Mouse and keys. Catches: an edit drawn at another place; layer 0 hatched like the others."""
    run, grid = recorded_cache_run(), view(page, "cachegrid")
    tip, say, shape = grid.locator(".tt-cachegrid-tip"), grid.locator(".tt-cachegrid-say"), run.shape
    half = shape.n_kv_head * shape.d_head * shape.n_bytes
    grid.locator(".tt-cachegrid-grid i").nth(2).hover()
    expect(tip).to_contain_text("Layer 0, key of position 2,")
    expect(tip).to_contain_text(f"{shape.n_kv_head} heads × {shape.d_head} numbers × {shape.n_bytes} bytes = {half:,}")
    grid.locator(".tt-cachegrid-grid i[tabindex='0']").focus()
    for key in ("Home", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    expect(tip).to_contain_text("Layer 0, value of position 3,")
    page.keyboard.press("Enter")
    expect(say).to_have_text(say_edit(run, run.edits[3]))
    spoiled = sum(row.count("1") for row in run.edits[3].changed) * 2
    if shape.n_layer <= 6:
        assert shown(grid, "stale") == spoiled
    first_row = grid.locator(".tt-cachegrid-grid i[data-layer='0'][data-half=K][data-fate=stale]")
    assert first_row.count() == run.edits[3].changed[0].count("1")
    screenshot(page, f"chapter4-edit-{host}")
    page.keyboard.press("Escape")
    assert shown(grid, "stale") == 0
    grid.locator(".tt-cachegrid-word").nth(1).click()
    expect(say).to_have_text(say_edit(run, run.edits[1]))
    grid.get_by_role("button", name="Put the token back").click()
    expect(say).to_contain_text("reads one token")


def test_the_race_is_run_in_its_measured_time(page, host, screenshot):
    """Both speeds, the counts, the table. Catches: lanes of another scale; a formula without its badge."""
    run, lanes = recorded_cache_run("cache_race"), view(page, "race")
    expect(lanes.locator(".tt-race-say")).to_have_text(say_race(run))
    n = len(run.tokens)
    expect(lanes.locator(".tt-race-num b")).to_have_text([str(n)] * 2)
    ends = [sum(run.ms(way)[run.middle_round(way)]) for way in WAYS]
    widths = [lanes.locator(f".tt-race-blocks[data-way={way}] i").evaluate_all(ADD_UP) for way in WAYS]
    assert widths[1] / widths[0] == pytest.approx(ends[1] / ends[0], rel=0.02)
    screenshot(page, f"chapter4-race-{host}")
    lanes.get_by_role("button", name="10 times slower").click()
    lanes.get_by_role("button", name="Run the race").click()
    expect(lanes.locator(".tt-race-clock")).to_contain_text("10 times slower")
    expect(lanes.locator(".tt-race-needle").first).to_be_visible()
    lanes.get_by_role("button", name="Stop").click()
    lanes.get_by_role("button", name="true time").click()
    lanes.get_by_role("button", name="Run the race").click()
    expect(lanes.get_by_role("button", name="Run the race")).to_be_visible(timeout=30_000)
    expect(lanes.locator(".tt-race-num b")).to_have_text([str(n)] * 2)
    counted = lanes.locator(".tt-race-work tbody tr").first.locator("td").all_inner_texts()
    p = len(run.prompt_tokens)
    assert counted[1:3] == [f"{projections(p, n, False):,}", f"{projections(p, n, True):,}"]
    only = lanes.locator(".tt-race-beyond")
    expect(only).to_contain_text("FORMULA ONLY")
    expect(only).to_contain_text("500,500 → 1,000 positions; query–key pairs 167,167,000 → 500,500")
    only.get_by_role("button", name="100", exact=True).click()
    expect(only).to_contain_text("5,050 → 100 positions")
    lanes.get_by_role("button", name="As a table").click()
    expect(lanes.locator(".tt-race-twin tbody tr")).to_have_count(n)
    lanes.get_by_role("button", name="As a table").click()


def test_runs_of_the_readers_own(page, host):
    """Live, stopped, refused. Catches: a Stop that loses what was shown; a live run under the recorded badge."""
    grid, recorded = view(page, "cachegrid"), recorded_cache_run("cache_race")
    text = "A cat sat by the window"
    grid.get_by_label("Text to continue").fill(text)
    grid.get_by_role("button", name="Write it").click()
    expect(grid.locator(".tt-badge").first).to_contain_text("LIVE storyteller", timeout=LIVE)
    model = tokentrace.load("storyteller")
    own = finished(race(model, text, len(recorded_cache_run().tokens), rounds=1, edits=True))
    expect(grid.get_by_role("button", name="Write it")).to_be_enabled(timeout=LIVE)
    grid.get_by_role("button", name="The last pass").click()
    expect(grid.locator(".tt-cachegrid-sides b")).to_have_text([f"{own.nbytes[-1]:,}"] * 2)
    grid.locator(".tt-cachegrid-word").nth(2).click()
    expect(grid.locator(".tt-cachegrid-say")).to_have_text(say_edit(own, own.edits[2]))
    grid.get_by_label("Text to continue").fill("word " * 60)
    grid.get_by_role("button", name="Write it").click()
    expect(grid.locator(".tt-problem")).to_contain_text("shorten it", timeout=LIVE)

    lanes = view(page, "race")
    lanes.get_by_role("button", name="240 tokens").click()
    lanes.get_by_role("button", name="Write it").click()
    lanes.get_by_role("button", name="Stop", exact=True).click(timeout=LIVE)
    expect(lanes.locator(".tt-problem")).to_contain_text("Stopped", timeout=LIVE)
    expect(lanes.locator(".tt-race-say")).to_have_text(say_race(recorded))
    expect(lanes.locator(".tt-badge").first).to_contain_text("RECORDED")
    lanes.get_by_role("button", name="40 tokens", exact=True).click()
    lanes.get_by_label("Text to continue").fill(text)
    lanes.get_by_role("button", name="Write it").click()
    expect(lanes.locator(".tt-race-num b").first).to_have_text("40", timeout=LIVE)
    expect(lanes.locator(".tt-badge").first).to_contain_text("LIVE storyteller")


def test_where_the_time_goes_is_shown_recorded(page, host):
    found = page.locator(".tt-root.tt-measure").filter(has_text="Where the time goes").first
    expect(found).to_contain_text(tell_where(measured("where_time_goes")).sentence)
    found.get_by_role("button", name="As a table").click()
    expect(found.locator("tbody tr")).to_have_count(3 * len(measured("where_time_goes")["lengths"]))
    found.get_by_role("button", name="As a table").click()
    assert re.search("linear layers", found.locator("svg").first.inner_html())
