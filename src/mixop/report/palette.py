"""Colours of the report: one per kind of operation, the same in the drawn cell and in the heatmaps, light and dark.

They stay apart for readers with protanopia, deuteranopia and tritanopia, which a test holds; they differ in lightness too.
"""

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
    "conv": OperationKind("convolution", "#4e5fb4", "#9bbaff"),
    "pointwise": OperationKind("1\u00d71 convolution", "#068099", "#09bbd2"),
    "separable": OperationKind("separable convolution", "#6a4fca", "#a796fd"),
    "dilated": OperationKind("dilated convolution", "#ae2c81", "#ef81c8"),
    "pool": OperationKind("pooling", "#4e8245", "#79cc76"),
    "skip": OperationKind("skip connection, identity", "#ba5c02", "#f5a64f"),
    "tanh": OperationKind("tanh", "#4e5fb4", "#9bbaff"),
    "relu": OperationKind("ReLU", "#4e8245", "#79cc76"),
    "sigmoid": OperationKind("sigmoid", "#ae2c81", "#ef81c8"),
    "none": OperationKind("none (no connection)", "#858b96", "#828b99"),
    "other": OperationKind("other operation", "#7f5623", "#b9997c"),
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
