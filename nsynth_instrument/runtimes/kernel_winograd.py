"""Convolutions of three taps over frames by Winograd's minimal filtering: half the multiplications.

F(4, 3) of Winograd (1980), Arithmetic Complexity of Computations; over matrices as by Lavin & Gray (2016), Fast Algorithms for
Convolutional Neural Networks, section 4.1: six products of matrices give four frames, where taps one by one take twelve.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ..dsp.wide import wide

Floats = npt.NDArray[np.float32]

_A, _B = np.float32(0.75), np.float32(1.5)
"""The polynomials are taken at 0, these, their negatives, and infinity: exact in binary, and so near 1 that what is rounded is
two thirds of what it is at 1 and 2, which Lavin & Gray take."""
_A2, _B2, _A3, _B3 = _A**2, _B**2, _A**3, _B**3
_SUM, _PRODUCT, _AB2, _A2B = _A2 + _B2, _A2 * _B2, _A * _B2, _A2 * _B


class Convolution:
    """x (frames, inputs) -> of each frame the one `dilation` before it, itself, and the one as far after it, where the ends are
    held, times a matrix (3 inputs, outputs) plus a bias (outputs,)."""

    def __init__(self, matrix: npt.NDArray[Any], bias: Floats) -> None:
        points = np.array([0, _A, -_A, _B, -_B], np.float64)
        others = np.array([_PRODUCT, *[2 * _A2 * (_A2 - _B2)] * 2, *[2 * _B2 * (_B2 - _A2)] * 2], np.float64)
        at = np.concatenate([points[:, None] ** np.arange(3) / others[:, None], [[0, 0, 1]]])
        taps = matrix.reshape(3, -1, len(bias))
        self._filters, self._bias = np.tensordot(at, taps, 1).astype(np.float32), bias

    def __call__(self, x: Floats, dilation: int) -> Floats:
        """(frames, outputs)."""
        out = np.empty((len(x), len(self._bias)), np.float32)
        _from_points(np.matmul(_to_points(x, dilation), self._filters), self._bias, dilation, out)
        return out


@numba.njit(nogil=True, cache=True, fastmath=True)
def _to_points(y, d):  # type: ignore[no-untyped-def]
    """Six frames d apart, of which the second and the next three are to be said, as values of polynomials: (6, tiles, inputs)
    for y (frames, inputs)."""
    wide()
    n, w = y.shape
    out, i = np.empty((6, n // (4 * d) * d + min(n % (4 * d), d), w), np.float32), 0
    for begin in range(0, n, 4 * d):
        for t in range(begin, min(begin + d, n)):
            y0, y1, y2, y3 = y[max(0, t - d)], y[t], y[min(n - 1, t + d)], y[min(n - 1, t + 2 * d)]
            y4, y5 = y[min(n - 1, t + 3 * d)], y[min(n - 1, t + 4 * d)]
            # One row in each loop: with more, there are too many that might overlap for LLVM to make vectors of it.
            v = out[0, i]
            for c in range(w):
                v[c] = _PRODUCT * y0[c] - _SUM * y2[c] + y4[c]
            v = out[1, i]
            for c in range(w):
                v[c] = (y4[c] - _B2 * y2[c]) + (_A * y3[c] - _AB2 * y1[c])
            v = out[2, i]
            for c in range(w):
                v[c] = (y4[c] - _B2 * y2[c]) - (_A * y3[c] - _AB2 * y1[c])
            v = out[3, i]
            for c in range(w):
                v[c] = (y4[c] - _A2 * y2[c]) + (_B * y3[c] - _A2B * y1[c])
            v = out[4, i]
            for c in range(w):
                v[c] = (y4[c] - _A2 * y2[c]) - (_B * y3[c] - _A2B * y1[c])
            v = out[5, i]
            for c in range(w):
                v[c] = _PRODUCT * y1[c] - _SUM * y3[c] + y5[c]
            i += 1
    return out


@numba.njit(nogil=True, cache=True, fastmath=True)
def _from_points(values, bias, d, y):  # type: ignore[no-untyped-def]
    """Back, with a bias (outputs,): to y (frames, outputs)."""
    wide()
    n, w = y.shape
    i = 0
    for begin in range(0, n, 4 * d):
        for t in range(begin, min(begin + d, n)):
            v0, v1, v2, v3, v4, v5 = values[0, i], values[1, i], values[2, i], values[3, i], values[4, i], values[5, i]
            z = y[t]
            for c in range(w):
                z[c] = bias[c] + v0[c] + (v1[c] + v2[c]) + (v3[c] + v4[c])
            if t + d < n:
                z = y[t + d]
                for c in range(w):
                    z[c] = bias[c] + _A * (v1[c] - v2[c]) + _B * (v3[c] - v4[c])
            if t + 2 * d < n:
                z = y[t + 2 * d]
                for c in range(w):
                    z[c] = bias[c] + _A2 * (v1[c] + v2[c]) + _B2 * (v3[c] + v4[c])
            if t + 3 * d < n:
                z = y[t + 3 * d]
                for c in range(w):
                    z[c] = bias[c] + _A3 * (v1[c] - v2[c]) + _B3 * (v3[c] - v4[c]) + v5[c]
            i += 1
