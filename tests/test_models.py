"""Names of models, the folders behind them, and one copy for all who ask."""

import hashlib
import subprocess
import sys
import threading

import pytest

from benches.shapes import write_model
from tokentrace import models
from tokentrace.models import open_model
from tokentrace.weights import ModelError


def test_embedded_models_open():
    """Catches: a model folder that lacks a file, or a draft with another vocabulary."""
    target, draft = open_model(), open_model("draft")
    assert (target.name, draft.name) == ("storyteller", "draft")
    assert target.tokenizer.inner.get_vocab() == draft.tokenizer.inner.get_vocab()
    assert target.n_parameters > 5 * draft.n_parameters
    digest = hashlib.sha256((target.folder / "model.safetensors").read_bytes()).hexdigest()
    assert target.fingerprint == digest[:12]


def test_one_copy_for_all_who_ask(tmp_path):
    """Catches: two players that each hold the weights; a cache that forgets the precision."""
    folder = write_model(tmp_path, vocab_size=40, n_positions=8, n_embd=8, n_layer=1, n_head=1)
    found = []
    threads = [threading.Thread(target=lambda: found.append(open_model(folder))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
    assert open_model(str(folder)) is found[0]
    assert open_model(folder, precision="bf16").precision == "bf16"


def test_an_unknown_name_lists_what_there_is(tmp_path, monkeypatch):
    """Catches: a stack trace, or a silent download."""
    with pytest.raises(ModelError, match=r"no model called 'gpt5' .* draft, storyteller"):
        open_model("gpt5")
    monkeypatch.setenv("TOKENTRACE_DATA", str(tmp_path))
    with pytest.raises(ModelError, match="none in"):
        open_model()


def test_data_may_lie_elsewhere(tmp_path, monkeypatch):
    """Catches: TOKENTRACE_DATA ignored."""
    folder = write_model(tmp_path / "models" / "mine", vocab_size=40, n_positions=8, n_embd=8, n_layer=1, n_head=1)
    monkeypatch.setenv("TOKENTRACE_DATA", str(tmp_path))
    assert list(models.available()) == ["mine"]
    assert open_model("mine").folder == folder


@pytest.mark.parametrize("wrong", ["fp64", "", "FP32"])
def test_an_unknown_precision_is_refused(wrong):
    """Catches: a typing error that falls back to fp32."""
    with pytest.raises(ValueError, match=r"none of fp32, bf16, int8"):
        open_model("draft", precision=wrong)


def test_the_list_on_the_command_line():
    """Catches: a model left out of `python -m tokentrace.models`, or another size than the file has."""
    command = [sys.executable, "-m", "tokentrace.models"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for name, folder in models.available().items():
        megabytes = (folder / "model.safetensors").stat().st_size / 1e6
        assert any(line.startswith(name) and f"{megabytes:.1f} MB" in line for line in done.stdout.splitlines())
