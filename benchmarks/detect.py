"""Which pitch is heard in notes whose key is known: this program's detector beside swift-f0.

    python benchmarks/detect.py SET [NOTES]

SET is a folder in the NSynth format; NOTES (default 4) are drawn of each instrument, the same ones each time. Wrong is
more than half a semitone off; swift-f0 hears 46.9 to 2093 Hz, so both are counted there too. Its answer for a note is the
median of the frames that it calls voiced.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nsynth_instrument.audio import Audio, resample
from nsynth_instrument.dataset.nsynth import Dataset
from nsynth_instrument.dsp.detect import RATE, detect
from nsynth_instrument.notes import hz, midi

LOW, HIGH = midi(46.9), midi(2093.0)


def ours(audio: Audio) -> float:
    found = detect(audio)
    return found.pitch if found and found.clear else float("nan")


def swift() -> Callable[[Audio], float]:
    from swift_f0 import SwiftF0

    model = SwiftF0()

    def hear(audio: Audio) -> float:
        result = model.detect(resample(audio, RATE, 16000), 16000)
        sure = np.asarray(result.confidence) >= 0.5
        return midi(float(np.median(np.asarray(result.pitch_hz)[sure]))) if sure.any() else float("nan")

    return hear


def table(name: str, rows: list[tuple[str, int, float]], took: float) -> None:
    print(f"\n{name}: {1000 * took / len(rows):.0f} ms a note")
    print(f"{'':12} {'notes':>6} {'none':>5} {'wrong':>6} {'octave':>7} {'cents: median':>14} {'9 in 10':>8}")
    groups: dict[str, list[float]] = defaultdict(list)
    for family, pitch, off in rows:
        groups[family].append(off)
        groups["all"].append(off)
        if LOW <= pitch <= HIGH:
            groups["46.9..2093 Hz"].append(off)
    for group in sorted(groups, key=lambda g: (g in ("all", "46.9..2093 Hz"), g)):
        off = np.array(groups[group])
        heard = off[np.isfinite(off)]
        right = np.abs(heard[np.abs(heard) < 0.5]) * 100
        octave = np.sum(np.abs(np.abs(heard) - 12 * np.round(np.abs(heard) / 12)) < 0.5) - len(right)
        cents = (np.median(right), np.quantile(right, 0.9)) if len(right) else (np.nan, np.nan)
        print(
            f"{group:13} {len(off):5} {len(off) - len(heard):5} {len(heard) - len(right):6} {octave:7} "
            f"{cents[0]:14.1f} {cents[1]:8.1f}"
        )


def main() -> None:
    notes, count = Dataset.open(Path(sys.argv[1])), int(sys.argv[2]) if len(sys.argv) > 2 else 4
    rng = np.random.default_rng(0)
    chosen = [
        notes[int(i)]
        for places in notes.instruments.values()
        for i in rng.choice(places, min(count, len(places)), replace=False)
    ]
    sounds = [(n.instrument_family_str, n.pitch, resample(n.audio(), n.sample_rate, RATE)) for n in chosen]
    print(f"{len(sounds)} notes, keys {min(s[1] for s in sounds)} to {max(s[1] for s in sounds)}, {hz(69):g} Hz = 69")
    for name, hear in (("this program", ours), ("swift-f0", swift())):
        hear(sounds[0][2])
        start = time.perf_counter()
        rows = [(family, pitch, hear(audio) - pitch) for family, pitch, audio in sounds]
        table(name, rows, time.perf_counter() - start)


if __name__ == "__main__":
    main()
