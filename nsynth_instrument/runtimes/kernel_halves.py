"""Products of float32 by AMX's tiles: each number as the sum of two of bfloat16, its halves, 16 bits of it in all.

Of the four products of a weight's halves and a value's, that of the two lesser ones is left out: 2e-5 of the sum's size.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..dsp.wide import wide
from ..errors import DeviceError
from .kernel_emit import INT, INTS, LANES, VECTOR, WORD, BFloat, Emitter
from .kernel_simd import aligned, kept, narrowed
from .kernel_tiles import AT_ONCE, INPUTS, Tiles, has_tiles, tiles_begin, tiles_end

Floats = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint16]

WORTH = 128
"""Inputs from which on tiles are faster than BLAS."""
ROWS = 32
"""Outputs of a block, and columns that are worked on at once."""
_TILE = 1024
"""Bytes."""


def whole(count: int) -> int:
    """So many columns, or outputs, up to whole blocks."""
    return -(-count // ROWS) * ROWS


def packed(matrix: Floats, taps: int = 1) -> Bits:
    """A matrix (taps inputs, outputs) as `multiply` reads it: (blocks, taps, steps of INPUTS, 4, 16, 32), of bits of bfloat16.

    The four tiles of a step are the great halves of a block's first outputs and of its others, then the small ones.
    Raises DeviceError where the processor or the system has no tiles; asking is what permits this process to use them.
    """
    if not has_tiles():
        raise DeviceError("this machine multiplies no tiles of bf16 (AMX, under Linux); leave the choice to auto")
    inputs, outputs = len(matrix) // taps, matrix.shape[1]
    steps, blocks = -(-inputs // INPUTS), whole(outputs) // ROWS
    room = np.zeros((taps, steps * INPUTS, blocks * ROWS), np.float32)
    room[:, :inputs, :outputs] = matrix.reshape(taps, inputs, outputs)
    great = narrowed(room, True)
    small = narrowed(room - (great.astype(np.uint32) << 16).view(np.float32), True)
    out = aligned((blocks, taps, steps, 4, _TILE // 64, 32), np.uint16)
    for half, bits in enumerate((great, small)):
        # Pairs of inputs lie side by side.
        cut = bits.reshape(taps, steps, 16, 2, blocks, 2, 16).transpose(4, 0, 1, 5, 2, 6, 3)
        out[:, :, :, 2 * half : 2 * half + 2] = cut.reshape(blocks, taps, steps, 2, 16, 32)
    return out


class Product:
    """x (columns, inputs) -> x times a matrix (taps inputs, outputs) plus a bias (outputs,).

    With three taps a column's inputs are those of the column `dilation` before it, its own, and of the one as far after it,
    where the ends are held.
    """

    def __init__(self, matrix: Floats, bias: Floats, *, taps: int = 1) -> None:
        self._packed, self._bias, self._outputs = packed(matrix, taps), in_blocks(bias), len(bias)

    def __call__(self, x: Floats, dilation: int = 0) -> Floats:
        """(columns, outputs)."""
        return np.asarray(_product(self._packed, self._bias, np.ascontiguousarray(x, np.float32), dilation)[:, : self._outputs])


def in_blocks(x: npt.NDArray[Any]) -> Floats:
    """x (..., outputs) as float32 with zeros up to whole blocks."""
    out = aligned((*x.shape[:-1], whole(x.shape[-1])), np.float32)
    out[..., : x.shape[-1]] = x
    return out


@numba.njit(nogil=True, cache=True)
def _product(packed, bias, x, dilation):  # type: ignore[no-untyped-def]
    halves = room(len(x), packed, 1, dilation)
    halve(x, halves, dilation)
    hold_ends(halves, dilation, len(x), dilation)
    out = np.empty((halves.shape[1] - 2 * dilation, len(bias)), np.float32)
    multiply(packed, halves, 1, dilation, dilation, bias, 0, out)
    return out[: len(x)]


@numba.njit(nogil=True)
def room(columns, packed, notes, lead):  # type: ignore[no-untyped-def]
    """For both halves of so many notes of whole columns, and of `lead` more on either side of each: zeros (2, rows, inputs)."""
    return np.zeros((2, notes * ((columns + ROWS - 1) // ROWS * ROWS + 2 * lead), packed.shape[2] * INPUTS), np.uint16)


@numba.njit(nogil=True)
def hold_ends(halves, lead, columns, dilation):  # type: ignore[no-untyped-def]
    """The first and the last of the columns, which begin at `lead`, for `dilation` more beyond them."""
    for part in halves:
        for t in range(dilation):
            part[lead - 1 - t] = part[lead]
            part[lead + columns + t] = part[lead + columns - 1]


@numba.njit(nogil=True)
def halve(x, halves, lead):  # type: ignore[no-untyped-def]
    """The nearest bfloat16 of x (columns, inputs), and of what is left of it, from `lead` on."""
    wide()
    inputs = x.shape[1]
    upper = np.empty(inputs, np.uint32)
    for t in range(len(x)):
        row, great, small = x[t], halves[0, lead + t], halves[1, lead + t]
        for i in range(inputs):
            great[i] = kept(row[i], halves)
            upper[i] = np.uint32(great[i]) << 16
        rest = upper.view(np.float32)
        for i in range(inputs):
            small[i] = kept(row[i] - rest[i], halves)


@numba.njit(nogil=True)
def halve_silu(x, shift, columns, halves, lead):  # type: ignore[no-untyped-def]
    """The same of the SiLU of columns of x (rows, inputs), whole LANES, plus a shift (inputs,)."""
    small, step = halves.strides[0], halves.strides[1]
    for t in range(columns):
        at, to = x.ctypes.data + t * x.strides[0], halves.ctypes.data + (lead + t) * step
        for c in range(0, x.shape[1], LANES):
            _silu(at + 4 * c, shift.ctypes.data + 4 * c, to + 2 * c, small)


@numba.njit(nogil=True)
def halve_norm(x, shift, gain, bias, columns, halves, lead, silu):  # type: ignore[no-untyped-def]
    """The same of the layer norm over the channels of columns of x, to which a shift (inputs,) is added; then of its SiLU."""
    small, inputs = halves.strides[0], x.shape[1]
    normed, none = np.empty(inputs, np.float32), np.zeros(inputs, np.float32)
    for t in range(columns):
        _normed(x[t], shift, gain, bias, normed)
        to = halves.ctypes.data + (lead + t) * halves.strides[1]
        for c in range(0, inputs, LANES):
            if silu:
                _silu(normed.ctypes.data + 4 * c, none.ctypes.data, to + 2 * c, small)
            else:
                _plain(normed.ctypes.data + 4 * c, to + 2 * c, small)
    return normed[0] + none[0]  # so they live until here


@numba.njit(nogil=True, fastmath=True)
def _normed(row, shift, gain, bias, out):  # type: ignore[no-untyped-def]
    wide()
    inputs, mean, var = len(row), np.float32(0), np.float32(0)
    for c in range(inputs):
        row[c] += shift[c]
        mean += row[c]
    mean = np.float32(mean / np.float32(inputs))
    for c in range(inputs):
        var += (row[c] - mean) ** 2
    scale = np.float32(1) / np.sqrt(var / np.float32(inputs) + np.float32(1e-5))
    for c in range(inputs):
        out[c] = (row[c] - mean) * scale * gain[c] + bias[c]


@numba.njit(nogil=True)
def multiply(packed, halves, notes, lead, dilation, first, first_next, out):  # type: ignore[no-untyped-def]
    """Products of a packed matrix and of columns of halves, from `lead` on, to out (whole columns, whole outputs), on top of
    `first`: that is (outputs,) for all columns with first_next 0, or `out` itself with the bytes from column to column.

    Halves are those of so many notes one after another, `lead` more columns on either side of each; its sums lie without."""
    blocks, taps, steps = packed.shape[:3]
    next_x, next_out, small, tap = halves.strides[1], out.strides[0], halves.strides[0], dilation * halves.strides[1]
    x, size = halves.ctypes.data + lead * next_x - taps // 2 * tap, 4 * _TILE * taps * steps
    chunks = len(out) // ROWS // notes
    tiles_begin(PACKED, AT_ONCE)
    for b in range(blocks):
        w, to, begin = packed.ctypes.data + size * b, out.ctypes.data + 4 * ROWS * b, first.ctypes.data + 4 * ROWS * b
        for chunk in range(chunks * notes):
            # Weights of the next block are called for meanwhile, a quarter with each of the first chunks.
            ahead, t = w + size + _TILE * chunk if chunk < 4 else 0, chunk * ROWS
            at, here, there = x + (t + chunk // chunks * 2 * lead) * next_x, begin + t * first_next, to + t * next_out
            _block(w, ahead, taps, steps, at, tap, small, next_x, here, first_next, there, next_out)
    tiles_end(PACKED)


PACKED = np.empty(0, np.int16)
"""Of the type of what is packed for tiles."""


@intrinsic
def _block(typing, w, ahead, taps, steps, x, tap, small, x_next, first, first_next, out, out_next):  # type: ignore[no-untyped-def]
    """Sums of 32 columns and 32 outputs over steps of 32 inputs; addresses and bytes, but for steps."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        w, ahead, taps, steps, x, tap, small, x_next, first, first_next, out, out_next = arguments
        t, add, mul = Tiles(builder), builder.add, builder.mul

        def corner(base: Any, step: Any, c: int, v: int) -> Any:
            return add(add(base, mul(step, WORD(AT_ONCE * c))), WORD(4 * LANES * v))

        for i in range(4):
            t.load(i, corner(first, first_next, i // 2, i % 2), first_next)
        below = mul(x_next, WORD(AT_ONCE))
        with cgutils.for_range(builder, taps, intp=WORD) as one, cgutils.for_range(builder, steps, intp=WORD) as step:
            at = mul(add(mul(one.index, steps), step.index), WORD(4 * _TILE))
            weights, great = add(w, at), add(add(x, mul(one.index, tap)), mul(step.index, WORD(2 * INPUTS)))
            t.load(6, weights, WORD(64))
            t.load(7, add(weights, WORD(_TILE)), WORD(64))
            # The sums take turns, since each waits for its last product.
            for values in (add(great, small), great):
                for c in range(2):
                    t.load(4 + c, add(values, below) if c else values, x_next)
                    for v in range(2):
                        t.dot(2 * c + v, 4 + c, 6 + v)
            t.load(6, add(weights, WORD(2 * _TILE)), WORD(64))
            t.load(7, add(weights, WORD(3 * _TILE)), WORD(64))
            for i in range(4):
                t.dot(i, 4 + i // 2, 6 + i % 2)
            with builder.if_then(builder.icmp_unsigned("!=", ahead, WORD(0)), likely=True):
                for line in range(_TILE // 64):
                    _fetch(builder, add(add(ahead, at), WORD(64 * line)))
        for i in range(4):
            t.store(i, corner(out, out_next, i // 2, i % 2), out_next)
        return context.get_dummy_value()

    return types.void(*(types.uintp,) * 12), generate


def _put(e: Emitter, value: Any, great: Any, small: Any) -> None:
    """Both halves of a vector."""
    b, half = e.builder, ir.VectorType(BFloat(), LANES)
    upper = b.fptrunc(value, half)
    b.store(upper, e.at(great, 0, half), align=2)
    bits = b.zext(b.bitcast(upper, ir.VectorType(ir.IntType(16), LANES)), INTS)
    rest = b.fsub(value, b.bitcast(b.shl(bits, ir.Constant(INTS, [16] * LANES)), VECTOR))
    b.store(b.fptrunc(rest, half), e.at(b.add(great, small), 0, half), align=2)


@intrinsic
def _plain(typing, x, to, small):  # type: ignore[no-untyped-def]
    """The halves of LANES values: the great ones to an address, the small ones so many bytes after."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e, (x, to, small) = Emitter(builder), arguments
        _put(e, e.load(x), to, small)
        return context.get_dummy_value()

    return types.void(*(types.uintp,) * 3), generate


@intrinsic
def _silu(typing, x, shift, to, small):  # type: ignore[no-untyped-def]
    """The same of the SiLU of values plus others, error under 1e-6 of it."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e, (x, shift, to, small) = Emitter(builder), arguments
        value = builder.fadd(e.load(x), e.load(shift))
        turn = e.greater(e.smaller(builder.fmul(value, e.all(-1.4426950408889634)), e.all(40)), e.all(-40))
        _put(e, builder.fdiv(value, builder.fadd(e.all(1), e.exp2(turn, 6))), to, small)
        return context.get_dummy_value()

    return types.void(*(types.uintp,) * 4), generate


def _fetch(builder: Any, address: Any) -> None:
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte, INT, INT, INT])
    call = builder.module.declare_intrinsic("llvm.prefetch", (byte,), kind)
    builder.call(call, [builder.inttoptr(address, byte), INT(0), INT(2), INT(1)])
