"""A note's codes over time: at another length, read at other places, and between those of several sounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .codes import FRAME_RATE

Floats = npt.NDArray[np.float32]

RELEASE = 1.0
"""s from a note's release to its end, as in NSynth."""
FINE = 4
"""Frames a code frame, of levels and of places."""


def line(codes: Sequence[Floats], shares: Floats) -> Floats:
    """Codes (frames, 16) on the straight line between those of several sounds: their mean, by shares (sounds, frames)."""
    return np.asarray(sum(c * w[:, None] for c, w in zip(codes, shares, strict=True)), np.float32)


def arc(codes: Sequence[Floats], shares: Floats) -> Floats:
    """Codes (frames, 16) on the arc between those of several sounds: their directions' spherical mean, their lengths' mean.

    Two sounds: Shoemake 1985, slerp; more: Buss & Fillmore 2001, algorithm A1, to the fourth step. Where directions are
    opposite the arc is not known, and the line is taken.
    """
    lengths = np.stack([np.linalg.norm(c, axis=1) for c in codes])
    unit = np.stack([c / np.maximum(n, 1e-6)[:, None] for c, n in zip(codes, lengths, strict=True)])
    mean = _unit(np.einsum("sf,sfd->fd", shares, unit))
    if len(codes) == 2:
        cosine = np.clip(np.sum(unit[0] * unit[1], axis=1), -1, 1)
        angle = np.arccos(cosine)
        sine = np.sin(angle)
        parts = np.sin(shares * angle) / np.maximum(sine, 1e-6)
        mean = np.where((sine > 1e-3)[:, None], np.einsum("sf,sfd->fd", parts, unit), mean)
    else:
        for _ in range(4):
            cosine = np.clip(np.einsum("fd,sfd->sf", mean, unit), -1, 1)
            away = unit - cosine[:, :, None] * mean
            turn = np.arccos(cosine) / np.maximum(np.linalg.norm(away, axis=2), 1e-6)
            step = np.einsum("sf,sfd->fd", shares * turn, away)
            size = np.linalg.norm(step, axis=1, keepdims=True)
            mean = np.cos(size) * mean + np.sin(size) * step / np.maximum(size, 1e-6)
    total: Floats = (mean * np.sum(shares * lengths, axis=0)[:, None]).astype(np.float32)
    return total


def _unit(x: Floats) -> Floats:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6), np.float32)


def read_at(codes: Floats, at: Floats) -> Floats:
    """Codes (n, 16) read at other places: `at` (4 n,), in frames, four a code frame, whose middles are the code frames'."""
    middle = (FINE - 1) / 2
    fine = at.reshape(-1, FINE).mean(axis=1)
    place = np.clip((fine - middle) / FINE, 0, len(codes) - 1)
    low = np.minimum(place.astype(int), max(0, len(codes) - 2))
    part = (place - low).astype(np.float32)[:, None]
    found: Floats = codes[low] * (1 - part) + codes[np.minimum(low + 1, len(codes) - 1)] * part
    return found


def stretch(codes: Floats, frames: int) -> Floats:
    """Codes (n, 16) as a note of another length: onset and release stay, what is held between them is cut or stretched.

    A shorter note leaves the end of the held part out, and glides into the release from where it is; a longer one goes
    through its held part, from 1 s on, more slowly.
    """
    if len(codes) == frames:
        return codes
    tail = round(RELEASE * FRAME_RATE)
    held, wanted = len(codes) - tail, frames - tail
    if held < 2 or wanted < 1:  # no note of NSynth's shape: the whole of it, faster or slower
        whole: Floats = codes[np.rint(np.linspace(0, len(codes) - 1, frames)).astype(int)]
        return whole
    onset = min(round(FRAME_RATE), held - 1, wanted)
    if wanted <= held:
        blend = np.linspace(1, 0, tail, dtype=np.float32)[:, None]
        return np.concatenate([codes[:wanted], codes[held:] + blend * (codes[wanted - 1] - codes[held - 1])])
    at = np.linspace(onset, held - 1, wanted - onset)
    low = np.minimum(at.astype(int), held - 2)
    part = (at - low)[:, None].astype(np.float32)
    slow = codes[low] * (1 - part) + codes[low + 1] * part
    return np.concatenate([codes[:onset], slow, codes[held:]])
