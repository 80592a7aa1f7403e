"""Models with choices in them, ready to be searched; `mixop.spaces` has their spaces by the same names."""

from mixop.models.conv1d import conv1d
from mixop.models.fcn import fcn
from mixop.models.mlp import mlp
from mixop.models.mobilenet import mobilenet
from mixop.models.proxylessnas import proxylessnas
from mixop.models.resnet import resnet
from mixop.models.separable import separable
from mixop.models.shufflenet import shufflenet
from mixop.models.unet import unet
from mixop.models.vit import vit

__all__ = ["conv1d", "fcn", "mlp", "mobilenet", "proxylessnas", "resnet", "separable", "shufflenet", "unet", "vit"]
