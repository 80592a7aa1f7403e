"""The tables that come with mixop: small, whole, and true."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mixop.core.errors import DataError
from mixop.data.images.digits import Digits
from mixop.spaces import SPACES
from mixop.spaces.nasbench201 import NasBench201Digits
from mixop.spaces.sizes import Sizes
from mixop.tables import catalogue
from mixop.tables.catalogue import open_table, shipped_names
from mixop.tables.table import Table
from mixop.tabulate.build import architectures_of, train
from mixop.tabulate.how import Tabulation

DIGITS = "nasbench201-digits"


def test_each_is_small_whole_and_of_the_space_that_it_is_named_after():
    assert DIGITS in shipped_names()
    for name in shipped_names():
        table = open_table(name)
        table.verify()
        assert Path(table.path).stat().st_size < 300_000
        assert (table.name, table.space.name) == (name, name)
        assert name in SPACES


def test_the_one_on_digits_has_every_architecture_with_three_seeds():
    table, space = open_table(DIGITS), NasBench201Digits()
    assert sorted(table.index(architecture) for architecture in architectures_of(space)) == list(range(729))
    for split in ("valid", "test"):
        assert table.seeds("digits", split, epochs=12) == (0, 1, 2)
        assert table.curve("digits", split, epochs=12) == (1, 2, 4, 8, 12)
    runs = np.stack([table.column(dataset="digits", split="valid", epochs=12, seed=seed) for seed in range(3)])
    means = runs.mean(axis=0)
    assert np.isfinite(runs).all()
    assert means.std(ddof=1) > np.sqrt(
        runs.var(axis=0, ddof=1).mean() / 3
    )  # architectures differ more than their means are unsure
    assert table.optimum(dataset="digits", split="valid", epochs=12).value == pytest.approx(means.max())


def test_the_page_of_tables_says_what_is_in_it():
    """Every figure of docs/tables.md about the table."""
    page = " ".join((Path(__file__).parents[2] / "docs" / "tables.md").read_text().split())
    table = open_table(DIGITS)
    skips = next(i for i in range(len(table)) if table.native(i).count("skip_connect") == 6)
    means, cells = {}, []
    for split in ("valid", "test"):
        where: dict[str, Any] = {"dataset": "digits", "split": split, "epochs": 12, "reveal_test": True}
        runs = np.stack([table.column(**where, seed=seed) for seed in range(3)])
        means[split] = mean = runs.mean(axis=0)
        deviations = mean.std(ddof=1), np.sqrt(runs.var(axis=0, ddof=1).mean())
        cells.append([f"{mean.min():.1f} %, {mean.max():.1f} %", *(f"{d:.1f}" for d in deviations), f"{mean[skips]:.1f} %"])
    titles = (
        "least and largest mean over seeds",
        "standard deviation over architectures",
        "standard deviation over the seeds of an architecture",
        "skip connections only",
    )
    for title, valid, test in zip(titles, *cells, strict=True):
        assert f"| {title} | {valid} | {test} |" in page
    correlation = stats.spearmanr(means["valid"], means["test"]).statistic
    assert f"validation and test over architectures is {correlation:.2f}" in page
    assert f"{100 * (means['valid'] > means['valid'][skips]).mean():.0f} % of the architectures are better" in page


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 364, 728])
def test_what_it_says_of_an_architecture_is_what_training_it_gives(index: int):
    """On another processor a few images of 719 may fall otherwise."""
    data = Digits().load()
    space = NasBench201Digits().fit(Sizes((1, 8, 8), 10))
    architecture = architectures_of(space)[index]
    found = train([architecture], [index], space, data, Tabulation(epochs=12, seeds=1))
    told = open_table(DIGITS).query(architecture, dataset="digits", split="valid", epochs=12, seed=0)
    assert 100 * found["valid_accuracy"][0, 0, -1] == pytest.approx(told, abs=5.0)


def test_a_file_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    own = tmp_path / "own.table"
    own.write_bytes((catalogue.FOLDER / f"{DIGITS}.table").read_bytes())
    assert isinstance(open_table(own), Table)
    monkeypatch.chdir(tmp_path)
    assert open_table("own.table").name == DIGITS
    with pytest.raises(DataError, match="nasbench201-digits"):
        open_table("nasbench201-digit")
    with pytest.raises(DataError):
        open_table(tmp_path / "none.table")
