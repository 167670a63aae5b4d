"""What is drawn: each view shows a trace; only these modules know Jupyter."""

from tokentrace.views.autoregression import Regressors, SelfRegression
from tokentrace.views.batching import Batching
from tokentrace.views.beam_search import BeamSearch
from tokentrace.views.cache_run import CacheGrid, CacheRace
from tokentrace.views.causal_mask import CausalMask, OnePass
from tokentrace.views.chain_rule import AllSentences, WordTree
from tokentrace.views.claims import Claims
from tokentrace.views.compare import Compare
from tokentrace.views.exercise import Exercise, Scorecard
from tokentrace.views.exposure import Lanes
from tokentrace.views.exposure_bias import ExposureBias
from tokentrace.views.figures import Explore, Still
from tokentrace.views.generation_loop import Strategies
from tokentrace.views.kv_cache import CacheCalculator
from tokentrace.views.measurement import Measurement
from tokentrace.views.paging import Paging
from tokentrace.views.player import Player
from tokentrace.views.recovery import Recovery
from tokentrace.views.scheduled_sampling import Peeking, Training
from tokentrace.views.sentence import ChangedWord, Sentence

__all__ = [
    "AllSentences",
    "Batching",
    "BeamSearch",
    "CacheCalculator",
    "CacheGrid",
    "CacheRace",
    "CausalMask",
    "ChangedWord",
    "Claims",
    "Compare",
    "Exercise",
    "Explore",
    "ExposureBias",
    "Lanes",
    "Measurement",
    "OnePass",
    "Paging",
    "Peeking",
    "Player",
    "Recovery",
    "Regressors",
    "Scorecard",
    "SelfRegression",
    "Sentence",
    "Still",
    "Strategies",
    "Training",
    "WordTree",
]
