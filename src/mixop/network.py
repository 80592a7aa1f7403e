"""Networks from spaces: the walk through a skeleton, and the discrete network that a search is for.

A skeleton is data (`Layer` values of a `Space`). `Skeleton` builds its modules and runs them; what a *cell* is, it is
told: mixed edges in a supernet, one operation an edge in the discrete network. So the two differ in their cells only.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor, nn

from mixop.errors import SpaceError, unknown
from mixop.ops import BatchNorm, FactorizedReduce, drop_path, operation, relu_conv_norm
from mixop.rng import fenced
from mixop.spaces.core import Architecture, Choice, Decision, Graph, Group, Layer, Space


class Residual(nn.Module):
    """The residual block between the stages of NAS-Bench-201: two 3x3 convolutions beside a pooled 1x1 shortcut.

    Source: Dong & Yang 2020 (arXiv:2001.00326), section 2.2, and the authors' code.
    """

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        self.first = relu_conv_norm(layer.channels[0], layer.out, 3, layer.stride, norm, affine=True)
        self.second = relu_conv_norm(layer.out, layer.out, 3, 1, norm, affine=True)
        conv = nn.Conv2d(layer.channels[0], layer.out, 1, bias=False)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, stride=2), conv) if layer.stride == 2 else conv

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.second(self.first(x))


class Head(nn.Module):
    """Batch norm, ReLU, mean over the image, linear classifier."""

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        self.norm = norm.make(layer.channels[0], affine=True)
        self.linear = nn.Linear(layer.channels[0], layer.out)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.relu(self.norm(x)).mean((2, 3)))


class LinearHead(nn.Module):
    """Mean over the image, linear classifier."""

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        self.linear = nn.Linear(layer.channels[0], layer.out)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.mean((2, 3)))


class Slice(nn.Module):
    """A block of channels."""

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        self.start, self.stop = layer.offset, layer.offset + layer.out

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.start : self.stop]


def _stem(layer: Layer, norm: BatchNorm) -> nn.Module:
    conv = nn.Conv2d(layer.channels[0], layer.out, 3, padding=1, bias=False)
    return nn.Sequential(conv, norm.make(layer.out, affine=True))


def _preprocess(layer: Layer, norm: BatchNorm) -> nn.Module:
    return relu_conv_norm(layer.channels[0], layer.out, 1, 1, norm)


def _reducing_preprocess(layer: Layer, norm: BatchNorm) -> nn.Module:
    return FactorizedReduce(layer.channels[0], layer.out, norm)


def _imagenet_stem(layer: Layer, norm: BatchNorm) -> nn.Module:
    """Two strided 3x3 convolutions: a quarter of the size."""
    half = layer.out // 2
    first = nn.Conv2d(layer.channels[0], half, 3, stride=2, padding=1, bias=False)
    second = nn.Conv2d(half, layer.out, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(first, norm.make(half, affine=True), nn.ReLU(), second, norm.make(layer.out, affine=True))


def _imagenet_stem_reduction(layer: Layer, norm: BatchNorm) -> nn.Module:
    return relu_conv_norm(layer.channels[0], layer.out, 3, 2, norm, affine=True)


class AuxiliaryHead(nn.Module):
    """A classifier on a cell in the middle of the network: it is pooled to 2x2 pixels and convolved to one.

    Images of 6 to 8 pixels are pooled by 5x5 windows, as published for 8 (CIFAR) and 7 (ImageNet); larger ones to 2x2 means.

    Source: Liu et al. 2019 (arXiv:1806.09055), appendix A.2, and the authors' code.
    """

    LEAST = 6

    def __init__(self, layer: Layer, norm: BatchNorm, *, second_norm: bool = True) -> None:
        super().__init__()
        first = nn.Conv2d(layer.channels[0], 128, 1, bias=False)
        second = nn.Conv2d(128, 768, 2, bias=False)
        norms = [norm.make(768, affine=True)] if second_norm else []
        self.body = nn.Sequential(first, norm.make(128, affine=True), nn.ReLU(), second, *norms, nn.ReLU())
        self.linear = nn.Linear(768, layer.out)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2]
        if size < self.LEAST:
            raise SpaceError(
                f"The auxiliary head needs {self.LEAST} pixels where it stands, got {size}: use larger images, or none."
            )
        x = torch.relu(x)
        if size <= 8:
            x = nn.functional.avg_pool2d(x, 5, stride=size - 5, count_include_pad=False)
        else:
            x = nn.functional.adaptive_avg_pool2d(x, 2)
        return self.linear(self.body(x).flatten(1))


def _imagenet_auxiliary_head(layer: Layer, norm: BatchNorm) -> nn.Module:
    return AuxiliaryHead(layer, norm, second_norm=False)  # left out in the original


LAYERS: dict[str, Callable[[Layer, BatchNorm], nn.Module]] = {
    "stem": _stem,
    "residual": Residual,
    "head": Head,
    "linear_head": LinearHead,
    "slice": Slice,
    "preprocess": _preprocess,
    "reducing_preprocess": _reducing_preprocess,
    "auxiliary_head": AuxiliaryHead,
    "imagenet_auxiliary_head": _imagenet_auxiliary_head,
    "imagenet_stem": _imagenet_stem,
    "imagenet_stem_reduction": _imagenet_stem_reduction,
}

MakeCell = Callable[[Layer, Graph, Group], nn.Module]


class Skeleton(nn.Module):
    """The fixed part of a network around its cells, and the walk through both.

    Args:
        space: the search space, with its sizes.
        make_cell: builds the module of a cell; it is called as ``cell(inputs, *context)``, inputs being the list of input
            nodes, and returns the output node.
        norm: batch norm settings of the fixed layers (always affine).
    """

    def __init__(self, space: Space, make_cell: MakeCell, norm: BatchNorm) -> None:
        super().__init__()
        self.specs = space.layers
        self.layers = nn.ModuleList()
        for spec in self.specs:
            if spec.kind == "cell":
                group = space.group(spec.group or "")
                self.layers.append(make_cell(spec, space.graph(group.name), group))
            elif spec.kind in LAYERS:
                self.layers.append(LAYERS[spec.kind](spec, norm))
            else:
                raise SpaceError(unknown("kind of layer", spec.kind, [*LAYERS, "cell"]))

    def walk(self, x: Tensor, context: Callable[[Layer], tuple] = lambda spec: ()) -> list[Tensor]:
        """The images ``(B, C, H, W)`` and the output of every layer, at last the logits ``(B, classes)``.

        Args:
            x: images.
            context: gives a cell's further arguments.
        """
        outputs: list[Tensor] = [x]
        for spec, layer in zip(self.specs, self.layers, strict=True):
            given = [outputs[i] for i in spec.inputs]
            outputs.append(layer(given, *context(spec)) if spec.kind == "cell" else layer(*given))
        return outputs


def edge_shape(layer: Layer, graph: Graph, decision: Decision) -> tuple[int, int]:
    """``(channels, stride)`` of a cell's edge: the nodes share the cell's output, only edges from inputs are strided."""
    return layer.out // len(graph.output), layer.stride if decision.source < graph.inputs else 1


def run_cell(
    inputs: Sequence[Tensor], graph: Graph, edges: Sequence[tuple[int, int]], run_edge: Callable[[int, Tensor], Tensor | None]
) -> Tensor:
    """The output of a cell: every node the sum of its edges, the output nodes concatenated.

    Args:
        inputs: values of the input nodes, ``(B, C, H, W)`` each.
        graph: the cell's graph.
        edges: ``(source, target)`` of every edge, targets not decreasing.
        run_edge: ``run_edge(e, x)`` is the value of edge e at its source's value x; None if it adds nothing.
    """
    nodes: list[Tensor | None] = [*inputs, *[None] * (graph.nodes - graph.inputs)]
    for e, (source, target) in enumerate(edges):
        value = run_edge(e, _value(nodes, source, inputs))
        present = nodes[target]
        if value is not None:
            nodes[target] = value if present is None else present + value
    output = [_value(nodes, k, inputs) for k in graph.output]
    return output[0] if len(output) == 1 else torch.cat(output, dim=1)


def _value(nodes: Sequence[Tensor | None], node: int, inputs: Sequence[Tensor]) -> Tensor:
    value = nodes[node]
    return torch.zeros_like(inputs[0]) if value is None else value  # every edge into the node was dropped


class DiscreteCell(nn.Module):
    """A cell with one operation on every kept edge; called with the probability of drop path."""

    def __init__(self, layer: Layer, graph: Graph, group: Group, choices: Sequence[Choice], norm: BatchNorm) -> None:
        super().__init__()
        self.graph = graph
        kept = sorted(((group.decisions[c.decision], c.option) for c in choices), key=lambda pair: pair[0].target)
        self.edges = [(decision.source, decision.target) for decision, _ in kept]
        self.operations = nn.ModuleList(
            operation(option, *edge_shape(layer, graph, decision), norm) for decision, option in kept
        )

    def forward(self, inputs: list[Tensor], drop: float) -> Tensor:
        def run_edge(e: int, x: Tensor) -> Tensor:
            operation = self.operations[e]
            y = operation(x)
            return drop_path(y, drop) if drop > 0 and not isinstance(operation, nn.Identity) else y

        return run_cell(inputs, self.graph, self.edges, run_edge)


class DiscreteNetwork(Skeleton):
    """The network of one architecture: a plain module, ``logits = net(x)``.

    Args:
        architecture: which operation on which edge.
        space: its space, with the sizes that the network shall have.
        norm: batch norm settings; by default as in every retraining protocol.
        auxiliary: whether it has the space's auxiliary head, which only training uses.

    Attributes:
        drop_path: in training, the probability that the output of an operation is zero for an image, in [0, 1); skip
            connections are spared. Drawn from torch's global generator.

    Raises:
        SpaceError: if the architecture is another space's, or the space has no auxiliary head.
    """

    def __init__(self, architecture: Architecture, space: Space, norm: BatchNorm, *, auxiliary: bool = False) -> None:
        space.check(architecture)
        if auxiliary and space.auxiliary is None:
            raise SpaceError(f"{space.name} has no auxiliary head: leave it out (auxiliary 0).")

        def make_cell(layer: Layer, graph: Graph, group: Group) -> nn.Module:
            return DiscreteCell(layer, graph, group, architecture.of(group.name), norm)

        super().__init__(space, make_cell, norm)
        self.drop_path = 0.0
        head = space.auxiliary if auxiliary else None
        self.auxiliary_input = head.inputs[0] if head else None
        self.auxiliary = LAYERS[head.kind](head, norm) if head else None

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(B, classes)`` of images ``(B, C, H, W)``."""
        return self._outputs(x)[-1]

    def logits(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits of the network and, in training, of its auxiliary head if it has one; ``(B, classes)`` each."""
        outputs = self._outputs(x)
        if self.auxiliary is None or self.auxiliary_input is None or not self.training:
            return outputs[-1], None
        return outputs[-1], self.auxiliary(outputs[self.auxiliary_input])

    def _outputs(self, x: Tensor) -> list[Tensor]:
        drop = self.drop_path if self.training else 0.0
        return self.walk(x, lambda spec: (drop,))


def build(
    architecture: Architecture | str,
    space: Space,
    *,
    generator: Generator | None = None,
    norm: BatchNorm | None = None,
    auxiliary: bool = False,
) -> DiscreteNetwork:
    """Builds the discrete network of an architecture, freshly initialised.

    Args:
        architecture: an architecture of the space, or its native string.
        space: the space with the sizes (channels, cells, classes ...) that the network shall have.
        generator: source of the initial weights; by default torch's global generator.
        norm: batch norm settings; default affine with running statistics.
        auxiliary: whether it has the space's auxiliary head, which only training uses.

    Returns:
        A plain `torch.nn.Module`; ``net(x)`` gives logits.

    Raises:
        SpaceError: if the architecture does not belong to the space.

    Example:
        >>> from mixop.spaces import nasbench201
        >>> space = nasbench201(channels=4, cells=1, input_channels=3, input_size=16, classes=10)
        >>> net = build("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|skip_connect~2|", space)
        >>> net(torch.zeros(2, 3, 16, 16)).shape
        torch.Size([2, 10])
    """
    if isinstance(architecture, str):
        architecture = space.from_native(architecture)
    norm = norm or BatchNorm()
    if generator is None:
        return DiscreteNetwork(architecture, space, norm, auxiliary=auxiliary)
    with fenced(generator):
        return DiscreteNetwork(architecture, space, norm, auxiliary=auxiliary)
