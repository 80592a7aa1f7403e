"""``mixop list published``: the numbers that papers report, table by table, for each data set."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from mixop.cli import screens
from mixop.cli.live import Screen
from mixop.comparison.survey import TABLES, TITLES, UNVERIFIED, Reported
from mixop.report.palette import ABSENT


def show() -> None:
    """Prints every table under the data sets that it is about; ``--json`` has what does not fit."""
    console = Screen()
    for place, (dataset, title) in enumerate(TITLES.items()):
        console.print(Text(f"{chr(10) if place else ''}{title}", style="bold"))
        for name, numbers in TABLES.items():
            here = [number for number in numbers if number.dataset == dataset]
            if here:
                console.print()
                screens.sentence(console, f"{name}: {here[0].source}{_common(here)}")
                console.print(_grid(here, numbers))
                for note in _notes(here):
                    screens.sentence(console, note)
    console.print()
    screens.sentence(
        console,
        f"Behind a method stands its recipe, or black-box searcher. {UNVERIFIED} marks what was not seen in a source. Numbers "
        "of different tables must not be mixed: their protocols differ.",
    )


def _common(numbers: Sequence[Reported]) -> str:
    """The space of a table, if all of it is of one."""
    spaces = {number.space for number in numbers}
    return f"; space {spaces.pop()}" if len(spaces) == 1 and spaces != {None} else ""


def _grid(numbers: Sequence[Reported], table: Sequence[Reported]) -> Table:
    """A line for each method and space, a column for each measure.

    Args:
        numbers: those of one data set.
        table: all of the table, which decides how many digits are shown.
    """
    lines: dict[tuple[str, str | None], list[Reported]] = {}
    for number in numbers:
        lines.setdefault((number.method, number.space), []).append(number)
    measures = dict.fromkeys(number.measure for number in numbers)
    digits = {measure: _digits(n.value for n in table if n.measure == measure) for measure in measures}
    finest = _digits(number.parameters for number in table if number.parameters is not None)
    unit, _ = Counter(number.cost_unit for number in numbers).most_common(1)[0]
    columns: dict[str, list[str]] = {"recipe": [], "space": [], "params (M)": [], f"cost ({unit})": []}
    values: dict[str, list[str]] = {measure.title: [] for measure in measures}
    for (_, space), of in lines.items():
        first, found = of[0], {number.measure: number for number in of}
        for measure in measures:
            values[measure.title].append(_written(found.get(measure), digits[measure]))
        size = ABSENT if first.parameters is None else f"{first.parameters:.{finest}f}"
        for column, cell in zip(columns.values(), (first.recipe or "", space or "", size, _cost(first, unit)), strict=True):
            column.append(cell)
    if len(lines) == len({method for method, _ in lines}):  # else only the space tells them apart
        del columns["space"]
    left = {name: columns.pop(name) for name in ("recipe", "space") if name in columns}
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    grid.add_column("method")
    shown = {name: cells for name, cells in {**left, **values, **columns}.items() if {*cells} - {"", ABSENT}}
    for name in shown:
        grid.add_column(name.replace(" ", "\n", 1), justify="left" if name in left else "right", no_wrap=True)
    for (method, _), *cells in zip(lines, *shown.values(), strict=True):
        grid.add_row(method, *cells)
    return grid


def _digits(values: Iterable[float]) -> int:
    """How many digits after the point the finest of some numbers has."""
    return max((len(f"{value:g}".partition(".")[2]) for value in values), default=0)


def _written(number: Reported | None, digits: int) -> str:
    if number is None:
        return ABSENT
    deviation = "" if number.deviation is None else f" +- {number.deviation:.{digits}f}"
    return f"{number.value:.{digits}f}{deviation}{'' if number.verified else f' {UNVERIFIED}'}"


def _cost(number: Reported, unit: str) -> str:
    if number.cost is None:
        return ABSENT
    least, largest = number.cost
    own = "" if number.cost_unit == unit else f" {number.cost_unit}"
    return f"{least:,g}{own}" if least == largest else f"{least:,g} to {largest:,g}{own}"


def _notes(numbers: Sequence[Reported]) -> list[str]:
    """What the papers say besides, each with the methods that it is about."""
    about: dict[str, dict[str, None]] = {}
    for number in numbers:
        if number.note:
            about.setdefault(number.note, {})[number.method] = None
    return [f"{', '.join(methods)}: {note}." for note, methods in about.items()]
