import json
import logging
import os
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

import mixop
from mixop.core.errors import MissingExtraError, RunError
from mixop.evaluate.export import export
from mixop.evaluate.predict import predict
from mixop.evaluate.trained import load_network

module = import_module("mixop.evaluate.export")  # the folder's face has the function under this name
needs_onnx = pytest.mark.skipif(
    not all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime")), reason="the extra 'onnx' is not installed"
)


@pytest.fixture
def run(trained_run, tmp_path):
    return shutil.copytree(trained_run, tmp_path / "run")


@pytest.fixture
def images():
    return torch.randn(7, 1, 4, 4, generator=torch.Generator().manual_seed(8))


def test_a_pt2_file_computes_what_the_module_computes_for_any_batch(run, images):
    done = export(run, inputs="normalised")
    assert done["path"] == run / "model.pt2"
    assert done["largest_difference"] <= 1e-5
    net, loaded = load_network(run), torch.export.load(done["path"]).module()
    for count in (1, 2, 7):
        torch.testing.assert_close(loaded(images[:count]), net(images[:count]))  # float32 defaults


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A run on grey images of 8x8 bytes, and a photograph of another size and shape."""
    out = tmp_path_factory.mktemp("photos")
    space, data = mixop.spaces.nasbench201(channels=2, cells=1, stages=1), mixop.data.digits()
    architecture = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"
    result = mixop.retrain(architecture, space, data, out / "run", epochs=2, threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (19, 31), dtype=np.uint8)
    Image.fromarray(pixels).save(out / "photo.png")
    return result.out, out / "photo.png"


@pytest.mark.parametrize("format", ["pt2", pytest.param("onnx", marks=[needs_onnx, pytest.mark.slow])])
def test_the_lines_that_it_gives_name_a_photograph_of_any_size_without_mixop(photos, tmp_path, format):
    run, photo = photos
    done = export(run, format, tmp_path / f"net.{format}")
    program = "\n".join([*done["usage"], "import sys; assert 'mixop' not in sys.modules"])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", program.replace("photo.jpg", str(photo))]
    label, share = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()
    said = predict(run, photo)
    assert len(done["usage"]) <= 12
    assert label == said.labels[0]
    # Pillow rounds in fixed point: single pixels differ by one level of 255.
    assert float(share) == pytest.approx(said.probabilities.max().item(), abs=5e-3)


def test_a_file_says_what_it_is(photos, tmp_path):
    run, _ = photos
    done = export(run, out=tmp_path / "net.pt2")
    files = {"mixop.json": ""}
    loaded = torch.export.load(done["path"], extra_files=files).module()
    about = json.loads(files["mixop.json"])
    assert about == done["about"]
    score = json.loads((run / "score.json").read_text())
    assert about["classes"] == [str(digit) for digit in range(10)]
    assert about["measures"] == score["networks"][0]["measures"]
    assert (about["input"]["size"], about["input"]["dtype"], about["output"]) == ([8, 8], "uint8", "probabilities")
    x = mixop.data.digits().examples.read(torch.arange(5)).x
    torch.testing.assert_close(loaded(x), predict(run, x).probabilities)


def test_other_inputs_come_as_the_data_were_and_give_probabilities(run, tiny_data):
    done = export(run)
    x = tiny_data.examples.read(torch.arange(7)).x
    torch.testing.assert_close(torch.export.load(done["path"]).module()(x), predict(run, x).probabilities)
    (line,) = [line for line in done["usage"] if "numpy.zeros" in line]
    assert "(1, 1, 4, 4), 'float32'" in line


@needs_onnx
def test_an_onnx_file_computes_what_the_module_computes_for_any_batch(run, images, caplog):
    import onnxruntime

    with caplog.at_level(logging.WARNING):
        done = export(run, "onnx", inputs="normalised")
    assert not caplog.records
    assert done["path"] == run / "model.onnx"
    assert done["largest_difference"] <= 1e-5
    session, net = onnxruntime.InferenceSession(done["path"]), load_network(run)
    for count in (1, 2, 7):
        (logits,) = session.run(["outputs"], {"inputs": images[:count].numpy()})
        torch.testing.assert_close(torch.from_numpy(logits), net(images[:count]), rtol=1e-4, atol=1e-5)  # another library


def test_without_the_extra_onnx_is_refused_by_its_name(run, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mixop\[onnx\]'"):
        export(run, "onnx")
    assert not (run / "model.onnx").exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda logits: logits * (1 + 1e-3),
        lambda logits: logits.roll(1, -1),
        lambda logits: logits[:1],
        lambda logits: logits * float("nan"),
    ],
)
def test_a_file_that_computes_something_else_is_not_kept(run, monkeypatch, spoil):
    net = load_network(run)
    monkeypatch.setitem(
        module._FORMATS, "pt2", (lambda net, images, about: b"", lambda content: lambda images: spoil(net(images)))
    )
    with pytest.raises(RunError, match=r"differs from the module by .*, so .*model\.pt2 was not written"):
        export(run, inputs="normalised")
    assert not (run / "model.pt2").exists()


def test_what_cannot_be_exported_is_refused_in_one_sentence(run, tmp_path):
    with pytest.raises(RunError, match="There is no format 'onx': did you mean 'onnx'"):
        export(run, "onx")  # type: ignore[arg-type]
    with pytest.raises(RunError, match="choose one of normalised, raw"):
        export(run, inputs="rough")  # type: ignore[arg-type]
    with pytest.raises(RunError, match="Cannot write"):
        export(run, out=tmp_path / "missing" / "model.pt2")
    (run / "score.json").unlink()
    with pytest.raises(RunError, match="has no trained network yet"):
        export(run)
