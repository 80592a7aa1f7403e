"""A recurrent policy that takes the decisions of a group one after the other: the controller of ENAS."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, NamedTuple

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError, SpaceError
from mixop.core.schedules import check_range
from mixop.core.types import Draw, Params, paths_of
from mixop.relax import chain
from mixop.relax.base import Relaxation
from mixop.relax.lstm import Cell, lstm_step
from mixop.relax.sampling import as_paths, one_hot, sample_options, score_surrogate
from mixop.spaces.core import Group


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


def chains_of(groups: Sequence[Group]) -> list[list[Group]]:
    """The groups that are decided together, in their order: those of each chain, and every other one by itself."""
    chains: dict[str, list[Group]] = {}
    for group in groups:
        chains.setdefault(f"chain {group.chain}" if group.chain else f"group {group.name}", []).append(group)
    return list(chains.values())


@dataclass(frozen=True, kw_only=True)
class LstmPolicy(Relaxation):
    """One-hot draws, each decision conditional on those before it, with the log-probability of the whole draw.

    A group by itself has its own policy, whose parameters are one flat vector. An LSTM reads a learnt start vector and then the
    embedding of the option last taken; a linear layer, shared by all decisions, gives ``tanh * tanh(logits / temperature)``.
    The groups of a chain (`mixop.spaces.core.Group.chain`) have one policy together, ENAS's own controller, see
    `mixop.relax.chain`: its parameters lie with the first of them.

    Args:
        hidden: width H of the LSTM and of the embeddings, >= 1.
        layers: LSTM layers, >= 1.
        tanh: largest absolute logit, > 0, which keeps the policy exploring.
        temperature: divides the logits, > 0.
        skip_target: in a chain with switches, the probability of a skip that the penalty pulls to, in (0, 1).
        skip_weight: of that penalty, ``sum_c q_c log(q_c / t_c)`` summed over the switches into a node and averaged over the
            nodes, with ``q`` the sigmoids of the two logits and ``t = (1 - target, target)``, >= 0.
        distance: in a chain of cells whose nodes keep one edge, what a source loses of its logit for the square of the number
            of nodes that it is away, >= 0.
        reduce: in a chain of cells whose nodes keep several edges, ``tanh`` is divided by this for operations, > 0.
        bias: there, what the learnt biases of the operations begin with, one for each; empty for 0.
        first_bias: there, what is added to the logits of the operations of the first cell, one for each; empty for nothing.

    Source: Pham et al. 2018 (arXiv:1802.03268), section 2; the version for cells of Dong & Yang 2020 (arXiv:2001.00326) and
        its code, with one bias for each layer instead of the two that `torch.nn.LSTM` adds up. Chains: Pham et al. 2018 and
        their code; there the entropy of a macro network counts the sampled options only, here that of every decision whole.
    """

    independent_decisions: ClassVar[bool] = False
    parameter_per_option: ClassVar[bool] = False
    # The mean follows the most likely path: its slope says nothing of the loss of other paths.
    differentiable_mean: ClassVar[bool] = False
    on_host: ClassVar[bool] = True
    takes_several: ClassVar[bool] = True

    hidden: int = 32
    layers: int = 2
    tanh: float = 2.5
    temperature: float = 5.0
    skip_target: float = 0.4
    skip_weight: float = 0.8
    distance: float = 0.0
    reduce: float = 1.0
    bias: tuple[float, ...] = ()
    first_bias: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, value in (("hidden", self.hidden), ("layers", self.layers)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise RecipeError(f"{name} of LstmPolicy must be a whole number of at least 1, got {value!r}.")
        check_range("tanh of LstmPolicy", self.tanh, above=0)
        check_range("temperature of LstmPolicy", self.temperature, above=0)
        check_range("skip_target of LstmPolicy", self.skip_target, above=0)
        if not self.skip_target < 1:
            raise RecipeError(f"skip_target of LstmPolicy must be less than 1, got {self.skip_target:g}.")
        check_range("skip_weight of LstmPolicy", self.skip_weight, at_least=0)
        check_range("distance of LstmPolicy", self.distance, at_least=0)
        check_range("reduce of LstmPolicy", self.reduce, above=0)
        for name in ("bias", "first_bias"):
            if not isinstance(getattr(self, name), list | tuple):
                raise RecipeError(f"{name} of LstmPolicy must be a list of numbers, got {getattr(self, name)!r}.")
            for number in getattr(self, name):
                check_range(f"{name} of LstmPolicy", number)
            object.__setattr__(self, name, tuple(getattr(self, name)))

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
        penalties = [draw.penalty.to(loss) for draw in draws.values() if draw.penalty is not None]
        return sum(penalties, score_surrogate(loss, draws))

    def check_groups(self, groups: Sequence[Group]) -> None:
        for its in chains_of(groups):
            if its[0].chain:
                chain.check(self._settings, its)

    def init_all(self, groups: Sequence[Group], generator: Generator) -> Params:
        params: Params = {}
        for its in chains_of(groups):
            if its[0].chain:
                params[its[0].name] = chain.initial(self._settings, its, generator)
                params |= {group.name: torch.empty(0) for group in its[1:]}
            else:
                params[its[0].name] = self.init(its[0], generator)
        return {group.name: params[group.name] for group in groups}

    def draw_all(
        self, params: Mapping[str, Tensor], groups: Sequence[Group], progress: float, generator: Generator
    ) -> dict[str, Draw]:
        draws = {}
        for its in chains_of(groups):
            given = params[its[0].name]
            if its[0].chain:
                taken = chain.walk(
                    self._settings, its, given, lambda rows, *_: sample_options(rows, generator).flatten().tolist()
                )
                draws |= {name: found.draw(given, self.skip_weight) for name, found in taken.items()}
            else:
                draws[its[0].name] = self.draw(given, its[0], progress, generator)
        return {group.name: draws[group.name] for group in groups}

    def mean_all(self, params: Mapping[str, Tensor], groups: Sequence[Group]) -> dict[str, Tensor]:
        """As `mean`: in a chain too, given that each decision before took its most likely option.

        Of a group that keeps some edges of every node, the expected mixing weights; the sum over the edges into a node is the
        number of those that it keeps.
        """
        means = {}
        for its in chains_of(groups):
            given = params[its[0].name]
            if its[0].chain:
                taken = chain.walk(self._settings, its, given, lambda rows, *_: rows.detach().argmax(-1).tolist())
                means |= {name: found.means(given) for name, found in taken.items()}
            else:
                means[its[0].name] = self.mean(given, its[0])
        return {group.name: means[group.name] for group in groups}

    def log_prob_all(
        self, params: Mapping[str, Tensor], groups: Sequence[Group], choices: Mapping[str, Sequence[int]]
    ) -> Tensor:
        """Log-probability of given choices in all groups, a scalar in nats.

        Args:
            params: as `init_all` gives them.
            groups: the decisions; none of them keeps some edges only, whose order the choices would not tell.
            choices: for each group one option index for every decision.

        Raises:
            RecipeError: for a group that keeps some edges of each node.
        """
        kept = next((group for group in groups if group.keep), None)
        if kept is not None:
            raise RecipeError(f"{kept.name} keeps some edges of each node, so its choices have no probability in one order.")
        terms = []
        for its in chains_of(groups):
            given = params[its[0].name]
            if its[0].chain:
                taken = chain.walk(self._settings, its, given, lambda rows, name, at: [choices[name][e] for e in at])
                terms += [torch.stack(found.log_prob).sum().to(given.device) for found in taken.values()]
            else:
                terms.append(self.log_prob_and_entropy(given, its[0], choices[its[0].name])[0])
        return torch.stack(terms).sum()

    def entropy_along(self, params: Mapping[str, Tensor], groups: Sequence[Group], draws: Mapping[str, Draw]) -> Tensor:
        """The entropy of the decisions on the way of a draw of all groups, a scalar in nats; see `log_prob_and_entropy`."""
        terms = []
        for group in groups:
            draw = draws[group.name]
            if draw.entropy is not None:
                terms.append(draw.entropy)
            else:
                choices = [option for path in paths_of(draw.active or (), 0) for option in path]
                terms.append(self.log_prob_and_entropy(params[group.name], group, choices)[1])
        return torch.stack(terms).sum()

    @property
    def _settings(self) -> chain.Settings:
        return chain.Settings(**{f.name: getattr(self, f.name) for f in fields(chain.Settings)})

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
