"""What is done to examples before a network sees them: normalisation always, augmentation in training."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor

from mixop.core.errors import DataError, RecipeError
from mixop.core.names import load, name_of
from mixop.core.transfer import constant
from mixop.core.types import Batch
from mixop.data.examples import Examples

AugmentFunction = Callable[[Batch, Generator], Batch]
"""Changes a training batch before it is normalised: float32 inputs, those stored as uint8 in [0, 1], or token numbers, int64;
and targets. It draws random numbers from the generator only, which is on the CPU: then a resumed run repeats them."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Normalisation, and a user's own augmentation of training batches.

    ``mean`` and ``std`` are on the scale that inputs are read on: uint8 counts as 0 to 1 (divided by 255), floats as they
    are. Left empty they mean no normalisation here; a data source then measures them on its training examples.

    Args:
        mean: mean of each channel or feature, subtracted.
        std: standard deviation of each channel or feature, > 0, divided by.
        function: ``package.module:function`` of a user's own augmentation, called as ``function(batch, generator)`` with a
            training batch before anything else is done to it, see `AugmentFunction`; empty for none.
    """

    asked: ClassVar[str] = "a preparation such as mixop.data.Augment()"

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    function: str = ""

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise RecipeError(
                f"mean and std must each have one number for each channel, got {len(self.mean)} and {len(self.std)} numbers."
            )
        if any(not std > 0 for std in self.std):
            raise RecipeError(f"std must be > 0 for every channel, got {self.std}.")

    @property
    def names_used(self) -> tuple[str, ...]:
        """The function that it names."""
        return (self.function,) if self.function else ()

    def plain(self, x: Tensor) -> Tensor:
        """A batch of inputs normalised and nothing else: what evaluation does.

        Args:
            x: inputs ``(B, C, ...)``, uint8 or float; not changed. Token numbers, int64, stay as they are.

        Returns:
            Inputs of the same shape, float32, on the same device.

        Raises:
            DataError: if the channels are not those of ``mean`` and ``std``.
        """
        if x.dtype == torch.int64:
            return x
        unit = 255.0 if x.dtype == torch.uint8 else 1.0
        if not self.mean:
            return x.float() / unit
        if len(self.mean) != x.shape[1]:
            raise DataError(f"mean and std are for {len(self.mean)} channels, but the inputs have {x.shape[1]}.")
        shape = (1, -1, *(1,) * (x.dim() - 2))
        x = x.float()
        mean, std = (constant(v, x).view(shape) for v in (self.mean, self.std))
        return (x - mean * unit) / (std * unit)

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """A training batch, augmented and normalised.

        Args:
            batch: inputs as they are stored, and targets; not changed.
            generator: source of randomness, on the CPU whatever the device; same seed, same result.

        Raises:
            DataError: if a user's function gives something else than a batch of the same length.
        """
        batch = self.applied(batch, generator)
        return batch._replace(x=self.plain(batch.x))

    def applied(self, batch: Batch, generator: Generator) -> Batch:
        """A training batch after the user's own function, if there is one: not normalised.

        Raises:
            DataError: if it gives something else than a batch of the same length and number type.
        """
        return _applied(self.function, batch, generator) if self.function else batch

    def read(self, examples: Examples, at: Tensor, generator: Generator, *, then: Tensor | None = None) -> Batch:
        """A training batch of some examples, augmented and normalised.

        Args:
            examples: the pool.
            at: indices ``(B,)``, int64.
            generator: as in a call.
            then: indices that will be asked for next, where that is known.

        Raises:
            DataError: if an example cannot be read.
        """
        return self(examples.read(at, then=then), generator)

    def measured(self, x: Tensor) -> Self:
        """With mean and standard deviation of each channel measured on inputs ``(N, C, ...)``, where it has none.

        A channel that never changes is divided by 1, not by 0.
        """
        if self.mean or x.dtype == torch.int64:
            return self
        mean, std = zip(*(_moments(x[:, channel]) for channel in range(x.shape[1])), strict=True)
        return replace(self, mean=mean, std=std)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuses inputs that it does not fit.

        Args:
            shape: of one input.

        Raises:
            DataError: saying what does not fit.
        """
        if self.mean and len(self.mean) != shape[0]:
            raise DataError(f"mean and std are for {len(self.mean)} channels, but the inputs have {shape[0]}.")

    def changed(self, **settings: Any) -> "Preparation":
        """With other settings of image augmentation, as protocols and recipes ask for them; those that are None stay.

        Raises:
            RecipeError: if these are settings for images, and the inputs are not images.
        """
        given = [name for name, value in settings.items() if value]
        if given:
            raise RecipeError(
                f"{given[0]} is an augmentation of images, which this data does not have: leave it out, or give the data an "
                "Augment."
            )
        return self

    def erasing(self, share: float, probability: float, shape: tuple[int, ...]) -> "Preparation":
        """With a square erased from training images, as some searches do.

        Args:
            share: its side as a share of the image's shorter side, in (0, 1).
            probability: chance of each image.
            shape: of one input.

        Raises:
            RecipeError: if the inputs are not images.
        """
        return self.changed(cutout=max(1, round(share * min(shape[1:], default=1))), cutout_probability=probability)


def preparation(augment: "Preparation | AugmentFunction | None", default: Preparation | None = None) -> Preparation:
    """What a user passes as ``augment`` as a `Preparation`: one, a function of their own, or None for the default."""
    if augment is None:
        return default or Preparation()
    if isinstance(augment, Preparation):
        return augment
    return Preparation(function=name_of(augment, "An augmentation"))


def _applied(name: str, batch: Batch, generator: Generator) -> Batch:
    # As floats in [0, 1]: x + noise would else change the scale of uint8 images from 0..1 to 0..255 without a word.
    given = batch._replace(x=batch.x.float() / 255) if batch.x.dtype == torch.uint8 else batch
    result = load(name, "the augmentation", "function")(given, generator)
    good = isinstance(result, tuple) and len(result) in (2, 3) and all(isinstance(part, Tensor) for part in result[:2])
    if not good:
        raise DataError(f"The augmentation {name!r} must return a batch (inputs, targets), got {type(result).__name__}.")
    x, y = result[:2]
    for what, got, had in (("inputs", x, given.x), ("targets", y, given.y)):
        if got.shape != had.shape or got.dtype != had.dtype:
            raise DataError(
                f"The augmentation {name!r} must return {what} of the shape and type it got, "
                f"{tuple(had.shape)} of {had.dtype}, got {tuple(got.shape)} of {got.dtype}."
            )
    return Batch(x, y, batch.state)


def _moments(channel: Tensor) -> tuple[float, float]:
    """Mean and standard deviation on the scale of `Preparation`; 1 for the deviation of a channel that never changes."""
    if channel.dtype == torch.uint8:  # from the histogram: exact, whatever the number of threads
        values = torch.arange(256, device=channel.device).double() / 255
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
    else:
        values, share = channel.double(), torch.tensor(1 / channel.numel(), dtype=torch.float64)
    mean = (values * share).sum()
    std = ((values - mean).square() * share).sum().sqrt().item()
    return mean.item(), std if channel.min() != channel.max() else 1.0
