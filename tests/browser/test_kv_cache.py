"""The arithmetic and the shared memory, as a reader uses them in both hosts; read off the page."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tokentrace.architectures import PRESETS
from tokentrace.cache_reading import recorded_reading, shape_in
from tokentrace.kv_cache import as_kind, cache_bytes, largest_batch, longest_context, weight_bytes
from tokentrace.models import available
from tokentrace.paging import POLICIES, serve
from tokentrace.request_lengths import recorded_lengths

NOTEBOOK = "04_kv_cache.ipynb"
LIVE = 60_000  # ms that loading the model may take on a busy machine


@pytest.fixture
def page(shared_notebook, host) -> Page:
    return shared_notebook(host, NOTEBOOK)


def view(page: Page, name: str) -> Locator:
    found = page.locator(f".tt-root.tt-{name}").first
    found.scroll_into_view_if_needed()
    return found


def test_every_factor_is_a_control(page, host, screenshot):
    """Presets, every field, both sliders, kinds, card, table, and the model weighed live; each against Python.

    Catches: a control that is not heard, a number formatted away, a preset that claims to have run.
    """
    calc, reading = view(page, "calc"), recorded_reading()
    total, measured = calc.locator(".tt-calc-side b").nth(0), calc.locator(".tt-calc-side b").nth(1)
    badge = calc.locator(".tt-badge")
    factors = calc.locator(".tt-calc-factor b")

    def shows(shape, *settings):
        expect(total).to_have_text(f"{cache_bytes(shape, *settings):,}")

    def fill(label, text):
        field = calc.get_by_label(label, exact=True)
        field.fill(text)
        field.press("Enter")

    expect(total).to_have_text(f"{reading.nbytes:,}")
    expect(measured).to_have_text(f"{reading.nbytes:,}")
    expect(badge).to_contain_text("RECORDED")
    screenshot(page, f"chapter4-arithmetic-{host}")

    own = shape_in(available()["storyteller"], "storyteller")
    fill("positions", "100")
    shows(own, 100, 1, "fp32")
    expect(measured).to_have_text("not weighed yet")
    calc.get_by_role("button", name="Weigh it here").click()
    expect(badge).to_contain_text("LIVE storyteller", timeout=LIVE)
    expect(measured).to_have_text(f"{cache_bytes(own, 100, 1, 'fp32'):,}", timeout=LIVE)
    expect(calc.locator(".tt-calc-agree")).to_contain_text("agree")

    shape = PRESETS["llama-2-70b"]
    calc.get_by_role("button", name="Llama 2 70B").click()
    expect(total).to_have_text("1,342,177,280")
    expect(measured).to_have_text("not run here")
    expect(badge).to_contain_text("FORMULA ONLY")
    expect(factors).to_have_text(["2", "80", "8", "128", "4,096", "1", "2"])
    for kind in ("MQA", "MLA", "MHA", "GQA"):
        calc.locator(".tt-calc-kind", has_text=kind).click()
        shows(as_kind(shape, kind, shape), 4096)
    fill("KV heads", "7")
    expect(calc.locator(".tt-problem")).to_contain_text("64 query heads cannot be shared out evenly among 7")
    expect(calc.get_by_label("KV heads", exact=True)).to_have_value("8")
    expect(total).to_have_text("1,342,177,280")
    fill("batch", "nonsense")
    expect(calc.locator(".tt-problem")).to_contain_text("The batch must be a whole number")
    calc.get_by_label("numbers in").select_option("int4")
    shows(shape, 4096, 1, "int4")
    expect(calc.locator(".tt-problem")).to_be_hidden()
    calc.get_by_label("batch, slider").focus()
    page.keyboard.press("ArrowRight")
    shows(shape, 4096, 2, "int4")
    calc.get_by_label("positions", exact=True).focus()
    page.keyboard.press("ArrowUp")
    shows(shape, 4097, 2, "int4")
    calc.get_by_label("positions, slider").focus()
    page.keyboard.press("Home")
    shows(shape, 1, 2, "int4")

    calc.get_by_label("All architectures").select_option("gemma-3-12b")
    gemma = PRESETS["gemma-3-12b"]
    fill("positions", "8,192")
    shows(gemma, 8192, 2, "int4")
    expect(calc.locator(".tt-calc-factor").nth(1)).to_contain_text("8 × 8,192 + 40 × 1,024")
    fill("card, GB", "48")
    room = 48 * 10**9 - weight_bytes(gemma)
    answers = calc.locator(".tt-calc-answers dd")
    expect(answers.nth(0)).to_contain_text(f"{longest_context(gemma, room, 2, 'int4'):,}")
    expect(answers.nth(1)).to_have_text(f"{largest_batch(gemma, room, 8192, 'int4'):,}")
    calc.get_by_label("weights in").select_option("fp32")
    expect(calc.locator(".tt-calc-say")).to_contain_text("fp32")
    for label, text in (
        ("layers", "10"),
        ("layers with it", "4"),
        ("window", "99"),
        ("head size", "64"),
        ("query heads", "24"),
    ):
        fill(label, text)
    calc.get_by_role("button", name="As a table").click()
    expect(calc.locator(".tt-calc-twin")).to_contain_text("6 × 8,192 + 4 × 99")
    wanted = 2 * 8 * 64 * (6 * 8192 + 4 * 99) * 2 // 2
    expect(total).to_have_text(f"{wanted:,}")
    expect(calc.locator(".tt-calc-presets .tt-note")).to_contain_text("changed by you")


def test_one_memory_is_shared_four_ways(page, host, screenshot):
    """Sliders, page sizes, policies, the whole transport, keys and the table; each against the simulation here."""
    pages, lengths = view(page, "pages"), recorded_lengths()
    longest = lengths.model.n_ctx
    served = {way: serve(lengths.requests, 2048, way, longest=longest) for way in POLICIES}
    steps = pages.locator("button.tt-pages-row .tt-num:last-child")
    where = pages.locator(".tt-pages-where")
    expect(steps).to_have_text([f"{served[way].steps:,}" for way in POLICIES])
    pages.locator("button.tt-pages-row", has_text="pages, as").click()
    expect(where).to_contain_text(f"of {served['pages'].steps:,}:")
    screenshot(page, f"chapter4-paging-{host}")

    def at(step, service):
        row = service.use[step]
        expect(where).to_have_text(
            f"Step {step + 1:,} of {service.steps:,}: {service.running[step]} served, {service.waiting[step]} waiting. "
            f"Of {service.slots:,} slots {row[0]:,} hold tokens, {row[1]:,} are reserved, {row[2]:,} will never be "
            f"filled, {row[3] + row[4]:,} are free."
        )
        texts = pages.locator(".tt-pages-slot[data-use=tokens]").evaluate_all(
            "nodes => nodes.reduce((sum, node) => sum + Number(node.getAttribute('width')), 0)"
        )
        assert texts == row[0]  # what is drawn blue is what holds tokens

    pages.get_by_role("button", name="First step").click()
    at(0, served["pages"])
    pages.get_by_role("button", name="Step forward").click()
    page.keyboard.press("ArrowRight")
    at(2, served["pages"])
    pages.get_by_role("button", name="Step back").click()
    at(1, served["pages"])
    pages.get_by_role("button", name="Last step").click()
    at(served["pages"].steps - 1, served["pages"])
    pages.get_by_role("button", name="First step").click()
    pages.get_by_role("button", name="Play").click()
    expect(where).not_to_have_text(re.compile("^Step [1-3] "), timeout=15_000)
    pages.get_by_role("button", name="Pause").click()
    pages.get_by_label("Step", exact=True).focus()
    page.keyboard.press("Home")
    at(0, served["pages"])

    pages.get_by_role("group", name="Slots of a page").get_by_text("64", exact=True).click()
    coarse = serve(lengths.requests, 2048, "pages", longest=longest, page=64)
    expect(steps.nth(3)).to_have_text(f"{coarse.steps:,}")
    pages.get_by_label("memory, slots").focus()
    page.keyboard.press("ArrowRight")
    more = serve(lengths.requests, 2176, "exact", longest=longest, page=64)
    expect(steps.nth(2)).to_have_text(f"{more.steps:,}")
    pages.get_by_label("longest text there may be").focus()
    page.keyboard.press("Home")
    expect(pages.locator(".tt-problem")).to_contain_text("longer than the 128")
    expect(pages.get_by_label("longest text there may be")).to_have_value(str(longest))
    pages.get_by_role("button", name="As a table").click()
    expect(pages.locator(".tt-pages-twin tbody tr")).to_have_count(4)
    expect(pages.locator(".tt-pages-twin")).to_contain_text(f"{more.steps:,}")
    pages.get_by_role("button", name="Answer the prompts here").click()
    expect(pages.locator(".tt-badge")).to_contain_text("LIVE", timeout=LIVE)
    pages.get_by_role("button", name="Stop").click()
    expect(pages.locator(".tt-problem")).to_contain_text("Stopped", timeout=LIVE)
    expect(pages.locator(".tt-badge")).to_contain_text("RECORDED")
