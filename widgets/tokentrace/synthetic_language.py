"""A language whose truth is known: 21 words, and the exact chance of every next word after any words at all.

A sentence is one clause, such as "the old dog that the owls see barks ." Three rules reach across other words: a verb
agrees with its own subject, every subject gets its verb, and each animal has a verb that it likes best. The speaker
moves from state to state; a state knows what is still owed. At every place the speaker may also slip: any of the words
comes out, each equally likely. If it is the full stop the sentence breaks off, else the speaker goes on as intended.

Because of the slips every row of words is possible, so "what would truly come next" has an answer even after words
that no grammar allows: the conditional of this hidden Markov model, by the forward algorithm (Rabiner 1989).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TypeAlias

import numpy as np

from tokentrace.bootstrap import ratio_band

STOP = "."  # ends a sentence, and stands before the first one
ANIMALS = ("dog", "cat", "owl")
LIKES = {"dog": "bark", "cat": "sleep", "owl": "sing"}
ACTS = tuple(LIKES.values())
SENSES = ("see", "hear")
ADJECTIVES = ("old", "small")
WORDS = (
    STOP, "the", "that", *ADJECTIVES, *ANIMALS, *(f"{each}s" for each in ANIMALS),
    *(form for verb in (*ACTS, *SENSES) for form in (f"{verb}s", verb)),
)  # fmt: skip

ADJECTIVE = 0.3  # chances of the grammar
RELATIVE, DEEPER = 0.4, 0.2  # "that" after the subject, and after a subject within a relative clause
OF_OBJECT = 0.5  # "that the owls see" rather than "that sees the owls"
TRANSITIVE = 0.4
BEST = 0.8  # of an animal's own verb; the other two share the rest
SLIP = 0.01

State: TypeAlias = tuple
Moves: TypeAlias = Mapping[State, Mapping[str, tuple[float, State]]]


@dataclass(frozen=True, eq=False)
class Language:
    """A speaker who moves between states and sometimes slips.

    Attributes
    ----------
    words : the vocabulary; `words[0]` is the full stop.
    chances : of each intended word in each state, [states, words]; rows add up to 1. The start is state 0.
    following : the state after an intended word, [states, words]; after a full stop it is the start.
    slip : chance at each place that a word comes out which was drawn from all words alike. A full stop said by a
        slip ends the sentence. A word said for an intended full stop leaves the state as it is.
    """

    words: tuple[str, ...]
    chances: np.ndarray
    following: np.ndarray
    slip: float

    def conditionals(self, ids: np.ndarray) -> np.ndarray:
        """Ln P(word | all words before it) at every place, exact up to rounding.

        Parameters
        ----------
        ids : words of each text, [texts, places]; the texts start after a full stop.

        Returns
        -------
        array [texts, places, words], nats
        """
        ids = np.asarray(ids)
        told = np.empty((*ids.shape, len(self.words)))
        belief = self._beginning(len(ids))
        for place in range(ids.shape[1]):
            told[:, place] = self._next(belief)
            belief = self._after(belief, ids[:, place])
        with np.errstate(divide="ignore"):  # without slips some words are impossible
            return np.log(told)

    def draw(self, texts: int, places: int, seed: int) -> np.ndarray:
        """Let the speaker talk: ids [texts, places]."""
        numbers = np.random.default_rng(seed)
        said, state = np.empty((texts, places), dtype=np.int64), np.zeros(texts, dtype=np.int64)
        ladder = self.chances.cumsum(1)
        for place in range(places):
            meant = (numbers.random((texts, 1)) > ladder[state]).sum(1).clip(max=len(self.words) - 1)
            slips = numbers.random(texts) < self.slip
            word = np.where(slips, numbers.integers(len(self.words), size=texts), meant)
            state = np.where(word == 0, 0, np.where(meant == 0, state, self.following[state, meant]))
            said[:, place] = word
        return said

    def is_sentence(self, ids: Sequence[int]) -> bool:
        """Whether these words are a whole sentence of the grammar, said without a slip; the last is the full stop."""
        state = 0
        for place, word in enumerate(ids):
            if not self.chances[state, word] or (word == 0) != (place == len(ids) - 1):
                return False
            state = self.following[state, word]
        return bool(ids) and ids[-1] == 0

    def wrong_places(self, ids: Sequence[int]) -> list[int]:
        """Places where a sentence first has a word that the grammar does not allow there; at most one a sentence."""
        found, state, fine = [], 0, True
        for place, word in enumerate(ids):
            if fine and not self.chances[state, word]:
                found.append(place)
                fine = False
            fine = fine or word == 0
            state = self.following[state, word]
        return found

    def fed_on_itself(self, ids: np.ndarray, chance: float, seed: int) -> np.ndarray:
        """Ln of the true chance of each word when the speaker's model of itself reads a mixture.

        After every place it reads the word of the text with this chance, and otherwise one that it draws itself from
        what it expects there: what scheduled sampling would do to a learner that knows the truth.

        Returns
        -------
        array [texts, places], nats
        """
        numbers, rows = np.random.default_rng(seed), np.arange(len(ids))
        belief, scored = self._beginning(len(ids)), np.empty(ids.shape)
        for place in range(ids.shape[1]):
            expected = self._next(belief)
            scored[:, place] = np.log(expected[rows, ids[:, place]])
            sample = (expected.cumsum(1) < numbers.random((len(ids), 1))).sum(1).clip(max=len(self.words) - 1)
            belief = self._after(belief, np.where(numbers.random(len(ids)) < chance, ids[:, place], sample))
        return scored

    def text(self, ids: Sequence[int]) -> str:
        """The words with spaces between them."""
        return " ".join(self.words[each] for each in ids)

    def _beginning(self, texts: int) -> np.ndarray:
        belief = np.zeros((texts, len(self.chances)))
        belief[:, 0] = 1
        return belief

    def _next(self, belief: np.ndarray) -> np.ndarray:
        return (1 - self.slip) * belief @ self.chances + self.slip / len(self.words)

    def _after(self, belief: np.ndarray, word: np.ndarray) -> np.ndarray:
        """What is believed of the state once a word was heard, [texts, states]."""
        rows = np.arange(len(word))
        meant = (1 - self.slip) * belief * self.chances[:, word].T
        new = np.zeros_like(belief)
        np.add.at(new, (rows[:, None], self.following[:, word].T), meant)
        new += self.slip / len(self.words) * belief @ self._moves
        new[word == 0] = np.eye(1, belief.shape[1])
        return new / new.sum(1, keepdims=True)

    @cached_property
    def _moves(self) -> np.ndarray:
        """Chance of going from state to state when a slip comes out, [states, states]."""
        n = len(self.chances)
        moves, states = np.zeros((n, n)), np.arange(n)
        for word in range(1, len(self.words)):
            np.add.at(moves, (states, self.following[:, word]), self.chances[:, word])
        moves[states, states] += self.chances[:, 0]
        return moves


def sentences_of(ids: Sequence[int]) -> list[list[int]]:
    """Cut a text into its whole sentences, each with its full stop; what is unfinished at the end is left out."""
    found: list[list[int]] = [[]]
    for word in ids:
        found[-1].append(int(word))
        if word == 0:
            found.append([])
    return found[:-1]


def share_of_sentences(language: Language, ids: np.ndarray) -> tuple[float, float, float]:
    """Of the whole sentences in texts [texts, places], the share that the grammar allows, with a 95 % band.

    Texts are the units of the band. Where all or none of n sentences are right, resampling cannot vary, and the other
    end is 3 / n away: the rule of three (Hanley and Lippman-Hand 1983).
    """
    sentences = [sentences_of(row) for row in ids]
    right, whole = [sum(map(language.is_sentence, each)) for each in sentences], [len(each) for each in sentences]
    n = sum(whole)
    if sum(right) in (0, n):
        share, reach = (1.0, 3 / n) if sum(right) and n else (0.0, min(1.0, 3 / max(n, 1)))
        return share, max(0.0, share - reach) if share else 0.0, share or reach
    share, low, high = (float(each) for each in ratio_band(right, whole, paired=True))
    return share, low, min(high, 1.0)


def compile_moves(words: Sequence[str], start: State, moves: Moves, slip: float) -> Language:
    """Number the states, the start first."""
    numbered = {state: place for place, state in enumerate(sorted(moves, key=lambda state: state != start))}
    chances, following = np.zeros((len(moves), len(words))), np.zeros((len(moves), len(words)), dtype=np.int64)
    place = {word: at for at, word in enumerate(words)}
    for state, ways in moves.items():
        for word, (chance, after) in ways.items():
            chances[numbered[state], place[word]] = chance
            following[numbered[state], place[word]] = numbered[after]
    return Language(tuple(words), chances, following, slip)


@cache
def barnyard(slip: float = SLIP) -> Language:
    """Return the language of the lessons."""
    start: State = ("article", "subject", ())
    moves: dict[State, dict[str, tuple[float, State]]] = {}
    waiting = [start]
    while waiting:
        if (state := waiting.pop()) not in moves:
            moves[state] = _ways(state, start)
            waiting += [after for _, after in moves[state].values()]
    return compile_moves(WORDS, start, moves, slip)


def _ways(state: State, start: State) -> dict[str, tuple[float, State]]:
    """What may come in a state, how probable, and where it leads.

    `owed` are the subjects whose verb is still to come, the innermost last: the animal of the clause, and within it
    only whether it is many.
    """
    kind, *rest = state
    if kind == "stop":
        return {STOP: (1.0, start)}
    if kind == "article":
        role, owed = rest
        return {"the": (1.0, ("noun", role, owed, True))}
    if kind == "noun":
        role, owed, plain = rest
        share = (1 - ADJECTIVE if plain else 1.0) / 6
        ways = {noun: (share, _after_noun(role, owed, noun)) for one in ANIMALS for noun in (one, f"{one}s")}
        each = ADJECTIVE / len(ADJECTIVES)
        return ways | ({word: (each, ("noun", role, owed, False)) for word in ADJECTIVES} if plain else {})
    owed = rest[0]
    if kind == "that":
        inner = OF_OBJECT if len(owed) == 1 else 0.0
        ways = _verbs(SENSES, (1 - inner) / len(SENSES), owed[-1], ("article", "within", owed))
        return ways | ({"the": (inner, ("noun", "subject", owed, True))} if inner else {})
    that = (RELATIVE, DEEPER)[len(owed) - 1] if rest[1] else 0.0
    ways = {"that": (that, ("that", owed))} if that else {}
    if len(owed) == 2:
        return ways | _verbs(SENSES, (1 - that) / len(SENSES), owed[-1], ("verb", owed[:1], False))
    for verb in ACTS:
        liked = BEST if LIKES[owed[0].removesuffix("s")] == verb else (1 - BEST) / 2
        ways |= _verbs((verb,), (1 - that) * (1 - TRANSITIVE) * liked, owed[0], ("stop",))
    return ways | _verbs(SENSES, (1 - that) * TRANSITIVE / len(SENSES), owed[0], ("article", "object", ()))


def _after_noun(role: str, owed: tuple[str, ...], noun: str) -> State:
    if role == "object":
        return ("stop",)
    if role == "within":
        return ("verb", owed, False)
    number = "animals" if noun.endswith("s") else "animal"
    return ("verb", (*owed, number) if owed else (noun,), True)


def _verbs(verbs: Sequence[str], chance: float, subject: str, after: State) -> dict[str, tuple[float, State]]:
    """Verbs in the form that agrees: dogs bark, a dog barks."""
    return {(verb if subject.endswith("s") else f"{verb}s"): (chance, after) for verb in verbs}
