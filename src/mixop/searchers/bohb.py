"""BOHB-like search: a model of good architectures proposes, and short trainings decide which may train longer."""

from dataclasses import dataclass
from random import Random
from typing import Any

from mixop.core.errors import RecipeError
from mixop.core.extras import package
from mixop.core.studies import quiet
from mixop.searchers.base import Searcher, State, Trial
from mixop.searchers.coding import drawn, questions, read, write
from mixop.spaces.core import Architecture, Space


@dataclass(frozen=True, kw_only=True)
class Bohb(Searcher):
    """Optuna's tree-structured Parzen estimator proposes, its Hyperband pruner decides which trainings continue.

    An architecture is trained for the first length of the ladder; if it is among the better of its bracket, for the next
    one, and so on. Every length is a trial of its own, a training from scratch, and charged in full. What is found is the
    best of those that were trained longest.

    It is like BOHB, not BOHB: halving is asynchronous, brackets are those of Optuna, and its estimator has no least
    bandwidth and no bandwidth factor (0.3 and 3 in the published runs).

    Args:
        ladder: lengths of trainings in epochs, increasing; the published ones go from 12 to 200 by factors of 3, which
            leaves 22, 67 and 200. A table must know them: ``(12, 200)`` is what every table of NAS-Bench-201 has.
        eta: one in ``eta`` trainings continues, >= 2.
        candidates: draws of which the most promising is tried, >= 1.
        startup: trials of a bracket that are drawn uniformly before there is a model, >= 1; one more than the six
            decisions of NAS-Bench-201, as in BOHB.

    Source: Falkner et al. 2018 (arXiv:1807.01774); Bergstra et al. 2011; Li et al. 2018 (arXiv:1603.06560); settings of Dong &
        Yang 2020 (arXiv:2001.00326) and its code. Optuna: Akiba et al. 2019 (arXiv:1907.10902).
    """

    ladder: tuple[int, ...] = (22, 67, 200)
    eta: int = 3
    candidates: int = 4
    startup: int = 7

    def __post_init__(self) -> None:
        if not self.ladder or list(self.ladder) != sorted(set(self.ladder)):
            raise RecipeError(f"ladder of Bohb must be increasing lengths in epochs, at least one, got {list(self.ladder)}.")
        for epochs in self.ladder:
            self.check_whole("ladder", epochs)
        self.check_whole("eta", self.eta, 2)
        self.check_whole("candidates", self.candidates)
        self.check_whole("startup", self.startup)

    def check(self, space: Space) -> None:
        super().check(space)
        _optuna()

    def begin(self, space: Space, rng: Random) -> dict[str, Any]:
        return {"tried": []}

    def propose(self, state: State, rng: Random) -> tuple[Architecture, int] | None:
        tried = state.memory["tried"]
        if tried and tried[-1]["state"] == "RUNNING":
            last = tried[-1]
            return state.space.from_native(last["architecture"]), self.ladder[len(last["scores"])]
        return drawn(state.space, lambda: self._suggested(state, rng)), self.ladder[0]

    def _suggested(self, state: State, rng: Random) -> Architecture:
        """What the estimator would try next."""
        with quiet(_optuna()):
            trial = self._study(state, rng).ask()
            answers = [
                trial.suggest_categorical(str(q), range(len(question.answers)))
                for q, question in enumerate(questions(state.space))
            ]
        return write(state.space, answers)

    def learn(self, state: State, trial: Trial, score: float, rng: Random) -> None:
        tried = state.memory["tried"]
        if not tried or tried[-1]["state"] != "RUNNING":
            native = state.space.to_native(trial.architecture)
            tried.append({"architecture": native, "state": "RUNNING", "scores": [], "notes": {}})
        last = tried[-1]
        last["scores"].append(score)
        if len(last["scores"]) == len(self.ladder):
            last["state"] = "COMPLETE"
            return
        with quiet(_optuna()):
            study = self._study(state, rng)
            running = study.get_trials()[-1]
            if study.pruner.prune(study, running):
                last["state"] = "PRUNED"
            last["notes"] = dict(study.get_trials()[-1].system_attrs)  # the pruner notes which lengths were completed

    def _study(self, state: State, rng: Random) -> Any:
        """All that was tried as a study of Optuna: it holds nothing that the state does not."""
        optuna = _optuna()
        sampler = optuna.samplers.TPESampler(
            seed=rng.getrandbits(32), n_startup_trials=self.startup, n_ei_candidates=self.candidates, multivariate=True
        )
        longest = self.eta ** (len(self.ladder) - 1)  # lengths are counted 1, eta, eta^2, whatever their epochs
        pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=longest, reduction_factor=self.eta)
        study = optuna.create_study(study_name=str(state.seed), direction="maximize", sampler=sampler, pruner=pruner)
        asked = questions(state.space)
        sizes = {
            str(q): optuna.distributions.CategoricalDistribution(range(len(question.answers)))
            for q, question in enumerate(asked)
        }
        for tried in state.memory["tried"]:
            answers = read(state.space, state.space.from_native(tried["architecture"]))
            parameters = {str(q): answer for q, answer in enumerate(answers) if answer is not None}
            study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState[tried["state"]],
                    value=tried["scores"][-1] if tried["state"] == "COMPLETE" else None,
                    params=parameters,
                    distributions={name: sizes[name] for name in parameters},
                    intermediate_values={self.eta**rung: score for rung, score in enumerate(tried["scores"])},
                    system_attrs=tried["notes"],
                )
            )
        return study


def _optuna() -> Any:
    return package("optuna", "A search by Bohb")
