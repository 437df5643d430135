"""The inner loop of the CPU kernel: a block of a matrix product in SIMD registers, and what is done to its results there.

Outputs lie in the SIMD lanes and each column (a note, or a moment of the encoder) has sums of its own, which take
their terms in one order. So a column's result does not depend on how many are computed beside it.
Numbers that a product reads are float32, or bfloat16 where the processor multiplies pairs of it (AVX512-BF16);
sums are float32 always.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import llvmlite.binding
import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

Floats = npt.NDArray[np.float32]


def _features() -> str:
    return str(numba.config.CPU_FEATURES or llvmlite.binding.get_host_cpu_features().flatten())


def has_bf16() -> bool:
    """Whether products of bfloat16 pairs run here; LLVM before 16 knows them by another signature."""
    return "+avx512bf16" in _features() and llvmlite.binding.llvm_version_info >= (16, 0, 0)


def _registers() -> tuple[int, int]:
    """Floats in a vector, and how many vectors of outputs a block has: as many sums as the registers hold without spilling."""
    features = _features()
    if "+avx512f" in features:
        return 16, 4
    return (8, 2) if "+avx" in features else (4, 4 if "+neon" in features else 2)


LANES, VECTORS = _registers()

ROWS = LANES * VECTORS
"""Outputs of a block."""

COLUMNS = 5
"""Columns that one pass through a block's weights serves, at most: 20 sums, 4 weights and a value in 32 registers."""

PLAIN, GATE, RELU, KEEP, KEEP_RELU = range(5)
"""What becomes of the sums. PLAIN: stored as they are. GATE: the first half is a sigmoid's, the second a tanh's argument, and
their product is kept for the next product to read; RELU: kept where positive. KEEP, KEEP_RELU: stored as they are, and
kept with a bias added (where positive)."""


def aligned(shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
    """Zeros that begin on a cache line."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
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


def pack(weight: npt.NDArray[Any], *, bf16: bool, gated: bool = False) -> npt.NDArray[Any]:
    """Weights (outputs, taps, inputs) as `multiply` reads them: (blocks, taps, inputs / pair, ROWS, pair), padded with zeros.

    gated: the first half of the outputs are gates and the second their contents; each block gets some of both.
    """
    outputs, taps, inputs = weight.shape
    pair = 2 if bf16 else 1
    groups = -(-inputs // pair)
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
    out = aligned((blocks, taps, groups, ROWS, pair), np.uint16 if bf16 else np.float32)
    out[:] = narrowed(rows.reshape(out.shape), bf16)
    return out


def stacked(matrices: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Packed matrices of one shape as one array."""
    out = aligned((len(matrices), *matrices[0].shape), matrices[0].dtype)
    for part, matrix in zip(out, matrices, strict=True):
        part[:] = matrix
    return out


def whole(rows: int) -> int:
    """Rows of the blocks that hold so many."""
    return -(-rows // ROWS) * ROWS


def in_blocks(x: npt.NDArray[Any]) -> Floats:
    """x (..., rows) as float32 with zeros up to whole blocks."""
    out = aligned((*x.shape[:-1], whole(x.shape[-1])), np.float32)
    out[..., : x.shape[-1]] = x
    return out


class _BFloat(ir.Type):  # type: ignore[misc]
    """llvmlite has no bfloat."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


_BYTE, _INT, _WORD, _SINGLE = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
_VECTOR, _INTS = ir.VectorType(_SINGLE, LANES), ir.VectorType(_INT, LANES)


_LOG2E = 1.4426950408889634


@cache
def _exp_terms(degree: int, least: float = -0.5) -> tuple[float, ...]:
    """Coefficients, highest first, of 2^f on least..least + 1 with nearly the least greatest relative error of their degree."""
    f = least + 0.5 + np.cos(np.pi * (np.arange(64) + 0.5) / 64) / 2
    return tuple(np.polyfit(f, np.exp2(f), degree, w=np.exp2(-f)).tolist())


class Emitter:
    """Vector arithmetic of float32 as instructions."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def all(self, value: float) -> Any:
        """The same number in every lane."""
        return ir.Constant(_VECTOR, [float(np.float32(value))] * LANES)

    def at(self, base: Any, offset: Any, kind: Any) -> Any:
        """A pointer to a `kind`, `offset` bytes past an address."""
        place = self.builder.add(base, offset if isinstance(offset, ir.Value) else _WORD(offset))
        return self.builder.inttoptr(place, kind.as_pointer())

    def load(self, base: Any, offset: Any = 0) -> Any:
        """A vector from memory."""
        return self.builder.load(self.at(base, offset, _VECTOR), align=4)

    def spread(self, value: Any) -> Any:
        """A scalar in every lane."""
        kind = ir.VectorType(value.type, LANES)
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, _INT(0))
        return self.builder.shuffle_vector(one, one, ir.Constant(_INTS, [0] * LANES))

    def fused(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c: rounded once where the processor can."""
        return self.builder.fadd(self.builder.fmul(a, b, flags=["contract"]), c, flags=["contract"])

    def greater(self, a: Any, b: Any) -> Any:
        """The greater of two, lane by lane."""
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def smaller(self, a: Any, b: Any) -> Any:
        """The smaller of two, lane by lane."""
        return self.builder.select(self.builder.fcmp_ordered("<", a, b), a, b)

    def exp2(self, x: Any, degree: int) -> Any:
        """2^x for |x| < 126."""
        b, magic = self.builder, self.all(1.5 * 2**23)
        # The sum's last bits are the nearest whole number, with no conversion.
        shifted = b.fadd(x, magic)
        f = b.fsub(x, b.fsub(shifted, magic))
        terms = _exp_terms(degree)
        p = self.all(terms[0])
        for term in terms[1:]:
            p = self.fused(p, f, self.all(term))
        power = b.shl(b.bitcast(shifted, _INTS), ir.Constant(_INTS, [23] * LANES))
        return b.bitcast(b.add(b.bitcast(p, _INTS), power), _VECTOR)

    def gate(self, gate: Any, content: Any) -> Any:
        """sigmoid(gate) tanh(content), absolute error under 1e-6."""
        b, one, most, least = self.builder, self.all(1), self.all(40), self.all(-40)

        def power(x: Any, by: float) -> Any:
            return self.exp2(self.greater(self.smaller(b.fmul(x, self.all(by)), most), least), 5)

        s, t = power(gate, -_LOG2E), power(content, -2 * _LOG2E)
        return b.fdiv(b.fsub(one, t), b.fmul(b.fadd(one, s), b.fadd(one, t)))

    def rough_gate(self, gate: Any, content: Any) -> Any:
        """sigmoid(gate) tanh(content), absolute error under 2e-4, in half the instructions; AVX-512 only."""
        b, one, mask = self.builder, self.all(1), ir.IntType(16)

        def known(name: str, *values: Any) -> Any:
            """An instruction of the processor's own."""
            kind = ir.FunctionType(_VECTOR, [v.type for v in values])
            return b.call(b.module.declare_intrinsic(f"llvm.x86.avx512.{name}.ps.512", (), kind), values)

        def sigmoid(x: Any, by: float) -> Any:
            t = b.fmul(x, self.all(-by * _LOG2E))
            # What is over the next lower whole number; a power of that number is then exact.
            f = known("mask.reduce", t, _INT(1), self.all(0), mask(0xFFFF), _INT(4))
            p = self.all(_exp_terms(3, 0.0)[0])
            for term in _exp_terms(3, 0.0)[1:]:
                p = self.fused(p, f, self.all(term))
            power = known("mask.scalef", p, t, self.all(0), mask(0xFFFF), _INT(4))
            # Infinity, too, has the right reciprocal.
            return known("rcp14", b.fadd(power, one), self.all(0), mask(0xFFFF))

        return b.fmul(sigmoid(gate, 1), self.fused(sigmoid(content, 2), self.all(2), self.all(-1)))

    def keep(self, value: Any, base: Any, vector: int, bf16: bool) -> None:
        """Store the vector-th vector of a column as products read it."""
        b = self.builder
        if bf16:
            half = ir.VectorType(_BFloat(), LANES)
            b.store(b.fptrunc(value, half), self.at(base, 2 * LANES * vector, half), align=2)
        else:
            b.store(value, self.at(base, 4 * LANES * vector, _VECTOR), align=4)


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
            pairs = ir.VectorType(_BFloat(), 2 * LANES)
            dot = builder.module.declare_intrinsic(
                "llvm.x86.avx512bf16.dpbf16ps.512", (), ir.FunctionType(_VECTOR, [_VECTOR, pairs, pairs])
            )

        def columns_of(base: Any, step: Any) -> list[Any]:
            return [builder.add(base, builder.mul(step, _WORD(c))) for c in range(n)]

        starts = [[e.load(column, 4 * LANES * v) for v in range(VECTORS)] for column in columns_of(first, first_next)]
        before = builder.block
        outer, inner, turn, after = (builder.append_basic_block(name) for name in ("tap", "depth", "turn", "done"))
        builder.branch(outer)

        builder.position_at_end(outer)
        tap, w_tap = builder.phi(_WORD), builder.phi(_WORD)
        carried = [[builder.phi(_VECTOR) for _ in range(VECTORS)] for _ in range(n)]
        tap.add_incoming(_WORD(0), before)
        w_tap.add_incoming(w, before)
        base = builder.load(e.at(taps, builder.mul(tap, _WORD(8)), _WORD), align=8)
        x_tap = builder.add(base, x_at)
        builder.branch(inner)

        builder.position_at_end(inner)
        k, w_k, x_k = builder.phi(_WORD), builder.phi(_WORD), builder.phi(_WORD)
        for phi, start in ((k, _WORD(0)), (w_k, w_tap), (x_k, x_tap)):
            phi.add_incoming(start, outer)
        sums = [[builder.phi(_VECTOR) for _ in range(VECTORS)] for _ in range(n)]
        kind = pairs if bf16 else _VECTOR
        weights = [builder.load(e.at(w_k, 4 * LANES * v, kind), align=4 * LANES) for v in range(VECTORS)]
        totals = []
        for c, column in enumerate(columns_of(x_k, x_next)):
            x = e.spread(builder.load(builder.inttoptr(column, (_INT if bf16 else _SINGLE).as_pointer()), align=4))
            if bf16:
                x = builder.bitcast(x, pairs)
                totals.append([builder.call(dot, [s, weight, x]) for s, weight in zip(sums[c], weights, strict=True)])
            else:
                totals.append([e.fused(weight, x, s) for s, weight in zip(sums[c], weights, strict=True)])
        k_next, w_next = builder.add(k, _WORD(1)), builder.add(w_k, _WORD(4 * ROWS))
        k.add_incoming(k_next, inner)
        w_k.add_incoming(w_next, inner)
        x_k.add_incoming(builder.add(x_k, _WORD(4)), inner)
        builder.cbranch(builder.icmp_unsigned("<", k_next, depth), inner, turn)

        builder.position_at_end(turn)
        tap_next = builder.add(tap, _WORD(1))
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
        plain, keep = columns_of(out, out_next), columns_of(kept, kept_next)
        for c, column in enumerate(totals):
            if what == GATE:
                for v in range(VECTORS // 2):
                    gate = e.rough_gate if bf16 else e.gate
                    e.keep(gate(column[v], column[v + VECTORS // 2]), keep[c], v, bf16)
                continue
            for v, total in enumerate(column):
                value = total
                if what != RELU:
                    builder.store(total, e.at(plain[c], 4 * LANES * v, _VECTOR), align=4)
                if what in (KEEP, KEEP_RELU):
                    value = builder.fadd(total, e.load(bias, 4 * LANES * v))
                if what in (RELU, KEEP_RELU):
                    value = e.greater(value, e.all(0))
                if what != PLAIN:
                    e.keep(value, keep[c], v, bf16)
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


NOWHERE = (0, 0)


def multiply(
    packed: Any, kind: Any, block: Any, columns: Any, taps: Any, x_next: Any, first: Any, out: Any, kept: Any, bias: Any
) -> None:
    """For compiled code: a block of a packed matrix's outputs applied to all columns; what becomes of the sums says `kind`.

    taps: int64 (taps,), addresses of each tap's inputs of the first column; x_next: bytes to the next column's. Places:
    first: float32 (ROWS,), what the sums begin with; out: float32 (ROWS,), where they go; kept: ROWS values as products
    read them, half as many from GATE. bias: address of float32 (ROWS,). What a kind does not need may be NOWHERE. Inputs are
    whole pairs.
    """
    raise NotImplementedError


@overload(multiply, prefer_literal=True, jit_options={"nogil": True})
def _multiply(packed, kind, block, columns, taps, x_next, first, out, kept, bias):  # type: ignore[no-untyped-def]
    what = kind.literal_value

    def run(packed, kind, block, columns, taps, x_next, first, out, kept, bias):  # type: ignore[no-untyped-def]
        _, count, depth, _, _ = packed.shape
        w = packed.ctypes.data + block * count * depth * ROWS * 4
        tap = taps.ctypes.data
        (f0, f1), (o0, o1), (k0, k1) = first, out, kept
        chunks = (columns + COLUMNS - 1) // COLUMNS
        begin = 0
        for chunk in range(1, chunks + 1):
            # Of even size: a lone last column would cost nearly as much as five.
            end = columns * chunk // chunks
            many = end - begin
            x, f, o, k = begin * x_next, f0 + begin * f1, o0 + begin * o1, k0 + begin * k1
            if many == 5:
                _block(packed, what, 5, w, tap, count, depth, x, x_next, f, f1, o, o1, k, k1, bias)
            elif many == 4:
                _block(packed, what, 4, w, tap, count, depth, x, x_next, f, f1, o, o1, k, k1, bias)
            elif many == 3:
                _block(packed, what, 3, w, tap, count, depth, x, x_next, f, f1, o, o1, k, k1, bias)
            elif many == 2:
                _block(packed, what, 2, w, tap, count, depth, x, x_next, f, f1, o, o1, k, k1, bias)
            else:
                _block(packed, what, 1, w, tap, count, depth, x, x_next, f, f1, o, o1, k, k1, bias)
            begin = end

    return run
