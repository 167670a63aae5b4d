"""A cache in fewer bits: half a step at most, outliers by channel, nothing changed where nothing is rounded."""

import pytest
import torch

import tokentrace
from tokentrace.divergence import kl
from tokentrace.experiments.kv_cache import CACHE_BITS, mean_kl
from tokentrace.quantized_cache import (
    KIVI,
    REVERSED,
    SCHEMES,
    Rounding,
    Scheme,
    channel_spans,
    pack,
    quantized_cache,
    read_text,
    round_off,
    write_text,
)
from tokentrace.quantized_weights import quantized_weights

TEXT = "The old woman took the lamp and went slowly up the stairs. " * 4


@pytest.fixture(scope="module")
def model():
    return tokentrace.load("storyteller")


@pytest.fixture(scope="module")
def ids(model):
    return model.tokenizer.encode(TEXT)[:48]


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_no_number_moves_by_more_than_half_a_step(bits, scale):
    """By theory: |x - restored| <= step / 2, and the step is the span over 2^bits - 1, up to half precision.

    Catches: floor for round, 2^bits steps, a least value that was rounded up past the group.
    """
    x = torch.randn(200, 32, generator=torch.Generator().manual_seed(bits)) * scale + scale
    packed = pack(x, bits)
    error, step = (packed.restore() - x).abs(), packed.step.float()[:, None]
    assert (error <= step / 2 * (1 + 1e-4) + 1e-6 * scale).all()
    span = x.amax(1) - x.amin(1)
    assert (packed.step.float() <= (span / (2**bits - 1)) * 1.01 + 2**-9 * scale).all()
    assert error.max() > step.min() / 4, "rounded too well to be true"


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_far_from_zero_too(bits):
    """A narrow group at 10, where half precision is coarse. Catches: a least value that is rounded up."""
    x = torch.randn(200, 32, generator=torch.Generator().manual_seed(bits)) * 1e-3 + 10
    packed = pack(x, bits)
    assert ((packed.restore() - x).abs() <= packed.step.float()[:, None] / 2 + 2e-6).all()


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_codes_are_really_packed(bits):
    """Catches: a byte for every code, a code that spills into its neighbour."""
    levels = torch.randint(0, 2**bits, (8, 32), generator=torch.Generator().manual_seed(1)).float()
    levels[:, 3], levels[:, 8] = 0, 2**bits - 1  # every group spans all codes, so its step is 1
    packed = pack(levels, bits)
    assert packed.codes.numel() == 8 * 32 * bits // 8
    assert packed.nbytes == 8 * (32 * bits // 8 + 2 + 2)
    assert torch.equal(packed.restore(), levels)


def test_a_group_that_is_all_the_same_comes_back():
    """Catches: a division by a step of zero."""
    restored = pack(torch.full((3, 32), 1.2345), 4).restore()
    assert (restored - 1.2345).abs().max() < 1e-3


def test_groups_that_do_not_fill_bytes_are_refused():
    with pytest.raises(ValueError, match="whole bytes"):
        pack(torch.zeros(2, 3), 4)
    with pytest.raises(ValueError, match="3 bits"):
        pack(torch.zeros(2, 32), 3)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_an_outlier_channel_wants_steps_per_channel(bits):
    """Data with one channel 50 times as large. Catches: axes turned over: then this one is the other way round."""
    keys = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    keys[..., 5] *= 50
    others = [i for i in range(32) if i != 5]
    error = {}
    for along in ("channel", "token"):
        rounded, _ = round_off(keys, bits, along)
        error[along] = float((rounded - keys)[..., others].pow(2).mean())
    assert error["token"] > 20 * error["channel"]
    turned, _ = round_off(keys.transpose(-1, -2), bits, "token")
    assert torch.equal(turned.transpose(-1, -2), round_off(keys, bits, "channel")[0])


def test_identity_changes_nothing(model, ids):
    """KL exactly 0. Catches: a scheme that touches the cache when it should not."""
    logits, rounding, cache = read_text(model, ids, Scheme(32))
    again, *_ = read_text(model, ids, Scheme(32))
    assert kl(logits, again).max() == 0
    assert rounding.nbytes(cache) == cache.nbytes


def test_read_in_groups_is_read_one_by_one(model, ids):
    """Catches: a group rounded before it is whole, a group that sees itself rounded."""
    scheme, group = Scheme(4), 16
    logits, *_ = read_text(model, ids, scheme, group)
    cache, rounding, rows = model.new_cache(1, len(ids)), Rounding(scheme, group), []
    for token in ids:
        rows.append(model.forward([[token]], cache)[0, -1])
        rounding.update(cache)
    torch.testing.assert_close(logits, torch.stack(rows), atol=2e-3, rtol=0)
    assert kl(logits, read_text(model, ids, Scheme(32), group)[0])[group:].max() > 1e-7


def test_the_cache_is_what_is_rounded(model, ids):
    """Against rounding the whole cache of fp32 by hand, layer by layer, for the first layer, which reads no other.

    Catches: keys rounded like values, one layer for all, a group's edge one position off.
    """
    _, _, exact = read_text(model, ids, Scheme(32), 16)
    for scheme in (Scheme(4), Scheme(4, "token", "channel")):
        _, rounding, cache = read_text(model, ids, scheme, 16)
        assert rounding.settled == 48
        for which, along in ((0, scheme.keys), (1, scheme.values)):
            parts = [round_off(exact.memory[0, which, :, :, a : a + 16], 4, along, 16)[0] for a in (0, 16, 32)]
            torch.testing.assert_close(cache.memory[0, which, :, :, :48], torch.cat(parts, -2), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("scheme", [*KIVI, *REVERSED], ids=lambda each: f"{each.name} keys per {each.keys}")
def test_bytes_are_counted_to_the_last(model, ids, scheme):
    """By hand: codes, and two half-precision numbers a group; the positions left over in fp32."""
    group, numbers = 32, model.config.n_layer * 2 * model.config.n_embd
    _, rounding, cache = read_text(model, ids[:40], scheme, group)
    wanted = numbers * 32 * scheme.bits // 8 + numbers * 32 // 32 * 4 + numbers * 8 * 4
    assert rounding.nbytes(cache) == wanted


def test_greedy_in_fp32_is_the_loop(model, ids):
    trace = tokentrace.generate(model, TEXT[:40], strategy="greedy", max_new_tokens=20)
    assert write_text(model, trace.prompt_tokens and list(trace.prompt_tokens), 20, Scheme(32)) == list(trace.tokens)


def test_fewer_bits_move_the_guess_further(model):
    """In both arrangements. Catches: KL of the wrong pair, a scheme that was not applied."""
    *_, (done, total, record) = quantized_cache(model, TEXT[:40], n=96, write=8)
    assert done == total == len(SCHEMES)
    for keys in ("channel", "token"):
        found = [mean_kl(record, each) for each in record["schemes"] if each["keys"] == keys and each["bits"] < 16]
        assert 0 < found[0] < found[1] < found[2]
        sizes = [each["nbytes"] for each in record["schemes"] if each["keys"] == keys]
        assert sizes == sorted(sizes, reverse=True)
    first = record["schemes"][0]
    assert (first["same"], max(first["kl"])) == (8, 0)
    assert all(max(each["kl"][: record["group"]]) == 0 for each in record["schemes"]), "nothing was rounded yet"


def test_spans_are_those_of_the_cache(model, ids):
    """Catches: a head of another layer, values for keys."""
    _, _, cache = read_text(model, ids, Scheme(32))
    found = channel_spans(cache)
    keys = cache.keys(found["layer"])[0, found["head"]]
    assert found["keys"][0] == pytest.approx(float((keys.amax(0) - keys.amin(0)).max()), rel=1e-2)
    shown = torch.tensor(found["keys"])
    for layer in range(model.config.n_layer):
        spans = cache.keys(layer)[0].amax(1) - cache.keys(layer)[0].amin(1)
        assert (spans.amax(1) / spans.median(1).values).max() <= shown.max() / shown.median() * 1.02


def test_what_is_said_follows_from_the_numbers(model):
    """Catches: a verdict for KIVI whatever was measured."""
    *_, (_, _, record) = quantized_cache(model, TEXT[:40], n=72, write=4)
    for each in record["schemes"]:
        if each["bits"] < 16:
            each["kl"] = [0.2 if each["keys"] == "channel" else 0.1] * len(each["kl"])
    said = CACHE_BITS.tell(record).sentence
    assert "in 0 of 3 comparisons" in said and "with keys per channel and values per token." in said


def test_a_window_of_eight_will_do(tiny_model):
    """Catches: lengths beyond a small window."""
    *_, (_, _, record) = quantized_cache(tiny_model, "abc")
    assert record["tokens"] == 8 and len(record["schemes"]) == len(SCHEMES)
    assert CACHE_BITS.tell(record).rows


def test_weights_in_other_precisions_are_other_weights(tiny_model):
    """Catches: one model compared with itself, a time that is missing."""
    *_, (done, total, record) = quantized_weights(tiny_model, "abc", rounds=1)
    assert done == total
    exact, bf16, int8 = record["precisions"]
    assert max(exact["kl"]) == 0 < min(max(bf16["kl"]), max(int8["kl"]))
    assert all(len(seconds) == 1 for each in record["precisions"] for seconds in each["seconds"])
