"""Monitors: what looks at a search after every epoch, and may warn, end it or send it back."""

from mixop.monitors.base import Monitor
from mixop.monitors.collapse import Collapse
from mixop.monitors.descent import Descent
from mixop.monitors.dirichlet import DirichletBound
from mixop.monitors.eigenvalue import Adaptive, EarlyStopping
from mixop.monitors.exploration import Exploration
from mixop.monitors.rank_agreement import RankAgreement
from mixop.monitors.relevance import RelevanceUpdate
from mixop.monitors.skips import SkipStop

ALL: dict[str, type[Monitor]] = {
    "early_stopping": EarlyStopping,
    "adaptive": Adaptive,
    "skip_stop": SkipStop,
    "collapse": Collapse,
    "descent": Descent,
    "exploration": Exploration,
    "dirichlet_bound": DirichletBound,
    "rank_agreement": RankAgreement,
    "relevance_update": RelevanceUpdate,
}
"""Every monitor by its name on the command line."""
