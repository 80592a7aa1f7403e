"""Runs in models: exact resume after a kill, models that only one process has, two searches at once, all that follows."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Thread

import own_nets
import pytest
import torch
from killed import kill_after, result_of

from mixop import api
from mixop.comparison.select import select
from mixop.core.errors import RecipeError, SpaceError
from mixop.data import from_arrays
from mixop.evaluate.export import export
from mixop.evaluate.protocol import PROTOCOLS
from mixop.evaluate.trained import evaluate_run, load_network, read_space
from mixop.nets.modules.space import in_module
from mixop.recipes import darts, gdas
from mixop.report.html import write_report
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.testing import first_difference

NAMED = "own_nets:Small"
PROTOCOL = replace(PROTOCOLS["quick"], epochs=2, batch_size=8)


def pictures():
    y = torch.arange(60) % 3
    x = torch.randn(60, 1, 6, 6, generator=torch.Generator().manual_seed(0)) + y.view(-1, 1, 1, 1)
    return from_arrays(x, y, valid=0.5, test_share=0.2, name="tiny", layout="nchw")


def searched(space, out, observe=None, recipe=None, **settings):
    short = replace(recipe or darts(), epochs=3, batch_size=8, warmup=0)
    space = in_module(space) if isinstance(space, str) else space
    return api.search(short, space, pictures(), out, checkpoint_seconds=0, observe=observe, **settings)


def test_a_killed_search_of_a_named_model_ends_like_one_left_alone(tmp_path):
    searched(NAMED, tmp_path / "whole")
    kill_after(4, searched, NAMED, tmp_path / "torn")
    result = api.resume(tmp_path / "torn", pictures())
    assert isinstance(result, api.SearchResult)
    one, other = (checkpoint.load(tmp_path / name / "state.pt")["search"] for name in ("whole", "torn"))
    assert first_difference(one, other) is None
    network = api.retrain(result.architecture, result.space, pictures(), tmp_path / "torn", protocol=PROTOCOL, random=1)
    net, test = load_network(tmp_path / "torn"), pictures().batch(pictures().test)
    with torch.no_grad():
        assert network.measures["accuracy"] == (net(test.x).argmax(1) == test.y).double().mean().item()
    assert evaluate_run(tmp_path / "torn", pictures()).measures == network.measures
    assert export(tmp_path / "torn")["largest_difference"] < 1e-5
    assert result.native in write_report(tmp_path / "torn").read_text()


def reads(run):
    """What another process does with the run of a model that it does not have."""
    try:
        return str(read_space(RunDirectory(run)).groups)
    except SpaceError as error:
        return str(error)


def test_a_model_that_is_held_is_resumed_where_it_is_held_and_refused_elsewhere(tmp_path):
    model = own_nets.Small()

    class StopError(Exception):
        pass

    def stop(record):
        if record.get("event") == "step" and record["epoch"] == 2:
            raise StopError

    with pytest.raises(StopError):
        searched(in_module(model), tmp_path / "run", stop)
    said = result_of(reads, tmp_path / "run")
    assert "was made from an object of a program (Small), which this process does not have" in said
    result = api.resume(tmp_path / "run", pictures())
    whole = searched(in_module(model), tmp_path / "whole")
    assert result.native == whole.native
    assert first_difference(*(checkpoint.load(tmp_path / n / "state.pt")["search"]["net"] for n in ("run", "whole"))) is None
    # Another model of the same class is another space.
    torch.manual_seed(5)
    with pytest.raises(api.RunError, match="holds another run"):
        searched(in_module(own_nets.Small()), tmp_path / "run")


SCRIPT = """
import torch, mixop
from dataclasses import replace
from mixop.data import from_arrays
from mixop.nets.modules.choice import Choice
from mixop.nets.modules.space import in_module
from torch import nn

class Mine(nn.Module):
    def __init__(self, outputs=3):
        super().__init__()
        self.pick = Choice([nn.Linear(4, outputs), nn.Linear(4, outputs, bias=False)])
    def forward(self, x):
        return self.pick(x)

x, y = torch.randn(40, 4), torch.arange(40) % 3
data = from_arrays(x, y, valid=0.5, test_share=0.2, name="rows")
recipe = replace(mixop.recipes.darts(), epochs=1, batch_size=8, warmup=0)
print(mixop.search(recipe, in_module(Mine), data, "run").native)
"""


@pytest.mark.slow
def test_a_model_of_a_script_is_searched_by_the_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("pick="), done.stderr


def test_two_searches_at_once_are_two_searches(tmp_path):
    for name, recipe in (("one", darts()), ("two", gdas())):
        searched(NAMED, tmp_path / "alone" / name, recipe=recipe)
    wrong: list[BaseException] = []

    def run(name, recipe):
        try:
            searched(NAMED, tmp_path / "beside" / name, recipe=recipe)
        except BaseException as error:
            wrong.append(error)

    threads = [Thread(target=run, args=pair) for pair in (("one", darts()), ("two", gdas()))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    for name in ("one", "two"):
        states = (checkpoint.load(tmp_path / how / name / "state.pt")["search"] for how in ("alone", "beside"))
        assert first_difference(*states) is None


def test_the_best_of_two_seeds_is_selected(tmp_path):
    found = [searched(NAMED, tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    assert select(found, pictures(), tmp_path / "out", protocol=replace(PROTOCOL, epochs=1)) in found


def test_what_no_file_can_name_is_refused():
    def inside():
        return own_nets.Small()

    with pytest.raises((SpaceError, RecipeError), match="what makes the model"):
        in_module(inside)
    with pytest.raises((SpaceError, RecipeError), match="what makes the model"):
        in_module(lambda: own_nets.Small())
    assert Path(own_nets.__file__).exists()
