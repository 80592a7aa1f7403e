"""What a finished `mixop.find` gives."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from mixop.finder.contender import Trial
from mixop.report.told import as_html
from mixop.report.words import said
from mixop.runs.frame import frame
from mixop.runs.read import read_run
from mixop.runs.records import Score
from mixop.spaces.core import Architecture, Space

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class FindResult:
    """What a finished `find` gives.

    Args:
        out: its directory; the winner's run directory is ``final`` in it.
        model: the winner with its trained weights, a plain module in evaluation mode.
        winner: its label.
        space: its space.
        architecture: its architecture.
        score: on the test examples, which were looked at once.
        trials: the short trainings that it was chosen by, round by round.
        sentences: what happened, in plain words.
        verdict: those of them that say whether searching helped.
    """

    out: Path
    model: nn.Module
    winner: str
    space: Space
    architecture: Architecture
    score: Score
    trials: tuple[Trial, ...]
    sentences: tuple[str, ...]
    verdict: tuple[str, ...]

    @property
    def final(self) -> Path:
        """The winner's run directory, for `export`, `evaluate` and `load_network`."""
        return self.out / "final"

    def frame(self) -> "pandas.DataFrame":
        """A row for each short training.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        drop = ("measures", "train")
        return frame(
            {**{name: value for name, value in vars(trial).items() if name not in drop}, **trial.measures}
            for trial in self.trials
        )

    def __str__(self) -> str:
        network = self.score.networks[0]
        reached = said(self.score.first, self.score.value(network), self.score.counted)
        return "\n".join((*self.sentences, f"{self.winner} reaches {reached} on {self.score.scored_on.words}."))

    def __repr__(self) -> str:
        return f"<{self.winner} found in {str(self.out)!r}>"

    def _repr_html_(self) -> str:
        return as_html(str(self), read_run(self.final))
