"""The two ends of a skeleton: the layer that reads the input and the one that gives the outputs, as the data needs them."""

from mixop.core.errors import SpaceError
from mixop.spaces.core import Space
from mixop.spaces.stacked import Layer, check_skeleton

OPEN_CHANNELS, OPEN_OUTPUTS = 3, 10
"""Input channels and outputs of a network whose sizes are open."""


def stem(space: Space, out: int, *, kind: str = "stem", stride: int = 1) -> Layer:
    """The layer that reads the network's input.

    Args:
        space: the space; its `Space.input_shape` decides.
        out: channels that the layer gives.
        kind: the layer for images and signals; tokens and feature vectors have their own.
        stride: of that layer; above 1, ``stem`` is the layer ``strided_stem``.
    """
    channels = (OPEN_CHANNELS if space.input_shape is None else space.input_shape[0],)
    if space.tokens:
        return Layer("token_stem", (0,), channels, out, dims=1)
    if space.dims == 0:
        return Layer("linear_stem", (0,), channels, out, dims=1)
    kind = "strided_stem" if kind == "stem" and stride > 1 else kind
    return Layer(kind, (0,), channels, out, stride=stride, dims=space.dims)


def check_stem_stride(space: Space, stride: int) -> None:
    """Refuses a strided stem where there is nothing to stride over.

    Args:
        space: the space, with its name; tokens and feature vectors have stems of their own.
        stride: of its stem.

    Raises:
        SpaceError: if it is no whole number above 0, or above 1 for such data.
    """
    check_skeleton(space.name, stem_stride=stride)
    if stride > 1 and (space.tokens or space.dims == 0):
        kind = "tokens" if space.tokens else "a feature vector"
        raise SpaceError(f"{space.name}: the stem of {kind} has no stride: leave stem_stride at 1, got {stride}.")


def head(space: Space, reads: int, channels: int, *, kind: str = "head") -> Layer:
    """The layer that gives the outputs; at every position, it also reads the network's input, for its size.

    Args:
        space: the space; `Space.dense` decides.
        reads: number of the layer that it reads.
        channels: of that layer.
        kind: the layer for one output an example; ``dense_KIND`` gives one at every position.
    """
    out = OPEN_OUTPUTS if space.outputs is None else space.outputs
    dims = max(space.dims, 1)
    if not space.dense:
        return Layer(kind, (reads,), (channels,), out, dims=dims)
    given = OPEN_CHANNELS if space.input_shape is None else space.input_shape[0]
    return Layer(f"dense_{kind}", (reads, 0), (channels, given), out, dims=dims)
