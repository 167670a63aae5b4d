"""The trace: exact round trip, and strictness that names the field."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentrace.trace import Branch, Candidate, Model, Settings, Step, Trace, TraceError

PIECES = {0: b"<|endoftext|>", 1: b" caf", 2: b"\xc3", 3: b"\xa9", 4: b"\n", 5: "…".encode(), 6: b"\x00"}
unit = st.floats(0, 1, allow_nan=False)
tokens = st.sampled_from(sorted(PIECES))


@st.composite
def steps(draw):
    candidates = draw(st.lists(st.builds(Candidate, tokens, unit, unit), max_size=4))
    return Step(
        token=draw(tokens),
        logprob=draw(st.floats(-50, 0)),
        probability=draw(unit),
        filtered=draw(unit),
        rank=draw(st.integers(1, 7)),
        entropy=draw(st.floats(0, 13)),
        uniform=draw(st.none() | unit),
        low=draw(unit),
        kept=draw(st.integers(1, 7)),
        kept_mass=draw(unit),
        ms=draw(st.floats(0, 1e4)),
        forced=draw(st.booleans()),
        candidates=tuple(candidates),
    )


def trace(of=(), **changes):
    values = dict(
        model=Model("tiny", "0123456789ab", 1000, 7, 16, "fp32"),
        prompt="hello",
        prompt_tokens=(1, 2),
        settings=Settings("sample", 0.8, 40, 0.9, 8),
        seed=3,
        recorded="2026-11-20T12:00:00+00:00",
        prefill_ms=1.5,
        stop="length",
        vocabulary=PIECES,
        steps=tuple(of),
    )
    return Trace(**(values | changes))


A_STEP = Step(2, -1.0, 0.36, 0.5, 1, 2.0, 0.25, 0.0, 3, 0.8, 4.0, False, (Candidate(2, 0.36, 0.5),))


@given(st.lists(steps(), max_size=5))
def test_round_trip_is_exact(made):
    """Catches: a column forgotten, reordered or rounded on the way to JSON."""
    original = trace(made)
    again = Trace.from_dict(json.loads(json.dumps(original.to_dict(), allow_nan=False)))
    assert again == original


def test_save_and_load(tmp_path):
    original = trace([A_STEP], branch=Branch(0, 2))
    assert Trace.load(original.save(tmp_path / "run.json")) == original


def test_fragments_of_a_character_keep_their_bytes():
    """Catches: storing token text decoded one by one, which loses the é."""
    data = trace([A_STEP]).to_dict()
    assert data["vocabulary"]["2"] == {"bytes": "c3"}
    both = [A_STEP, Step(3, *(getattr(A_STEP, f) for f in A_STEP.__slots__[1:]))]
    assert trace(both).text == "é"
    assert trace([A_STEP]).text == "\ufffd"


def test_sums():
    two = trace([A_STEP, A_STEP])
    assert two.logprob == -2.0
    assert math.isclose(A_STEP.surprise, 1.0 / math.log(2))


def broken(change):
    data = trace([A_STEP]).to_dict()
    change(data)
    return data


def put(*path, value):
    def change(data):
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (put("format", value="other"), "format"),
        (put("version", value=3), "version"),
        (put("seed", value="7"), "seed"),
        (put("seed", value=True), "seed"),
        (put("prompt", value=None), "prompt"),
        (put("stop", value="bored"), "stop"),
        (put("model", "n_ctx", value=1.5), "model.n_ctx"),
        (put("model", "colour", value="red"), "model"),
        (put("settings", "temperature", value=-1), "settings: temperature"),
        (put("settings", "top_p", value=True), "settings.top_p"),
        (put("settings", "stop", value=["x", 3]), r"settings.stop\[1\]"),
        (put("settings", "stop", value="x"), "settings.stop"),
        (put("steps", "token", value=[99]), "vocabulary: token 99"),
        (put("steps", "token", value=3), "steps.token"),
        (put("steps", "logprob", value=[]), "steps.logprob"),
        (put("steps", "logprob", value=[float("inf")]), r"steps.logprob\[0\]"),
        (put("steps", "probability", value=[1.5]), r"steps.probability\[0\]"),
        (put("steps", "uniform", value=["x"]), r"steps.uniform\[0\]"),
        (put("steps", "candidates", value=[[2, 3]]), r"steps.candidate_probability\[0\]"),
        (put("steps", "candidates", value=[]), "steps.candidates"),
        (put("vocabulary", value=[]), "vocabulary"),
        (put("vocabulary", "x", value="y"), "vocabulary"),
        (put("vocabulary", "2", value={"bytes": "zz"}), "vocabulary.2"),
        (put("branch", value={"at": 9, "token": 2}), "branch.at"),
        (lambda data: data.pop("steps"), "steps"),
        (lambda data: data.update(extra=1), "extra"),
    ],
)
def test_a_wrong_file_is_refused_by_field(change, names):
    """Catches: a check dropped; a wrong file then loads, or fails somewhere else."""
    with pytest.raises(TraceError, match=names):
        Trace.from_dict(broken(change))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": NaN}', "[" * 100_000])
def test_what_is_no_trace_is_refused_with_the_file_name(tmp_path, text):
    file = tmp_path / "odd.json"
    file.write_text(text)
    with pytest.raises(TraceError, match=r"odd\.json"):
        Trace.load(file)


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategy": "best"},
        {"temperature": 0},
        {"temperature": float("nan")},
        {"temperature": "warm"},
        {"top_k": 0},
        {"top_k": 2.0},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"max_new_tokens": 0},
        {"max_new_tokens": 10**6},
        {"stop": ("",)},
        {"stop": (1,)},
        {"stop": 7},
        {"stop": ["x"] * 17},
        {"stop": "x" * 201},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(TraceError, match=next(iter(wrong))):
        Settings(**wrong)


def test_a_file_of_version_1_can_still_be_read():
    """It knew neither beams nor stop strings. Catches: a default that is not what such a run was made with."""
    data = trace([A_STEP]).to_dict() | {"version": 1}
    data["settings"] = {name: value for name, value in data["settings"].items() if name not in ("stop", "num_beams")}
    assert Trace.from_dict(data) == trace([A_STEP])
    data["settings"] = 3
    with pytest.raises(TraceError, match="version"):
        Trace.from_dict(data)


def test_stop_strings_are_kept():
    assert Settings(stop="end").stop == Settings(stop=["end"]).stop == ("end",)
    of = trace([A_STEP], settings=Settings(stop=("\n", "é")), stop="stop_string")
    assert Trace.from_dict(json.loads(json.dumps(of.to_dict()))) == of
