"""A training by two processes equals the training by one, number by number, in float64."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from ranked import blobs, difference, in_float64, together
from torch import Tensor, nn

from mixop.core.errors import RecipeError
from mixop.core.optim import SGD
from mixop.core.ranks import ALONE, Ranks
from mixop.core.schedules import Cosine
from mixop.data import from_text
from mixop.data.core import Data
from mixop.engine.settings import Settings
from mixop.evaluate import training
from mixop.evaluate.averaging import MovingAverage
from mixop.evaluate.protocol import Protocol
from mixop.evaluate.retrain import Retraining
from mixop.nets.added import add_loss
from mixop.nets.discrete import build
from mixop.runs.directory import RunDirectory
from mixop.runs.records import to_record
from mixop.spaces import DartsRnn, darts
from mixop.spaces.core import Architecture, Space
from mixop.spaces.published import DARTS_V2

CLOSE = 1e-6
"""All is in float64 but for the loss, which a training takes of outputs in float32: a rounding there may fall otherwise."""

Place = Callable[[], tuple[Space, Data, Architecture]]
"""Gives a space, data and an architecture."""

SAID = "the cat sat on the mat\nthe mat was red and the cat was not\n"

PROTOCOL = Protocol(
    name="tiny",
    epochs=2,
    batch_size=12,
    optimiser=SGD(lr=Cosine(0.1, 0.0), nesterov=True),
    label_smoothing=0.1,
    clip=1.0,
    drop_path=0.3,
    accumulate=2,
    averaging=MovingAverage(),
)
"""With all that draws or averages over a batch, in pieces of 6 examples; the last batch has two."""


class Slow(nn.Module):
    """A network that adds a term to its loss: the mean square of its outputs."""

    draws = False

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.net(x)
        add_loss(0.1 * outputs.square().mean())
        return outputs


def images() -> tuple[Space, Data, Architecture]:
    data = blobs(14, 12, side=24)
    return darts(cells=2, channels=4).fit(data), data, DARTS_V2


def texts() -> tuple[Space, Data, Architecture]:
    data = from_text(train=SAID * 20, valid=SAID * 12, test=SAID * 4, window=6)
    space = DartsRnn(hidden=5, nodes=3, word_dropout=0.1, activation=0.1).fit(data)
    return space, data, space.random(Random(0))


def trained(
    ranks: Ranks, folder: Path, protocol: Protocol = PROTOCOL, place: Place = images
) -> tuple[dict[str, Any], list[Any], Any]:
    space, data, architecture = place()
    folder.mkdir(exist_ok=True)
    run, records = RunDirectory(folder, owned=ranks.leads), []
    networks = [("found", architecture)]
    with run.locked():
        job = Retraining(networks, space, data, protocol, run, Settings(seed=1), lambda r: records.append(dict(r)), ranks)
        job.claim()
        score = job.run()
    state = job.state.state_dict()
    del state["at"]  # epoch, step and seconds
    return state, records, [to_record(network) for network in score.networks]


def compare(ranks: Ranks, folder: Path, protocol: Protocol, place: Place = images) -> float:
    """The difference between the training of one process and that of all; the first one compares."""
    in_float64()
    together = trained(ranks, folder / "together", protocol, place)
    return difference(trained(ALONE, folder / "alone", protocol, place), together) if ranks.leads else 0.0


def test_a_training_by_two_processes_is_that_of_one(tmp_path):
    assert together(2, tmp_path, compare, tmp_path, PROTOCOL)[0] < CLOSE


def test_so_is_one_of_a_text_whose_state_goes_from_window_to_window(tmp_path):
    protocol = replace(PROTOCOL, label_smoothing=0.0, drop_path=0.0, accumulate=1, batch_size=5)
    assert together(2, tmp_path, compare, tmp_path, protocol, texts)[0] < CLOSE


@pytest.mark.slow
def test_so_is_one_with_an_auxiliary_head(tmp_path):
    protocol = replace(PROTOCOL, epochs=1, auxiliary=0.4)
    assert together(2, tmp_path, compare, tmp_path, protocol)[0] < CLOSE


@pytest.mark.slow
def test_a_training_by_three_processes_has_batches_that_each_computes_whole(tmp_path):
    assert together(3, tmp_path, compare, tmp_path, PROTOCOL)[0] < CLOSE


def with_a_term(ranks: Ranks, folder: Path) -> list[float]:
    in_float64()
    training.build = lambda *args, **kwargs: Slow(build(*args, **kwargs))  # type: ignore[assignment]
    plain = replace(PROTOCOL, epochs=1, drop_path=0.0, accumulate=1)
    both = trained(ranks, folder / "both", plain)
    if not ranks.leads:
        return []
    one = trained(ALONE, folder / "one", plain)
    training.build = build  # type: ignore[assignment]
    return [difference(one[1], both[1]), difference(one[1], trained(ALONE, folder / "without", plain)[1])]


def test_terms_that_a_network_adds_are_means_over_the_whole_batch(tmp_path):
    same, without = together(2, tmp_path, with_a_term, tmp_path)[0]
    assert same < CLOSE
    assert without > 1e-4, "the term must matter"


def test_a_batch_without_an_example_for_a_process_is_refused(tmp_path):
    data = blobs(14, 12, side=24)
    with pytest.raises(RecipeError, match="A batch of 12 has no example for some of the 13 processes"):
        Retraining(
            [("found", DARTS_V2)],
            darts(cells=2, channels=4).fit(data),
            data,
            PROTOCOL,
            RunDirectory(tmp_path),
            Settings(),
            ranks=Ranks(0, 13),
        )
