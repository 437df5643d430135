"""Phases for magnitudes that have none: by iteration, by integration of their gradient, or along a known pitch.

Phases are those of frames whose FFT begins with the frame, as `dsp.stft` has them; magnitudes (frames, bins).
"""

from __future__ import annotations

import heapq

import numba
import numpy as np
import numpy.typing as npt

from .stft import istft, stft

Floats = npt.NDArray[np.float32]

GAUSSIAN = 0.25645
"""Of the square of its length: the width of the Gaussian that is nearest to Hann's window (Prusa & Sondergaard 2016, table 1)."""
QUIET = 1e-4
"""Of the loudest bin; a quieter one gets any phase."""
NEAR = 40.0
"""cents around a harmonic of the known pitch within which a peak is that harmonic; half a bin, where that is more."""


def griffin_lim(
    magnitude: Floats,
    phase: Floats,
    hop: int,
    samples: int,
    *,
    iterations: int,
    momentum: float = 0.0,
    lead: int | None = None,
) -> Floats:
    """Audio (samples,) by alternating projections from a first phase (Griffin & Lim 1984); the published baseline takes 1000.

    momentum 0.99 is the fast variant (Perraudin et al. 2013).
    """
    size = 2 * (magnitude.shape[1] - 1)
    spectra = (magnitude * np.exp(1j * phase)).astype(np.complex64)
    before = np.zeros((), np.complex64)
    audio = istft(spectra, hop, samples, lead=lead)
    for _ in range(iterations - 1):
        now = stft(audio, size, hop, lead=lead)
        leap = now + np.float32(momentum) * (now - before) if momentum else now
        spectra = np.asarray(magnitude * leap / np.maximum(np.abs(leap), np.float32(1e-9)), dtype=np.complex64)
        before = now
        audio = istft(spectra, hop, samples, lead=lead)
    return audio


def integrate(magnitude: Floats, hop: int, rng: np.random.Generator) -> Floats:
    """Phases by phase gradient heap integration (Prusa, Balazs & Sondergaard 2017, algorithm 1).

    Under a Gaussian window the phase's slopes are those of the log magnitude; they are summed outwards from each loudest bin.
    """
    size = 2 * (magnitude.shape[1] - 1)
    gamma = GAUSSIAN * size * size
    log = np.log(np.maximum(magnitude, magnitude.max() * np.float32(1e-7) + np.float32(1e-20)))
    bins = np.arange(magnitude.shape[1])
    along = 2 * np.pi * hop * bins / size + hop * size / gamma * np.gradient(log, axis=1)
    across = -np.pi - gamma / (hop * size) * np.gradient(log, axis=0)
    phase = rng.uniform(0, 2 * np.pi, magnitude.shape)
    order = np.argsort(-magnitude, axis=None)
    _integrate(magnitude, along, across, order, float(magnitude.max()) * QUIET, phase)
    return np.asarray(np.mod(phase, 2 * np.pi), dtype=np.float32)


@numba.njit(cache=True, nogil=True)
def _integrate(magnitude, along, across, order, least, phase):  # type: ignore[no-untyped-def]
    frames, bins = magnitude.shape
    known = np.zeros((frames, bins), np.bool_)
    for flat in order:
        n, m = flat // bins, flat % bins
        if magnitude[n, m] < least:
            break
        if known[n, m]:
            continue
        known[n, m] = True
        heap = [(-magnitude[n, m], n, m)]
        while len(heap):
            _, i, j = heapq.heappop(heap)
            for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                a, b = i + di, j + dj
                if 0 <= a < frames and 0 <= b < bins and not known[a, b] and magnitude[a, b] >= least:
                    known[a, b] = True
                    slope = di * (along[i, j] + along[a, b]) / 2 + dj * (across[i, j] + across[a, b]) / 2
                    phase[a, b] = phase[i, j] + slope
                    heapq.heappush(heap, (-magnitude[a, b], a, b))


def advance(magnitude: Floats, hop: int, f0: float, rng: np.random.Generator) -> Floats:
    """Phases that advance along a known pitch: f0 in cycles per sample.

    Each spectrum is cut into the surroundings of its peaks, and all bins of one turn together (identity phase locking,
    Laroche & Dolson 1999, section 3). A peak near a harmonic of f0 turns at exactly that frequency, another at its own,
    found by a parabola.
    """
    phase = rng.uniform(0, 2 * np.pi, magnitude.shape)
    _advance(np.log(np.maximum(magnitude, 1e-20)), hop, f0, 2 ** (NEAR / 1200) - 1, phase)
    return np.asarray(phase, dtype=np.float32)


@numba.njit(cache=True, nogil=True)
def _advance(log, hop, f0, near, phase):  # type: ignore[no-untyped-def]
    frames, bins = log.shape
    size = 2 * (bins - 1)
    for n in range(frames):
        begin = 0
        peak = -1
        for m in range(1, bins):
            last = m == bins - 1
            top = not last and log[n, m] >= log[n, m - 1] and log[n, m] > log[n, m + 1]
            if not (top or last):
                continue
            if peak >= 0:
                # Up to the lowest bin between two peaks all belong to the first.
                end = bins
                if not last:
                    end = peak
                    for k in range(peak, m):
                        if log[n, k] < log[n, end]:
                            end = k
                _turn(log, n, begin, end, peak, hop, f0, near, size, phase)
                begin = end
            if top:
                peak = m


@numba.njit(cache=True, nogil=True)
def _turn(log, n, begin, end, peak, hop, f0, near, size, phase):  # type: ignore[no-untyped-def]
    """Bins begin..end of frame n, whose peak is given: its phase goes on from the frame before, theirs alternate around it."""
    a, b, c = log[n, peak - 1], log[n, peak], log[n, peak + 1]
    bend = a - 2 * b + c
    at = (peak + (0.5 * (a - c) / bend if bend < -1e-9 else 0.0)) / size
    order = max(1.0, np.rint(at / f0))
    if abs(at - order * f0) < max(near * order * f0, 0.5 / size):
        at = order * f0
    if n:
        turned = phase[n - 1, peak] + 2 * np.pi * hop * at
        # The peak's own bin may have been another parity of the lobe before; both are phases of the same sine.
        phase[n, peak] = turned - 2 * np.pi * np.floor(turned / (2 * np.pi))
    for k in range(begin, end):
        phase[n, k] = phase[n, peak] + np.pi * ((k - peak) % 2)
