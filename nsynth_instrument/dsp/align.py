"""Two notes as one in time: where each is read so that they begin, fall and end together, and how loud that is.

What is mixed is the course of two sounds, not two sounds in turn: one onset, in the geometric mean of the times that
theirs take; one fall, as steep as the mean of theirs in dB a second; each sound is read where it has fallen as far as
the mixture has, so that a decayed string meets a decayed string. Levels are dB (frames,) at 125 frames a second.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

ARRIVED = 3.0
"""dB below its loudest at which a note has begun."""
LONGEST = 125
"""Frames; an onset takes no longer, what swells longer is played so."""
DEEP = 45.0
"""dB below its loudest from which a note's level is taken from its fall before: what is silent falls on."""
SILENT = 200.0
"""dB below its loudest at which the fall ends."""
HELD, FALLING = 5.0, 20.0
"""dB of fall while held: at the first a note holds its level and is read as time goes, at the second by its level."""


def align(levels: Floats, weights: Floats, release: int) -> tuple[Floats, Floats]:
    """Where each sound is read, in its own frames, (sounds, frames), and the level of the mixture, (frames,).

    levels, weights: (sounds, frames), weights >= 0 and summing to 1 in each frame; release: the frame of key up, of all.
    """
    frames = levels.shape[1]
    release = min(max(release, 2), frames - 1)
    moves = bool((np.ptp(weights, axis=1) > 0).any())
    # A sound that is on its way in must not begin at a depth that only a fall could reach.
    falls = np.stack([fallen(level, release, DEEP if moves else SILENT) for level in levels])
    starts = np.array([onset(level, release) for level in levels])
    start = float(np.exp(weights[:, 0] @ np.log(starts)))
    t = np.arange(frames)
    ends = [release, frames] if release > LONGEST + 1 else [frames]
    straight = np.stack([np.interp(t, [0, start, *ends], [0, own, *ends]) for own in starts])
    read = np.stack([np.interp(s, t, f) for s, f in zip(straight, falls, strict=True)])
    level = np.einsum("st,st->t", weights, read)
    at = straight.copy()
    first = int(np.ceil(start))
    for low, high in ((first, release), (release, frames)):
        _together(at[:, low:high], straight[:, low:high], read[:, low:high], weights[:, low:high])
    return np.clip(at, 0, frames - 1).astype(np.float32), level.astype(np.float32)


def onset(level: Floats, release: int) -> float:
    """Frames until a note has begun, with fraction, at least half a frame and at most LONGEST."""
    held = level[:release]
    wanted = float(held.max()) - ARRIVED
    first = int(np.argmax(held >= wanted))
    if first == 0:
        return 0.5
    before, after = float(held[first - 1]), float(held[first])
    return float(np.clip(first - 1 + (wanted - before) / max(after - before, 1e-3), 0.5, min(LONGEST, release / 2)))


def fallen(level: Floats, release: int, depth: float = SILENT) -> Floats:
    """The level, with silence in it replaced by the fall that led there, down to `depth` dB below the loudest."""
    out = level.astype(np.float64)
    top = float(out.max())
    for low, high in ((int(np.argmax(out[:release])), release), (release, len(out))):
        part = out[low:high]
        loud = np.flatnonzero(part > top - DEEP)
        last = int(loud[-1]) + 1 if len(loud) else 0
        if last >= len(part):
            continue
        if last < 2:  # silent from its start: goes on as it came
            slope = float(np.clip(out[low - 1] - out[low - 2], -5, -0.05)) if low > 1 else -1.0
            start = float(out[low - 1] if low else out[0])
        else:
            near = part[max(0, last - 40) : last]
            slope = min(-0.05, float(np.polyfit(np.arange(len(near)), near, 1)[0]))
            start = float(part[last - 1])
        out[low + last : high] = start + slope * np.arange(1, high - low - last + 1)
    return np.maximum(out, top - depth).astype(np.float32)


def _together(at: Floats, straight: Floats, read: Floats, weights: Floats) -> None:
    """Put in `at` where each sound has fallen, since the segment's start, as far as the mixture has."""
    if at.shape[1] < 2:
        return
    fall = np.maximum.accumulate(np.maximum(read[:, :1] - read, 0), axis=1)
    common = np.einsum("st,st->t", weights, fall)
    steps = np.arange(at.shape[1])
    for i, own in enumerate(fall):
        share = float(np.clip((own[-1] - HELD) / (FALLING - HELD), 0, 1))
        share = share * share * (3 - 2 * share)
        if share > 0:
            found = np.interp(common, own + 1e-4 * steps, straight[i])
            at[i] = (1 - share) * straight[i] + share * found
