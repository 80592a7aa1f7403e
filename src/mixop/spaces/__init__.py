"""Search spaces as data; importing them needs no torch."""

from mixop.spaces.cell import CellSpace
from mixop.spaces.core import Architecture, Choice, Decision, Graph, Group, Layer, Space
from mixop.spaces.nasbench201 import NasBench201, nasbench201
from mixop.spaces.toy import Toy, toy

__all__ = [
    "SPACES",
    "SPACE_TYPES",
    "Architecture",
    "CellSpace",
    "Choice",
    "Decision",
    "Graph",
    "Group",
    "Layer",
    "NasBench201",
    "Space",
    "Toy",
    "nasbench201",
    "toy",
]

SPACES: dict[str, type[Space]] = {"nasbench201": NasBench201, "toy": Toy}
"""The spaces that have a name; one's own is a `CellSpace`, or any subclass of `Space`."""

SPACE_TYPES: dict[str, type[Space]] = {cls.__name__: cls for cls in (CellSpace, NasBench201, Toy)}
"""The classes of spaces by the name that files give them, for `mixop.values.from_plain`."""
