"""Data sets: arrays, data sets of torch and Hugging Face, images and texts, with their splits and what is done to examples."""

from typing import Any

from mixop.core.values import from_plain
from mixop.data.arrays import from_arrays
from mixop.data.core import Data, Source
from mixop.data.datasets import from_dataset
from mixop.data.examples import Arrays, Examples
from mixop.data.images.augment import (
    CIFAR10_DARTS,
    CIFAR10_NASBENCH201,
    CIFAR100_DARTS,
    CIFAR100_NASBENCH201,
    IMAGENET,
    IMAGENET16_NASBENCH201,
    Augment,
)
from mixop.data.images.cifar import Cifar10, Cifar100, cifar10, cifar100
from mixop.data.images.digits import Digits, digits
from mixop.data.images.folder import Folder, from_folder
from mixop.data.images.imagenet import IMAGENET_SEARCH, ImageNet, imagenet
from mixop.data.images.imagenet16 import ImageNet16, imagenet16
from mixop.data.images.lazy import LazyImages
from mixop.data.images.sheets import Sheets, sheets
from mixop.data.layouts import Layout
from mixop.data.npz import Npz, from_npz
from mixop.data.preparation import AugmentFunction, Preparation
from mixop.data.split import Split
from mixop.data.text import Ptb, Text, WikiText2, from_text, from_tokens
from mixop.data.toy import ToySet, toy_set
from mixop.data.windows import Windows
from mixop.spaces.toy import Toy
from mixop.tasks import PARTS as TASK_PARTS

SOURCES: dict[str, type[Source]] = {
    source.name: source
    for source in (Digits, Cifar10, Cifar100, ImageNet16, Npz, Folder, Sheets, ImageNet, Text, Ptb, WikiText2, ToySet)
}
"""Every source by the word for it on the command line."""

PARTS: dict[str, type] = {
    **{cls.__name__: cls for cls in (*SOURCES.values(), Split, Preparation, Augment, Toy)},
    **TASK_PARTS,
}
"""Every class of a source and of its parts, tasks among them, by the name it has in a file."""


def source_from_json(data: Any) -> Source:
    """The source that `mixop.core.values.to_plain` wrote.

    Raises:
        RecipeError: with the path to what is unknown, missing or of the wrong type.
    """
    return from_plain(data, Source, PARTS, "data")


__all__ = [
    "CIFAR10_DARTS",
    "CIFAR10_NASBENCH201",
    "CIFAR100_DARTS",
    "CIFAR100_NASBENCH201",
    "IMAGENET",
    "IMAGENET16_NASBENCH201",
    "IMAGENET_SEARCH",
    "PARTS",
    "SOURCES",
    "Arrays",
    "Augment",
    "AugmentFunction",
    "Cifar10",
    "Cifar100",
    "Data",
    "Digits",
    "Examples",
    "Folder",
    "ImageNet",
    "ImageNet16",
    "Layout",
    "LazyImages",
    "Npz",
    "Preparation",
    "Ptb",
    "Sheets",
    "Source",
    "Split",
    "Text",
    "ToySet",
    "WikiText2",
    "Windows",
    "cifar10",
    "cifar100",
    "digits",
    "from_arrays",
    "from_dataset",
    "from_folder",
    "from_npz",
    "from_text",
    "from_tokens",
    "imagenet",
    "imagenet16",
    "sheets",
    "source_from_json",
    "toy_set",
]
