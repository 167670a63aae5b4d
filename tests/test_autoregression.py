"""Auto-regression on numbers and on words: closed forms, brute force, and the table's own arithmetic."""

import importlib.util
import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import tokentrace
from tokentrace.autoregression import (
    AHEAD,
    ORDERS,
    YULE,
    Fit,
    SeriesError,
    damping,
    drawn_residuals,
    fit,
    forecast,
    interaction_of,
    period,
    rms,
    roll_forward,
    sunspots,
)
from tokentrace.bigram import DISCOUNT, Bigram, TableError, bits_per_byte, fingerprint, score_table
from tokentrace.models import data_folder
from tokentrace.plain_data import TraceError
from tokentrace.regressors import (
    SWAPS,
    Swap,
    apart,
    checked,
    compare,
    interaction,
    linear_interaction,
    mean_bits,
    recorded_interaction,
    recorded_regressors,
)
from tokentrace.views.autoregression import Regressors, SelfRegression

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model():
    return tokentrace.load("storyteller")


@pytest.fixture(scope="module")
def table() -> Bigram:
    return Bigram.load()


# ---- the series


def test_sunspots_are_the_published_ones():
    """Values that every table of the Zürich series has."""
    series = sunspots()
    assert (series.first, series.last, len(series.values)) == (1700, 1988, 289)
    known = {1700: 5, 1712: 0, 1749: 80.9, 1778: 154.4, 1816: 45.8, 1870: 139, 1924: 16.7, 1957: 190.2, 1976: 12.6}
    assert {year: series[year] for year in known} == known
    assert min(series.values) == 0
    with pytest.raises(SeriesError, match="1999"):
        series[1999]


@pytest.mark.parametrize("order", [1, 2, 5, 9])
def test_least_squares_against_the_normal_equations(order):
    """Catches: lags in the wrong order, a missing constant, one row too many. Solved as XᵀX b = Xᵀy, row by row."""
    values = sunspots().between(*YULE)
    rows, wanted = [], []
    for at in range(order, len(values)):
        rows.append([1.0, *(values[at - lag] for lag in range(1, order + 1))])
        wanted.append(values[at])
    size = order + 1
    left = [[math.fsum(row[i] * row[j] for row in rows) for j in range(size)] for i in range(size)]
    right = [math.fsum(row[i] * y for row, y in zip(rows, wanted, strict=True)) for i in range(size)]
    solved = np.linalg.solve(np.array(left), np.array(right))
    fitted = fit(values, order)
    assert [fitted.constant, *fitted.coefficients] == pytest.approx(solved, rel=1e-6)
    missed = [y - sum(b * x for b, x in zip(solved, row, strict=True)) for row, y in zip(rows, wanted, strict=True)]
    assert fitted.residuals == pytest.approx(missed, abs=1e-6)
    assert fitted.spread == pytest.approx(math.sqrt(sum(e * e for e in missed) / (len(rows) - size)))


def test_a_series_made_by_a_rule_gives_the_rule_back():
    made = [3.0, 4.0]
    for _ in range(60):
        made.append(2 + 1.2 * made[-1] - 0.8 * made[-2])
    fitted = fit(made, 2)
    assert (fitted.constant, *fitted.coefficients) == pytest.approx((2, 1.2, -0.8))
    assert fitted.residuals == pytest.approx([0] * 60, abs=1e-9)


def test_yule_found_what_is_found_here():
    """Yule 1927 printed a period of a little under eleven years for these years."""
    fitted = fit(sunspots().between(*YULE), 2)
    assert 1.2 < fitted.coefficients[0] < 1.5
    assert -0.8 < fitted.coefficients[1] < -0.5
    assert 10 < period(fitted) < 11


def test_period_and_damping_against_the_closed_form_of_ar2():
    """z² - φ1·z - φ2 = 0 with complex roots: r² = -φ2 and cos ω = φ1 / 2r."""
    for one, two in ((1.34, -0.65), (0.5, -0.9), (-0.4, -0.5)):
        fitted = Fit(0.0, (one, two), (0.0,) * 10)
        r = math.sqrt(-two)
        assert damping(fitted) == pytest.approx(r)
        assert period(fitted) == pytest.approx(2 * math.pi / math.acos(one / (2 * r)))
    assert period(Fit(0.0, (0.5,), (0.0,) * 10)) is None


def test_rolling_forward_feeds_on_its_own_guesses():
    fitted = fit(sunspots().between(*YULE), 2)
    a, (one, two) = fitted.constant, fitted.coefficients
    x1 = a + one * 16.7 + two * 5.8
    x2 = a + one * x1 + two * 16.7
    x3 = a + one * x2 + two * x1
    assert roll_forward(fitted, (5.8, 16.7), 3) == pytest.approx([x1, x2, x3])
    assert roll_forward(fitted, (5.8, 16.7), 3, [1, 0, 0])[:2] == pytest.approx([x1 + 1, x2 + one])
    assert roll_forward(fitted, (5.8, 16.7), 400)[-1] == pytest.approx(fitted.mean)
    noisy = roll_forward(fitted, (5.8, 16.7), 400, drawn_residuals(fitted, 400, 1))
    assert np.std(noisy[200:]) > fitted.spread
    assert drawn_residuals(fitted, 5, 1) == drawn_residuals(fitted, 5, 1) != drawn_residuals(fitted, 5, 2)


def test_given_the_truth_it_misses_less_than_on_its_own():
    found = forecast(sunspots(), 2, 1924)
    series = sunspots()
    by_hand = [found["constant"] + found["coefficients"][0] * series[y - 1] + found["coefficients"][1] * series[y - 2]
               for y in range(1925, 1989)]  # fmt: skip
    assert found["given"] == pytest.approx(by_hand)
    assert len(found["own"]) == AHEAD
    assert found["own"][0] == pytest.approx(found["given"][0])
    assert found["given_error"] < found["own_error"]
    assert found["given_error"] == pytest.approx(rms(by_hand, series.between(1925, 1988)))


@pytest.mark.parametrize(("order", "origin"), [(0, 1900), (13, 1900), (2, 1700), (2, 1988)])
def test_what_cannot_be_forecast_is_said(order, origin):
    with pytest.raises(SeriesError):
        forecast(sunspots(), order, origin)


def test_too_short_a_series_is_refused():
    with pytest.raises(SeriesError, match="too few"):
        fit([1, 2, 3, 4], 2)


# ---- the table


def test_every_row_of_the_table_is_a_distribution(table):
    """Catches: pruned mass that is lost, a discount that is not given back, a row of another token."""
    for token in [0, 1, 13, 500, 4000, 8191, int(table.singles.argmin()), int(table.singles.argmax())]:
        row = table.next(token)
        assert row.min() > 0
        assert row.sum() == pytest.approx(1, abs=1e-9)


def recipe():
    spec = importlib.util.spec_from_file_location("bigrams", ROOT / "data" / "bigrams.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_recipe_counts_pairs(tmp_path):
    """Against a count by hand on a short row of tokens, through the packed file."""
    ids = np.random.default_rng(0).integers(0, 7, 400).astype(np.uint16)
    ids[:10] = 3  # token 8 never comes at all
    np.savez_compressed(tmp_path / "t.npz", vocabulary="x", **recipe().count(ids, 9, 4))
    made = Bigram.load(tmp_path / "t.npz")
    counts: dict[tuple[int, int], int] = {}
    for pair in pairwise(ids.tolist()):
        counts[pair] = counts.get(pair, 0) + 1
    kept = {pair: n for pair, n in counts.items() if n >= 4}
    assert made.pairs == len(kept)
    assert made.tokens == 400
    for before in range(9):
        row, total = made.next(before), int((ids == before).sum())
        common = [((ids == token).sum() + 0.5) / (400 + 4.5) for token in range(9)]
        seen = {after: (n - DISCOUNT) / total for (one, after), n in kept.items() if one == before}
        rest = 1 - sum(seen.values())
        assert row.tolist() == pytest.approx([seen.get(t, 0) + rest * common[t] for t in range(9)])
    assert made.logprobs([0, 3, 1]) == pytest.approx([math.log(made.next(0)[3]), math.log(made.next(3)[1])])


def test_the_table_is_small_and_in_the_models_tokens(model, table):
    assert (data_folder() / "bigrams.npz").stat().st_size < 700_000
    table.check(model.tokenizer, model.name)
    assert fingerprint(model.tokenizer) == table.vocabulary


def test_another_tokenizer_is_named(tiny_model, table):
    with pytest.raises(TableError, match="cuts text differently"):
        table.check(tiny_model.tokenizer, "tiny")


def test_a_damaged_table_is_said_to_be(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"no table")
    with pytest.raises(TableError, match=r"bad\.npz"):
        Bigram.load(tmp_path / "bad.npz")


def test_writing_uses_the_same_random_numbers_as_the_loop(table):
    """The t-th number for the t-th token: inverted by hand on the sorted row. Catches: a draw that restarts."""
    start, written = [500], []
    for number in np.random.default_rng(7).random(6):
        row = table.next((written or start)[-1])
        order = np.argsort(-row, kind="stable")
        written.append(int(order[np.searchsorted(row[order].cumsum(), number, side="right")]))
    assert table.write(start, 6, 7) == written


def test_sampled_pairs_come_as_often_as_the_table_says(table):
    """Chi-square of 3,000 first tokens in bins of the most common ones and the rest."""
    row = table.next(500)
    best = np.argsort(-row)[:20]
    drawn = [table.write([500], 1, seed)[0] for seed in range(3000)]
    observed = [drawn.count(token) for token in best]
    expected = [3000 * row[token] for token in best]
    observed.append(3000 - sum(observed))
    expected.append(3000 - sum(expected))
    kept = [(o, e) for o, e in zip(observed, expected, strict=True) if e >= 5]
    assert sum((o - e) ** 2 / e for o, e in kept) < 60  # 20 degrees of freedom: p < 1e-5 beyond it


def test_bits_per_byte():
    assert bits_per_byte([math.log(1 / 2), math.log(1 / 8)], "abcd") == pytest.approx(1.0)


# ---- three regressors


def test_the_comparison_is_of_this_model(model, table):
    kept = recorded_regressors()
    assert kept["model"]["fingerprint"] == model.fingerprint, "record it anew: make traces"
    again = compare(model, table, kept["prompt"], kept["seeds"])
    assert again["bigram"] == kept["bigram"]
    assert again["gpt2"]["texts"] == kept["gpt2"]["texts"]
    for row in kept["sentences"]:
        assert row["bigram"] == pytest.approx(
            bits_per_byte(score_table(table, model, row["text"]), row["text"]), abs=1e-4
        )
    total = sum(row["bytes"] * row["gpt2"] for row in kept["sentences"]) / sum(
        row["bytes"] for row in kept["sentences"]
    )
    assert mean_bits(kept, "gpt2") == pytest.approx(total)


def test_a_model_with_other_tokens_gets_a_sentence_instead_of_a_table(tiny_model, table, monkeypatch):
    monkeypatch.setattr("tokentrace.regressors.SENTENCES", ("abba",))
    monkeypatch.setattr("tokentrace.regressors.WRITTEN", 3)
    found = compare(tiny_model, table, "ab")
    assert "cuts text differently" in found["refused"]
    assert found["sentences"][0]["bigram"] is None
    checked(json.loads(json.dumps(found)))
    assert Regressors(found).bits[0] is None


@pytest.mark.parametrize(
    "break_it",
    [
        lambda data: data.pop("gpt2"),
        lambda data: data["gpt2"]["texts"].pop(),
        lambda data: data["bigram"]["candidates"][0].__setitem__(1, 1.5),
        lambda data: data["series"].pop("own"),
        lambda data: data["sentences"][0].update(gpt2="low"),
    ],
)
def test_a_comparison_that_cannot_be_right_is_refused(break_it):
    data = recorded_regressors()
    break_it(data)
    with pytest.raises(TraceError):
        checked(data)


def test_a_weighted_sum_has_no_interaction():
    """Exactly additive up to rounding, whatever the fit and the changes. Catches: a lag changed twice."""
    numbers = np.random.default_rng(0)
    for _ in range(50):
        fitted = Fit(float(numbers.normal()), tuple(map(float, numbers.normal(size=4))), (0.0,) * 9)
        past = list(map(float, numbers.normal(size=9)))
        values = interaction_of(fitted, past, {1: float(numbers.normal()), 3: float(numbers.normal())})
        assert apart(values) == pytest.approx(0, abs=1e-12)
        assert values[1] != values[0] != values[2]
    assert abs(linear_interaction()["apart"]) < 1e-9


def test_words_interact(model):
    """The four log-probabilities against four passes one at a time; the recorded pair is not a sum."""
    kept = recorded_interaction()
    assert kept["model"]["fingerprint"] == model.fingerprint, "record it anew: make traces"
    language = kept["language"]
    swap = next(each for each in SWAPS if each.text == language["text"])
    found = interaction(model, swap)
    tokenizer = model.tokenizer
    for index, (a, b) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
        text = swap.text.replace(swap.first[0], swap.first[a]).replace(swap.second[0], swap.second[b])
        logits = model.forward([[tokenizer.end_of_text, *tokenizer.encode(text)]])[0, -1].double()
        (target,) = tokenizer.encode(swap.target)
        assert found["values"][index] == pytest.approx(float(logits.log_softmax(-1)[target]), abs=1e-4)
    assert language["values"] == pytest.approx(found["values"], abs=1e-3)
    assert abs(language["apart"]) > 0.2


@pytest.mark.parametrize(
    "swap",
    [
        Swap("The cat sat", (" dog", " cat"), (" sat", " ran"), " on"),
        Swap("The cat sat", (" cat", " unpronounceablewordling"), (" sat", " ran"), " on"),
    ],
)
def test_words_that_are_not_there_are_named(model, swap):
    with pytest.raises(ValueError, match="token"):
        interaction(model, swap)


# ---- views without a browser


def test_the_series_view_follows_its_sliders():
    view = SelfRegression()
    assert view.forecast == forecast(sunspots(), 2, YULE[1], 0)
    view.set_state({"order": 5, "origin": 1950})
    assert view.forecast == forecast(sunspots(), 5, 1950, 0)
    assert view.sentence.startswith("AR(5) after 1950")
    view.set_state({"order": 99, "values": [], "forecast": {}})
    assert view.order == 5
    assert view.forecast["order"] == 5
    view.set_state({"noisy": True, "seed": 3})
    assert view.forecast["seed"] == 3
    assert "cycling" in view.sentence
    for order in range(ORDERS[0], ORDERS[1] + 1):
        view.order = order
        assert view.forecast["order"] == order
    with pytest.raises(Exception, match="order is from"):
        view.order = 0


def test_importing_the_table_needs_no_torch_until_it_writes(table):
    assert isinstance(table.next(1), np.ndarray)
    assert torch.from_numpy(table.next(1)).sum().item() == pytest.approx(1)
