"""Fourier transforms of thirty-two real sounds side by side: two a lane, sixteen lanes of the processor's vectors.

Radix 4, decimation in frequency there and in time back (Gentleman & Sande 1966, Cooley & Tukey 1965): frequencies stand in the
order of their reversed digits in between, where they are only weighted, so nothing is ever put in order.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

Floats = npt.NDArray[np.float32]

LANES = 16
ABREAST = 2 * LANES
"""Sounds."""
SIZE = 1024
"""Frames of a window."""
_VECTOR, _WORD = ir.VectorType(ir.FloatType(), LANES), ir.IntType(64)
_ROW = 8 * LANES
"""Bytes of one frame, or frequency, of all: real parts, or the first sixteen sounds, then imaginary ones."""


def whole(frames: int) -> int:
    """So many windows, or a few more, that are worked on at once."""
    return -(-frames // ABREAST) * ABREAST


def shaped(white: Floats, gains: Floats, window: Floats, hop: int) -> Floats:
    """Windows of SIZE frames of white ((frames - 1) * hop + SIZE,), every hop, cut out by `window`, their frequencies weighted by
    gains (bins, frames), windowed again and added up, as long as it. `frames` must be `whole`.

    Gains are those of the bins from the first on; what lies above them, and at zero, falls away.
    """
    assert gains.shape[1] % ABREAST == 0 and len(white) == (gains.shape[1] - 1) * hop + SIZE and len(window) == SIZE
    out = np.zeros(len(white), np.float32)
    scaled, gains = (window / np.float32(SIZE)).astype(np.float32), np.ascontiguousarray(gains, np.float32)
    _shaped(white, gains, window, scaled, hop, *_tables(), np.empty((SIZE, 2, LANES), np.float32), out)
    return out


@cache
def _tables() -> tuple[Floats, npt.NDArray[np.int64]]:
    """Factors of the three later quarters, (steps, 3, 2), step by step; and where each frequency stands."""
    factors, span = [], SIZE
    while span > 1:
        turns = np.exp(-2j * np.pi / span * np.arange(span // 4)[:, None] * np.arange(1, 4))
        factors.append(np.stack([turns.real, turns.imag], axis=-1))
        span //= 4
    where = np.zeros(SIZE, np.int64)
    for k in range(SIZE):
        digits, place, rest = SIZE, 0, k
        while digits > 1:
            digits //= 4
            place, rest = place + rest % 4 * digits, rest // 4
        where[k] = place
    return np.concatenate(factors).astype(np.float32), where


@numba.njit(nogil=True, cache=True)
def _shaped(white, gains, window, scaled, hop, factors, places, x, out):  # type: ignore[no-untyped-def]
    """Of arrays that the caller holds, and that are addresses here."""
    (bins, frames), size, at = gains.shape, len(x), x.ctypes.data
    for first in range(0, frames, ABREAST):
        for half in range(2):
            begin = 4 * hop * (first + half * LANES)
            for n in range(0, size, LANES):
                to = at + _ROW * n + half * _ROW // 2
                _cut(white.ctypes.data + begin + 4 * n, 4 * hop, window.ctypes.data + 4 * n, to)
        _there(at, size, factors.ctypes.data)
        x[0] = 0
        for k in range(bins + 1, size - bins):
            x[places[k]] = 0
        for k in range(1, bins + 1):
            _weigh(at + _ROW * places[k], at + _ROW * places[size - k], gains.ctypes.data + 4 * (frames * (k - 1) + first))
        _back(at, size, factors.ctypes.data)
        for half in range(2):
            begin = 4 * hop * (first + half * LANES)
            for n in range(0, size, LANES):
                _lay(at + _ROW * n + half * _ROW // 2, scaled.ctypes.data + 4 * n, out.ctypes.data + begin + 4 * n, 4 * hop)
    return white[0] + gains[0, 0] + window[0] + scaled[0] + factors[0, 0, 0] + out[0]  # so they live until here


@numba.njit(nogil=True, cache=True)
def _there(x, size, factors):  # type: ignore[no-untyped-def]
    span = size
    while span > 1:
        quarter = span // 4
        for block in range(0, size, span):
            for j in range(quarter):
                _fold(x + _ROW * (block + j), _ROW * quarter, factors + 24 * j)
        factors, span = factors + 24 * quarter, quarter


@numba.njit(nogil=True, cache=True)
def _back(x, size, factors):  # type: ignore[no-untyped-def]
    span, quarter = 4, 1
    factors += 8 * (size - 1)  # 24 bytes for each step of all spans
    while span <= size:
        factors -= 24 * quarter
        for block in range(0, size, span):
            for j in range(quarter):
                _unfold(x + _ROW * (block + j), _ROW * quarter, factors + 24 * j)
        quarter, span = span, 4 * span


class _Emitter:
    """Complex vectors as instructions: pairs of real and imaginary parts."""

    def __init__(self, builder: Any) -> None:
        self.b = builder

    def at(self, base: Any, offset: int, kind: Any) -> Any:
        """A pointer, `offset` bytes past an address."""
        return self.b.inttoptr(self.b.add(base, _WORD(offset)), kind.as_pointer())

    def vector(self, base: Any, offset: int = 0) -> Any:
        return self.b.load(self.at(base, offset, _VECTOR), align=4)

    def load(self, base: Any) -> Any:
        return self.vector(base), self.vector(base, _ROW // 2)

    def put(self, value: Any, base: Any, offset: int = 0) -> None:
        self.b.store(value, self.at(base, offset, _VECTOR), align=4)

    def store(self, z: Any, base: Any) -> None:
        self.put(z[0], base)
        self.put(z[1], base, _ROW // 2)

    def transposed(self, rows: Any) -> Any:
        """LANES vectors, the k-th of all k-th lanes: squares off the diagonal change places, ever smaller ones."""
        rows, width = list(rows), LANES // 2
        while width:
            upper = [k if not k & width else LANES + k - width for k in range(LANES)]
            lower = [k + width if not k & width else LANES + k for k in range(LANES)]
            for i in range(LANES):
                if not i & width:
                    one, other = rows[i], rows[i + width]
                    rows[i], rows[i + width] = self.chosen(one, other, upper), self.chosen(one, other, lower)
            width //= 2
        return rows

    def chosen(self, one: Any, other: Any, lanes: list[int]) -> Any:
        """Lanes of two vectors, the second's counted from LANES on."""
        return self.b.shuffle_vector(one, other, ir.Constant(ir.VectorType(ir.IntType(32), LANES), lanes))

    def every(self, base: Any, offset: int) -> Any:
        """One number from memory in all lanes."""
        none = ir.Constant(_VECTOR, ir.Undefined)
        first = self.b.insert_element(none, self.b.load(self.at(base, offset, ir.FloatType())), ir.IntType(32)(0))
        return self.chosen(first, none, [0] * LANES)

    def add(self, y: Any, z: Any) -> Any:
        return tuple(self.b.fadd(p, q) for p, q in zip(y, z, strict=True))

    def less(self, y: Any, z: Any) -> Any:
        return tuple(self.b.fsub(p, q) for p, q in zip(y, z, strict=True))

    def turned(self, z: Any) -> Any:
        """i z."""
        return self.b.fneg(z[1]), z[0]

    def times(self, z: Any, base: Any, k: int, back: bool) -> Any:
        """z times the k-th factor there, or its conjugate."""
        c, s = self.every(base, 8 * k), self.every(base, 8 * k + 4)
        s = self.b.fneg(s) if back else s
        cross = self.product(z[1], s), self.product(z[0], s)
        fast = ("contract",)
        return self.b.fsub(self.product(z[0], c), cross[0], flags=fast), self.b.fadd(self.product(z[1], c), cross[1], flags=fast)

    def product(self, p: Any, q: Any) -> Any:
        return self.b.fmul(p, q, flags=("contract",))


def _butterfly(back: bool) -> Any:
    def made(typing, x, step, factors):  # type: ignore[no-untyped-def]
        def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
            e, (x, step, factors) = _Emitter(builder), arguments
            places = [x]
            for _ in range(3):
                places.append(builder.add(places[-1], step))
            z = [e.load(p) for p in places]
            if back:
                z[1:] = [e.times(z[k], factors, k - 1, True) for k in (1, 2, 3)]
            even, odd, apart, turned = e.add(z[0], z[2]), e.add(z[1], z[3]), e.less(z[0], z[2]), e.turned(e.less(z[1], z[3]))
            one, three = e.less(apart, turned), e.add(apart, turned)
            out = [e.add(even, odd), three if back else one, e.less(even, odd), one if back else three]
            if not back:
                out[1:] = [e.times(out[k], factors, k - 1, False) for k in (1, 2, 3)]
            for y, p in zip(out, places, strict=True):
                e.store(y, p)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp), generate

    return made


_fold = intrinsic(_butterfly(False))
_unfold = intrinsic(_butterfly(True))


@intrinsic
def _weigh(typing, here, there, gains):  # type: ignore[no-untyped-def]
    """Two real sounds' spectra in one complex one, at a frequency and at its negative: each times its own gain; addresses."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e, (here, there, gains) = _Emitter(builder), arguments
        z, y, (one, two) = e.load(here), e.load(there), e.load(gains)
        half = ir.Constant(_VECTOR, [0.5] * LANES)
        mean, apart = builder.fmul(half, builder.fadd(one, two)), builder.fmul(half, builder.fsub(one, two))
        y = y[0], builder.fneg(y[1])
        to = [builder.fadd(e.product(mean, p), e.product(apart, q), flags=("contract",)) for p, q in zip(z, y, strict=True)]
        back = [builder.fadd(e.product(apart, p), e.product(mean, q), flags=("contract",)) for p, q in zip(z, y, strict=True)]
        e.store(to, here)
        e.store((back[0], builder.fneg(back[1])), there)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


@intrinsic
def _cut(typing, white, hop, window, to):  # type: ignore[no-untyped-def]
    """LANES frames of each of LANES sounds that begin `hop` bytes after one another, times a window, frame by frame to rows."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e, (white, hop, window, to) = _Emitter(builder), arguments
        weight, rows = e.vector(window), []
        for _ in range(LANES):
            rows.append(builder.fmul(e.vector(white), weight))
            white = builder.add(white, hop)
        for n, row in enumerate(e.transposed(rows)):
            e.put(row, to, _ROW * n)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), generate


@intrinsic
def _lay(typing, rows, window, out, hop):  # type: ignore[no-untyped-def]
    """The reverse: LANES rows, times a window, on top of LANES sounds."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e, (rows, window, out, hop) = _Emitter(builder), arguments
        weight = e.vector(window)
        for sound in e.transposed([e.vector(rows, _ROW * n) for n in range(LANES)]):
            e.put(builder.fadd(e.vector(out), e.product(sound, weight), flags=("contract",)), out)
            out = builder.add(out, hop)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), generate
