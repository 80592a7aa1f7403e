import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

from mixop.evaluate.deployed import Deployed, resized
from mixop.tasks.classification import Classification
from mixop.tasks.regression import Regression


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("given", "size"),
    [((40, 50), (16, 16)), ((33, 100), (24, 16)), ((7, 9), (16, 16)), ((200, 300), (32, 24)), ((5, 5), (5, 5))],
)
def test_images_are_cut_and_scaled_as_pillow_does(given, size, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (*given, channels), dtype=np.uint8)
    image = Image.fromarray(pixels.squeeze())
    wanted = np.asarray(ImageOps.fit(image, size[::-1], Image.Resampling.BILINEAR)).reshape(*size, channels)
    found = resized(torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32)), size)[0].numpy()
    # Pillow computes in fixed point and rounds at half steps.
    assert np.abs(found - wanted.transpose(2, 0, 1)).max() <= 1
    assert np.abs(found - wanted.transpose(2, 0, 1)).mean() < 0.3


def test_an_image_of_the_right_size_stays():
    x = torch.randint(256, (2, 3, 6, 9), generator=torch.Generator().manual_seed(0)).float()
    assert torch.equal(resized(x, (6, 9)), x)


def test_bytes_are_normalised_by_shares_of_255_and_numbers_by_themselves():
    x = torch.tensor([[[[51.0, 102.0]]]])
    classes = Classification(("a", "b"))
    images = Deployed(nn.Flatten(), classes, [0.2], [0.1], (1, 2), 3)
    torch.testing.assert_close(images(x.to(torch.uint8)), torch.tensor([[0.0, 2.0]]).softmax(1))  # (0.2 - 0.2) / 0.1, ...
    numbers = Deployed(nn.Identity(), Regression(("y",), mean=(10.0,), std=(5.0,)), [2.0], [4.0], None, 1)
    torch.testing.assert_close(numbers(torch.tensor([[6.0]])), torch.tensor([[15.0]]))  # 1 standard deviation
    bare = Deployed(nn.Identity(), Regression(("y",), mean=(0.0,), std=(1.0,)), [], [], None, 1)
    assert bare(torch.tensor([[6.0]])).item() == 6
