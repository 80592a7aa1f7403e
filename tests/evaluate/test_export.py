import logging
import os
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch

from mixop.core.errors import MissingExtraError, RunError
from mixop.evaluate.export import export
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
    done = export(run)
    assert done["path"] == run / "model.pt2"
    assert done["largest_difference"] <= 1e-5
    net, loaded = load_network(run), torch.export.load(done["path"]).module()
    for count in (1, 2, 7):
        torch.testing.assert_close(loaded(images[:count]), net(images[:count]))  # float32 defaults


def test_a_pt2_file_runs_without_mixop(run, images):
    path = export(run, "pt2", run / "other.pt2")["path"]
    torch.save(images, run / "images.pt")
    child = (
        "import sys, torch; net = torch.export.load(sys.argv[1]).module(); "
        "torch.save(net(torch.load(sys.argv[2])).detach(), sys.argv[3]); assert 'mixop' not in sys.modules"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", child, path, run / "images.pt", run / "logits.pt"]
    subprocess.run(list(map(str, command)), env=environment, check=True)
    torch.testing.assert_close(torch.load(run / "logits.pt"), load_network(run)(images).detach())


@needs_onnx
def test_an_onnx_file_computes_what_the_module_computes_for_any_batch(run, images, caplog):
    import onnxruntime

    with caplog.at_level(logging.WARNING):
        done = export(run, "onnx")
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
    monkeypatch.setitem(module._FORMATS, "pt2", (lambda net, images: b"", lambda content: lambda images: spoil(net(images))))
    with pytest.raises(RunError, match=r"differs from the module by .*, so .*model\.pt2 was not written"):
        export(run)
    assert not (run / "model.pt2").exists()


def test_what_cannot_be_exported_is_refused_in_one_sentence(run, tmp_path):
    with pytest.raises(RunError, match="There is no format 'onx': did you mean 'onnx'"):
        export(run, "onx")  # type: ignore[arg-type]
    with pytest.raises(RunError, match="Cannot write"):
        export(run, out=tmp_path / "missing" / "model.pt2")
    (run / "score.json").unlink()
    with pytest.raises(RunError, match="has no trained network yet"):
        export(run)
