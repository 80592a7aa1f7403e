import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import mixop.data.images.digits as module
from mixop.data import digits
from mixop.tasks.classification import Classification


@pytest.mark.parametrize("file", [module._FILE, "nowhere.csv"])
def test_pixels_and_labels_are_those_of_scikit_learn(file, monkeypatch):
    monkeypatch.setattr(module, "_FILE", file)
    data = digits()
    everything = load_digits()
    batch = data.examples.read(torch.arange(1797))
    # 16 shades map onto 0..255
    assert np.array_equal(batch.x.flatten(1).numpy(), np.rint(everything.images.reshape(1797, 64) * 255 / 16).astype(np.uint8))
    assert np.array_equal(batch.y.numpy(), everything.target)
    assert batch.x.max() == 255
    assert torch.cat([data.train, data.valid, data.test]).sort().values.tolist() == list(range(1797))


def test_shares_classes_and_normalisation():
    data = digits()
    assert data.shape == (1, 8, 8)
    assert (len(data.train), len(data.valid), len(data.test)) == (719, 719, 359)
    assert data.task == Classification(tuple("0123456789"))
    whole = torch.bincount(data.targets("train", "valid"))
    for part in ("train", "valid"):
        assert (torch.bincount(data.targets(part)) - whole / 2).abs().max() < 1
    assert (data.augment.crop, data.augment.flip) == (1, False)
    normal = data.batch(data.at("train", "valid")).x
    assert abs(normal.mean().item()) < 1e-5  # float32 rounding
    assert abs(normal.std(correction=0).item() - 1) < 1e-5


def test_the_seed_moves_the_test_part_too():
    assert digits(seed=0).fingerprint == digits(seed=0).fingerprint
    assert not torch.equal(digits(seed=0).test, digits(seed=1).test)
    assert len(digits(test=0.5).test) == round(1797 * 0.5)


def test_the_record_says_how_the_split_was_made():
    record = digits(valid=0.25, seed=4, stratified=False).record
    assert record["split"] == {"method": "random", "valid": 0.25, "seed": 4, "test": 0.2}
