"""The recorded runs are runs of the models that lie beside them."""

import json
import math

import pytest

import tokentrace
from tokentrace.models import data_folder
from tokentrace.trace import Settings

FILES = sorted((data_folder() / "traces").glob("*.json"))
TRACES = [path.stem for path in FILES if json.loads(path.read_text(encoding="utf-8")).get("format") == "tokentrace"]


def test_there_are_traces():
    assert "generation_loop" in TRACES


@pytest.mark.parametrize("name", TRACES)
def test_a_recorded_run_can_be_run_again(name):
    """Catches: a trace edited by hand, or one left over from other weights."""
    kept = tokentrace.recorded(name)
    model = tokentrace.load(kept.model.name)
    assert kept.model.fingerprint == model.fingerprint, "record it anew: make traces"
    settings = {field: getattr(kept.settings, field) for field in Settings.__dataclass_fields__}
    again = tokentrace.generate(model, kept.prompt, seed=kept.seed, **settings)
    assert again.tokens == kept.tokens
    for one, other in zip(again.steps, kept.steps, strict=True):
        assert math.isclose(one.logprob, other.logprob, abs_tol=1e-3)
        assert one.uniform == other.uniform
    assert len(kept.to_dict()["steps"]["token"]) == len(kept.steps) <= 256
