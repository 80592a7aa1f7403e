"""What can be measured on a network: loss, accuracy and confusion on the test set, its size and its work."""

from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from mixop.core.rng import fenced
from mixop.data.core import Data
from mixop.data.stream import batches


@torch.no_grad()
def evaluate_network(net: nn.Module, data: Data, batch_size: int = 256) -> dict[str, Any]:
    """Scores a network on the test set, without augmentation.

    Args:
        net: gives logits ``(B, classes)``; it is in evaluation mode afterwards.
        data: its test images and labels are read, and the normalisation of its ``augment``; on the network's device.
        batch_size: images in a forward pass, >= 1; changes the result by rounding only.

    Returns:
        ``loss``: mean cross-entropy in nats; ``accuracy``: share of right answers in [0, 1]; ``confusion``: for each true
        class (row) how many images were given each class (column).
    """
    net.eval()
    classes = len(data.classes)
    confusion = torch.zeros(classes * classes, dtype=torch.int64)
    loss = 0.0
    with fenced(Generator().manual_seed(0)):  # an operation may draw noise
        for piece in batches(len(data.test_x), batch_size):
            logits, y = net(data.augment.plain(data.test_x[piece])), data.test_y[piece]
            loss += cross_entropy(logits, y, reduction="sum").item()
            confusion += torch.bincount(y * classes + logits.argmax(-1), minlength=classes * classes).cpu()
    table = confusion.view(classes, classes)
    right = int(table.diagonal().sum())
    return {"loss": loss / len(data.test_x), "accuracy": right / len(data.test_x), "confusion": table.tolist()}


def parameters(net: nn.Module) -> int:
    """Number of trained parameters, those of an auxiliary head aside: only training needs it."""
    return sum(p.numel() for name, p in net.named_parameters() if not name.startswith("auxiliary."))


@torch.no_grad()
def multiply_adds(net: nn.Module, image: Tensor) -> int:
    """Multiply-adds of one forward pass of one image, in evaluation mode.

    Counts convolutions and linear layers, half of what `torch.utils.flop_counter` counts as operations. Batch norm,
    activations, pooling and sums are left out, as in most published numbers.

    Args:
        net: the network; its mode is left as it is.
        image: one image ``(1, C, H, W)`` on the network's device.
    """
    training = net.training
    net.eval()
    with FlopCounterMode(display=False) as counter:
        net(image)
    net.train(training)
    return counter.get_total_flops() // 2
