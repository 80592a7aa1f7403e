import math

import numpy as np
import pytest
import torch

from mixop.data.images.crops import TRIES, crop_boxes, crop_numbers, nearest, resample


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def box_by_hand(numbers: list[list[float]], height: int, width: int) -> tuple[int, int, int, int]:
    """The published procedure, one image and one try after the other."""
    for u, v in numbers[:TRIES]:
        area = height * width * (0.08 + 0.92 * u)
        ratio = math.exp(math.log(3 / 4) + v * math.log((4 / 3) / (3 / 4)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            u, v = numbers[TRIES]
            return math.floor(u * (height - h + 1)), math.floor(v * (width - w + 1)), h, w
    w, h = width, height
    if width / height < 3 / 4:
        h = round(width / (3 / 4))
    elif width / height > 4 / 3:
        w = round(height * (4 / 3))
    return (height - h) // 2, (width - w) // 2, h, w


def test_boxes_equal_the_published_procedure():
    sides = torch.tensor([[375, 500], [500, 375], [8, 8], [1, 1], [1, 9], [40, 3], [3, 100], [224, 224]])
    sides = sides.repeat(40, 1)
    numbers = crop_numbers(len(sides), seeded())
    boxes = crop_boxes(numbers, *sides.T)
    expected = [box_by_hand(n, h, w) for n, (h, w) in zip(numbers.tolist(), sides.tolist(), strict=True)]
    assert boxes.tolist() == [list(box) for box in expected]
    tall = sides[:, 0] > 4 * sides[:, 1]  # nothing but the centre fits there
    assert (boxes[tall, 3] == sides[tall, 1]).all()


def test_area_and_ratio_are_spread_as_published():
    count, side = 4000, 10_000  # large enough that rounding to pixels does not show
    numbers = crop_numbers(count, seeded(1))
    numbers[:, 1:TRIES] = numbers[:, :1]  # the first try counts wherever it fits
    boxes = crop_boxes(numbers, torch.full((count,), side), torch.full((count,), side)).double()
    fits = numbers[:, 0, 0] < 0.7  # there every ratio fits: 0.724 * 4/3 < 1
    area = boxes[fits, 2] * boxes[fits, 3] / side**2
    torch.testing.assert_close(area, 0.08 + 0.92 * numbers[fits, 0, 0], rtol=0, atol=1e-3)
    ratio = (boxes[fits, 3] / boxes[fits, 2]).log() / math.log(4 / 3)
    k = 4  # standard errors; uniform in [-1, 1] has the variance 1/3
    assert ratio.abs().max() < 1.001
    assert abs(ratio.mean()) < k * math.sqrt(1 / 3 / len(ratio))
    assert abs(ratio.square().mean() - 1 / 3) < k * math.sqrt((1 / 5 - 1 / 9) / len(ratio))
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 0] + boxes[:, 2] <= side).all()
    assert (boxes[:, 1] + boxes[:, 3] <= side).all()


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (16, 16), (40, 40), (9, 30)])
def test_resampling_equals_pillow(size: tuple[int, int]):
    image = pytest.importorskip("PIL.Image", reason="needs pillow, the extra 'images'")
    x = torch.rand(5, 2, 20, 20, generator=seeded(), dtype=torch.float64)
    boxes = torch.tensor([[0, 0, 20, 20], [3, 1, 10, 13], [19, 19, 1, 1], [0, 4, 20, 2], [7, 0, 5, 16]])
    got = resample(x, boxes, size)
    for n, (top, left, height, width) in enumerate(boxes.tolist()):
        for c in range(2):
            whole = image.fromarray(x[n, c].numpy().astype(np.float32))
            part = whole.crop((left, top, left + width, top + height))
            expected = np.array(part.resize(size[::-1], image.Resampling.BILINEAR))
            # Pillow keeps single precision between its two passes
            torch.testing.assert_close(got[n, c], torch.from_numpy(expected).double(), rtol=0, atol=1e-6)


def test_a_box_of_the_right_size_is_copied_and_a_ramp_stays_a_ramp():
    x = torch.rand(2, 3, 12, 12, generator=seeded(), dtype=torch.float64)
    boxes = torch.tensor([[2, 3, 8, 8], [4, 0, 8, 8]])
    torch.testing.assert_close(resample(x, boxes, (8, 8)), torch.stack([x[0, :, 2:10, 3:11], x[1, :, 4:, :8]]))
    ramp = torch.arange(12, dtype=torch.float64).expand(1, 1, 12, 12)
    half = resample(ramp, torch.tensor([[0, 0, 12, 12]]), (6, 6))[0, 0, 0]
    torch.testing.assert_close(half[1:-1], 2 * torch.arange(1, 5, dtype=torch.float64) + 0.5)


def test_masks_are_sampled_at_the_centres_of_the_new_pixels():
    """Pixel i of a rectangle of h pixels scaled to H shows pixel floor((i + 1/2) h / H) of it."""
    masks = torch.randint(9, (4, 10, 14), generator=seeded(3))
    boxes = torch.tensor([[0, 0, 10, 14], [2, 3, 5, 7], [9, 13, 1, 1], [1, 0, 8, 3]])
    got = nearest(masks, boxes)
    for n, (top, left, height, width) in enumerate(boxes.tolist()):
        rows = [top + math.floor((i + 0.5) * height / 10) for i in range(10)]
        columns = [left + math.floor((j + 0.5) * width / 14) for j in range(14)]
        assert torch.equal(got[n], masks[n][rows][:, columns])
    assert torch.equal(got[0], masks[0])


def test_a_constant_image_stays_constant():
    x = torch.full((40, 1, 9, 9), 0.7, dtype=torch.float64)
    boxes = crop_boxes(crop_numbers(40, seeded(2)), torch.full((40,), 9), torch.full((40,), 9))
    torch.testing.assert_close(resample(x, boxes, (5, 5)), torch.full((40, 1, 5, 5), 0.7, dtype=torch.float64))
