"""The layers of the WaveNet's encoder over a sound, compiled: its moments are the columns of the products.

All layers over all moments would move gigabytes. So some layers go together: a span of moments goes through the first, then one
a little earlier through the second, as far back as that hears ahead, and so on; then the next span. What lies between them stays
in the second cache, and nothing is computed twice but where a section of the sound begins. Layers of larger dilations hear every
32nd moment, say: for them the sound is 32 sounds, each of every 32nd moment, and the dilations are small again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core import types
from numba.extending import overload

from .kernel_emit import KEEP_RELU, LANES, PLAIN, RELU
from .kernel_simd import NOWHERE, added, fetch, given, multiply, place, taken
from .kernel_team import done, draw, wait
from .kernel_tiles import AT_ONCE, INPUTS, tiled_columns, tiles_begin, tiles_end

SPAN = 256
"""Moments that go through a layer at once, at most."""

SECTION = 2048
"""Moments, at most, that a thread takes through some layers."""

_EACH = 2 * AT_ONCE
"""Moments come in so many."""

_AHEAD = 8
"""Moments of the whole sound, which lies in no near cache, are called for so many before they are read or written."""


class Net(NamedTuple):
    """Packed weights, whose taps are those of each plane of inputs; start_bias, dilated_bias: as float32 of whole blocks; shift:
    (layers + 1, rows), the biases of all residuals so far, which the running sum leaves out; groups: (n, 3), the first and last
    layer of some that go together, and of how many moments they hear one; dilations: in those."""

    start: Any
    start_bias: Any
    dilated: Any
    dilated_bias: Any
    residual: Any
    shift: Any
    groups: Any
    dilations: Any


class Own(NamedTuple):
    """What a thread works with, in planes of channels.

    x: (planes, moments, n) float32, the running sum of a span and of what later layers have yet to take of those before; heard:
    (layers, planes, moments, n) as products read it, what each layer of a group hears; hidden: (planes, SPAN, n), between its two
    products.
    """

    x: Any
    heard: Any
    hidden: Any


def _through(
    packed: Any, kind: Any, plane: Any, moments: Any, taps: Any, x_next: Any, first: Any, out: Any, kept: Any, bias: Any
) -> None:
    """For compiled code: a plane of outputs of `moments`, a multiple of _EACH; see `multiply`."""
    raise NotImplementedError


@overload(_through, prefer_literal=True, jit_options={"nogil": True})
def _overloaded(packed, kind, plane, moments, taps, x_next, first, out, kept, bias):  # type: ignore[no-untyped-def]
    if packed.dtype != types.int16:
        return lambda packed, kind, plane, moments, taps, x_next, first, out, kept, bias: multiply(
            packed, kind, plane, 1, moments, taps, x_next, first, out, kept, bias, NOWHERE
        )
    what = kind.literal_value

    def by_tiles(packed, kind, plane, moments, taps, x_next, first, out, kept, bias):  # type: ignore[no-untyped-def]
        count = packed.shape[1]
        w, tap = packed.ctypes.data + plane * count * INPUTS * INPUTS * 2, taps.ctypes.data
        (f0, f1), (o0, o1), (k0, k1) = first, out, kept
        tiled_columns(what, moments // _EACH, w, tap, count, x_next, f0, f1, o0, o1, k0, k1, bias)

    return by_tiles


@numba.njit(nogil=True)
def _at(array, plane, moment):  # type: ignore[no-untyped-def]
    """The place of a plane's values (planes, moments, n) from a moment on."""
    return array.ctypes.data + plane * array.strides[0] + moment * array.strides[1], array.strides[1]


@numba.njit(nogil=True)
def _start(net, heard, taps, x, at, to, first, span):  # type: ignore[no-untyped-def]
    """The first convolution of a span of what is heard, into x from `at` and positive into `to` from `first` on."""
    at_first, following = place(heard, 0)
    for k in range(net.start.shape[1]):
        taps[k] = at_first + k * INPUTS * heard.itemsize
    bias, shift, wide = place(net.start_bias, 0)[0], place(net.shift[0], 0)[0], 4 * x.shape[2]
    for q in range(x.shape[0]):
        begin, says = (bias + q * wide, 0), _at(to, q, first)
        _through(net.start, KEEP_RELU, q, span, taps, following, begin, _at(x, q, at), says, shift + q * wide)


@numba.njit(nogil=True)
def _take(source, begin, apart, shift, x, at, to, first, many):  # type: ignore[no-untyped-def]
    """The same of `many` moments of the running sum of earlier layers, every `apart`-th of `source` from `begin` on."""
    bias, wide, here, row = place(shift, 0)[0], x.shape[2], place(source[begin:], 0)[0], source.shape[1] * source.itemsize
    (now, step), (ear, following), ahead = _at(x, 0, at), _at(to, 0, first), _AHEAD * apart * source.strides[0]
    for i in range(many):
        values, out, positive = here + i * apart * source.strides[0], now + i * step, ear + i * following
        if i < many - _AHEAD:
            for line in range(0, row, 64):
                fetch(values + ahead + line)
        for p in range(x.shape[0]):
            for n in range(0, wide, LANES):
                part = p * wide + n
                taken(source, values + part * source.itemsize, out + 4 * n, positive + n * to.itemsize, bias + 4 * part)
            out, positive = out + x.strides[0], positive + to.strides[0]


@numba.njit(nogil=True)
def _give(x, at, sound, begin, apart, many):  # type: ignore[no-untyped-def]
    """`many` moments of a span's running sum to every `apart`-th of the sound's."""
    wide, (now, step), there, row = x.shape[2], _at(x, 0, at), place(sound[begin:], 0)[0], sound.shape[1] * sound.itemsize
    for i in range(many):
        out, ahead = there + i * apart * sound.strides[0], _AHEAD * apart * sound.strides[0]
        if i < many - _AHEAD:
            for line in range(0, row, 64):
                fetch(out + ahead + line)
        for p in range(x.shape[0]):
            for n in range(0, wide, LANES):
                given(sound, now + p * x.strides[0] + i * step + 4 * n, out + (p * wide + n) * sound.itemsize)


@numba.njit(nogil=True)
def _add(x, at, sums, begin, apart, each, many):  # type: ignore[no-untyped-def]
    """`many` moments of a span's running sum to those of the frames that they are in, the first `begin` into the first frame."""
    wide = x.shape[2]
    for p in range(x.shape[0]):
        (now, step), (there, following) = _at(x, p, at), place(sums, p * wide)
        for i in range(many):
            frame = there + (begin + i * apart) // each * following
            for n in range(0, wide, LANES):
                added(now + i * step + 4 * n, frame + 4 * n)


@numba.njit(nogil=True)
def _save(x, edges, apart, phase, begins, ends, beyond):  # type: ignore[no-untyped-def]
    """What a group hears on either side of a section, before others write there."""
    length = (len(x) - phase + apart - 1) // apart
    for side in range(2):
        first = ends if side else begins - beyond
        for t in range(max(0, first), min(length, first + beyond)):
            for r in range(x.shape[1]):
                edges[side, t - first, r] = x[phase + apart * t, r]


@numba.njit(nogil=True)
def _layer(net, layer, own, taps, hears, at, says, to, low, high):  # type: ignore[no-untyped-def]
    """A layer over moments `low` to `high` of a span: they begin in x at `at`, in what it hears at its dilation, and in what it
    says to the next at `to`, unless it is the last."""
    x, hidden, d = own.x, own.hidden, net.dilations[layer]
    dilated, residual = net.dilated[layer], net.residual[layer]
    planes, wide, many = x.shape[0], 4 * x.shape[2], high - low
    bias, shift = place(net.dilated_bias[layer], 0)[0], place(net.shift[layer + 1], 0)[0]
    for k in range(3):
        for p in range(planes):
            taps[k * planes + p] = _at(hears, p, low + k * d)[0]
    following = hears.strides[1]
    for q in range(planes):
        _through(dilated, RELU, q, many, taps, following, (bias + q * wide, 0), NOWHERE, _at(hidden, q, 0), 0)
    for p in range(planes):
        taps[p] = _at(hidden, p, 0)[0]
    for q in range(planes):
        some = _at(x, q, at + low)
        if to < 0:
            _through(residual, PLAIN, q, many, taps, following, some, some, NOWHERE, 0)
        else:
            _through(residual, KEEP_RELU, q, many, taps, following, some, some, _at(says, q, to + low), shift + q * wide)


@numba.njit(nogil=True)
def _silence(planes, first, last):  # type: ignore[no-untyped-def]
    for p in range(planes.shape[0]):
        for i in range(first, last):
            for n in range(planes.shape[2]):
                planes[p, i, n] = 0


@numba.njit(nogil=True)
def _back(planes, by, many):  # type: ignore[no-untyped-def]
    """The `many` moments after the first `by` become the first."""
    for p in range(planes.shape[0]):
        for i in range(many):
            for n in range(planes.shape[2]):
                planes[p, i, n] = planes[p, by + i, n]


@numba.njit(nogil=True)
def sections(steps, apart):  # type: ignore[no-untyped-def]
    """How many sections the sound of every `apart`-th moment has, and of how many moments."""
    longest = (steps + apart - 1) // apart
    count = (longest + SECTION - 1) // SECTION
    return count, (longest + count - 1) // count


@numba.njit(nogil=True)
def _section(net, group, own, taps, heard, sound, edges, sums, each, phase, begins, ends):  # type: ignore[no-untyped-def]
    """A group's layers over moments `begins` to `ends` of the sound of every `apart`-th moment from `phase` on."""
    begin, end, apart = net.groups[group]
    dilations, x = net.dilations[begin:end], own.x
    beyond, length = dilations.sum(), (len(sound) - phase + apart - 1) // apart
    first = max(0, begins - beyond)
    span = min(SPAN, (ends + beyond - first + _EACH - 1) // _EACH * _EACH)
    # What lies before the first moment.
    _silence(x, 0, beyond)
    for i in range(begin, end):
        _silence(own.heard[i - begin], 0, 2 * net.dilations[i])
    # Each layer takes the span that lies, against `front`, as far back as it and those before it hear ahead.
    for front in range(first, ends + beyond, span):
        known, to = max(0, min(span, length - front)), own.heard[0]
        if group == 0:
            _start(net, heard[front:], taps, x, beyond, to, 2 * dilations[0], span)
        else:
            for side in range(3):
                # Before the section, in it, and after it.
                low = max(front, begins if side == 1 else ends if side == 2 else 0)
                high = min(front + known, begins if side == 0 else ends if side == 1 else length)
                at, ear, shift = beyond + low - front, 2 * dilations[0] + low - front, net.shift[begin]
                if side == 1:
                    _take(sound, phase + apart * low, apart, shift, x, at, to, ear, high - low)
                else:
                    _take(edges[side // 2], low - (ends if side else begins - beyond), 1, shift, x, at, to, ear, high - low)
        _silence(to, 2 * dilations[0] + known, 2 * dilations[0] + span)
        lag = 0
        for i in range(begin, end):
            lag += net.dilations[i]
            hears, says, to_at = own.heard[i - begin], own.heard[min(i + 1, end - 1) - begin], -1
            if i + 1 < end:
                to_at = 2 * net.dilations[i + 1]
            # Where the sound is, and later layers will hear it.
            low = max(0, begins - (beyond - lag) - (front - lag)) // _EACH * _EACH
            high = (min(span, min(ends + beyond - lag, length) - (front - lag)) + _EACH - 1) // _EACH * _EACH
            if low < high:
                _layer(net, i, own, taps, hears, beyond - lag, says, to_at, low, high)
            if to_at >= 0:
                _silence(says, to_at, to_at + min(span, max(0, lag - front)))
                _silence(says, to_at + min(span, max(0, length - (front - lag))), to_at + span)
        low, high = max(begins, front - beyond), min(ends, front - beyond + span)
        at, moment = low - (front - beyond), phase + apart * low
        if group + 1 == len(net.groups):
            _add(x, at, sums, moment - (phase + apart * begins) // each * each, apart, each, high - low)
        else:
            _give(x, at, sound, moment, apart, high - low)
        _back(x, span, beyond)
        for i in range(begin, end):
            _back(own.heard[i - begin], span, 2 * net.dilations[i])


@numba.njit(nogil=True, cache=True)
def layers(net, team, heard, x, edges, sums, each, own):  # type: ignore[no-untyped-def]
    """All layers over a whole sound; every thread of the team calls this with what is its own.

    x: (steps, rows), the running sum after a group, where a section writes only what it alone has read; edges: (sections, 2,
    moments, rows), what it reads and others write; sums: (sections, frames, rows), of the moments in each frame of `each` that a
    section of the last group has any of.
    """
    steps = len(x)
    ticket, base = draw(team), 0
    taps = np.empty(max(net.start.shape[1], net.dilated.shape[2]), np.int64)
    tiles_begin(net.dilated, AT_ONCE)
    for g in range(len(net.groups)):
        begin, end, apart = net.groups[g]
        count, section = sections(steps, apart)
        pieces = apart * count
        # A lone section has no neighbours, and the first group reads nothing of x.
        for work in range(0 if g > 0 and count > 1 else 1, 2):
            if ticket < base + pieces:
                wait(team, base)
            while ticket < base + pieces:
                piece = ticket - base
                phase, begins = piece % apart, piece // apart * section
                ends = min(begins + section, (steps - phase + apart - 1) // apart)
                if work == 0:
                    _save(x, edges[piece], apart, phase, begins, ends, net.dilations[begin:end].sum())
                elif begins < ends:
                    _section(net, g, own, taps, heard, x, edges[piece], sums[piece % len(sums)], each, phase, begins, ends)
                ticket = done(team, ticket, 1)
            base += pieces
    tiles_end(net.dilated)
