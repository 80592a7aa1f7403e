"""Which entries of a model's weights belong to the channels that a width cuts away, found by gradients at random points."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from mixop.core.errors import SpaceError
from mixop.nets.modules.choice import Pass, running
from mixop.nets.modules.slicing import NORMS, Indices, outputs_axis
from mixop.nets.modules.trial import call
from mixop.nets.modules.walk import Option
from mixop.spaces.core import Group

_MOST = 100
"""Examples at most."""

_NUMBERS = 20_000
"""Numbers in a batch of random inputs, about: 2 to 16 inputs."""

Removed = dict[str, dict[int, Indices]]
"""By the name of a parameter or buffer, for each axis, the indices that go."""


@dataclass(frozen=True)
class Subject:
    """A model that is looked at.

    Args:
        make: makes it again, from a generator.
        inputs: makes a number of examples, from a generator.
        groups: its decisions.
        widths: those that decide widths, with their options.
        sizes: for each width the numbers of channels that its options keep, and the full one, of each module that it decides.
        dtype: that it computes in.
    """

    make: Callable[[Generator], nn.Module]
    inputs: Callable[[int, Generator], Any]
    groups: Sequence[Group]
    widths: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, frozenset[tuple[tuple[int, ...], int]]]
    dtype: torch.dtype = torch.float64

    def model(self) -> nn.Module:
        """The model in evaluation mode with random weights."""
        model = self.make(Generator().manual_seed(0)).to(self.dtype).eval()
        randomise(model, Generator().manual_seed(1))
        return model

    def examples(self, number: int, most: int = 16) -> Any:
        """Inputs, another batch for every number."""
        one = tree_leaves(self.inputs(1, Generator().manual_seed(0)))
        total = max(1, sum(leaf.numel() for leaf in one if isinstance(leaf, Tensor)))
        generator = Generator().manual_seed(number)
        inputs = self.inputs(min(most, max(2, _NUMBERS // total)), generator)
        # An example that was given is always the same: noise makes others of it.
        return tree_map(lambda leaf: _noisy(leaf, self.dtype, generator, number > 0), inputs)

    def fitted(self) -> "Subject":
        """In float64; in float32 where the model knows nothing else."""
        try:
            with torch.no_grad(), running(_Probe(self, None)):
                call(self.model(), self.examples(0))
        except Exception:  # the user's code may fail in any way
            return replace(self, dtype=torch.float32)
        return self


class _Probe(Pass):
    """A pass with all options mixed, in which one width may be narrow."""

    def __init__(self, subject: Subject, narrow: Option | None) -> None:
        super().__init__({g.name: torch.full(g.shape, 1 / g.shape[1], dtype=subject.dtype) for g in subject.groups})
        self.narrow, self.widths = narrow, subject.widths

    def narrowed(self, decision: str, x: Tensor, axis: int, sizes: Sequence[int]) -> Tensor:
        if self.narrow is None or self.narrow[0] != decision:
            return x
        size = sizes[self.widths[decision].index(self.narrow[1])]
        gone = x.narrow(axis, size, x.shape[axis] - size)
        return torch.cat([x.narrow(axis, 0, size), gone * 0], axis)


def _noisy(leaf: Any, dtype: torch.dtype, generator: Generator, noise: bool) -> Any:
    if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
        return leaf
    leaf = leaf.to(dtype)
    return leaf + 0.5 * torch.randn(leaf.shape, generator=generator, dtype=dtype) if noise else leaf


def randomise(model: nn.Module, generator: Generator) -> None:
    """Random weights, such that nothing is zero by the way that it is initialised."""
    for parameter in model.parameters():
        if not parameter.is_floating_point():
            continue
        if parameter.dim() > 1:
            fan_in = parameter.numel() / parameter.shape[0]
            value = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) / fan_in**0.5
        else:
            value = 0.5 + torch.rand(parameter.shape, generator=generator, dtype=parameter.dtype)
        parameter.data = value.to(parameter.device)


class Leaky(TorchFunctionMode):
    """Inside, functions that are flat somewhere have a slope of 0.1 more everywhere.

    So no unit is off by chance, which would look as if it was cut away; what is zero at zero stays so.
    """

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        x = args[0] if args else kwargs.get("input")
        if func not in _FLAT or not isinstance(x, Tensor) or not x.is_floating_point():
            return func(*args, **kwargs)
        before = x.clone()  # some of them change their input
        return func(*args, **kwargs) + 0.1 * before


_FLAT = {
    *(torch.relu, torch.relu_, torch.clamp, torch.clamp_, torch.clamp_min, torch.clamp_max, torch.clip, torch.threshold),
    *(Tensor.relu, Tensor.relu_, Tensor.clamp, Tensor.clamp_, Tensor.clamp_min, Tensor.clamp_max, Tensor.clip),
    *(functional.relu, functional.relu_, functional.relu6, functional.hardtanh, functional.hardtanh_, functional.threshold),
    *(functional.hardswish, functional.hardsigmoid, functional.hardshrink, functional.softshrink),
}


class Prober:
    """Looks which entries of a model's weights have a gradient.

    Args:
        subject: the model.
        patience: after how many further examples without a new gradient an entry counts as without one. A unit that happens to
            be off looks as if it was cut away, until an example turns it on.
    """

    def __init__(self, subject: Subject, patience: int) -> None:
        self.subject, self.patience = subject, patience
        self.model = subject.model()
        # Norms that have no weight get one: it shows which of their channels go.
        for module in self.model.modules():
            if isinstance(module, NORMS) and module.weight is None:
                module.weight = nn.Parameter(torch.ones(_shape(module), dtype=subject.dtype))
        named = self.model.named_parameters(remove_duplicate=False)
        self.leaves: dict[str, Tensor] = {name: p.requires_grad_() for name, p in named if p.is_floating_point()}
        self.buffers: list[tuple[nn.Module, str, Tensor]] = []
        for path, module in self.model.named_modules():
            for name, buffer in module._buffers.items():
                # Statistics of norms follow their weights; all others may be computed with.
                if buffer is not None and buffer.is_floating_point() and buffer.dim() and not isinstance(module, NORMS):
                    leaf = buffer.detach().clone().requires_grad_()
                    self.leaves[f"{path}.{name}" if path else name] = leaf
                    self.buffers.append((module, name, leaf))

    def alive(self, narrow: Option | None, known: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Which entries have a gradient at some example, the same at the next ones.

        Args:
            narrow: a width and the option that it is at; None for the full model.
            known: entries of which that is known.
        """
        found, quiet, number = dict(known or {}), 0, 0
        while quiet <= self.patience and number < _MOST:
            more = self._alive(narrow, number)
            grown = {name: found[name] | more[name] for name in more} if found else more
            news = not found or any(not torch.equal(grown[name], found[name]) for name in grown)
            found, quiet, number = grown, 0 if news else quiet + 1, number + 1
        return found

    def _alive(self, narrow: Option | None, number: int) -> dict[str, Tensor]:
        randomise(self.model, Generator().manual_seed(1000 + number))
        norms_train(self.model, number % 2 == 0)
        for module, name, leaf in self.buffers:
            module._buffers[name] = leaf.clone()  # which the model may change in place
        with running(_Probe(self.subject, narrow)), Leaky():
            outputs = call(self.model, self.subject.examples(number))
        generator = Generator().manual_seed(100 + number)
        total = torch.zeros((), dtype=self.subject.dtype)
        for leaf in tree_leaves(outputs):
            if isinstance(leaf, Tensor) and leaf.requires_grad:
                total = total + (leaf * torch.randn(leaf.shape, generator=generator, dtype=leaf.dtype)).sum()
        gradients = torch.autograd.grad(total, list(self.leaves.values()), allow_unused=True)
        return {
            name: torch.zeros_like(leaf, dtype=torch.bool) if gradient is None else gradient != 0
            for (name, leaf), gradient in zip(self.leaves.items(), gradients, strict=True)
        }


def find_removed(subject: Subject, patience: int, *, infer: bool) -> tuple[dict[Option, Removed], dict[tuple[str, int], int]]:
    """What goes with each option of each width, and the lengths of the axes that something goes from.

    Args:
        subject: the model.
        patience: of the `Prober`.
        infer: whether gradients are taken at the narrowest option of each width only. The others keep more of every range of
            indices that goes there, in proportion to their channels; where that is not clear, gradients are taken after all.

    Raises:
        SpaceError: if single entries of a weight go, and not whole rows or columns.
    """
    prober = Prober(subject, patience)
    model, whole = prober.model, prober.alive(None)
    removed: dict[Option, Removed] = {}
    for name, options in subject.widths.items():
        left: dict[str, Tensor] | None = None
        for option in options:
            wider = infer and left is not None
            inferred = _inferred(removed[name, options[0]], subject.sizes[name], options.index(option)) if wider else None
            if inferred is not None:
                removed[name, option] = inferred
                continue
            left = prober.alive((name, option), left)  # what a narrower model computes with, a wider one does too
            gone = {leaf: _slices(leaf, whole[leaf], alive, (name, option)) for leaf, alive in left.items()}
            removed[name, option] = _with_followers(model, {leaf: axes for leaf, axes in gone.items() if axes})
    axes = {(leaf, axis) for gone in removed.values() for leaf, axes in gone.items() for axis in axes}
    return removed, {(leaf, axis): _length(prober, leaf, axis) for leaf, axis in axes}


def _inferred(narrowest: Removed, sizes: frozenset[tuple[tuple[int, ...], int]], option: int) -> Removed | None:
    """What goes with another option, by what goes with the first one; None if that is not clear."""
    found: Removed = {}
    for name, axes in narrowest.items():
        for axis, indices in axes.items():
            parts = []
            for run in _runs(indices):
                kept = {
                    len(run) * (keeps[option] - keeps[0]) // (full - keeps[0])
                    for keeps, full in sizes
                    if full > keeps[0] and len(run) % (full - keeps[0]) == 0
                }
                if len(kept) != 1:
                    return None
                parts += run[kept.pop() :]
            if parts:
                found.setdefault(name, {})[axis] = tuple(parts)
    return found


def _runs(indices: Indices) -> list[Indices]:
    """Ranges of indices that follow each other."""
    starts = [k for k, index in enumerate(indices) if k == 0 or index != indices[k - 1] + 1]
    return [indices[a:b] for a, b in pairwise([*starts, len(indices)])]


def _shape(norm: Any) -> tuple[int, ...]:
    if isinstance(norm, nn.LayerNorm | nn.RMSNorm):
        return tuple(norm.normalized_shape)
    return (norm.num_channels if isinstance(norm, nn.GroupNorm) else norm.num_features,)


def norms_train(model: nn.Module, training: bool) -> None:
    """Sets the mode of batch norm, and of nothing else: dropout stays off."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.train(training)


def _slices(name: str, whole: Tensor, left: Tensor, option: Option) -> dict[int, Indices]:
    """The indices of each axis whose entries all fall away.

    Raises:
        SpaceError: if other entries fall away too.
    """
    dead, slices = whole & ~left, {}
    if not dead.any():
        return {}
    rest = dead.clone()
    for axis in range(whole.dim()):
        others = tuple(a for a in range(whole.dim()) if a != axis)
        was, lives = (whole.any(others), left.any(others)) if others else (whole, left)
        gone = was & ~lives
        if gone.any() and lives.any():
            slices[axis] = tuple(gone.nonzero().flatten().tolist())
            rest.index_fill_(axis, gone.nonzero().flatten(), False)
    if rest.any():
        raise SpaceError(
            f"The channels that {option[0]}={option[1]} cuts away take single numbers of {name} with them, no whole rows or "
            "columns, so no smaller layer does the same: let the layers around the Width have one group, or a group for each "
            "channel."
        )
    return slices


def _with_followers(model: nn.Module, gone: dict[str, dict[int, Indices]]) -> dict[str, dict[int, Indices]]:
    """With the biases and statistics that go along with the weights of known layers."""
    made = dict(gone)
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        axis = outputs_axis(module)
        rows = gone.get(f"{prefix}weight", {}).get(axis) if axis is not None else None
        if rows is None:
            continue
        # Batch norm takes the mean away: the gradient of a bias before it is zero but for rounding.
        if module._parameters.get("bias") is not None:
            made[f"{prefix}bias"] = {0: rows}
        if isinstance(module, NORMS):
            for name, buffer in module._buffers.items():
                if buffer is not None and buffer.dim() == 1:
                    made[f"{prefix}{name}"] = {0: rows}
    return made


def _length(prober: Prober, name: str, axis: int) -> int:
    if name in prober.leaves:
        return prober.leaves[name].shape[axis]
    path, _, local = name.rpartition(".")
    return prober.model.get_submodule(path)._buffers[local].shape[axis]  # type: ignore[union-attr]  # a buffer that is there
