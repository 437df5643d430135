"""What playing costs, and what it holds: figures for docs/live.md.

    python benchmarks/live.py voices     microseconds a voice and a block, beside FluidSynth's library
    python benchmarks/live.py crowd      256 voices: the slowest of many blocks
    python benchmarks/live.py hour       30 minutes of dense music: memory
    python benchmarks/live.py latency    from key to sound on JACK, beside the fluidsynth program
    python benchmarks/live.py program    processor, memory and late blocks on JACK, beside the fluidsynth program
    python benchmarks/live.py busy       underruns of a Python and of a compiled callback beside a busy thread

The last three need jackd and libportaudio2. FluidSynth reads SOUNDFONT. Where others use the machine as well, run it as root:
JACK then has real-time priority, and `chrt -f 10` gives it to the first two.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import jackrig  # noqa: E402
import livepacks  # noqa: E402

from nsynth_instrument.live.engine import Engine, Settings  # noqa: E402
from nsynth_instrument.live.samples import load  # noqa: E402
from nsynth_instrument.pack import SamplePack  # noqa: E402
from nsynth_instrument.writers import sf2  # noqa: E402

RATE, BLOCK = 48000, 128
BUDGET = 1e6 * BLOCK / RATE
SOUNDFONT = os.environ.get("SOUNDFONT", "/usr/share/sounds/sf2/FluidR3_GM.sf2")


def times(fill: Callable[[], None], blocks: int, clock: Callable[[], int] = time.thread_time_ns) -> np.ndarray:
    """us of each of many blocks, by the processor time of this thread: what else the machine does counts little."""
    out = np.zeros(blocks)
    for i in range(blocks):
        start = clock()
        fill()
        out[i] = (clock() - start) / 1000
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


def fluid(count: int, *, points: int = 4) -> tuple[Callable[[], None], int]:
    """FluidSynth's library with at least `count` voices sounding, interpolated by 4 or 7 points, no effects; the function for a block, and how many."""
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
    f.fluid_synth_set_interp_method(synth, -1, points)
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
            "two layers, transposed": (engine(root / "e", pitches=tuple(range(36, 97, 12)), velocities=(50, 127)), 100),
            "morphing, transposed": (engine(root / "d", pitches=(60,), positions=[(0.0,), (1.0,)]), 100),
        }
        for name, (e, velocity) in cases.items():
            silent = np.median(times(struck(e, 0), 500))
            if name.startswith("morph"):
                for c in range(16):
                    e.send(0xB0 | c | 1 << 8 | 64 << 16)
            t = np.median([np.median(times(f, 1000)) for f in [struck(e, 256, velocity=velocity)] for _ in range(5)])
            print(f"{name:24} {(t - silent) / 256:6.3f} us a voice")
        nothing = np.median(times(fluid(0)[0], 500))
        for points in (4, 7):
            f, count = fluid(256, points=points)
            t = np.median([np.median(times(f, 1000)) for _ in range(3)])
            print(f"{f'FluidSynth, {points} points':24} {(t - nothing) / count:6.3f} us a voice ({count} voices)")


def crowd() -> None:
    """256 voices, transposed, of two layers (2 lanes) and of two layers between two positions (4): the slow blocks of many."""
    with tempfile.TemporaryDirectory() as tmp:
        for lanes, positions in ((2, [(0.0,)]), (4, [(0.0,), (1.0,)])):
            e = engine(Path(tmp) / str(lanes), voices=256, pitches=(36, 48, 60, 72), velocities=(50, 127), positions=positions)
            for c in range(16):
                e.send(0xB0 | c | 1 << 8 | 64 << 16)
            fill = struck(e, 256)
            for name, clock in (("processor", time.thread_time_ns), ("wall", time.perf_counter_ns)):
                p = np.percentile(times(fill, 20_000, clock), [50, 99, 99.9, 100])
                print(
                    f"256 voices, {256 * lanes} lanes, {name + ' time':14} median {p[0]:.0f}, p99 {p[1]:.0f}, p99.9 {p[2]:.0f}, "
                    f"longest {p[3]:.0f} us of {BUDGET:.0f}; load of the machine {os.getloadavg()[0]:.1f}"
                )


def hour() -> None:
    """30 minutes at about 100 voices, with morphs, bends and pedals."""
    with tempfile.TemporaryDirectory() as tmp:
        e = engine(Path(tmp), voices=128, pitches=tuple(range(36, 97, 3)), positions=[(0.0,), (0.5,), (1.0,)])
        rng = np.random.default_rng(1)
        out = np.zeros((BLOCK, 2), np.float32)
        sizes, most, sounding, start = [], 0.0, 0, time.perf_counter()
        for i in range(30 * 60 * RATE // BLOCK):
            if i % 8 == 0:
                channel, key = int(rng.integers(4)), int(rng.integers(36, 97))
                e.send(0x90 | channel | key << 8 | int(rng.integers(1, 128)) << 16)
                e.send(0x80 | int(rng.integers(4)) | int(rng.integers(36, 97)) << 8)
                e.send((0xB0, 0xE0)[i % 3 == 0] | channel | 1 << 8 | int(rng.integers(128)) << 16)
                if i % 400 == 0:
                    e.send(0xB0 | channel | 64 << 8 | (i // 400 % 2) * 127 << 16)
            e.fill(out)
            most = max(most, float(np.abs(out).max()))
            sounding += int(e.globals["sounding"])
            if i % 67500 == 67499:
                sizes.append(resource_now())
        g = e.globals
        print(
            f"30 min in {time.perf_counter() - start:.0f} s: {g['age']} notes, {sounding / g['blocks']:.0f} voices on average, "
            f"{g['stolen']} stolen, peak {most:.2f}"
        )
        print("MB every 3 min:", " ".join(f"{s:.1f}" for s in sizes))


def resource_now() -> float:
    """MB that the process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def latency() -> None:
    """Frames from the note-on to the first sample above -60 dB, of 60 notes in freewheel, of `play` and of fluidsynth, by one client."""
    notes = [(9600 + i * 48000 + (i * 37) % jackrig.PERIOD, 60 + i % 12) for i in range(60)]
    events = [e for f, k in notes for e in ((f, bytes((0x90, k, 127))), (f + 4800, bytes((0x80, k, 0))))]

    def say(name: str, x: np.ndarray) -> None:
        quiet = [float(np.abs(x[f - 480 : f]).max()) for f, _ in notes]
        assert max(quiet) < 1e-4, "a note still sounds when the next begins"
        d = np.array([int(np.argmax(np.abs(x[f : f + 4800]) > 1e-3)) for f, _ in notes])
        print(f"{name:36} {d.min()}..{d.max()} frames, median {np.median(d):.0f}; a cycle has {jackrig.PERIOD}")

    with tempfile.TemporaryDirectory() as tmp, jackrig.server():
        pack = livepacks.make(Path(tmp) / "p", velocities=(127,))
        for name, way, port in (
            ("play", (), jackrig.AUDIO_OUT),
            ("play, by PortAudio", jackrig.PORTAUDIO, "PortAudio:out_0"),
        ):
            with jackrig.App("--gain", "0", "--release", "0.02", *way, str(pack)):
                say(name, jackrig.drive(events, 61.0, audio_from=port))
        with fluidsynth(SOUNDFONT) as (_, into, out):
            say("fluidsynth -a jack -m jack", jackrig.drive(events, 61.0, midi_to=into, audio_from=out))


@contextlib.contextmanager
def fluidsynth(soundfont: str | Path, *, polyphony: int = 256) -> Iterator[tuple[int, str, str]]:
    """The program on the rig, without reverb and chorus: its process, and its ports for MIDI and for the left side."""
    command = ["fluidsynth", "-q", "-i", "-s", "-a", "jack", "-m", "jack", "-R", "0", "-C", "0"]
    command += [
        "-o",
        "midi.jack.id=fs",
        "-o",
        "audio.jack.id=fs",
        "-o",
        f"synth.polyphony={polyphony}",
        "-r",
        str(RATE),
        "-g",
        "2",
    ]
    pipe = subprocess.DEVNULL
    p = subprocess.Popen([*command, str(soundfont)], stdin=subprocess.PIPE, stdout=pipe, stderr=pipe, env=jackrig.environment())
    try:
        jackrig.wait(lambda: any(n.startswith("fs") and "midi" in n for n in jackrig.ports()), "fluidsynth has no port")
        time.sleep(2)
        names = [n for n in jackrig.ports() if n.startswith("fs")]
        yield p.pid, *(next(n for n in names if part in n) for part in ("midi", "left"))
    finally:
        p.terminate()
        p.wait()


def realtime() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def program() -> None:
    """Held notes of one pack, played by `play` from its WAVs and by fluidsynth from its SoundFont: 8 s of real time each.

    The notes lie between the pack's roots and layers: `play` reads two samples a note there, FluidSynth one.
    """
    seconds = 8.0
    with tempfile.TemporaryDirectory() as tmp, jackrig.server(realtime=realtime()):
        pack = livepacks.make(
            Path(tmp) / "p", pitches=range(36, 97, 4), velocities=(25, 50, 75, 100, 127), looped=True, seconds=2.0, level=0.05
        )
        soundfont = sf2.write(SamplePack.load(pack), pack)
        for count in (64, 256, 900):
            notes = [(c, k) for k in range(36, 97) for c in range(16) if c != 9][:count]
            events = [(4800 + 16 * i, bytes((0x90 | c, k, 90))) for i, (c, k) in enumerate(notes)]
            for name in ("play", "fluidsynth"):
                with contextlib.ExitStack() as stack:
                    if name == "play":
                        pid = stack.enter_context(jackrig.App("--voices", "1024", str(pack))).process.pid
                        into, out = jackrig.MIDI_IN, jackrig.AUDIO_OUT
                    else:
                        pid, into, out = stack.enter_context(fluidsynth(soundfont, polyphony=1024))
                    x = jackrig.drive(events, 1.0, midi_to=into, audio_from=out, freewheel=False)
                    assert np.abs(x[-4800:]).max() > 1e-3, f"{name} is silent"
                    client, late = stack.enter_context(jackrig.client("watch")), []
                    client.set_xrun_callback(late.append)
                    client.activate()
                    start, spent, load = time.monotonic(), processor(pid), []
                    while time.monotonic() < start + seconds:
                        time.sleep(0.1)
                        load.append(client.cpu_load())
                    used = (processor(pid) - spent) / (time.monotonic() - start)
                    memory = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
                print(
                    f"{count:4} notes, {name:10} {100 * used:5.1f} % of a processor, JACK's load {np.median(load):4.1f} %, "
                    f"{memory:4.0f} MB, {len(late)} blocks late in {seconds:.0f} s"
                )


def processor(pid: int) -> float:
    """s of processor time that a process has taken, all threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


WAYS = ("python", "python, switch interval 0.1 ms", "compiled, PortAudio", "compiled, JACK")


def busy() -> None:
    """10 s of real time at 64 frames and 64 voices: alone, beside the garbage collector, and beside what never sleeps.

    A thread that never sleeps takes the interpreter's lock and a processor; another process only the processor. What the
    first costs beyond the second is the lock's doing. The collector looks through a million objects twice a second.
    """
    with tempfile.TemporaryDirectory() as tmp, jackrig.server(period=64, realtime=realtime()):
        livepacks.make(Path(tmp) / "p", looped=True, seconds=2.0)
        for kind in WAYS:
            for beside in ("nothing", "collector", "thread", "process"):
                code = f"import sys; sys.path[:0] = {sys.path[:2]!r}; import live; live.one({str(Path(tmp) / 'p')!r}, {kind!r}, {beside!r})"
                here = Path(__file__).parent
                out = subprocess.run(
                    [sys.executable, "-c", code], capture_output=True, text=True, env=jackrig.environment(), cwd=here
                )
                assert out.returncode == 0, out.stderr
                r = json.loads(out.stdout.splitlines()[-1])
                print(f"{kind:32} beside {beside:9} {r['late']:5} of {r['blocks']} blocks late, {r['missing']:5.0f} ms missing")


def one(folder: str, kind: str, beside: str) -> None:
    """One run of `busy`: prints JSON. missing: ms of sound that JACK went without in 10 s."""
    from nsynth_instrument.live.jack import JackOutput
    from nsynth_instrument.live.player import Output

    e = Engine([load(Path(folder), rate=RATE, budget=1 << 30)], settings=Settings(gain=-30))
    for i in range(64):
        e.send(0x90 | i % 16 | (36 + i // 2) << 8 | 100 << 16)
    if "0.1" in kind:
        sys.setswitchinterval(1e-4)
    if kind.startswith("compiled"):
        stream = Output(e, device="Connection Kit") if "PortAudio" in kind else JackOutput(e)
    else:
        import sounddevice as sd

        def callback(out: np.ndarray, frames: int, when: object, status: sd.CallbackFlags) -> None:
            e.globals["underruns"] += bool(status.output_underflow)
            e.fill(out)

        stream = sd.OutputStream(samplerate=RATE, blocksize=0, channels=2, dtype="float32", latency="low", callback=callback)
        stream.start()
    stop = threading.Event()

    def spin() -> None:
        n = 0
        while not stop.is_set():
            n += 1

    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if beside == "process" else None

    def collect() -> None:
        heap = [[i] for i in range(1_000_000)]
        while not stop.is_set():
            gc.collect()
            time.sleep(0.5)
        del heap

    if beside in ("thread", "collector"):
        threading.Thread(target=spin if beside == "thread" else collect).start()
    time.sleep(1)
    g = e.globals
    blocks, late, start = int(g["blocks"]), int(g["underruns"]), time.monotonic()
    time.sleep(10)
    blocks, late, spent = int(g["blocks"]) - blocks, int(g["underruns"]) - late, time.monotonic() - start
    stop.set()
    if other:
        other.kill()
        other.wait()
    stream.close()
    print(json.dumps({"blocks": blocks, "late": late, "missing": 1000 * (spent - blocks * 64 / RATE)}))


if __name__ == "__main__":
    chosen = sys.argv[1:] or ["voices", "crowd", "hour", "latency", "program", "busy"]
    for name in chosen:
        {"voices": voices, "crowd": crowd, "hour": hour, "latency": latency, "program": program, "busy": busy}[name]()
