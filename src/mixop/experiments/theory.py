"""The theorems that say why skip connections win, on the network that they are about; and the gap of two geometries.

The network's activation, scaling and first weights are ours: no document names them. See `mixop.analysis.regression_network`.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from mixop.analysis.descent import LayerWeights, phi
from mixop.analysis.geometry import race
from mixop.analysis.ranking import spearman_rho
from mixop.analysis.regression_network import RegressionNetwork, decreases, random_layer_weights
from mixop.experiments.base import Findings, Judged, Panel, Pattern
from mixop.experiments.computed import Computed
from mixop.experiments.rules import RULE, above

SLIDES = "Zhou et al. 2020, Theory-Inspired Path-Regularized Differential Network Architecture Search (slides)"
OPTIMISERS = "Shin 2022, Optimizer Combination Analysis for Differentiable Neural Architecture Search (slides)"
BLOG = "Khodak & Li 2020, In defense of weight-sharing (ML@CMU blog)"

LAYERS = (2, 3, 4, 6)
EXAMPLES, STEPS, RATE, SPREAD = 6, 20, 0.02, 1.5
HEADS = {"head trained": True, "head fixed": False}
WORST = "worst decrease over what phi promises"
RANK = "rank correlation of the worst decrease with phi"
FASTER = "how much faster the loss falls"
PAYS = {"zero pays": "zero", "convolution pays": "conv"}
DEPTHS = "decrease of the loss in a step"
REGRET = "regret"
SIMPLEX = (10, 30, 100, 300, 1000)

OF_NETWORK = {
    "network": "8 channels, signals of length 6, windows of 3, tanh",
    "examples": str(EXAMPLES),
    "steps": str(STEPS),
    "arithmetic": "float64",
}


Number = Callable[[RegressionNetwork, Generator], float]
"""Of random architectures of a network."""


def _over_layers(title: str, of: Number, seeds: Sequence[int], *, log: bool = False) -> Panel:
    """A number for each head, run and number of layers."""
    series = {}
    for name, trained in HEADS.items():
        nets = [RegressionNetwork(layers=h, trains_head=trained) for h in LAYERS]
        series[name] = np.array([[of(net, Generator().manual_seed(seed)) for net in nets] for seed in seeds])
    return Panel(title, tuple(map(float, LAYERS)), series, along="layers", log=log)


def bound(seeds: Sequence[int], draws: int) -> tuple[Panel, ...]:
    """The worst step's decrease of random architectures beside the rate times phi, and how their orders agree."""

    def both(net: RegressionNetwork, generator: Generator) -> tuple[list[float], list[float]]:
        worst, promised = [], []
        for _ in range(draws):
            mix = random_layer_weights(net.layers, generator, scale=SPREAD)
            losses = net.descend(net.init(generator), net.random_batch(EXAMPLES, generator), mix, lr=RATE, steps=STEPS)
            worst.append(float(decreases(losses).min()))
            promised.append(RATE * float(phi(mix.conv, mix.skip)))
        return worst, promised

    def least(net: RegressionNetwork, generator: Generator) -> float:
        return min(one / other for one, other in zip(*both(net, generator), strict=True))

    def rank(net: RegressionNetwork, generator: Generator) -> float:
        value = spearman_rho(*both(net, generator))
        return np.nan if value is None else value

    return _over_layers(RANK, rank, seeds), _over_layers(WORST, least, seeds, log=True)


def faster(seeds: Sequence[int], draws: int) -> tuple[Panel, ...]:
    """By which factor the loss falls faster with more skip on the edges into all layers but the last, by who pays for it."""
    layers = tuple(h for h in LAYERS if h > 2)
    series = {}
    for head, trained in HEADS.items():
        for words, payer in PAYS.items():
            rows = []
            for seed in seeds:
                generator = Generator().manual_seed(seed)
                nets = [RegressionNetwork(layers=h, trains_head=trained) for h in layers]
                rows.append([_factor(net, generator, payer, draws) for net in nets])
            series[f"{words}, {head}"] = np.array(rows)
    return (Panel(FASTER, tuple(map(float, layers)), series, along="layers", log=True),)


def _factor(net: RegressionNetwork, generator: Generator, payer: str, draws: int) -> float:
    """The geometric mean over random architectures."""
    logs = []
    for _ in range(draws):
        mix = random_layer_weights(net.layers, generator)
        weights, batch = net.init(generator), net.random_batch(EXAMPLES, generator)
        gain = (1 - mix.conv - mix.skip).triu(1) if payer == "zero" else mix.conv / 2
        gain = gain.clone()
        gain[:, -1] = 0
        more = mix._replace(skip=mix.skip + gain, conv=mix.conv - (gain if payer == "conv" else 0))
        rates = [_mean_decrease(net.descend(weights, batch, m, lr=0.05, steps=STEPS)) for m in (mix, more)]
        logs.append(np.log(rates[1] / rates[0]) if min(rates) > 0 else np.nan)
    return float(np.exp(np.nanmean(logs)))


def _mean_decrease(losses: Tensor) -> float:
    return 1 - float(losses[-1] / losses[0]) ** (1 / STEPS)


def depths(seeds: Sequence[int], draws: int) -> tuple[Panel, ...]:
    """The mean decrease of a deep network, whose layers read the one before, and of one whose layers all read the input.

    Windows of 1 keep the length of features on average: with larger ones those of a deep network would grow.
    """
    layers = tuple(h for h in LAYERS if h > 2)
    series = {name: np.full((len(seeds), len(layers)), np.nan) for name in ("shallow", "deep")}
    for row, seed in enumerate(seeds):
        generator = Generator().manual_seed(seed)
        for column, h in enumerate(layers):
            net, found = RegressionNetwork(layers=h, kernel=1), dict[str, list[float]](shallow=[], deep=[])
            for _ in range(draws):
                weights, batch = net.init(generator), net.random_batch(EXAMPLES, generator)
                for name in found:
                    losses = net.descend(weights, batch, _chain(h, deep=name == "deep"), lr=0.05, steps=STEPS)
                    found[name].append(_mean_decrease(losses))
            for name, values in found.items():
                series[name][row, column] = np.mean(values)
    return (Panel(DEPTHS, tuple(map(float, layers)), series, along="layers", percent=True),)


def _chain(layers: int, *, deep: bool) -> LayerWeights:
    """A convolution into every layer, from the one before or from the input; as many of them either way."""
    conv = torch.zeros(layers, layers, dtype=torch.float64)
    for i in range(1, layers):
        conv[i - 1 if deep else 0, i] = 1
    return LayerWeights(conv, torch.zeros_like(conv), 1)


def races(seeds: Sequence[int], draws: int) -> tuple[Panel, ...]:
    """The regret of both geometries on simplices of several sizes; a draw is a race."""
    series = {name: np.full((len(seeds), len(SIMPLEX)), np.nan) for name in ("exponentiated", "projected")}
    for row, seed in enumerate(seeds):
        generator = Generator().manual_seed(seed)
        for column, k in enumerate(SIMPLEX):
            found = [race(k, 4 * k + 200, generator) for _ in range(max(1, draws // 20))]
            for name in series:
                series[name][row, column] = np.mean([float(getattr(one, name).regret[-1]) for one in found])
    return (Panel(REGRET, tuple(map(float, SIMPLEX)), series, along="size of the simplex", log=True),)


def _ranks_agree(findings: Findings) -> Judged:
    of = findings.panels[RANK]
    return above(
        np.concatenate([values.mean(1) for values in of.series.values()]), "mean rank correlation over layers and heads"
    )


def _never_below(findings: Findings) -> Judged:
    of = findings.panels[WORST]
    least = min(float(np.nanmin(values)) for values in of.series.values())
    why = f"The least decrease over what phi promises is {least:.2g} over all layers, heads and runs."
    return Judged("shows" if least >= 0.25 else "does not show", why)


def _faster_if(payer: str) -> Callable[[Findings], Judged]:
    def judge(findings: Findings) -> Judged:
        of = findings.panels[FASTER]
        logs = [np.log(values).mean(1) for name, values in of.series.items() if name.startswith(payer)]
        return above(np.concatenate(logs), f"logarithm of the factor where {payer}")

    return judge


def _shallow_first(findings: Findings) -> Judged:
    of = findings.panels[DEPTHS]
    differences = of.series["shallow"].mean(1) - of.series["deep"].mean(1)
    return above(differences, "decrease of the loss in a step, shallow less deep", percent=True)


def _log_gap(findings: Findings) -> Judged:
    """Slopes of the regret in the size, both logarithmic: 1 for k, towards 0 for log k."""
    of, x = findings.panels[REGRET], np.log(np.array(findings.panels[REGRET].x))
    slopes = {name: np.polyfit(x, np.log(values).T, 1)[0] for name, values in of.series.items()}
    return above(slopes["projected"] - slopes["exponentiated"] - 0.5, "slope of projected less exponentiated, less 0.5")


EXPERIMENTS = (
    Computed(
        name="descent-bound",
        question="Does the theorem's phi say how fast the loss of a supernet falls?",
        source=f"{SLIDES}, theorem 1; {OPTIMISERS}, property of supernet",
        patterns=(
            Pattern(
                "The larger phi, the faster the loss falls.",
                "the rank correlation over random architectures of the worst step's decrease with phi, the mean over numbers "
                f"of layers, run by run: {RULE}.",
                _ranks_agree,
            ),
            Pattern(
                "A step takes at least a quarter of the rate times phi off the loss.",
                "no step of any architecture takes less. The document's phi is only proportional; a proportion of 1 is ours.",
                _never_below,
            ),
        ),
        compute=bound,
        settings={**OF_NETWORK, "rate": f"{RATE:g}", "architectures": f"logits of deviation {SPREAD:g}, softmax of three"},
    ),
    Computed(
        name="skips-converge",
        question="Does the loss fall faster where skip connections weigh more?",
        source=f"{SLIDES}, theorem 1",
        patterns=tuple(
            Pattern(
                claim,
                f"logarithm of the factor by which the loss falls faster, the mean over numbers of layers, run by run: {RULE}.",
                _faster_if(payer),
            )
            for claim, payer in (
                ("More weight on skips, taken from zero, makes it fall faster.", "zero pays"),
                ("More weight on skips, taken from convolutions as in a softmax, makes it fall faster.", "convolution pays"),
            )
        ),
        compute=faster,
        settings={
            **OF_NETWORK,
            "rate": "0.05",
            "taken": "all of zero, or half of the convolution, but for edges into the last layer",
        },
    ),
    Computed(
        name="shallow-converge",
        question="Does the loss of a shallow network fall faster than that of a deep one?",
        source=f"{SLIDES}, convergence of shallow and deep networks",
        patterns=(
            Pattern(
                "A shallow network converges faster.",
                "mean decrease of a step, layers that read the input less layers that read the one before, run by run: "
                f"{RULE}.",
                _shallow_first,
            ),
        ),
        compute=depths,
        settings={**OF_NETWORK, "network": "8 channels, signals of length 6, windows of 1, tanh", "rate": "0.05"},
    ),
    Computed(
        name="geometry-gap",
        question="Does exponentiated gradient need only log k where projected gradient needs k?",
        source=f"{BLOG}, on convex problems",
        patterns=(
            Pattern(
                "The regret of projected gradient grows like k, that of exponentiated gradient like log k.",
                "slope of the regret in k, both logarithmic: that of projected gradient less that of exponentiated gradient "
                f"less 0.5, run by run: {RULE}.",
                _log_gap,
            ),
        ),
        compute=races,
        settings={"problem": "online linear prediction, signs as features, the first vertex as target", "steps": "4 k + 200"},
    ),
)
"""Theorems, and the convex case."""
