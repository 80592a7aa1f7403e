"""What every experiment of the literature shows here, as a page with figures: docs/gallery.md.

mixop reproduce rounding --scale small --data FOLDER --out runs/rounding
python studies/gallery.py runs/rounding

Directories that `mixop reproduce` finished are taken in: what each found is kept in studies/rows/experiments, one file for an
experiment and a scale. Then the page and its figures are written again from all that is there; without directories, only that.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mixop.experiments.base import Findings
from mixop.experiments.catalogue import CATALOGUE
from mixop.experiments.page import figure_file, figures_of, headings, panels_of, surfaces_of
from mixop.report.words import duration
from mixop.runs.directory import RunDirectory
from mixop.runs.files import EXPERIMENT

ROOT = Path(__file__).parents[1]
ROWS = ROOT / "studies" / "rows" / "experiments"
PAGE = ROOT / "docs" / "gallery.md"
IMAGES = ROOT / "docs" / "images" / "experiments"

SCALES = ("full", "medium", "small")
"""From the largest; tiny tells nothing."""

FIGURES = 3
"""Panels of an experiment, at most: those of the first quantities."""

BEGIN = """# Gallery: experiments of the literature

What `mixop reproduce` shows of what papers, talks and blogs report. Each pattern has a rule that was fixed before the run; the
page that the command writes has the rules, all figures, all settings and all numbers. **Shows** and **does not show** are
differences of more than two standard errors, over seeds or draws; *cannot show* means that this scale cannot tell. FOLDER holds
images of CIFAR-10 and the table of NAS-Bench-201 ([how](experiments.md)). Times are those of all runs of an experiment
together, two at once on two cores, with other work beside them. *Not measured*: it was halted by
hand in between, and its clock went on.

This page is made by `python studies/gallery.py` from [studies/rows/experiments](../studies/rows/experiments).

| experiment | scale | reported | here | took |
| --- | --- | --- | --- | --- |
"""
VERDICTS = {"shows": "**shows**", "does not show": "**does not show**", "cannot show": "cannot show"}


def taken_in(place: Path) -> None:
    """Keeps what a directory of `mixop reproduce` found; the folders of its command are of one machine and stay out."""
    content = RunDirectory(place).read_json(EXPERIMENT)
    if content["scale"] not in SCALES:
        raise SystemExit(f"{place} was run at scale {content['scale']}, which tells nothing: give one of {', '.join(SCALES)}.")
    del content["command"]
    ROWS.mkdir(parents=True, exist_ok=True)
    (ROWS / f"{content['name']}-{content['scale']}.json").write_text(json.dumps(content) + "\n")


def kept() -> list[Mapping[str, Any]]:
    """All that is kept, in the order of the catalogue, the largest scale of an experiment first."""
    found = [json.loads(file.read_text()) for file in ROWS.glob("*.json")]
    names = list(CATALOGUE)
    return sorted(found, key=lambda content: (names.index(content["name"]), SCALES.index(content["scale"])))


def findings_of(content: Mapping[str, Any]) -> Findings:
    """What the rules judge."""
    return Findings(panels_of(content), content["settings"], tuple(content["notes"]), surfaces=surfaces_of(content))


def command(content: Mapping[str, Any]) -> str:
    """What runs it again."""
    data = " --data FOLDER" if "images" in content["settings"] else ""
    return f"mixop reproduce {content['name']} --scale {content['scale']}{data}"


def page(contents: Sequence[Mapping[str, Any]]) -> str:
    """The page as Markdown."""
    rows, sections = [], []
    for content in contents:
        name, scale, seconds = content["name"], content["scale"], content["seconds"]
        took = "not measured" if seconds is None else duration(seconds)
        for i, pattern in enumerate(content["patterns"]):
            first = (f"[`{name}`](#{name}-{scale})", scale, took) if i == 0 else ("", "", "")
            rows.append(f"| {first[0]} | {first[1]} | {pattern['claim']} | {VERDICTS[pattern['verdict']]} | {first[2]} |")
        above = headings(content)
        figures = [
            f"*{above[title]}*\n\n![{name}: {title}](images/experiments/{name}-{scale}-{figure_file(title)})"
            for title in _shown(content)
        ]
        sentences = [f"- {VERDICTS[one['verdict']]}: {one['claim']} {one['why']}" for one in content["patterns"]]
        source = f"Reported in {content['source']}. `{command(content)}`, {content['processor']}, {took}."
        sections.append(
            "\n\n".join([f"## {name} {scale}", content["question"], "\n".join(sentences), source, "\n\n".join(figures)])
        )
    return BEGIN + "\n".join(rows) + "\n\n" + "\n\n".join(sections) + "\n"


def _shown(content: Mapping[str, Any]) -> list[str]:
    """The titles of what is shown: some of the panels, and all surfaces."""
    return [*list(panels_of(content))[:FIGURES], *surfaces_of(content)]


def main() -> None:
    """Takes directories in, and writes page and figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", nargs="*", type=Path, help="finished by mixop reproduce")
    for place in parser.parse_args().directories:
        taken_in(place)
    contents = kept()
    IMAGES.mkdir(parents=True, exist_ok=True)
    for old in IMAGES.glob("*.svg"):
        old.unlink()
    for content in contents:
        figures = figures_of(content)
        for title in _shown(content):
            (IMAGES / f"{content['name']}-{content['scale']}-{figure_file(title)}").write_text(figures[title] + "\n")
    PAGE.write_text(page(contents))
    print(f"{PAGE}: {len(contents)} experiments.")


if __name__ == "__main__":
    main()
