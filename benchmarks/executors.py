"""One search step by several executors, interleaved, beside what the machine can do at most.

    python benchmarks/executors.py --space nasbench201 --batch 32
    python benchmarks/executors.py --space darts --batch 16 --recipe pcdarts

A step is one first-order bilevel step: the architecture's gradient on a batch, then a weight step with clipping and SGD.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn.functional import conv2d, cross_entropy

from mixop.engine.problem import mix_of
from mixop.recipes import RECIPES
from mixop.spaces import darts, nasbench201
from mixop.supernet.core import Supernet
from mixop.supernet.executors import EXECUTORS

SPACES = {"nasbench201": lambda: nasbench201(channels=16, cells=5), "darts": lambda: darts(cells=8, channels=16)}


def seeded(seed: int = 0) -> torch.Generator:
    """A generator of that seed."""
    return torch.Generator().manual_seed(seed)


def stepper(recipe_name: str, net: Supernet, batch: int) -> Callable[[], tuple[float, float]]:
    """A function that takes one step and gives the seconds of its two halves."""
    recipe = RECIPES[recipe_name]()
    x, y = torch.randn(batch, 3, 32, 32, generator=seeded(1)), torch.arange(batch) % 10
    params = {g.name: recipe.relaxation.init(g, seeded()).requires_grad_() for g in net.groups}
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=3e-4)

    def step() -> tuple[float, float]:
        draws = {g.name: recipe.relaxation.draw(params[g.name], g, 0.5, seeded(2)) for g in net.groups}
        mix, active = mix_of(draws)
        begin = time.perf_counter()
        net.requires_grad_(False)
        torch.autograd.grad(cross_entropy(net(x, mix, active), y), list(params.values()), allow_unused=True)
        middle = time.perf_counter()
        net.requires_grad_(True)
        optimiser.zero_grad()
        cross_entropy(net(x, {name: value.detach() for name, value in mix.items()}, active), y).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        return middle - begin, time.perf_counter() - middle

    return step


def best_of(run: Callable[[], object], repeats: int = 5) -> float:
    """Least seconds of several runs, after one that does not count."""
    run()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def roofline() -> str:
    """What the machine reaches at a matrix product, a 3x3 convolution and a copy."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    gemm = 2 * 2048**3 / best_of(lambda: a @ b) / 1e9
    x = torch.randn(32, 64, 32, 32).contiguous(memory_format=torch.channels_last)
    w = torch.randn(64, 64, 3, 3)
    conv = 2 * 32 * 32 * 32 * 64 * 64 * 9 / best_of(lambda: conv2d(x, w, padding=1)) / 1e9
    big = torch.randn(2**26)
    copy = 2 * 4 * 2**26 / best_of(big.clone) / 1e9
    return (
        f"GEMM {gemm:.0f} GFLOP/s, 3x3 convolution {conv:.0f} GFLOP/s, copy {copy:.1f} GB/s, {torch.get_num_threads()} threads"
    )


def main() -> None:
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", choices=SPACES, default="darts")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--recipe", choices=RECIPES, default="darts")
    parser.add_argument("--executors", default="plain,nodewise", help="compared with the first one")
    parser.add_argument("--repeats", type=int, default=5)
    told = parser.parse_args()
    recipe = RECIPES[told.recipe]()
    space = SPACES[told.space]().fit(channels=3, size=32, classes=10)
    names = told.executors.split(",")
    steps = {}
    for name in names:
        net = EXECUTORS[name](space, norm=recipe.norm, generator=seeded(), wraps=recipe.all_wraps[0])
        steps[name] = stepper(told.recipe, net, told.batch)
    for step in steps.values():
        step()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(told.repeats):
        for name, step in steps.items():
            times[name].append(step())
    print(roofline())
    first = statistics.median(sum(pair) for pair in times[names[0]])
    for name, pairs in times.items():
        whole = [sum(pair) for pair in pairs]
        halves = [statistics.median(column) for column in zip(*pairs, strict=True)]
        print(
            f"{name:10s} step {statistics.median(whole):.3f} s ({min(whole):.3f} to {max(whole):.3f}), architecture "
            f"{halves[0]:.3f}, weights {halves[1]:.3f}; {first / statistics.median(whole):.2f} times as fast as {names[0]}"
        )


if __name__ == "__main__":
    main()
