"""Colour jitter: brightness, contrast, saturation and hue of each image changed at random, in a random order."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""


def jitter(x: Tensor, strengths: tuple[float, ...], generator: Generator) -> Tensor:
    """Images with changed colours, each by its own factors and in its own order.

    Args:
        x: images ``(B, 3, H, W)``, float in [0, 1]; not changed.
        strengths: of brightness ``b``, contrast, saturation: the factor is uniform in [max(0, 1 - b), 1 + b]; and of hue,
            <= 0.5: it is turned by a share of the circle uniform in [-h, h]. 0 leaves a property as it is.
        generator: on the CPU.

    Returns:
        Images ``(B, 3, H, W)``, float in [0, 1].

    Source: A. Howard 2013 (arXiv:1312.5402), in the form that the field trains ImageNet with.
    """
    batch = len(x)
    orders = torch.rand(batch, len(CHANGES), generator=generator).argsort(1)
    numbers = torch.rand(batch, len(CHANGES), generator=generator)
    x = x.clone()
    for turn in range(len(CHANGES)):
        for which, (change, strength) in enumerate(zip(CHANGES, strengths, strict=True)):
            if not strength:
                continue
            chosen = (orders[:, turn] == which).nonzero()[:, 0]
            low, high = (-strength, strength) if change is hue else (max(0.0, 1 - strength), 1 + strength)
            factors = (low + (high - low) * numbers[chosen, which]).view(-1, 1, 1, 1)
            at = chosen.to(x.device)
            x[at] = change(x[at], factors.to(x))
    return x


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    """Images ``(B, 3, H, W)`` in [0, 1] made ``factor (B, 1, 1, 1)`` times as bright."""
    return (factor * x).clamp(0, 1)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Images ``(B, 3, H, W)`` in [0, 1] moved away from their mean brightness by ``factor (B, 1, 1, 1)``."""
    mean = _grey(x).mean((1, 2, 3), keepdim=True)
    return (mean + factor * (x - mean)).clamp(0, 1)


def saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Images ``(B, 3, H, W)`` in [0, 1] moved away from their grey by ``factor (B, 1, 1, 1)``; 0 leaves grey ones."""
    grey = _grey(x)
    return (grey + factor * (x - grey)).clamp(0, 1)


def hue(x: Tensor, turn: Tensor) -> Tensor:
    """Images ``(B, 3, H, W)`` in [0, 1] with their hue turned by ``turn (B, 1, 1, 1)`` of the circle."""
    red, green, blue = x.unbind(1)
    high, low = x.amax(1), x.amin(1)
    spread = high - low
    share = spread.clamp(min=torch.finfo(x.dtype).tiny)  # grey has no hue, and a spread of 0 to be turned
    sixths = torch.where(
        red == high,
        (green - blue) / share,
        torch.where(green == high, 2 + (blue - red) / share, 4 + (red - green) / share),
    )
    sixths = sixths + 6 * turn.view(-1, 1, 1)
    # A channel is at its highest for a third of the circle, at its lowest for another, and on its way in between.
    places = [(sixths + shift) % 6 for shift in (5, 3, 1)]
    return torch.stack([high - spread * torch.minimum(k, 4 - k).clamp(0, 1) for k in places], 1)


CHANGES: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (brightness, contrast, saturation, hue)
"""What colour jitter changes, in the order of its strengths."""


def _grey(x: Tensor) -> Tensor:
    """Brightness of every pixel, ``(B, 1, H, W)``."""
    return sum(share * x[:, channel : channel + 1] for channel, share in enumerate(GREY))  # pyright: ignore[reportReturnType]
