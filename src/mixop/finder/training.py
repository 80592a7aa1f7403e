"""How networks are trained that have little time: augmentation by kind of data, a rate that falls to zero at any length."""

from dataclasses import replace

from mixop.core.errors import DataError, RecipeError
from mixop.data.core import Data
from mixop.evaluate.protocol import PROTOCOLS, Protocol
from mixop.tasks.base import Task

SMOOTHING = 0.1
"""Label smoothing of classes. Source: Szegedy et al. 2016 (arXiv:1512.00567), section 7."""

LONGEST_EPOCHS = 400
"""Of a training; a network that has had so many is finished, whatever time is left."""

CROP_SHARE = 8
"""Images are padded by the eighth part of their shorter side before the random crop: 4 pixels of 32, as is usual for CIFAR."""

DECAY_AN_EPOCH = 0.01
"""What weight decay takes of an image network's weights in an epoch at the highest rate: rate x decay x steps of an epoch.

With 5e-4 that is what the training of NAS-Bench-201 has (rate 0.1, 195 steps an epoch). Few images are few steps an epoch, and
a larger decay. That the decay of an epoch is what should stay: Wang and Aitchison 2024 (arXiv:2405.13698), for AdamW.
"""

MOST_DECAY = 4e-3
"""The largest coefficient: twice as much gained nothing on small sets (`studies/weight_decay.py`)."""


def classifies(task: Task) -> bool:
    """Whether every example has one class: labels can be smoothed, and not of every position."""
    return _smooths(task) and not task.dense


def _smooths(task: Task) -> bool:
    try:
        task.smoothed(SMOOTHING)
    except RecipeError:
        return False
    return True


def protocol_for(data: Data, epochs: int) -> Protocol:
    """The protocol for a data set, at a length.

    Colour images are cropped at random and mirrored, grey ones only cropped: digits and letters are not their mirror images.
    Of few images, weights decay faster. What the data bring themselves stays.

    Args:
        data: examples with a task.
        epochs: passes over the training examples, >= 1.
    """
    batch = min(64, max(2, len(data.train) // 8))
    smoothing = SMOOTHING if _smooths(data.task) else 0.0
    protocol = replace(PROTOCOLS["quick"], name="find", epochs=epochs, batch_size=batch, label_smoothing=smoothing)
    if len(data.shape) != 3:
        return protocol
    if classifies(data.task):
        usual, steps = protocol.optimiser, (len(data.train) + len(data.valid)) / batch
        decay = min(DECAY_AN_EPOCH / (usual.lr.bounds[1] * steps), MOST_DECAY)
        protocol = replace(protocol, optimiser=replace(usual, weight_decay=max(usual.weight_decay, decay)))
    own = {name: getattr(data.augment, name, None) for name in ("crop", "flip")}
    crop, flip = own["crop"] or min(data.shape[1:]) // CROP_SHARE, bool(own["flip"]) or data.shape[0] == 3
    changed = replace(protocol, crop=crop, flip=flip)
    try:
        changed.augment(data)
    except (DataError, RecipeError):  # images that something else prepares
        return protocol
    return changed
