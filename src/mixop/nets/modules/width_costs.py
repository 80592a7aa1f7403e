"""What a model costs whose widths are decided: each weight, and each operation, by the few widths that it depends on."""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import product
from typing import Any

import torch
from torch import Generator, Tensor, nn

from mixop.core.errors import SpaceError
from mixop.core.flops import FlopCounter
from mixop.core.rng import fenced
from mixop.nets.counting import without_numbers
from mixop.nets.modules.choice import running
from mixop.nets.modules.costs import Around, _needed, _times, _where, one_input
from mixop.nets.modules.extents import Extents, Slices
from mixop.nets.modules.slicing import sliced_model
from mixop.nets.modules.space import ModuleSpace
from mixop.nets.modules.trial import Trial, call
from mixop.nets.modules.walk import visit
from mixop.nets.terms import Costs, Term, check_size, gathered

Setting = Mapping[str, str]
"""The option of some widths; the others are at full width."""

_CHECKED = 4
"""Random settings at which products of single widths are compared with what is counted."""


def parameters(space: ModuleSpace) -> Costs:
    """Parameters of the built networks: one that stands at several places is there if any of these is."""
    model, found = space.make(Generator().manual_seed(0)), space.extents
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    weights = {id(parameter): parameter for parameter in model.parameters()}
    places: dict[int, list[Around]] = {}
    for module, _, around in visit(model):
        for parameter in module.parameters(recurse=False):
            places.setdefault(id(parameter), []).append(around)
    terms = (
        _times(_where(space, _needed(around)), _size(space, found, names[number], weights[number]))
        for number, around in places.items()
    )
    return gathered(terms, {group.name: group.shape for group in space.groups}, 0.0)


def _size(space: ModuleSpace, found: Extents, name: str, weight: Tensor) -> Term:
    """The size of a weight by the widths that cut it."""
    widths = [width for width in space.widths if any(name in found.removed[width, o] for o in space.widths[width])]

    def left(setting: Setting) -> float:
        kept = found.kept(setting).get(name, {})
        sizes = (len(kept[axis]) if axis in kept else size for axis, size in enumerate(weight.shape))
        return float(reduce(lambda a, b: a * b, sizes, 1))

    return _table(space, widths, left)


def flops(space: ModuleSpace) -> Costs:
    """Multiply-adds of one input, see `mixop.nets.counting`; of the sliced model.

    A pass is divided where modules begin and end. Of each piece it is measured which widths change its operations. Those of one
    width are measured, those of several are the product of what each changes, or measured where they are not.

    Raises:
        SpaceError: if the model fails on an example.
    """
    space.try_out()
    model, x = space.make(Generator().manual_seed(0)).eval(), one_input(space)
    try:
        return _counted(space, *without_numbers(model, x))
    except Exception:  # the user's code may need numbers, in any way
        try:
            return _counted(space, model, x)
        except Exception as error:
            raise SpaceError(f"{space.name} fails on one example of its inputs: {type(error).__name__}: {error}.") from error


def _counted(space: ModuleSpace, model: nn.Module, x: Any) -> Costs:
    slices, widths = Slices(model, space.extents), space.widths
    known: dict[tuple[tuple[str, str], ...], list[tuple[Around, float]]] = {}

    def pieces(setting: Setting) -> list[tuple[Around, float]]:
        key = tuple(setting.items())
        if key not in known:
            known[key] = _pieces(space, slices, model, x, setting)
        return known[key]

    full = pieces({})
    alone = {(name, option): pieces({name: option}) for name, options in widths.items() for option in options}
    checked = list(_settings(widths))

    def term(piece: int) -> Term:
        whole = full[piece][1]
        mine = [name for name, options in widths.items() if any(alone[name, o][piece][1] != whole for o in options)]

        def multiplied(setting: Setting) -> float:
            return whole * reduce(lambda share, option: share * alone[option][piece][1] / whole, setting.items(), 1.0)

        def exact(setting: Setting) -> float:
            return pieces(setting)[piece][1]

        settings = [{name: setting[name] for name in mine} for setting in checked]
        alike = all(abs(multiplied(s) - pieces(c)[piece][1]) < 0.5 for s, c in zip(settings, checked, strict=True))
        return _table(space, mine, multiplied if alike else exact)

    terms = (_times(_where(space, [around]), term(piece)) for piece, (around, count) in enumerate(full) if count)
    return gathered(terms, {group.name: group.shape for group in space.groups}, 0.0)


def _settings(widths: Mapping[str, Sequence[str]]) -> Iterator[Setting]:
    """Some settings of all widths: every one at its narrowest, and random ones."""
    yield {name: options[0] for name, options in widths.items()}
    generator = Generator().manual_seed(0)
    for _ in range(_CHECKED):
        at = {name: int(torch.randint(len(options), (), generator=generator, device="cpu")) for name, options in widths.items()}
        yield {name: options[at[name]] for name, options in widths.items()}


def _pieces(space: ModuleSpace, slices: Slices, model: nn.Module, x: Any, setting: Setting) -> list[tuple[Around, float]]:
    """Multiply-adds between the begins and ends of modules, with the options around them."""
    trial = Trial(space.plan, next(model.parameters()))
    trial.sliced = True
    found: list[tuple[Around, float]] = []
    with FlopCounter() as counter:
        before = 0.0

        def note(*_: Any) -> None:
            nonlocal before
            now = counter.total / 2
            found.append((trial.around, now - before))
            before = now

        hooks = [module.register_forward_pre_hook(note) for module in model.modules()]
        hooks += [module.register_forward_hook(note) for module in model.modules()]
        try:
            cut = sliced_model(slices.modules, slices.of(setting))
            with torch.no_grad(), fenced(Generator().manual_seed(0)), running(trial), cut, next(model.parameters()).device:
                call(model, x)
        finally:
            for hook in hooks:
                hook.remove()
    return found


def _table(space: ModuleSpace, widths: Sequence[str], of: Any) -> Term:
    """A term of some widths.

    Args:
        space: their space.
        widths: their names.
        of: what it is for a setting of them.
    """
    axes = tuple((name, 0) for name in widths)
    options = [space.widths[name] for name in widths]
    sizes = [len(names) for names in options]
    check_size(axes, sizes)
    values = [of(dict(zip(widths, chosen, strict=True))) for chosen in product(*options)]
    return Term(axes, torch.tensor(values, dtype=torch.float64, device="cpu").reshape(sizes))
