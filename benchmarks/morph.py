"""What lies between two sounds, mix by mix: python benchmarks/morph.py [PAIRS]

For each pair of the shipped bank, on one key in the middle of both, notes at mixes 0, 1/4 ... 1 of four ways: sounds mixed as
time goes ("plain": straight lines between codes, as `Mixer` does where a codec cannot say levels), aligned along lines
and along arcs, and the ends' sounds laid over one another ("added"). Of each: how far the loudness falls below the softer end (dB);
the worst pitch (cents); rises of level by 3 dB after the first, which are second onsets; how far the onset's time goes against
the mix (ms, of monotone); how uneven the steps between mixes are in MFCC space (largest over mean), and how much longer the path
than the way (1: straight); and how bent the fall is, in dB off a straight line while it is held, beyond the more bent end.
"""

from __future__ import annotations

import itertools
import sys

import numpy as np
import scipy.fft
import scipy.signal

from nsynth_instrument import bundle
from nsynth_instrument.codes import Morph
from nsynth_instrument.dsp.align import onset
from nsynth_instrument.dsp.distance import spectrogram
from nsynth_instrument.dsp.envelope import HOP, levels
from nsynth_instrument.dsp.loudness import loudest
from nsynth_instrument.dsp.pitch import cents_off
from nsynth_instrument.instruments import read_bank
from nsynth_instrument.mixing import Mixer
from nsynth_instrument.notes import Note
from nsynth_instrument.runtimes import open_codec

PAIRS = (
    "piano strings", "guitar violin", "marimba choir", "harp organ", "pizzicato cello", "vibraphone flute", "koto shakuhachi",
    "bass trombone", "flute trumpet", "violin clarinet", "piano harpsichord", "marimba xylophone", "strings choir", "organ oboe",
    "kalimba pad", "saw cello",
)  # fmt: skip
MIXES = np.linspace(0, 1, 5)
RATE = 48000
HOLD = 3.0


class Deaf:
    """A codec that cannot say levels: what it plays is mixed as time goes."""

    def __init__(self, codec):
        self._codec = codec

    def __getattr__(self, name):
        return getattr(self._codec, name)

    def levels(self, codes, notes, *, detail=None):
        return None


def play(codec, bank, a, b, note, mix, *, spherical=False):
    mixed = Mixer(bank, codec, 125, spherical=spherical).mix([(Morph.between(a, b, float(mix)), note)])[0]
    return codec.decode([mixed.codes], [note], detail=[mixed.detail], level=[mixed.level], temperature=0)[0]


def mfcc(audio):
    """(frames, 12) of 40 mel bands, floored 70 dB under the loudest."""
    s = spectrogram(audio, 2048, 512) ** 2
    mel = 2595 * np.log10(1 + np.fft.rfftfreq(2048, 1 / RATE) / 700)
    centres = np.linspace(0, mel[-1], 42)
    bands = s @ np.maximum(0, 1 - np.abs(mel[:, None] - centres[1:-1]) / centres[1])
    db = 10 * np.log10(np.maximum(bands, bands.max() * 1e-7))
    return scipy.fft.dct(db, axis=1, norm="ortho")[:, 1:13]


def envelope(audio):
    """Level in dB every 5 ms, of 50 ms, down to 60 dB under the loudest."""
    level = levels(audio, window=2400)
    return np.maximum(level, level.max() - 60)


def rises(audio):
    """How often the level rises by 3 dB while the note is held, once it has begun."""
    level = scipy.ndimage.median_filter(envelope(audio)[: round(HOLD * RATE / HOP)], 13)
    begun = int(np.argmax(level > level.max() - 20))
    tops, _ = scipy.signal.find_peaks(level[begun:], prominence=3, plateau_size=(None, None))
    first = int(np.argmax(level[begun:] > level[begun:].max() - 3))
    return int(np.sum(tops > first + 10))


def bend(audio):
    """dB (root mean square) by which the level of a held note is off a straight line, down to 45 dB."""
    level = envelope(audio)[: round(HOLD * RATE / HOP)]
    part = level[int(np.argmax(level)) :]
    under = np.flatnonzero(part < part[0] - 45)
    part = part[: under[0]] if len(under) else part
    if len(part) < 20:
        return 0.0
    t = np.arange(len(part))
    return float(np.sqrt(np.mean((part - np.polyval(np.polyfit(t, part, 1), t)) ** 2)))


def judge(sounds, note):
    loud = [loudest(s) for s in sounds]
    start = [onset(envelope(s), round(HOLD * RATE / HOP)) * HOP / RATE * 1000 for s in sounds]
    order = np.sign(start[-1] - start[0]) * np.array(start)
    path = np.array([np.sqrt(np.square(a - b).sum(1)).mean() for a, b in itertools.pairwise(map(mfcc, sounds))])
    way = float(np.sqrt(np.square(mfcc(sounds[0]) - mfcc(sounds[-1])).sum(1)).mean())
    cents = [abs(cents_off(s, RATE, note.pitch)) for s in sounds]
    bends = [bend(s) for s in sounds]
    return (
        min(loud[0], loud[-1]) - min(loud), max(loud) - max(loud[0], loud[-1]), np.nanmax(cents), max(rises(s) for s in sounds[1:-1]),
        float(np.max(np.maximum.accumulate(order) - order)), path.max() / path.mean(), path.sum() / way,
        max(bends[1:-1]) - max(bends[0], bends[-1]), max(rises(sounds[0]), rises(sounds[-1])), start,
    )  # fmt: skip


def main(pairs):
    found = bundle.find("harmonic")
    bank, codec = read_bank(found), open_codec(found, threads=2)
    ways = {"plain": (Deaf(codec), False), "line": (codec, False), "arc": (codec, True), "added": (None, False)}
    rows = {way: [] for way in ways}
    print("pair                     way    dip dB  over dB  cents  rises  onset ms  uneven  path/way  bend dB")
    for pair in pairs:
        a, b = pair.split()
        low = max(bank[a].pitches.min(), bank[b].pitches.min())
        high = min(bank[a].pitches.max(), bank[b].pitches.max())
        note = Note(int(low + high) // 2, 100)
        ends = [play(codec, bank, a, b, note, m) for m in (0.0, 1.0)]
        for way, (how, spherical) in ways.items():
            if how is None:
                sounds = [np.sqrt(1 - m) * ends[0] + np.sqrt(m) * ends[1] for m in MIXES]
            else:
                sounds = [ends[0], *(play(how, bank, a, b, note, m, spherical=spherical) for m in MIXES[1:-1]), ends[1]]
            r = judge(sounds, note)
            rows[way].append(r[:8])
            own = f"  ends rise {r[8]}; onsets {' '.join(f'{s:.0f}' for s in r[9])}"
            print(f"{pair:24s} {way:6s}" + "{:7.1f} {:8.1f} {:6.2f} {:6d} {:9.0f} {:7.2f} {:9.2f} {:8.1f}".format(*r[:8]) + own, flush=True)
    for way, r in rows.items():
        print(f"{'median':24s} {way:6s}" + "{:7.1f} {:8.1f} {:6.2f} {:6.0f} {:9.0f} {:7.2f} {:9.2f} {:8.1f}".format(*np.median(r, axis=0)))
        print(f"{'worst':24s} {way:6s}" + "{:7.1f} {:8.1f} {:6.2f} {:6.0f} {:9.0f} {:7.2f} {:9.2f} {:8.1f}".format(*np.max(r, axis=0)))


if __name__ == "__main__":
    main(sys.argv[1:] or PAIRS)
