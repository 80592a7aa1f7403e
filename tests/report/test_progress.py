"""The line that says how far a run is: shown where somebody looks, kept short, and taken away at the end."""

import io
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

import mixop
from mixop.comparison.evaluators import Optimum
from mixop.core.measure import ACCURACY, LOSS
from mixop.data.toy import toy_set
from mixop.report import progress
from mixop.report.progress import WIDEST, Line, where_one_looks
from mixop.spaces.toy import Toy

RECIPE = replace(mixop.recipes.darts(epochs=2), batch_size=16)
PROTOCOL = replace(mixop.evaluate.PROTOCOLS["quick"], epochs=2, batch_size=16)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Every step renews the line."""
    monkeypatch.setattr(progress, "SECONDS", 0.0)


@pytest.fixture
def terminal(monkeypatch):
    """Called in a test: pytest puts its own stream in place before."""

    def begin():
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return begin


def shown(stream):
    """What stood on the line, one after the other."""
    return [line.rstrip() for line in stream.getvalue().split("\r") if line.strip()]


def search(out, **options):
    return mixop.search(RECIPE, Toy(), toy_set(Toy(), n=64), out, **options)


def test_a_search_and_a_training_say_how_far_they_are_in_a_terminal(terminal, tmp_path):
    stream = terminal()
    found = search(tmp_path / "run")
    lines = shown(stream)
    assert lines[0] == "darts  epoch 1 of 2, step 1 of 2"
    assert "epoch 2 of 2, step 2 of 2  loss" in lines[-1]
    assert "accuracy" in lines[-1]
    assert all(len(line) <= WIDEST for line in lines)
    assert stream.getvalue().endswith("\r"), "nothing is left of it"
    stream = terminal()
    mixop.retrain(found.architecture, found.space, toy_set(Toy(), n=64), tmp_path / "run", protocol=PROTOCOL, random=1)
    lines = shown(stream)
    assert lines[0].startswith("training  found  epoch 1 of 2, step 1 of 4")
    assert lines[-1].startswith("training  random 1  epoch 2 of 2")


def test_a_comparison_counts_its_runs(terminal, tmp_path):
    stream = terminal()
    short = Optimum(protocol=replace(Optimum().protocol, epochs=1, batch_size=16))
    given = {"seeds": range(2), "jobs": 1, "evaluate": short, "budget_seconds": 0.001}
    mixop.compare({"mine": RECIPE}, Toy(), toy_set(Toy(), n=64), tmp_path / "all", **given)
    lines = shown(stream)
    assert lines[0] == "comparing  0 of 4 runs done, mine-0 epoch 1 of 2"
    assert any(line.startswith("comparing  1 of 4 runs done, mine-1 epoch") for line in lines)


def test_it_is_quiet_on_request_where_nobody_looks_and_where_another_observes(terminal, tmp_path, monkeypatch):
    stream = terminal()
    search(tmp_path / "quiet", progress=False)
    seen = []
    search(tmp_path / "observed", observe=seen.append)
    assert seen
    assert stream.getvalue() == ""
    search(tmp_path / "both", observe=seen.append, progress=True)
    assert shown(stream)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    search(tmp_path / "file")
    assert sys.stderr.getvalue() == ""


def test_in_a_notebook_it_stands_among_the_output(monkeypatch):
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert where_one_looks() is sys.stdout
    shell.kernel = None  # IPython in a terminal
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert where_one_looks() is sys.stderr
    monkeypatch.setattr(sys, "stderr", None)  # a program without a console
    assert where_one_looks() is None


def test_a_terminal_that_goes_away_ends_nothing():
    class Gone(Terminal):
        def write(self, text):
            raise OSError("gone")

    with Line("search", (ACCURACY, LOSS)) as line:
        line.stream = Gone()
        line({"event": "step", "epoch": 1, "epochs": 2, "step": 1, "steps": 2})
