"""A search space inside any model of the user's own."""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random
from typing import Any, Self

import torch
from torch import Generator, Tensor, nn
from torch.nn.utils import parametrize
from torch.utils._pytree import tree_leaves

from mixop.core.errors import MixopError, SpaceError, unknown
from mixop.core.names import load, name_of
from mixop.core.rng import fenced
from mixop.core.surroundings import undisturbed
from mixop.core.trust import imported
from mixop.core.values import to_plain
from mixop.nets.modules import walk
from mixop.nets.modules.choice import LEAVE, TAKE, Choice
from mixop.nets.modules.extents import Extents, find_extents
from mixop.nets.modules.held import held, hold, is_held, is_lazy
from mixop.nets.modules.probe import Subject
from mixop.nets.modules.prune import keep_options
from mixop.nets.modules.trial import materialise, try_out
from mixop.nets.modules.width import Width
from mixop.spaces import SPACE_TYPES, core
from mixop.spaces.core import Architecture, Group, Roles, Space
from mixop.spaces.ready import READY
from mixop.spaces.sizes import Sized, Sizes

SIZES = ("input_shape", "outputs", "dense", "tokens")
"""What a function that makes a model is given by these names, where it asks for it."""


@dataclass(frozen=True, kw_only=True)
class ModuleSpace(Space):
    """The choices in a model: `mixop.Choice`, `mixop.InputChoice` and `mixop.Width` anywhere in a `torch.nn.Module`.

    `in_module` makes one. A decision goes by the place of its choice (``blocks.0.conv``), or by the name that several share;
    each is a group of its own. An architecture names the option of every decision that it reaches: choices inside an option
    that was not taken make no difference and do not appear in it.

    Args:
        factory: ``package.module:name`` of a class or function that makes the model; the name of a ready one, see
            `mixop.spaces.ready`; or the name of a model that this process holds, which no other process can read back.
        arguments: what the function is called with, besides sizes.
        input_shape: shape of one input, see `mixop.spaces.sizes.Sized`; None to take the data's. A function that has an
            argument of this name, or ``outputs``, ``dense`` or ``tokens``, is given it.
        outputs: numbers that the network gives for an example or a position; None to take the data's.
        dense: whether there is an output at every position; None to take the data's.
        tokens: whether inputs are tokens; None to take the data's.
        name: the space's name, part of every architecture.
        pretrained: whether networks begin with the weights that the model has when it is made; if not, they are drawn again.
        kept: for each decision that was pruned the options of its rows that are left.
        example: the name of an example of inputs that this process holds; empty for random ones of the input's shape.

    Raises:
        SpaceError: if the model cannot be made, or its choices make no space.
    """

    factory: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    input_shape: tuple[int, ...] | None = None
    outputs: int | None = None
    dense: bool | None = None
    tokens: bool | None = None
    name: str = ""
    pretrained: bool = False
    kept: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    example: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.factory, str) or (":" not in self.factory and self.factory not in READY):
            raise SpaceError(
                f"A module space needs package.module:name of what makes the model, or one of {', '.join(READY)}, got "
                f"{self.factory!r}."
            )
        if not self.name:
            object.__setattr__(self, "name", self.factory.rpartition(":")[2].partition("@")[0])
        self._check_sizes()

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> str:
        return json.dumps(to_plain(self), sort_keys=True)

    @property
    def names_used(self) -> tuple[str, ...]:
        """What makes the model, where a name leads to it."""
        return () if is_held(self.factory) or self.factory in READY else (self.factory,)

    @property
    def plan(self) -> walk.Plan:
        """Its decisions, and which lie inside of which."""
        return _plan(self)

    @property
    def groups(self) -> tuple[Group, ...]:
        """A group for every decision, those around others first."""
        return self.plan.groups

    @property
    def widths(self) -> dict[str, tuple[str, ...]]:
        """The options of every decision that is one of a `mixop.Width`, without those whose only option keeps all channels."""
        return {name: self.group(name).decisions[0].options for name in _described(self)[2]}

    @property
    def chain(self) -> tuple[str, ...]:
        return _described(self)[3]

    @property
    def only_here(self) -> str:
        """``model``, or ``example`` for that of its inputs, where a program holds it; empty where names lead to all."""
        return "model" if is_held(self.factory) else "example" if is_held(self.example) else ""

    @property
    def is_ready(self) -> bool:
        """Whether the model is one of mixop's own."""
        return self.factory in READY

    @property
    def usual(self) -> Sizes:
        return READY[self.factory].usual if self.is_ready else super().usual

    @property
    def redraws(self) -> bool:
        """Whether the weights of a model that was given are drawn again, module by module."""
        return is_held(self.factory) and not self.pretrained

    @property
    def extents(self) -> Extents:
        """Which entries of which weights belong to the channels that its widths cut away.

        Raises:
            SpaceError: if they cannot be cut out of the model.
        """
        return _extents(self)

    @property
    def roles(self) -> Roles:  # type: ignore[override]  # not the class's, but the model's
        """Inputs that are left out are absent; options that are `torch.nn.Identity` wherever they occur are skips."""
        return self.groups[0].roles

    def make(self, generator: Generator | None = None) -> nn.Module:
        """The model with its choices, in training mode.

        Args:
            generator: source of the initial weights, on the CPU; None for torch's own.

        Raises:
            SpaceError: if it cannot be made.
        """
        if generator is None:
            return self._made()
        with fenced(generator):
            return self._made()

    def _made(self) -> nn.Module:
        if is_held(self.factory):
            import copy

            model = copy.deepcopy(held(self.factory, self.name))
            if self.redraws:
                redraw(model, self.name)
        else:
            model = self._call(self._function())
        if not isinstance(model, nn.Module):
            raise SpaceError(f"{self.factory} must make a torch.nn.Module, got {type(model).__name__}.")
        plan = walk.find(model)  # gives the choices the names of their decisions
        if (self.example or self.input_shape) and any(map(is_lazy, model.modules())):
            materialise(model, plan, self.inputs(2, Generator().manual_seed(0)), self.name)
        keep_options(model, self.kept)
        return model.train()

    def _function(self) -> Callable[..., Any]:
        """What makes the model."""
        if self.factory in READY:  # mixop's own, which needs nobody's leave
            module, _, name = READY[self.factory].factory.partition(":")
            return getattr(imported(module), name)
        return load(self.factory, self.name, "function that makes a model")

    def _call(self, function: Callable[..., Any]) -> Any:
        arguments = dict(self.arguments)
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            signature = inspect.Signature()
        for name in SIZES:
            if name not in signature.parameters or name in arguments:
                continue
            if getattr(self, name) is not None:
                arguments[name] = getattr(self, name)
            elif signature.parameters[name].default is inspect.Parameter.empty:
                raise SpaceError(
                    f"{self.name} needs to know its {name.replace('_', ' ')}: call space.fit(data), or name it in arguments."
                )
        try:
            signature.bind(**arguments)
        except TypeError as error:
            raise SpaceError(f"{self.factory} cannot be called with {', '.join(arguments) or 'nothing'}: {error}.") from error
        try:
            return function(**arguments)
        except MixopError:
            raise
        except Exception as error:  # the user's code may fail in any way
            raise SpaceError(f"{self.factory} fails: {type(error).__name__}: {' '.join(str(error).split())}.") from error

    def inputs(self, count: int, generator: Generator) -> Any:
        """Examples of its inputs: the one it was made with, or random numbers of the input's shape ``(count, *shape)``.

        Raises:
            SpaceError: if the shape is open.
        """
        if self.example:
            return held(self.example, self.name)
        if self.input_shape is None:
            raise SpaceError(f"The input shape of {self.name} is open: call space.fit(data), or give example= to in_module.")
        if self.tokens:
            return torch.randint(self.input_shape[0], (count, self.input_shape[1]), generator=generator)
        return torch.randn(count, *self.input_shape, generator=generator)

    def try_out(self) -> None:
        """Passes examples through the model: its options must agree, and its choices be reached.

        Raises:
            SpaceError: saying what does not fit.
        """
        _tried(self)

    def fit(self, data: Sized) -> Self:
        """The space for a data set, tried out on an example; see `Space.fit`."""
        fitted = replace(super().fit(data), example="")
        fitted.try_out()
        return fitted

    def prune(self, kept: Mapping[str, Sequence[Sequence[int]]]) -> Self:
        """The space with fewer options in its choices; inputs of an `InputChoice` are not pruned one by one."""
        names = dict(self.kept)
        for group in self.groups:
            rows = core.pruned_lists(group, kept[group.name]) if group.name in kept else ()
            if rows and rows != tuple(row.options for row in group.decisions):
                names[group.name] = rows
        pruned = replace(self, kept=names)
        _ = pruned.plan  # refuses what cannot be pruned
        return pruned

    def settled(self, architecture: Architecture) -> Architecture:
        """Without the decisions that are not reached; one that is, and has no option, takes its first."""
        first = {group.name: next(core.choices_of(group)) for group in self.groups}
        choices = {name: chosen or first[name] for name, chosen in architecture.choices if name in first}
        return Architecture(architecture.space, tuple(self.plan.settled(choices).items()))

    def reaches(self, architecture: Architecture, group: str) -> bool:
        return bool(dict(self.settled(architecture).choices)[group])

    def check(self, architecture: Architecture) -> None:
        super().check(architecture)
        settled = self.settled(architecture)
        for (name, chosen), (_, wanted) in zip(architecture.choices, settled.choices, strict=True):
            if wanted and len(chosen) != len(wanted) and not self.group(name).keep:
                raise SpaceError(f"An architecture of {self.name} must decide {name}, which it reaches.")
            if chosen and not wanted:
                raise SpaceError(f"An architecture of {self.name} does not reach {name}: leave it out.")

    def inputs_of(self, group: str) -> tuple[str, ...]:
        return _inputs(self).get(group, ()) if len(self.group(group).decisions) > 1 else ()

    def is_of_modules(self, group: str) -> bool:
        """Whether the options of a decision are modules; if not, they are inputs."""
        return group not in _inputs(self)

    def size(self) -> int:
        return walk.count(self.plan)

    def random(self, rng: Random) -> Architecture:
        return self.settled(super().random(rng))

    def architectures(self) -> Iterator[Architecture]:
        names = list(self.plan.found)
        return (Architecture(self.name, tuple(made.items())) for made in walk.ways(self.plan, names))

    def describe_choices(self, architecture: Architecture) -> dict[str, Any]:
        """The options of an architecture by decision, as JSON data; of a choice of several inputs the list of those taken."""
        return {name: _option_of(self, name, chosen) for name, chosen in architecture.choices if chosen}

    def to_native(self, architecture: Architecture) -> str:
        """``stem=conv3, blocks.0.skip=a+b``: every decision that is reached, with its option or the inputs that are read."""
        self.check(architecture)
        told = self.describe_choices(architecture)
        return ", ".join(
            f"{name}={'+'.join(value) or 'none' if isinstance(value, list) else value}" for name, value in told.items()
        )

    def from_native(self, text: str) -> Architecture:
        """The architecture of a text that `to_native` wrote, or a person; the order does not matter."""
        if not isinstance(text, str) or not text.strip():
            raise SpaceError(f"An architecture of {self.name} is written as decision=option, ..., got {text!r}.")
        given: dict[str, tuple[core.Choice, ...]] = {}
        for piece in text.strip().rstrip(",").split(","):
            name, _, value = (word.strip() for word in piece.partition("="))
            if not name or not value:
                raise SpaceError(f"An architecture of {self.name} is written as decision=option, ..., got {piece.strip()!r}.")
            if name in given:
                raise SpaceError(f"An architecture of {self.name} decides {name} once, but the text does twice.")
            given[name] = _choices_of(self, self.group(name), value)
        architecture = Architecture(self.name, tuple((group.name, given.get(group.name, ())) for group in self.groups))
        settled = self.settled(architecture)
        for name, chosen in settled.choices:
            if chosen and name not in given:
                raise SpaceError(f"An architecture of {self.name} must decide {name}: add {name}= and one of its options.")
        self.check(architecture)
        return architecture


def _option_of(space: ModuleSpace, name: str, chosen: tuple[core.Choice, ...]) -> str | list[str]:
    if len(space.group(name).decisions) == 1:
        return chosen[0].option
    inputs = _inputs(space)[name]
    return [inputs[choice.decision] for choice in chosen if choice.option == TAKE]


def _choices_of(space: ModuleSpace, group: Group, value: str) -> tuple[core.Choice, ...]:
    if len(group.decisions) == 1:
        if value not in group.decisions[0].options:
            raise SpaceError(unknown(f"option of {group.name}", value, group.decisions[0].options))
        return (core.Choice(0, value),)
    names = _inputs(space)[group.name]
    taken = [] if value == "none" else [word.strip() for word in value.split("+")]
    for word in taken:
        if word not in names:
            raise SpaceError(unknown(f"input of {group.name}", word, names))
    if group.keep:
        return tuple(core.Choice(e, TAKE) for e, name in enumerate(names) if name in taken)
    return tuple(core.Choice(e, TAKE if name in taken else LEAVE) for e, name in enumerate(names))


def redraw(model: nn.Module, name: str) -> None:
    """Draws the weights of a model again, by the ``reset_parameters`` of its modules.

    Raises:
        SpaceError: if a weight belongs to a module that has no such method.
    """
    for path, module in model.named_modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset) and parametrize.is_parametrized(module):
            with parametrize.cached():
                reset()  # what the parameters are computed to be, which the assignment turns into parameters
                for weight in list(module.parametrizations):  # type: ignore[arg-type]  # a ModuleDict
                    setattr(module, weight, getattr(module, weight).detach().clone())
        elif isinstance(module, parametrize.ParametrizationList):
            continue  # with the module that it belongs to
        elif callable(reset):
            reset()
        elif any(True for _ in module.parameters(recurse=False)):
            raise SpaceError(
                f"The weights of {path or name} ({type(module).__name__}) cannot be drawn again, since it has no "
                "reset_parameters(): give in_module the class or a function that makes the model, or pretrained=True."
            )


@cache
@undisturbed()
def _described(space: ModuleSpace) -> tuple[walk.Plan, dict[str, tuple[str, ...]], tuple[str, ...], tuple[str, ...]]:
    """Decisions, names of inputs and of widths, and the chain, read from a model without numbers where that is possible."""
    try:
        with torch.device("meta"):
            model = space.make(Generator().manual_seed(0))
    except SpaceError:
        # Either the model cannot be made at all, which this says, or not without numbers.
        model = space.make(Generator().manual_seed(0))
    modules = {module.decision: module.names for module in walk.decided(model) if not isinstance(module, Choice)}
    cutting = (module for module in walk.decided(model) if isinstance(module, Width) and module.sizes != (module.channels,))
    widths = {module.decision: None for module in cutting}
    return walk.find(model), modules, tuple(widths), walk.chain(model)


def _plan(space: ModuleSpace) -> walk.Plan:
    return _described(space)[0]


def _inputs(space: ModuleSpace) -> dict[str, tuple[str, ...]]:
    return _described(space)[1]


@cache
def _extents(space: ModuleSpace) -> Extents:
    return find_extents(subject_of(space)) if space.widths else Extents({}, {})


def subject_of(space: ModuleSpace) -> Subject:
    """The model of a space, as the search for what its widths cut away looks at it."""
    sizes: dict[str, set[tuple[tuple[int, ...], int]]] = {}
    for module in walk.decided(space.make(Generator().manual_seed(0))):
        if isinstance(module, Width):
            sizes.setdefault(module.decision, set()).add((module.sizes, module.channels))
    frozen = {name: frozenset(found) for name, found in sizes.items()}
    return Subject(space.make, space.inputs, space.groups, space.widths, frozen)


@cache
def _tried(space: ModuleSpace) -> None:
    model = space.make(Generator().manual_seed(0))
    outputs = try_out(model, space.plan, lambda generator: space.inputs(2, generator), space.name)
    _ = space.extents
    if not space.pretrained and not is_held(space.factory):
        _check_drawn(space, model, space.make(Generator().manual_seed(1)))
    if space.outputs is None or not isinstance(outputs, Tensor):
        return  # a task of the user's own may read anything
    if outputs.dim() < 2 or outputs.shape[1] != space.outputs:
        raise SpaceError(
            f"{space.name} must give {space.outputs} numbers for an example, (B, {space.outputs}, ...), but gives "
            f"{tuple(outputs.shape)} for 2 examples: let its function take an argument outputs, or give it the number."
        )


def _check_drawn(space: ModuleSpace, one: nn.Module, other: nn.Module) -> None:
    """Refuses a function that gives trained weights where they are to be drawn: the same numbers from two generators."""
    for (path, layer), again in zip(one.named_modules(), other.modules(), strict=False):
        if not callable(getattr(layer, "reset_parameters", None)):
            continue  # what no layer of torch draws, such as a table of positions, may be the same every time
        for name, weight in layer.named_parameters(recurse=False):
            twin = again._parameters.get(name)
            fixed = twin is not None and weight.requires_grad and weight.numel() > 1 and torch.equal(weight, twin)
            if fixed and (weight != weight.flatten()[0]).any():
                raise SpaceError(
                    f"{space.factory} gives {f'{path}.{name}'.lstrip('.')} the same numbers for every seed, as weights that "
                    "were trained: give in_module pretrained=True to begin from them, or let the function draw them."
                )


PARTS: Mapping[str, type] = {**SPACE_TYPES, "ModuleSpace": ModuleSpace}
"""The classes of spaces by the name that files give them, those that need torch among them."""


def in_module(
    model: nn.Module | Callable[..., nn.Module] | str,
    example: Any = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    pretrained: bool = False,
    name: str = "",
) -> ModuleSpace:
    """The space of the choices in a model.

    Args:
        model: a class or function that makes the model, or its ``package.module:name``; or a model. Give a function where runs
            should be resumed by another process, or on the command line. Where the function has arguments ``input_shape``,
            ``outputs``, ``dense`` or ``tokens``, it is given those of the data.
        example: inputs of two or more examples, to try the model at once: a tensor, several in a tuple, or by name. None to
            try it when the space is fitted to data.
        arguments: further arguments of the function, by name; numbers, texts, lists and the like.
        pretrained: whether networks begin with the weights that the model has, or that the function gives it, and keep its
            statistics of batch norms in the search. Otherwise they are drawn again, by the run's generator: those of a model
            by ``reset_parameters`` of its layers, those of a function by what it does itself.
        name: of the space; by default the function's or the class's.

    Raises:
        SpaceError: if the model has no choice, or its options do not fit.

    Example:
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.mix = Choice({"small": nn.Linear(4, 3), "zero": nn.Linear(4, 3, bias=False)})
        ...     def forward(self, x):
        ...         return self.mix(x)
        >>> space = in_module(Net(), torch.zeros(2, 4))
        >>> [space.to_native(a) for a in space.architectures()]
        ['mix=small', 'mix=zero']
    """
    if isinstance(model, nn.Module):
        if arguments:
            raise SpaceError("A model that is made takes no arguments: give in_module its class, or leave out arguments.")
        factory, name = hold(model), name or type(model).__name__
    elif isinstance(model, str):
        factory = model
    else:
        factory = name_of(model, "what makes the model")
    space = ModuleSpace(factory=factory, arguments=dict(arguments or {}), pretrained=pretrained, name=name)
    if example is None:
        if not needs_sizes(space):
            _ = space.groups
        return space
    space = replace(space, example=hold(example))
    if isinstance(example, Tensor) and space.input_shape is None and 2 <= example.dim() <= 4 and example.is_floating_point():
        space = replace(space, input_shape=tuple(example.shape[1:]))
    if not all(leaf.shape[:1] != torch.Size([1]) for leaf in tree_leaves(example) if isinstance(leaf, Tensor)):
        raise SpaceError("An example must hold two inputs at least, since batch norm cannot train on one.")
    space.try_out()
    return space


def needs_sizes(space: ModuleSpace) -> bool:
    """Whether the model can only be made for data.

    Raises:
        SpaceError: if it can be made, but has no choices, or cannot be made at all.
    """
    try:
        _ = space.groups
    except SpaceError:
        if is_held(space.factory):
            raise
        parameters = inspect.signature(space._function()).parameters
        if any(size in parameters and parameters[size].default in (None, inspect.Parameter.empty) for size in SIZES):
            return True
        raise
    return False
