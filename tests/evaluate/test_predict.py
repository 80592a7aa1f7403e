"""Predictions against a count by hand: of arrays, of image files, of several kinds of networks."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import mixop
from mixop.cli import main
from mixop.core.errors import DataError
from mixop.data import digits, from_arrays
from mixop.evaluate.predict import predict


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Digits, whose pixels are stored as uint8."""
    out = tmp_path_factory.mktemp("digits") / "run"
    space = mixop.spaces.nasbench201(channels=4, cells=1, stages=1)
    cell = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    return mixop.retrain(cell, space, digits(), out, epochs=2, threads=1), digits()


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """A table whose target is a number."""
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 10.0, 0.1])
    data = from_arrays(x.numpy(), (x[:, 0] * 2 + 5).numpy(), task=mixop.tasks.Regression())
    space = mixop.spaces.mlp(width=8, depth=1, ratios=(1,)).fit(data)
    first = next(iter(space.architectures()))
    return mixop.retrain(first, space, data, tmp_path_factory.mktemp("numbers") / "run", epochs=2, threads=1), data


def test_labels_are_those_that_the_score_counted(trained):
    result, data = trained
    at = data.at("test")
    said = predict(result.out, data.examples.read(at).x)
    right = np.mean([label == data.task.classes[int(y)] for label, y in zip(said.labels, data.targets("test"), strict=True)])
    assert right == pytest.approx(result.measures["accuracy"])
    assert said.probabilities.sum(1).numpy() == pytest.approx(1)
    assert [data.task.classes[i] for i in said.probabilities.argmax(1)] == said.labels


def test_one_example_alone_is_as_among_others(trained):
    result, data = trained
    x = data.examples.read(data.at("test")[:3]).x
    together = predict(result.out, x).outputs
    torch.testing.assert_close(predict(result.out, x[1].numpy()).outputs, together[1:2])


def test_image_files_of_another_size_are_brought_to_the_networks(trained, tmp_path):
    result, data = trained
    x = data.examples.read(data.at("test")[:2]).x
    paths = []
    for number, pixels in enumerate(x):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(np.kron(pixels[0].numpy(), np.ones((4, 4), np.uint8))).save(paths[-1])
    said = predict(result.out, paths)
    assert said.outputs.shape == (2, 10)
    Image.fromarray(x[0, 0].numpy()).save(paths[0])  # of the network's own size
    torch.testing.assert_close(predict(result.out, str(paths[0])).outputs, predict(result.out, x[:1]).outputs)


def test_numbers_are_in_the_unit_of_the_targets(numbers):
    result, data = numbers
    at = data.at("test")
    said = predict(result.out, data.examples.read(at).x)
    error = (said.values.flatten() - data.targets("test").flatten()).square().mean().sqrt()
    assert error.item() == pytest.approx(result.measures["rmse"], rel=1e-5)
    with pytest.raises(mixop.MixopError, match="one class"):
        _ = said.labels


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((2, 1, 9, 9), np.uint8), r"shape \(1, 8, 8\)"),
        (np.zeros((2, 1, 8, 8), np.float32), "0 to 255"),
        (["nowhere.png"], "nowhere.png"),
        (np.zeros((0, 1, 8, 8), np.uint8), "0 examples|empty|at least"),
    ],
)
def test_what_does_not_fit_is_a_sentence(trained, wrong, said):
    with pytest.raises(DataError, match=said):
        predict(trained[0].out, wrong)


def test_files_are_for_images_alone(numbers):
    with pytest.raises(DataError, match="no images"):
        predict(numbers[0].out, "table.png")


def test_the_command_says_labels_or_values(trained, numbers, tmp_path, capsys):
    result, data = trained
    x = data.examples.read(data.at("test")[:2]).x
    np.savez(tmp_path / "some.npz", images=x.numpy())
    Image.fromarray(x[0, 0].numpy()).save(tmp_path / "a.png")
    Image.fromarray(x[1, 0].numpy()).save(tmp_path / "b.png")
    assert main(["predict", str(result.out), str(tmp_path / "some.npz"), "--json"]) == 0
    of_array = json.loads(capsys.readouterr().out)["predictions"]
    assert [row["label"] for row in of_array] == predict(result.out, x).labels
    assert main(["predict", str(result.out), str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--json"]) == 0
    of_files = json.loads(capsys.readouterr().out)["predictions"]
    assert [row["label"] for row in of_files] == [row["label"] for row in of_array]
    assert main(["predict", str(result.out), str(tmp_path / "a.png")]) == 0
    assert of_files[0]["label"] in capsys.readouterr().out
    np.save(tmp_path / "table.npy", np.zeros((2, 3), np.float32))
    assert main(["predict", str(numbers[0].out), str(tmp_path / "table.npy"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["predictions"]) == 2


def test_the_command_needs_a_file(trained, capsys):
    assert main(["predict", str(trained[0].out)]) == 2
    assert "FILE" in capsys.readouterr().err
