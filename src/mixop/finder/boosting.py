"""What a person would take for a table, beside the network: gradient boosting."""

import torch
from torch import Tensor

from mixop.core.measure import Number
from mixop.data.core import Data
from mixop.tasks.classification import Classification
from mixop.tasks.regression import Regression


def boosted(data: Data, seed: int) -> dict[str, Number] | None:
    """Measures on the test examples of scikit-learn's histogram gradient boosting with its defaults, trained on all others.

    Args:
        data: examples with a task.
        seed: of its random numbers.

    Returns:
        The task's measures; None where examples are no features, or the task is neither of classes nor of values.

    Source: Ke et al. 2017 (LightGBM), as `sklearn.ensemble.HistGradientBoostingClassifier` implements it.
    """
    task = data.task
    if len(data.shape) != 1 or data.tokens or not isinstance(task, Classification | Regression):
        return None
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    x, y = data.batch(data.at("train", "valid")).x.cpu().numpy(), data.targets("train", "valid").cpu()
    unseen = data.batch(data.test).x.cpu().numpy()
    if isinstance(task, Classification):
        model = HistGradientBoostingClassifier(random_state=seed).fit(x, y.numpy())
        outputs = torch.zeros(len(unseen), task.outputs)
        outputs[:, torch.from_numpy(model.classes_).long()] = torch.from_numpy(model.predict_proba(unseen)).float()
        outputs = outputs.clamp(min=torch.finfo(torch.float32).tiny).log()
    else:
        columns = [_regressed(HistGradientBoostingRegressor(random_state=seed), x, each, unseen) for each in _columns(y)]
        outputs = torch.stack(columns, 1)
        outputs = (outputs - outputs.new_tensor(task.mean)) / outputs.new_tensor(task.std)
    totals = task.totals()
    totals.add(outputs, data.targets("test").cpu())
    return totals.value()


def _columns(y: Tensor) -> list[Tensor]:
    return list(y.reshape(len(y), -1).T)


def _regressed(model: object, x: object, y: Tensor, unseen: object) -> Tensor:
    return torch.from_numpy(model.fit(x, y.numpy()).predict(unseen)).float()  # type: ignore[attr-defined]
