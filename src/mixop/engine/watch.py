"""Monitors at work: what they say after an epoch, and the snapshots that a search goes back to."""

from pathlib import Path

from mixop.core.ranks import ALONE, Ranks
from mixop.core.types import Mix
from mixop.data.core import Data
from mixop.engine.problem import SupernetProblem
from mixop.engine.score import EVALUATION_BATCH, one_path, score
from mixop.engine.state import SearchState
from mixop.engine.view import SearchView
from mixop.monitors.base import Action, Continue, Restart, Stop
from mixop.runs import checkpoint
from mixop.runs.records import Column, Values


def ask_monitors(
    state: SearchState, problem: SupernetProblem, data: Data, mean: Mix, valid: Values
) -> tuple[Action, dict[str, Column], str]:
    """What the monitors want, the first that wants something; their columns; and what that one does, in words.

    Args:
        state: the search's state; its epoch is the one that has just finished.
        problem: its losses and its recipe.
        data: its data.
        mean: its mean mixing weights.
        valid: what the supernet measured on the validation part; empty without one.
    """

    first = data.task.first

    def gap() -> float | None:
        if valid.get(first.name) is None:
            return None
        derived, active = one_path(problem.space, problem.space.from_native(state.natives[-1]), mean)
        size = max(problem.recipe.batch_size, EVALUATION_BATCH)
        found = score(problem.net, data, derived, active, batch_size=size, progress=problem.progress, ranks=problem.ranks)
        return first.rank(valid[first.name]) - first.rank(found[first.name])

    view = SearchView(state, problem, data, gap)
    wanted: Action = Continue()
    columns: dict[str, Column] = {}
    done = ""
    for monitor in problem.recipe.monitors:
        action = monitor(view)
        columns.update(monitor.columns(view))
        if isinstance(wanted, Continue) and not isinstance(action, Continue):
            wanted = action
            done = f"{type(monitor).__name__}: {'stop' if isinstance(action, Stop) else 'restart'}"
    return wanted, columns, done


class Snapshots:
    """The state after each of the last epochs, as far back as a monitor may want to go.

    Args:
        folder: where they are kept.
        lookback: how many epochs back; 0 keeps nothing.
        ranks: the processes of the search; the one that leads keeps what all go back to.
    """

    def __init__(self, folder: Path, lookback: int, ranks: Ranks = ALONE) -> None:
        self.folder, self.lookback, self.ranks = folder, lookback, ranks

    def keep(self, state: SearchState) -> None:
        """Saves a state that stands at the start of an epoch, and removes the one that is too old."""
        if self.lookback == 0 or not self.ranks.leads:
            return
        self.folder.mkdir(exist_ok=True)
        checkpoint.save(self._path(state.epoch), state.state_dict())
        old = self._path(state.epoch - self.lookback - 1)
        old.unlink(missing_ok=True)
        checkpoint.previous(old).unlink(missing_ok=True)

    def go_back(self, state: SearchState, action: Restart) -> None:
        """Gives a state the numbers that it had after an epoch, and another weight decay.

        A second restart soon after a first may ask for an epoch that is no longer kept: the oldest one kept stands for it.
        """
        self.ranks.wait()  # until what is gone back to is written
        seconds = state.seconds
        kept = [int(path.stem) for path in self.folder.glob("*.pt")]
        state.load_state_dict(checkpoint.load(self._path(max(action.epoch + 1, min(kept, default=0)))))
        state.seconds = seconds
        for group in state.weight_optimiser.param_groups:
            group["weight_decay"] = action.weight_decay

    def _path(self, epoch: int) -> Path:
        return self.folder / f"{epoch}.pt"
