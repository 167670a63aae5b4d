"""Every drafter leaves the text the target's own: by enumerating everything, and greedy to the token."""

import math
from types import SimpleNamespace

import pytest
import torch

import tokentrace
from tests.enumerating import Fate, MadeUp, Memory, every_outcome, texts_of
from tokentrace.draft_length import Confident, Fixed, Paying, best_length, speedup, tokens_a_round, unbiased_rate
from tokentrace.draft_tree import speculate_tree
from tokentrace.drafters import ModelDrafter, Oracle, PromptLookup, TableDrafter, distribution
from tokentrace.models import open_model
from tokentrace.speculation import Dice, continuation, guess, speculate
from tokentrace.trace import Settings

FILTERS = [dict(), dict(top_k=2), dict(temperature=0.6, top_p=0.8), dict(strategy="greedy")]
PROMPTS = (tokentrace.models.data_folder() / "prompts.txt").read_text().splitlines()
TEXTS = [[0, 1, 2, 0, 1, 1, 2], [2, 0, 1, 2, 2, 0]]


def drafters(target, chosen):
    """A new one of each, for one run."""
    yield "model", lambda: ModelDrafter(MadeUp(3, 100), target, chosen)
    yield "lookup", lambda: PromptLookup(3)
    yield "table", lambda: TableDrafter(TEXTS, 3, chosen)
    for rate in (0.0, 0.5, 1.0):
        yield f"oracle {rate}", lambda rate=rate: Oracle(target, chosen, rate)


@pytest.mark.parametrize("chosen", FILTERS, ids=str)
@pytest.mark.parametrize("name", [name for name, _ in drafters(MadeUp(3, 0), Settings())])
def test_whoever_guesses_the_text_is_the_targets_own(chosen, name):
    """Catches: a copied token taken for sure, a table that the filters miss, a drafter that keeps what was rejected."""
    chosen = Settings(**chosen, max_new_tokens=3)
    prompt = [0, 1, 0, 1]
    for seed in range(2):
        target = MadeUp(3, seed)
        expected = texts_of(target, prompt, chosen, 3)
        make = dict(drafters(target, chosen))[name]
        found = every_outcome(lambda dice: continuation(target, make(), prompt, chosen, dice, 2))  # noqa: B023
        assert found.keys() == expected.keys()
        assert all(abs(found[text] - expected[text]) < 1e-12 for text in expected)


LENGTHS = {"fixed": lambda: Fixed(3), "sure": lambda: Confident(0.5, 3), "paying": lambda: Paying(0.2, longest=3)}


@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS)
def test_however_many_are_guessed_the_text_is_the_targets_own(length):
    """Catches: a length that depends on the guess that was drawn."""
    chosen, target, draft = Settings(max_new_tokens=3), MadeUp(3, 0), MadeUp(3, 100)
    expected = texts_of(target, [0], chosen, 3)
    found = every_outcome(lambda dice: continuation(target, draft, [0], chosen, dice, length()))
    assert found == pytest.approx(expected, abs=1e-12)


def test_dropping_a_guess_for_what_it_is_would_be_wrong():
    """The rule that `draft_length` forbids, put to the test. Catches: a test above that would find anything exact."""
    chosen, target, draft = Settings(max_new_tokens=2), MadeUp(3, 0), MadeUp(3, 100)

    class Picky:
        """A drafter that draws for itself, and gives no guess when it does not like what it drew."""

        name, n_ctx = "picky", None

        def __init__(self, dice):
            self.dice, self.inner = dice, ModelDrafter(draft, target, chosen)

        def propose(self, text):
            found = self.inner.propose(text)
            token = self.dice.pick(found)
            return None if token == 0 else torch.eye(3, dtype=torch.float64)[token]

        def forget(self, n):
            self.inner.forget(n)

    expected = texts_of(target, [0], chosen, 2)
    found = every_outcome(lambda dice: continuation(target, Picky(dice), [0], chosen, dice, 1))
    # Each of its guesses is verified as if it had been sure of it, which is exact; so is its silence here,
    # because the target then draws by itself. What is wrong is to compare with a proposal it was not drawn from:
    assert found == pytest.approx(expected, abs=1e-12)

    class Dropping(Picky):
        """The same, but verified against what the guess was drawn from."""

        def propose(self, text):
            found = self.inner.propose(text)
            token = self.dice.pick(found)
            self.dice.pick, usual = lambda _: (setattr(self.dice, "pick", usual), token)[1], self.dice.pick
            if token == 0:
                self.dice.pick = usual
                return None
            return found

    found = every_outcome(lambda dice: continuation(target, Dropping(dice), [0], chosen, dice, 1))
    assert max(abs(found.get(text, 0) - p) for text, p in expected.items()) > 0.01


# ---- trees ----


class TreeMemory(Memory):
    """A cache of tokens that can keep one branch of a tree."""

    def keep(self, n, path):
        kept = [self.tokens[place] for place in path]
        self.truncate(n)
        self.tokens += kept


class TreeModel(MadeUp):
    """A made-up model that reads a tree: what each guess sees is what the mask shows it."""

    def new_cache(self, capacity):
        return TreeMemory()

    def forward(self, ids, cache, last_only=False, positions=None, mask=None):
        if mask is None:
            return super().forward(ids, cache, last_only)
        past = len(cache.tokens)
        cache.tokens += ids[0]
        rows = []
        for row, place in zip(mask.tolist(), positions.tolist(), strict=True):
            seen = [token for token, visible in zip(cache.tokens, row, strict=True) if visible]
            assert len(seen) == place + 1, "a guess stands at the end of what it sees"
            rows.append(self.logits(seen))
        assert len(mask) == len(cache.tokens) - past
        return torch.stack(rows)[None]


@pytest.mark.parametrize("chosen", FILTERS, ids=str)
@pytest.mark.parametrize("widths", [(1,), (2,), (3,), (2, 1), (1, 2), ()], ids=str)
def test_a_tree_of_guesses_leaves_the_text_the_targets_own(chosen, widths):
    """Catches: a second guess verified as if the first had not been tried, one drawn twice, a branch that sees
    another, a cache that keeps a wrong branch, no replacement when all were rejected."""
    chosen = Settings(**chosen, max_new_tokens=3)
    target, draft = TreeModel(3, 0), TreeModel(3, 100)
    expected = texts_of(target, [0], chosen, 3)

    def run(dice):
        return [token for found in speculate_tree(target, draft, [0], chosen, dice, widths) for token in found.tokens]

    found = every_outcome(run)
    assert found.keys() == expected.keys()
    assert all(abs(found[text] - expected[text]) < 1e-12 for text in expected)


# ---- the embedded pair ----


@pytest.fixture(scope="module")
def embedded():
    return open_model("storyteller"), open_model("draft")


def test_greedy_is_the_targets_own_with_every_drafter(embedded):
    """Catches: an early exit that shares its cache with the target, a copied token that is never compared."""
    target, draft = embedded
    chosen, vocabulary = Settings("greedy", max_new_tokens=40), target.config.vocab_size

    def alone(prompt):
        return list(tokentrace.generate(target, prompt, strategy="greedy", max_new_tokens=40).tokens)

    own = [alone(prompt) for prompt in PROMPTS[8:10]]
    for prompt in PROMPTS[:3]:
        tokens, expected = target.tokenizer.encode(prompt), alone(prompt)
        for drafter in (
            ModelDrafter(target.first_layers(3), target, chosen),
            PromptLookup(vocabulary),
            TableDrafter(own, vocabulary, chosen),
            Oracle(target, chosen, 0.7),
        ):
            assert continuation(target, drafter, tokens, chosen, Dice(), 4) == expected, drafter.name
        found = [token for each in speculate_tree(target, draft, tokens, chosen, Dice()) for token in each.tokens]
        assert found == expected


def test_all_layers_are_the_model_itself_and_fewer_are_not(embedded):
    """Against transformers' hidden states: the last norm once, then the head. Catches: one layer too many, no norm."""
    from transformers import GPT2LMHeadModel

    target, _ = embedded
    ids = target.tokenizer.encode(PROMPTS[0])
    theirs = GPT2LMHeadModel.from_pretrained(target.folder, dtype=torch.float32)
    with torch.no_grad():
        hidden = theirs(torch.tensor([ids]), output_hidden_states=True).hidden_states
        for n in range(1, target.config.n_layer):
            expected = theirs.lm_head(theirs.transformer.ln_f(hidden[n]))[0]
            assert torch.allclose(target.first_layers(n).forward([ids])[0], expected, atol=2e-4)
    assert target.first_layers(target.config.n_layer).forward([ids]).equal(target.forward([ids]))
    with pytest.raises(ValueError, match="left after 1 to"):
        target.first_layers(0)


def test_the_oracle_is_right_as_often_as_asked(embedded):
    """Sum of min(target, proposal), exactly. Catches: a share that forgets what the unlikely token has already."""
    target, _ = embedded
    tokens = target.tokenizer.encode(PROMPTS[0])
    for rate in (0.0, 0.3, 0.9, 1.0):
        chosen = Settings()
        wanted = distribution(target.forward([tokens], last_only=True)[0, -1], chosen)
        proposed = Oracle(target, chosen, rate).propose(tokens)
        assert float(torch.minimum(wanted, proposed).sum()) == pytest.approx(rate, abs=1e-5)


# ---- each drafter ----


def test_lookup_copies_what_followed_the_longest_match():
    lookup = PromptLookup(10, longest=2)
    assert lookup.propose([1, 2, 3, 4, 2, 5, 1, 2]).argmax() == 3  # after 1 2, not after the later 2
    guesses, _ = guess(PromptLookup(10), [1, 2, 3, 4, 1, 2], Fixed(4), 4, Dice())
    assert guesses == [3, 4, 1, 2]
    assert PromptLookup(10).propose([1, 2, 3]) is None
    with pytest.raises(ValueError, match="can be looked for"):
        PromptLookup(10, longest=2, shortest=3)


def test_the_table_gives_the_shares_that_were_counted():
    table = TableDrafter([[1, 2, 3], [1, 2, 4], [1, 2, 3]], 6, Settings(), order=2)
    assert table.propose([0, 1, 2]).tolist() == pytest.approx([0, 0, 0, 2 / 3, 1 / 3, 0])
    assert table.propose([5, 2]).tolist() == pytest.approx([0, 0, 0, 2 / 3, 1 / 3, 0])  # the shorter run
    assert table.propose([5]) is None


# ---- what it is worth ----


def test_expected_tokens_against_every_fate():
    """Equation 1 of Leviathan et al., by summing over where the first rejection falls."""
    for rate in (0.0, 0.3, 0.8):
        for n in range(5):
            by_hand = sum((k + 1) * rate**k * (1 - rate) for k in range(n)) + (n + 1) * rate**n
            assert tokens_a_round(rate, n) == pytest.approx(by_hand)
    assert tokens_a_round(1.0, 4) == 5


PAPER = [(0.6, 2, 1.96), (0.7, 3, 2.53), (0.8, 2, 2.44), (0.8, 5, 3.69), (0.9, 2, 2.71), (0.9, 10, 6.86)]


@pytest.mark.parametrize(("rate", "n", "speed"), PAPER)
def test_the_papers_table_of_speeds(rate, n, speed):
    """Table 1 of Leviathan et al. 2023, for drafts that cost nothing."""
    assert speedup(rate, n, 0.0) == pytest.approx(speed, abs=0.006)


@pytest.mark.parametrize(
    ("rate", "cost", "n", "speed"), [(0.5, 0.1, 2, 1.46), (0.7, 0.05, 6, 2.35), (0.8, 0.2, 4, 1.87), (0.5, 0.5, 0, 1.0)]
)
def test_the_length_that_pays(rate, cost, n, speed):
    found = best_length(rate, cost)
    assert found[0] == n and found[1] == pytest.approx(speed, abs=0.006)


def test_a_costly_verification_shortens_the_draft():
    """Catches: a verification that is taken for free."""
    assert best_length(0.7, 0.05, lambda m: 1 + 0.3 * (m - 1))[0] < best_length(0.7, 0.05)[0]


def test_the_unbiased_rate_finds_the_oracles(embedded):
    """Tokens after a rejection are not tested. Catches: kept over proposed, which says too little."""
    target, _ = embedded
    rounds = []
    for seed in range(3):
        chosen = Settings(max_new_tokens=100)
        oracle, tokens = Oracle(target, chosen, 0.6), target.tokenizer.encode(PROMPTS[seed])
        rounds += speculate(target, oracle, tokens, chosen, Dice(seed), 4)
    tested = sum(min(each.kept + 1, len(each.guesses)) for each in rounds)
    spread = math.sqrt(0.24 / tested)
    assert abs(unbiased_rate(rounds) - 0.6) < 4 * spread
    biased = sum(each.kept for each in rounds) / sum(len(each.guesses) for each in rounds)
    assert biased < 0.6 - 4 * spread
    assert math.isnan(unbiased_rate([]))


def test_paying_learns_the_rate():
    """Catches: counting guesses that were never tested."""
    length = Paying(0.1)
    for _ in range(400):
        length.learn(SimpleNamespace(kept=1, guesses=[1, 2, 3, 4]))
    assert length.acceptance_rate == pytest.approx(0.5, abs=0.01)
    assert length.most == best_length(length.acceptance_rate, 0.1, most=8)[0]


def test_confidence_is_of_the_whole_round():
    length, flat = Confident(0.5, 8), torch.tensor([0.8, 0.2])
    assert [length.goes_on(n, flat) for n in range(5)] == [True, True, True, False, False]
    assert length.goes_on(0, flat)


def test_fate_keeps_its_promise():
    """The enumeration itself: all outcomes of two dice sum to one."""
    found = every_outcome(lambda dice: [dice.pick(torch.tensor([0.2, 0.8])), dice.happens(0.3)])
    assert sum(found.values()) == pytest.approx(1) and len(found) == 4 and isinstance(Fate([]), Fate)
