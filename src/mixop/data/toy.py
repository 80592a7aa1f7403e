"""Data for the toy space: labels of a teacher whose architecture is known."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch

from mixop.core.door import door
from mixop.core.errors import DataError
from mixop.data.core import Data, Source, assemble
from mixop.data.examples import Arrays
from mixop.data.split import Split
from mixop.spaces.toy import Toy, toy_data
from mixop.tasks.classification import Classification


@dataclass(frozen=True)
class ToySet(Source):
    """Images of one pixel for the toy space, labelled by its known optimum: a search takes seconds and can be judged.

    Args:
        space: the toy space whose optimum labels the images.
        n: number of training images, and of test images.
        split: how the training images are divided.
        augment: what is done to training batches; left empty, the numbers stay as they are.
    """

    name: ClassVar[str] = "toy"

    space: Toy = field(default=Toy(), kw_only=True)
    n: int = field(default=1024, kw_only=True)

    def load(self) -> Data:
        """The images as tensors ``(N, E * width, 1, 1)``, float32."""
        # The numbers are standard normal already, and the teacher's maps are of exactly these numbers: nothing is measured.
        channels = self.space.input_shape[0]
        augment = self.augment if self.augment.mean else replace(self.augment, mean=(0.0,) * channels, std=(1.0,) * channels)
        (x, y), (test_x, test_y) = (toy_data(self.space, n=self.n, seed=2 * self.split.seed + part) for part in (0, 1))
        return assemble(
            self.name,
            Arrays(torch.from_numpy(x), torch.from_numpy(y)),
            test=Arrays(torch.from_numpy(test_x), torch.from_numpy(test_y)),
            task=Classification(classes=tuple(str(label) for label in range(self.space.outputs))),
            split=self.split,
            augment=augment,
            source=self,
            record={},
        )


@door(DataError)
def toy_set(space: Toy | None = None, *, n: int = 1024, valid: float = 0.5, seed: int = 0) -> Data:
    """Images for a toy space.

    Args:
        space: the toy space; default `Toy` as it is.
        n: number of training images, and of test images.
        valid: share or number of the training images that the architecture learns from.
        seed: of the images and of the split.
    """
    return ToySet(space=space or Toy(), n=n, split=Split(valid=valid, seed=seed)).load()
