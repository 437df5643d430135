"""`play` through PortAudio and ALSA, as most Linux desktops have it: the card is a PulseAudio server, which can be unplugged."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jackrig
import livepacks
import mido
import numpy as np
import pytest
from engines import cents, pitch
from jackrig import App

if any(shutil.which(t) is None for t in ("pulseaudio", "parec", "pactl")):
    pytest.skip("no PulseAudio: apt install pulseaudio", allow_module_level=True)

RATE = 44100


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose ALSA has one card: what PulseAudio plays to. Its socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="pulse") as short:
        folder = Path(short)
        conf = folder / "asound.conf"
        conf.write_text("</usr/share/alsa/alsa.conf>\npcm.!default { type pulse }\nctl.!default { type pulse }\n")
        monkeypatch.setenv("ALSA_CONFIG_PATH", str(conf))
        monkeypatch.setenv("PULSE_SERVER", f"unix:{folder}/native")
        monkeypatch.setattr(jackrig, "SERVER", "nowhere")  # JACK comes before ALSA, and another's tests may have one now
        for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "PULSE_STATE_PATH"):
            monkeypatch.setenv(name, short)
        yield folder


@contextlib.contextmanager
def card(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running server whose only sink is silent."""
    p = subprocess.Popen(
        ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disallow-exit",
         "-L", f"module-null-sink sink_name=card rate={RATE}", "-L", f"module-native-protocol-unix auth-anonymous=1 socket={home}/native"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        jackrig.wait(lambda: subprocess.run(["pactl", "info"], capture_output=True).returncode == 0, "no PulseAudio came up")
        yield p
    finally:
        p.terminate()
        p.wait(jackrig.LIMIT)


def heard(seconds: float) -> np.ndarray:
    """The left side of what the card plays now, float32 (frames,)."""
    command = ["parec", "-d", "card.monitor", f"--rate={RATE}", "--channels=2", "--format=float32le", "--latency-msec=20"]
    p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert p.stdout
    data = p.stdout.read(int(seconds * RATE) * 8)
    p.terminate()
    p.wait(jackrig.LIMIT)
    p.stdout.close()
    return np.frombuffer(data, np.float32)[::2]


def test_a_card_that_vanishes_comes_back(home: Path, tmp_path: Path) -> None:
    pack = livepacks.make(tmp_path / "p", pitches=(60,), looped=True, rate=RATE)
    song = mido.MidiFile(ticks_per_beat=480)
    notes = [mido.Message("note_on", note=69, velocity=v, time=960) for _ in range(100) for v in (100, 0)]
    song.tracks.append(mido.MidiTrack(notes))
    song.save(tmp_path / "s.mid")
    command = (
        sys.executable,
        "-m",
        "nsynth_instrument",
        "play",
        "--gain",
        "0",
        str(pack),
        "--midi-file",
        str(tmp_path / "s.mid"),
    )
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(card(home))
        app = stack.enter_context(App(command=command))
        jackrig.wait(lambda: np.abs(heard(0.2)).max() > 0.3, "nothing is heard")
        assert cents(pitch(heard(1.0), RATE), 69) < 1
        server.terminate()
        app.said("is gone; waiting for it")
        stack.enter_context(card(home))
        app.said("playing on default, ALSA again")
        jackrig.wait(lambda: np.abs(heard(0.2)).max() > 0.3, "nothing is heard any more")
        assert app.stop() == 0
        assert "underruns" in app.lines[-1]
        assert not [line for line in app.lines if "ALSA lib" in line or "Expression" in line], app.text()
