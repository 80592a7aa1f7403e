import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_wine
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import mixop
from mixop.finder.run import Finder
from mixop.finder.trainer import Trainer

MEASURED = {
    (kind, name): getattr(kind, name) for kind, name in ((Trainer, "seconds_per_epoch"), (Finder, "_seconds_per_search_epoch"))
}
TWICE = "it fits twice and expects the same network, but how long a training is depends on the clock"
NOT_PASSED = {
    mixop.Classifier: dict.fromkeys(
        ("check_classifier_data_not_an_array", "check_fit_idempotent", "check_supervised_y_2d"), TWICE
    ),
    mixop.Regressor: dict.fromkeys(
        ("check_regressor_data_not_an_array", "check_fit_idempotent", "check_regressors_int", "check_supervised_y_2d"), TWICE
    ),
}


@pytest.fixture(autouse=True, scope="module")
def pace():
    """An epoch of 15 seconds of ten minutes, whatever the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "seconds_per_epoch", lambda self, contender: 15.0)
        patch.setattr(Finder, "_seconds_per_search_epoch", lambda self, method, space: 1000.0)
        patch.setattr("mixop.finder.trainer.LONGEST_EPOCHS", 12)
        patch.setattr("mixop.finder.plan.ENOUGH_EPOCHS", 1)
        patch.setattr("mixop.finder.run.ENOUGH_EPOCHS", 1)
        yield


@pytest.fixture(scope="module")
def wine():
    x, y = load_wine(return_X_y=True)
    names = np.array(["barolo", "grignolino", "barbera"])[y]
    return mixop.Classifier(minutes=10, threads=1).fit(x[::2], names[::2]), x[1::2], names[1::2]


def test_a_table_is_learnt_with_the_labels_that_it_has(wine):
    model, x, names = wine
    assert model.score(x, names) > 0.9
    assert model.classes_.tolist() == ["barbera", "barolo", "grignolino"]
    shares = model.predict_proba(x)
    assert shares.sum(1) == pytest.approx(1, abs=1e-5)
    assert (model.classes_[shares.argmax(1)] == model.predict(x)).all()
    assert np.mean(model.predict(x) == names) == model.score(x, names)
    assert any("is the best of the last round" in sentence for sentence in model.sentences_)


def test_it_is_kept_and_cloned_like_other_estimators(wine):
    model, x, _ = wine
    assert (pickle.loads(pickle.dumps(model)).predict(x) == model.predict(x)).all()
    assert clone(model).get_params() == model.get_params()


def test_values_are_in_their_unit():
    x, y = load_diabetes(return_X_y=True)
    both = np.stack([y, 100 - y], 1)
    model = mixop.Regressor(minutes=10, threads=1).fit(x[:300], both[:300])
    assert model.score(x[300:], both[300:]) > 0.2
    assert model.predict(x[300:]).shape == (142, 2)
    assert np.corrcoef(model.predict(x[300:]).T)[0, 1] < 0
    assert model.predict(x[300:]).mean(0) == pytest.approx(both[300:].mean(0), abs=30)


@pytest.mark.slow
def test_images_of_bytes_are_taken_of_any_size():
    x, y = load_digits(return_X_y=True)
    x = (x.reshape(-1, 8, 8) * 255 / 16).round().astype(np.uint8)
    model = mixop.Classifier(minutes=10, threads=1).fit(x[:300], y[:300])
    large = np.kron(x[300:400], np.ones((2, 2), np.uint8))
    assert model.score(x[300:400], y[300:400]) > 0.5
    with pytest.raises(ValueError, match=r"must have the shape \(8, 8\), as in fit, got \(16, 16\)"):
        model.predict(large)


@pytest.mark.slow
def test_the_order_of_axes_that_was_fitted_is_the_one_that_is_predicted():
    x = np.random.default_rng(0).integers(0, 256, (40, 6, 9, 3), dtype=np.uint8)  # height, width, channels
    model = mixop.Classifier(minutes=10, threads=1).fit(x, x[..., 0].mean((1, 2)) > 127)
    with torch.no_grad():
        shares = model.network_(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    assert model.predict_proba(x) == pytest.approx(shares.numpy(), abs=1e-6)


def test_the_run_stays_where_it_was_asked_for(tmp_path):
    x, y = load_wine(return_X_y=True)
    model = mixop.Classifier(minutes=10, out=str(tmp_path / "run"), threads=1).fit(x, y)
    kept = mixop.load_network(tmp_path / "run" / "final")
    inputs = torch.randn(2, 13)
    torch.testing.assert_close(kept(inputs), model.network_.net(inputs))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ((np.full((20, 2), np.nan), np.arange(20) % 2), "contains NaN"),
        ((np.full((20, 2), 1e200), np.arange(20) % 2), "float32"),
        ((np.ones((20, 2)), np.zeros(20)), "at least two classes"),
        ((np.ones((20, 2)), np.full(20, np.inf)), "y contains infinity"),
        ((np.ones((20, 2)), np.arange(19)), "inconsistent numbers of samples"),
        ((np.ones((1, 2)), np.ones(1)), "minimum of 4 is required"),
    ],
)
def test_what_cannot_be_learnt_is_a_value_error(wrong, said):
    with pytest.raises(ValueError, match=said):
        mixop.Classifier(minutes=1).fit(*wrong)


@pytest.mark.slow
def test_they_work_in_a_pipeline():
    x, y = load_wine(return_X_y=True)
    scores = cross_val_score(make_pipeline(StandardScaler(), mixop.Classifier(minutes=10, threads=1)), x, y, cv=2)
    assert scores.min() > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("kind", NOT_PASSED)
def test_it_keeps_the_contract_of_scikit_learn(kind, monkeypatch):
    for (owner, name), method in MEASURED.items():
        monkeypatch.setattr(owner, name, method)
    check_estimator(kind(minutes=0.02, threads=1), expected_failed_checks=NOT_PASSED[kind], on_skip=None)
