"""Which samples a voice's lanes read, and how loud: velocity layers of its key, and neighbouring positions of a morph.

`g` is the GLOBAL record, `v` a VOICE.
"""

from __future__ import annotations

import math
from typing import Any

from .memory import get_axis, get_cell, get_hand, get_layer, get_pack, get_sample, jit
from .state import MORPH


@jit
def segment(g: Any, first: int, count: int, x: float) -> int:
    """Index of the lower neighbour of coordinate x on an axis."""
    i = 0
    while i < count - 2 and get_axis(g, first + i + 1) <= x:
        i += 1
    return i


@jit
def point(g: Any, v: Any, px: int, py: int, pos: float, like: int) -> None:
    """Aim the lanes of morph position (px, py) at the samples of the voice's key and velocity.

    `like`: a sample whose frame `pos` plays now, so that a lane that joins in the midst of a note is in step; -1 at the start.
    """
    pack = get_pack(g, v.pack)
    cell = get_cell(g, pack.cell + (py * pack.nx + px) * 128 + v.key)
    low = 0
    for i in range(cell.count):
        if get_layer(g, cell.first + i).velocity <= v.velocity:
            low = i
    a = get_layer(g, cell.first + low)
    both = low + 1 < cell.count and v.velocity > a.velocity
    lane = 2 * (px & 1) + 4 * (py & 1)
    wa = wb = 0.0
    if both:
        b = get_layer(g, cell.first + low + 1)
        t = (v.velocity - a.velocity) / (b.velocity - a.velocity)
        wa, wb = 1.0 - t, t
        # Two layers may be in phase, strangers or opposed: scale so that the level lies on the line between them.
        want = wa * a.rms + wb * b.rms
        got = (wa * a.rms) ** 2 + (wb * b.rms) ** 2 + 2.0 * a.likeness * wa * wb * a.rms * b.rms
        if want > 0.0:
            scale = want / math.sqrt(max(got, 0.25 * want * want))
            wa, wb = wa * scale, wb * scale
    else:  # softer than the softest or louder than the loudest layer: the usual square law
        wa = (v.velocity / a.velocity) ** 2
    for j in range(2):
        n = lane + j
        if j == 1 and not both:
            v.sample[n] = -1
            continue
        layer = get_layer(g, cell.first + low + j)
        new = get_sample(g, layer.sample)
        v.sample[n] = layer.sample
        v.beside[n, 0], v.beside[n, 1] = layer.beside[0], layer.beside[1]
        v.step[n] = 2.0 ** ((v.key - new.root) / 12.0)
        v.weight[n] = wa if j == 0 else wb
        v.gain[n] = 0.0
        v.pos[n] = 0.0
        if like >= 0:
            v.pos[n] = pos * v.step[n] / 2.0 ** ((v.key - get_sample(g, like).root) / 12.0)
            if new.loop_end > 0 and v.looping and v.pos[n] >= new.loop_end:
                v.pos[n] = new.loop_start + (v.pos[n] - new.loop_start) % (new.loop_end - new.loop_start)


@jit
def balance(g: Any, v: Any, lane: int) -> float:
    """Gain of a lane: its velocity layer's weight x equal power between neighbours on each axis, less what twins add."""
    pack = get_pack(g, v.pack)
    gain = v.weight[lane]
    for axis in range(2):
        count = pack.ny if axis else pack.nx
        if count > 1:
            first = pack.axis + (pack.nx if axis else 0)
            i, x = (v.yi, v.y) if axis else (v.xi, v.x)
            t = (x - get_axis(g, first + i)) / (get_axis(g, first + i + 1) - get_axis(g, first + i))
            upper = ((i + 1) & 1) == ((lane >> (1 + axis)) & 1)
            t = t if upper else 1.0 - t
            if t <= 0.0:
                gain = 0.0
            elif t < 1.0:
                lower = (lane & ~(2 << axis)) | ((i & 1) * (2 << axis))
                gain *= math.sin(0.5 * math.pi * t) / math.sqrt(1.0 + v.beside[lower, axis] * math.sin(math.pi * t))
    return float(gain)


@jit
def aim(g: Any, v: Any, axis: int) -> float:
    """Where the hands want the voice on a morph axis, as a coordinate of its pack."""
    pack = get_pack(g, v.pack)
    member = 0 < v.channel <= g.mpe
    hand = get_hand(g, 0 if member else v.channel)
    if axis == 0:
        u = (v.timbre if member and v.timbre >= 0 else float(hand.wheel)) / 127.0
        if g.aftertouch == MORPH:
            u += v.pressure + v.poly
    else:
        u = hand.breath / 127.0
    first = pack.axis + (pack.nx if axis else 0)
    low, high = get_axis(g, first), get_axis(g, first + (pack.ny if axis else pack.nx) - 1)
    return float(low + (high - low) * min(max(u, 0.0), 1.0))


@jit
def travel(g: Any, v: Any, axis: int, quick: float) -> bool:
    """Move the voice along a morph axis, at most to the next position in one tick; whether it moved.

    There the lanes of the position left behind are silent, so they can be aimed at the one ahead without a click.
    """
    pack = get_pack(g, v.pack)
    count = pack.ny if axis else pack.nx
    if count < 2:
        return False
    first = pack.axis + (pack.nx if axis else 0)
    want = aim(g, v, axis)
    i, x = (v.yi, v.y) if axis else (v.xi, v.x)
    if want == x:
        return False
    turn = 0
    if want > x and x >= get_axis(g, first + i + 1) and i + 2 < count:
        turn = 1
    elif want < x and x <= get_axis(g, first + i) and i > 0:
        turn = -1
    if turn:
        i += turn
        if axis:
            v.yi = i
        else:
            v.xi = i
        fresh = i + 1 if turn > 0 else i
        stay = i if turn > 0 else i + 1
        other = min(v.xi + 2, pack.nx) if axis else min(v.yi + 2, pack.ny)
        for p in range(v.xi if axis else v.yi, other):
            lane = 2 * (p & 1) + 4 * (stay & 1) if axis else 2 * (stay & 1) + 4 * (p & 1)
            lane += 0 if v.sample[lane] >= 0 else 1
            if v.sample[lane] >= 0:
                if axis:
                    point(g, v, p, fresh, v.pos[lane], v.sample[lane])
                else:
                    point(g, v, fresh, p, v.pos[lane], v.sample[lane])
    span = get_axis(g, first + count - 1) - get_axis(g, first)
    x += (want - x) * quick
    if abs(want - x) < 1e-4 * span:
        x = want
    x = min(max(x, get_axis(g, first + i)), get_axis(g, first + i + 1))
    if axis:
        v.y = x
    else:
        v.x = x
    return True
