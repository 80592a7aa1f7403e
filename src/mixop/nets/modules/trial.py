"""A trial pass through a model: whether its options agree, and what runs where."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.utils._pytree import tree_flatten

from mixop.core.errors import SpaceError
from mixop.core.rng import fenced
from mixop.core.surroundings import undisturbed
from mixop.nets.modules.choice import Choice, InputChoice, Later, Pass, running
from mixop.nets.modules.walk import Option, Plan


class Trial(Pass):
    """A pass in which every option runs, and is compared with the others.

    Attributes:
        around: the options that surround what runs now, outermost first.
        reached: the names of the decisions that were reached, in order, as often as they were.
    """

    def __init__(self, plan: Plan, like: Tensor) -> None:
        super().__init__(
            {g.name: torch.full(g.shape, 1 / g.shape[1], dtype=like.dtype, device=like.device) for g in plan.groups}
        )
        self.around: tuple[Option, ...] = ()
        self.reached: list[str] = []

    def mixed(self, choice: Choice, options: Mapping[str, Later]) -> Any:
        """The value of a choice, whose options must agree."""
        self.weights(choice)
        self.reached.append(choice.decision)
        shapes: dict[str, Any] = {}
        return super().mixed(choice, {name: self._inside(choice, name, later, shapes) for name, later in options.items()})

    def joined(self, choice: InputChoice, given: Sequence[Tensor]) -> Tensor:
        """The value of a choice of inputs, which must agree."""
        self.weights(choice)
        self.reached.append(choice.decision)
        shapes = {name: _shapes(value) for name, value in zip(choice.inputs, given, strict=True)}
        _check_equal(f"The inputs of {choice.decision}", shapes)
        return super().joined(choice, given)

    def enter(self, around: tuple[Option, ...]) -> None:
        """Begins an option.

        Args:
            around: it, and the options that it lies inside of.
        """
        self.around = around

    def leave(self, around: tuple[Option, ...]) -> None:
        """Ends an option.

        Args:
            around: the options that it lies inside of.
        """
        self.around = around

    def narrowed(self, decision: str, x: Tensor, axis: int, sizes: Sequence[int]) -> Tensor:
        """The value of a width."""
        self.reached.append(decision)
        return super().narrowed(decision, x, axis, sizes)

    def _inside(self, choice: Choice, name: str, later: Later, shapes: dict[str, Any]) -> Later:
        """An option that is compared, once it has run, with those before it."""

        def run() -> Any:
            before = self.around
            self.enter((*before, (choice.decision, name)))
            try:
                value = later()
            finally:
                self.leave(before)
            shapes[name] = _shapes(value)
            _check_equal(f"The options of {choice.decision}", shapes)
            return value

        return run


def _shapes(value: Any) -> Any:
    """What the values of options must have in common: structure, shapes and number types."""
    leaves, spec = tree_flatten(value)
    return spec, [(tuple(leaf.shape), leaf.dtype) if isinstance(leaf, Tensor) else type(leaf) for leaf in leaves]


def _check_equal(what: str, shapes: Mapping[str, Any]) -> None:
    """Refuses values that are not alike.

    Raises:
        SpaceError: naming the first two that differ.
    """
    (first, wanted), *others = shapes.items()
    for name, found in others:
        if found != wanted:
            raise SpaceError(
                f"{what} must give tensors of one shape, but {first} gives {_told(wanted)} and {name} gives {_told(found)}: "
                "give them the same stride, padding and channels."
            )


def _told(shapes: Any) -> str:
    leaves = [f"{'x'.join(map(str, leaf[0]))}" if isinstance(leaf, tuple) else leaf.__name__ for leaf in shapes[1]]
    return ", ".join(leaves) or "nothing"


def call(model: nn.Module, x: Any) -> Any:
    """A model called with inputs: one tensor, several in a tuple, or several by name."""
    if isinstance(x, Mapping):
        return model(**x)
    return model(*x) if isinstance(x, tuple) else model(x)


def materialise(model: nn.Module, plan: Plan, x: Any, name: str) -> None:
    """Passes inputs through all options of a model, so that its lazy layers get their weights.

    Args:
        model: bound to the plan; changed.
        plan: its decisions.
        x: inputs.
        name: of the space, for messages.

    Raises:
        SpaceError: if the model fails.
    """
    model.eval()
    mix = {g.name: torch.full(g.shape, 1 / g.shape[1]) for g in plan.groups}
    try:
        with torch.no_grad(), running(Pass(mix)):
            call(model, x)
    except SpaceError:
        raise
    except Exception as error:  # the user's code may fail in any way
        raise SpaceError(f"{name} fails on an example of its inputs: {type(error).__name__}: {_one_line(error)}.") from error


@undisturbed()
def try_out(model: nn.Module, plan: Plan, example: Callable[[Generator], Any], name: str) -> Any:
    """Passes examples through a model with all options, in evaluation mode; the model is not changed.

    Args:
        model: bound to the plan.
        plan: its decisions.
        example: makes inputs from a generator; two different ones are passed.
        name: of the space, for messages.

    Returns:
        The outputs of the second pass.

    Raises:
        SpaceError: if options differ in shape, a choice is never reached, or what is reached depends on the inputs.
    """
    training = model.training
    model.eval()
    seen, outputs = [], None
    try:
        with torch.no_grad(), fenced(Generator().manual_seed(0)):
            for seed in (1, 2):
                x = example(Generator().manual_seed(seed))
                first = next(model.parameters(), torch.zeros(()))
                trial = Trial(plan, first)
                with running(trial):
                    outputs = call(model, x)
                seen.append(trial.reached)
    except SpaceError:
        raise
    except Exception as error:  # the user's code may fail in any way
        raise SpaceError(f"{name} fails on an example of its inputs: {type(error).__name__}: {_one_line(error)}.") from error
    finally:
        model.train(training)
    if seen[0] != seen[1]:
        raise SpaceError(
            f"{name} reaches other choices with other inputs ({', '.join(dict.fromkeys(seen[0]))}; then "
            f"{', '.join(dict.fromkeys(seen[1]))}): which choices a pass reaches must not depend on the numbers in it."
        )
    never = [decision for decision in plan.found if decision not in seen[0]]
    if never:
        raise SpaceError(f"The choice {never[0]} of {name} is never reached: call it in forward, or take it out of the model.")
    return outputs


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text.rstrip(".") if len(text) <= 200 else f"{text[:197]}..."
