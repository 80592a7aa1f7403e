"""Choices in a model of somebody else's: a ResNet of timm, made without trained weights.  (~1 minute on 2 cores)

    pip install timm
    python examples/timm_backbone.py [EPOCHS]

prints which of its second convolutions may be cheaper ones, and what that network costs and achieves beside timm's own, trained
for as long. Nothing is downloaded.
"""

import sys

import numpy as np
import timm  # pyright: ignore[reportMissingImports]
from sklearn.datasets import load_digits
from torch import nn

import mixop


def net(input_shape, outputs):  # both come from the data
    model = timm.create_model("resnet10t", pretrained=False, in_chans=input_shape[0], num_classes=outputs)
    for block in (block for name in ("layer1", "layer2", "layer3", "layer4") for block in getattr(model, name)):
        c = block.conv2.out_channels
        grouped, single = nn.Conv2d(c, c, 3, padding=1, groups=8, bias=False), nn.Conv2d(c, c, 1, bias=False)
        block.conv2 = mixop.Choice({"timm": block.conv2, "grouped": grouped, "1x1": single})
    return model


epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
x, y = load_digits(return_X_y=True)
data = mixop.data.from_arrays(np.kron(x.reshape(-1, 8, 8), np.ones((2, 2))), y, valid=0.5)  # 16 x 16 pixels

run = mixop.search(mixop.recipes.gdas(epochs=epochs), mixop.spaces.in_module(net), data, out="runs/timm")
print(f"found, of {run.space.size():,}: {run.native}")

plain = ", ".join(f"layer{k}.0.conv2=timm" for k in range(1, 5))
for name, architecture in (("found", run.architecture), ("timm's own", plain)):
    result = mixop.retrain(architecture, run.space, data, epochs=epochs, out=f"runs/timm-{name[:5]}")
    network = result.score.networks[0]
    print(
        f"{name}: {result.measures['accuracy']:.1%} of the test images, {network.parameters:,} parameters, "
        f"{network.flops:,} multiply-adds"
    )
