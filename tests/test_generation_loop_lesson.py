"""Chapter 2's own loop, questions and claims, on the runs that its page shows."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    GPT2LMHeadModel,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

import tokentrace as tt
from tokentrace import models, student
from tokentrace.claims.generation_loop import claims
from tokentrace.data import measured, searched
from tokentrace.questions.generation_loop import questions
from tokentrace.views import BeamSearch, Compare, Measurement, Strategies
from tokentrace.views.compare import compare

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "02_generation_loop.ipynb"
PROMPTS = ("The lighthouse keeper opened the door and", "Once upon a time")


def cell(beginning: str) -> str:
    """Source of the cell that begins so."""
    cells = ("".join(each["source"]) for each in json.loads(NOTEBOOK.read_text())["cells"])
    return next(source for source in cells if source.startswith(beginning))


@pytest.fixture(scope="module")
def page():
    """Names of the page's first cells: trace, lanes, searches, ask, my_loop."""
    names: dict = {}
    for beginning in ("import numpy", "trace = ", "def my_loop", "names = ("):
        exec(cell(beginning).partition("Claims(")[0], names)
    return names


@pytest.fixture(scope="module")
def reference():
    return GPT2LMHeadModel.from_pretrained(models.find("storyteller"), dtype=torch.float32).eval()


def their_draws(reference, ids, numbers, processors):
    """A loop around transformers' model and processors; each token by the number's place among sorted probabilities."""
    ids = torch.tensor([ids])
    for u in numbers:
        with torch.no_grad():
            scores = processors(ids, reference(ids).logits[:, -1])
        mass, order = scores[0].double().softmax(-1).sort(descending=True, stable=True)
        ids = torch.cat((ids, order[int((mass.cumsum(-1) <= u).sum())][None, None]), 1)
    return ids[0].tolist()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_readers_loop_is_the_engines_and_transformers(page, reference, prompt):
    """The notebook's cell against `generate` of this package and a loop with transformers' own processors."""
    model = tt.load("storyteller")
    written = page["my_loop"](model, prompt, 6, 20)
    run = tt.generate(model, prompt, seed=6, temperature=0.8, top_k=40, top_p=0.9, max_new_tokens=20)
    assert compare(written, run, model)["agree"] == 20
    processors = LogitsProcessorList([TemperatureLogitsWarper(0.8), TopKLogitsWarper(40), TopPLogitsWarper(0.9)])
    numbers = np.random.default_rng(6).random(20)
    assert written == their_draws(reference, model.tokenizer.encode(prompt), numbers, processors)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_readers_loop_with_top_k_1_is_greedy_generate(page, reference, prompt):
    """One token kept is no choice: the cell, with its filter changed as a reader may, equals `generate`."""
    model, names = tt.load("storyteller"), dict(page)
    exec(cell("def my_loop").replace("top_k=40", "top_k=1"), names)
    ids = torch.tensor([model.tokenizer.encode(prompt)])
    with torch.no_grad():
        theirs = reference.generate(ids, max_new_tokens=24, do_sample=False, eos_token_id=None, pad_token_id=0)
    assert names["my_loop"](model, prompt, 0, 24) == theirs[0].tolist()


def test_every_question_takes_its_own_answer_and_says_why_others_are_wrong(page):
    asked = page["ask"]
    assert len(asked) == 12
    for question in asked.values():
        right = question.measured()
        answer = right[0] if isinstance(right, tuple) else right
        assert question.check(answer).right, question.name
        for wrong, reason in dict(question.why).items():
            verdict = question.check(wrong)
            assert verdict.right or verdict.because, (question.name, wrong)
            assert reason.endswith((".", "?")), (question.name, reason)


def test_neighbours_get_other_places_of_the_run(page, monkeypatch):
    texts = set()
    for name in ("Ann", "Bo", "Cy", "Di"):
        student.student(name)
        asked = questions(page["trace"], page["lanes"], page["searches"]["a few tokens"])
        texts.add(asked["stop_string"].text)
        assert asked["stop_string"].check(asked["stop_string"].measured()).right
    student.student("")
    assert len(texts) > 1


def test_the_stop_string_question_is_answered_by_a_run_with_that_stop_string(page):
    """Catches: an answer that is off by one. The same run is written again with the stop string of the question."""
    trace, question = page["trace"], page["ask"]["stop_string"]
    stop = question.text.split("`")[1]
    settings = {name: getattr(trace.settings, name) for name in ("temperature", "top_k", "top_p", "max_new_tokens")}
    run = tt.generate(tt.load("storyteller"), trace.prompt, seed=trace.seed, stop=stop, **settings)
    assert (run.stop, len(run.steps)) == ("stop_string", question.measured())


def rows(page, **changes):
    given = {name: page[name] for name in ("trace", "lanes", "searches", "records")} | changes
    return {claim.says: claim.to_dict() for claim in claims(*given.values())}


def test_every_claim_is_measured_on_the_page(page):
    made = rows(page)
    assert len(made) == 17 and all(row["verdict"] and row["source"] and row["measured"] for row in made.values())


def test_verdicts_follow_the_numbers(page):
    """Catches: a verdict that is typed in. Each is turned round by another run."""
    made, trace = rows(page), page["trace"]
    greedy = rows(page, trace=page["lanes"]["greedy"])
    says = "The model selects the most likely word."
    assert made[says]["verdict"] != "holds" and greedy[says]["verdict"] == ""
    sharp = tt.generate(tt.load("storyteller"), trace.prompt, top_k=1, max_new_tokens=12)
    assert rows(page, trace=sharp)[says]["verdict"] == "holds"

    says = "Taking the most probable token each time gives the most probable text."
    one = page["searches"] | {"a few tokens": searched("beam_search")}
    from tokentrace.beam_search import beam_search

    one["a few tokens"] = beam_search(tt.load("storyteller"), trace.prompt, 1, 8)
    assert made[says]["verdict"] == "wrong" and rows(page, searches=one)[says]["verdict"] == "simplified"

    says = "An answer ten times as long takes about ten times as long."
    record = json.loads(json.dumps(page["records"]["writing_times"]))
    record["seconds"]["uncached"] = record["seconds"]["cached"]
    slow = page["records"] | {"writing_times": record}
    assert made[says]["verdict"] == "simplified" and rows(page, records=slow)[says]["verdict"] == "holds"

    says = "Inference cannot be parallelised."
    record = json.loads(json.dumps(page["records"]["batch_rates"]))
    record["seconds"] = [[size * 0.1] * 3 for size in record["sizes"]]
    serial = page["records"] | {"batch_rates": record}
    assert made[says]["verdict"] == "simplified" and rows(page, records=serial)[says]["verdict"] == "holds"


def test_measured_claims_do_not_touch_the_model(page, monkeypatch):
    """The table is filled at first paint. Catches: a claim that loads weights."""
    monkeypatch.setattr(models, "open_model", lambda *_: pytest.fail("a model was opened"))
    rows(page)
    BeamSearch(page["searches"], "storyteller")
    Measurement(page["experiments"].STOPS, measured("stop_strings"))
    Compare(page["my_loop"], page["trace"])
    Strategies(page["lanes"], "storyteller")
