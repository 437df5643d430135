"""The pure mixer: voices that read samples, and how they start, fade, are stolen and end.

Which samples, is told in `morph`; how they are read, in `lanes`; what a MIDI message means, in `hands`; how memory is reached,
in `memory`. In all of them `g` is the GLOBAL record.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .lanes import read
from .memory import get_hand, get_pack, get_voice, jit
from .morph import aim, balance, point, segment, travel
from .state import (
    ATTACK,
    DECAY,
    DYING,
    FREE,
    HELD,
    LANES,
    LOUDNESS,
    RELEASE,
    RELEASED,
    TICK,
    VIBRATO,
)

FADE_TICKS = 4
"""A stolen voice fades within 4 ticks (5 ms at 48 kHz)."""

SILENT = 1e-3
"""An envelope that has fallen to -60 dB ends with the tick."""

VIBRATO_HZ, VIBRATO_SEMITONES = 5.5, 0.5
CEILING, KNEE = 0.9, 0.9


@jit
def glide(now: float, to: float, share: float) -> float:
    """A share of the way from `now` to `to`, and there when it is near."""
    return float(to) if abs(to - now) < 1e-6 else float(now + (to - now) * share)


@jit
def loudness(v: Any) -> float:
    """How much would be missed if the voice were cut now."""
    return float(v.level) if v.stage == ATTACK else float(v.level) * float(v.env)


@jit
def release(v: Any) -> None:
    """The key is up and no pedal holds it: leave the loop and fade."""
    if v.state != FREE and v.state != DYING:
        v.state = RELEASED
        v.stage = RELEASE
        v.looping = 0


@jit
def kill(v: Any) -> None:
    """Fade within FADE_TICKS, whatever the envelope says."""
    if v.state != FREE:
        v.state = DYING


@jit
def slot(g: Any) -> int:
    """A free voice; at the limit the quietest released one is stolen, or else the quietest of all."""
    alive, free, victim, worst = 0, -1, -1, np.inf
    for i in range(g.slots):
        v = get_voice(g, i)
        if v.state == FREE:
            free = i
        elif v.state != DYING:
            alive += 1
            level = loudness(v) + (0.0 if v.state == RELEASED else 1e6)
            if level < worst:
                worst, victim = level, i
    if alive >= g.voices and victim >= 0:
        kill(get_voice(g, victim))
        g.stolen += 1
    if free < 0:  # more than the limit stolen within 5 ms: take the one that has faded most
        for i in range(g.slots):
            v = get_voice(g, i)
            if v.state == DYING and (free < 0 or v.fade < get_voice(g, free).fade):
                free = i
    return free


@jit
def start(g: Any, channel: int, key: int, velocity: float) -> None:
    """A note begins: take a voice and aim its lanes."""
    i = slot(g)
    v = get_voice(g, i)
    ch = get_hand(g, channel)
    g.age += 1
    v.state, v.channel, v.key, v.pack = HELD, channel, key, ch.pack
    v.stage, v.sostenuto, v.looping, v.own, v.age = ATTACK, 0, 1, 0, g.age
    v.velocity, v.fade, v.level = velocity, 1.0, 1e3
    v.env = 0.0 if g.attack > 0.0 else 1.0
    v.bend, v.pressure, v.timbre, v.poly, v.poly_to = ch.bend_now, ch.pressure_now, float(ch.timbre), 0.0, 0.0
    v.swell = 1.0 + v.pressure if g.aftertouch == LOUDNESS else 1.0
    pack = get_pack(g, v.pack)
    v.x, v.y = aim(g, v, 0), aim(g, v, 1)
    v.xi = segment(g, pack.axis, pack.nx, v.x)
    v.yi = segment(g, pack.axis + pack.nx, pack.ny, v.y)
    for lane in range(LANES):
        v.sample[lane] = -1
    for py in range(v.yi, min(v.yi + 2, pack.ny)):
        for px in range(v.xi, min(v.xi + 2, pack.nx)):
            point(g, v, px, py, 0.0, -1)
    for lane in range(LANES):
        if v.sample[lane] >= 0:
            v.gain[lane] = v.to[lane] = balance(g, v, lane)


@jit
def _envelope(g: Any, v: Any, n: int) -> float:
    """The envelope n frames on; 0 ends the voice."""
    seconds = n / g.rate
    env = v.env
    if v.stage == ATTACK:
        env = env + seconds / g.attack if g.attack > 0.0 else 1.0
        if env >= 1.0:
            env, v.stage = 1.0, DECAY
    elif v.stage == DECAY:
        if env != g.sustain:
            env = g.sustain + (env - g.sustain) * (math.exp(-6.9 * seconds / g.decay) if g.decay > 0.0 else 0.0)
            if abs(env - g.sustain) < 1e-5:
                env = g.sustain
    else:
        time = g.release if g.release >= 0.0 else get_pack(g, v.pack).release
        env *= math.exp(-6.9078 * seconds / max(time, 0.005))
        if env < SILENT:
            env = 0.0
    return float(env)


@jit
def _pan(mix: Any, n: int, left: Any, dl: Any, right: Any, dr: Any) -> float:
    """Add the scratch of one voice to left and right, their gains rising by dl and dr a frame; its energy."""
    energy = np.float32(0.0)
    for i in range(n):
        y = mix[2 * TICK + i]
        mix[i] += y * left
        mix[TICK + i] += y * right
        left += dl
        right += dr
        energy += y * y
    return float(energy)


@jit
def _voice(g: Any, v: Any, n: int, quick: float) -> None:
    """Add n frames of a voice to left and right."""
    ch, pack = get_hand(g, v.channel), get_pack(g, v.pack)
    member = 0 < v.channel <= g.mpe
    if not v.own:
        v.bend, v.pressure, v.timbre = ch.bend_now, ch.pressure_now, float(ch.timbre)
    bend = v.bend + g.tune + (get_hand(g, 0).bend_now if member else 0.0)
    v.poly = glide(v.poly, v.poly_to, quick)
    touch = v.pressure + v.poly
    shake = touch if g.aftertouch == VIBRATO else 0.0
    if pack.nx < 2:  # with no morph to steer, the wheel is a vibrato
        shake += (get_hand(g, 0) if member else ch).wheel / 127.0
    if shake > 0.0:
        bend += VIBRATO_SEMITONES * min(shake, 1.0) * math.sin(2.0 * math.pi * g.lfo)
    ratio = g.ratio * (1.0 if bend == 0.0 else 2.0 ** (bend / 12.0))
    moved = travel(g, v, 0, quick)
    moved = travel(g, v, 1, quick) or moved
    for i in range(n):
        g.mix[2 * TICK + i] = 0.0
    for j in range(LANES):
        if moved and v.sample[j] >= 0:
            v.to[j] = balance(g, v, j)
    sounding = read(g, v, n, ratio)
    env, fade = _envelope(g, v, n), v.fade
    if v.state == DYING:
        fade = max(fade - n / (FADE_TICKS * TICK), 0.0)
    swell = 1.0 + touch if g.aftertouch == LOUDNESS else 1.0
    a, b = np.float32(v.env * v.fade * v.swell), np.float32(env * fade * swell)
    left, right = a * np.float32(ch.left0), a * np.float32(ch.right0)
    dl, dr = (b * np.float32(ch.left) - left) / np.float32(n), (b * np.float32(ch.right) - right) / np.float32(n)
    # said twice, so that one is compiled for a known length: five times as fast
    energy = _pan(g.mix, TICK, left, dl, right, dr) if n == TICK else _pan(g.mix, n, left, dl, right, dr)
    v.env, v.fade, v.swell, v.level = env, fade, swell, math.sqrt(energy / n)
    if not sounding or env == 0.0 or fade == 0.0:
        v.state = FREE


@jit
def _limit(g: Any, n: int) -> None:
    """Hold left and right under full scale: a gain that falls at once and recovers in 0.2 s, then a soft knee."""
    peak = 0.0
    for i in range(2 * TICK):
        if i % TICK < n:
            peak = max(peak, abs(float(g.mix[i])))
    g.peak = max(g.peak, peak)
    want = min(1.0, CEILING / peak) if peak > 0.0 else 1.0
    before = g.limit
    if want >= before:
        want = before + (want - before) * (1.0 - math.exp(-n / (0.2 * g.rate)))
        if want > 0.99999:
            want = 1.0
    g.limit = want
    if before == 1.0 and want == 1.0:
        return
    slope = (want - before) / n
    for side in range(2):
        for i in range(n):
            y = g.mix[side * TICK + i] * (before + (i + 1) * slope)
            over = abs(y) - KNEE
            if over > 0.0:
                y = math.copysign(KNEE + (1.0 - KNEE) * math.tanh(over / (1.0 - KNEE)), y)
            g.mix[side * TICK + i] = y


@jit
def tick(g: Any, n: int) -> None:
    """Compute n <= TICK frames of left and right into the scratch."""
    quick = 1.0 - math.exp(-n / (0.008 * g.rate))
    for i in range(2 * TICK):
        g.mix[i] = 0.0
    g.loudness = glide(g.loudness, g.gain, quick)
    for c in range(16):
        ch = get_hand(g, c)
        ch.left0, ch.right0 = ch.left, ch.right
        ch.left = glide(ch.left, ch.left_to * g.loudness, quick)
        ch.right = glide(ch.right, ch.right_to * g.loudness, quick)
        ch.bend_now = glide(ch.bend_now, ch.bend_to, quick)
        ch.pressure_now = glide(ch.pressure_now, ch.pressure / 127.0, quick)
    g.lfo = (g.lfo + VIBRATO_HZ * n / g.rate) % 1.0
    sounding = 0
    for i in range(g.slots):
        if get_voice(g, i).state != FREE:
            sounding += 1
            _voice(g, get_voice(g, i), n, quick)
    g.sounding = sounding
    _limit(g, n)
