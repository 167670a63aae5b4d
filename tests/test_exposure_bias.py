"""Exposure bias where the truth can be enumerated: both published ratios, their estimators, the record, the view."""

import asyncio
import itertools
import json
import math

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel

from tokentrace.bias_run import ANCESTRAL, DATA, DECODERS, RECORDED, BiasRun, Curve, recorded_bias
from tokentrace.bias_words import say_contexts, say_excess, say_prefixes, verdict
from tokentrace.claims.exposure_bias import claims
from tokentrace.exposure_bias import (
    acc_err,
    discrepancy,
    eb_band,
    eb_c,
    eb_m,
    excess,
    excess_band,
    quality,
    regret,
    windowed,
)
from tokentrace.plain_data import TraceError
from tokentrace.questions.exposure_bias import questions
from tokentrace.sampling import filter_logits
from tokentrace.trace import Settings
from tokentrace.views import ExposureBias
from tokentrace.visited_contexts import guess, measure, visit, write

# ---- a language of three words, small enough to enumerate

WORDS, LENGTH = 3, 4


def language(seed: int) -> dict[tuple[int, ...], np.ndarray]:
    """Any conditional distribution for every prefix: nothing but the chain rule is assumed."""
    rng = np.random.default_rng(seed)
    prefixes = (prefix for n in range(LENGTH) for prefix in itertools.product(range(WORDS), repeat=n))
    return {prefix: rng.dirichlet(np.ones(WORDS)) for prefix in prefixes}


TEXTS = list(itertools.product(range(WORDS), repeat=LENGTH))
ORACLE, LEARNER = language(1), language(2)


def probability(text, model) -> float:
    return math.prod(model[text[:i]][word] for i, word in enumerate(text))


def nats(p, q) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def variation(p, q) -> float:
    return sum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2


def jensen(p, q) -> float:
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (nats(p, middle) + nats(q, middle)) / 2


def along(text, distance, learner=LEARNER) -> list[float]:
    return [distance(ORACLE[text[:i]], learner[text[:i]]) for i in range(LENGTH)]


def rows(distance, learner=LEARNER) -> np.ndarray:
    return np.array([along(text, distance, learner) for text in TEXTS])


def chances(model) -> np.ndarray:
    return np.array([probability(text, model) for text in TEXTS])


@pytest.mark.parametrize("distance", [variation, jensen])
def test_he_et_al_by_summing_over_every_prefix(distance):
    """Straight from the definition. Catches: own and data prefixes swapped, lengths shifted by one, P and Q swapped."""
    ratios = []
    for n in range(LENGTH):
        prefixes = list(itertools.product(range(WORDS), repeat=n))
        own = sum(probability(each, LEARNER) * distance(ORACLE[each], LEARNER[each]) for each in prefixes)
        data = sum(probability(each, ORACLE) * distance(ORACLE[each], LEARNER[each]) for each in prefixes)
        ratios.append(own / data)
    values = rows(distance)
    assert eb_c(values, values, chances(LEARNER), chances(ORACLE)) == pytest.approx(ratios)
    assert ratios[0] == 1  # nothing was read yet
    assert max(abs(each - 1) for each in ratios) > 0.05


def test_arora_et_al_by_summing_over_every_prefix():
    """Regret, AccErr and %ExAccErr from the definition. Catches: a KL the wrong way round, R not summed."""
    own_steps, data_steps = [], []
    for n in range(LENGTH):
        prefixes = list(itertools.product(range(WORDS), repeat=n))
        own_steps.append(sum(probability(each, LEARNER) * nats(ORACLE[each], LEARNER[each]) for each in prefixes))
        data_steps.append(sum(probability(each, ORACLE) * nats(ORACLE[each], LEARNER[each]) for each in prefixes))
    values = rows(nats)
    own, data = regret(values, chances(LEARNER)), regret(values, chances(ORACLE))
    for n in range(1, LENGTH + 1):
        gathered, mean_error = sum(own_steps[:n]), sum(data_steps[:n]) / n
        assert own[n - 1] == pytest.approx(gathered)
        assert acc_err(own, data)[n - 1] == pytest.approx(gathered / mean_error)
        assert excess(own, data)[n - 1] == pytest.approx(100 * (gathered - n * mean_error) / (n * mean_error))
    assert acc_err(data, data) == pytest.approx(range(1, LENGTH + 1))


def test_a_learner_that_is_the_oracle_has_exactly_1_and_0():
    """Catches: 0 / 0, a rounding error instead of an exact 1."""
    for distance in (variation, jensen, nats):
        same = rows(distance, ORACLE)
        assert (eb_c(same, same, chances(ORACLE), chances(ORACLE)) == 1).all()
    nothing = regret(rows(nats, ORACLE), chances(ORACLE))
    assert (excess(nothing, nothing) == 0).all()
    assert (acc_err(nothing, nothing) == range(1, LENGTH + 1)).all()
    for end in eb_band(np.zeros((9, 3)), np.zeros((9, 3))):
        assert (end == 1).all()
    for end in excess_band(np.zeros((9, 3)), np.zeros((9, 3))):
        assert (end == 0).all()


def test_quality_of_continuations_by_summing_over_every_text():
    """EB-M of two-word continuations after one word. Catches: a sum for a mean of logs, the ratio upside down."""
    scores, own, data = [], [], []
    for text in TEXTS:
        oracle = [math.log(ORACLE[text[:i]][text[i]]) for i in (1, 2)]
        scores.append([math.sqrt(math.exp(oracle[0]) * math.exp(oracle[1]))])
        assert quality(oracle) == pytest.approx(scores[-1][0])
        rest = probability(text, LEARNER) / LEARNER[()][text[0]]
        data.append(ORACLE[()][text[0]] * rest)
        own.append(LEARNER[()][text[0]] * rest)
    by_hand = sum(p * s[0] for p, s in zip(data, scores, strict=True)) / sum(
        p * s[0] for p, s in zip(own, scores, strict=True)
    )
    assert eb_m(scores, scores, data, own) == pytest.approx([by_hand])
    assert eb_m(scores, scores, chances(ORACLE), chances(ORACLE)) == [1]


@pytest.mark.parametrize("kind", ["EB-C", "excess"])
def test_the_estimators_bands_hold_the_enumerated_truth(kind):
    """2,000 studies of 100 texts each. Catches: bands of something else than the ratio, pairs drawn apart.

    93 to 97 of 100 bands must hold the exact value at every length but the first, where nothing varies.
    """
    studies, texts = 2000, 100
    uniforms = np.random.default_rng(4).random((texts, studies))
    values = rows(nats if kind == "excess" else variation)
    # Texts are drawn from their exact probabilities; a pair shares its random number, as in a measurement.
    pairs = [np.searchsorted(chances(model).cumsum(), uniforms).clip(max=len(TEXTS) - 1) for model in (LEARNER, ORACLE)]
    own, data = (values[each] for each in pairs)  # [texts, studies, length]
    if kind == "EB-C":
        truth = eb_c(values, values, chances(LEARNER), chances(ORACLE))
        _, low, high = eb_band(own, data)
    else:
        truth = excess(regret(values, chances(LEARNER)), regret(values, chances(ORACLE)))
        _, low, high = excess_band(own, data)
    held = ((low <= truth) & (truth <= high)).mean(0)
    assert ((held[1:] >= 0.93) & (held[1:] <= 0.97)).all(), held


def test_windows_are_means_side_by_side():
    assert windowed([[1, 3, 5, 7, 100]], 2).tolist() == [[2, 6]]
    assert discrepancy([[1, 3], [3, 9]]).tolist() == [2, 6]


# ---- writing and reading in batches


def result(work):
    """What a generator returns at its end."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("name", DECODERS)
def test_a_batch_is_cut_like_single_rows(name):
    """Against `sampling.filter_logits`. Catches: a nucleus one token short, a cut before the temperature."""
    for spread in (1.0, 0.01):  # nearly flat: the nucleus is wider than the candidates that are looked at first
        logits = spread * torch.randn(4, 1500, generator=torch.Generator().manual_seed(0))
        settings = DECODERS[name]
        found = guess(logits, settings)
        for row, probabilities in zip(logits, found, strict=True):
            if settings.strategy == "greedy":
                wanted = torch.nn.functional.one_hot(row.argmax(), len(row)).double()
            else:
                wanted = filter_logits(row, settings.temperature, settings.top_k, settings.top_p).double().softmax(-1)
            assert probabilities == pytest.approx(wanted, abs=1e-7)
            assert ((probabilities > 0) == (wanted > 0)).all()


def second_model(tiny_model, tmp_path_factory):
    """Other weights over the same five tokens."""
    from tokentrace.lm import GPT2

    folder = tmp_path_factory.mktemp("learner")
    other = GPT2LMHeadModel.from_pretrained(tiny_model.folder)
    torch.manual_seed(5)
    with torch.no_grad():
        for each in other.parameters():
            each.add_(0.15 * torch.randn_like(each))
    other.save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((tiny_model.folder / "tokenizer.json").read_bytes())
    return GPT2(folder, name="learner")


@pytest.fixture(scope="module")
def pair(tiny_model, tmp_path_factory):
    return tiny_model, second_model(tiny_model, tmp_path_factory)


def test_written_texts_are_those_of_one_at_a_time(pair):
    """Catches: a cache that mixes rows, random numbers given to the wrong row or step."""
    oracle, _ = pair
    given = torch.tensor([[0, 1], [0, 2], [0, 3]])
    uniforms = np.random.default_rng(0).random((3, 5))
    for settings in (Settings(), Settings(strategy="greedy"), Settings(temperature=2.0, top_k=3)):
        found = result(write(oracle, given, uniforms, settings))
        for row, numbers, written in zip(given.tolist(), uniforms, found.tolist(), strict=True):
            text = list(row)
            for number in numbers:
                edges = guess(oracle.forward([text])[:, -1], settings)[0].cumsum(-1)
                text.append(int((edges <= number * edges[-1]).sum()))
            assert written == text


def test_divergences_along_texts_against_transformers(pair):
    """Every position of every text. Catches: a guess compared with its neighbour's, surprise of the token before."""
    oracle, learner = pair
    texts = torch.randint(0, 5, (20, 8), generator=torch.Generator().manual_seed(1))
    found = result(visit(oracle, learner, texts, 3, ratios=True))
    logs = []
    for model in pair:
        reference = GPT2LMHeadModel.from_pretrained(model.folder).eval()
        with torch.no_grad():
            logs.append(reference(texts).logits.double().log_softmax(-1)[:, 2:-1])
    p, q = (each.exp() for each in logs)
    wanted_kl = torch.nn.functional.kl_div(logs[1], logs[0], log_target=True, reduction="none").sum(
        -1
    )  # as Arora's code
    assert found.kl == pytest.approx(wanted_kl.numpy(), abs=1e-4)
    assert found.total_variation == pytest.approx((p - q).abs().sum(-1).numpy() / 2, abs=1e-4)
    by_rows = [[jensen(a, b) for a, b in zip(*rows, strict=True)] for rows in zip(p.tolist(), q.tolist(), strict=True)]
    assert found.jensen_shannon == pytest.approx(np.array(by_rows), abs=1e-4)
    assert found.surprise == pytest.approx(-logs[0].gather(-1, texts[:, 3:, None])[..., 0].numpy(), abs=1e-4)
    plain = result(visit(oracle, learner, texts, 3))
    assert plain.total_variation is None
    assert (plain.kl == found.kl).all()


# ---- the whole measurement


@pytest.fixture(scope="module")
def embedded():
    import tokentrace

    return tokentrace.load("storyteller"), tokentrace.load("draft")


@pytest.fixture(scope="module")
def small_run(embedded):
    steps = list(measure(*embedded, [ANCESTRAL, "greedy", "T 2"], texts=8, context=4, length=16))
    return steps


def test_a_measurement_says_how_far_it_is(small_run):
    """Catches: a bar that runs backwards or never fills, runs that lose what an earlier one had."""
    done = [step[0] for step in small_run]
    assert done == sorted(done)
    assert small_run[-1][0] == small_run[-1][1] == max(done)
    runs = [run for _, _, run in small_run if run]
    assert [each.name for each in runs[-1].groups] == [DATA, ANCESTRAL, "greedy", "T 2"]
    for run in runs:
        assert run.groups == runs[-1].groups[: len(run.groups)]


def test_a_measurement_against_the_plain_way(embedded, small_run):
    """Text by text, without batches. Catches: contexts cut at another place, data that are the learner's own."""
    oracle, learner = embedded
    run = small_run[-1][2]
    uniforms = np.random.default_rng(0).random((8, 20))

    def errors(text):
        guesses = [model.forward([text[:-1]])[0].double().log_softmax(-1) for model in (oracle, learner)]
        return (guesses[0].exp() * (guesses[0] - guesses[1])).sum(-1)[4:].numpy()

    data = result(write(oracle, torch.full((8, 1), oracle.tokenizer.end_of_text), uniforms))
    on_data = np.array([errors(text) for text in data.tolist()])
    for name in (ANCESTRAL, "greedy"):
        own = result(write(learner, data[:, :5], uniforms[:, 4:], DECODERS[name])).tolist()
        found = excess(regret([errors(text) for text in own]), regret(on_data))
        group = run.group(name)
        assert group.excess.at[-1] == 16
        assert group.excess.value[-1] == pytest.approx(found[-1], abs=0.05)
        assert group.example == oracle.tokenizer.decode(own[0][5:])
    assert run.groups[0].divergence == pytest.approx(on_data.mean(), rel=1e-3)


def test_the_oracle_as_its_own_learner(embedded):
    """Exactly 1 and 0 %. Catches: own and data texts read in different ways, nothing over nothing that is not 1."""
    oracle, _ = embedded
    *_, (_, _, run) = measure(oracle, oracle, [ANCESTRAL, "T 2"], texts=8, context=4, length=16)
    for name in ("total_variation", "jensen_shannon"):
        assert run.overall[name] == (1, 1, 1)
        assert set(run.prefix[name].value) == {1}
    for group in run.decoders:
        assert set(group.excess.value) == {0}
        assert group.acc_err.value == pytest.approx(group.acc_err.at)
    assert "nothing to lose" in say_prefixes(run, "total_variation")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"decoders": ["nonsense"]}, "no decoder called"),
        ({"decoders": []}, "at least one decoder"),
        ({"texts": 3}, "too few"),
        ({"length": 10_000}, "fit into the window"),
    ],
)
def test_what_cannot_be_measured_is_refused(embedded, changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        next(measure(*embedded, **({"decoders": [ANCESTRAL]} | changed)))


def test_models_with_other_tokens_are_refused(embedded, tiny_model):
    with pytest.raises(ValueError, match="other tokens"):
        next(measure(embedded[0], tiny_model, [ANCESTRAL]))


# ---- the record, and what is said of it


def test_a_record_comes_back_whole(small_run, tmp_path):
    run = small_run[-1][2]
    assert BiasRun.load(run.save(tmp_path / "run.json")) == run
    assert (tmp_path / "run.json").stat().st_size < 100_000


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("groups", 0, "name"), "greedy", "the first is"),
        (("groups", 1, "name"), "beam", "no decoder"),
        (("groups", 1, "excess", "low", -1), 1e9, "within its band"),
        (("groups", 1, "excess", "at", 0), 99, "go up"),
        (("groups", 1, "texts", 0), [1.0], "expected 2"),
        (("overall", "total_variation", 0), "x", "overall.total_variation"),
        (("version",), 9, "version"),
        (("texts",), 7, "expected 7"),
    ],
)
def test_a_broken_record_is_refused_by_name(small_run, path, value, sentence):
    data = json.loads(json.dumps(small_run[-1][2].to_dict()))
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(TraceError, match=sentence):
        BiasRun.from_dict(data)


def test_the_recorded_run_is_of_the_embedded_pair(embedded):
    """Catches: a record of older weights."""
    run = recorded_bias()
    assert (run.oracle.fingerprint, run.learner.fingerprint) == tuple(model.fingerprint for model in embedded)
    assert tuple(group.name for group in run.decoders) == RECORDED


def moved(run: BiasRun, name: str, value: float, width: float = 1.0) -> BiasRun:
    """The run with one decoder's excess elsewhere, to see what would then be said."""
    data = run.to_dict()
    for group in data["groups"]:
        if group["name"] == name:
            n = len(group["excess"]["at"])
            group["excess"] |= {"value": [value] * n, "low": [value - width] * n, "high": [value + width] * n}
    return BiasRun.from_dict(data)


def test_sentences_follow_the_numbers_either_way(small_run):
    """Catches: a sentence written for one run."""
    run = small_run[-1][2]
    calm = moved(moved(moved(run, ANCESTRAL, 0.0), "greedy", 0.0), "T 2", 0.0)
    assert "no decoder’s contexts make a difference" in verdict(calm)
    assert "3 show no difference" in say_excess(calm, "greedy")
    assert "both sides can be right" in verdict(moved(calm, "T 2", 40.0))
    assert "plain sampling itself" in verdict(moved(moved(calm, ANCESTRAL, 9.0), "T 2", 40.0))
    assert "1 gathered more than on data, 1 less, and 1 shows no" in say_excess(
        moved(moved(calm, "T 2", 9.0), "greedy", -9.0), "T 2"
    )
    for value, words in ((0.5, "the opposite of a bias"), (1.0, "No exposure bias"), (2.0, "That is an exposure bias")):
        data = run.to_dict()
        data["overall"]["total_variation"] = [value, value - 0.1, value + 0.1]
        assert words in say_prefixes(BiasRun.from_dict(data), "total_variation")
    assert say_contexts(run, "greedy").startswith("The data cost the oracle")
    assert say_excess(run, "nobody") == "No decoder is measured yet."


def test_verdicts_follow_the_numbers_either_way(small_run):
    """Each claim gets at least two of its verdicts. Catches: a verdict that no run could change."""
    run = small_run[-1][2]
    flat = run.to_dict()
    flat["overall"]["total_variation"] = [1.025, 1.021, 1.029]
    curve = flat["prefix"]["total_variation"]
    curve |= {name: [1.0] * len(curve["at"]) for name in ("value", "low", "high")}
    mild = BiasRun.from_dict(flat)
    for name, value in ((ANCESTRAL, 2.5), ("greedy", 2.5), ("T 2", 2.5)):
        mild = moved(mild, name, value, 5.0)
    flat["overall"]["total_variation"] = [1.6, 1.5, 1.7]
    flat["prefix"]["total_variation"]["value"][-1] = flat["prefix"]["total_variation"]["high"][-1] = 3.0
    steep = flat
    for group in steep["groups"][1:]:
        n = len(group["excess"]["at"])
        group["excess"] |= {"value": [5.0 * i for i in range(n)], "low": [4.0 * i for i in range(n)]}
        group["excess"] |= {"high": [6.0 * i for i in range(n)]}
    found = [[claim.measure().verdict for claim in claims(each)] for each in (mild, BiasRun.from_dict(steep))]
    assert found[0] == ["holds", "holds", "wrong", "holds"]
    assert found[1] == ["wrong", "wrong", "holds", "wrong"]


def test_questions_have_the_answers_of_the_run(small_run):
    run = small_run[-1][2]
    asked = questions(run)
    furthest = max((math.fsum(kl for _, kl in group.texts), group.name) for group in run.groups)[1]
    assert asked["easier_contexts"].measured() == furthest
    assert asked["easier_contexts"].check(furthest)
    by_hand = asked["excess_by_hand"]
    assert by_hand.check(by_hand.measured())
    for wrong in by_hand.why:
        assert not by_hand.check(wrong)
        assert by_hand.check(wrong).because
    right = asked["reading_the_band"].measured()
    assert asked["reading_the_band"].check(right)


# ---- the view


def test_the_view_lets_a_browser_choose_only_what_there_is(small_run):
    view = ExposureBias(small_run[-1][2], model=None)
    said = list(view.sentences)
    view.set_state({"decoder": "T 2", "measure": "jensen_shannon", "scale": "acc_err", "title": "mine"})
    assert (view.decoder, view.measure, view.scale) == ("T 2", "jensen_shannon", "acc_err")
    assert view.title != "mine"
    assert view.sentences != said
    assert "T 2" in view.sentences[1]
    view.set_state({"decoder": "top-p 0.5", "measure": "nonsense"})
    assert (view.decoder, view.measure) == ("T 2", "jensen_shannon")
    assert not view.can_live
    json.dumps(view.record, allow_nan=False)


def asked_of(view: ExposureBias, **message):
    async def ask():
        view.on_generate({"type": "generate", "request": 1, **message})
        while view._tasks:
            await asyncio.sleep(0.01)

    asyncio.run(ask())


def test_the_view_measures_anew(small_run, pair):
    """On the tiny pair, in which 8 positions fit: refused in words, and what was shown stays."""
    view = ExposureBias(small_run[-1][2], model=pair[0], learner=pair[1])
    before = view.record
    asked_of(view, texts=16, decoders=["greedy"])
    assert "fit into the window" in view.error
    asked_of(view, texts=5, decoders=["greedy"])
    assert "number of texts" in view.error
    asked_of(view, texts=16, decoders=["beam"])
    assert "not decoders" in view.error
    asked_of(view, texts=16, decoders=["greedy"], model="elsewhere")
    assert "No such model" in view.error
    assert view.record == before
    assert view.mode == "recorded"


def test_the_view_shows_each_decoder_as_it_comes_and_can_stop(small_run, embedded, monkeypatch):
    """Catches: a Stop that loses what was measured, a busy view that stays busy."""
    import tokentrace.views.exposure_bias as module

    monkeypatch.setattr(module, "room", lambda *_: {"context": 4, "length": 16})
    view = ExposureBias(small_run[-1][2], model=embedded[0], learner=embedded[1])
    asked_of(view, texts=16, decoders=["T 1.5"])
    assert (view.mode, view.error, view.status["state"]) == ("live", "", "idle")
    assert [group.name for group in view.run.decoders] == [ANCESTRAL, "T 1.5"]
    assert view.decoder == "T 1.5"
    view.observe(lambda change: view.on_stop({}) if len(view.run.decoders) == 2 else None, names=["record"])
    asked_of(view, texts=16, decoders=["greedy", "T 2"])
    assert view.error == "Stopped; 2 of 3 decoders are measured."
    assert [group.name for group in view.run.decoders] == [ANCESTRAL, "greedy"]
    assert isinstance(view.run.prefix["total_variation"], Curve)
