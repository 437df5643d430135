"""Ways to find phases for magnitudes, side by side: python benchmarks/phase.py SET [MODEL] [NOTES]

First on the magnitudes of real notes: spectral convergence (dB), how far the pitch moves from the recording's and from its key
(cents, median and 9 in 10), log-spectral and multi-resolution distance to the recording, s of processor time a note of 4 s.
Then, given a spectral MODEL, on the magnitudes that it says of the same notes, where only the key is known.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np

from nsynth_instrument import audio, bundle
from nsynth_instrument.dataset.nsynth import Dataset
from nsynth_instrument.dsp import phase
from nsynth_instrument.dsp.distance import log_spectral_distance, multi_resolution
from nsynth_instrument.dsp.pitch import cents_off
from nsynth_instrument.dsp.spectra import HOP, LEAD, RATE, SIZE
from nsynth_instrument.dsp.stft import stft
from nsynth_instrument.notes import Note, hz
from nsynth_instrument.runtimes import open_codec

SAMPLES = 64000


def ways(magnitude, pitch):
    """Names and what makes the sound."""

    def rng():
        return np.random.default_rng(0)

    def back(start, iterations, momentum=0.99):
        return phase.griffin_lim(magnitude, start, HOP, SAMPLES, iterations=iterations, momentum=momentum, lead=LEAD)

    def drawn():
        return rng().uniform(0, np.pi, magnitude.shape).astype(np.float32)

    yield "Griffin-Lim, 1000, as published", lambda: back(drawn(), 1000, 0.0)
    yield "fast Griffin-Lim, 100", lambda: back(drawn(), 100)
    for name, start in (
        ("gradient integrated", lambda: phase.integrate(magnitude, HOP, rng())),
        ("along the known pitch", lambda: phase.advance(magnitude, HOP, hz(pitch) / RATE, rng())),
    ):
        yield name, lambda start=start: back(start(), 1)
        for n in (4, 16, 32):
            yield f"{name}, then fast G-L {n}", lambda start=start, n=n: back(start(), 1 + n)


def measured(magnitude, made, heard, pitch, seconds):
    gap = np.linalg.norm(np.abs(stft(made, SIZE, HOP, lead=LEAD)) - magnitude) / np.linalg.norm(magnitude)
    off, own = cents_off(made, RATE, pitch), cents_off(heard, RATE, pitch)
    return [20 * np.log10(gap), abs(off - own), abs(off), log_spectral_distance(heard, made), multi_resolution(heard, made), seconds]


def show(title, found):
    print(f"\n{title}\n{'':36}  conv dB   moved c  (9/10)  off key c  (9/10)  LSD dB  multi   s/note")
    for name, rows in found.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            r = np.array(rows)
            mean, median, ninth = r.mean(axis=0), np.nanmedian(r, axis=0), np.nanquantile(r, 0.9, axis=0)
        print(
            f"{name:36}  {mean[0]:7.1f}  {median[1]:8.2f}  {ninth[1]:6.2f}  {median[2]:9.2f}  {ninth[2]:6.2f}"
            f"  {mean[3]:6.2f}  {mean[4]:5.3f}  {median[5]:7.3f}"
        )


def main():
    data = Dataset.open(Path(sys.argv[1]))
    codec = open_codec(bundle.find(sys.argv[2]), threads=1) if len(sys.argv) > 2 and sys.argv[2] != "-" else None
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 24
    held = [n for n in data if n.split != "train" and n.velocity > 25]
    real, said = {}, {}
    for i in np.random.default_rng(0).choice(len(held), count, replace=False):
        e = held[i]
        heard = audio.fit(audio.resample(e.audio(), e.sample_rate, RATE), SAMPLES)
        sources = [(real, np.abs(stft(heard, SIZE, HOP, lead=LEAD)))]
        if codec:
            note = Note(e.pitch, e.velocity)
            sources.append((said, codec.magnitudes(codec.encode([heard], [note]), [note])[0]))
        for found, magnitude in sources:
            for name, make in ways(magnitude, e.pitch):
                began = time.process_time()
                made = make()
                found.setdefault(name, []).append(measured(magnitude, made, heard, e.pitch, time.process_time() - began))
    show(f"magnitudes of {count} notes", real)
    if codec:
        show(f"magnitudes that {sys.argv[2]} says of them", said)


main()
