"""Wraps: changes of how an edge computes."""

from mixop.wraps.base import Wrap, check_wraps
from mixop.wraps.dropout import SkipDropout
from mixop.wraps.edges import AuxiliarySkip, DropPath, EdgeNormalisation
from mixop.wraps.partial import PartialChannels

ALL = {cls.__name__: cls for cls in (PartialChannels, EdgeNormalisation, AuxiliarySkip, DropPath, SkipDropout)}
"""Every wrap by its class's name."""

__all__ = ["ALL", "AuxiliarySkip", "DropPath", "EdgeNormalisation", "PartialChannels", "SkipDropout", "Wrap", "check_wraps"]
