"""A set of random images and a space whose networks train in a fraction of a second."""

from pathlib import Path

import pytest
import torch

from mixop.core.optim import SGD
from mixop.data import from_arrays
from mixop.data.core import Data
from mixop.data.images.augment import Augment
from mixop.engine.settings import Settings
from mixop.evaluate.protocol import Protocol
from mixop.evaluate.retrain import Retraining
from mixop.runs.directory import RunDirectory
from mixop.spaces import CellSpace


@pytest.fixture(scope="session")
def tiny_data() -> Data:
    """36 training and 9 test images of 1x4x4 pixels in three classes that differ in their mean."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(45) % 3
    x = torch.randn(45, 1, 4, 4, generator=generator) + y.view(-1, 1, 1, 1)
    return from_arrays(x, y, valid=0.5, test_share=0.2, name="tiny", layout="nchw", augment=Augment(crop=1, flip=True))


@pytest.fixture(scope="session")
def tiny_space() -> CellSpace:
    """One cell of one edge pair and 4 channels: 27 architectures."""
    return CellSpace(
        operations=("none", "skip_connect", "nor_conv_3x3"),
        nodes=3,
        channels=4,
        cells=1,
        stages=1,
        input_shape=(1, 4, 4),
        outputs=3,
    )


@pytest.fixture(scope="session")
def trained_run(tiny_data, tiny_space, tmp_path_factory) -> Path:
    """The directory of a finished retraining; tests that change it work on a copy."""
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "trained")
    protocol = Protocol(name="tiny", epochs=2, batch_size=9, optimiser=SGD(lr=0.05))
    job = Retraining([("found", tiny_space.architecture([(2, 1, 2)]))], tiny_space, tiny_data, protocol, run, Settings())
    with job.run_directory.locked():
        job.claim()
    job.run()
    return run.path
