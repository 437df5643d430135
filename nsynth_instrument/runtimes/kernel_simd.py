"""The inner loops of the CPU kernel: a small matrix product in SIMD registers, and exponentials.

Activations are (channels, lanes), a note per lane, lanes a multiple of LANES. Weights are packed by `pack`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

Floats = npt.NDArray[np.float32]

ROWS = 4
"""Output channels that one pass through the inputs serves."""

LANES = 16
"""Notes that it serves: ROWS x LANES sums fill half of AVX2's registers, enough to hide the adders' latency."""

_VECTOR = 8


def pack(weight: npt.NDArray[Any]) -> Floats:
    """A matrix (outputs, inputs) as (outputs / ROWS, inputs, ROWS), in the order in which `product` reads it."""
    outputs, inputs = weight.shape
    return np.ascontiguousarray(np.asarray(weight, np.float32).reshape(outputs // ROWS, ROWS, inputs).transpose(0, 2, 1))


@intrinsic
def _tile(typing, weight, x, out, depth, stride):  # type: ignore[no-untyped-def]
    """out (ROWS, LANES) += weight (depth, ROWS) applied to x (depth, LANES); addresses, and the stride of x and out in bytes."""
    signature = types.void(types.uintp, types.uintp, types.uintp, types.intp, types.intp)

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        weight, x, out, depth, stride = arguments
        word, single = ir.IntType(64), ir.FloatType()
        vector = ir.VectorType(single, _VECTOR)
        width = LANES // _VECTOR

        def at(base: Any, offset: Any, kind: Any) -> Any:
            return builder.inttoptr(builder.add(base, offset), kind.as_pointer())

        def place(row: int, column: int) -> Any:
            return at(out, builder.add(builder.mul(stride, word(row)), word(4 * _VECTOR * column)), vector)

        first = [[builder.load(place(r, c), align=4) for c in range(width)] for r in range(ROWS)]
        before = builder.block
        loop, after = builder.append_basic_block("depth"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        k, w_at, x_at = builder.phi(word), builder.phi(word), builder.phi(word)
        for phi, start in ((k, word(0)), (w_at, weight), (x_at, x)):
            phi.add_incoming(start, before)
        sums = [[builder.phi(vector) for _ in range(width)] for _ in range(ROWS)]
        xs = [builder.load(at(x_at, word(4 * _VECTOR * c), vector), align=4) for c in range(width)]
        for r in range(ROWS):
            w = builder.load(at(w_at, word(4 * r), single), align=4)
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), w, ir.IntType(32)(0))
            spread = builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), _VECTOR), [0] * _VECTOR))
            for c in range(width):
                # Marked fast, the two become one fused instruction where the processor has it.
                total = builder.fadd(sums[r][c], builder.fmul(spread, xs[c], flags=["fast"]), flags=["fast"])
                sums[r][c].add_incoming(first[r][c], before)
                sums[r][c].add_incoming(total, loop)
        after_k = builder.add(k, word(1))
        k.add_incoming(after_k, loop)
        w_at.add_incoming(builder.add(w_at, word(4 * ROWS)), loop)
        x_at.add_incoming(builder.add(x_at, stride), loop)
        builder.cbranch(builder.icmp_signed("<", after_k, depth), loop, after)
        builder.position_at_end(after)
        for r in range(ROWS):
            for c in range(width):
                builder.store(sums[r][c].incomings[1][0], place(r, c), align=4)
        return context.get_dummy_value()

    return signature, generate


@numba.njit(nogil=True, cache=True)
def product(packed, x, out):  # type: ignore[no-untyped-def]
    """out (outputs, lanes) += W x of a packed W and x (inputs, lanes); all contiguous, inputs at least 1."""
    blocks, depth, _ = packed.shape
    lanes = x.shape[1]
    stride = 4 * lanes
    w0, x0, out0 = packed.ctypes.data, x.ctypes.data, out.ctypes.data
    for block in range(blocks):
        for lane in range(0, lanes, LANES):
            _tile(w0 + block * depth * ROWS * 4, x0 + lane * 4, out0 + (block * ROWS * lanes + lane) * 4, depth, stride)


@numba.njit(nogil=True, fastmath=True, inline="always")
def exp(x):  # type: ignore[no-untyped-def]
    """e^x of a float32 in -87..87, relative error under 3e-7 near 0, 5e-6 at the ends.

    It vectorises, as the library's does not.
    """
    t = x * np.float32(1.4426950408889634)
    whole = np.floor(t + np.float32(0.5))
    f = t - whole
    # Of 2^f on -0.5..0.5, with the least greatest relative error for its degree, 7.5e-8.
    p = np.float32(0.00132764695)
    p = p * f + np.float32(0.009675541315)
    p = p * f + np.float32(0.05550713281)
    p = p * f + np.float32(0.2402211972)
    p = p * f + np.float32(0.6931469671)
    p = p * f + np.float32(1.000000072)
    return p * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def gate(z, out):  # type: ignore[no-untyped-def]
    """out (width, lanes) = sigmoid(first half) tanh(second half) of z (2 width, lanes); absolute error under 1e-6."""
    a, b, o = z[: len(out)].reshape(-1), z[len(out) :].reshape(-1), out.reshape(-1)
    one, most = np.float32(1), np.float32(40)
    for i in range(len(o)):
        s = exp(min(max(-a[i], -most), most))
        t = exp(min(max(np.float32(-2) * b[i], -most), most))
        o[i] = (one - t) / ((one + s) * (one + t))
