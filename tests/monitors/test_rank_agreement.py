"""Agreement of two orders during a search: against SciPy, from a checkpoint on, and against the ranking of a finished one."""

from dataclasses import replace

import pytest
import scipy.stats

from mixop import api
from mixop.core.errors import DataError, RecipeError, RunError
from mixop.data import Digits, Split
from mixop.engine.fit import check_fit
from mixop.engine.settings import Settings
from mixop.evaluate.ranking import rank
from mixop.monitors.rank_agreement import RankAgreement
from mixop.nets.ops import BatchNorm
from mixop.recipe.parts import recipe_from_json, recipe_to_json
from mixop.recipes import darts, rsws
from mixop.relax import Softmax
from mixop.runs.directory import RunDirectory
from mixop.spaces.nasbench201 import NasBench201, NasBench201Digits
from mixop.spaces.toy import Toy
from mixop.tables.catalogue import open_table

TABLE = open_table("nasbench201-digits")
WHERE = {"table": "nasbench201-digits", "dataset": "digits", "length": 12}
DATA = Digits(split=Split(train=64, valid=96)).load()
SPACE = NasBench201Digits()
RECIPE = replace(rsws(epochs=3), batch_size=32, norm=BatchNorm(affine=False, track=True))


def scored(search, worth):
    """The search with what each architecture is worth by its text, whatever batch norm uses."""
    search.worth = lambda architecture, batches, norm: worth(SPACE.to_native(architecture), norm)
    return search


def test_the_columns_are_those_of_scipy(view):
    asked = []

    def worth(native, norm):
        asked.append(native)
        return (hash_of(native) % 7) * (1 if norm == "batch" else -1)

    search = scored(view(space=SPACE, epochs=4), worth)
    monitor = RankAgreement(**WHERE, architectures=12, every=2, seed=5, norms=("batch", "running"))
    assert monitor.columns(search) == {"tau_batch": None, "tau_running": None}
    monitor(search)
    assert not asked, "the first epoch is not measured"
    search.epoch = 1
    monitor(search)
    natives = asked[:12]
    assert asked == natives * 2
    assert len(set(natives)) == 12
    trained = [TABLE.query(native, dataset="digits", split="valid", epochs=12) for native in natives]
    expected = scipy.stats.kendalltau([hash_of(native) % 7 for native in natives], trained).statistic
    assert monitor.columns(search) == pytest.approx({"tau_batch": expected, "tau_running": -expected})
    search.epoch = 2
    monitor(search)
    assert monitor.columns(search) == {"tau_batch": None, "tau_running": None}
    search.epoch = 3
    monitor(search)
    assert asked == natives * 4, "the last epoch is measured, on the same architectures"


def hash_of(native):
    return sum(map(ord, native))


def test_equal_scores_are_no_order(view):
    search = scored(view(space=SPACE, epochs=1), lambda native, norm: 1.0)
    monitor = RankAgreement(**WHERE, architectures=5)
    monitor(search)
    assert monitor.columns(search) == {"tau_batch": None}


def test_a_stage_leaves_out_what_it_has_no_more(view):
    seen = []
    search = scored(view(space=SPACE, epochs=2), lambda native, norm: seen.append(native) or float(hash_of(native)))
    monitor = RankAgreement(**WHERE, architectures=729)
    monitor(search)
    search.space = SPACE.prune({"cell": [[1, 2]] * 6})
    search.epoch, seen[:] = 1, []
    monitor(search)
    assert len(seen) == len(set(seen)) == 64


def test_at_the_end_it_is_the_ranking_of_the_finished_search_also_after_a_stop(tmp_path):
    norms = ("batch", "running", "recalibrated")
    watched = replace(RECIPE, monitors=(RankAgreement(**WHERE, architectures=6, every=2, norms=norms),))
    whole = api.search(watched, SPACE, DATA, tmp_path / "whole", seed=1)
    for norm in norms:
        ranked = rank(str(tmp_path / "whole"), DATA, TABLE, dataset="digits", epochs=12, architectures=6, norm=norm)
        assert whole.history[-1].columns[f"tau_{norm}"] == ranked.tau
    assert [record.columns["tau_batch"] is None for record in whole.history] == [True, False, False]

    def stop(record):
        if record.get("phase") == "search" and record.get("epoch") == 2 and "valid" in record:
            raise RunError("Stopped.")

    with pytest.raises(RunError, match="Stopped"):
        api.search(watched, SPACE, DATA, tmp_path / "stopped", seed=1, observe=stop)
    again = api.search(watched, SPACE, DATA, tmp_path / "stopped", seed=1)
    assert [record.columns for record in again.history] == [record.columns for record in whole.history]
    plain = api.search(RECIPE, SPACE, DATA, tmp_path / "plain", seed=1)
    assert plain.native == whole.native, "looking changes nothing"
    assert recipe_from_json(RunDirectory(tmp_path / "whole").read_json("recipe.json")) == watched
    assert recipe_from_json(recipe_to_json(watched)) == watched


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"architectures": 1}, "architectures of RankAgreement must be a whole number of at least 2"),
        ({"every": 0}, "every of RankAgreement"),
        ({"batches": 0}, "batches of RankAgreement"),
        ({"seed": -1}, "seed of RankAgreement"),
        ({"norms": ()}, "one policy of batch norm at least"),
        ({"norms": ("still",)}, "There is no batch norm of RankAgreement 'still'"),
    ],
)
def test_bad_settings_are_refused(changes, sentence):
    with pytest.raises(RecipeError, match=sentence):
        RankAgreement(**{**WHERE, **changes})


def test_misfits_are_refused_before_the_search():
    with pytest.raises(RecipeError, match="does not cover toy"):
        RankAgreement(**WHERE).check(Softmax(), Toy(), 0.0)
    with pytest.raises(DataError, match="data set"):
        RankAgreement(**{**WHERE, "dataset": "letters"}).check(Softmax(), SPACE, 0.0)
    with pytest.raises(RecipeError, match="must be 2 to 729"):
        RankAgreement(**WHERE, architectures=730).check(Softmax(), SPACE, 0.0)
    untracked = replace(darts(epochs=2), monitors=(RankAgreement(**WHERE, norms=("running",)),))
    with pytest.raises(RecipeError, match="RankAgreement wants running statistics of batch norm, but the supernet keeps none"):
        check_fit(untracked, SPACE, DATA, Settings())
    with pytest.raises(RecipeError, match="does not cover"):
        RankAgreement(**WHERE).check(Softmax(), NasBench201(), 0.0)
