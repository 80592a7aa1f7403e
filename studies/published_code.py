"""How fast the authors' code takes a step, as it is and with one line more, beside the executors.

git clone https://github.com/quark0/darts
git clone https://github.com/yuhuixu1993/PC-DARTS
git clone https://github.com/D-X-Y/AutoDL-Projects
python studies/published_code.py --darts darts --pcdarts PC-DARTS --autodl AutoDL-Projects [--repeats 5] [--threads 2]

A step of a search is a first-order one, as in their train_search.py or DARTS-V1.py: loss and gradients on a batch for the
architecture, Adam, loss and gradients on another for the weights, clipping, SGD. A step of a retraining is that of their
train.py, without drop path and auxiliary head. "channels_last" is the same network with one line more,
`.to(memory_format=torch.channels_last)`. Their code is loaded as it is, with `.cuda()` made to do nothing. Random images of
32 x 32. All take steps in turns after one to warm up; printed are medians (least to most) by the clock, and multiples of the
limit: what the operations take at the rate of torch's 3x3 convolution in the same run.
"""

import argparse
import importlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from statistics import median
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from mixop.core.surroundings import using
from mixop.engine.settings import Settings
from mixop.evaluate.protocol import PROTOCOLS
from mixop.measure.retraining import TrainingCase, TrainingSteps, training_flops
from mixop.measure.speed import Case, Steps, flops
from mixop.measure.turns import roofline
from mixop.recipes import RECIPES
from mixop.spaces import darts, nasbench201
from mixop.spaces.published import DARTS_V2

SIZES = {"input_shape": (3, 32, 32), "outputs": 10}
OPTIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EXECUTORS = ("plain", "nodewise", "fused")
NAMES = ("architect", "genotypes", "model", "model_search", "operations", "utils", "xautodl")

Step = Callable[[], float]


@contextmanager
def theirs(folder: Path) -> Iterator[Callable[[str], Any]]:
    """What imports a module of a clone. Meanwhile `.cuda()` does nothing, and torchvision may be absent."""
    kept = {kind: kind.cuda for kind in (Tensor, nn.Module)}
    for kind in kept:
        kind.cuda = lambda self, *_, **__: self  # type: ignore[method-assign, assignment]
    sys.path.insert(0, str(folder))
    absent = () if find_spec("torchvision") else ("torchvision", "torchvision.datasets", "torchvision.transforms")
    sys.modules.update({name: ModuleType(name) for name in absent})
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name in absent or name.partition(".")[0] in NAMES]:
            del sys.modules[name]
        for kind, method in kept.items():
            kind.cuda = method  # type: ignore[method-assign]


def batches(count: int, size: int, *, last: bool) -> list[tuple[Tensor, Tensor]]:
    """Random images and labels."""
    generator = torch.Generator().manual_seed(0)
    layout = torch.channels_last if last else torch.contiguous_format
    return [
        (
            torch.randn(size, 3, 32, 32, generator=generator).to(memory_format=layout),
            torch.randint(10, (size,), generator=generator),
        )
        for _ in range(count)
    ]


def laid_out(net: Any, *, last: bool) -> Any:
    """The network, with the channels last where they shall be."""
    return net.to(memory_format=torch.channels_last) if last else net


def timed(run: Callable[[], object]) -> float:
    """Seconds by the clock."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def darts_search(folder: Path, batch: int, *, last: bool) -> Step:
    """A step of train_search.py: 16 channels, 8 cells. That of PC-DARTS reads the same."""
    with theirs(folder) as load:
        loss = nn.CrossEntropyLoss()
        net = laid_out(load("model_search").Network(16, 10, 8, loss), last=last)
        settings = SimpleNamespace(momentum=0.9, weight_decay=3e-4, arch_learning_rate=3e-4, arch_weight_decay=1e-3)
        architect: Any = load("architect").Architect(net, settings)
    optimiser = torch.optim.SGD(net.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)
    (x, y), (x_valid, y_valid) = batches(2, batch, last=last)

    def step() -> None:
        net.train()
        architect.step(x, y, x_valid, y_valid, 0.025, optimiser, unrolled=False)
        optimiser.zero_grad()
        loss(net(x), y).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()

    return lambda: timed(step)


def autodl_search(folder: Path, batch: int, *, last: bool) -> Step:
    """A step of DARTS-V1.py on NAS-Bench-201: 16 channels, 5 cells a stage."""
    with theirs(folder) as load:
        kind = load("xautodl.models.cell_searchs.search_model_darts").TinyNetworkDarts
        net = laid_out(kind(16, 5, 4, 10, list(OPTIONS), False, False), last=last)
    weights = torch.optim.SGD(net.get_weights(), 0.025, momentum=0.9, weight_decay=5e-4, nesterov=True)
    architecture = torch.optim.Adam(net.get_alphas(), 3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    loss = nn.CrossEntropyLoss()
    (x, y), (x_valid, y_valid) = batches(2, batch, last=last)

    def step() -> None:
        net.train()
        weights.zero_grad()
        loss(net(x)[1], y).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5)
        weights.step()
        architecture.zero_grad()
        loss(net(x_valid)[1], y_valid).backward()
        architecture.step()

    return lambda: timed(step)


def darts_training(folder: Path, batch: int, cells: int, *, last: bool) -> Step:
    """A step of train.py for DARTS_V2 with 36 channels."""
    with theirs(folder) as load, redirect_stdout(StringIO()):  # it prints the channels of every cell
        net = laid_out(load("model").NetworkCIFAR(36, 10, cells, False, load("genotypes").DARTS_V2), last=last)
    net.drop_path_prob = 0.0  # as train.py sets it
    optimiser, loss = torch.optim.SGD(net.parameters(), 0.025, momentum=0.9, weight_decay=3e-4), nn.CrossEntropyLoss()
    ((x, y),) = batches(1, batch, last=last)

    def step() -> None:
        net.train()
        optimiser.zero_grad()
        loss(net(x)[0], y).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5)
        optimiser.step()

    return lambda: timed(step)


def ours(recipe: str, space: str, batch: int, place: Path) -> tuple[dict[str, Step], int]:
    """The executors' steps, and the operations of one."""
    sized = darts(channels=16, cells=8, **SIZES) if space == "darts" else nasbench201(channels=16, cells=5, **SIZES)
    case = Case(recipe=replace(RECIPES[recipe](), batch_size=batch), space=sized, settings=Settings())
    steps = {name: Steps(case.by(name), place / f"{recipe}-{space}-{name}") for name in EXECUTORS}
    return {name: lambda its=its: its.step()[0] for name, its in steps.items()}, flops(case)


def our_training(batch: int, cells: int, place: Path) -> tuple[dict[str, Step], int]:
    """The same of a retraining."""
    protocol = replace(PROTOCOLS["darts-cifar10"], cells=cells, auxiliary=0.0, drop_path=0.0, batch_size=batch, cutout=None)
    case = TrainingCase(architecture=DARTS_V2, space=darts(**SIZES), protocol=protocol, settings=Settings())
    steps = {name: TrainingSteps(case, name, place / f"train-{cells}-{name}") for name in EXECUTORS[:2]}
    return {name: its.step for name, its in steps.items()}, training_flops(case)


def both(make: Callable[..., Step], folder: Path, *size: int) -> dict[str, Step]:
    """The authors' step in both forms."""
    return {"authors": make(folder, *size, last=False), "authors, channels_last": make(folder, *size, last=True)}


def rows(its: dict[str, Step], operations: int, repeats: int) -> list[str]:
    """A line for each, the steps taken in turns."""
    taken: dict[str, list[float]] = {name: [] for name in its}
    for turn in range(repeats + 1):
        for name, step in its.items():
            seconds = step()
            if turn:
                taken[name].append(seconds)
    limit = operations / roofline().convolution
    first = median(next(iter(taken.values())))
    lines = [f"  limit {limit:.3f} s ({operations / 1e9:.1f} GFLOP)"]
    for name, times in taken.items():
        seconds = f"{median(times):.3f} s ({min(times):.3f} to {max(times):.3f})"
        lines.append(
            f"  {name:<24} {seconds}, {first / median(times):.1f} x the authors', {median(times) / limit:.1f} times the limit"
        )
    return lines


def commit(folder: Path) -> str:
    """What a clone is at."""
    said = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return said.stdout.strip() or "unknown"


def main() -> None:
    """Measures what there are clones for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("darts", "pcdarts", "autodl"):
        parser.add_argument(f"--{name}", type=Path, help="a clone; without it, its rows are left out")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    with using(args.threads), tempfile.TemporaryDirectory() as name:
        place, cases = Path(name), []

        def case(
            what: str, clone: Path | None, make: Callable[[Path], tuple[dict[str, Step], tuple[dict[str, Step], int]]]
        ) -> None:
            if clone is not None:
                cases.append((what, clone, lambda: make(clone.resolve())))

        case("DARTS, batch 16", args.darts, lambda at: (both(darts_search, at / "cnn", 16), ours("darts", "darts", 16, place)))
        case("PC-DARTS, batch 16", args.pcdarts, lambda at: (both(darts_search, at, 16), ours("pcdarts", "darts", 16, place)))
        case(
            "NAS-Bench-201, batch 32",
            args.autodl,
            lambda at: (both(autodl_search, at, 32), ours("darts", "nasbench201", 32, place)),
        )
        case(
            "Retraining DARTS_V2, 5 cells, batch 8",
            args.darts,
            lambda at: (both(darts_training, at / "cnn", 8, 5), our_training(8, 5, place)),
        )
        print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads")
        for what, clone, make in cases:
            its, (own, operations) = make()
            print(f"{what} (their code at {commit(clone)})")
            print("\n".join(rows({**its, **own}, operations, args.repeats)), flush=True)


if __name__ == "__main__":
    main()
