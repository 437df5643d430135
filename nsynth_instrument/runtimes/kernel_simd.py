"""The inner loop of the CPU kernel: a block of a matrix product in SIMD registers, and what is done to its results there.

Outputs lie in the SIMD lanes and each column (a note, or a moment of the encoder) has sums of its own, which take
their terms in one order. So a column's result does not depend on how many are computed beside it.
Numbers that a product reads are float32, or bfloat16 where the processor multiplies pairs of it (AVX512-BF16) or
tiles (AMX, see `kernel_tiles`); sums are float32 always.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from ..errors import DeviceError
from .kernel_emit import GATE, INT, LANES, SINGLE, VECTOR, VECTORS, WORD, BFloat, Emitter
from .kernel_tiles import INPUTS, has_tiles, tiled_blocks

Floats = npt.NDArray[np.float32]

ROWS = LANES * VECTORS
"""Outputs of a block."""

COLUMNS = 5
"""Columns that one pass through a block's weights serves, at most: 20 sums, 4 weights and a value in 32 registers."""


def aligned(shape: tuple[int, ...], dtype: Any, *, empty: bool = False) -> npt.NDArray[Any]:
    """Zeros, or whatever is there, that begin on a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = (np.empty if empty else np.zeros)(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    out: npt.NDArray[Any] = raw[start : start + size].view(dtype).reshape(shape)
    return out


def narrowed(x: npt.NDArray[Any], bf16: bool) -> npt.NDArray[Any]:
    """As a product reads it: float32, or the bits of the nearest bfloat16, ties to even."""
    single = np.ascontiguousarray(x, np.float32)
    if not bf16:
        return single
    bits = single.view(np.uint32)
    rounded: npt.NDArray[Any] = ((bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return rounded


def kept(value: Any, like: Any) -> Any:
    """For compiled code: a float32 as the elements of `like` are: itself, or the bits of the nearest bfloat16."""
    raise NotImplementedError


@overload(kept)
def _kept(value, like):  # type: ignore[no-untyped-def]
    if like.dtype == types.float32:
        return lambda value, like: np.float32(value)

    def bits(value, like):  # type: ignore[no-untyped-def]
        u = np.float32(value).view(np.uint32)
        return np.uint16((u + np.uint32(0x7FFF) + ((u >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))

    return bits


@intrinsic
def taken(typing, like, values, out, kept, bias):  # type: ignore[no-untyped-def]
    """LANES values as the elements of `like` are, as float32 to `out`, and with a bias, where positive, to `kept`; addresses."""
    bf16 = like.dtype != types.float32

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e = Emitter(builder)
        _, values, out, kept, bias = arguments
        value = e.wide(values) if bf16 else e.load(values)
        builder.store(value, e.at(out, 0, VECTOR), align=4)
        e.keep(e.greater(builder.fadd(value, e.load(bias)), e.all(0)), kept, 0, bf16)
        return context.get_dummy_value()

    return types.void(like, *(types.uintp,) * 4), generate


@intrinsic
def given(typing, like, values, kept):  # type: ignore[no-untyped-def]
    """LANES float32 as the elements of `like` are; addresses."""
    bf16 = like.dtype != types.float32

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e = Emitter(builder)
        e.keep(e.load(arguments[1]), arguments[2], 0, bf16)
        return context.get_dummy_value()

    return types.void(like, types.uintp, types.uintp), generate


@intrinsic
def fetch(typing, address):  # type: ignore[no-untyped-def]
    """Calls for a line of memory, without waiting."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        Emitter(builder).fetch(arguments[0])
        return context.get_dummy_value()

    return types.void(types.uintp), generate


@intrinsic
def added(typing, values, out):  # type: ignore[no-untyped-def]
    """LANES float32 on top of those at `out`; addresses."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e = Emitter(builder)
        builder.store(builder.fadd(e.load(arguments[1]), e.load(arguments[0])), e.at(arguments[1], 0, VECTOR), align=4)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp), generate


def pack(weight: npt.NDArray[Any], *, bf16: bool, tiles: bool = False, gated: bool = False) -> npt.NDArray[Any]:
    """Weights (outputs, taps, inputs) as `multiply` reads them: (blocks, taps, inputs / pair, ROWS, pair), padded with zeros.

    The type says how it multiplies: float32, bfloat16 in pairs (uint16) or in tiles (int16), whose inputs are whole tiles.
    gated: the first half of the outputs are gates and the second their contents; each block gets some of both.

    Raises DeviceError for tiles where the processor or the system has none; asking is what permits this process to use them.
    """
    if tiles and not has_tiles():
        raise DeviceError("this machine multiplies no tiles of bf16 (AMX, under Linux); leave the choice to auto")
    outputs, taps, inputs = weight.shape
    pair = 2 if bf16 else 1
    groups = -(-inputs // INPUTS) * (INPUTS // 2) if tiles else -(-inputs // pair)
    if gated:
        half = ROWS // 2
        blocks = -(-outputs // ROWS)
        padded = np.zeros((2, blocks * half, taps, groups * pair), np.float32)
        padded[:, : outputs // 2, :, :inputs] = weight.reshape(2, outputs // 2, taps, inputs)
        rows = padded.reshape(2, blocks, half, taps, groups, pair).transpose(1, 3, 4, 0, 2, 5)
    else:
        blocks = -(-outputs // ROWS)
        padded = np.zeros((blocks * ROWS, taps, groups * pair), np.float32)
        padded[:outputs, :, :inputs] = weight
        rows = padded.reshape(blocks, ROWS, taps, groups, pair).transpose(0, 2, 3, 1, 4)
    out = aligned((blocks, taps, groups, ROWS, pair), np.int16 if tiles else np.uint16 if bf16 else np.float32)
    rows = rows.reshape(out.shape)
    if tiles:
        # Each tile's rows side by side, all tiles of the block's first half of outputs before those of its second.
        cut = rows.reshape(blocks, taps, -1, INPUTS // 2, 2, 2, ROWS // 4, 2)
        rows = cut.transpose(0, 4, 1, 2, 5, 3, 6, 7).reshape(out.shape)
    out[:] = narrowed(rows, bf16)
    return out


def stacked(matrices: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Packed matrices of one shape as one array."""
    out = aligned((len(matrices), *matrices[0].shape), matrices[0].dtype)
    for part, matrix in zip(out, matrices, strict=True):
        part[:] = matrix
    return out


def joined(matrices: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """The blocks of packed matrices of one shape, one matrix's after another's."""
    out = stacked(matrices)
    return out.reshape(-1, *out.shape[2:])


def whole(rows: int) -> int:
    """Rows of the blocks that hold so many."""
    return -(-rows // ROWS) * ROWS


def in_blocks(x: npt.NDArray[Any]) -> Floats:
    """x (..., rows) as float32 with zeros up to whole blocks."""
    out = aligned((*x.shape[:-1], whole(x.shape[-1])), np.float32)
    out[..., : x.shape[-1]] = x
    return out


@intrinsic(prefer_literal=True)
def _block(  # type: ignore[no-untyped-def]
    typing, packed, kind, columns, w, taps, count, depth, x_at, x_next, first, first_next, out, out_next, kept, kept_next, bias
):
    """One block's outputs of `columns` columns, 1..COLUMNS. See `multiply`; all are addresses and bytes, but for counts."""
    word = (types.uintp,) * 13
    signature = types.void(packed, kind, columns, *word)
    bf16, what, n = packed.dtype == types.uint16, kind.literal_value, columns.literal_value

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e = Emitter(builder)
        w, taps, count, depth, x_at, x_next, first, first_next, out, out_next, kept, kept_next, bias = arguments[3:]
        if bf16:
            pairs = ir.VectorType(BFloat(), 2 * LANES)
            dot = builder.module.declare_intrinsic(
                "llvm.x86.avx512bf16.dpbf16ps.512", (), ir.FunctionType(VECTOR, [VECTOR, pairs, pairs])
            )

        def columns_of(base: Any, step: Any) -> list[Any]:
            return [builder.add(base, builder.mul(step, WORD(c))) for c in range(n)]

        starts = [[e.load(column, 4 * LANES * v) for v in range(VECTORS)] for column in columns_of(first, first_next)]
        before = builder.block
        outer, inner, turn, after = (builder.append_basic_block(name) for name in ("tap", "depth", "turn", "done"))
        builder.branch(outer)

        builder.position_at_end(outer)
        tap, w_tap = builder.phi(WORD), builder.phi(WORD)
        carried = [[builder.phi(VECTOR) for _ in range(VECTORS)] for _ in range(n)]
        tap.add_incoming(WORD(0), before)
        w_tap.add_incoming(w, before)
        base = builder.load(e.at(taps, builder.mul(tap, WORD(8)), WORD), align=8)
        x_tap = builder.add(base, x_at)
        builder.branch(inner)

        builder.position_at_end(inner)
        k, w_k, x_k = builder.phi(WORD), builder.phi(WORD), builder.phi(WORD)
        for phi, start in ((k, WORD(0)), (w_k, w_tap), (x_k, x_tap)):
            phi.add_incoming(start, outer)
        sums = [[builder.phi(VECTOR) for _ in range(VECTORS)] for _ in range(n)]
        kind = pairs if bf16 else VECTOR
        weights = [builder.load(e.at(w_k, 4 * LANES * v, kind), align=4 * LANES) for v in range(VECTORS)]
        totals = []
        for c, column in enumerate(columns_of(x_k, x_next)):
            x = e.spread(builder.load(builder.inttoptr(column, (INT if bf16 else SINGLE).as_pointer()), align=2 if bf16 else 4))
            if bf16:
                x = builder.bitcast(x, pairs)
                totals.append([builder.call(dot, [s, weight, x]) for s, weight in zip(sums[c], weights, strict=True)])
            else:
                totals.append([e.fused(weight, x, s) for s, weight in zip(sums[c], weights, strict=True)])
        k_next, w_next = builder.add(k, WORD(1)), builder.add(w_k, WORD(4 * ROWS))
        k.add_incoming(k_next, inner)
        w_k.add_incoming(w_next, inner)
        x_k.add_incoming(builder.add(x_k, WORD(4)), inner)
        builder.cbranch(builder.icmp_unsigned("<", k_next, depth), inner, turn)

        builder.position_at_end(turn)
        tap_next = builder.add(tap, WORD(1))
        tap.add_incoming(tap_next, turn)
        w_tap.add_incoming(w_next, turn)
        for c in range(n):
            for v in range(VECTORS):
                sums[c][v].add_incoming(carried[c][v], outer)
                sums[c][v].add_incoming(totals[c][v], inner)
                carried[c][v].add_incoming(starts[c][v], before)
                carried[c][v].add_incoming(totals[c][v], turn)
        builder.cbranch(builder.icmp_unsigned("<", tap_next, count), outer, after)

        builder.position_at_end(after)
        for column, plain, keep in zip(totals, columns_of(out, out_next), columns_of(kept, kept_next), strict=True):
            e.finish(what, column, plain, keep, bias, bf16)
        return context.get_dummy_value()

    return signature, generate


@numba.njit(nogil=True)
def place(array, row):  # type: ignore[no-untyped-def]
    """Address of the values from `row` on, and the bytes from a column's to the next one's.

    array: (rows,), the same for all columns, or (columns, rows).
    """
    at = array.ctypes.data + row * array.itemsize
    if array.ndim == 1:
        return at, 0
    return at, array.strides[0]


@numba.njit(nogil=True)
def layer_place(array, layer, row):  # type: ignore[no-untyped-def]
    """The same of a layer; array: (layers, columns, rows). A layer as an array of its own would be counted, which takes time."""
    return array.ctypes.data + layer * array.strides[0] + row * array.itemsize, array.strides[1]


NOWHERE = (0, 0)


def multiply(
    packed: Any, kind: Any, block: Any, blocks: Any, columns: Any, taps: Any, x_next: Any,
    first: Any, out: Any, kept: Any, bias: Any, waits: Any,
) -> None:  # fmt: skip
    """For compiled code: `blocks` of a packed matrix's outputs, from `block` on, applied to all columns; what becomes of the sums
    says `kind`.

    taps: int64 (taps,), addresses of each tap's inputs of the first column; x_next: bytes to the next column's. Places:
    first: float32 (ROWS * blocks,), what the sums begin with; out: float32, as many, where they go; kept: as many values as
    products read them. GATE keeps half as many, and its `out` is what is called for meanwhile: as many kept values. bias: address
    of as many float32 as there are sums. What a kind does not need may be NOWHERE. Inputs are whole pairs. By tiles, inputs are
    whole tiles, and `readable` columns of them are read.

    waits: address of WAITING bytes of this thread's, zeros at first, and whether the last columns may be left there for its next
    product by tiles: a GATE or PLAIN after KEEP, a KEEP or RELU after GATE, whose first 16 columns need nothing of them.
    """
    raise NotImplementedError


@overload(multiply, prefer_literal=True, jit_options={"nogil": True})
def _multiply(packed, kind, block, blocks, columns, taps, x_next, first, out, kept, bias, waits):  # type: ignore[no-untyped-def]
    what = kind.literal_value
    if packed.dtype == types.int16:

        def by_tiles(packed, kind, block, blocks, columns, taps, x_next, first, out, kept, bias, waits):  # type: ignore[no-untyped-def]
            _, count, depth, _, _ = packed.shape
            w, tap = packed.ctypes.data + block * count * depth * ROWS * 4, taps.ctypes.data
            (f0, f1), (o0, o1), (k0, k1), (at, leave) = first, out, kept, waits
            tiled_blocks(what, blocks, columns, w, tap, count, depth, x_next, f0, f1, o0, o1, k0, k1, bias, at, leave)

        return by_tiles

    width = 4 * ROWS
    wide = ROWS * (2 if packed.dtype == types.uint16 else 4) // (2 if what == GATE else 1)

    def run(packed, kind, block, blocks, columns, taps, x_next, first, out, kept, bias, waits):  # type: ignore[no-untyped-def]
        _, count, depth, _, _ = packed.shape
        tap = taps.ctypes.data
        chunks = (columns + COLUMNS - 1) // COLUMNS
        for i in range(blocks):
            w = packed.ctypes.data + (block + i) * count * depth * ROWS * 4
            (f0, f1), (o0, o1), (k0, k1), at = first, out, kept, bias + i * width
            begin = 0
            for chunk in range(1, chunks + 1):
                # Of even size: a lone last column would cost nearly as much as five.
                end = columns * chunk // chunks
                many, x = end - begin, begin * x_next
                f, o, k = f0 + i * width + begin * f1, o0 + i * width + begin * o1, k0 + i * wide + begin * k1
                if many == 5:
                    _block(packed, what, 5, w, tap, count, depth, x, x_next, f, f1, o, o1, k, k1, at)
                elif many == 4:
                    _block(packed, what, 4, w, tap, count, depth, x, x_next, f, f1, o, o1, k, k1, at)
                elif many == 3:
                    _block(packed, what, 3, w, tap, count, depth, x, x_next, f, f1, o, o1, k, k1, at)
                elif many == 2:
                    _block(packed, what, 2, w, tap, count, depth, x, x_next, f, f1, o, o1, k, k1, at)
                else:
                    _block(packed, what, 1, w, tap, count, depth, x, x_next, f, f1, o, o1, k, k1, at)
                begin = end

    return run
