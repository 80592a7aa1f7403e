import numpy as np
import pytest
import torch

from mixop.core.errors import DataError
from mixop.data.layouts import Layout, found, inputs

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shape", "bytes_", "layout"),
    [
        ((9, 4), False, "nf"),
        ((9, 4), True, "nf"),
        ((9, 3, 100), False, "ncl"),
        ((9, 1, 1), False, "nhw"),
        ((9, 28, 28), False, "nhw"),
        ((9, 28, 28), True, "nhw"),
        ((9, 20, 30), True, "nhw"),
        ((9, 30, 20), True, "nhw"),
        ((9, 3, 8, 8), False, "nchw"),
        ((9, 8, 8, 3), False, "nhwc"),
        ((9, 64, 8, 8), False, "nchw"),
        ((9, 3, 20, 30), False, "nchw"),
        ((9, 20, 30, 3), False, "nhwc"),
        ((9, 12, 1, 1), False, "nchw"),
    ],
)
def test_what_has_one_reading_is_found(shape: tuple[int, ...], bytes_: bool, layout: Layout):
    assert found(shape, bytes_, "auto", "x") == layout


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((9, 128, 6), "can be signals of 128 channels or of 6, or grey images: pass layout='ncl', 'nlc' or 'nhw'"),
        ((9, 4, 4, 4), "can be read in two ways: pass layout='nchw' or layout='nhwc'"),
        ((9, 4, 8, 4), "can be read in two ways"),
        ((9, 1, 20, 1), "can be read in two ways"),
        ((9, 40, 20, 30), "can be read in two ways"),
        ((9,), r"must hold features \(N, F\), .* got the shape \(9,\): give one row for each example"),
        ((9, 3, 4, 5, 6), r"got the shape \(9, 3, 4, 5, 6\): reshape it"),
    ],
)
def test_what_has_several_readings_is_refused(shape: tuple[int, ...], sentence: str):
    with pytest.raises(DataError, match=f"x .*{sentence}"):
        found(shape, False, "auto", "x")


@pytest.mark.parametrize(
    ("layout", "shape", "axes"),
    [
        ("nf", (5, 4), (0, 1)),
        ("nl", (5, 4), (0, None, 1)),
        ("ncl", (5, 7, 4), (0, 1, 2)),
        ("nlc", (5, 7, 4), (0, 2, 1)),
        ("nhw", (5, 7, 4), (0, None, 1, 2)),
        ("nchw", (5, 2, 3, 4), (0, 1, 2, 3)),
        ("nhwc", (5, 2, 3, 4), (0, 3, 1, 2)),
    ],
)
def test_an_order_that_is_said_is_read(layout: Layout, shape: tuple[int, ...], axes: tuple):
    array = RNG.random(shape).astype(np.float32)
    x, read = inputs(array, layout, "x")
    moved = np.transpose(array, [axis for axis in axes if axis is not None])
    for place, axis in enumerate(axes):
        moved = np.expand_dims(moved, place) if axis is None else moved
    assert np.array_equal(x.numpy(), moved)
    assert x.is_contiguous()
    assert read == layout
    with pytest.raises(DataError, match=f"by its layout '{layout}', got the shape"):
        inputs(array[None], layout, "x")


def test_an_unknown_order_is_refused():
    with pytest.raises(DataError, match=r"layout of x must be one of auto, nf, .* got 'hwc'"):
        inputs(RNG.random((3, 4)), "hwc", "x")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, ">f4", np.int8, np.int16, np.uint16, np.int32, np.int64, bool]
)
def test_numbers_become_float32_exactly(dtype):
    array = (RNG.random((6, 5)) * 100).astype(dtype)
    x = inputs(array, "nf", "x").x
    assert x.dtype == torch.float32
    assert np.array_equal(x.numpy(), array.astype(np.float32))


def test_bytes_stay_bytes_and_are_copied():
    array = RNG.integers(0, 256, (4, 5, 6), dtype=np.uint8)
    x, _ = inputs(array, "auto", "x")
    assert (x.dtype, x.shape) == (torch.uint8, (4, 1, 5, 6))
    before = x.clone()
    array[:] = 0
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (np.array([[2**24 + 1]]), "holds whole numbers beyond 16,777,216, which float32 would round"),
        (np.array([[-(2**40)]]), "holds whole numbers beyond"),
        (np.array([[1e300]]), "too large for float32"),
        (np.array([["a"]]), "must hold numbers, uint8 .* or float, got <U1"),
        (np.array([[None]]), "got object"),
        (np.array([[1j]]), "got complex128"),
        ([[1.0], [2.0, 3.0]], "rows differ in length"),
    ],
)
def test_what_float32_cannot_hold_is_refused(x, sentence: str):
    with pytest.raises(DataError, match=f"x .*{sentence}"):
        inputs(x, "auto", "x")


def test_large_numbers_that_float32_has_are_taken():
    assert inputs(np.array([[2**24, -(2**24)]]), "auto", "x").x.tolist() == [[2.0**24, -(2.0**24)]]
    assert inputs(torch.tensor([[1.5]], dtype=torch.bfloat16), "auto", "x").x.tolist() == [[1.5]]
