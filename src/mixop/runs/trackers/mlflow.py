"""MLflow: a run in an experiment of the server, or of the database, that MLflow is set to. Imports no torch."""

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

from mixop.core.extras import package
from mixop.runs.trackers.base import Ending, Tracker
from mixop.runs.trackers.logged import Row, Told

KEY, ROWS, GROUP = "mixop.key", "mixop.rows", "mixop.group"
"""Tags of ours: by which a run is found again, how many rows it has, and what it belongs to."""

_STATUS: Mapping[Ending, str] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED", "running": "RUNNING"}

_MOST_METRICS, _MOST_PARAMS, _LONGEST = 1000, 100, 6000
"""Of one request, and characters of a setting: limits of MLflow."""


class MLflow(Tracker):
    """A run of MLflow.

    Where it goes, MLflow's own variables say: ``MLFLOW_TRACKING_URI``, and ``MLFLOW_EXPERIMENT_NAME``, which is ``mixop`` where
    it is not set.
    """

    label = "MLflow"
    module = "mlflow"

    def __init__(self, client: Any, run: Any) -> None:
        self.client, self.run = client, run.info.run_id
        self.sent = int(run.data.tags.get(ROWS, 0))
        self.known = set(run.data.params)
        uri = package("mlflow", "Tracking").get_tracking_uri()
        self.place = f"{uri}, experiment {run.info.experiment_id}, run {self.run}"
        self.entities = package("mlflow", "Tracking").entities

    @classmethod
    def open(cls, run: Told) -> Self:
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # else it reports on every table of a new database
        client = package("mlflow", "Tracking").MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "mixop")
        experiment = client.get_experiment_by_name(name)
        number = client.create_experiment(name) if experiment is None else experiment.experiment_id
        found = client.search_runs([number], filter_string=f"tags.`{KEY}` = '{run.key}'", max_results=1)
        if found:
            view = cls(client, found[0])
            client.update_run(view.run, status="RUNNING")
        else:
            tags = {KEY: run.key, ROWS: "0", **({GROUP: run.group} if run.group else {})}
            view = cls(client, client.create_run(number, tags=tags, run_name=run.name, start_time=round(1000 * run.began)))
        view._configure(run.config)
        return view

    def _configure(self, config: Mapping[str, Any]) -> None:
        new = iter([(key, value) for key, value in _flat(config) if key not in self.known])
        while some := list(islice(new, _MOST_PARAMS)):  # what is set cannot be set again
            self.client.log_batch(self.run, params=[self.entities.Param(key, value) for key, value in some])
            self.known.update(key for key, _ in some)

    def log(self, number: int, row: Row) -> None:
        at, values = round(1000 * row.at), iter(row.values.items())
        while some := list(islice(values, _MOST_METRICS)):
            metrics = [self.entities.Metric(_key(f"{row.part}/{tag}"), value, at, row.epoch) for tag, value in some]
            self.client.log_batch(self.run, metrics=metrics)
        self.client.set_tag(self.run, ROWS, str(number))

    def close(self, ending: Ending, config: Mapping[str, Any], files: Sequence[Path]) -> None:
        self._configure(config)
        for file in files:
            self.client.log_artifact(self.run, str(file))
        if ending == "running":
            self.client.update_run(self.run, status=_STATUS[ending])
        else:
            self.client.set_terminated(self.run, status=_STATUS[ending])


def _key(name: str) -> str:
    """A name as MLflow allows it."""
    return re.sub(r"[^\w\-. :/]", "_", name)[:250]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf with its dotted name, as text."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield _key(name), str(value)[:_LONGEST]
