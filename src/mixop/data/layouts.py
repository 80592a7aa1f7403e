"""The order of the axes of inputs: which axis is what, and the one order that mixop works with.

Inputs come in many orders. Here they become features ``(N, F)``, signals ``(N, C, L)`` or images ``(N, C, H, W)``, float32, or
uint8 for images of 0 to 255.
"""

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from mixop.core.errors import DataError

Layout = Literal["auto", "nf", "ncl", "nlc", "nl", "nchw", "nhwc", "nhw"]
"""Order of the axes: N examples; F features; C channels and L steps of signals; C channels, H height, W width of images."""

FORMS: dict[Layout, tuple[str, int]] = {
    "nf": ("features (N, F)", 2),
    "nl": ("signals of one channel (N, L)", 2),
    "ncl": ("signals (N, C, L)", 3),
    "nlc": ("signals (N, L, C)", 3),
    "nhw": ("grey images (N, H, W)", 3),
    "nchw": ("images (N, C, H, W)", 4),
    "nhwc": ("images (N, H, W, C)", 4),
}
"""What each order says, and its number of axes."""

EXACT = 2**24
"""Every whole number up to it is a float32; many beyond are not."""


class Inputs(NamedTuple):
    """Inputs in mixop's order, and how they were read."""

    x: Tensor
    layout: Layout


def inputs(given: Any, layout: Layout, where: str) -> Inputs:
    """Inputs in mixop's order, from an array of any order.

    Args:
        given: an array, a tensor, or lists of numbers.
        layout: order of its axes; "auto" finds it, see `found`.
        where: what it is called in messages.

    Returns:
        A copy ``(N, F)``, ``(N, C, L)`` or ``(N, C, H, W)``, uint8 if it was uint8, else float32, and the order that was read.

    Raises:
        DataError: if the order cannot be found, or numbers do not fit into float32.
    """
    array = as_array(given, where)
    layout = found(array.shape, array.dtype == np.uint8, layout, where)
    return Inputs(torch.from_numpy(np.array(arranged(numbers(array, where), layout), order="C")), layout)


def found(shape: tuple[int, ...], bytes_: bool, layout: Layout, where: str) -> Layout:
    """The order of the axes of inputs.

    "auto" reads two axes as features, and three as signals ``(N, C, L)``, unless there are more channels than steps, which is
    refused; of uint8, or with two equal sides, three axes are grey images. Four axes are images in the order that makes them
    square; where neither does, in the one order that gives fewer channels than height and width.

    Args:
        shape: of all inputs, the first axis counts examples.
        bytes_: whether they are uint8.
        layout: what the user said.
        where: what they are called in messages.

    Raises:
        DataError: if "auto" finds no order or more than one, or the shape has another number of axes than ``layout``.
    """
    if layout not in get_args(Layout):
        raise DataError(f"The layout of {where} must be one of {', '.join(get_args(Layout))}, got {layout!r}.")
    if layout != "auto":
        what, axes = FORMS[layout]
        if len(shape) != axes:
            raise DataError(f"{where} must hold {what} by its layout {layout!r}, got the shape {tuple(shape)}.")
        return layout
    if len(shape) == 2:
        return "nf"
    if len(shape) == 3:
        return _three(shape, bytes_, where)
    if len(shape) == 4:
        return _four(shape, where)
    hint = "give one row for each example" if len(shape) < 2 else "reshape it"
    raise DataError(
        f"{where} must hold features (N, F), signals (N, C, L) or images (N, C, H, W), got the shape {tuple(shape)}: {hint}."
    )


def _three(shape: tuple[int, ...], bytes_: bool, where: str) -> Layout:
    _, first, second = shape
    if bytes_ or first == second:
        return "nhw"
    if first > second:
        raise DataError(
            f"{where} of shape {tuple(shape)} can be signals of {first} channels or of {second}, or grey images: pass "
            "layout='ncl', 'nlc' or 'nhw'."
        )
    return "ncl"


def _four(shape: tuple[int, ...], where: str) -> Layout:
    _, first, middle, last = shape
    orders: tuple[tuple[Layout, int, int, int], ...] = (("nchw", first, middle, last), ("nhwc", last, first, middle))
    square: list[Layout] = [name for name, _, height, width in orders if height == width]
    few: list[Layout] = [name for name, channels, height, width in orders if channels <= min(height, width)]
    candidates = square or few
    if len(candidates) == 1:
        return candidates[0]
    raise DataError(f"{where} of shape {tuple(shape)} can be read in two ways: pass layout='nchw' or layout='nhwc'.")


def numbers(array: np.ndarray, where: str) -> np.ndarray:
    """An array as uint8 where it is, else as float32.

    Raises:
        DataError: if it holds no numbers, whole numbers that float32 cannot hold exactly, or numbers too large for it.
    """
    if array.dtype == np.uint8 or array.dtype == np.float32:
        return array
    if array.dtype.kind not in "fiub":
        raise DataError(f"{where} must hold numbers, uint8 (0 to 255) or float, got {array.dtype}: convert it first.")
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    if array.dtype.kind == "f" and (np.isinf(single) & np.isfinite(array)).any():
        raise DataError(f"{where} holds numbers too large for float32: scale them first.")
    if array.dtype.kind in "iu" and array.size and (int(array.max()) > EXACT or int(array.min()) < -EXACT):
        raise DataError(f"{where} holds whole numbers beyond {EXACT:,}, which float32 would round: scale them first.")
    return single


def arranged(array: np.ndarray, layout: Layout) -> np.ndarray:
    """Inputs with their axes in mixop's order, as a view."""
    if layout == "nhwc":
        return array.transpose(0, 3, 1, 2)
    if layout == "nlc":
        return array.transpose(0, 2, 1)
    return array[:, None] if layout in ("nhw", "nl") else array


def as_array(given: Any, where: str) -> np.ndarray:
    """Whatever was given as an array.

    Raises:
        DataError: if it is not one.
    """
    if isinstance(given, Tensor):
        given = given.detach().cpu()
        return (given.float() if given.dtype == torch.bfloat16 else given).numpy()
    try:
        return np.asarray(given)
    except ValueError as error:  # rows of different lengths
        raise DataError(f"{where} must be an array, but its rows differ in length.") from error
