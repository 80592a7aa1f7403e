"""Black-box searchers: they ask for an architecture, receive its score, and need nothing else."""

from mixop.searchers.base import SameLength, Scored, Searcher, State, Trial, state_from_json, state_to_json
from mixop.searchers.bohb import Bohb
from mixop.searchers.controller import Controller
from mixop.searchers.driver import Objective, Outcome, TrialRecord, read_rows, run_search
from mixop.searchers.evolution import Evolution
from mixop.searchers.local_search import LocalSearch
from mixop.searchers.objective import TableObjective
from mixop.searchers.random_search import RandomSearch
from mixop.searchers.reinforce import Reinforce

SEARCHERS: dict[str, type[Searcher]] = {
    "random": RandomSearch,
    "evolution": Evolution,
    "reinforce": Reinforce,
    "local": LocalSearch,
    "bohb": Bohb,
    "controller": Controller,
}
"""Every searcher by its name on the command line."""

__all__ = [
    "SEARCHERS",
    "Bohb",
    "Controller",
    "Evolution",
    "LocalSearch",
    "Objective",
    "Outcome",
    "RandomSearch",
    "Reinforce",
    "SameLength",
    "Scored",
    "Searcher",
    "State",
    "TableObjective",
    "Trial",
    "TrialRecord",
    "read_rows",
    "run_search",
    "state_from_json",
    "state_to_json",
]
