"""Choices that stand in a model of the user's own: between modules, and between tensors.

A choice holds no weight of the architecture. A supernet's pass brings the mixing weights along (`running`), and the choice
reads its own from there; so the pass stays a function of inputs and mixing weights, whatever the model does around it.
Outside of such a pass a choice is its default option, and the model is an ordinary model.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from mixop.core.errors import SpaceError, unknown
from mixop.core.types import Active, Mix, Paths

NAME = re.compile(r"[^\s.,=+]+")
"""What an option or a shared decision may be called: it stands in the text of an architecture."""

LEAVE, TAKE = "leave", "take"
"""The options of every input of an `InputChoice` that keeps several."""


class Decided(nn.Module):
    """What the walk through a model looks for: a module whose pass depends on a decision.

    Args:
        share: the name of the decision; everything of that name decides alike. None for a decision of its own, which gets the
            name of the module's place.

    Attributes:
        decision: the name of its decision, set by the walk.
    """

    decision: str = ""

    def __init__(self, share: str | None) -> None:
        super().__init__()
        if share is not None and not (isinstance(share, str) and NAME.fullmatch(share)):
            raise SpaceError(f"share must be a word without dots, commas, = and +, got {share!r}.")
        self.share = share

    @property
    def names(self) -> tuple[str, ...]:
        """Its options, in the order of the mixing weights."""
        raise NotImplementedError


class Choice(Decided):
    """One of several modules: ``self.block = mixop.Choice({"conv3": ..., "conv7": ..., "skip": nn.Identity()})``.

    It is called as its options are, with any arguments; all of them must give tensors of the same shapes, which a trial pass
    checks. Options may hold choices themselves. Where the mixing weights are those of a mixture, its value is
    ``sum_o weight_o * option_o(...)``; where a draw leaves options out, only the others run.

    Args:
        options: the modules by name, or in a list, where their names are "0", "1" and so on.
        share: a name that several choices have in common to be one decision; their options must have the same names.
        default: the option that runs outside of a supernet; None for the first.

    Raises:
        SpaceError: for options that are no modules, none at all, or names that the text of an architecture cannot hold.

    Source: Liu et al. 2019 (arXiv:1806.09055), eq. 2.

    Example:
        >>> block = Choice({"double": nn.Linear(4, 4), "skip": nn.Identity()}, default="skip")
        >>> block(torch.ones(1, 4))
        tensor([[1., 1., 1., 1.]])
    """

    def __init__(
        self, options: Mapping[str, nn.Module] | Sequence[nn.Module], *, share: str | None = None, default: str | None = None
    ) -> None:
        super().__init__(share)
        if isinstance(options, nn.ModuleDict | Mapping):
            named = dict(options.items())
        elif isinstance(options, list | tuple | nn.ModuleList):
            named = {str(k): option for k, option in enumerate(options)}
        else:
            raise SpaceError(f"A Choice needs modules by name or in a list, got {type(options).__name__}.")
        if not named:
            raise SpaceError("A Choice needs at least one option, got none.")
        for name, option in named.items():
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise SpaceError(f"An option's name must be a word without dots, commas, = and +, got {name!r}.")
            if not isinstance(option, nn.Module):
                raise SpaceError(f"Option {name!r} of a Choice must be a module, got {type(option).__name__}.")
            if hasattr(nn.Module(), name):
                raise SpaceError(f"An option of a Choice cannot be called {name!r}, which every torch module has: rename it.")
        if default is not None and default not in named:
            raise SpaceError(unknown("option of this Choice", str(default), named))
        # Beside a ModuleDict, names such as "keys" would be refused; a module takes any that has no dot.
        self.options = nn.Module()
        for name, option in named.items():
            self.options.add_module(name, option)
        self.default = default or next(iter(named))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.options.named_children())

    def option(self, name: str) -> nn.Module:
        """The module of an option."""
        return self.options.get_submodule(name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What its options give, mixed by the pass around it."""
        now = _RUNNING.get()
        if now is None:
            return self.option(self.default)(*args, **kwargs)
        return now.mixed(self, {name: _call(self.option(name), args, kwargs) for name in self.names})


class InputChoice(Decided):
    """Which of several tensors are read, and how many: ``self.skip = mixop.InputChoice(["stem", "block1", "block2"], keep=2)``.

    It is called with the tensors, ``self.skip(stem, block1, block2)``, all of one shape, and gives their weighed sum. The
    network built from an architecture adds up what was kept; what is computed for the others stays computed.

    Args:
        inputs: their names, or how many there are, which calls them "0", "1" and so on.
        keep: how many are read; None for any number, none of them giving zeros.
        reduce: ``sum``, or ``mean``, which divides by ``keep``.
        share: a name that several have in common to be one decision, see `Choice`.

    Raises:
        SpaceError: for fewer than two inputs, or a number to keep that is not 1 to their number.
    """

    def __init__(
        self, inputs: Sequence[str] | int, *, keep: int | None = 1, reduce: str = "sum", share: str | None = None
    ) -> None:
        super().__init__(share)
        names = tuple(str(k) for k in range(inputs)) if isinstance(inputs, int) else tuple(inputs)
        if len(names) < 2 or len(set(names)) < len(names):
            raise SpaceError(f"An InputChoice needs at least two inputs of different names, got {inputs!r}.")
        for name in names:
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise SpaceError(f"An input's name must be a word without dots, commas, = and +, got {name!r}.")
        if keep is not None and (isinstance(keep, bool) or not isinstance(keep, int) or not 1 <= keep <= len(names)):
            raise SpaceError(f"keep must be 1 to {len(names)}, or None for any number of inputs, got {keep!r}.")
        if reduce not in ("sum", "mean"):
            raise SpaceError(f"reduce must be 'sum' or 'mean', got {reduce!r}.")
        if reduce == "mean" and keep is None:
            raise SpaceError("A mean needs to know how many inputs are kept: give keep, or reduce='sum'.")
        self.inputs, self.keep = names, keep
        self.scale = 1.0 if reduce == "sum" else 1.0 / (keep or 1)

    @property
    def names(self) -> tuple[str, ...]:
        return self.inputs

    def forward(self, *tensors: Tensor) -> Tensor:
        """The weighed sum of its inputs; outside of a supernet of the first ones.

        Raises:
            SpaceError: if there are not as many as it has names.
        """
        if len(tensors) != len(self.inputs):
            raise SpaceError(
                f"An InputChoice of {len(self.inputs)} inputs was called with {len(tensors)}: give the tensors one by one."
            )
        now = _RUNNING.get()
        if now is None:
            total = _total(tensors[: self.keep])
            return total * self.scale if self.scale != 1 else total
        return now.joined(self, tensors)


Later = Callable[[], Any]
"""An option that has not run yet."""


def _call(option: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Later:
    return lambda: option(*args, **kwargs)


@dataclass
class Pass:
    """One pass of a supernet: what the choices in its model read.

    Args:
        mix: the mixing weights of every decision by its name, ``(E, O)``.
        active: the options that run; None for all.
        sliced: whether the layers of the model are cut to the widest of the widths that run.
    """

    mix: Mix
    active: Active | None = None
    sliced: bool = False

    def running(self, decision: str) -> Paths | None:
        """The options that run in each row of a decision; None for all."""
        return None if self.active is None else self.active[decision]  # type: ignore[return-value]  # never by cell

    def weights(self, choice: Decided) -> Tensor:
        """The mixing weights of a choice ``(E, O)``.

        Raises:
            SpaceError: for a choice that the walk through the model has not met.
        """
        if choice.decision not in self.mix:
            raise SpaceError(
                f"A {type(choice).__name__} of {', '.join(choice.names)} runs that the walk through the model has not found: "
                "make it an attribute of a module, or of a ModuleList, ModuleDict or Sequential (a plain list hides it)."
            )
        return self.mix[choice.decision]

    def mixed(self, choice: Choice, options: Mapping[str, Later]) -> Any:
        """The value of a choice."""
        weights, paths = self.weights(choice)[0], self.running(choice.decision)
        runs = range(len(options)) if paths is None else paths[0]
        if not runs:
            raise SpaceError(f"The choice {choice.decision} was reached, but no option of it runs in this architecture.")
        names = tuple(options)
        return weighed([(weights[o], options[names[o]]()) for o in runs], None if paths is None else _rest(weights, runs))

    def joined(self, choice: InputChoice, given: Sequence[Tensor]) -> Tensor:
        """The value of a choice of inputs."""
        weights, paths = self.weights(choice), self.running(choice.decision)
        if choice.keep == 1:
            row, runs = weights[0], range(len(given)) if paths is None else paths[0]
            rest = None if paths is None else _rest(row, runs)
        else:
            # Every input has a row of its own, (leave, take).
            row, runs = weights[:, 1], [e for e in range(len(given)) if paths is None or 1 in paths[e]]
            rest = (
                None if paths is None else _rest(weights.flatten(), [2 * e + o for e, path in enumerate(paths) for o in path])
            )
        if not runs:
            return torch.zeros_like(given[0]) + (0 if rest is None else rest)
        total = weighed([(row[e], given[e]) for e in runs], rest)
        return total * choice.scale if choice.scale != 1 else total

    def narrowed(self, decision: str, x: Tensor, axis: int, sizes: Sequence[int]) -> Tensor:
        """A tensor whose channels a `mixop.Width` decides: each is weighed by the widths that reach it.

        A width that does not run has a gradient from the channels that it shares with those that do.

        Args:
            decision: its name.
            x: the tensor, cut already where the pass is sliced.
            axis: of the channels.
            sizes: how many channels each option keeps.
        """
        weights, paths = self.mix[decision][0], self.running(decision)
        runs = range(len(sizes)) if paths is None else paths[0]
        if not runs:
            raise SpaceError(f"The width {decision} was reached, but no option of it runs in this architecture.")
        widest, length = max(sizes[o] for o in runs), x.shape[axis]
        if self.sliced and length > widest:
            raise SpaceError(f"what comes into {decision} still has {length} of {widest} channels")
        reaches = _reaches(tuple(min(size, widest) for size in sizes), length, weights.dtype, weights.device)
        mask = (weights[:, None] * reaches).sum(0).to(x.dtype)
        return x * mask.reshape(-1, *[1] * (-axis - 1 if axis < 0 else x.dim() - axis - 1))


@lru_cache(maxsize=1024)
def _reaches(sizes: tuple[int, ...], length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Which option reaches which channel, ones and zeros ``(O, length)``."""
    with torch.inference_mode(False):
        channels = torch.arange(length, device=device)
        return (channels < torch.tensor(sizes, device=device)[:, None]).to(dtype)


def _rest(weights: Tensor, runs: Sequence[int]) -> Tensor:
    """Zero in value: the weights of options that do not run, whose gradient a relaxation may have left."""
    return weights.sum() - weights[list(runs)].sum()


def weighed(terms: Sequence[tuple[Tensor, Any]], rest: Tensor | None) -> Any:
    """The weighed sum of values that are tensors, or tuples, lists and mappings of tensors.

    Args:
        terms: weights, scalars, and what they weigh; at least one.
        rest: a scalar that is added to every tensor; None for none.
    """
    flat = [(weight, tree_flatten(value)) for weight, value in terms]
    _, (first, spec) = flat[0]
    sums = [
        _total([weight * leaves[i] for weight, (leaves, _) in flat]) + (0 if rest is None else rest)
        if isinstance(leaf, Tensor) and leaf.is_floating_point()
        else leaf
        for i, leaf in enumerate(first)
    ]
    return tree_unflatten(sums, spec)


def _total(values: Sequence[Tensor]) -> Tensor:
    total, *others = values
    for value in others:
        total = total + value
    return total


_RUNNING: ContextVar[Pass | None] = ContextVar("mixop_pass", default=None)


def pass_around() -> Pass | None:
    """The pass around the code that asks; None outside of one."""
    return _RUNNING.get()


@contextmanager
def running(now: Pass) -> Iterator[Pass]:
    """Inside, in this thread, choices read their mixing weights from a pass."""
    token = _RUNNING.set(now)
    try:
        yield now
    finally:
        _RUNNING.reset(token)
