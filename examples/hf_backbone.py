"""Choices in a model of Hugging Face: a vision transformer made from its configuration.  (~1 minute on 2 cores)

    pip install transformers
    python examples/hf_backbone.py [EPOCHS]

prints how wide its layers may be and which of them can be left out, and what that network costs and achieves beside
Hugging Face's own, trained for as long. Nothing is downloaded.
"""

import sys
from dataclasses import replace

from torch import nn
from transformers import ViTConfig, ViTForImageClassification  # pyright: ignore[reportMissingImports]

import mixop
from mixop.core.optim import Adam
from mixop.core.schedules import Cosine


class Skip(nn.Identity):
    def forward(self, input, *rest, **more):  # a layer is called with a mask too
        return input


class Net(nn.Module):
    def __init__(self, input_shape, outputs):  # both come from the data
        super().__init__()
        channels, side, _ = input_shape
        sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
        config = ViTConfig(**sizes, image_size=side, patch_size=2, num_channels=channels, num_labels=outputs)
        self.model = ViTForImageClassification(config)
        layers = self.model.vit.layers
        for number, layer in enumerate(layers):
            width = mixop.Width(64, (0.25, 0.5, 1), axis=-1)
            layer.mlp.activation_fn = nn.Sequential(layer.mlp.activation_fn, width)
            if number:
                layers[number] = mixop.Choice({"layer": layer, "skip": Skip()})

    def forward(self, x):
        return self.model(x).logits


epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
data = mixop.data.digits()

# Transformers learn by Adam, in the search as in the training of what it found.
adam = Adam(lr=Cosine(3e-3, 0.0), betas=(0.9, 0.999), weight_decay=0.0)
recipe = replace(mixop.recipes.drnas(epochs=epochs), weight_optimiser=adam)
run = mixop.search(recipe, mixop.spaces.in_module(Net), data, out="runs/hf")
print(f"found, of {run.space.size():,}: {run.native}")

OWN = """
model.vit.layers.0.mlp.activation_fn.1=1, model.vit.layers.1=layer, model.vit.layers.1.layer.mlp.activation_fn.1=1,
model.vit.layers.2=layer, model.vit.layers.2.layer.mlp.activation_fn.1=1
"""
protocol = replace(mixop.evaluate.PROTOCOLS["quick"], optimiser=adam, epochs=epochs)
for name, architecture in (("found", run.architecture), ("Hugging Face's own", OWN)):
    result = mixop.retrain(architecture, run.space, data, protocol=protocol, out=f"runs/hf-{name[:5]}")
    network = result.score.networks[0]
    print(
        f"{name}: {result.measures['accuracy']:.1%} of the test images, {network.parameters:,} parameters, "
        f"{network.flops:,} multiply-adds"
    )
