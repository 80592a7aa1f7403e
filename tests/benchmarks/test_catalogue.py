"""The tables of the package are whole, small, and opened by name."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mixop.benchmarks import Column, Table, shipped, shipped_names, write_table
from mixop.errors import DataError
from mixop.spaces import toy


@pytest.mark.parametrize("name", shipped_names())
def test_every_table_of_the_package(name: str):
    table = shipped(name)
    table.verify()
    assert table.name == name
    assert Path(table.path).stat().st_size < 300_000
    assert len(table.space.to_native(table.architecture(0))) > 0


def test_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mixop.benchmarks.catalogue.FOLDER", tmp_path / "tables")
    assert shipped_names() == ()
    with pytest.raises(DataError, match="none at all"):
        shipped("mine")
    column = Column(metric="accuracy", split="valid", values=np.zeros(1), dataset="d")
    path = write_table(tmp_path / "mine.table", [column], name="mine", architectures=["abs|abs|abs"], space=toy())
    (tmp_path / "tables").mkdir()
    shutil.move(path, tmp_path / "tables")
    assert shipped_names() == ("mine",)
    assert isinstance(shipped("mine"), Table)
    with pytest.raises(DataError, match="did you mean 'mine'"):
        shipped("mein")
