"""How flat the minimum is that the weights of a search ended in: the curvature of the training loss in the weights.

A flat minimum is expected to keep more of its accuracy when the mixing weights are rounded to one architecture.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.func import functional_call

from mixop.analysis.hessian import dominant_eigenvalue, trace
from mixop.core.errors import RecipeError
from mixop.core.measure import Number
from mixop.core.names import from_file
from mixop.data.core import Data
from mixop.engine.settings import Settings
from mixop.engine.state import stage_net
from mixop.evaluate.start import trained_supernet
from mixop.evaluate.trained import check_data
from mixop.recipe.parts import recipe_from_json
from mixop.runs.directory import RunDirectory
from mixop.runs.files import RECIPE


@dataclass(frozen=True, kw_only=True)
class Flatness:
    """The Hessian of the training loss in the weights, in three numbers.

    Args:
        largest: its largest eigenvalue, signed; None where it is not finite.
        trace: the sum of its eigenvalues, estimated; None likewise.
        trace_error: the standard error of that; None likewise.
        loss: where it was taken.
        weights: how many there are.
        examples: training examples of the batch.
        seed: of the batch and of the signs that the trace is estimated with.
        samples: of these.
    """

    largest: Number
    trace: Number
    trace_error: Number
    loss: Number
    weights: int
    examples: int
    seed: int
    samples: int


def flatness(
    run: RunDirectory, data: Data, *, examples: int = 256, samples: int = 16, seed: int = 0, device: str = "cpu"
) -> Flatness:
    """The curvature of a finished search in its weights, under the mean mixing weights that it ended with.

    The loss is that of one batch of training examples, plain ones, with the statistics of that batch in batch norms.

    Args:
        run: the directory of the search.
        data: what it searched on.
        examples: of the batch, >= 2; all training examples if there are fewer.
        samples: products with random signs, for the trace, >= 2.
        seed: of the batch and of these signs, >= 0.
        device: where torch computes.

    Raises:
        RunError: if the search is not finished, its checkpoint is gone or torn, or these are not its data.
        RecipeError: for numbers out of range, and networks that carry a state from batch to batch.

    Source: largest eigenvalue by Lanczos, trace by Hutchinson, as Yao et al. 2020 (arXiv:1912.07145) for networks.
    """
    if examples < 2:
        raise RecipeError(f"Batch norms need at least 2 examples, got {examples}.")
    supernet = trained_supernet(run)
    check_data(run, data)
    with from_file(run / RECIPE):
        recipe = recipe_from_json(run.read_json(RECIPE))
    # Kernels and fused passes are differentiated once; the plain executor is torch's own operations.
    net = stage_net(supernet.space, recipe, supernet.stage, Generator(), Settings(device=device, executor="plain"))
    net.load_state_dict(supernet.tensors)
    if net.carries:
        raise RecipeError("The weights of a network that carries a state from batch to batch have no curvature of one batch.")
    net.train()
    generator = Generator().manual_seed(seed)
    drawn = data.train.cpu()[torch.randperm(len(data.train), generator=generator)[:examples]]
    batch = data.to(device).batch(drawn)
    mix = {name: value.to(device) for name, value in supernet.mean.items()}
    weights = {name: value.detach() for name, value in net.named_parameters()}
    buffers = {name: value.detach().clone() for name, value in net.named_buffers()}

    def loss(at: Mapping[str, Tensor]) -> Tensor:
        kept = {name: value.clone() for name, value in buffers.items()}  # a pass in train mode moves the statistics
        outputs = functional_call(net, {**at, **kept}, (batch.x, mix), {"progress": 1.0})
        return data.task.loss(outputs, batch.y)

    with torch.no_grad():
        here = float(loss(weights))
    summed, error = trace(loss, weights, generator, samples=samples)
    return Flatness(
        largest=_finite(dominant_eigenvalue(loss, weights, method="lanczos", weight_decay=0.0)),
        trace=_finite(summed),
        trace_error=_finite(error),
        loss=_finite(here),
        weights=sum(value.numel() for value in weights.values()),
        examples=len(drawn),
        seed=seed,
        samples=samples,
    )


def _finite(value: float) -> Number:
    return value if math.isfinite(value) else None
