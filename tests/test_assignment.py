"""The nbgrader twin of a lesson: valid for nbgrader, gives points for right answers alone, and holds none."""

import copy
import json
import re
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from tokentrace.assignment import assignment

CHAPTERS = ["01_chain_rule", "02_generation_loop", "03_exposure", "04_kv_cache"]


def lesson(root, name):
    return json.loads((root / "notebooks" / f"{name}.ipynb").read_text())


def graded(notebook):
    return [cell for cell in notebook["cells"] if cell["metadata"].get("nbgrader", {}).get("grade")]


@pytest.fixture(params=CHAPTERS)
def twin(request, root):
    return assignment(lesson(root, request.param))


def test_it_is_what_nbgrader_reads(twin):
    """The rules of nbgrader's metadata schema 3, and the notebook format's own."""
    nbformat.validate(nbformat.from_dict(copy.deepcopy(twin)))
    known = {"schema_version", "grade", "locked", "solution", "task", "grade_id", "points", "checksum", "cell_type"}
    seen = set()
    for cell in twin["cells"]:
        meta = cell["metadata"].get("nbgrader")
        if meta is None:
            continue
        assert cell["cell_type"] == "code" and meta.keys() <= known and meta["schema_version"] == 3
        assert re.fullmatch(r"[a-zA-Z0-9_\-]+", meta["grade_id"]) and meta["grade_id"] not in seen
        assert ("points" in meta) == meta["grade"]
        assert not (meta["grade"] and not meta["locked"]), "a student could edit the judge"
        seen.add(meta["grade_id"])
    assert len(graded(twin)) >= 5


def test_no_cell_holds_an_answer(twin):
    answers = [cell["source"] for cell in twin["cells"] if cell["metadata"].get("nbgrader", {}).get("solution")]
    assert answers and all(source.rstrip().endswith(("...", "(...)")) for source in answers)


def run(twin, root, answer):
    """Answer every question by an expression, run as nbgrader's autograder does, and return the judges' errors."""
    done = nbformat.reads(json.dumps(twin), as_version=4)
    for cell in done.cells:
        name = cell.get("id", "").removeprefix("answer-")
        if cell.get("id") == "student":
            cell.source = 'student("Ann")'
        elif name != cell.get("id"):
            cell.source = f"answer_{name} = {answer(name)}"
    NotebookClient(
        done, timeout=300, allow_errors=True, resources={"metadata": {"path": str(root / "notebooks")}}
    ).execute()
    failed = {}
    for cell in done.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                failed[cell.id] = f"{output.ename}: {output.evalue}"
    return failed


def test_right_answers_get_all_points_and_wrong_ones_none(twin, root):
    """Catches: a judge that cannot fail, a question that differs between page and judge, an answer that takes the
    name of something that the lesson still needs."""
    # A text may be right in several forms.
    right = '(lambda right: right[0] if isinstance(right, tuple) else right)(ask["{}"].measured())'
    assert run(twin, root, right.format) == {}
    failed = run(twin, root, lambda name: "'nonsense'")
    assert failed.keys() == {cell["id"] for cell in graded(twin)}


def test_the_command_writes_it(root, tmp_path):
    command = [sys.executable, "-m", "tokentrace.assignment"]
    source = root / "notebooks" / "02_generation_loop.ipynb"
    ran = subprocess.run([*command, source, tmp_path / "loop"], capture_output=True, text=True)
    assert ran.returncode == 0 and "points" in ran.stdout
    written = json.loads((tmp_path / "loop" / "02_generation_loop.ipynb").read_text())
    assert written == assignment(lesson(root, "02_generation_loop"))
    refused = subprocess.run([*command, root / "notebooks" / "index.ipynb", tmp_path], capture_output=True, text=True)
    assert refused.returncode == 2 and "asks no question" in refused.stderr and "Traceback" not in refused.stderr
