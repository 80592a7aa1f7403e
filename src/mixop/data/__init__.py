"""Data sets as tensors: the embedded digits, CIFAR, arrays and folders of images, with their splits and augmentation."""

from mixop.data.arrays import Npz, from_arrays, from_npz
from mixop.data.augment import CIFAR10_DARTS, CIFAR10_NASBENCH201, CIFAR100_DARTS, CIFAR100_NASBENCH201, Augment
from mixop.data.cifar import Cifar10, Cifar100, cifar10, cifar100
from mixop.data.core import Data, Source
from mixop.data.digits import Digits, digits
from mixop.data.folder import Folder, from_folder
from mixop.data.split import Split

SOURCES: dict[str, type[Source]] = {source.name: source for source in (Digits, Cifar10, Cifar100, Npz, Folder)}
"""Every source by the word for it on the command line."""

__all__ = [
    "CIFAR10_DARTS",
    "CIFAR10_NASBENCH201",
    "CIFAR100_DARTS",
    "CIFAR100_NASBENCH201",
    "SOURCES",
    "Augment",
    "Cifar10",
    "Cifar100",
    "Data",
    "Digits",
    "Folder",
    "Npz",
    "Source",
    "Split",
    "cifar10",
    "cifar100",
    "digits",
    "from_arrays",
    "from_folder",
    "from_npz",
]
