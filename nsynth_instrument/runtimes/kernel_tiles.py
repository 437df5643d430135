"""The kernel's products where the processor has AMX: tiles of 16 columns by 16 outputs, 8192 multiply-adds an instruction.

The same blocks as those of `kernel_simd`, of bfloat16; a column's sums are its own row of the tiles, so that here, too, it does
not depend on the columns beside it.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from .kernel_emit import GATE, KEEP, KEEP_RELU, LANES, PLAIN, RELU, VECTORS, WORD, Emitter, features, has_bf16

AT_ONCE = 16
"""Columns of a tile."""

INPUTS = 32
"""Inputs of a tile, which come in whole tiles."""

_ROW = 4 * LANES * VECTORS
"""Bytes from column to column of a block's sums."""

_TILE = 1024
"""Bytes of a tile."""

_PERMIT, _TILES, _CALL = 0x1023, 18, 158
"""arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA), by number, as the C library does not know it."""


@cache
def has_tiles() -> bool:
    """Whether this process may multiply tiles of bfloat16; asks the system for them, which it demands of each process.

    Linux alone: nobody has tried another system's way.
    """
    here = sys.platform == "linux" and platform.machine() == "x86_64" and has_bf16()
    if not here or "+amx-tile" not in features() or "+amx-bf16" not in features():
        return False
    ask = ctypes.CDLL(None).syscall
    ask.restype = ctypes.c_long
    return bool(ask(ctypes.c_long(_CALL), ctypes.c_long(_PERMIT), ctypes.c_long(_TILES)) == 0)


def readable(columns: int) -> int:
    """How many columns are read where there are so many."""
    return columns if columns <= AT_ONCE else -(-columns // AT_ONCE) * AT_ONCE


def _tile(number: int) -> Any:
    return ir.IntType(8)(number)


class Tiles:
    """AMX's instructions."""

    def __init__(self, builder: Any) -> None:
        self.builder, self.pointer = builder, ir.IntType(8).as_pointer()

    def _call(self, name: str, *values: Any) -> None:
        kind = ir.FunctionType(ir.VoidType(), [v.type for v in values])
        self.builder.call(self.builder.module.declare_intrinsic(f"llvm.x86.{name}", (), kind), values)

    def _at(self, address: Any) -> Any:
        return self.builder.inttoptr(address, self.pointer)

    def load(self, tile: int, address: Any, stride: Any) -> None:
        """16 rows of 64 bytes."""
        self._call("tileloadd64", _tile(tile), self._at(address), stride)

    def store(self, tile: int, address: Any, stride: Any) -> None:
        """16 rows of 64 bytes."""
        self._call("tilestored64", _tile(tile), self._at(address), stride)

    def clear(self, tile: int) -> None:
        """Zeros."""
        self._call("tilezero", _tile(tile))

    def dot(self, sums: int, columns: int, weights: int) -> None:
        """sums (16 columns, 16 outputs) += columns (16, 16 pairs) times weights (16 pairs, 16 outputs)."""
        self._call("tdpbf16ps", *map(_tile, (sums, columns, weights)))

    def begin(self, columns: Any) -> None:
        """Eight tiles of rows of 64 bytes: those of sums and the first of columns have as many as there are columns, at most 16.

        With two of columns, 16 are needed; each row costs time, and takes nothing from the others.
        """
        layout = bytes([1, *[0] * 15, *[64, 0] * 8, *[0] * 16, *[16] * 8, *[0] * 8])
        constant = ir.Constant(ir.ArrayType(ir.IntType(8), len(layout)), bytearray(layout))
        room = self.builder.bitcast(cgutils.alloca_once_value(self.builder, constant), self.pointer)
        few = self.builder.icmp_unsigned("<", columns, columns.type(AT_ONCE))
        rows = self.builder.trunc(self.builder.select(few, columns, columns.type(AT_ONCE)), ir.IntType(8))
        for tile in range(6):
            self.builder.store(rows, self.builder.gep(room, [WORD(48 + tile)]))
        self._call("ldtilecfg", room)

    def end(self) -> None:
        """Nothing is left in the tiles that the system would have to keep for the thread."""
        self._call("tilerelease")


@intrinsic
def _begin(typing, columns):  # type: ignore[no-untyped-def]
    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        Tiles(builder).begin(arguments[0])
        return context.get_dummy_value()

    return types.void(types.uintp), generate


@intrinsic
def _end(typing):  # type: ignore[no-untyped-def]
    def generate(context, builder, _signature, _arguments):  # type: ignore[no-untyped-def]
        Tiles(builder).end()
        return context.get_dummy_value()

    return types.void(), generate


def tiles_begin(packed: Any, columns: Any) -> None:
    """For compiled code: what a thread does before it multiplies so many columns, or any number from AT_ONCE on, by what is
    packed for tiles; nothing for other weights."""
    raise NotImplementedError


def tiles_end(packed: Any) -> None:
    """For compiled code: what a thread does when it has multiplied."""
    raise NotImplementedError


@overload(tiles_begin)
def _tiles_begin(packed, columns):  # type: ignore[no-untyped-def]
    if packed.dtype == types.int16:
        return lambda packed, columns: _begin(columns)
    return lambda packed, columns: None


@overload(tiles_end)
def _tiles_end(packed):  # type: ignore[no-untyped-def]
    return (lambda packed: _end()) if packed.dtype == types.int16 else (lambda packed: None)


_BEFORE = {GATE: KEEP, KEEP: GATE, RELU: GATE, PLAIN: KEEP, KEEP_RELU: KEEP}
"""The kind of what may wait for the first product of a kind."""

WAITING = AT_ONCE * _ROW + 8 * 8
"""Bytes of a room, for 16 columns' sums and where they go."""


@intrinsic(prefer_literal=True)
def tiled_blocks(  # type: ignore[no-untyped-def]
    typing, kind, blocks, columns, w, taps, count, depth, x_next, first, first_next, out, out_next, kept, kept_next, bias,
    room, leave,
):  # fmt: skip
    """The outputs of neighbouring blocks of all columns, 16 at a time.

    See `kernel_simd.multiply`; all but counts are addresses and bytes. What lies beyond the columns is read up to the next
    multiple of 16, and has no effect.

    The tiles and the vectors work side by side: beside each product stand some of the 16 columns that were multiplied before,
    and become what the next product reads; beside the first ones those that wait in the room. Tiles are stored as
    `tiled_columns` does it.
    """
    signature = types.void(kind, *(types.uintp,) * 16)
    what = kind.literal_value

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e, t = Emitter(builder), Tiles(builder)
        blocks, columns, w, taps, count, depth, x_next, first, first_next, out, out_next, kept, kept_next, bias = arguments[1:15]
        room, leave = arguments[15:]
        add, mul, load, store = builder.add, builder.mul, builder.load, builder.store
        # Not Numba's `alloca_once`: that fills with zeros, which LLVM takes seconds to optimise byte by byte.
        with builder.goto_entry_block():
            own = builder.alloca(ir.ArrayType(ir.IntType(8), 2 * AT_ONCE * _ROW))
            left, here, last_left, latest = (builder.alloca(WORD) for _ in range(4))
            # Where first, out, kept and bias are of the columns that wait, of the last ones, and of a block; then its weights and
            # its next column.
            places, last, block = ([builder.alloca(WORD) for _ in range(n)] for n in (4, 4, 6))
        own.align = 64
        sums = [add(builder.ptrtoint(own, WORD), WORD(AT_ONCE * _ROW * turn)) for turn in range(2)]
        nexts, nowhere = [first_next, out_next, kept_next, WORD(0)], WORD(0)
        steps = builder.udiv(depth, WORD(INPUTS // 2))
        half = mul(mul(count, steps), WORD(2 * _TILE))
        dots = mul(mul(count, steps), WORD(VECTORS))
        some = builder.udiv(add(dots, WORD(AT_ONCE - 1)), dots)
        record = [e.at(add(room, WORD(AT_ONCE * _ROW)), 8 * i, WORD) for i in range(8)]

        def least(a: Any, b: Any) -> Any:
            return builder.select(builder.icmp_unsigned("<", a, b), a, b)

        def finish(kind: int, most: Any, follow: Any) -> None:
            """At most so many of the columns that wait, as the next product reads them."""
            many = least(load(left), most)
            with cgutils.for_range(builder, many, intp=WORD):
                begins, plain, keep, shift = (load(slot) for slot in places)
                total = [builder.fadd(*(e.load(at, 4 * LANES * v) for at in (load(here), begins))) for v in range(VECTORS)]
                if kind == GATE:
                    e.fetch(plain, 2)
                e.finish(kind, total, plain, keep, shift, True)
                for slot, step in zip((here, *places), (WORD(_ROW), *follow), strict=True):
                    store(add(load(slot), step), slot)
            store(builder.sub(load(left), many), left)

        def waiting(at: Any) -> None:
            """The last columns, whose sums are there, are those that wait."""
            for slot, value in zip((left, *places), (last_left, *last), strict=True):
                store(load(value), slot)
            store(at, here)

        def stored(turn: int, i: int, at: Any) -> None:
            t.store(_TURNS[turn][i], add(at, WORD(4 * LANES * i)), WORD(_ROW))

        def multiply(turn: int, tap: Any, step: Any, start: bool, kind: int, follow: Any) -> None:
            """A step's products; where sums start, the last ones are stored."""
            x = add(load(e.at(taps, mul(tap, WORD(8)), WORD), align=8), mul(load(block[5]), x_next))
            x = add(x, mul(step, WORD(2 * INPUTS)))
            at = add(load(block[4]), mul(add(mul(tap, steps), step), WORD(2 * _TILE)))
            t.load(5, x, x_next)
            for i in range(VECTORS):
                t.load(6 + i % 2, add(add(at, half) if i > 1 else at, WORD(_TILE * (i % 2))), WORD(64))
                if start:
                    for j in [[], [0, 1], [2], [3]][i]:
                        stored(1 - turn, j, sums[1 - turn])
                    t.clear(_TURNS[turn][i])
                t.dot(_TURNS[turn][i], 5, 6 + i % 2)
                finish(kind, some, follow)

        def products(turn: int, start: int, kind: int, follow: Any) -> None:
            with cgutils.for_range(builder, count, intp=WORD) as tap:
                begin = builder.select(builder.icmp_unsigned("==", tap.index, WORD(0)), WORD(start), WORD(0))
                with cgutils.for_range(builder, steps, start=begin, intp=WORD) as step:
                    multiply(turn, tap.index, step.index, False, kind, follow)

        def onward(turn: int) -> None:
            """To the next columns, of the next block after the last ones."""
            at = load(block[5])
            store(least(builder.sub(columns, at), WORD(AT_ONCE)), last_left)
            for slot, base, step in zip(last, block, nexts, strict=False):
                store(add(load(base), mul(at, step)), slot)
            store(add(at, WORD(AT_ONCE)), block[5])
            with builder.if_then(builder.icmp_unsigned(">=", load(block[5]), columns)):
                store(WORD(0), block[5])
                quarter = _ROW // 4
                ahead = [WORD(v) for v in ((_ROW, quarter, quarter, _ROW) if what == GATE else (_ROW, _ROW, _ROW // 2, _ROW))]
                for slot, step in zip(block, (*ahead, add(half, half)), strict=False):
                    store(add(load(slot), step), slot)
            builder.cbranch(builder.icmp_unsigned("==", load(block[4]), end_at), tails[turn], bodies[1 - turn])

        for slot, value in zip(block, (first, out, kept, bias, w, WORD(0)), strict=True):
            store(value, slot)
        end_at = add(w, mul(blocks, add(half, half)))
        bodies, tails = ([builder.append_basic_block(f"{name}{n}") for n in range(2)] for name in ("turn", "tail"))
        end = builder.append_basic_block("end")

        for slot, value in zip((left, *places), record, strict=False):
            store(load(value), slot)
        store(room, here)
        store(WORD(0), record[0])
        follow = [*(load(value) for value in record[5:]), nowhere]
        for i in range(VECTORS):
            t.clear(_TURNS[0][i])
        products(0, 0, _BEFORE[what], follow)
        finish(_BEFORE[what], load(left), follow)
        onward(0)
        for turn in range(2):
            builder.position_at_end(bodies[turn])
            multiply(turn, WORD(0), WORD(0), True, what, nexts)
            waiting(sums[1 - turn])
            products(turn, 1, what, nexts)
            onward(turn)
            builder.position_at_end(tails[turn])
            at = builder.select(builder.icmp_unsigned("!=", leave, WORD(0)), room, sums[turn])
            store(at, latest)
            for i in range(VECTORS):
                stored(turn, i, at)
            builder.branch(end)
        builder.position_at_end(end)
        finish(what, load(left), nexts)
        waiting(load(latest))
        with builder.if_else(builder.icmp_unsigned("!=", leave, WORD(0))) as (leaving, staying):
            with leaving:
                for value, slot in zip((last_left, *last), record, strict=False):
                    store(load(value), slot)
                for value, slot in zip(nexts, record[5:], strict=False):
                    store(value, slot)
            with staying:
                finish(what, load(left), nexts)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def tiled_columns(  # type: ignore[no-untyped-def]
    typing, kind, chunks, w, taps, count, x_next, first, first_next, out, out_next, kept, kept_next, bias
):
    """Half a block's outputs, 32, of `chunks` times 32 columns, 1 or more; PLAIN, RELU or KEEP_RELU.

    See `kernel_simd.multiply`; all but counts are addresses and bytes, and each of the `count` taps has 32 inputs. What becomes
    of a chunk's sums is done while the next one is multiplied; they wait for it in `out`, or, where that is not wanted, in a
    room of their own; RELU's sums begin with the same for all columns.

    Storing a tile waits for its last product, and the processor goes hardly four tiles ahead of what waits. So sums have five
    tiles: a chunk begins in the one that the chunk before had no use for, and where each of the next sums begins, those that
    were there, complete by then, have just been stored.
    """
    signature = types.void(kind, *(types.uintp,) * 12)
    what, many = kind.literal_value, 2 * AT_ONCE

    def generate(context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        e, t = Emitter(builder), Tiles(builder)
        chunks, w, taps, count, x_next, first, first_next, out, out_next, kept, kept_next, bias = arguments[1:]
        add, mul = builder.add, builder.mul
        with builder.goto_entry_block():
            room = builder.alloca(ir.ArrayType(ir.IntType(8), 4 * _TILE if what == RELU else 64))
            row, here, there, chunk_at = (builder.alloca(WORD) for _ in range(4))
        room.align = 64
        sums, next_sum = (builder.ptrtoint(room, WORD), WORD(2 * 4 * LANES)) if what == RELU else (out, out_next)
        shift = {RELU: first, KEEP_RELU: bias}.get(what)
        shifts = [] if shift is None else [e.load(shift, 4 * LANES * v) for v in range(2)]
        # Columns of a chunk finished with each tap of the next but the first.
        others = builder.sub(count, WORD(1))
        some = builder.select(builder.icmp_unsigned(">", others, WORD(0)), others, WORD(1))
        each = builder.udiv(add(some, WORD(many - 1)), some)

        def of(chunk: Any, base: Any, step: Any) -> Any:
            return add(base, mul(mul(chunk, WORD(many)), step))

        def place(chunk: Any) -> Any:
            return sums if what == RELU else of(chunk, sums, next_sum)

        def tile(base: Any, step: Any, i: int) -> Any:
            """Where the i-th tile of sums lies: the first columns' and the last columns' first outputs, then their others."""
            return add(add(base, mul(step, WORD(AT_ONCE * (i % 2)))), WORD(4 * LANES * (i // 2)))

        def start(chunk: Any, number: int, i: int) -> None:
            if what == RELU:
                t.clear(number)
            else:
                t.load(number, tile(of(chunk, first, first_next), first_next, i), first_next)

        def store(chunk: Any, number: int, i: int) -> None:
            t.store(number, tile(place(chunk), next_sum, i), next_sum)

        def begin(chunk: Any) -> None:
            for slot, value in ((row, WORD(0)), (here, place(chunk)), (there, of(chunk, kept, kept_next))):
                builder.store(value, slot)

        def finish(most: Any) -> None:
            """The chunk's next columns, `most` of them, as the next product reads them."""
            done, left = builder.load(row), builder.sub(WORD(many), builder.load(row))
            some = builder.select(builder.icmp_unsigned("<", left, most), left, most)
            with cgutils.for_range(builder, some, intp=WORD):
                total = [e.load(builder.load(here), 4 * LANES * v) for v in range(2)]
                e.keep_positive([builder.fadd(a, b) for a, b in zip(total, shifts, strict=True)], builder.load(there))
                for slot, step in ((here, next_sum), (there, kept_next)):
                    builder.store(add(builder.load(slot), step), slot)
            builder.store(add(done, some), row)

        def products(chunk: Any, turn: int, last: Any) -> None:
            """A chunk's products, in the tiles of its turn; `last`, the chunk before, is stored and finished meanwhile."""
            offset, below = of(chunk, WORD(0), x_next), mul(x_next, WORD(AT_ONCE))

            def multiply(tap: Any, before: Any) -> None:
                x = add(builder.load(e.at(taps, mul(tap, WORD(8)), WORD), align=8), offset)
                weights = add(w, mul(tap, WORD(2 * _TILE)))
                for i in range(4):
                    if i < 2:
                        t.load(5 + i, x if i == 0 else add(x, below), x_next)
                    if i % 2 == 0:
                        t.load(7, add(weights, WORD(_TILE * (i // 2))), WORD(64))
                    before(i)
                    t.dot(_TURNS[turn][i], 5 + i % 2, 7)

            def turned(i: int) -> None:
                for j in [] if last is None else [[], [0, 1], [2], [3]][i]:
                    store(last, _TURNS[turn - 1][j], j)
                start(chunk, _TURNS[turn][i], i)

            multiply(WORD(0), turned)
            if last is not None:
                begin(last)
            if last is None or what == PLAIN:
                with cgutils.for_range(builder, count, start=WORD(1), intp=WORD) as tap:
                    multiply(tap.index, lambda i: None)
                return
            # Of a lone tap all is finished after it; once is little to compile.
            with cgutils.for_range(builder, add(some, WORD(1)), start=WORD(1), intp=WORD) as tap:
                with builder.if_then(builder.icmp_unsigned("<", tap.index, count), likely=True):
                    multiply(tap.index, lambda i: None)
                finish(each)

        bodies, tails = ([builder.append_basic_block(f"{name}{n}") for n in range(2)] for name in ("turn", "tail"))
        end = builder.append_basic_block("end")

        def onward(chunk: Any, turn: int) -> None:
            builder.store(chunk, chunk_at)
            builder.cbranch(builder.icmp_unsigned("==", chunk, chunks), tails[turn], bodies[1 - turn])

        products(WORD(0), 0, None)
        onward(WORD(1), 0)
        for turn in range(2):
            builder.position_at_end(bodies[turn])
            chunk = builder.load(chunk_at)
            products(chunk, turn, builder.sub(chunk, WORD(1)))
            onward(add(chunk, WORD(1)), turn)
            builder.position_at_end(tails[turn])
            for i in range(4):
                store(builder.sub(chunks, WORD(1)), _TURNS[turn][i], i)
            builder.branch(end)
        builder.position_at_end(end)
        if what != PLAIN:
            begin(builder.sub(chunks, WORD(1)))
            finish(WORD(many))
        return context.get_dummy_value()

    return signature, generate


_TURNS = [[0, 1, 2, 3], [4, 1, 2, 3]]
"""The four tiles of a chunk's sums, in turn."""
