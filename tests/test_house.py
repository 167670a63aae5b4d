"""The house rules: pins in step, layers, clean notebooks, front-end modules that parse, nothing of one machine."""

import importlib.util
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import chromium
import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "widgets" / "tokentrace"
FRONTEND = PACKAGE / "frontend"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHAPTERS = [file for file in NOTEBOOKS if re.match(r"\d\d_", file.name)]
PAGE = PACKAGE / "jupyter" / "voila" / "templates" / "tokentrace" / "static"

HOSTS = {"IPython", "anywidget", "ipykernel", "ipywidgets", "jupyter_server", "jupyterlab", "voila"}
HEAVY = {"transformers", "matplotlib", "plotly"}
BARE = {"torch", "numpy", "tokenizers", "safetensors"}


def by_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ---- versions ----


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_conda_and_binder_get_the_same_versions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (from_pip,) = (part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    pins = [pin for pin in from_pip if not pin.startswith("--")]
    assert pins == project()["dependencies"]
    assert (ROOT / "binder" / "environment.yml").read_text() == (ROOT / "environment.yml").read_text()


def test_the_lock_holds_every_pin_and_no_local_build():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    locked = {line.lower().replace("_", "-") for line in lines}
    pins = project()["dependencies"] + project()["optional-dependencies"]["test"]
    assert set(pins) <= locked


# ---- layers ----

PURE = [f"tokentrace.{file.stem}" for file in PACKAGE.glob("*.py") if file.stem not in ("__init__", "dashboards")]


def imported_by(*modules: str) -> dict[str, set[str]]:
    """What each module brings into a fresh interpreter, one after the other."""
    code = """
import importlib, json, sys
brought = {}
for name in sys.argv[1:]:
    before = set(sys.modules)
    importlib.import_module(name)
    brought[name] = sorted({new.partition(".")[0] for new in sys.modules.keys() - before})
print(json.dumps(brought))
"""
    ran = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, check=True)
    return {name: set(brought) for name, brought in json.loads(ran.stdout).items()}


def test_the_trace_needs_only_python():
    brought = imported_by("tokentrace", "tokentrace.trace")
    assert not set().union(*brought.values()) & (HOSTS | HEAVY | BARE)


def test_computation_and_traces_know_no_host():
    wrong = {name: brought & (HOSTS | HEAVY) for name, brought in imported_by(*PURE).items()}
    assert {name: found for name, found in wrong.items() if found} == {}


def test_a_page_shows_its_records_without_torch():
    """Loading torch takes longer than all the rest of a page. Catches: a record whose module computes as well."""
    brought = imported_by("tokentrace.views", "tokentrace.data")
    assert not set().union(*brought.values()) & (HEAVY | {"torch"})


def test_only_views_import_a_widget_library():
    wanted = re.compile(rf"^\s*(?:from|import) ({'|'.join(HOSTS)})\b", re.MULTILINE)
    found = {by_name(file) for file in PACKAGE.rglob("*.py") if wanted.search(file.read_text())}
    allowed = {"widgets/tokentrace/dashboards.py"}
    assert {name for name in found if "/views/" not in name} <= allowed


@pytest.mark.parametrize("chapter", CHAPTERS, ids=by_name)
def test_one_word_runs_through_every_layer(chapter):
    word = chapter.stem[3:]
    layers = (
        PACKAGE / f"{word}.py",
        PACKAGE / "views" / f"{word}.py",
        FRONTEND / f"{word}.js",
        ROOT / "tests" / f"test_{word}.py",
    )
    assert [by_name(layer) for layer in layers if not layer.exists()] == []


# ---- notebooks ----


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=by_name)
def test_notebook_is_stored_without_what_a_run_leaves(notebook):
    content = json.loads(notebook.read_text())
    assert "widgets" not in content["metadata"]
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
    assert content["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=by_name)
def test_cells_are_short(notebook):
    code = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    lines = [sum(bool(line.strip()) for line in cell["source"]) for cell in code]
    assert max(lines) <= 15
    assert statistics.median(lines) <= 3


# ---- files ----


def test_nothing_in_the_repository_belongs_to_one_machine():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    places = [rf"/{name}/" for name in ("work", "root", "Users", "tmp/bash_jobs")] + [r"/home/\w+/"]
    registries = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "deb.debian" + ".org"]
    telling = re.compile(rf"(?<![\w.~])(?:{'|'.join(places)})|{'|'.join(map(re.escape, registries))}")
    found = []
    for name in listed.stdout.splitlines():
        file = ROOT / name
        if not file.is_file() or name == "tests/test_house.py" or file.suffix in (".safetensors", ".png"):
            continue
        found += [f"{name}: {hit[0]}" for hit in telling.finditer(file.read_text(encoding="utf-8", errors="ignore"))]
    assert listed.returncode == 0
    assert found == []


def test_modules_are_a_sittings_read():
    files = [file for kind in ("*.py", "*.js", "*.css") for file in PACKAGE.rglob(kind)]
    long = {by_name(file): n for file in files if (n := len(file.read_text().splitlines())) > 400}
    assert long == {}


# ---- front end ----

ENTRIES = sorted(file for file in FRONTEND.glob("*.js") if "export default" in file.read_text())


def test_there_are_widgets():
    assert ENTRIES


@pytest.mark.parametrize("entry", ENTRIES, ids=by_name)
def test_joined_module_parses(entry, node, tmp_path):
    from tokentrace.views._assets import esm

    joined = tmp_path / f"{entry.stem}.mjs"
    joined.write_text(esm(entry.name), encoding="utf-8")
    checked = subprocess.run([node, "--check", joined], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert not re.search(r"^\s*import\b", joined.read_text(), re.MULTILINE), "an import was not joined"


def test_style_sheets_use_only_tokens_that_exist():
    sheets = [*FRONTEND.rglob("*.css"), PAGE / "page.css"]
    scripts = [*FRONTEND.rglob("*.js"), PAGE / "page.js"]
    text = {file: file.read_text() for file in sheets + scripts}
    defined = {name for file in sheets for name in re.findall(r"(--tt-[\w-]+)\s*:", text[file])}
    defined |= {name for file in scripts for name in re.findall(r"--tt-[\w-]+", text[file])}
    missing = {by_name(file): set(re.findall(r"var\((--tt-[\w-]+)\)", text[file])) - defined for file in sheets}
    assert {name: tokens for name, tokens in missing.items() if tokens} == {}


@pytest.mark.parametrize("file", sorted((ROOT / "tests" / "js").glob("*.test.mjs")), ids=by_name)
def test_front_end_units(file, node):
    ran = subprocess.run([node, "--test", file], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not re.search(r"^# tests 0$", ran.stdout, re.MULTILINE), "no test in this file"


# ---- set-up ----


def test_a_browser_that_was_named_is_taken_or_refused(monkeypatch, tmp_path):
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(broken))
    assert chromium.find() is None
    broken.write_text("#!/bin/sh\necho Chromium 156\n")
    assert chromium.find() == str(broken)


def test_first_browser_on_path_that_starts(monkeypatch, tmp_path):
    monkeypatch.delenv("CHROMIUM", raising=False)
    for name, line in (("chromium", "exit 1"), ("google-chrome", "echo Chrome 150")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    assert chromium.find() == str(tmp_path / "google-chrome")


def test_an_index_that_never_answers_costs_no_more_than_its_patience(monkeypatch):
    spec = importlib.util.spec_from_file_location("torch_index", ROOT / ".ci" / "torch_index.py")
    torch_index = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(torch_index)
    monkeypatch.setattr(torch_index, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        assert not torch_index.answers(f"http://127.0.0.1:{silent.getsockname()[1]}/")
        assert time.monotonic() - start < 3


# ---- what the README says ----


def test_readme_lists_the_chapters():
    from tokentrace.dashboards import chapters

    rows = re.findall(r"^\| (\d+) · \[(.+?)\]\(notebooks/(.+?)\) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert rows == [(it["number"], it["title"], it["file"]) for it in chapters(ROOT / "notebooks")]


def test_readme_tells_about_how_long_a_file_is():
    said = re.findall(r"\]\(([\w/.]+)\) \((\d+) lines\)", (ROOT / "README.md").read_text())
    assert said
    real = {name: len((ROOT / name).read_text().splitlines()) for name, _ in said}
    assert {name: n for name, n in said if abs(int(n) - real[name]) > 0.2 * real[name]} == {}
