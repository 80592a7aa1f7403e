"""All that changes during a search, in one object; that object alone is checkpointed."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Generator, Tensor

from mixop.core.rng import generators, keep_out_of_graphs
from mixop.core.types import Params
from mixop.data.core import Data, Part
from mixop.data.stream import Stream
from mixop.engine.settings import Settings
from mixop.nets.training import trained
from mixop.recipe.core import Recipe
from mixop.spaces.core import Space
from mixop.spaces.stacked import Stacked
from mixop.supernet.base import Supernet
from mixop.supernet.executors import make_supernet
from mixop.tasks.base import Totals

GENERATORS = ("init", "weights_order", "architecture_order", "augment", "draw", "monitor", "derive", "memory")


@dataclass
class SearchState:
    """Weights, architecture parameters, optimisers, generators, data order and position of a search.

    Epochs beyond the recipe's are tuning: ``tune_until`` is where the present one ends, ``tune_rate`` its learning rate.
    ``fixed`` holds the option of every decision that is made already, ``found`` the architecture once it is known.
    ``space`` is that of the present ``stage``; ``kept`` the options that are left of the whole space, empty where all are.
    """

    space: Space
    net: Supernet
    params: Params
    weight_optimiser: torch.optim.Optimizer
    architecture_optimiser: torch.optim.Optimizer
    generators: dict[str, Generator]
    weight_stream: Stream
    architecture_stream: Stream
    train: Totals
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best_rank: float = -math.inf
    best_native: str = ""
    natives: list[str] = field(default_factory=list)
    found: str = ""
    tune_until: int = 0
    tune_rate: float = 0.0
    stage: int = 0
    kept: dict[str, list[list[int]]] = field(default_factory=dict)
    fixed: dict[str, dict[int, int]] = field(default_factory=dict)
    memory: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def fresh(
        cls,
        recipe: Recipe,
        base: Space,
        data: Data,
        settings: Settings,
        *,
        stage: int = 0,
        kept: dict[str, list[list[int]]] | None = None,
    ) -> "SearchState":
        """The state before the first step; with a stage and its options, of the shape that it has there."""
        random = generators(settings.seed, GENERATORS)
        space = stage_space(base, recipe, stage, kept or {})
        net = stage_net(space, recipe, stage, random["init"], settings)
        params = initial_params(recipe, net, random["init"], settings)
        if recipe.scheme.shares_data:
            parts: tuple[tuple[Part, ...], ...] = (("train", "valid"), ("train", "valid"))
        else:
            parts = ("train",), ("valid",)
        return cls(
            space=space,
            stage=stage,
            kept=kept or {},
            net=net,
            params=params,
            weight_optimiser=recipe.weight_optimiser.build(trained(net)),
            architecture_optimiser=recipe.architecture_optimiser.build(params.values()),
            generators=random,
            weight_stream=data.stream(parts[0], recipe.batch_size, random["weights_order"], recipe.windows),
            architecture_stream=data.stream(parts[1], recipe.batch_size, random["architecture_order"]),
            train=data.task.totals(),
            memory=initial_memory(recipe, space, random["memory"]),
        )

    def build_optimisers(self, recipe: Recipe) -> None:
        """New optimisers of the weights and parameters."""
        self.weight_optimiser = recipe.weight_optimiser.build(trained(self.net))
        self.architecture_optimiser = recipe.architecture_optimiser.build(self.params.values())

    def state_dict(self) -> dict[str, Any]:
        """Everything, as tensors, numbers and strings."""
        return {
            "net": self.net.state_dict(),
            "params": self.params,
            "weight_optimiser": self.weight_optimiser.state_dict(),
            "architecture_optimiser": self.architecture_optimiser.state_dict(),
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
            "weight_stream": self.weight_stream.state_dict(),
            "architecture_stream": self.architecture_stream.state_dict(),
            "train": self.train.state_dict(),
            "memory": dict(self.memory),
            "natives": list(self.natives),
            "kept": {name: [list(row) for row in rows] for name, rows in self.kept.items()},
            "fixed": {name: dict(options) for name, options in self.fixed.items()},
            **{name: getattr(self, name) for name in _PLAIN},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from where `state_dict` was taken; the state must be of the same stage."""
        self.net.load_state_dict(state["net"])
        for name, value in state["params"].items():
            self.params[name].copy_(value)
        self.weight_optimiser.load_state_dict(state["weight_optimiser"])
        self.architecture_optimiser.load_state_dict(state["architecture_optimiser"])
        for name, value in state["generators"].items():
            self.generators[name].set_state(value)
        self.weight_stream.load_state_dict(state["weight_stream"])
        self.architecture_stream.load_state_dict(state["architecture_stream"])
        self.train.load_state_dict(state["train"])
        self.memory.clear()
        self.memory.update(state["memory"])
        self.natives = list(state["natives"])
        self.fixed.clear()
        self.fixed.update({name: dict(options) for name, options in state["fixed"].items()})
        for name in _PLAIN:
            setattr(self, name, state[name])


def initial_params(recipe: Recipe, net: Supernet, generator: Generator, settings: Settings) -> Params:
    """The architecture parameters before the first step, where the recipe's draws need them."""
    relaxations = (recipe.relaxation, recipe.weight_relaxation)
    on_host = any(relaxation is not None and relaxation.on_host for relaxation in relaxations)
    initial = recipe.relaxation.init_all(net.groups, generator)
    return {name: value.to("cpu" if on_host else settings.device) for name, value in initial.items()}


def initial_memory(recipe: Recipe, space: Space, generator: Generator) -> dict[str, Tensor]:
    """What the regularisers of a recipe carry before the first step."""
    memory: dict[str, Tensor] = {}
    for regulariser in recipe.regularisers:
        memory.update(regulariser.initial(space, generator))
    return memory


_PLAIN = ("stage", "epoch", "step", "seconds", "best_rank", "best_native", "found", "tune_until", "tune_rate")


def stage_space(base: Space, recipe: Recipe, stage: int, kept: dict[str, list[list[int]]]) -> Space:
    """The space of a stage: pruned to the options that are left, with the stage's further cells and channels."""
    space = base.prune(kept) if kept else base
    if recipe.stages:
        size = recipe.stages[stage]
        space = space.deeper(size.cells) if size.cells else space
        if size.channels:
            space = replace(space, channels=space.channels + size.channels)  # type: ignore[type-var]
    return space


def stage_net(space: Space, recipe: Recipe, stage: int, generator: Generator, settings: Settings) -> Supernet:
    """The supernet of a stage, freshly initialised, on the run's device."""
    net = make_supernet(settings.executor, space, norm=recipe.norm, generator=generator, wraps=recipe.all_wraps[stage])
    net = net.to(settings.device)
    if settings.channels_last and (settings.executor == "plain" or not isinstance(space, Stacked)):
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if settings.compile:
        keep_out_of_graphs()
        net.compile_cells()
    return net
