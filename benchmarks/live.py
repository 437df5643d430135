"""What playing costs, and what it holds: figures for docs/live.md.

    python benchmarks/live.py voices     microseconds a voice and a block, beside FluidSynth's library
    python benchmarks/live.py crowd      256 voices: the slowest of many blocks
    python benchmarks/live.py hour       30 minutes of dense music: memory
    python benchmarks/live.py latency    from key to sound on JACK, beside the fluidsynth program
    python benchmarks/live.py busy       underruns of a Python and of a compiled callback beside a busy thread

The last two need jackd and libportaudio2; the machine should be idle. FluidSynth reads SOUNDFONT.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import jackrig  # noqa: E402
import livepacks  # noqa: E402

from nsynth_instrument.live.engine import Engine, Settings  # noqa: E402
from nsynth_instrument.live.samples import load  # noqa: E402

RATE, BLOCK = 48000, 128
BUDGET = 1e6 * BLOCK / RATE
SOUNDFONT = os.environ.get("SOUNDFONT", "/usr/share/sounds/sf2/FluidR3_GM.sf2")


def times(fill: Callable[[], None], blocks: int) -> np.ndarray:
    """us of each of many blocks."""
    out = np.zeros(blocks)
    for i in range(blocks):
        start = time.perf_counter_ns()
        fill()
        out[i] = (time.perf_counter_ns() - start) / 1000
    return out


def engine(folder: Path, *, voices: int = 1024, **pack: object) -> Engine:
    return Engine([load(livepacks.make(folder, looped=True, seconds=2.0, **pack), rate=RATE, budget=1 << 32)], settings=Settings(voices=voices, gain=-40))  # type: ignore[arg-type]  # fmt: skip


def struck(e: Engine, count: int, *, velocity: int = 100) -> Callable[[], None]:
    """Notes on all channels, and the function that plays a block of them."""
    for i in range(count):
        e.send(0x90 | i % 16 | (36 + (i // 16) % 61) << 8 | velocity << 16)
    out = np.zeros((BLOCK, 2), np.float32)
    e.fill(out)
    assert e.globals["sounding"] == count
    return lambda: e.fill(out)


def fluid(count: int) -> tuple[Callable[[], None], int]:
    """FluidSynth's library with at least `count` voices sounding, no reverb, no chorus; the function for a block, and how many."""
    f = ctypes.CDLL(ctypes.util.find_library("fluidsynth"))
    for name in ("new_fluid_settings", "new_fluid_synth"):
        getattr(f, name).restype = ctypes.c_void_p
    s = ctypes.c_void_p(f.new_fluid_settings())
    f.fluid_settings_setnum(s, b"synth.sample-rate", ctypes.c_double(RATE))
    for key, value in ((b"synth.reverb.active", 0), (b"synth.chorus.active", 0), (b"synth.polyphony", 1024)):
        f.fluid_settings_setint(s, key, value)
    synth = ctypes.c_void_p(f.new_fluid_synth(s))
    f.fluid_synth_sfload(synth, SOUNDFONT.encode(), 1)
    for c in range(16):
        f.fluid_synth_program_select(synth, c, 1, 0, 16)  # an organ: it does not die away
    i = 0
    while f.fluid_synth_get_active_voice_count(synth) < count:
        f.fluid_synth_noteon(synth, i % 9, 36 + (i // 9) % 61, 100)
        i += 1
    left, right = np.zeros(BLOCK, np.float32), np.zeros(BLOCK, np.float32)
    a, b = left.ctypes.data_as(ctypes.c_void_p), right.ctypes.data_as(ctypes.c_void_p)
    return lambda: f.fluid_synth_write_float(synth, BLOCK, a, 0, 1, b, 0, 1), f.fluid_synth_get_active_voice_count(synth)


def voices() -> None:
    """Median of 3,000 blocks with 256 voices, less that with none, a voice."""
    with tempfile.TemporaryDirectory() as tmp:
        root = Path(tmp)
        cases = {
            "at the root": (engine(root / "a"), 100),
            "transposed": (engine(root / "b", pitches=tuple(range(36, 97, 12))), 100),
            "two layers": (engine(root / "c", velocities=(50, 127)), 100),
            "morphing, transposed": (engine(root / "d", pitches=(60,), positions=[(0.0,), (1.0,)]), 100),
        }
        for name, (e, velocity) in cases.items():
            silent = np.median(times(struck(e, 0), 500))
            if name.startswith("morph"):
                for c in range(16):
                    e.send(0xB0 | c | 1 << 8 | 64 << 16)
            t = np.median([np.median(times(f, 1000)) for f in [struck(e, 256, velocity=velocity)] for _ in range(5)])
            print(f"{name:24} {(t - silent) / 256:6.3f} us a voice")
        f, count = fluid(256)
        t = np.median([np.median(times(f, 1000)) for _ in range(3)])
        nothing = np.median(times(fluid(0)[0], 500))
        print(f"{'FluidSynth library':24} {(t - nothing) / count:6.3f} us a voice ({count} voices)")


def crowd() -> None:
    """Blocks of 256 transposed voices of two layers, beside the budget of a block."""
    with tempfile.TemporaryDirectory() as tmp:
        e = engine(Path(tmp), voices=256, pitches=tuple(range(36, 97, 12)), velocities=(50, 127))
        t = times(struck(e, 256), 20_000)
    p = np.percentile(t, [50, 99, 99.9])
    print(
        f"256 voices: median {p[0]:.0f}, p99 {p[1]:.0f}, p99.9 {p[2]:.0f}, longest {t.max():.0f} us; a block has {BUDGET:.0f} us"
    )


def hour() -> None:
    """30 minutes at about 100 voices, with morphs, bends and pedals."""
    with tempfile.TemporaryDirectory() as tmp:
        e = engine(Path(tmp), voices=128, pitches=tuple(range(36, 97, 3)), positions=[(0.0,), (0.5,), (1.0,)])
        rng = np.random.default_rng(1)
        out = np.zeros((BLOCK, 2), np.float32)
        sizes, most, start = [], 0.0, time.perf_counter()
        for i in range(30 * 60 * RATE // BLOCK):
            if i % 8 == 0:
                key = int(rng.integers(36, 97))
                e.send(0x90 | key << 8 | int(rng.integers(1, 128)) << 16)
                e.send(0x80 | int(rng.integers(36, 97)) << 8)
                e.send((0xB0, 0xE0)[i % 3 == 0] | 1 << 8 | int(rng.integers(128)) << 16)
                if i % 400 == 0:
                    e.send(0xB0 | 64 << 8 | (i // 400 % 2) * 127 << 16)
            e.fill(out)
            most = max(most, float(np.abs(out).max()))
            if i % 67500 == 67499:
                sizes.append(resource_now())
        print(
            f"30 min in {time.perf_counter() - start:.0f} s, {e.globals['age']} notes, {e.globals['stolen']} stolen, peak {most:.2f}"
        )
        print("MB every 3 min:", " ".join(f"{s:.1f}" for s in sizes))


def resource_now() -> float:
    """MB that the process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def latency() -> None:
    """Frames from the note-on to the sound of 400 notes in freewheel, of `play` and of fluidsynth, by the same client."""
    notes = [(4800 + i * 4800 + (i * 37) % jackrig.PERIOD, 60 + i % 12) for i in range(400)]
    events = [e for f, k in notes for e in ((f, bytes((0x90, k, 127))), (f + 2400, bytes((0x80, k, 0))))]

    def late(x: np.ndarray, level: float) -> np.ndarray:
        return np.array([int(np.argmax(np.abs(x[f : f + 2400]) > level)) for f, _ in notes])

    with tempfile.TemporaryDirectory() as tmp, jackrig.server():
        pack = livepacks.make(Path(tmp) / "p", velocities=(127,))
        with jackrig.App("--gain", "0", "--release", "0.02", str(pack)):
            x = drive_all(events)
        d = late(x, 0.3)
        print(
            f"play        {np.median(d):.0f} frames median, {d.max()} at most of {jackrig.PERIOD} a cycle; {(d > 0).sum()} of {len(d)} notes heard"
        )
        command = ["fluidsynth", "-q", "-i", "-s", "-a", "jack", "-m", "jack", "-R", "0", "-C", "0", "-o", "midi.jack.id=fs", "-o", "audio.jack.id=fs",
                   "-r", str(RATE), "-g", "2", SOUNDFONT]  # fmt: skip
        p = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=jackrig.environment()
        )
        try:
            jackrig.wait(
                lambda: any(n.startswith("fs-midi:") or n == "fs:midi_00" for n in jackrig.ports()), 20, "fluidsynth has no port"
            )
            time.sleep(1)
            names = jackrig.ports()
            port = next(n for n in names if "midi" in n and n.startswith("fs"))
            x = jackrig.drive(events, 41.0, midi_to=port, audio_from=next(n for n in names if n.startswith("fs") and "left" in n))
        finally:
            p.terminate()
            p.wait()
        d = late(x, 1e-4)
        print(f"fluidsynth  {np.median(d):.0f} frames median, {d.max()} at most (to the first sample above -80 dB)")


def drive_all(events: list[tuple[int, bytes]]) -> np.ndarray:
    """The whole script through the app's ports."""
    return jackrig.drive(events, 41.0)


def busy() -> None:
    """Late blocks in 10 s of real time at 64 frames, 64 voices, while another thread of the process never sleeps."""
    with tempfile.TemporaryDirectory() as tmp, jackrig.server(period=64):
        livepacks.make(Path(tmp) / "p", looped=True, seconds=2.0)
        for kind in ("python", "python, switch interval 0.1 ms", "compiled"):
            for work in (False, True):
                code = f"import sys; sys.path[:0] = {sys.path[:2]!r}; import live; live.one({str(Path(tmp) / 'p')!r}, {kind!r}, {work})"
                out = subprocess.run(
                    [sys.executable, "-c", code],
                    capture_output=True,
                    text=True,
                    env=jackrig.environment(),
                    cwd=Path(__file__).parent,
                )
                assert out.returncode == 0, out.stderr
                r = json.loads(out.stdout.splitlines()[-1])
                print(
                    f"{kind:32} {'beside a busy thread' if work else 'alone':22} {r['late']:5} of {r['blocks']} blocks late, longest gap {r['gap']:.1f} ms"
                )


def one(folder: str, kind: str, work: bool) -> None:
    """One run of `busy`: prints JSON. A block is late when it comes more than a block after its time."""
    import sounddevice as sd

    from nsynth_instrument.live.player import Output

    e = Engine([load(Path(folder), rate=RATE, budget=1 << 30)], settings=Settings(gain=-30))
    for i in range(64):
        e.send(0x90 | i % 16 | (36 + i // 2) << 8 | 100 << 16)
    if "0.1" in kind:
        sys.setswitchinterval(1e-4)
    stop = threading.Event()

    def spin() -> None:
        n = 0
        while not stop.is_set():
            n += 1

    if kind == "compiled":
        stream = Output(e)
    else:

        def callback(out: np.ndarray, frames: int, when: object, status: sd.CallbackFlags) -> None:
            e.globals["underruns"] += bool(status.output_underflow)
            e.fill(out)

        stream = sd.OutputStream(samplerate=RATE, blocksize=0, channels=2, dtype="float32", latency="low", callback=callback)
        stream.start()
    thread = threading.Thread(target=spin)
    if work:
        thread.start()
    time.sleep(1)
    g = e.globals
    before, start = (int(g["blocks"]), int(g["underruns"])), time.monotonic()
    time.sleep(10)
    blocks, late, spent = int(g["blocks"]) - before[0], int(g["underruns"]) - before[1], time.monotonic() - start
    stop.set()
    stream.close()
    print(json.dumps({"blocks": blocks, "late": late, "gap": 1000 * (spent - blocks * 64 / RATE)}))


if __name__ == "__main__":
    chosen = sys.argv[1:] or ["voices", "crowd", "hour", "latency", "busy"]
    for name in chosen:
        {"voices": voices, "crowd": crowd, "hour": hour, "latency": latency, "busy": busy}[name]()
