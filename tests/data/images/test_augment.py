import math
import sys

import pytest
import torch

from mixop.core.errors import DataError, RecipeError
from mixop.core.types import Batch
from mixop.data import CIFAR10_DARTS, CIFAR10_NASBENCH201
from mixop.data.images.augment import Augment
from mixop.data.images.crops import crop_boxes, crop_numbers, resample
from mixop.data.images.jitter import jitter

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, size: int = 8, channels: int = 3, width: int | None = None) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, channels, size, size if width is None else width), dtype=torch.uint8, generator=seeded(1)
    )


def slow(augment: Augment, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The published order, image by image and pixel by pixel, with the same random numbers."""
    batch, channels, height, width = x.shape
    unit = 255.0 if x.dtype == torch.uint8 else 1.0

    def draw(stop: int) -> list[int]:
        return torch.randint(stop, (batch, 1), generator=generator).flatten().tolist()

    down, right, flip = [augment.crop] * batch, [augment.crop] * batch, [0] * batch
    if augment.crop or augment.flip:
        down, right = draw(2 * augment.crop + 1), draw(2 * augment.crop + 1)
        if augment.flip:
            flip = draw(2)
    centre_row, centre_column = (draw(height), draw(width)) if augment.cutout else ([], [])
    out = torch.empty(x.shape)
    for n in range(batch):
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    row = i + down[n] - augment.crop
                    column = (width - 1 - j if flip[n] else j) + right[n] - augment.crop
                    inside = 0 <= row < height and 0 <= column < width
                    value = float(x[n, c, row, column]) / unit if inside else 0.0
                    out[n, c, i, j] = (value - augment.mean[c]) / augment.std[c]
                    half = augment.cutout // 2
                    if augment.cutout and all(
                        centre[n] - half <= place < centre[n] - half + augment.cutout
                        for centre, place in ((centre_row, i), (centre_column, j))
                    ):
                        out[n, c, i, j] = 0.0
    return out


@pytest.mark.parametrize("crop", [0, 2])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("cutout", [0, 3, 4])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_batch_equals_the_loop_over_its_pixels(crop: int, flip: bool, cutout: int, dtype: torch.dtype):
    augment = Augment(crop=crop, flip=flip, cutout=cutout, mean=MEAN, std=STD)
    x = images(6, size=6, width=9).to(dtype)
    before = x.clone()
    got = augment.images(x, seeded(3))
    assert got.dtype == torch.float32
    # float32 rounding of numbers up to 255 / 0.2
    torch.testing.assert_close(got, slow(augment, x, seeded(3)), rtol=1e-5, atol=1e-5)
    assert torch.equal(x, before)


def test_plain_normalises_on_the_scale_of_the_images():
    x = images(4)
    augment = Augment(crop=2, flip=True, cutout=4, mean=MEAN, std=STD)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    torch.testing.assert_close(augment.plain(x), (x / 255 - mean) / std)
    torch.testing.assert_close(augment.plain(x.double() / 255), (x / 255 - mean) / std)
    assert torch.equal(Augment().plain(x), x / 255)
    assert torch.equal(Augment().plain(x.float()), x.float())


def test_a_crop_shows_every_offset_equally_often():
    count, padding = 4000, 1
    x = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3).expand(count, 1, 3, 3)
    seen = (Augment(crop=padding).images(x, seeded()) * 255).round().long()[:, 0, 1, 1]  # the middle tells the offset
    share = torch.bincount(seen, minlength=10)[1:] / count
    k = 4.5  # standard errors; nine shares are looked at
    assert (share - 1 / 9).abs().max() < k * math.sqrt(1 / 9 * 8 / 9 / count)


def test_a_crop_pads_with_black_before_normalisation():
    x = torch.full((50, 1, 4, 4), 255, dtype=torch.uint8)
    values = Augment(crop=3, mean=(0.25,), std=(0.5,)).images(x, seeded()).unique()
    assert values.tolist() == [-0.5, 1.5]


def test_half_of_the_images_are_flipped():
    count = 4000
    x = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4).expand(count, 1, 4, 4)
    got = (Augment(flip=True).images(x, seeded()) * 255).round().to(torch.uint8)
    flipped = (got == x.flip(-1)).flatten(1).all(1)
    assert ((got == x).flatten(1).all(1) ^ flipped).all()
    k = 4  # standard errors of 4,000 fair coins
    assert abs(flipped.double().mean() - 0.5) < k * math.sqrt(0.25 / count)


@pytest.mark.parametrize("side", [1, 4, 5])
def test_cutout_erases_a_clipped_square_in_all_channels_with_a_uniform_centre(side: int):
    count, size = 6000, 8
    erased = Augment(cutout=side).images(torch.ones(count, 2, size, size), seeded()) == 0
    assert torch.equal(erased[:, 0], erased[:, 1])
    rows, columns = erased[:, 0].any(2), erased[:, 0].any(1)
    assert torch.equal(erased[:, 0], rows.unsqueeze(2) & columns.unsqueeze(1))  # a rectangle
    for lines in (rows, columns):
        first, last = lines.long().argmax(1), size - 1 - lines.flip(1).long().argmax(1)
        assert torch.equal(lines.sum(1), last - first + 1)  # without a gap
        heights = torch.bincount(last - first + 1, minlength=side + 1)
        expected = torch.zeros(side + 1)
        for centre in range(size):
            start = centre - side // 2
            expected[min(start + side, size) - max(start, 0)] += count / size
        k = 4.5  # standard errors of a binomial count
        assert ((heights - expected).abs() <= k * (expected * (1 - expected / count)).clamp(min=0).sqrt()).all()


def test_the_published_cutout_is_even_and_reaches_half_its_side_from_the_centre():
    x = torch.ones(500, 1, 32, 32)
    erased = (Augment(cutout=16).images(x, seeded(5)) == 0)[:, 0]
    generator = seeded(5)
    rows, columns = (torch.randint(32, (500, 1), generator=generator).flatten().tolist() for _ in range(2))
    for n in range(500):
        expected = torch.zeros(32, 32, dtype=torch.bool)
        expected[max(0, rows[n] - 8) : min(32, rows[n] + 8), max(0, columns[n] - 8) : min(32, columns[n] + 8)] = True
        assert torch.equal(erased[n], expected)


def test_a_resized_crop_and_jitter_come_before_the_normalisation():
    x = images(6, size=8)
    augment = Augment(resized_crop=True, flip=True, jitter=(0.4, 0.4, 0.4, 0.2), cutout=3, mean=MEAN, std=STD)
    got, generator = augment.images(x, seeded(3)), seeded(3)
    boxes = crop_boxes(crop_numbers(6, generator), torch.full((6,), 8), torch.full((6,), 8))
    expected = resample(x / 255, boxes, (8, 8))
    expected = Augment(flip=True).images(expected, generator)
    expected = jitter(expected, (0.4, 0.4, 0.4, 0.2), generator)
    expected = Augment(cutout=3, mean=MEAN, std=STD).images(expected, generator)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(augment.images(x / 255, seeded(3)), got)  # the same images as float


def test_jitter_is_for_colour_images_in_their_range():
    augment = Augment(jitter=(0.1, 0.1, 0.1, 0.1))
    with pytest.raises(DataError, match="images with 3 channels, got 1"):
        augment.images(images(2, channels=1), seeded())
    with pytest.raises(DataError, match=r"images in \[0, 1\], got 0 to 2"):
        augment.images(torch.linspace(0, 2, 48).view(1, 3, 4, 4), seeded())


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_cutout_with_a_probability_leaves_whole_images_alone(probability: float):
    count, x = 4000, torch.ones(4000, 2, 6, 6)
    certain = Augment(cutout=3).images(x, seeded(2))
    got = Augment(cutout=3, cutout_probability=probability).images(x, seeded(2))
    cut = (got != x).flatten(1).any(1)
    assert torch.equal(got[cut], certain[cut])  # the same squares: they are drawn first
    k = 4  # standard errors of a binomial share
    assert abs(cut.double().mean() - probability) <= k * math.sqrt(probability * (1 - probability) / count)


def test_certain_cutout_draws_nothing_for_its_probability():
    certain, likely = seeded(2), seeded(2)
    Augment(cutout=3).images(torch.ones(5, 1, 6, 6), certain)
    for _ in range(2):
        torch.randint(6, (5, 1), generator=likely)
    assert torch.equal(certain.get_state(), likely.get_state())


def test_cutout_is_written_after_normalisation():
    x = torch.full((20, 1, 6, 6), 255, dtype=torch.uint8)
    assert Augment(cutout=2, mean=(0.5,), std=(0.5,)).images(x, seeded()).unique().tolist() == [0.0, 1.0]


def test_the_seed_decides_and_the_global_generator_is_left_alone():
    augment = Augment(crop=2, flip=True, cutout=3, mean=MEAN, std=STD)
    x = images(32)
    state = torch.get_rng_state()
    first, second, other = (augment.images(x, seeded(seed)) for seed in (7, 7, 8))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_published_normalisations():
    assert CIFAR10_DARTS.mean == (0.49139968, 0.48215827, 0.44653124)
    assert CIFAR10_NASBENCH201.std == pytest.approx((63.0 / 255, 62.1 / 255, 66.7 / 255))
    assert (CIFAR10_DARTS.crop, CIFAR10_DARTS.flip, CIFAR10_DARTS.cutout) == (4, True, 0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"crop": -1}, "crop must be 0"),
        ({"cutout": -2}, "cutout must be 0"),
        ({"crop": 2, "resized_crop": True}, "resized_crop takes the place of crop: set crop to 0, got 2"),
        ({"jitter": (0.1, 0.2)}, "jitter must be brightness, contrast, saturation and hue, got 2 numbers"),
        ({"jitter": (0.1, 0.2, 0.3, 0.6)}, "its hue, the last, at most 0.5"),
        ({"jitter": (0.1, float("nan"), 0.3, 0.1)}, "jitter must be >= 0"),
        ({"cutout_probability": 1.5}, "cutout_probability must lie between 0 and 1"),
        ({"cutout_probability": float("nan")}, "cutout_probability must lie between 0 and 1"),
        ({"mean": (0.5,), "std": ()}, "mean and std must each"),
        ({"mean": (0.5,), "std": (0.0,)}, "std must be > 0"),
        ({"mean": (0.5,), "std": (float("nan"),)}, "std must be > 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, sentence: str):
    with pytest.raises(RecipeError, match=sentence):
        Augment(**settings)


def test_what_is_no_batch_of_images_is_refused():
    augment = Augment(mean=MEAN, std=STD)
    for x in (torch.zeros(3, 8, 8), torch.zeros(2, 3, 8, 8, dtype=torch.int64)):
        with pytest.raises(DataError, match="takes images"):
            augment.images(x, seeded())
    with pytest.raises(DataError, match="3 channels, but the inputs have 1"):
        augment.plain(torch.zeros(2, 1, 8, 8))


def of_brightness(x: torch.Tensor) -> torch.Tensor:
    """A mask that is a function of the image: its bright pixels."""
    return (x[:, 0] > 100).long()


@pytest.mark.parametrize("settings", [{"crop": 2}, {"flip": True}, {"crop": 3, "flip": True}])
def test_a_mask_moves_with_its_image(settings: dict):
    x = images(40, size=7, width=10).clamp(min=1)  # no pixel is as black as the padding
    got = Augment(**settings, mask_fill=5)(Batch(x, of_brightness(x)), seeded(3))
    shown = (got.x * 255).round()
    padded = (shown == 0).all(1)
    assert torch.equal(got.y == 5, padded)
    assert torch.equal(got.y[~padded], of_brightness(shown)[~padded])
    assert padded.any() == bool(settings.get("crop"))
    assert not torch.equal(got.y, of_brightness(x))
    alone = Augment(**settings).images(x, seeded(3))
    assert torch.equal(alone, got.x)  # a mask draws nothing


def test_a_mask_is_scaled_with_its_image():
    count, height, width = 60, 12, 16
    ramp = torch.arange(width, dtype=torch.float32).expand(count, 1, height, width)
    got = Augment(resized_crop=True, flip=True)(Batch(ramp, ramp[:, 0].long()), seeded(4))
    # The mask has the pixel whose centre is nearest, the image a mean around it: of a ramp, half a pixel apart and, at the
    # edges of the rectangle, where the mean has one side only, as much again.
    assert (got.x[:, 0] - got.y).abs().max() <= 1
    middle = slice(2, -2)
    assert (got.x[:, 0, :, middle] - got.y[..., middle]).abs().max() <= 0.5 + 1e-4  # float32 rounding of numbers up to 15
    assert len(got.y.flatten(1).unique(dim=0)) > 20  # they are not all the same rectangle


def test_masks_are_padded_with_0_without_a_label_for_it():
    x = images(20, size=5)
    assert Augment(crop=2)(Batch(x, torch.full((20, 5, 5), 3)), seeded()).y.unique().tolist() == [0, 3]


def test_targets_that_are_no_masks_stay_as_they_are():
    x = images(12)
    for y in (torch.arange(12), torch.rand(12, 4), torch.rand(12, 3, 3)):
        assert Augment(crop=2, flip=True)(Batch(x, y), seeded()).y is y


def brighter(batch: Batch, generator: torch.Generator) -> Batch:
    assert batch.x.dtype == torch.float32
    assert 0 <= batch.x.min() <= batch.x.max() <= 1
    return batch._replace(x=batch.x * torch.rand(len(batch.x), 1, 1, 1, generator=generator))


def test_a_function_of_the_users_own_comes_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "brightness", sys.modules[__name__])
    x = images(6)
    augment = Augment(crop=1, flip=True, mean=MEAN, std=STD, function="brightness:brighter")
    got, generator = augment.images(x, seeded(3)), seeded(3)
    changed = brighter(Batch(x / 255, torch.zeros(6)), generator).x
    torch.testing.assert_close(got, Augment(crop=1, flip=True, mean=MEAN, std=STD).images(changed, generator))
