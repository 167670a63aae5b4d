"""The parts of chapter 2 around the loop: beam search, measurements, claims; every control, read off the page."""

import pytest
from playwright.sync_api import Locator, Page, expect

import tokentrace
from tokentrace.beam_search import beam_search, sentence_ends
from tokentrace.data import measured, searched
from tokentrace.experiments.generation_loop import ENDS, STOPS

NOTEBOOK = "02_generation_loop.ipynb"
LIVE = 60_000


@pytest.fixture
def page(shared_notebook, host) -> Page:
    return shared_notebook(host, NOTEBOOK)


def beams_of(page: Page) -> Locator:
    view = page.locator(".tt-beams")
    view.scroll_into_view_if_needed()
    return view


def shown(text: str) -> str:
    return text.replace("\n", "↵").strip()


def first_row(view: Locator, table: int) -> str:
    return view.locator(".tt-beam-texts").nth(table).locator("tbody tr").first.inner_text()


def at(view: Locator) -> int:
    return int(view.get_by_role("slider", name="Step").get_attribute("aria-valuenow"))


def visible(view: Locator, mark: str = "") -> int:
    return view.locator(f".tt-tree-node{mark}:visible").count()


def test_the_recorded_tree_grows_step_by_step(page, host, screenshot):
    """Catches: a hypothesis drawn before its step, a best one that is not the best, a slider that moves nothing."""
    beams = searched("beam_search")
    view = beams_of(page)
    expect(view.locator(".tt-badge")).to_contain_text("RECORDED")
    n = len(beams.steps)
    assert at(view) == n and visible(view) == sum(len(step.rows) for step in beams.steps)
    screenshot(page, f"beams-{host}")
    slider = view.get_by_role("slider", name="Step")
    slider.focus()
    for key, step in [("Home", 1), ("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("End", n), ("Home", 1)]:
        page.keyboard.press(key)
        assert at(view) == step
        assert visible(view) == sum(len(each.rows) for each in beams.steps[:step])
        assert visible(view, "[data-now]") == 1
        best = next(i for i, row in enumerate(beams.steps[step - 1].rows) if row.fate != "pruned")
        assert shown(beams.text(beams.tokens(step - 1, best))) in first_row(view, 0)
    page.keyboard.press("Space")
    expect(slider).to_have_attribute("aria-valuenow", "3", timeout=10_000)
    view.get_by_role("button", name="Pause").click()
    here = at(view)
    view.get_by_role("button", name="One step forward").click()
    view.get_by_role("button", name="One step forward").click()
    view.get_by_role("button", name="One step back").click()
    assert at(view) == here + 1
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] * (4.5 / n), box["y"] + box["height"] / 2)
    assert at(view) == 5
    view.get_by_role("button", name="Step 2", exact=True).click()
    assert at(view) == 2


def test_greedy_is_followed_until_it_is_pruned(page):
    beams, view = searched("beam_search"), beams_of(page)
    cut = beams.greedy_pruned()
    lead = view.locator(".tt-beam-lead")
    view.get_by_role("slider", name="Step").press("End")
    expect(lead).to_contain_text(f"{beams.ranking()[0].logprob:.2f}".replace("-", "−"))
    expect(lead).to_contain_text(f"{beams.greedy[-1][1]:.2f}".replace("-", "−"))
    if cut is None:
        expect(view).to_contain_text("Greedy's text is still in the beam.")
    else:
        expect(view).to_contain_text(f"Greedy's text was pruned at step {cut + 1}:")
        expect(view.locator(".tt-beam-texts").first).to_contain_text("greedy, not in the beam")


def test_the_penalty_ranks_as_python_does(page, host, screenshot):
    """Catches: a slider that changes the formula only, lengths that do not count the end."""
    beams, view = searched("beam_search_sentence"), beams_of(page)
    view.get_by_role("button", name="to the end of a sentence").click()
    expect(view.get_by_label("Number of beams")).to_have_value(str(beams.num_beams))
    slider, winners = view.get_by_role("slider", name="Length penalty"), set()
    for penalty in (0.0, 1.0, 2.0):
        slider.evaluate(
            "(node, value) => { node.value = value; node.dispatchEvent(new Event('input', {bubbles: true})); }",
            str(penalty),
        )
        best = beams.ranking(penalty)[0]
        row = first_row(view, 1)
        assert shown(beams.text(best.tokens)) in row and f"{best.score:.3f}".replace("-", "−") in row
        winners.add(row)
    assert len(winners) == 3
    screenshot(page, f"beams-penalty-{host}")
    view.get_by_role("button", name="a long text").click()
    expect(view).to_contain_text("so the penalty changes no order")
    expect(view).to_contain_text("it ends in a loop")


def test_a_live_search_is_the_search_of_python(page, host, screenshot):
    view = beams_of(page)
    model = tokentrace.load("storyteller")
    before = view.locator(".tt-tree-node").count()
    view.get_by_label("Prompt").fill("The king looked at the sea and")
    view.get_by_label("Number of beams").fill("3")
    view.get_by_label("Tokens at most").fill("12")
    view.get_by_role("button", name="with a sentence").click()
    view.get_by_role("button", name="Search", exact=True).click()
    expect(view.get_by_role("button", name="yours")).to_have_attribute("aria-pressed", "true", timeout=LIVE)
    expect(view.locator(".tt-badge")).to_contain_text("LIVE")
    wanted = beam_search(model, "The king looked at the sea and", 3, 12, ends=sentence_ends(model))
    assert view.locator(".tt-tree-node").count() == sum(len(step.rows) for step in wanted.steps) != before
    assert shown(wanted.text(wanted.ranking()[0].tokens)) in first_row(view, 1)
    screenshot(page, f"beams-live-{host}")
    table = view.get_by_role("button", name="As a table")
    table.click()
    rows = view.get_by_role("region", name="This step as a table").locator("tbody tr")
    assert rows.count() == len(wanted.steps[-1].rows)
    table.click()
    assert not rows.first.is_visible()
    view.get_by_role("button", name="a few tokens").click()
    expect(view.locator(".tt-badge")).to_contain_text("RECORDED")
    for label, value, words in [("Number of beams", "9", "Beams must be"), ("Number of beams", "", "Beams must be")]:
        view.get_by_label(label).fill(value)
        view.get_by_role("button", name="Search", exact=True).click()
        expect(view.get_by_role("alert")).to_contain_text(words)
    view.get_by_label("Number of beams").fill("2")
    view.get_by_label("Prompt").fill(" ")
    view.get_by_role("button", name="Search", exact=True).click()
    expect(view.get_by_role("alert")).to_contain_text("few words")


def test_measurements_show_the_record_and_measure_here(page, host, screenshot):
    """Catches: a badge that lies, a button that measures nothing, a Stop that is not heard."""
    views = page.locator(".tt-measure")
    assert views.count() == 5
    for i in range(5):
        view = views.nth(i)
        view.scroll_into_view_if_needed()
        expect(view.locator(".tt-badge")).to_contain_text("RECORDED")
        expect(view.locator("svg").first).to_be_visible()
        table = view.get_by_role("button", name="As a table")
        table.click()
        assert view.locator("tbody tr").count() > 1
        screenshot(page, f"measurement-{i}-{host}")
        table.click()
    assert ENDS.tell(measured("end_chances")).sentence in views.first.text_content()
    stops = views.nth(1)
    stops.scroll_into_view_if_needed()
    assert STOPS.tell(measured("stop_strings")).sentence in stops.text_content()
    stops.get_by_role("button", name="Measure here").click()
    expect(stops.locator(".tt-badge")).to_contain_text("LIVE", timeout=LIVE)
    expect(stops.get_by_role("button", name="Measure here")).to_be_visible(timeout=LIVE)
    assert "stop strings ended the run" in stops.text_content()
    long = views.nth(3)
    long.scroll_into_view_if_needed()
    picture = long.locator("svg").first.inner_html()
    long.get_by_role("button", name="Measure here").click()
    expect(long.locator(".tt-measure-track")).to_be_visible(timeout=LIVE)
    long.get_by_role("button", name="Stop").click()
    expect(long.get_by_role("alert")).to_contain_text("the last whole measurement stays", timeout=LIVE)
    expect(long.locator(".tt-badge")).to_contain_text("RECORDED")
    assert long.locator("svg").first.inner_html() == picture


def test_claims_are_filled_from_the_page(page, host, screenshot):
    table = page.locator(".tt-claims")
    table.scroll_into_view_if_needed()
    rows = table.locator("tbody tr")
    assert rows.count() == 17 and table.locator("[data-verdict=none]").count() == 0
    assert table.locator("[data-verdict=wrong]").count() >= 1
    screenshot(page, f"claims2-{host}")


def test_the_nucleus_figure_can_be_explored(page):
    figure = page.locator(".tt-figure").first
    figure.scroll_into_view_if_needed()
    expect(figure.locator("svg").first).to_be_visible()
    figure.get_by_role("button", name="Explore this figure").click()
    expect(page.locator(".js-plotly-plot")).to_be_visible(timeout=LIVE)
    expect(page.locator(".js-plotly-plot .scatterlayer .point").first).to_be_attached(timeout=LIVE)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dark", {"color_scheme": "dark"}),
        ("phone", {"width": 390, "height": 844}),
        ("projector", {"width": 1920, "height": 1080}),
    ],
)
def test_no_part_is_wider_than_its_page(open_notebook, host, screenshot, name, options):
    """Also keeps a picture of each part for a person to look at. Catches: a table that pushes the page sideways."""
    page = open_notebook(host, NOTEBOOK, **options)
    if name == "projector":
        page.evaluate("document.body.setAttribute('data-tt-projector', '')")
    for part in ("tt-strategies", "tt-beams", "tt-measure", "tt-figure", "tt-claims"):
        view = page.locator(f".{part}").first
        view.scroll_into_view_if_needed()
        page.wait_for_timeout(150)
        view.screenshot(path=screenshot(page, f"part-{part}-{name}-{host}"))
        assert view.evaluate("node => node.getBoundingClientRect().right <= innerWidth + 1"), part
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")
