"""What papers report on NAS-Bench-201, to stand beside what we measure.

Two tables exist that must not be mixed: architectures searched on the data set that they are tested on, and architectures
searched on CIFAR-10 and carried over to the other sets.
"""

from collections.abc import Mapping
from dataclasses import dataclass

DATASETS = ("cifar10", "cifar100", "imagenet16-120")


@dataclass(frozen=True)
class Published:
    """Accuracies that a paper reports of a method, in percent.

    Args:
        valid: mean on the validation split; None if it is not reported.
        test: mean on the test split.
        valid_deviation: standard deviation of the former over runs, if reported.
        test_deviation: standard deviation of the latter.
        runs: number of runs.
        source: paper and table.
    """

    valid: float | None
    test: float
    valid_deviation: float | None = None
    test_deviation: float | None = None
    runs: int | None = None
    source: str = ""


_DRNAS = "Chen et al. 2021 (arXiv:2006.10355), table 4"
_BENCHMARK = "Dong & Yang 2020 (arXiv:2001.00326), table 5"


def _rows(source: str, runs: Mapping[str, int | None], table: str) -> dict[str, dict[str, Published]]:
    """Reads a table of lines ``method | valid+-sd test+-sd | ...``, one pair for each of `DATASETS`."""
    rows: dict[str, dict[str, Published]] = {}
    for line in table.strip().splitlines():
        name, *cells = (cell.strip() for cell in line.split("|"))
        rows[name] = {}
        for dataset, cell in zip(DATASETS, cells, strict=True):
            (valid, valid_sd), (test, test_sd) = (_number(word) for word in cell.split())
            rows[name][dataset] = Published(valid, test, valid_sd, test_sd, runs.get(name, runs[""]), source)
    return rows


def _number(word: str) -> tuple[float, float | None]:
    mean, _, deviation = word.partition("+-")
    return float(mean), float(deviation) if deviation else None


SEARCHED: Mapping[str, Mapping[str, Published]] = _rows(
    _DRNAS,
    {"": 4},
    """
    random     | 90.93+-0.36 93.70+-0.36 | 70.60+-1.37 70.65+-1.38   | 42.92+-2.00 42.96+-2.15
    rsws       | 84.16+-1.69 87.66+-1.69 | 45.78+-6.33 46.60+-6.57   | 31.09+-5.65 30.78+-6.12
    reinforce  | 91.09+-0.37 93.85+-0.37 | 70.05+-1.67 70.17+-1.61   | 43.04+-2.18 43.16+-2.28
    enas       | 39.77+-0.00 54.30+-0.00 | 10.23+-0.12 10.62+-0.27   | 16.43+-0.00 16.32+-0.00
    darts      | 39.77+-0.00 54.30+-0.00 | 38.57+-0.00 38.97+-0.00   | 18.87+-0.00 18.41+-0.00
    darts2     | 39.77+-0.00 54.30+-0.00 | 38.57+-0.00 38.97+-0.00   | 18.87+-0.00 18.41+-0.00
    gdas       | 90.01+-0.46 93.23+-0.23 | 24.05+-8.12 24.20+-8.08   | 40.66+-0.00 41.02+-0.00
    snas       | 90.10+-1.04 92.77+-0.83 | 69.69+-2.39 69.34+-1.98   | 42.84+-1.79 43.16+-2.64
    dsnas      | 89.66+-0.29 93.08+-0.13 | 30.87+-16.40 31.01+-16.38 | 40.61+-0.09 41.07+-0.09
    pcdarts    | 89.96+-0.15 93.41+-0.30 | 67.12+-0.39 67.48+-0.89   | 40.83+-0.08 41.31+-0.22
    drnas      | 91.55+-0.00 94.36+-0.00 | 73.49+-0.00 73.51+-0.00   | 46.37+-0.00 46.34+-0.00
    """,
)
"""Searched and tested on the same set: recipe -> data set -> what is reported."""

CARRIED: Mapping[str, Mapping[str, Published]] = _rows(
    _BENCHMARK,
    {"": 3, "evolution": 500, "random": 500, "reinforce": 500, "bohb": 500},
    """
    evolution  | 91.19+-0.31 93.92+-0.30 | 71.81+-1.12 71.84+-0.99 | 45.15+-0.89 45.54+-1.03
    random     | 90.93+-0.36 93.70+-0.36 | 70.93+-1.09 71.04+-1.07 | 44.45+-1.10 44.57+-1.25
    reinforce  | 91.09+-0.37 93.85+-0.37 | 71.61+-1.12 71.71+-1.09 | 45.05+-1.02 45.24+-1.18
    bohb       | 90.82+-0.53 93.61+-0.52 | 70.74+-1.29 70.85+-1.28 | 44.26+-1.36 44.42+-1.49
    rsws       | 84.16+-1.69 87.66+-1.69 | 59.00+-4.60 58.33+-4.34 | 31.56+-3.28 31.14+-3.88
    darts      | 39.77 54.30             | 15.03 15.61             | 16.43 16.32
    darts2     | 39.77 54.30             | 15.03 15.61             | 16.43 16.32
    gdas       | 90.00+-0.21 93.51+-0.13 | 71.14+-0.27 70.61+-0.26 | 41.70+-1.26 41.84+-0.90
    setn       | 82.25+-5.17 86.19+-4.63 | 56.86+-7.59 56.87+-7.77 | 32.54+-3.63 31.90+-4.07
    """,
)
"""Searched on CIFAR-10 and carried over. The last pair of ``setn`` was not verified in a source."""

SINGLE: Mapping[str, Mapping[str, Published]] = {
    "gaea": {
        name: Published(None, test, source="Li et al. 2021 (arXiv:2004.07802), as public lists of results have it")
        for name, test in zip(DATASETS, (94.10, 73.43, 46.36), strict=True)
    },
    "darts_minus": {
        name: Published(valid, test, source="Chu et al. 2021 (arXiv:2009.01027), as public lists of results have it")
        for name, valid, test in zip(DATASETS, (91.03, 71.36, 44.87), (93.80, 71.53, 45.12), strict=True)
    },
    "darts_pt": {
        "cifar10": Published(None, 88.11, source="Wang et al. 2021 (arXiv:2108.04392), table 4: test error 11.89"),
    },
}
"""Methods that neither table has, searched on the set that they are tested on."""

OPTIMAL: Mapping[str, Published] = {
    name: Published(valid, test, source=_DRNAS)
    for name, valid, test in zip(DATASETS, (91.61, 73.49, 46.77), (94.37, 73.51, 47.31), strict=True)
}
"""The best architectures of the benchmark."""


def published(method: str, dataset: str) -> Published | None:
    """What is reported of a method that searched on a data set of `DATASETS`; None if nothing is known.

    Args:
        method: name of a recipe or of a black-box searcher.
        dataset: the set that it searches and is tested on.
    """
    for table in (SEARCHED, SINGLE, *((CARRIED,) if dataset == "cifar10" else ())):
        if dataset in table.get(method, {}):
            return table[method][dataset]
    return None
