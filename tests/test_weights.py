"""Weight files: every way to store the same numbers gives the same model, and what is broken is refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel

from benches.shapes import write_model
from tokentrace.lm import GPT2
from tokentrace.model_files import ModelError

SMALL = {"vocab_size": 40, "n_positions": 16, "n_embd": 12, "n_layer": 2, "n_head": 2}
IDS = torch.arange(16)[None] * 7 % 40


@pytest.fixture
def folder(tmp_path):
    return write_model(tmp_path / "small", **SMALL)


def rewrite(folder, change):
    """Replace the weights by what `change` makes of them."""
    tensors = change(load_file(folder / "model.safetensors"))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")


def reference(folder):
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(IDS).logits


def assert_like(folder, expected):
    assert torch.allclose(GPT2(folder).forward(IDS), expected, atol=1e-4, rtol=0)


def test_names_without_prefix(folder):
    """Catches: published GPT-2 files, which have no `transformer.` before their names."""
    expected = reference(folder)
    rewrite(folder, lambda tensors: {name.removeprefix("transformer."): t for name, t in tensors.items()})
    assert_like(folder, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types(folder, dtype):
    """Catches: half-precision numbers computed with in half precision."""
    rewrite(folder, lambda tensors: {name: t.to(dtype) for name, t in tensors.items()})
    assert_like(folder, reference(folder))


def test_old_masks_are_ignored(folder):
    """Catches: the causal masks of old exports taken for unknown weights."""
    expected = reference(folder)
    masks = {f"transformer.h.{layer}.attn.bias": torch.ones(1, 1, 16, 16).tril() for layer in range(2)}
    masks |= {f"transformer.h.{layer}.attn.masked_bias": torch.tensor(-1e4) for layer in range(2)}
    rewrite(folder, lambda tensors: tensors | masks)
    assert_like(folder, expected)


def test_shards(folder):
    """Catches: only the first file read, or the index not followed."""
    expected = reference(folder)
    tensors = load_file(folder / "model.safetensors")
    shards = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(tensors)}
    for file in set(shards.values()):
        save_file({name: tensors[name] for name in tensors if shards[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    (folder / "model.safetensors").unlink()
    assert_like(folder, expected)
    first = GPT2(folder).fingerprint
    rewritten = {name: t + 1 for name, t in load_file(folder / "part-1.safetensors").items()}
    save_file(rewritten, folder / "part-1.safetensors")
    assert GPT2(folder).fingerprint != first
    (folder / "part-1.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no part-1\.safetensors"):
        GPT2(folder)


@pytest.mark.parametrize("case", ["equal", "different", "only the head"])
def test_a_tied_head_that_is_stored(folder, case):
    """Catches: a stored head ignored though it differs (transformers then uses it), or doubled in the count."""
    n_parameters = GPT2(folder).n_parameters

    def change(tensors):
        table = tensors["transformer.wte.weight"]
        if case == "only the head":
            del tensors["transformer.wte.weight"]
        return tensors | {
            "lm_head.weight": table + 0.1 * torch.randn(table.shape) if case == "different" else table + 0
        }

    rewrite(folder, change)
    assert_like(folder, reference(folder))
    assert GPT2(folder).n_parameters == n_parameters + (40 * 12 if case == "different" else 0)


def test_parameters_are_counted(folder):
    """Catches: a head counted twice, a bias forgotten."""
    model = GPT2LMHeadModel.from_pretrained(folder)
    assert GPT2(folder).n_parameters == sum(tensor.numel() for tensor in model.parameters())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda t: {n: x for n, x in t.items() if "h.1.mlp.c_fc.bias" not in n},
            r"lack the tensor h\.1\.mlp\.c_fc\.bias",
        ),
        (lambda t: t | {"transformer.h.2.ln_1.bias": torch.ones(12)}, r"unexpected tensor h\.2\.ln_1\.bias"),
        (lambda t: t | {"transformer.ln_f.weight": torch.ones(13)}, r"ln_f\.weight .*\[13\] where \[12\]"),
        (
            lambda t: t | {"transformer.h.0.mlp.c_fc.weight": t["transformer.h.0.mlp.c_fc.weight"].t()},
            r"c_fc\.weight .*\[48, 12\] where \[12, 48\]",
        ),
        (lambda t: t | {"wpe.weight": t["transformer.wpe.weight"] + 0}, r"wpe\.weight a second time"),
        (lambda t: t | {"transformer.ln_f.bias": torch.ones(12, dtype=torch.int8)}, r"ln_f\.bias .*int8"),
        (lambda t: {"model.layers.0.weight": torch.ones(3)}, r"lack the tensor wte\.weight"),
    ],
    ids=["missing", "unexpected", "misshapen", "transposed", "twice", "whole numbers", "another model"],
)
def test_wrong_tensors_are_named(folder, change, sentence):
    """Catches: a model that runs on random or half of its weights."""
    rewrite(folder, change)
    with pytest.raises(ModelError, match=sentence):
        GPT2(folder)


@pytest.mark.parametrize("damage", ["truncated", "header", "empty", "foreign"])
def test_damaged_files_are_refused(folder, damage):
    """Catches: garbage read as weights, or an error that does not say which file."""
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(
        {
            "truncated": whole[:-100],
            "header": whole[:9] + b"\xff\xff\xff" + whole[12:],
            "empty": b"",
            "foreign": b"PK\x03\x04" + bytes(500),
        }[damage]
    )
    with pytest.raises(ModelError, match=r"model\.safetensors is no safetensors file"):
        GPT2(folder)


def test_missing_files_are_named(folder):
    """Catches: a stack trace for a folder that is no model."""
    weights = folder / "model.safetensors"
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"can run code"):
        GPT2(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        GPT2(folder)
    (folder / "config.json").write_text("{'single': 'quotes'}")
    with pytest.raises(ModelError, match=r"config\.json is not valid JSON"):
        GPT2(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json"):
        GPT2(folder)
