"""Settings of a run: refused where they do not go together."""

from typing import get_args

import pytest

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
        ({"executor": "fused", "device": "meta"}, "fused executor computes on the CPU"),
        ({"capture": True}, "capture records CUDA graphs, but the device is 'cpu'"),
    ],
)
def test_what_does_not_go_together(values, match):
    with pytest.raises(RecipeError, match=match):
        Settings(**values)


def test_a_run_is_known_by_what_its_numbers_depend_on():
    assert Settings(seed=3, threads=2, checkpoint_seconds=5).identity == {"seed": 3, "executor": "nodewise"}
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
    assert Settings().computing["channels_last"]
    assert not Settings(executor="plain").computing["channels_last"]


def test_every_executor_can_be_named():
    assert set(get_args(Executor)) == set(EXECUTORS)
