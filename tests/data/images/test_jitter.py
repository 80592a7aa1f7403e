import colorsys
import math

import numpy as np
import pytest
import torch

from mixop.data.images.jitter import brightness, contrast, hue, jitter, saturation


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 4, size: int = 6) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), generator=seeded(1)).double() / 255


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1)


def test_hue_equals_the_standard_library():
    x = images()
    x[0, :, 0, 0] = 0.4  # grey
    x[0, :, 0, 1] = 0.0
    x[0, :, 0, 2] = torch.tensor([1.0, 1.0, 0.2])  # two channels at the top
    x[0, :, 0, 3] = torch.tensor([0.2, 1.0, 1.0])
    turns = (-0.5, -0.07, 0.2, 0.5)
    got = hue(x, column(*turns))
    for n, turn in enumerate(turns):
        for i in range(6):
            for j in range(6):
                h, s, v = colorsys.rgb_to_hsv(*x[n, :, i, j].tolist())
                expected = colorsys.hsv_to_rgb((h + turn) % 1, s, v)
                assert got[n, :, i, j].tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("change", "name"), [(brightness, "Brightness"), (contrast, "Contrast"), (saturation, "Color")])
def test_the_blends_equal_pillow(change, name: str):
    image = pytest.importorskip("PIL.Image", reason="needs pillow, the extra 'images'")
    enhance = pytest.importorskip("PIL.ImageEnhance")
    x, factors = images(), (0.0, 0.6, 1.0, 1.7)
    got = change(x, column(*factors))
    for n, factor in enumerate(factors):
        pixels = (x[n] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        expected = np.asarray(getattr(enhance, name)(image.fromarray(pixels)).enhance(factor)).transpose(2, 0, 1)
        # Pillow rounds the grey (at most by 0.5, weighted by |1 - factor|) and cuts off the result (by less than 1)
        assert np.abs(got[n].numpy() * 255 - expected).max() < 0.5 * abs(1 - factor) + 1


def test_the_blends_in_closed_form():
    x = images()
    grey = 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]
    f = column(0.8, 1.2, 0.0, 1.0)
    expected = (grey.unsqueeze(1) * (1 - f) + x * f).clamp(0, 1)
    torch.testing.assert_close(saturation(x, f), expected)
    mean = grey.flatten(1).mean(1).view(-1, 1, 1, 1)
    torch.testing.assert_close(contrast(x, f), (mean * (1 - f) + x * f).clamp(0, 1))
    torch.testing.assert_close(brightness(x, f), (x * f).clamp(max=1))


def test_every_image_has_its_own_factors_and_order():
    strengths = (0.4, 0.3, 0.2, 0.1)
    x = images(64)
    got, generator = jitter(x, strengths, seeded(5)), seeded(5)
    orders = torch.rand(64, 4, generator=generator).argsort(1).tolist()
    numbers = torch.rand(64, 4, generator=generator).double()
    assert len({tuple(order) for order in orders}) > 15  # of the 24
    for n, order in enumerate(orders):
        image = x[n : n + 1]
        for which in order:
            u = 2 * numbers[n, which] - 1
            factor = column(float(u * strengths[which] + (which < 3)))
            image = (brightness, contrast, saturation, hue)[which](image, factor)
        torch.testing.assert_close(got[n : n + 1], image, rtol=0, atol=1e-6)  # the numbers are drawn in single precision


def test_factors_are_uniform_and_never_negative():
    count = 4000
    x = torch.full((count, 3, 1, 1), 0.25, dtype=torch.float64)
    for strength, low in ((0.4, 0.6), (1.5, 0.0)):
        factor = jitter(x, (strength, 0.0, 0.0, 0.0), seeded())[:, 0, 0, 0] / 0.25
        high = 1 + strength
        assert low <= factor.min() < low + 0.01
        assert high - 0.01 < factor.max() <= high
        k = 4  # standard errors of the mean of a uniform number
        assert abs(factor.mean() - (low + high) / 2) < k * (high - low) / math.sqrt(12 * count)


def test_strengths_of_zero_change_nothing_and_the_input_stays():
    x = images()
    before = x.clone()
    assert torch.equal(jitter(x, (0.0, 0.0, 0.0, 0.0), seeded()), x)
    got = jitter(x, (0.4, 0.4, 0.4, 0.2), seeded())
    assert torch.equal(x, before)
    assert got.min() >= 0
    assert got.max() <= 1


def test_the_seed_decides_and_the_global_generator_is_left_alone():
    state = torch.get_rng_state()
    one, two, other = (jitter(images(), (0.4, 0.4, 0.4, 0.2), seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)
