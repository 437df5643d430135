"""Codes refined by analysis-by-synthesis: moved, by gradient, to where the decoder says what was heard.

An encoder answers at once, for sounds of the kinds that it has learned; where a sound is of no such kind there are better codes
than its answer. From that, Adam (Kingma & Ba 2015) goes down the loss of `training.harmonic_loss`: levels, offsets, noise, common
pitch, and how much levels and pitch stray. The attack is held where the encoder's codes had it, and the course of the codes near
its start: what fits one key too well no longer carries to others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..dsp import timbre
from ..dsp.lobes import Spectrum
from ..dsp.partials import BANDS, HIGHEST, HOP, SLOTS, Partials
from ..dsp.partials import RATE as SAMPLE_RATE
from ..notes import Note

Floats = npt.NDArray[np.float32]

STEPS = 90
RATE = 0.04
"""Of what is inside the tanh that bounds codes, a step; falls to zero over the second half."""
NEAR = 0.2
"""What the mean square distance of a note's codes from their start costs, but for what is added to all alike: a colour holds at
other keys, a course that fits one key too well does not."""
SPAN = 5
"""Code frames over which what is added to codes is smooth: what follows every frame is heard as a tremble, and as hiss."""
EVEN = 4.0
"""What a dB costs by which a level changes otherwise from frame to frame than was heard, of what one costs by which it is off."""
SEEN = 2.0
"""What a dB costs by which the spectrum to be expected is off (`dsp.lobes`), of what one of a note's partials costs."""
EVERY = 2
"""Frames of which one is looked at for that, in turn."""
HELD = 0.02
"""What the mean square of attack and sizes of fluctuation costs, of moving from where they were."""
STRAYS = 0.2
"""What the likelihood of fluctuation counts (in training 0.1): else a tone that stands still is said to tremble."""
BOUND = 3.0
"""Codes lie within this, as the encoder's do."""


class Differentiable(Protocol):
    """A decoder, and how what it says moves with the codes: see `runtimes.kernel_vjp.HarmonicGradient`."""

    def decode(self, codes: Floats, told: Floats, told_fast: Floats, /) -> tuple[Floats, Callable[[Floats], Floats]]:
        """(n, 16), (n, COND), (4 n, COND) -> (4 n, OUT), and the map of its gradient to that of the codes."""
        ...


def refined(codes: Floats, heard: Partials, note: Note, decoder: Differentiable, *, steps: int = STEPS) -> Floats:
    """Codes (n, 16) of a note whose features (4 n frames) were heard, nearer to them than `codes`."""
    release = len(heard) * HOP / SAMPLE_RATE - 1.0
    told = timbre.condition(note.pitch, note.velocity, timbre.code_times(len(codes)), release)
    fast = timbre.condition(note.pitch, note.velocity, timbre.frame_times(len(heard)), release)
    loss = _Loss(heard)
    start = np.clip(codes, -0.999 * BOUND, 0.999 * BOUND)
    free = np.arctanh(start / BOUND)
    over = _smoothing(len(codes))
    moved, mean, square = np.zeros_like(free), np.zeros_like(free), np.zeros_like(free)
    first: Floats | None = None
    for step in range(1, steps + 1):
        z = np.tanh(free + over @ moved) * np.float32(BOUND)
        said, pull = decoder.decode(z, told, fast)
        first = said if first is None else first
        gone = z - start
        grad = pull(loss.gradient(said, first, step % EVERY)) + (gone - gone.mean(axis=0)) * np.float32(2 * NEAR / z.size)
        grad = over.T @ (grad * (BOUND - z * z / BOUND))
        mean, square = 0.9 * mean + 0.1 * grad, 0.999 * square + 0.001 * grad**2
        size = RATE * min(1.0, 2 * (1 - (step - 1) / steps))
        moved -= (size / (1 - 0.9**step) * mean / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)).astype(np.float32)
    return np.asarray(np.tanh(free + over @ moved) * np.float32(BOUND), dtype=np.float32)


def _smoothing(frames: int) -> Floats:
    """Matrix (frames, frames): means over SPAN code frames under a Hann window."""
    window = np.hanning(SPAN + 2)[1:-1]
    apart = np.arange(frames)[:, None] - np.arange(frames) + SPAN // 2
    w = np.where((apart >= 0) & (apart < SPAN), window[np.clip(apart, 0, SPAN - 1)], 0)
    return np.asarray(w / w.sum(axis=1, keepdims=True), dtype=np.float32)


class _Loss:
    """`training.harmonic_loss.WithLoss` of one whole note, as its gradient.

    Noise that is said too loud costs no more than else: here that made no note freer of hiss.
    """

    def __init__(self, heard: Partials) -> None:
        self.heard, self.peak = heard, float(heard.level.max())
        k = np.arange(1, SLOTS + 1, dtype=np.float32)
        self.k, self.there = k, (k * heard.f0 < HIGHEST).astype(np.float32)
        self.low = self.peak - timbre.DEPTH
        loudest = heard.level.max(axis=1, keepdims=True)
        self.frame = np.clip((loudest - self.peak + 70) / 40, 0.05, 1)
        steady = np.clip((loudest - self.peak + 50) / 40, 0, 1)
        self.steady = steady[:, 0]
        self.sounding = np.clip((heard.level - loudest + 40) / 40, 0, 1) * steady * self.there
        at = timbre.positions(heard.f0)
        self.floor = np.minimum(at.astype(int), timbre.POINTS - 2)
        self.part = (at - self.floor).astype(np.float32)
        self.grid = timbre.to_harmonics(heard.f0).T.copy()
        self.zones = timbre.to_harmonics(heard.f0, timbre.ZONES)
        cuts = np.cumsum([0, timbre.POINTS, SLOTS, SLOTS, BANDS, 1, timbre.ORDERS * timbre.ZONES, timbre.ORDERS]).tolist()
        self.cuts = [slice(a, b) for a, b in itertools.pairwise([*cuts, timbre.OUT])]
        carries = np.clip((heard.level - self.low) / 30, 0.02, 1) * self.there
        carries *= self.frame / np.maximum(carries.sum(axis=1, keepdims=True), 1) * 10 ** ((heard.level - loudest) / 40)
        self.spectrum = Spectrum(heard)
        self.strays = _strays(heard.level, carries) + _strays(heard.deviation[:, None], steady)

    def gradient(self, said: Floats, first: Floats, turn: int) -> Floats:
        """By what is said, (frames, OUT); `first`: what was said at the start; turn: which of EVERY frames are seen."""
        heard, frames = self.heard, np.float32(len(said))
        envelope, correction, offset, noise, deviation, levels, pitches, _ = (said[:, c] for c in self.cuts)
        out = np.empty_like(said)
        level = envelope[:, self.floor] * (1 - self.part) + envelope[:, self.floor + 1] * self.part + correction
        level = level * 25 - 80
        weight = np.clip((np.maximum(heard.level, level) - self.low) / 30, 0.02, 1) * self.there
        weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1)
        miss = np.sign(level - np.maximum(heard.level, self.low)) * (level > self.low)
        counts = weight * self.frame
        by_level = miss * counts
        course = np.sign(np.diff(np.maximum(level, self.low) - np.maximum(heard.level, self.low), axis=0)) * counts[1:] * EVEN
        by_level[1:] += course
        by_level[:-1] -= course
        bands = noise * 25 - 110
        seen, bent, filled = self.spectrum.gradient(level, np.clip(offset * 0.25, -0.5, 0.5), np.minimum(bands, -20), turn, EVERY)
        by_level = by_level * np.float32(25 / frames) + seen * np.float32(25 * SEEN)
        out[:, self.cuts[0]], out[:, self.cuts[1]] = by_level @ self.grid, by_level

        astray = offset * 0.25 - heard.offset
        far = np.abs(astray)
        slope = 4 + 0.02 * 1731 / self.k * (far * 1731 / self.k < 100) + 0.5 * heard.f0 / 23.4 * (far * heard.f0 / 23.4 < 2)
        out[:, self.cuts[2]] = np.sign(astray) * slope * self.sounding * (0.25 / frames) + bent * np.float32(0.25 * SEEN)

        hush = self.peak - 110
        audible = np.clip((np.maximum(heard.noise, bands) - hush) / 30, 0.1, 1)
        out[:, self.cuts[3]] = np.sign(bands - np.maximum(heard.noise, hush)) * (bands > hush) * audible * (0.7 * 25 / noise.size)
        out[:, self.cuts[3]] += filled * np.float32(25 * SEEN)

        off = deviation[:, 0] * 20 - heard.deviation
        out[:, self.cuts[4]] = (np.sign(off) * (np.abs(off) < 60) * self.steady * (0.2 * 20 / frames))[:, None]
        # Laplace's likelihood, by the logarithms of the sizes that are said.
        grid = levels.reshape(-1, timbre.ORDERS, timbre.ZONES)
        by_sizes = np.zeros_like(grid)
        by_pitches = np.zeros_like(pitches)
        for order in range(timbre.ORDERS):
            (size, w), (sway, v) = self.strays[order], self.strays[timbre.ORDERS + order]
            log = np.clip(grid[order:, order], -6, 4) @ self.zones
            by_sizes[order:, order] = ((1 - size * np.exp(-log)) * w) @ self.zones.T
            by_pitches[order:, order] = ((1 - sway * np.exp(-np.clip(pitches[order:, order, None], -6, 6))) * v)[:, 0]
        rest = slice(self.cuts[5].start, None)
        out[:, rest] = (said[:, rest] - first[:, rest]) * np.float32(2 * HELD / frames)
        out[:, self.cuts[5]] += by_sizes.reshape(len(said), -1) * np.float32(STRAYS)
        out[:, self.cuts[6]] += by_pitches * np.float32(STRAYS)
        return out


def _strays(course: Floats, weight: npt.NDArray[np.floating]) -> list[tuple[Floats, Floats]]:
    """Size of what (frames, n) does beside its moving mean, and of its differences, each with weights that sum to 1 or less."""
    import scipy.ndimage  # a quarter of a second, which only refining needs

    mean = scipy.ndimage.uniform_filter1d(course, timbre.COURSE, axis=0, mode="nearest")
    sizes = [np.minimum(np.abs(np.diff(course - mean, order, axis=0)), 60) for order in range(timbre.ORDERS)]
    weights = [np.asarray(weight[order:] / max(float(weight[order:].sum()), 1.0), np.float32) for order in range(timbre.ORDERS)]
    return list(zip(sizes, weights, strict=True))
