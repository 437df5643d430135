"""The steps of a code frame, compiled: what each thread of a team does for a tile of notes.

A step is a row of stages, each a matrix product in blocks of outputs (see `kernel_simd`) that ends in what the next stage
reads; the last draws classes, note by note.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core import types
from numba.extending import overload

from ..dsp.mulaw import CLASSES, ZERO
from ..nets.wavenet_config import LEAST, MOST
from .kernel_draw import draw_class
from .kernel_emit import GATE, KEEP, PLAIN, RELU
from .kernel_simd import NOWHERE, ROWS, kept, multiply, place
from .kernel_team import done, draw, wait
from .kernel_tiles import tiles_begin, tiles_end

TOGETHER = 4
"""Notes whose classes one piece of work draws."""


class Net(NamedTuple):
    """Packed weights, the biases of whole blocks beside them.

    start gives the first residual and, through `skip_start`, the first skip; shift: (layers, whole blocks of width), the
    biases of all residuals before a layer, which the running sum leaves out; all skips' are in start's.
    """

    condition: Any
    condition_bias: Any
    start: Any
    start_bias: Any
    dilated: Any
    join: Any
    shift: Any
    out1: Any
    say: Any
    say_bias: Any
    dilations: Any


class Tile(NamedTuple):
    """What some notes need; rows are notes, up to a multiple that products read. Kept arrays are as those read them, the others
    float32.

    told: (notes, conditions) of this frame; folded: the rows of `condition` in the order of the blocks; heard: kept (notes,
    kernel * bands + source); state: residual, then skip; rings: kept (slots, notes, width), each layer's inputs of
    its last (kernel - 1) * dilation + 1 steps, from slot `begins` on; gated, skipped, hidden: kept; said: logits.
    """

    told: Any
    folded: Any
    heard: Any
    state: Any
    rings: Any
    begins: Any
    gated: Any
    skipped: Any
    hidden: Any
    said: Any


def drawn_at(said: Any, band: Any, noise: Any, heat: Any, drawn: Any) -> Any:
    """For compiled code: what is drawn of a band at its noise, as the elements of `drawn` are, given what is said of a note."""
    raise NotImplementedError


def heard_as(value: Any, drawn: Any) -> Any:
    """For compiled code: how what was drawn is heard as the past."""
    raise NotImplementedError


@overload(drawn_at, inline="always")
def _drawn_at(said, band, noise, heat, drawn):  # type: ignore[no-untyped-def]
    # The kernel's exponentials are powers of 2.
    sharp = np.float32(1 / np.log(2))
    if drawn.dtype == types.uint8:
        return lambda said, band, noise, heat, drawn: draw_class(place(said, CLASSES * band)[0], sharp / heat, noise)

    def level(said, band, noise, heat, drawn):  # type: ignore[no-untyped-def]
        spread = min(max(said[2 * band + 1], np.float32(LEAST)), np.float32(MOST))
        return said[2 * band] + np.exp(spread) * heat * noise

    return level


@overload(heard_as, inline="always")
def _heard_as(value, drawn):  # type: ignore[no-untyped-def]
    if drawn.dtype == types.uint8:
        return lambda value, drawn: (np.float32(value) - np.float32(ZERO)) / np.float32(CLASSES // 2)
    return lambda value, drawn: value / np.sqrt(np.float32(1) + abs(value))


@numba.njit(nogil=True)
def _hear(tile, note, bands, kernel, drawn, follow, noise, source, heat, first, step, at):  # type: ignore[no-untyped-def]
    """Draw a note's bands of a step, and make what the next step hears."""
    heard, said = tile.heard[note], tile.said[note]
    past = (kernel - 1) * bands
    for i in range(past):
        heard[i] = heard[i + bands]
    for b in range(bands):
        drawn[first + note, step, b] = drawn_at(said, b, noise[first + note, step, b], heat, drawn)
        now = follow[first + note, step, b] if len(follow) else drawn[first + note, step, b]
        heard[past + b] = kept(heard_as(now, drawn), heard)
    if at + 1 < source.shape[1]:
        for i in range(source.shape[2]):
            heard[past + bands + i] = kept(source[note, at + 1, i], heard)


@numba.njit(nogil=True)
def _slot(tile, layer, step):  # type: ignore[no-untyped-def]
    """Layer `layer`'s inputs (notes, width) of a step, which may lie in the past."""
    begin = tile.begins[layer]
    return tile.rings[begin + step % (tile.begins[layer + 1] - begin)]


@numba.njit(nogil=True, cache=True)
def run_steps(net, tile, team, width, bands, frame, begin, end, source, noise, follow, drawn, first, heat):  # type: ignore[no-untyped-def]
    """Steps `begin` to `end` of a code frame, whose first step is the notes' `frame`-th; every thread of the team calls this.

    source: float32 (notes, steps, n) of the frame; its first step `tile.heard` holds already; noise, follow, drawn: as of
    `WaveNetNetwork.decode`, the tile's notes from row `first` on; heat: the temperature.
    """
    layers, wide, kernel, _, _, _ = net.dilated.shape
    notes = len(source)
    # Blocks that hold some residual, and from which on some skip; nothing hears the last residual.
    residual, skip = (width + ROWS - 1) // ROWS, width // ROWS
    taps, one = np.empty(kernel, np.int64), np.empty(1, np.int64)
    ticket, base = draw(team), 0
    tiles_begin(net.dilated, notes)

    blocks = net.condition.shape[0] if begin == 0 else 0
    one[0], following = place(tile.told, 0)
    while ticket < base + blocks:
        r = (ticket - base) * ROWS
        bias, to = place(net.condition_bias, r), place(tile.folded, r)
        multiply(net.condition, PLAIN, ticket - base, notes, one, following, bias, to, NOWHERE, 0)
        ticket = done(team, ticket)
    base += blocks

    for t in range(begin, end):
        step = frame + t
        blocks = net.start.shape[0]
        if ticket < base + blocks:
            wait(team, base)
            one[0], following = place(tile.heard, 0)
        while ticket < base + blocks:
            b = ticket - base
            r = b * ROWS
            state, bias = place(tile.state, r), place(net.start_bias, r)
            if b < residual:
                to = place(_slot(tile, 0, step), r)
                multiply(net.start, KEEP, b, notes, one, following, bias, state, to, place(net.shift[0], r)[0])
            else:
                multiply(net.start, PLAIN, b, notes, one, following, bias, state, NOWHERE, 0)
            ticket = done(team, ticket)
        base += blocks

        for i in range(layers):
            if ticket < base + wide:
                wait(team, base)
                for k in range(kernel):
                    taps[k], following = place(_slot(tile, i, step - (kernel - 1 - k) * net.dilations[i]), 0)
            while ticket < base + wide:
                b = ticket - base
                told, to = place(tile.folded, (i * wide + b) * ROWS), place(tile.gated, b * ROWS // 2)
                multiply(net.dilated[i], GATE, b, notes, taps, following, told, NOWHERE, to, 0)
                ticket = done(team, ticket)
            base += wide

            last = i + 1 == layers
            begins = skip if last else 0
            blocks = net.join.shape[1] - begins
            if ticket < base + blocks:
                wait(team, base)
                one[0], following = place(tile.gated, 0)
            while ticket < base + blocks:
                b = ticket - base + begins
                r = b * ROWS
                state = place(tile.state, r)
                if last:
                    multiply(net.join[i], RELU, b, notes, one, following, state, NOWHERE, place(tile.skipped, r), 0)
                elif b < residual:
                    to = place(_slot(tile, i + 1, step), r)
                    multiply(net.join[i], KEEP, b, notes, one, following, state, state, to, place(net.shift[i + 1], r)[0])
                else:
                    multiply(net.join[i], PLAIN, b, notes, one, following, state, state, NOWHERE, 0)
                ticket = done(team, ticket)
            base += blocks

        blocks = net.out1.shape[0]
        if ticket < base + blocks:
            wait(team, base)
            one[0], following = place(tile.skipped, width)
        while ticket < base + blocks:
            b = ticket - base
            told, to = place(tile.folded, (layers * wide + b) * ROWS), place(tile.hidden, b * ROWS)
            multiply(net.out1, RELU, b, notes, one, following, told, NOWHERE, to, 0)
            ticket = done(team, ticket)
        base += blocks

        blocks = net.say.shape[0]
        if ticket < base + blocks:
            wait(team, base)
            one[0], following = place(tile.hidden, 0)
        while ticket < base + blocks:
            b = ticket - base
            bias, to = place(net.say_bias, b * ROWS), place(tile.said, b * ROWS)
            multiply(net.say, PLAIN, b, notes, one, following, bias, to, NOWHERE, 0)
            ticket = done(team, ticket)
        base += blocks

        blocks = (notes + TOGETHER - 1) // TOGETHER
        if ticket < base + blocks:
            wait(team, base)
        while ticket < base + blocks:
            b = ticket - base
            for note in range(b * TOGETHER, min((b + 1) * TOGETHER, notes)):
                _hear(tile, note, bands, kernel, drawn, follow, noise, source, heat, first, step, t)
            ticket = done(team, ticket)
        base += blocks
    tiles_end(net.dilated)
