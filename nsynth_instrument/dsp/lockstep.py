"""Notes that fade into each other, kept in step, so that their partials never beat.

Two sines of one frequency, a quarter turn apart, add in power at any gains: |a cos w + i b sin w|^2. So the positions of a
morph at one key share one slow course of each partial's frequency (`course`), keep of their own fast movement, as of a
vibrato, what turns them by less than LEAN (`in_step`), and begin a quarter turn further at each step (`turns`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .partials import HOP, RATE, SLOTS, Floats, Partials, slots_for
from .pitch import MIDDLE, listens

Doubles = npt.NDArray[np.float64]

SLOW = 12.0
"""Frames, the deviation of the Gaussian window below which movement is slow: what lasts longer than half a second."""
LEAN = 0.05
"""Turns by which a partial may swing about the course. At a twentieth, two in the middle of a fade stray by 1.7 dB for a moment
at most; over a swing, and over all partials, by a few tenths."""
LOW = 10
"""Harmonics by which an end is brought in tune before it is averaged with others: as many as `cents_off` looks at."""
TRIES, EXACT = 12, 0.2
"""How often partials are moved at most, for all notes to sound within cents of f0."""
STIFF = 3e-4
"""What keeps moves small where notes are led by nearly the same partials, of those leads, squared."""
KNOTS = (0.0, 0.1, 0.25, 0.45, 0.7, 1.0, 1.3, 1.6, 2.0, 2.4, 3.0)
"""s at which partials are moved each by itself, straight between them."""
FREE = 10.0
"""By how much more all partials move together than one by itself."""
WITHIN = 80.0
"""Cents; a partial further than this from its place tells nothing of the pitch."""


def course(ends: Sequence[Partials]) -> Doubles:
    """Frequencies in Hz (frames, slots) that all positions between these notes of one f0 follow.

    Slot by slot the mean of the ends', weighted by their power, so that each partial goes as where it is heard: a piano's stay
    stretched where the other sound has little to say.
    """
    n = slots_for(ends[0].f0)
    powers = [_slow(10 ** (np.maximum(e.level[:, :n], -120.0) / 10)) for e in ends]
    total = sum(powers)
    mean = sum(p / total * _tuned(e, n) for p, e in zip(powers, ends, strict=True))
    return np.asarray(mean, dtype=np.float64)


def in_step(note: Partials, shared: Doubles) -> Partials:
    """The same note along the `shared` course of frequencies."""
    frames, n = shared.shape
    apart = _frequencies(note, n) - shared
    apart -= _slow(apart)
    swing = np.zeros((frames, n))
    np.cumsum((apart[1:] + apart[:-1]) * (0.5 * HOP / RATE), axis=0, out=swing[1:])
    power = 10 ** (note.level[:, :n] / 10.0) + 1e-14
    swing -= (power * swing).sum(axis=0) / power.sum(axis=0)
    swing = LEAN * np.tanh(swing / LEAN)
    # All begin in step, wherever they swing to.
    swing *= np.minimum(1, np.arange(frames) / SLOW)[:, None]
    hz = shared + np.asarray(np.gradient(swing, axis=0)) * (RATE / HOP)
    offset = np.zeros_like(note.offset)
    offset[:, :n] = hz / note.f0 - np.arange(1, n + 1)
    return replace(note, offset=offset, deviation=np.zeros_like(note.deviation))


def tuned(shared: Doubles, notes: Sequence[Partials], off: Callable[[int, Partials], float]) -> Doubles:
    """The course with its low partials moved so that each of the notes sounds at f0 on it.

    off: cents by which one of the notes sounds off, of which LOW partials are on a course; NaN if it does not tell. Notes that
    weigh partials, or moments, otherwise sound elsewhere on the same course: of all moves of single partials at KNOTS that bring
    them in tune, those are made that are the least, in cents.
    """
    frames, low = len(shared), min(LOW, shared.shape[1])
    few = [replace(n, level=n.level[:, :low], offset=n.offset[:, :low], attack=None, beat=None) for n in notes]
    knots = np.array(KNOTS) * RATE / HOP
    listened = listens(frames, RATE, few[0].f0, RATE / HOP)
    hats = np.stack([np.interp(np.arange(frames), knots, row) for row in np.eye(len(knots))], axis=1)

    def along(moves: Doubles) -> tuple[list[Partials], Doubles]:
        there = [in_step(n, shared[:, :low] * 2 ** (moves / 1200)) for n in few]
        return there, np.nan_to_num([off(i, n) for i, n in enumerate(there)])

    moves, common, stiff = np.zeros((frames, low)), 0.0, STIFF
    there, found = along(moves)
    for _ in range(TRIES):
        if not np.abs(found).max() > EXACT:
            break
        leads = np.stack([(hats.T @ _leads(n, listened)).ravel() for n in there])
        leads = np.concatenate([leads, np.full((len(few), 1), FREE)], axis=1)
        step = -leads.T @ np.linalg.solve(leads @ leads.T + stiff * np.eye(len(few)), found)
        tried = moves + hats @ step[:-1].reshape(-1, low) + FREE * step[-1]
        then, after = along(tried)
        if np.square(after).sum() < np.square(found).sum():
            moves, there, found, common = tried, then, after, common + FREE * step[-1]
            stiff = max(STIFF, stiff / 10)
        else:
            stiff *= 10
    return np.concatenate([shared[:, :low] * 2 ** (moves / 1200), shared[:, low:] * 2 ** (common / 1200)], axis=1)


def _leads(note: Partials, listened: Doubles) -> Doubles:
    """How far what is heard of a note's pitch goes with each of its partials (frames, low): see `cents_off`."""
    k = np.arange(1, note.level.shape[1] + 1)
    weight = 10 ** (note.level.astype(np.float64) / 20) / k + 1e-12
    weight *= listened[:, None]
    order = np.argsort(note.offset / k, axis=1)
    part = np.take_along_axis(weight, order, axis=1)
    whole, top = part.sum(axis=1, keepdims=True), np.cumsum(part, axis=1)
    inside = np.minimum(top, (0.5 + MIDDLE) * whole) - np.maximum(top - part, (0.5 - MIDDLE) * whole)
    out = np.zeros_like(weight)
    np.put_along_axis(out, order, np.maximum(inside, 0), axis=1)
    return np.asarray(out / (2 * MIDDLE * whole.sum()))


def turns(place: tuple[int, int], rng: np.random.Generator) -> Doubles:
    """Turns (SLOTS,) by which the partials of a position begin later: a quarter a step.

    Steps along the second axis go forward or back, as `rng` has it for each partial, lest the diagonals of a square, half a
    turn apart or none, all add or all cancel.
    """
    return np.asarray((place[0] + place[1] * rng.choice([-1, 1], SLOTS)) / 4 % 1.0)


def _frequencies(note: Partials, n: int) -> Doubles:
    """Hz (frames, n) of a note's oscillators."""
    k = np.arange(1, n + 1)
    common = note.f0 * np.exp2(note.deviation.astype(np.float64) / 1200)
    return np.asarray(k * common[:, None] + note.offset[:, :n] * note.f0)


def _tuned(note: Partials, n: int) -> Doubles:
    """The same, with the low harmonics' mean brought to f0."""
    hz, low = _frequencies(note, n), min(LOW, n)
    k = np.arange(1, low + 1)
    cents = 1200 * np.log2(np.maximum(hz[:, :low], 1.0) / (k * note.f0))
    weight = 10 ** (note.level[:, :low] / 20.0) / k * (np.abs(cents) < WITHIN) + 1e-12
    return hz * 2 ** (-float(np.average(cents, weights=weight)) / 1200)


def _slow(x: Doubles | Floats) -> Doubles:
    """What of the columns of x (frames, n) is slow; its sum is theirs, so that what is left does not add up over time."""
    import scipy.ndimage  # a quarter of a second, which only a morph of several positions needs

    return np.asarray(scipy.ndimage.gaussian_filter1d(x, SLOW, axis=0, mode="reflect"))
