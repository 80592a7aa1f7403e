"""A recurrent policy that takes the decisions of a group one after the other: the controller of ENAS."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError, SpaceError
from mixop.core.schedules import check_range
from mixop.core.types import Draw
from mixop.relax.base import Relaxation
from mixop.relax.sampling import as_paths, one_hot, sample_options, score_surrogate
from mixop.spaces.core import Group


class Cell(NamedTuple):
    """Weights of one LSTM layer of width H; the four blocks of H rows are input, forget, candidate and output gate."""

    from_input: Tensor
    """``(4H, H)``."""
    from_state: Tensor
    """``(4H, H)``."""
    bias: Tensor
    """``(4H,)``."""


class Controller(NamedTuple):
    """The pieces of a policy's flat parameters, for ``O`` options and width H."""

    start: Tensor
    """``(H,)``: the first input."""
    embedding: Tensor
    """``(O, H)``: what follows an option."""
    head: Tensor
    """``(O, H)``."""
    head_bias: Tensor
    """``(O,)``."""
    cells: tuple[Cell, ...]


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


@dataclass(frozen=True, kw_only=True)
class LstmPolicy(Relaxation):
    """One-hot draws, each decision conditional on those before it, with the log-probability of the whole draw.

    Every group has its own policy, whose parameters are one flat vector. An LSTM reads a learnt start vector and then the
    embedding of the option last taken; a linear layer, shared by all decisions, gives ``tanh * tanh(logits / temperature)``.

    Args:
        hidden: width H of the LSTM and of the embeddings, >= 1.
        layers: LSTM layers, >= 1.
        tanh: largest absolute logit, > 0, which keeps the policy exploring.
        temperature: divides the logits, > 0.

    Source: Pham et al. 2018 (arXiv:1802.03268), section 2; the version for cells of Dong & Yang 2020 (arXiv:2001.00326) and
        its code, with one bias for each layer instead of the two that `torch.nn.LSTM` adds up.
    """

    independent_decisions: ClassVar[bool] = False
    parameter_per_option: ClassVar[bool] = False
    # The mean follows the most likely path: its slope says nothing of the loss of other paths.
    differentiable_mean: ClassVar[bool] = False
    takes_several: ClassVar[bool] = True

    hidden: int = 32
    layers: int = 2
    tanh: float = 2.5
    temperature: float = 5.0

    def __post_init__(self) -> None:
        for name, value in (("hidden", self.hidden), ("layers", self.layers)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise RecipeError(f"{name} of LstmPolicy must be a whole number of at least 1, got {value!r}.")
        check_range("tanh of LstmPolicy", self.tanh, above=0)
        check_range("temperature of LstmPolicy", self.temperature, above=0)

    def init(self, group: Group, generator: Generator) -> Tensor:
        """All weights in one vector, drawn from ``U(-0.1, 0.1)``; `unflatten` shows the pieces."""
        size = sum(torch.Size(shape).numel() for shape in self._shapes(group))
        return torch.empty(size).uniform_(-0.1, 0.1, generator=generator)

    def draw(self, params: Tensor, group: Group, progress: float, generator: Generator) -> Draw:
        choices, rows = self._walk(params, group, lambda row: int(sample_options(row[None], generator)))
        chosen = torch.tensor(choices)[:, None]
        log_prob = rows.gather(-1, chosen).sum().to(params.device)
        chosen = chosen.view(-1, group.take)
        return Draw(one_hot(chosen, params.new_empty(group.shape)), log_prob=log_prob, active=as_paths(chosen))

    def mean(self, params: Tensor, group: Group) -> Tensor:
        """Probabilities of every decision given that each one before it took its most likely option, ``(E, O)``.

        The exact marginals need all ``O^E`` paths. This is deterministic, exact for the first decision, and its argmax is
        the greedy architecture.
        """
        _, rows = self._walk(params, group, lambda row: int(row.detach().argmax()))
        return rows[:: group.take].exp().to(params.device)

    def surrogate(self, loss: Tensor, draws: Mapping[str, Draw]) -> Tensor:
        return score_surrogate(loss, draws)

    def log_prob_and_entropy(self, params: Tensor, group: Group, choices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Log-probability of given choices, and the entropy of the decisions on their way, scalars in nats.

        The entropy is that of every decision's distribution given the choices before it, summed; over sampled choices its
        expectation is the entropy of the policy.

        Args:
            params: the flat vector of `init`.
            group: the decisions.
            choices: one option index for every decision; where decisions take several, as many for each, in the order taken.

        Raises:
            SpaceError: if the choices do not fit the group.
        """
        edges, options = group.shape
        count = edges * group.take
        if len(choices) != count or not all(0 <= choice < options for choice in choices):
            raise SpaceError(
                f"A policy of {edges} decisions takes {count} option indices below {options}, got {list(choices)}."
            )
        given = iter(choices)
        _, rows = self._walk(params, group, lambda row: next(given))
        log_prob = rows.gather(-1, torch.tensor(list(choices))[:, None]).sum()
        # What was taken before has the probability 0: 0 times minus infinity would be no number.
        entropy = -(rows.exp() * rows.masked_fill(rows.isneginf(), 0.0)).sum()
        return log_prob.to(params.device), entropy.to(params.device)

    def unflatten(self, params: Tensor, group: Group) -> Controller:
        """The pieces of the flat vector, as views."""
        shapes = self._shapes(group)
        flat = params.split([torch.Size(shape).numel() for shape in shapes])
        pieces = [piece.view(shape) for piece, shape in zip(flat, shapes, strict=True)]
        start, embedding, head, head_bias = pieces[:4]
        cells = tuple(Cell(*pieces[at : at + 3]) for at in range(4, len(pieces), 3))
        return Controller(start, embedding, head, head_bias, cells)

    def _shapes(self, group: Group) -> list[tuple[int, ...]]:
        h, options = self.hidden, group.shape[1]
        cell: list[tuple[int, ...]] = [(4 * h, h), (4 * h, h), (4 * h,)]
        return [(h,), (options, h), (options, h), (options,), *(cell * self.layers)]

    def _walk(self, params: Tensor, group: Group, choose: Callable[[Tensor], int]) -> tuple[list[int], Tensor]:
        """Takes every decision by ``choose(its log-probabilities)``: the choices, and all rows ``(E, O)``, on the host.

        A decision that takes several options has a row for each, without those taken before. A few small products one after
        the other, with a choice in between: the host is the faster place for them.
        """
        controller = self.unflatten(params.cpu(), group)
        states = [(torch.zeros_like(controller.start), torch.zeros_like(controller.start)) for _ in controller.cells]
        choices, rows, x = [], [], controller.start
        for at in range(group.shape[0] * group.take):
            for layer, cell in enumerate(controller.cells):
                states[layer] = lstm_step(cell, x, *states[layer])
                x = states[layer][0]
            logits = self.tanh * ((controller.head @ x + controller.head_bias) / self.temperature).tanh()
            if at % group.take:
                logits = logits.index_fill(0, torch.tensor(choices[-(at % group.take) :]), -torch.inf)
            rows.append(logits.log_softmax(-1))
            choices.append(choose(rows[-1]))
            x = controller.embedding[choices[-1]]
        return choices, torch.stack(rows)
