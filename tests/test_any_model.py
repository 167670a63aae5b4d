"""Models of other families, tiny and random, against transformers called plainly."""

import asyncio
import json
import subprocess
import sys

import pytest
import tokenizers
import torch
import transformers
from tokenizers import decoders, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

import tokentrace
from tokentrace.any_model import AnyModel, AnyTokenizer, load_any
from tokentrace.model_files import ModelError
from tokentrace.speculation import Dice, continuation
from tokentrace.trace import Settings
from tokentrace.views import Player

TEXT = "The old man opened the door and the wind came in. It's a naïve café; “quotes” … " * 3
TEXTS = ["The old man", " two  spaces\n\nand lines\t", "naïve café — “…” 日本語 👩‍👩‍👧", "it's 123", "</s>?"]
TOLERANCE = 1e-4


# ---- tokenizers as the families have them ----


def trained(pre_tokenizer, normalizer=None, alphabet=()):
    """Merges learned from a line of text."""
    learner = tokenizers.Tokenizer(tokenizers.models.BPE())
    learner.pre_tokenizer = pre_tokenizer
    if normalizer:
        learner.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=340, initial_alphabet=list(alphabet), show_progress=False)
    learner.train_from_iterator([TEXT], trainer)
    found = json.loads(learner.to_str())["model"]
    return found["vocab"], [tuple(pair) for pair in found["merges"]]


def byte_level():
    """Qwen's kind: bytes as letters, nothing put before a text."""
    vocab, merges = trained(pre_tokenizers.ByteLevel(False), alphabet=pre_tokenizers.ByteLevel.alphabet())
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocab, merges))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|endoftext|>")


def sentence_piece(prefix_space):
    """Llama's kind (with a space put before a text) and Gemma's: ▁ for a space, bytes spelt out, a token to begin."""
    metaspace = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    replace = normalizers.Replace(" ", "▁")
    vocab, merges = trained(metaspace) if prefix_space else trained(pre_tokenizers.Split(" ", "isolated"), replace)
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *vocab]
    vocab = {word: number for number, word in enumerate(dict.fromkeys(words))}
    inner = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    back = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if prefix_space:
        inner.pre_tokenizer = metaspace
        back.append(decoders.Strip(" ", 1, 0))
    else:
        inner.normalizer = replace
    inner.decoder = decoders.Sequence(back)
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


TOKENIZERS = {"llama": lambda: sentence_piece(True), "gemma": lambda: sentence_piece(False), "qwen": byte_level}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_token_bytes_make_up_the_text(kind, text):
    """Catches: ▁ shown for a space, <0xE2> shown for a byte, a character cut at a token's edge."""
    theirs = TOKENIZERS[kind]()
    ours = AnyTokenizer(theirs)
    ids = ours.encode(text)
    assert ids == theirs(text).input_ids
    pieces = [ours.token_bytes(id) for id in ids[len(ours.opening) :]]
    if kind == "llama":  # puts a space before a text that has none
        assert b"".join(pieces).removeprefix(b" ") == text.encode().removeprefix(b" ")
    else:
        assert b"".join(pieces) == text.encode()


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_text_begins_once_and_does_not_end(kind):
    """Catches: two tokens for the beginning, none, or one for the end of a text that is to be continued."""
    ours = AnyTokenizer(TOKENIZERS[kind]())
    opening = [] if kind == "qwen" else [1]
    assert ours.opening == opening
    for text in ("Once", "<s>Once"):
        ids = ours.encode(text)
        assert ids[:1] == opening or kind == "qwen"
        assert ids.count(1) == 1 or kind == "qwen"
        assert ids[-1] != ours.end_of_text
    theirs = TOKENIZERS["llama"]()
    theirs.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    assert AnyTokenizer(theirs).encode("Once")[-1] != 2


# ---- models ----

SHAPE = {
    "vocab_size": 640,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 12,
    "max_position_embeddings": 64,
    "sliding_window": None,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
WINDOW = {"sliding_window": 6, "query_pre_attn_scalar": 12}
KINDS = {
    "llama": ("LlamaConfig", "llama", {}),
    "qwen2": ("Qwen2Config", "qwen", {"num_key_value_heads": 1, "head_dim": 8, "tie_word_embeddings": True}),
    "gemma2": ("Gemma2Config", "gemma", WINDOW),
    "gemma3": ("Gemma3TextConfig", "gemma", WINDOW | {"layer_types": ["sliding_attention"] * 2 + ["full_attention"]}),
    "gpt_neox": ("GPTNeoXConfig", "qwen", {"num_key_value_heads": 4, "head_dim": 8}),
}


def write(folder, kind, **changes):
    """Write a model folder of a family, its weights random but not small."""
    config, tokenizer, own = KINDS[kind]
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(getattr(transformers, config)(**SHAPE | own | changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    model.save_pretrained(folder)
    TOKENIZERS[tokenizer]().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=KINDS)
def pair(request, tmp_path_factory):
    """Our model and transformers' own, of one folder; the names are those of KINDS."""
    folder = write(tmp_path_factory.mktemp(request.param) / request.param, request.param)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    return load_any(folder), theirs


def random_ids(model, batch, length, seed=0):
    return torch.randint(3, model.config.vocab_size, (batch, length), generator=torch.Generator().manual_seed(seed))


def plain(theirs, ids):
    with torch.no_grad():
        return theirs(ids, use_cache=False).logits


def test_logits_equal_transformers(pair):
    """Catches: a mask or positions that get in the way; 40 positions are well beyond the windows of 6."""
    ours, theirs = pair
    ids = random_ids(ours, 2, 40)
    expected = plain(theirs, ids)
    assert torch.allclose(ours.forward(ids), expected, atol=TOLERANCE)
    assert torch.allclose(ours.forward(ids.tolist(), last_only=True), expected[:, -1:], atol=TOLERANCE)


@pytest.mark.parametrize("chunks", [[1] * 40, [17, 1, 1, 21], [40]], ids=str)
def test_cached_equals_uncached(pair, chunks):
    """Catches: a sliding window that forgets too early, positions that begin anew with every call."""
    ours, theirs = pair
    ids = random_ids(ours, 2, 40)
    cache = ours.new_cache(batch_size=2)
    found = torch.cat([ours.forward(piece, cache) for piece in ids.split(chunks, 1)], 1)
    assert torch.allclose(found, plain(theirs, ids), atol=TOLERANCE)
    assert cache.length == 40


@pytest.mark.parametrize("kept", [0, 3, 29])
def test_a_rejected_guess_leaves_no_trace(pair, kept):
    """Catches: a window that has dropped what a rollback needs again."""
    ours, theirs = pair
    ids, other = random_ids(ours, 1, 30), random_ids(ours, 1, 9, seed=1)
    cache = ours.new_cache()
    ours.forward(ids, cache)
    cache.truncate(kept)
    expected = plain(theirs, torch.cat([ids[:, :kept], other], 1))[:, kept:]
    assert torch.allclose(ours.forward(other, cache), expected, atol=TOLERANCE)
    cache.truncate(cache.length)
    with pytest.raises(ValueError, match="cut back to 99"):
        cache.truncate(99)


def test_cache_bytes_count_the_heads_that_keep_something(pair):
    """Catches: n_head for n_kv_head, hidden size / heads for a head's width, keys without values."""
    ours, theirs = pair
    cache, config = ours.new_cache(batch_size=2, capacity=50), theirs.config
    assert cache.nbytes == cache.length == 0
    ours.forward(random_ids(ours, 2, 11), cache)
    n_kv = getattr(config, "num_key_value_heads", config.num_attention_heads)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    assert cache.nbytes == 2 * config.num_hidden_layers * n_kv * width * (2 * 11) * 4
    facts = ours.config
    assert (facts.n_layer, facts.n_head, facts.n_kv_head, facts.d_head) == (3, 4, n_kv, width)
    assert (facts.vocab_size, facts.n_ctx, facts.n_embd) == (640, 64, 32)
    assert cache.keys(2).shape == cache.values(2).shape == (2, n_kv, 11, width)
    half = AnyModel(ours.folder, "bf16").new_cache(2)
    AnyModel(ours.folder, "bf16").forward(random_ids(ours, 2, 11), half)
    assert half.nbytes * 2 == cache.nbytes


def test_greedy_text_equals_transformers_generate(pair):
    """Catches: a loop that feeds another model something else than it feeds GPT-2."""
    ours, theirs = pair
    trace = tokentrace.generate(ours, "The old man opened", strategy="greedy", max_new_tokens=24)
    ids = torch.tensor([trace.prompt_tokens])
    expected = theirs.generate(ids, max_new_tokens=24, do_sample=False, eos_token_id=ours.tokenizer.end_of_text)
    assert list(trace.tokens) == expected[0, ids.shape[1] :].tolist()
    assert trace.prompt_tokens[0] == 1 or ours.tokenizer.opening == []
    assert tokentrace.Trace.from_dict(json.loads(json.dumps(trace.to_dict()))) == trace


def test_sampled_branched_and_described(pair):
    """Catches: an attribute that a recording needs and this model lacks."""
    ours, theirs = pair
    trace = tokentrace.generate(ours, "The old man", seed=3, temperature=0.7, top_k=50, max_new_tokens=12)
    assert trace.model.name in KINDS and trace.model.precision == "fp32"
    assert trace.model.n_parameters == theirs.num_parameters()
    fork = tokentrace.branch(ours, trace, 5, trace.steps[5].candidates[1].token)
    list(fork)
    assert fork.trace.steps[:5] == trace.steps[:5] and len(fork.trace.steps) <= 12
    trace = tokentrace.generate(ours, "a " * 20, max_new_tokens=100)
    assert trace.stop in ("context", "end_of_text") and len(trace.prompt_tokens) + len(trace.steps) <= 65


def test_the_player_writes_with_it(pair):
    """Catches: a view that knows only GPT-2s."""
    ours, _ = pair
    player = Player.live(ours, "The old man", max_new_tokens=5)
    said = {"type": "generate", "request": 1, "prompt": "The old man", "settings": player.settings, "seed": 1}

    async def write():
        player.on_generate(said)
        await asyncio.gather(*player._tasks)

    asyncio.run(write())
    assert player.error == "" and len(player.trace.steps) == 5 and player.model == ours.name


def test_it_verifies_what_another_one_guesses(pair, tmp_path):
    """Catches: a rollback that speculation needs and this cache does not do; greedy text must not change."""
    ours, _ = pair
    draft = load_any(write(tmp_path, ours.name, num_hidden_layers=1, layer_types=None))
    tokens = ours.tokenizer.encode("The old man opened the door")
    greedy = Settings("greedy", max_new_tokens=24)
    expected = tokentrace.generate(ours, "The old man opened the door", strategy="greedy", max_new_tokens=24)
    assert continuation(ours, draft, tokens, greedy, Dice(), 3) == list(expected.tokens)


def test_what_is_inside_can_be_looked_at(pair):
    """Catches: weights that do not add up, or of fewer layers than there are."""
    ours, _ = pair
    hidden, attention = [], []
    cache = ours.new_cache()
    ours.forward(random_ids(ours, 1, 9), cache)
    ours.forward(random_ids(ours, 1, 4), cache, hidden=hidden, attention=attention)
    assert [each.shape for each in hidden] == [(1, 4, 32)] * 4
    assert [each.shape for each in attention] == [(1, 4, 4, 13)] * 3
    assert torch.allclose(torch.stack(attention).sum(-1), torch.ones(()), atol=1e-5)


def test_one_copy_for_all_who_ask(pair):
    ours, _ = pair
    assert load_any(str(ours.folder)) is ours
    with pytest.raises(ValueError, match="none of fp32, bf16"):
        load_any(ours.folder, "int8")


def test_what_cannot_be_read_is_refused(pair):
    """Catches: an IndexError of torch instead of a sentence."""
    ours, _ = pair
    cache = ours.new_cache(capacity=10)
    ours.forward(random_ids(ours, 1, 8), cache)
    refused = [
        (random_ids(ours, 1, 3), "room for 10 positions, and 11"),
        (random_ids(ours, 2, 1), "batch of 1, and 2"),
        (torch.empty(1, 0, dtype=torch.long), "no token"),
        (torch.tensor([5, 6]), r"\[batch, new\]"),
        (torch.tensor([[640]]), "outside the 640"),
        (torch.tensor([[-1]]), "outside the 640"),
    ]
    for ids, sentence in refused:
        with pytest.raises(ValueError, match=sentence):
            ours.forward(ids, cache)
    assert cache.length == 8
    for size in ({"capacity": 65}, {"capacity": 0}, {"batch_size": 0}):
        with pytest.raises(ValueError, match="cache"):
            ours.new_cache(**size)


def test_an_embedded_name_is_a_gpt2_in_another_engine():
    """Catches: two engines that disagree on the same weights."""
    one, other = tokentrace.load("draft"), load_any("draft")
    ids = random_ids(one, 1, 30)
    assert torch.allclose(one.forward(ids), other.forward(ids), atol=TOLERANCE)
    assert (one.fingerprint, one.n_parameters, one.name) == (other.fingerprint, other.n_parameters, other.name)
    assert {field: getattr(one.config, field) for field in vars(other.config)} == vars(other.config)
    assert one.tokenizer.encode(TEXT) == other.tokenizer.encode(TEXT)
    assert one.new_cache(capacity=8).nbytes == other.new_cache(capacity=8).nbytes == 0


# ---- what cannot be opened ----


def test_a_model_that_looks_ahead_is_refused(tmp_path):
    """Catches: BERT written with as if it were a GPT; transformers opens it without a word."""
    shape = {name: SHAPE[name] for name in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")}
    config = transformers.BertConfig(**shape, num_attention_heads=4)
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
    byte_level().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"no causal language model"):
        load_any(tmp_path)


def test_a_model_without_keys_and_values_is_refused(tmp_path):
    """Catches: a Mamba, whose state is something else, shown as a cache that does not grow."""
    config = transformers.MambaConfig(vocab_size=640, hidden_size=32, num_hidden_layers=2, state_size=4)
    transformers.MambaForCausalLM(config).save_pretrained(tmp_path)
    byte_level().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"keys and values|causal language model"):
        load_any(tmp_path)


REFUSED = {
    "T5": "no causal language model that transformers opens: Unrecognized configuration class",
    "no config": r"no config\.json in",
    "no tokenizer": "tokenizer in .* cannot be read",
    "no weights": r"no model\.safetensors in",
    "cut off": "no causal language model that transformers opens",
    "a bin": "can run code",
    "a tensor less": r"lack the tensor model\.layers\.1\.mlp\.up_proj\.weight",
    "another shape": "has another shape than config",
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_opened_is_a_sentence(tmp_path, case):
    """Catches: a traceback of transformers, or random numbers in place of weights that are missing."""
    from safetensors.torch import load_file, save_file

    folder = write(tmp_path, "llama")
    weights, config = folder / "model.safetensors", folder / "config.json"
    if case == "T5":
        config.write_text('{"model_type": "t5"}')
    if case == "no config":
        config.unlink()
    if case == "no tokenizer":
        for file in folder.glob("tokenizer*"):
            file.unlink()
    if case == "cut off":
        weights.write_bytes(weights.read_bytes()[:-100])
    if case == "a bin":
        torch.save(load_file(weights), folder / "pytorch_model.bin")
    if case in ("a bin", "no weights"):
        weights.unlink()
    if case == "a tensor less":
        tensors = load_file(weights)
        del tensors["model.layers.1.mlp.up_proj.weight"]
        save_file(tensors, weights, metadata={"format": "pt"})
    if case == "another shape":
        config.write_text(config.read_text().replace('"intermediate_size": 48', '"intermediate_size": 40'))
    with pytest.raises(ModelError, match=REFUSED[case]) as refused:
        load_any(folder)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Qwen/Qwen3-0.6B", r"Fetch it once, with a network: hf download Qwen/Qwen3-0\.6B$"),
        ("gpt2-large", r"python -m tokentrace\.models fetch gpt2-large$"),
        ("nothing-of-the-kind", "no model called"),
    ],
)
def test_what_is_not_here_says_how_to_get_it(name, sentence, monkeypatch, tmp_path):
    """Catches: a silent download."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=sentence):
        load_any(name)


def test_transformers_is_imported_only_when_it_is_needed():
    """Catches: 3 s for everyone, for the sake of a model that few open."""
    code = "import sys, tokentrace; tokentrace.load_any; print('transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
