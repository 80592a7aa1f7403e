"""Models of all kinds keep the contract of spaces in models, and are searched as any other."""

from dataclasses import replace
from pathlib import Path

import odd_nets
import own_nets
import pytest
import torch
from torch import nn

from mixop import api
from mixop.core.errors import SpaceError
from mixop.data import from_arrays, from_tokens
from mixop.engine.settings import Settings
from mixop.engine.state import SearchState
from mixop.evaluate.export import export
from mixop.evaluate.protocol import PROTOCOLS
from mixop.evaluate.trained import evaluate_run, load_network
from mixop.nets.modules.choice import Choice, InputChoice
from mixop.nets.modules.space import in_module
from mixop.recipes import darts, gdas
from mixop.report.html import write_report
from mixop.runs import checkpoint
from mixop.tasks.own import own
from mixop.testing import check_module_space

ROWS, IMAGES = torch.linspace(-1, 1, 12).view(3, 4), torch.linspace(-1, 1, 108).view(3, 1, 6, 6)

MODELS = {
    "buffers": (odd_nets.Buffers, ROWS, 2),
    "tied weights": (odd_nets.Tied, ROWS, 2),
    "shared modules": (odd_nets.Twice, ROWS, 4),
    "containers": (odd_nets.Containers, ROWS, 32),
    "inputs in a tuple": (odd_nets.Several, (ROWS, ROWS + 1), 4),
    "inputs by name": (odd_nets.Several, {"right": ROWS, "left": ROWS + 1}, 4),
    "several outputs": (odd_nets.Both, ROWS, 2),
    "dropout": (odd_nets.Dropping, ROWS, 2),
    "parametrised": (odd_nets.Parametrized, ROWS, 2),
    "frozen": (odd_nets.Frozen, IMAGES, 2),
    "recurrent": (odd_nets.Words, torch.arange(15).view(3, 5) % 6, 2),
    "lazy": (odd_nets.Lazy, ROWS, 2),
    "a choice itself": (odd_nets.itself, ROWS, 3),
    "nested": (own_nets.Nested, IMAGES, 5),
    "images": (own_nets.Small, IMAGES, 27),
}


PROTOCOL = replace(PROTOCOLS["quick"], epochs=2, batch_size=8)


def searched(space, data, folder, recipe=darts, **settings):
    short = replace(recipe(), epochs=2, batch_size=16, warmup=0)
    return api.search(short, space, data, folder, **settings)


@pytest.fixture(scope="module")
def images():
    y = torch.arange(60) % 3
    x = torch.randn(60, 1, 4, 4, generator=torch.Generator().manual_seed(0)) + y.view(-1, 1, 1, 1)
    return from_arrays(x, y, valid=0.5, test_share=0.2, name="tiny", layout="nchw")


@pytest.mark.parametrize("kind", MODELS)
def test_models_of_all_kinds_keep_the_contract(kind):
    make, example, size = MODELS[kind]
    space = in_module(make, example)
    assert space.size() == size
    check_module_space(space, samples=8)


@pytest.mark.parametrize("kind", ["buffers", "tied weights", "parametrised", "a choice itself"])
@pytest.mark.parametrize("pretrained", [True, False])
def test_models_that_are_given_keep_it_too(kind, pretrained):
    make, example, _ = MODELS[kind]
    check_module_space(in_module(make(), example, pretrained=pretrained), samples=8)


def test_a_model_that_is_given_is_left_alone():
    model = odd_nets.Tied()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    space = in_module(model, ROWS)
    weights = space.make(torch.Generator().manual_seed(0)).state_dict()
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert not any(torch.equal(weights[name], value) for name, value in before.items())
    assert weights["into.weight"].data_ptr() == weights["pick.options.tied.weight"].data_ptr()


@pytest.mark.parametrize("make", [lambda: odd_nets.Parametrized, odd_nets.Parametrized])
def test_weights_drawn_anew_depend_on_the_generator_alone(make):
    space = in_module(make(), ROWS)
    one, again, other = (space.make(torch.Generator().manual_seed(seed)).state_dict() for seed in (0, 0, 1))
    drawn = "pick.options.normed.parametrizations.weight.original1"
    assert all(torch.equal(value, again[name]) for name, value in one.items())
    assert not torch.equal(one[drawn], other[drawn])


def test_draws_of_a_model_are_the_runs_own(images, tmp_path):
    results = []
    for number in range(2):
        torch.manual_seed(number)
        before = torch.get_rng_state()
        searched(in_module(odd_nets.Dropping), images, tmp_path / str(number))
        assert torch.equal(torch.get_rng_state(), before)
        results.append(checkpoint.load(tmp_path / str(number) / "state.pt")["search"]["net"])
    assert all(torch.equal(value, results[1][name]) for name, value in results[0].items())


@pytest.mark.parametrize("recipe", [darts, gdas])
def test_what_is_frozen_neither_moves_nor_decays(recipe, images, tmp_path):
    space = in_module(odd_nets.Frozen).fit(images)
    found = searched(space, images, tmp_path / "run", recipe)
    begun = SearchState.fresh(replace(recipe(), batch_size=16), space, images, Settings()).net
    after = checkpoint.load(tmp_path / "run" / "state.pt")["search"]["net"]
    moved = {name: not torch.equal(value, after[name]) for name, value in begun.named_parameters()}
    assert moved == {name: "model.body" not in name for name in moved}
    result = api.retrain(found.architecture, found.space, images, tmp_path / "run", protocol=PROTOCOL, start="supernet")
    tuned = result.model.state_dict()
    assert torch.equal(tuned["body.0.weight"], after["model.body.0.weight"])
    assert not torch.equal(tuned["head.weight"], after["model.head.weight"])


def test_several_outputs_are_trained_by_a_task_of_ones_own(tmp_path):
    generator = torch.Generator().manual_seed(0)
    y = (torch.arange(60) % 3).float()
    x = torch.randn(60, 4, generator=generator) + y.view(-1, 1)
    task = own(odd_nets.cross_and_square, outputs=1)
    data = from_arrays(x, y, valid=0.5, test_share=0.2, name="both", task=task)
    run = tmp_path / "run"
    found = searched(in_module(odd_nets.Both), data, run, precision="bfloat16")
    result = api.retrain(found.architecture, found.space, data, run, protocol=PROTOCOL, random=1)
    test = data.batch(data.test)
    with torch.no_grad():
        by_hand = odd_nets.cross_and_square(load_network(run)(test.x), test.y).mean()
    assert result.measures["loss"] == pytest.approx(by_hand.item(), rel=1e-5)
    assert evaluate_run(run, data).measures["loss"] == pytest.approx(by_hand.item(), rel=1e-5)
    assert export(run)["largest_difference"] < 1e-5
    assert "loss" in write_report(run).read_text()


def test_a_state_is_carried_from_window_to_window(tmp_path):
    data = from_tokens(torch.arange(6).repeat(60), window=5)
    found = searched(in_module(odd_nets.Words), data, tmp_path / "run")
    result = api.retrain(found.architecture, found.space, data, tmp_path / "run", protocol=replace(PROTOCOL, epochs=10))
    net, (first, second) = load_network(tmp_path / "run"), torch.arange(10).view(2, 1, 5) % 6
    whole, _ = net(torch.cat([first, second], 1))
    one, state = net(first, ())
    other, _ = net(second, state)
    torch.testing.assert_close(torch.cat([one, other], 2), whole)
    assert result.measures["loss"] < 1.79  # log 6, of a network that has learnt nothing


def test_lazy_layers_have_their_weights_before_the_first_step(images):
    net = SearchState.fresh(replace(darts(), batch_size=16), in_module(odd_nets.Lazy).fit(images), images, Settings()).net
    assert [tuple(p.shape) for p in net.parameters()] == [(3, 16), (3,), (3, 16)]


class PlainList(nn.Module):
    def __init__(self):
        super().__init__()
        self.rows = [odd_nets.pair()]

    def forward(self, x):
        return self.rows[0](x)


class HalfHidden(PlainList):
    def __init__(self):
        super().__init__()
        self.seen = odd_nets.pair()

    def forward(self, x):
        return super().forward(self.seen(x))


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.left = odd_nets.pair(), odd_nets.pair()

    def forward(self, x):
        return self.used(x)


class ByValue(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = odd_nets.pair(), odd_nets.pair()

    def forward(self, x):
        return self.up(x) if x.sum() > 0 else self.down(x)


class Unequal(nn.Module):
    def __init__(self):
        super().__init__()
        self.pick = Choice({"four": nn.Linear(4, 4), "five": nn.Linear(4, 5)})

    def forward(self, x):
        return self.pick(x)


class UnequalInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.into, self.join = nn.Linear(4, 5), InputChoice(["x", "y"])

    def forward(self, x):
        return self.join(x, self.into(x))


class OtherOptions(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = Choice({"a": nn.Linear(4, 4), "b": nn.Identity()}, share="same")
        self.two = Choice({"a": nn.Linear(4, 4), "c": nn.Identity()}, share="same")

    def forward(self, x):
        return self.two(self.one(x))


class TooFew(nn.Module):
    def __init__(self):
        super().__init__()
        self.join = InputChoice(["x", "y", "z"])

    def forward(self, x):
        return self.join(x, x)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (PlainList, "PlainList has no choice to search: .*a plain list hides it"),
        (HalfHidden, r"A Choice of wide, plain runs that .*a plain list hides it"),
        (Unused, r"The choice left of Unused is never reached"),
        (Unequal, r"The options of pick must give tensors of one shape, but four gives 3x4 and five gives 3x5"),
        (UnequalInputs, r"The inputs of join must give tensors of one shape, but x gives 3x4 and y gives 3x5"),
        (OtherOptions, r"'same' has a, b and a, c"),
        (TooFew, r"An InputChoice of 3 inputs was called with 2"),
        (nn.Linear, r"Linear cannot be called with nothing: missing a required argument"),
    ],
)
def test_misfits_are_named_in_one_sentence(make, sentence):
    with pytest.raises(SpaceError, match=sentence) as refusal:
        in_module(make, ROWS)
    assert str(refusal.value).count("\n") == 0


def test_what_is_reached_may_not_depend_on_the_numbers(images):
    with pytest.raises(SpaceError, match=r"ByValue .*(up|down)"):
        in_module(ByValue).fit(from_arrays(torch.randn(40, 4), torch.arange(40) % 4, valid=0.5, test_share=0.2, name="rows"))


@pytest.mark.parametrize("name", ["a.b", "a b", "a=b", "", "forward", "training"])
def test_names_that_cannot_be_written_are_refused(name):
    with pytest.raises(SpaceError, match="option"):
        Choice({name: nn.Identity()})


def test_a_lambda_is_no_option():
    with pytest.raises(SpaceError, match="Option 'up' of a Choice must be a module, got function"):
        Choice({"up": lambda x: x + 1})


def test_a_function_that_gives_trained_weights_says_so():
    with pytest.raises(SpaceError, match=r"lent gives 0\.\w+ the same numbers for every seed"):
        in_module(odd_nets.lent, ROWS)
    kept = in_module(odd_nets.lent, ROWS, pretrained=True).make(torch.Generator().manual_seed(3))
    assert all(torch.equal(value, odd_nets.lent().state_dict()[name]) for name, value in kept.state_dict().items())


def test_what_cannot_be_computed_with_a_model_is_refused(images, tmp_path: Path):
    for settings, sentence in (({"executor": "fused"}, "fused executor"), ({"compile": True}, "torch compiles the cells")):
        with pytest.raises(api.RecipeError, match=sentence):
            searched(in_module(own_nets.Flat), images, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()
    one = searched(in_module(own_nets.Flat), images, tmp_path / "one", channels_last=True)
    assert one.native
