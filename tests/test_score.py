"""What a student has answered: tries, the score file, and what the browser is told of it and when."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.test_exercises import DRAWN, GUESS, NEXT, SURPRISE
from tokentrace import score, student
from tokentrace.exercises import AnswerError
from tokentrace.score import Attempt, Sheet, check
from tokentrace.views import exercise as views


@pytest.fixture(autouse=True)
def ann(monkeypatch):
    for name in ("TOKENTRACE_STUDENT", "QUERY_STRING", "JUPYTERHUB_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(student, "_named", "")
    monkeypatch.setattr(score, "PAGE", Sheet())
    student.student("Ann")


# ---- tries


def test_the_answer_is_shown_after_two_tries_and_not_before():
    attempt = Attempt(SURPRISE)
    for wrong in (1, 2):
        with pytest.raises(AnswerError, match="Try it first"):
            attempt.show()
        attempt.submit(wrong)
    assert attempt.state()["may_show"]
    assert attempt.state()["value"] is None
    attempt.show()
    state = attempt.state()
    assert (state["value"], state["shown"]["say"], state["may_show"]) == (4.0, "It is 4 bits.", False)
    assert attempt.right is False
    with pytest.raises(AnswerError, match="is answered"):
        attempt.submit(4)


def test_a_right_answer_ends_the_question_and_counts_with_its_tries():
    sheet = Sheet()
    attempt = sheet.add(DRAWN)
    sheet.add(SURPRISE)
    attempt.submit("top-k")
    attempt.submit("greedy")
    told = sheet.to_dict("02")
    assert (told["right"], told["of"]) == (1, 2)
    first = told["exercises"][0]
    assert (first["right"], first["tries"], first["answers"], first["shown"]) == (True, 2, ["top-k", "greedy"], False)


def test_guesses_are_kept_but_neither_right_nor_numbered():
    sheet = Sheet()
    for question in (GUESS, SURPRISE, DRAWN):
        sheet.add(question)
    sheet.attempts["guess"].submit(100)
    assert [sheet.place(name) for name in ("guess", "surprise", "drawn")] == [(0, 2), (1, 2), (2, 2)]
    assert sheet.to_dict()["of"] == 2
    assert sheet.to_dict()["right"] == 0


def test_a_question_asked_again_starts_anew_in_its_old_place():
    sheet = Sheet()
    sheet.add(SURPRISE).submit(4)
    sheet.add(DRAWN)
    sheet.add(SURPRISE)
    assert sheet.place("surprise") == (1, 2)
    assert sheet.to_dict()["right"] == 0


@pytest.mark.parametrize(
    ("tries", "shown", "kept"),
    [
        ([{"answer": 1, "right": False}, {"answer": 4, "right": True}], False, 2),
        ([{"answer": 1, "right": False}, {"answer": 2, "right": False}], True, 2),
        ([{"answer": 1, "right": True}], False, 0),  # another run: the verdict would differ
        ([{"answer": 1, "right": False}], True, 0),  # too early to be shown
        ([{"answer": "1", "right": False}], False, 0),
        ([{"right": False}], False, 0),
        ("nonsense", False, 0),
        (None, None, 0),
        ([{"answer": 1, "right": False}] * 51, False, 0),
    ],
)
def test_answers_from_an_earlier_visit_are_judged_again(tries, shown, kept):
    sheet = Sheet()
    sheet.add(SURPRISE)
    sheet.restore("surprise", tries, shown)
    assert len(sheet.attempts["surprise"].answers) == kept
    assert (sheet.attempts["surprise"].shown is not None) is bool(kept and shown)


def test_a_restored_page_does_not_overwrite_new_answers():
    sheet = Sheet()
    sheet.add(SURPRISE).submit(7)
    sheet.restore("surprise", [{"answer": 1, "right": False}], False)
    assert sheet.attempts["surprise"].answers == [7]


def test_check_serves_a_test_cell():
    score.PAGE.add(SURPRISE)
    verdict = check("surprise", 4.01)
    assert verdict, verdict
    in_nats = {"verdict": check("surprise", 4 * math.log(2))}
    with pytest.raises(AssertionError, match=r"Too low\. Those are nats\."):
        exec("assert verdict, verdict", in_nats)  # as in a notebook: pytest rewrites a plain one
    assert score.PAGE.attempts["surprise"].answers == []
    with pytest.raises(KeyError, match="run its cell first"):
        check("nothing", 1)


# ---- the score file


def test_the_score_file_has_the_answers_given_and_no_other(tmp_path):
    sheet = Sheet()
    sheet.add(replace(SURPRISE, answer=4.0625)).submit(1)
    sheet.add(replace(NEXT, answer=" zebra", otherwise="")).submit("horse")
    path = sheet.save("02_generation_loop", "Ann O’Neil / 3b", tmp_path)
    assert path.name == "score-02_generation_loop-Ann-O-Neil-3b.json"
    text = path.read_text(encoding="utf-8")
    told = json.loads(text)
    assert (told["name"], told["student"], told["notebook"]) == ("Ann O’Neil / 3b", "Ann", "02_generation_loop")
    assert told["seed"] == student.seed()
    assert "horse" in text
    assert "zebra" not in text
    assert "4.06" not in text


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a\\b", "x" * 500, "\x00\n", "...", "Åsa 李"])
def test_no_name_leads_the_file_elsewhere(tmp_path, name):
    path = Sheet().save("nb", name, tmp_path)
    assert path.parent == tmp_path
    assert path.exists()
    assert len(path.name) < 100


# ---- the widgets


def told(widget, **message):
    """Send a browser's message and return all that a browser knows afterwards."""
    replies = []
    widget.send = lambda content, **_: replies.append(content)
    widget._receive(widget, {"request": 1, **message}, [])
    assert replies[-1] == {"type": "pong", "request": 1}
    return json.dumps(
        {
            name: value
            for name, value in widget.get_state().items()
            if name not in ("_esm", "_css", "layout", "tooltip")
        },
        default=str,
    )


SECRETS = {
    "surprise": (SURPRISE, 1, [4.0, "log2 of sixteen", "Those are nats", "Smaller"]),
    "drawn": (DRAWN, "top-k", ["takes the largest", "draws in the nucleus"]),
    "next": (replace(NEXT, answer=" zebra"), "horse", ["zebra", "Second place"]),
    "guess": (GUESS, None, [37]),
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_browser_knows_neither_answer_nor_reasons_before_its_turn(name):
    question, wrong, secrets = SECRETS[name]
    widget = views.Exercise(question, Sheet())
    seen = told(widget, type="ping") + (told(widget, type="answer", answer=wrong) if wrong is not None else "")
    seen += told(widget, type="show")
    hidden = [secret for secret in secrets if not (name == "surprise" and secret == "Smaller")]
    for secret in hidden:
        assert (f": {secret}" if isinstance(secret, (int, float)) else secret) not in seen


def test_a_browser_hears_the_verdict_and_then_the_answer():
    sheet = Sheet()
    widget = views.Exercise(SURPRISE, sheet)
    card = views.Scorecard("nb", sheet)
    told(widget, type="answer", answer=2.8)
    assert widget.state["tries"][0]["because"] == "Those are nats."
    assert widget.state["tries"][0]["side"] == "low"
    told(widget, type="answer", answer="four")
    assert widget.note.startswith("Give a number first")
    told(widget, type="answer", answer=4)
    assert (widget.note, widget.error, widget.state["value"], widget.answer) == ("", "", 4.0, 4)
    assert card.score["right"] == 1
    told(card, type="clear")
    assert (widget.state["tries"], widget.rounds, card.score["right"], widget.answer) == ([], 1, 0, None)


def test_a_question_that_breaks_says_so_and_stays_open():
    widget = views.Exercise(replace(SURPRISE, answer=lambda: 1 / 0), Sheet())
    told(widget, type="answer", answer=2)
    assert "cannot be judged here (ZeroDivisionError" in widget.error
    assert widget.state["tries"] == []


@pytest.mark.parametrize(
    "message", [None, 7, [], {}, {"type": None}, {"type": "_act"}, {"type": "close"}, {"type": []}]
)
def test_other_messages_are_not_heard(message):
    widget = views.Exercise(SURPRISE, Sheet())
    before = dict(widget.get_state())
    widget._receive(widget, message, [])
    assert widget.get_state() == before


def test_a_browser_cannot_set_the_state():
    widget = views.Exercise(SURPRISE, Sheet())
    widget.set_state({"state": {"value": 4}, "rounds": 9, "key": "x"})
    assert (widget.state["value"], widget.rounds) == (None, 0)
    card = views.Scorecard("nb", Sheet())
    card.set_state({"writes": False, "score": {"right": 99}})
    assert card.score["right"] == 0


def test_exercises_know_their_number_as_others_come():
    sheet = Sheet()
    first = views.Exercise(SURPRISE, sheet)
    assert first.place == {"number": 1, "of": 1}
    second = views.Exercise(DRAWN, sheet)
    assert (first.place["of"], second.place) == (2, {"number": 2, "of": 2})


def test_a_cell_run_again_leaves_the_old_widget_alone():
    """Catches: the widget of the first run wiping what the browser remembers for the second."""
    sheet = Sheet()
    old = views.Exercise(SURPRISE, sheet)
    told(old, type="answer", answer=4)
    new = views.Exercise(SURPRISE, sheet)
    assert (old.rounds, new.rounds, new.state["tries"]) == (0, 0, [])
    assert old.key == new.key
    told(new, type="restore", tries=[{"answer": 4, "right": True}], shown=False)
    assert new.state["value"] == 4.0


def test_the_card_writes_in_a_notebook_and_leaves_it_to_the_browser_on_a_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("VOILA_")]:
        monkeypatch.delenv(name)
    card = views.Scorecard("nb", Sheet())
    told(card, type="save", name="Ann")
    assert card.saved == "score-nb-Ann.json"
    assert json.loads(Path(card.saved).read_text())["name"] == "Ann"
    told(card, type="save", name={"not": "text"})
    monkeypatch.setenv("VOILA_BASE_URL", "/")
    (tmp_path / "score-nb-Ann.json").unlink()
    page = views.Scorecard("nb", Sheet())
    told(page, type="save", name="Ann")
    assert (page.writes, page.saved) == (False, "")
    assert not Path("score-nb-Ann.json").exists()


def test_a_folder_that_cannot_be_written_is_a_sentence(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    card = views.Scorecard("nb", Sheet())
    card.writes = True
    told(card, type="save", name="Ann")
    assert card.error == "The file could not be written (Permission denied)."


def test_a_typing_error_in_a_setting_is_found():
    with pytest.raises(TypeError, match="no setting 'titel'"):
        views.Exercise(SURPRISE, Sheet(), titel="x")
