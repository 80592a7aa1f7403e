"""How long trainings take, and that each is made once."""

from dataclasses import replace

import pytest
import torch

from mixop.core.errors import DivergedError
from mixop.data.arrays import from_arrays
from mixop.engine.settings import Settings
from mixop.finder.contender import Contender, Entry
from mixop.finder.costs import Limits
from mixop.finder.ledger import Ledger
from mixop.finder.plan import AHEAD_OF_MEASURED
from mixop.finder.portfolio import Member, by_hand
from mixop.finder.trainer import Trainer
from mixop.runs.directory import RunDirectory


@pytest.fixture
def data():
    """Synthetic: 40 examples to train on, 20 to compare by, 20 for the test."""
    y = torch.arange(80) % 2
    x = torch.randn(80, 3, generator=torch.Generator().manual_seed(0)) + y.view(-1, 1)
    return from_arrays(x.numpy(), y.numpy(), valid=1 / 3, test_share=0.25)


@pytest.fixture
def network(data) -> Contender:
    found, _ = Entry(data, Limits()).member(Member(by_hand(data)[0], 4))
    assert found is not None
    return found


@pytest.fixture
def make(data, tmp_path):
    """Makes a trainer of one directory, which says what happens to a list."""

    def made(said):
        run = RunDirectory(tmp_path / "run")
        run.path.mkdir(exist_ok=True)
        return Trainer(run, data, Ledger(run), None, Settings(threads=1), said.append, observe=None, progress=False)

    return made


def test_epochs_on_all_examples_take_longer_by_the_share_of_the_validation_part(make, network, monkeypatch):
    monkeypatch.setattr(Trainer, "seconds_per_epoch", lambda self, contender: 2.0)
    trainer = make([])
    assert trainer.epochs_on_all(network, 36.1) == 12, "60 examples in place of 40: 3 seconds each"
    assert trainer.epochs_on_all(network, 36.1, after_a_short_one=True) == 7, "3 and 2 seconds"
    assert trainer.epochs_on_all(network, 1.0) == 3, "no fewer than the fewest"
    assert trainer.epochs_on_all(network, 1e6) == 400
    assert trainer.lengths([network], 20.1) == {network.label: 10}


def test_a_short_training_is_made_once_and_times_the_next(make, network):
    first = make([])
    ((_, trial),) = first.raced(1, [network], {network.label: 3})
    assert trial.epochs == 3
    assert first.seconds_per_epoch(network) == pytest.approx(AHEAD_OF_MEASURED * max(trial.seconds / 3, 1e-4))
    again = make([])
    again.train = None  # type: ignore[assignment]  # nothing is trained again
    assert again.raced(1, [network], {network.label: 3}) == [(network, trial)]
    assert again.trials == first.trials == [trial]


def test_a_network_that_diverges_is_left_out_and_named(make, network, monkeypatch):
    said: list[str] = []
    trainer, other = make(said), replace(network, label="other")
    honest = trainer.train

    def train(contender, place, epochs, **scope):
        if contender is other:
            raise DivergedError("the loss is not finite")
        return honest(contender, place, epochs, **scope)

    monkeypatch.setattr(trainer, "train", train)
    raced = trainer.raced(1, [other, network], {"other": 3, network.label: 3})
    assert [contender for contender, _ in raced] == [network]
    assert said == ["other diverged and is left out."]
