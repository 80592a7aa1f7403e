"""Experiments that need no data and no search: something is computed over random draws."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixop.core.errors import RunError
from mixop.experiments.base import Experiment, Findings, Panel, Request
from mixop.runs.files import EXPERIMENT


@dataclass(frozen=True)
class Size:
    """How much is computed.

    Args:
        seeds: runs.
        draws: random draws of each run.
    """

    seeds: int
    draws: int


SIZES: Mapping[str, Size] = {"full": Size(30, 100), "medium": Size(10, 40), "small": Size(3, 40), "tiny": Size(2, 4)}
"""By the names of all scales."""


@dataclass(frozen=True, kw_only=True)
class Computed(Experiment):
    """Something that is computed from a seed.

    Args:
        compute: the panels of some seeds, with so many draws each.
        settings: what it is computed with, in words, by name.
    """

    compute: Callable[[Sequence[int], int], tuple[Panel, ...]]
    settings: Mapping[str, str]

    @property
    def scales(self) -> Mapping[str, str]:
        return {
            name: f"{size.seeds} runs of {size.draws} draws{'; to see that it runs' if name == 'tiny' else ''}"
            for name, size in SIZES.items()
        }

    def run(self, request: Request) -> Findings:
        self.check(request)
        _claim(request.out)
        size = SIZES[request.scale]
        seeds = range(size.seeds) if request.seeds is None else request.seeds
        panels = self.compute(seeds, size.draws)
        settings = {**self.settings, "draws of a run": str(size.draws), "seeds": ", ".join(map(str, seeds))}
        return Findings({panel.title: panel for panel in panels}, settings, tells=request.scale != "tiny")


def _claim(out: Path) -> None:
    """Makes the directory, before minutes are spent; one that holds something else is refused."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        taken = any(out.iterdir()) and not (out / EXPERIMENT).exists()
    except OSError as error:
        raise RunError(f"Cannot write into {out} ({error.strerror}): choose another --out.") from error
    if taken:
        raise RunError(f"{out} holds something else: choose another --out.")
