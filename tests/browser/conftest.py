"""Real pages in a real Chromium: Voila and JupyterLab as the launcher starts them.

A test asks for `open_notebook(host, name)` and gets a page whose cells have run and whose widgets are drawn.
Whatever page a test opens, three things must be empty when it ends: requests that left this machine, errors on
the console, and uncaught exceptions. `HOST_NOISE` lists the few errors that a host makes by itself.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import chromium
import nbformat
import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
STARTING = 90_000  # ms that a page may take until its widgets are drawn, on a busy machine
AWAY = re.compile(r"^(?!(https?|wss?)://(127\.0\.0\.1|localhost|\[::1\])[:/]|data:|blob:|about:|chrome-error:)")

# Part of a message -> why it is not ours.
HOST_NOISE: dict[str, dict[str, str]] = {"voila": {}, "lab": {}}

ARGUMENTS = [
    "--no-sandbox",  # containers run as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
]


@dataclass
class Server:
    """A running host of notebooks."""

    url: str
    process: subprocess.Popen
    folder: Path
    log: Path

    def kernels(self) -> int:
        """How many kernels it runs, counted as processes."""
        alive = 0
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended while we looked
                alive += "ipykernel_launcher" in " ".join(child.cmdline())
        return alive


@dataclass
class Guard:
    """What went wrong in a page while the test looked elsewhere."""

    host: str
    away: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    leaving: bool = False

    def watch(self, page: Page):
        page.on("request", lambda request: self._see(request.url))
        page.on("websocket", lambda websocket: self._see(websocket.url))
        page.on("pageerror", lambda error: self._hear(f"uncaught: {error}"))
        page.on("console", lambda message: message.type == "error" and self._hear(message.text))

    def _see(self, url: str):
        if AWAY.match(url):
            self.away.append(url)

    def _hear(self, text: str):
        if not self.leaving and not any(part in text for part in HOST_NOISE[self.host]):
            self.errors.append(text)


def scratch_notebooks() -> dict[str, nbformat.NotebookNode]:
    """One of each thing that a page must carry, independent of the lessons: a light notebook, and one with a figure."""
    counter = '''import anywidget, traitlets
class Counter(anywidget.AnyWidget):
    _esm = """export default { render({ model, el }) {
      const button = document.createElement("button");
      const draw = () => (button.textContent = `count ${model.get("n")}`);
      button.onclick = () => { model.set("n", model.get("n") + 1); model.save_changes(); };
      model.on("change:n", draw); draw(); button.className = "count"; el.append(button);
    } }"""
    n = traitlets.Int(0).tag(sync=True)
    @traitlets.observe("n")
    def _answer(self, change):
        if change.new == 1: self.n = 42
Counter()'''
    figure = "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 3, 2]);"
    cell, prose = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    light = [
        prose("# A page to test with\n\nMathematics without a network: $p(x_t)$."),
        cell(counter),
        cell("import ipywidgets\nipywidgets.IntSlider(description='tokens')"),
    ]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return {
        "90_scratch.ipynb": nbformat.v4.new_notebook(metadata=metadata, cells=light),
        "91_figure.ipynb": nbformat.v4.new_notebook(metadata=metadata, cells=[*light, cell(figure)]),
    }


@pytest.fixture(scope="session")
def lessons(tmp_path_factory) -> Path:
    """A copy of the notebooks that JupyterLab may write to, and the scratch notebooks."""
    home = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "notebooks", home / "notebooks", ignore=shutil.ignore_patterns(".*"))
    for name, notebook in scratch_notebooks().items():
        nbformat.write(notebook, home / "notebooks" / name)
    (home / "data").symlink_to(ROOT / "data")
    return home / "notebooks"


def _start(folder: Path, log: Path, *more: str) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tokentrace.dashboards", str(folder), "--no-browser", f"--port={port}", *more]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    else:
        process.kill()
    if process.poll() is not None:
        pytest.fail(f"{' '.join(command)} did not start:\n{log.read_text()[-3000:]}")
    yield Server(f"http://127.0.0.1:{port}", process, folder, log)
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


@pytest.fixture(scope="session")
def voila_server(lessons, tmp_path_factory) -> Iterator[Server]:
    yield from _start(lessons, tmp_path_factory.mktemp("voila") / "log")


@pytest.fixture
def fresh_voila_server(lessons, tmp_path) -> Iterator[Server]:
    """A Voila that nobody has used yet."""
    yield from _start(lessons, tmp_path / "log")


@pytest.fixture(scope="session")
def lab_server(lessons, tmp_path_factory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("lab")
    settings = [f"--LabApp.{kind}={home / kind}" for kind in ("workspaces_dir", "user_settings_dir")]
    open_door = ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"]
    yield from _start(lessons, home / "log", "--lab", *open_door, *settings)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = chromium.find()
    if program is None:
        pytest.fail(chromium.ADVICE)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=ARGUMENTS)


@pytest.fixture(params=["voila", "lab"])
def host(request) -> str:
    """Both hosts in turn."""
    return request.param


class Pages:
    """Guarded pages, each in a context of its own; when they are closed, their guards have the word."""

    def __init__(self, browser: Browser):
        self.browser = browser
        self.opened: list[tuple[Page, BrowserContext, Guard]] = []

    def new(self, host: str, *, width: int = 1280, height: int = 900, **options) -> Page:
        """Options are those of Playwright's `new_context`; `width` and `height` set the window."""
        context = self.browser.new_context(viewport={"width": width, "height": height}, **options)
        context.route(AWAY, lambda route: route.abort())
        page, guard = context.new_page(), Guard(host)
        page.set_default_timeout(30_000)
        guard.watch(page)
        self.opened.append((page, context, guard))
        return page

    def close(self):
        for page, context, guard in self.opened:
            if not page.is_closed():
                _leave(page, guard)
            context.close()
        self.judge()
        self.opened.clear()

    def judge(self):
        """Fail if something went wrong in a page since this was asked last."""
        away = [url for *_, guard in self.opened for url in guard.away]
        errors = [error for *_, guard in self.opened for error in guard.errors]
        for *_, guard in self.opened:
            guard.away, guard.errors = [], []
        assert not away, f"requests left this machine: {away}"
        assert not errors, f"errors in the page: {errors}"


@pytest.fixture
def pages(browser) -> Iterator[Pages]:
    pages = Pages(browser)
    yield pages
    pages.close()


@pytest.fixture
def new_page(pages) -> Callable[..., Page]:
    """`new_page(host, **options)`: a guarded page; options (color_scheme, reduced_motion, ...) as in `Pages.new`."""
    return pages.new


@pytest.fixture
def open_notebook(request, pages, lessons) -> Callable[..., Page]:
    """`open_notebook(host, name, **options)`: a page whose cells have run and whose widgets are drawn.

    Options are those of `new_page`. Cells that fail to run show in the page, and in JupyterLab fail the test.
    """

    def open_it(host: str, name: str, **options) -> Page:
        return _open(pages.new(host, **options), host, request.getfixturevalue(f"{host}_server"), lessons, name)

    return open_it


@pytest.fixture(scope="session")
def kept_pages(browser, voila_server, lab_server) -> Iterator[tuple[Pages, dict[tuple[str, str], Page]]]:
    """The pages that tests share, by host and name: those of one lesson at a time.

    The servers are asked for so that they outlive the pages.
    """
    pages: Pages = Pages(browser)
    yield pages, {}
    pages.close()


@pytest.fixture(scope="module")
def shared_notebook(request, kept_pages, lessons) -> Iterator[Callable[..., Page]]:
    """`shared_notebook(host, name)`: the same page for all tests of a lesson, for tests of views of their own.

    To open a lesson takes longer than most tests of it.
    """
    pages, kept = kept_pages

    def share(host: str, name: str) -> Page:
        if any(lesson != name for _, lesson in kept):
            pages.close()
            kept.clear()
        if (host, name) not in kept:
            server = request.getfixturevalue(f"{host}_server")
            kept[host, name] = _open(pages.new(host), host, server, lessons, name)
        kept[host, name].bring_to_front()
        return kept[host, name]

    yield share
    pages.judge()


def _leave(page: Page, guard: Guard):
    """Close as a reader does, so that the kernel ends too."""
    guard.leaving = guard.host == "lab"  # its debugger complains when the kernel is taken away
    if guard.leaving and page.evaluate("typeof jupyterapp !== 'undefined'"):
        page.evaluate("() => jupyterapp.shell.currentWidget?.context.sessionContext.shutdown()")
    page.goto("about:blank")
    page.wait_for_timeout(250)  # the page's last request is on its way and would end with its context


def _open(page: Page, host: str, server: Server, lessons: Path, name: str) -> Page:
    if host == "voila":
        page.goto(f"{server.url}/voila/render/{name}", wait_until="commit")
        page.locator("body[data-tt-state=ready]").wait_for(state="attached", timeout=STARTING)
    else:
        if (ROOT / "notebooks" / name).exists():  # JupyterLab may have saved it with outputs
            shutil.copy(ROOT / "notebooks" / name, lessons / name)
        page.goto(f"{server.url}/lab/tree/{lessons.name}/{name}?reset", wait_until="commit")
        page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=STARTING)
        ran = page.evaluate(
            """async () => {
                await jupyterapp.restored;
                await jupyterapp.shell.currentWidget.context.sessionContext.ready;
                return await jupyterapp.commands.execute("notebook:run-all-cells");
            }"""
        )
        assert ran is not False, f"{name} stopped: {page.locator('.jp-RenderedText').all_inner_texts()}"
        page.wait_for_function(
            """() => [...document.querySelectorAll(
                '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.widget-view+json"]'
            )].every((output) => output.children.length)""",
            timeout=STARTING,
        )
    return page


@pytest.fixture
def screenshot() -> Callable[..., Path]:
    """`screenshot(page, name)`: keep a picture in build/screenshots for a person to look at."""

    def take(page: Page, name: str, **options) -> Path:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        page.screenshot(path=path, **options)
        return path

    return take
