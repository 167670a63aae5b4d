"""The training recipe in data/storyteller, on a made-up text and models of a few thousand parameters."""

import json
import lzma
import os
import random
import signal

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, GPT2LMHeadModel

from tokentrace.model_files import ModelError, check


@pytest.fixture(autouse=True)
def recipe(root, monkeypatch, tmp_path):
    """The recipe's folder on the path, as for its scripts, and a cache folder of its own."""
    monkeypatch.syspath_prepend(str(root / "data" / "storyteller"))
    monkeypatch.setenv("TOKENTRACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)


@pytest.fixture
def corpus(tmp_path):
    """Five books in a language of 60 words, one of them held out."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(2, 7))) for _ in range(60)]
    sentence = lambda: " ".join(draw.choices(words, k=12)).capitalize() + "."  # noqa: E731
    books = ["\n".join(sentence() for _ in range(120)) for _ in range(5)]
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "train.txt.xz").write_bytes(lzma.compress("\n\0\n".join(books[:4]).encode()))
    (folder / "valid.txt.xz").write_bytes(lzma.compress(books[4].encode()))
    return folder


@pytest.fixture
def prepared(corpus):
    from prepare import cache_folder, prepare

    prepare(corpus, cache_folder() / "ids-300", 300)
    return cache_folder() / "ids-300"


def options(name, *more):
    from train import arguments

    shape = "--layers 2 --width 16 --heads 2 --vocabulary 300 --context 32 --batch 4 --threads 1 --warm-up 2"
    return arguments().parse_args(["--name", name, *shape.split(), "--report", "1", "--measure-every", "4", *more])


def open_run(given):
    from prepare import cache_folder
    from train import Run

    folder = cache_folder() / "runs" / given.name
    folder.mkdir(parents=True, exist_ok=True)
    return Run(given, folder)


def test_ids_stand_for_the_text_and_zero_for_its_start(corpus, prepared):
    from prepare import read_books
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(prepared / "tokenizer.json"))
    ids = np.fromfile(prepared / "train.bin", dtype=np.uint16)
    books = read_books(corpus / "train.txt.xz")
    assert (ids == 0).sum() == len(books) and tokenizer.id_to_token(0) == "<|endoftext|>"
    pieces = np.split(ids, np.flatnonzero(ids == 0)[1:])
    assert [tokenizer.decode(piece[1:]) for piece in pieces] == [book + "\n" for book in books]
    assert tokenizer.encode(books[0] + "\n").ids == list(pieces[0][1:])  # slicing a book changes nothing


def test_every_window_is_read_once_an_epoch_and_a_resumed_order_is_the_same():
    from batches import Batches

    ids = np.arange(1000, dtype=np.uint16)
    batches = Batches(ids, context=10, batch=7)
    assert batches.per_epoch == 98
    epoch = [batches.next() for _ in range(14)]
    starts = torch.cat(epoch)[:, 0]
    assert len(starts.unique()) == 98 and len((starts % 10).unique()) == 1
    assert all(torch.equal(window, window[0] + torch.arange(11)) for window in torch.cat(epoch))
    following = [batches.next() for _ in range(5)]
    assert not torch.equal(following[0], epoch[0])
    resumed = Batches(ids, context=10, batch=7, taken=98)
    assert all(torch.equal(resumed.next(), window) for window in following)


@pytest.mark.parametrize("length", [7, 256, 300])
def test_blockwise_attention_is_causal_attention(length):
    from attention import blockwise

    query, key, value = torch.randn(3, 2, 3, length, 8, generator=torch.Generator().manual_seed(0)).unbind()
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    torch.testing.assert_close(blockwise(None, query, key, value)[0], expected.transpose(1, 2))


@pytest.mark.parametrize(("temperature", "mix"), [(None, None), (1.0, 1.0), (2.0, 0.7)])
def test_head_loss_is_the_plain_formula_with_its_gradient(temperature, mix):
    from losses import head_loss
    from torch.nn.functional import cross_entropy, kl_div

    torch.manual_seed(0)
    hidden = torch.randn(2, 300, 16, requires_grad=True)
    weight, teacher = torch.randn(50, 16, requires_grad=True), (torch.randn(2, 300, 8), torch.randn(50, 8))
    targets = torch.randint(50, (2, 300))
    logits, teacher_logits = (hidden @ weight.T).flatten(0, 1), (teacher[0] @ teacher[1].T).flatten(0, 1)
    expected = text = cross_entropy(logits, targets.flatten())
    if temperature:
        scaled = [(each / temperature).log_softmax(-1) for each in (logits, teacher_logits)]
        soft = temperature**2 * kl_div(*scaled, reduction="batchmean", log_target=True)
        expected = mix * soft + (1 - mix) * text
    gradients = torch.autograd.grad(expected, (hidden, weight))
    loss, nats = head_loss(hidden, weight, targets, *((teacher, temperature, mix) if temperature else ()))
    # bfloat16 products: three digits.
    assert nats.item() == pytest.approx(text.item(), rel=3e-3)
    assert loss.item() == pytest.approx(expected.item(), rel=3e-3)
    for got, wanted in zip(torch.autograd.grad(loss, (hidden, weight)), gradients, strict=True):
        assert (got - wanted).norm() < 0.01 * wanted.norm()


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_run_that_is_stopped_goes_on_as_if_it_had_not_been(prepared, optimizer):
    from train import Run, train

    more = ["--optimizer", optimizer, "--tokens", "0.001408", "--decay-tokens", "0.000640"]  # 11 steps, the last 5
    whole = open_run(options("whole", *more))
    assert train(whole)

    class Interrupted(Run):
        def train_step(self):
            if self.step == 7:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().train_step()

    first = open_run(options("parts", *more))
    first.__class__ = Interrupted
    assert not train(first) and first.step == 8
    second = open_run(options("parts", *more))
    assert second.step == 8 and train(second)

    assert second.step == whole.step == 11
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], weight, rtol=1e-5, atol=1e-6, msg=name)
    for record, again in zip(whole.history.records, second.history.records, strict=True):
        both = record.keys() & {"step", "tokens", "loss", "rate", "held_out"}
        assert [again[key] for key in both] == pytest.approx([record[key] for key in both], rel=1e-4)
    rates = [record["rate"] for record in second.history.records if "rate" in record]
    assert rates[2:6] == pytest.approx([3e-3] * 4) and rates[6:] == sorted(rates[6:], reverse=True)
    assert rates[-1] < 0.25 * 3e-3
    assert len(list(second.folder.glob("step-*.pt"))) == 2 and (second.folder / "loss.png").stat().st_size > 1000


def test_a_run_can_start_from_another_and_leaves_it_alone(prepared):
    from train import train

    train(open_run(options("steady", "--tokens", "0.000512")))
    before = sorted((prepared.parent / "runs" / "steady").glob("step-*.pt"))
    cooled = open_run(options("cooled", "--start", "steady", "--tokens", "0.001024", "--decay-tokens", "0.000512"))
    assert cooled.step == 4
    train(cooled)
    assert cooled.step == 8 and sorted((prepared.parent / "runs" / "steady").glob("step-*.pt")) == before


def test_training_goes_on_from_an_exported_model(prepared, tmp_path):
    """Catches: text read twice, a rate that does not warm up again, weights that were not taken over."""
    from export import export
    from train import train

    first = open_run(options("lost", "--tokens", "0.000512"))
    train(first)
    export("lost", tmp_path / "model")
    after = open_run(options("resumed", "--start", str(tmp_path / "model"), "--tokens", "0.001024"))
    assert (after.step, after.tokens, after.batches.taken) == (0, first.tokens, first.batches.taken)
    for name, weight in first.model.state_dict().items():
        torch.testing.assert_close(after.model.state_dict()[name], weight, atol=1e-3, rtol=1e-3, msg=name)
    train(after)
    assert after.tokens == 2 * first.tokens
    rates = [record["rate"] for record in after.history.records if "rate" in record]
    assert rates[0] < first.rate


def test_nobody_trains_a_run_twice(tmp_path):
    from train import pid_file

    with pid_file(tmp_path):
        assert int((tmp_path / "train.pid").read_text()) == os.getpid()
        with pytest.raises(SystemExit, match="in training already"), pid_file(tmp_path):
            pass
    assert not (tmp_path / "train.pid").exists()


def test_the_exported_model_is_the_trained_one_and_can_teach(prepared, tmp_path, corpus):
    from evaluate import held_out, own_samples
    from export import export
    from prepare import read_books
    from train import train

    run = open_run(options("small", "--tokens", "0.006", "--rate", "1e-2"))
    train(run)
    folder = tmp_path / "exported"
    export("small", folder)
    assert json.loads((folder / "config.json").read_text())["activation_function"] == "gelu_new"
    model, tokenizer = (
        GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32),
        AutoTokenizer.from_pretrained(folder),
    )
    ids = tokenizer("Abc defg.", return_tensors="pt").input_ids
    assert tokenizer.decode(ids[0]) == "Abc defg." and tokenizer.eos_token_id == 0
    check(folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="SHA256SUMS"):
        check(folder)
    export("small", folder)  # again: its lines are replaced, not doubled
    check(folder)
    lines = (tmp_path / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == len(set(lines)) and all(line.split()[1].startswith("exported/") for line in lines)
    run.model.eval()
    torch.testing.assert_close(model(ids).logits, run.model(ids).logits, atol=2e-2, rtol=0)  # fp16 weights

    books = read_books(corpus / "valid.txt.xz")
    loss, bits, (with_itself,) = held_out(folder, [folder], books, stride=16)
    assert loss == pytest.approx(run.held_out_loss(), abs=0.1)
    n_tokens = sum(len(tokenizer(book + "\n").input_ids) for book in books)
    n_bytes = sum(len(book) + 1 for book in books)
    assert bits == pytest.approx(loss / np.log(2) * n_tokens / n_bytes)
    assert with_itself.acceptance == pytest.approx(1) and with_itself.greedy_match == 1
    (on_samples,) = own_samples(folder, [folder], books, count=3, length=9)
    assert on_samples.positions == 27 and on_samples.acceptance == pytest.approx(1)

    draft = open_run(options("draft", "--teacher", str(folder), "--mix", "1", "--tokens", "0.002", "--layers", "1"))
    first = draft.train_step()
    train(draft)
    assert draft.history.records[-1]["held_out"] < first  # it learns the text from its teacher alone


def test_what_is_measured_when_nothing_is_named(prepared, tmp_path, monkeypatch):
    """Catches: a draft with other tokens held against the target, one that was exported and is forgotten."""
    import evaluate

    monkeypatch.setattr(evaluate, "PILOT", tmp_path / "nowhere")
    exported = evaluate.cache_folder() / "models"
    for name, tokens in (("draft-text", evaluate.MODELS / "draft"), ("draft-other", prepared), ("wide", prepared)):
        (exported / name).mkdir(parents=True)
        (exported / name / "config.json").write_text("{}")
        (exported / name / "tokenizer.json").write_bytes((tokens / "tokenizer.json").read_bytes())
    models, drafts = evaluate.usual()
    assert models == [evaluate.MODELS / "storyteller", exported / "draft-other", exported / "wide"]
    assert drafts == [evaluate.MODELS / "draft", exported / "draft-text"]


def test_windows_score_every_token_once_with_enough_before_it():
    from evaluate import scored_windows

    for length in (2, 10, 11, 12, 57):
        ids, seen = torch.arange(length), []
        for window, first in scored_windows(ids, context=10, stride=4):
            assert len(window) <= 11 and (window[0] == 0 or first >= 7)
            seen += window[first:].tolist()
        assert seen == list(range(1, length))


def test_agreement_is_the_sum_of_the_smaller_probabilities():
    from evaluate import Agreement

    agreement = Agreement()
    agreement.add(torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]]).log(), torch.tensor([[0.2, 0.3, 0.5]] * 2).log())
    assert agreement.acceptance == pytest.approx((0.2 + 0.3 + 0.2 + 0.1 + 0.3 + 0.3) / 2)
    assert agreement.greedy_match == 0


CHAPTER = """<?xml version="1.0" encoding="utf-8"?>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops">
<head><title>I</title></head><body epub:type="bodymatter z3998:fiction"><section epub:type="chapter">
<h2 epub:type="ordinal z3998:roman">IV</h2>
<hgroup><h2><span epub:type="label">Part</span> <span epub:type="ordinal z3998:roman">II</span></h2></hgroup>
<h3 epub:type="title"><span epub:type="z3998:roman">I</span> <span epub:type="subtitle">The Gate</span></h3>
<p>“It\u2019s open—” said
  she.<a href="notes.xhtml" epub:type="noteref">1</a> He waited\u200a… <i>long</i>.</p>
<blockquote epub:type="z3998:verse"><p><span>One line,</span><br/><span>and one more.</span></p></blockquote>
<ul><li><p>first</p></li><li>second</li></ul><table><tr><td>no</td></tr></table></section></body></html>"""


def test_a_chapter_becomes_plain_paragraphs():
    from books import paragraphs

    assert paragraphs(CHAPTER) == [
        "Part II", "The Gate", '"It\'s open--" said she. He waited ... long.',
        "One line, and one more.", "first", "second",
    ]  # fmt: skip
    assert paragraphs(CHAPTER.replace("bodymatter", "backmatter")) == []


def test_a_paragraph_with_an_unfit_word_is_dropped():
    from hashlib import sha256

    from books import book_list, fit, unfit_words

    unfit = {sha256(b"grumble").hexdigest()}
    assert fit("A grumbling bear.", unfit) and not fit("Two Grumbles, please.", unfit)
    assert all(len(each) == 64 for each in unfit_words()) and len(unfit_words()) > 40
    assert len(book_list(held_out=True)) == 4 and len(book_list(held_out=False)) == 115
