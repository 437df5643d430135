"""The steps of a code frame, compiled: what each thread of a team does for a tile of notes.

A step is a row of stages, each a matrix product in blocks of outputs (see `kernel_simd`) that ends in what the next stage
reads; the last draws classes, note by note.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from ..dsp.mulaw import CLASSES
from .kernel_draw import compand, draw_class, draw_levels, hear_class, moved
from .kernel_emit import GATE, KEEP, LANES, PLAIN, RELU
from .kernel_simd import NOWHERE, ROWS, fetch, given, layer_place, multiply, place
from .kernel_team import at_once, done, draw, wait
from .kernel_tiles import AT_ONCE, WAITING, tiles_begin, tiles_end

TOGETHER = 4
"""Notes whose classes one piece of work draws."""

_SHARP = np.float32(1 / np.log(2))


class Net(NamedTuple):
    """Packed weights, the biases of whole blocks beside them.

    start gives whole blocks of the first residual and then, through `skip_start`, of the first skip; shift: (layers, whole blocks
    of width), the biases of all residuals before a layer, which the running sum leaves out; all skips' are in start's, and all
    skips one matrix, with a tap for each layer.
    """

    condition: Any
    condition_bias: Any
    start: Any
    start_bias: Any
    dilated: Any
    residual: Any
    shift: Any
    skip: Any
    out1: Any
    say: Any
    say_bias: Any
    dilations: Any


class Tile(NamedTuple):
    """What some notes need; rows are notes, up to a multiple that products read. Kept arrays are as those read them, the others
    float32, and rows have room for whole vectors.

    told: (notes, conditions) of this frame; folded: (layers, notes, n), the rows of `condition` in the order of the blocks, and
    folded_out: (notes, n); heard: kept (notes, kernel * bands + source); now: (notes, bands); state: residual, then skip; rings:
    kept (slots, notes, width), each layer's inputs of its last (kernel - 1) * dilation + 1 steps, from slot `begins` on; gated:
    kept (layers, notes, width); skipped, hidden: kept; said: logits.
    """

    told: Any
    folded: Any
    folded_out: Any
    heard: Any
    now: Any
    state: Any
    rings: Any
    begins: Any
    gated: Any
    skipped: Any
    hidden: Any
    said: Any


@numba.njit(nogil=True)
def _next(begin, end, said, heard, now, bands, kernel, drawn, follow, noise, source, heat, first, step):  # type: ignore[no-untyped-def]
    """Draw the bands of a step of notes `begin` to `end`, and make what the next step hears. All by addresses: rows as arrays of
    their own would be counted."""
    item, past, wide, ears = heard.itemsize, (kernel - 1) * bands, now.shape[1], follow if len(follow) else drawn
    for note in range(begin, end):
        here, voice = place(now, 0)[0] + note * now.strides[0], place(said, 0)[0] + note * said.strides[0]
        chance, _ = layer_place(noise, first + note, 0)
        out, _ = layer_place(drawn, first + note, 0)
        chance, out = chance + step * noise.strides[1], out + step * drawn.strides[1]
        ear = layer_place(ears, first + note, 0)[0] + step * ears.strides[1]
        to = place(heard, 0)[0] + note * heard.strides[0]
        moved(to + bands * item, to, past * item)
        to += past * item
        if drawn.itemsize == 1:
            for b in range(bands):
                # The kernel's exponentials are powers of 2.
                draw_class(voice + 4 * CLASSES * b, _SHARP / heat, chance + 4 * b, out + b)
                hear_class(ear + b, here + 4 * b)
        else:
            moved(chance, here, 4 * bands)
            for b in range(0, bands, LANES):
                draw_levels(voice + 4 * b, voice + 4 * (wide + b), heat, here + 4 * b)
            moved(here, out, 4 * bands)
            moved(ear, here, 4 * bands)
            for b in range(0, bands, LANES):
                compand(here + 4 * b)
        for b in range(0, bands, LANES):
            given(heard, here + 4 * b, to + b * item)
        if step + 1 < source.shape[1]:
            told, many = layer_place(source, first + note, 0)[0] + (step + 1) * source.strides[1], source.shape[2]
            to += bands * item
            for i in range(0, 4 * many, 64):
                fetch(told + 4 * many + i)
            for i in range(0, many - LANES + 1, LANES):
                given(heard, told + 4 * i, to + i * item)
            # The last vector begins earlier, so that none reads beyond; fewer go through `now`.
            if many >= LANES:
                given(heard, told + 4 * (many - LANES), to + (many - LANES) * item)
            elif many:
                moved(told, here, 4 * many)
                given(heard, here, to)


@numba.njit(nogil=True)
def _slot(begins, layer, step):  # type: ignore[no-untyped-def]
    """Which slot has a layer's inputs of a step, which may lie in the past."""
    begin = begins[layer]
    return begin + step % (begins[layer + 1] - begin)


@numba.njit(nogil=True, cache=True)
def run_steps(net, tile, team, notes, bands, frame, begin, end, source, noise, follow, drawn, first, heat):  # type: ignore[no-untyped-def]
    """Steps `begin` to `end` of a code frame, whose first step is the notes' `frame`-th; every thread of the team calls this.

    source, noise, follow, drawn: as of `WaveNetNetwork.decode`, the tile's notes from row `first` on; the source of their very
    first step `tile.heard` holds already; heat: the temperature.
    """
    dilated, residual, shift, dilations = net.dilated, net.residual, net.shift, net.dilations
    folded, folded_out, heard, state, gated = tile.folded, tile.folded_out, tile.heard, tile.state, tile.gated
    rings, begins, skipped, hidden, said, now = tile.rings, tile.begins, tile.skipped, tile.hidden, tile.said, tile.now
    layers, kernel = len(dilations), dilated.shape[1]
    wide, each = len(dilated) // layers, state.shape[1] // ROWS - len(net.skip)
    # What waits is left for the next product where this thread does all of them, and the next one can begin without it.
    own = np.zeros(WAITING + 64, np.uint8)
    room, leave = (own.ctypes.data + 63) // 64 * 64, at_once(team, 2) == 2 and notes > AT_ONCE
    wait_on, all_done = (room, leave), (room, False)
    taps, one = np.empty(max(kernel, layers), np.int64), np.empty(1, np.int64)
    ticket, base = draw(team), 0
    tiles_begin(dilated, notes)

    blocks = len(net.condition) if begin == 0 else 0
    one[0], following = place(tile.told, 0)
    while ticket < base + blocks:
        b = ticket - base
        bias, out = place(net.condition_bias, b * ROWS), b - layers * wide
        to = place(folded_out, out * ROWS) if out >= 0 else layer_place(folded, b // wide, b % wide * ROWS)
        multiply(net.condition, PLAIN, b, 1, notes, one, following, bias, to, NOWHERE, 0, all_done)
        ticket = done(team, ticket, 1)
    base += blocks

    for t in range(begin, end):
        step = frame + t
        blocks = len(net.start)
        if ticket < base + blocks:
            wait(team, base)
            one[0], following = place(heard, 0)
        while ticket < base + blocks:
            b = ticket - base
            r = b * ROWS
            sums, bias = place(state, r), place(net.start_bias, r)
            if b < each:
                many, to = at_once(team, each - b), layer_place(rings, _slot(begins, 0, step), r)
                multiply(net.start, KEEP, b, many, notes, one, following, bias, sums, to, place(shift, r)[0], wait_on)
            else:
                many = at_once(team, blocks - b)
                multiply(net.start, PLAIN, b, many, notes, one, following, bias, sums, NOWHERE, 0, all_done)
            ticket = done(team, ticket, many)
        base += blocks

        for i in range(layers):
            if ticket < base + wide:
                wait(team, base)
                for k in range(kernel):
                    taps[k], following = layer_place(rings, _slot(begins, i, step - (kernel - 1 - k) * dilations[i]), 0)
            # The oldest inputs of the layer after this one come from far away.
            after = (i + 1) % layers
            oldest = _slot(begins, after, step + (i + 1) // layers - (kernel - 1) * dilations[after])
            while ticket < base + wide:
                b = ticket - base
                many, told, kept = at_once(team, wide - b), layer_place(folded, i, b * ROWS), b * ROWS // 2
                to, ahead = layer_place(gated, i, kept), layer_place(rings, oldest, kept)
                multiply(dilated, GATE, i * wide + b, many, notes, taps, following, told, ahead, to, 0, wait_on)
                ticket = done(team, ticket, many)
            base += wide

            # Nothing hears the last residual.
            blocks = each if i + 1 < layers else 0
            if ticket < base + blocks:
                wait(team, base)
                one[0], following = layer_place(gated, i, 0)
            while ticket < base + blocks:
                b = ticket - base
                r, many = b * ROWS, at_once(team, blocks - b)
                sums, to = place(state, r), layer_place(rings, _slot(begins, i + 1, step), r)
                bias = place(shift, r)[0] + (i + 1) * shift.strides[0]
                multiply(residual, KEEP, i * each + b, many, notes, one, following, sums, sums, to, bias, wait_on)
                ticket = done(team, ticket, many)
            base += blocks

        # The skips of all layers are one product.
        blocks = len(net.skip)
        if ticket < base + blocks:
            wait(team, base)
            for i in range(layers):
                taps[i], following = layer_place(gated, i, 0)
        while ticket < base + blocks:
            b = ticket - base
            many, sums = at_once(team, blocks - b), place(state, (each + b) * ROWS)
            multiply(net.skip, RELU, b, many, notes, taps, following, sums, NOWHERE, place(skipped, b * ROWS), 0, all_done)
            ticket = done(team, ticket, many)
        base += blocks

        blocks = len(net.out1)
        if ticket < base + blocks:
            wait(team, base)
            one[0], following = place(skipped, 0)
        while ticket < base + blocks:
            b = ticket - base
            many, told, to = at_once(team, blocks - b), place(folded_out, b * ROWS), place(hidden, b * ROWS)
            multiply(net.out1, RELU, b, many, notes, one, following, told, NOWHERE, to, 0, all_done)
            ticket = done(team, ticket, many)
        base += blocks

        blocks = len(net.say)
        if ticket < base + blocks:
            wait(team, base)
            one[0], following = place(hidden, 0)
        while ticket < base + blocks:
            b = ticket - base
            many, bias, to = at_once(team, blocks - b), place(net.say_bias, b * ROWS), place(said, b * ROWS)
            multiply(net.say, PLAIN, b, many, notes, one, following, bias, to, NOWHERE, 0, all_done)
            ticket = done(team, ticket, many)
        base += blocks

        blocks = (notes + TOGETHER - 1) // TOGETHER
        if ticket < base + blocks:
            wait(team, base)
        while ticket < base + blocks:
            b = ticket - base
            many = at_once(team, blocks - b)
            some = b * TOGETHER, min((b + many) * TOGETHER, notes)
            _next(*some, said, heard, now, bands, kernel, drawn, follow, noise, source, heat, first, step)
            ticket = done(team, ticket, many)
        base += blocks
    tiles_end(dilated)
    # Only addresses of it were used.
    own[0] = 0
