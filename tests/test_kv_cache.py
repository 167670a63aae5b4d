"""The arithmetic of a KV cache against a reference table, against transformers' own caches, and turned round."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from math import prod

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

import tokentrace
from tokentrace.architectures import PRESETS, CacheShape, ShapeError, from_config
from tokentrace.cache_reading import CacheReading, read, recorded_reading, shape_in, shape_of
from tokentrace.claims import kv_cache as claimed
from tokentrace.kv_cache import (
    BITS,
    as_kind,
    cache_bytes,
    factors,
    fit,
    largest_batch,
    longest_context,
    main,
    report,
    weight_bytes,
)
from tokentrace.paging import Request, serve
from tokentrace.plain_data import TraceError
from tokentrace.questions import kv_cache as asked
from tokentrace.views import CacheCalculator

KIB, MIB, GIB = 2**10, 2**20, 2**30

# ---- against a table worked out elsewhere ----

# Bytes of a position in fp16, in KiB, from the course's fact sheet (vLLM's 800 KB for OPT-13B among them).
KIB_A_TOKEN = {
    "distilgpt2": 18, "gpt-2": 36, "gpt-2-medium": 96, "gpt-2-large": 180, "gpt-2-xl": 300, "opt-13b": 800,
    "gpt-3-175b": 4608, "llama-2-7b": 512, "llama-2-13b": 800, "llama-2-70b": 320, "llama-3-8b": 128,
    "llama-3.1-8b": 128, "llama-3-70b": 320, "llama-3.1-70b": 320, "llama-3.1-405b": 504, "mistral-7b": 128,
    "mixtral-8x7b": 128, "qwen2.5-0.5b": 12, "qwen2.5-1.5b": 28, "qwen2.5-7b": 56, "qwen2.5-72b": 320,
    "gemma-2-2b": 104, "gemma-2-9b": 336, "gemma-2-27b": 368, "gemma-3-1b": 26, "gemma-3-4b": 136,
    "gemma-3-12b": 384, "gemma-3-27b": 496, "deepseek-v2": 67.5, "deepseek-v3": 68.625,
}  # fmt: skip
# At the longest context, in GiB as the sheet rounds it; with windows as the model has them.
GIB_AT_MOST = {
    "distilgpt2": 18 / 1024, "gpt-2": 36 / 1024, "gpt-2-xl": 300 / 1024, "opt-13b": 1.5625, "gpt-3-175b": 9.0,
    "llama-2-7b": 2.0, "llama-2-13b": 3.125, "llama-2-70b": 1.25, "llama-3-8b": 1.0, "llama-3.1-8b": 16.0,
    "llama-3-70b": 2.5, "llama-3.1-70b": 40.0, "llama-3.1-405b": 63.0, "mistral-7b": 0.5, "mixtral-8x7b": 4.0,
    "qwen2.5-0.5b": 0.375, "qwen2.5-1.5b": 0.875, "qwen2.5-7b": 7.0, "qwen2.5-72b": 40.0, "gemma-2-2b": 0.61,
    "gemma-2-9b": 1.97, "gemma-2-27b": 2.16, "gemma-3-1b": 0.14, "gemma-3-4b": 2.61, "gemma-3-12b": 8.31,
    "gemma-3-27b": 10.4, "deepseek-v2": 8.4, "deepseek-v3": 8.6,
}  # fmt: skip


def test_every_preset_is_in_the_table():
    assert PRESETS.keys() == KIB_A_TOKEN.keys()


@pytest.mark.parametrize("key", PRESETS)
def test_bytes_of_a_position(key):
    """Catches: query heads for KV heads, width / heads for the head size, the 2 left out, experts counted."""
    assert cache_bytes(PRESETS[key], 1) == KIB_A_TOKEN[key] * KIB


@pytest.mark.parametrize("key", GIB_AT_MOST)
def test_bytes_at_the_longest_context(key):
    """Catches: a window on the wrong number of layers, a context of another version of the model."""
    shape = PRESETS[key]
    found = cache_bytes(shape, shape.context) / GIB
    one_digit = GIB_AT_MOST[key] == round(GIB_AT_MOST[key], 1)
    assert found == pytest.approx(GIB_AT_MOST[key], abs=0.05 if one_digit else 0.005)


def test_the_70b_example_of_the_sources():
    """80 layers, 8 KV heads of 128, 4,096 positions, two bytes. Catches: GB and GiB mixed up."""
    shape = PRESETS["llama-2-70b"]
    assert cache_bytes(shape, 4096) == 1_342_177_280
    said = dict(report(shape, 4096))
    assert said["cache"] == "1,342,177,280 bytes = 1.34 GB = 1.25 GiB"
    assert cache_bytes(as_kind(shape, "MHA"), 4096) == 10_737_418_240
    assert said["with all heads"] == "10,737,418,240 bytes, 8 times as much"


def test_head_size_is_a_number_of_its_own():
    """Gemma's heads are wider than width / heads (2,304 / 8 = 288 is not 256; 5,376 / 32 = 168 is not 128)."""
    assert (PRESETS["gemma-2-2b"].head_size, PRESETS["gemma-3-27b"].head_size) == (256, 128)


def test_half_bytes_are_rounded_up():
    odd = CacheShape("odd", 1, 1, 1, 1)
    assert cache_bytes(replace(odd, latent=3), 1, dtype="int4") == 2
    assert cache_bytes(odd, 1, dtype="int4") == 1
    assert [cache_bytes(PRESETS["gpt-2"], 1, dtype=each) // KIB for each in BITS] == [72, 36, 36, 18, 18, 9]


# ---- against transformers ----

TINY = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 6, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GPT2 = {"vocab_size": 64, "n_positions": 64, "n_embd": 32, "n_layer": 3, "n_head": 4}
EXPERTS = {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
           "first_k_dense_replace": 1, "n_group": 2, "topk_group": 1}  # fmt: skip
LATENT = {"kv_lora_rank": 8, "q_lora_rank": 12, "qk_rope_head_dim": 4, "qk_nope_head_dim": 6, "v_head_dim": 10}
KINDS = {
    "gpt2": ("GPT2Config", GPT2),
    "opt": ("OPTConfig", {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
                          "ffn_dim": 48, "max_position_embeddings": 64, "word_embed_proj_dim": 32}),
    "llama": ("LlamaConfig", TINY),
    "llama, one head for all": ("LlamaConfig", TINY | {"num_key_value_heads": 1}),
    "llama, wide heads": ("LlamaConfig", TINY | {"head_dim": 12}),
    "mistral": ("MistralConfig", TINY | {"sliding_window": None}),
    "mistral, window": ("MistralConfig", TINY | {"sliding_window": 6}),
    "mixtral": ("MixtralConfig", TINY | {"num_local_experts": 3}),
    "qwen2": ("Qwen2Config", TINY),
    "qwen2, window": ("Qwen2Config", TINY | {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 4}),
    "gemma2": ("Gemma2Config", TINY | {"head_dim": 12, "sliding_window": 6}),
    "gemma3": ("Gemma3TextConfig", TINY | {"head_dim": 12, "sliding_window": 6}),
    "deepseek_v2": ("DeepseekV2Config", TINY | LATENT | EXPERTS | {"num_key_value_heads": 4}),
    "deepseek_v3": ("DeepseekV3Config", TINY | LATENT | EXPERTS | {"num_key_value_heads": 4}),
}  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def theirs(request):
    """Configuration of a tiny random model, and the model."""
    name, settings = KINDS[request.param]
    torch.manual_seed(0)
    config = getattr(transformers, name)(**settings)
    return config, transformers.AutoModelForCausalLM.from_config(config).eval()


def their_cache(model, positions, batch, by_one=0):
    """Bytes in transformers' own cache after it has read so many positions, the last `by_one` one by one."""
    ids = torch.randint(3, 64, (batch, positions))
    with torch.no_grad():
        found = model(ids[:, : positions - by_one], use_cache=True).past_key_values
        for at in range(positions - by_one, positions):
            found = model(ids[:, at : at + 1], past_key_values=found, use_cache=True).past_key_values
    tensors = [tensor for layer in found.layers for tensor in (layer.keys, layer.values)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@pytest.mark.parametrize(("positions", "batch", "by_one"), [(1, 1, 0), (5, 3, 2), (20, 2, 0), (20, 1, 9)])
def test_the_formula_is_what_transformers_keeps(theirs, positions, batch, by_one):
    """Exactly, in every family; latent attention too, whose latent transformers keeps packed.

    One documented difference: of a window transformers keeps all but one position, since the one being read adds
    itself. Catches: query heads for KV heads; the batch forgotten; the window put on the wrong layers.
    """
    config, model = theirs
    shape = from_config(config.to_dict())
    found = their_cache(model, positions, batch, by_one)
    kept = replace(shape, window=shape.window and shape.window - 1)
    assert found == cache_bytes(kept, positions, batch, "fp32")
    if not shape.window or positions < shape.window:
        assert found == cache_bytes(shape, positions, batch, "fp32")


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_the_embedded_models_cache_is_the_formula(dtype):
    """The live tensors of a real forward. Catches: a cache that counts its capacity, or keys alone."""
    model = tokentrace.load("storyteller")
    if dtype != "fp32":
        from tokentrace.models import open_model

        model = open_model("storyteller", dtype)
    shape = from_config(json.loads((model.folder / "config.json").read_text()))
    for positions, batch in ((1, 1), (37, 2)):
        cache = model.new_cache(batch, 64)
        model.forward(torch.ones(batch, positions, dtype=torch.long), cache)
        assert cache.nbytes == cache_bytes(shape, positions, batch, dtype)


@pytest.mark.slow
def test_parameters_are_those_of_transformers_modules():
    """Counted on modules without memory. Catches: a count of active experts, an untied head counted or left out."""

    def count(kind, **settings):
        with torch.device("meta"):
            model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, kind)(**settings))
        return sum(parameter.numel() for parameter in model.parameters())

    def llama(vocab, inner, kind="LlamaConfig", **more):
        return lambda shape: count(kind, vocab_size=vocab, hidden_size=shape.heads * shape.head_size,
                                   intermediate_size=inner, **named(shape), **more)  # fmt: skip

    def gemma(kind, vocab, width, inner):
        return lambda shape: count(kind, vocab_size=vocab, hidden_size=width, intermediate_size=inner,
                                   head_dim=shape.head_size, **named(shape))  # fmt: skip

    def named(shape):
        return {"num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
                "num_key_value_heads": shape.kv_heads}  # fmt: skip

    def gpt2(shape):
        width = shape.heads * shape.head_size
        return count("GPT2Config", n_embd=width, n_layer=shape.layers, n_head=shape.heads, n_positions=shape.context)

    counters = dict.fromkeys([key for key in PRESETS if "gpt" in key], gpt2)
    counters |= {
        "llama-2-7b": llama(32000, 11008), "llama-2-70b": llama(32000, 28672), "llama-3-8b": llama(128256, 14336),
        "llama-3-70b": llama(128256, 28672), "llama-3.1-405b": llama(128256, 53248),
        "mistral-7b": llama(32000, 14336, "MistralConfig"), "mixtral-8x7b": llama(32000, 14336, "MixtralConfig"),
        "qwen2.5-0.5b": llama(151936, 4864, "Qwen2Config", tie_word_embeddings=True),
        "qwen2.5-72b": llama(152064, 29568, "Qwen2Config"),
        "gemma-2-2b": gemma("Gemma2Config", 256000, 2304, 9216),
        "gemma-2-27b": gemma("Gemma2Config", 256000, 4608, 36864),
        "gemma-3-1b": gemma("Gemma3TextConfig", 262144, 1152, 6912),
        "gemma-3-4b": gemma("Gemma3TextConfig", 262208, 2560, 10240),
        "deepseek-v3": lambda shape: count("DeepseekV3Config"),
    }  # fmt: skip
    assert {key: counter(PRESETS[key]) for key, counter in counters.items()} == {
        key: PRESETS[key].parameters for key in counters
    }


# ---- turned round ----

SHAPES = st.builds(
    lambda layers, windowed, groups, kv, size, window, latent: CacheShape(
        "any", layers, groups * kv, kv, size, window=window, windowed=min(windowed, layers) if window else 0,
        latent=latent, rope=latent // 8,
    ),
    *(st.integers(1, 9), st.integers(0, 9), st.integers(1, 4), st.integers(1, 4), st.integers(1, 16)),
    *(st.none() | st.integers(1, 40), st.sampled_from([0, 0, 24])),
)  # fmt: skip


@given(SHAPES, st.integers(0, 200_000), st.integers(1, 50), st.integers(1, 60), st.sampled_from(sorted(BITS)))
def test_what_fits_fits_and_one_more_does_not(shape, room, batch, positions, dtype):
    """Brute force on both sides of the answer. Catches: off by one, a window left out of the inverse."""
    texts = largest_batch(shape, room, positions, dtype)
    assert cache_bytes(shape, positions, texts, dtype) <= room < cache_bytes(shape, positions, texts + 1, dtype)
    longest = longest_context(shape, room, batch, dtype)
    if longest is None:
        assert shape.windowed == shape.layers
        assert cache_bytes(shape, 10**9, batch, dtype) <= room
    else:
        assert cache_bytes(shape, longest, batch, dtype) <= room < cache_bytes(shape, longest + 1, batch, dtype)


def test_a_card_holds_the_weights_first():
    """By hand: 24 GB, less 8,030,261,248 x 2 bytes, over 131,072 bytes a position. Catches: GiB for GB."""
    shape = PRESETS["llama-3-8b"]
    rows = dict(fit(shape, 8192, 1, "fp16", 24, "fp16"))
    assert rows["on 24 GB"].startswith("7,939,477,504 bytes")
    assert rows["longest context, batch 1"].startswith(f"{7_939_477_504 // 131_072:,} positions")
    assert rows["largest batch, 8,192 positions"] == str(7_939_477_504 // (131_072 * 8192))
    assert "nothing fits" in dict(fit(shape, 1, 1, "fp16", 16, "fp16"))["on 16 GB"]
    assert "not known" in dict(fit(replace(shape, parameters=None), 1, 1, "fp16", 16, "fp16"))["on 16 GB"]
    assert "no limit" in dict(fit(PRESETS["mistral-7b"], 1, 1, "fp16", 24, "fp16"))["longest context, batch 1"]


@pytest.mark.parametrize("key", PRESETS)
def test_the_factors_make_the_bytes(key):
    """Catches: a factor shown that the bytes were not made of."""
    shape = PRESETS[key]
    for positions, batch, dtype in ((1, 1, "fp16"), (5000, 3, "int4"), (shape.context, 16, "fp32")):
        value = prod(each["value"] for each in factors(shape, positions, batch, dtype))
        assert value == cache_bytes(shape, positions, batch, dtype)


def test_kinds_of_attention():
    """MLA keeps 57 times less than equal heads would (DeepSeek-V2). Catches: a latent that stays when it is left."""
    shape = PRESETS["llama-3-70b"]
    by_kind = {kind: cache_bytes(as_kind(shape, kind, shape), 1) for kind in ("MHA", "GQA", "MQA", "MLA")}
    assert by_kind == {"MHA": 2560 * KIB, "GQA": 320 * KIB, "MQA": 40 * KIB, "MLA": 80 * (512 + 64) * 2}
    latent = PRESETS["deepseek-v2"]
    assert cache_bytes(as_kind(latent, "MHA"), 1) / cache_bytes(latent, 1) == pytest.approx(2 * 128 * 128 / 576)
    assert as_kind(as_kind(latent, "MQA"), "MLA", latent) == replace(latent, kv_heads=1)
    for heads in (12, 14, 25, 28, 40, 128):
        grouped = as_kind(CacheShape("any", 1, heads, heads, 8), "GQA")
        assert grouped.kind == "GQA"
    with pytest.raises(ShapeError, match="5 query heads"):
        as_kind(CacheShape("any", 1, 5, 5, 8), "GQA")


# ---- what cannot be read ----

LLAMA = {"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "hidden_size": 32, "max_position_embeddings": 64}  # fmt: skip
GONE = object()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"num_hidden_layers": GONE}, "no num_hidden_layers or n_layer"),
        ({"num_attention_heads": GONE}, "no num_attention_heads"),
        ({"model_type": "mistral", "num_key_value_heads": GONE}, "no num_key_value_heads"),
        ({"model_type": "novel"}, "no head_dim"),
        ({"hidden_size": 34}, "34 cannot be divided"),
        ({"num_hidden_layers": "2"}, "num_hidden_layers = '2' should be"),
        ({"num_hidden_layers": True}, "num_hidden_layers = True"),
        ({"num_key_value_heads": 3}, "4 query heads cannot be shared out evenly among 3"),
        ({"num_key_value_heads": -1}, "from 1 up"),
        ({"num_attention_heads": [4, 4]}, "num_attention_heads"),
        ({"sliding_window": 16}, "no layer_types"),
        ({"model_type": "mistral", "sliding_window": "wide"}, "sliding_window = 'wide'"),
        ({"layer_types": ["full_attention"]}, "for every layer"),
        ({"layer_types": ["full_attention", "linear_attention"]}, "for every layer"),
        ({"layer_types": ["full_attention", {}]}, "for every layer"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "sliding_window = None"),
        ({"kv_lora_rank": 8}, "no qk_rope_head_dim"),
        ({"kv_lora_rank": "8", "qk_rope_head_dim": 2}, "latent = '8'"),
        ({"is_encoder_decoder": True}, "two caches"),
        ({"num_kv_shared_layers": 1}, "num_kv_shared_layers"),
        ({"layers_block_type": ["mamba"]}, "layers_block_type"),
        ({"model_type": ["llama"]}, "model_type"),
        ({"model_type": "gemma2", "head_dim": 8, "sliding_window": 4, "sliding_window_pattern": 0}, "pattern"),
    ],
)
def test_a_configuration_that_cannot_be_counted_is_a_sentence(change, says):
    """Catches: a default put in for a field that is not there."""
    data = {name: value for name, value in (LLAMA | change).items() if value is not GONE}
    with pytest.raises(ShapeError, match=says):
        from_config(data)


@pytest.mark.parametrize("data", [None, [], "llama", 7])
def test_what_is_no_configuration(data):
    with pytest.raises(ShapeError, match="named fields"):
        from_config(data)


def test_every_field_of_a_file_that_transformers_wrote(tmp_path):
    """The remedy works. Catches: a sentence that sends the reader nowhere."""
    config = transformers.Gemma3TextConfig()
    with pytest.raises(ShapeError, match="to_json_file"):
        from_config({"model_type": "gemma3_text", "num_hidden_layers": 26})
    config.to_json_file(tmp_path / "config.json", use_diff=False)
    shape = from_config(json.loads((tmp_path / "config.json").read_text()))
    assert (shape.layers, shape.windowed, shape.head_size) == (config.num_hidden_layers, 22, config.head_dim)
    assert from_config({"text_config": config.to_dict()}) == shape


def test_nonsense_in_a_shape():
    for wrong in ({"layers": 0}, {"windowed": 7, "window": 4}, {"windowed": 1}, {"rope": 4}, {"head_size": 1.5}):
        with pytest.raises(ShapeError):
            CacheShape(**({"name": "any", "layers": 6, "heads": 4, "kv_heads": 2, "head_size": 8} | wrong))
    with pytest.raises(ShapeError, match="fp32, bf16"):
        cache_bytes(PRESETS["gpt-2"], 1, 1, "fp12")


# ---- the command line ----


def test_the_command_line_says_what_the_page_says(capsys, tmp_path):
    main(["llama-3-70b", "--tokens", "8192", "--batch", "16", "--dtype", "fp16", "--card", "640"])
    printed = capsys.readouterr().out
    for name, value in report(PRESETS["llama-3-70b"], 8192, 16, "fp16", 640):
        assert f"{name:<32} {value}" in printed
    assert "2 K and V x 80 layers x 8 KV heads x 128 head size x 8,192 positions x 16 batch x 2 fp16" in printed
    main(["llama-3-70b", "--tokens", "8192", "--json"])
    assert json.loads(capsys.readouterr().out)["bytes"] == 327_680 * 8192
    main([])
    listed = capsys.readouterr().out
    assert [key for key in PRESETS if key not in listed] == []
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    main(["--config", str(tmp_path / "config.json"), "--dtype", "int4", "--parameters", "1000", "--card", "0.001"])
    assert "on 0.001 GB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["llama-9"], "no preset 'llama-9'"),
        (["--config", "nowhere.json"], "cannot be read"),
        (["gpt-2", "--tokens", "0"], "from 1 up"),
        (["gpt-2", "--batch", "-3"], "from 1 up"),
        (["gpt-2", "--card", "nan"], "more than 0 GB"),
    ],
)
def test_a_wrong_command_is_a_sentence(arguments, says):
    with pytest.raises(SystemExit, match=says):
        main(arguments)


def test_only_the_standard_library_is_needed():
    """Catches: an import that would keep the file from being lifted out."""
    code = "import sys; before = set(sys.modules); import tokentrace.kv_cache; print(*(set(sys.modules) - before))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    brought = {name.partition(".")[0] for name in ran.stdout.split()}
    assert brought - sys.stdlib_module_names == {"tokentrace"}


def test_weights():
    assert weight_bytes(PRESETS["gpt-2"], "fp32") == 124_439_808 * 4
    assert weight_bytes(replace(PRESETS["gpt-2"], parameters=None)) is None


# ---- a cache weighed ----


@pytest.fixture(scope="module")
def model():
    return tokentrace.load("storyteller")


def weigh(model, positions, batch=1):
    *_, (_, _, found) = read(model, positions, batch)
    return found


def test_a_reading_counts_the_live_tensors(model, tmp_path):
    """Catches: the formula written into the record, a reading of the capacity, a last piece left unread."""
    found = weigh(model, 300, 3)
    cache = model.new_cache(3, 300)
    model.forward(torch.zeros(3, 300, dtype=torch.long), cache)
    assert found.nbytes == sum(t.nbytes for i in range(model.config.n_layer) for t in (cache.keys(i), cache.values(i)))
    assert found.nbytes == cache_bytes(shape_of(model), 300, 3, "fp32")
    assert (found.positions, found.batch, found.kv_heads) == (300, 3, model.config.n_kv_head)
    assert CacheReading.load(found.save(tmp_path / "reading.json")) == found
    assert shape_in(model.folder, model.name) == replace(shape_of(model), source="config.json")


@pytest.mark.parametrize(
    ("positions", "batch", "says"), [(0, 1, "reads 1 to"), (10**6, 1, "reads 1 to"), (256, 999, "take long")]
)
def test_what_cannot_be_weighed(model, positions, batch, says):
    with pytest.raises(ShapeError, match=says):
        weigh(model, positions, batch)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"nbytes": "9"}, "nbytes"),
        ({"layers": 0}, "layers"),
        ({"allocated": 1}, "allocated"),
        ({"format": "x"}, "format"),
    ],
)
def test_a_reading_that_cannot_be_right(model, change, says):
    with pytest.raises(TraceError, match=says):
        CacheReading.from_dict(weigh(model, 2).to_dict() | change)


def test_a_folder_that_tells_no_shape(tmp_path):
    assert shape_in(tmp_path, "nothing") is None
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / "model.safetensors").write_bytes(b"short")
    assert shape_in(tmp_path, "broken") is None


def test_the_recorded_reading_is_the_formula():
    """Catches: a record of another shape than the model that lies here."""
    reading = recorded_reading()
    shape = shape_in(tokentrace.load("storyteller").folder, "storyteller")
    assert reading.of(shape, reading.positions, reading.batch, reading.dtype)
    assert reading.nbytes == cache_bytes(shape, reading.positions, reading.batch, reading.dtype)


# ---- the view ----


@pytest.fixture
def view():
    return CacheCalculator(model="storyteller", reading=recorded_reading())


def change(view, **fields):
    view._receive(view, {"type": "change", "fields": fields}, [])
    return view


def test_the_page_begins_with_a_cache_that_was_weighed(view):
    """Without opening a model. Catches: a badge LIVE for a record."""
    assert view.mode == "recorded"
    assert view.measured["agrees"]
    assert view.measured["bytes"] == view.result["total"] == f"{recorded_reading().nbytes:,}"
    assert not view._models


@pytest.mark.parametrize("key", PRESETS)
def test_the_view_says_what_the_arithmetic_says(view, key):
    """Catches: a shape changed on the way to the page, a preset that is said to have run."""
    change(view, preset=key, positions=777, batch=3, dtype="fp8")
    wanted = cache_bytes(PRESETS[key], 777, 3, "fp8")
    assert view.result["total"] == f"{wanted:,}"
    product = prod(float(each["value"].replace(",", "")) for each in view.result["factors"])
    assert product == wanted
    assert (view.mode, view.measured["bytes"]) == ("formula", "")
    assert view.measured["why"] == "There is no model of this shape at hand."
    assert view.shape == PRESETS[key]
    assert ["cache", report(PRESETS[key], 777, 3, "fp8")[0][1]] in view.result["rows"]
    shares = {row["kind"]: row["share"] for row in view.result["kinds"] if row["said"]}
    sizes = {kind: cache_bytes(as_kind(PRESETS[key], kind, PRESETS[key]), 777, 3, "fp8") for kind in shares}
    assert shares == pytest.approx({kind: n / max(sizes.values()) for kind, n in sizes.items()})


def test_a_cache_is_weighed_when_asked(view):
    """For real, in fp32 and in half as many bytes; a change of the shape takes the measurement away."""

    async def press():
        view._receive(view, {"type": "measure", "request": 1}, [])
        await asyncio.gather(*view._tasks)

    change(view, positions=40, batch=2)
    assert view.measured["bytes"] == ""
    asyncio.run(press())
    assert (view.mode, view.error) == ("live", "")
    assert view.measured["bytes"] == view.result["total"]
    fp32 = view.nbytes
    change(view, dtype="bf16")
    asyncio.run(press())
    assert view.measured["bytes"] == view.result["total"] == f"{fp32 // 2:,}"
    change(view, dtype="int4")
    assert "runs in fp32 or bf16" in view.measured["why"]
    change(view, dtype="fp32", layers=view.shape.layers + 1)
    assert "another shape" in view.measured["why"]
    asyncio.run(press())
    assert "another shape" in view.error
    change(view, preset="storyteller", positions=10**6)
    assert "positions at most" in view.measured["why"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"layers": 0}, "Layers must be a whole number from 1"),
        ({"layers": "many"}, "Layers must be"),
        ({"layers": True}, "Layers must be"),
        ({"positions": None}, "Positions must be"),
        ({"positions": 2.5}, "Positions must be"),
        ({"positions": 10**12}, "Positions must be"),
        ({"kv_heads": 3}, "64 query heads cannot be shared out evenly among 3"),
        ({"windowed": 81}, "more than the 80"),
        ({"dtype": "fp12"}, "Numbers are kept in"),
        ({"weights": []}, "Numbers are kept in"),
        ({"card": -1}, "A card has"),
        ({"card": "big"}, "A card has"),
        ({"preset": "gpt-9"}, "no such preset"),
        ({"preset": ["gpt-2"]}, "no such preset"),
        ({"kind": "XXL"}, "kinds of attention"),
        ({"colour": 1}, "no such factor"),
        (None, "Nothing was set"),
    ],
)
def test_what_cannot_be_set_changes_nothing(fields, says):
    """Catches: half of a refused change taken over, an exception instead of a sentence."""
    view = CacheCalculator("llama-2-70b")
    before = (view.settings, view.result, view.measured)
    view._receive(view, {"type": "change", "fields": fields if fields is None else {"batch": 7} | fields}, [])
    assert says in view.error
    assert (view.settings, view.result, view.measured) == before


def test_factors_that_hang_together():
    view = CacheCalculator("gpt-2")
    change(view, heads=8)
    assert (view.shape.heads, view.shape.kv_heads) == (8, 8)
    change(view, window=100)
    assert view.shape.windowed == 12
    change(view, windowed=6, layers=4)
    assert "more than the 4" in view.error
    change(view, layers=4)
    assert (view.error, view.shape.windowed) == ("", 4)
    change(view, window=0)
    assert (view.shape.window, view.shape.windowed) == (None, 0)
    change(view, kind="MLA")
    assert (view.shape.kind, view.shape.numbers) == ("MLA", 576)
    change(view, kind="MQA")
    assert view.nbytes == 2 * 4 * 1 * 64 * view.settings["positions"] * 2


def test_what_fits_is_said_in_either_direction():
    """Catches: a verdict that does not follow the numbers."""
    view = CacheCalculator("llama-3-8b", card=24)
    assert "it fits a card of 24 GB" in view.sentence
    change(view, batch=64)
    assert "does not fit" in view.sentence
    change(view, card=8)
    assert "weights alone do not fit" in view.sentence
    change(view, preset="mistral-7b", card=24, batch=1)
    assert "texts of any length" in view.sentence


def test_a_typing_error_and_an_unknown_preset():
    with pytest.raises(TypeError, match="presets_"):
        CacheCalculator("gpt-2", presets_=1)
    with pytest.raises(ValueError, match="no preset 'gpt-9'"):
        CacheCalculator("gpt-9")


# ---- questions and claims ----


@pytest.fixture(scope="module")
def services():
    requests = [Request(prompt, output) for prompt, output in ((5, 9), (20, 3), (1, 30), (12, 12), (7, 1))]
    return [serve(requests, 96, policy, longest=40, page=4) for policy in ("maximum", "pages")]


@pytest.mark.parametrize("student", [f"student {number}" for number in range(8)])
def test_the_questions_take_the_right_answer_and_explain_wrong_ones(monkeypatch, services, student):
    """For many students. Catches: an explained mistake that is the right answer, an answer of another variant."""
    monkeypatch.setenv("TOKENTRACE_STUDENT", student)
    for question in asked.questions(services[0]).values():
        right = question.measured()
        assert question.check(right).right is not False
        if question.kind == "choice":
            assert all(not question.check(option) for option in question.options if option != right)
        elif not question.predict:
            for mistake in question.why:
                verdict = question.check(mistake)
                assert not verdict
                assert verdict.because
    shape = PRESETS[next(key for key in asked.SHARED if PRESETS[key].name in asked.cache_position().text)]
    assert asked.cache_position().check(2 * shape.layers * shape.kv_heads * shape.head_size * 2 / 1024)


def test_the_verdicts_follow_from_the_numbers(services):
    """Catches: a verdict written down."""
    reading = recorded_reading()
    found = {claim.says: claim.measure() for claim in claimed.claims(reading, *services)}
    assert all(finding.measured for finding in found.values())
    assert claimed.formula(replace(reading, nbytes=reading.nbytes - 1)).verdict == "wrong"
    assert claimed.formula(reading).verdict == "simplified"
    piece, pages = services
    assert claimed.paging(piece, pages).verdict == "holds"
    assert claimed.paging(pages, piece).verdict == "wrong"
    assert claimed.shrinks(piece, pages).verdict == "wrong"
    assert "1,342,177,280" in claimed.seventy_billion().measured
