import sys

import pytest
import torch

from mixop.core.errors import DataError, RecipeError
from mixop.core.types import Batch
from mixop.data.images.augment import Augment
from mixop.data.preparation import Preparation, preparation


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests as a module that a name leads to."""
    monkeypatch.setitem(sys.modules, "mine", sys.modules[__name__])


@pytest.mark.parametrize("shape", [(50, 3, 6, 6), (50, 3, 9), (50, 3)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_measured_moments_normalise_the_training_inputs(shape: tuple[int, ...], dtype: torch.dtype):
    x = torch.randint(0, 200, shape, dtype=torch.uint8, generator=seeded()).to(dtype)
    normal = Preparation().measured(x).plain(x).double()
    axes = [axis for axis in range(len(shape)) if axis != 1]
    # float32 rounding of 1,800 numbers near 1
    torch.testing.assert_close(normal.mean(axes), torch.zeros(3).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(normal.std(axes, correction=0), torch.ones(3).double(), rtol=1e-5, atol=0)
    assert Augment(crop=1).measured(x).crop == 1


def test_a_constant_channel_is_not_divided_by_zero():
    augment = Preparation().measured(torch.full((5, 1, 3, 3), 0.1))
    assert augment.std == (1.0,)
    assert augment.plain(torch.full((5, 1, 3, 3), 0.1)).abs().max() < 1e-7


def test_tokens_stay_numbers():
    tokens = torch.arange(6).view(2, 3)
    assert Preparation().plain(tokens) is tokens
    assert Preparation().measured(tokens) == Preparation()


def noisy(batch: Batch, generator: torch.Generator) -> Batch:
    return batch._replace(x=batch.x + torch.randn(batch.x.shape, generator=generator))


def test_a_function_sees_floats_before_they_are_normalised():
    x, y = torch.randint(0, 256, (8, 2, 10), dtype=torch.uint8, generator=seeded()), torch.arange(8)
    given = preparation(noisy_of_mine())
    assert given == Preparation(function="mine:noisy")
    prepared = Preparation(mean=(0.5, 0.4), std=(0.2, 0.3), function="mine:noisy")
    got = prepared(Batch(x, y, state="kept"), seeded(3))
    noise = torch.randn(8, 2, 10, generator=seeded(3))
    expected = (x / 255 + noise - torch.tensor([0.5, 0.4]).view(2, 1)) / torch.tensor([0.2, 0.3]).view(2, 1)
    torch.testing.assert_close(got.x, expected)
    assert (got.y.tolist(), got.state) == (y.tolist(), "kept")
    assert torch.equal(prepared(Batch(x, y), seeded(3)).x, got.x)
    assert not torch.equal(prepared(Batch(x, y), seeded(4)).x, got.x)


def noisy_of_mine():
    found = sys.modules["mine"].noisy
    found.__module__ = "mine"
    return found


def dropped(batch: Batch, generator: torch.Generator) -> Batch:
    """Words left out, as of a text."""
    keep = torch.rand(batch.x.shape, generator=generator) > 0.5
    return batch._replace(x=batch.x.where(keep, 0))


def test_a_function_of_tokens_sees_token_numbers():
    x = torch.arange(1, 41).view(4, 10)
    got = Preparation(function="mine:dropped")(Batch(x, x), seeded())
    assert got.x.dtype == torch.int64
    assert set(got.x.unique().tolist()) <= {0, *range(1, 41)}
    assert 5 < (got.x == 0).sum() < 35


def nothing(batch, generator):
    return None


def shorter(batch, generator):
    return batch.x[:1], batch.y[:1]


def doubled(batch, generator):
    return batch.x.double(), batch.y


def relabelled(batch, generator):
    return batch.x, batch.y.float()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nothing", r"must return a batch \(inputs, targets\), got NoneType"),
        ("shorter", r"must return inputs of the shape and type it got, \(4, 3\) of torch.float32, got \(1, 3\)"),
        ("doubled", r"must return inputs of the shape and type it got, .* got \(4, 3\) of torch.float64"),
        ("relabelled", r"must return targets of the shape and type it got, \(4,\) of torch.int64, got \(4,\) of torch.float32"),
    ],
)
def test_what_is_no_batch_is_refused(name: str, sentence: str):
    with pytest.raises(DataError, match=f"The augmentation 'mine:{name}' {sentence}"):
        Preparation(function=f"mine:{name}")(Batch(torch.zeros(4, 3), torch.arange(4)), seeded())


def test_a_function_that_no_name_leads_to_is_refused():
    with pytest.raises(RecipeError, match="An augmentation is a lambda"):
        preparation(lambda batch, generator: batch)
    with pytest.raises(RecipeError, match="Cannot load 'mine:absent' for the augmentation"):
        Preparation(function="mine:absent")(Batch(torch.zeros(2, 3), torch.arange(2)), seeded())


def test_settings_of_images_are_refused_without_images():
    plain = Preparation()
    assert plain.changed(cutout=0, flip=None) is plain
    with pytest.raises(RecipeError, match="cutout is an augmentation of images, which this data does not have"):
        plain.changed(cutout=16)
    with pytest.raises(RecipeError, match="cutout is an augmentation of images"):
        plain.erasing(0.5, 0.5, (3, 20))
    assert Augment().erasing(0.5, 0.2, (3, 20, 30)) == Augment(cutout=10, cutout_probability=0.2)
