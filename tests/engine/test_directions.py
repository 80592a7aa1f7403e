"""Where a search compares two values of a measure that is better when lower, it never prefers the larger one."""

from dataclasses import dataclass, replace

import pytest
import torch

from mixop import api
from mixop.bilevel.score_function import ScoreFunction
from mixop.core.optim import SGD
from mixop.core.schedules import Constant
from mixop.data import from_arrays
from mixop.derive.perturbation import PerturbationSelection
from mixop.derive.sampled import BestSampled
from mixop.engine.finish import TrainedSearch
from mixop.engine.loop import Search
from mixop.engine.score import one_path, score
from mixop.engine.settings import Settings
from mixop.monitors.base import Action, Continue, Monitor, View
from mixop.monitors.collapse import Collapse
from mixop.recipes import darts
from mixop.relax.categorical import Categorical
from mixop.report.html import write_report
from mixop.runs.directory import RunDirectory
from mixop.spaces import CellSpace

SPACE = CellSpace(operations=("none", "skip_connect", "nor_conv_1x1"), nodes=3, channels=4, cells=1, stages=1)


@pytest.fixture(scope="module")
def data():
    """Numbers to predict from signals: the measure that ranks is their root mean square error."""
    x = torch.randn(96, 2, 6, generator=torch.Generator().manual_seed(0))
    return from_arrays(x, 10 + 3 * x.mean((1, 2)), valid=0.5, test_share=0.25)


def recipe(**changes):
    return replace(darts(), **{"epochs": 2, "batch_size": 12, **changes})


@pytest.fixture
def search(data, tmp_path):
    def make(**changes):
        (tmp_path / "run").mkdir(exist_ok=True)
        return Search(recipe(**changes), SPACE.fit(data), data, RunDirectory(tmp_path / "run"), Settings())

    return make


def test_keep_best_takes_the_epoch_of_the_lowest_error(data, tmp_path):
    jumping = SGD(lr=Constant(200.0), momentum=0.0, weight_decay=0.0)  # another architecture nearly every epoch
    found = api.search(recipe(epochs=6, keep="best", architecture_optimiser=jumping), SPACE, data, tmp_path / "run")
    best = min(found.history, key=lambda record: record.valid["rmse"])
    worst = max(found.history, key=lambda record: record.valid["rmse"])
    assert best.valid["rmse"] < worst.valid["rmse"]
    assert found.native == best.architecture


def test_the_best_of_all_architectures_has_the_lowest_error(search, data):
    job = search(derivation=BestSampled(samples=SPACE.size(), batches=None, by="probability"))
    found = job.run()
    errors = {}
    for architecture in job.space.architectures():
        mix, _ = one_path(job.space, architecture, job.mean())
        errors[architecture] = score(job.state.net, data, mix, batch_size=12, norm="batch")["rmse"]
    assert min(errors.values()) < max(errors.values())
    assert errors[found] == min(errors.values())


@pytest.mark.parametrize("criterion", ["measure", "loss"])
def test_perturbation_keeps_the_option_whose_removal_raises_the_error_most(search, criterion):
    job = search()
    job._train(2)
    trained = TrainedSearch(job.state, job.problem, job.data, train=job._train, save=job.save, pause=lambda: None)
    rule = PerturbationSelection(interval=0, criterion=criterion)
    mean, name = trained.mean(), "cell"
    harms = []
    for option in range(3):
        without = mean[name].clone()
        without[0, option] = 0.0
        measured = score(job.state.net, job.data, {name: without}, batch_size=12, norm="batch", progress=job.problem.progress)
        harms.append(measured["rmse" if criterion == "measure" else "loss"])
    assert rule._most_needed(trained, name, 0) == max(range(3), key=lambda o: harms[o])


def test_the_reward_of_a_policy_falls_with_the_error(search):
    job = search(relaxation=Categorical(), scheme=ScoreFunction(samples=1))
    job.begin_epoch()
    job.problem.begin_step()
    rewards = []
    for shift in (0.0, 5.0):
        batch = job.data.batch(job.data.valid[:12])
        job.problem.draw_loss(None, job.problem.draw(job.state.params), batch._replace(y=batch.y + shift))
        error = (job.data.task.predict(job.problem.seen.outputs).flatten() - (batch.y + shift).flatten()).square().mean().sqrt()
        assert job.problem.rewards([job.problem.measured()])[0] == pytest.approx(-error.item(), rel=1e-5)  # float32
        rewards += job.problem.rewards([job.problem.measured()])
    assert rewards[1] < rewards[0]


def test_the_gap_is_positive_where_the_derived_network_has_the_larger_error(data, tmp_path):
    found = api.search(recipe(monitors=(Collapse(gap=True),)), SPACE, data, tmp_path / "run")
    job = Search(found.recipe, found.space, data, RunDirectory(tmp_path / "run"), Settings())
    job.restore()
    mean, last = job.mean(), found.history[-1]
    mix, active = one_path(found.space, found.space.from_native(last.architecture), mean)
    errors = [score(job.state.net, data, *which, batch_size=256)["rmse"] for which in ((mean,), (mix, active))]
    assert last.columns["gap"] == pytest.approx(errors[1] - errors[0], rel=1e-4)  # float32


@dataclass(frozen=True)
class Temperature(Monitor):
    """A monitor of a user, with a column that nobody has heard of."""

    def __call__(self, view: View) -> Action:
        return Continue()

    def columns(self, view: View):
        return {"room_temperature": 20.0 + view.epoch, "remark": "warm"}


def test_a_new_column_of_a_monitor_reaches_the_page(data, tmp_path):
    found = api.search(recipe(monitors=(Temperature(),)), SPACE, data, tmp_path / "run")
    assert [record.columns["room_temperature"] for record in found.history] == [20.0, 21.0]
    page = write_report(found.out).read_text()
    assert "oom temperature" in page
    assert "warm" in page
