"""What each MIDI message does to the voices: everything that a player's hands (and feet) can say.

Compiled together with the mixer, so that a message costs well under a microsecond and needs no interpreter.
Words after MIDI 1.0 (M1-4.2), RP-015 (reset), and MPE 1.0 (M1-100), lower zone.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from .memory import get_hand, get_voice, jit, pointer
from .state import HELD, PEDALLED, RING
from .voices import kill, release, start

SOFT = 0.65
"""The soft pedal strikes with this part of the velocity: softer, and with the softer layer's timbre."""


@jit
def _member(g: Any, channel: int) -> bool:
    return bool(0 < channel <= g.mpe)


@jit
def _hears(g: Any, v: Any, channel: int) -> bool:
    """Whether a message for a whole channel concerns the voice: its own, or the master of its zone."""
    return bool(v.channel == channel or (channel == 0 and _member(g, v.channel)))


@jit
def _level(g: Any, channel: int) -> None:
    """Aim left and right by volume, expression and pan; the master of an MPE zone acts on its members as well."""
    for c in range(16):
        ch = get_hand(g, c)
        if c == channel or (channel == 0 and _member(g, c)):
            gain = ((ch.volume / 127.0) * (ch.expression / 127.0)) ** 2
            pan = ch.pan
            if _member(g, c):
                master = get_hand(g, 0)
                gain *= ((master.volume / 127.0) * (master.expression / 127.0)) ** 2
                pan = min(max(pan + master.pan - 64, 0), 127)
            angle = 0.5 * math.pi * max(pan - 1, 0) / 126.0
            ch.left_to = gain * math.sqrt(2.0) * math.cos(angle) if pan != 64 else gain
            ch.right_to = gain * math.sqrt(2.0) * math.sin(angle) if pan != 64 else gain


@jit
def _bend(g: Any, channel: int) -> None:
    ch = get_hand(g, channel)
    span = ch.range_semis + ch.range_cents / 100.0
    away = ch.bend - 8192
    ch.bend_to = span * away / (8191.0 if away > 0 else 8192.0)


@jit
def _held_by_pedal(g: Any, v: Any) -> bool:
    if v.sostenuto or get_hand(g, v.channel).sustain:
        return True
    return bool(_member(g, v.channel) and get_hand(g, 0).sustain)


@jit
def _lift(g: Any, v: Any) -> None:
    """The key of a held voice goes up."""
    if v.state == HELD:
        if _member(g, v.channel):
            v.own = 1  # the channel may belong to the next note now
        if _held_by_pedal(g, v):
            v.state = PEDALLED
        else:
            release(v)


@jit
def _pedals(g: Any) -> None:
    """Let go of what no pedal holds any more."""
    for i in range(g.slots):
        v = get_voice(g, i)
        if v.state == PEDALLED and not _held_by_pedal(g, v):
            release(v)


@jit
def _note_off(g: Any, channel: int, key: int) -> None:
    for i in range(g.slots):
        v = get_voice(g, i)
        if v.channel == channel and v.key == key:
            _lift(g, v)


@jit
def _note_on(g: Any, channel: int, key: int, velocity: int) -> None:
    for i in range(g.slots):  # a string struck again is damped first: no voice is left without a key
        v = get_voice(g, i)
        if v.channel == channel and v.key == key and (v.state == HELD or v.state == PEDALLED):
            release(v)
    soft = get_hand(g, channel).soft or (_member(g, channel) and get_hand(g, 0).soft)
    start(g, channel, key, max(velocity * SOFT, 1.0) if soft else float(velocity))


@jit
def _sostenuto(g: Any, channel: int, down: int) -> None:
    ch = get_hand(g, channel)
    if down == ch.sostenuto:
        return
    ch.sostenuto = down
    for i in range(g.slots):
        v = get_voice(g, i)
        if _hears(g, v, channel) and (v.state == HELD or not down):
            v.sostenuto = down
    _pedals(g)


@jit
def _data(g: Any, channel: int, coarse: int, fine: int) -> None:
    """Data entry for the registered parameters that exist here: bend range (0) and MPE zone (6)."""
    ch = get_hand(g, channel)
    if ch.rpn_msb != 0:
        return
    if ch.rpn_lsb == 0:
        for c in range(16):  # a member's range is the range of all members (MPE 2.4)
            if c == channel or (_member(g, c) and _member(g, channel)):
                if coarse >= 0:
                    get_hand(g, c).range_semis, get_hand(g, c).range_cents = min(coarse, 96), 0
                if fine >= 0:
                    get_hand(g, c).range_cents = min(fine, 99)
                _bend(g, c)
    elif ch.rpn_lsb == 6 and coarse >= 0 and channel == 0:
        _zone(g, min(coarse, 15))


@jit
def _zone(g: Any, members: int) -> None:
    """Make channels 2..members + 1 the members of an MPE lower zone (0 = none), with its default bend ranges."""
    g.mpe = members
    for i in range(g.slots):
        release(get_voice(g, i))
    for c in range(16):
        get_hand(g, c).range_semis, get_hand(g, c).range_cents = (48 if 0 < c <= members else 2), 0
        get_hand(g, c).timbre = -1
        _bend(g, c)
        _level(g, c)


@jit
def _reset(g: Any, channel: int) -> None:
    """Reset all controllers (RP-015): volume, pan, bank and program stay."""
    ch = get_hand(g, channel)
    ch.wheel, ch.breath, ch.expression, ch.pressure, ch.timbre, ch.bend = 0, 0, 127, 0, -1, 8192
    ch.sustain, ch.soft, ch.rpn_msb, ch.rpn_lsb = 0, 0, 127, 127
    for i in range(g.slots):
        if get_voice(g, i).channel == channel:
            get_voice(g, i).poly_to = 0.0
    _sostenuto(g, channel, 0)
    _bend(g, channel)
    _level(g, channel)
    _pedals(g)


@jit
def _control(g: Any, channel: int, number: int, value: int) -> None:
    ch = get_hand(g, channel)
    if number == 1:
        ch.wheel = value
    elif number == 2:
        ch.breath = value
    elif number == 0:
        ch.bank_msb = value
    elif number == 32:
        ch.bank_lsb = value
    elif number == 6:
        _data(g, channel, value, -1)
    elif number == 38:
        _data(g, channel, -1, value)
    elif number == 98 or number == 99:  # an unregistered parameter is chosen: data entry is not for us
        ch.rpn_msb = ch.rpn_lsb = 127
    elif number == 100:
        ch.rpn_lsb = value
    elif number == 101:
        ch.rpn_msb = value
    elif number == 7 or number == 10 or number == 11:
        if number == 7:
            ch.volume = value
        elif number == 10:
            ch.pan = value
        else:
            ch.expression = value
        _level(g, channel)
    elif number == 64:
        ch.sustain = 1 if value >= 64 else 0
        _pedals(g)
    elif number == 66:
        _sostenuto(g, channel, 1 if value >= 64 else 0)
    elif number == 67:
        ch.soft = 1 if value >= 64 else 0
    elif number == 74:
        ch.timbre = ch.breath = value
    elif number == 120:
        for i in range(g.slots):
            if _hears(g, get_voice(g, i), channel):
                kill(get_voice(g, i))
    elif number == 121:
        for c in range(16):
            if c == channel or (channel == 0 and _member(g, c)):
                _reset(g, c)
    elif number >= 123:  # 124..127 change modes that we do not have, and mean all notes off as well
        for i in range(g.slots):
            if _hears(g, get_voice(g, i), channel):
                _lift(g, get_voice(g, i))


@jit
def hear(g: Any, message: int) -> None:
    """One channel message: status | data 1 << 8 | data 2 << 16. Anything else is counted and ignored."""
    status, a, b = message & 0xF0, (message >> 8) & 0xFF, (message >> 16) & 0xFF
    channel = message & 0x0F
    if status < 0x80 or status == 0xF0 or a > 127 or b > 127:
        g.ignored += 1
        return
    if g.channel >= 0 and channel != g.channel:
        return
    ch = get_hand(g, channel)
    g.last_channel = channel
    heard = numba.carray(pointer(g.heard_at), (RING, 2), np.int64)
    heard[g.heard % RING, 0], heard[g.heard % RING, 1] = g.frame, message
    g.heard += 1
    if status == 0x90 and b > 0:
        _note_on(g, channel, a, b)
    elif status == 0x80 or status == 0x90:
        _note_off(g, channel, a)
    elif status == 0xA0:
        for i in range(g.slots):
            v = get_voice(g, i)
            if v.channel == channel and v.key == a and v.state == HELD:
                v.poly_to = b / 127.0
    elif status == 0xB0:
        _control(g, channel, a, b)
    elif status == 0xC0:
        pack = (ch.bank_msb * 128 + ch.bank_lsb) * 128 + a
        if pack < g.packs:
            for c in range(16):
                if c == channel or (channel == 0 and _member(g, c)):
                    get_hand(g, c).pack = pack
        else:
            g.ignored += 1
    elif status == 0xD0:
        ch.pressure = a
    else:
        ch.bend = a | b << 7
        _bend(g, channel)


@jit
def panic(g: Any) -> None:
    """Silence everything and let go of every controller."""
    for i in range(g.slots):
        kill(get_voice(g, i))
    for c in range(16):
        _reset(g, c)
