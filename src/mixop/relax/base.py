"""What a relaxation is: a function from architecture parameters to mixing weights."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Generator, Tensor

from mixop.core.types import Draw, Params
from mixop.spaces.core import Group


class Relaxation(ABC):
    """Base of all relaxations. Subclasses are frozen dataclasses of hyper-parameters: no parameters, no clock, no device.

    Other parts ask a relaxation these questions; none of them asks which class it is.

    Attributes:
        params_on_simplex: whether its parameters are points of the simplex. Only an optimiser that keeps them there fits.
        mix_on_simplex: whether the rows of its mean mixing weights lie on the simplex. Perturbations, edge normalisation,
            entropies and expected costs need that; gates are free of it.
        independent_decisions: whether each decision of a group depends on its own parameters only, so that a row of the
            mean mixing weights is its distribution. In a policy, it depends on the decisions before it.
        parameter_per_option: whether every option of a decision has a parameter, so that a stage can prune options.
        differentiable_mean: whether the mean mixing weights are differentiable in the parameters and say what the loss
            responds to. Monitors of eigenvalues need that.
        twice_differentiable: whether autograd can differentiate the gradient of a draw once more.
        on_host: whether the host needs the numbers of the parameters to draw: to know which options run, or because the sampler
            is there. Parameters then stay on the host, and mixing weights go to the device in one copy.
        takes_several: whether its draws fit decisions that take several options, `Group.take`: a soft one weighs all of them,
            one that leaves options out draws that many.
    """

    params_on_simplex: ClassVar[bool] = False
    mix_on_simplex: ClassVar[bool] = True
    independent_decisions: ClassVar[bool] = True
    parameter_per_option: ClassVar[bool] = True
    differentiable_mean: ClassVar[bool] = True
    twice_differentiable: ClassVar[bool] = True
    on_host: ClassVar[bool] = False
    takes_several: ClassVar[bool] = False

    @property
    def draws_by_cell(self) -> bool:
        """Whether a pass takes a draw for every cell of a group in place of one for all."""
        return False

    def init(self, group: Group, generator: Generator) -> Tensor:
        """Initial architecture parameters, ``(E, O)`` float32: ``1e-3 * N(0, 1)``, as the whole DARTS family starts."""
        return 1e-3 * torch.randn(group.shape, generator=generator)

    @abstractmethod
    def draw(self, params: Tensor, group: Group, progress: float, generator: Generator) -> Draw:
        """One sample of the mixing weights of a cell, differentiable in ``params`` (or with ``log_prob``).

        Args:
            params: architecture parameters as `init` gives them.
            group: the decisions they belong to.
            progress: time in [0, 1].
            generator: source of the randomness; deterministic relaxations leave it alone.
        """

    @abstractmethod
    def mean(self, params: Tensor, group: Group) -> Tensor:
        """The expected mixing weights ``(E, O)``, rows on the simplex: what derivation and analysis read."""

    def check_groups(self, groups: Sequence[Group]) -> None:
        """Refuses groups that it cannot decide, before a search begins; by default none.

        Args:
            groups: those of a space.

        Raises:
            RecipeError: naming what does not fit.
        """
        return

    def init_all(self, groups: Sequence[Group], generator: Generator) -> Params:
        """Initial architecture parameters of all groups, by their names; those of `init`, one group after the other.

        A relaxation that decides groups together keeps what it has for all of them with the first one; every other group has
        an entry, which may be empty.
        """
        return {group.name: self.init(group, generator) for group in groups}

    def draw_all(
        self, params: Mapping[str, Tensor], groups: Sequence[Group], progress: float, generator: Generator
    ) -> dict[str, Draw]:
        """One sample of the mixing weights of all groups, by their names; those of `draw`, one group after the other.

        A relaxation whose decisions depend on each other, across groups too, overrides this: it sees all groups at once, and
        `Group.chain` and `Group.cell` say which belong together.

        Args:
            params: as `init_all` gives them.
            groups: the decisions, those of a space and of its edges' weights.
            progress: time in [0, 1].
            generator: source of the randomness.
        """
        return {group.name: self.draw(params[group.name], group, progress, generator) for group in groups}

    def mean_all(self, params: Mapping[str, Tensor], groups: Sequence[Group]) -> dict[str, Tensor]:
        """The expected mixing weights ``(E, O)`` of all groups, by their names; those of `mean`.

        Args:
            params: as `init_all` gives them.
            groups: the decisions.
        """
        return {group.name: self.mean(params[group.name], group) for group in groups}

    def prune(self, params: Tensor, kept: Sequence[Sequence[int]]) -> Tensor:
        """The parameters ``(E, k)`` that are left when every decision keeps k options; by default their columns.

        The search prunes what its optimiser remembers of the parameters in the same way.

        Args:
            params: architecture parameters.
            kept: for each decision the indices of its options that stay, equally many.
        """
        return params.gather(1, torch.tensor(kept, device=params.device))

    def surrogate(self, loss: Tensor, draws: Mapping[str, Draw]) -> Tensor:
        """The scalar to differentiate for the architecture; by default the loss itself."""
        return loss

    def after_step(self, before: Tensor, after: Tensor, draw: Draw, group: Group) -> Tensor:
        """The parameters after the architecture optimiser's step; by default as the optimiser left them.

        Args:
            before: parameters before the step.
            after: parameters that the optimiser stepped to.
            draw: the draw that gave the gradient.
            group: the decisions they belong to.
        """
        return after
