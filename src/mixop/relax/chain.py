"""ENAS's controller: one LSTM that takes the decisions of several groups in turn, node by node.

Three kinds of group can be in a chain. Where a decision is between operations, the options are scored by a linear map of the
LSTM's state, and the next input is the embedding of the one taken. Where every decision is a switch, whether a node before is
read, all switches of a node are scored at once by attention between the state and what the LSTM remembers of the nodes before
(their anchors), and the next input is the mean of the anchors that are read. Where a node keeps some of its edges, it first
chooses their sources by attention, then their operations. Where it keeps one, as in recurrent cells, the state that chooses its
source is also its anchor, and sources that are far lose.

Source: Pham et al. 2018 (arXiv:1802.03268), section 2, and the authors' code (melodyguan/enas). As there, the LSTM has no
biases.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError
from mixop.core.types import Draw
from mixop.relax.lstm import Cell, lstm_step
from mixop.spaces.core import Group

Choose = Callable[[Tensor, str, Sequence[int]], Sequence[int]]
"""``choose(log_probs, group, decisions)``: the option of each row ``(R, O)``. The rows belong to the decisions of a group, or
are one choice of an edge into a node, and the decisions those edges."""


@dataclass(frozen=True)
class Settings:
    """What a policy says of its logits; see `mixop.relax.policy.LstmPolicy`."""

    hidden: int
    layers: int
    tanh: float
    temperature: float
    reduce: float
    bias: tuple[float, ...]
    first_bias: tuple[float, ...]
    skip_target: float
    skip_weight: float
    distance: float


@dataclass(frozen=True)
class Pieces:
    """The pieces of a chain's flat parameters.

    Args:
        start: the first input, and the input at the beginning of a node without switches ``(H,)``.
        cells: of the LSTM.
        attention: two matrices ``(H, H)``, of the anchors and of the state, and a vector ``(H,)``; empty if nothing attends.
        options: for each list of options an embedding ``(O, H)``, a linear map ``(O, H)``, and where nodes keep several edges a
            bias ``(O,)``.
    """

    start: Tensor
    cells: tuple[Cell, ...]
    attention: tuple[Tensor, ...]
    options: dict[tuple[str, ...], tuple[Tensor, ...]]


@dataclass
class Taken:
    """What a walk took in a group.

    Args:
        group: the decisions.
        options: for every decision the options that it took, one of them twice where an edge was kept twice with it.
        mean: of decisions in order, their probabilities; of edges that are kept, the expected mixing weights.
        log_prob: of the choices, scalars.
        entropy: of the decisions, scalars in nats.
        penalties: of the switches into each node, scalars.
    """

    group: Group
    options: list[list[int]]
    mean: list[Tensor | None]
    log_prob: list[Tensor] = field(default_factory=list)
    entropy: list[Tensor] = field(default_factory=list)
    penalties: list[Tensor] = field(default_factory=list)

    def count(self, rows: Tensor, chosen: Sequence[int]) -> None:
        """Counts choices: one option of each row of log-probabilities."""
        self.log_prob.append(rows.gather(-1, torch.tensor(chosen)[:, None]).sum())
        self.entropy.append(-(rows.exp() * rows).sum())

    def draw(self, like: Tensor, skip_weight: float) -> Draw:
        """The draw of the group, on the device of the parameters."""
        weights = torch.zeros(self.group.shape, dtype=like.dtype)
        for e, options in enumerate(self.options):
            for o in options:
                weights[e, o] += 1.0
        penalty = None
        if self.penalties and skip_weight:
            penalty = skip_weight * torch.stack(self.penalties).mean().to(like.device)
        return Draw(
            weights.to(like.device),
            log_prob=torch.stack(self.log_prob).sum().to(like.device),
            active=tuple(tuple(dict.fromkeys(options)) for options in self.options),
            penalty=penalty,
            entropy=torch.stack(self.entropy).sum().to(like.device),
        )

    def means(self, like: Tensor) -> Tensor:
        """The expected mixing weights ``(E, O)``, on the device of the parameters."""
        rows = [torch.zeros(self.group.shape[1], dtype=like.dtype) if row is None else row for row in self.mean]
        return torch.stack(rows).to(like.device)


def _shapes(settings: Settings, groups: Sequence[Group]) -> Iterator[tuple[int, ...]]:
    h = settings.hidden
    yield (h,)
    for _ in range(settings.layers):
        yield from ((4 * h, h), (4 * h, h))
    if _attends(groups):
        yield from ((h, h), (h, h), (h,))
    for options, biased in _kinds(groups).items():
        yield from ((len(options), h), (len(options), h))
        if biased:
            yield (len(options),)


def _attends(groups: Sequence[Group]) -> bool:
    return any(group.switches or group.keep for group in groups)


def _kinds(groups: Sequence[Group]) -> dict[tuple[str, ...], bool]:
    """The different lists of options, each with whether the operations of a node that keeps several edges are among them."""
    kinds: dict[tuple[str, ...], bool] = {}
    for group in groups:
        for decision in group.decisions if not group.switches else ():
            kinds[decision.options] = kinds.get(decision.options, False) or group.keep > 1
    return kinds


def initial(settings: Settings, groups: Sequence[Group], generator: Generator) -> Tensor:
    """All parameters of a chain in one vector: ``U(-0.1, 0.1)``, and the biases as they are given.

    Raises:
        RecipeError: if a group cannot be decided in a chain, or there are other biases than options.
    """
    check(settings, groups)
    shapes = list(_shapes(settings, groups))
    params = torch.empty(sum(torch.Size(shape).numel() for shape in shapes)).uniform_(-0.1, 0.1, generator=generator)
    pieces = pieces_of(settings, groups, params)
    for found in pieces.options.values():
        if len(found) == 3:
            found[2].copy_(torch.tensor(settings.bias) if settings.bias else torch.zeros_like(found[2]))
    return params


def check(settings: Settings, groups: Sequence[Group]) -> None:
    """Refuses groups that a chain cannot decide.

    Raises:
        RecipeError: if a group that keeps some edges has an absent option, other biases than options are given, or any for
            nodes that keep one edge.
    """
    for group in groups:
        if group.keep and any(group.is_absent(option) for d in group.decisions for option in d.options):
            raise RecipeError(f"LstmPolicy keeps edges of {group.name} by choosing them, so no option may be an absent one.")
        for biases in (settings.bias, settings.first_bias):
            if group.keep == 1 and biases:
                raise RecipeError(f"Nodes of {group.name} keep one edge each, whose operations have no biases: leave them out.")
            if group.keep and biases and len(biases) != group.shape[1]:
                raise RecipeError(
                    f"The biases of LstmPolicy must be one for each of the {group.shape[1]} options of {group.name}, "
                    f"got {len(biases)}: leave them out, or give as many."
                )


def pieces_of(settings: Settings, groups: Sequence[Group], params: Tensor) -> Pieces:
    """The pieces of the flat vector, as views."""
    shapes = list(_shapes(settings, groups))
    flat = params.split([torch.Size(shape).numel() for shape in shapes])
    pieces = iter(piece.view(shape) for piece, shape in zip(flat, shapes, strict=True))
    start = next(pieces)
    none = torch.zeros(4 * settings.hidden, dtype=params.dtype, device=params.device)
    cells = tuple(Cell(next(pieces), next(pieces), none) for _ in range(settings.layers))
    attention = tuple(next(pieces) for _ in range(3)) if _attends(groups) else ()
    kinds = _kinds(groups).items()
    return Pieces(start, cells, attention, {o: tuple(next(pieces) for _ in range(2 + biased)) for o, biased in kinds})


def walk(settings: Settings, groups: Sequence[Group], params: Tensor, choose: Choose) -> dict[str, Taken]:
    """Takes every decision of a chain, cell by cell, by ``choose``; what each group took, by its name.

    A few small products one after the other, with a choice in between: the host is the faster place for them.

    Args:
        settings: of the policy.
        groups: of the chain.
        params: the flat vector of `initial`.
        choose: from log-probabilities to options.
    """
    return _Walk(settings, groups, params.cpu(), choose).run()


class _Walk:
    """One walk through a chain: the LSTM's state, and what it has met."""

    def __init__(self, settings: Settings, groups: Sequence[Group], params: Tensor, choose: Choose) -> None:
        self.settings, self.groups, self.choose = settings, groups, choose
        self.pieces = pieces_of(settings, groups, params)
        zero = torch.zeros_like(self.pieces.start)
        self.states = [(zero, zero) for _ in self.pieces.cells]
        self.taken = {g.name: Taken(g, [[] for _ in g.decisions], [None] * len(g.decisions)) for g in groups}

    def run(self) -> dict[str, Taken]:
        cells: dict[str, list[Group]] = {}
        for group in self.groups:
            cells.setdefault(group.cell or group.name, []).append(group)
        for number, its in enumerate(cells.values()):
            self.x = self.pieces.start
            self.anchors: list[Tensor] = []
            self.keys: list[Tensor] = []
            if its[0].keep == 1:
                self._single(its[0])
            elif its[0].keep:
                self._kept(its[0], first=number == 0)
            else:
                self._nodes(its)
        return self.taken

    def _nodes(self, groups: Sequence[Group]) -> None:
        """A cell whose nodes have operations, and switches for the nodes before."""
        switched = [group for group in groups if group.switches]
        for target in sorted({target for group in groups for target in group.targets}):
            for group in groups:
                for e in group.into(target) if not group.switches else ():
                    self._operation(group, e)
            if not switched:
                continue
            h = self._step()
            read = [anchor for group in switched for anchor in self._switches(group, group.into(target), h)]
            self.x = self._mean(read) if self.anchors else self.pieces.start
            self._remember(h, h)

    def _operation(self, group: Group, e: int) -> None:
        embedding, head = self.pieces.options[group.decisions[e].options][:2]
        rows = self._bent(head @ self._step()).log_softmax(-1)[None]
        (chosen,) = self.choose(rows, group.name, [e])
        self._took(group, [e], rows, [chosen])
        self.x = embedding[chosen]

    def _switches(self, group: Group, edges: Sequence[int], h: Tensor) -> list[Tensor]:
        """Decides which nodes before are read; the anchors of those that are."""
        if not edges:
            return []
        # As in the authors' code, the switch of the k-th node is decided by the anchor of the k-th layer, which gives the node
        # behind it: the stem, node 0, has none.
        sources = [group.decisions[e].source for e in edges]
        scores = self._attention(sources, h)
        logits = self._bent(torch.stack([-scores, scores], dim=-1))
        rows = logits.log_softmax(-1)
        chosen = list(self.choose(rows, group.name, edges))
        self._took(group, edges, rows, chosen)
        q = logits.sigmoid()
        target = torch.tensor([1 - self.settings.skip_target, self.settings.skip_target], dtype=q.dtype)
        self.taken[group.name].penalties.append((q * (q / target).log()).sum())
        return [self.anchors[source] for source, option in zip(sources, chosen, strict=True) if option]

    def _mean(self, read: Sequence[Tensor]) -> Tensor:
        total = torch.stack(list(read)).sum(0) if read else torch.zeros_like(self.pieces.start)
        return total / (1 + len(read))

    def _kept(self, group: Group, *, first: bool) -> None:
        """A cell whose nodes keep some of their edges."""
        taken = self.taken[group.name]
        for _ in range(group.targets[0]):  # its inputs
            self._remember(torch.zeros_like(self.x), self._step())
        for target in group.targets:
            edges = group.into(target)
            picks, weights = [], []
            for _ in range(min(group.keep, len(edges))):
                rows = self._bent(self._attention([group.decisions[e].source for e in edges], self._step())).log_softmax(-1)
                (chosen,) = self.choose(rows[None], group.name, edges)
                taken.count(rows[None], [chosen])
                picks.append(edges[chosen])
                weights.append(rows.exp())
                self.x = self.anchors[group.decisions[edges[chosen]].source]
            for e, weight in zip(picks, weights, strict=True):
                head, bias = self.pieces.options[group.decisions[e].options][1:]
                logits = self._bent(head @ self._step() + bias, self.settings.reduce)
                if first and self.settings.first_bias:
                    logits = logits + torch.tensor(self.settings.first_bias, dtype=logits.dtype)
                self._operation_on(group, e, logits, edges, weight)
            h = self._step()
            self._remember(h, h)
            self.x = self.pieces.start

    def _single(self, group: Group) -> None:
        """A cell whose nodes keep one of their edges: a state chooses the source and is remembered, the next the operation."""
        taken = self.taken[group.name]
        places: dict[int, int] = {}  # of nodes among those that are remembered
        choices = [edges for edges in map(group.into, group.targets) if len(edges) > 1]
        attended = {group.decisions[e].source for edges in choices for e in edges}
        for node in sorted(attended - set(group.targets)):
            places[node] = len(self.keys)
            self._remember(torch.zeros_like(self.x), self._step())
        for target in group.targets:
            edges, h = group.into(target), self._step()
            picked, weight, self.x = edges[0], torch.ones(1, dtype=h.dtype), self.pieces.start
            if group.decisions[picked].source in places:  # also where there is one only: the next input follows it
                sources = [group.decisions[e].source for e in edges]
                far = torch.tensor([float(target - source) for source in sources], dtype=h.dtype)
                scores = self._bent(self._attention([places[source] for source in sources], h))
                rows = (scores - self.settings.distance * far.square()).log_softmax(-1)
                (chosen,) = self.choose(rows[None], group.name, edges)
                taken.count(rows[None], [chosen])
                picked, weight = edges[chosen], rows.exp()
                self.x = self.anchors[places[sources[chosen]]] / (0.1 + far[chosen])
            places[target] = len(self.keys)
            self._remember(h, h)
            head = self.pieces.options[group.decisions[picked].options][1]
            self._operation_on(group, picked, self._bent(head @ self._step()), edges, weight)

    def _operation_on(self, group: Group, e: int, logits: Tensor, edges: Sequence[int], weight: Tensor) -> None:
        """Decides the operation of an edge that was kept: any of ``edges`` could have been, with probabilities ``weight``."""
        taken = self.taken[group.name]
        embedding = self.pieces.options[group.decisions[e].options][0]
        rows = logits.log_softmax(-1)
        (option,) = self.choose(rows[None], group.name, [e])
        taken.count(rows[None], [option])
        taken.options[e].append(option)
        for edge, share in zip(edges, weight, strict=True):
            before = taken.mean[edge]
            taken.mean[edge] = share * rows.exp() if before is None else before + share * rows.exp()
        self.x = embedding[option]

    def _took(self, group: Group, edges: Sequence[int], rows: Tensor, chosen: Sequence[int]) -> None:
        taken = self.taken[group.name]
        taken.count(rows, chosen)
        for e, row, option in zip(edges, rows, chosen, strict=True):
            taken.options[e].append(int(option))
            taken.mean[e] = row.exp()

    def _step(self) -> Tensor:
        """The LSTM's state after one more step on the present input."""
        x = self.x
        for layer, cell in enumerate(self.pieces.cells):
            self.states[layer] = lstm_step(cell, x, *self.states[layer])
            x = self.states[layer][0]
        return x

    def _remember(self, anchor: Tensor, h: Tensor) -> None:
        self.anchors.append(anchor)
        self.keys.append(self.pieces.attention[0] @ h)

    def _attention(self, nodes: Sequence[int], h: Tensor) -> Tensor:
        """``v . tanh(W1 h_i + W2 h)`` for some nodes ``(K,)``."""
        _, of_state, v = self.pieces.attention
        return (torch.stack([self.keys[node] for node in nodes]) + of_state @ h).tanh() @ v

    def _bent(self, logits: Tensor, reduce: float = 1.0) -> Tensor:
        return self.settings.tanh / reduce * (logits / self.settings.temperature).tanh()
