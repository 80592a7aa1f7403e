import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, root_mean_squared_error

from mixop.data import digits, from_arrays
from mixop.finder.boosting import boosted


def parts(x, y, data):
    train, test = data.at("train", "valid"), data.test
    inputs = data.examples.read(train).x.numpy(), data.examples.read(test).x.numpy()
    return inputs[0], data.targets("train", "valid").numpy(), inputs[1], data.targets("test").numpy()


def test_classes_are_scored_as_scikit_learn_scores_them():
    x, y = load_wine(return_X_y=True)
    data = from_arrays(x.astype(np.float32), y)
    x, y, unseen, right = parts(x, y, data)
    # Trees do not see that the network's inputs are normalised, but for rounding where two numbers nearly meet.
    model = HistGradientBoostingClassifier(random_state=3).fit(x, y)
    found = boosted(data, 3)
    assert found is not None
    assert found["accuracy"] == pytest.approx(model.score(unseen, right), abs=1.5 / len(right))
    assert found["loss"] == pytest.approx(log_loss(right, model.predict_proba(unseen)), rel=0.1)


def test_values_are_scored_in_their_unit():
    x, y = load_diabetes(return_X_y=True)
    data = from_arrays(x.astype(np.float32), np.stack([y, 2 * y], 1))
    x, y, unseen, right = parts(x, y, data)
    model = HistGradientBoostingRegressor(random_state=3).fit(x, y[:, 0])
    error = root_mean_squared_error(right[:, 0], model.predict(unseen))
    found = boosted(data, 3)
    assert found is not None
    assert found["rmse"] == pytest.approx(1.5 * error, rel=0.05)  # the mean over both


def test_images_have_none():
    assert boosted(digits(), 0) is None
