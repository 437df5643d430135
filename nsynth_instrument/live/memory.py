"""How compiled code reaches the engine's memory: one record, `g`, whose fields hold the addresses of all else.

A record is one pointer, so functions stay cheap to call and to compile. What is compiled here, and for `mixer`,
allocates nothing, takes no lock and never needs the interpreter, so it may run in a sound card's callback.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import llvmlite.ir
import numba
import numpy as np
from numba.extending import intrinsic

from .state import CELL, CHANNEL, LAYER, PACK, SAMPLE, VOICE

F = TypeVar("F", bound=Callable[..., Any])

ENDLESS = 1 << 40
"""Length claimed for memory that is read by address: whoever reads knows the true one."""


def jit(function: F) -> F:
    """Compile without the interpreter lock. What is kept on disk is the whole, under `mixer.callback`."""
    math = {"contract", "nsz", "reassoc"}
    compiled: F = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy", fastmath=math)(function)
    return compiled


@intrinsic  # type: ignore[untyped-decorator]
def pointer(typing: Any, address: Any) -> Any:
    """An address as a pointer that `numba.carray` accepts."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(numba.types.voidptr))

    return numba.types.voidptr(numba.types.uint64), build


@intrinsic  # type: ignore[untyped-decorator]
def called(typing: Any, function: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    """What a C function at an address answers to up to six integers or pointers; for an int, mask its low 32 bits.

    64-bit ABIs pass these in registers of one size, so that one signature fits all.
    """
    whole = numba.types.uint64

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = context.get_value_type(whole)
        kind = llvmlite.ir.FunctionType(word, [word] * 6).as_pointer()
        return builder.call(builder.inttoptr(args[0], kind), args[1:])

    return whole(*[whole] * 7), build


@jit
def get_voice(g: Any, i: int) -> Any:
    """VOICE i."""
    return numba.carray(pointer(g.voice_at), (ENDLESS,), VOICE)[i]


@jit
def get_hand(g: Any, i: int) -> Any:
    """CHANNEL i: what the hands hold there."""
    return numba.carray(pointer(g.channel_at), (ENDLESS,), CHANNEL)[i]


@jit
def get_pack(g: Any, i: int) -> Any:
    """PACK i."""
    return numba.carray(pointer(g.pack_at), (ENDLESS,), PACK)[i]


@jit
def get_axis(g: Any, i: int) -> float:
    """A coordinate of a morph position."""
    return float(numba.carray(pointer(g.axis_at), (ENDLESS,), np.float64)[i])


@jit
def get_cell(g: Any, i: int) -> Any:
    """CELL i."""
    return numba.carray(pointer(g.cell_at), (ENDLESS,), CELL)[i]


@jit
def get_layer(g: Any, i: int) -> Any:
    """LAYER i."""
    return numba.carray(pointer(g.layer_at), (ENDLESS,), LAYER)[i]


@jit
def get_sample(g: Any, i: int) -> Any:
    """SAMPLE i."""
    return numba.carray(pointer(g.sample_at), (ENDLESS,), SAMPLE)[i]
