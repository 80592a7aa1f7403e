"""Search with scores only: regularised evolution asks, your function answers.  (~1 second)

    python examples/black_box.py [TRIALS]

prints every improvement. Here a linear classifier on an architecture's features gives the score, so a trial takes
milliseconds. To train networks instead, use mixop.comparison.training_objective.TrainingObjective; a table looks scores up.
"""

import sys
import time

import numpy as np

from mixop.searchers import Evolution, run_search
from mixop.spaces.toy import toy, toy_data, toy_features

space = toy()
(x, y), (valid_x, valid_y) = toy_data(space, n=512, seed=0), toy_data(space, n=512, seed=1)


def features(architecture, images):
    return np.pad(toy_features(space, architecture, images), ((0, 0), (1, 0)), constant_values=1.0)


def objective(architecture, _epochs):
    """A score in percent, and the seconds it took; a linear classifier has no epochs."""
    begun = time.perf_counter()
    weights, *_ = np.linalg.lstsq(features(architecture, x), np.eye(space.outputs)[y], rcond=None)
    right = (features(architecture, valid_x) @ weights).argmax(axis=1) == valid_y
    return 100 * right.mean(), time.perf_counter() - begun


trials = int(sys.argv[1]) if len(sys.argv) > 1 else 100
found = run_search(Evolution(), space, objective, max_trials=trials, seed=0, save="runs/black-box.jsonl")
best = None
for row in found.rows:
    if found.measure.beats(row.best, best):
        best = row.best
        print(f"trial {row.trial:3}, {row.spent:6.3f} s: {best:5.1f} %  {row.best_architecture}")
print(f"found {space.to_native(found.architecture)}, the optimum is {space.to_native(space.optimum)}")
