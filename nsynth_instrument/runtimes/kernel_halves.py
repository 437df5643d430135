"""Products of float32 by AMX's tiles: each number as the sum of two of bfloat16, 16 bits of it in all.

Of the four products of a weight's halves and a value's, that of the two lesser ones is left out: 2e-5 of the sum's size.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from ..dsp.wide import wide
from .kernel_emit import PLAIN
from .kernel_simd import ROWS, in_blocks, kept, narrowed, pack, place
from .kernel_tiles import AT_ONCE, tiled_block, tiles_begin, tiles_end

Floats = npt.NDArray[np.float32]

WORTH = 128
"""Inputs from which on tiles are faster than BLAS."""


class Product:
    """x (columns, inputs) -> x times a matrix (taps inputs, outputs) plus a bias (outputs,).

    With three taps a column's inputs are those of the column `dilation` before it, its own, and of the one as far after it,
    where the ends are held.
    """

    def __init__(self, matrix: Floats, bias: Floats, *, taps: int = 1) -> None:
        weight = matrix.T.reshape(len(bias), taps, -1)
        great = (narrowed(weight, True).astype(np.uint32) << 16).view(np.float32)
        self._packed = pack(np.concatenate([great, great, weight - great], axis=1), bf16=True, tiles=True)
        self._bias, self._outputs = in_blocks(bias), len(bias)

    def __call__(self, x: Floats, dilation: int = 0) -> Floats:
        """(columns, outputs)."""
        return np.asarray(_product(self._packed, self._bias, np.ascontiguousarray(x, np.float32), self._outputs, dilation))


@numba.njit(nogil=True, cache=True)
def _product(packed, bias, x, outputs, dilation):  # type: ignore[no-untyped-def]
    columns, pairs = len(x), packed.shape[2]
    # Whole tiles are read, two at once.
    halves = np.zeros((2, -(-columns // (2 * AT_ONCE)) * 2 * AT_ONCE + 2 * dilation, 2 * pairs), np.uint16)
    _halve(x, halves[:, dilation:])
    for t in range(dilation):
        halves[:, t] = halves[:, dilation]
        halves[:, dilation + columns + t] = halves[:, dilation + columns - 1]
    out = np.empty(columns * outputs + ROWS, np.float32)
    _multiply(packed, bias, halves, dilation, columns, outputs, out)
    return out[: columns * outputs].reshape(columns, outputs)


@numba.njit(nogil=True, cache=True)
def _halve(x, halves):  # type: ignore[no-untyped-def]
    """The nearest bfloat16 of x (columns, inputs), and of what is left of it."""
    wide()
    inputs = x.shape[1]
    upper = np.empty(inputs, np.uint32)
    for t in range(len(x)):
        row, great, small = x[t], halves[0, t], halves[1, t]
        for i in range(inputs):
            great[i] = kept(row[i], halves)
            upper[i] = np.uint32(great[i]) << 16
        rest = upper.view(np.float32)
        for i in range(inputs):
            small[i] = kept(row[i] - rest[i], halves)


@numba.njit(nogil=True, cache=True)
def _multiply(packed, bias, halves, dilation, columns, outputs, out):  # type: ignore[no-untyped-def]
    """Of arrays that the caller holds, and that are addresses here; so it returns one of its own, which lives until then."""
    blocks, count, depth = packed.shape[:3]
    step = place(halves[0], 0)[1]
    inputs = np.empty(count, np.int64)
    for i in range(count):
        which = 3 * i // count % 2  # great, small, great
        inputs[i] = place(halves[which], 0)[0] + i % (count // 3) * dilation * step
    taps = inputs.ctypes.data
    tiles_begin(packed, AT_ONCE)
    # What is written beyond the last output is the next column's beginning, whose own values come later: from last to first.
    for b in range(blocks - 1, -1, -1):
        w, first, to = packed.ctypes.data + 4 * ROWS * count * depth * b, place(bias, b * ROWS)[0], place(out, b * ROWS)[0]
        # Half of a block's weights stays in the first cache over all columns.
        for half in (1, 0):
            for begin in range(0, columns, 2 * AT_ONCE):
                many, x, o = min(2 * AT_ONCE, columns - begin), step * begin, to + 4 * outputs * begin
                if half == 0:
                    tiled_block(PLAIN, 2, 0, many, w, taps, count, depth, x, step, first, 0, o, 4 * outputs, 0, 0, 0)
                else:
                    tiled_block(PLAIN, 2, 1, many, w, taps, count, depth, x, step, first, 0, o, 4 * outputs, 0, 0, 0)
    tiles_end(packed)
    return inputs[0]
