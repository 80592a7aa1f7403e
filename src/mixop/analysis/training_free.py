"""Scores of a network before it is trained: what its weights, as they are drawn, say about how well it will learn.

They take one pass over a batch, so many networks can be ranked in the time of one short training. They rank networks of one
space; a score of one space says nothing beside that of another.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mixop.core.errors import RecipeError, unknown

Score = Literal["synflow", "naswot", "jacov"]
"""The scores that there are; the higher the better."""

SMALL = 1e-5
"""Added to eigenvalues. Source: Mellor et al. 2021, the code of its first version."""

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)

_ACTIVATIONS = {
    getattr(torch.ops.aten, name).default
    for name in ("relu", "relu_", "gelu", "silu", "silu_", "hardtanh", "hardtanh_", "hardswish", "hardswish_", "leaky_relu")
}


def training_free(score: Score, net: nn.Module, x: Tensor) -> float:
    """A score of a network that is not trained yet.

    Args:
        score: which one.
        net: the network; its weights, statistics and mode stay as they are.
        x: a batch of inputs, ``(B, ...)``; ``synflow`` takes their shape alone.

    Returns:
        The score, higher for better; minus infinity where the network cannot be scored, as one that ignores its input.

    Raises:
        RecipeError: for another score.
    """
    if score not in get_args(Score):
        raise RecipeError(unknown("score before training", str(score), get_args(Score)))
    if score == "synflow":
        return synflow(net, tuple(x.shape[1:]))
    return naswot(net, x) if score == "naswot" else jacov(net, x)


def synflow(net: nn.Module, shape: tuple[int, ...]) -> float:
    """How much each weight carries from input to output, all together: ``log sum |w dR/dw|``.

    R is the sum of the outputs for an input of ones, where every weight is its absolute value and there is no normalisation. It
    needs no data.

    Args:
        net: the network.
        shape: of one input.

    Source: Tanaka et al. 2020 (arXiv:2006.05467), equation 2; as a score of architectures, Abdelfattah et al. 2021
    (arXiv:2101.08134), section 3.2.
    """
    plain = _without_norms(copy.deepcopy(net)).double().eval()
    with torch.no_grad():
        for tensor in plain.state_dict().values():
            if tensor.is_floating_point():
                tensor.abs_()
    ones = torch.ones(1, *shape, dtype=torch.float64, device=next(plain.parameters()).device)
    weights = [p for p in plain.parameters() if p.requires_grad]
    with torch.enable_grad():
        total = _summed(plain(ones))
        if not total.requires_grad:
            return -math.inf
        grads = torch.autograd.grad(total, weights, allow_unused=True)
    carried = sum((w * g).abs().sum().item() for w, g in zip(weights, grads, strict=True) if g is not None)
    return math.log(carried) if 0 < carried < math.inf else -math.inf


def naswot(net: nn.Module, x: Tensor) -> float:
    """How differently activations switch for different examples: ``log |K|``, where K counts the units that agree for two.

    Args:
        net: the network.
        x: a batch of inputs ``(B, ...)``; scores of different batch sizes do not compare.

    Source: Mellor et al. 2021 (arXiv:2006.04647), equation 2.
    """
    with _untouched(net), torch.no_grad(), _Codes(len(x)) as codes:
        net.train()(x)
    sign, value = np.linalg.slogdet(codes.kernel.numpy())
    return float(value) if sign > 0 else -math.inf


def jacov(net: nn.Module, x: Tensor) -> float:
    """How little the gradients in the input agree for different examples: ``-sum log(v + k) + 1 / (v + k)``.

    The v are the eigenvalues of the correlations of these gradients between examples, and k is 1e-5.

    Args:
        net: the network.
        x: a batch of inputs ``(B, ...)``, of floating point; scores of different batch sizes do not compare.

    Source: Mellor et al. 2020, the first version of arXiv:2006.04647, equations 2 and 3.
    """
    x = x.detach().clone().requires_grad_()
    with _untouched(net), torch.enable_grad():
        total = _summed(net.train()(x))
        if not total.requires_grad:
            return -math.inf
        (grad,) = torch.autograd.grad(total, x, allow_unused=True)
    if grad is None:
        return -math.inf
    rows = grad.flatten(1).double().cpu().numpy()
    rows = rows - rows.mean(1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        return -math.inf
    values = np.linalg.eigvalsh((rows / lengths) @ (rows / lengths).T).clip(0) + SMALL
    return float(-(np.log(values) + 1 / values).sum())


def _summed(outputs: Any) -> Tensor:
    return torch.stack([leaf.sum() for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]).sum()


def _without_norms(net: nn.Module) -> nn.Module:
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, _NORMS):
                setattr(module, name, nn.Identity())
    return net


@contextmanager
def _untouched(net: nn.Module) -> Iterator[None]:
    """Inside, a pass in training mode may change the statistics of norms; afterwards they are as before."""
    modes = [(module, module.training) for module in net.modules()]
    kept = [(buffer, buffer.clone()) for buffer in net.buffers()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)


class _Codes(TorchDispatchMode):
    """Sees every activation of this thread, and counts for each two examples the units that are on or off for both.

    Args:
        batch: number of examples.
    """

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as `mixop.core.watch.Watch`: loading torch's compiler takes seconds

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.kernel = torch.zeros(batch, batch, dtype=torch.float64)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        if func in _ACTIVATIONS and len(args[0]) == len(self.kernel):
            on = (args[0].detach().flatten(1) > 0).float()
            agree = on @ on.T + (1 - on) @ (1 - on).T
            self.kernel += agree.double().cpu()
        return func(*args, **(kwargs or {}))
