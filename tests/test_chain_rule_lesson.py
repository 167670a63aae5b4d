"""Chapter 1's questions for many students, and its claim rows, whose verdicts must follow from what was measured."""

import dataclasses
import math
import re

import pytest

from tokentrace import five_words, student
from tokentrace.chain_rule import scored
from tokentrace.claims import VERDICTS
from tokentrace.claims import chain_rule as rows
from tokentrace.exercises import Number
from tokentrace.figures.surprises import surprises, surprises_to_explore
from tokentrace.questions.chain_rule import questions

NAMES = ("sentence", "long", "before", "after", "prompt")


@pytest.fixture(scope="module")
def texts():
    return {name: scored("chain_rule" if name == "sentence" else f"chain_rule_{name}") for name in NAMES}


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    for name in ("TOKENTRACE_STUDENT", "QUERY_STRING", "JUPYTERHUB_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(student, "_named", "")


@pytest.mark.parametrize("who", [f"student {number}" for number in range(25)])
def test_every_student_gets_questions_that_can_be_solved(texts, who):
    """Catches: a right answer that is refused, a known mistake that is taken, a question that gives its answer away."""
    student.student(who)
    asked = questions(texts)
    assert len(asked) >= 6
    for name, question in asked.items():
        right = question.measured()
        right = right[0] if isinstance(right, tuple) else right
        verdict = question.check(right)
        assert verdict.right and verdict.because.endswith("."), name
        assert str(right) not in str(question.ask()) or not isinstance(question, Number) or name == "unmoved", name
        for mistake, reason in question.why.items():
            wrong = question.check(mistake)
            assert wrong.right or wrong.because == reason or isinstance(question, Number), (name, mistake)
            assert reason.endswith("."), (name, reason)
        if isinstance(question, Number):
            for wild in (question.low - 1 if not question.log else question.low / 3, question.high * 3 + 1):
                assert not question.check(wild) and question.check(wild).because, (name, wild)


def test_neighbours_are_asked_different_things(texts):
    asked = []
    for number in range(12):
        student.student(f"neighbour {number}")
        asked.append({name: question.text for name, question in questions(texts).items()})
    differ = {name for name in asked[0] if len({each[name] for each in asked}) > 1}
    assert len(differ) >= 6
    student.student("neighbour 3")
    assert {name: question.text for name, question in questions(texts).items()} == asked[3]


def test_answers_by_hand(texts):
    """The arithmetic once more, written out. Catches: an answer worked out by the formula that it should check."""
    for number in range(20):
        student.student(f"hand {number}")
        asked = questions(texts)
        said = [float(each) for each in re.findall(r"0\.\d+", asked["product"].text)]
        assert asked["product"].measured() == pytest.approx(math.prod(said))
        said = [float(each) for each in re.findall(r"0\.\d+", asked["weather"].text)]
        assert asked["weather"].measured() == pytest.approx(0.021 if len(said) == 4 else 0.042)
        total, n = re.search(r"−([\d.]+) nats, over (\d+) tokens", asked["perplexity"].text).groups()
        assert asked["perplexity"].check(math.e ** (float(total) / int(n)))
        nats, size = re.search(r"cost ([\d.]+) nats and are (\d+) bytes", asked["bits_per_byte"].text).groups()
        assert asked["bits_per_byte"].measured() == pytest.approx(float(nats) / math.log(2) / int(size), abs=0.01)
        added = float(re.search(r"conditional is ([\d.]+)\.", asked["one_more"].text)[1])
        assert asked["one_more"].measured() == pytest.approx(math.log(0.2 * 0.6 * 0.7 * added))


# ---- claims


def measured(texts):
    return {claim.says: claim.measure() for claim in rows.claims(texts)}


def test_every_row_is_measured_and_has_a_source(texts):
    claims = rows.claims(texts)
    assert len(claims) >= 10
    for claim in claims:
        data = claim.to_dict()
        assert data["verdict"] in VERDICTS and all(data.values())
        assert re.search(r"\d", data["measured"]), "a number of this run"
        assert data["measured"].endswith(".") and data["says"].endswith(".")


def test_verdicts_of_this_run(texts):
    found = [finding.verdict for finding in measured(texts).values()]
    assert found.count("holds") >= 5 and found.count("simplified") >= 3


def test_a_wrong_table_is_found_out(monkeypatch):
    """Catches: a verdict that is written down instead of measured."""
    monkeypatch.setitem(five_words.GIVEN, "I love", (5, 5, 60, 15, 5))
    monkeypatch.setitem(five_words.TABLES, "I love", (5, 5, 60, 15, 5))
    assert rows.example().verdict == "wrong"
    monkeypatch.setattr(five_words, "greedy", lambda: rows.EXAMPLE)
    assert rows.best().verdict == "holds"
    monkeypatch.setattr(five_words, "sentences", lambda: five_words_that_do_not_sum())
    assert rows.identity().verdict == "wrong"


def five_words_that_do_not_sum():
    return [(rows.EXAMPLE, five_words.Fraction(1, 2)), (("I", "<end>"), five_words.Fraction(1, 4))]


def test_another_run_gives_other_verdicts(texts):
    small = texts["sentence"]
    large = dataclasses.replace(small, model=dataclasses.replace(small.model, vocab_size=50_257))
    assert (rows.vocabulary(small).verdict, rows.vocabulary(large).verdict) == ("simplified", "holds")
    short = dataclasses.replace(texts["prompt"], tokens=texts["prompt"].tokens[1:2])
    assert rows.underflow(texts["long"]).verdict == "simplified"
    assert rows.underflow(short).verdict == "holds"
    old, new = texts["before"], texts["after"]
    assert rows.change(old, new).verdict == "holds"
    leaky = dataclasses.replace(new.tokens[0], logprob=new.tokens[0].logprob - 0.1)
    assert rows.change(old, dataclasses.replace(new, tokens=(leaky, *new.tokens[1:]))).verdict == "wrong"
    assert rows.words(texts["long"]).verdict == "simplified"
    assert rows.words(texts["prompt"]).verdict == "holds"


# ---- figures


def test_the_figure_shows_every_token(texts):
    """Catches: nats for bits, axes the wrong way round, a hover text that is not the dot's."""
    long = texts["long"]
    still, dots = surprises(long), surprises_to_explore(long).data[1]
    (axis,) = still.axes
    points = axis.collections[0].get_offsets()
    assert points[:, 0].tolist() == pytest.approx([token.entropy for token in long.tokens]) == list(dots.x)
    assert points[:, 1].tolist() == pytest.approx([-math.log2(token.probability) for token in long.tokens])
    assert points[:, 1].tolist() == pytest.approx(list(dots.y))
    assert [said.partition("<b>")[2].removesuffix("</b>") for said in dots.text] == [
        long.token_text(token) for token in long.ids
    ]
    assert "bits" in axis.get_xlabel() and "bits" in axis.get_ylabel()
