"""What three large pieces of work would cost on GPUs, on paper: docs/scale.md has the assumptions and what follows.

    python studies/scale.py

A few steps are taken on the CPU with small batches, and counted: FLOPs of convolutions and products, bytes that operations
read and write, and operations that a GPU would be sent. FLOPs and bytes grow with the batch in a straight line, which two batch
sizes give; the number of operations does not grow. What a GPU makes of them is assumed in `GPU`. It takes some minutes.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import torch
from torch import Generator, Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from mixop.core.errors import MixopError
from mixop.data import from_arrays
from mixop.data.core import Data
from mixop.engine.settings import Settings
from mixop.evaluate.score import multiply_adds, parameters
from mixop.measure.speed import Case, Steps
from mixop.nets.discrete import build
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES
from mixop.runs.lock import BEAT
from mixop.runs.remote import PAUSE, STEP
from mixop.spaces.core import Space
from mixop.spaces.darts import Darts
from mixop.spaces.nasbench201 import NasBench201
from mixop.tabulate.build import architectures_of
from mixop.tabulate.cohort import Cohort
from mixop.tabulate.how import Tabulation

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass(frozen=True)
class Gpu:
    """What is assumed of a GPU.

    Args:
        name: of an accelerator like it.
        flops: at convolutions in TF32, in FLOP/s: half of what its makers say.
        bytes_: of memory, in bytes/s: seven tenths of what its makers say.
        launch: seconds between two operations of eager torch, whatever they compute.
        link: between GPUs of a machine, in bytes/s.
    """

    name: str
    flops: float
    bytes_: float
    launch: float
    link: float


GPU = Gpu("A100", flops=0.5 * 156e12, bytes_=0.7 * 2.0e12, launch=8e-6, link=0.7 * 300e9)
DECODED = 120.0
"""Images of ImageNet that a core decodes and crops to 224 pixels in a second."""
CORES = 96
"""Of a machine with eight GPUs."""


@dataclass(frozen=True)
class Count:
    """What a step needs.

    Args:
        flops: of convolutions and products.
        bytes_: that operations read and write.
        launches: operations.
    """

    flops: float = 0.0
    bytes_: float = 0.0
    launches: float = 0.0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.flops + other.flops, self.bytes_ + other.bytes_, self.launches + other.launches)

    def __mul__(self, factor: float) -> "Count":
        return Count(self.flops * factor, self.bytes_ * factor, self.launches * factor)

    def smaller(self, share: float) -> "Count":
        """The same for images of fewer pixels: as many operations on less."""
        return Count(self.flops * share, self.bytes_ * share, self.launches)

    def parts(self, gpu: Gpu = GPU) -> tuple[float, float, float]:
        """Seconds of each of the three alone."""
        return self.flops / gpu.flops, self.bytes_ / gpu.bytes_, self.launches * gpu.launch

    def seconds(self, gpu: Gpu = GPU) -> float:
        """As if the longest of the three hid the others, which is the least that it can take."""
        return max(self.parts(gpu))

    def limit(self, gpu: Gpu = GPU) -> str:
        """Which of the three that is."""
        return max(zip(self.parts(gpu), ("arithmetic", "memory", "launches"), strict=True))[1]


class Counter(TorchDispatchMode):
    """Inside, operations are counted; those that only look at a tensor in another way are none.

    A step of an optimiser counts as ten: on a GPU torch takes all tensors of a kind at once, on a CPU one after the other.
    """

    stepping = False

    def __init__(self) -> None:
        super().__init__()
        self.flops, self.bytes_, self.launches = 0, 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        alias = any(argument.alias_info is not None and not argument.alias_info.is_write for argument in func._schema.returns)
        if not alias and func.overloadpacket not in (torch.ops.aten.empty, torch.ops.aten.detach, torch.ops.aten.empty_like):
            self.launches += not Counter.stepping
            self.bytes_ += sum(t.numel() * t.element_size() for t in (*_tensors(args), *_tensors(out)))
        formula = flop_registry.get(func.overloadpacket)
        if func.overloadpacket is torch.ops.aten.convolution_backward:  # whose formula leaves the groups out
            self.flops += 2 * args[0].numel() * args[2][0].numel() * sum(args[10][:2])
        elif formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        return out

    @property
    def count(self) -> Count:
        """What was counted."""
        return Count(self.flops, self.bytes_, self.launches + 10)


def _set_stepping(stepping: bool) -> Callable[..., None]:
    return lambda *_: setattr(Counter, "stepping", stepping)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


class _Halves(Steps):
    """Steps whose halves are counted in place of timed."""

    def _timed(self, run: Callable[..., None], half: str) -> Callable[..., None]:
        def counted(*arguments: Any) -> None:
            with Counter() as counter:
                run(*arguments)
            self.counts[half] = counter.count

        self.counts: dict[str, Count] = getattr(self, "counts", {})
        return counted


def halves(recipe: Recipe, space: Space, batch: int) -> dict[str, Count]:
    """What the two halves of a step need at a batch size, by counting them at two small ones."""
    found: list[dict[str, Count]] = []
    for small in (4, 8):
        with tempfile.TemporaryDirectory() as folder:
            steps = _Halves(Case(recipe=replace(recipe, batch_size=small), space=space, settings=Settings()), Path(folder))
            with Counter() as whole:
                steps.step()
            joint = {"architecture": Count(), "weights": whole.count}  # where one step is for both
            found.append({**joint, **steps.counts})
    return {half: _line(found[0][half], found[1][half], 4, 8, batch) for half in ("architecture", "weights")}


def _line(first: Count, second: Count, at: int, then: int, where: int) -> Count:
    """Through two counts to a third batch size; operations do not grow."""

    def value(a: float, b: float) -> float:
        return a + (b - a) * (where - at) / (then - at)

    return Count(value(first.flops, second.flops), value(first.bytes_, second.bytes_), second.launches)


def imagenet() -> None:
    """A search of PC-DARTS on ImageNet with eight GPUs."""
    # With the thousand classes the made-up images would fill the memory; the last layer is added by hand where it counts.
    space = Darts(stem="imagenet", channels=16, cells=8, input_shape=(3, 224, 224), outputs=10)
    recipe, gpus, batch = RECIPES["pcdarts"](), 8, 1024
    counts = halves(replace(recipe, warmup=0), space, batch // gpus)
    step = counts["architecture"] + counts["weights"]
    weights = 4.0 * _weights(recipe, space)
    exchange = 2 * 2 * weights * (gpus - 1) / gpus / GPU.link  # both halves, around a ring
    seconds = step.seconds() + exchange
    print("## A search on ImageNet with eight GPUs\n")
    print(f"PC-DARTS, {batch} images a batch, {batch // gpus} for each GPU; a step with both halves:\n")
    _print_parts(step)
    print(f"\n- exchange of {weights / 1e6:.1f} MB of gradients, twice: {1e3 * exchange:.1f} ms")
    for name, images in (
        ("10 % of ImageNet and 2.5 % for the architecture, as published", 128_117),
        ("one half each", 640_583),
    ):
        whole = seconds * recipe.epochs * images / batch
        print(f"- {recipe.epochs} epochs, {name}: {whole / HOUR:.1f} h, {gpus * whole / HOUR:.0f} hours of a GPU")
    rate = 2 * batch / seconds
    print(f"- images that this reads: {rate:,.0f} a second; {CORES} cores decode {CORES * DECODED:,.0f}")


def _weights(recipe: Recipe, space: Space) -> int:
    with tempfile.TemporaryDirectory() as folder:
        small = replace(recipe, batch_size=4, warmup=0)
        steps = Steps(Case(recipe=small, space=space, settings=Settings()), Path(folder))
        own = list(steps.search.state.net.parameters())
    features = own[-2].shape[-1]  # what the last layer reads
    return sum(parameter.numel() for parameter in own) + 990 * (features + 1)


def comparison(methods: int = 34, seeds: int = 4) -> None:
    """All methods in the space of NAS-Bench-201 at full scale, on three sets."""
    sets = {"CIFAR-10": (50_000, 1.0), "CIFAR-100": (50_000, 1.0), "ImageNet16-120": (151_700, 0.25)}
    space = NasBench201(input_shape=(3, 32, 32), outputs=10)
    rows: dict[str, tuple[float, Count, float]] = {}
    left_out = []
    for name, make in RECIPES.items():
        recipe = make()
        try:
            recipe.check(space)
            counts = halves(recipe, space, recipe.batch_size)
        except MixopError:
            left_out.append(name)
            continue
        step = counts["weights"] + counts["architecture"] * (1 / recipe.architecture_every)
        whole = 0.0
        for images, share in sets.values():
            each = images if recipe.scheme.shares_data else images // 2
            whole += recipe.epochs * each / recipe.batch_size * step.smaller(share).seconds()
        rows[name] = (whole, step, counts["weights"].seconds())
    mean = fmean(whole for whole, _, _ in rows.values())
    runs = methods * len(sets) * seeds
    print(f"\n## {methods} methods x {len(sets)} sets x {seeds} seeds\n")
    print(f"Counted for the {len(rows)} recipes that fit the space; a search of each on the three sets together:\n")
    print("| recipe | operations a step | ms a step | limited by | hours |\n| --- | --- | --- | --- | --- |")
    order = sorted(rows.items(), key=lambda item: item[1][0])
    for name, (whole, step, _) in [*order[:2], order[len(order) // 2], *order[-3:]]:
        print(f"| `{name}` | {step.launches:,.0f} | {1e3 * step.seconds():.0f} | {step.limit()} | {whole / HOUR:.1f} |")
    limits = [step.limit() for _, step, _ in rows.values()]
    print(f"\n- limited by: {', '.join(f'{what} {limits.count(what)}' for what in sorted(set(limits)))}")
    whole = methods * seeds * mean
    print(f"- mean of a recipe and seed on three sets: {mean / HOUR:.1f} h; all {runs} runs: {whole / DAY:.0f} days of a GPU")
    longest = max(each for each, _, _ in rows.values()) / HOUR
    for gpus in (8, 32):
        print(f"- on {gpus} GPUs: {whole / DAY / gpus:.1f} days; the longest method takes {longest:.0f} h on three sets")
    print(f"- not counted: {', '.join(left_out)}")


def table() -> None:
    """Every architecture of NAS-Bench-201."""
    space = NasBench201(input_shape=(3, 32, 32), outputs=10)
    began = time.perf_counter()
    everything = architectures_of(space)
    listed = time.perf_counter() - began
    some = Random(0).sample(everything, 12)
    x = torch.zeros(1, 3, 32, 32)
    began = time.perf_counter()
    nets = [build(architecture, space, generator=Generator().manual_seed(0)) for architecture in some]
    adds = fmean(multiply_adds(net, x) for net in nets)
    facts = (time.perf_counter() - began) / len(some)
    size = fmean(parameters(net) for net in nets)
    how = Tabulation(seeds=3, batch_size=256)
    group = 9
    print(f"\n## A table of {len(everything):,} architectures\n")
    step, core = _cohort_step(space, some[:group], how)
    step *= 1 / group
    print(f"{how.batch_size} images a batch, {group * how.seeds} networks side by side; a step of one with its three seeds:\n")
    _print_parts(step)
    one = 6 * adds * how.batch_size * how.seeds
    print(f"\n- {adds / 1e6:.0f} million multiply-adds an image on average: {one / 1e9:,.0f} GFLOP for three seeds, by hand")
    for epochs, images in ((12, 25_000), (200, 50_000)):
        whole = len(everything) * epochs * images / how.batch_size * step.seconds()
        print(f"- {epochs} epochs of {images:,} images: {whole / DAY:,.0f} days of a GPU, {whole / DAY / 64:,.1f} days of 64")
    steps = len(everything) / group * 12 * 25_000 / how.batch_size
    print(f"- 12 epochs on this machine's cores, by a measured step: {steps * core / DAY / 365:,.0f} years of a core")
    groups = -(-len(everything) // 27)
    print(f"- groups of 81 networks: {groups}; checkpoint of a group: {81 * size * 8 / 1e6:,.0f} MB, weights and momentum")
    counting = facts * len(everything) / 60
    print(f"- where the command is given: listing {listed:.1f} s; parameters and multiply-adds of all {counting:.0f} min")


def _cohort_step(space: Space, architectures: list[Any], how: Tabulation) -> tuple[Count, float]:
    """What a step of a cohort needs, and its seconds on one core of this machine."""
    counts, seconds = [], 0.0
    for small in (4, 8):
        small_how = replace(how, batch_size=small)
        job = Cohort(architectures, list(range(len(architectures))), space, _images(256), small_how)
        job.begin_epoch()
        job.take_step()
        began = time.perf_counter()
        job.take_step()
        seconds = (time.perf_counter() - began) * how.batch_size / small
        with Counter() as counter:
            job.take_step()
        counts.append(counter.count)
    return _line(counts[0], counts[1], 4, 8, how.batch_size), seconds


def _images(count: int) -> Data:
    x = torch.randint(0, 256, (count, 3, 32, 32), generator=Generator().manual_seed(0), dtype=torch.uint8)
    return from_arrays(x, torch.arange(count) % 10, valid=0.5, test_share=0.3, layout="nchw")


def disk(runs: int = 408) -> None:
    """What many runs at a time ask of the disk that they share, besides their checkpoints."""
    print(f"\n## The shared disk, with {runs} runs at a time\n")
    print(f"- touches of locks: {runs / BEAT:.0f} a second")
    print(f"- lines that workers tell: at most {runs / STEP:.0f} a second")
    print(f"- files that the command looks at: {runs / PAUSE:.0f} a second")


def _print_parts(step: Count) -> None:
    amounts = (f"{step.flops / 1e9:,.0f} GFLOP", f"{step.bytes_ / 1e9:,.1f} GB", f"{step.launches:,.0f} operations")
    for what, amount, seconds in zip(("arithmetic", "memory", "launches"), amounts, step.parts(), strict=True):
        print(f"- {what}: {amount}, {1e3 * seconds:,.1f} ms")


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    register_optimizer_step_pre_hook(_set_stepping(True))
    register_optimizer_step_post_hook(_set_stepping(False))
    with _one_thread():
        imagenet()
        comparison()
        table()
        disk()
