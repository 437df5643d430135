"""Elementary functions of float32 as polynomials, for compiled loops that shall be vectors: Numba's own are calls, one by one."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(nogil=True, fastmath=True)
def exp2(x):  # type: ignore[no-untyped-def]
    """2^x for |x| < 126, relative error 1e-7."""
    c0, c1, c2, c3 = np.float32(1), np.float32(0.69314721), np.float32(0.24022647), np.float32(0.05550329)
    c4, c5, c6 = np.float32(0.0096185195), np.float32(0.001339986), np.float32(0.00015337577)
    whole = np.rint(x)
    f = x - whole
    power = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
    return (c0 + f * (c1 + f * (c2 + f * (c3 + f * (c4 + f * (c5 + f * c6)))))) * power


@numba.njit(nogil=True, fastmath=True, error_model="numpy")
def sigmoid(x):  # type: ignore[no-untyped-def]
    """1 / (1 + e^-x), absolute error 2e-7."""
    most = np.float32(125)
    return np.float32(1) / (np.float32(1) + exp2(min(max(x * np.float32(-1.442695), -most), most)))


@numba.njit(nogil=True, fastmath=True)
def log(x):  # type: ignore[no-untyped-def]
    """The natural logarithm of a positive number, relative error 2e-7."""
    l0, l1, l2, l3 = np.float32(-0.4999999), np.float32(0.3333393), np.float32(-0.2500204), np.float32(0.1996314)
    l4, l5, l6, l7 = np.float32(-0.1656516), np.float32(0.1490233), np.float32(-0.143374), np.float32(0.08812878)
    # Its exponent, and that of a mantissa near 1.
    bits = np.float32(x).view(np.int32)
    power = (bits - np.int32(0x3F3504F3)) >> np.int32(23)
    t = np.int32(bits - (power << np.int32(23))).view(np.float32) - np.float32(1)
    rest = l0 + t * (l1 + t * (l2 + t * (l3 + t * (l4 + t * (l5 + t * (l6 + t * l7))))))
    return np.float32(0.6931472) * np.float32(power) + (t + t * t * rest)


@numba.njit(nogil=True, fastmath=True)
def cosine(turns):  # type: ignore[no-untyped-def]
    """cos(2 pi turns), absolute error 2e-7."""
    c0, c1, c2, c3 = np.float32(1), np.float32(-19.739204), np.float32(64.939117), np.float32(-85.45014)
    c4, c5, c6 = np.float32(60.167631), np.float32(-25.967599), np.float32(6.5286582)
    x = turns - np.rint(turns)
    y = x * x
    return c0 + y * (c1 + y * (c2 + y * (c3 + y * (c4 + y * (c5 + y * c6)))))
