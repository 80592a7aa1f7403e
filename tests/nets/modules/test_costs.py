"""Costs of the choices in a model against every network that can be built, by torch's own counter."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import mixop
from mixop.core.errors import RecipeError, SpaceError
from mixop.nets.costs import CostTable, costs_of, learning, measured
from mixop.nets.modules.choice import Choice, InputChoice
from mixop.nets.modules.space import in_module
from mixop.spaces.sizes import Sizes


def conv(i, o, k):
    return nn.Sequential(nn.Conv2d(i, o, k, padding=k // 2), nn.BatchNorm2d(o))


class Net(nn.Module):
    """Nested choices, one decision at two places, one module at several places, a loop, tied weights, a choice of inputs."""

    def __init__(self, outputs: int = 3):
        super().__init__()
        self.stem = conv(2, 4, 3)
        once = conv(4, 4, 5)
        deep = nn.Sequential(conv(4, 4, 1), Choice({"a": conv(4, 4, 3), "b": nn.Sequential(conv(4, 4, 1), conv(4, 4, 1))}))
        self.first = Choice({"k3": conv(4, 4, 3), "deep": deep, "once": once})
        self.second = Choice({"once": once, "skip": nn.Identity()})
        self.twice = nn.ModuleList(Choice({"k1": conv(4, 4, 1), "k3": conv(4, 4, 3)}, share="twice") for _ in range(2))
        self.gate = Choice({"on": Choice({"k1": conv(4, 4, 1), "k3": conv(4, 4, 3)}, share="inner"), "off": nn.Identity()})
        self.other = Choice({"k1": conv(4, 4, 1), "k3": conv(4, 4, 3)}, share="inner")
        self.pick = InputChoice(["stem", "first", "second"], keep=2)
        self.head = nn.Linear(4, 4)
        self.tied = Choice({"tied": nn.Linear(4, 4), "own": nn.Linear(4, 4, bias=False)})
        self.tied.option("tied").weight = self.head.weight
        self.last = nn.Linear(4, outputs)

    def forward(self, x):
        stem = self.stem(x)
        first = self.first(stem)
        second = self.second(self.second(first))  # runs twice
        for choice in self.twice:
            second = choice(second)
        second = self.other(self.gate(second))
        return self.last(self.tied(self.head(self.pick(stem, first, second).mean((2, 3)))))


NAMES = ("k1", "k3", "deep", "once", "a", "b", "skip", "on", "off", "tied", "own")
SPACE = in_module(Net).fit(Sizes((2, 6, 5), 3))


def counted(net):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.eval()(torch.zeros(1, 2, 6, 5))
    return counter.get_total_flops() / 2


def sized(net):
    return sum(p.numel() for p in net.parameters())


MEASURES = {"flops": counted, "parameters": sized}


@pytest.fixture(scope="module")
def built():
    """What every architecture costs, by its network."""
    found, known = {}, {}
    for architecture in SPACE.architectures():
        rest = tuple(choice for choice in architecture.choices if choice[0] != "pick")  # which costs nothing: see below
        if rest not in known:
            net = mixop.build(architecture, SPACE)
            known[rest] = {name: measure(net) for name, measure in MEASURES.items()}
        found[architecture] = known[rest]
    return found


@pytest.mark.parametrize("measure", MEASURES)
def test_an_architecture_costs_what_its_network_costs(built, measure):
    costs = measured(SPACE, measure)
    assert len(built) == SPACE.size() == 4 * 2 * 2 * 4 * 3 * 2
    assert {a: costs.of(a, SPACE) for a in built} == {a: values[measure] for a, values in built.items()}
    assert costs.least() == min(values[measure] for values in built.values())


def test_inputs_are_free():
    text = "first=deep, first.deep.1=a, second=once, twice=k3, gate=on, inner=k1, tied=own, pick="
    nets = [mixop.build(text + pick, SPACE) for pick in ("stem+first", "stem+second", "first+second")]
    assert len({(counted(net), sized(net)) for net in nets}) == 1


def mix_of(params):
    return {name: value.softmax(-1) for name, value in params.items()}


def params_of(space):
    generator = torch.Generator().manual_seed(0)
    return {
        group.name: torch.randn(group.shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for group in space.groups
    }


def enumerated(space, mix, cost_of):
    """The sum of probability x cost over the architectures; inputs are free, so that their probabilities may be left out."""
    ways = len({dict(a.choices)["pick"] for a in space.architectures()})
    total = torch.zeros((), dtype=torch.float64)
    for architecture in space.architectures():
        probability = torch.ones((), dtype=torch.float64) / ways
        for group in space.groups:
            if group.name != "pick":
                for choice in architecture.of(group.name):
                    probability = probability * mix[group.name][0, group.decisions[0].options.index(choice.option)]
        total = total + probability * cost_of(architecture)
    return total


@pytest.mark.parametrize("measure", MEASURES)
def test_the_expected_cost_is_that_of_all_architectures(built, measure):
    params = params_of(SPACE)
    got = measured(SPACE, measure).expected(mix_of(params))
    want = enumerated(SPACE, mix_of(params), lambda a: built[a][measure])
    assert got.dtype == torch.float64
    torch.testing.assert_close(got, want, rtol=1e-12, atol=0)
    leaves = [params[name] for name in params if name != "pick"]
    for one, other in zip(torch.autograd.grad(got, leaves), torch.autograd.grad(want, leaves), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)  # of costs of some thousands


def test_the_expected_cost_passes_gradcheck():
    names = [group.name for group in SPACE.groups]

    def cost(*leaves):
        return measured(SPACE, "flops").expected(mix_of(dict(zip(names, leaves, strict=True)))) / 1000

    assert torch.autograd.gradcheck(cost, tuple(params_of(SPACE).values()))


def test_uniform_probabilities_give_the_mean_over_independent_decisions():
    costs = measured(SPACE, "flops")
    uniform = {g.name: torch.full(g.shape, 1 / g.shape[1], dtype=torch.float64) for g in SPACE.groups}
    assert costs.mean() == pytest.approx(costs.expected(uniform).item(), rel=1e-12)


def test_a_table_by_option_counts_where_its_choice_is_reached():
    table = CostTable(options={name: float(2**number) for number, name in enumerate(NAMES)}, fixed=0.5)
    costs = costs_of(SPACE, table)
    places = {"twice": 2}  # modules that share a decision; "inner" stands at two places, one of them inside of gate=on
    for architecture in SPACE.architectures():
        chosen = {name: options[0].option for name, options in architecture.choices if options and name != "pick"}
        uses = places | {"inner": 1 + (chosen["gate"] == "on")}
        want = 0.5 + sum(uses.get(name, 1) * table.options[option] for name, option in chosen.items())
        assert costs.of(architecture, SPACE) == want
    params = params_of(SPACE)
    want = enumerated(SPACE, mix_of(params), lambda a: costs.of(a, SPACE))
    torch.testing.assert_close(costs.expected(mix_of(params)), want, rtol=1e-12, atol=0)


def test_a_table_by_decision_counts_once_where_it_is_reached():
    rest = dict.fromkeys(("k1", "k3", "deep", "once", "skip", "on", "off", "tied", "own"), 0.0)
    rows = {"first.deep.1": ((3.0, 5.0),), "pick": ((0.0, 1.0), (0.0, 2.0), (0.0, 4.0))}
    costs = costs_of(SPACE, CostTable(options=rest, decisions=rows))
    text = "second=skip, twice=k1, inner=k1, gate=off, tied=own"
    for first, extra in (("k3", 0.0), ("deep, first.deep.1=a", 3.0), ("deep, first.deep.1=b", 5.0)):
        for pick, own in (("stem+first", 3.0), ("first+second", 6.0)):
            architecture = SPACE.from_native(f"first={first}, pick={pick}, {text}")
            assert costs.of(architecture, SPACE) == extra + own


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(RecipeError, match=r"The cost table lacks deep, k3, once of Net"):
        costs_of(SPACE, CostTable(options={"a": 1.0}))
    with pytest.raises(RecipeError, match=r"'first\.deep\.1' must have 1 rows of 2 costs"):
        costs_of(SPACE, CostTable(options=dict.fromkeys(NAMES, 0.0), decisions={"first.deep.1": ((1.0,),)}))
    with pytest.raises(RecipeError, match=r"no decision of Net for the cost table called 'secnd'.*did you mean 'second'"):
        costs_of(SPACE, CostTable(decisions={"secnd": ((1.0, 2.0),)}))


class Attention(nn.Module):
    """What torch counts on a CPU in part only: kernels that hold an attention, and a recurrent layer."""

    def __init__(self):
        super().__init__()
        self.mix = Choice(
            {"attention": nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), "lstm": Last(), "mlp": nn.Linear(8, 8)}
        )

    def forward(self, x):
        return self.mix(x)


class Last(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 8, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0]


def test_attention_and_recurrent_layers_are_counted_by_hand():
    space = in_module(Attention, torch.zeros(3, 5, 8))
    found = {space.to_native(a): measured(space, "flops").of(a, space) for a in space.architectures()}
    linear = 5 * (3 * 8 * 8 + 8 * 8 + 2 * 8 * 16)
    assert found == {
        "mix=attention": linear + 2 * 5 * 5 * 8,
        "mix=lstm": 5 * 2 * 8 * 32,
        "mix=mlp": 5 * 8 * 8,
    }


class NeedsNumbers(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = Choice({"big": nn.Linear(4, 4), "skip": nn.Identity()})
        self.scale = torch.ones(())  # no buffer: it stays where it was made

    def forward(self, x):
        return self.mix(x) * float(self.scale)


def test_a_model_that_needs_numbers_is_measured_with_them():
    space = in_module(NeedsNumbers(), torch.zeros(2, 4))
    assert measured(space, "flops").options["mix"].tolist() == [[16, 0]]


def test_multiply_adds_are_those_of_one_input_of_an_example():
    model = nn.Sequential(Choice({"big": nn.Linear(4, 4), "skip": nn.Identity()}))
    for batch in (2, 7):
        space = in_module(copy.deepcopy(model), torch.zeros(batch, 4))
        assert measured(space, "flops").options["0"].tolist() == [[16, 0]]


def test_an_open_shape_has_no_multiply_adds():
    with pytest.raises(SpaceError, match="input shape of Net is open"):
        measured(in_module(Net), "flops")
    assert measured(in_module(Net), "parameters").fixed > 0


class Everywhere(nn.Module):
    """One module inside of an option of every choice."""

    def __init__(self, count: int):
        super().__init__()
        one = nn.Linear(4, 4)
        self.choices = nn.ModuleList(Choice({"one": one, "a": nn.Identity(), "b": nn.Tanh()}) for _ in range(count))

    def forward(self, x):
        for choice in self.choices:
            x = choice(x)
        return x


def test_a_module_in_many_choices_counts_once_and_runs_as_often_as_it_is_taken():
    space = in_module(Everywhere(8), torch.zeros(2, 4))
    params, flops = measured(space, "parameters"), measured(space, "flops")
    for taken in (0, 1, 5, 8):
        architecture = space.from_native(", ".join(f"choices.{k}={'one' if k < taken else 'a'}" for k in range(8)))
        assert params.of(architecture, space) == (20 if taken else 0)
        assert flops.of(architecture, space) == 16 * taken
    third = {group.name: torch.tensor([[1 / 3] * 3], dtype=torch.float64) for group in space.groups}
    assert params.expected(third).item() == pytest.approx(20 * (1 - (2 / 3) ** 8))
    assert params.least() == 0


def test_a_module_in_too_many_choices_is_refused():
    with pytest.raises(RecipeError, match=r"choices\.0, .* decide a cost together in too many ways"):
        measured(in_module(Everywhere(14), torch.zeros(2, 4)), "parameters")


def test_which_options_learn():
    group = {group.name: group for group in SPACE.groups}
    assert learning(SPACE, group["second"]) == [[True, False]]
    assert learning(SPACE, group["pick"]) == [[False, False]] * 3
