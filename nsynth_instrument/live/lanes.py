"""How a voice reads its samples: through loops, ends and stretches of memory, between the frames where it must.

A voice reads up to LANES samples at once (layers, morph positions). Interpolating costs four times what adding does, so lanes
that go equally fast and stand at the same fraction of a frame are added first and interpolated once. They do so in
nearly every pack: layers and positions share their root, and loops are whole frames long unless the pack was resampled.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from .memory import ENDLESS, get_sample, jit, pointer
from .state import GUARD, LANES, PHASES, STEEPEST, TAPS, TICK

BEFORE = TAPS // 2 - 1
"""Frames that the interpolator reads before the one it stands on."""

IN_STEP = 1e-6
"""frames by which the fractions of two lanes may differ and still count as one."""


@jit
def _skip(g: Any, v: Any, j: int, step: float, n: int) -> None:
    """Let a silent lane run on, so that it is in step when it is heard again."""
    smp = get_sample(g, v.sample[j])
    pos = v.pos[j] + n * step
    if v.looping and smp.loop_end > 0 and pos >= smp.loop_end:
        pos = smp.loop_start + (pos - smp.loop_start) % (smp.loop_end - smp.loop_start)
    v.pos[j] = pos
    if pos >= smp.frames:
        v.sample[j] = -1


@jit
def _stretch(g: Any, v: Any, j: int) -> tuple[int, float]:
    """Address of frame -GUARD of what a lane reads now, and the first frame that must be read elsewhere."""
    smp = get_sample(g, v.sample[j])
    pos = v.pos[j]
    address, limit = smp.body, smp.frames
    if smp.loop_end > 0:
        if v.looping:
            limit = smp.loop_end
        elif pos < smp.switch:
            limit = smp.switch
        else:
            address = smp.after
    if pos < smp.head:
        address, limit = smp.attack, min(limit, smp.head)
    return address, limit


@jit
def _advance(g: Any, v: Any, j: int, by: float) -> None:
    """Move a lane on, back to its loop's start, or to its end."""
    smp = get_sample(g, v.sample[j])
    pos = v.pos[j] + by
    if v.looping and smp.loop_end > 0:
        if pos >= smp.loop_end:
            pos = smp.loop_start + (pos - smp.loop_start) % (smp.loop_end - smp.loop_start)
    elif pos >= smp.frames:
        v.sample[j] = -1
    v.pos[j] = pos


@jit
def _add(x: Any, y: Any, k: int, gain: float, slope: float) -> None:
    """Add k frames, read where they stand."""
    a, da = np.float32(gain), np.float32(slope)
    for m in range(k):  # a sum that runs along is made parallel by the compiler; m * da is not
        y[m] += x[m] * a
        a += da


@jit
def _interpolate(g: Any, x: Any, pos: float, step: float, y: Any, k: int, gain: float, slope: float) -> None:
    """Add k frames, read `step` apart between the frames; pos: of the first, counted from BEFORE frames after x's first."""
    h = numba.carray(pointer(g.sinc_at), ((PHASES + 1) * TAPS,), np.float32)
    a, da = np.float32(gain), np.float32(slope)
    at = np.int64(pos * 4294967296.0)
    by = np.int64(step * 4294967296.0)
    for m in range(k):
        n = np.uint64(at >> 32)
        f = np.uint64(((at & 0xFFFFFFFF) * PHASES + 0x80000000) >> 32) * np.uint64(TAPS)
        total = np.float32(0.0)
        for t in range(TAPS):
            total += x[n + np.uint64(t)] * h[f + np.uint64(t)]
        y[m] += total * a
        a += da
        at += by


@jit
def _alone(g: Any, v: Any, j: int, step: float, i: int, n: int, slope: float) -> None:
    """Add frames i..n of one lane to the scratch."""
    while i < n and v.sample[j] >= 0:
        address, limit = _stretch(g, v, j)
        pos = v.pos[j]
        k: int = max(min(n - i, int(np.ceil((limit - pos) / step))), 0)
        x = numba.carray(pointer(np.uint64(address)), (ENDLESS,), np.float32)
        y = g.mix[2 * TICK + i :]
        gain = v.gain[j] + i * slope
        if step == 1.0 and pos == math.floor(pos):
            _add(x[int(pos) + GUARD :], y, k, gain, slope)
        else:
            _interpolate(g, x, pos + (GUARD - BEFORE), step, y, k, gain, slope)
        i += k
        _advance(g, v, j, k * step)


@jit
def _level(g: Any, v: Any, j: int, lead: int) -> bool:
    """Whether a lane stands at the same fraction of a frame as another."""
    away = v.pos[j] - v.pos[lead]
    return bool(abs(away - math.floor(away + 0.5)) < IN_STEP)


@jit
def _together(g: Any, v: Any, lead: int, lanes: int, step: float, n: int) -> None:
    """Add n frames of lanes (bits) in step with `lead` to the scratch, from one end of a stretch to the next."""
    i = 0
    while i < n and v.sample[lead] >= 0:
        k: int = n - i
        for j in range(lead, LANES):
            if lanes >> j & 1:
                k = min(k, int(np.ceil((_stretch(g, v, j)[1] - v.pos[j]) / step)))
        k = max(k, 0)
        at = v.pos[lead] - math.floor(v.pos[lead])
        count = int(at + (k - 1) * step) + TAPS if k else 0
        wide = g.wide[:]
        wide[:count] = np.float32(0.0)
        for j in range(lead, LANES):
            if lanes >> j & 1:
                slope = (v.to[j] - v.gain[j]) / n
                first = round(v.pos[j] - at) + GUARD - BEFORE
                x = numba.carray(pointer(np.uint64(_stretch(g, v, j)[0])), (ENDLESS,), np.float32)
                _add(x[first:], wide, count, v.gain[j] + slope * (i - (BEFORE + at) / step), slope / step)
        _interpolate(g, wide, at, step, g.mix[2 * TICK + i :], k, 1.0, 0.0)
        i += k
        for j in range(LANES - 1, lead - 1, -1):
            if lanes >> j & 1:
                _advance(g, v, j, k * step)
        for j in range(lead + 1, LANES):
            if lanes >> j & 1 and (v.sample[j] < 0 or v.sample[lead] < 0 or not _level(g, v, j, lead)):
                lanes ^= 1 << j
                if v.sample[j] >= 0:
                    _alone(g, v, j, step, i, n, (v.to[j] - v.gain[j]) / n)


@jit
def read(g: Any, v: Any, n: int, ratio: float) -> bool:
    """Add the next n frames of a voice to its scratch, the lanes' gains going from `gain` to `to`; whether it goes on.

    ratio: frames of sample a frame, beside the lanes' own steps.
    """
    lead, lanes = -1, 0
    for j in range(LANES):
        if v.sample[j] < 0:
            continue
        step = min(v.step[j] * ratio, 64.0)
        if v.gain[j] == 0.0 and v.to[j] == 0.0:
            _skip(g, v, j, step, n)
        elif step > STEEPEST or (step == 1.0 and v.pos[j] == math.floor(v.pos[j])):
            _alone(g, v, j, step, 0, n, (v.to[j] - v.gain[j]) / n)
        elif lead < 0:
            lead, lanes = j, 1 << j
        elif v.step[j] == v.step[lead] and _level(g, v, j, lead):
            lanes |= 1 << j
        else:
            _alone(g, v, j, step, 0, n, (v.to[j] - v.gain[j]) / n)
    if lead >= 0:
        step = v.step[lead] * ratio
        if lanes == 1 << lead:
            _alone(g, v, lead, step, 0, n, (v.to[lead] - v.gain[lead]) / n)
        else:
            _together(g, v, lead, lanes, step, n)
    sounding = False
    for j in range(LANES):
        v.gain[j] = v.to[j]
        sounding = sounding or v.sample[j] >= 0
    return sounding
