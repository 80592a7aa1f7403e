"""A study of Optuna: where it is kept, who suggests, who prunes."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Literal, get_args

from mixop.core.errors import RunError
from mixop.core.extras import package
from mixop.core.studies import quiet

Sampler = Literal["tpe", "random", "nsga2"]
"""Who suggests: Optuna's `TPESampler`, `RandomSampler` and `NSGAIISampler`."""

Pruner = Literal["median", "halving", "hyperband", "none"]
"""Who stops a search between two epochs: Optuna's `MedianPruner`, `SuccessiveHalvingPruner`, `HyperbandPruner`, or nobody."""

_SAMPLERS: Mapping[Sampler, str] = dict(zip(get_args(Sampler), ("TPESampler", "RandomSampler", "NSGAIISampler"), strict=True))

_PRUNERS: Mapping[Pruner, Callable[[Any, int], Any]] = {
    "median": lambda pruners, epochs: pruners.MedianPruner(),
    "halving": lambda pruners, epochs: pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    "hyperband": lambda pruners, epochs: pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3),
    "none": lambda pruners, epochs: pruners.NopPruner(),
}

TOKEN = "mixop"
"""The attribute of a study that says which directory it belongs to."""


def sampler_for(name: Sampler, seed: int, number: int) -> Any:
    """The sampler of a trial. It has a seed of its own: what it suggests depends on the trials before it, and on no process.

    Args:
        name: which one.
        seed: of the study.
        number: of the trial, from 0.
    """
    samplers = package("optuna", "Tuning").samplers
    return getattr(samplers, _SAMPLERS[name])(seed=Random(f"{seed}/{number}").getrandbits(32))


def pruner_for(name: Pruner, epochs: int) -> Any:
    """A pruner of searches of so many epochs at most."""
    return _PRUNERS[name](package("optuna", "Tuning").pruners, epochs)


def public(storage: str) -> str:
    """Where a study is kept, without the password of a data base."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", storage)


@contextmanager
def opened(storage: str | Path) -> Iterator[Any]:
    """The storage of studies.

    Args:
        storage: a URL as Optuna takes it (``sqlite:///tuning.db``), or the path of a journal.

    Raises:
        RunError: if it cannot be opened.
    """
    optuna = package("optuna", "Tuning")
    with quiet(optuna):
        try:
            if "://" in str(storage):
                held = optuna.storages.RDBStorage(str(storage))
            else:
                journal = optuna.storages.journal
                held = journal.JournalStorage(journal.JournalFileBackend(str(storage)))
        except Exception as error:  # of Optuna, of SQLAlchemy, of a driver that is not there
            first = str(error).partition("\n")[0].rstrip(".")
            raise RunError(
                f"Cannot open the storage {public(str(storage))} ({type(error).__name__}: {public(first)}): give the path of a "
                "journal, or a URL such as sqlite:///tuning.db."
            ) from error
        try:
            yield held
        finally:
            if "://" in str(storage):
                held.remove_session()
                held.engine.dispose()


def study_in(storage: Any, name: str, token: str, directions: list[str], pruner: Any) -> Any:
    """The study of a directory, made where there is none yet.

    Args:
        storage: as `opened` gives it.
        name: of the study.
        token: of the directory.
        directions: ``maximize`` or ``minimize`` for each objective.
        pruner: as `pruner_for` gives it.

    Raises:
        RunError: if the storage has a study of that name for another directory.
    """
    study = package("optuna", "Tuning").create_study(
        study_name=name, storage=storage, directions=directions, pruner=pruner, load_if_exists=True
    )
    owner = study.user_attrs.get(TOKEN)
    if owner is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(TOKEN, token)
    elif owner != token:
        raise RunError(
            f"The storage has a study {name} that belongs to another directory: choose an --out of another name, or another "
            "storage."
        )
    return study
