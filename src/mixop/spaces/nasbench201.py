"""NAS-Bench-201 (the topology space of NATS-Bench): 15,625 cells whose trained accuracies are published.

Source: Dong & Yang 2020 (arXiv:2001.00326); order and isomorphism as in the authors' code and benchmark file.
"""

from dataclasses import dataclass, field
from functools import cache
from itertools import product
from random import Random

from mixop.core.errors import SpaceError, unknown
from mixop.spaces.cell import CellSpace
from mixop.spaces.core import Architecture, Choice, check_complete

NASBENCH201_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The benchmark's operations, in its order."""

NASBENCH201_DIGITS_OPERATIONS = ("skip_connect", "nor_conv_3x3", "avg_pool_3x3")
"""The operations of the small benchmark on digits."""


@cache
def benchmark_order() -> tuple[tuple[str, ...], ...]:
    """The operations on the six edges of every architecture, in the order of the benchmark file.

    The authors enumerated all combinations, the last edge varying fastest, and shuffled them after ``random.seed(88)``.
    """
    order = list(product(NASBENCH201_OPERATIONS, repeat=6))
    Random(88).shuffle(order)
    return tuple(order)


@cache
def _positions() -> dict[tuple[str, ...], int]:
    return {operations: index for index, operations in enumerate(benchmark_order())}


@dataclass(frozen=True, kw_only=True)
class NasBench201(CellSpace):
    """The space of NAS-Bench-201: a cell of 4 nodes with one of 5 operations on each of its 6 edges.

    Args:
        operations: a choice of `NASBENCH201_OPERATIONS`, for example GAEA's four without ``none``.
        edge_operations: as `CellSpace`, where a search has pruned edges.
        channels: channels of the first stage; 16 in the benchmark, 24 in GAEA's search.
        cells: cells of each stage; 5 in the benchmark.
        stages: stages; 3 in the benchmark.
        stem_stride: of the first convolution, as `CellSpace`; 1 in the benchmark.
        input_shape: shape of one input, as `CellSpace`; None to take the data's; (3, 32, 32) for CIFAR, (3, 16, 16) for
            ImageNet16-120.
        outputs: numbers for an example, or for each position; None to take the data's.
        dense: whether there is an output at every position; None to take the data's.
        tokens: whether inputs are tokens; None to take the data's.

    Raises:
        SpaceError: for sizes that make no network, and for operations that the benchmark does not have.

    Example:
        >>> space = NasBench201(channels=4, cells=1)
        >>> space.index(space.from_native("|skip_connect~0|+|skip_connect~0|skip_connect~1|+"
        ...     "|skip_connect~0|skip_connect~1|skip_connect~2|"))
        1835
    """

    operations: tuple[str, ...] = NASBENCH201_OPERATIONS
    nodes: int = field(default=4, init=False)
    name: str = field(default="nasbench201", init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for group in self.groups:
            for decision in group.decisions:
                for option in decision.options:
                    if option not in NASBENCH201_OPERATIONS:
                        raise SpaceError(unknown("operation in nasbench201", option, NASBENCH201_OPERATIONS))

    def check(self, architecture: Architecture) -> None:
        """As `Space.check`; an architecture has an operation on each of the six edges.

        Raises:
            SpaceError: if the architecture does not belong to the space.
        """
        super().check(architecture)
        check_complete(self, architecture)

    def index(self, architecture: Architecture) -> int:
        """The architecture's number in the benchmark file, 0 to 15,624.

        Raises:
            SpaceError: if the architecture does not belong to the space.
        """
        self.check(architecture)
        return _positions()[tuple(architecture.options())]

    def from_index(self, index: int) -> Architecture:
        """The architecture of that number in the benchmark file.

        Args:
            index: 0 to 15,624.

        Raises:
            SpaceError: if there is no such number, or the architecture has an operation that this space leaves out.
        """
        order = benchmark_order()
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(order):
            raise SpaceError(f"nasbench201 numbers its architectures 0 to {len(order) - 1}, got {index!r}.")
        architecture = Architecture(self.name, (("cell", tuple(Choice(e, name) for e, name in enumerate(order[index]))),))
        self.check(architecture)
        return architecture

    def isomorphism_key(self, architecture: Architecture, *, zeros: bool = True) -> str:
        """A text that is the same for architectures which the benchmark's authors count as the same function.

        Skips are contracted and the terms of a node sorted; 6,466 keys exist. The rule is the authors': a node all of
        whose several edges are zero is not recognised as zero further on, so a few equal functions keep different keys.

        Args:
            architecture: a member of this space.
            zeros: whether ``none`` and what follows it is contracted too; without, 12,751 keys exist.

        Raises:
            SpaceError: if the architecture does not belong to the space.

        Source: Dong & Yang 2020 (arXiv:2001.00326), section 2.1; ``Structure.to_unique_str`` of the authors' code.
        """
        self.check(architecture)
        keys = ["0"]
        options = iter(architecture.options())
        for _ in range(1, self.nodes):
            terms = []
            for source, option in zip(list(keys), options, strict=False):  # as many edges as there are earlier nodes
                if zeros and (self.is_absent(option) or source == "#"):
                    terms.append("#")
                else:
                    terms.append(source if self.is_skip(option) else f"({source})@{option}")
            keys.append("+".join(sorted(terms)))
        return keys[-1]


def nasbench201(
    *,
    channels: int = 16,
    cells: int = 5,
    stages: int = 3,
    stem_stride: int = 1,
    input_shape: tuple[int, ...] | None = None,
    outputs: int | None = None,
    dense: bool | None = None,
    tokens: bool | None = None,
    operations: tuple[str, ...] = NASBENCH201_OPERATIONS,
) -> NasBench201:
    """The space of NAS-Bench-201, by default with the benchmark's sizes; see `NasBench201` for the arguments."""
    return NasBench201(
        channels=channels,
        cells=cells,
        stages=stages,
        stem_stride=stem_stride,
        input_shape=input_shape,
        outputs=outputs,
        dense=dense,
        tokens=tokens,
        operations=operations,
    )


@dataclass(frozen=True, kw_only=True)
class NasBench201Digits(NasBench201):
    """NAS-Bench-201 with three operations and a small skeleton: 729 architectures, whose accuracies on digits ship with mixop.

    Args:
        operations: a choice of `NASBENCH201_OPERATIONS`.
        edge_operations: as `CellSpace`, where a search has pruned edges.
        channels: channels of the first stage; 4 in the table.
        cells: cells of each stage; 1 in the table.
        stages: stages; 3 in the table.
        stem_stride: of the first convolution, as `CellSpace`; 1 in the table.
        input_shape: shape of one input, as `CellSpace`; None to take the data's; (1, 8, 8) in the table.
        outputs: numbers for an example, or for each position; None to take the data's; 10 in the table.
        dense: whether there is an output at every position; None to take the data's; false in the table.
        tokens: whether inputs are tokens; None to take the data's; false in the table.

    Raises:
        SpaceError: for sizes that make no network, and for operations that the benchmark does not have.

    Example:
        >>> NasBench201Digits().size()
        729
    """

    operations: tuple[str, ...] = NASBENCH201_DIGITS_OPERATIONS
    channels: int = 4
    cells: int = 1
    name: str = field(default="nasbench201-digits", init=False)
