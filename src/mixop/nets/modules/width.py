"""How many channels a layer has, as a decision."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from mixop.core.errors import SpaceError
from mixop.nets.modules.choice import Decided, pass_around


class Width(Decided):
    """How many channels, features or heads are kept: ``x = self.width(torch.relu(self.norm(self.conv(x))))``.

    It stands in ``forward`` after the layers that work channel by channel (norm, activation, depthwise convolution) and before
    the next one that mixes channels. In a supernet it multiplies channel ``c`` by ``sum_o weight_o * [c < k_o]``, where ``k_o``
    is the number of channels of option ``o``; a draw that leaves widths out computes the channels of the widest that runs, and
    no others. Outside of a supernet all channels are kept. In the network built from an architecture the layers around it are
    smaller, and it is gone: a trial of the space finds out which entries of which weights belong to the channels, and checks
    that the smaller network gives the same numbers. So a model should write -1 for the size in a reshape of the axis.

    Layers that must agree, such as two whose outputs are added, have a Width each, of the same ``share``.

    Args:
        channels: length of the axis at full width, > 0.
        fractions: the widths in increasing order, each in (0, 1]; its options are called "0.25", "0.5" and so on.
        share: a name that several have in common to be one decision; their fractions must be the same.
        axis: which axis of the tensor is cut: 1 for channels and for heads ``(B, heads, T, d)``, -1 for features.
        divisor: numbers of channels are rounded to multiples of it, but for the full one.

    Raises:
        SpaceError: for fractions out of range, or two that keep the same number of channels.

    Source: Wan et al. 2020 (arXiv:2004.05565), section 3.2, channel masking.

    Example:
        >>> import torch
        >>> width = Width(8, (0.5, 1.0))
        >>> width.names, width.sizes
        (('0.5', '1'), (4, 8))
        >>> width(torch.ones(2, 8)).shape
        torch.Size([2, 8])
    """

    def __init__(
        self,
        channels: int,
        fractions: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
        *,
        share: str | None = None,
        axis: int = 1,
        divisor: int = 1,
    ) -> None:
        super().__init__(share)
        for what, value in (("channels", channels), ("divisor", divisor)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SpaceError(f"The {what} of a Width must be a whole number of at least 1, got {value!r}.")
        fractions = tuple(fractions)
        if not fractions or not all(isinstance(f, int | float) and 0 < f <= 1 for f in fractions):
            raise SpaceError(f"The fractions of a Width must be numbers above 0 and up to 1, got {fractions}.")
        if list(fractions) != sorted(set(fractions)):
            raise SpaceError(f"The fractions of a Width must increase, got {fractions}.")
        self.channels, self.axis, self.divisor = channels, axis, divisor
        self.fractions = fractions
        for one, other in pairwise(self.sizes):
            if one == other:
                raise SpaceError(
                    f"The fractions {', '.join(self.names)} of {channels} channels with divisor {divisor} keep "
                    f"{', '.join(map(str, self.sizes))}: give fractions that keep different numbers."
                )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{fraction:g}" for fraction in self.fractions)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of channels that each option keeps."""
        return tuple(self._size(fraction) for fraction in self.fractions)

    def _size(self, fraction: float) -> int:
        if fraction == 1:
            return self.channels
        steps = int(self.channels * fraction / self.divisor + 0.5)
        return min(self.channels, max(1, steps) * self.divisor)

    def leave(self, names: Sequence[str]) -> None:
        """Takes the other options away."""
        self.fractions = tuple(fraction for fraction, name in zip(self.fractions, self.names, strict=True) if name in names)

    def extra_repr(self) -> str:
        return f"{self.channels}, {', '.join(self.names)}, axis={self.axis}"

    def forward(self, x: Tensor) -> Tensor:
        """The channels that are kept, or weighed.

        Raises:
            SpaceError: if the tensor has another number of channels.
        """
        running = pass_around()
        whole = running is None or not running.sliced
        if whole and (not -x.dim() <= self.axis < x.dim() or x.shape[self.axis] != self.channels):
            raise SpaceError(
                f"The Width {self.decision or self.share or ''} of {self.channels} channels on axis {self.axis} was called "
                f"with a tensor of shape {tuple(x.shape)}: give it the length of that axis."
            )
        return x if running is None else running.narrowed(self.decision, x, self.axis, self.sizes)
