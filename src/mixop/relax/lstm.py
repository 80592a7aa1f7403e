"""One step of an LSTM, written out: what the recurrent policies are made of."""

from typing import NamedTuple

from torch import Tensor


class Cell(NamedTuple):
    """Weights of one LSTM layer of width H; the four blocks of H rows are input, forget, candidate and output gate."""

    from_input: Tensor
    """``(4H, H)``."""
    from_state: Tensor
    """``(4H, H)``."""
    bias: Tensor
    """``(4H,)``."""


def lstm_step(cell: Cell, x: Tensor, hidden: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """One step of an LSTM layer.

    Args:
        cell: its weights.
        x: input ``(H,)``.
        hidden: state of the step before ``(H,)``.
        memory: memory of the step before ``(H,)``.

    Returns:
        The new state and memory.

    Source: Hochreiter & Schmidhuber 1997 (doi:10.1162/neco.1997.9.8.1735) with forget gates, as `torch.nn.LSTM`.
    """
    gates = cell.from_input @ x + cell.from_state @ hidden + cell.bias
    entry, keep, candidate, exit_ = gates.chunk(4)
    memory = keep.sigmoid() * memory + entry.sigmoid() * candidate.tanh()
    return exit_.sigmoid() * memory.tanh(), memory
