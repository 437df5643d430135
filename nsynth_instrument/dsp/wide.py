"""Compiled loops in all of the processor's vectors: LLVM takes half of them on Intel's, for whom long ones once were slow."""

from __future__ import annotations

from numba.core import types
from numba.extending import intrinsic


@intrinsic
def wide(typing):  # type: ignore[no-untyped-def]
    """In a compiled function: its loops may be vectors of 512 bits where there are such."""

    def generate(context, builder, _signature, _arguments):  # type: ignore[no-untyped-def]
        # llvmlite knows only attributes without a value, and says so of others; they print as they are.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate
