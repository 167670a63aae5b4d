"""Questions and claims on the mask and on regression: for many students, and verdicts that follow from the numbers."""

import dataclasses

import pytest

from tokentrace import student
from tokentrace.causal_mask import recorded_mask
from tokentrace.claims import VERDICTS
from tokentrace.claims import autoregression as regression_rows
from tokentrace.claims import causal_mask as mask_rows
from tokentrace.exercises import Number
from tokentrace.figures.chain_rule import interaction, say_interaction
from tokentrace.questions import autoregression as regression_questions
from tokentrace.questions import causal_mask as mask_questions
from tokentrace.regressors import recorded_interaction, recorded_regressors


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    for name in ("TOKENTRACE_STUDENT", "QUERY_STRING", "JUPYTERHUB_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(student, "_named", "")


def questions():
    return mask_questions.questions(recorded_mask()) | regression_questions.questions(recorded_interaction())


@pytest.mark.parametrize("who", [f"student {number}" for number in range(25)])
def test_every_student_gets_questions_that_can_be_solved(who):
    """Catches: a right answer that is refused, a known mistake that is taken, a reason without words."""
    student.student(who)
    asked = questions()
    assert len(asked) == 11
    for name, question in asked.items():
        right = question.measured()
        verdict = question.check(right)
        assert verdict.right and verdict.because.endswith((".", ".)")), name
        for mistake, reason in question.why.items():
            wrong = question.check(mistake)
            same = mistake == right or (isinstance(question, Number) and wrong.right)
            assert same or not wrong.right, (name, mistake)
            assert reason.endswith("."), (name, reason)
        if isinstance(question, Number):
            for wild in (question.low - 1, question.high * 3 + 1):
                assert not question.check(wild) and question.check(wild).because, (name, wild)
        else:
            wrong = [option for option in question.options if option != right]
            assert len(wrong) >= 2
            assert all(not question.check(option).right and question.check(option).because for option in wrong)


def test_neighbours_are_asked_different_things():
    asked = []
    for number in range(12):
        student.student(f"neighbour {number}")
        asked.append({name: question.text for name, question in questions().items()})
    assert len({name for name in asked[0] if len({each[name] for each in asked}) > 1}) >= 7


def test_the_answer_by_rule_is_what_was_measured():
    """Positions at .. n move and nothing else; the square of n has n(n - 1)/2 cells cut."""
    run = recorded_mask()
    for number in range(12):
        student.student(f"rule {number}")
        asked = questions()
        place = int(asked["moved"].text.rpartition("token at position ")[2].split()[0])
        assert asked["moved"].measured() == len(run.ids) - place + 1
        place = int(asked["open_mask"].text.partition("token at position ")[2].split()[0])
        assert asked["open_mask"].measured() == place


def measured():
    run = recorded_mask()
    made = [*mask_rows.claims(run), *regression_rows.claims(recorded_regressors(), recorded_interaction())]
    return {claim.says: claim for claim in made}


def test_every_row_is_measured_and_has_a_source():
    rows = measured()
    assert len(rows) == 12
    for claim in rows.values():
        row = claim.to_dict()
        assert row["verdict"] in VERDICTS
        assert any(character.isdigit() for character in row["measured"]), row
        assert row["source"]
        assert row["measured"].endswith("."), row


def test_verdicts_follow_from_the_numbers():
    """Catches: a verdict that is typed in. Each is turned round by numbers that say the opposite."""
    run = recorded_mask()
    assert mask_rows.one_shot(run).verdict == "wrong"
    assert mask_rows.two_behaviours(run).verdict == "wrong"
    assert mask_rows.weights(run).verdict == "holds"
    far = dataclasses.replace(run, n_passes=tuple(value - 1 for value in run.n_passes), gap=1.0)
    assert mask_rows.one_shot(far).verdict == "holds"
    assert mask_rows.two_behaviours(far).verdict == "holds"
    assert mask_rows.at_once(far).verdict == "wrong"
    leaking = tuple(dataclasses.replace(change, moved=change.moved_open) for change in run.changes)
    assert mask_rows.weights(dataclasses.replace(run, changes=leaking)).verdict == "wrong"
    copied = dataclasses.replace(run, no_mask=(-0.01,) * len(run.ids))
    assert (mask_rows.copying(run).verdict, mask_rows.copying(copied).verdict) == ("simplified", "holds")
    found = recorded_interaction()
    assert regression_rows.weighted(found).verdict == "wrong"
    sum_of_both = found | {"language": found["language"] | {"apart": 0.0}}
    assert regression_rows.weighted(sum_of_both).verdict == "holds"
    assert regression_rows.history().verdict == "wrong"
    assert regression_rows.early(recorded_regressors() | {"refused": "no table"}) is None


def test_the_figure_of_the_changes_shows_the_records_numbers():
    record = recorded_interaction()
    left, right = interaction(record).axes
    for axis, part in ((left, "series"), (right, "language")):
        none, first, second, both = record[part]["values"]
        widths = [bar.get_width() for bar in axis.patches]
        assert widths == pytest.approx([first - none, second - none, both - none, first + second - 2 * none])
        assert axis.get_xlabel()
    assert f"{both - none:+.2f}".replace("-", "−") in say_interaction(record)
