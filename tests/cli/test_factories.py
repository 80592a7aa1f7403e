"""A function that makes a model is a space on the command line, and its arguments are flags."""

import json
import sys
from typing import Literal

import pytest

from mixop.cli import factories, kinds, main
from mixop.core.errors import RecipeError, SpaceError
from mixop.core.trust import allow, finding
from mixop.nets.modules.space import ModuleSpace
from mixop.spaces import NasBench201

NETS = '''
"""Models of a user."""
import mixop
from mixop import Choice
from torch import nn


class Net(nn.Module):
    """A small network.

    Args:
        outputs: how many numbers it gives.
        width: features of every layer, >= 1.
        act: what follows a layer.
    """

    def __init__(self, outputs, width: int = 4, act="relu", rate=0, kind: type = nn.ReLU):
        super().__init__()
        self.first = nn.Sequential(nn.Flatten(), nn.Linear(64, width), kind())
        self.mix = Choice({"one": nn.Linear(width, width), "two": nn.Sequential(nn.Linear(width, width), nn.Tanh()),
                           "skip": nn.Identity()})
        self.head = nn.Linear(width, outputs)

    def forward(self, x):
        return self.head(self.mix(self.first(x)))


def needs(depth: int, outputs: int = 10):
    return Net(outputs, width=depth)


def loaded(outputs: int = 10, pretrained: bool = False):
    return Net(outputs)


def anything(outputs=10, **others):
    return Net(outputs, **others)


def bare(outputs=10):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs))


def a_space():
    return mixop.spaces.nasbench201(channels=4)


def number():
    return 3


def broken():
    raise OSError("no disk")


MADE = Net(10)
'''
FREE = {"flops": 0, "parameters": 0}
DIGITS = ("--data", "digits", "--batch-size", "256", "--recipe", "darts", "--epochs", "1", "--quiet")


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A module of models in the working directory, which nobody has allowed yet."""
    (tmp_path / "usernets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("usernets", None)


@pytest.fixture
def allowed(nets):
    with finding(nets):
        allow(["usernets"])
        yield nets


def knobs(tree):
    return {".".join(knob.path): knob for knob in tree.knobs()}


def test_arguments_are_knobs_with_types_defaults_and_meanings(allowed):
    found = knobs(kinds.space("usernets:Net"))
    assert list(found) == ["width", "act", "rate", "pretrained", "input_shape", "outputs", "dense", "tokens"]
    assert (found["width"].takes, found["width"].default) == ("INT", "4")
    assert found["width"].help == "features of every layer, >= 1."
    assert (found["act"].takes, found["act"].default) == ("TEXT", "relu")
    assert found["rate"].takes == "INT|NUMBER"
    assert "kind" not in found  # a class, which no flag can give
    assert found["width"].of == "usernets:Net: A small network."


def test_flags_become_arguments_of_the_space(allowed):
    tree = kinds.space("usernets:Net")
    tree.put(("width",), "6")
    tree.put(("rate",), "0.5")
    tree.put(("pretrained",), "true")
    assert tree.build() == ModuleSpace(factory="usernets:Net", arguments={"width": 6, "rate": 0.5}, pretrained=True)
    tree = kinds.space("usernets:loaded")
    tree.put(("pretrained",), "true")
    assert tree.build() == ModuleSpace(factory="usernets:loaded", arguments={"pretrained": True}, pretrained=True)
    tree = kinds.space("usernets:anything")
    tree.put(("width",), "5")
    assert tree.build().arguments == {"width": 5}


def test_a_file_sets_arguments_too(allowed):
    tree = kinds.space("usernets:needs")
    tree.merge({"depth": 3, "outputs": 7}, "my.toml")
    assert tree.build() == ModuleSpace(factory="usernets:needs", arguments={"depth": 3}, outputs=7)
    with pytest.raises(
        RecipeError, match=r"^my\.toml: There is no argument of usernets:needs called 'dpth': did you mean 'depth'"
    ):
        tree.merge({"dpth": 3}, "my.toml")
    tree.merge({"depth": "three"}, "my.toml")
    with pytest.raises(RecipeError, match=r"^my\.toml: space\.depth must be a whole number, got 'three'"):
        tree.build()


def test_a_function_may_make_a_space_as_before(allowed):
    assert kinds.space("usernets:a_space").build() == NasBench201(channels=4)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("usernets:number", "must give a Space, a frozen dataclass, or a torch.nn.Module that has mixop.Choice in it, got int"),
        ("usernets:MADE", "--space usernets:MADE is a model that is made already: name the class or the function"),
        ("usernets:broken", r"failed \(OSError: no disk\)"),
        ("usernets:bare", "Sequential has no choice to search"),
        ("usernets:needs", "usernets:needs needs --space.depth INT"),
        ("usernets:Nothing", "has no attribute 'Nothing'"),
    ],
)
def test_misfits_are_refused_in_a_sentence(allowed, kind, says):
    with pytest.raises((RecipeError, SpaceError), match=says):
        kinds.space(kind).build()


def test_hints_of_all_kinds():
    def function(a: list[int], b: "Literal['x', 'y']" = "x", c: int = None, d=None, *, e: tuple[int, int] = (1, 2), f=object):  # noqa: RUF013
        pass

    found, is_open = factories.arguments_of_function(function)
    assert {name: argument.hint for name, argument in found.items() if name != "b"} == {
        "a": tuple[int, ...],
        "c": int | None,
        "d": factories.Any,
        "e": tuple[int, int],
    }
    assert not is_open


def test_a_search_by_flags_and_what_follows(nets, capsys):
    assert main(["search", "--space", "usernets:Net", "--space.width", "5", *DIGITS, "--out", "run"]) == 0
    plain = json.loads((nets / "run" / "space.json").read_text())["space"]
    assert (plain["factory"], plain["arguments"]) == ("usernets:Net", {"width": 5})
    found = json.loads((nets / "run" / "architecture.json").read_text())
    assert set(found["choices"]) == {"mix"}
    costs = json.loads((nets / "run" / "costs.json").read_text())
    assert costs == {"mix": {"one": {"flops": 25, "parameters": 30}, "two": {"flops": 25, "parameters": 30}, "skip": FREE}}
    sys.modules.pop("usernets")  # as another process has it
    capsys.readouterr()
    assert main(["retrain", "run", "--epochs", "1", "--random", "0", "--quiet"]) == 2
    assert "--trust usernets" in capsys.readouterr().err
    assert main(["retrain", "run", "--epochs", "1", "--random", "0", "--trust", "usernets"]) == 0
    screen = capsys.readouterr().out
    assert f"mix={found['choices']['mix']}" in screen
    assert "mixop export run --trust usernets" in screen
    assert main(["evaluate", "run", "--trust", "usernets"]) == 0
    assert main(["export", "run", "--trust", "usernets"]) == 0
    assert main(["report", "run"]) == 0
    page = (nets / "run" / "report.html").read_text()
    assert "The found choices" in page
    assert "30 parameters" in page


def test_wrong_flags_are_sentences(nets, capsys):
    words = ["search", "--space", "usernets:Net", *DIGITS, "--out", "run"]
    assert main([*words, "--space.widht", "5"]) == 2
    assert capsys.readouterr().err == "mixop search has no flag --space.widht: did you mean --space.width?\n"
    assert main([*words, "--space.width", "wide"]) == 2
    assert capsys.readouterr().err == "space.width must be a whole number, got 'wide'.\n"
    assert not (nets / "run").exists()


def test_help_shows_the_arguments(nets, capsys):
    assert main(["search", "--space", "usernets:Net", "--help-all"]) == 0
    page = capsys.readouterr().out
    assert "--space.width INT       features of every layer, >= 1. [4]" in page
    assert "--space.pretrained true|false" in page
    assert main(["search", "--help"]) == 0
    assert "a model with mixop.Choice in it" in " ".join(capsys.readouterr().out.split())


def test_an_architecture_of_a_model_is_trained_without_a_search(nets, capsys):
    words = ["retrain", "--space", "usernets:Net", "--data", "digits", "--epochs", "1", "--quiet", "--out", "run"]
    assert main([*words, "--architecture", "mix=two"]) == 0
    assert json.loads((nets / "run" / "architecture.json").read_text())["choices"] == {"mix": "two"}
