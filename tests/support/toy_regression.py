"""The toy space on a regression: what its best architecture's maps add up to, measured by an error that is better when lower.

A module of its own, so that the workers of a comparison can import the source.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from mixop.data.core import Data, Source, assemble
from mixop.data.examples import Arrays
from mixop.data.preparation import Preparation
from mixop.spaces.toy import Toy, toy_features
from mixop.tasks.regression import Regression


@dataclass(frozen=True)
class ToyRegression(Source):
    """Images of one pixel with four numbers each: linear in the maps of the toy space's optimum.

    Args:
        space: the toy space.
        n: number of training images, and of test images.
    """

    name: ClassVar[str] = "toy-regression"

    space: Toy = field(default=Toy(), kw_only=True)
    n: int = field(default=96, kw_only=True)

    def load(self) -> Data:
        """The images with their numbers."""
        shape = self.space.input_shape
        rng = np.random.default_rng(0)
        weights = rng.standard_normal((shape[0], self.space.outputs))
        x = rng.standard_normal((2 * self.n, *shape)).astype(np.float32)
        y = (toy_features(self.space, self.space.optimum, x) @ weights).astype(np.float32)
        training, test = (
            Arrays(torch.from_numpy(x[part]), torch.from_numpy(y[part])) for part in np.split(np.arange(len(x)), 2)
        )
        plain = Preparation(mean=(0.0,) * shape[0], std=(1.0,) * shape[0])
        return assemble(
            self.name, training, test=test, task=Regression(unit="mm"), split=self.split, augment=plain, source=self, record={}
        )
