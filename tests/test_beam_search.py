"""Beam search against transformers' and against all texts there are."""

import copy
import itertools
import json
import math
import random

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import tokentrace
from tokentrace import models
from tokentrace.beam_search import BeamRecording, beam_search, reorder, spread
from tokentrace.beams import Beams
from tokentrace.generation_loop import PromptError
from tokentrace.models import open_model
from tokentrace.trace import Settings, TraceError

SAID = "the king old lighthouse opened sea and man a door said she to of night in his, . was \n"
WORDS = SAID.split(" ")


@pytest.fixture(scope="module")
def storyteller():
    return open_model("storyteller"), reference_of(models.find("storyteller"))


@pytest.fixture(scope="module")
def random_models(tmp_path_factory):
    """Three models of random weights over the storyteller's vocabulary: sharp guesses, and end tokens now and then."""
    made = []
    for seed in range(3):
        folder = tmp_path_factory.mktemp(f"random{seed}")
        torch.manual_seed(seed)
        shape = dict(vocab_size=8192, n_positions=64, n_embd=24, n_layer=2, n_head=2, initializer_range=0.35)
        GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=0, eos_token_id=0)).save_pretrained(folder)
        (folder / "tokenizer.json").write_bytes((models.find("storyteller") / "tokenizer.json").read_bytes())
        made.append((open_model(folder), reference_of(folder)))
    return made


def reference_of(folder):
    return GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()


def theirs(reference, ids, **options):
    """Sequences without the prompt and what pads them, and their scores."""
    with torch.no_grad():
        out = reference.generate(
            torch.tensor([ids]), do_sample=False, output_scores=True, return_dict_in_generate=True, **options
        )
    ends = options["eos_token_id"]
    texts = []
    for row in out.sequences[:, len(ids) :].tolist():
        end = next((place for place, token in enumerate(row) if token in ends), len(row))
        texts.append(tuple(row[: end + 1]))
    return texts, out.sequences_scores.tolist()


def check(pair, prompt, num_beams, n, penalty, ends):
    model, reference = pair
    beams = beam_search(model, prompt, num_beams, n, length_penalty=penalty, ends=ends)
    texts, scores = theirs(
        reference,
        list(beams.prompt_tokens),
        num_beams=num_beams,
        num_return_sequences=num_beams,
        max_new_tokens=n,
        length_penalty=penalty,
        eos_token_id=list(ends),
        pad_token_id=0,
    )
    ranking = beams.ranking()
    assert [each.tokens for each in ranking] == texts
    assert [each.score for each in ranking] == pytest.approx(scores, abs=1e-4, rel=3e-6)  # sums in fp32 over there
    return beams


@pytest.mark.parametrize("number", range(50))
def test_the_same_sequences_and_scores_as_transformers(number, storyteller, random_models):
    """50 random prompts, 2 to 8 beams, with end tokens that matter.

    Catches: pruning finished hypotheses, going on with them, a wrong length in the penalty, a cache row that
    belongs to another beam, stopping a step early or late.
    """
    chance = random.Random(number)
    pair = storyteller if number % 2 else random_models[number // 2 % 3]
    prompt = " ".join(chance.choices(WORDS, k=chance.randint(2, 9))) + " she"
    tokenizer = pair[0].tokenizer
    stops = [token for text in (".", ",", " the", "\n") for token in tokenizer.encode(text)]
    ends = (tokenizer.end_of_text, *chance.sample(sorted(set(stops)), chance.randint(0, 3)))
    check(pair, prompt, chance.randint(2, 8), chance.randint(1, 18), chance.choice([-1.0, 0.0, 0.6, 1.0, 2.0]), ends)


def test_hypotheses_do_finish_in_these_tests(storyteller):
    """The cases above would say little if nothing ever ended."""
    encode = storyteller[0].tokenizer.encode
    ends = tuple({token for text in (".", ",", " the", "\n") for token in encode(text)})
    prompts = ("The old man opened the door and", "She looked at", "When the sun was gone the children")
    found = [check(storyteller, prompt, 4, 24, 0.0, ends) for prompt in prompts]
    assert any(beams.stop == "settled" for beams in found)
    assert any(len({len(each.tokens) for each in beams.ranking()}) > 1 for beams in found)


def test_many_beams_find_the_most_probable_text(tiny_model):
    """All 5³ texts of a five-token model, enumerated. Catches: a hypothesis that is lost or scored twice."""
    ids = tiny_model.tokenizer.encode("ab")
    wanted = {}
    for text in itertools.product(range(5), repeat=3):
        logits = tiny_model.forward([[*ids, *text]])[0].log_softmax(-1)
        wanted[text] = sum(float(logits[len(ids) - 1 + i, token]) for i, token in enumerate(text))
    beams = beam_search(tiny_model, "ab", 64, 3, length_penalty=0.0, ends=())
    found = {each.tokens: each.logprob for each in beams.ranking()}
    best = sorted(wanted, key=lambda text: -wanted[text])[:40]
    assert list(found)[:40] == best
    assert [found[text] for text in best] == pytest.approx([wanted[text] for text in best], abs=1e-4)


def test_one_beam_is_greedy(storyteller):
    model, _ = storyteller
    prompt = "The old man opened the door and"
    beams = beam_search(model, prompt, 1, 24)
    greedy = tokentrace.generate(model, prompt, strategy="greedy", max_new_tokens=24)
    assert beams.ranking()[0].tokens == greedy.tokens == beams.greedy_tokens()
    assert beams.greedy[-1][1] == pytest.approx(greedy.logprob, abs=1e-4)
    assert beams.greedy_pruned() is None


def test_the_greedy_path_beside_the_beam_is_the_greedy_run(storyteller):
    """Catches: a last row of the batch that is reordered with the beams."""
    model, _ = storyteller
    beams = beam_search(model, "The lighthouse keeper opened the door and", 5, 30)
    greedy = tokentrace.generate(model, beams.prompt, strategy="greedy", max_new_tokens=30)
    assert beams.greedy_tokens() == greedy.tokens
    at = beams.greedy_pruned()
    path, step = greedy.tokens, beams.steps[at or 0]
    alive = {beams.tokens(at, i) for i, row in enumerate(step.rows) if row.fate == "kept"} if at else set()
    assert at is None or path[: at + 1] not in alive


def test_the_context_window_ends_a_search(tiny_model):
    n_ctx = tiny_model.config.n_ctx
    beams = beam_search(tiny_model, "a" * (n_ctx - 2), 3, 50, ends=())
    assert beams.stop == "context" and len(beams.steps) == 3
    assert len(beam_search(tiny_model, "a" * n_ctx, 3, 50, ends=()).steps) == 1


def test_more_beams_than_tokens_there_are(tiny_model):
    """Five tokens, eight beams: the first step keeps five. Catches: rows of the batch that stand for nothing."""
    beams = beam_search(tiny_model, "ab", 8, 4, ends=())
    assert [len(step.kept) for step in beams.steps] == [5, 8, 8, 0]


def test_reordering_moves_whole_rows(tiny_model):
    """Row i then continues the text that row rows[i] had read."""
    cache = tiny_model.new_cache(3, 6)
    tiny_model.forward([[1, 2], [2, 3], [3, 4]], cache)
    reorder(cache, [2, 0, 0])
    after = tiny_model.forward([[1], [1], [1]], cache)[:, -1]
    texts = torch.tensor([[3, 4, 1], [1, 2, 1], [1, 2, 1]])
    torch.testing.assert_close(after, tiny_model.forward(texts)[:, -1], atol=1e-5, rtol=0)
    one = tiny_model.new_cache(1, 4)
    tiny_model.forward([[1, 2]], one)
    wide = spread(one, tiny_model, 2, 6)
    torch.testing.assert_close(
        tiny_model.forward([[3], [4]], wide)[:, -1], tiny_model.forward([[1, 2, 3], [1, 2, 4]])[:, -1]
    )


def test_the_best_text_as_a_trace(storyteller):
    """Each step as the model saw it; nothing is drawn. Catches: logits one position off."""
    model, _ = storyteller
    trace = tokentrace.generate(model, "The old man", strategy="beam", num_beams=4, max_new_tokens=12)
    beams = beam_search(model, "The old man", 4, 12)
    assert trace.tokens == beams.ranking()[0].tokens and trace.settings.num_beams == 4
    assert trace.logprob == pytest.approx(beams.ranking()[0].logprob, abs=1e-3)
    assert all(step.uniform is None and step.filtered == 1 for step in trace.steps)
    assert tokentrace.Trace.from_dict(json.loads(json.dumps(trace.to_dict()))) == trace


def test_a_search_can_be_left_and_has_a_best_text(storyteller):
    model, _ = storyteller
    recording = BeamRecording(model, "The old man", Settings("beam", max_new_tokens=30, num_beams=3))
    steps = list(itertools.islice(recording, 5))
    assert recording.stop == recording.search.stop == "stopped" and not recording.steps
    assert len(recording.trace.steps) == len(steps) == 5 and recording.trace.stop == "stopped"


def test_the_record_comes_back_exactly(storyteller, tmp_path):
    model, _ = storyteller
    dot = model.tokenizer.encode(".")[0]
    for beams in (beam_search(model, "The old man", 3, 12, ends=(dot,)), beam_search(model, "Él dijo", 2, 6)):
        again = Beams.load(beams.save(tmp_path / "beams.json"))
        assert again == beams and again.ranking() == beams.ranking()


def test_another_penalty_ranks_anew(storyteller):
    """Penalty 0 ranks by log-probability alone, 1 by its mean over the tokens."""
    model, _ = storyteller
    ends = tuple(model.tokenizer.encode(text)[0] for text in (".", "!", "?"))
    beams = beam_search(model, "The old man opened the door and", 6, 20, ends=ends)
    plain, mean = beams.ranking(0.0), beams.ranking(1.0)
    assert [each.logprob for each in plain] == sorted((each.logprob for each in plain), reverse=True)
    assert all(each.score == pytest.approx(each.logprob / len(each.tokens)) for each in mean)
    assert {each.tokens for each in plain} == {each.tokens for each in mean}
    assert mean[:6] == beams.ranking()


def broken(data, *path, value):
    data = copy.deepcopy(data)
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return data


def test_a_wrong_file_is_refused_by_field(tiny_model):
    """Catches: a check dropped; a wrong file then loads, or fails somewhere else."""
    data = json.loads(json.dumps(beam_search(tiny_model, "ab", 2, 3, ends=()).to_dict()))
    assert Beams.from_dict(data)
    for path, value, words in [
        (("format",), "tokentrace", "format"),
        (("version",), 9, "version"),
        (("stop",), "bored", "stop"),
        (("num_beams",), 0, "num_beams"),
        (("num_beams",), 1, "num_beams|n_return|keeps"),
        (("ends",), [99], "ends"),
        (("steps", 1, "parent", 0), 7, r"steps\[1\].parent\[0\]"),
        (("steps", 1, "fate", 0), "lost", r"steps\[1\].fate\[0\]"),
        (("steps", 1, "logprob", 0), -1e9, r"steps\[1\].logprob"),
        (("steps", 1, "logprob"), [], r"steps\[1\].logprob"),
        (("steps", 1, "token", 0), 77, "vocabulary: token 77"),
        (("steps", 1, "ms"), "x", r"steps\[1\].ms"),
        (("greedy", "token"), [], "greedy"),
        (("vocabulary",), {}, "vocabulary"),
        (("extra",), 1, "extra"),
    ]:
        with pytest.raises(TraceError, match=words):
            Beams.from_dict(broken(data, *path, value=value))


def test_wrong_options_are_sentences(tiny_model):
    for options, words in [
        ({"num_beams": 0}, "num_beams"),
        ({"num_beams": 2.5}, "num_beams"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"length_penalty": math.inf}, "length_penalty"),
        ({"ends": (99,)}, "ends"),
        ({"n_return": 9}, "n_return"),
    ]:
        with pytest.raises(TraceError, match=words):
            beam_search(tiny_model, "ab", **options)
    with pytest.raises(PromptError, match="few words"):
        beam_search(tiny_model, " ")
    with pytest.raises(TraceError, match="num_beams"):
        Settings("beam")
    with pytest.raises(TraceError, match="num_beams"):
        Settings(num_beams=3)
