"""Prefill and decode: operations and bytes counted against transformers, the roof, and what is said of measurements."""

import copy
import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel

import tokentrace
from tokentrace.claims import prefill_decode as claims
from tokentrace.config import Config
from tokentrace.data import measured
from tokentrace.experiments.kv_cache import EXPERIMENTS, ROOFLINE, SPEEDS, tell_prefill, tell_weights, ten_times
from tokentrace.figures import to_svg
from tokentrace.linear import PRECISIONS
from tokentrace.measuring import say_machine
from tokentrace.prefill_decode import BATCHES, read_prompt, speeds, write_step
from tokentrace.questions import prefill_decode as questions
from tokentrace.roofline import (
    attainable,
    bytes_moved,
    cache_bytes,
    operations,
    ridge,
    shape_of,
    tokens_per_second,
    weight_bytes,
)

SHAPES = [
    {"vocab_size": 50, "n_positions": 32, "n_embd": 24, "n_layer": 2, "n_head": 3},
    {"vocab_size": 31, "n_positions": 32, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_inner": 40},
]


def theirs(shape):
    config = GPT2Config(**shape, bos_token_id=0, eos_token_id=0, attn_implementation="eager")
    return GPT2LMHeadModel(config).eval(), shape_of(Config.from_dict(config.to_dict()))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("new", "past", "batch"), [(1, 0, 1), (1, 9, 1), (1, 9, 4), (7, 0, 1), (12, 0, 3)])
def test_operations_are_those_that_torch_counts(shape, new, past, batch):
    """Against torch's counter on transformers' GPT-2, whose eager attention also multiplies what the mask cuts.

    Catches: a factor of 2, an inner width of 4 d taken for granted, a head counted at every position.
    """
    model, ours = theirs(shape)
    with torch.no_grad():
        cache = model(torch.zeros(batch, past, dtype=torch.long)).past_key_values if past else None
        with FlopCounterMode(display=False) as counter:
            model(torch.zeros(batch, new, dtype=torch.long), past_key_values=cache, logits_to_keep=1)
    cut = batch * ours["n_layer"] * 4 * ours["n_embd"] * (new * (past + new) - new * past - new * (new + 1) // 2)
    assert operations(ours, new, past, batch) == counter.get_total_flops() - cut


@pytest.mark.parametrize("shape", SHAPES)
def test_bytes_are_those_of_the_tensors(shape):
    """Catches: biases or the position table among the matrices, a cache of one layer, a head counted twice."""
    model, ours = theirs(shape)
    matrices = [p for name, p in model.transformer.h.named_parameters() if p.ndim == 2]
    real = sum(p.numel() for p in matrices) + model.lm_head.weight.numel()
    assert weight_bytes(ours) == 4 * real
    assert weight_bytes(ours, "bf16") == 2 * real
    with torch.no_grad():
        cache = model(torch.zeros(3, 11, dtype=torch.long)).past_key_values
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert 3 * cache_bytes(ours, 11) == held
    assert bytes_moved(ours, 1, 10, 3) == 4 * real + held


def test_weight_bytes_are_those_of_the_open_model(monkeypatch):
    """Catches: int8 scales forgotten. The embedded model, in each precision, against the tensors that it holds."""
    from tokentrace.lm import GPT2

    folder = tokentrace.load("storyteller").folder
    for precision in PRECISIONS:
        model = GPT2(folder, precision)
        layers = [
            getattr(block, part) for block in model.blocks for part in ("to_qkv", "from_heads", "widen", "narrow")
        ]
        held = 0
        for each in (*layers, model.head):
            kind = type(each).__name__
            number_bytes = {"Packed": 4 if precision == "fp32" else 2, "Int8": 1}.get(kind, each.weight.element_size())
            held += each.weight.numel() * number_bytes
            held += each.scale.nbytes if kind == "Int8" else 0
        if precision != "int8" or all(type(each).__name__ == "Int8" for each in layers):
            assert weight_bytes(shape_of(model.config), precision) == held


def test_the_roof_is_the_lower_of_two_lines():
    """min(F, I B), with the corner where they meet. Catches: max for min, ridge turned over."""
    throughput, bandwidth = 80e9, 20e9
    assert ridge(throughput, bandwidth) == 4
    for intensity in (0.1, 1, 3.9):
        assert attainable(throughput, bandwidth, intensity) == pytest.approx(intensity * bandwidth)
    for intensity in (4, 5, 500):
        assert attainable(throughput, bandwidth, intensity) == throughput
    assert ridge(312e12, 2.039e12) == pytest.approx(153, abs=0.5)  # an A100 of 80 GB, by its data sheet
    assert tokens_per_second(140e9, 3.35e12) == pytest.approx(23.9, abs=0.05)
    assert tokens_per_second(140e9, 1e12, 10, 14e9) == pytest.approx(10e12 / 280e9)


def test_batches_raise_the_intensity_up_to_the_cache():
    """By theory: with no cache one more text adds operations and no bytes; with it the intensity has a ceiling."""
    shape = {"n_layer": 6, "n_embd": 320, "n_inner": 1280, "vocab_size": 8192}
    found = [operations(shape, 1, 64, b) / bytes_moved(shape, 1, 64, b) for b in BATCHES]
    assert found == sorted(found) and found[0] == pytest.approx(0.5, abs=0.02)
    ceiling = operations(shape, 1, 64) / cache_bytes(shape, 65)
    assert found[-1] < ceiling
    endless = operations(shape, 1, 64, 10**6) / bytes_moved(shape, 1, 64, 10**6)
    assert endless == pytest.approx(ceiling, rel=1e-3)


@pytest.fixture(scope="module")
def tiny_record(tiny_model):
    *_, (done, total, record) = speeds(tiny_model, "ab", rounds=2)
    assert done == total
    return record


def test_a_measurement_holds_every_pass(tiny_record, tiny_model):
    """Catches: a pass that is not timed in every round, warming up that is kept, a length beyond the window."""
    assert {len(each["seconds"]) for each in tiny_record["passes"]} == {2}
    assert all(second > 0 for each in tiny_record["passes"] for second in each["seconds"])
    assert [len(tiny_record[name]) for name in ("bandwidth", "far_bandwidth", "throughput")] == [2, 2, 2]
    lengths = [each["new"] for each in tiny_record["passes"] if each["kind"] == "prefill"]
    assert lengths == sorted(set(lengths)) and lengths[-1] == tiny_model.config.n_ctx
    assert [each["batch"] for each in tiny_record["passes"] if each["kind"] == "decode"] == list(BATCHES)


def test_what_is_timed_is_the_model_at_work(tiny_model, monkeypatch):
    """Catches: a cache that grows from step to step, a step that reads the whole text, a prompt read in pieces."""
    seen, forward = [], tiny_model.forward

    def spy(ids, cache=None, **options):
        ids = torch.as_tensor(ids)
        seen.append((tuple(ids.shape), cache.length))
        return forward(ids, cache, **options)

    monkeypatch.setattr(tiny_model, "forward", spy)
    read_prompt(tiny_model, [1, 2, 3, 4, 1])
    assert seen == [((1, 5), 0)]
    seen.clear()
    cache = tiny_model.new_cache(2, 8)
    forward([[1, 2, 3], [1, 2, 3]], cache)
    for _ in range(2):
        write_step(tiny_model, cache, 2, 4, 3)
    assert seen == [((2, 1), 2), ((2, 1), 3), ((2, 1), 4)] * 2


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda each: each.title)
def test_recorded_measurements_can_be_told_and_drawn(experiment):
    record = measured(experiment.name)
    assert record["fingerprint"] == tokentrace.load(record["model"]).fingerprint, "record it anew: make traces"
    told = experiment.tell(record)
    assert told.sentence.endswith((".", ").")) and all(len(row) == len(told.heads) for row in told.rows)
    assert to_svg(experiment.draw(record)).startswith("<svg") and record["model"] in say_machine(record)


def with_seconds(record, seconds):
    """The same record with other times: `seconds` of a pass."""
    made = copy.deepcopy(record)
    for each in made["passes"]:
        each["seconds"] = [seconds(each)]
    return made


def test_what_is_said_follows_from_the_times(tiny_record):
    """The claim of equal time, put to the test on records of our own making. Catches: a sentence that is fixed."""
    flat = with_seconds(tiny_record, lambda each: 0.01)
    steep = with_seconds(tiny_record, lambda each: 0.01 * each["new"])
    short, long = ten_times(flat)
    assert "took 1.0 times as long" in tell_prefill(flat).sentence
    assert f"took {long['new'] / short['new']:.1f} times as long" in tell_prefill(steep).sentence
    assert claims.same_time(flat).verdict == "holds"
    assert claims.same_time(steep).verdict == "wrong"
    assert claims.batching(with_seconds(tiny_record, lambda each: 0.01 * each["batch"])).verdict == "wrong"
    assert claims.batching(flat).verdict == "holds"
    assert claims.per_token(with_seconds(tiny_record, lambda each: each["new"] * each["batch"])).verdict == "wrong"


def test_the_roofline_is_told_from_the_numbers(tiny_record):
    """Catches: a share of the roof over the wrong roof; a point above it that is not owned up to."""
    record = copy.deepcopy(tiny_record)
    record |= {"bandwidth": [1e9], "far_bandwidth": [1e9], "throughput": [4e9]}
    for each in record["passes"]:
        roof = min(4e9, each["operations"] / each["bytes"] * 1e9)
        each["seconds"] = [each["operations"] / roof * 2]
    told = ROOFLINE.tell(record)
    assert {row[4] for row in told.rows} == {"50%"} and "Above the roof" not in told.sentence
    for each in record["passes"]:
        each["seconds"] = [each["seconds"][0] / 4]
    assert "Above the roof: prefill of 1, prefill of 8, decode" in ROOFLINE.tell(record).sentence


@pytest.mark.parametrize("experiment", [SPEEDS, ROOFLINE], ids=lambda each: each.title)
def test_a_record_that_was_stopped_can_be_told_and_drawn(experiment, tiny_model):
    steps = speeds(tiny_model, "ab", rounds=1)
    for _ in range(3):
        _, _, record = next(steps)
    assert experiment.tell(record).sentence.startswith("Stopped")
    assert to_svg(experiment.draw(record)).startswith("<svg")


def test_weights_that_gain_nothing_are_called_so():
    """Catches: a sentence that praises whatever was measured."""
    record = copy.deepcopy(measured("quantized_weights"))
    for each, seconds in zip(record["precisions"], (1.0, 0.5, 2.0), strict=True):
        each["seconds"] = [[seconds] for _ in record["passes"]]
    said = tell_weights(record).sentence
    assert "some were slower in int8" in said and "bf16: 2.0×" in said
    record["precisions"][2]["seconds"] = [[0.25] for _ in record["passes"]]
    assert "Every pass gained" in tell_weights(record).sentence
    assert claims.fewer_bits(record).verdict == "holds"


def test_questions_have_answers_and_reasons(monkeypatch):
    """Every student's variant. Catches: an answer beyond the line, a known mistake that is right, no reason given."""
    records = {name: measured(name) for name in ("prefill_decode", "quantized_cache", "quantized_weights")}
    for number in range(12):
        monkeypatch.setenv("TOKENTRACE_STUDENT", f"s{number}")
        for name, question in questions.questions(**records).items():
            right = question.measured()
            assert question.check(right), name
            assert question.check(right).because
            if question.kind == "number":
                assert question.low <= right <= question.high
                for mistake in question.why:
                    if not math.isclose(mistake, right):
                        verdict = question.check(mistake)
                        assert verdict or verdict.because, (name, mistake)


def test_claims_are_measured_on_the_records():
    records = {name: measured(name) for name in ("prefill_decode", "quantized_cache", "quantized_weights")}
    found = claims.claims(**records)
    assert len(found) == 12 and len({each.says for each in found}) == 12
    for each in found:
        row = each.to_dict()
        assert row["verdict"] and any(character.isdigit() for character in row["measured"]), row
