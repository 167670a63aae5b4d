"""Start the notebooks as pages: Voila on this machine only, or JupyterLab with `--lab`.

    python -m tokentrace.dashboards [FOLDER] [--lab] [--port N] [--no-browser]

What else is given goes to Voila or JupyterLab as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import warnings
import webbrowser
from functools import lru_cache
from pathlib import Path

from tornado.web import HTTPError, RedirectHandler
from traitlets.config import Config
from voila.app import Voila
from voila.handler import BaseVoilaHandler

PACKAGE = Path(__file__).parent
NOTEBOOKS = PACKAGE.parents[1] / "notebooks"
SERIES = "tokentrace"

# The first holds the page template and a kernel that keeps the terminal quiet, whatever kernels the user has;
# from the second the template takes the widgets' own theme.
DATA_PATHS = (PACKAGE / "jupyter", PACKAGE / "frontend")


@lru_cache(maxsize=64)
def _title(notebook: Path, modified_ns: int) -> str:
    """First heading of a notebook, without a number of its own."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    prose = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    heading = re.search(r"^#\s+(.+)$", prose, re.MULTILINE)
    title = heading[1] if heading else notebook.stem.lstrip("0123456789_").replace("_", " ")
    return re.sub(r"^(?:chapter\s+)?\d+\s*[.:·–-]?\s*", "", title, flags=re.IGNORECASE).strip()


def chapters(folder: Path) -> list[dict[str, str]]:
    """Chapters of a folder in order: `number`, `title` and `file` of every `NN_name.ipynb`."""
    files = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    return [
        {"number": str(int(file.name[:2])), "title": _title(file, file.stat().st_mtime_ns), "file": file.name}
        for file in files
    ]


def add_course(page_config: dict, *, settings: dict, notebook_path: str = "", **_) -> dict:
    """Tell the template of a page which chapters stand beside it, and let MathJax come from this server.

    Voila calls this for every page. Links are file names: they hold under any address, also on Binder.
    """
    page = Path(settings["contents_manager"].root_dir, notebook_path)
    listed = chapters(page.parent)
    here = next((i for i, chapter in enumerate(listed) if chapter["file"] == page.name), None)
    beside = {"before": None, "after": listed[0] if listed else None}
    if here is not None:
        beside = {"before": listed[here - 1] if here else None, "after": (listed[here + 1 :] or [None])[0]}
    page_config["course"] = {"series": SERIES, "chapters": listed, "here": here, **beside}
    # As a server extension Voila names a public server here (voila.utils.get_page_config).
    page_config |= {"fullMathjaxUrl": None, "mathjaxConfig": None}
    if page.is_file() and "plotly" not in page.read_text(encoding="utf-8"):
        # its 5 MB are half of what a page loads
        wanted = [it for it in page_config["federated_extensions"] if it["name"] != "jupyterlab-plotly"]
        page_config["federated_extensions"] = wanted
    return page_config


def page_settings() -> Config:
    """Return what Voila's pages need, wherever Voila runs: here, inside JupyterLab, on Binder."""
    config = Config()
    config.VoilaConfiguration = Config(
        template="tokentrace",
        theme="light",  # the page itself switches between light and dark
        allow_template_override="NO",
        allow_theme_override="NO",
        strip_sources=False,  # hidden until the reader asks for the code
        show_tracebacks=False,
        page_config_hook=add_course,
        extension_allowlist=[
            "@jupyter-widgets/jupyterlab-manager",
            "@voila-dashboards/widgets-manager8",
            "anywidget",
            "jupyterlab-plotly",
        ],
    )
    config.VoilaExecutor.cell_error_instruction = "Open this notebook with `make lab` to see what went wrong."
    return config


class NotFound(BaseVoilaHandler):
    """Every address that leads nowhere, answered in the series' own look."""

    async def prepare(self):
        """Refuse before any method is looked for."""
        await super().prepare()
        raise HTTPError(404)


class Dashboards(Voila):
    """Voila with the series' index as its front page."""

    def init_settings(self) -> dict:
        """Answer only requests that name this machine, so that no other page can reach the kernels."""
        settings = super().init_settings()
        return settings | {
            "allow_remote_access": False,
            "default_handler_class": NotFound,
            "default_handler_args": {"voila_configuration": self.voila_configuration},
            "ws_ping_interval": 90_000,  # ms; equal, or tornado warns on the terminal
            "ws_ping_timeout": 90_000,
        }

    def init_handlers(self) -> list:
        """Lead `/` and the list of files to the index."""
        index = {"url": "/voila/render/index.ipynb", "permanent": False}
        return [(r"/", RedirectHandler, index), (r"/voila/tree.*", RedirectHandler, index), *super().init_handlers()]

    def launch_browser(self):
        """Say where the pages are; Voila calls this once the port is open."""
        print(f"{SERIES}: {self.connection_url}  (Ctrl+C stops it)", flush=True)
        if self.browser != "none":
            webbrowser.open(self.connection_url)


def _serve(folder: Path, port: int, browser: bool, more: list[str]):
    config = page_settings()
    config.Voila = Config(
        ip="127.0.0.1",
        port=port or 8866,
        root_dir=str(folder),
        log_level="ERROR",
        open_browser=True,
        browser="" if browser else "none",
        config_file_paths=[],
    )
    # A page that is closed ends its kernel; these end what a crashed browser left.
    config.MappingKernelManager = Config(cull_idle_timeout=600, cull_interval=60, cull_connected=False)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    Dashboards.launch_instance(argv=more, config=config)


def _lab(folder: Path, port: int, browser: bool, more: list[str]):
    from jupyterlab.labapp import LabApp

    warnings.simplefilter("ignore", DeprecationWarning)  # Jupyter's own, of no use to a reader
    os.environ["JUPYTER_CONFIG_PATH"] = str(PACKAGE / "jupyter")
    LabApp.launch_instance(
        argv=[
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={port or 8888}",
            f"--ServerApp.root_dir={folder.parent}",
            f"--ServerApp.open_browser={browser}",
            f"--LabApp.default_url=/lab/tree/{folder.name}/index.ipynb",
            "--Application.log_level=WARN",
            "--ServerApp.allow_root=True",  # in a container everybody is; it listens to this machine only
            *more,
        ]
    )


def _can_show_a_browser() -> bool:
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.stdout.isatty() and bool(display or sys.platform in ("darwin", "win32"))


def main(argv: list[str] | None = None):
    """Read the command line, keep the user's own Jupyter set-up out, and serve."""
    parser = argparse.ArgumentParser(prog="python -m tokentrace.dashboards", description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=NOTEBOOKS, help="folder of notebooks")
    parser.add_argument("--lab", action="store_true", help="open JupyterLab instead of the dashboards")
    parser.add_argument("--port", type=int, default=0, help="first port to try (8866, or 8888 for JupyterLab)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    options, more = parser.parse_known_args(argv)
    folder = options.folder.resolve()
    if not (folder / "index.ipynb").exists():
        parser.error(f"{folder} holds no index.ipynb")

    # Jupyter reads and writes inside this environment, whatever the user's home holds.
    os.environ["JUPYTER_CONFIG_DIR"] = str(Path(sys.prefix, "etc", "jupyter"))
    os.environ["JUPYTER_DATA_DIR"] = str(Path(sys.prefix, "share", "jupyter"))
    os.environ["JUPYTER_PATH"] = os.pathsep.join(map(str, DATA_PATHS))
    start = _lab if options.lab else _serve
    start(folder, options.port, _can_show_a_browser() and not options.no_browser, more)


if __name__ == "__main__":
    main()
