"""Scores and seconds that are looked up."""

from collections import Counter

import numpy as np
import pytest

from mixop.core.errors import DataError
from mixop.core.measure import ACCURACY, Measure
from mixop.searchers.driver import run_search
from mixop.searchers.objective import TableObjective
from mixop.searchers.random_search import RandomSearch
from mixop.spaces.toy import Toy
from mixop.tables import Column, Table, write_table


class Dictionary:
    """A table of three runs, of which every other architecture lacks the last."""

    lengths = (12, 200)
    measure = Measure("points", "higher")

    def __init__(self, space):
        self.rows = {architecture: row for row, architecture in enumerate(space.architectures())}

    def index(self, architecture):
        return self.rows[architecture]

    def seeds(self, epochs=None):
        return (777, 888, 999) if epochs == 12 else ()

    def query(self, architecture, *, epochs=None, seed=None, after=None):
        if seed == 999 and self.index(architecture) % 2:
            raise DataError("not measured")
        assert after is None
        return self.index(architecture) + ({777: 0.25, 888: 0.5, 999: 0.75}[seed] if seed else 0.0)

    def seconds(self, architecture, *, epochs=None, seed=None, after=None):
        return 10.0 * epochs + (seed or 0)


def test_without_a_seed_it_is_the_mean():
    space = Toy()
    objective = TableObjective(Dictionary(space))
    for row, architecture in enumerate(space.architectures()):
        assert objective(architecture, 12) == (row, 120.0)


def test_with_a_seed_it_is_one_run_and_the_same_one_again():
    space = Toy()
    table = Dictionary(space)
    drawn = Counter()
    for row, architecture in enumerate(space.architectures()):
        for seed in range(30):
            score, seconds = TableObjective(table, seed)(architecture, 12)
            run = {0.25: 777, 0.5: 888, 0.75: 999}[score - row]
            assert seconds == 120 + run
            assert TableObjective(table, seed)(architecture, 12) == (score, seconds)
            drawn[run, row % 2] += 1
    n = 32 * 30
    assert drawn[999, 1] == 0  # half of the architectures have no such run, and take one of the others
    for run, odd, share in ((777, 0, 1 / 3), (888, 0, 1 / 3), (999, 0, 1 / 3), (777, 1, 1 / 2), (888, 1, 1 / 2)):
        assert abs(drawn[run, odd] - n * share) < 4 * np.sqrt(n * share * (1 - share))


def test_where_only_means_are_known_they_are_taken():
    space = Toy()
    assert TableObjective(Dictionary(space), seed=1)(space.optimum, 5) == (Dictionary(space).index(space.optimum), 50.0)


def test_a_table_of_this_package_answers(tmp_path):
    """Its rows, columns and clock by hand: 12 epochs of training and one validation pass."""
    space = Toy()
    natives = [space.to_native(architecture) for architecture in space.architectures()]
    rng = np.random.default_rng(0)
    accuracy, train = rng.uniform(10, 90, len(natives)), rng.uniform(5, 9, len(natives))
    columns = [
        Column(metric="accuracy", dataset="toy", split="valid", epochs=12, values=accuracy),
        Column(metric="seconds", dataset="toy", split="train", epochs=12, values=train),
    ]
    path = tmp_path / "toy.table"
    write_table(path, columns, name="toy", space=space, architectures=natives)
    table = Table.open(path).for_search(dataset="toy")
    outcome = run_search(RandomSearch(repeat=False), space, TableObjective(table), max_trials=len(natives))
    assert outcome.value == pytest.approx(accuracy.max() / 100, rel=1e-4)  # a share, which the table has in percent
    assert outcome.measure == ACCURACY
    assert outcome.spent == pytest.approx(train.sum(), rel=1e-4)
    with pytest.raises(DataError):
        run_search(RandomSearch(epochs=200), space, TableObjective(table), max_trials=1)


def test_a_shorter_training_is_the_only_one_stopped_early(tmp_path):
    space = Toy()
    architectures = list(space.architectures())
    natives = [space.to_native(architecture) for architecture in architectures]
    runs = np.arange(len(natives) * 2 * 3, dtype=np.float64).reshape(-1, 2, 3) / 4  # architecture, run, after 1, 4 and 12
    columns = [
        Column(metric="accuracy", values=runs, dataset="toy", split="valid", epochs=12, seeds=(0, 1), after=(1, 4, 12)),
        Column(metric="seconds", values=np.full(len(natives), 60.0), dataset="toy", split="train", epochs=12, linear=True),
    ]
    write_table(tmp_path / "toy.table", columns, space=space, architectures=natives, name="toy")
    table = Table.open(tmp_path / "toy.table").for_search(dataset="toy")
    objective = TableObjective(table, seed=0)
    whole, seconds = objective(architectures[5], 12)
    run = {runs[5, r, 2] / 100: r for r in range(2)}[whole]
    assert seconds == 60.0
    assert objective(architectures[5], 4) == (runs[5, run, 1] / 100, pytest.approx(20.0))  # the same run, a third of the time
    assert objective(architectures[5], 1) == (runs[5, run, 0] / 100, pytest.approx(5.0))
    with pytest.raises(DataError, match="after=3"):
        objective(architectures[5], 3)


def test_a_table_of_losses_is_searched_downwards(tmp_path):
    space, error = Toy(), Measure("error", "lower", "mm")
    natives = [space.to_native(architecture) for architecture in space.architectures()]
    values = np.random.default_rng(1).uniform(1, 9, len(natives))
    columns = [
        Column(metric="error", dataset="toy", split="valid", epochs=12, values=values),
        Column(metric="seconds", dataset="toy", split="train", epochs=12, values=np.ones(len(natives))),
    ]
    write_table(tmp_path / "t", columns, name="toy", space=space, architectures=natives, measures=(error,))
    objective = TableObjective(Table.open(tmp_path / "t").for_search(dataset="toy"))
    assert objective.measure == error
    outcome = run_search(RandomSearch(repeat=False), space, objective, max_trials=len(natives))
    assert outcome.value == pytest.approx(values.min(), rel=1e-6)  # float32 in the file
    assert space.to_native(outcome.architecture) == natives[int(values.argmin())]
