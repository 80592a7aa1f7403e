"""Published cells and networks of the spaces of DARTS, NASNet, AmoebaNet and ENAS, by the names that their papers gave them."""

from mixop.spaces.core import Architecture
from mixop.spaces.darts import Darts
from mixop.spaces.enas_macro import EnasMacro
from mixop.spaces.enas_micro import EnasMicro
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
    "ENAS_MACRO": ENAS_MACRO,
    "ENAS_MICRO": ENAS_MICRO,
}
"""Every published cell or network by its name."""

NEEDS: dict[str, dict[str, int]] = {"ENAS_MACRO": {"depth": 24}}
"""Arguments that the space of a published network must have, where the defaults make another one."""
