"""Tokenizers against transformers', on the embedded vocabulary and on GPT-2's own."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentrace import models
from tokentrace.model_files import ModelError
from tokentrace.tokenizer import BYTE_OF, Tokenizer

GPT2_FILES = Path(__file__).parents[2] / "shared" / "gpt2-tokenizer"
TEXTS = [
    "Hello world, I love cats",
    "  two  spaces   three\n\n\nlines\r\n\ttab ",
    "naïve café — “quotes” … 日本語 한국어 ألف",
    "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 \u200b\ufeff",
    "it's we'll I'd 'S 123456 3.14159 x2y",
    "a<|endoftext|>b <|endoftext|>",
    "\x00\x1b\x7f",
    "",
    " ",
]


@pytest.fixture(scope="module", params=["storyteller", "two files", "gpt2"])
def pair(request, tmp_path_factory):
    """Our tokenizer and transformers', of the same files."""
    from transformers import AutoTokenizer, GPT2Tokenizer

    embedded = models.find("storyteller")
    if request.param == "storyteller":
        return Tokenizer.from_folder(embedded), AutoTokenizer.from_pretrained(embedded)
    if request.param == "two files":
        folder = tmp_path_factory.mktemp("two_files")
        bpe = json.loads((embedded / "tokenizer.json").read_text())["model"]
        (folder / "vocab.json").write_text(json.dumps(bpe["vocab"]))
        (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{' '.join(pair)}\n" for pair in bpe["merges"]))
        return Tokenizer.from_folder(folder), GPT2Tokenizer.from_pretrained(folder)
    if not GPT2_FILES.is_dir():
        pytest.skip("GPT-2's own vocab.json and merges.txt are not at hand (they come with the model)")
    return Tokenizer.from_folder(GPT2_FILES), GPT2Tokenizer.from_pretrained(GPT2_FILES)


def assert_same(pair, text):
    ours, theirs = pair
    ids = ours.encode(text)
    assert ids == theirs.encode(text)
    assert ours.decode(ids) == text == theirs.decode(ids, clean_up_tokenization_spaces=False)
    assert b"".join(map(ours.token_bytes, ids)) == text.encode()


@pytest.mark.parametrize("text", TEXTS, ids=repr)
def test_odd_texts_equal_transformers(pair, text):
    """Catches: a prefix space, a special token left as plain text, bytes lost or doubled."""
    assert_same(pair, text)


@settings(max_examples=150, deadline=None)
@given(st.text() | st.text(alphabet=" \n\t'aé日👍\u0301\u200d", max_size=30))
def test_any_text_equals_transformers(pair, text):
    """Catches: what the list above did not think of."""
    assert_same(pair, text)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 8191), max_size=12))
def test_any_tokens_decode_as_transformers_does(pair, ids):
    """Catches: an end-of-text that is swallowed, fragments of characters that are dropped."""
    ours, theirs = pair
    assert ours.decode(ids) == theirs.decode(ids, clean_up_tokenization_spaces=False)
    if ours.end_of_text not in ids:
        assert ours.decode(ids) == b"".join(map(ours.token_bytes, ids)).decode(errors="replace")


def test_facts(pair):
    """Catches: another vocabulary, an end-of-text that is not found."""
    ours, theirs = pair
    assert ours.vocab_size == len(theirs)
    assert ours.end_of_text == theirs.eos_token_id
    if ours.vocab_size == 50257:
        assert ours.end_of_text == 50256
        assert ours.encode("Hello world, I love cats") == [15496, 995, 11, 314, 1842, 11875]


def test_every_byte_has_its_letter(pair):
    """Catches: a slip in GPT-2's byte alphabet; each of the 256 bytes is one token here."""
    ours, _ = pair
    assert sorted(BYTE_OF.values()) == [bytes([byte]) for byte in range(256)]
    alphabet = {ours.token_bytes(ours.inner.token_to_id(letter)) for letter in BYTE_OF}
    assert alphabet == {bytes([byte]) for byte in range(256)}
    assert ours.token_bytes(ours.vocab_size + 5) == b""


def test_truncation_and_padding_in_the_file_are_ignored(tmp_path):
    """Catches: a prompt silently cut to what a tokenizer.json once said."""
    given_file = json.loads((models.find("draft") / "tokenizer.json").read_text())
    given_file["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    (tmp_path / "tokenizer.json").write_text(json.dumps(given_file))
    assert len(Tokenizer.from_folder(tmp_path).encode("one two three four five six")) > 3


def test_what_is_no_tokenizer_is_refused(tmp_path):
    """Catches: a stack trace of the Rust library instead of a sentence."""
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        Tokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        Tokenizer.from_folder(tmp_path)
