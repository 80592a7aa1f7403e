"""What spaces have in common whose cells have operations at their vertices: native text, and the network of NAS-Bench-101."""

from abc import abstractmethod
from typing import ClassVar

from mixop.core.errors import SpaceError
from mixop.spaces.core import Architecture, Roles
from mixop.spaces.ends import head, stem
from mixop.spaces.model_spec import ModelSpec, read_spec
from mixop.spaces.sizes import positions
from mixop.spaces.stacked import Layer, Stacked, check_skeleton

STAGES = 3
"""Stages of the network; every further one halves the image and doubles the channels."""


class VertexSpace(Stacked):
    """Cells with operations at their vertices; the network of an architecture is that of NAS-Bench-101.

    The network is a 3x3 convolution with batch norm and ReLU, ``cells`` cells in three stages, mean over the image and a linear
    classifier. Cells do not count what is on no path from their input to their output. The input is projected by a 1x1
    convolution with batch norm and ReLU wherever it is read; other vertices that are read are added up, cut to the channels of
    the one that reads them. The output joins the vertices that it reads, and adds the input if it reads it.

    Attributes:
        cells: cells of the whole network.
        channels: channels of the first stage.

    Source: Ying et al. 2019 (arXiv:1902.09635), section 2.2 and appendix S3.
    """

    roles: ClassVar[Roles] = Roles(absent=(), skips=(), pools=("maxpool3x3",))
    additive: ClassVar[bool] = False
    rebuilt: ClassVar[bool] = True

    cells: int
    channels: int

    @abstractmethod
    def spec(self, architecture: Architecture) -> ModelSpec:
        """The cell as a graph, with all of its vertices."""

    @abstractmethod
    def of_spec(self, spec: ModelSpec) -> Architecture:
        """The architecture of a cell.

        Raises:
            SpaceError: if the space does not have it.
        """

    def to_native(self, architecture: Architecture) -> str:
        """The cell as ``ModelSpec(matrix=[[0,1,...],...], ops=['input', ..., 'output'])``, as the benchmark's API takes it.

        Raises:
            SpaceError: if the architecture does not belong to the space.
        """
        self.check(architecture)
        return self.spec(architecture).text()

    def from_native(self, text: str) -> Architecture:
        """The architecture of a ``ModelSpec``, or of a dictionary as the benchmark answers with.

        Raises:
            SpaceError: if the text is malformed, or the space does not have the cell.
        """
        architecture = self.of_spec(read_spec(text, self.name))
        self.check(architecture)
        return architecture

    def signature(self, architecture: Architecture) -> int | None:
        """The first 63 bits of NAS-Bench-101's hash of what is left of the cell; None if its output reads nothing."""
        pruned = self.spec(architecture).pruned()
        return None if pruned is None else int(pruned.module_hash()[:16], 16) >> 1

    def layers_of(self, architecture: Architecture) -> tuple[Layer, ...]:
        """The skeleton of NAS-Bench-101, which is that of every architecture."""
        return self._network

    @property
    def _network(self) -> tuple[Layer, ...]:
        """Stem, three stages of cells with pools between them, head."""
        width, dims = self.channels, max(self.dims, 1)
        layers = [stem(self, width, kind="norm_relu_stem")]
        for number in range(self.cells):
            before = layers[-1].out
            if number in self._halvings:
                layers.append(Layer("pool", (len(layers),), (before,), before, stride=2, dims=dims))
                width *= 2
            layers.append(Layer("cell", (len(layers),), (before,), width, group=self.groups[0].name, dims=dims))
        return (*layers, head(self, len(layers), width, kind="linear_head"))

    @property
    def _halvings(self) -> tuple[int, ...]:
        """The cells that a pool stands before, counted from 0."""
        return tuple(stage * self.cells // STAGES for stage in range(1, STAGES))

    def _check_sizes(self) -> None:
        check_skeleton(self.name, cells=self.cells, channels=self.channels)
        super()._check_sizes()
        if self.cells < STAGES:
            raise SpaceError(f"{self.name}: its {STAGES} stages need a cell each, got cells={self.cells}.")
        if self.dims == 0:
            raise SpaceError(
                f"{self.name} halves its input, but a feature vector has no positions to halve: use a CellSpace with stages=1."
            )
        if self.tokens and self.dense:
            raise SpaceError(
                f"{self.name} halves its input and looks at neighbours, which is not possible with an output at every token: "
                "use a CellSpace with stages=1 and operations that look at their own position only."
            )
        least = 2 ** (STAGES - 2) + 1
        for axis, size in positions(self.input_shape).items() if self.input_shape is not None else ():
            if size < least:
                raise SpaceError(
                    f"{self.name}: {STAGES - 1} halvings leave nothing of an input whose {axis} is {size}: the smallest {axis} "
                    f"that works is {least}."
                )
