"""What the papers of the field report, number by number, each with its source: the tables that surveys are made of.

The tables are kept as text, close to how the papers print them, and read strictly. Numbers of different tables must not be
mixed: their protocols differ, and where two tables count the cost of the same search differently, both stand here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mixop.core.measure import Measure

MEASURES: Mapping[str, Measure] = {
    "valid": Measure("validation_accuracy", "higher", "%"),
    "test": Measure("test_accuracy", "higher", "%"),
    "error": Measure("test_error", "lower", "%"),
    "top1": Measure("top1_error", "lower", "%"),
    "top5": Measure("top5_error", "lower", "%"),
    "valid_ppl": Measure("validation_perplexity", "lower"),
    "ppl": Measure("test_perplexity", "lower"),
    "memory": Measure("gpu_memory", "lower", "MB"),
    "eigenvalue": Measure("dominant_eigenvalue", "lower"),
    "growth": Measure("dominant_eigenvalue_growth", "lower", "times"),
    "hours": Measure("search_cost", "lower", "GPU hours"),
}
"""What is reported, by its word in the tables below. Papers write shares in percent, and so do these values."""

TITLES: Mapping[str, str] = {
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet16-120": "ImageNet16-120",
    "imagenet": "ImageNet, mobile setting",
    "svhn": "SVHN",
    "ptb": "Penn Treebank",
}
"""Data sets by name, as people write them."""

UNVERIFIED = "?"
"""Stands behind a number that was not seen in a source."""


@dataclass(frozen=True, kw_only=True)
class Reported:
    """One number that a paper reports.

    Args:
        table: which of `TABLES` it stands in.
        method: as the paper writes it, without the citation.
        dataset: that it was measured on, one of `TITLES`.
        space: the space that was searched, one of mixop's; None for networks made by hand and for spaces of other kinds.
        measure: what the number is, with its unit and direction.
        value: in that unit.
        deviation: standard deviation over runs, if reported.
        runs: number of runs, if reported.
        parameters: of the network, in millions, if reported.
        cost: of the search, from the least to the largest if a range is reported, in ``cost_unit``.
        cost_unit: ``"GPU days"``, ``"CPU days"`` or ``"s"``; empty without a cost.
        source: paper and table.
        verified: whether the number was seen in a source; else it is from memory, and nothing may rest on it.
        note: what else the paper says of the row.
    """

    table: str
    method: str
    dataset: str
    space: str | None
    measure: Measure
    value: float
    deviation: float | None = None
    runs: int | None = None
    parameters: float | None = None
    cost: tuple[float, float] | None = None
    cost_unit: str = ""
    source: str
    verified: bool = True
    note: str = ""

    @property
    def recipe(self) -> str | None:
        """The recipe of this method, or the black-box searcher; None if mixop has neither."""
        return IN_SPACE.get((self.method, self.space or ""), METHODS.get(self.method))

    def to_json(self) -> dict[str, Any]:
        """The number with all that is known of it as JSON data."""
        plain = {**vars(self), "recipe": self.recipe, "measure": self.measure.to_json()}
        return plain | {"cost": None if self.cost is None else list(self.cost)}


METHODS: Mapping[str, str] = {
    "BOHB": "bohb",
    "BayesNAS": "bayesnas",
    "DARTS": "darts",  # these tables do not say of which order
    "DARTS (1st)": "darts",
    "DARTS (2nd)": "darts2",
    "DARTS (first order)": "darts",
    "DARTS (first order) + cutout": "darts",
    "DARTS (second order)": "darts2",
    "DARTS (second order) + cutout": "darts2",
    "DARTS+PT": "darts_pt",
    "DARTS+PT (average)": "darts_pt",
    "DARTS+PT (best)": "darts_pt",
    "DARTS-": "darts_minus",
    "DARTS- (average)": "darts_minus",
    "DARTS-V1": "darts",
    "DARTS-V2": "darts2",
    "DSNAS": "dsnas",
    "DrNAS": "drnas",
    "DrNAS (without progressive learning)": "drnas",
    "DrNAS, K = 1": "drnas",
    "DrNAS, lambda = 1e-3": "drnas",
    "DrNAS, progressive": "drnas_progressive_201",
    "ENAS": "enas",
    "ENAS (dagger)": "enas",
    "ENAS (star)": "enas",
    "ENAS + cutout": "enas_micro",
    "ENAS + cutout (star)": "enas_micro",
    "ENAS + macro search space": "enas_macro",
    "ENAS + macro search space + more channels": "enas_macro",
    "ENAS + micro search space": "enas_micro",
    "ENAS + micro search space + cutout": "enas_micro",
    "GAEA + PC-DARTS": "gaea_pcdarts",
    "GAEA DARTS (ERM)": "gaea",
    "GDAS": "gdas",
    "P-DARTS": "pdarts",
    "P-DARTS (CIFAR-10)": "pdarts",
    "P-DARTS (CIFAR-100)": "pdarts",
    "PARSEC": "parsec",
    "PC-DARTS": "pcdarts",
    "PC-DARTS (CIFAR-10)": "pcdarts",
    "PC-DARTS (ImageNet)": "pcdarts",
    "PR-DARTS": "prdarts",
    "ProxylessNAS": "proxylessnas",
    "ProxylessNAS (GPU)": "proxylessnas",
    "R-DARTS (DP)": "rdarts_dp",
    "R-DARTS (L2)": "rdarts_l2",
    "REA": "evolution",
    "REINFORCE": "reinforce",
    "RS": "random",
    "RSPS": "rsws",
    "Random": "random",
    "Random search baseline": "random",
    "Random search baseline + cutout": "random",
    "SDARTS-ADV": "sdarts_adv",
    "SDARTS-RS": "sdarts_rs",
    "SETN": "setn",
    "SNAS": "snas",
    "SNAS (mild)": "snas",
    "SNAS (moderate)": "snas",
}
"""Methods as papers write them -> recipe or black-box searcher."""

IN_SPACE: Mapping[tuple[str, str], str | None] = {
    ("DARTS (first order)", "darts_rnn"): "darts_rnn",
    ("DARTS (second order)", "darts_rnn"): None,  # `darts_rnn` with another scheme
    ("DrNAS", "darts"): "drnas_progressive",
    ("ENAS", "enas_micro"): "enas_micro",
    ("ENAS (dagger)", "enas_rnn"): "enas_rnn",
    ("ENAS (star)", "enas_rnn"): "enas_rnn",
    ("GDAS", "darts"): "gdas_darts",
}
"""The same where a method has a recipe of its own for a space: method and space -> recipe."""

_COLUMNS = ("method", "space", "runs", "params")
_COSTS = {"days": "GPU days", "seconds": "s"}


def _read(table: str, source: str, text: str, *, space: str | None = None) -> tuple[Reported, ...]:
    """The numbers of a table in text, a row a line.

    The first line names the columns: ``method``, ``space``, ``runs``, ``params`` in millions, the cost as ``days`` (of a GPU)
    or ``seconds``; any other column is a data set, or ``dataset@space``, and the words of its measures, one number for each.
    ``-`` is what a paper leaves out, ``5.2+-0.1`` a value with its deviation, a ``?`` behind it says `UNVERIFIED`, and a
    ``#`` begins a note.

    Raises:
        ValueError: if a line is anything else.
    """
    header, *lines = text.strip().splitlines()
    columns = [cell.strip() for cell in header.split("|")]
    rows = []
    for line in lines:
        line, _, note = (part.strip() for part in line.partition("#"))
        cells = dict(zip(columns, (cell.strip() for cell in line.split("|")), strict=True))
        about = _about(cells, space)
        for column in cells:
            for measure, dataset, other, word in _values(column, cells[column]):
                value, deviation, doubt = _number(word)
                number = {"value": value, "deviation": deviation, "verified": not doubt}
                where = {"dataset": dataset, "space": other or about["space"], "measure": measure}
                rows.append(Reported(**{**about, **where, **number}, table=table, source=source, note=note))
    return tuple(rows)


def _about(cells: Mapping[str, str], space: str | None) -> dict[str, Any]:
    """What a line says of all its numbers."""
    given = {name: cell for name, cell in cells.items() if cell != "-"}
    cost = next((_cost(given[name], _COSTS[name]) for name in _COSTS if name in given), (None, ""))
    return {
        "method": given["method"],
        "space": given.get("space", None if "space" in cells else space),
        "runs": int(given["runs"]) if "runs" in given else None,
        "parameters": float(given["params"]) if "params" in given else None,
        "cost": cost[0],
        "cost_unit": cost[1],
    }


def _values(column: str, cell: str) -> Iterator[tuple[Measure, str, str, str]]:
    """Measure, data set, space and text of each number that stands in a cell."""
    if column in _COLUMNS or column in _COSTS:
        return
    where, *measures = column.split()
    dataset, _, space = where.partition("@")
    if dataset not in TITLES or not MEASURES.keys() >= set(measures):
        raise ValueError(f"A column is a data set and its measures, got {column!r}.")
    for measure, word in zip(measures, cell.split(), strict=True):
        if word != "-":
            yield MEASURES[measure], dataset, space, word


def _number(word: str) -> tuple[float, float | None, bool]:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:\+-(\d+(?:\.\d+)?))?(\?)?", word)
    if match is None:
        raise ValueError(f"{word!r} is not a number such as 5.2, 5.2+-0.1 or 5.2?.")
    value, deviation, doubt = match.groups()
    return float(value), None if deviation is None else float(deviation), doubt is not None


def _cost(cell: str, unit: str) -> tuple[tuple[float, float], str]:
    """``4``, ``80-100`` or, in a unit of its own, ``10000 CPU days``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?(?: (CPU days))?", cell)
    if match is None:
        raise ValueError(f"{cell!r} is not a cost such as 4, 80-100 or 10000 CPU days.")
    least, largest, own = match.groups()
    return (float(least), float(largest or least)), own or unit


_DRNAS = "Chen et al. 2021 (arXiv:2006.10355)"
_DARTS = "Liu et al. 2019 (arXiv:1806.09055)"
_ENAS = "Pham et al. 2018 (arXiv:1802.03268)"
_DARTS_PT = "Wang et al. 2021 (arXiv:2108.04392)"

_ALL = (
    # NAS-Bench-201, searched on the set that is tested on.
    _read(
        "nasbench201-searched",
        f"{_DRNAS}, table 4",
        """
        method      | runs | cifar10 valid test      | cifar100 valid test       | imagenet16-120 valid test
        ResNet      | -    | 90.83 93.97             | 70.42 70.86               | 44.53 43.63
        Random      | 4    | 90.93+-0.36 93.70+-0.36 | 70.60+-1.37 70.65+-1.38   | 42.92+-2.00 42.96+-2.15
        RSPS        | 4    | 84.16+-1.69 87.66+-1.69 | 45.78+-6.33 46.60+-6.57   | 31.09+-5.65 30.78+-6.12
        REINFORCE   | 4    | 91.09+-0.37 93.85+-0.37 | 70.05+-1.67 70.17+-1.61   | 43.04+-2.18 43.16+-2.28
        ENAS        | 4    | 39.77+-0.00 54.30+-0.00 | 10.23+-0.12 10.62+-0.27   | 16.43+-0.00 16.32+-0.00
        DARTS (1st) | 4    | 39.77+-0.00 54.30+-0.00 | 38.57+-0.00 38.97+-0.00   | 18.87+-0.00 18.41+-0.00
        DARTS (2nd) | 4    | 39.77+-0.00 54.30+-0.00 | 38.57+-0.00 38.97+-0.00   | 18.87+-0.00 18.41+-0.00
        GDAS        | 4    | 90.01+-0.46 93.23+-0.23 | 24.05+-8.12 24.20+-8.08   | 40.66+-0.00 41.02+-0.00
        SNAS        | 4    | 90.10+-1.04 92.77+-0.83 | 69.69+-2.39 69.34+-1.98   | 42.84+-1.79 43.16+-2.64
        DSNAS       | 4    | 89.66+-0.29 93.08+-0.13 | 30.87+-16.40 31.01+-16.38 | 40.61+-0.09 41.07+-0.09
        PC-DARTS    | 4    | 89.96+-0.15 93.41+-0.30 | 67.12+-0.39 67.48+-0.89   | 40.83+-0.08 41.31+-0.22
        DrNAS       | 4    | 91.55+-0.00 94.36+-0.00 | 73.49+-0.00 73.51+-0.00   | 46.37+-0.00 46.34+-0.00
        optimal     | -    | 91.61 94.37             | 73.49 73.51               | 46.77 47.31
        """,
        space="nasbench201",
    ),
    _read(
        "nasbench201-gaea",
        "Li et al. 2021 (arXiv:2004.07802), as public lists of results have it",
        """
        method           | cifar10 test | cifar100 test | imagenet16-120 test
        GAEA DARTS (ERM) | 94.10        | 73.43         | 46.36
        """,
        space="nasbench201",
    ),
    _read(
        "nasbench201-darts-minus",
        "Chu et al. 2021 (arXiv:2009.01027), as public lists of results have it",
        """
        method | cifar10 valid test | cifar100 valid test | imagenet16-120 valid test
        DARTS- | 91.03 93.80        | 71.36 71.53         | 44.87 45.12
        """,
        space="nasbench201",
    ),
    _read(
        "nasbench201-darts-pt",
        f"{_DARTS_PT}, table 4",
        """
        method                 | cifar10 error
        DARTS                  | 45.7
        DARTS+PT               | 11.89
        DARTS+PT (fixed alpha) | 6.20
        """,
        space="nasbench201",
    ),
    _read(
        "nasbench201-partial",
        f"{_DRNAS}, table 1",
        """
        method             | cifar10 test memory | cifar100 test memory
        DrNAS, K = 1       | 94.36+-0.00 2437    | 73.51+-0.00 2439
        DrNAS, K = 2       | 93.49+-0.28 1583    | 68.48+-0.41 1583
        DrNAS, K = 4       | 92.85+-0.35 1159    | 66.68+-3.22 1161
        DrNAS, K = 8       | 91.06+-0.00 949     | 55.11+-13.78 949
        DrNAS, progressive | 94.36+-0.00 949     | 73.51+-0.00 949
        """,
        space="nasbench201",
    ),
    _read(
        "nasbench201-anchor",
        f"{_DRNAS}, table 5",
        """
        method               | cifar10 test
        DrNAS, lambda = 0    | 93.78
        DrNAS, lambda = 5e-4 | 94.01
        DrNAS, lambda = 1e-3 | 94.36
        DrNAS, lambda = 5e-3 | 94.36
        DrNAS, lambda = 1e-2 | 94.36
        DrNAS, lambda = 1e-1 | 93.76
        DrNAS, lambda = 1    | 93.76
        """,
        space="nasbench201",
    ),
    _read(
        "nasbench201-eigenvalue",
        f"{_DRNAS}, appendix A.4",
        """
        method | runs | cifar10 growth
        DARTS  | 4    | 10 # about, in 100 epochs; with DrNAS the eigenvalue stays low
        """,
        space="nasbench201",
    ),
    # NAS-Bench-201, searched on CIFAR-10, and the found architecture carried over to the other sets.
    _read(
        "nasbench201-carried",
        "Dong & Yang 2020 (arXiv:2001.00326), table 5",
        """
        method    | runs | seconds | cifar10 valid test      | cifar100 valid test     | imagenet16-120 valid test
        REA       | 500  | 12000   | 91.19+-0.31 93.92+-0.30 | 71.81+-1.12 71.84+-0.99 | 45.15+-0.89 45.54+-1.03
        RS        | 500  | 12000   | 90.93+-0.36 93.70+-0.36 | 70.93+-1.09 71.04+-1.07 | 44.45+-1.10 44.57+-1.25
        REINFORCE | 500  | 12000   | 91.09+-0.37 93.85+-0.37 | 71.61+-1.12 71.71+-1.09 | 45.05+-1.02 45.24+-1.18
        BOHB      | 500  | 12000   | 90.82+-0.53 93.61+-0.52 | 70.74+-1.29 70.85+-1.28 | 44.26+-1.36 44.42+-1.49
        RSPS      | 3    | 7587    | 84.16+-1.69 87.66+-1.69 | 59.00+-4.60 58.33+-4.34 | 31.56+-3.28 31.14+-3.88
        DARTS-V1  | 3    | 10890   | 39.77 54.30             | 15.03 15.61             | 16.43 16.32
        DARTS-V2  | 3    | 29902   | 39.77 54.30             | 15.03 15.61             | 16.43 16.32
        GDAS      | 3    | 28926   | 90.00+-0.21 93.51+-0.13 | 71.14+-0.27 70.61+-0.26 | 41.70+-1.26 41.84+-0.90
        SETN      | 3    | 31010   | 82.25+-5.17 86.19+-4.63 | 56.86+-7.59 56.87+-7.77 | 32.54+-3.63? 31.90+-4.07?
        """,
        space="nasbench201",
    ),
    # CIFAR-10 and CIFAR-100, in the space of DARTS and others.
    _read(  # costs are GPUs times days
        "cifar10-enas",
        f"{_ENAS}, table 2",
        """
        method                                    | space      | params | days        | cifar10 error
        DenseNet-BC                               | -          | 25.6   | -           | 3.46
        DenseNet + Shake-Shake                    | -          | 26.2   | -           | 2.86
        DenseNet + CutOut                         | -          | 26.2   | -           | 2.56
        Budgeted Super Nets                       | -          | -      | -           | 9.21
        ConvFabrics                               | -          | 21.2   | -           | 7.43
        Macro NAS + Q-Learning                    | -          | 11.2   | 80-100      | 6.92
        Net Transformation                        | -          | 19.7   | 10          | 5.70
        FractalNet                                | -          | 38.6   | -           | 4.60
        SMASH                                     | -          | 16.0   | 1.5         | 4.03
        NAS                                       | -          | 7.1    | 16800-22400 | 4.47
        NAS + more filters                        | -          | 37.4   | 16800-22400 | 3.65
        ENAS + macro search space                 | enas_macro | 21.3   | 0.32        | 4.23
        ENAS + macro search space + more channels | enas_macro | 38.0   | 0.32        | 3.87
        Hierarchical NAS                          | -          | 61.3   | 300         | 3.63
        Micro NAS + Q-Learning                    | -          | -      | 96          | 3.60
        Progressive NAS                           | -          | 3.2    | 150         | 3.63
        NASNet-A                                  | nasnet     | 3.3    | 1350-1800   | 3.41
        NASNet-A + CutOut                         | nasnet     | 3.3    | 1350-1800   | 2.65
        ENAS + micro search space                 | enas_micro | 4.6    | 0.45        | 3.54
        ENAS + micro search space + cutout        | enas_micro | 4.6    | 0.45        | 2.89
        """,
    ),
    _read(
        "cifar10-enas-cost",
        "Khodak & Li 2020, In defense of weight-sharing for neural architecture search (ML@CMU blog)",
        """
        method | cifar10 hours
        ENAS   | 16 # 2,000 to 20,000 without shared weights
        """,
    ),
    _read(  # neither the choice among four searches, 1 GPU day, nor the final training, 1.5, counts as cost
        "cifar10-darts",
        f"{_DARTS}, table 1",
        """
        method                          | space      | params | days | cifar10 error
        DenseNet-BC                     | -          | 25.6   | -    | 3.46
        NASNet-A + cutout               | nasnet     | 3.3    | 2000 | 2.65
        NASNet-A + cutout (dagger)      | nasnet     | 3.1    | 2000 | 2.83
        BlockQNN                        | -          | 39.8   | 96   | 3.54
        AmoebaNet-A                     | amoebanet  | 3.2    | 3150 | 3.34+-0.06
        AmoebaNet-A + cutout (dagger)   | amoebanet  | 3.1    | 3150 | 3.12
        AmoebaNet-B + cutout            | amoebanet  | 2.8    | 3150 | 2.55+-0.05
        Hierarchical evolution          | -          | 15.7   | 300  | 3.75+-0.12
        PNAS                            | -          | 3.2    | 225  | 3.41+-0.09
        ENAS + cutout                   | enas_micro | 4.6    | 0.5  | 2.89
        ENAS + cutout (star)            | enas_micro | 4.2    | 4    | 2.91
        Random search baseline + cutout | darts      | 3.2    | 4    | 3.29+-0.15
        DARTS (first order) + cutout    | darts      | 3.3    | 1.5  | 3.00+-0.14
        DARTS (second order) + cutout   | darts      | 3.3    | 4    | 2.76+-0.09
        """,
    ),
    _read(
        "cifar10-drnas",
        f"{_DRNAS}, table 2",
        """
        method                               | space      | params | days | cifar10 error
        DenseNet-BC                          | -          | 25.6   | -    | 3.46 # without cutout
        NASNet-A                             | nasnet     | 3.3    | 2000 | 2.65
        AmoebaNet-A                          | amoebanet  | 3.2    | 3150 | 3.34+-0.06
        AmoebaNet-B                          | amoebanet  | 2.8    | 3150 | 2.55+-0.05
        PNAS                                 | -          | 3.2    | 225  | 3.41+-0.09 # without cutout
        ENAS                                 | enas_micro | 4.6    | 0.5  | 2.89
        DARTS (1st)                          | darts      | 3.3    | 0.4  | 3.00+-0.14
        DARTS (2nd)                          | darts      | 3.3    | 1.0  | 2.76+-0.09
        SNAS (moderate)                      | darts      | 2.8    | 1.5  | 2.85+-0.02
        GDAS                                 | darts      | 3.4    | 0.3  | 2.93
        BayesNAS                             | darts      | 3.4    | 0.2  | 2.81+-0.04
        ProxylessNAS                         | -          | 5.7    | 4.0  | 2.08 # another space, on a PyramidNet
        PARSEC                               | darts      | 3.7    | 1    | 2.81+-0.03
        P-DARTS                              | darts      | 3.4    | 0.3  | 2.50
        PC-DARTS                             | darts      | 3.6    | 0.1  | 2.57+-0.07
        SDARTS-ADV                           | darts      | 3.3    | 1.3  | 2.61+-0.02
        GAEA + PC-DARTS                      | darts      | 3.7    | 0.1  | 2.50+-0.06
        DrNAS (without progressive learning) | darts      | 4.0    | 0.4  | 2.54+-0.03 # cost on a single GTX 1080Ti
        DrNAS                                | darts      | 4.1    | 0.6  | 2.46+-0.03 # cost on a single GTX 1080Ti
        """,
    ),
    _read(
        "cifar10-rdarts",
        f"Zela et al. 2020 (arXiv:1909.09656), as tables of Shu et al. 2022 (NASI) and {_DARTS_PT} have it",
        """
        method       | days | cifar10 error
        R-DARTS (L2) | 1.6  | 2.95+-0.21
        """,
        space="darts",
    ),
    _read(
        "cifar10-darts-minus",
        f"Chu et al. 2021 (arXiv:2009.01027), as tables of Shu et al. 2022 (NASI) and {_DARTS_PT} have it",
        """
        method           | params | days | cifar10 error
        DARTS- (average) | 3.5    | 0.4  | 2.59+-0.08
        """,
        space="darts",
    ),
    _read(
        "cifar10-darts-pt",
        f"{_DARTS_PT}, comparison on CIFAR-10",
        """
        method                 | params | days | cifar10 error
        SDARTS-RS              | 3.4    | 0.4  | 2.67+-0.03
        DARTS+PT (average)     | 3.0    | 0.8  | 2.61+-0.08
        DARTS+PT (best)        | 3.3    | 0.8  | 2.48
        SDARTS-RS+PT (average) | 3.3    | 0.8  | 2.54+-0.10
        SDARTS-RS+PT (best)    | 3.2    | 0.8  | 2.44
        """,
        space="darts",
    ),
    _read(
        "prdarts",
        "Zhou et al. 2020 (arXiv:2006.16537), README of salesforce/PR-DARTS",
        """
        method   | params | cifar10 error | cifar100 error
        PR-DARTS | 3.4    | 2.32          | 16.45
        """,
        space="darts",
    ),
    # The reduced spaces S1 to S4 of Zela et al. 2020.
    _read(
        "s1-s4-drnas",
        f"{_DRNAS}, table 6",
        """
        method       | cifar10@s1 error | cifar10@s2 error | cifar10@s3 error | cifar10@s4 error
        DARTS        | 3.84             | 4.85             | 3.34             | 7.20
        R-DARTS (DP) | 3.11             | 3.48             | 2.93             | 3.58
        R-DARTS (L2) | 2.78             | 3.31             | 2.51             | 3.56
        DrNAS        | 2.74             | 2.47             | 2.4              | 2.59
        """,
    ),
    _read(
        "s1-s4-darts-pt",
        f"{_DARTS_PT}, table 3",
        """
        method                 | cifar10@s1 error | cifar10@s2 error | cifar10@s3 error | cifar10@s4 error
        DARTS+PT               | 3.50             | 2.79             | 2.49             | 2.64
        DARTS+PT (fixed alpha) | 2.86             | 2.59             | 2.52             | 2.58
        """,
    ),
    _read(
        "s1-s4-darts-pt-cifar100",
        f"{_DARTS_PT}, table 3",
        """
        method   | cifar100@s1 error | cifar100@s2 error | cifar100@s3 error | cifar100@s4 error
        DARTS    | 29.46             | 26.05             | 28.90             | 22.85
        DARTS+PT | 24.48             | 23.16             | 22.03             | 20.80
        """,
    ),
    _read(
        "s1-s4-darts-pt-svhn",
        f"{_DARTS_PT}, table 3",
        """
        method   | svhn@s1 error | svhn@s2 error | svhn@s3 error | svhn@s4 error
        DARTS    | 4.58          | 3.53          | 3.41          | 3.05
        DARTS+PT | 2.62          | 2.53          | 2.42          | 2.42
        """,
    ),
    _read(
        "s1-s4-eigenvalue",
        f"{_DRNAS}, appendix A.4",
        """
        method | cifar10@s1 eigenvalue | cifar10@s2 eigenvalue | cifar10@s3 eigenvalue | cifar10@s4 eigenvalue
        DrNAS  | 0.0392                | 0.0390                | 0.0286                | 0.0389 # at the end of the search
        """,
    ),
    _read(
        "imagenet-drnas",
        f"{_DRNAS}, table 3",
        """
        method                               | space        | params | days | imagenet top1 top5
        Inception-v1                         | -            | 6.6    | -    | 30.1 10.1
        MobileNet                            | -            | 4.2    | -    | 29.4 10.5
        ShuffleNet 2x (v1)                   | -            | 5      | -    | 26.4 10.2 # about 5 million parameters
        ShuffleNet 2x (v2)                   | -            | 5      | -    | 25.1 -    # about 5 million parameters
        NASNet-A                             | nasnet       | 5.3    | 2000 | 26.0 8.4
        AmoebaNet-C                          | amoebanet    | 6.4    | 3150 | 24.3 7.6
        PNAS                                 | -            | 5.1    | 225  | 25.8 8.1
        MnasNet-92                           | -            | 4.4    | -    | 25.2 8.0
        DARTS (2nd)                          | darts        | 4.7    | 1.0  | 26.7 8.7
        SNAS (mild)                          | darts        | 4.3    | 1.5  | 27.3 9.2
        GDAS                                 | darts        | 5.3    | 0.3  | 26.0 8.5
        BayesNAS                             | darts        | 3.9    | 0.2  | 26.5 8.9
        DSNAS                                | shufflenet   | -      | -    | 25.7 8.1  # searched on ImageNet
        ProxylessNAS (GPU)                   | proxylessnas | 7.1    | 8.3  | 24.9 7.5  # searched on ImageNet
        PARSEC                               | darts        | 5.6    | 1    | 26.0 8.4
        P-DARTS (CIFAR-10)                   | darts        | 4.9    | 0.3  | 24.4 7.4
        P-DARTS (CIFAR-100)                  | darts        | 5.1    | 0.3  | 24.7 7.5
        PC-DARTS (CIFAR-10)                  | darts        | 5.3    | 0.1  | 25.1 7.8
        PC-DARTS (ImageNet)                  | darts        | 5.3    | 3.8  | 24.2 7.3  # searched on ImageNet
        GAEA + PC-DARTS                      | darts        | 5.6    | 3.8  | 24.0 7.3  # searched on ImageNet
        DrNAS (without progressive learning) | darts        | 5.2    | 3.9  | 24.2 7.3  # searched on ImageNet
        DrNAS                                | darts        | 5.7    | 4.6  | 23.7 7.1  # searched on ImageNet
        """,
    ),
    _read(
        "imagenet-prdarts",
        "Zhou et al. 2020 (arXiv:2006.16537), README of salesforce/PR-DARTS",
        """
        method   | imagenet top1 top5
        PR-DARTS | 24.1 7.3
        """,
        space="darts",
    ),
    _read(  # neither the choice among four searches, 1 GPU day, nor the final training, 3, counts as cost
        "ptb-darts",
        f"{_DARTS}, table 2",
        """
        method                    | space     | params | days           | ptb valid_ppl ppl
        Variational RHN           | -         | 23     | -              | 67.9 65.4
        LSTM                      | -         | 24     | -              | 60.7 58.8
        LSTM + skip connections   | -         | 24     | -              | 60.9 58.3
        LSTM + 15 softmax experts | -         | 22     | -              | 58.1 56.0
        NAS                       | -         | 25     | 10000 CPU days | - 64.0
        ENAS (star)               | enas_rnn  | 24     | 0.5            | 68.3 63.1 # run again
        ENAS (dagger)             | enas_rnn  | 24     | 0.5            | 60.8 58.6
        Random search baseline    | darts_rnn | 23     | 2              | 61.8 59.4
        DARTS (first order)       | darts_rnn | 23     | 0.5            | 60.2 57.6
        DARTS (second order)      | darts_rnn | 23     | 1              | 58.1 55.7
        """,
    ),
    _read(
        "ptb-sdarts",
        "Chen & Hsieh 2020 (arXiv:2002.05283), from memory",
        """
        method     | ptb valid_ppl ppl
        SDARTS-RS  | 58.7? 56.4?
        SDARTS-ADV | 58.3? 56.1?
        """,
        space="darts_rnn",
    ),
)

TABLES: Mapping[str, tuple[Reported, ...]] = {rows[0].table: rows for rows in _ALL}
"""Every table by name."""
