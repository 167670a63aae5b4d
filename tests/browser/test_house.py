"""The house in a browser: the front page, the switches of the course bar, kernels that end, errors that speak."""

import time
import urllib.request

import nbformat
import pytest

SCRATCH, FIGURE = "90_scratch.ipynb", "91_figure.ipynb"


def test_index_opens_in_both_hosts(host, open_notebook, screenshot):
    page = open_notebook(host, "index.ipynb")
    assert page.locator("h1").first.is_visible()
    screenshot(page, f"index-{host}", full_page=host == "voila")


def test_front_door_leads_to_the_index(new_page, voila_server):
    page = new_page("voila")
    page.goto(voila_server.url)
    page.locator("body[data-tt-state=ready]").wait_for(state="attached")
    assert page.url.endswith("/voila/render/index.ipynb")
    assert "tokentrace" in page.title()


def test_everything_draws_without_a_network(host, open_notebook, screenshot):
    page = open_notebook(host, FIGURE)
    page.locator(".count").click()
    page.get_by_text("count 42").wait_for()  # there and back: the 42 comes from Python
    page.locator("mjx-container").first.wait_for()
    page.locator(".jp-RenderedImage img").wait_for()
    page.locator(".widget-slider").first.wait_for()
    screenshot(page, f"scratch-{host}")


def test_voila_inside_jupyterlab_wears_the_same_page(new_page, lab_server):
    # The way Binder serves it: there Voila would fetch MathJax from a public server.
    page = new_page("voila")
    page.goto(f"{lab_server.url}/voila/render/notebooks/{SCRATCH}")
    page.locator("body[data-tt-state=ready]").wait_for(state="attached", timeout=90_000)
    page.locator("mjx-container").first.wait_for()
    assert page.locator(".tt-course__home").is_visible()


def paper(page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_theme_is_switched_and_remembered(open_notebook, screenshot):
    page = open_notebook("voila", SCRATCH, color_scheme="dark")
    switch = page.locator("[data-tt-do=theme]")
    assert (switch.inner_text(), page.locator("body").get_attribute("data-jp-theme-light")) == ("Theme: auto", "false")
    dark = paper(page)
    screenshot(page, "scratch-voila-dark", full_page=True)
    switch.click()
    assert (switch.inner_text(), page.locator("body").get_attribute("data-jp-theme-light")) == ("Theme: light", "true")
    assert paper(page) != dark
    page.reload(wait_until="commit")
    page.locator("[data-tt-do=theme]").get_by_text("Theme: light").wait_for()
    assert paper(page) != dark
    page.locator("body[data-tt-state=ready]").wait_for(state="attached")


def test_the_first_frame_has_the_right_theme(open_notebook):
    page = open_notebook("voila", SCRATCH, color_scheme="dark")
    page.add_init_script(
        """const seen = new Set(); window.seen = seen;
        const look = () => { if (document.body) seen.add(getComputedStyle(document.body).backgroundColor);
                             requestAnimationFrame(look); };
        look();"""
    )
    page.reload()
    page.locator("body[data-tt-state=ready]").wait_for(state="attached")
    assert page.evaluate("[...seen]") == [paper(page)]


def test_large_type_and_code_on_demand(open_notebook, screenshot):
    page = open_notebook("voila", SCRATCH)
    code = page.locator(".jp-CodeCell .jp-InputArea").first
    assert not code.is_visible()
    page.locator("[data-tt-do=code]").click()
    assert code.is_visible()

    size = "parseFloat(getComputedStyle(document.querySelector('.jp-RenderedMarkdown p')).fontSize)"
    small = page.evaluate(size)
    page.locator("[data-tt-do=projector]").click()
    assert page.evaluate(size) == pytest.approx(1.5 * small)
    assert page.evaluate("document.body.hasAttribute('data-tt-projector')")  # the views follow this
    assert page.locator("[data-tt-do=projector]").get_attribute("aria-pressed") == "true"
    screenshot(page, "scratch-voila-projector")


def test_chapter_menu_by_keyboard(open_notebook):
    page = open_notebook("voila", "index.ipynb")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "tt-skip"
    page.locator(".tt-course__chapters summary").focus()
    page.keyboard.press("Enter")
    chapter = page.get_by_role("navigation", name="Chapters", exact=True).get_by_role("link", name="90")
    assert chapter.is_visible()
    page.keyboard.press("Escape")
    assert not chapter.is_visible()
    page.keyboard.press("Enter")
    chapter.click()
    page.locator("body[data-tt-state=ready]").wait_for(state="attached")
    assert page.url.endswith(SCRATCH)
    assert page.locator(".tt-course__chapters summary").inner_text().startswith("90")


def test_no_width_scrolls_sideways(open_notebook, screenshot):
    page = open_notebook("voila", FIGURE)
    page.locator("[data-tt-do=code]").click()
    for width in (320, 390, 640, 1280, 1920):  # 640 is also 1280 at 200 % zoom
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        screenshot(page, f"scratch-voila-{width}")


def test_kernels_end_with_their_page(fresh_voila_server, new_page):
    def settle_at(kernels: int) -> bool:
        end = time.monotonic() + 15
        while (alive := fresh_voila_server.kernels()) != kernels and time.monotonic() < end:
            time.sleep(0.2)
        return alive == kernels

    page = new_page("voila")
    ready = page.locator("body[data-tt-state=ready]")
    for name in (SCRATCH, FIGURE):
        page.goto(f"{fresh_voila_server.url}/voila/render/{name}")
        ready.wait_for(state="attached")
        assert settle_at(1)
    page.reload()
    ready.wait_for(state="attached")
    assert settle_at(1)
    with page.expect_event("close"):
        page.close(run_before_unload=True)
    assert settle_at(0)


def test_a_wrong_address_is_answered_in_our_words(new_page, voila_server):
    for address in ("/nowhere", "/voila/render/none.ipynb"):
        with pytest.raises(urllib.request.HTTPError) as refused:
            urllib.request.urlopen(voila_server.url + address)
        assert refused.value.code == 404
        assert "There is no such page" in refused.value.read().decode()


def test_only_this_machine_is_answered(voila_server):
    request = urllib.request.Request(f"{voila_server.url}/voila/render/index.ipynb", headers={"Host": "example.org"})
    with pytest.raises(urllib.request.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403


def test_a_cell_that_fails_says_where_to_look(new_page, voila_server, lessons):
    broken = lessons / "broken.ipynb"
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    notebook.cells = [nbformat.v4.new_code_cell("secret = 1\n1 / 0")]
    nbformat.write(notebook, broken)
    page = new_page("voila")
    page.goto(f"{voila_server.url}/voila/render/{broken.name}")
    page.locator("body[data-tt-state=ready]").wait_for(state="attached")
    assert "make lab" in page.locator("main").inner_text()
    assert "ZeroDivisionError" not in page.content()
