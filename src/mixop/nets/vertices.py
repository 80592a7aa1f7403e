"""The cell of NAS-Bench-101: operations at the vertices of a graph."""

import torch
from torch import Tensor, nn

from mixop.core.errors import SpaceError
from mixop.nets.ops import BatchNorm, conv_norm_relu, drop_path, operation
from mixop.spaces.model_spec import ModelSpec
from mixop.spaces.stacked import Layer


class VertexCell(nn.Module):
    """A cell with an operation at each of its vertices; called with the probability of drop path.

    What is on no path from the input to the output is left out. A vertex works on the sum of what it reads: the input, by a 1x1
    convolution of its own, and vertices before it, cut to its channels. The output joins the vertices that it reads, and adds
    the projected input if it reads that; or it is the projected input alone.

    Args:
        layer: its place in the network.
        spec: the graph and its operations.
        norm: batch norm settings.

    Raises:
        SpaceError: if the output does not depend on the input, or there are too few channels to share.

    Source: Ying et al. 2019 (arXiv:1902.09635), appendix S3; ``build_module`` of the authors' code.
    """

    def __init__(self, layer: Layer, spec: ModelSpec, norm: BatchNorm) -> None:
        super().__init__()
        pruned = spec.pruned()
        if pruned is None:
            raise SpaceError("The output of this cell does not depend on its input: add edges to its matrix.")
        (given,), dims = layer.channels, layer.dims
        self.matrix, self.last = pruned.matrix, len(pruned.matrix) - 1
        self.channels = pruned.channels(given, layer.out)
        self.projections = nn.ModuleDict(
            {
                str(v): conv_norm_relu(given, self.channels[v], 1, 1, norm, dims)
                for v in range(1, self.last + 1)
                if self.matrix[0][v]
            }
        )
        self.operations = nn.ModuleList(
            operation(name, self.channels[v], 1, norm, dims) for v, name in enumerate(pruned.operations, start=1)
        )

    def forward(self, inputs: list[Tensor], drop: float) -> Tensor:
        (x,) = inputs
        values = [x]
        for v, made in enumerate(self.operations, start=1):
            terms = [values[s][:, : self.channels[v]] for s in self._read(v)]
            if self.matrix[0][v]:
                terms.append(self.projections[str(v)](x))
            y = made(sum(terms[1:], terms[0]))
            values.append(drop_path(y, drop) if drop > 0 else y)
        joined = [values[s] for s in self._read(self.last)]
        projected = self.projections[str(self.last)](x) if self.matrix[0][self.last] else None
        if not joined:
            assert projected is not None  # the output depends on the input
            return projected
        output = torch.cat(joined, dim=1)
        return output if projected is None else output + projected

    def _read(self, vertex: int) -> list[int]:
        """What a vertex reads besides the input."""
        return [s for s in range(1, vertex) if self.matrix[s][vertex]]
