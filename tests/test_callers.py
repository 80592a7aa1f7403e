"""Whatever the caller has set, every entry point gives the same numbers and leaves the settings as they were."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from callers import CALLERS
from torch import Generator

import mixop
from mixop.comparison.evaluators import Optimum
from mixop.core.schedules import Constant
from mixop.core.surroundings import undisturbed
from mixop.data.toy import toy_set
from mixop.engine.settings import Settings
from mixop.evaluate import PROTOCOLS, evaluate_run
from mixop.measure import foresight, speed
from mixop.nets import costs
from mixop.runs import checkpoint
from mixop.searchers import Controller, run_search
from mixop.spaces.toy import Toy
from mixop.tabulate.build import tabulate
from mixop.tabulate.how import Tabulation
from mixop.wraps import DropPath

SPACE = mixop.spaces.nasbench201(channels=4, cells=1, stages=1, operations=("skip_connect", "nor_conv_1x1"))
SIZED = replace(SPACE, input_shape=(1, 8, 8), outputs=3)
RECIPE = replace(
    mixop.recipes.drnas(epochs=2), batch_size=16, wraps=(DropPath(probability=Constant(0.2)),), stages=(), warmup=0
)
PROTOCOL = replace(PROTOCOLS["quick"], epochs=1, batch_size=16, drop_path=0.2)
SHORT = Optimum(protocol=replace(Optimum().protocol, epochs=1, batch_size=16))
ONE = {"seeds": [0], "jobs": 1, "budget_seconds": 0.001}


def numbers():
    """96 images of three classes."""
    return np.random.default_rng(0).integers(0, 256, (96, 1, 8, 8), dtype=np.uint8), np.arange(96) % 3


def data():
    return mixop.data.from_arrays(*numbers(), layout="nchw")


def weights(net):
    return [value.clone() for value in net.state_dict().values()]


def search(place):
    found = mixop.search(RECIPE, SPACE, data(), place.new / "run")
    return found.native, checkpoint.load(found.out / "state.pt")["search"]["net"]


def resume(place):
    def stop(record):
        if record.get("event") == "step":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mixop.search(RECIPE, SPACE, data(), place.new / "run", observe=stop, checkpoint_seconds=0)
    found = mixop.resume(place.new / "run", data())
    return found.native, checkpoint.load(found.out / "state.pt")["search"]["net"]


def retrain(place):
    result = mixop.retrain(place.found.architecture, SPACE, data(), place.new / "run", protocol=PROTOCOL)
    for value in result.model.parameters():  # an ordinary module, to be trained on
        value.requires_grad_()
    return weights(result.model), result.measures


def select(place):
    mixop.select([place.found], data(), place.new / "run", protocol=PROTOCOL)
    return (place.new / "run" / "selection.json").read_bytes()


def load_network(place):
    return weights(mixop.load_network(place.run))


def evaluate(place):
    found = evaluate_run(place.run, data())
    return found.measures, found.details


def export(place):
    found = mixop.export(place.run, out=place.new / "model.pt2")
    with undisturbed():
        return torch.export.load(found["path"]).module()(torch.full((3, 1, 9, 11), 100, dtype=torch.uint8))


def tables(place):
    file = tabulate(SPACE, data(), Tabulation(epochs=1, batch_size=16, seeds=1), place.new / "made.npz", group=2, limit=3)
    with np.load(file) as found:
        return {name: torch.from_numpy(found[name]) for name in ("train_loss", "valid_loss", "test_loss", "flops")}


def speeds(place):
    return speed.flops(speed.Case(recipe=RECIPE, space=SIZED, settings=Settings()))


def estimates(place):
    search = foresight.search_estimate(RECIPE, SPACE, data())
    training = foresight.retraining_estimate(place.found.architecture, SPACE, data(), PROTOCOL)
    return search.peak_bytes, training.peak_bytes, foresight.fitting_batch(RECIPE, SPACE, data())


def compare(place):
    recipe = replace(mixop.recipes.darts(epochs=1), batch_size=16)
    result = mixop.compare({"darts": recipe}, Toy(), toy_set(), place.new / "run", evaluate=SHORT, **ONE)
    (run,) = (run for run in result.lines() if run["method"] == "darts")
    return run["architecture"], run["score"], run["entropy"]


def black_box(place):
    found = run_search(Controller(), Toy(), lambda architecture, epochs: (len(str(architecture)) % 7, 1.0), max_trials=5)
    return [row.architecture for row in found.rows]


def multiply_adds(place):
    costs.measured.cache_clear()
    found = costs.measured(SIZED, "flops")
    with undisturbed():  # they take part in gradients
        return {name: value * torch.ones((), requires_grad=True) for name, value in found.options.items()}, found.fixed


def contract(place):
    mixop.testing.check_relaxation(mixop.relax.Dirichlet())
    return


ENTRIES = (
    *(search, resume, retrain, select, load_network, evaluate, export),
    *(tables, speeds, estimates, compare, black_box, multiply_adds, contract),
)


def settings():
    """What a caller may have set, and what it draws next."""
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        torch.get_rng_state().tolist(),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished search with its retraining, and what each entry point gives as usual."""
    folder = tmp_path_factory.mktemp("callers")
    found = mixop.search(RECIPE, SPACE, data(), folder / "run")
    mixop.retrain(found.architecture, SPACE, data(), folder / "run", protocol=PROTOCOL)
    usual = {}

    def expected(entry):
        if entry not in usual:
            usual[entry] = entry(SimpleNamespace(found=found, run=folder / "run", new=tmp_path_factory.mktemp("usual")))
        return usual[entry]

    return SimpleNamespace(found=found, run=folder / "run", expected=expected)


# Numbers and places reach every entry; how gradients are kept is asked of each where a network learns.
ALWAYS, LEARN = {"inference_mode", "default dtype", "default device"}, {search, retrain}


def slow(entry, caller):
    return (entry is export and caller != "inference_mode") or (caller not in ALWAYS and entry not in LEARN)


CASES = [
    pytest.param(entry, caller, id=f"{entry.__name__}-{caller}", marks=[pytest.mark.slow] if slow(entry, caller) else [])
    for entry in ENTRIES
    for caller in CALLERS
]


@pytest.mark.parametrize(("entry", "caller"), CASES)
def test_what_the_caller_has_set_changes_nothing(entry, caller, made, tmp_path):
    expected = made.expected(entry)
    with CALLERS[caller]():
        before = settings()
        found = entry(SimpleNamespace(found=made.found, run=made.run, new=tmp_path))
        assert settings() == before
    assert mixop.testing.first_difference(found, expected) is None


def test_two_searches_in_two_threads_give_what_each_gives_alone(made, tmp_path):
    """Each waits for the other after every step, so that neither is done before the other begins."""
    found, together = {}, threading.Barrier(2, timeout=100)

    def observe(record):
        if record.get("event") == "step":
            together.wait()

    def run(name):
        result = mixop.search(RECIPE, SPACE, data(), tmp_path / name, observe=observe)
        found[name] = result.native, checkpoint.load(result.out / "state.pt")["search"]["net"]

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mixop.testing.first_difference(found["one"], made.expected(search)) is None
    assert mixop.testing.first_difference(found["other"], made.expected(search)) is None


def test_a_search_and_a_caller_that_draws_do_not_see_each_other(made, tmp_path):
    drawn = []

    def draw(record):
        thread = threading.Thread(target=lambda: drawn.append(torch.rand(7)))
        thread.start()
        thread.join()
        drawn.append(torch.rand(7))

    torch.manual_seed(3)
    found = mixop.search(RECIPE, SPACE, data(), tmp_path / "run", observe=draw)
    state = checkpoint.load(found.out / "state.pt")["search"]["net"]
    assert mixop.testing.first_difference((found.native, state), made.expected(search)) is None
    assert torch.equal(torch.cat(drawn), torch.rand(7 * len(drawn), generator=Generator().manual_seed(3)))
