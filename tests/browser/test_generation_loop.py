"""Chapter 2 as a reader uses it, in Voila and in JupyterLab; every result is read off the page."""

import os
import signal
import time

import psutil
import pytest
from playwright.sync_api import Locator, Page, expect

import tokentrace
from tokentrace.repetition import measures

NOTEBOOK = "02_generation_loop.ipynb"
WRITTEN = ".tt-chip:not([data-given]):not([data-unwritten])"
LENGTH = len(tokentrace.recorded("generation_loop").steps)
LIVE = 60_000  # ms that loading the model and writing may take on a busy machine


@pytest.fixture
def page(open_notebook, host) -> Page:
    return open_notebook(host, NOTEBOOK)


def player_of(page: Page) -> Locator:
    player = page.locator(".tt-player")
    player.scroll_into_view_if_needed()
    return player


def text_of(player: Locator) -> str:
    """What stands there, as text: chips with their spaces, line ends as the marks that show them."""
    return player.locator(".tt-text").first.text_content()


def shown(text: str) -> str:
    return text.replace("\n", "↵")


def place(player: Locator) -> tuple[int, int]:
    """Which token is shown, and of how many."""
    value = player.get_by_role("slider", name="Token")
    return int(value.get_attribute("aria-valuenow")), int(value.get_attribute("aria-valuemax"))


def set_up(player: Locator, prompt: str, **fields):
    player.get_by_label("Prompt: the text to continue").fill(prompt)
    settings = player.get_by_title("Settings")
    if settings.get_attribute("aria-expanded") == "false":
        settings.click()
    for name, value in fields.items():
        if name == "strategy":
            player.get_by_role("button", name=value, exact=True).click()
        else:
            player.get_by_label(name, exact=True).fill(str(value))


def write(player: Locator, prompt: str, **fields):
    set_up(player, prompt, **fields)
    player.get_by_role("button", name="Write", exact=True).click()


def wait_until_written(player: Locator):
    expect(player.get_by_role("button", name="Write", exact=True)).to_be_visible(timeout=LIVE)


def test_first_paint_is_the_recorded_run(page, host, screenshot):
    """Catches: a page that needs the model before it shows anything, a badge that lies."""
    trace = tokentrace.recorded("generation_loop")
    player = player_of(page)
    expect(player.locator(".tt-badge")).to_contain_text("RECORDED")
    expect(player.locator(WRITTEN)).to_have_count(len(trace.steps))
    assert text_of(player) == shown(trace.prompt + trace.text)
    screenshot(page, f"chapter2-{host}")


def test_write_live_then_step_scrub_branch_and_return(page, host, screenshot):
    player = player_of(page)
    write(player, "The king looked at the sea and", tokens=20, seed=3)
    wait_until_written(player)
    expect(player.locator(".tt-badge")).to_contain_text("LIVE")
    expect(player.locator(WRITTEN)).to_have_count(20)
    settings = tokentrace.recorded("generation_loop").settings
    model = tokentrace.load("storyteller")
    wanted = tokentrace.generate(
        model,
        "The king looked at the sea and",
        seed=3,
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        max_new_tokens=20,
    )
    assert text_of(player) == shown(wanted.prompt + wanted.text)

    wave = player.get_by_role("slider", name="Token")
    wave.focus()
    assert place(player) == (20, 20)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(player.locator(WRITTEN)).to_have_count(18)
    page.keyboard.press("Home")
    expect(player.locator(WRITTEN)).to_have_count(0)
    page.keyboard.press("End")
    expect(player.locator(WRITTEN)).to_have_count(20)
    box = wave.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.26, box["y"] + box["height"] / 2)
    expect(wave).to_have_attribute("aria-valuenow", "6")

    # Branch by keyboard: the best word that was not written, then back to the first run.
    wave.focus()
    page.keyboard.press("ArrowDown")
    if wanted.steps[5].rank == 1:
        page.keyboard.press("ArrowDown")
    chosen = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("Enter")
    expect(player.get_by_role("group", name="Runs").get_by_role("button")).to_have_count(2, timeout=LIVE)
    wait_until_written(player)
    forked = text_of(player)
    assert not forked.startswith(shown(wanted.prompt + wanted.text)), chosen
    screenshot(page, f"branch-{host}")
    player.get_by_role("slider", name="Token").focus()
    page.keyboard.press("Escape")
    page.keyboard.press("End")
    expect(player.locator(WRITTEN)).to_have_count(20)
    assert text_of(player) == shown(wanted.prompt + wanted.text)


def test_stop_ends_the_run_at_once_and_keeps_it(page):
    """Catches: a Stop that is heard only when the run is over."""
    player = player_of(page)
    write(player, "Once upon a time", tokens=400)
    expect(player.locator(".tt-badge[data-running]")).to_be_visible(timeout=LIVE)
    expect(player.locator(WRITTEN).nth(5)).to_be_attached(timeout=LIVE)
    player.get_by_role("button", name="Stop", exact=True).click()
    wait_until_written(player)
    page.wait_for_timeout(300)
    _, written = place(player)
    assert 5 < written < 400
    page.wait_for_timeout(500)
    assert place(player)[1] == written


def test_switching_the_strategy_changes_what_is_written(page):
    player = player_of(page)
    prompt = "The lighthouse keeper opened the door and"
    write(player, prompt, strategy="greedy", tokens=LENGTH)
    wait_until_written(player)
    expect(player.get_by_title("Settings")).to_contain_text("greedy")
    assert text_of(player) == shown(prompt + tokentrace.recorded("generation_loop_greedy").text)
    expect(player.locator(".tt-draw")).to_contain_text("no draw")
    write(player, prompt, strategy="sample", temperature=0.7, **{"top-k": "", "top-p": "", "seed": 6})
    wait_until_written(player)
    assert text_of(player) == shown(prompt + tokentrace.recorded("generation_loop_temperature").text)


def test_bad_input_is_a_sentence_and_nothing_is_lost(page):
    player = player_of(page)
    before = text_of(player)
    problem = player.get_by_role("alert")
    for prompt, fields, words in [
        ("", {}, "Type a few words first"),
        ("a bell \x07 rings", {}, "control character (U+0007)"),
        ("word " * 2000, {}, "shorten it"),
        ("fine", {"temperature": "0"}, "temperature must be"),
        ("fine", {"temperature": "0.8", "top-p": "3"}, "top_p must be"),
        ("fine", {"top-p": "0.9", "seed": "-1"}, "seed must be"),
        ("fine", {"seed": "", "tokens": "5000"}, "seed must be"),
        ("fine", {"seed": "1", "tokens": "5000"}, "max_new_tokens must be"),
    ]:
        write(player, prompt, **fields)
        expect(problem).to_contain_text(words, timeout=LIVE)
        assert text_of(player) == before
    write(player, "Fine weather", seed=1, tokens=5)
    expect(player.locator(WRITTEN)).to_have_count(5, timeout=LIVE)
    expect(problem).to_be_hidden()


def test_every_toggle_and_speed_changes_the_view(page):
    player = player_of(page)
    for name, changed in [
        ("Show spaces", lambda: "tt-show-space" in player.get_attribute("class")),
        ("As a table", lambda: player.get_by_role("table").count() == 1),
        ("Large type", lambda: "tt-projector" in player.get_attribute("class")),
    ]:
        toggle = player.get_by_role("button", name=name)
        assert not changed()
        toggle.click()
        expect(toggle).to_have_attribute("aria-pressed", "true")
        assert changed(), name
        toggle.click()
        assert not changed(), name
    took = {}
    for speed in ("15/s", "4/s"):
        player.get_by_role("button", name=speed).click()
        wave = player.get_by_role("slider", name="Token")
        wave.focus()
        page.keyboard.press("Home")
        start = time.perf_counter()
        page.keyboard.press("Space")
        expect(player.locator(WRITTEN).nth(9)).to_be_attached(timeout=15_000)
        took[speed] = time.perf_counter() - start
        page.keyboard.press("Space")
    assert took["4/s"] > took["15/s"]


def test_the_readers_own_loop_agrees(page):
    compare = page.locator(".tt-compare")
    compare.get_by_role("button", name="Run the loop").click()
    expect(compare.get_by_role("status")).to_have_text(
        f"All {LENGTH} tokens are the same: this loop is the recorded one.", timeout=LIVE
    )


def test_strategies_move_together_and_are_written_anew(page, host, screenshot):
    view = page.locator(".tt-strategies")
    view.scroll_into_view_if_needed()
    steps = view.get_by_role("slider", name="Step")
    expect(steps).to_have_attribute("aria-valuenow", str(LENGTH))
    steps.focus()
    for key, value in [
        ("Home", "1"),
        ("ArrowRight", "2"),
        ("ArrowRight", "3"),
        ("ArrowLeft", "2"),
        ("End", str(LENGTH)),
    ]:
        page.keyboard.press(key)
        expect(steps).to_have_attribute("aria-valuenow", value)
    page.keyboard.press("Home")
    needles = view.locator(".tt-needle:visible")
    places = {needles.nth(i).evaluate("each => each.style.getPropertyValue('--u')") for i in range(needles.count())}
    assert needles.count() == 4 and len(places) == 1, "the same number for all lanes that draw"
    expect(view.locator(".tt-lane").last).to_contain_text("no draw: the search took the whole text")
    view.get_by_role("button", name="Play").click()
    expect(steps).to_have_attribute("aria-valuenow", "3", timeout=10_000)
    view.get_by_role("button", name="Pause").click()
    page.keyboard.press("End")

    toggle = view.get_by_role("button", name="Every step as a table")
    toggle.click()
    rows = view.get_by_role("region", name="The lanes step by step").locator("tbody tr")
    assert rows.count() == LENGTH
    beam = tokentrace.recorded("generation_loop_beam")
    assert beam.token_text(beam.tokens[0]).strip() in rows.first.inner_text() and "no draw" in rows.first.inner_text()
    toggle.click()
    assert not rows.first.is_visible()
    counted = view.locator("table").first.locator("tbody tr")
    found = measures(beam.tokens)
    assert f"{found.distinct_2:.2f}" in counted.last.inner_text() and str(found.longest) in counted.last.inner_text()

    before = view.locator(".tt-lane").nth(3).inner_text()
    view.get_by_label("Seed of the random numbers").fill("8")
    view.get_by_role("button", name="Write all lanes").click()
    expect(view.locator(".tt-badge")).to_contain_text("LIVE", timeout=LIVE)
    expect(view.get_by_role("button", name="Write all lanes")).to_be_visible(timeout=LIVE)
    assert view.locator(".tt-lane").nth(3).inner_text() != before
    wanted = tokentrace.recorded("generation_loop_greedy")
    assert shown(wanted.text) in text_of(view.locator(".tt-lane").nth(0)), "greedy draws nothing, so it stays"
    assert shown(beam.text) in text_of(view.locator(".tt-lane").nth(5)), "nor does the beam"
    screenshot(page, f"strategies-{host}")
    view.get_by_label("Prompt").fill("")
    view.get_by_role("button", name="Write all lanes").click()
    expect(view.get_by_role("alert")).to_contain_text("Type a few words first")


def test_a_kernel_that_died_is_said_and_nothing_is_lost(page, host, request):
    """Catches: a page that waits for ever."""
    player = player_of(page)
    before = text_of(player)
    server = psutil.Process(request.getfixturevalue(f"{host}_server").process.pid)
    for child in server.children(recursive=True):
        if "ipykernel_launcher" in " ".join(child.cmdline()):
            os.kill(child.pid, signal.SIGSTOP)
    try:
        write(player, "Nobody listens", tokens=5)
        expect(player.get_by_role("alert")).to_contain_text("The kernel does not answer", timeout=20_000)
        assert text_of(player) == before
    finally:
        for child in server.children(recursive=True):
            os.kill(child.pid, signal.SIGCONT)
