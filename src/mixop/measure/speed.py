"""How fast a search step is: several executors in turns, beside what the machine can do at most.

A step is a step of the engine: batches, the method's scheme, clipping, both optimisers. The executors take turns, so a machine
that slows down slows all of them. Memory is measured in a process that does nothing else.
"""

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mixop.core.door import door
from mixop.core.errors import RecipeError, RunError
from mixop.core.flops import FlopCounter
from mixop.core.rng import draws_unseen, fenced
from mixop.core.scratch import scratch_folder
from mixop.core.surroundings import using
from mixop.core.trust import grant, receive
from mixop.data.arrays import from_arrays
from mixop.data.core import Data
from mixop.data.images.augment import Augment
from mixop.data.text import from_tokens
from mixop.engine.estimate import saved_bytes
from mixop.engine.fit import check_computing
from mixop.engine.loop import Search
from mixop.engine.problem import mix_of
from mixop.engine.settings import Settings
from mixop.measure.simulated import SimulatedGpu
from mixop.measure.turns import Turns, roofline, seconds
from mixop.nets.training import trained
from mixop.recipe.core import Recipe
from mixop.runs.directory import RunDirectory
from mixop.spaces.core import Space
from mixop.supernet.executors import make_supernet
from mixop.supernet.kernel import PARTS, watched
from mixop.supernet.launched import interpreting


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured.

    Args:
        recipe: the method, with its batch size.
        space: the search space with its sizes.
        settings: of the run; the executor in it is replaced by the one measured.
    """

    asked: ClassVar[str] = "mixop.measure.speed.Case(...)"

    recipe: Recipe
    space: Space
    settings: Settings

    def by(self, executor: str) -> "Case":
        """The same case with another executor."""
        return replace(self, settings=replace(self.settings, executor=executor))


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory of one step, beyond that of the program, the data and the weights.

    Args:
        peak: largest resident memory, in bytes.
        image: what every image of a batch adds to that, in bytes.
        saved: what a forward pass keeps for the backward pass, for each image, in bytes.
    """

    peak: int
    image: int
    saved: int


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a step would do on a GPU, counted on a simulated one.

    Args:
        launches: operations by name, views aside; an operation may be several kernels.
        copies: copies from the host.
        waits: what the host waits for, by name; see `mixop.measure.simulated.SimulatedGpu`.
    """

    launches: Mapping[str, int]
    copies: int
    waits: Mapping[str, int]

    @property
    def launched(self) -> int:
        """Operations in all."""
        return sum(self.launches.values())

    @property
    def waited(self) -> int:
        """Times that the host waits."""
        return sum(self.waits.values())


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of an executor.

    Args:
        executor: its name.
        step: of whole steps.
        architecture: of the architecture's half; 0 for a joint step.
        weights: of the weights' half.
        pass_: of a forward and backward pass in the weights only.
        memory: of a step; None if it was not measured.
        counts: of a step; None where nothing can be counted, see `counts`.
        shares: of a step's processor time in each part of the kernels, in [0, 1]; the rest is torch, Python and waiting. Empty
            where there are no kernels.
    """

    executor: str
    step: Sequence[float]
    architecture: Sequence[float]
    weights: Sequence[float]
    pass_: Sequence[float]
    memory: Memory | None = None
    counts: Counts | None = None
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Result(Turns[Timing]):
    """A whole measurement; the operations of a step are counted on the plain executor.

    Args:
        tokens: of a text that a half of a step reads; 0 for data that are no text.
    """

    tokens: int = 0

    def rate(self, timing: Timing) -> float:
        """Tokens a second that a search reads for its weights, by the median step; 0 for data that are no text."""
        return self.tokens / median(timing.step)

    def figures(self, timing: Timing) -> dict[str, Any]:
        return {
            **super().figures(timing),
            "architecture": list(timing.architecture),
            "weights": list(timing.weights),
            "forward_backward": list(timing.pass_),
            **({"tokens_a_second": self.rate(timing)} if self.tokens else {}),
            "memory": None if timing.memory is None else vars(timing.memory),
            "counts": None if timing.counts is None else {**vars(timing.counts), "launched": timing.counts.launched},
            "shares": dict(timing.shares),
        }


class Steps:
    """A search whose steps are taken one by one.

    Args:
        case: what is measured.
        folder: an empty directory for the run.
        timed: whether the halves of a step are timed, for which the host waits for the device.
    """

    def __init__(self, case: Case, folder: Path, *, timed: bool = True) -> None:
        recipe = replace(case.recipe, warmup=0, architecture_every=1, windows=None)  # all steps alike, each with both halves
        self.search = Search(recipe, case.space, _data(case), RunDirectory(folder), case.settings)
        self.search._prepare_epoch()
        self.batch = self.search.data.batch(self.search.state.weight_stream.peek())
        self._halves = {"architecture": 0.0, "weights": 0.0}
        for name, half in (("_architecture_step", "architecture"), ("_weight_step", "weights")) if timed else ():
            setattr(self.search, name, self._timed(getattr(self.search, name), half))

    def _timed(self, run: Callable[..., None], half: str) -> Callable[..., None]:
        def timed(*arguments: Any) -> None:
            self._halves[half] += seconds(lambda: run(*arguments), self.device)

        return timed

    @property
    def device(self) -> str:
        """The device that computes the steps."""
        return self.search.settings.device

    def take(self) -> None:
        """Takes one step."""
        search = self.search
        for stream in (search.state.weight_stream, search.state.architecture_stream):
            stream.at = 0  # always whole batches
            stream.state = None
        search._step()

    def step(self) -> tuple[float, float, float]:
        """Seconds of one step, and of its two halves."""
        self._halves.update(architecture=0.0, weights=0.0)
        whole = seconds(self.take, self.device)
        return whole, self._halves["architecture"], self._halves["weights"]

    def shares(self) -> dict[str, float]:
        """The shares of a step's processor time in each part of the kernels; empty where there are none."""
        with watched() as clock:
            begin = time.process_time_ns()
            self.step()
            whole = time.process_time_ns() - begin
        return {part: int(spent) / whole for part, spent in zip(PARTS, clock.sum(0), strict=True) if spent}

    def loss(self) -> Tensor:
        """The training loss of a batch at the network's own weights."""
        problem = self.search.problem
        problem.begin_step()
        self.search.state.net.train()
        with torch.no_grad():
            draws = problem.draw(self.search.state.params)
        return problem.draw_loss(None, draws, self.batch)

    def pass_(self) -> float:
        """Seconds of a forward and backward pass in the weights."""
        weights = trained(self.search.state.net)
        return seconds(lambda: torch.autograd.grad(self.loss(), weights, allow_unused=True), self.device)


class _Simulated(Settings):
    """Settings of a run on a simulated GPU, which nobody looks for on this machine."""

    def _check_device(self) -> bool:
        return True


@door()
def counts(case: Case) -> Counts | None:
    """Counts what a step of both halves launches on a GPU and waits for, neither captured nor compiled, in batches of two.

    What is made once in a run, at the first step, is not counted.

    Args:
        case: what is counted; its device is simulated.

    Returns:
        None where a simulation cannot compute it: for the fused executor, for the triton one unless Triton interprets, and for
        modules that may draw as torch does.
    """
    if case.settings.executor == "fused" or (case.settings.executor == "triton" and not interpreting()):
        return None
    given = {each.name: getattr(case.settings, each.name) for each in fields(Settings)}
    settings = _Simulated(**{**given, "device": "cuda", "capture": False, "compile": False})
    small = Case(recipe=replace(case.recipe, batch_size=2), space=case.space, settings=settings)
    with scratch_folder() as folder, SimulatedGpu() as gpu:
        steps = Steps(small, Path(folder, "run"), timed=False)
        if draws_unseen(steps.search.state.net):
            return None
        steps.take()
        gpu.reset()
        steps.take()
        steps.search.position()  # as it is told after every step
        return Counts(launches=dict(gpu.launches), copies=gpu.copies, waits=dict(gpu.waits))


@door()
def measure(
    case: Case,
    executors: Sequence[str],
    *,
    repeats: int = 5,
    memory: bool = True,
    observe: Callable[[str], None] = lambda what: None,
) -> Result:
    """Measures executors in turns.

    Args:
        case: what is measured.
        executors: their names; ratios are to the first one.
        repeats: measured steps of each, >= 1, after one step of warm-up.
        memory: whether to measure memory too, in two separate processes for each executor.
        observe: called with what is measured next.

    Raises:
        RecipeError: if an executor cannot compute the case.
    """
    if repeats < 1:
        raise RecipeError(f"A measurement needs at least 1 repetition, got {repeats}.")
    if len(set(executors)) != len(executors):
        raise RecipeError(f"Every executor is measured once, got {', '.join(executors)}.")
    case.recipe.check(case.space)
    for name in executors:
        check_computing(case.recipe, case.space, case.by(name).settings)
    with scratch_folder() as folder, using(case.settings.threads):
        steps = {name: Steps(case.by(name), Path(folder, name)) for name in executors}
        times: dict[str, list[tuple[float, ...]]] = {name: [] for name in executors}
        for turn in range(repeats + 1):
            for name, its in steps.items():
                observe(f"{name}, {'warming up' if turn == 0 else f'step {turn} of {repeats}'}")
                found = (*its.step(), its.pass_())
                if turn:
                    times[name].append(found)
        shares = {name: its.shares() for name, its in steps.items() if name == "fused"}
        del steps
        observe("what the machine can do")
        roof = roofline(case.settings.device)
        count = flops(case)
        observe("launches of a step")
        counted = {name: counts(case.by(name)) for name in executors}
        kept = {name: _memory(case.by(name), observe) for name in executors} if memory else {}
    timings = [
        Timing(
            executor=name,
            step=[t[0] for t in rows],
            architecture=[t[1] for t in rows],
            weights=[t[2] for t in rows],
            pass_=[t[3] for t in rows],
            memory=kept.get(name),
            counts=counted[name],
            shares=shares.get(name, {}),
        )
        for name, rows in times.items()
    ]
    tokens = case.recipe.batch_size * sizes(case.space)[0][1] if case.space.tokens else 0
    return Result(timings=timings, flops=count, roofline=roof, tokens=tokens)


def _data(case: Case) -> Data:
    """Random examples of the sizes of a case, a few batches of them."""
    batch, (shape, classes) = case.recipe.batch_size, sizes(case.space)
    generator = torch.Generator().manual_seed(0)
    if case.space.tokens:
        vocabulary, window = shape
        train, valid, test = (torch.randint(vocabulary, (3 * batch * window,), generator=generator) for _ in range(3))
        return from_tokens(train, valid, test, vocabulary, window=window)
    count = max(5 * batch, 20 * classes)
    y = torch.arange(count) % classes
    if len(shape) < 3:
        x = torch.randn(count, *shape, generator=generator)
        return from_arrays(x, y, valid=0.5, test_share=0.2, layout="nf" if len(shape) == 1 else "ncl")
    if case.space.dense:
        y = torch.randint(classes, (count, *shape[1:]), generator=generator)
    x = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
    augment = Augment(crop=min(shape[1:]) // 8, flip=True)
    return from_arrays(x, y, valid=0.5, test_share=0.2, layout="nchw", augment=augment)


@door()
def flops(case: Case) -> int:
    """Multiplications and additions of one step's convolutions and linear maps, gradients included, counted by hand.

    Depthwise convolutions count ``2 B C H W k^2``, what they need. An architecture step needs only the gradients of values, a
    weight step also those of weights. Counted without computing, for a first-order step of the recipe's draws.

    Args:
        case: what is measured.
    """
    generator = torch.Generator().manual_seed(0)
    recipe, (shape, _) = case.recipe, sizes(case.space)
    if case.space.tokens:
        return _flops_of_tokens(case)
    with torch.device("meta"):
        net = make_supernet(
            "plain", case.space, norm=recipe.norm, generator=torch.Generator().manual_seed(0), wraps=recipe.all_wraps[0]
        )
        x = torch.empty(recipe.batch_size, *shape)
    relaxation = recipe.relaxation
    draws = relaxation.draw_all(relaxation.init_all(net.groups, generator), net.groups, 0.5, generator)
    mix, active = mix_of(draws)
    counted = [0]

    def count(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        weight = module.get_parameter("weight")
        once = 2 * output.numel() * weight[0].numel()
        counted[0] += once * (1 + given[0].requires_grad + weight.requires_grad)

    for module in net.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    net.train()
    halves = [False, True] if recipe.scheme.searches and not recipe.scheme.joint else [True]
    for learn in halves:
        net.requires_grad_(learn)
        slopes = not learn or recipe.scheme.joint
        given = {name: value.detach().to("meta").requires_grad_(slopes) for name, value in mix.items()}
        with torch.device("meta"), fenced(generator):
            net(x, given, active, progress=0.5)
    return counted[0]


def _flops_of_tokens(case: Case) -> int:
    """Those of the products of a step on a text, by torch's counter: it miscounts depthwise convolutions only."""
    generator, recipe = torch.Generator().manual_seed(0), case.recipe
    with torch.device("meta"):
        net = make_supernet("plain", case.space, norm=recipe.norm, generator=generator, wraps=recipe.all_wraps[0]).train()
        x = torch.zeros(recipe.batch_size, sizes(case.space)[0][1], dtype=torch.int64)
    relaxation, total = recipe.relaxation, 0
    draws = {g.name: relaxation.draw(relaxation.init(g, generator), g, 0.5, generator) for g in net.groups}
    mix, active = mix_of(draws)
    for learn in [False, True] if recipe.scheme.searches and not recipe.scheme.joint else [True]:
        net.requires_grad_(learn)
        slopes = not learn or recipe.scheme.joint
        given = {name: value.detach().to("meta").requires_grad_(slopes) for name, value in mix.items()}
        with FlopCounter() as counter, torch.device("meta"), fenced(generator):
            outputs, _ = net(x, given, active, progress=0.5)
            wanted = [p for p in (*given.values(), *net.parameters()) if p.requires_grad]
            torch.autograd.grad(outputs.sum(), wanted, allow_unused=True)
        total += counter.total
    return total


def sizes(space: Space) -> tuple[tuple[int, ...], int]:
    """Shape of an image and number of classes that a fitted space is for."""
    if not (space.input_shape and space.outputs):
        raise RecipeError(f"The sizes of {space.name} are open: give input_shape and outputs.")
    return space.input_shape, space.outputs


def _memory(case: Case, observe: Callable[[str], None]) -> Memory | None:
    """Memory of a step, from a whole batch and from half of one; None where the system does not report it."""
    observe(f"{case.settings.executor}, memory")
    half = replace(case, recipe=replace(case.recipe, batch_size=max(2, case.recipe.batch_size // 2)))
    found = []
    for each in (case, half):
        try:
            spawning = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, spawning, initializer=receive, initargs=(grant(),)) as pool:
                found.append(pool.submit(_measure_memory, each, torch.get_num_threads()).result())
        except (BrokenProcessPool, AttributeError) as error:
            raise RunError(
                f"The process that measures memory could not do so ({str(error).splitlines()[0]}): it reads the script that "
                'calls again, so put the call under `if __name__ == "__main__":` of a file, or measure with memory=False.'
            ) from error
    if found[0] is None or found[1] is None:
        return None
    (peak, saved), (less, _) = found
    images = case.recipe.batch_size - half.recipe.batch_size
    return Memory(peak=peak, image=max(0, peak - less) // max(1, images), saved=saved // case.recipe.batch_size)


def _measure_memory(case: Case, threads: int) -> tuple[int, int] | None:
    """In a fresh process: bytes that two steps add to what was there, and bytes kept by a forward pass."""
    with scratch_folder() as folder, using(threads):
        steps = Steps(case, Path(folder))
        _forget_peak()
        before = _status("VmRSS:")
        steps.step()
        steps.step()
        peak = _status("VmHWM:")
        kept = saved_bytes(steps.loss)
    return None if before is None or peak is None else (peak - before, kept)


def _forget_peak() -> None:
    """Resets the peak, so that the memory of building does not count as the step's."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _status(name: str) -> int | None:
    """A size that Linux reports for this process, in bytes."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)
