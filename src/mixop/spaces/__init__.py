"""Search spaces as data; importing them needs no torch.

Spaces of the choices in a model do when they are first used: `in_module`, and the ready ones, `resnet` and so on.
"""

from typing import TYPE_CHECKING, Any

from mixop.spaces.cell import CellSpace
from mixop.spaces.core import Architecture, Choice, Decision, Group, Space
from mixop.spaces.darts import S1, S2, S3, S4, S5, Darts, darts
from mixop.spaces.enas_macro import EnasMacro, enas_macro
from mixop.spaces.enas_micro import EnasMicro, enas_micro
from mixop.spaces.enas_rnn import EnasRnn, enas_rnn
from mixop.spaces.nasbench1shot1 import NasBench1Shot1, nasbench1shot1
from mixop.spaces.nasbench101 import NasBench101, nasbench101
from mixop.spaces.nasbench201 import NasBench201, NasBench201Digits, nasbench201
from mixop.spaces.nasbench301 import from_nasbench301, to_nasbench301
from mixop.spaces.nasnet import AmoebaNet, NasNet
from mixop.spaces.randwire import RANDOM_GRAPHS, RandWire, randwire
from mixop.spaces.ready import READY, Ready
from mixop.spaces.recurrent import DartsRnn, EnasRnnCell, darts_rnn
from mixop.spaces.sizes import Sizes
from mixop.spaces.stacked import Graph, Layer, Stacked
from mixop.spaces.toy import Toy, toy

if TYPE_CHECKING:
    from mixop.models import conv1d, fcn, mlp, mobilenet, proxylessnas, resnet, separable, shufflenet, unet, vit
    from mixop.nets.modules.space import ModuleSpace, in_module

__all__ = [
    "RANDOM_GRAPHS",
    "READY",
    "S1",
    "S2",
    "S3",
    "S4",
    "S5",
    "SPACES",
    "SPACE_TYPES",
    "AmoebaNet",
    "Architecture",
    "CellSpace",
    "Choice",
    "Darts",
    "DartsRnn",
    "Decision",
    "EnasMacro",
    "EnasMicro",
    "EnasRnn",
    "EnasRnnCell",
    "Graph",
    "Group",
    "Layer",
    "ModuleSpace",
    "NasBench1Shot1",
    "NasBench101",
    "NasBench201",
    "NasBench201Digits",
    "NasNet",
    "RandWire",
    "Ready",
    "Sizes",
    "Space",
    "Stacked",
    "Toy",
    "conv1d",
    "darts",
    "darts_rnn",
    "enas_macro",
    "enas_micro",
    "enas_rnn",
    "fcn",
    "from_nasbench301",
    "in_module",
    "mlp",
    "mobilenet",
    "nasbench1shot1",
    "nasbench101",
    "nasbench201",
    "proxylessnas",
    "randwire",
    "resnet",
    "separable",
    "shufflenet",
    "to_nasbench301",
    "toy",
    "unet",
    "vit",
]

SPACES: dict[str, type[Space]] = {
    "nasbench201": NasBench201,
    "nasbench201-digits": NasBench201Digits,
    "nasbench101": NasBench101,
    "nasbench1shot1": NasBench1Shot1,
    "darts": Darts,
    "s0": S5,
    "s1": S1,
    "s2": S2,
    "s3": S3,
    "s4": S4,
    "s5": S5,
    "nasnet": NasNet,
    "amoebanet": AmoebaNet,
    "darts_rnn": DartsRnn,
    "enas_rnn_cell": EnasRnnCell,
    "enas_macro": EnasMacro,
    "enas_micro": EnasMicro,
    "enas_rnn": EnasRnn,
    "randwire": RandWire,
    "toy": Toy,
}
"""The spaces that have a name; your own is a `CellSpace`, or any subclass of `Space`."""

SPACE_TYPES: dict[str, type] = {cls.__name__: cls for cls in (CellSpace, *dict.fromkeys(SPACES.values()))} | RANDOM_GRAPHS
"""The classes of spaces, and of their parts, by the name that files give them, for `mixop.core.values.from_plain`."""

_OF_MODULES = ("ModuleSpace", "in_module")


def __getattr__(name: str) -> Any:
    # By their names, at the first use: these stand above this floor, since they need torch.
    from importlib import import_module

    if name in _OF_MODULES:
        return getattr(import_module("mixop.nets.modules.space"), name)
    if name in READY:
        return getattr(import_module("mixop.models"), name)
    raise AttributeError(f"module 'mixop.spaces' has no attribute {name!r}")
