"""What papers report on NAS-Bench-201, to stand beside what we measure.

Two tables exist that must not be mixed: architectures searched on the data set that they are tested on, and architectures
searched on CIFAR-10 and carried over to the other sets. `mixop.comparison.survey` has both, and all other numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mixop.comparison.survey import MEASURES, TABLES, Reported
from mixop.core.measure import Measure

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


_VALID, _TEST, _ERROR = (MEASURES[word] for word in ("valid", "test", "error"))


def _methods(*tables: str) -> dict[str, dict[str, Published]]:
    """What tables of the survey say of accuracies: recipe or searcher -> data set -> both splits."""
    cells: dict[tuple[str, str], dict[Measure, Reported]] = {}
    for number in (number for table in tables for number in TABLES[table]):
        cells.setdefault((number.recipe or number.method, number.dataset), {})[number.measure] = number
    found: dict[str, dict[str, Published]] = {}
    for (method, dataset), of in cells.items():
        found.setdefault(method, {})[dataset] = _accuracies(of)
    return found


def _accuracies(of: Mapping[Measure, Reported]) -> Published:
    valid, test, error = (of.get(measure) for measure in (_VALID, _TEST, _ERROR))
    known = test or error
    assert known is not None  # these tables have a column of the test
    return Published(
        None if valid is None else valid.value,
        known.value if test else round(100 - known.value, 2),
        None if valid is None else valid.deviation,
        known.deviation,
        known.runs,
        known.source,
    )


_OF_BENCHMARK = _methods("nasbench201-searched")

OPTIMAL: Mapping[str, Published] = _OF_BENCHMARK["optimal"]
"""The best architectures of the benchmark."""

SEARCHED: Mapping[str, Mapping[str, Published]] = {
    method: of for method, of in _OF_BENCHMARK.items() if method not in ("ResNet", "optimal")
}
"""Searched and tested on the same set: recipe -> data set -> what is reported."""

CARRIED: Mapping[str, Mapping[str, Published]] = _methods("nasbench201-carried")
"""Searched on CIFAR-10 and carried over. The last pair of ``setn`` was not verified in a source."""

SINGLE: Mapping[str, Mapping[str, Published]] = {
    **_methods("nasbench201-gaea", "nasbench201-darts-minus"),
    "darts_pt": _methods("nasbench201-darts-pt")["darts_pt"],
}
"""Methods that neither table has, searched on the set that they are tested on."""


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
