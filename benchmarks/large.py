"""What a set of the published size takes: python benchmarks/large.py SET FILE.tfrecord [ITEM...]

Makes FILE, unless it is there, with 289,205 notes of 953 instruments, 74 GB: those that `evaluate` draws first and one instrument
are sounds of SET, the rest is silence in holes of the file, which takes 2 GB of a disk whose file system has holes. Then
runs the commands on it, or the ITEMs named, and prints for each what it said, its time and its most memory resident.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NOTES, INSTRUMENTS = 289205, 953
SAMPLES = 64000
DRAWN = 2000
"""Notes with sound, in the order in which `evaluate` draws them."""


def make(source: Path, path: Path) -> None:
    """Write the set."""
    import struct
    from dataclasses import replace

    import numpy as np

    from nsynth_instrument.audio import fit, resample
    from nsynth_instrument.dataset import crc, tfrecord
    from nsynth_instrument.dataset.example import FAMILIES, from_entry
    from nsynth_instrument.dataset.nsynth import Dataset
    from nsynth_instrument.evaluate.recordings import draw

    silence = np.zeros(SAMPLES, np.float32)
    hole = bytes(silence)
    notes = []
    for i in range(INSTRUMENTS):
        name = f"{FAMILIES[i % 11]}_synthetic_{i:03d}"
        for k in range(NOTES // INSTRUMENTS + (i < NOTES % INSTRUMENTS)):
            pitch, velocity = 24 + k % 61, (25, 50, 75, 100, 127)[k // 61]
            about = {
                "note": len(notes),
                "instrument": i,
                "pitch": pitch,
                "velocity": velocity,
                "instrument_family": i % 11,
                "instrument_source": 2,
            }
            notes.append(from_entry(f"{name}-{pitch:03d}-{velocity:03d}", about | {"instrument_str": name}, lambda: silence))
    real = {n.note_str for n in draw(notes, DRAWN, 0)} | {n.note_str for n in notes if n.instrument == INSTRUMENTS // 2}
    there: dict[int, list] = {}
    for n in Dataset.open(source):
        there.setdefault(n.pitch, []).append(n)
    rng = np.random.default_rng(0)

    def recorded(pitch: int):
        own = there[min(there, key=lambda p: abs(p - pitch))]
        n = own[rng.integers(len(own))]
        return fit(resample(n.audio(), n.sample_rate, 16000), SAMPLES)

    with path.open("wb") as f:
        for n in notes:
            sounds = n.note_str in real
            data = tfrecord._encoded(replace(n, load=lambda n=n: recorded(n.pitch)) if sounds else n)
            length = struct.pack("<Q", len(data))
            record = length + struct.pack("<I", crc.masked(length)) + data + struct.pack("<I", crc.masked(data))
            if sounds:
                f.write(record)
                continue
            at = record.find(hole)
            f.write(record[:at])
            f.seek(len(hole), os.SEEK_CUR)
            f.write(record[at + len(hole) :])


def run(title: str, order: list[str], home: str) -> None:
    """Time and memory of one command, of the largest of its processes; this process is small, since a child begins with its peak."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [sys.executable, "-m", "nsynth_instrument", *order],
            stdout=said,
            stderr=said,
            env={**os.environ, "NSYNTH_INSTRUMENT_HOME": home},
        )
        _, code, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(code)
        took = time.perf_counter() - began
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
    print(f"\n== {title}: nsynth-instrument {' '.join(order)}")
    print(*(lines if len(lines) < 12 else [*lines[:4], "...", *lines[-6:]]), sep="\n")
    print(
        f"== exit {child.returncode}, {took:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processor time, "
        f"{used.ru_maxrss / 1024:.0f} MB resident at most",
        flush=True,
    )


def main() -> None:
    source, path, *wanted = sys.argv[1:]
    if wanted == ["make"]:
        make(Path(source), Path(path))
        return
    if not Path(path).exists():
        subprocess.run([sys.executable, __file__, source, path, "make"], check=True)
    # As published, it is the training split, of which nothing is judged unless that is asked for.
    family = (INSTRUMENTS // 2) % 11
    one = f"{path}#{('bass', 'brass', 'flute', 'guitar', 'keyboard', 'mallet', 'organ', 'reed', 'string', 'synth_lead', 'vocal')[family]}_synthetic_{INSTRUMENTS // 2:03d}"
    orders = {
        "info": ["dataset", "info", path],
        "capture": ["capture", "large", path],
        "capture-one": ["capture", "large", one],
        "capture-none": ["capture", "large", f"{path}#nothing"],
        "evaluate": ["evaluate", "spectral", "--data", path],
        "evaluate-split": ["evaluate", "spectral", "--data", path, "--split", "train"],
        "evaluate-voice": ["evaluate", "harmonic", "--data", path, "--voice"],
    }
    with tempfile.TemporaryDirectory() as home:
        for title, order in orders.items():
            if title in wanted or not wanted:
                run(title, order, home)


if __name__ == "__main__":
    main()
