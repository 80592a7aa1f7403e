"""MLflow, read back by its own client from a store of files."""

import json
from pathlib import Path
from typing import Any

import pytest
from made_runs import lines_of, write_lines

from mixop.runs.trackers.live import track

mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")

# MLflow's own: of pydantic, of a store of files being an old one.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "trial")
    return mlflow.MlflowClient()


def runs_of(client: Any) -> list[Any]:
    return list(client.search_runs([client.get_experiment_by_name("trial").experiment_id]))


def points(client: Any, run: Any, key: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, key)]


def test_a_finished_run_is_there_with_everything(run_at, client):
    run = run_at(epochs=3, rivals=(0.9,))
    (run / "report.html").write_text("the page")
    track([run], "mlflow", group="all")
    (seen,) = runs_of(client)
    lines = [line for line in lines_of(run) if line["phase"] == "search"]
    assert points(client, seen, "search/loss/train") == [(line["epoch"], line["train"]["loss"]) for line in lines]
    assert points(client, seen, "random-1/accuracy/test") == [(20, 0.9)]
    assert seen.data.params["recipe.epochs"] == str(json.loads((run / "recipe.json").read_text())["epochs"])
    assert seen.data.params["architecture"] == json.loads((run / "architecture.json").read_text())["native"]
    assert (seen.info.status, seen.info.run_name, seen.data.tags["mixop.group"]) == ("FINISHED", "all/digits", "all")
    artefact = Path(client.download_artifacts(seen.info.run_id, "report.html"))
    assert artefact.read_text() == "the page"


def test_what_comes_later_goes_into_the_same_run_with_no_point_twice(run_at, client):
    run = run_at(epochs=4, upto="search")
    lines = lines_of(run)
    write_lines(run, lines[:2])
    track([run], "mlflow")
    assert [seen.info.status for seen in runs_of(client)] == ["RUNNING"]
    write_lines(run, lines[:1])  # cut back to its checkpoint, and on from there
    track([run], "mlflow")
    write_lines(run, lines)
    track([run], "mlflow")
    (seen,) = runs_of(client)
    assert [step for step, _ in points(client, seen, "search/loss/train")] == [1, 2, 3, 4]


def test_names_that_mlflow_does_not_know_are_changed_and_many_numbers_are_divided(run_at, client):
    columns = {f"what (nr {k})": float(k) for k in range(1500)}
    track([run_at(epochs=1, upto="search", columns=lambda _: columns)], "mlflow")
    (seen,) = runs_of(client)
    assert seen.data.metrics["search/monitors/what _nr 1499_"] == 1499.0
