"""A tiny vision transformer: patch, depth, heads and MLP ratio of every block.  (~1 minute on 2 cores)

    python examples/transformer.py [EPOCHS]

prints the transformer it found, and what it costs and achieves beside the plain one, with all heads and an MLP of four times
the width in every block, trained for as long.
"""

import sys
from dataclasses import replace

import mixop
from mixop.core.optim import Adam
from mixop.core.schedules import Cosine

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
data = mixop.data.digits(valid=0.5)
space = mixop.spaces.vit(width=24, depth=2, patches=(2, 4), heads=(4, 2, 1), ratios=(4, 2, 1))

# Transformers learn by Adam, in the search as in the training of what it found.
adam = Adam(lr=Cosine(3e-3, 0.0), betas=(0.9, 0.999), weight_decay=0.0)
recipe = replace(mixop.recipes.gdas(epochs=epochs), weight_optimiser=adam)
run = mixop.search(recipe, space, data, out="runs/transformer")
print(f"found, of {run.space.size():,}: {run.native}")

protocol = replace(mixop.evaluate.PROTOCOLS["quick"], optimiser=adam, epochs=epochs)
blocks = [f"{block}.heads=4, {block}.mlp=96" for block in ("blocks.0", "blocks.1.block")]
plain = ", ".join(["patch=2x2", "blocks.1=block", *blocks])
for name, architecture in (("found", run.architecture), ("plain", plain)):
    result = mixop.retrain(architecture, run.space, data, protocol=protocol, out=f"runs/transformer-{name}")
    network = result.score.networks[0]
    print(
        f"{name}: {result.measures['accuracy']:.1%} of the test images, {network.parameters:,} parameters, "
        f"{network.flops:,} multiply-adds"
    )
