"""Samplers that no one here wrote, played from Python: sfizz for SFZ, FluidSynth and SpessaSynth for SF2 and SF3."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nsynth_instrument.notes import hz

RATE = 48000
Event = tuple[float, str, int, int]
"""Seconds, "on" | "off" | "cc" | "program", two numbers."""


class Sfizz:
    """An SFZ, loaded whole into memory from a temporary copy of its text; without it notes drop while files load."""

    def __init__(self, path: Path) -> None:
        pysfizz = pytest.importorskip("pysfizz")
        copy = path.with_name(f"hinted-{path.name}")
        copy.write_text("<control> hint_ram_based=1\n" + path.read_text("utf-8"), "utf-8")
        self.synth = pysfizz.Synth(RATE, 64)
        assert self.synth.load_sfz_file(str(copy)), f"sfizz does not load {path}"
        copy.unlink()

    def play(self, events: Sequence[Event], seconds: float) -> np.ndarray:
        """Left channel (frames,); events fall on blocks of 64 frames."""
        raw = self.synth._synth
        raw.all_sound_off()
        waiting = sorted(events, key=lambda e: e[0])
        out = []
        for block in range(round(seconds * RATE / 64)):
            while waiting and waiting[0][0] * RATE <= block * 64:
                _, what, a, b = waiting.pop(0)
                {"on": raw.note_on, "off": raw.note_off, "cc": raw.cc}[what](0, a, b)
            out.append(np.array(raw.render_block()[0]))
        return np.concatenate(out)


class Fluid:
    """An SF2 or SF3 through the fluidsynth command, effects off."""

    def __init__(self, path: Path) -> None:
        if not shutil.which("fluidsynth"):
            pytest.skip("fluidsynth is not installed")
        self.path = path

    def play(self, events: Sequence[Event], seconds: float) -> np.ndarray:
        """Left channel (frames,)."""
        import mido
        import soundfile

        # FluidSynth renders until the last voice has ended: a key that is held would fill the disk.
        assert [e[1] for e in events].count("on") == [e[1] for e in events].count("off")
        track, last = mido.MidiTrack(), 0
        for at, what, a, b in sorted(events, key=lambda e: e[0]):
            tick = round(at * 960)
            kinds = {
                "on": lambda a, b: ("note_on", {"note": a, "velocity": b}),
                "off": lambda a, b: ("note_off", {"note": a}),
                "cc": lambda a, b: ("control_change", {"control": a, "value": b}),
                "program": lambda a, b: ("program_change", {"program": a}),
            }
            kind, values = kinds[what](a, b)
            track.append(mido.Message(kind, time=tick - last, **values))
            last = tick
        track.append(mido.MetaMessage("end_of_track", time=round(seconds * 960) - last))
        song, sound = self.path.with_suffix(".mid"), self.path.with_suffix(".out.wav")
        mido.MidiFile(ticks_per_beat=480, tracks=[track]).save(song)
        options = f"-ni -q -R 0 -C 0 -g 1.0 -r {RATE} -T wav -O float -o synth.dynamic-sample-loading=0 -F".split()
        done = subprocess.run(["fluidsynth", *options, sound, self.path, song], capture_output=True, text=True, check=True)
        complaints = [line for line in done.stderr.splitlines() if line.strip() and "No preset found on channel 9" not in line]
        assert not complaints, complaints
        return soundfile.read(sound)[0][: round(seconds * RATE), 0]


class Spessa:
    """An SF2 or SF3 through npm's spessasynth_core, which scripts/test puts beside the Python packages where there is npm."""

    def __init__(self, path: Path) -> None:
        self.module = Path(sys.prefix) / "node/node_modules/spessasynth_core/dist/index.js"
        if not (shutil.which("node") and self.module.exists()):
            pytest.skip("spessasynth_core is not installed")
        self.path = path

    def play(self, events: Sequence[Event], seconds: float) -> np.ndarray:
        """Left channel (frames,); events fall on blocks of 64 frames."""
        plain = [[round(at * RATE), what, a, b] for at, what, a, b in sorted(events, key=lambda e: e[0])]
        song, sound = self.path.with_suffix(".json"), self.path.with_suffix(".f32")
        song.write_text(json.dumps({"rate": RATE, "frames": round(seconds * RATE), "events": plain}))
        script = Path(__file__).with_name("spessa.mjs")
        done = subprocess.run(["node", script, self.module, self.path, song, sound], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return np.fromfile(sound, np.float32)


def amplitude(audio: np.ndarray, frequency: float) -> float:
    """Of the sine at `frequency` Hz in audio (frames,) at RATE."""
    window = np.hanning(len(audio))
    turn = np.exp(-2j * np.pi * frequency / RATE * np.arange(len(audio)))
    return float(2 * abs((audio * window * turn).sum()) / window.sum())


def cents_off(audio: np.ndarray, frequency: float) -> float:
    """How far the tone near `frequency` Hz in audio (frames,) at RATE lies from it, by its phase over time."""
    third = len(audio) // 3
    turn = np.exp(-2j * np.pi * frequency / RATE * np.arange(len(audio)))
    first, last = ((audio * turn)[part] @ np.hanning(third) for part in (slice(0, third), slice(2 * third, 3 * third)))
    advance = float(np.angle(last * np.conj(first))) / (2 * np.pi * 2 * third / RATE)
    return 1200 * float(np.log2(1 + advance / frequency))


def level(audio: np.ndarray) -> float:
    """dB of the RMS."""
    return float(10 * np.log10(np.mean(np.square(audio)) + 1e-20))


def held(key: int, velocity: int, *, seconds: float = 1.5) -> list[Event]:
    """A note held from the start."""
    return [(0.0, "on", key, velocity), (seconds, "off", key, 0)]


def tone_hz(key: int, harmonic: int = 1) -> float:
    """Frequency in Hz of a harmonic of a key."""
    return hz(key) * harmonic
