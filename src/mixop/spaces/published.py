"""Published architectures by name: cells of DARTS, its relatives and NAS-Bench-201, recurrent ones, ENAS's, mobile chains."""

from collections.abc import Mapping
from typing import Any

from mixop.spaces.core import Architecture, Choice
from mixop.spaces.darts import Darts
from mixop.spaces.enas_macro import EnasMacro
from mixop.spaces.enas_micro import EnasMicro
from mixop.spaces.enas_rnn import EnasRnn
from mixop.spaces.nasbench201 import NasBench201
from mixop.spaces.nasnet import AmoebaNet, NasNet
from mixop.spaces.recurrent import DartsRnn, EnasRnnCell
from mixop.spaces.stacked import Stacked

_NAMES = {
    "sep3": "sep_conv_3x3",
    "sep5": "sep_conv_5x5",
    "sep7": "sep_conv_7x7",
    "dil3": "dil_conv_3x3",
    "dil5": "dil_conv_5x5",
    "skip": "skip_connect",
    "max": "max_pool_3x3",
    "avg": "avg_pool_3x3",
    "7x1": "conv_7x1_1x7",
}


def _genotype(normal: str, reduce: str, space: Stacked = Darts()) -> Architecture:  # noqa: B008 - a value
    """The architecture of two cells like ``sep3(1) skip(0) ...``: operation and source, node by node."""
    cells = []
    for name, text in (("normal", normal), ("reduce", reduce)):
        pairs = [pair.rstrip(")").split("(") for pair in text.split()]
        pairs = [(_NAMES[short], int(source)) for short, source in pairs]
        cells.append(f"{name}={pairs}, {name}_concat={list(space.graph(name).output)}")
    return space.from_native(f"Genotype({', '.join(cells)})")


def _chain(space: str, options: list[str]) -> Architecture:
    """The architecture of a ready space whose decisions are its blocks, one after the other."""
    return Architecture(space, tuple((f"blocks.{number}", (Choice(0, option),)) for number, option in enumerate(options)))


def _mobile(*stages: str) -> Architecture:
    """Blocks of ``proxylessnas``, stage by stage, as kernel and expansion: ``53`` is 5x5_e3; what is missing is left out."""
    options = []
    for text, count in zip(stages, (4, 4, 4, 4, 4, 1), strict=True):
        named = [f"{kernel}x{kernel}_e{expansion}" for kernel, expansion in text.split()]
        options += [*named, *["skip"] * (count - len(named))]
    return _chain("proxylessnas", options)


def _shuffled(digits: str) -> Architecture:
    """Blocks of ``shufflenet`` as the authors of DSNAS number their options."""
    return _chain("shufflenet", [("3x3", "5x5", "7x7", "xception")[int(digit)] for digit in digits])


DARTS_V1 = _genotype(
    "sep3(1) sep3(0) skip(0) sep3(1) skip(0) sep3(1) sep3(0) skip(2)",
    "max(0) max(1) skip(2) max(0) max(0) skip(2) skip(2) avg(0)",
)
"""First-order DARTS. Source: Liu et al. 2019 (arXiv:1806.09055), code."""

DARTS_V2 = _genotype(
    "sep3(0) sep3(1) sep3(0) sep3(1) sep3(1) skip(0) skip(0) dil3(2)",
    "max(0) max(1) skip(2) max(1) max(0) skip(2) skip(2) max(1)",
)
"""Second-order DARTS. Source: Liu et al. 2019 (arXiv:1806.09055), figures 4 and 5, and code."""

PC_DARTS_CIFAR = _genotype(
    "sep3(1) skip(0) sep3(0) dil3(1) sep5(0) sep3(1) avg(0) dil3(1)",
    "sep5(1) max(0) sep5(1) sep5(2) sep3(0) sep3(3) sep3(1) sep3(2)",
)
"""PC-DARTS, searched on CIFAR-10. Source: Xu et al. 2020 (arXiv:1907.05737), code."""

PC_DARTS_IMAGENET = _genotype(
    "skip(1) sep3(0) sep3(0) skip(1) sep3(1) sep3(3) sep3(1) dil5(4)",
    "sep3(0) skip(1) dil5(2) max(1) sep3(2) sep3(1) sep5(0) sep3(3)",
)
"""PC-DARTS, searched on ImageNet. Source: Xu et al. 2020 (arXiv:1907.05737), code."""

DRNAS_CIFAR10 = _genotype(
    "sep3(0) sep5(1) sep3(1) sep3(2) skip(0) sep3(1) sep3(2) dil5(3)",
    "max(0) sep5(1) dil5(2) sep5(1) sep5(1) dil5(3) skip(4) sep5(1)",
)
"""DrNAS, searched on CIFAR-10. Source: Chen et al. 2021 (arXiv:2006.10355), code."""

DRNAS_IMAGENET = _genotype(
    "sep3(1) sep3(0) sep3(0) sep3(1) sep3(0) dil3(3) skip(0) sep3(1)",
    "max(0) sep3(1) sep3(0) skip(2) sep3(0) sep3(2) sep3(3) sep3(1)",
)
"""DrNAS, searched on ImageNet. Source: Chen et al. 2021 (arXiv:2006.10355), code."""

PRDARTS = _genotype(
    "skip(0) sep3(1) dil3(2) sep3(0) dil3(3) sep3(1) dil3(4) dil3(1)",
    "avg(0) dil5(1) sep3(0) dil5(2) sep5(1) dil3(3) dil5(4) dil5(1)",
)
"""PR-DARTS. Source: Zhou et al. 2020 (arXiv:2006.16537), code."""

NASNET_A = _genotype(
    "sep5(1) sep3(0) sep5(0) sep3(0) avg(1) skip(0) avg(0) avg(0) sep3(1) skip(1)",
    "sep5(1) sep7(0) max(1) sep7(0) avg(1) sep5(0) skip(3) avg(2) sep3(2) max(1)",
    NasNet(),
)
"""NASNet-A, of the space ``nasnet``. Source: Zoph et al. 2018 (arXiv:1707.07012), as in the code of arXiv:1806.09055."""

AMOEBANET_A = _genotype(
    "avg(0) max(1) sep3(0) sep5(2) sep3(0) avg(3) sep3(1) skip(1) skip(0) avg(1)",
    "avg(0) sep3(1) max(0) sep7(2) sep7(0) avg(1) max(0) max(1) 7x1(0) sep3(5)",
    AmoebaNet(),
)
"""AmoebaNet-A, of the space ``amoebanet``. Source: Real et al. 2019 (arXiv:1802.01548), as in the code of arXiv:1806.09055."""


def _recurrent(text: str, space: DartsRnn = DartsRnn()) -> Architecture:  # noqa: B008 - a value
    """The architecture of a recurrent cell like ``relu(0) tanh(1) ...``: activation and source, node by node."""
    pairs = [pair.rstrip(")").split("(") for pair in text.split()]
    chosen = [(name, int(source)) for name, source in pairs]
    return space.from_native(f"Genotype(recurrent={chosen}, concat={list(space.graph('recurrent').output)})")


DARTS_RNN_V1 = _recurrent("relu(0) relu(1) tanh(2) relu(3) relu(4) identity(1) relu(5) relu(1)")
"""First-order DARTS on the Penn Treebank, of the space ``darts_rnn``. Source: Liu et al. 2019 (arXiv:1806.09055), code."""

DARTS_RNN_V2 = _recurrent("sigmoid(0) relu(1) relu(1) identity(1) tanh(2) sigmoid(5) tanh(3) relu(5)")
"""Second-order DARTS on the Penn Treebank, of the space ``darts_rnn``. Source: Liu et al. 2019, figure 6, and code."""

ENAS_RNN = _recurrent("tanh(0) tanh(1) relu(1) tanh(3) tanh(3) relu(3) relu(4) relu(7) relu(8) relu(8) relu(8)", EnasRnnCell())
"""ENAS, searched on the Penn Treebank, of the space ``enas_rnn_cell``. Source: Pham et al. 2018 (arXiv:1802.03268), as in the
code of arXiv:1806.09055."""

ENAS_PTB = EnasRnn().from_native("0  0 0  1 1  2 1  2 0  2 0  5 1  1 0  6 1  8 1  8 1  8 1")
"""The recurrent cell of ENAS's own code, of the space ``enas_rnn``. Source: Pham et al. 2018 (arXiv:1802.03268), code."""

ENAS_MACRO = EnasMacro(depth=24).from_native(
    """
    0
    3 0
    0 1 0
    2 0 0 1
    2 0 0 0 0
    3 1 1 0 1 0
    2 0 0 0 0 0 1
    2 0 1 1 0 1 1 1
    1 0 1 1 1 0 1 0 1
    0 0 0 0 0 0 0 0 0 0
    2 0 0 0 0 0 1 0 0 0 0
    0 1 0 0 1 1 0 0 0 0 1 1
    2 0 1 0 0 0 0 0 1 0 1 1 0
    1 0 0 1 0 0 0 1 1 1 0 1 0 1
    0 1 1 0 1 0 1 0 0 0 0 0 1 0 0
    2 0 0 1 0 0 0 0 0 0 0 1 0 1 0 1
    2 0 1 0 0 0 1 0 0 1 1 1 1 0 0 1 0
    2 0 0 0 0 1 0 1 0 1 0 0 1 0 1 0 0 1
    3 0 1 1 0 1 0 0 0 0 0 1 0 1 0 1 0 0 0
    3 0 1 1 0 0 0 0 0 0 0 0 0 1 1 0 0 0 0 1
    0 1 0 0 1 0 1 1 0 0 0 1 0 0 0 0 0 1 1 0 0
    3 0 1 0 1 1 0 0 1 0 1 1 0 1 1 0 1 0 0 1 0 0
    0 1 0 1 0 1 0 0 0 0 0 0 0 0 1 0 1 0 0 1 0 0 0
    0 1 1 0 0 0 1 1 1 0 1 0 0 0 1 0 1 0 0 1 1 0 0 0
    """
)
"""A network of ENAS's macro space of 24 layers, ``EnasMacro(depth=24)``. Source: Pham et al. 2018 (arXiv:1802.03268), code."""

ENAS_MICRO = EnasMicro().from_native(
    """
    0 2 0 0  0 4 0 1  0 4 1 1  1 0 0 1  0 2 1 1
    1 0 1 0  0 3 0 2  1 1 3 1  1 0 0 4  0 3 1 1
    """
)
"""The cells of ENAS's micro space. Source: Pham et al. 2018 (arXiv:1802.03268), code."""

PROXYLESS_MOBILE = _mobile("53 33", "73 33 53 53", "76 53 53 53", "56 53 53 53", "76 76 73 73", "76")
"""ProxylessNAS for phones. Source: Cai et al. 2019 (arXiv:1812.00332), figure 4; 320.4 M multiply-adds, 4.08 M parameters."""

PROXYLESS_CPU = _mobile("36 33 33 33", "36 33 33 53", "36 33", "56 33 33 33", "56 53 53 33", "56")
"""ProxylessNAS for CPUs. Source: as above; 439.2 M multiply-adds, 4.36 M parameters."""

PROXYLESS_GPU = _mobile("53", "73 33", "76 53", "56 33 53", "76 76 76 56", "76")
"""ProxylessNAS for GPUs. Source: as above; 465.3 M multiply-adds, 7.12 M parameters."""

DSNAS = _shuffled("00303200332333200330")
"""DSNAS. Source: Hu et al. 2020 (arXiv:2002.09128), code; 324 M multiply-adds."""

SPOS = _shuffled("21012020202300003233")
"""Single Path One-Shot, with its blocks alone. Source: Guo et al. 2020 (arXiv:1904.00420), code; 323 M multiply-adds."""

DARTS_NASBENCH201 = NasBench201().from_native(
    "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
)
"""What DARTS of either order finds in NAS-Bench-201 on CIFAR-10, with all three seeds. Source: README of NATS-Bench."""

GDAS_NASBENCH201 = NasBench201().from_native(
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)
"""What GDAS found in NAS-Bench-201 on CIFAR-10, with one seed. Source: README of NATS-Bench."""

SIZES: Mapping[str, Mapping[str, Any]] = {
    "ENAS_MACRO": {"depth": 24},
    "PROXYLESS_MOBILE": {"widths": (32, 40, 80, 96, 192, 320)},
    "PROXYLESS_CPU": {"stem": 40, "first": 24, "widths": (32, 48, 88, 104, 216, 360), "last": 1432},
    "PROXYLESS_GPU": {"stem": 40, "first": 24, "widths": (32, 56, 112, 128, 256, 432), "last": 1728},
}
"""Arguments of the space of a published network, where these are not the defaults."""


def in_words(architecture: Architecture) -> str:
    """The native text of an architecture whose decisions are single choices of modules, without its space."""
    return ", ".join(f"{name}={chosen[0].option}" for name, chosen in architecture.choices)


ARCHITECTURES: dict[str, Architecture] = {
    "DARTS_V1": DARTS_V1,
    "DARTS_V2": DARTS_V2,
    "PC_DARTS_CIFAR": PC_DARTS_CIFAR,
    "PC_DARTS_IMAGENET": PC_DARTS_IMAGENET,
    "DRNAS_CIFAR10": DRNAS_CIFAR10,
    "DRNAS_IMAGENET": DRNAS_IMAGENET,
    "PRDARTS": PRDARTS,
    "NASNET_A": NASNET_A,
    "AMOEBANET_A": AMOEBANET_A,
    "DARTS_RNN_V1": DARTS_RNN_V1,
    "DARTS_RNN_V2": DARTS_RNN_V2,
    "ENAS_RNN": ENAS_RNN,
    "ENAS_PTB": ENAS_PTB,
    "ENAS_MACRO": ENAS_MACRO,
    "ENAS_MICRO": ENAS_MICRO,
    "PROXYLESS_MOBILE": PROXYLESS_MOBILE,
    "PROXYLESS_CPU": PROXYLESS_CPU,
    "PROXYLESS_GPU": PROXYLESS_GPU,
    "DSNAS": DSNAS,
    "SPOS": SPOS,
    "DARTS_NASBENCH201": DARTS_NASBENCH201,
    "GDAS_NASBENCH201": GDAS_NASBENCH201,
}
"""Every published architecture by its name; `mixop.spaces` has their spaces."""
