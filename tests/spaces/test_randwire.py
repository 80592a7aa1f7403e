"""Randomly wired networks: graphs of the three models, their notation, their published sizes, and what is refused."""

import sys
from dataclasses import replace
from random import Random
from statistics import mean

import networkx
import pytest
import torch

import mixop
from mixop.core.errors import MixopError, RecipeError, SpaceError
from mixop.core.flops import FlopCounter
from mixop.core.values import from_plain, to_plain
from mixop.nets.costs import costs_of
from mixop.searchers import SEARCHERS
from mixop.searchers.random_search import RandomSearch
from mixop.spaces import SPACE_TYPES, RandWire, Sizes, Space, randwire
from mixop.spaces.core import Architecture, Choice
from mixop.spaces.randwire import BarabasiAlbert, ErdosRenyi, WattsStrogatz
from mixop.supernet.plain import plain
from mixop.tabulate.build import architectures_of

MODELS = [ErdosRenyi(), BarabasiAlbert(), WattsStrogatz()]
SMALL = RandWire(nodes=5, channels=4, input_shape=(3, 28, 28), outputs=7)
TEXT = "conv3: 1>3 2>3 2>4; conv4: 1>2; conv5: none"


def inner(space: RandWire, architecture: Architecture, name: str) -> list[tuple[int, int]]:
    """The edges between the nodes of a stage."""
    decisions = space.group(name).decisions
    pairs = [(decisions[c.decision].source, decisions[c.decision].target) for c in architecture.of(name)]
    return [(a, b) for a, b in pairs if a > 0 and b < space.graph(name).nodes - 1]


def test_models_have_the_edges_that_theory_says():
    """ER(p): p n(n-1)/2 on average; BA(m): m(n-m), and hubs; WS(k, p): nk/2."""
    n, draws = 32, 40
    graphs = {type(model).__name__: [model.edges(n, Random(seed)) for seed in range(draws)] for model in MODELS}
    assert {len(edges) for edges in graphs["BarabasiAlbert"]} == {5 * (n - 5)}
    assert {len(edges) for edges in graphs["WattsStrogatz"]} == {n * 4 // 2}
    sizes = [len(edges) for edges in graphs["ErdosRenyi"]]
    # 40 draws of 496 edges: a deviation of the mean of (496 * 0.16 / 40)^0.5 = 1.4 edges; five of those
    assert abs(mean(sizes) - 0.2 * 496) < 7
    largest = {name: mean(max(sum(node in e for e in g) for node in range(n)) for g in of) for name, of in graphs.items()}
    assert largest["BarabasiAlbert"] > 1.5 * largest["WattsStrogatz"]
    for edges in (g for of in graphs.values() for g in of):
        assert edges == sorted(set(edges))
        assert all(0 <= a < b < n for a, b in edges)


def test_few_rewired_edges_leave_the_ring():
    ring = {(min(a, (a + k) % 20), max(a, (a + k) % 20)) for a in range(20) for k in (1, 2)}
    assert len(ring & set(WattsStrogatz(p=1e-9).edges(20, Random(0)))) == 40
    assert len(ring & set(WattsStrogatz(p=1.0).edges(20, Random(0)))) < 25


@pytest.mark.parametrize("wiring", MODELS)
def test_random_networks_are_graphs_of_the_model(wiring):
    space = randwire(wiring=wiring, nodes=12)
    one, again, other = (space.random(Random(seed)) for seed in (1, 1, 2))
    assert one == again != other
    rng = Random(1)
    for name, _ in one.choices:
        assert [(a - 1, b - 1) for a, b in sorted(inner(space, one, name))] == wiring.edges(12, rng)
    assert space.from_native(space.to_native(one)) == one == space.settled(one)


def test_input_and_output_follow_from_the_graph():
    architecture = SMALL.from_native(TEXT)
    decisions = SMALL.group("conv3").decisions
    pairs = {(decisions[c.decision].source, decisions[c.decision].target) for c in architecture.of("conv3")}
    assert pairs == {(1, 3), (2, 3), (2, 4), (0, 1), (0, 2), (0, 5), (3, 6), (4, 6), (5, 6)}
    assert SMALL.to_native(architecture) == TEXT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the stages conv3, conv4, conv5, found 1"),
        ("conv3: none; conv4: none", "found 2"),
        ("conv3: none; conv5: none; conv4: none", "expected conv4: and its edges, found 'conv5: none'"),
        ("conv3: 1>2; conv4: ; conv5: none", "expected conv4: and its edges"),
        ("conv3: 2>1; conv4: none; conv5: none", "edges a>b from a node to a later one of 1 to 5, found '2>1'"),
        ("conv3: 1>6; conv4: none; conv5: none", "found '1>6'"),
        ("conv3: 1>2 1>2; conv4: none; conv5: none", "expected every edge of conv3 once"),
        ("conv3: 1-2; conv4: none; conv5: none", "found '1-2'"),
        (None, "found 0, in None"),
    ],
)
def test_malformed_texts_are_refused(text, message):
    with pytest.raises(SpaceError, match=message):
        SMALL.from_native(text)


def test_other_edges_of_the_input_are_refused():
    architecture = SMALL.from_native(TEXT)
    name, chosen = architecture.choices[0]
    for wrong in (chosen[1:], (*chosen, Choice(len(SMALL.group(name).decisions) - 4, "wire"))):
        with pytest.raises(SpaceError, match=r"each of them and none else|in increasing order"):
            SMALL.check(replace(architecture, choices=((name, wrong), *architecture.choices[1:])))


def counted(space: RandWire, architecture: Architecture, size: int = 224) -> tuple[int, int]:
    """Parameters and multiply-adds of a network by the paper's table: convolutions, batch norms, weights of sums."""
    parameters, flops, given = 0, 0, 3

    def conv(weights: int, out: int, side: int) -> None:
        nonlocal parameters, flops
        parameters += weights + 2 * out
        flops += weights * side**2

    for layer in space.layers[:-1]:
        size //= layer.stride
        if layer.group is None:
            kernel = 1 if layer.kind == "relu_conv_1x1" else 3
            conv(kernel**2 * given * layer.out, layer.out, size)
        else:
            targets = [b for _, b in inner(space, architecture, layer.group)]
            for node in range(1, space.graph(layer.group).nodes - 1):
                reads = layer.out if node in targets else given
                conv(9 * reads + reads * layer.out, layer.out, size)
                parameters += targets.count(node) if targets.count(node) > 1 else 0
        given = layer.out
    return parameters + 1280 * 1000 + 1000, flops + 1280 * 1000


@pytest.mark.parametrize(
    ("regime", "channels", "parameters", "flops"),
    [("small", 78, 5.6e6, 583e6), ("regular", 109, 31.9e6, 4.0e9), ("regular", 154, 61.5e6, 7.9e9)],
)
def test_sizes_are_the_published_ones(regime, channels, parameters, flops):
    """Xie et al. 2019, tables 2 to 4, WS(4, 0.75); single draws differ by 1.5 to 2 % (standard deviation)."""
    space = RandWire(regime=regime, channels=channels, input_shape=(3, 224, 224), outputs=1000)
    found = [counted(space, space.random(Random(seed))) for seed in range(20)]
    assert mean(p for p, _ in found) == pytest.approx(parameters, rel=0.015)
    assert mean(f for _, f in found) == pytest.approx(flops, rel=0.015)


def test_a_network_has_the_parameters_and_multiply_adds_that_are_counted():
    space = RandWire(nodes=6, channels=8, input_shape=(3, 224, 224), outputs=1000)
    architecture = space.random(Random(0))
    with torch.device("meta"), torch.no_grad(), FlopCounter() as counter:
        net = mixop.build(architecture, space).eval()
        net(torch.empty(1, 3, 224, 224))
    assert (sum(p.numel() for p in net.parameters()), counter.total // 2) == counted(space, architecture)


@pytest.mark.parametrize(
    ("size", "strides"), [(224, (2, 2, 2, 2, 2)), (64, (1, 2, 2, 2, 2)), (32, (1, 1, 2, 2, 2)), (8, (1, 1, 1, 1, 2))]
)
@pytest.mark.parametrize("regime", ["small", "regular"])
def test_small_images_are_halved_less_often(regime, size, strides):
    layers = RandWire(regime=regime, input_shape=(3, size, size)).layers
    assert tuple(layer.stride for layer in layers[:5]) == strides


def test_regimes_have_the_stages_of_the_table():
    for regime, nodes, outs in (("small", [32, 32, 32], [78, 156, 312]), ("regular", [16, 32, 32, 32], [78, 156, 312, 624])):
        space = randwire(regime=regime)
        assert [space.graph(group.name).nodes - 2 for group in space.groups] == nodes
        assert [layer.out for layer in space.layers if layer.group] == outs


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandWire(wiring=WattsStrogatz(k=32)), "needs more than 32 nodes, got 32"),
        (lambda: RandWire(wiring=BarabasiAlbert(m=9), nodes=9), "needs more than 9 nodes, got 9"),
        (lambda: RandWire(nodes=8, regime="regular"), "needs more than 4 nodes, got 4"),
        (lambda: WattsStrogatz(k=3), "k must be even, got 3"),
        (lambda: ErdosRenyi(p=0), "p of ErdosRenyi"),
        (lambda: RandWire(regime="tiny"), "must be 'small' or 'regular', got 'tiny'"),
        (lambda: RandWire(nodes=1, wiring=ErdosRenyi()), "at least 2 nodes"),
        (lambda: RandWire(wiring="ws"), "must be a random graph model"),
        (lambda: randwire().fit(Sizes((7,), 3)), "feature vectors: use a space of cells"),
        (lambda: randwire().fit(Sizes((3, 8, 8), 3, dense=True)), "an output at every position"),
        (lambda: randwire().fit(Sizes((20, 8), 20, tokens=True)), "these are tokens"),
        (lambda: list(SMALL.architectures()), "too many networks to list"),
    ],
)
def test_what_makes_no_network_is_refused(make, message):
    with pytest.raises(MixopError, match=message):
        make()


def test_the_size_counts_what_may_be_drawn():
    assert RandWire(wiring=ErdosRenyi(p=1.0), nodes=6).size() == 1
    assert RandWire(wiring=BarabasiAlbert(m=4), nodes=5).size() == 1  # a star
    assert RandWire(wiring=ErdosRenyi(), nodes=3).size() == (2**3) ** 3
    assert RandWire(nodes=6).size() == 455**3  # 12 of 15 edges
    space = RandWire(wiring=ErdosRenyi(), nodes=2, channels=2)
    rng = Random(0)
    assert len({space.random(rng) for _ in range(200)}) == space.size() == 8


def test_a_file_holds_the_model():
    space = RandWire(wiring=BarabasiAlbert(m=3), nodes=9)
    plain_ = to_plain(space)
    assert plain_["wiring"] == {"type": "BarabasiAlbert", "m": 3}
    assert from_plain(plain_, Space, SPACE_TYPES, "space") == space


def test_searches_that_change_single_decisions_are_refused():
    for name in ("darts", "enas", "rsws"):
        with pytest.raises(RecipeError, match=r"randwire has no supernet .*: search it with random search, or another space"):
            mixop.recipes.RECIPES[name]().check(SMALL)
    for cls in SEARCHERS.values():
        if cls is RandomSearch:
            cls(epochs=1).start(SMALL, Random(0))
            continue
        searcher = cls(ladder=(1,)) if "ladder" in cls.__dataclass_fields__ else cls(epochs=1)
        with pytest.raises(RecipeError, match="architectures of randwire are drawn as a whole: use random search"):
            searcher.start(SMALL, Random(0))
    with pytest.raises(SpaceError, match="no supernet"):
        plain(SMALL, norm=mixop.recipes.darts().norm, generator=torch.Generator())
    with pytest.raises(RecipeError, match="no sum over its decisions"):
        costs_of(SMALL, "flops")
    with pytest.raises(SpaceError, match="drawn as a whole, but a table"):
        architectures_of(SMALL)


def test_without_networkx_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(MixopError, match=r"mixop\[graphs\]"):
        SMALL.random(Random(0))
    assert networkx.__version__  # what is read again needs it not
    SMALL.check(SMALL.from_native(TEXT))
