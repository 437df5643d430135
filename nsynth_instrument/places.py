"""The positions of a pack along its morph, and what is mixed at each of them."""

from __future__ import annotations

from .codes import Morph
from .errors import UsageError

MOST = 127
"""Positions of a pack: each is a program of a SoundFont, and one more mixes them all."""

Position = tuple[float, ...]


def places(morph: Morph, steps: int, weighting: str = "bilinear") -> tuple[tuple[Position, Morph], ...]:
    """Positions, coordinates in 0..1, and the mixture at each; of one step, the `morph` itself alone.

    Two sounds are the ends of a line of `steps` positions, first to second. Four are the corners of a square of `steps` x
    `steps`, in the order north-west, north-east, south-west, south-east; its positions (x, y) go row by row, and
    `weighting` is that of `Morph.corners`. Raises UsageError for other sounds, or positions too many.
    """
    if steps == 1:
        return (((0.0,), morph),)
    names, most = morph.names, MOST if len(morph.names) == 2 else int(MOST**0.5)
    if len(names) not in (2, 4):
        raise UsageError(f"steps lead from one sound to another, or between four different ones; this morph names {len(names)}")
    if not 1 <= steps <= most:
        raise UsageError(f"{steps} steps cannot be had; use 1 to {most} between {len(names)} sounds")
    along = [k / (steps - 1) for k in range(steps)]
    if len(names) == 2:
        return tuple(((at,), Morph.between(names[0], names[1], at)) for at in along)
    nw, ne, sw, se = names
    return tuple(((x, y), Morph.corners(nw, ne, sw, se, x, y, weighting)) for y in along for x in along)
