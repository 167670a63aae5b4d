"""The Python side of the beam search and measurement views: what they send, what they refuse, what they keep."""

import asyncio
import json

import pytest

from tokentrace.beam_search import beam_search, sentence_ends
from tokentrace.data import measured, searched
from tokentrace.experiments import Experiment, Told
from tokentrace.experiments import generation_loop as experiments
from tokentrace.models import open_model
from tokentrace.repetition import measures
from tokentrace.views import BeamSearch, Measurement


@pytest.fixture
def searches():
    return {"short": searched("beam_search"), "long": searched("beam_search_loop")}


def talk(view, *messages, meanwhile=None):
    """Send messages as a browser does, wait until the view is idle."""
    view.send = lambda content, buffers=None: None

    async def conversation():
        for message in messages:
            view._receive(view, message, [])
        while view._tasks:
            if meanwhile:
                meanwhile()
            await asyncio.sleep(0.001)

    asyncio.run(conversation())


def generate(**changes):
    wanted = {"prompt": "Once upon a time", "num_beams": 3, "max_new_tokens": 8, "sentence": False}
    return {"type": "generate", "request": 1} | wanted | changes


def test_recorded_searches_are_shown_at_once(searches):
    view = BeamSearch(searches)
    assert view.names == ["short", "long"] and view.beams == searches["short"] and not view.can_live
    assert view.step == len(searches["short"].steps) - 1
    assert view.repetition[1] == measures(searches["long"].ranking()[0].tokens).to_dict()
    json.dumps(view.records, allow_nan=False)


def test_the_browser_may_move_but_not_rewrite(searches):
    view = BeamSearch(searches)
    view.set_state({"shown": 1, "step": 4, "records": [], "names": ["x"], "error": "x"})
    assert (view.shown, view.step, view.names, view.error) == (1, 4, ["short", "long"], "")
    view.set_state({"shown": 9, "step": 10**6})
    assert (view.shown, view.step) == (1, len(searches["long"].steps) - 1)
    view.set_state({"step": "x"})
    assert view.beams == searches["long"]


def test_a_live_search_is_added_and_the_records_stay(searches):
    view, model = BeamSearch(searches, "storyteller"), open_model("storyteller")
    talk(view, generate(sentence=True))
    assert view.error == "" and view.names == ["short", "long", "yours"] and view.shown == 2
    wanted = beam_search(model, "Once upon a time", 3, 8, ends=sentence_ends(model))
    assert view.beams.steps[-1].rows == wanted.steps[-1].rows and view.beams.ends == wanted.ends
    talk(view, generate(num_beams=2))
    assert view.names == ["short", "long", "yours"] and view.beams.num_beams == 2
    assert view.records[:2] == [each.to_dict() for each in searches.values()]


def test_stop_keeps_what_was_found(searches):
    view = BeamSearch(searches, "storyteller")

    def stop():
        if view.status["state"] == "running":
            view._receive(view, {"type": "stop"}, [])

    talk(view, generate(num_beams=8, max_new_tokens=60), meanwhile=stop)
    assert view.status["state"] == "idle"
    assert view.names[-1] == "yours" and view.beams.stop == "stopped" and len(view.beams.steps) < 60
    assert view.beams.ranking()


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (generate(prompt=""), "few words"),
        (generate(prompt=None), "must be text"),
        (generate(num_beams=9), "Beams must be"),
        (generate(num_beams=2.0), "Beams must be"),
        (generate(num_beams=True), "Beams must be"),
        (generate(num_beams=None), "Beams must be"),
        (generate(max_new_tokens=0), "Tokens must be"),
        (generate(max_new_tokens=1000), "Tokens must be"),
        (generate(model="nobody"), "No such model"),
    ],
)
def test_a_wrong_wish_is_a_sentence(searches, message, words):
    view = BeamSearch(searches, "storyteller")
    talk(view, message)
    assert words in view.error and view.names == ["short", "long"]


def test_sentence_ends_are_what_ends_sentences():
    model = open_model("storyteller")
    texts = {model.tokenizer.token_bytes(token).decode() for token in sentence_ends(model)}
    assert {".", "!", "?", "<|endoftext|>"} <= texts
    assert not {",", " .", "a.", ";"} & texts


def steps(records):
    """A measurement of as many steps as there are records."""
    yield from ((i + 1, len(records), record) for i, record in enumerate(records))


class Fake(Experiment):
    """Draws a record of two numbers, as a real measurement does."""

    def measure(self, model, prompt):
        return steps([self.made] * 30)

    def draw(self, record):
        from tokentrace.figures import axes

        figure, axis = axes()
        axis.plot(record["x"])
        return figure


def fake(made):
    experiment = Fake("fake", "A fake", lambda record: Told(f"{record['x']}.", ("a",), [("1",)]), "", "")
    object.__setattr__(experiment, "made", made)
    return experiment


MACHINE = {"machine": {"processor": "abacus", "cores": 1, "threads": 1}, "model": "storyteller"}


def test_a_measurement_shows_its_record_then_measures_here():
    view = Measurement(fake(MACHINE | {"x": [3, 4]}), MACHINE | {"x": [1, 2]})
    assert (view.sentence, view.mode, view.machine) == ("[1, 2].", "recorded", "storyteller on abacus, 1 thread")
    before = view.svg
    talk(view, {"type": "generate", "request": 1})
    assert (view.sentence, view.mode, view.record["x"]) == ("[3, 4].", "live", [3, 4])
    assert view.svg != before and view.status["state"] == "idle"


def test_a_stopped_measurement_keeps_the_record():
    view = Measurement(fake(MACHINE | {"x": [3, 4]}), MACHINE | {"x": [1, 2]})
    talk(view, {"type": "generate", "request": 1}, {"type": "stop"})
    assert view.mode == "recorded" and "the last whole measurement stays" in view.error


def test_a_measurement_that_breaks_off_is_a_sentence():
    view = Measurement(fake({"x": 1}), MACHINE | {"x": [1, 2]})
    talk(view, {"type": "generate", "request": 1})
    assert "broke off" in view.error and view.mode == "recorded" and view.record["x"] == [1, 2]
    view = Measurement(fake(MACHINE), MACHINE | {"x": [1, 2]}, None)
    talk(view, {"type": "generate", "request": 1})
    assert "No model is at hand" in view.error


def test_every_measurement_of_the_page_has_a_record():
    for experiment in experiments.EXPERIMENTS:
        assert Measurement(experiment, measured(experiment.name)).svg
