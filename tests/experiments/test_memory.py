"""The memory of a step: that of the estimate, less on fewer channels, and that of the larger stage."""

from dataclasses import replace

from mixop import api
from mixop.data import Digits, Split
from mixop.engine.settings import Settings
from mixop.experiments.base import Request
from mixop.experiments.catalogue import CATALOGUE
from mixop.experiments.dirichlet import partial
from mixop.experiments.memory import step_bytes
from mixop.measure.foresight import search_estimate
from mixop.runs.directory import RunDirectory
from mixop.spaces import NasBench201Digits, nasbench201

DATA = Digits(split=Split(train=32, valid=32)).load()


def searched(out, space, name):
    recipe = replace(partial(2)[name], batch_size=32)
    api.search(recipe, space, DATA, out, rates="paper")
    return recipe, step_bytes(RunDirectory(out), DATA)


def test_all_channels_take_what_a_search_is_estimated_to_take(tmp_path):
    space = nasbench201(channels=8, cells=1)
    recipe, found = searched(tmp_path / "whole", space, "k-1")
    assert found == search_estimate(recipe, space, DATA, Settings(executor="plain")).peak_bytes
    assert searched(tmp_path / "k-4", space, "k-4")[1] < found / 2


def test_two_stages_take_what_the_larger_one_takes(tmp_path):
    """Of three options none is pruned, so that the second stage keeps what half of the channels keep."""
    space = NasBench201Digits(channels=8)
    assert searched(tmp_path / "stages", space, "progressive")[1] == searched(tmp_path / "k-2", space, "k-2")[1]
    pruned = searched(tmp_path / "pruned", nasbench201(channels=8, cells=1), "progressive")[1]
    assert pruned < searched(tmp_path / "all", nasbench201(channels=8, cells=1), "k-2")[1]


def test_the_scale_has_enough_channels(tmp_path):
    assert CATALOGUE["partial-drnas"].on(Request(scale="tiny", out=tmp_path)).space.channels == 8
    assert CATALOGUE["range-drnas"].on(Request(scale="tiny", out=tmp_path)).space.channels == 4
