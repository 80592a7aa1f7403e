"""Ready spaces by name: models with choices in them that ship with mixop. The models need torch, this table does not."""

from dataclasses import dataclass

from mixop.spaces.sizes import USUAL, Sizes

IMAGES_TO_MASK, SIGNALS, FEATURES = Sizes((3, 32, 32), 10, dense=True), Sizes((1, 128), 10), Sizes((64,), 10)
"""Sizes for a measurement where no data is at hand, of models that do not classify images."""


@dataclass(frozen=True)
class Ready:
    """A model of mixop's own that a `ModuleSpace` may name without its module.

    Args:
        factory: ``package.module:function`` of what makes the model.
        about: what the space decides, in a line.
        usual: sizes that it reads, for a measurement where no data is at hand.
    """

    factory: str
    about: str
    usual: Sizes = USUAL


READY: dict[str, Ready] = {
    "resnet": Ready("mixop.models.resnet:net", "Images: kernels, width and depth of residual blocks"),
    "separable": Ready("mixop.models.separable:net", "Images or signals: kernels and depth of depthwise separable blocks"),
    "mobilenet": Ready(
        "mixop.models.mobilenet:net", "Images: kernel and expansion of inverted residual blocks, as ProxylessNAS"
    ),
    "proxylessnas": Ready(
        "mixop.models.proxylessnas:net", "Images: the same blocks in the network of ProxylessNAS, of its published size"
    ),
    "shufflenet": Ready(
        "mixop.models.shufflenet:net", "Images: kernel of the blocks of ShuffleNetV2, as DSNAS and Single Path One-Shot"
    ),
    "vit": Ready("mixop.models.vit:net", "Images: patch, depth, heads and MLP ratio of a vision transformer"),
    "conv1d": Ready(
        "mixop.models.conv1d:net", "Signals: kernel, dilation, width, depth and pooling of residual blocks", SIGNALS
    ),
    "fcn": Ready("mixop.models.fcn:net", "Signals: kernel and width of fully convolutional networks", SIGNALS),
    "unet": Ready(
        "mixop.models.unet:net",
        "Images with an output at every pixel: convolutions, joins and pooling of a U-Net",
        IMAGES_TO_MASK,
    ),
    "mlp": Ready(
        "mixop.models.mlp:net", "Features of tables: embedding, activation, width and depth of a residual MLP", FEATURES
    ),
}
"""Each is also a function of its name in `mixop.spaces`, which takes the model's arguments and gives the space."""
