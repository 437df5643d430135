"""Features of a note: a peak in every slot, what lies between the peaks, and how it begins.

Frequencies are reassigned (Auger & Flandrin 1995).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numba
import numpy as np
import numpy.typing as npt
import scipy.fft

from ..notes import hz
from .partials import ATTACK, BAND_EDGES, HIGHEST, HOP, PIECES, QUIETEST, RATE, SILENCE, SLOTS, Floats, Partials, slots_for

SKIRTS = (31, 0.8)
"""Frames, and the share of those around one in which a slot hears another slot's partial, from which on that is a partial."""


def analyse(
    audio: Floats, pitch: float, *, f0: float | None = None, sine_periods: float = 4.0,
    noise_periods: tuple[float, ...] = (16.0, 40.0),
) -> Partials:  # fmt: skip
    """Features of a mono note at RATE whose sounding pitch is near MIDI `pitch`; its onset is at frame 0.

    f0 in Hz is measured within +-80 cents of the pitch unless given. Windows last that many periods, but
    at least 1024 samples for sines (2048 for noise). What swells or trembles counts as noise in a short window, what begins
    or ends in a long one: noise is the least that windows of several lengths find.
    """
    import scipy.ndimage  # a quarter of a second, which playing does not need

    audio = np.ascontiguousarray(audio, dtype=np.float32)
    frames = -(-len(audio) // HOP)
    if f0 is None:
        f0 = measure_f0(audio, pitch)
    slots = slots_for(f0)
    spectra, size, share = _spectra(audio, frames, HOP, sine_periods * RATE / f0, 1024)
    amplitude, frequency, skirt = _peaks(spectra, size, share, f0, np.zeros((frames, slots), np.bool_))
    # Heard by two slots, a partial near the edge between them is two that beat; of noise, which does so now and then, all counts.
    often = scipy.ndimage.uniform_filter1d(skirt.astype(np.float32), SKIRTS[0], axis=0, mode="nearest")
    amplitude, frequency, _ = _peaks(spectra, size, share, f0, often > SKIRTS[1])
    density, noise = between(audio, f0, noise_periods)
    # The noise under a peak takes part in it; three times its mean power is what a peak search finds in noise alone.
    per_bin = size * 0.375 * RATE / 2 * (2 / (0.5 * size)) ** 2
    under = density[:, 1 : slots + 1] * per_bin
    amplitude *= np.sqrt(np.clip(1 - 3 * under / np.maximum(amplitude**2, 1e-20), 0, 1))

    k = np.arange(1, slots + 1, dtype=np.float32)
    deviation = _deviation(amplitude, frequency, f0, k)
    common = (f0 * 2 ** (deviation / 1200)).astype(np.float32)
    level = np.full((frames, SLOTS), SILENCE, np.float32)
    level[:, :slots] = np.maximum(20 * np.log10(np.maximum(amplitude, 1e-7)), SILENCE)
    offset = np.zeros((frames, SLOTS), np.float32)
    offset[:, :slots] = np.clip((frequency - k * common[:, None]) / f0, -0.5, 0.5)
    note = Partials(f0, level, offset, noise, deviation)
    return replace(note, attack=attack(audio, note))


def between(audio: Floats, f0: float, periods: tuple[float, ...]) -> tuple[Floats, Floats]:
    """What lies between the harmonics of f0 in Hz, the least that windows of so many periods find.

    One-sided density in each slot, (frames, slots + 1) per Hz, and in each band, (frames, BANDS) dB re 1/Hz.
    """
    # Of high notes the windows are one.
    found = [_noise(audio, -(-len(audio) // HOP), f0, n) for n in {_size(p * RATE / f0, 2048) for p in periods}]
    density, above = np.minimum.reduce([d for d, _ in found]), found[0][1]
    noise = 10 * np.log10(np.maximum(density @ _band_matrix(f0, above), 10 ** (QUIETEST / 10)))
    return density, np.asarray(noise, np.float32)


def attack(audio: Floats, note: Partials) -> Floats:
    """Level (ATTACK,) in dB of a note's first parts against what its partials and noise add up to there, in -40..10.

    Both smoothed over a period of the note, at least 2 ms: what happens within a period is waveform, not attack.
    """
    part = HOP // PIECES
    total = (ATTACK + 2) * part
    length = 2 * round(max(2 * part, RATE / note.f0) / 2)
    window = np.hanning(length + 2)[1:-1]
    window /= window.sum()
    frames = min(total // HOP + 2, len(note))
    power = (10 ** (note.level[:frames] / 10) * (note.level[:frames] > SILENCE + 1)).sum(axis=1) / 2
    power += 10 ** (note.noise[:frames] / 10) @ np.diff(BAND_EDGES)
    course = np.interp(np.arange(total), np.arange(frames) * HOP, np.sqrt(power)) ** 2
    heard = np.zeros(total)
    heard[: len(audio)] = audio[:total].astype(np.float64) ** 2
    centres = np.arange(ATTACK) * part + part // 2 + length // 2
    told, there = (np.convolve(x, window)[centres] for x in (course, heard))
    # What lies 60 dB under the onset's loudest is as good as nothing, and nothing against nothing is 0 dB.
    least = 1e-6 * max(told.max(), there.max()) + 1e-14
    return np.asarray(np.clip(10 * np.log10((there + least) / (told + least)), -40, 10), dtype=np.float32)


def measure_f0(audio: Floats, pitch: float, *, within: float = 80.0, step: int = 4 * HOP) -> float:
    """Fundamental in Hz: the energy-weighted median over time and the harmonics up to the tenth, within +-`within` cents.

    step: samples between looks.
    """
    nominal = hz(pitch)
    count = max(1, min(10, int(HIGHEST / nominal)))
    spectra, size, share = _spectra(audio, -(-len(audio) // step), step, 12 * RATE / nominal, 4096)
    amplitude, frequency, _ = _peaks(spectra, size, share, nominal, np.zeros((len(spectra), count), np.bool_))
    k = np.arange(1, count + 1)
    cents = 1200 * np.log2(np.maximum(frequency, 1) / (k * nominal))
    weight = amplitude.astype(np.float64) ** 2 / np.sqrt(k) * (np.abs(cents) < within)
    # Windows that hang over an end see half a sound, and the onset's frequency is not yet the note's.
    inside = (share > 0.999) & (np.arange(len(share)) * step + size // 2 <= len(audio))
    if inside.any():
        weight[~inside] = 0
    flat = weight.ravel()
    if flat.sum() <= 0:
        return nominal
    order = np.argsort(cents.ravel())
    total = np.cumsum(flat[order])
    return float(nominal * 2 ** (cents.ravel()[order][np.searchsorted(total, total[-1] / 2)] / 1200))


def _deviation(amplitude: Floats, frequency: Floats, f0: float, k: Floats) -> Floats:
    """Common deviation in cents per frame: energy-weighted over the first twelve harmonics, smoothed over three frames."""
    low = min(12, len(k))
    cents = 1200 * np.log2(np.maximum(frequency[:, :low], 1) / (k[:low] * f0))
    weight = amplitude[:, :low].astype(np.float64) ** 2 * (np.abs(cents) < 80)
    smooth = np.array([0.25, 0.5, 0.25])
    top = np.convolve((weight * cents).sum(axis=1), smooth, "same")
    bottom = np.convolve(weight.sum(axis=1), smooth, "same")
    return np.where(bottom > 1e-12, top / np.maximum(bottom, 1e-12), 0).astype(np.float32)


def _size(wanted: float, least: int) -> int:
    """Samples of a window: an even number that is transformed fast."""
    size = int(scipy.fft.next_fast_len(max(int(wanted), least), real=True))
    return size + size % 2


def _spectra(
    audio: Floats, frames: int, step: int, wanted: float, least: int
) -> tuple[npt.NDArray[np.complex64], int, Floats]:
    """Unwindowed spectra (frames, size // 2 + 1) centred on multiples of `step`; size; share of a Hann window after 0."""
    size = _size(wanted, least)
    padded = np.concatenate([np.zeros(size // 2, np.float32), audio, np.zeros(size + step, np.float32)])
    view = np.lib.stride_tricks.sliding_window_view(padded, size)[::step][:frames]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    total = np.concatenate([[0.0], np.cumsum(hann)])
    first = np.clip(size // 2 - np.arange(frames) * step, 0, size)
    return scipy.fft.rfft(view, axis=1), size, ((total[-1] - total[first]) / total[-1]).astype(np.float32)


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _peaks(spectra, size, share, f0, own):  # type: ignore[no-untyped-def]
    """Amplitude and reassigned frequency (Hz) of the highest Hann-windowed bin in each slot, and whether it is a skirt, of a
    partial beyond the slot; where own (frames, slots) asks for it, of the highest that is none.

    A Hann window and its derivative are sums of three shifted rectangles, so one unwindowed transform gives both.
    """
    frames, bins = spectra.shape
    slots = own.shape[1]
    amplitude = np.empty((frames, slots), np.float32)
    frequency = np.empty((frames, slots), np.float32)
    skirt = np.zeros((frames, slots), np.bool_)
    power = np.zeros(bins, np.float32)
    width = f0 * size / 48000.0
    last = min(bins - 2, math.ceil((slots + 0.5) * width))
    for t in range(frames):
        r = spectra[t]
        first = max(1, math.ceil(0.5 * width) - 1)
        for b in range(first, min(bins - 2, last + 1) + 1):
            re = 0.5 * r[b].real - 0.25 * (r[b - 1].real + r[b + 1].real)
            im = 0.5 * r[b].imag - 0.25 * (r[b - 1].imag + r[b + 1].imag)
            power[b] = re * re + im * im
        for k in range(slots):
            low = max(1, math.ceil((k + 0.5) * width))
            high = min(last + 1, math.ceil((k + 1.5) * width))
            if low >= high:
                amplitude[t, k] = 0.0
                frequency[t, k] = (k + 1) * f0
                continue
            best, least, peak = low, low, -1
            for b in range(low, high):
                if power[b] > power[best]:
                    best = b
                if power[b] < power[least]:
                    least = b
                if power[b] >= max(power[b - 1], power[b + 1]) and (peak < 0 or power[b] > power[peak]):
                    peak = b
            skirt[t, k] = best != peak
            if own[t, k] and peak < 0:  # nothing is there: no more than in the slot's quietest bin
                amplitude[t, k] = 4.0 * math.sqrt(power[least]) / size / share[t]
                frequency[t, k] = least * 48000.0 / size
                continue
            if own[t, k]:
                best = peak
            p = max(power[best], np.float32(1e-20))
            x = np.float32(0.5) * r[best] - np.float32(0.25) * (r[best - 1] + r[best + 1])
            # d/dn of the window: (pi / N) (R[b-1] - R[b+1]) / 2i
            d = (r[best - 1] - r[best + 1]) * np.float32(0.5 * math.pi / size)
            shift = -(-d.real * x.real - d.imag * x.imag) / p  # Im(d / i * conj(x)) = -Re(d conj(x))
            shift = shift * size / (2 * math.pi)
            shift = min(1.0, max(-1.0, shift))
            # the Hann window's own spectrum between bins: sinc(d) / (1 - d^2)
            if abs(abs(shift) - 1) < 1e-3:
                gain = 0.5
            elif abs(shift) < 1e-6:
                gain = 1.0
            else:
                gain = math.sin(math.pi * shift) / (math.pi * shift) / (1 - shift * shift)
            amplitude[t, k] = 4.0 * math.sqrt(p) / size / gain / share[t]
            frequency[t, k] = (best + shift) * 48000.0 / size
    return amplitude, frequency, skirt


def _noise(audio: Floats, frames: int, f0: float, size: int) -> tuple[Floats, int]:
    """One-sided density (frames, slots + 1) around 0 and each harmonic up to HIGHEST, and the number of those harmonics.

    size: samples of a window. Under SLOTS the mean of the lower half of a slot's bins, scaled to the mean of noise alone; above,
    where no oscillator takes the tone away, the plain mean.
    """
    padded = np.concatenate([audio, np.zeros(max(0, 2 * size - len(audio)), np.float32)])
    # A quarter of a window is step enough: what lies between is interpolated.
    every = max(1, min(8, round(size / 4 / HOP)))
    centres = np.unique(np.append(np.arange(0, frames, every), frames - 1))
    starts = np.clip(centres * HOP - size // 2, 0, len(padded) - size)
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    spectra = scipy.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, size)[starts] * hann, axis=1)
    found, above = _densities(spectra, size, f0, 2.0 / (RATE * float((hann**2).sum())))
    right = np.minimum(np.searchsorted(centres, np.arange(frames), side="right"), len(centres) - 1)
    left = np.maximum(right - 1, 0)
    part = np.clip((np.arange(frames) - centres[left]) / np.maximum(centres[right] - centres[left], 1), 0, 1).astype(np.float32)
    return found[left] * (1 - part[:, None]) + found[right] * part[:, None], above


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _densities(spectra, size, f0, scale):  # type: ignore[no-untyped-def]
    frames, bins = spectra.shape
    above = int(20000.0 / f0)
    out = np.empty((frames, above + 1), np.float32)
    width = f0 * size / 48000.0
    slot = np.empty(int(width) + 3, np.float32)
    for t in range(frames):
        r = spectra[t]
        for k in range(above):
            low = math.ceil((k + 0.5) * width)
            high = min(bins, math.ceil((k + 1.5) * width))
            n = high - low
            for b in range(n):
                c = r[low + b]
                slot[b] = (c.real * c.real + c.imag * c.imag) * scale
            if k < 192:
                half = max(n // 2, 1)
                for i in range(1, n):  # a few dozen values at the most: insertion beats any partition
                    v = slot[i]
                    j = min(i, half)
                    while j > 0 and slot[j - 1] > v:
                        slot[j] = slot[j - 1]
                        j -= 1
                    slot[j] = v
                # 0.307 is the mean of the lower half of unit-mean exponential values
                out[t, k + 1] = slot[:half].mean() / 0.307
            else:
                out[t, k + 1] = slot[:n].mean()
        low = int(0.5 * width)
        if low > 3:
            least = np.float32(np.inf)
            for b in range(max(1, low // 4), max(2, low - 2)):
                c = r[b]
                least = min(least, (c.real * c.real + c.imag * c.imag) * scale)
            out[t, 0] = least
        else:
            out[t, 0] = out[t, 1]
    return out, above


def _band_matrix(f0: float, above: int) -> Floats:
    """(above + 1, BANDS): how much of each band each slot fills; columns sum to 1."""
    low = (np.arange(above + 1) - 0.5) * f0
    high = low + f0
    low[0], high[-1] = 0, max(high[-1], HIGHEST + 1)
    overlap = np.maximum(0, np.minimum(high[:, None], BAND_EDGES[1:]) - np.maximum(low[:, None], BAND_EDGES[:-1]))
    return np.asarray(overlap / np.maximum(overlap.sum(axis=0), 1e-9), dtype=np.float32)
