"""Exercises: what is right, what is said of what is wrong, and who is asked what."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentrace import student
from tokentrace.exercises import AnswerError, Choice, Number, Text
from tokentrace.score import Attempt

FRONTEND = Path(student.__file__).parent / "frontend"

SURPRISE = Number(
    "surprise",
    "How many bits?",
    lambda: 4.0,
    low=0,
    high=12,
    unit="bits",
    why={4 * math.log(2): "Those are nats.", 16.0: "That is one over the probability."},
    because="log2 of sixteen.",
    too_high="Smaller.",
)
KEPT = Number("kept", "How many tokens?", 37, low=1, high=8192, log=True, step=1, unit="tokens", tolerance=1.5)
DRAWN = Choice(
    "drawn",
    "Which run draws nothing?",
    "greedy",
    options={"greedy": "It takes the largest.", "top-k": "It draws among k.", "top-p": "It draws in the nucleus."},
)
NEXT = Text("next", "Which token?", (" the", " The old"), why={"A": "Second place."}, otherwise="Look at the bars.")
GUESS = replace(KEPT, name="guess", predict=True)


@pytest.fixture(autouse=True)
def ann(monkeypatch):
    for name in ("TOKENTRACE_STUDENT", "QUERY_STRING", "JUPYTERHUB_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(student, "_named", "")
    student.student("Ann")


# ---- judging


@pytest.mark.parametrize(
    ("question", "answer", "right", "words"),
    [
        (SURPRISE, 4, True, "Right: 4 bits. log2 of sixteen."),
        (SURPRISE, 4.6, True, "Right: 4 bits, and you said 4.6 bits. log2 of sixteen."),
        (SURPRISE, 2.8, False, "Too low. Those are nats."),
        (SURPRISE, 5, False, "Close, but a little too high. Smaller."),
        (SURPRISE, 16, False, "Too high. That is one over the probability."),
        (SURPRISE, 0.03, False, "Too low, by more than a hundred times."),
        (SURPRISE, -4, False, "Too low."),
        (KEPT, 50, True, "Right: 37 tokens, and you said 50 tokens."),
        (KEPT, 60, False, "Close, but a little too high."),
        (KEPT, 3, False, "Too low, by more than ten times."),
        (KEPT, 0, False, "Too low."),
        (DRAWN, "greedy", True, "Right: greedy. It takes the largest."),
        (DRAWN, "top-k", False, "Not this one. It draws among k."),
        (NEXT, "  THE", True, "Right: “the” or “The old”."),
        (NEXT, "a", False, "Not “a”. Second place."),
        (NEXT, "old", False, "Not “old”. Look at the bars."),
        (GUESS, 37.2, None, "As you guessed: 37 tokens."),
        (GUESS, 370, None, "You guessed 370 tokens, it is 37 tokens: 10 times too high."),
    ],
)
def test_verdicts(question, answer, right, words):
    verdict = question.check(answer)
    assert (verdict.right, str(verdict)) == (right, words)
    assert bool(verdict) is (right is not False)


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.floats(0.1, 1e5))
def test_a_number_is_right_exactly_within_its_tolerance(answer, off, tolerance):
    question = Number("n", "?", answer, low=-1, high=1, tolerance=tolerance, step=1e-9)
    gap = abs((answer + off) - answer)
    if not math.isclose(gap, tolerance):
        assert bool(question.check(answer + off)) is bool(question.check(answer - off)) is (gap < tolerance)


@given(st.floats(1e-6, 1e6), st.floats(1.01, 1e3), st.floats(1.05, 10))
def test_on_a_logarithmic_line_a_tolerance_is_a_factor(answer, factor, tolerance):
    question = Number("n", "?", answer, low=1, high=2, log=True, tolerance=tolerance)
    if not math.isclose(factor, tolerance):
        assert bool(question.check(answer * factor)) is bool(question.check(answer / factor)) is (factor < tolerance)


@given(st.integers(0, 40), st.sampled_from([1, 0.5, None]))
def test_a_right_answer_can_be_reached_with_the_handle(answer, step):
    """Catches: a tolerance finer than the handle, so that only typing can be right."""
    question = Number("n", "?", answer + 0.2, low=0, high=40, step=step, tolerance=0)
    grain = question.ask()["step"]
    assert any(question.check(round(stop * grain, 9)) for stop in range(round(40 / grain) + 1))


def test_a_mistake_that_happens_to_be_right_is_not_blamed():
    question = Number("n", "?", 0.5, low=0, high=1, why={1 - 0.5: "You gave the opposite."}, too_low="More.")
    assert question.check(0.5).right
    assert question.check(0.4).because == "More."


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        *((SURPRISE, bad) for bad in (None, "4", True, math.nan, math.inf, 1e300, [4], {})),
        *((DRAWN, bad) for bad in (None, "", "Greedy", 0, ["greedy"], "beam")),
        *((NEXT, bad) for bad in (None, "", "   ", 7, "x" * 201, ["the"])),
    ],
)
def test_what_is_no_answer_is_refused_and_not_counted(question, answer):
    attempt = Attempt(question)
    with pytest.raises(AnswerError):
        attempt.submit(answer)
    assert attempt.state() == Attempt(question).state()


def test_the_answer_is_taken_from_the_run_when_it_is_there():
    run = {}
    question = replace(GUESS, answer=lambda: run.get("kept"))
    attempt = Attempt(question)
    with pytest.raises(AnswerError, match="Run the next cell"):
        attempt.submit(10)
    assert attempt.state()["kept"] == 10
    assert attempt.state()["value"] is None
    run["kept"] = 20
    attempt.show()
    assert attempt.state()["value"] == 20
    assert attempt.verdicts[0].say == "You guessed 10 tokens, it is 20 tokens: 2 times too low."


def test_an_unknown_name_means_that_the_run_is_not_there_yet():
    question = replace(SURPRISE, answer=lambda: trace.steps[3].surprise)  # noqa: F821
    with pytest.raises(AnswerError, match="nothing to compare"):
        question.check(3)


def test_questions_that_cannot_be_right_say_so():
    with pytest.raises(ValueError, match="none of the options"):
        replace(DRAWN, answer="beam").check("greedy")
    with pytest.raises(ValueError, match="nan"):
        replace(SURPRISE, answer=math.nan).check(1)
    for low, high, log in ((1, 1, False), (2, 1, False), (0, 1, True)):
        with pytest.raises(ValueError, match="no such line"):
            Number("n", "?", 1, low=low, high=high, log=log)


def test_numbers_read_the_same_in_python_and_in_the_browser(node):
    """Catches: a label on the line that differs from the sentence under it."""
    values = [0, 1, 4, 12.5, 0.365384, 99.95, 123.456, 999.4, 1000, 8192, 65536.7, -3.25, 0.00123, 1e6, 2.5e9]
    lines = [(unit, step) for unit in ("", "%", "bits") for step in (None, 0.1, 1)]
    wanted = [
        Number("n", "?", 0, low=0, high=1, unit=unit, step=step)._show(value)
        for unit, step in lines
        for value in values
    ]
    script = f"""import {{ sayValue }} from "{(FRONTEND / "shared" / "number_line.js").as_uri()}";
        const lines = {json.dumps([{"unit": unit, "step": step} for unit, step in lines])};
        const values = {json.dumps(values)};
        console.log(JSON.stringify(lines.flatMap((line) => values.map((value) => sayValue(line, value)))));"""
    run = subprocess.run([node, "--input-type=module", "-e", script], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == wanted


# ---- students


def test_who_answers_is_found_in_this_order(monkeypatch):
    monkeypatch.setattr(student, "_named", "")
    guest = student.student()
    assert guest.startswith("guest-")
    assert guest == student.student()
    for name, value, found in (
        ("JUPYTERHUB_USER", "hub", "hub"),
        ("QUERY_STRING", "x=1&student=Bo%20Li", "Bo Li"),
        ("TOKENTRACE_STUDENT", " set \n by teacher ", "set by teacher"),
    ):
        monkeypatch.setenv(name, value)
        assert student.student() == found
    assert student.student("Ann") == student.student() == "Ann"
    assert student.student("") == "set by teacher"


def test_neighbours_differ_and_a_reload_does_not():
    picked = {}
    for name in ("Ann", "ann ", "Bo", "Cy", "Di", "Ed", "Flo", "Gus"):
        student.student(name)
        picked[name] = [student.pick(f"q{i}", range(20)) for i in range(5)]
        assert picked[name] == [student.pick(f"q{i}", range(20)) for i in range(5)]
        assert [student.pick(f"q{i}", range(20), of=student.seed()) for i in range(5)] == picked[name]
    assert picked["Ann"] == picked["ann "]
    assert len({tuple(each) for each in picked.values()}) == 7
    assert all(len(set(each)) > 1 for each in picked.values()), "one question's pick tells another's"


def test_a_pick_is_the_same_in_another_process():
    script = "from tokentrace.student import pick; print(pick('q', range(1000)))"
    found = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "TOKENTRACE_STUDENT": "Ann", "PYTHONHASHSEED": hash_seed}
        python = [sys.executable, "-c", script]
        found.add(int(subprocess.run(python, env=environment, capture_output=True, text=True, check=True).stdout))
    assert found == {student.pick("q", range(1000))}


def test_options_stand_in_another_order_for_a_neighbour_and_none_is_lost():
    orders = set()
    for name in ("Ann", "Bo", "Cy", "Di", "Ed", "Flo"):
        student.student(name)
        assert sorted(DRAWN.ask()["options"]) == sorted(DRAWN.options)
        orders.add(tuple(DRAWN.ask()["options"]))
    assert len(orders) > 1
    assert replace(DRAWN, shuffle=False).ask()["options"] == list(DRAWN.options)


def test_without_jupyter_and_without_torch():
    script = """import sys, tokentrace.score
bad = {"anywidget", "ipywidgets", "IPython", "torch", "traitlets"} & sys.modules.keys()
sys.exit(", ".join(bad) or 0)"""
    subprocess.run([sys.executable, "-c", script], check=True)
