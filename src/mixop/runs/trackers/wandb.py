"""Weights & Biases, and Trackio, which has the same functions: ``init``, ``log``, ``finish``. Imports no torch."""

import contextvars
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from mixop.core.errors import RunError
from mixop.core.extras import package
from mixop.runs.trackers.base import Ending, Tracker
from mixop.runs.trackers.logged import Row, Told

PROJECT = "mixop"
"""Where runs go, unless the tracker's own variable names another project."""


class _Shared(Tracker):
    """What the two have in common: numbers by row, with the epoch of their part beside them.

    A row's number is the step, which must grow. So figures have ``PART/epoch`` as their axis.
    """

    run: Any

    def log(self, number: int, row: Row) -> None:
        values = {f"{row.part}/{tag}": value for tag, value in row.values.items()}
        self.run.log({**values, f"{row.part}/epoch": row.epoch}, step=number)


class Wandb(_Shared):
    """A run of Weights & Biases.

    Its own variables count: ``WANDB_PROJECT``, ``WANDB_ENTITY``, ``WANDB_BASE_URL``, ``WANDB_MODE``. Its files lie in
    ``RUN/wandb`` unless ``WANDB_DIR`` names another place. Offline there is no server that knows what it has: the files are
    written anew then, in place of those before, so that ``wandb sync`` finds every point once.
    """

    label = "Weights & Biases"
    module = "wandb"

    def __init__(self, run: Any) -> None:
        self.run = run
        self.sent = max(run.starting_step - 1, 0)
        self.place = f"wandb sync {run.settings.sync_dir}" if run.settings.mode == "offline" else run.url or ""
        self.parts: set[str] = set()

    @classmethod
    def check(cls) -> None:
        super().check()
        wandb = package("wandb", "Tracking")
        if wandb.setup().settings.mode in ("online", None) and not wandb.login(prompt=False):
            raise RunError(
                "Weights & Biases does not know who you are: run `wandb login` first, or set WANDB_MODE=offline to write files."
            )

    @classmethod
    def open(cls, run: Told) -> Self:
        wandb = package("wandb", "Tracking")
        settings = wandb.Settings(silent=True, console="off", x_disable_stats=True, save_code=False, disable_git=True)
        folder = os.environ.get("WANDB_DIR", str(run.path))
        if wandb.setup().settings.mode == "offline":
            for old in Path(folder, "wandb").glob(f"offline-run-*-{run.key}"):
                shutil.rmtree(old)
        opened = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=run.key,
            name=run.name,
            group=run.group or None,
            dir=folder,
            config=dict(run.config),
            resume="allow",
            reinit="create_new",  # a run of the caller's own goes on
            settings=settings,
        )
        return cls(opened)

    def log(self, number: int, row: Row) -> None:
        if row.part not in self.parts:
            self.parts.add(row.part)
            self.run.define_metric(f"{row.part}/epoch", hidden=True)
            self.run.define_metric(f"{row.part}/*", step_metric=f"{row.part}/epoch")
        super().log(number, row)

    def close(self, ending: Ending, config: Mapping[str, Any], files: Sequence[Path]) -> None:
        self.run.config.update(dict(config), allow_val_change=True)
        if files:
            artefact = package("wandb", "Tracking").Artifact(f"run-{self.run.id}", type="report")
            for file in files:
                artefact.add_file(str(file))
            self.run.log_artifact(artefact)
        self.run.finish(exit_code=0 if ending in ("finished", "running") else 1)


class Trackio(_Shared):
    """A run of Trackio: in its database on this machine, or where its own variables ``TRACKIO_SPACE_ID`` or
    ``TRACKIO_SERVER_URL`` say. ``TRACKIO_DIR`` moves the database.
    """

    label = "Trackio"
    module = "trackio"

    def __init__(self, run: Any) -> None:
        self.run = run
        # It has no public name for this; the step that a call without one would get is the number of rows and one.
        self.sent = max(run._next_step - 1, 0)
        self.place = f"trackio show --project {PROJECT}"

    @classmethod
    def open(cls, run: Told) -> Self:
        # A run is found again by its name alone, and ends the one before of its context, so each has its own.
        opened = contextvars.copy_context().run(
            package("trackio", "Tracking").init,
            project=PROJECT,
            name=f"{run.name} {run.key[:6]}",
            group=run.group or None,
            config=dict(run.config),
            resume="allow",
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )
        return cls(opened)

    def close(self, ending: Ending, config: Mapping[str, Any], files: Sequence[Path]) -> None:
        for file in files:
            self.run.log_artifact(file, name=f"{self.run.name}-{file.name}".replace("/", "-").replace(" ", "-"), type="report")
        self.run.finish()
