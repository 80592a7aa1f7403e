"""Draws the pictures of docs/supernet.md and docs/truth.md: by hand, from real runs, and from the table that ships.

    python studies/concept_pictures.py docs/images runs/concepts

searches once on handwritten digits (about half a minute on one core), writes four SVGs, and prints what the pages name.
Colours are those of Okabe and Ito, and every line also has a place or a dash of its own, so that no picture needs colour.
"""

import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import mixop
from mixop.spaces.nasbench201 import NasBench201Digits
from mixop.tables import Table

mpl.use("svg")
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6b7280"
mpl.rcParams |= {
    "svg.hashsalt": "mixop",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
OPTIONS = (("convolution", BLUE, "-"), ("skip connection", ORANGE, "--"), ("pooling", GREEN, ":"))

folder, runs = Path(sys.argv[1]), Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
space = NasBench201Digits()
table = Table.open(str(Path(mixop.tables.__file__).parent / "shipped" / "nasbench201-digits.table"))
view = table.for_search(dataset="digits", epochs=12)


def save(figure: plt.Figure, name: str) -> None:
    figure.savefig(folder / f"{name}.svg", bbox_inches="tight", facecolor="white", metadata={"Date": None})
    plt.close(figure)


def cell(axes: Axes, weights: np.ndarray, title: str) -> None:
    """A cell of three nodes whose edges carry three options each, as thick as their mixing weights."""
    places = {0: (0.0, 0.0), 1: (2.0, 1.3), 2: (4.0, 0.0)}
    for (source, target), row in zip(((0, 1), (1, 2), (0, 2)), weights, strict=True):
        for option, (weight, (_, colour, dash)) in enumerate(zip(row, OPTIONS, strict=True)):
            if weight == 0:
                continue
            bend = (option - 1) * 0.22 if weight < 1 else 0.0
            axes.annotate(
                "",
                xy=places[target],
                xytext=places[source],
                arrowprops={
                    "arrowstyle": "-",
                    "color": colour,
                    "lw": 0.8 + 6 * weight * (weight < 1) + 3 * (weight == 1),
                    "ls": dash,
                    "connectionstyle": f"arc3,rad={bend}",
                    "shrinkA": 12,
                    "shrinkB": 12,
                },
            )
    for name, (x, y) in zip(("in", "", "out"), places.values(), strict=True):
        axes.add_patch(plt.Circle((x, y), 0.3, facecolor="white", edgecolor="black", lw=1.3, zorder=3))
        axes.text(x, y, name, ha="center", va="center", zorder=4)
    axes.set(xlim=(-0.5, 4.5), ylim=(-0.9, 1.9), aspect="equal")
    axes.set_title(title, fontsize=11)
    axes.axis("off")


def supernet() -> None:
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 2.0))
    cell(left, np.full((3, 3), 1 / 3), "at the start: all options, equal weights")
    cell(middle, np.array([[0.7, 0.2, 0.1], [0.6, 0.1, 0.3], [0.15, 0.65, 0.2]]), "later: some weigh more")
    cell(right, np.array([[1.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0]]), "the end: one option for each edge")
    handles = [plt.Line2D([], [], color=colour, ls=dash, lw=3, label=name) for name, colour, dash in OPTIONS]
    figure.legend(handles=handles, loc="lower center", ncol=3, frameon=False, bbox_to_anchor=(0.5, -0.02))
    save(figure, "concept-supernet")


def searched(rate: float, epochs: int) -> mixop.SearchResult:
    """DARTS on the digits, with an architecture that moves at a given rate."""
    recipe = mixop.recipes.darts(epochs=epochs)
    optimiser = replace(recipe.architecture_optimiser, lr=mixop.schedules.Constant(rate))
    recipe = replace(recipe, architecture_optimiser=optimiser)
    return mixop.search(recipe, space, mixop.data.digits(), out=runs, progress=False)


def mixing(run: mixop.SearchResult) -> None:
    """The mixing weights of three edges, epoch by epoch."""
    edges = {0: "edge 0 to 1", 2: "edge 1 to 2", 4: "edge 1 to 3"}
    figure, panels = plt.subplots(1, len(edges), figsize=(10, 2.6), sharey=True)
    names = space.groups[0].decisions[0].options
    of = {"nor_conv_3x3": OPTIONS[0], "skip_connect": OPTIONS[1], "avg_pool_3x3": OPTIONS[2]}
    for axes, (edge, title) in zip(panels, edges.items(), strict=True):
        for option, name in enumerate(names):
            label, colour, dash = of[name]
            values = [record.mix["cell"][edge][option] for record in run.history]
            axes.plot(range(1, len(values) + 1), values, color=colour, ls=dash, lw=2, label=label)
        axes.set(xlabel="epoch", ylim=(0, 1))
        axes.set_title(title, fontsize=11)
    panels[0].set_ylabel("mixing weight")
    panels[0].legend(frameon=False, fontsize=9)
    save(figure, "concept-mixing")


def collapse(run: mixop.SearchResult, best: float) -> None:
    """The supernet's accuracy beside that of what the search would have given after each epoch."""
    history = run.history
    epochs = [record.epoch for record in history]
    supernet = 100 * np.array([record.valid["accuracy"] for record in history], dtype=float)
    found = [view.query(str(record.architecture)) for record in history]
    skips = [str(record.architecture).count("skip_connect") for record in history]
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(7, 4), sharex=True, gridspec_kw={"height_ratios": (3, 1), "hspace": 0.12}
    )
    above.plot(epochs, supernet, color=BLUE, lw=2, label="the supernet")
    above.plot(epochs, found, color=ORANGE, lw=2, ls="--", label="what the search would give, trained alone")
    above.axhline(best, color=GREY, lw=1.2, ls=":", label="the best there is")
    above.set(ylabel="validation accuracy (%)", ylim=(60, 100))
    above.legend(frameon=False, loc="lower right")
    below.step(epochs, skips, where="mid", color=ORANGE, lw=2, ls="--")
    below.set(xlabel="epoch", ylabel="skips of 6", ylim=(-0.3, 6.3), yticks=(0, 3, 6))
    save(figure, "concept-collapse")
    print(
        f"collapse: the supernet from {supernet[0]:.1f} to {supernet[-1]:.1f} %; what it gives: {found[-1]:.1f} %, with "
        f"{skips[-1]} skips; best after any epoch {max(found):.1f} %"
    )


def histogram() -> float:
    """Every architecture of the table, and where three of them stand; the best value."""
    values = table.column(dataset="digits", split="valid", epochs=12)
    optimum = table.optimum(dataset="digits", split="valid", epochs=12)
    only = {
        name: view.query(space.architecture([[option] * 6])) for option, name in enumerate(space.groups[0].decisions[0].options)
    }
    figure, axes = plt.subplots(figsize=(7, 3))
    axes.hist(values, bins=40, color=BLUE, alpha=0.35)
    marks = (("only pooling", only["avg_pool_3x3"]), ("only skips", only["skip_connect"]), ("the best", optimum.value))
    top = axes.get_ylim()[1]
    for row, (label, value) in enumerate(marks):
        height = top * (0.5 + 0.3 * row)
        axes.plot([value, value], [0, height], color="black", lw=1.2)
        axes.text(value, height, f"{label}: {value:.1f}", ha="center", va="bottom", backgroundcolor="white")
    axes.set_ylim(0, 1.25 * top)
    axes.set(xlabel="validation accuracy after 12 epochs (%)", ylabel="architectures")
    save(figure, "concept-table")
    above = np.mean(values > only["skip_connect"])
    print(f"table: {len(values)} architectures, {values.min():.1f} to {values.max():.1f} %, {above:.0%} above only skips")
    print(f"best: {optimum.value:.1f} %, {optimum.native}")
    return optimum.value


supernet()
best = histogram()
run = searched(rate=0.05, epochs=30)
mixing(run)
collapse(run, best)
