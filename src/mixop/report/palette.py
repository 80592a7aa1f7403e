"""Colours of the report: one per kind of operation, the same in the drawn cell and in the heatmaps, light and dark."""

from dataclasses import dataclass


@dataclass(frozen=True)
class OperationKind:
    """A kind of operation.

    Args:
        label: what a legend calls it.
        light: colour on a light ground, ``#rrggbb``.
        dark: colour on a dark ground, ``#rrggbb``.
    """

    label: str
    light: str
    dark: str


KINDS = {
    "conv": OperationKind("convolution", "#2a62c5", "#74a7ff"),
    "pointwise": OperationKind("1\u00d71 convolution", "#0b8290", "#45c4cf"),
    "separable": OperationKind("separable convolution", "#6a4fc9", "#ab97ff"),
    "dilated": OperationKind("dilated convolution", "#ab3590", "#ec86d2"),
    "pool": OperationKind("pooling", "#37823a", "#74c877"),
    "skip": OperationKind("skip connection, identity", "#c2620c", "#f7a650"),
    "tanh": OperationKind("tanh", "#2a62c5", "#74a7ff"),
    "relu": OperationKind("ReLU", "#37823a", "#74c877"),
    "sigmoid": OperationKind("sigmoid", "#ab3590", "#ec86d2"),
    "none": OperationKind("none (no connection)", "#858b96", "#828b99"),
    "other": OperationKind("other operation", "#86603a", "#c9a47d"),
}
"""Name of a kind (also its CSS class and variable, ``op-NAME``) -> the kind."""


def kind_of(operation: str) -> str:
    """The kind of an operation by its published name, a key of `KINDS`.

    Example:
        >>> kind_of("nor_conv_3x3"), kind_of("conv_1x1"), kind_of("skip_connect"), kind_of("mlp")
        ('conv', 'pointwise', 'skip', 'other')
    """
    name = operation.lower()
    if name in ("tanh", "relu", "sigmoid"):  # of recurrent cells, which have no convolutions to share their colours with
        return name
    if name in ("none", "zero", "zeroize"):
        return "none"
    if "skip" in name or "identity" in name:
        return "skip"
    if "pool" in name:
        return "pool"
    if "dil" in name:
        return "dilated"
    if "sep" in name or "depthwise" in name:
        return "separable"
    if "conv" in name:
        return "pointwise" if "1x1" in name else "conv"
    return "other"


ABSENT = "\u2013"
"""Stands in the report where a run does not know a value."""
