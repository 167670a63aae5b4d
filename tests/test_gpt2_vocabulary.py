"""The widgets with GPT-2's own tokenizer: nothing may assume the vocabulary of the embedded models.

A data folder is made in which `storyteller` and `draft` are GPT-2s of random weights over GPT-2's 50,257
tokens, the lessons' traces are recorded anew there, and the widgets' tests run on it as they are.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import tokentrace
from benches.shapes import write_model
from tokentrace.tokenizer import Tokenizer
from tokentrace.trace import Trace

ROOT = Path(__file__).parents[1]
GPT2_FILES = ROOT.parent / "shared" / "gpt2-tokenizer"
WIDGETS = [
    *("chain_rule", "data", "exercises", "five_words", "generation_loop", "repetition", "score", "trace", "views"),
    *("exposure", "recovery", "entropy_drift", "exposure_bias", "cache_run", "kv_cache", "paging", "batching"),
    *("prefill_decode", "quantized_cache"),
]

pytestmark = pytest.mark.skipif(not GPT2_FILES.is_dir(), reason="GPT-2's vocab.json and merges.txt are not at hand")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder like the project's own, under another vocabulary."""
    from transformers import GPT2LMHeadModel, GPT2Tokenizer

    folder = tmp_path_factory.mktemp("data")
    end = Tokenizer.from_folder(GPT2_FILES).end_of_text
    for name in ("passages", "prompts.txt", "sunspots.csv"):
        (folder / name).symlink_to(ROOT / "data" / name)
    for name, layers in (("storyteller", 2), ("draft", 1)):
        shape = {"vocab_size": 50257, "n_positions": 1024, "n_embd": 64, "n_layer": layers, "n_head": 2}
        model = write_model(folder / "models" / name, **shape, bos_token_id=end, eos_token_id=end)
        sharper = GPT2LMHeadModel.from_pretrained(model)
        with torch.no_grad():
            sharper.transformer.wte.weight.mul_(3)  # more sure of itself, as trained models are
            sharper.transformer.wpe.weight.mul_(10)  # and less given to saying the same again
        sharper.save_pretrained(model)
        GPT2Tokenizer.from_pretrained(GPT2_FILES).save_pretrained(model)
    return folder


@pytest.fixture
def model(data, monkeypatch):
    monkeypatch.setenv("TOKENTRACE_DATA", str(data))
    return tokentrace.load("storyteller")


def test_the_model_is_what_it_says(model):
    """Catches: a fixture that tests the embedded vocabulary once more."""
    assert (model.config.vocab_size, model.tokenizer.end_of_text) == (50257, 50256)
    assert model.tokenizer.encode("Hello world, I love cats") == [15496, 995, 11, 314, 1842, 11875]


def test_a_run_over_this_vocabulary(model, tmp_path):
    """Catches: an end of text that is always 0, a character lost between tokens, a trace that does not come back."""
    prompt = "naïve 日本語 👩‍👩‍👧 text"
    trace = tokentrace.generate(model, prompt, seed=1, temperature=1.5, max_new_tokens=60)
    assert b"".join(trace.vocabulary[token] for token in trace.prompt_tokens).decode() == prompt
    assert trace.text == model.tokenizer.decode(trace.tokens)
    assert Trace.load(trace.save(tmp_path / "run.json")) == trace
    fork = tokentrace.branch(model, trace, 3, 50256)
    list(fork)
    assert fork.trace.stop == "end_of_text"


@pytest.mark.slow
def test_the_widgets_tests_pass_with_it(data):
    """Catches: a token number, a count of tokens or a vocabulary size of the embedded models in code or tests."""
    (data / "traces").mkdir()
    run(data, "data/traces/record.py", data / "traces")
    tests = [f"tests/test_{word}.py" for word in WIDGETS]
    run(data, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *tests)


def run(data, *command):
    environment = os.environ | {"TOKENTRACE_DATA": str(data)}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
