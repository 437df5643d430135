"""Loop finders side by side, on notes held 3 s: a pack rendered with --no-loops, or a folder of `NAME-PITCH-VELOCITY.wav`.

    python benchmarks/loops.py FOLDER [--every 1]

Ours; a plain one, as sample editors have it (the upward zero crossing whose next 20 ms are most like those after the
start, no blend); and, where `pip install pymusiclooper` has been, PyMusicLooper's best pair (it looks for beats, and
is named here because it is the loop finder that PyPI has). Prints for each how many notes got a loop, how many of
those hold all four criteria of `dsp.loops.Seam`, and the median and worst of each. Notes that `sustains` calls
decaying are left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nsynth_instrument.audio import read
from nsynth_instrument.dsp.loops import bake, find_loop, sustains
from nsynth_instrument.dsp.seams import Seam, judge
from nsynth_instrument.notes import hz
from nsynth_instrument.pack import SamplePack

HOLD = 3.0
Finder = Callable[[Path, np.ndarray, int, float], tuple[np.ndarray, int, int] | None]


def ours(path: Path, audio: np.ndarray, rate: int, f0: float) -> tuple[np.ndarray, int, int] | None:
    found = find_loop(audio, rate, f0, hold_seconds=HOLD)
    return None if found is None else (bake(audio, found), found.start, found.end)


def plain(path: Path, audio: np.ndarray, rate: int, f0: float) -> tuple[np.ndarray, int, int] | None:
    crossings = np.flatnonzero((audio[:-1] < 0) & (audio[1:] >= 0)) + 1
    width = rate // 50
    starts = crossings[crossings > 1.5 * rate]
    ends = crossings[(crossings > 2.2 * rate) & (crossings < HOLD * rate - width)]
    if not len(starts) or not len(ends):
        return None
    model = audio[starts[0] : starts[0] + width]
    likeness = [float(model @ audio[e : e + width]) for e in ends]
    return audio, int(starts[0]), int(ends[int(np.argmax(likeness))]) - 1


def musiclooper(path: Path, audio: np.ndarray, rate: int, f0: float) -> tuple[np.ndarray, int, int] | None:
    from pymusiclooper.core import MusicLooper
    from pymusiclooper.exceptions import LoopNotFoundError

    try:
        looper = MusicLooper(str(path))
        pairs = looper.find_loop_pairs(min_loop_duration=0.25, max_loop_duration=1.5)
    except LoopNotFoundError:
        return None
    return audio, int(pairs[0].loop_start), int(pairs[0].loop_end) - 1


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--every", type=int, default=1)
    chosen = options.parse_args()
    notes = []
    if (chosen.folder / "pack.json").exists():
        files = [(chosen.folder / z.file, z.root) for z in SamplePack.load(chosen.folder).zones]
    else:
        files = [(path, int(path.stem.split("-")[-2])) for path in sorted(chosen.folder.rglob("*.wav"))]
    for path, key in files[:: chosen.every]:
        audio, rate = read(path)
        if sustains(audio, rate, hold_seconds=HOLD):
            notes.append((path, audio, rate, hz(key)))
    print(f"{len(notes)} notes that sustain")
    finders: dict[str, Finder] = {"ours": ours, "plain": plain}
    try:
        import pymusiclooper  # noqa: F401

        finders["PyMusicLooper"] = musiclooper
    except ImportError:
        pass
    for name, finder in finders.items():
        begun = time.process_time()
        found = [(finder(path, audio, rate, f0), rate, f0) for path, audio, rate, f0 in notes]
        each = 1000 * (time.process_time() - begun) / len(notes)
        seams: list[Seam] = []
        for loop, rate, f0 in found:
            if loop is not None and loop[2] - loop[1] > rate // 50:
                seams.append(judge(loop[0], rate, loop[1], loop[2], f0))
        print(f"\n{name}: {len(seams)} loops, {sum(s.seamless for s in seams)} hold all criteria; {each:.0f} ms a note")
        rows = {
            "step / limit": [s.step / max(s.largest_step, 1e-9) for s in seams],
            "ripple, dB (0.5)": [s.ripple for s in seams],
            "pitch / limit": [abs(s.cents) / (0.05 + s.doubt) for s in seams],
            "timbre / inside": [s.distance / max(s.inside, 0.1) for s in seams],
        }
        for what, values in rows.items():
            if values:
                print(f"  {what:<22} median {np.median(values):8.3f}   worst {np.max(values):8.3f}")


if __name__ == "__main__":
    main()
