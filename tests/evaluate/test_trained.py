import json
import shutil
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from mixop.core.errors import DataError, RecipeError, RunError, SpaceError
from mixop.data import from_arrays
from mixop.data.examples import Arrays
from mixop.evaluate.trained import evaluate_run, load_network, read_score, read_space
from mixop.runs.directory import RunDirectory


@pytest.fixture
def run(trained_run, tmp_path):
    """A copy of a finished retraining that may be damaged."""
    return RunDirectory(shutil.copytree(trained_run, tmp_path / "run"))


def test_the_network_comes_back_with_its_weights_and_nothing_else_moves(run, tiny_space, tiny_data):
    before = torch.get_rng_state()
    net = load_network(run.path)
    assert torch.equal(before, torch.get_rng_state())
    assert not net.training
    weights = safetensors.torch.load_file(run / "weights.safetensors")
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())
    assert read_space(run) == tiny_space.fit(tiny_data)


def test_the_runs_own_score_is_found_again(run, tiny_data):
    score = read_score(run)
    again = evaluate_run(run.path, tiny_data)
    assert again.measures == score.networks[0].measures
    assert again.details["confusion"] == [list(row) for row in score.confusion]


def test_another_set_is_normalised_as_the_training_was(run, tiny_data):
    shifted = replace(tiny_data.augment, mean=(100.0,), std=(7.0,))
    assert evaluate_run(run.path, replace(tiny_data, augment=shifted)) == evaluate_run(run.path, tiny_data)
    noise = replace(tiny_data, examples=Arrays(torch.zeros_like(tiny_data.examples.x), tiny_data.examples.targets))
    assert evaluate_run(run.path, noise).measures["accuracy"] == pytest.approx(1 / 3)  # one answer to equal images


@pytest.mark.parametrize(
    ("shape", "classes", "dtype", "sentence"),
    [
        ((3, 4, 4), 3, torch.float32, r"shape must be \[1, 4, 4\], got \[3, 4, 4\]"),
        ((1, 8, 8), 3, torch.float32, r"shape must be \[1, 4, 4\], got \[1, 8, 8\]"),
        ((1, 4, 4), 4, torch.float32, r"task must be .*'0', '1', '2'\].*, got .*'0', '1', '2', '3'\]"),
        ((1, 4, 4), 3, torch.uint8, r"dtype must be float32, got uint8"),
    ],
)
def test_data_that_does_not_fit_is_refused_in_one_sentence(run, shape, classes, dtype, sentence):
    data = from_arrays(
        torch.arange(40).view(40, 1, 1, 1).expand(40, *shape).to(dtype), torch.arange(40) % classes, name="other", layout="nchw"
    )
    with pytest.raises(DataError, match=f"other does not fit the network of .*run: its {sentence}"):
        evaluate_run(run.path, data)


def test_a_directory_without_a_trained_network_is_said_to_have_none(run, tmp_path):
    with pytest.raises(RunError, match="There is no run directory"):
        load_network(tmp_path / "nothing")
    (run / "score.json").unlink()
    with pytest.raises(RunError, match=r"has no trained network yet: finish its retraining with `mixop retrain"):
        load_network(run.path)


@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_torn_weights_are_named(run, length):
    path = run / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(RunError, match=r"weights\.safetensors is missing or torn .*: restore it"):
        load_network(run.path)


def test_missing_weights_are_named(run):
    (run / "weights.safetensors").unlink()
    with pytest.raises(RunError, match=r"weights\.safetensors is missing or torn \(.*No such file"):
        load_network(run.path)


def test_one_changed_bit_in_the_weights_is_noticed(run):
    path = run / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"weights\.safetensors was changed after its training"):
        load_network(run.path)


def test_weights_of_another_network_are_refused_with_the_first_that_differs(run):
    path = run / "weights.safetensors"
    weights = safetensors.torch.load_file(path)
    safetensors.torch.save_file({**weights, "layers.0.0.weight": torch.zeros(8, 1, 3, 3)}, path)
    with pytest.raises(RunError, match=r"shape of layers\.0\.0\.weight: \[4, 1, 3, 3\] expected, \[8, 1, 3, 3\] found"):
        load_network(run.path)
    weights["more"] = torch.zeros(2)
    safetensors.torch.save_file(weights, path)
    with pytest.raises(RunError, match=r"shape of more: absent expected, \[2\] found"):
        load_network(run.path)


@pytest.mark.parametrize("name", ["score.json", "space.json", "architecture.json"])
def test_torn_files_are_named(run, name):
    path = run / name
    path.write_text(path.read_text()[:40])
    with pytest.raises(RunError, match=rf"{name} is torn"):
        load_network(run.path)


@pytest.mark.parametrize(("name", "content"), [("score.json", {"protocol": {}}), ("score.json", []), ("space.json", {})])
def test_files_of_another_content_are_named(run, name, content):
    (run / name).write_text(json.dumps(content))
    with pytest.raises(RunError, match=f"{name}.* (damaged|must hold|is incomplete|has no)"):
        load_network(run.path)


def test_a_space_or_architecture_that_does_not_exist_is_refused(run):
    space = run.read_json("space.json")
    run.write_json("space.json", {"space": {**space["space"], "type": "CellSpac"}})
    with pytest.raises(RecipeError, match="did you mean 'CellSpace'"):
        load_network(run.path)
    run.write_json("space.json", space)
    run.write_json("architecture.json", {**run.read_json("architecture.json"), "native": "|nor_conv_9x9~0|+|none~0|none~1|"})
    with pytest.raises(SpaceError, match="did you mean 'nor_conv_3x3'"):
        load_network(run.path)
