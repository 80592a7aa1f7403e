"""Black-box searchers on the table of NAS-Bench-201, beside the published figures: CIFAR-10, 12,000 simulated seconds.

python studies/black_box.py TABLE.npz [SEEDS]

The table has the arrays ``arch``, ``c10_valid_e12``, ``c10_valid_e200``, ``c10_test_e200`` and
``c10valid_train_seconds_e200``. A trial's score is the validation accuracy after 12 epochs, and it costs 12/200 of the seconds
of 200 epochs. The architecture found is judged by its accuracies after 200 epochs. The published runs score one random training
and also pay for a validation pass; the table's score is the mean of two trainings.
"""

import sys
import time
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from mixop.core.errors import MissingExtraError
from mixop.searchers import Bohb, Controller, Evolution, LocalSearch, RandomSearch, Reinforce, Searcher, run_search
from mixop.spaces import nasbench201
from mixop.spaces.core import Architecture

BUDGET = 12_000.0

# Name, searcher, and published test accuracy (500 runs; Dong & Yang 2020, arXiv:2001.00326).
SEARCHERS: tuple[tuple[str, Searcher, str], ...] = (
    ("random", RandomSearch(), "93.70 +- 0.36"),
    ("evolution", Evolution(), "93.92 +- 0.30"),
    ("reinforce", Reinforce(), "93.85 +- 0.37"),
    ("reinforce, lr 0.5", Reinforce(lr=0.5), ""),
    ("local", LocalSearch(), ""),
    ("local, first", LocalSearch(first=True), ""),
    ("controller", Controller(), ""),
    ("bohb, 12 epochs", Bohb(ladder=(12,)), "93.61 +- 0.52"),  # the published script scores every length alike
    ("bohb, 12 and 200", Bohb(ladder=(12, 200)), ""),
)


def main(path: Path, seeds: int) -> None:
    """Measures and prints."""
    space = nasbench201()
    with np.load(path, allow_pickle=False) as file:
        names = file["arch"].astype(str).tolist()
        short, valid, test = (file[name].astype(float) for name in ("c10_valid_e12", "c10_valid_e200", "c10_test_e200"))
        seconds = file["c10valid_train_seconds_e200"].astype(float)
    rows = {name: row for row, name in enumerate(names)}

    def objective(architecture: Architecture, epochs: int) -> tuple[float, float]:
        row = rows[space.to_native(architecture)]
        return float(short[row] if epochs == 12 else valid[row]), float(seconds[row]) * epochs / 200

    print(f"{seeds} seeds, {BUDGET:,.0f} s\n{'':18}{'valid':>15}{'test':>16}   published test   trials  wall s a search")
    for name, searcher, published in SEARCHERS:
        begun, found, trials = time.perf_counter(), [], []
        try:
            for seed in range(seeds):
                outcome = run_search(searcher, space, objective, budget_seconds=BUDGET, seed=seed)
                found.append(rows[space.to_native(outcome.architecture)])
                trials.append(len(outcome.rows))
        except MissingExtraError as error:
            print(f"{name:18}{error}")
            continue
        wall = (time.perf_counter() - begun) / seeds
        of_valid, of_test = (
            f"{fmean(values := [float(column[row]) for row in found]):.2f} +- {stdev(values):.2f}" for column in (valid, test)
        )
        print(f"{name:18}{of_valid:>15}{of_test:>16}{published:>17}{fmean(trials):9.1f}{wall:17.3f}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 500)
