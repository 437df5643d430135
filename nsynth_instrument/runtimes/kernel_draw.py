"""Drawing in SIMD registers: no branch that a processor could guess wrongly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..dsp.mulaw import CLASSES, ZERO
from ..nets.wavenet_config import LEAST, MOST
from .kernel_emit import LANES, VECTOR, Emitter

PARTS = CLASSES // LANES
"""Neighbouring classes in one lane."""


def order() -> npt.NDArray[np.intp]:
    """Which class's logit lies where: a lane's classes are PARTS neighbours, one in each vector, so that sums of lanes are sums
    of neighbours."""
    return np.arange(CLASSES).reshape(LANES, PARTS).T.reshape(-1)


@intrinsic
def draw_class(typing, address, sharpness, noise, out):  # type: ignore[no-untyped-def]
    """The class, by inverse CDF at the noise, of the logits (256,) at an address in `order`, times sharpness / ln 2, which are
    spent. noise, out: addresses of a float32 and of the class's uint8."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e = Emitter(builder)
        address, sharpness, noise, out = arguments
        single, word, index = ir.FloatType(), ir.IntType(64), ir.IntType(32)
        u = builder.load(e.at(noise, 0, single), align=4)

        def shuffled(x: Any, other: Any, places: list[int]) -> Any:
            return builder.shuffle_vector(x, other, ir.Constant(ir.VectorType(index, LANES), places))

        def running(x: Any) -> Any:
            """Sums of each lane and those before it."""
            step = 1
            while step < LANES:
                # Places past LANES are of the zeros.
                x = builder.fadd(x, shuffled(x, e.all(0), [LANES if i < step else i - step for i in range(LANES)]))
                step *= 2
            return x

        def count(sums: Any, limit: Any) -> Any:
            """How many sums are not over the limit."""
            under = builder.fcmp_ordered("<=", sums, e.spread(limit))
            return builder.ctpop(builder.zext(builder.bitcast(under, ir.IntType(LANES)), index))

        def at_most(many: Any, most: int) -> Any:
            """The last takes what is left, so that a sum that tops out low can name none beyond it."""
            return builder.select(builder.icmp_unsigned("<", many, index(most)), many, index(most))

        logits = [e.load(address, 4 * LANES * v) for v in range(PARTS)]
        peak = logits[0]
        for x in logits[1:]:
            peak = e.greater(peak, x)
        turn = LANES // 2
        while turn:
            peak = e.greater(peak, shuffled(peak, peak, [i ^ turn for i in range(LANES)]))
            turn //= 2
        sharp, total = e.spread(sharpness), e.all(0)
        for v, x in enumerate(logits):
            weight = e.exp2(e.greater(builder.fmul(builder.fsub(x, peak), sharp), e.all(-120)), 5)
            builder.store(weight, e.at(address, 4 * LANES * v, total.type), align=4)
            total = builder.fadd(total, weight)
        sums = running(total)
        wanted = builder.fmul(u, builder.extract_element(sums, index(LANES - 1)))
        lane = at_most(count(sums, wanted), LANES - 1)
        before = shuffled(sums, e.all(0), [LANES, *range(LANES - 1)])
        left = builder.fsub(wanted, builder.extract_element(before, lane))
        # The lane's classes, with LANES of them side by side at a time.
        first = builder.add(address, builder.mul(builder.zext(lane, word), word(4)))
        passed, done = e.all(0), index(0)
        for begin in range(0, PARTS, LANES):
            some = e.all(0)
            for i in range(LANES):
                one = builder.load(e.at(first, 4 * LANES * (begin + i), single), align=4)
                some = builder.insert_element(some, one, index(i))
            some = builder.fadd(running(some), passed)
            passed = e.spread(builder.extract_element(some, index(LANES - 1)))
            done = builder.add(done, count(some, left))
        drawn = builder.add(builder.mul(lane, index(PARTS)), at_most(done, PARTS - 1))
        builder.store(builder.trunc(drawn, ir.IntType(8)), e.at(out, 0, ir.IntType(8)), align=1)
        return context.get_dummy_value()

    return types.void(types.uintp, types.float32, types.uintp, types.uintp), generate


@intrinsic
def hear_class(typing, drawn, heard):  # type: ignore[no-untyped-def]
    """How a class is heard as the past, from -1 to 1; addresses of its uint8 and of a float32."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e, single = Emitter(builder), ir.FloatType()
        drawn = builder.load(e.at(arguments[0], 0, ir.IntType(8)), align=1)
        off = builder.fsub(builder.uitofp(drawn, single), single(float(ZERO)))
        builder.store(builder.fmul(off, single(2 / CLASSES)), e.at(arguments[1], 0, single), align=4)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp), generate


@intrinsic
def draw_levels(typing, mean, deviation, heat, noise):  # type: ignore[no-untyped-def]
    """LANES levels, mean + exp(deviation) heat noise, in place of the noise; addresses but for heat."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e = Emitter(builder)
        mean, deviation, heat, noise = arguments
        spread = e.smaller(e.greater(e.load(deviation), e.all(LEAST)), e.all(MOST))
        size = builder.fmul(e.exp2(builder.fmul(spread, e.all(1 / np.log(2))), 5), e.spread(heat))
        builder.store(e.fused(size, e.load(noise), e.load(mean)), e.at(noise, 0, VECTOR), align=4)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.float32, types.uintp), generate


@intrinsic
def compand(typing, values):  # type: ignore[no-untyped-def]
    """LANES levels as they are heard, x / sqrt(1 + |x|), in place; an address."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e = Emitter(builder)
        x = e.load(arguments[0])
        size = e.greater(x, builder.fsub(e.all(0), x))
        kind = ir.FunctionType(VECTOR, [VECTOR])
        root = builder.call(builder.module.declare_intrinsic(f"llvm.sqrt.v{LANES}f32", (), kind), [builder.fadd(size, e.all(1))])
        builder.store(builder.fdiv(x, root), e.at(arguments[0], 0, VECTOR), align=4)
        return context.get_dummy_value()

    return types.void(types.uintp), generate


@intrinsic
def moved(typing, source, to, size):  # type: ignore[no-untyped-def]
    """So many bytes from an address to another."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        byte = ir.IntType(8).as_pointer()
        source, to, size = arguments
        cgutils.raw_memmove(builder, builder.inttoptr(to, byte), builder.inttoptr(source, byte), size, 1)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.uintp), generate
