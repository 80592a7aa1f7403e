"""Every experiment at the scale of seconds, and its rules on numbers that show the pattern or its opposite."""

import json
import re
from collections import Counter

import numpy as np
import pytest
from markupsafe import escape

from mixop.engine.fit import check_fit
from mixop.engine.settings import Settings
from mixop.experiments.base import Findings, Panel, Request
from mixop.experiments.bench import EPOCHS
from mixop.experiments.catalogue import CATALOGUE
from mixop.experiments.computed import Computed
from mixop.experiments.geometry import BOTH
from mixop.experiments.page import headings, panels_of
from mixop.experiments.quantities import TABLE
from mixop.experiments.run import run_experiment
from mixop.experiments.searches import Searches
from mixop.runs.files import EXPERIMENT

SEARCHES = {name: experiment for name, experiment in CATALOGUE.items() if isinstance(experiment, Searches)}
ON_IMAGES = [name for name in SEARCHES if not name.startswith("one-shot")]
"""Those that need no table but the one that comes with mixop; see `test_oneshot` for the others."""

WITHOUT_TABLE = [name for name in CATALOGUE if name not in SEARCHES or name in ON_IMAGES]
every = pytest.mark.parametrize("name", CATALOGUE)


@every
def test_it_says_what_is_reported_where_and_by_which_rule_it_shows(name):
    experiment = CATALOGUE[name]
    assert re.fullmatch(r"[a-z0-9-]+", name)
    assert experiment.question.endswith("?")
    assert re.search(r"(19|20)\d\d", experiment.source)
    assert experiment.patterns
    for pattern in experiment.patterns:
        assert pattern.claim.endswith(".")
        assert pattern.rule.endswith(".")
    assert list(experiment.scales) == ["full", "medium", "small", "tiny"]


@pytest.mark.parametrize("name", ON_IMAGES)
def test_every_variant_can_be_searched_at_every_scale(name, tmp_path):
    """Whatever does not fit together would fail in a worker, after others have run for an hour."""
    experiment = SEARCHES[name]
    on = experiment.on(Request(scale="tiny", out=tmp_path))
    full = experiment.variants(EPOCHS)
    for epochs in (on.epochs, 22, EPOCHS):
        made = experiment.variants(epochs)
        assert made.keys() == full.keys()
        for variant, recipe in made.items():
            assert recipe.epochs == epochs
            paced = on.paced(recipe, full[variant])
            check_fit(paced if experiment.watch is None else experiment.watch(paced, on), on.space, on.data, Settings())


QUICK = {"rounding", "curvature-drnas", *(name for name, one in CATALOGUE.items() if isinstance(one, Computed))}
"""The others have more variants of the same kind, or many tasks."""


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in WITHOUT_TABLE])
def test_it_runs_in_seconds_and_its_page_has_everything(name, tmp_path):
    outcome = run_experiment(name, tmp_path / "out", scale="tiny", seeds=[0], jobs=1)
    assert {judged.verdict for judged in outcome.judged} == {"cannot show"}
    page = outcome.page.read_text()
    for pattern in outcome.experiment.patterns:
        assert escape(pattern.claim) in page
    content = json.loads((tmp_path / "out" / EXPERIMENT).read_text())
    read = panels_of(content)
    assert read.keys() == outcome.findings.panels.keys()
    for title, panel in outcome.findings.panels.items():
        assert read[title].names == panel.names
        assert page.count(f">{escape(headings(content)[title])}</h3></figcaption>") == 1
        assert read[title].unit == panel.unit
        for variant, values in panel.series.items():
            np.testing.assert_array_equal(read[title].series[variant], values)
        assert any(np.isfinite(values).any() for values in panel.series.values()), title


def shaped(experiment: Searches, towards: float) -> Findings:
    """Three runs of eight epochs of every variant: a pattern's own variant first, others by their place, noise aside."""
    names = Counter(map(experiment.pooled, experiment.variants(EPOCHS)))
    rng = np.random.default_rng(0)
    panels = {}
    for title in experiment.quantities:
        series = {name: towards * rng.uniform(0.5, 1.0, (3 * count, 8)) for name, count in names.items()}
        panels[title] = Panel(title, tuple(range(1, 9)), series)
    return Findings(panels)


@pytest.mark.parametrize("name", SEARCHES)
def test_its_rules_take_its_own_findings(name):
    """A rule that asks for a panel or a variant that the experiment does not have would fail after hours."""
    experiment = SEARCHES[name]
    for judged in experiment.judged(shaped(experiment, 1.0)):
        assert judged.verdict in ("shows", "does not show", "cannot show")
        assert "too few" not in judged.why


def test_splitting_is_judged_by_the_mean_over_methods_seed_by_seed():
    """Methods differ by more than levels do, so their spread must not enter the error."""
    rng = np.random.default_rng(0)
    of_method = np.repeat(rng.uniform(0.1, 0.9, len(BOTH)), 3)[:, None]
    gain = np.tile([0.01, 0.02, 0.03], len(BOTH))[:, None]
    series = {"one level": of_method, "two levels": of_method + gain}
    (judged,) = CATALOGUE["levels-all"].judged(Findings({TABLE: Panel(TABLE, (1.0,), series, percent=True)}))
    assert judged.verdict == "shows"
    assert "+2 points, standard error 0.58, 3 pairs" in judged.why
