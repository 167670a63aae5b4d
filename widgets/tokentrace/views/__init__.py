"""What is drawn: each view shows a trace; only these modules know Jupyter."""

from tokentrace.views.claims import Claims
from tokentrace.views.compare import Compare
from tokentrace.views.exercise import Exercise, Scorecard
from tokentrace.views.figures import Explore, Still
from tokentrace.views.generation_loop import Strategies
from tokentrace.views.player import Player

__all__ = ["Claims", "Compare", "Exercise", "Explore", "Player", "Scorecard", "Still", "Strategies"]
