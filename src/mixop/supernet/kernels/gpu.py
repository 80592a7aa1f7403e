"""The kernels of the triton executor, for GPUs; this file is imported only where Triton is installed and asked for.

Maps are images with the channels last, seen as matrices: a row is a pixel of an image of the batch, a column a channel. A
*stack* has the maps of several edges side by side; a *shared* map is the same for all of these edges. Blocks of ``ROWS`` times
``COLS`` numbers are computed at once, in ``REAL``, whatever the maps are stored in. Each number is written by one program, and
what several programs add up goes through memory in a fixed order, so that equal inputs give equal bits.
"""

# Triton need not be installed where types are checked.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# Of a kernel, one line for what it points to and for sizes, one for what it is compiled for:
# fmt: off

import triton
import triton.language as tl


@triton.jit
def _block(ROWS: tl.constexpr, COLS: tl.constexpr):
    """Rows and columns of this program."""
    return tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.program_id(1) * COLS + tl.arange(0, COLS)


@triton.jit
def _places(rows, cols, width):
    """Where the numbers of rows and columns lie; in 64 bits, which rows by themselves, pixels of a batch, do not need."""
    return rows.to(tl.int64)[:, None] * width + cols[None, :]


@triton.jit
def block_moments(maps, means, spreads, rows, channels, total,
                  STACKS: tl.constexpr, EDGES: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, REAL: tl.constexpr):
    """Of every column of each map, in one block of rows, the mean and the sum of squared distances from it.

    The first ``STACKS`` maps are stacks. ``means`` and ``spreads`` are ``(blocks, total)``.
    """
    at, cols = _block(ROWS, COLS)
    block = tl.program_id(0)
    count = tl.minimum(rows - block * ROWS, ROWS)
    first = block.to(tl.int64) * total
    for k in tl.static_range(len(maps)):
        width = channels * EDGES if k < STACKS else channels
        there = cols < width
        inside = (at < rows)[:, None] & there[None, :]
        x = tl.load(maps[k] + _places(at, cols, width), mask=inside, other=0).to(REAL)
        mean = tl.sum(x, axis=0) / count
        away = tl.where(inside, x - mean[None, :], 0)
        tl.store(means + first + cols, mean, mask=there)
        tl.store(spreads + first + cols, tl.sum(away * away, axis=0), mask=there)
        first += width


@triton.jit
def merge_moments(means, spreads, mean, rate, variance, blocks, rows, total,
                  EPS: tl.constexpr, SIZE: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, REAL: tl.constexpr):
    """Of every column the mean, the rate ``1 / sqrt(variance + eps)`` and the unbiased variance, from those of blocks.

    Blocks are of ``SIZE`` rows.

    Source: Chan, Golub & LeVeque 1979, the variance of a union; no sum of squares is cancelled.
    """
    cols = tl.program_id(0) * COLS + tl.arange(0, COLS)
    there = cols < total
    whole = tl.zeros((COLS,), REAL)
    for start in range(0, blocks, ROWS):
        at = start + tl.arange(0, ROWS)
        counts = tl.minimum(tl.maximum(rows - at * SIZE, 0), SIZE).to(REAL)
        inside = (at < blocks)[:, None] & there[None, :]
        its = tl.load(means + _places(at, cols, total), mask=inside, other=0)
        whole += tl.sum(its * counts[:, None], axis=0)
    whole = whole / rows
    spread = tl.zeros((COLS,), REAL)
    for start in range(0, blocks, ROWS):
        at = start + tl.arange(0, ROWS)
        counts = tl.minimum(tl.maximum(rows - at * SIZE, 0), SIZE).to(REAL)
        inside = (at < blocks)[:, None] & there[None, :]
        here = _places(at, cols, total)
        away = tl.load(means + here, mask=inside, other=0) - whole[None, :]
        spread += tl.sum(tl.load(spreads + here, mask=inside, other=0) + counts[:, None] * away * away, axis=0)
    tl.store(mean + cols, whole, mask=there)
    tl.store(rate + cols, 1 / tl.sqrt(spread / rows + EPS), mask=there)
    tl.store(variance + cols, spread / tl.maximum(rows - 1, 1), mask=there)


@triton.jit
def _factor(scale, row, cols, there, by_row, by_column, REAL: tl.constexpr):
    """The factors of a row of ``scale``; ones where there is none."""
    if scale is None:
        return tl.full(cols.shape, 1, REAL)
    return tl.load(scale + row * by_row + cols * by_column, mask=there, other=0).to(REAL)


@triton.jit
def _normalised(x, mean, rate, row, channels, cols, there):
    """Values minus their mean, times the rate."""
    here = row * channels + cols
    middle, slope = tl.load(mean + here, mask=there, other=0), tl.load(rate + here, mask=there, other=0)
    return (x - middle[None, :]) * slope[None, :]


@triton.jit
def _stacked(stack, mean, rate, k, e, at, cols, there, inside, channels, EDGES: tl.constexpr, REAL: tl.constexpr):
    """The normalised values of edge ``e`` in the k-th stack."""
    x = tl.load(stack + _places(at, e * channels + cols, EDGES * channels), mask=inside, other=0).to(REAL)
    return _normalised(x, mean, rate, k * EDGES + e, channels, cols, there)


@triton.jit
def _shared(maps, mean, rate, s, e, at, cols, there, inside, channels,
            STACKS: tl.constexpr, EDGES: tl.constexpr, NORMED: tl.constexpr, APART: tl.constexpr, REAL: tl.constexpr):
    """The values of a shared map for edge ``e``, normalised if it is one of the first ``NORMED``."""
    x = tl.load(maps[s] + _places(at, cols, channels), mask=inside, other=0).to(REAL)
    if s < NORMED:
        row = STACKS * EDGES + (s * EDGES + e if APART else s)
        x = _normalised(x, mean, rate, row, channels, cols, there)
    return x


@triton.jit
def mixture(stacks, shared, before, outs, mean, rate, scale, shift, rows, channels, by_row, by_column,
            EDGES: tl.constexpr, NORMED: tl.constexpr, APART: tl.constexpr, RELU: tl.constexpr,
            ROWS: tl.constexpr, COLS: tl.constexpr, REAL: tl.constexpr):
    """Of every edge what it had before, plus the sum of all maps, normalised and scaled.

    A row of ``scale`` for every edge of the first stack, then of the others, then for every edge of the shared maps. Statistics
    have rows for the stacks in this order, and one for each of the ``NORMED`` shared maps, or, ``APART``, one for each of its
    edges.
    """
    at, cols = _block(ROWS, COLS)
    there = cols < channels
    inside = (at < rows)[:, None] & there[None, :]
    here = _places(at, cols, channels)
    for e in tl.static_range(EDGES):
        total = tl.zeros((ROWS, COLS), REAL)
        if len(before) > 0:
            total += tl.load(before[e] + here, mask=inside, other=0).to(REAL)
        if shift is not None:
            total += tl.load(shift + e * channels + cols, mask=there, other=0).to(REAL)[None, :]
        for k in tl.static_range(len(stacks)):
            x = _stacked(stacks[k], mean, rate, k, e, at, cols, there, inside, channels, EDGES, REAL)
            total += x * _factor(scale, k * EDGES + e, cols, there, by_row, by_column, REAL)[None, :]
        for s in tl.static_range(len(shared)):
            x = _shared(shared, mean, rate, s, e, at, cols, there, inside, channels, len(stacks), EDGES, NORMED, APART, REAL)
            total += x * _factor(scale, (len(stacks) + s) * EDGES + e, cols, there, by_row, by_column, REAL)[None, :]
        if RELU:
            total = tl.where(total < 0, 0, total)
        tl.store(outs[e] + here, total.to(outs[e].dtype.element_ty), mask=inside)


@triton.jit
def _slope(grad, stacks, mean, rate, scale, shift, at, cols, there, inside, here, channels, by_row, by_column,
           EDGES: tl.constexpr, RELU: tl.constexpr, REAL: tl.constexpr):
    """The gradient of an edge's sum; behind a ReLU, where one stack of one edge is computed again."""
    g = tl.load(grad + here, mask=inside, other=0).to(REAL)
    if RELU:
        x = _stacked(stacks[0], mean, rate, 0, 0, at, cols, there, inside, channels, EDGES, REAL)
        x = x * _factor(scale, 0, cols, there, by_row, by_column, REAL)[None, :]
        if shift is not None:
            x += tl.load(shift + cols, mask=there, other=0).to(REAL)[None, :]
        g = tl.where(x > 0, g, 0)
    return g


@triton.jit
def mixture_sums(stacks, shared, grads, sums, mean, rate, scale, shift, rows, channels, by_row, by_column, total,
                 EDGES: tl.constexpr, NORMED: tl.constexpr, APART: tl.constexpr, RELU: tl.constexpr,
                 ROWS: tl.constexpr, COLS: tl.constexpr, REAL: tl.constexpr):
    """In one block of rows, the sums of gradients times values for every row of ``scale``, and of the gradients of every edge.

    ``sums`` is ``(blocks, total)``.
    """
    at, cols = _block(ROWS, COLS)
    there = cols < channels
    inside = (at < rows)[:, None] & there[None, :]
    here = _places(at, cols, channels)
    put = sums + tl.program_id(0).to(tl.int64) * total + cols
    for e in tl.static_range(EDGES):
        g = _slope(grads[e], stacks, mean, rate, scale, shift, at, cols, there, inside, here, channels, by_row, by_column,
                   EDGES, RELU, REAL)
        for k in tl.static_range(len(stacks)):
            x = _stacked(stacks[k], mean, rate, k, e, at, cols, there, inside, channels, EDGES, REAL)
            tl.store(put + (k * EDGES + e) * channels, tl.sum(tl.where(inside, g * x, 0), axis=0), mask=there)
        for s in tl.static_range(len(shared)):
            x = _shared(shared, mean, rate, s, e, at, cols, there, inside, channels, len(stacks), EDGES, NORMED, APART, REAL)
            row = (len(stacks) + s) * EDGES + e
            tl.store(put + row * channels, tl.sum(tl.where(inside, g * x, 0), axis=0), mask=there)
        row = (len(stacks) + len(shared)) * EDGES + e
        tl.store(put + row * channels, tl.sum(g, axis=0), mask=there)


@triton.jit
def _through_norm(g, x, sums, rate, row, term, edge, rows, channels, cols, there, BATCH: tl.constexpr, REAL: tl.constexpr):
    """The gradient of a normalised map before its scale; through the statistics too, where they are the batch's."""
    if BATCH:
        by_value = tl.load(sums + term * channels + cols, mask=there, other=0).to(REAL) / rows
        by_one = tl.load(sums + edge * channels + cols, mask=there, other=0).to(REAL) / rows
        g = g - by_one[None, :] - x * by_value[None, :]
    return g * tl.load(rate + row * channels + cols, mask=there, other=0)[None, :]


@triton.jit
def mixture_backward(stacks, shared, grads, by_stack, by_shared, sums,
                     mean, rate, scale, shift, rows, channels, by_row, by_column,
                     EDGES: tl.constexpr, NORMED: tl.constexpr, APART: tl.constexpr, RELU: tl.constexpr, BATCH: tl.constexpr,
                     ROWS: tl.constexpr, COLS: tl.constexpr, REAL: tl.constexpr):
    """The gradients of all maps; ``sums`` are those of `mixture_sums`, added up over the blocks."""
    at, cols = _block(ROWS, COLS)
    there = cols < channels
    inside = (at < rows)[:, None] & there[None, :]
    here = _places(at, cols, channels)
    ones = (len(stacks) + len(shared)) * EDGES
    for e in tl.static_range(EDGES):
        g = _slope(grads[e], stacks, mean, rate, scale, shift, at, cols, there, inside, here, channels, by_row, by_column,
                   EDGES, RELU, REAL)
        for k in tl.static_range(len(stacks)):
            row = k * EDGES + e
            x = _stacked(stacks[k], mean, rate, k, e, at, cols, there, inside, channels, EDGES, REAL)
            d = _through_norm(g, x, sums, rate, row, row, ones + e, rows, channels, cols, there, BATCH, REAL)
            d = d * _factor(scale, row, cols, there, by_row, by_column, REAL)[None, :]
            place = _places(at, e * channels + cols, EDGES * channels)
            tl.store(by_stack[k] + place, d.to(by_stack[k].dtype.element_ty), mask=inside)
    for s in tl.static_range(len(shared)):
        total = tl.zeros((ROWS, COLS), REAL)
        for e in tl.static_range(EDGES):
            term = (len(stacks) + s) * EDGES + e
            d = tl.load(grads[e] + here, mask=inside, other=0).to(REAL)
            if s < NORMED:
                x = _shared(
                    shared, mean, rate, s, e, at, cols, there, inside, channels, len(stacks), EDGES, NORMED, APART, REAL
                )
                row = len(stacks) * EDGES + (s * EDGES + e if APART else s)
                d = _through_norm(d, x, sums, rate, row, term, ones + e, rows, channels, cols, there, BATCH, REAL)
            total += d * _factor(scale, term, cols, there, by_row, by_column, REAL)[None, :]
        tl.store(by_shared[s] + here, total.to(by_shared[s].dtype.element_ty), mask=inside)


@triton.jit
def _pixel(at, height, width):
    """Image, row and column of the pixels of images of that size."""
    return at // (height * width), (at // width) % height, at % width


@triton.jit
def _tap(tap, i, j, height, width, KERNEL: tl.constexpr, STRIDE: tl.constexpr, DILATION: tl.constexpr):
    """The pixel that a tap of a window sees from an output pixel, and whether it is in the image."""
    edge = DILATION * (KERNEL - 1) // 2
    y, x = i * STRIDE + (tap // KERNEL) * DILATION - edge, j * STRIDE + (tap % KERNEL) * DILATION - edge
    return y, x, (y >= 0) & (y < height) & (x >= 0) & (x < width)


@triton.jit
def _seen_from(tap, y, x, out_height, out_width, KERNEL: tl.constexpr, STRIDE: tl.constexpr, DILATION: tl.constexpr):
    """The output pixel that sees a pixel through a tap, and whether there is one."""
    edge = DILATION * (KERNEL - 1) // 2
    up, left = y + edge - (tap // KERNEL) * DILATION, x + edge - (tap % KERNEL) * DILATION
    i, j = up // STRIDE, left // STRIDE
    whole = (up >= 0) & (left >= 0) & (up % STRIDE == 0) & (left % STRIDE == 0)
    return i, j, whole & (i < out_height) & (j < out_width)


@triton.jit
def depthwise(image, weight, out, rows, height, width, out_height, out_width, channels, columns,
              KERNEL: tl.constexpr, STRIDE: tl.constexpr, DILATION: tl.constexpr,
              ROWS: tl.constexpr, COLS: tl.constexpr, REAL: tl.constexpr):
    """Depthwise convolution to ``columns`` channels, a multiple of the image's ``channels``.

    A column reads the channel that is its remainder by ``channels``.
    """
    at, cols = _block(ROWS, COLS)
    there, valid = cols < columns, at < rows
    b, i, j = _pixel(at, out_height, out_width)
    total = tl.zeros((ROWS, COLS), REAL)
    for tap in range(KERNEL * KERNEL):
        y, x, found = _tap(tap, i, j, height, width, KERNEL, STRIDE, DILATION)
        place = _places((b * height + y) * width + x, cols % channels, channels)
        seen = tl.load(image + place, mask=(valid & found)[:, None] & there[None, :], other=0).to(REAL)
        total += seen * tl.load(weight + cols * (KERNEL * KERNEL) + tap, mask=there, other=0).to(REAL)[None, :]
    inside = valid[:, None] & there[None, :]
    tl.store(out + _places(at, cols, columns), total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def depthwise_by_image(grad, weight, slope, rows, height, width, out_height, out_width, channels, columns,
                       KERNEL: tl.constexpr, STRIDE: tl.constexpr, DILATION: tl.constexpr,
                       ROWS: tl.constexpr, COLS: tl.constexpr, REAL: tl.constexpr):
    """The gradient of `depthwise` in the image: every pixel gathers from the output pixels that saw it."""
    at, cols = _block(ROWS, COLS)
    there, valid = cols < channels, at < rows
    b, y, x = _pixel(at, height, width)
    total = tl.zeros((ROWS, COLS), REAL)
    for first in range(0, columns, channels):
        for tap in range(KERNEL * KERNEL):
            i, j, found = _seen_from(tap, y, x, out_height, out_width, KERNEL, STRIDE, DILATION)
            place = _places((b * out_height + i) * out_width + j, first + cols, columns)
            seen = tl.load(grad + place, mask=(valid & found)[:, None] & there[None, :], other=0).to(REAL)
            its = tl.load(weight + (first + cols) * (KERNEL * KERNEL) + tap, mask=there, other=0).to(REAL)
            total += seen * its[None, :]
    inside = valid[:, None] & there[None, :]
    tl.store(slope + _places(at, cols, channels), total.to(slope.dtype.element_ty), mask=inside)


@triton.jit
def depthwise_by_weight(image, grad, sums, rows, height, width, out_height, out_width, channels, columns,
                        KERNEL: tl.constexpr, STRIDE: tl.constexpr, DILATION: tl.constexpr,
                        ROWS: tl.constexpr, COLS: tl.constexpr, REAL: tl.constexpr):
    """The gradient of `depthwise` in the weights, of one block of output pixels: ``sums`` is ``(blocks, columns, taps)``."""
    at, cols = _block(ROWS, COLS)
    there, valid = cols < columns, at < rows
    b, i, j = _pixel(at, out_height, out_width)
    inside = valid[:, None] & there[None, :]
    g = tl.load(grad + _places(at, cols, columns), mask=inside, other=0).to(REAL)
    put = sums + (tl.program_id(0).to(tl.int64) * columns + cols) * (KERNEL * KERNEL)
    for tap in range(KERNEL * KERNEL):
        y, x, found = _tap(tap, i, j, height, width, KERNEL, STRIDE, DILATION)
        place = _places((b * height + y) * width + x, cols % channels, channels)
        seen = tl.load(image + place, mask=(valid & found)[:, None] & there[None, :], other=0).to(REAL)
        tl.store(put + tap, tl.sum(g * seen, axis=0), mask=there)


@triton.jit
def _window(i, size, STRIDE: tl.constexpr):
    """How many pixels of a window of 3 around an output pixel are in an image, along one axis."""
    return tl.minimum(i * STRIDE + 2, size) - tl.maximum(i * STRIDE - 1, 0)


@triton.jit
def pool(image, out, which, rows, height, width, out_height, out_width, channels,
         STRIDE: tl.constexpr, MAXIMUM: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, REAL: tl.constexpr):
    """The largest value of 3x3 windows, and by which tap it was seen; or the mean of what is in the image."""
    at, cols = _block(ROWS, COLS)
    there, valid = cols < channels, at < rows
    inside = valid[:, None] & there[None, :]
    b, i, j = _pixel(at, out_height, out_width)
    total = tl.zeros((ROWS, COLS), REAL)
    best = tl.full((ROWS, COLS), 9, tl.int8)  # of no tap yet
    for tap in range(9):
        y, x, found = _tap(tap, i, j, height, width, 3, STRIDE, 1)
        place = _places((b * height + y) * width + x, cols, channels)
        seen = tl.load(image + place, mask=(valid & found)[:, None] & there[None, :], other=0).to(REAL)
        if MAXIMUM:  # the first of equal ones, and what is not a number wins, as torch does it
            take = found[:, None] & ((best == 9) | (seen > total) | (seen != seen))
            total, best = tl.where(take, seen, total), tl.where(take, tap, best).to(tl.int8)
        else:
            total += seen
    place = _places(at, cols, channels)
    if MAXIMUM:
        tl.store(which + place, best, mask=inside)
    else:
        total = total / (_window(i, height, STRIDE) * _window(j, width, STRIDE))[:, None]
    tl.store(out + place, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def pool_backward(grad, which, slope, rows, height, width, out_height, out_width, channels,
                  STRIDE: tl.constexpr, MAXIMUM: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr, REAL: tl.constexpr):
    """The gradient of `pool`: every pixel gathers from the windows that it is in."""
    at, cols = _block(ROWS, COLS)
    there, valid = cols < channels, at < rows
    b, y, x = _pixel(at, height, width)
    total = tl.zeros((ROWS, COLS), REAL)
    for tap in range(9):
        i, j, found = _seen_from(tap, y, x, out_height, out_width, 3, STRIDE, 1)
        place = _places((b * out_height + i) * out_width + j, cols, channels)
        inside = (valid & found)[:, None] & there[None, :]
        g = tl.load(grad + place, mask=inside, other=0).to(REAL)
        if MAXIMUM:
            total += tl.where(tl.load(which + place, mask=inside, other=9) == tap, g, 0)
        else:
            count = tl.where(found, _window(i, height, STRIDE) * _window(j, width, STRIDE), 1)
            total += g / count[:, None]
    inside = valid[:, None] & there[None, :]
    tl.store(slope + _places(at, cols, channels), total.to(slope.dtype.element_ty), mask=inside)
