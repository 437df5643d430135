"""How long loops and formats take: 88 keys x 5 velocities x 4 s, and the memory they need.

    python benchmarks/packs.py [--keys 88] [--rate 48000] [--threads 2]

Prints a line for each step with its seconds, and the process's largest memory so far.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from nsynth_instrument.dsp.loops import LoopResult, bake, find_loop
from nsynth_instrument.notes import Note, NoteGrid, hz
from nsynth_instrument.pack import Loop, SamplePack, Zone
from nsynth_instrument.writers import FORMATS, write_formats
from nsynth_instrument.writers.check import check
from nsynth_instrument.writers.names import sample_file
from nsynth_instrument.writers.parallel import ordered
from nsynth_instrument.writers.wav import write_wav


@contextmanager
def timed(what: str) -> Iterator[None]:
    begun, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{what:<16}{wall:8.2f} s   {cpu:8.2f} s of processor   {memory:6.2f} GiB at most so far", flush=True)


def note(n: Note, rate: int) -> np.ndarray:
    """A sustained note of 3 s and a release of 1 s: 12 harmonics, vibrato, a breath of noise."""
    rng = n.rng(0)
    t = np.arange(4 * rate) / rate
    phase = 2 * np.pi * hz(n.pitch) * (t + 0.0002 * np.sin(2 * np.pi * 5 * t) / 5)
    count = max(1, min(12, int(0.45 * rate / n.hz)))
    x = sum(np.sin(h * phase + rng.uniform(0, 6.28)) / h for h in range(1, count + 1))
    x = 0.2 * n.velocity / 127 * x + 1e-3 * rng.standard_normal(len(t))
    return (x * np.minimum(1, t / 0.02) * 10 ** (-12 * np.maximum(0, t - 3))).astype(np.float32)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--keys", type=int, default=88)
    options.add_argument("--rate", type=int, default=48000)
    options.add_argument("--threads", type=int, default=None)
    chosen = options.parse_args()
    grid = NoteGrid(tuple(range(21, 21 + chosen.keys)))
    areas, rate = {(a.note.pitch, a.note.velocity): a for a in grid.zones()}, chosen.rate
    folder = Path(tempfile.mkdtemp(prefix="bench-packs-"))
    notes = list(grid)
    sounds = list(ordered(lambda n: note(n, rate), notes, threads=chosen.threads))
    size = sum(s.nbytes for s in sounds) / 2**30
    print(f"{len(notes)} notes of 4 s at {rate} Hz; the benchmark itself holds {size:.2f} GiB of sound")

    def looped(job: tuple[Note, np.ndarray]) -> tuple[np.ndarray, LoopResult | None]:
        found = find_loop(job[1], rate, job[0].hz, hold_seconds=3.0)
        return (bake(job[1], found) if found else job[1]), found

    def written(job: tuple[Note, np.ndarray, LoopResult | None]) -> Zone:
        n, audio, found = job
        area, file = areas[n.pitch, n.velocity], sample_file("Bench", n)
        loop = Loop(found.start, found.end) if found else None
        done = write_wav(folder / file, audio, rate, bits=24, root=n.pitch, loop=loop, rng=n.rng(1))
        keys = (area.low_key, area.high_key, area.low_velocity, area.high_velocity)
        return Zone(file, n.pitch, n.velocity, *keys, done.frames, loop=loop, peak=done.peak, sha256=done.sha256)

    with timed("loops"):
        baked = list(ordered(looped, zip(notes, sounds, strict=True), threads=chosen.threads))
    found = [loop for _, loop in baked if loop is not None]
    print(f"{'':<16}{len(found)} loops, {sum(loop.seam.seamless for loop in found)} of them seamless")
    with timed("wav"):
        jobs = ((n, audio, loop) for n, (audio, loop) in zip(notes, baked, strict=True))
        zones = list(ordered(written, jobs, threads=chosen.threads))
    pack = SamplePack("Bench", "Bench", rate, 24, tuple(zones))
    pack.save(folder)
    del sounds, baked
    for name in FORMATS:
        if name != "wav":
            with timed(name):
                list(write_formats(pack, folder, [name]))
    with timed("check"):
        list(check(folder))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
