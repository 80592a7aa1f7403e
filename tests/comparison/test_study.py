"""Where a study is kept, and what a sampler suggests from a seed and a number."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from mixop.comparison.study import opened, pruner_for, public, sampler_for, study_in
from mixop.core.errors import MissingExtraError, RunError

pytestmark = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason='needs pip install "mixop[hpo]"')


def first(sampler: Any) -> float:
    import optuna

    return optuna.create_study(sampler=sampler).ask().suggest_float("x", 0, 1)


@pytest.mark.parametrize("name", ["tpe", "random", "nsga2"])
def test_a_trial_has_a_seed_of_its_own(name):
    draws = [[first(sampler_for(name, seed, number)) for number in range(3)] for seed in (0, 0, 1)]
    assert draws[0] == draws[1]
    assert len({*draws[0], *draws[2]}) == 6


def test_a_name_belongs_to_one_directory(tmp_path: Path):
    with opened(tmp_path / "j") as storage:
        study = study_in(storage, "s", "a", ["maximize"], pruner_for("none", 3))
        study.ask()
    with opened(tmp_path / "j") as storage:
        assert len(study_in(storage, "s", "a", ["maximize"], pruner_for("none", 3)).trials) == 1
        with pytest.raises(RunError, match="study s that belongs to another directory"):
            study_in(storage, "s", "b", ["maximize"], pruner_for("none", 3))


@pytest.mark.parametrize("storage", ["sqlite:////no/such/folder/x.db", "nosql://me:secret@there/x", "/no/such/folder/journal"])
def test_a_storage_that_cannot_be_opened_is_a_sentence_without_a_password(storage: str):
    with pytest.raises(RunError, match="Cannot open the storage") as caught, opened(storage):
        pass
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_passwords_are_not_written_down():
    assert public("mysql+driver://me:se:cret@there/x") == "mysql+driver://me:***@there/x"
    assert public("sqlite:///a.db") == "sqlite:///a.db"


def test_without_optuna_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"Tuning needs optuna, which is not installed: pip install 'mixop\[hpo\]'"):
        sampler_for("tpe", 0, 0)
