"""ProxylessNAS: binary gates, one path for the weights."""

from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant, Cosine, Joined
from mixop.nets.ops import BatchNorm
from mixop.recipe.core import Recipe
from mixop.recipes._base import benchmark
from mixop.relax.categorical import Categorical
from mixop.relax.gates import BinaryGates


def proxylessnas(*, epochs: int = 160) -> Recipe:
    """ProxylessNAS: weights train one drawn path; binary gates compare all paths, with one of them open.

    As in the authors' code: the first quarter trains only weights (40 of 40 + 120 epochs), with a cosine of its own; the first
    epoch behind it trains only weights too; then an architecture step on images without augmentation ends every fifth weight
    step. Options that did not run neither decay nor move by their momentum. Gradients are not clipped. Operations have a scale
    and shift, and batches their own statistics, in evaluation too.

    The gates' gradient is the code's ``full`` and its default ``full_v2``, which differ in memory alone: ``full_v2`` keeps one
    path and runs the others in the backward pass, ours keeps all. ``relaxation=BinaryGates(paths="two")`` compares two drawn
    paths, in their memory, as in the paper; it shifts both logits after the step, as the code.

    What differs: the latency term is left out, which ``ExpectedCost`` in the regularisers adds; the authors smooth the labels
    of weight steps by 0.1, which is up to the task here; their cosines fall with every batch, ours with every epoch; a decision
    whose open gate is ``none`` has no gradient, and their Adam leaves it out, where ours counts a step of zero. Every block of
    theirs has its own logits and draw; here the cells of a group share both. The method was published on ImageNet, and its
    authors never ran it on NAS-Bench-201 (unverified): all settings are those of ImageNet.

    Scorecard (NAS-Bench-201, searched on CIFAR-10, test accuracy in %):
        paper: not published
        ours: 89.3 +- 1.9 at a small scale, 3 seeds (docs/results.md)

    Source: Cai, Zhu & Han 2019 (arXiv:1812.00332) and the authors' code.
    """
    return benchmark(
        "proxylessnas",
        epochs,
        relaxation=BinaryGates(paths="full"),
        weight_relaxation=Categorical(),
        weight_optimiser=SGD(
            lr=Joined(Cosine(0.05, 0.0), Cosine(0.025, 0.0), share=0.25), momentum=0.9, weight_decay=4e-5, nesterov=True
        ),
        architecture_optimiser=Adam(lr=Constant(1e-3), betas=(0.0, 0.999), weight_decay=0.0),
        batch_size=256,
        architecture_every=5,
        architecture_augment=False,
        order="weights_first",
        idle_weights="rest",
        validates="derived",
        clip=0.0,
        warmup=min(epochs // 4 + 1, epochs - 1),
        norm=BatchNorm(affine=True, track=False, eps=1e-3),
    )
