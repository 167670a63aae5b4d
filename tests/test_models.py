"""Names of models, the folders behind them, and one copy for all who ask."""

import hashlib
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from benches.shapes import write_model
from tokentrace import models
from tokentrace.model_files import CHECKSUMS, ModelError
from tokentrace.models import open_model


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
    assert list(models.embedded()) == ["mine"]
    assert open_model("mine").folder == folder


@pytest.mark.parametrize("wrong", ["fp64", "", "FP32"])
def test_an_unknown_precision_is_refused(wrong):
    """Catches: a typing error that falls back to fp32."""
    with pytest.raises(ValueError, match=r"none of fp32, bf16, int8"):
        open_model("draft", precision=wrong)


def test_every_embedded_file_is_listed():
    """Catches: a model exported without its checksums, or one file of it forgotten."""
    sums = (models.models_folder() / CHECKSUMS).read_text().splitlines()
    files = [file for folder in models.embedded().values() for file in folder.iterdir()]
    files = [file for file in files if file.suffix in (".json", ".safetensors")]
    assert {line.split()[1] for line in sums} == {f"{file.parent.name}/{file.name}" for file in files}


def test_git_leaves_the_files_as_they_are(root):
    """Catches: line ends rewritten by a checkout on Windows, and every checksum wrong."""
    command = ["git", "check-attr", "text", "data/models/draft/config.json", "data/models/SHA256SUMS"]
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert [line.rpartition(" ")[2] for line in found.splitlines()] == ["unset", "unset"]


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """The embedded draft where it may be damaged."""
    shutil.copytree(models.find("draft"), tmp_path / "models" / "draft")
    sums = (models.models_folder() / CHECKSUMS).read_text().splitlines(keepends=True)
    (tmp_path / "models" / CHECKSUMS).write_text("".join(line for line in sums if "draft/" in line))
    monkeypatch.setenv("TOKENTRACE_DATA", str(tmp_path))
    return tmp_path / "models" / "draft"


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_changed_file_is_refused(copied, file):
    """Catches: one wrong bit in a weight, another vocabulary of the same size, read without a word."""
    assert open_model("draft").name == "draft"
    content = bytearray((copied / file).read_bytes())
    content[-2] ^= 1
    (copied / file).write_bytes(content)
    models._opened.cache_clear()
    with pytest.raises(ModelError, match=rf"{file} is not the file that SHA256SUMS lists"):
        open_model("draft")
    (copied / file).unlink()
    with pytest.raises(ModelError, match=rf"no ({file} in|model called)"):
        open_model("draft")


@pytest.mark.parametrize("damage", ["cut off", "foreign"])
def test_cut_off_and_foreign_weights_are_refused(copied, damage):
    """Catches: a clone that broke off, and the storyteller's weights in the draft's folder."""
    file = copied / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    if damage == "foreign":
        shutil.copy(Path(__file__).parents[1] / "data" / "models" / "storyteller" / file.name, file)
    with pytest.raises(ModelError, match="cut off, damaged or another model's"):
        open_model("draft")


def test_a_folder_without_checksums_is_opened(copied):
    """Catches: checksums asked of a reader's own model."""
    (copied.parent / CHECKSUMS).unlink()
    (copied / "generation_config.json").write_text("{}")
    assert open_model("draft").name == "draft"


def test_another_kind_of_model_is_named(tmp_path):
    """Catches: a Llama refused without a word on what opens it."""
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelError, match=r"llama model, not gpt2: tokentrace\.load_any opens it"):
        open_model(tmp_path)


def test_the_list_on_the_command_line():
    """Catches: a model left out of `python -m tokentrace.models`, or another size than the file has."""
    command = [sys.executable, "-m", "tokentrace.models"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for name, folder in models.available().items():
        megabytes = (folder / "model.safetensors").stat().st_size / 1e6
        assert any(line.startswith(name) and f"{megabytes:.1f} MB" in line for line in done.stdout.splitlines())
