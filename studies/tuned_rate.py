"""What a rate that tunes itself is worth: searches with rates that are off by orders of magnitude, with it and without.

python studies/tuned_rate.py [SEEDS] [toy|digits]

DARTS of first order, its weights trained by SGD at a constant rate. On the toy space (192 examples, batches of 8, 6 epochs)
the score is the share of right decisions. On a third of the embedded digits (NAS-Bench-201's topology with 2 channels and one
cell, batches of 32, 5 epochs) it is the validation accuracy that the table `nasbench201-digits` has for what was found.
Printed: mean and standard error over seeds of the score and of the supernet's validation accuracy, and the geometric mean of
the rate at the end. One thread.
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

import mixop
from mixop.bilevel import FirstOrder, Scheme, TunedRate
from mixop.comparison.evaluators import against, tabular
from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant

RATES = {"toy": (1e-3, 1e-2, 1e-1, 1.0), "digits": (1e-3, 1e-2, 1e-1, 1.0)}


def measured(where: str, rate: float, scheme: Scheme, seed: int, out: Path) -> tuple[float, float, float]:
    """Score, the supernet's validation accuracy and the last rate of one search, the first two in percent."""
    recipe = replace(mixop.recipes.darts(epochs=6), scheme=scheme, weight_optimiser=SGD(lr=Constant(rate), momentum=0.9))
    if where == "toy":
        space = mixop.spaces.toy()
        recipe = replace(recipe, batch_size=8, architecture_optimiser=Adam(lr=Constant(0.1)))
        data = mixop.data.toy_set(space, n=192)
    else:
        space = mixop.spaces.SPACES["nasbench201-digits"](channels=2, cells=1)  # pyright: ignore[reportCallIssue]
        recipe = replace(recipe, epochs=5, batch_size=32, architecture_optimiser=Adam(lr=Constant(0.02)))
        data = mixop.data.digits(valid=0.15, test=0.7)
    found = mixop.search(recipe, space, data, out, seed=seed, rates="paper", progress=False)
    if where == "toy":
        score = against(found.architecture, space)["score"]
    else:
        score = tabular("nasbench201-digits").look_up(found.architecture)
    last = found.history[-1]
    return 100 * score, 100 * (last.valid["accuracy"] or 0.0), last.learning_rate


def written(values: Sequence[float]) -> str:
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.1f} +- {error:.1f}"


def main() -> None:
    torch.set_num_threads(1)
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    for where in sys.argv[2:] or list(RATES):
        print(f"{where}: rate, scheme, score (%), supernet's validation accuracy (%), rate at the end")
        for rate in RATES[where]:
            for scheme in (FirstOrder(), TunedRate()):
                with tempfile.TemporaryDirectory() as folder:
                    runs = [measured(where, rate, scheme, seed, Path(folder, str(seed))) for seed in range(seeds)]
                scores, accuracies, ends = zip(*runs, strict=True)
                name = type(scheme).__name__
                print(
                    f"{rate:g} {name} {written(scores)}  {written(accuracies)}  {statistics.geometric_mean(ends):.3g}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
