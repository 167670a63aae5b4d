"""The two lanes as a reader uses them in both hosts; every number is read off the page."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

import tokentrace
from tokentrace.exposure import TwoLanes, recorded_lanes, say_error, say_place, say_recovery
from tokentrace.passages import passage, passages
from tokentrace.two_lanes import put_error, run_lanes

NOTEBOOK = "03_exposure.ipynb"
LIVE = 60_000  # ms that loading the model may take on a busy machine


@pytest.fixture
def page(shared_notebook, host) -> Page:
    return shared_notebook(host, NOTEBOOK)


@pytest.fixture(scope="module")
def model():
    return tokentrace.load("storyteller")


def view(page: Page) -> Locator:
    found = page.locator(".tt-root.tt-exposure").first
    found.scroll_into_view_if_needed()
    return found


def lane(lanes: Locator, which: str) -> list[str]:
    return [each.strip() for each in lanes.locator(f".tt-lanes-token[data-lane={which}]").all_inner_texts()]


def words(run: TwoLanes, tokens) -> list[str]:
    """Tokens as the page writes them, white space made visible."""
    shown = [run.token_text(token) for token in tokens]
    return [each.strip() if each.strip() else each.replace("\n", "↵").replace(" ", "·") for each in shown]


def bars(lanes: Locator) -> list[float]:
    """Heights as they are written; a lane that has ended has none."""
    texts = lanes.locator(".tt-lanes-apart span").all_inner_texts()
    return [0.001 if "·" in text else float(text) for text in texts if text]


def test_the_lanes_show_the_recorded_run(page, host, screenshot):
    """Every button and key, both measures, the table, both records. Catches: a bar of the wrong place, a dead clock."""
    run, sampled, lanes = recorded_lanes("exposure"), recorded_lanes("exposure_sampled"), view(page)
    n, say = len(run.true), lanes.locator(".tt-lanes-say")
    expect(lanes.locator(".tt-badge")).to_contain_text("RECORDED storyteller")
    expect(lanes.locator(".tt-lanes-place")).to_have_count(n)
    expect(say).to_have_text(say_place(run, 3))
    expect(lanes.locator(".tt-lanes-place[data-later]")).to_have_count(n - 4)
    lanes.get_by_role("button", name="Last place").click()
    assert lane(lanes, "upper") == words(run, run.true)
    assert lane(lanes, "lower") == words(run, run.own)
    assert bars(lanes) == pytest.approx(run.tv, abs=0.0051)
    zeros = lanes.locator(".tt-lanes-apart span").all_inner_texts().count("0")
    assert zeros == run.tv.count(0.0) == (n if run.parted is None else run.parted + 1)
    ticks = [each == "✓" for each in lanes.locator(".tt-lanes-said").all_inner_texts()]
    assert ticks == [choice == true for choice, true in zip(run.choices, run.true, strict=True)]
    expect(say).to_have_text(say_place(run, n - 1))
    stats = lanes.locator(".tt-lanes-found .tt-stat-value")
    expect(stats.nth(0)).to_contain_text(f"{run.forced_loss:.2f}")
    expect(stats.nth(1)).to_contain_text(f"{run.free_loss:.2f}")
    screenshot(page, f"chapter3-lanes-{host}")

    lanes.get_by_role("button", name="First place").click()
    expect(say).to_have_text(say_place(run, 0))
    expect(lanes.locator(".tt-lanes-place[data-later]")).to_have_count(n - 1)
    lanes.get_by_role("button", name="One place forward").click()
    page.keyboard.press("ArrowRight")
    expect(say).to_have_text(say_place(run, 2))
    expect(lanes.locator(".tt-tri-many figcaption")).to_contain_text(f"Pass 3 of {n}")
    lanes.get_by_role("button", name="One place back").click()
    expect(say).to_have_text(say_place(run, 1))
    page.keyboard.press("End")
    expect(say).to_have_text(say_place(run, n - 1))
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    lanes.get_by_role("button", name="Play", exact=True).click()
    expect(lanes.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    expect(say).to_have_text(say_place(run, n - 1), timeout=20_000)
    expect(lanes.get_by_role("button", name="Play", exact=True)).to_be_visible()

    lanes.get_by_role("button", name="KL", exact=True).click()
    expect(lanes.locator(".tt-lanes-labels")).to_contain_text("nats")
    assert bars(lanes) == pytest.approx(run.kl, abs=0.051)
    lanes.get_by_role("button", name="total variation", exact=True).click()
    lanes.get_by_role("button", name="As a table").click()
    rows = lanes.locator(".tt-lanes-twin tbody tr")
    expect(rows).to_have_count(n)
    cells = rows.nth(4).locator("td").all_inner_texts()
    assert float(cells[3]) == pytest.approx(-run.forced_logprobs[4], abs=1e-4)
    assert float(cells[5]) == pytest.approx(-run.free_logprobs[4], abs=1e-4)
    lanes.get_by_role("button", name="As a table").click()

    lanes.get_by_role("button", name=f"{sampled.title}, sampled").click()
    expect(say).to_have_text(say_place(sampled, len(sampled.true) - 1))
    assert lane(lanes, "lower") == words(sampled, sampled.own)
    lanes.get_by_role("button", name=f"{run.title}, greedy").click()
    expect(say).to_have_text(say_place(run, n - 1))


def test_an_error_is_put_in_and_taken_out(page, host, screenshot, model):
    """A recorded error, one at a word that is clicked, one that is typed. Catches: a badge that says RECORDED of it."""
    run, lanes = recorded_lanes("exposure"), view(page)
    n, say, found = len(run.true), lanes.locator(".tt-lanes-say"), lanes.locator(".tt-lanes-found")
    error = run.errors[1]
    lanes.locator(".tt-lanes-kinds").get_by_role("button", name=error.kind).click()
    expect(say).to_have_text(re.compile(r"^\d+ tokens? after the error"))  # it plays from the error on
    expect(lanes.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    lanes.locator(".tt-lanes-place button").nth(error.at).click()
    expect(say).to_have_text(say_error(run, error, error.at))
    lanes.get_by_role("button", name="Last place").click()
    expect(say).to_have_text(say_error(run, error, n - 1))
    expect(found).to_contain_text(say_recovery(error))
    expect(lanes.locator(".tt-badge")).to_contain_text("RECORDED")
    assert lane(lanes, "upper") == words(run, run.own)
    assert lane(lanes, "lower")[: len(error.own)] == words(run, error.own)
    assert bars(lanes)[: len(error.own)] == pytest.approx(error.tv, abs=0.0051)
    expect(lanes.locator("button[data-error]")).to_have_text(run.token_text(error.token).strip())
    assert lanes.locator(".tt-plot-dot").count() == len(error.after())
    screenshot(page, f"chapter3-error-{host}")
    page.keyboard.press("Escape")
    expect(lanes.locator("button[data-error]")).to_have_count(0)
    assert lane(lanes, "upper") == words(run, run.true)

    at = next(place for place in range(n - 12, n) if run.random[place] != run.own[place])
    lanes.locator(".tt-lanes-place button").nth(at).click()
    expect(lanes.locator(".tt-lanes-where")).to_contain_text(f"Place {at + 1}, ")
    lanes.locator(".tt-lanes-kinds").get_by_role("button", name="random word").click()
    expect(lanes.locator(".tt-badge")).to_contain_text("LIVE storyteller", timeout=LIVE)
    own = put_error(model, run, at, run.random[at], "random word").errors[-1]
    expect(lanes.locator("button[data-error]")).to_have_text(run.token_text(own.token).strip())
    lanes.get_by_role("button", name="Last place").click()
    expect(say).to_have_text(re.compile(rf"^{n - 1 - at} tokens? after the error"))
    assert lane(lanes, "lower")[: len(own.own)] == [
        (model.tokenizer.decode([token])).strip() or "↵" for token in own.own
    ]
    assert bars(lanes)[: len(own.own)] == pytest.approx(own.tv, abs=0.0061)

    lanes.get_by_label("Your word for this place").fill("unpronounceablewordling")
    lanes.get_by_role("button", name="Put in").click()
    expect(lanes.locator(".tt-problem")).to_contain_text("one token takes one place", timeout=LIVE)
    lanes.get_by_label("Your word for this place").fill("sea")
    lanes.get_by_role("button", name="Put in").click()
    expect(lanes.locator("button[data-error]")).to_have_text("sea", timeout=LIVE)
    lanes.get_by_role("button", name="Remove the error").click()
    expect(lanes.locator("button[data-error]")).to_have_count(0)


def test_lanes_of_another_text(page, host, model):
    """A passage, its settings and what is wrong with them. Catches: a setting that does not reach the model."""
    lanes, n_texts = view(page), len(passages())
    expect(lanes.get_by_label("text", exact=True).locator("option")).to_have_count(n_texts)
    lanes.get_by_label("text", exact=True).select_option("soup")
    lanes.get_by_role("button", name="sample", exact=True).click()
    for label, value in (
        ("words given", "10"),
        ("temperature", "0.7"),
        ("top-k", "30"),
        ("top-p", "0.95"),
        ("seed", "4"),
    ):
        lanes.get_by_label(label, exact=True).fill(value)
    lanes.get_by_role("button", name="Write", exact=True).click()
    expect(lanes.get_by_role("button", name=f"{passage('soup').title}, sampled, live")).to_be_visible(timeout=LIVE)
    settings = {"strategy": "sample", "temperature": 0.7, "top_k": 30, "top_p": 0.95}
    own = run_lanes(model, passage("soup"), words=10, seed=4, **settings)
    expect(lanes.locator(".tt-lanes-say")).to_have_text(re.compile(rf"Place {len(own.true)} of"))
    assert lane(lanes, "lower") == words(own, own.own)
    assert bars(lanes) == pytest.approx(own.tv, abs=0.0061)
    expect(lanes.locator(".tt-lanes-given")).to_contain_text("Take three leeks")
    lanes.get_by_label("words given").fill("4000")
    lanes.get_by_role("button", name="Write", exact=True).click()
    expect(lanes.locator(".tt-problem")).to_contain_text("from 0 to 100", timeout=LIVE)
    assert lane(lanes, "lower") == words(own, own.own)
