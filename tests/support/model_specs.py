"""Cells of NAS-Bench-101 that more than one test asks for."""

from mixop.spaces.model_spec import ModelSpec

FIRST = ModelSpec(
    (
        (0, 1, 0, 0, 1, 1, 0),
        (0, 0, 1, 0, 0, 0, 0),
        (0, 0, 0, 1, 0, 0, 1),
        (0, 0, 0, 0, 0, 1, 0),
        (0, 0, 0, 0, 0, 1, 0),
        (0, 0, 0, 0, 0, 0, 1),
        (0,) * 7,
    ),
    ("conv3x3-bn-relu", "maxpool3x3", "conv3x3-bn-relu", "conv3x3-bn-relu", "conv1x1-bn-relu"),
)
"""The first cell of the published file."""
