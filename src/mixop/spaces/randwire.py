"""Randomly wired networks: an architecture is a graph for each stage, drawn by one of three classical random graph models.

Source: Xie et al. 2019, "Exploring Randomly Wired Neural Networks for Image Recognition" (arXiv:1904.01569).
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import comb, prod
from random import Random
from types import ModuleType
from typing import Any, ClassVar, Literal

from mixop.core.errors import SpaceError
from mixop.core.extras import package
from mixop.core.outside import shortened
from mixop.core.schedules import check_range
from mixop.spaces.core import Architecture, Choice, Decision, Group
from mixop.spaces.ends import OPEN_CHANNELS, OPEN_OUTPUTS
from mixop.spaces.sizes import strides_for
from mixop.spaces.stacked import Graph, Layer, Stacked, check_skeleton

Edge = tuple[int, int]

WIRE = "wire"
"""The option of every edge: it passes on what a node gives."""

WIDE = 1280
"""Channels of the last 1x1 convolution."""


def _networkx() -> ModuleType:
    return package("networkx", "Drawing random graphs")


class RandomGraph(ABC):
    """Base of the random graph models. Subclasses are frozen dataclasses of their parameters."""

    @abstractmethod
    def check(self, nodes: int) -> None:
        """Refuses a number of nodes that the model has no graphs of.

        Raises:
            SpaceError: saying which it has.
        """

    @abstractmethod
    def edges(self, nodes: int, rng: Random) -> list[Edge]:
        """The edges of a random graph ``(a, b)``, a < b in ``[0, nodes)``, in increasing order.

        Every edge leads from the node that comes first in the model's own order of nodes to the later one, which makes the
        graph acyclic (section 3.2 of the paper).

        Args:
            nodes: how many, as `check` allows.
            rng: source of the graph; same state, same graph, for one version of networkx.
        """

    @abstractmethod
    def count(self, nodes: int) -> int:
        """How many graphs there are, at most."""


def _directed(graph: Any) -> list[Edge]:
    return sorted((min(edge), max(edge)) for edge in graph.edges)


def _pairs(nodes: int) -> int:
    return nodes * (nodes - 1) // 2


@dataclass(frozen=True, kw_only=True)
class ErdosRenyi(RandomGraph):
    """Every two nodes are connected with the same probability.

    Args:
        p: that probability, in (0, 1].

    Source: Gilbert 1959, known by the names of Erdos and Renyi; section 3.3 of arXiv:1904.01569. The default is ours.
    """

    p: float = 0.2

    def __post_init__(self) -> None:
        check_range("p of ErdosRenyi", self.p, above=0, at_most=1)

    def check(self, nodes: int) -> None:
        pass

    def edges(self, nodes: int, rng: Random) -> list[Edge]:
        return _directed(_networkx().gnp_random_graph(nodes, self.p, seed=rng))

    def count(self, nodes: int) -> int:
        return 2 ** _pairs(nodes) if self.p < 1 else 1


@dataclass(frozen=True, kw_only=True)
class BarabasiAlbert(RandomGraph):
    """Nodes are added one by one, each with some edges to earlier ones, the more likely the more edges these have.

    Args:
        m: edges of every node that is added, >= 1 and below the number of nodes.

    Source: Barabasi & Albert 1999; section 3.3 of arXiv:1904.01569. The default is ours. The first nodes are a star, as
    networkx has it.
    """

    m: int = 5

    def __post_init__(self) -> None:
        check_skeleton("BarabasiAlbert", m=self.m)

    def check(self, nodes: int) -> None:
        if nodes <= self.m:
            raise SpaceError(
                f"BarabasiAlbert connects every node to {self.m} others, so it needs more than {self.m} nodes, got {nodes}: "
                "use a smaller m, or more nodes."
            )

    def edges(self, nodes: int, rng: Random) -> list[Edge]:
        return _directed(_networkx().barabasi_albert_graph(nodes, self.m, seed=rng))

    def count(self, nodes: int) -> int:
        return comb(_pairs(nodes), self.m * (nodes - self.m)) if nodes > self.m + 1 else 1  # a star at first


@dataclass(frozen=True, kw_only=True)
class WattsStrogatz(RandomGraph):
    """Nodes in a ring, each connected to its nearest ones; then every edge gets another end with some probability.

    Args:
        k: neighbours of a node in the ring, even, >= 2 and below the number of nodes.
        p: probability that an edge is rewired, in (0, 1].

    Source: Watts & Strogatz 1998; section 3.3 of arXiv:1904.01569, which reports its results with WS(4, 0.75).
    """

    k: int = 4
    p: float = 0.75

    def __post_init__(self) -> None:
        check_skeleton("WattsStrogatz", k=self.k)
        if self.k % 2:
            raise SpaceError(f"WattsStrogatz connects a node to k/2 others on either side, so k must be even, got {self.k}.")
        check_range("p of WattsStrogatz", self.p, above=0, at_most=1)

    def check(self, nodes: int) -> None:
        if nodes <= self.k:
            raise SpaceError(
                f"WattsStrogatz connects every node to {self.k} others, so it needs more than {self.k} nodes, got {nodes}: "
                "use a smaller k, or more nodes."
            )

    def edges(self, nodes: int, rng: Random) -> list[Edge]:
        return _directed(_networkx().watts_strogatz_graph(nodes, self.k, self.p, seed=rng))

    def count(self, nodes: int) -> int:
        return comb(_pairs(nodes), nodes * self.k // 2)


@cache
def _group(name: str, nodes: int) -> Group:
    """Every edge that a stage may have: from the input, node 0, between the nodes 1 to ``nodes``, and to the output."""
    last = nodes + 1
    edges = [(source, target) for target in range(1, last + 1) for source in range(target) if (source, target) != (0, last)]
    return Group(name, tuple(Decision(*edge, (WIRE,)) for edge in edges))


@dataclass(frozen=True, kw_only=True)
class RandWire(Stacked):
    """Randomly wired networks: a random graph model draws the whole graph of every stage.

    Every node adds up what it reads with learned weights in (0, 1), and passes it through ReLU, a separable 3x3 convolution
    and batch norm. Nodes that read no other node read the stage's input with stride 2, and the stage's output is the mean of
    the nodes that no other one reads. The decisions are the edges of the graphs; since they are drawn together, no relaxation
    mixes them, and a search is random.

    Small images are not halved five times, as images of 224 pixels are: the first strides are 1, so that 4 positions are
    left along every axis (`mixop.spaces.sizes.strides_for`).

    Args:
        wiring: the random graph model.
        nodes: of a stage's graph, without its input and output, >= 2.
        channels: of the first stage with all nodes in the small regime, even; each further stage has twice as many.
        regime: ``small`` has two convolutions and three stages; ``regular`` a convolution, a stage of half the nodes, and
            three stages, each of twice the channels that the small regime's has.
        input_shape: ``(C, H, W)`` of images or ``(C, L)`` of signals; None to take the data's.
        outputs: numbers for an example, >= 1; None to take the data's.
        dense: None or False, since there is no output at every position.
        tokens: None or False.
        name: the space's name, part of every architecture.

    Raises:
        SpaceError: for sizes that make no network, and data that it does not read.

    Source: Xie et al. 2019 (arXiv:1904.01569), section 3 and table 1. With WS(4, 0.75) it reports 5.6 M parameters and 583 M
    multiply-adds for 78 channels in the small regime, 31.9 M and 4.0 G for 109 and 61.5 M and 7.9 G for 154 channels in the
    regular one; the means of 200 networks of ours are 5.62 M and 580 M, 32.1 M and 3.98 G, 61.9 M and 7.83 G. The paper does
    not say how the weights of the sums begin; here at sigmoid(0). Its dropout and its removal of single edges, of the regular
    regime alone, are not part of the network; drop path of a protocol drops edges example by example.

    Example:
        >>> space = RandWire(nodes=5)
        >>> architecture = space.from_native("conv3: 1>2 2>3 3>4 4>5; conv4: 1>2 1>3; conv5: none")
        >>> [len(chosen) for _, chosen in architecture.choices]
        [6, 10, 10]
    """

    shares: ClassVar[bool] = False
    whole: ClassVar[bool] = True
    additive: ClassVar[bool] = False

    wiring: RandomGraph = WattsStrogatz()
    nodes: int = 32
    channels: int = 78
    regime: Literal["small", "regular"] = "small"
    input_shape: tuple[int, ...] | None = None
    outputs: int | None = None
    dense: bool | None = None
    tokens: bool | None = None
    name: str = "randwire"

    def __post_init__(self) -> None:
        if not isinstance(self.wiring, RandomGraph):
            raise SpaceError(f"{self.name}: wiring must be a random graph model such as WattsStrogatz(), got {self.wiring!r}.")
        check_skeleton(self.name, nodes=self.nodes, channels=self.channels)
        if self.regime not in ("small", "regular"):
            raise SpaceError(f"{self.name}: regime must be 'small' or 'regular', got {self.regime!r}.")
        if self.nodes < 2 or self.channels < 2:
            raise SpaceError(f"{self.name} needs at least 2 nodes and 2 channels, got {self.nodes} and {self.channels}.")
        for nodes in self._stages.values():
            self.wiring.check(nodes)
        self._check_sizes()

    def _check_sizes(self) -> None:
        super()._check_sizes()
        if self.tokens or self.dense or self.dims == 0:
            what = "tokens" if self.tokens else "data with an output at every position" if self.dense else "feature vectors"
            raise SpaceError(
                f"{self.name} reads images and signals with one output each, but these are {what}: use a space of cells."
            )

    @property
    def _stages(self) -> dict[str, int]:
        """The number of nodes of every stage, by the names that the paper's table has."""
        first = {} if self.regime == "small" else {"conv2": self.nodes // 2}
        return {**first, "conv3": self.nodes, "conv4": self.nodes, "conv5": self.nodes}

    @property
    def groups(self) -> tuple[Group, ...]:
        """A group for every stage, with an edge wherever one may be drawn."""
        return tuple(_group(name, nodes) for name, nodes in self._stages.items())

    def graph(self, group: str) -> Graph:
        """Node 0 is the stage's input, the last node its output; the others convolve."""
        nodes = self._stages[self.group(group).name]
        return Graph(inputs=1, nodes=nodes + 2, output=(nodes + 1,), node="separable_3x3")

    @property
    def layers(self) -> tuple[Layer, ...]:
        """One or two convolutions, the stages, and a wide 1x1 convolution before the linear map; a chain."""
        width, dims = self.channels, max(self.dims, 1)
        sizes = None if self.input_shape is None else self.input_shape[1:]
        strides = strides_for(sizes, (2, 2, 2, 2, 2))
        given = OPEN_CHANNELS if self.input_shape is None else self.input_shape[0]
        layers = [Layer("strided_stem", (0,), (given,), width // 2, stride=strides[0], dims=dims)]
        if self.regime == "small":
            layers.append(Layer("relu_conv_3x3", (1,), (width // 2,), width, stride=strides[1], dims=dims))
            outs = [width, 2 * width, 4 * width]
        else:
            outs = [width, 2 * width, 4 * width, 8 * width]
        for name, out in zip(self._stages, outs, strict=True):
            stride = strides[len(layers)]
            layers.append(Layer("wired", (len(layers),), (layers[-1].out,), out, stride=stride, group=name, dims=dims))
        layers.append(Layer("relu_conv_1x1", (len(layers),), (layers[-1].out,), WIDE, dims=dims))
        outputs = OPEN_OUTPUTS if self.outputs is None else self.outputs
        return (*layers, Layer("relu_linear_head", (len(layers),), (WIDE,), outputs, dims=dims))

    def size(self) -> int:
        """How many networks the random graph model may draw, at most."""
        return prod(self.wiring.count(nodes) for nodes in self._stages.values())

    def random(self, rng: Random) -> Architecture:
        """A network whose graphs are drawn by the random graph model, one for each stage.

        Raises:
            MissingExtraError: if networkx is not installed.
        """
        return self._of({name: self.wiring.edges(nodes, rng) for name, nodes in self._stages.items()})

    def architectures(self) -> Iterator[Architecture]:
        """Refused: there are too many to list.

        Raises:
            SpaceError: always.
        """
        raise SpaceError(f"{self.name} has too many networks to list: draw some, space.random(rng).")

    def settled(self, architecture: Architecture) -> Architecture:
        """With the edges from the input and to the output that follow from those between the nodes."""
        return self._of(
            {
                name: [(source - 1, target - 1) for source, target in self._inner(name, chosen)]
                for name, chosen in architecture.choices
                if name in self._stages
            }
        )

    def check(self, architecture: Architecture) -> None:
        """As `Space.check`; input and output must be connected as the graphs say.

        Raises:
            SpaceError: if the architecture does not belong to the space.
        """
        super().check(architecture)
        if self.settled(architecture) != architecture:
            raise SpaceError(
                f"In an architecture of {self.name} the nodes that read no other one read the input, and those that no other "
                "one reads make the output, each of them and none else: build it by space.random or space.from_native."
            )

    def _inner(self, name: str, chosen: Sequence[Choice]) -> list[Edge]:
        """The edges between the nodes of a stage, which are numbered from 1."""
        decisions, last = _group(name, self._stages[name]).decisions, self._stages[name] + 1
        edges = [(decisions[choice.decision].source, decisions[choice.decision].target) for choice in chosen]
        return [(source, target) for source, target in edges if source > 0 and target < last]

    def _of(self, graphs: dict[str, list[Edge]]) -> Architecture:
        """The architecture of graphs, whose nodes are numbered from 0."""
        return Architecture(
            self.name,
            tuple((name, _chosen(nodes, frozenset(graphs.get(name, ())))) for name, nodes in self._stages.items()),
        )

    def to_native(self, architecture: Architecture) -> str:
        """``conv3: 1>2 1>5 2>3; conv4: ...``: the edges between the nodes of every stage, which are numbered from 1."""
        self.check(architecture)
        return "; ".join(
            f"{name}: {' '.join(f'{source}>{target}' for source, target in sorted(self._inner(name, chosen))) or 'none'}"
            for name, chosen in architecture.choices
        )

    def from_native(self, text: str) -> Architecture:
        """The architecture of a text like ``conv3: 1>2 1>5; conv4: none; conv5: 2>3``; edges may come in any order.

        Raises:
            SpaceError: if the text is malformed, with what was expected.
        """
        parts = text.strip().rstrip(";").split(";") if isinstance(text, str) else []
        if len(parts) != len(self._stages):
            raise self._malformed(text, f"the stages {', '.join(self._stages)}, found {len(parts)}")
        graphs = {}
        for part, (name, nodes) in zip(parts, self._stages.items(), strict=True):
            called, _, words = part.partition(":")
            if called.strip() != name or not words.strip():
                raise self._malformed(text, f"{name}: and its edges, found {shortened(part.strip())}")
            graphs[name] = [] if words.strip() == "none" else [self._edge(word, nodes, text) for word in words.split()]
            if len(set(graphs[name])) < len(graphs[name]):
                raise self._malformed(text, f"every edge of {name} once")
        return self._of(graphs)

    def _edge(self, word: str, nodes: int, text: str) -> Edge:
        found = re.fullmatch(r"([0-9]{1,6})>([0-9]{1,6})", word)
        source, target = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= source < target <= nodes:
            raise self._malformed(text, f"edges a>b from a node to a later one of 1 to {nodes}, found {shortened(word)}")
        return source - 1, target - 1

    def _malformed(self, text: object, problem: str) -> SpaceError:
        form = "; ".join(f"{name}: 1>2 2>3" for name in self._stages)
        return SpaceError(f"An architecture of {self.name} is written {form}: expected {problem}, in {shortened(text, 80)}.")


def _chosen(nodes: int, edges: frozenset[Edge]) -> tuple[Choice, ...]:
    """The edges of a stage, nodes numbered from 0, with those from its input and to its output."""
    reading, read = {target for _, target in edges}, {source for source, _ in edges}
    kept = {(source + 1, target + 1) for source, target in edges}
    kept |= {(0, node + 1) for node in range(nodes) if node not in reading}
    kept |= {(node + 1, nodes + 1) for node in range(nodes) if node not in read}
    decisions = _group("", nodes).decisions
    return tuple(Choice(e, WIRE) for e, decision in enumerate(decisions) if (decision.source, decision.target) in kept)


def randwire(
    *,
    wiring: RandomGraph = WattsStrogatz(),
    nodes: int = 32,
    channels: int = 78,
    regime: Literal["small", "regular"] = "small",
) -> RandWire:
    """The space of randomly wired networks; see `RandWire` for the arguments."""
    return RandWire(wiring=wiring, nodes=nodes, channels=channels, regime=regime)


RANDOM_GRAPHS: dict[str, type[RandomGraph]] = {cls.__name__: cls for cls in (ErdosRenyi, BarabasiAlbert, WattsStrogatz)}
"""The random graph models by the names that files give them."""
