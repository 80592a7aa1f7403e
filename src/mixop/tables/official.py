"""The authors' API of NAS-Bench-201 and NATS-Bench, answered by a table.

What differs: test results need ``reveal_test=True``, randomness comes from a generator that you pass, and what the table lacks
is an error that says so.

Source: Dong & Yang 2020 (arXiv:2001.00326), Dong et al. 2021 (arXiv:2009.00437); behaviour of their public API.
"""

from random import Random
from typing import Any

import numpy as np

from mixop.core.errors import DataError, SpaceError, unknown
from mixop.spaces.core import Architecture
from mixop.tables.archives import REDIRECT
from mixop.tables.table import Table

_SETS = {
    "cifar10-valid": ("valid", "test"),
    "cifar10": ("test",),
    "cifar100": ("valid", "test", "valtest"),
    "ImageNet16-120": ("valid", "test", "valtest"),
}
"""The splits that each data set has results on."""


class OfficialApi:
    """The API of the benchmark's authors on a table, with its clock.

    Args:
        table: a table of NAS-Bench-201.
        rng: chooses the run when a random one is wanted; None for a generator seeded with 0.
        reveal_test: whether `get_more_info` and `find_best` may show test results. A search never sets this.
        strict: whether an entry that the table lacks is an error. Otherwise `get_more_info` leaves it out, gives the mean for a
            single run where only means are known, and `simulate_train_eval` counts an unknown time of validation as 0 and gives
            None for an unknown latency. Tables from plain files know only training times and means.
    """

    def __init__(self, table: Table, *, rng: Random | None = None, reveal_test: bool = False, strict: bool = True) -> None:
        self.table, self.reveal_test, self.strict = table, reveal_test, strict
        self.rng = rng or Random(0)
        self._used_time = 0.0

    @property
    def used_time(self) -> float:
        """Simulated seconds since the clock was last reset."""
        return self._used_time

    def reset_time(self) -> None:
        """Sets the clock to 0."""
        self._used_time = 0.0

    def __len__(self) -> int:
        return len(self.table)

    def arch(self, index: int) -> str:
        """The native string of an architecture.

        Raises:
            SpaceError: if there is no such number.
        """
        return self.table.native(index)

    def random(self) -> int:
        """The number of a random architecture."""
        return self.rng.randrange(len(self.table))

    def query_index(self, arch: Architecture | str | int) -> int:
        """The number of an architecture, -1 if it is not in the table; a number is returned unchanged.

        Raises:
            SpaceError: if a number is out of range.
        """
        if isinstance(arch, int | np.integer):
            return self.table.index(arch)
        try:
            return self.table.index(arch)
        except SpaceError:
            return -1

    def get_more_info(
        self,
        index: Architecture | str | int,
        dataset: str,
        iepoch: int | None = None,
        hp: str | int = "12",
        is_random: bool | int = True,
    ) -> dict[str, float]:
        """Everything about the training of an architecture on a data set.

        Args:
            index: the architecture, its number or its native string.
            dataset: "cifar10-valid" (trained on half of the training images, ``valid`` are the others, ``test`` is the test
                set), "cifar10" (trained on all of them, ``test`` only), "cifar100" or "ImageNet16-120" (``valid``, ``test``,
                and ``valtest``, which is both).
            iepoch: the epoch, counted from 0; None for the last one.
            hp: the training by its epochs, "12" or "200".
            is_random: True for one random run, the same for all entries; False for means over runs; a seed for that run.

        Returns:
            ``train-loss``, ``train-accuracy`` (percent), ``train-per-time`` (seconds of an epoch on average) and
            ``train-all-time`` (seconds up to and including the epoch); the same for ``valid``, ``test``, ``valtest``.

        Raises:
            DataError: if a name or a seed is unknown, or (if strict) the table lacks an entry.
            SpaceError: if the architecture is not in the table.
        """
        row = self.table.index(index)
        epochs = self._length(hp)
        if dataset not in _SETS:
            raise DataError(unknown("data set of NAS-Bench-201", dataset, _SETS))
        if iepoch is not None and not 0 <= iepoch < epochs:
            raise DataError(f"iepoch must be 0 to {epochs - 1} for this training of {epochs} epochs, got {iepoch!r}.")
        seed: int | None = None
        if is_random is True:
            runs = self._runs(row, dataset, epochs)
            seed = self.rng.choice(runs) if runs else None
            if seed is None and self.strict:
                raise DataError(f"The table {self.table.name} has no single runs on {dataset}: pass is_random=False.")
        elif is_random is not False:
            seed = is_random
        done = epochs if iepoch is None else iepoch + 1
        shown = [split for split in _SETS[dataset] if split == "valid" or self.reveal_test]
        info: dict[str, float] = {}
        for split in ("train", *shown):
            for entry, metric in (("loss", "loss"), ("accuracy", "accuracy"), ("all-time", "seconds")):
                value = self._value(row, dataset, split, metric, epochs, seed, done)
                if value is None:
                    continue
                if metric == "seconds":
                    info[f"{split}-per-time"] = value / done
                info[f"{split}-{entry}"] = value
        return info

    def simulate_train_eval(
        self,
        arch: Architecture | str | int,
        dataset: str,
        iepoch: int | None = None,
        hp: str | int = "12",
        account_time: bool = True,
    ) -> tuple[float, float | None, float, float]:
        """Trains an architecture by looking it up, and advances the clock by the time that would have taken.

        Args:
            arch: the architecture, its number or its native string.
            dataset: "cifar10" (looked up in "cifar10-valid"), "cifar100" or "ImageNet16-120".
            iepoch: the epoch to stop after, counted from 0; None for the last one.
            hp: the training by its epochs, "12" or "200".
            account_time: whether the clock advances.

        Returns:
            The validation accuracy of a random run in percent; the latency in seconds, for ``dataset`` itself and the short
            training, as in the authors' API; the cost in seconds, all of the training plus one evaluation on the validation
            split; and the clock.

        Raises:
            DataError: if a name is unknown, or the table lacks the accuracy, the seconds of training or (if strict) anything.
            SpaceError: if the architecture is not in the table.
        """
        if dataset not in _SETS or dataset == "cifar10-valid":
            raise DataError(unknown("data set to simulate", dataset, [name for name in _SETS if name != "cifar10-valid"]))
        row = self.table.index(arch)
        trained_on = REDIRECT.get(dataset, {}).get("valid", dataset)
        epochs = self._length(hp)
        if self.strict:
            info = self.get_more_info(row, trained_on, iepoch=iepoch, hp=hp, is_random=True)
        else:
            seeds = self._runs(row, trained_on, epochs)
            info = self.get_more_info(row, trained_on, iepoch, hp, self.rng.choice(seeds) if seeds else False)
        for entry in ("valid-accuracy", "train-all-time"):
            if entry not in info:
                raise DataError(
                    f"The table {self.table.name} lacks {entry} of {trained_on}, {hp} epochs, so it cannot simulate it."
                )
        cost = info["train-all-time"] + info.get("valid-per-time", 0.0)
        latency = self._latency(row, dataset)
        if account_time:
            self._used_time += cost
        return info["valid-accuracy"], latency, cost, self._used_time

    def get_cost_info(self, index: Architecture | str | int, dataset: str, hp: str | int = "12") -> dict[str, float | None]:
        """Costs of an architecture.

        Args:
            index: the architecture, its number or its native string.
            dataset: the data set, whose classes decide the size of the classifier.
            hp: the training, whose runs the latency was measured with.

        Returns:
            ``flops`` and ``params`` in millions; ``latency`` in seconds, the mean over runs, None if it was not measured.

        Raises:
            DataError: if a name is unknown, or the table lacks the sizes.
            SpaceError: if the architecture is not in the table.
        """
        row = self.table.index(index)
        costs = {name: self.table.cost(name, row, dataset=dataset) / 1e6 for name in ("flops", "params")}
        try:
            latency = self.table.cost("latency", row, dataset=dataset, epochs=self._length(hp))
        except DataError:
            latency = None
        return {**costs, "latency": latency}

    def find_best(
        self,
        dataset: str,
        metric_on_set: str,
        flop_max: float | None = None,
        param_max: float | None = None,
        hp: str | int = "12",
    ) -> tuple[int, float]:
        """The architecture with the highest mean accuracy within limits.

        Args:
            dataset: the data set; "cifar10" with "valid" means "cifar10-valid".
            metric_on_set: "valid", "test" (also "x-valid", "x-test"), or "ori-test".
            flop_max: largest multiply-adds in millions.
            param_max: largest number of parameters in millions.
            hp: the training.

        Returns:
            Its number and its accuracy in percent; of equals, the first.

        Raises:
            DataError: if a name is unknown, the split is a test split and ``reveal_test`` is not set, or no architecture is
                within the limits.
        """
        split = {"x-valid": "valid", "x-test": "test"}.get(metric_on_set, metric_on_set)
        if split == "ori-test":
            split = "test" if dataset.startswith("cifar10") and dataset != "cifar100" else "valtest"
        epochs = self._length(hp)
        values = self.table.column(dataset=dataset, split=split, epochs=epochs, reveal_test=self.reveal_test)
        for name, limit in (("flops", flop_max), ("params", param_max)):
            if limit is not None:
                values = np.where(self.table.costs(name, dataset=dataset) / 1e6 <= limit, values, np.nan)
        if np.isnan(values).all():
            raise DataError(f"No architecture of the table {self.table.name} is within the limits.")
        best = int(np.nanargmax(values))
        return best, float(values[best])

    def _length(self, hp: str | int) -> int:
        known = {str(column.epochs) for column in self.table.columns if column.epochs}
        text = str(int(hp)) if str(hp).isdigit() else str(hp)  # the size space writes one epoch as "01"
        if text not in known:
            raise DataError(unknown(f"training in the table {self.table.name} called", str(hp), known))
        return int(text)

    def _latency(self, row: int, dataset: str) -> float | None:
        """The latency of the default training: the authors' API takes it for every simulated training."""
        try:
            return self.table.cost("latency", row, dataset=dataset, epochs=self._length("12"))
        except DataError:
            if self.strict:
                raise
            return None

    def _runs(self, row: int, dataset: str, epochs: int) -> list[int]:
        """The runs that an architecture has, without NaN."""
        for split in ("train", *_SETS[dataset]):
            if not self.table.has(dataset, split, "accuracy", epochs):
                continue
            what: dict[str, Any] = {"dataset": dataset, "split": split, "epochs": epochs, "reveal_test": True}
            seeds = self.table.seeds(dataset, split, "accuracy", epochs)
            found = []
            for seed in seeds:
                try:
                    self.table.query(row, **what, seed=seed)
                except DataError:
                    continue
                found.append(seed)
            if found:
                return found
        return []

    def _value(self, row: int, dataset: str, split: str, metric: str, epochs: int, seed: int | None, done: int) -> float | None:
        """A value, or None if it is missing and that is not an error."""
        what: dict[str, Any] = {"dataset": dataset, "split": split, "metric": metric, "epochs": epochs, "after": done}
        try:
            found = self.table.find(dataset, split, metric, epochs)
            one = seed if found.runs is not None or self.strict else None
            return self.table.query(row, **what, seed=one, reveal_test=True)
        except DataError:
            if self.strict:
                raise
            return None
