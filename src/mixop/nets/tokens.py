"""The layer that reads tokens: an embedding and a recurrent layer, which carries its state from window to window."""

import math
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from mixop.nets.ops import BatchNorm
from mixop.spaces.stacked import Layer


class TokenStem(nn.Module):
    """Embedding and gated recurrent unit: the value at every position of a window sees that token and all before it.

    The recurrence, with the gates r and z: ``n = tanh(W x + b + r * (U h + c))``, ``h' = (1 - z) * n + z * h``.

    Args:
        layer: ``channels`` is the vocabulary V, ``out`` the size C of embedding and state.
        norm: not used.

    Attributes:
        carries: it is called with its state, and returns the new one.

    Source: Cho et al. 2014 (arXiv:1406.1078), section 2.3; parameters and initial weights of `torch.nn.GRU`.
    """

    carries = True

    def __init__(self, layer: Layer, norm: BatchNorm) -> None:
        super().__init__()
        vocabulary, size = layer.channels[0], layer.out
        self.embedding = nn.Embedding(vocabulary, size)
        self.weight_input = nn.Parameter(torch.empty(3 * size, size))
        self.weight_state = nn.Parameter(torch.empty(3 * size, size))
        self.bias_input = nn.Parameter(torch.empty(3 * size))
        self.bias_state = nn.Parameter(torch.empty(3 * size))
        for parameter in (self.weight_input, self.weight_state, self.bias_input, self.bias_state):
            nn.init.uniform_(parameter, -1 / math.sqrt(size), 1 / math.sqrt(size))

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The window's values, and the state after it.

        Args:
            x: tokens ``(B, T)``, int64.
            state: what the window before left ``(B, C)``; None at the start of a stream.

        Returns:
            Values ``(B, C, T)`` and the state ``(B, C)``.
        """
        y = self.embedding(x)
        start = y.new_zeros(x.shape[0], y.shape[2]) if state is None else state
        weights = (self.weight_input, self.weight_state, self.bias_input, self.bias_state)
        # `torch.nn.GRU` caches its weights, which breaks functional calls and copies. Its cuDNN form has no second derivatives,
        # and no gradient in evaluation mode: a search needs both.
        with torch.backends.cudnn.flags(enabled=False) if y.is_cuda else nullcontext():  # torch 2.6 exports no such flags
            y, last = torch.gru(y, start.unsqueeze(0), weights, True, 1, 0.0, self.training, False, True)
        return y.transpose(1, 2), last[0]
