"""How an architecture is trained from scratch, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mixop.data.augment import Augment
from mixop.data.core import Data, check_augment
from mixop.errors import RecipeError
from mixop.ops import BatchNorm
from mixop.optim import SGD, Adam
from mixop.recipe import PARTS as RECIPE_PARTS
from mixop.schedules import Cosine, check_range
from mixop.values import from_plain, to_plain


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A training from scratch on all training examples (both splits of the search), and its one look at the test set.

    Args:
        name: what reports call it.
        epochs: passes over the training examples, >= 1.
        batch_size: examples in a batch, >= 2.
        optimiser: of the network's weights; its learning rate is set once an epoch, at ``epoch / epochs``.
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1).
        clip: largest global norm of the gradient; 0 switches clipping off.
        norm: batch norm of the network; it keeps running statistics.
        crop: padding in pixels before the random crop, >= 0; None as the data has it.
        flip: whether images are mirrored at random; None as the data has it.
        cutout: side in pixels of the erased square, >= 0; None as the data has it.

    Raises:
        RecipeError: if a number is out of range.

    Example:
        >>> from dataclasses import replace
        >>> protocol = replace(PROTOCOLS["quick"], epochs=5, label_smoothing=0.1)
        >>> protocol_from_json(protocol_to_json(protocol)) == protocol
        True
    """

    name: str
    epochs: int
    batch_size: int
    optimiser: SGD | Adam
    label_smoothing: float = 0.0
    clip: float = 0.0
    norm: BatchNorm = BatchNorm()
    crop: int | None = None
    flip: bool | None = None
    cutout: int | None = None

    def __post_init__(self) -> None:
        for name, value, least in (
            ("epochs", self.epochs, 1),
            ("batch size", self.batch_size, 2),
            ("crop", self.crop or 0, 0),
            ("cutout", self.cutout or 0, 0),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RecipeError(f"{name} of a retraining must be a whole number of at least {least}, got {value!r}.")
        if not isinstance(self.optimiser, SGD | Adam):
            raise RecipeError(f"A retraining is done by SGD or Adam, got {type(self.optimiser).__name__}.")
        check_range("label smoothing", self.label_smoothing, at_least=0)
        if not self.label_smoothing < 1:
            raise RecipeError(f"label smoothing must be less than 1, got {self.label_smoothing:g}: 1 leaves nothing to learn.")
        check_range("clip", self.clip, at_least=0)
        if not self.norm.track:
            raise RecipeError(
                "The batch norm of a retraining must keep running statistics, or the answer for an image would depend on "
                "the others in its batch: set norm.track to true."
            )

    def augment(self, data: Data) -> Augment:
        """The augmentation of the training batches: the data's own, with what the protocol changes.

        Raises:
            DataError: if it does not fit the images.
        """
        changes = {name: getattr(self, name) for name in ("crop", "flip", "cutout") if getattr(self, name) is not None}
        augment = replace(data.augment, **changes)
        check_augment(augment, data.channels, data.size)
        return augment


PARTS: Mapping[str, type] = {**RECIPE_PARTS, "Protocol": Protocol}
"""Every part by the name it has in a protocol file."""


def protocol_to_json(protocol: Protocol) -> dict[str, Any]:
    """A protocol as JSON data, without loss."""
    return to_plain(protocol)


def protocol_from_json(data: Any) -> Protocol:
    """The protocol that `protocol_to_json` wrote.

    Raises:
        RecipeError: with the path to what is unknown, missing or of the wrong type.
    """
    return from_plain(data, Protocol, PARTS, "protocol")


_NASBENCH201 = Protocol(
    name="nasbench201",
    epochs=200,
    batch_size=256,
    optimiser=SGD(lr=Cosine(0.1, 0.0), momentum=0.9, weight_decay=5e-4, nesterov=True),
    crop=4,
    flip=True,
    cutout=0,
)

PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="quick",
            epochs=25,
            batch_size=64,
            optimiser=SGD(lr=Cosine(0.1, 0.0), momentum=0.9, weight_decay=5e-4, nesterov=True),
            clip=5.0,
        ),
        _NASBENCH201,
        replace(_NASBENCH201, name="nasbench201_12", epochs=12),
    )
}
"""Protocols by name.

- ``quick``: ours, for small images and small networks; the augmentation is the data's own.
- ``nasbench201``: 200 epochs, as every entry of the benchmark was trained on CIFAR. Source: Dong & Yang 2020
  (arXiv:2001.00326), table 1, and the authors' configuration files. ImageNet16-120 takes ``crop=2``.
- ``nasbench201_12``: the same with a cosine of 12 epochs, the benchmark's cheap fidelity.
"""
