"""The executors by name: the same function of images and mixing weights, computed in different ways."""

from collections.abc import Callable, Mapping

from mixop.supernet.core import Supernet
from mixop.supernet.fused import fused
from mixop.supernet.nodewise import nodewise
from mixop.supernet.plain import plain

EXECUTORS: Mapping[str, Callable[..., Supernet]] = {"nodewise": nodewise, "fused": fused, "plain": plain}
"""Each is called as ``make(space, norm=, generator=, wraps=)``; with one generator all have the same initial weights."""
