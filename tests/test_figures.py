"""Figures that a page repeats are those of the page, or of the table, that they come from."""

import re
from pathlib import Path

import numpy as np
import pytest

from mixop.recipes import RECIPES
from mixop.tables import Table

ROOT = Path(__file__).parent.parent


def page(name: str) -> str:
    """A page with every run of white space as one blank, so that sentences can be looked for."""
    return " ".join((ROOT / name).read_text().split())


def rows(name: str, heading: str) -> dict[str, dict[str, str]]:
    """The first table under a heading: its rows by their first cell, each as its cells by their column."""
    text = (ROOT / name).read_text()
    lines = text[text.index(f"# {heading}\n") :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    table = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[first:]]
    last = next((number for number, line in enumerate(lines[first:]) if not line.startswith("|")), len(table))
    columns, _, *body = table[:last]
    return {row[0]: dict(zip(columns, row, strict=True)) for row in body}


def number(cell: str) -> float:
    found = re.match(r"-?[\d,]*\.?\d+", cell)
    assert found is not None, cell
    return float(found[0].replace(",", ""))


FIND = rows("docs/results.md", "Find beside networks that have all of the time")


def test_a_table_is_read():
    assert len(FIND) == 7
    assert list(FIND["digits"]) == ["set", "find", "plain", "cell", "random", "what find chose"]
    assert number(FIND["digits"]["find"]) == 99.6


def test_darts_and_the_best_over_ten_seeds():
    ten = rows("docs/results.md", "Ten seeds of the methods that this page speaks about")
    best = max((row for name, row in ten.items() if name in RECIPES), key=lambda row: number(row["test accuracy"]))
    truth = page("docs/truth.md")
    assert f"DARTS ended at {ten['darts']['test accuracy']} % over ten seeds" in truth
    assert f"take this advantage away at up to {best['test accuracy']} %" in truth


def test_what_the_table_that_ships_holds():
    table = Table.open(str(ROOT / "src" / "mixop" / "tables" / "shipped" / "nasbench201-digits.table"))
    scores = table.column(dataset="digits", split="valid", epochs=12)

    def everywhere(option: str) -> float:
        cell = f"|{option}~0|+|{option}~0|{option}~1|+|{option}~0|{option}~1|{option}~2|"
        return table.query(cell, dataset="digits", split="valid", epochs=12)

    skips, pools = everywhere("skip_connect"), everywhere("avg_pool_3x3")
    better = round(100 * np.mean(scores > skips))
    truth = page("docs/truth.md")
    assert f"all {len(scores)} architectures" in truth
    assert f"They have {scores.min():.1f} to {scores.max():.1f} %, and {better} % of them are better than skipping" in truth
    assert f"only pooling has {pools:.0f}, only skips {skips:.1f}, the best {scores.max():.1f}" in truth


def test_how_fast_and_how_small_the_fused_kernels_are():
    (plain,) = (row for name, row in rows("docs/performance.md", "The executors").items() if name.startswith("DARTS,"))
    times = number(plain["times as fast as plain"].split(";")[-1].strip())
    assert f"a DARTS step {times:.0f} times as fast as plain" in page("docs/index.md")
    section = (ROOT / "docs/performance.md").read_text().partition("## Beside the authors' code")[2].partition("\n## ")[0]
    steps = re.findall(r"^\| DARTS, batch 16 \|(.*)\|$", section, re.MULTILINE)  # with AVX-512, with AVX2
    seconds = [[float(cell.split(";")[0]) for cell in step.split("|")] for step in steps]
    fast, slow = ([authors[form] / authors[4] for authors in seconds] for form in (0, 1))
    assert (
        f"a DARTS step {min(fast):.0f} to {max(fast):.0f} times as fast as the authors' code, and {min(slow):.0f} to"
        in page("README.md")
    )
    assert f"to {max(slow):.0f} times as fast as that with its channels last" in page("README.md")
    image = re.search(
        r"DARTS, batch 16: total; for each image \|[^|]*; (\d+) MiB \|[^|]*\|[^|]*; ([\d.]+) MiB", page("docs/performance.md")
    )
    assert image is not None
    assert float(image[1]) / float(image[2]) == pytest.approx(20, rel=0.1)
    for name in ("docs/index.md", "docs/scale.md"):
        assert "a twentieth of the memory" in page(name)


def test_find_beside_its_rivals():
    gaps = [number(row["find"]) - max(number(row[rival]) for rival in ("plain", "cell", "random")) for row in FIND.values()]
    assert f"between {-min(gaps):.1f} points below and {max(gaps):.1f} above the best of three rivals" in page("docs/find.md")


def test_how_many_recipes_there_are():
    assert f"[{len(RECIPES)} published ones]" in page("README.md")
    assert f"{len(RECIPES)} recipes, each" in page("docs/index.md")
