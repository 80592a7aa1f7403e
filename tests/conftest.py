"""Fixtures for every test: one torch thread, and tiny data."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from html import escape
from multiprocessing.context import BaseContext

# Before torch is loaded, and for children too: a thread that waits must not keep the other processes from their core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch
import unsynced  # noqa: F401
from torch import nn

from mixop.core import trust
from mixop.report import comparison_plots, plots

pytest_plugins = ["made_runs", "made_choices"]  # in tests/support

torch.set_num_threads(1)  # the suite runs in parallel processes; nets are tiny

# Under nohup, or in the background of a script, signals are ignored, and children inherit that.
for _name, _handler in (("SIGINT", signal.default_int_handler), ("SIGTERM", signal.SIG_DFL), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, _name) and signal.getsignal(getattr(signal, _name)) is signal.SIG_IGN:
        signal.signal(getattr(signal, _name), _handler)


# There is one server that children are forked from. It imports what any of them need, whoever asks for it first.
_PRELOAD = [
    "unsynced",
    "pytest",
    "sklearn.datasets",
    "mixop.testing",
    "mixop.recipes",
    "mixop.comparison.compare",
    "mixop.report.html",
]
_set_preload = BaseContext.set_forkserver_preload
BaseContext.set_forkserver_preload = lambda self, names: _set_preload(self, sorted({*_PRELOAD, *names}))


def pytest_collection_finish() -> None:
    """Torch and thousands of tests are a million objects that stay: looking through them again and again takes long."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


@pytest.fixture(autouse=True)
def _allowed_modules() -> Iterator[None]:
    """What a test's words name is not allowed in the next test. The command line forgets it by itself."""
    before = set(trust._allowed)
    yield
    trust._allowed.clear()
    trust._allowed.update(before)


@pytest.fixture(autouse=True)
def _figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures have their words alone, which takes no time; a test of what is drawn asks for ``drawn``."""
    if "drawn" in request.fixturenames:
        return

    def words(*_: object, description: str, **__: object) -> str:
        return f'<svg role="img" aria-label="{escape(description)}"></svg>'

    for module, names in ((plots, "lines heatmap strips ranking confusion"), (comparison_plots, "dots inside anytime")):
        for name in names.split():
            monkeypatch.setattr(module, name, words)


@pytest.fixture
def drawn() -> None:
    """Figures are drawn in this test, as they are for users."""


@pytest.fixture
def golden_fill() -> Callable[[nn.Module], None]:
    """The order-independent fill of methods 10.1: ``W = 0.5 sin(1 + i0 + 2 i1 + 3 i2 + 5 i3)``, linear bias ``0.1 cos(i)``."""

    def fill(net: nn.Module) -> None:
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                grids = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in module.weight.shape), indexing="ij")
                angle = 1 + sum(factor * grid for factor, grid in zip((1, 2, 3, 5), grids, strict=False))
                with torch.no_grad():
                    module.weight.copy_(0.5 * torch.sin(angle))
                    if module.bias is not None:
                        module.bias.copy_(0.1 * torch.cos(torch.arange(len(module.bias), dtype=torch.float64)))

    return fill


@pytest.fixture
def golden_images() -> Callable[[int], torch.Tensor]:
    """``x[n,c,h,w] = sin(0.7n + 1.3c + 0.31h + 0.17w + 0.05hw)``, shape (4, 3, H, H), float64."""

    def images(size: int) -> torch.Tensor:
        n, c, h, w = torch.meshgrid(*(torch.arange(k, dtype=torch.float64) for k in (4, 3, size, size)), indexing="ij")
        return torch.sin(0.7 * n + 1.3 * c + 0.31 * h + 0.17 * w + 0.05 * h * w)

    return images
