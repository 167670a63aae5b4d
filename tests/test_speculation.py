"""Speculative sampling: exact, by enumerating everything that may happen, and greedy to the token."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tokentrace
from tests.enumerating import MadeUp, every_outcome, texts_of
from tokentrace.models import open_model
from tokentrace.speculation import Dice, acceptance, continuation, residual, speculate, verify
from tokentrace.trace import Settings

PROMPTS = (tokentrace.models.data_folder() / "prompts.txt").read_text().splitlines()


FILTERS = [
    dict(),
    dict(temperature=0.6),
    dict(top_k=2),
    dict(top_p=0.8),
    dict(temperature=1.7, top_k=2, top_p=0.9),
    dict(strategy="greedy"),
]


@pytest.mark.parametrize("chosen", FILTERS, ids=str)
@pytest.mark.parametrize(("n_guesses", "vocabulary", "n"), [(0, 3, 2), (1, 3, 3), (2, 3, 3), (3, 2, 4), (4, 2, 5)])
def test_the_output_is_distributed_as_the_targets_own(chosen, n_guesses, vocabulary, n):
    """Every throw of the dice is followed, in both loops: draft, verify, roll back, again.

    Catches: a match always kept, a replacement drawn from the target itself, a bonus token from the draft,
    a guess verified one place off, a cache that keeps what was rejected, a target whose filters come too late.
    """
    chosen = Settings(**chosen, max_new_tokens=n)
    for seed in range(2):
        target, draft = MadeUp(vocabulary, seed), MadeUp(vocabulary, seed + 100)
        expected = texts_of(target, [0], chosen, n)
        found = every_outcome(lambda dice: continuation(target, draft, [0], chosen, dice, n_guesses))  # noqa: B023
        assert found.keys() == expected.keys()
        assert all(abs(found[text] - expected[text]) < 1e-12 for text in expected)


def test_a_text_that_ends_is_distributed_as_the_targets_own():
    """Catches: tokens after the end, an end that only the target may write."""
    target, draft, chosen = MadeUp(3, 5, end=1), MadeUp(3, 6, end=1), Settings(max_new_tokens=3)
    expected = texts_of(target, [2], chosen, 3)
    found = every_outcome(lambda dice: continuation(target, draft, [2], chosen, dice, 2))
    assert found == pytest.approx(expected, abs=1e-12)
    assert {len(text) for text in found} == {1, 2, 3}


def test_wrong_rules_are_caught():
    """Catches: an enumeration that would find anything exact."""
    target, draft, chosen = MadeUp(3, 0), MadeUp(3, 100), Settings(max_new_tokens=2)
    expected = texts_of(target, [0], chosen, 2)

    def kept_when_likely(dice):
        """Keep whatever the target finds possible: the draft's distribution, in disguise."""
        dice.happens = lambda probability: probability > 0
        return continuation(target, draft, [0], chosen, dice, 1)

    found = every_outcome(kept_when_likely)
    assert max(abs(found.get(text, 0) - expected[text]) for text in expected) > 0.01


# ---- the rule ----


def distributions(size=6):
    weights = st.lists(st.floats(0, 1, allow_subnormal=False), min_size=size, max_size=size)
    return weights.filter(lambda found: sum(found) > 0.01).map(
        lambda found: torch.tensor(found, dtype=torch.float64) / sum(found)
    )


@settings(max_examples=200)
@given(distributions(), distributions())
def test_kept_and_replaced_make_up_the_target(target, draft):
    """Appendix A.1 of the paper. Catches: a residual that is not normalised, or not what is missing."""
    kept = torch.zeros(6, dtype=torch.float64)
    for token in draft.nonzero().flatten().tolist():
        kept[token] = draft[token] * acceptance(target, draft, token)
    rejected = 1 - kept.sum()
    assert torch.allclose(kept + rejected * residual(target, draft), target, atol=1e-12)
    assert float(kept.sum()) == pytest.approx(float(torch.minimum(target, draft).sum()))


def test_the_known_example():
    """Worked out by hand: target (.5, .3, .2), draft (.2, .5, .3)."""
    target, draft = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.5, 0.3])
    assert residual(target, draft).tolist() == pytest.approx([1, 0, 0])
    assert [acceptance(target, draft, token) for token in range(3)] == pytest.approx([1, 0.6, 2 / 3])
    assert residual(target, target).equal(target)


def test_verifying_stops_at_the_first_rejection():
    sure = torch.eye(4)
    found = verify([1, 2, 3], sure[[1, 2, 3]], sure[[1, 0, 3, 2]], Dice())
    assert found[:3] == ([1, 2, 3], 1, 0) and found.tokens == [1, 0] and len(found.throws) == 2
    found = verify([1, 2], sure[[1, 2]], sure[[1, 2, 3]], Dice())
    assert found.tokens == [1, 2, 3]


# ---- the embedded pair ----


@pytest.fixture(scope="module")
def embedded():
    return open_model("storyteller"), open_model("draft")


@pytest.mark.parametrize("n_guesses", [1, 3, 6])
def test_greedy_text_is_the_targets_own(embedded, n_guesses):
    """Catches: a cache rolled back one place too far, or too little; a draft that has not read its last guess."""
    target, draft = embedded
    chosen = Settings("greedy", max_new_tokens=60)
    for prompt in PROMPTS[:8]:
        tokens = target.tokenizer.encode(prompt)
        found = continuation(target, draft, tokens, chosen, Dice(), n_guesses)
        expected = list(tokentrace.generate(target, prompt, strategy="greedy", max_new_tokens=60).tokens)
        assert found == expected, (prompt, margin(target, tokens, found, expected))


def margin(target, tokens, found, expected):
    """By how much the target preferred its own choice where two texts part: a tie may fall either way."""
    place = next(index for index, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1])
    logits = target.forward([[*tokens, *expected[:place]]], last_only=True)[0, -1]
    return float(logits[expected[place]] - logits[found[place]])


def test_a_model_is_its_own_perfect_draft(embedded):
    """Catches: proposals compared with the wrong place of the target's pass; then some would be rejected."""
    target, _ = embedded
    tokens = target.tokenizer.encode(PROMPTS[0])
    rounds = list(speculate(target, target, tokens, Settings(max_new_tokens=41), Dice(1), 4))
    assert sum(found.kept for found in rounds) >= 0.97 * sum(len(found.guesses) for found in rounds)
    assert sum(len(found.tokens) for found in rounds) == 41 or 0 in rounds[-1].tokens


@pytest.mark.parametrize("room", [0, 1, 3])
def test_the_context_window_ends_it(tiny_model, room):
    """Catches: guesses beyond the window, or one token fewer than plain decoding writes."""
    n_ctx = tiny_model.config.n_ctx
    tokens, chosen = [1] * (n_ctx - room), Settings("greedy", max_new_tokens=30)
    found = continuation(tiny_model, tiny_model, tokens, chosen, Dice(), 4)
    assert found == list(tokentrace.generate(tiny_model, "a" * len(tokens), strategy="greedy").tokens)


def test_what_cannot_be_is_a_sentence(embedded, tiny_model):
    target, draft = embedded
    for models, tokens, n_guesses, sentence in [
        ((target, tiny_model), [1], 4, "other tokens than storyteller"),
        ((target, draft), [], 4, "0 tokens long"),
        ((target, draft), [1] * 600, 4, "600 tokens long"),
        ((target, draft), [1], -1, "no fewer than 0"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            continuation(*models, tokens, Settings(), Dice(), n_guesses)
