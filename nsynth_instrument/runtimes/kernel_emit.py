"""What the CPU kernel's compiled products are made of: the processor's vectors, and arithmetic on them as instructions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir


def features() -> str:
    """What this processor has, or what Numba is told that it has."""
    return str(numba.config.CPU_FEATURES or llvmlite.binding.get_host_cpu_features().flatten())


def has_bf16() -> bool:
    """Whether products of bfloat16 pairs run here; LLVM before 16 knows them by another signature."""
    return "+avx512bf16" in features() and llvmlite.binding.llvm_version_info >= (16, 0, 0)


def pairs_pay() -> bool:
    """Whether pairs are faster than float32: AMD's processors multiply twice as many a cycle, Intel's no more."""
    return has_bf16() and str(numba.config.CPU_NAME or llvmlite.binding.get_host_cpu_name()).startswith("znver")


def _registers() -> tuple[int, int]:
    """Floats in a vector, and how many vectors of outputs a block has: as many sums as the registers hold without spilling."""
    found = features()
    if "+avx512f" in found:
        return 16, 4
    return (8, 2) if "+avx" in found else (4, 4 if "+neon" in found else 2)


LANES, VECTORS = _registers()

PLAIN, GATE, RELU, KEEP, KEEP_RELU = range(5)
"""What becomes of the sums. PLAIN: stored as they are. GATE: the first half is a sigmoid's, the second a tanh's argument, and
their product is kept for the next product to read; RELU: kept where positive. KEEP, KEEP_RELU: stored as they are, and
kept with a bias added (where positive)."""


class BFloat(ir.Type):  # type: ignore[misc]
    """llvmlite has no bfloat."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BFloat)

    def __hash__(self) -> int:
        return hash(BFloat)


INT, WORD, SINGLE = ir.IntType(32), ir.IntType(64), ir.FloatType()
VECTOR, INTS = ir.VectorType(SINGLE, LANES), ir.VectorType(INT, LANES)


_LOG2E = 1.4426950408889634


@cache
def _exp_terms(degree: int, least: float = -0.5) -> tuple[float, ...]:
    """Coefficients, highest first, of 2^f on least..least + 1 with nearly the least greatest relative error of their degree."""
    f = least + 0.5 + np.cos(np.pi * (np.arange(64) + 0.5) / 64) / 2
    return tuple(np.polyfit(f, np.exp2(f), degree, w=np.exp2(-f)).tolist())


@cache
def _parabolas(gate: bool) -> tuple[tuple[float, ...], ...]:
    """Coefficients, highest first, each of 32 parabolas by the last bits of their number, of sigmoid (0.5 apart) or tanh (0.25
    apart); the outermost end half way between the curve and its limit, and so stand for all beyond."""
    terms = np.zeros((3, 2 * LANES))
    for i in range(-15, 16):
        x = (i + np.cos(np.pi * (np.arange(64) + 0.5) / 64) / 2) / 4
        y = np.tanh(x)
        if abs(i) == 15:
            y += (np.sign(i) - np.tanh(3.875 * np.sign(i))) / 2 * (4 * abs(x) - 14.5)
        found = np.polyfit(x, y, 2)
        terms[:, i] = found / 2 * np.array([0.25, 0.5, 1]) + np.array([0, 0, 0.5]) if gate else found
    return tuple(tuple(row) for row in terms.astype(np.float32).tolist())


class Emitter:
    """Vector arithmetic of float32 as instructions."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def all(self, value: float) -> Any:
        """The same number in every lane."""
        return ir.Constant(VECTOR, [float(np.float32(value))] * LANES)

    def at(self, base: Any, offset: Any, kind: Any) -> Any:
        """A pointer to a `kind`, `offset` bytes past an address."""
        place = self.builder.add(base, offset if isinstance(offset, ir.Value) else WORD(offset))
        return self.builder.inttoptr(place, kind.as_pointer())

    def load(self, base: Any, offset: Any = 0) -> Any:
        """A vector from memory."""
        return self.builder.load(self.at(base, offset, VECTOR), align=4)

    def fetch(self, address: Any, near: int = 3) -> None:
        """Calls for a line of memory, without waiting; into the first cache, or into the second if it need not be so near (2)."""
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, INT, INT, INT])
        to_read = self.builder.module.declare_intrinsic("llvm.prefetch", (byte,), kind)
        self.builder.call(to_read, [self.builder.inttoptr(address, byte), INT(0), INT(near), INT(1)])

    def wide(self, base: Any) -> Any:
        """A vector from as many bfloat16 in memory."""
        b = self.builder
        bits = b.load(self.at(base, 0, ir.VectorType(ir.IntType(16), LANES)), align=2)
        return b.bitcast(b.shl(b.zext(bits, INTS), ir.Constant(INTS, [16] * LANES)), VECTOR)

    def spread(self, value: Any) -> Any:
        """A scalar in every lane."""
        kind = ir.VectorType(value.type, LANES)
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, INT(0))
        return self.builder.shuffle_vector(one, one, ir.Constant(INTS, [0] * LANES))

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
        power = b.shl(b.bitcast(shifted, INTS), ir.Constant(INTS, [23] * LANES))
        return b.bitcast(b.add(b.bitcast(p, INTS), power), VECTOR)

    def gate(self, gate: Any, content: Any) -> Any:
        """sigmoid(gate) tanh(content), absolute error under 1e-6."""
        b, one, most, least = self.builder, self.all(1), self.all(40), self.all(-40)

        def power(x: Any, by: float) -> Any:
            return self.exp2(self.greater(self.smaller(b.fmul(x, self.all(by)), most), least), 5)

        s, t = power(gate, -_LOG2E), power(content, -2 * _LOG2E)
        return b.fdiv(b.fsub(one, t), b.fmul(b.fadd(one, s), b.fadd(one, t)))

    def rough_gate(self, gate: Any, content: Any) -> Any:
        """sigmoid(gate) tanh(content), absolute error under 7e-4, by tables; AVX-512 only."""
        b, mask = self.builder, ir.IntType(16)

        def known(name: str, *values: Any) -> Any:
            """An instruction of the processor's own."""
            kind = ir.FunctionType(VECTOR, [v.type for v in values])
            return b.call(b.module.declare_intrinsic(f"llvm.x86.avx512.{name}.ps.512", (), kind), values)

        def curve(x: Any, apart: float, terms: tuple[tuple[float, ...], ...]) -> Any:
            """Of the 32 parabolas that stand `apart`, the one at x, at x."""
            # The lesser in size, with its own sign; the sum's last bits then number the parabola.
            x = known("mask.range", x, self.all(15.49 * apart), INT(2), self.all(0), mask(0xFFFF), INT(4))
            which = b.bitcast(b.fadd(x, self.all(1.5 * 2**23 * apart)), INTS)
            tables = [[ir.Constant(VECTOR, list(half)) for half in (term[:LANES], term[LANES:])] for term in terms]
            p, *others = (known("vpermi2var", low, which, high) for low, high in tables)
            for other in others:
                p = self.fused(p, x, other)
            return p

        return b.fmul(curve(gate, 0.5, _parabolas(True)), curve(content, 0.25, _parabolas(False)))

    def keep(self, value: Any, base: Any, vector: int, bf16: bool) -> None:
        """Store the vector-th vector of a column as products read it."""
        b = self.builder
        if bf16:
            half = ir.VectorType(BFloat(), LANES)
            b.store(b.fptrunc(value, half), self.at(base, 2 * LANES * vector, half), align=2)
        else:
            b.store(value, self.at(base, 4 * LANES * vector, VECTOR), align=4)

    def pair(self, two: Sequence[Any]) -> Any:
        """Two vectors as bfloat16 side by side; AVX512-BF16 only."""
        kind = ir.FunctionType(ir.VectorType(BFloat(), 2 * LANES), (VECTOR, VECTOR))
        name = "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
        return self.builder.call(self.builder.module.declare_intrinsic(name, (), kind), two[::-1])

    def keep_positive(self, two: Sequence[Any], address: Any) -> None:
        """Store two vectors, 0 where they are negative, as bfloat16 side by side; AVX512-BF16 only."""
        b, bits = self.builder, ir.VectorType(ir.IntType(16), 2 * LANES)
        # The sign is the same of a bfloat16 and of its bits as a whole number.
        value = b.bitcast(self.pair(two), bits)
        zero = ir.Constant(bits, [0] * 2 * LANES)
        b.store(b.select(b.icmp_signed(">", value, zero), value, zero), self.at(address, 0, bits), align=2)

    def finish(self, what: int, sums: Sequence[Any], plain: Any, kept: Any, bias: Any, bf16: bool) -> None:
        """What becomes of a column's sums.

        plain, kept, bias: addresses of the block's outputs, of what is kept, and of what is added to that.
        """
        b, values = self.builder, list(sums)
        if what == GATE:
            half = len(sums) // 2
            values = [(self.rough_gate if bf16 else self.gate)(sums[v], sums[v + half]) for v in range(half)]
        elif what != RELU:
            for v, total in enumerate(sums):
                b.store(total, self.at(plain, 4 * LANES * v, VECTOR), align=4)
        if what in (KEEP, KEEP_RELU):
            values = [b.fadd(total, self.load(bias, 4 * LANES * v)) for v, total in enumerate(sums)]
        if what in (RELU, KEEP_RELU):
            values = [self.greater(value, self.all(0)) for value in values]
        if what == PLAIN:
            return
        for v in range(0, len(values), 2 if bf16 else 1):
            if bf16:
                both = self.pair(values[v : v + 2])
                b.store(both, self.at(kept, 2 * LANES * v, both.type), align=2)
            else:
                self.keep(values[v], kept, v, False)
