"""What it costs at the end to take the cheapest of networks that are level after short trainings, as `mixop find` does.

python studies/cheapest.py --sheets FOLDER [--minutes 2] [--seeds 4] [--limit parameters:16]

Photographs of CIFAR-10 at 16 pixels (FOLDER, see `mixop.data.Sheets`), 500 of each of four classes. `mixop find` has the
minutes, in seconds of one processor. Beside the network that it trained, the best of its last round is trained by the same
protocol for as many seconds. Both are scored on other images of these classes; the test is not looked at. A seed draws the
images too. A limit is a share of what a plain residual network of 16 channels costs. One thread each, two at once.
"""

import argparse
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from find import Job, limits_of, processor_seconds
from weight_decay import photographs

import mixop
from mixop.evaluate.trained import read_found, read_space
from mixop.finder.crew import place_of
from mixop.finder.find import find
from mixop.finder.training import LONGEST_EPOCHS, protocol_for
from mixop.finder.verdict import ranked
from mixop.runs.directory import RunDirectory


@processor_seconds()
def scored(seed: int, minutes: float, limit: str, sheets: str) -> tuple[str, float, str, float]:
    """The network that `find` trained and its score in percent, and the same of the best of the last round."""
    torch.set_num_threads(1)
    data = photographs(500, 4, seed, sheets)
    with tempfile.TemporaryDirectory() as folder:
        limits = limits_of(Job("cifar4-16", minutes, limit, seed, "find", sheets), data)
        result = find(
            data,
            Path(folder, "find"),
            minutes=minutes,
            seed=seed,
            threads=1,
            max_params=limits.parameters,
            max_flops=limits.flops,
            max_latency_ms=limits.latency_ms,
        )
        network = result.score.networks[0]
        taken = result.winner, 100 * (result.score.value(network) or 0.0)
        last = [trial for trial in result.trials if trial.round == 2]
        best = last[ranked(last, data.task)[0]] if last else None
        if best is None or best.label == result.winner:
            return *taken, *taken
        trial = RunDirectory(place_of(RunDirectory(Path(folder, "find")), 2, best.label))
        space = read_space(trial)
        whole = (len(data.train) + len(data.valid)) / len(data.train)
        epochs = min(LONGEST_EPOCHS, int(network.seconds / (whole * best.seconds / best.epochs)))
        again = mixop.retrain(
            read_found(trial, space),
            space,
            data,
            Path(folder, "best"),
            protocol=protocol_for(data, epochs),
            seed=seed,
            threads=1,
            progress=False,
        )
        return *taken, best.label, 100 * (again.score.value(again.score.networks[0]) or 0.0)


def main() -> None:
    """Prints a row for each seed, and the mean difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheets", required=True)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--limit", default="none", help="none, or parameters:K, flops:K, latency_ms:K")
    args = parser.parse_args()
    print("| seed | taken | accuracy, % | the best of the last round | accuracy, % |", "| --- " * 5 + "|", sep="\n")
    losses: list[float] = []
    with ProcessPoolExecutor(2, max_tasks_per_child=1) as pool:
        going = [pool.submit(scored, seed, args.minutes, args.limit, args.sheets) for seed in range(args.seeds)]
        for seed, run in enumerate(going):
            taken, value, best, reached = run.result()
            losses.append(reached - value)
            print(f"| {seed} | {taken} | {value:.1f} | {best} | {reached:.1f} |", flush=True)
    error = statistics.stdev(losses) / len(losses) ** 0.5 if len(losses) > 1 else 0.0
    print(f"The best is better by {statistics.mean(losses):+.1f} ± {error:.1f}.")


if __name__ == "__main__":
    main()
