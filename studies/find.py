"""Is `mixop find` worth its time? Beside it, networks that a person would take, each given all of that time.

python studies/find.py runs/find-study --minutes 2 --seeds 3 --sheets FOLDER
python studies/find.py runs/find-study --minutes 2 --seeds 3 --limit parameters:16

Each training and each `find` is a process of one thread, two at once. Minutes are those of the processor, so that other work on
the machine takes nothing away from anybody. What is done is kept in runs.jsonl, and the same command goes on; the table that it
prints is of all that is there. Real sets: handwritten digits, days of electricity demand, outlines
of leaves (sktime ships both), cells of breast tissue (scikit-learn), and photographs of CIFAR-10 from sheets (see
`mixop.data.Sheets`): ten classes at 16 and at 32 pixels, and 500 of each of the first four at 16.

Beside `find` stand, trained for as many epochs as all of the time allows, as a person would: by the protocol of `find`, but
with the usual weight decay, where `find` takes a larger one for few images:

- plain: a residual network with one block a stage and 16 channels, of images or of signals; for features a perceptron of 64;
- cell: NAS-Bench-201's residual cell with 16 channels; for features a perceptron four times as wide inside;
- random: five random architectures of the space where `find` searches, a tenth of the time each; the best of them by
  validation is trained for the other half;
- search (asked for by --also): `mixop search --recipe gaea` in that space for half of the time, then `mixop retrain` by its
  protocol `quick` for the other half;
- alike (asked for by --also): plain, with the weight decay of `find`.

A limit is a share of what `plain` costs; then all of them are as wide as it allows.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from random import Random

import numpy as np
import torch

import mixop
from mixop.data.core import Data
from mixop.data.images.sheets import Sheets
from mixop.data.split import Split
from mixop.engine.settings import Settings
from mixop.evaluate.protocol import PROTOCOLS
from mixop.finder.boosting import boosted
from mixop.finder.contender import Contender, Entry, around
from mixop.finder.costs import Limits
from mixop.finder.find import find
from mixop.finder.plan import AHEAD
from mixop.finder.portfolio import RESNET_CELL, Family, Member, portfolio, where_to_search
from mixop.finder.run import FEWEST_SEARCH_EPOCHS
from mixop.finder.training import LONGEST_EPOCHS, protocol_for
from mixop.measure.foresight import retraining_estimate, search_estimate
from mixop.models.conv1d import conv1d
from mixop.models.mlp import mlp
from mixop.models.resnet import resnet
from mixop.recipes import RECIPES
from mixop.runs.environment import environment
from mixop.spaces.nasbench201 import NasBench201

DRAWS, VALID = 5, 0.25
ANY = 1e9
"""Milliseconds that no network takes: under a limit of time, networks are timed."""
CELL = Family("cell", lambda size, stride: NasBench201(channels=size, cells=1), RESNET_CELL)
PLAIN = {
    3: Family(
        "plain", lambda size, stride: resnet(channels=size, blocks=(1, 1, 1), kernels=(3,), ratios=(1,), stem_stride=stride)
    ),
    2: Family("plain", lambda size, stride: conv1d(channels=size, blocks=(1, 1, 1), kernels=(9,), dilations=(1,), ratios=(1,))),
    1: Family("plain", lambda size, stride: mlp(width=size, depth=2, ratios=(1,))),
}
WIDE = Family("cell", lambda size, stride: mlp(width=size, depth=2, ratios=(4,)))


@dataclass(frozen=True)
class Job:
    """One thing to do: a contender on a set, under a limit, with a seed."""

    set: str
    minutes: float
    limit: str
    seed: int
    who: str
    sheets: str


def digits(job: Job) -> Data:
    """1,797 images of 8x8, two fifths of them for the test."""
    return mixop.data.digits(valid=VALID, test=0.4, seed=job.seed)


def cifar(job: Job, *, size: int, classes: int, each: int | None) -> Data:
    """Photographs, of some classes only, and only so many of each to train on; all of the test."""
    whole = Sheets(job.sheets, size=size, own_split=False, split=Split(valid=VALID, seed=job.seed)).load()
    pool, labels = whole.at("train", "valid"), whole.targets("train", "valid")
    kept = [pool[labels == k][:each] for k in range(classes)]
    train = whole.examples.read(torch.cat(kept))
    test = whole.examples.read(whole.test[whole.targets("test") < classes])
    names = [*getattr(whole.task, "classes", ())][:classes]
    return mixop.data.from_arrays(
        train.x, train.y, test=(test.x, test.y), valid=VALID, seed=job.seed, classes=names, name=job.set
    )


def signals(job: Job, folder: str) -> Data:
    """Both parts of one of sktime's sets together, half of them for the test; its files are read without its code.

    The last steps are cut off where cells could not halve the signals twice.
    """
    found = find_spec("sktime")
    if found is None or found.origin is None:
        raise SystemExit("The signals come with sktime: pip install sktime, or leave these sets out by --sets.")
    place, x, y = Path(found.origin).parent / "datasets" / "data" / folder, [], []
    for part in ("TRAIN", "TEST"):
        lines = (place / f"{folder}_{part}.ts").read_text().splitlines()
        at = next(i for i, line in enumerate(lines) if line.lower().startswith("@data"))
        for line in lines[at + 1 :]:
            *channels, label = line.split(":")
            x.append([[float(number) for number in channel.split(",")] for channel in channels])
            y.append(label)
    whole = np.array(x, dtype=np.float32)
    return mixop.data.from_arrays(
        whole[..., : whole.shape[-1] // 4 * 4],
        np.array(y),
        valid=VALID,
        test_share=0.5,
        seed=job.seed,
        name=job.set,
        layout="ncl",
    )


def features(job: Job) -> Data:
    """569 examples with 30 numbers each, two fifths of them for the test."""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    return mixop.data.from_arrays(np.asarray(x, dtype=np.float32), y, valid=VALID, test_share=0.4, seed=job.seed, name=job.set)


SETS: dict[str, Callable[[Job], Data]] = {
    "digits": digits,
    "demand": lambda job: signals(job, "ItalyPowerDemand"),
    "leaves": lambda job: signals(job, "OSULeaf"),
    "tissue": features,
    "cifar4-16": lambda job: cifar(job, size=16, classes=4, each=500),
    "cifar10-16": lambda job: cifar(job, size=16, classes=10, each=None),
    "cifar10-32": lambda job: cifar(job, size=32, classes=10, each=None),
}


def limits_of(job: Job, data: Data) -> Limits:
    """A share of what the plain network costs."""
    if job.limit == "none":
        return Limits()
    kind, share = job.limit.split(":")
    entry = Entry(data, Limits(latency_ms=ANY if kind == "latency_ms" else None))
    contender, _ = entry.member(Member(PLAIN[len(data.shape)], 64 if len(data.shape) == 1 else 16))
    assert contender is not None
    return Limits(**{kind: getattr(contender.cost, kind) / float(share)})


def hands(job: Job, data: Data, limits: Limits) -> tuple[Contender, float]:
    """A network by hand, and the seconds that it has."""
    flat, entry = len(data.shape) == 1, Entry(data, limits)
    family = PLAIN[len(data.shape)] if job.who in ("plain", "alike") else WIDE if flat else CELL
    contender, why = entry.member(Member(family, 64 if flat else 16))
    if contender is None:
        contender, why = entry.largest(family)
    if contender is None:
        raise mixop.MixopError(f"No {family.label} keeps the limit: {why}.")
    return contender, 60 * job.minutes


def epochs_in(seconds: float, contender: Contender, data: Data, *, whole: bool) -> int:
    """Epochs that fit into some seconds, on all training examples or on the part ``train``."""
    estimate = retraining_estimate(contender.architecture, contender.space, data, protocol_for(data, 1))
    share = 1 if whole else len(data.train) / (len(data.train) + len(data.valid))
    return max(1, min(LONGEST_EPOCHS, int(seconds / (AHEAD * share * estimate.seconds))))


def trained(
    contender: Contender, data: Data, folder: Path, epochs: int, seed: int, *, whole: bool, by_hand: bool = False
) -> float:
    """What a network scores: on the test after training on all, or on the part ``valid``; by hand, with the usual decay."""
    protocol = protocol_for(data, epochs)
    if by_hand:
        protocol = replace(protocol, optimiser=PROTOCOLS["quick"].optimiser)
    parts = {} if whole else {"train_on": ("train",), "score_on": "valid"}
    result = mixop.retrain(
        contender.architecture,
        contender.space,
        data,
        folder,
        protocol=protocol,
        seed=seed,
        threads=1,
        **parts,  # type: ignore[arg-type]
    )
    value = result.score.value(result.score.networks[0])
    return math.nan if value is None else value


def drawn(job: Job, data: Data, limits: Limits, folder: Path) -> tuple[Contender, float]:
    """The best of some random architectures by validation, and the seconds that are left."""
    begin, random, entry = time.perf_counter(), Random(job.seed), Entry(data, limits)
    near = where_to_search(portfolio(data))
    if near is None:
        raise mixop.MixopError("There is nothing to search.")
    space = around(near, near.size).fit(data)
    tried: list[tuple[float, int, Contender]] = []
    while len(tried) < DRAWS:
        contender, _ = entry.found(f"random {len(tried)}", "random", near, space.random(random), space)
        if contender is None:
            continue
        epochs = epochs_in(60 * job.minutes / (2 * DRAWS), contender, data, whole=False)
        value = trained(contender, data, folder / f"draw{len(tried)}", epochs, job.seed, whole=False, by_hand=True)
        tried.append((data.task.first.rank(value), len(tried), contender))
    return max(tried)[2], 60 * job.minutes - (time.perf_counter() - begin)


def searched(job: Job, data: Data, folder: Path) -> tuple[float, str, dict[str, int]]:
    """What a search and a retraining reach without `find`: the score, the architecture, and what it costs."""
    near = where_to_search(portfolio(data))
    assert near is not None
    space, seconds = around(near, near.size).fit(data), 60 * job.minutes / 2
    recipe = RECIPES["gaea"](epochs=FEWEST_SEARCH_EPOCHS)
    recipe = replace(recipe, batch_size=min(recipe.batch_size, len(data.valid) // 2))
    settings = Settings(threads=1, executor="auto")
    estimate = search_estimate(recipe, space, data, settings)
    count = max(1, int(seconds / (AHEAD * estimate.seconds / FEWEST_SEARCH_EPOCHS)))
    recipe = replace(RECIPES["gaea"](epochs=min(count, RECIPES["gaea"]().epochs)), batch_size=recipe.batch_size)
    result = mixop.search(recipe, space, data, folder / "search", seed=job.seed, threads=1, executor="auto")
    quick = PROTOCOLS["quick"]
    time_of = retraining_estimate(result.architecture, space, data, replace(quick, epochs=1)).seconds
    epochs = max(1, min(LONGEST_EPOCHS, int(seconds / (AHEAD * time_of))))
    trained = mixop.retrain(
        result.architecture, space, data, folder / "whole", protocol=replace(quick, epochs=epochs), seed=job.seed, threads=1
    )
    network = trained.score.networks[0]
    value = trained.score.value(network)
    cost = {"parameters": network.parameters, "flops": network.flops, "epochs": epochs}
    return math.nan if value is None else value, space.to_native(result.architecture), cost


@contextmanager
def processor_seconds() -> Iterator[None]:
    """Every clock of this process counts the seconds that its one thread computes."""
    clocks = time.perf_counter, time.monotonic
    time.perf_counter = time.monotonic = time.process_time
    try:
        yield
    finally:
        time.perf_counter, time.monotonic = clocks


@processor_seconds()
def done(job: Job) -> dict[str, object]:
    """Does a job."""
    torch.set_num_threads(1)
    data = SETS[job.set](job)
    limits = limits_of(job, data)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder, said = Path(name), {}
        if job.who == "find":
            result = find(
                data,
                folder / "find",
                minutes=job.minutes,
                seed=job.seed,
                threads=1,
                max_params=limits.parameters,
                max_flops=limits.flops,
                max_latency_ms=limits.latency_ms,
            )
            value, what = result.score.value(result.score.networks[0]), result.winner
            network = result.score.networks[0]
            said = {"searched": any(trial.origin == "searched" for trial in result.trials), "said": list(result.verdict)}
            cost = {"parameters": network.parameters, "flops": network.flops, "epochs": network.epochs}
        elif job.who == "search":
            value, what, cost = searched(job, data, folder)
        elif job.who == "boosting":
            value, what, cost = (boosted(data, job.seed) or {})[data.task.first.name], "gradient boosting", {}
        else:
            contender, seconds = drawn(job, data, limits, folder) if job.who == "random" else hands(job, data, limits)
            epochs = epochs_in(seconds, contender, data, whole=True)
            by_hand = job.who != "alike"
            value = trained(contender, data, folder / "whole", epochs, job.seed, whole=True, by_hand=by_hand)
            what = f"{contender.label} {contender.space.to_native(contender.architecture)}" if job.who == "random" else ""
            what = what or f"{contender.label} {contender.size}"
            cost = {"parameters": contender.cost.parameters, "flops": contender.cost.flops, "epochs": epochs}
    took = {"seconds": round(time.perf_counter() - begin, 1), "processor": environment("cpu")["processor"]}
    identity = {name: value for name, value in asdict(job).items() if name != "sheets"}
    return {**identity, "value": value, "measure": data.task.first.name, "what": what, **cost, **took, **said}


def jobs(args: argparse.Namespace) -> Iterator[Job]:
    """All that is asked for, seed by seed, so that a study that is cut short has all contenders of some seeds."""
    for seed in range(args.seeds):
        for name in args.sets:
            for who in (
                "find",
                "plain",
                "cell",
                "random",
                *(["boosting"] if name == "tissue" and args.limit == "none" else []),
                *args.also,
            ):
                yield Job(name, args.minutes, args.limit, seed, who, args.sheets)


def key(row: dict[str, object]) -> tuple[object, ...]:
    """What tells a row from others."""
    return tuple(row[name] for name in ("set", "minutes", "limit", "seed", "who"))


def table(rows: list[dict[str, object]]) -> str:
    """Means and standard deviations by set, time and limit."""
    lines = [
        "| set | minutes | limit | seeds | find | plain | cell | random | search | alike | what find chose |",
        "| --- " * 11 + "|",
    ]
    for group in dict.fromkeys(key(row)[:3] for row in rows):
        cells, chosen, seeds = [], [], 0
        for who in ("find", "plain", "cell", "random", "search", "alike"):
            those = [row for row in rows if key(row)[:3] == group and row["who"] == who]
            values = [100 * float(str(row["value"])) for row in those]
            spread = f" +- {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}" if values else "")
            seeds = max(seeds, len(values))
            chosen += [str(row["what"]) for row in those if who == "find"]
        lines.append(f"| {' | '.join(map(str, group))} | {seeds} | {' | '.join(cells)} | {', '.join(chosen)} |")
    return "\n".join(lines)


def main() -> None:
    """Measures what is not there yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", type=lambda text: text.split(","), default=list(SETS))
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--limit", default="none", help="none, or parameters:K, flops:K, latency_ms:K: a K-th of the plain network's"
    )
    parser.add_argument("--also", nargs="*", default=[], choices=["search", "alike"], help="further rivals, without a limit")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="of all contenders, such as: plain,cell")
    parser.add_argument("--sheets", default="", help="the folder of CIFAR-10 as sheets; without it these sets are left out")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    if not args.sheets:
        print("No --sheets: the photographs are left out.")
        args.sets = [name for name in args.sets if not name.startswith("cifar")]
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "runs.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    known = {key(row) for row in rows}
    waiting = [job for job in jobs(args) if key(asdict(job)) not in known and job.who in (args.only or [job.who])]
    with ProcessPoolExecutor(args.jobs, max_tasks_per_child=1) as pool:
        going = {pool.submit(done, job): job for job in waiting}
        for ready in as_completed(going):
            try:
                row = ready.result()
            except Exception as error:  # whatever it is, the others count; the same command tries it again
                print(*key(asdict(going[ready])), f"failed: {type(error).__name__}: {error}", flush=True)
                continue
            rows.append(row)
            with file.open("a") as out:
                out.write(json.dumps(row) + "\n")
            print(*key(row), row["value"], row["what"], f"{row['seconds']} s", flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
