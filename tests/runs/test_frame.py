import sys
from dataclasses import replace

import pytest
from made_runs import make_run

from mixop.core.errors import MissingExtraError
from mixop.runs.directory import RunDirectory
from mixop.runs.frame import epoch_rows, frame, network_rows
from mixop.runs.records import SearchRecord

pytest.importorskip("pandas", reason="needs pandas, of the extra frames")


@pytest.fixture
def run(tmp_path):
    return RunDirectory(make_run(tmp_path / "digits"))


def test_there_is_a_row_for_each_epoch_with_the_numbers_of_the_file(run):
    records = [record for record in run.records() if isinstance(record, SearchRecord)]
    records[0] = replace(records[0], columns={"eigenvalue": 0.5})  # an epoch that a monitor skipped has none
    table = frame(epoch_rows(records))
    assert table["epoch"].tolist() == [record.epoch for record in records]
    assert table["valid_accuracy"].tolist() == [record.valid["accuracy"] for record in records]
    assert table["train_loss"].tolist() == [record.train["loss"] for record in records]
    assert table["architecture"].tolist() == [record.architecture for record in records]
    assert table["eigenvalue"].notna().tolist() == [True, *[False] * (len(records) - 1)]


def test_there_is_a_row_for_each_network(run):
    score = run.score()
    table = frame(network_rows(score.networks))
    assert table["label"].tolist() == [network.label for network in score.networks]
    assert table["accuracy"].tolist() == [network.measures["accuracy"] for network in score.networks]


def test_without_pandas_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"A frame of results needs pandas.*mixop\[frames\]"):
        frame([{"a": 1}])
