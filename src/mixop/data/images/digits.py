"""The handwritten digits that scikit-learn ships: 1,797 real 8x8 images in ten classes, nothing to download."""

from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from mixop.core.door import door
from mixop.core.errors import DataError
from mixop.data.core import Data, Source, assemble
from mixop.data.examples import Arrays
from mixop.data.images.augment import Augment
from mixop.data.preparation import AugmentFunction, Preparation, preparation
from mixop.data.split import Split
from mixop.tasks.classification import Classification

_AUGMENT = Augment(crop=1)  # no flip: a mirrored 2 is no digit
_FILE = "datasets/data/digits.csv.gz"


def _numbers() -> np.ndarray:
    """``(1797, 65)``, float64: from the file, since importing scikit-learn takes two seconds; where it is elsewhere, by it."""
    package = find_spec("sklearn")
    for folder in (package.submodule_search_locations or []) if package else []:
        if (file := Path(folder, _FILE)).is_file():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    ink, labels = load_digits(return_X_y=True)
    return np.column_stack((np.asarray(ink), np.asarray(labels)))


@dataclass(frozen=True)
class Digits(Source):
    """Handwritten digits, 1,797 grey images of 8x8 pixels: the set for trying things out.

    The set has no test part of its own: a share of it is kept, by the split.

    Args:
        split: how the examples are divided.
        augment: what is done to training batches; an empty ``mean`` and ``std`` are measured on the training examples.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
    """

    name: ClassVar[str] = "digits"

    augment: Preparation = field(default=_AUGMENT, kw_only=True)

    def load(self) -> Data:
        """The digits as tensors ``(N, 1, 8, 8)``, uint8, the darkest ink 255."""
        numbers = _numbers()  # 64 shades from 0 to 16, row by row, and the label
        grey = torch.from_numpy(numbers[:, :-1]).view(-1, 1, 8, 8) * (255 / 16)
        return assemble(
            self.name,
            Arrays(grey.round().to(torch.uint8), torch.from_numpy(numbers[:, -1]).long()),
            test=None,
            task=Classification(classes=tuple(str(digit) for digit in range(10))),
            split=self.split,
            augment=self.augment,
            source=self,
            record={"scikit-learn": version("scikit-learn")},
        )


@door(DataError)
def digits(
    *,
    valid: float = 0.5,
    test: float = 0.2,
    seed: int = 0,
    stratified: bool = True,
    index_file: str | None = None,
    augment: Preparation | AugmentFunction = _AUGMENT,
) -> Data:
    """Loads the handwritten digits that scikit-learn ships.

    Args:
        valid: share or number of the training examples that the architecture learns from.
        test: share or number of all examples that is kept for the test.
        seed: seed of the split.
        stratified: whether every class is divided by the same share.
        index_file: JSON file with index lists instead of shares, see `Split`.
        augment: what is done to training batches; an empty ``mean`` and ``std`` are measured.

    Raises:
        DataError: if a class is left without an example.

    Example:
        >>> data = digits(seed=0)
        >>> data.shape, len(data.train), len(data.valid), len(data.test)
        ((1, 8, 8), 719, 719, 359)
    """
    split = Split(valid=valid, test=test, seed=seed, stratified=stratified, index_file=index_file)
    return Digits(split=split, augment=preparation(augment)).load()
