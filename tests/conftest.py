"""What all tests share: where things are, a quiet machine, and which tests run last."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Before torch is imported anywhere. Tests measure no speed, and a test that asks a model hub is a wrong test.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]):
    # Playwright keeps an event loop running in this thread, which asyncio.run() in a later test would refuse.
    browser = ROOT / "tests" / "browser"
    order = {}
    for item in items:
        in_browser = browser in item.path.parents
        if in_browser:
            item.add_marker("browser")
        # One process runs all tests of a file, and all those of a lesson's page.
        group = getattr(item.module, "NOTEBOOK", item.path.stem) if in_browser else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))
        order[item] = in_browser, group if in_browser else ""
    items.sort(key=order.__getitem__)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def node() -> str:
    """A node >= 20: the one on PATH, or the one inside Playwright's package."""
    if found := shutil.which("node"):
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
        if int(re.match(r"v(\d+)", version)[1]) >= 20:
            return found
    import playwright

    (bundled,) = (Path(playwright.__file__).parent / "driver").glob("node*")
    return str(bundled)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Five tokens and eight positions: small enough to enumerate what it may write."""
    import torch
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import GPT2Config, GPT2LMHeadModel

    from tokentrace.models import open_model

    folder = tmp_path_factory.mktemp("tiny")
    letters = {"<|endoftext|>": 0, "a": 1, "b": 2, "c": 3, "d": 4}
    tokenizer = Tokenizer(BPE(vocab=letters, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=5,
        n_positions=8,
        n_embd=16,
        n_layer=2,
        n_head=2,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return open_model(folder)
