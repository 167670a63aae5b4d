"""The mask, one pass beside n, and the three regressors, as a reader uses them in both hosts; read off the page."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

import tokentrace
from tokentrace.autoregression import YULE, forecast, sunspots
from tokentrace.bigram import Bigram
from tokentrace.causal_mask import recorded_mask, say_change, study
from tokentrace.regressors import compare, mean_bits, recorded_regressors
from tokentrace.views.autoregression import say_forecast

NOTEBOOK = "01_chain_rule.ipynb"
LIVE = 60_000  # ms that loading the model may take on a busy machine


@pytest.fixture
def page(shared_notebook, host) -> Page:
    return shared_notebook(host, NOTEBOOK)


@pytest.fixture(scope="module")
def model():
    return tokentrace.load("storyteller")


def view(page: Page, name: str) -> Locator:
    found = page.locator(f".tt-root.tt-{name}").first
    found.scroll_into_view_if_needed()
    return found


def minus(text: str) -> str:
    return text.replace("-", "−")


def test_one_pass_and_n_passes_show_the_same_numbers(page, host, screenshot, model):
    """Every button and key, then a text of the reader's own. Catches: a row of the wrong pass, a dead clock."""
    run, passes = recorded_mask(), view(page, "pass")
    n = len(run.ids)
    rows = passes.locator("tbody tr")
    expect(rows).to_have_count(n)
    expect(passes.locator(".tt-pass-one")).to_have_text([minus(f"{value:.5f}") for value in run.one_pass])
    expect(passes.locator(".tt-pass-many")).to_have_text([minus(f"{value:.5f}") for value in run.n_passes])
    screenshot(page, f"chapter1-passes-{host}")
    passes.get_by_role("button", name="Before the first pass").click()
    expect(passes.locator(".tt-pass-where")).to_have_text("one pass only")
    expect(passes.locator(".tt-pass-many").first).to_have_text("")
    passes.get_by_role("button", name="One pass forward").click()
    expect(passes.locator(".tt-pass-where")).to_have_text(f"pass 1 of {n}")
    page.keyboard.press("ArrowRight")
    expect(passes.locator(".tt-pass-where")).to_have_text(f"pass 2 of {n}")
    expect(passes.locator(".tt-pass-say")).to_contain_text("2 passes read 3 positions")
    passes.get_by_role("button", name="One pass back").click()
    passes.get_by_role("button", name="Play").click()
    expect(passes.locator(".tt-pass-where")).to_have_text(f"pass {n} of {n}", timeout=15_000)
    passes.get_by_role("button", name="Before the first pass").click()
    passes.get_by_role("button", name="After the last pass").click()
    expect(passes.locator(".tt-pass-say")).to_contain_text(f"{n} passes read {n * (n + 1) // 2} positions")

    text = "A cat sat by the window."
    passes.get_by_label("Text to score").fill(text)
    passes.get_by_role("button", name="Measure").click()
    expect(passes.locator(".tt-badge")).to_contain_text("LIVE storyteller", timeout=LIVE)
    own = study(model, text)
    expect(rows).to_have_count(len(own.ids), timeout=LIVE)
    shown = [float(each.replace("−", "-")) for each in passes.locator(".tt-pass-one").all_inner_texts()]
    assert shown == pytest.approx(own.one_pass, abs=1e-3)


def test_a_changed_token_is_seen_only_later(page, host, screenshot, model):
    """Every control of the mask: offers, rows by mouse and keys, the switch, the table, a new word, a new text."""
    run, mask = recorded_mask(), view(page, "mask")
    n = len(run.ids)
    say, moves = mask.locator(".tt-mask-say"), mask.locator(".tt-mask-move .tt-num")
    expect(say).to_have_text(say_change(run, run.changes[0], True))
    assert mask.locator(".tt-mask-cells i[data-cut]").count() == n * (n + 1) // 2
    screenshot(page, f"chapter1-mask-{host}")
    at = run.changes[1].at
    mask.locator(".tt-mask-offers button").nth(1).click()
    expect(say).to_have_text(say_change(run, run.changes[1], True))
    assert moves.all_inner_texts()[:at] == ["0"] * at
    assert "0" not in moves.all_inner_texts()[at:]
    mask.get_by_role("button", name="mask off").click()
    expect(say).to_have_text(say_change(run, run.changes[1], False))
    expect(mask.locator(".tt-mask-cells i[data-cut]")).to_have_count(0)
    assert "0" not in moves.all_inner_texts()
    screenshot(page, f"chapter1-mask-off-{host}")
    mask.get_by_role("button", name="mask on").click()
    mask.get_by_role("button", name="As a table").click()
    expect(mask.locator(".tt-mask-twin tbody tr")).to_have_count(n + 1)
    mask.get_by_role("button", name="As a table").click()

    mask.locator(f".tt-mask-rows .tt-mask-row >> nth={run.changes[2].at}").locator("button").click()
    expect(say).to_have_text(say_change(run, run.changes[2], True))
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(mask.locator(".tt-mask-change")).to_contain_text("Token 2,")
    expect(mask.get_by_label("New token")).to_be_focused()
    page.keyboard.type("unpronounceablewordling")
    page.keyboard.press("Enter")
    expect(mask.locator(".tt-problem")).to_contain_text("one token takes one place", timeout=LIVE)
    mask.get_by_label("New token").fill("young")
    mask.get_by_role("button", name="Change", exact=True).click()
    expect(say).to_contain_text("Changing token 2, “old” to “young”", timeout=LIVE)
    expect(mask.locator(".tt-badge")).to_contain_text("LIVE storyteller")
    own = study(model, run.text, {2: " young"})
    shown = [float(each) for each in moves.all_inner_texts()]
    assert shown == pytest.approx(own.changes[0].moved, abs=0.06)

    mask.get_by_label("Text to read").fill("The sea was cold.")
    mask.get_by_role("button", name="Read").click()
    expect(mask.locator(".tt-mask-rows .tt-mask-row")).to_have_count(6, timeout=LIVE)
    mask.get_by_label("Text to read").fill("word " * 40)
    mask.get_by_role("button", name="Read").click()
    expect(mask.locator(".tt-problem")).to_contain_text("shorten it", timeout=LIVE)


def test_a_series_is_rolled_forward(page, host, screenshot):
    """Both sliders, the noise, another draw, the table; each against Python's own numbers."""
    series = view(page, "ar")
    say = series.locator(".tt-ar-say")
    found = forecast(sunspots(), 2, YULE[1])
    expect(say).to_have_text(say_forecast(found, False))
    expect(series.locator(".tt-stat-value").first).to_contain_text(f"{found['period']:.1f}")
    screenshot(page, f"chapter1-series-{host}")
    path = series.locator("path.tt-ar-own").get_attribute("d")
    series.get_by_label("Order p").focus()
    page.keyboard.press("ArrowRight")
    expect(say).to_have_text(say_forecast(forecast(sunspots(), 3, YULE[1]), False))
    series.get_by_label("Last year it is told").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(say).to_have_text(say_forecast(forecast(sunspots(), 3, YULE[1] - 2), False))
    series.get_by_role("button", name="with drawn residuals").click()
    expect(say).to_contain_text("cycling")
    noisy = series.locator("path.tt-ar-own").get_attribute("d")
    series.get_by_role("button", name="Draw again").click()
    expect(series.locator("path.tt-ar-own")).not_to_have_attribute("d", noisy)
    series.get_by_role("button", name="As a table").click()
    cells = series.locator(".tt-ar-twin tbody tr").first.locator("td").all_inner_texts()
    wanted = forecast(sunspots(), 3, YULE[1] - 2, 1)
    assert cells[0] == str(YULE[1] - 1)
    assert float(cells[2]) == pytest.approx(wanted["given"][0], abs=0.06)
    assert float(cells[3].replace("−", "-")) == pytest.approx(wanted["noisy"][0], abs=0.06)
    series.get_by_role("button", name="no noise").click()
    expect(say).not_to_contain_text("cycling")
    assert path != series.locator("path.tt-ar-own").get_attribute("d")


def test_three_regressors_go_on_from_the_readers_words(page, host, screenshot, model):
    record, columns = recorded_regressors(), view(page, "reg")
    expect(columns.locator(".tt-reg-column")).to_have_count(3)
    expect(columns.locator(".tt-reg-bits b").nth(2)).to_have_text(f"{mean_bits(record, 'gpt2'):.2f}")
    screenshot(page, f"chapter1-regressors-{host}")
    columns.get_by_label("Text to go on from").fill("The captain looked at the")
    columns.get_by_label("Seed").fill("5")
    columns.get_by_role("button", name="Compare").click()
    expect(columns.locator(".tt-badge")).to_contain_text("LIVE storyteller", timeout=LIVE)
    own = compare(model, Bigram.load(), "The captain looked at the", (5, 6))
    first = columns.locator(".tt-reg-column").nth(1).locator(".tt-reg-text").first
    squeezed = re.sub(r"\s+", " ", f"{own['prompt']}{own['bigram']['texts'][0]}").strip()
    expect(first).to_contain_text(squeezed[:60])
    columns.get_by_label("Text to go on from").fill(" ")
    columns.get_by_role("button", name="Compare").click()
    expect(columns.locator(".tt-problem")).to_contain_text("Type a few words first", timeout=LIVE)
