"""A whole window of a recurrent cell as one function, with its gradient written by hand.

Autograd keeps every activation of every edge of every token, and adds up the gradient of each matrix token by token in new
memory. Here a forward pass keeps the nodes and the products that gates and values come from; the backward pass computes
activations again, and adds products of matrices into one gradient. First derivatives only: when autograd asks for a graph of
the gradient, the window is computed again by functions that torch differentiates.

For node i with the nodes ``y_j`` before it, ``[u_j, g_j] = (m y_j) W_i``, ``c_j = sigmoid(u_j)``, ``F_j = sum_f w_jf f(g_j)``
and ``a_j = sum_f w_jf``: ``x_i = sum_j a_j (1 - c_j) y_j + c_j F_j``, and ``y_i`` is ``x_i`` under batch norm.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mixop.core.transfer import indices
from mixop.nets.recurrent import FUNCTIONS
from mixop.supernet.again import graph_of_gradients


@dataclass(frozen=True)
class Window:
    """What a window needs besides its tensors.

    Args:
        output: the nodes whose mean is the state.
        names: the activations, in the order of the columns of the mixing weights.
        mask: of the state ``(B, n)``, or None.
        statistics: running mean and variance that every node updates, or None.
        momentum: of these.
        eps: added to variances.
        again: computes the states ``(T, B, n)`` from the same tensors by functions that torch differentiates.
    """

    output: Sequence[int]
    names: Sequence[str]
    mask: Tensor | None
    statistics: tuple[Tensor, Tensor] | None
    momentum: float
    eps: float
    again: Callable[[Sequence[Tensor]], Tensor]

    def __call__(self, starts: Tensor, h: Tensor, of_state: Tensor, matrices: Tensor, weights: Tensor) -> Tensor:
        """The states after every token, ``(T, B, n)``.

        Args:
            starts: the inputs' part of the first product, ``(T, B, 2n)``.
            h: the state before the window, ``(B, n)``.
            of_state: the state's part of the first matrix, ``(n, 2n)``.
            matrices: of the nodes, ``(N, n, 2n)``.
            weights: mixing weights ``(E, K)`` of the activations; the edges into a node leave all nodes before it, in order.
        """
        return _States.apply(self, starts, h, of_state, matrices, weights)  # type: ignore[return-value]

    def masked(self, s: Tensor) -> Tensor:
        """States ``(..., B, n)`` under their mask."""
        return s if self.mask is None else s * self.mask

    def norm(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values ``(B, n)`` under batch norm, and one over their deviations ``(n,)``."""
        means, variances = (None, None) if self.statistics is None else self.statistics
        y, _, scale = torch.native_batch_norm(x, None, None, means, variances, True, self.momentum, self.eps)
        return y, scale


def _columns(weights: Tensor, nodes: int) -> list[tuple[Tensor, tuple[Tensor, ...]]]:
    """For every node the weights of its edges, all activations together and one by one, ``(R, 1, 1)`` each."""
    found, begin = [], 0
    for node in range(1, nodes + 1):
        rows = weights[begin : begin + node, :, None, None]
        found.append((rows.sum(1), rows.unbind(1)))
        begin += node
    return found


def _derivative(name: str, g: Tensor, value: Tensor) -> Tensor | None:
    """The derivative of an activation at ``g``, where it has ``value``; None for 1."""
    if name == "tanh":
        return 1 - value.square()
    if name == "relu":
        return (g > 0).to(g.dtype)
    if name == "sigmoid":
        return value * (1 - value)
    return None


def _through_norm(slope: Tensor, y: Tensor, scale: Tensor) -> Tensor:
    """The gradient in what batch norm without scale and shift was given, from that in its value ``y``."""
    return (slope - slope.mean(0) - y * (slope * y).mean(0)).mul_(scale)


class _States(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, window: Window, starts: Tensor, h: Tensor, of_state: Tensor, matrices: Tensor, weights: Tensor
    ) -> Tensor:
        tokens, batch, double = starts.shape
        count, size = len(matrices), h.shape[1]
        nodes = starts.new_empty(tokens, count + 1, batch, size)
        scales = starts.new_empty(tokens, count + 1, size)
        firsts = torch.empty_like(starts)
        products = [starts.new_empty(tokens, node, batch, double) for node in range(1, count + 1)]
        states = starts.new_empty(tokens, batch, size)
        columns, output = _columns(weights, count), indices(tuple(window.output), h.device)
        before = h
        for t in range(tokens):
            first = torch.addmm(starts[t], window.masked(before), of_state, out=firsts[t])
            gate, value = first.chunk(2, dim=-1)
            nodes[t, 0], scales[t, 0] = window.norm(torch.lerp(before, value.tanh(), gate.sigmoid()))
            for i, (whole, each) in enumerate(columns):
                s, product = nodes[t, : i + 1], products[i][t]
                torch.mm(window.masked(s).view(-1, size), matrices[i], out=product.view(-1, double))
                gate, value = product.chunk(2, dim=-1)
                mixed = torch.zeros_like(s)
                for name, weight in zip(window.names, each, strict=True):
                    mixed.addcmul_(FUNCTIONS[name](value), weight)
                nodes[t, i + 1], scales[t, i + 1] = window.norm(torch.lerp(whole * s, mixed, gate.sigmoid()).sum(0))
            before = states[t].copy_(nodes[t, output].mean(0))
        ctx.window = window
        ctx.save_for_backward(starts, h, of_state, matrices, weights, nodes, scales, firsts, states, *products)
        return states

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        window: Window = ctx.window
        starts, h, of_state, matrices, weights, nodes, scales, firsts, states, *products = ctx.saved_tensors
        wanted = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():  # a graph of the gradient is asked for
            given = (starts, h, of_state, matrices, weights)
            return (None, *graph_of_gradients(window.again, given, wanted, slope))
        of_starts, _, of_first, of_matrices, of_weights = wanted
        tokens, batch, double = starts.shape
        count, size = len(matrices), h.shape[1]
        columns, output = _columns(weights, count), indices(tuple(window.output), h.device)
        d_starts = torch.empty_like(starts) if of_starts else None
        d_first = torch.zeros_like(of_state) if of_first else None
        d_matrices = torch.zeros_like(matrices) if of_matrices else None
        d_weights = torch.zeros_like(weights) if of_weights else None
        d_h, d_nodes = torch.zeros_like(h), torch.empty_like(nodes[0])
        for t in reversed(range(tokens)):
            d_nodes.zero_()
            d_nodes[output] = (slope[t] + d_h) / len(output)
            for i in reversed(range(count)):
                whole, each = columns[i]
                s = nodes[t, : i + 1]
                gate, value = products[i][t].chunk(2, dim=-1)
                gate = gate.sigmoid()
                d_total = _through_norm(d_nodes[i + 1], nodes[t, i + 1], scales[t, i + 1])
                d_mixed = gate * d_total
                d_kept = d_total - d_mixed
                mixed, d_value = torch.zeros_like(s), torch.zeros_like(s)
                begin = i * (i + 1) // 2
                common = (d_kept * s).sum((1, 2)) if of_weights else None
                for k, (name, weight) in enumerate(zip(window.names, each, strict=True)):
                    found = FUNCTIONS[name](value)
                    mixed.addcmul_(found, weight)
                    if d_weights is not None and common is not None:
                        d_weights[begin : begin + i + 1, k] += (d_mixed * found).sum((1, 2)) + common
                    derivative = _derivative(name, value, found)
                    d_value = d_value + weight if derivative is None else d_value.addcmul_(derivative, weight)
                d_gate = (mixed - whole * s).mul_(d_total).mul_(gate).mul_(1 - gate)
                d_product = torch.cat([d_gate, d_value.mul_(d_mixed)], dim=-1).view(-1, double)
                if d_matrices is not None:
                    d_matrices[i].addmm_(window.masked(s).view(-1, size).t(), d_product)
                d_seen = (d_product @ matrices[i].t()).view(i + 1, batch, size)
                d_nodes[: i + 1].addcmul_(d_kept, whole).add_(window.masked(d_seen))
            before = states[t - 1] if t else h
            gate, value = firsts[t].chunk(2, dim=-1)
            gate, value = gate.sigmoid(), value.tanh()
            d_total = _through_norm(d_nodes[0], nodes[t, 0], scales[t, 0])
            d_mixed = gate * d_total
            d_gate = d_total * (value - before) * gate * (1 - gate)
            d_product = torch.cat([d_gate, d_mixed * (1 - value.square())], dim=-1)
            if d_starts is not None:
                d_starts[t] = d_product
            if d_first is not None:
                d_first.addmm_(window.masked(before).t(), d_product)
            d_h = d_total - d_mixed + window.masked(d_product @ of_state.t())
        return None, d_starts, d_h, d_first, d_matrices, d_weights
