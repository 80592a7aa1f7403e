"""What the widths of a model cut away: found by gradients, checked by numbers."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.utils._pytree import tree_leaves

from mixop.core.errors import SpaceError
from mixop.core.rng import fenced
from mixop.core.surroundings import undisturbed
from mixop.core.types import Active, Mix
from mixop.nets.modules.choice import Pass, running
from mixop.nets.modules.probe import Leaky, Removed, Subject, find_removed, norms_train
from mixop.nets.modules.slicing import Cut, Indices, Kept, cut_of, sliced_model
from mixop.nets.modules.trial import call
from mixop.nets.modules.walk import Option
from mixop.spaces.core import Group

_ATTEMPTS = ((0, True), (3, False), (24, False))
"""Patience of the search for entries that go, and whether it infers wider options: cheap first, since the result is checked."""

_MIXED = 4
"""Random settings of all widths together that are checked."""


@dataclass(frozen=True)
class Extents:
    """What the widths of a model cut away.

    Args:
        removed: for each option of each width, by the name of a parameter or buffer and the axis, the indices that go.
        lengths: of the axes that something is removed from.
    """

    removed: Mapping[Option, Removed]
    lengths: Mapping[tuple[str, int], int]

    def kept(self, widths: Mapping[str, str]) -> Kept:
        """What stays under a setting of the widths.

        Args:
            widths: the option of each; those that are missing are at full width.
        """
        gone: dict[tuple[str, int], set[int]] = {}
        for option in widths.items():
            for name, axes in self.removed[option].items():
                for axis, indices in axes.items():
                    gone.setdefault((name, axis), set()).update(indices)
        kept: dict[str, dict[int, Indices]] = {}
        for (name, axis), indices in gone.items():
            if indices:
                left = tuple(i for i in range(self.lengths[name, axis]) if i not in indices)
                kept.setdefault(name, {})[axis] = left
        return kept


class Slices:
    """The layers of one model under any setting of its widths; what is made for one setting is kept for the next.

    Args:
        model: as it is at full width.
        found: what its widths cut away.
    """

    def __init__(self, model: nn.Module, found: Extents) -> None:
        self.modules, self.found = dict(model.named_modules()), found
        self._made: dict[tuple[str, tuple[str | None, ...]], Cut | None] = {}
        self._widths: dict[str, list[str]] = {}
        for (width, _), removed in found.removed.items():
            for path in dict.fromkeys(name.rpartition(".")[0] for name in removed):
                if path in self.modules and width not in self._widths.setdefault(path, []):
                    self._widths[path].append(width)

    def of(self, widths: Mapping[str, str]) -> list[Cut]:
        """What is cut.

        Args:
            widths: the option of each; those that are missing are at full width.
        """
        return [change for path in self._widths if (change := self._of_module(path, widths))]

    def _of_module(self, path: str, widths: Mapping[str, str]) -> Cut | None:
        mine = {name: widths[name] for name in self._widths[path] if name in widths}
        key = path, tuple(mine.get(name) for name in self._widths[path])
        if key not in self._made:
            self._made[key] = cut_of(path, self.modules[path], self.found.kept(mine))
        return self._made[key]


@undisturbed()
def find_extents(subject: Subject) -> Extents:
    """What the widths of a model cut away.

    Gradients of random functions of the outputs, at random weights, are taken with all options of all choices mixed. Entries of
    weights that have one at full width, and none, exactly, where a width is at a fraction, belong to the channels that it cuts.
    Then the sliced model is compared with the masked one for every fraction, in float64.

    Raises:
        SpaceError: if channels cannot be cut out, saying what to do.
    """
    with fenced(Generator().manual_seed(0)):
        subject = subject.fitted()
        before, refused = None, None
        for patience, infer in _ATTEMPTS:
            try:
                # Zeros are as exact in float32, and come sooner.
                found = Extents(
                    *find_removed(replace(subject, dtype=torch.float32) if infer else subject, patience, infer=infer)
                )
                if found == before:
                    break
                before = found
                _check(subject, found)
            except SpaceError as error:
                refused = error
                continue
            return found
    assert refused is not None
    raise refused


def _check(subject: Subject, found: Extents) -> None:
    """Compares the sliced model with the masked one.

    Raises:
        SpaceError: for the first setting of widths in which they differ.
    """
    widths, generator = subject.widths, Generator().manual_seed(2)
    full = {name: options[-1] for name, options in widths.items()}
    settings: list[dict[str, str]] = [full, *({name: option} for name, options in widths.items() for option in options[:-1])]
    for _ in range(_MIXED):
        drawn = {name: int(torch.randint(len(options), (), generator=generator)) for name, options in widths.items()}
        settings.append({name: options[drawn[name]] for name, options in widths.items()})
    model, inputs = subject.model(), subject.examples(3, 3)
    slices = Slices(model, found)
    with torch.no_grad():
        for setting in settings:
            complete = {**full, **setting}
            made = slices.of(complete)
            now = Pass(*_one_width(subject.groups, complete, widths, next(model.parameters())))
            # Without units that are off by chance, whatever is cut away and should not be makes a difference.
            ways = [(True, Leaky)] if len(setting) < len(widths) else [(True, Leaky), (True, nullcontext), (False, nullcontext)]
            for training, around in ways:
                norms_train(model, training)
                with around():
                    with running(now):
                        masked = call(model, inputs)
                    sliced = _sliced(model, slices.modules, made, now, inputs, setting)
                _check_equal(masked, sliced, setting)


def _one_width(
    groups: Sequence[Group], setting: Mapping[str, str], widths: Mapping[str, tuple[str, ...]], like: Tensor
) -> tuple[Mix, Active]:
    """Mixing weights with one option in some widths and all in everything else, and the options that run."""
    mix, active = {}, {}
    for group in groups:
        weights = torch.full(group.shape, 1 / group.shape[1], dtype=like.dtype)
        if group.name in widths:
            chosen = widths[group.name].index(setting[group.name])
            weights = torch.zeros_like(weights)
            weights[0, chosen] = 1
            active[group.name] = ((chosen,),)
        else:
            active[group.name] = tuple(tuple(range(group.shape[1])) for _ in group.decisions)
        mix[group.name] = weights
    return mix, active


def _sliced(
    model: nn.Module,
    modules: Mapping[str, nn.Module],
    made: Sequence[Cut],
    now: Pass,
    inputs: Any,
    setting: Mapping[str, str],
) -> Any:
    try:
        with sliced_model(modules, made), running(Pass(now.mix, now.active, sliced=True)):
            return call(model, inputs)
    except Exception as error:  # the user's code may fail in any way
        raise SpaceError(f"{_cannot(setting)}: {_told(error)}; {_advice(str(error))}.") from error


def _check_equal(masked: Any, sliced: Any, setting: Mapping[str, str]) -> None:
    for one, other in zip(tree_leaves(masked), tree_leaves(sliced), strict=True):
        if not isinstance(one, Tensor) or not one.is_floating_point():
            continue
        near = 1e-8 if one.dtype == torch.float64 else 1e-3
        if one.shape != other.shape or not torch.allclose(one, other, rtol=near, atol=near * float(one.abs().max())):
            raise SpaceError(
                f"{_cannot(setting)}: the smaller model gives other numbers than the one with these channels at zero; let the "
                "Width stand after norms, activations and depthwise convolutions, just before the next layer that mixes "
                "channels, with no LayerNorm, GroupNorm or mean over the cut axis."
            )


def _cannot(setting: Mapping[str, str]) -> str:
    return f"{', '.join(f'{name}={option}' for name, option in setting.items())} cannot be cut out of the model"


def _told(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return text if len(text) <= 160 else f"{text[:157]}..."


_ADVICE = (
    (("is invalid for input of size", "shape '["), "write -1 for this size in the reshape or view"),
    (
        ("must match the size of tensor", "Sizes of tensors"),
        "give the Widths of layers whose outputs are added the same share=",
    ),
    (("normalized_shape", "num_groups", "channels in input to be divisible"), "keep LayerNorm and GroupNorm off the cut axis"),
)


def _advice(text: str) -> str:
    for signs, advice in _ADVICE:
        if any(sign in text for sign in signs):
            return advice
    return (
        "let the Width stand after norms, activations and depthwise convolutions and before the next layer that mixes "
        "channels, give Widths of layers that are added the same share=, write -1 for the size in reshapes, and keep LayerNorm "
        "and GroupNorm off the cut axis"
    )
