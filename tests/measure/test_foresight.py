"""What is told before a run begins: it leaves no trace in the run, and grows with what grows."""

import json
from dataclasses import replace

import pytest
import torch

from mixop import api
from mixop.core.errors import MemoryLimitError, RecipeError
from mixop.data.toy import toy_set
from mixop.engine import estimate
from mixop.evaluate.protocol import PROTOCOLS
from mixop.measure.foresight import AHEAD, fitting_batch, protocol_in, recipe_in, retraining_estimate, search_estimate
from mixop.recipes import darts, pcdarts
from mixop.spaces.toy import Toy


@pytest.fixture(scope="module")
def data():
    return toy_set(Toy(), n=96)


@pytest.fixture
def short():
    return replace(darts(), epochs=2, batch_size=16)


def test_a_search_is_the_same_with_and_without_an_estimate(data, short, tmp_path):
    runs = []
    for out in ("without", "with"):
        torch.manual_seed(0)
        if out == "with":
            search_estimate(short, Toy(), data)
        api.search(short, Toy(), data, tmp_path / out)
        records = [json.loads(line) for line in (tmp_path / out / "metrics.jsonl").read_text().splitlines()]
        runs.append([{key: value for key, value in record.items() if key != "seconds"} for record in records])
    assert runs[0] == runs[1]


def test_memory_grows_with_the_batch_and_time_with_the_epochs(data, short):
    small, large = search_estimate(short, Toy(), data), search_estimate(replace(short, batch_size=32), Toy(), data)
    assert small.image_bytes == large.image_bytes
    assert large.peak_bytes - small.peak_bytes == 16 * small.image_bytes
    assert search_estimate(replace(short, epochs=2000), Toy(), data).seconds > 20 * small.seconds


def test_a_warm_up_is_not_mistaken_for_the_search(data):
    recipe = replace(pcdarts(), epochs=20, warmup=10, batch_size=16)
    assert search_estimate(recipe, Toy(), data).seconds > 0


def test_networks_of_a_retraining_add_up(data):
    protocol = replace(PROTOCOLS["quick"], epochs=3, batch_size=16)
    architecture = Toy().optimum
    one, ten = (retraining_estimate(architecture, Toy(), data, protocol, networks=n) for n in (1, 200))
    assert ten.peak_bytes == one.peak_bytes
    assert ten.seconds > 20 * one.seconds
    pieces = retraining_estimate(architecture, Toy(), data, replace(protocol, accumulate=4))
    assert pieces.batch_size == 4


class _Whole:
    """An estimate of 40 epochs of 3 seconds, planned as of ``3 * AHEAD``."""

    seconds = 120.0


@pytest.mark.parametrize(("minutes", "epochs"), [(AHEAD, 20), (AHEAD * 0.06, 1), (AHEAD * 0.52, 10), (600, 40)])
def test_as_many_epochs_as_there_is_time_for_but_no_more_than_its_own(data, monkeypatch, minutes, epochs):
    for name in ("search_estimate", "retraining_estimate"):
        monkeypatch.setattr(f"mixop.measure.foresight.{name}", lambda *given, **more: _Whole)
    recipe = replace(darts(), epochs=40, warmup=12)
    found = recipe_in(minutes, recipe, Toy(), data)
    assert (found.epochs, found.warmup) == (epochs, 12 * epochs // 40)
    assert found == replace(recipe, epochs=found.epochs, warmup=found.warmup)
    protocol = replace(PROTOCOLS["quick"], epochs=40)
    assert protocol_in(minutes, Toy().optimum, Toy(), data, protocol) == replace(protocol, epochs=epochs)


def test_too_little_time_is_refused_with_what_an_epoch_takes(data, monkeypatch):
    monkeypatch.setattr("mixop.measure.foresight.search_estimate", lambda *given, **more: _Whole)
    recipe = replace(darts(), epochs=40, warmup=0)
    with pytest.raises(RecipeError, match=r"One epoch takes about 0\.058 minutes here, and there are 0\.01: give more"):
        recipe_in(0.01, recipe, Toy(), data)
    with pytest.raises(RecipeError, match="minutes must be greater than 0"):
        recipe_in(0, recipe, Toy(), data)


def test_too_large_a_batch_is_refused_with_one_that_fits(data, short, monkeypatch):
    found = search_estimate(short, Toy(), data)
    monkeypatch.setattr(estimate, "free_bytes", lambda device: found.fixed_bytes + 11 * found.image_bytes)
    with pytest.raises(MemoryLimitError, match="a batch size of 11 fits"):
        search_estimate(short, Toy(), data)


def test_a_batch_that_fits_is_the_recipes_own(data, short):
    assert fitting_batch(short, Toy(), data) == 16


def test_it_is_halved_until_it_fits(data, short, monkeypatch):
    images = search_estimate(short, Toy(), data).image_bytes
    fixed = search_estimate(short, Toy(), data).fixed_bytes
    for free, batch in ((16, 16), (15, 8), (9, 8), (7, 4), (3, 2)):
        free_bytes = lambda device, free=free: (fixed + free * images) * 5 // 4 + 4  # noqa: E731
        monkeypatch.setattr("mixop.measure.foresight.free_bytes", free_bytes)
        assert fitting_batch(short, Toy(), data) == batch
    monkeypatch.setattr("mixop.measure.foresight.free_bytes", lambda device: fixed)
    with pytest.raises(MemoryLimitError, match="A batch of 2 needs about"):
        fitting_batch(short, Toy(), data)


def test_it_is_halved_until_the_data_has_one(data, short):
    assert min(len(data.train), len(data.valid)) < 64
    assert fitting_batch(replace(short, batch_size=256), Toy(), data) == 32
