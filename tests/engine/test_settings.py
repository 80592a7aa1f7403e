"""Settings of a run: refused where they do not go together."""

from typing import get_args

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.engine.settings import Executor, Settings
from mixop.supernet.executors import EXECUTORS


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"threads": -1}, "threads must be a whole number from 0"),
        ({"threads": True}, "threads must be a whole number"),
        ({"executor": "fusd"}, "no executor 'fusd': did you mean 'fused'"),
        ({"precision": "float16"}, "no precision 'float16': did you mean 'bfloat16'"),
        ({"executor": "fused", "precision": "bfloat16"}, "fused executor computes in float32"),
        ({"executor": "fused", "compile": True}, "fused executor is compiled already"),
        ({"capture": True}, "capture records CUDA graphs, but the device is 'cpu'"),
    ],
)
def test_what_does_not_go_together(values, match):
    with pytest.raises(RecipeError, match=match):
        Settings(**values)


@pytest.mark.parametrize(
    "device", ["banana", "", "CPU", "meta", "xla", "cuda:x", "cuda:-1", "cuda:99999999999", "privateuseone", " cpu", None, 3]
)
def test_what_is_no_device(device):
    with pytest.raises(
        RecipeError, match=r"device must be 'cpu', 'cuda', 'cuda:1' \(the second GPU\) or 'mps', got "
    ) as caught:
        Settings(device=device)
    assert str(caught.value).endswith(f"got {device!r}.")


@pytest.mark.parametrize(
    ("device", "gpus", "says"),
    [
        ("cuda", 0, "There is no device 'cuda' here that this build of torch can use: use 'cpu'."),
        ("cuda:0", 0, "There is no device 'cuda' here that this build of torch can use: use 'cpu'."),
        ("mps", 0, "There is no device 'mps' here that this build of torch can use: use 'cpu'."),
        ("cuda:7", 1, "There is no device 'cuda:7' here, the last one is 'cuda:0': use 'cuda'."),
        ("cpu:1", 0, "There is no device 'cpu:1' here, the last one is 'cpu:0': use 'cpu'."),
    ],
)
def test_a_device_that_is_not_here(device, gpus, says, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(RecipeError) as caught:
        Settings(device=device)
    assert str(caught.value) == says


def test_a_device_that_is_there_but_cannot_be_used(monkeypatch):
    def broken(*size, device):
        raise RuntimeError("CUDA error: busy\nmore lines")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch, "empty", broken)
    with pytest.raises(RecipeError, match=r"^Device 'cuda' cannot be used here \(CUDA error: busy\): use 'cpu'\.$"):
        Settings(device="cuda")


def test_the_fused_executor_computes_on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch, "empty", lambda *size, device: None)
    with pytest.raises(RecipeError, match="fused executor computes on the CPU"):
        Settings(executor="fused", device="cuda")


def test_a_run_is_known_by_what_its_numbers_depend_on():
    assert Settings(seed=3, threads=2, checkpoint_seconds=5).identity == {"seed": 3, "executor": "auto"}
    changed = Settings(executor="plain", precision="bfloat16", channels_last=True, compile=True)
    assert changed.identity == {
        "seed": 0,
        "executor": "plain",
        "precision": "bfloat16",
        "channels_last": True,
        "compile": True,
    }
    assert Settings(**changed.identity) == changed


def test_what_is_recorded():
    assert Settings().computing(cells=True)["channels_last"]
    assert not Settings(executor="plain").computing(cells=True)["channels_last"]
    assert not Settings().computing(cells=False)["channels_last"]  # a model decides itself
    assert Settings(channels_last=True).computing(cells=False)["channels_last"]


def test_every_executor_can_be_named():
    assert set(get_args(Executor)) == {*EXECUTORS, "auto"}
