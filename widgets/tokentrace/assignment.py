"""A lesson as an assignment that nbgrader can hand out, collect and grade.

    python -m tokentrace.assignment notebooks/02_generation_loop.ipynb source/loop/

Under every exercise of the page stand two more cells: one in which the student assigns the answer, and a locked one
that judges it, one point each. No cell holds an answer: what is right is worked out when the
cells run, for the student who is named at the top, so that a teacher who grades asks what the student was asked.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

EXERCISE = re.compile(r'^Exercise\(ask\["(\w+)"\]\)\s*$')
NAME = "# Your name or number, as your teacher knows it: your questions depend on it.\nstudent(...)"
IMPORTS = "from tokentrace.score import check\nfrom tokentrace.student import student"
ANSWER = "# Your answer to the question above: a number, or a text in quotation marks.\nanswer_{name} = ..."
JUDGE = 'verdict = check("{name}", answer_{name})\nassert verdict, verdict\nprint(verdict)'


def assignment(lesson: dict[str, Any]) -> dict[str, Any]:
    """Return the nbgrader source of a lesson: a notebook of format 4 as plain data, in and out.

    Raises
    ------
    ValueError
        If the lesson asks nothing, or asks one question twice.
    """
    cells: list[dict] = []
    asked: list[str] = []
    for cell in lesson["cells"]:
        cells.append(_locked(cell, f"cell-{len(cells)}"))
        found = EXERCISE.match("".join(cell["source"])) if cell["cell_type"] == "code" else None
        if found:
            name = found[1]
            if name in asked:
                raise ValueError(f"The lesson asks the question {name!r} twice.")
            asked.append(name)
            cells.append(_code(ANSWER.format(name=name), f"answer-{name}", solution=True))
            cells.append(_code(JUDGE.format(name=name), f"judge-{name}", grade=True, locked=True, points=1))
    if not asked:
        raise ValueError("The lesson asks no question, so there is nothing to grade.")
    # The name comes before any question is made; the title stays the first thing on the page.
    cells[1:1] = [_code(IMPORTS, "imports", locked=True), _code(NAME, "student", solution=True)]
    return {**lesson, "cells": cells}


def _code(source: str, grade_id: str, **grading) -> dict[str, Any]:
    return {
        "cell_type": "code", "id": grade_id, "source": source, "outputs": [], "execution_count": None,
        "metadata": {"nbgrader": _grading(grade_id, **grading)},
    }  # fmt: skip


def _locked(cell: dict[str, Any], grade_id: str) -> dict[str, Any]:
    """Return a lesson's cell as it is, code locked: the questions come from it."""
    if cell["cell_type"] != "code":
        return cell
    return {**cell, "metadata": {**cell["metadata"], "nbgrader": _grading(grade_id, locked=True)}}


def _grading(grade_id: str, *, grade: bool = False, locked: bool = False, solution: bool = False, **points) -> dict:
    """Metadata of a cell as nbgrader's format 3 has it."""
    return {
        "schema_version": 3, "grade_id": grade_id, "grade": grade, "locked": locked, "solution": solution,
        "task": False, **points,
    }  # fmt: skip


def main() -> None:
    """Write the assignment of a lesson."""
    parser = argparse.ArgumentParser(
        prog="python -m tokentrace.assignment", description="Write a lesson as nbgrader's source notebook."
    )
    parser.add_argument("lesson", type=Path, help="a notebook of the lessons")
    parser.add_argument("folder", type=Path, help="where to write it: nbgrader's source folder of the assignment")
    given = parser.parse_args()
    try:
        made = assignment(json.loads(given.lesson.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError) as error:
        parser.error(f"{given.lesson} cannot be made into an assignment: {error}")
    given.folder.mkdir(parents=True, exist_ok=True)
    path = given.folder / given.lesson.name
    path.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    points = sum("points" in cell["metadata"].get("nbgrader", {}) for cell in made["cells"])
    print(f"{path}: {points} points")


if __name__ == "__main__":
    main()
