"""A trained network with what stands around it: it takes inputs as they are, and gives probabilities or values."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mixop.tasks.base import Task


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The largest centred rectangle of images, scaled bilinearly: what reading an image folder does, in operations of a graph.

    Args:
        x: images ``(B, C, H, W)`` of any size, with values from 0 to 255.
        size: height and width wanted.

    Returns:
        Images ``(B, C, *size)``, rounded to whole numbers.

    Source: the triangle filter of Pillow's ``Image.resize``, whose support grows as an image shrinks, with the box of
    ``ImageOps.fit``. Pillow computes in fixed point, so single pixels may differ by one level of 255.
    """
    height, width = (torch.scalar_tensor(side, dtype=x.dtype, device=x.device) for side in x.shape[2:])
    box = torch.minimum(height, width * (size[0] / size[1])), torch.minimum(width, height * (size[1] / size[0]))
    rows = _filter(x.shape[2], size[0], (height - box[0]) / 2, box[0])
    columns = _filter(x.shape[3], size[1], (width - box[1]) / 2, box[1])
    return (rows @ (x @ columns.T).round()).round().clamp(0, 255)


def _filter(given: int, wanted: int, begin: Tensor, length: Tensor) -> Tensor:
    """What each of the wanted positions takes from the given ones, ``(wanted, given)``; a row sums to 1.

    Args:
        given: positions that there are.
        wanted: positions to compute.
        begin: where the box begins.
        length: of the box.
    """
    scale = length / wanted
    centre = begin + (torch.arange(wanted, dtype=length.dtype, device=length.device) + 0.5) * scale
    at = torch.arange(given, dtype=length.dtype, device=length.device) + 0.5
    weights = (1 - (at[None] - centre[:, None]).abs() / scale.clamp(min=1)).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)


class Deployed(nn.Module):
    """Resize, normalisation, network, and what its outputs mean.

    Args:
        net: the trained network, in evaluation mode.
        task: says what its outputs mean.
        mean: of every channel of the training inputs, with values from 0 to 1 for images of bytes; empty for none.
        std: likewise.
        size: height and width that images of bytes are brought to; None for other inputs.
        axes: of one input.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, net: nn.Module, task: Task, mean: Sequence[float], std: Sequence[float], size: tuple[int, int] | None, axes: int
    ) -> None:
        super().__init__()
        self.net, self.task, self.size = net, task, size
        unit = 1.0 if size is None else 255.0
        shape = (1, -1, *(1,) * (axes - 1))
        for name, values in (("mean", mean or [0.0]), ("std", std or [1.0])):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32, device="cpu").view(shape) * unit)

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities or values.

        Args:
            x: images ``(B, C, H, W)`` of bytes, or other inputs ``(B, *shape)``.
        """
        x = x.to(self.mean.dtype)
        if self.size is not None:
            x = resized(x, self.size)
        return self.task.readable(self.net((x - self.mean) / self.std))
