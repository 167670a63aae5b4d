"""Training by every way: schedules, what is read and what is lost, against torch's own parts and what theory says."""

import asyncio
import json
import math
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch.nn import functional

from tokentrace.attention_learners import Attentive, MaskTrainer, shifted
from tokentrace.claims.scheduled_sampling import claims
from tokentrace.learners import Learners
from tokentrace.mask_training import MaskTraining, recorded_mask_training, say_mask_training
from tokentrace.plain_data import TraceError
from tokentrace.questions.scheduled_sampling import questions
from tokentrace.scheduled_sampling import (
    KINDS,
    WAYS,
    Plan,
    Recipe,
    TrainingRun,
    apart,
    best,
    chance,
    exponential,
    half_way,
    inverse_sigmoid,
    linear,
    plan,
    recorded_training,
    say_outcome,
    say_run,
)
from tokentrace.synthetic_language import WORDS, barnyard
from tokentrace.training import Trainer
from tokentrace.views import Peeking, Training

V = len(WORDS)


# ---- schedules ----


def test_schedules_are_those_of_the_paper():
    """Catches: a base that grows, an exponent upside down, a floor that is not kept."""
    for i in (0, 1, 7, 50, 399):
        assert linear(i, 0.003, 0.1) == max(0.1, 1 - 0.003 * i)
        assert exponential(i, 0.99) == pytest.approx(0.99**i)
        assert inverse_sigmoid(i, 40.0) == pytest.approx(40 / (40 + math.exp(i / 40)))
    assert inverse_sigmoid(100_000, 2.0) == pytest.approx(0, abs=1e-12)
    assert half_way(400) * math.log(half_way(400)) == pytest.approx(200)


def test_chances_fall_from_true_words_to_the_floor():
    """Catches: a schedule that begins at the floor, one that rises, a way without a schedule that has one."""
    for way in ("linear", "exponential", "sigmoid"):
        chances = [chance(way, i, 400, 0.0) for i in range(401)]
        assert chances == sorted(chances, reverse=True)
        assert 0.98 <= chances[0] <= 1
        assert chances[-1] < 0.03
        assert min(chance(way, i, 400, 0.25) for i in range(401)) == 0.25
    assert chance("sigmoid", 200, 400, 0.0) == pytest.approx(0.5)
    assert {chance("teacher", i, 400, 0.0) for i in range(400)} == {1.0}
    assert {chance("own", i, 400, 0.25) for i in range(400)} == {0.0}


# ---- learners ----


def numbers(learners: int, texts: int, places: int, seed: int = 0):
    made = torch.Generator().manual_seed(seed)
    true = torch.randint(V, (learners, texts, places), generator=made)
    return (
        true,
        torch.rand(learners, texts, places, generator=made),
        torch.rand(learners, texts, places, generator=made),
    )


def test_a_learner_is_torchs_gru():
    """Catches: gates in another order, a reset gate at the wrong place, a text that starts without a full stop."""
    learners = Learners([3], V, 16)
    weights = {name: each[0].detach() for name, each in learners.weights.items()}
    gru = torch.nn.GRU(V, 16, batch_first=True)
    with torch.no_grad():
        gru.weight_ih_l0.copy_(weights["table"].T)
        gru.weight_hh_l0.copy_(weights["recurrent"].T)
        gru.bias_ih_l0.zero_()
        gru.bias_hh_l0.copy_(weights["bias"][0])
    true, coins, uniforms = numbers(1, 5, 9)
    read = functional.pad(true[0], (1, 0))[:, :-1]
    states, _ = gru(functional.one_hot(read, V).float())
    wanted = states @ weights["out"] + weights["out_bias"]
    logits, inputs = learners.read(true, [1.0], coins, uniforms)
    torch.testing.assert_close(logits[0], wanted, atol=1e-5, rtol=1e-5)
    assert (inputs[0] == read).all()


def test_teacher_forcings_loss_is_torchs_cross_entropy_on_the_true_prefix():
    """Catches: a loss over shifted targets, a mean over learners, one that scores the sample that was read."""
    learners = Learners([0, 1], V, 8)
    true, coins, uniforms = numbers(2, 6, 7)
    wanted = []
    for which in range(2):
        guess = learners.conditionals(true.numpy())[which]
        wanted.append(functional.nll_loss(torch.from_numpy(guess).flatten(0, 1), true[which].flatten()).item())
    assert learners.learn(true, [1.0, 1.0], coins, uniforms) == pytest.approx(wanted, abs=1e-5)


def trained(way: str, floor: float, monkeypatch, value: float | None = None, seeds: int = 1):
    """Weights after a few updates, where every chance of a true word is `value` if one is given."""
    if value is not None:
        monkeypatch.setattr("tokentrace.training.chance", lambda *_: value)
    trainer = Trainer(Plan("ways", (Recipe(way, way, 100, 8),), 12, floor, seeds))
    trainer.advance(12)
    return {name: each.detach().clone() for name, each in trainer._groups[0].learners.weights.items()}


def test_with_no_sampling_every_schedule_is_teacher_forcing_bit_for_bit(monkeypatch):
    """Catches: a schedule that draws other batches, a coin that is below its chance or at it."""
    wanted = trained("teacher", 0.0, monkeypatch)
    for way in ("linear", "exponential", "sigmoid", "own"):
        got = trained(way, 0.0, monkeypatch, value=1.0)
        assert all(torch.equal(got[name], wanted[name]) for name in wanted), way
    different = trained("own", 0.0, monkeypatch, value=0.0)
    assert not torch.equal(different["table"], wanted["table"])


def test_with_samples_only_true_words_never_enter_the_input():
    """Catches: a coin of exactly 0 that lets a true word through, samples taken from the targets."""
    learners = Learners([0], V, 8)
    true, coins, uniforms = numbers(1, 20, 12)
    coins[:, :, ::3] = 0.0
    _, inputs = learners.read(true, [0.0], coins, uniforms)
    _, others = learners.read((true + 5) % V, [0.0], coins, uniforms)
    assert torch.equal(inputs, others)
    assert (inputs[:, :, 1:] != true[:, :, :-1]).float().mean() > 0.5
    logits, _ = learners.read(true, [0.0], coins, uniforms)
    ladder = logits.softmax(-1).cumsum(-1)
    for place in range(11):  # what is read next was drawn from the guess before it
        word, u = inputs[0, :, place + 1], uniforms[0, :, place]
        high = ladder[0, :, place].gather(-1, word[:, None])[:, 0]
        low = torch.where(word > 0, ladder[0, :, place].gather(-1, (word - 1).clamp(min=0)[:, None])[:, 0], 0.0)
        assert ((low < u + 1e-6) & (u <= high + 1e-6)).all()


def test_a_mixture_reads_true_words_as_often_as_it_should():
    """Catches: a chance of the sample used as that of the true word."""
    learners = Learners([0], V, 8)
    true, coins, uniforms = numbers(1, 300, 12)
    _, inputs = learners.read(true, [0.7], coins, uniforms)
    same = inputs[:, :, 1:] == true[:, :, :-1]
    assert (same | (coins[:, :, :-1] >= 0.7)).all()
    assert (coins[:, :, :-1] < 0.7).float().mean() == pytest.approx(0.7, abs=0.03)


def test_learners_side_by_side_share_nothing():
    """Catches: weights, gradients or clipping that reach across learners."""
    true, coins, uniforms = numbers(1, 16, 10)

    def after(seeds, chances):
        learners = Learners(seeds, V, 8)
        for _ in range(5):
            n = len(seeds)
            learners.learn(*(each.expand(n, -1, -1) for each in (true,)), chances, *(
                each.expand(n, -1, -1) for each in (coins, uniforms)
            ))  # fmt: skip
        return learners.weights["recurrent"].detach()

    alone = after([4], [1.0])
    beside = after([9, 4, 4], [0.2, 1.0, 0.0])
    torch.testing.assert_close(beside[1:2], alone, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(beside[2:], alone, atol=1e-3)


@pytest.fixture(scope="module")
def short_run():
    """All ways, trained for a few seconds."""
    trainer = Trainer(plan("ways", updates=150, floor=0.0, seeds=1))
    trainer.advance(150)
    return trainer.measure()


def test_teacher_forcing_nears_the_known_optimum_and_nobody_beats_it(short_run):
    """The truth is the floor for every honest guess. Catches: a guess that sees its target, a wrong optimum."""
    for each in short_run.outcomes:
        assert each.held[-1] > short_run.truth
        # Cross entropy is entropy plus divergence (Gibbs); both are means over the same texts.
        assert each.held[-1] - short_run.truth == pytest.approx(each.data[0], rel=0.25, abs=0.03)
    teacher = short_run.outcome("teacher")
    assert teacher.held[-1] < short_run.truth + 0.35
    assert teacher.held[-1] < teacher.held[0] - 0.5


def test_learning_from_own_samples_unlearns_the_prefix(short_run):
    """Huszár 2015 in numbers: the best answer to a sample that knows nothing of the target ignores it. Catches: true
    words that leak into the input of the last way, a truth that is not scored by the same rule."""
    own = short_run.outcome("own")
    marginal = -sum(
        p * math.log(p) for p in np.bincount(barnyard().draw(2000, 24, 0).ravel(), minlength=V) / 48000 if p
    )
    assert own.fed < own.fed_truth
    assert own.training[-1] < marginal + 0.15
    assert own.training[-1] > short_run.truth + 0.8
    teacher = short_run.outcome("teacher")
    assert teacher.fed == pytest.approx(teacher.held[-1], abs=1e-3)
    assert teacher.fed_truth == pytest.approx(short_run.truth, abs=1e-6)


def test_a_training_can_be_repeated(short_run):
    """Catches: a seed that is not used, a result that depends on how many updates are asked for at a time."""
    chosen = plan("ways", chosen=[0, 4], updates=30, floor=0.0, seeds=1)
    runs = []
    for steps in ([30], [7, 20, 3]):
        trainer = Trainer(chosen)
        for each in steps:
            trainer.advance(each)
        runs.append(trainer.measure().to_dict())
    for run in runs:
        run.pop("recorded"), run.pop("seconds")
    assert runs[0] == runs[1]


def test_a_stopped_training_is_measured_as_it_is():
    trainer = Trainer(plan("ways", chosen=[1], updates=400, seeds=1))
    trainer.advance(21)
    run = trainer.measure()
    assert (run.done, run.plan.updates, run.at[-1]) == (21, 400, 21)
    assert run.outcomes[0].chances[-1] == chance("linear", 20, 400, 0.25)
    assert all(math.isfinite(value) for value in run.outcomes[0].training)


# ---- the mask ----


def test_a_layer_of_attention_is_torchs():
    """Catches: heads mixed up, a scale forgotten, a mask the wrong way round."""
    net = Attentive((True, False), V, 6, seed=1, width=16, heads=2)
    ids, _, _ = numbers(2, 3, 6)
    got = net(ids)
    for which, masked in enumerate((True, False)):
        weights = {name: each[which].detach() for name, each in net.weights.items()}
        stream = weights["words"][ids[which]] + weights["places"]
        query, key, value = (functional.layer_norm(stream, (16,)) @ weights["mix"]).chunk(3, -1)
        heads = [each.view(3, 6, 2, 8).transpose(1, 2) for each in (query, key, value)]
        mixed = functional.scaled_dot_product_attention(*heads, is_causal=masked).transpose(1, 2).reshape(3, 6, 16)
        stream = stream + mixed @ weights["back"]
        stream = stream + torch.relu(functional.layer_norm(stream, (16,)) @ weights["up"]) @ weights["down"]
        wanted = functional.layer_norm(stream, (16,)) @ weights["out"]
        torch.testing.assert_close(got[which].detach(), wanted, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def pair():
    trainer = MaskTrainer(100)
    trainer.advance(100)
    return trainer.measure()


def test_with_the_mask_the_loss_nears_the_optimum_without_it_falls_below(pair):
    """Below the truth is impossible for an honest guess. Catches: no mask, a mask on both, targets that are inputs."""
    assert pair.truth < pair.masked.held[-1] < pair.truth + 0.4
    assert pair.open.held[-1] < pair.truth - 0.5
    assert pair.masked.alone[-1] == pytest.approx(pair.masked.held[-1], abs=1e-5)
    assert pair.open.alone[-1] > math.log(V)
    assert pair.masked.share[1] > pair.open.share[2]


def test_only_the_mask_keeps_later_words_out(pair):
    assert pair.masked.leak == 0
    assert pair.open.leak > 1
    assert pair.gradients_apart < 1e-4


def test_what_is_read_is_the_text_moved_on():
    true = torch.tensor([[[5, 6, 7]]])
    assert shifted(true).tolist() == [[[0, 5, 6]]]


# ---- records, words, views ----


@pytest.fixture
def runs():
    return {kind: recorded_training(kind) for kind in KINDS}


def test_records_come_back(runs, short_run, pair, tmp_path):
    """Catches: a field that is lost or read as another, a record that is not this package's own."""
    for run in (*runs.values(), short_run):
        again = TrainingRun.load(run.save(tmp_path / "run.json"))
        assert again.to_dict() == run.to_dict()
    for run in (recorded_mask_training(), pair):
        assert MaskTraining.load(run.save(tmp_path / "mask.json")).to_dict() == run.to_dict()
    broken = runs["ways"].to_dict()
    broken["outcomes"][0]["own"] = [0.1, 0.2]
    with pytest.raises(TraceError, match=r"outcomes\[0\].own"):
        TrainingRun.from_dict(broken)
    with pytest.raises(TraceError, match="mask training"):
        MaskTraining.from_dict(runs["ways"].to_dict())
    assert len(json.dumps(runs["ways"].to_dict())) < 100_000


def test_plans_that_cannot_be_are_refused():
    for wrong, word in (
        ({"updates": 0}, "updates"),
        ({"floor": 1.5}, "floor"),
        ({"texts": 3}, "texts"),
        ({"chosen": [9]}, "comparison"),
        ({"chosen": []}, "at least one"),
        ({"kind": "colour"}, "colour"),
        ({"seeds": 0}, "seeds"),
    ):
        with pytest.raises(TraceError, match=word):
            plan(**{"kind": "ways"} | wrong)


def swapped(run: TrainingRun) -> TrainingRun:
    """The same run with the first and the last outcome's numbers exchanged: a world in which another way wins."""
    data = run.to_dict()
    first, last = data["outcomes"][0], data["outcomes"][-1]
    first["recipe"], last["recipe"] = last["recipe"], first["recipe"]
    data["outcomes"][0], data["outcomes"][-1] = last, first
    return TrainingRun.from_dict(data)


def test_words_and_verdicts_follow_from_the_numbers(runs, pair):
    """Catches: a winner written into a sentence, a verdict that stays when the numbers turn round."""
    ways, turned = runs["ways"], swapped(runs["ways"])
    assert best(ways).recipe.name in say_run(ways)
    assert best(turned).recipe.way != best(ways).recipe.way
    assert f"{WAYS[best(turned).recipe.way]} is nearest" in say_run(turned)
    assert apart(best(ways), ways.outcomes[-1])
    assert not apart(best(ways), best(ways))
    for run in (ways, turned):
        rows = {claim.says: claim.to_dict() for claim in claims(run, runs["texts"], runs["width"], pair)}
        mixed = [each for each in run.outcomes if each.recipe.way in ("linear", "exponential", "sigmoid")]
        teacher = run.outcome("teacher")
        wins = min(each.own[0] for each in mixed) < teacher.own[0]
        row = next(row for says, row in rows.items() if "more of its own samples" in says)
        assert row["verdict"] in (("holds", "simplified") if wins else ("wrong", "simplified"))
        assert f"{teacher.own[0]:.3f}" in row["measured"]
        assert best(run).recipe.name == questions(runs | {"ways": run}, pair)["best_way"].measured()
    assert "below the truth" in say_mask_training(pair)
    data = pair.to_dict()
    data["masked"], data["open"] = data["open"], data["masked"]
    other = MaskTraining.from_dict(data)
    assert "above the truth" in say_mask_training(other)
    verdicts = [claim.to_dict()["verdict"] for claim in claims(ways, runs["texts"], runs["width"], other)]
    assert verdicts[-2:] == ["wrong", "wrong"]
    assert questions(runs, pair)["peek"].measured() != questions(runs, other)["peek"].measured()
    assert "truth’s own" in say_outcome(ways, ways.outcomes[0])


def test_what_more_text_does_follows_from_both_ends(runs, pair):
    """Catches: a verdict from the ratio alone, one that stays when the smallest and the largest are exchanged."""
    data = runs["texts"].to_dict()
    for exchanged in (False, True):
        if exchanged:
            data["outcomes"].reverse()
            data["plan"]["recipes"].reverse()
        run = TrainingRun.from_dict(data)
        small, large = run.outcomes[0], run.outcomes[-1]
        row = claims(runs["ways"], run, runs["width"], pair)[3].to_dict()
        nearer, narrower = large.own[0] < small.own[0], large.gap < small.gap
        assert row["verdict"] == {(True, True): "holds", (True, False): "simplified"}.get((nearer, narrower), "wrong")
        assert ("does not lose less" in row["measured"]) != nearer


def test_claims_leave_empty_what_was_not_trained(runs, pair):
    """Catches: a row that pretends to compare ways that took no part."""
    data = runs["ways"].to_dict()
    data["outcomes"], data["plan"]["recipes"] = data["outcomes"][1:2], data["plan"]["recipes"][1:2]
    only = TrainingRun.from_dict(data)
    rows = [claim.to_dict() for claim in claims(only, only, only, pair)]
    assert [bool(row["verdict"]) for row in rows] == [False, False, True, False, False, True, True, True]
    assert "compares" not in say_run(only)


def test_questions_can_be_answered(runs, pair):
    for question in questions(runs, pair).values():
        right = question.measured()
        assert question.check(right).right is not False
        assert question.ask()["text"]


def receive(view, message, then=None):
    async def act():
        view._receive(view, message, [])
        if then:
            for _ in range(2000):
                await asyncio.sleep(0.01)
                if view.status["done"] >= 2:
                    break
            view._receive(view, then, [])
        await asyncio.gather(*view._tasks)

    asyncio.run(act())


ASK = {"type": "train", "kind": "ways", "chosen": [0, 4], "updates": 3, "floor": 0.5, "texts": 100}


def test_a_view_trains_what_was_chosen(runs):
    """Catches: settings that are dropped, a record shown as live, curves that stay after the end."""
    view = Training(runs)
    assert (view.mode, view.kind) == ("recorded", "ways")
    receive(view, ASK)
    run = view.training
    assert (view.mode, view.error, view.growing, view.status["state"]) == ("live", "", {}, "idle")
    assert [each.recipe.way for each in run.outcomes] == ["teacher", "own"]
    assert (run.done, run.plan.floor, run.plan.recipes[0].texts) == (3, 0.5, 100)
    assert view.sentence == say_run(run)
    view.set_state({"kind": "texts"})
    assert (view.mode, view.training.plan.kind) == ("recorded", "texts")
    view.set_state({"kind": "ways"})
    assert view.mode == "live"
    view.set_state({"shown": 99})
    assert view.shown == 1
    view.set_state({"kind": "nothing"})
    assert view.kind == "ways"


def test_stop_ends_a_training_and_measures_it(runs):
    view = Training(runs)
    receive(view, ASK | {"updates": 2000, "chosen": [2]}, then={"type": "stop"})
    assert view.error == ""
    assert 1 <= view.training.done < 2000
    assert view.training.plan.updates == 2000


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"chosen": []}, "at least one"),
        ({"chosen": ["x"]}, "at least one"),
        ({"chosen": [True]}, "at least one"),
        ({"chosen": [17]}, "not in this comparison"),
        ({"kind": ["ways"]}, "no such comparison"),
        ({"updates": 10**9}, "Updates"),
        ({"updates": "many"}, "Updates"),
        ({"floor": float("nan")}, "least chance"),
        ({"texts": None}, "Texts"),
    ],
)
def test_what_cannot_be_trained_becomes_a_sentence(runs, wrong, word):
    """Catches: a traceback in the kernel, a view that stays busy, a record that is lost."""
    view, before = Training(runs), runs["ways"]
    receive(view, ASK | wrong)
    assert word.lower() in view.error.lower()
    assert view.training is before
    assert view.status["state"] == "idle"


def test_a_view_trains_with_and_without_the_mask(pair):
    view = Peeking(pair)
    receive(view, {"type": "train", "updates": 2})
    assert (view.mode, view.error, view.training.done) == ("live", "", 2)
    receive(view, {"type": "train", "updates": -1})
    assert "Updates" in view.error


def test_a_page_is_painted_without_what_trains(root):
    """Catches: a record or a view that loads the learners before anybody has pressed a button."""
    code = (
        "import sys\n"
        "from tokentrace.scheduled_sampling import KINDS, recorded_training\n"
        "from tokentrace.mask_training import recorded_mask_training\n"
        "from tokentrace.views.scheduled_sampling import Peeking, Training\n"
        "Training({kind: recorded_training(kind) for kind in KINDS}); Peeking(recorded_mask_training())\n"
        "heavy = {'tokentrace.' + name for name in ('training', 'learners', 'attention_learners', 'divergence')}\n"
        "sys.exit(bool((heavy | {'torch.optim.adam', 'transformers', 'matplotlib'}) & sys.modules.keys() - old))"
    )
    # What tokentrace.models needs to find the data folder is not this lesson's doing.
    code = f"import sys, tokentrace.models; old = set(sys.modules)\n{code}"
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


@pytest.mark.slow
def test_all_ways_are_trained_in_under_a_minute():
    """Catches: a change that makes the lesson too slow for a class."""
    began = time.perf_counter()
    trainer = Trainer(plan("ways"))
    trainer.advance(trainer.plan.updates)
    trainer.measure()
    assert time.perf_counter() - began < 60
