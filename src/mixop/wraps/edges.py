"""Wraps that add to an edge, or weigh it: edge normalisation, the auxiliary skip, drop path."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from mixop.core.errors import RecipeError
from mixop.core.schedules import Linear, Schedule, check_range, schedule
from mixop.nets.dims import CONVOLUTIONS
from mixop.nets.ops import FactorizedReduce, drop_path
from mixop.wraps.base import EdgeSpec, MakeEdge, Wrap, WrappedEdge


@dataclass(frozen=True, kw_only=True)
class EdgeNormalisation(Wrap):
    """The edges into a node have mixing weights of their own, relaxed and trained like those of the options.

    With a softmax: ``node_j = sum_i softmax(beta_j)_i * edge_ij(x_i)``. The weights are those of the groups
    ``Group.input_groups``, one decision for each node.

    Source: Xu et al. 2020 (arXiv:1907.05737), eq. 2.
    """

    weighs_edges: ClassVar[bool] = True


class AuxiliaryEdge(WrappedEdge):
    """``inner(x) + beta(progress) * auxiliary(x)``."""

    def __init__(self, inner: nn.Module, auxiliary: nn.Module, coefficient: "AuxiliarySkip") -> None:
        super().__init__(inner)
        self.auxiliary = auxiliary
        self.coefficient = coefficient.beta

    def forward(self, x: Tensor, weights: Tensor, active: tuple[int, ...] | None = None, progress: float = 0.0) -> Tensor:
        return self.inner(x, weights, active, progress) + self.coefficient(progress) * self.auxiliary(x)


@dataclass(frozen=True, kw_only=True)
class AuxiliarySkip(Wrap):
    """A skip connection beside the options of every edge, whose coefficient decays to nothing; derivation does not see it.

    Where the edge is strided it is a factorised reduction with weights of its own.

    Args:
        beta: its coefficient, >= 0. ``Linear(1, 0, closed=False)`` is ``beta_0 * (E - e) / E``; ``Cosine(1, 0)`` is
            ``(1 + cos(pi e / E)) / 2``; ``Cosine(1, -1, stretch=2)`` is the slow cosine ``cos(pi / 2 * e / E)``.
        kind: ``identity``, or ``convolution``: a 1x1 convolution that starts as the identity.

    Source: Chu et al. 2021 (arXiv:2009.01027), eq. 8 and algorithm 1.
    """

    beta: Schedule = Linear(1.0, 0.0, closed=False)
    kind: Literal["identity", "convolution"] = "identity"

    def __post_init__(self) -> None:
        check_range("beta of AuxiliarySkip", self.beta, at_least=0)
        object.__setattr__(self, "beta", schedule(self.beta))
        if self.kind not in ("identity", "convolution"):
            raise RecipeError(f"kind of AuxiliarySkip must be 'identity' or 'convolution', got {self.kind!r}.")

    def __call__(self, make_edge: MakeEdge) -> MakeEdge:
        def make(spec: EdgeSpec) -> nn.Module:
            return AuxiliaryEdge(make_edge(spec), self._auxiliary(spec), self)

        return make

    def added_skip(self, progress: float) -> float:
        return self.beta(progress) if self.kind == "identity" else 0.0  # a convolution has weights to learn

    def _auxiliary(self, spec: EdgeSpec) -> nn.Module:
        if spec.stride == 2:
            return FactorizedReduce(spec.channels, spec.channels, spec.norm, spec.dims)
        if self.kind == "identity":
            return nn.Identity()
        conv = CONVOLUTIONS[spec.dims](spec.channels, spec.channels, 1, bias=False)
        nn.init.dirac_(conv.weight)
        return conv


class DropPathEdge(WrappedEdge):
    """In training, the whole edge is dropped for some of the images."""

    def __init__(self, inner: nn.Module, drop: "DropPath") -> None:
        super().__init__(inner)
        self.probability = drop.probability

    def forward(self, x: Tensor, weights: Tensor, active: tuple[int, ...] | None = None, progress: float = 0.0) -> Tensor:
        y = self.inner(x, weights, active, progress)
        probability = self.probability(progress)
        return drop_path(y, probability) if self.training and probability > 0 else y


@dataclass(frozen=True, kw_only=True)
class DropPath(Wrap):
    """In training, the output of an edge is zero for a share of the images, drawn for each, and scaled up for the others.

    Args:
        probability: that share, in [0, 1).

    Source: Larsson et al. 2017 (arXiv:1605.07648); rising linearly: Zela et al. 2020 (arXiv:1909.09656), section 4.
    """

    probability: Schedule = Linear(0.0, 0.2)

    def __post_init__(self) -> None:
        check_range("probability of DropPath", self.probability, at_least=0)
        object.__setattr__(self, "probability", schedule(self.probability))
        if not self.probability.bounds[1] < 1:
            raise RecipeError("probability of DropPath must stay below 1, where every path is dropped.")

    @property
    def draws(self) -> bool:
        return True

    def __call__(self, make_edge: MakeEdge) -> MakeEdge:
        return lambda spec: DropPathEdge(make_edge(spec), self)
