"""Wrong types at every entry point: one sentence that says what to write, before anything is written."""

import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import mixop
from mixop.comparison.compare import compare
from mixop.comparison.reproduce import reproduce
from mixop.core.errors import DataError, MixopError
from mixop.data.toy import toy_set
from mixop.engine.settings import Settings
from mixop.evaluate import PROTOCOLS, evaluate_run
from mixop.measure import foresight
from mixop.spaces.toy import Toy
from mixop.tabulate import Tabulation, tabulate

SPACE, DATA, RECIPE = Toy(), toy_set(n=64), replace(mixop.recipes.darts(epochs=1), batch_size=8)
ARCHITECTURE = SPACE.optimum
X, Y = torch.zeros(12, 3), torch.arange(12) % 2

ENTRIES = {
    "search": (mixop.search, {"recipe": RECIPE, "space": SPACE, "data": DATA, "out": "run"}),
    "resume": (mixop.resume, {"out": "run", "data": DATA}),
    "retrain": (mixop.retrain, {"architecture": ARCHITECTURE, "space": SPACE, "data": DATA, "out": "run"}),
    "select": (
        mixop.select,
        {"results": [mixop.SearchResult(Path("run"), ARCHITECTURE, SPACE, RECIPE)], "data": DATA, "out": "s"},
    ),
    "compare": (compare, {"recipes": {"darts": RECIPE}, "space": SPACE, "data": DATA, "out": "run"}),
    "reproduce": (reproduce, {"name": "snas-nasbench201", "folder": "there", "out": "run"}),
    "load_network": (mixop.load_network, {"run": "run"}),
    "evaluate_run": (evaluate_run, {"run": "run", "data": DATA}),
    "export": (mixop.export, {"run": "run"}),
    "tabulate": (tabulate, {"space": SPACE, "data": DATA, "how": Tabulation(epochs=1), "out": "made.npz"}),
    "search_estimate": (foresight.search_estimate, {"recipe": RECIPE, "space": SPACE, "data": DATA}),
    "fitting_batch": (foresight.fitting_batch, {"recipe": RECIPE, "space": SPACE, "data": DATA}),
    "retraining_estimate": (
        foresight.retraining_estimate,
        {"architecture": ARCHITECTURE, "space": SPACE, "data": DATA, "protocol": PROTOCOLS["quick"]},
    ),
    "from_arrays": (mixop.data.from_arrays, {"x": X, "y": Y}),
    "from_dataset": (mixop.data.from_dataset, {"train": TensorDataset(X, Y)}),
    "from_npz": (mixop.data.from_npz, {"path": "there.npz"}),
    "from_folder": (mixop.data.from_folder, {"path": "there"}),
    "from_text": (mixop.data.from_text, {"path": "there.txt"}),
    "from_tokens": (mixop.data.from_tokens, {"train": [0, 1] * 30}),
    "cifar10": (mixop.data.cifar10, {"path": "there"}),
    "imagenet": (mixop.data.imagenet, {"path": "there"}),
    "sheets": (mixop.data.sheets, {"path": "there"}),
    "digits": (mixop.data.digits, {}),
    "toy_set": (mixop.data.toy_set, {}),
}


class Other:
    """Something that nobody expects."""


def anything(*args, **kwargs):
    """A function that takes whatever comes."""


WRONG = {
    "a name": "darts",
    "an empty text": "",
    "nothing": None,
    "a number": 5,
    "a negative number": -3,
    "a fraction": 0.3,
    "not a number": float("nan"),
    "True": True,
    "bytes": b"darts",
    "a list": ["darts"],
    "a pair": (1, "a"),
    "a mapping": {"a": "b"},
    "a function": anything,
    "a class": Toy,
    "another object": Other(),
    "a tensor": torch.zeros(3),
    "an array": np.zeros((2, 2)),
    "a data set of torch": TensorDataset(X),
}
CASES = [
    (entry, argument, wrong)
    for entry, (function, _) in ENTRIES.items()
    for argument in inspect.signature(function).parameters
    for wrong in WRONG
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore::mixop.core.errors.DataWarning")  # of constant data, which are no wrong type
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's compiler, which compile=True loads
@pytest.mark.parametrize("entry", ENTRIES)
def test_whatever_is_given_is_taken_or_refused_in_a_sentence(entry, monkeypatch):
    """Every argument by every wrong value; those that are right by chance stop before they compute."""

    class TakenError(Exception):
        pass

    def stop(*args, **kwargs):
        raise TakenError

    for place in ("mixop.engine.loop.Search.run", "mixop.evaluate.retrain.Retraining.run", "mixop.runs.local.Local.work"):
        monkeypatch.setattr(place, stop)
    for place in ("mixop.engine.loop.Search.estimate", "mixop.engine.loop.Search.memory", "mixop.tabulate.build.Cohort"):
        monkeypatch.setattr(place, stop)
    monkeypatch.setattr("mixop.evaluate.retrain.Retraining.estimate", stop)
    monkeypatch.setattr("mixop.comparison.reproduce.compare", stop)
    function, right = ENTRIES[entry]
    bad = []
    for number, (argument, wrong) in enumerate((a, w) for e, a, w in CASES if e == entry):
        given = {**right, argument: WRONG[wrong]}
        if "out" in right and argument != "out" and entry != "resume":
            given["out"] = f"run{number}.npz"
        try:
            function(**given)
        except MixopError as error:
            if not str(error) or "\n" in str(error):
                bad.append(f"{argument} = {wrong}: not a sentence: {error}")
        except TakenError:
            pass
        except Exception as error:
            bad.append(f"{argument} = {wrong}: {type(error).__name__}: {error}")
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize(
    ("entry", "argument", "value", "sentence"),
    [
        ("search", "recipe", "darts", "recipe must be a recipe such as mixop.recipes.darts(), got the text 'darts'."),
        (
            "search",
            "recipe",
            mixop.recipes.drnas,
            "recipe must be a recipe such as mixop.recipes.darts(), got the function drnas itself: call it, drnas(...).",
        ),
        (
            "search",
            "space",
            mixop.spaces.darts,
            "space must be a space such as mixop.spaces.nasbench201(), got the function darts itself: call it, darts(...).",
        ),
        ("search", "out", 5, "out must be a text or a path, got 5."),
        ("search", "out", "", "out must be a text or a path, got the text ''."),
        ("search", "seed", "1", "seed must be a whole number, got the text '1'."),
        ("search", "executor", "nodewize", "There is no executor 'nodewize': did you mean 'nodewise'?"),
        ("search", "observe", "print", "observe must be a function or None, got the text 'print'."),
        ("search", "device", 0, "device must be a text or a device such as 'cpu', got 0."),
        (
            "retrain",
            "architecture",
            Other(),
            "architecture must be an architecture such as result.architecture or a text, got an object of type Other.",
        ),
        (
            "retrain",
            "protocol",
            "quick",
            "protocol must be a protocol such as mixop.evaluate.PROTOCOLS['quick'] or None, got the text 'quick'.",
        ),
        (
            "retrain",
            "train_on",
            "train",
            "train_on must be a list, each item one of 'train', 'valid', 'test' or None, got the text 'train'.",
        ),
        ("retrain", "score_on", "tset", "There is no score_on 'tset': did you mean 'test'?"),
        (
            "select",
            "results",
            Other(),
            "results must be a list, each item what mixop.search returns, got an object of type Other.",
        ),
        (
            "compare",
            "recipes",
            [RECIPE],
            "recipes must be a mapping from a text to a recipe such as mixop.recipes.darts(), got a list.",
        ),
        ("from_npz", "path", None, "path must be a text or a path, got None."),
        (
            "from_arrays",
            "task",
            "regression",
            "task must be a task such as mixop.tasks.Regression() or None, got the text 'regression'.",
        ),
    ],
)
def test_the_sentence_says_what_to_write(entry, argument, value, sentence):
    function, right = ENTRIES[entry]
    with pytest.raises(MixopError) as caught:
        function(**{**right, argument: value})
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("flowers/", r"from_folder\('flowers/'\) or mixop.data.from_npz"),
        (mixop.data.Digits, "call it, Digits()"),
        (mixop.data.digits, "call it, digits()"),
        ((X, Y), r"from_arrays\(x, y\)"),
        (X, r"from_arrays\(x, y\)"),
        (X.numpy(), r"from_arrays\(x, y\)"),
        (DataLoader(TensorDataset(X, Y)), "loader.dataset"),
        (iter([1]), "from_arrays"),
    ],
)
@pytest.mark.parametrize("entry", ["search", "retrain", "select", "compare", "evaluate_run", "tabulate"])
def test_data_of_another_kind_is_refused_with_the_way_to_make_it(entry, value, words):
    function, right = ENTRIES[entry]
    with pytest.raises(DataError, match=words):
        function(**{**right, "data": value})


def test_sources_and_data_sets_are_data_everywhere(elsewhere):
    source = mixop.data.ToySet(n=64)
    found = mixop.search(RECIPE, SPACE, source, "run")
    short = replace(PROTOCOLS["quick"], epochs=1, batch_size=8)
    mixop.select([found], source, "selected", protocol=short)
    mixop.retrain(found.architecture, SPACE, source, "run", protocol=short)
    assert evaluate_run("run", source).measures == evaluate_run("run", source.load()).measures


def test_a_device_of_torch_is_a_device():
    found = mixop.search(RECIPE, SPACE, DATA, "run", device=torch.device("cpu"))
    assert found.native == mixop.search(RECIPE, SPACE, DATA, "other").native
    with pytest.raises(MixopError, match="got 'meta'"):
        Settings(device="meta")


def test_missing_arguments_stay_pythons_own_error():
    with pytest.raises(TypeError, match="missing 2 required positional arguments: 'data' and 'out'"):
        mixop.search(RECIPE, SPACE)
    with pytest.raises(TypeError, match="unexpected keyword argument 'sed'"):
        mixop.search(RECIPE, SPACE, DATA, "run", sed=1)
