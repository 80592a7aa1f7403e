"""Draws the figures of docs/results.md from the directory of a comparison, with the code that draws its page.

    python studies/results_figures.py COMPARISON FOLDER NAME [METHOD ...]

writes FOLDER/NAME-runs.svg and FOLDER/NAME-times.svg (score and time of every run of every method), and for each METHOD
FOLDER/NAME-METHOD.svg (what its searches would have given after each epoch).
"""

import sys
from pathlib import Path

import numpy as np

from mixop.report.comparison_files import read_comparison
from mixop.report.comparison_plots import Dots, anytime, dots, times
from mixop.report.methods import RANDOM

comparison = read_comparison(sys.argv[1])
folder, name, methods = Path(sys.argv[2]), sys.argv[3], sys.argv[4:]
folder.mkdir(parents=True, exist_ok=True)
rows = [
    Dots(row.name, row.scores, [run.seconds for run in row.runs if run.seconds is not None], random=row.name == RANDOM)
    for row in comparison.rows
    if row.scores
]
(folder / f"{name}-runs.svg").write_text(
    dots(rows, comparison.measure, description=f"Scores of all runs of {len(rows)} methods")
)
(folder / f"{name}-times.svg").write_text(times(rows, description=f"Times of all searches of {len(rows)} methods"))
curves = {method: [run.curve for run in comparison.row(method).runs if run.curve] for method in methods}
everything = [score for runs in curves.values() for run in runs for _, _, score in run]
for method, runs in curves.items():
    epochs = [epoch for epoch, _, _ in max(runs, key=len)]
    scores = np.full((len(runs), len(epochs)), np.nan)
    for index, run in enumerate(runs):
        scores[index, : len(run)] = [score for _, _, score in run]
    limits = (min(everything), max(everything))
    svg = anytime(
        epochs, scores, limits, comparison.row(RANDOM).mean, comparison.measure, description=f"{method}, epoch by epoch"
    )
    (folder / f"{name}-{method}.svg").write_text(svg)
