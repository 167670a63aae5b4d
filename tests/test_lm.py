"""The engine against transformers' GPT2LMHeadModel, and against itself by other ways."""

import json
import subprocess
import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import GPT2LMHeadModel
from transformers.activations import ACT2CLS

from benches.shapes import write_model
from tokentrace import linear, models
from tokentrace.activations import ACTIVATIONS
from tokentrace.config import Config
from tokentrace.lm import GPT2
from tokentrace.model_files import ModelError
from tokentrace.models import open_model

TOLERANCE = 1e-4  # largest difference of a logit in fp32
PROMPTS = ("The old man opened the door and", '"I do not believe you," said', "Once upon a time there was a little")


@pytest.fixture(scope="module")
def model():
    return open_model("storyteller")


@pytest.fixture(scope="module")
def reference():
    return open_reference(models.find("storyteller"))


@pytest.fixture(params=["packed", "portable"])
def kernel(request, monkeypatch):
    """Run a test with the fast kernels, and again without them."""
    monkeypatch.setenv("TOKENTRACE_KERNEL", request.param)
    linear.works.cache_clear()
    yield request.param
    linear.works.cache_clear()


def open_reference(folder, **kwargs):
    return GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32, **kwargs).eval()


def random_ids(model, batch, length, seed=0):
    return torch.randint(model.config.vocab_size, (batch, length), generator=torch.Generator().manual_seed(seed))


def difference(found, expected):
    assert found.shape == expected.shape
    assert found.isfinite().all()
    return float((found - expected).abs().max())


def assert_equal_to_transformers(folder, length, **kwargs):
    """One pass over everything, and the same in two chunks onto a cache."""
    model, reference = GPT2(folder), open_reference(folder, **kwargs)
    ids = random_ids(model, 2, length)
    with torch.no_grad():
        expected = reference(ids).logits
    assert difference(model.forward(ids), expected) <= TOLERANCE
    cache = model.new_cache(batch_size=2)
    chunks = [model.forward(piece, cache) for piece in ids.tensor_split([length // 2], 1) if piece.numel()]
    assert difference(torch.cat(chunks, 1), expected) <= TOLERANCE


# ---- the embedded model against transformers ----


def test_logits_equal_transformers(model, reference, kernel):
    """Catches: GELU by erf instead of tanh, a missing 1/sqrt(d_head), a residual left out, a kernel that is off."""
    ours = GPT2(model.folder)
    ids = torch.cat([random_ids(model, 1, 512), torch.arange(512)[None]])
    with torch.no_grad():
        expected = reference(ids).logits
    assert difference(ours.forward(ids), expected) <= TOLERANCE
    assert difference(ours.forward(ids, last_only=True), expected[:, -1:]) <= TOLERANCE


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_tokens_equal_transformers_generate(model, reference, prompt):
    """Catches: a cache written one place off, wrong positions while decoding."""
    ids = torch.tensor([model.tokenizer.encode(prompt)])
    expected = reference.generate(ids, max_new_tokens=128, min_new_tokens=128, do_sample=False, use_cache=True)
    cache, found = model.new_cache(), ids
    logits = model.forward(ids, cache, last_only=True)
    for _ in range(128):
        logits[..., model.tokenizer.end_of_text] = -torch.inf  # as min_new_tokens does
        token = logits[:, -1].argmax(-1, keepdim=True)
        found = torch.cat([found, token], 1)
        logits = model.forward(token, cache)
    assert found.tolist() == expected.tolist()


def test_hidden_states_and_attention_equal_transformers(model):
    """Catches: weights before the softmax or of the wrong layer, a hidden state taken after its layer."""
    reference = open_reference(model.folder, attn_implementation="eager")
    ids = random_ids(model, 2, 40)
    with torch.no_grad():
        expected = reference(ids, output_hidden_states=True, output_attentions=True)
    hidden, attention = [], []
    model.forward(ids, hidden=hidden, attention=attention)
    assert len(hidden) == model.config.n_layer + 1
    assert len(attention) == model.config.n_layer
    assert max(map(difference, hidden, expected.hidden_states)) <= TOLERANCE
    assert max(map(difference, attention, expected.attentions)) <= 1e-5


def test_looking_does_not_change_the_run(model):
    """Catches: another way to compute attention when its weights are asked for."""
    ids = random_ids(model, 1, 30)
    cache, watched = model.new_cache(), model.new_cache()
    for piece in ids.split([20, 1, 9], 1):
        attention, hidden = [], []
        assert model.forward(piece, cache).equal(model.forward(piece, watched, hidden=hidden, attention=attention))
        assert attention[0].shape == (1, 5, piece.shape[1], watched.length)
        assert torch.allclose(torch.stack(attention).sum(-1), torch.ones(()), atol=1e-5)


# ---- every configuration ----

SMALL = {"vocab_size": 37, "n_positions": 24, "n_embd": 24, "n_layer": 2, "n_head": 3}
ODD = [
    {},
    {"n_head": 1},
    {"n_head": 24},
    {"n_embd": 15, "n_head": 5},
    {"n_embd": 1, "n_head": 1},
    {"n_layer": 1, "n_inner": 7},
    {"n_inner": 1},
    {"vocab_size": 2},
    {"vocab_size": 1031},
    {"layer_norm_epsilon": 0.3},
    {"layer_norm_epsilon": 1e-12},
    {"tie_word_embeddings": False},
    {"scale_attn_weights": False},
    {"scale_attn_by_inverse_layer_idx": True, "n_layer": 3},
    {"scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True, "n_layer": 3},
    {"reorder_and_upcast_attn": True, "scale_attn_by_inverse_layer_idx": True},
    {"activation_function": "relu", "n_inner": 40, "tie_word_embeddings": False, "layer_norm_epsilon": 0.01},
]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_odd_configurations_equal_transformers(tmp_path, odd, kernel):
    """Catches: any of these fields read and then not used, 4 x n_embd instead of n_inner, a head tied regardless."""
    assert_equal_to_transformers(write_model(tmp_path, **SMALL | odd), 24, attn_implementation="eager")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n_head=st.integers(1, 5),
    d_head=st.integers(1, 17),
    length=st.integers(1, 20),
    flags=st.fixed_dictionaries(
        {
            "vocab_size": st.integers(1, 70),
            "n_layer": st.integers(1, 3),
            "n_inner": st.none() | st.integers(1, 50),
            "activation_function": st.sampled_from(sorted(ACTIVATIONS)),
            "layer_norm_epsilon": st.floats(1e-7, 1),
            "tie_word_embeddings": st.booleans(),
            "scale_attn_weights": st.booleans(),
            "scale_attn_by_inverse_layer_idx": st.booleans(),
            "reorder_and_upcast_attn": st.booleans(),
        }
    ),
)
def test_generated_configurations_equal_transformers(tmp_path_factory, n_head, d_head, length, flags):
    """Catches: what the grid above did not think of."""
    folder = write_model(
        tmp_path_factory.mktemp("generated"), **flags, n_positions=20, n_embd=n_head * d_head, n_head=n_head
    )
    assert_equal_to_transformers(folder, length, attn_implementation="eager")


@pytest.mark.parametrize("name", ACT2CLS)
def test_every_activation_is_right_or_refused_by_name(tmp_path, name):
    """Catches: silu for gelu, a tanh approximation where erf is meant, an unknown name taken for the default."""
    if name not in ACTIVATIONS:
        with pytest.raises(ModelError, match=name):
            Config.from_dict({"activation_function": name})
        assert list(ACT2CLS[name]().parameters()), "only those with learned parameters may be refused"
        return
    kind, arguments = ACT2CLS[name] if isinstance(ACT2CLS[name], tuple) else (ACT2CLS[name], {})
    x = torch.linspace(-12, 12, 1001)
    assert torch.allclose(ACTIVATIONS[name](x), kind(**arguments)(x), atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"model_type": "llama"}, "llama"),
        ({"architectures": ["GPT2ForSequenceClassification"]}, "GPT2ForSequenceClassification"),
        ({"activation_function": "swiglu"}, "swiglu"),
        ({"add_cross_attention": True}, "add_cross_attention"),
        ({"is_causal": False}, "is_causal"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
        ({"sliding_window": 8}, "sliding_window"),
        ({"n_head": 5}, "n_head = 5"),
        ({"n_layer": 0}, "n_layer = 0"),
        ({"n_embd": 24.0}, "n_embd = 24.0"),
        ({"n_head": True}, "n_head = True"),
        ({"n_positions": None}, "n_ctx = None"),
        ({"n_inner": -4}, "n_inner = -4"),
        ({"layer_norm_epsilon": "small"}, "layer_norm_epsilon = 'small'"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings = 'yes'"),
    ],
    ids=str,
)
def test_other_configurations_are_refused_by_name(changed, named):
    """Catches: a model computed wrongly without a word."""
    with pytest.raises(ModelError, match=named):
        Config.from_dict(SMALL | changed)


def test_aliases_mean_what_they_mean_in_transformers(tmp_path):
    """Catches: n_ctx taken for n_positions, an alias unknown, the wrong one of two winning."""
    folder = write_model(tmp_path, **SMALL)
    config = json.loads((folder / "config.json").read_text())
    for name in ("n_embd", "n_layer", "n_head", "n_positions"):
        del config[name]
    config |= {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "max_position_embeddings": 24}
    (folder / "config.json").write_text(json.dumps(config | {"n_ctx": 7, "n_head": 8}))
    assert_equal_to_transformers(folder, 24)
    assert Config.from_dict({"n_positions": 24, "n_ctx": 7}).n_ctx == 24
    assert Config.from_dict({"n_ctx": 7}).n_ctx == 1024


# ---- one forward for everything ----


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(0, 99))
def test_chunks_equal_one_pass(chunks, seed):
    """Catches: a mask that ignores the cache, positions that start again, keys written over each other."""
    model = open_model("storyteller")
    ids = random_ids(model, 1, sum(chunks), seed)
    cache = model.new_cache()
    found = torch.cat([model.forward(piece, cache) for piece in ids.split(chunks, 1)], 1)
    assert difference(found, model.forward(ids)) <= TOLERANCE
    assert cache.length == sum(chunks)


def test_a_batch_equals_its_rows(model):
    """Catches: texts that see each other, a cache that mixes rows up."""
    ids = random_ids(model, 3, 20)
    cache = model.new_cache(batch_size=3)
    together = torch.cat([model.forward(ids[:, :15], cache), model.forward(ids[:, 15:], cache)], 1)
    for row in range(3):
        assert difference(together[row : row + 1], model.forward(ids[row : row + 1])) <= TOLERANCE


def test_truncate_then_continue_equals_a_fresh_run(model):
    """Catches: a truncate that leaves length, or a mask that still sees what was forgotten."""
    ids, other = random_ids(model, 1, 30), random_ids(model, 1, 12, seed=1)
    cache = model.new_cache()
    model.forward(ids, cache)
    cache.truncate(18)
    expected = model.forward(torch.cat([ids[:, :18], other], 1))[:, 18:]
    assert difference(model.forward(other, cache), expected) <= TOLERANCE
    for wrong in (-1, cache.length + 1):
        with pytest.raises(ValueError, match=f"cut back to {wrong}"):
            cache.truncate(wrong)


def test_without_the_causal_mask_the_future_shows(model):
    """Catches: a `causal` that does nothing, or that also opens the way backwards in the default."""
    ids = random_ids(model, 1, 10)
    changed = ids.clone()
    changed[0, 9] = (ids[0, 9] + 1) % model.config.vocab_size
    assert model.forward(ids)[0, :9].equal(model.forward(changed)[0, :9])
    assert not torch.allclose(model.forward(ids, causal=False)[0, 0], model.forward(changed, causal=False)[0, 0])
    everything = torch.ones(10, 10, dtype=torch.bool)
    assert difference(model.forward(ids, mask=everything), model.forward(ids, causal=False)) <= TOLERANCE


def test_two_branches_in_one_pass(model):
    """Catches: a mask or positions that are ignored. A tree of guesses: after 20 tokens, a-b and c-d side by side."""
    prompt, guesses = random_ids(model, 1, 20), random_ids(model, 1, 4, seed=2)
    cache = model.new_cache()
    model.forward(prompt, cache)
    mask = torch.ones(4, 24, dtype=torch.bool)
    mask[:, 20:] = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]], dtype=torch.bool)
    found = model.forward(guesses, cache, positions=torch.tensor([20, 21, 20, 21]), mask=mask)
    for branch in (slice(0, 2), slice(2, 4)):
        expected = model.forward(torch.cat([prompt, guesses[:, branch]], 1))[:, 20:]
        assert difference(found[:, branch], expected) <= TOLERANCE


def test_cache_counts_its_bytes(model):
    """Catches: a cache as large as the context whatever was asked for, or bytes of keys without values."""
    cache = model.new_cache(batch_size=2, capacity=40)
    assert (cache.length, cache.nbytes) == (0, 0)
    one_position = 2 * model.config.n_layer * model.config.n_embd * 4
    model.forward(random_ids(model, 2, 7), cache)
    assert cache.nbytes == 2 * 7 * one_position
    assert cache.allocated_nbytes == 2 * 40 * one_position
    assert cache.keys(5).shape == cache.values(5).shape == (2, 5, 7, 64)
    assert not cache.keys(5).equal(cache.values(5))
    assert GPT2(model.folder, "bf16").new_cache(2, 40).allocated_nbytes == 40 * one_position


def test_what_cannot_be_read_is_refused_and_leaves_the_cache(model):
    """Catches: silent truncation, wrapping around, and a cache that half holds a failed call."""
    cache = model.new_cache(capacity=10)
    model.forward(random_ids(model, 1, 8), cache)
    before = cache.keys(0).clone()
    refused = [
        (random_ids(model, 1, 3), cache, "room for 10 positions, and 11"),
        (random_ids(model, 2, 1), cache, "batch of 1, and 2"),
        (torch.empty(1, 0, dtype=torch.long), cache, "no token"),
        (torch.tensor([5, 6]), cache, r"\[batch, new\]"),
        (torch.tensor([[8192]]), cache, "outside the 8192"),
        (torch.tensor([[-1]]), cache, "outside the 8192"),
        (random_ids(model, 1, 513), None, "513 tokens are more than storyteller"),
    ]
    for ids, where, sentence in refused:
        with pytest.raises(ValueError, match=sentence):
            model.forward(ids, where)
    assert cache.length == 8
    assert cache.keys(0).equal(before)
    for size in ({"capacity": 513}, {"capacity": 0}, {"batch_size": 0}):
        with pytest.raises(ValueError, match="cache"):
            model.new_cache(**size)


# ---- less precision ----


@pytest.mark.parametrize(("precision", "tolerance", "mean"), [("bf16", 0.5, 0.04), ("int8", 1.0, 0.07)])
def test_less_precision_stays_close(model, precision, tolerance, mean, kernel):
    """Catches: scales along the wrong axis, a bias forgotten, NaN. Logits here span about -15 to 18."""
    ids = random_ids(model, 1, 213)
    expected, coarse = model.forward(ids), GPT2(model.folder, precision)
    cache = coarse.new_cache()
    found = torch.cat([coarse.forward(piece, cache) for piece in ids.split([12, 1, 200], 1)], 1)
    assert found.dtype == torch.float32
    assert difference(found, expected) <= tolerance
    assert float((found - expected).abs().mean()) <= mean
    assert float((found.argmax(-1) == expected.argmax(-1)).float().mean()) >= 0.93


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(["bf16", "int8"]), st.lists(st.integers(0, 8191), min_size=1, max_size=64))
def test_less_precision_is_never_nan(precision, tokens):
    """Catches: an overflow or a division by a zero scale."""
    assert open_model("draft", precision).forward(torch.tensor([tokens])).isfinite().all()


def test_an_all_zero_column_is_quantised(tmp_path):
    """Catches: 0 / 0 where a layer has an output that is always zero."""
    quantised, scale = linear.quantise(torch.zeros(4, 3))
    assert quantised.eq(0).all()
    assert (scale > 0).all()


# ---- the house ----


def test_neither_transformers_nor_jupyter_is_imported(model):
    """Catches: 3 s and 100 MB a kernel by one import."""
    code = f"""
import sys, torch, tokentrace
assert "torch" in sys.modules
model = tokentrace.load({str(model.folder)!r})
model.forward(torch.tensor([model.tokenizer.encode("a b")]))
print(sorted({{"transformers", "anywidget", "ipywidgets", "IPython", "traitlets", "pandas"}} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_package_imports_nothing_heavy():
    """Catches: `import tokentrace` that costs a second."""
    code = "import sys, tokentrace; print([n for n in ('torch', 'numpy', 'tokenizers') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names():
    """Catches: a lazy name that leads nowhere."""
    import tokentrace

    assert {"Trace", "generate", "load", "stream"} <= set(tokentrace.__all__) <= set(dir(tokentrace))
    assert tokentrace.load is open_model
    assert all(callable(getattr(tokentrace, name)) for name in tokentrace.__all__)
    with pytest.raises(AttributeError, match="generat"):
        _ = tokentrace.generat
