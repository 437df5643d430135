"""Drawing a class in SIMD registers: no branch that a processor could guess wrongly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ..dsp.mulaw import CLASSES
from .kernel_emit import LANES, Emitter

PARTS = CLASSES // LANES
"""Neighbouring classes in one lane."""


def order() -> npt.NDArray[np.intp]:
    """Which class's logit lies where: a lane's classes are PARTS neighbours, one in each vector, so that sums of lanes are sums
    of neighbours."""
    return np.arange(CLASSES).reshape(LANES, PARTS).T.reshape(-1)


@intrinsic
def draw_class(typing, address, sharpness, u):  # type: ignore[no-untyped-def]
    """The class, by inverse CDF at u, of the logits (256,) at an address in `order`, times sharpness / ln 2. They are spent."""

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e = Emitter(builder)
        address, sharpness, u = arguments
        single, word, index = ir.FloatType(), ir.IntType(64), ir.IntType(32)

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
        return builder.zext(builder.add(builder.mul(lane, index(PARTS)), at_most(done, PARTS - 1)), word)

    return types.int64(types.uintp, types.float32, types.float32), generate
