"""What choices in a model cost: steps a second of ``net(x, mix)`` beside the same model without choices.

    OMP_NUM_THREADS=1 python studies/module_overhead.py [REPEATS]

For every ready space: the plain network written without choices, the supernet at a one-hot mix in which one path runs, and the
full mixture, each a forward and a backward pass of 64 examples on one thread. Passes of the three take turns, and the table has
ratios of the medians of their times. The one-hot path computes what the plain network does, so its ratio is the overhead of
choices; the mixture runs all options, and costs at least what these do.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Generator, Tensor

import mixop
from mixop.nets.ops import BatchNorm
from mixop.spaces import ModuleSpace, Sizes
from mixop.supernet.executors import make_supernet

SPACES: dict[str, ModuleSpace] = {
    "resnet": mixop.spaces.resnet().fit(Sizes((3, 16, 16), 10)),
    "mobilenet": mixop.spaces.mobilenet().fit(Sizes((3, 16, 16), 10)),
    "vit": mixop.spaces.vit().fit(Sizes((3, 16, 16), 10)),
    "conv1d": mixop.spaces.conv1d().fit(Sizes((3, 128), 10)),
    "fcn": mixop.spaces.fcn().fit(Sizes((3, 128), 10)),
    "unet": mixop.spaces.unet().fit(Sizes((3, 16, 16), 10, dense=True)),
    "mlp": mixop.spaces.mlp().fit(Sizes((32,), 10)),
}


def plain_options(space: ModuleSpace) -> dict[str, int]:
    """The plain network: the first option of every choice, and the last of every width."""
    return {g.name: g.shape[1] - 1 if g.name.endswith("width") else 0 for g in space.groups}


def passes(space: ModuleSpace, x: Tensor) -> dict[str, Callable[[], None]]:
    """A training pass of each way to compute."""
    options = plain_options(space)
    plain = mixop.build(
        space.architecture([[option] for option in options.values()]), space, generator=Generator().manual_seed(0)
    )
    net = make_supernet("plain", space, norm=BatchNorm(track=True), generator=Generator().manual_seed(0))
    hot = {group.name: torch.eye(group.shape[1])[[options[group.name]]].requires_grad_() for group in space.groups}
    full = {group.name: torch.full(group.shape, 1 / group.shape[1], requires_grad=True) for group in space.groups}
    active = {name: ((option,),) for name, option in options.items()}

    def run(outputs: Callable[[], Tensor]) -> Callable[[], None]:
        return lambda: outputs().square().mean().backward()

    return {"plain": run(lambda: plain(x)), "one-hot": run(lambda: net(x, hot, active)), "mixture": run(lambda: net(x, full))}


def measured(space: ModuleSpace, repeats: int) -> dict[str, float]:
    """Median seconds of a pass by the way it is computed, the ways taking turns."""
    x = torch.randn(64, *(space.input_shape or ()), generator=Generator().manual_seed(1))
    ways = passes(space, x)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repeats + 1):
        for way, step in ways.items():
            start = time.perf_counter()
            step()
            seconds[way].append(time.perf_counter() - start)
    return {way: statistics.median(times[1:]) for way, times in seconds.items()}  # the first one warms up


if __name__ == "__main__":
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    torch.set_num_threads(1)
    print(f"{'space':10} {'plain, steps/s':>14} {'one-hot':>9} {'mixture':>9}   (times of a step, plain = 1)")
    for name, space in SPACES.items():
        seconds = measured(space, repeats)
        plain = seconds["plain"]
        print(f"{name:10} {1 / plain:14.1f} {seconds['one-hot'] / plain:9.2f} {seconds['mixture'] / plain:9.2f}")
