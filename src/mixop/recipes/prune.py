"""Pruning: widths and choices of a model that is trained already, under a ceiling on what it costs."""

from mixop.bilevel.direct import FirstOrder
from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant, Cosine
from mixop.derive.ceiling import UnderCeiling
from mixop.nets.costs import Cost
from mixop.nets.ops import BatchNorm
from mixop.recipe.core import Recipe
from mixop.regularise.cost import CostCeiling
from mixop.relax.nested import NestedGates


def prune(*, epochs: int = 20, limit: float | None = None, share: float | None = None, cost: Cost = "flops") -> Recipe:
    """Gates on the channels and choices of a pretrained model, a ceiling on its cost, and weights that are fine-tuned.

    Every block of channels of a `mixop.Width`, and every option of a `mixop.Choice` after its first, has a hard-concrete gate
    that begins open. A multiplier presses the expected cost under the ceiling, while the validation loss decides which gates
    close. The weights follow at a small rate. What is derived is as large a network as the
    ceiling allows, of the gates that are most likely open. Make the space
    with ``in_module(model, pretrained=True)``.

    Args:
        epochs: passes over the training split.
        limit: largest cost of the network, in the unit of the cost; None where ``share`` is given.
        share: largest cost as a share of the full network's, in (0, 1]; a half where neither is given.
        cost: "flops", "parameters" or a table, see `mixop.regularise.CostCeiling`.

    Scorecard: not measured; this composition is ours.

    Source: gates: Louizos et al. 2018 (arXiv:1712.01312); masks of channels: Wan et al. 2020 (arXiv:2004.05565).
    """
    if limit is None and share is None:
        share = 0.5
    return Recipe(
        name="prune",
        relaxation=NestedGates(),
        scheme=FirstOrder(),
        regularisers=(CostCeiling(limit=limit, share=share, cost=cost, rate=0.01, stiffness=2.0),),
        weight_optimiser=SGD(lr=Cosine(0.005, 0.0001), momentum=0.9, weight_decay=1e-4),
        architecture_optimiser=Adam(lr=Constant(0.05), betas=(0.5, 0.999), weight_decay=0.0),
        derivation=UnderCeiling(limit=limit, share=share, cost=cost),
        epochs=epochs,
        batch_size=64,
        clip=5.0,
        norm=BatchNorm(affine=True, track=True),
    )
