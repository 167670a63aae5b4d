"""Both measurements of exposure bias, as a reader uses them in both hosts; read off the page."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tokentrace.bias_run import recorded_bias
from tokentrace.bias_words import say_contexts, say_excess, say_prefixes

NOTEBOOK = "03_exposure.ipynb"
LIVE = 120_000  # ms that a measurement may take on a busy machine


@pytest.fixture
def page(shared_notebook, host) -> Page:
    return shared_notebook(host, NOTEBOOK)


def view(page: Page) -> Locator:
    found = page.locator(".tt-root.tt-bias").first
    found.scroll_into_view_if_needed()
    return found


def cells(value: float, low: float, high: float, digits: int) -> str:
    return f"{value:.{digits}f}  [{low:.{digits}f}, {high:.{digits}f}]".replace("-", "−")


def test_the_record_is_looked_at_from_all_sides(page, host, screenshot):
    """Every switch, the keys, the table. Catches: a picture, sentence or table of another measure or decoder."""
    run, sides = recorded_bias(), view(page)
    says = sides.locator(".tt-bias-says")
    chosen = "greedy"
    expect(sides.locator(".tt-badge")).to_contain_text("RECORDED storyteller is the truth, draft the learner")
    expect(says).to_have_text(
        [say_prefixes(run, "total_variation"), say_excess(run, chosen), say_contexts(run, chosen)]
    )
    screenshot(page, f"chapter3-bias-{host}")
    line = sides.locator(".tt-bias-prefixes path.tt-plot-line").get_attribute("d")
    for label, name in (("Jensen-Shannon", "jensen_shannon"), ("quality", "quality")):
        sides.get_by_role("button", name=label).click()
        expect(says.nth(0)).to_have_text(say_prefixes(run, name))
        expect(sides.locator(".tt-bias-prefixes path.tt-plot-line")).not_to_have_attribute("d", line)
    sides.get_by_role("button", name="total variation").click()
    expect(sides.locator(".tt-bias-prefixes path.tt-plot-line")).to_have_attribute("d", line)

    expect(sides.locator(".tt-bias-decoders .tt-plot-line")).to_have_count(len(run.decoders))
    sides.get_by_role("button", name="AccErr").click()
    expect(sides.locator(".tt-bias-decoders .tt-plot-line")).to_have_count(len(run.decoders) + 1)
    sides.get_by_role("button", name="% excess").click()

    dots = sides.locator(".tt-bias-contexts circle.tt-plot-dot")
    expect(dots).to_have_count(3 * (run.texts + 1))
    other = run.decoders[-1].name
    sides.get_by_role("group", name="Decoder to look at").get_by_role("button", name=other, exact=True).focus()
    page.keyboard.press("Enter")
    expect(says.nth(1)).to_have_text(say_excess(run, other))
    expect(says.nth(2)).to_have_text(say_contexts(run, other))
    expect(sides.locator(".tt-bias-example")).to_contain_text(f"One of its texts: {other}")
    expect(sides.locator(".tt-bias-contexts svg")).to_have_attribute("aria-label", say_contexts(run, other))
    sides.get_by_role("group", name="Decoder to look at").get_by_role("button", name="T 1", exact=True).click()
    expect(dots).to_have_count(2 * (run.texts + 1))

    sides.get_by_role("button", name="As a table").click()
    tables = sides.locator(".tt-bias-tables table")
    rows = tables.nth(1).locator("tbody tr")
    expect(rows).to_have_count(len(run.groups))
    for place, group in enumerate(run.groups):
        expect(rows.nth(place).locator("td").last).to_have_text(cells(*group.acc_err.last(), 1))
    first = run.prefix["jensen_shannon"]
    expect(tables.nth(0).locator("tbody tr").first.locator("td").nth(2)).to_have_text(
        cells(first.value[0], first.low[0], first.high[0], 2)
    )
    expect(tables.nth(0).locator("tbody tr").last.locator("td").nth(1)).to_have_text(
        cells(*run.overall["total_variation"], 2)
    )
    sides.get_by_role("button", name="As a table").click()
    expect(tables.first).to_be_hidden()


def test_it_is_measured_here_and_can_be_stopped(page, host, screenshot):
    """A learner that is the oracle: exactly 1 and 0%, in all that is drawn and written. Then a run that is stopped.

    Catches: models, decoders or texts that are not those chosen, a Stop that loses what was shown.
    """
    sides = view(page)
    sides.get_by_label("Oracle, plays the data").select_option("draft")
    sides.get_by_label("Learner", exact=True).select_option("draft")
    sides.get_by_label("Texts of each kind").select_option("16")
    for box in sides.get_by_role("checkbox").all():
        if box.is_enabled():
            box.set_checked(box.get_attribute("value") == "T 2")
    sides.get_by_role("button", name="Measure here").click()
    looked_at = sides.get_by_role("group", name="Decoder to look at").locator("button:visible")
    expect(looked_at).to_have_text(["T 1", "T 2"], timeout=LIVE)
    expect(sides.locator(".tt-badge")).to_contain_text("LIVE draft is the truth, draft the learner, 16 texts")
    expect(sides.get_by_role("button", name="Measure here")).to_be_enabled(timeout=LIVE)
    says = sides.locator(".tt-bias-says")
    expect(says.nth(0)).to_contain_text("EB-C = 1.00 (95% band 1.00 to 1.00)")
    looked_at.filter(has_text="T 2").click()
    expect(says.nth(1)).to_contain_text("T 2: 112 steps gathered the error of 112.0 steps on data")
    screenshot(page, f"chapter3-bias-live-{host}")
    sides.get_by_role("button", name="As a table").click()
    rows = sides.locator(".tt-bias-tables table").nth(1).locator("tbody tr")
    expect(rows.locator("td:last-child")).to_have_text(["112.0  [112.0, 112.0]"] * 3)
    sides.get_by_role("button", name="As a table").click()

    sides.get_by_label("Texts of each kind").select_option("128")
    sides.get_by_role("button", name="Measure here").click()
    sides.get_by_role("button", name="Stop").click()
    expect(sides.locator(".tt-problem")).to_contain_text("Stopped; what was shown stays.", timeout=LIVE)
    expect(sides.get_by_role("button", name="Measure here")).to_be_enabled(timeout=LIVE)
    expect(says.nth(0)).to_contain_text("EB-C = 1.00")
