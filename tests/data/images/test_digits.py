import numpy as np
import torch
from sklearn.datasets import load_digits

from mixop.data import digits


def test_pixels_are_those_of_scikit_learn():
    data = digits()
    everything = load_digits()
    # every image is there once, in the training or in the test part; 16 shades map onto 0..255
    got = torch.cat([data.x, data.test_x]).flatten(1).numpy()
    expected = np.rint(everything.images.reshape(1797, 64) * 255 / 16).astype(np.uint8)
    order = np.lexsort(got.T), np.lexsort(expected.T)
    assert np.array_equal(got[order[0]], expected[order[1]])
    labels = torch.cat([data.y, data.test_y]).numpy()
    assert np.array_equal(labels[order[0]], everything.target[order[1]])
    assert data.x.max() == 255


def test_shares_classes_and_normalisation():
    data = digits()
    assert data.x.shape == (1438, 1, 8, 8)
    assert (len(data.train), len(data.valid), len(data.test_x)) == (719, 719, 359)
    assert data.classes == tuple("0123456789")
    for part in (data.y[data.train], data.y[data.valid]):
        whole = torch.bincount(data.y)
        assert (torch.bincount(part) - whole / 2).abs().max() < 1
    assert (data.augment.crop, data.augment.flip) == (1, False)
    normal = data.augment.plain(data.x)
    assert abs(normal.mean().item()) < 1e-5  # float32 rounding
    assert abs(normal.std(correction=0).item() - 1) < 1e-5


def test_the_seed_moves_the_test_set_too():
    assert digits(seed=0).fingerprint == digits(seed=0).fingerprint
    assert not torch.equal(digits(seed=0).test_x, digits(seed=1).test_x)
    assert len(digits(test=0.5).test_x) == round(1797 * 0.5)


def test_the_record_says_how_the_split_was_made():
    record = digits(valid=0.25, seed=4, stratified=False).record
    assert record["split"] == {"method": "random", "valid": 0.25, "seed": 4, "test": 0.2}
