"""`play` without a keyboard or a sound card: rendering, and refusals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import livepacks
import mido
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from engines import FLAT, RATE, fill

from nsynth_instrument.errors import DataError, NsynthError, UnknownName, UsageError
from nsynth_instrument.live.commands import play
from nsynth_instrument.live.engine import Engine
from nsynth_instrument.live.samples import load


def song(path: Path, *, end: int = 960) -> Path:
    """Note 60 from 0.25 s for half a second; silence until `end` ticks (480 a quarter, 120 a minute)."""
    track = mido.MidiTrack()
    track += [
        mido.Message("note_on", note=60, velocity=100, time=240),
        mido.Message("note_off", note=60, time=480),
        mido.MetaMessage("end_of_track", time=end - 720),
    ]
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(track)
    file.save(path)
    return path


def run(*args: object, code: type[NsynthError] | None = None) -> str:
    """What `play` prints on stdout; `code` is the error that it must raise."""
    result = CliRunner().invoke(play, [str(a) for a in args])
    if code is None:
        assert result.exit_code == 0, result.exception
    else:
        assert isinstance(result.exception, code), result.exception
        assert "\n" not in str(result.exception)
        return str(result.exception)
    return result.stdout


def test_a_song_is_rendered_to_the_frame_and_the_same_each_time(flute: Path, tmp_path: Path) -> None:
    mid = song(tmp_path / "s.mid")
    assert run(flute, "--midi-file", mid, "--out", tmp_path / "a.wav", "--gain", 0) == f"{tmp_path / 'a.wav'}\n"
    run(flute, "--midi-file", mid, "--out", tmp_path / "b.wav", "--gain", 0)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    x, rate = soundfile.read(tmp_path / "a.wav")
    info = soundfile.info(tmp_path / "a.wav")
    assert (rate, info.channels, info.subtype) == (RATE, 2, "PCM_24")
    want = livepacks.tone(60, rate=RATE, seconds=0.5, level=0.5 * 100 / 127)
    assert not x[:12000].any()
    assert np.abs(x[12000:36000, 0] - want).max() < 2**-23
    assert 0.9 * 45600 < len(x) < 1.2 * 48000  # the release is let out, and no more


def test_another_rate(flute: Path, tmp_path: Path) -> None:
    run(flute, "--midi-file", song(tmp_path / "s.mid"), "--out", tmp_path / "a.wav", "--rate", 44100)
    x, rate = soundfile.read(tmp_path / "a.wav")
    assert rate == 44100
    assert np.flatnonzero(np.abs(x[:, 0]) > 0.05)[0] == pytest.approx(11025, abs=1)


def test_a_note_that_is_never_let_go_ends_with_the_song(flute: Path, tmp_path: Path) -> None:
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(mido.MidiTrack([mido.Message("control_change", control=64, value=127), mido.Message("note_on", note=60, velocity=99),
                                       mido.MetaMessage("end_of_track", time=480)]))  # fmt: skip
    file.save(tmp_path / "s.mid")
    run(flute, "--midi-file", tmp_path / "s.mid", "--out", tmp_path / "a.wav")
    x, _ = soundfile.read(tmp_path / "a.wav")
    assert len(x) < RATE
    assert np.abs(x[-100:]).max() < 1e-3


def test_what_cannot_be_is_refused_with_a_sentence_and_leaves_nothing(flute: Path, tmp_path: Path) -> None:
    mid, out = song(tmp_path / "s.mid"), tmp_path / "o" / "a.wav"
    bad = tmp_path / "bad.mid"
    bad.write_bytes(mid.read_bytes()[:-9])
    assert "damaged" in run(flute, "--midi-file", bad, "--out", out, code=DataError)
    assert "--midi-file" in run(flute, "--out", out, code=UsageError)
    assert ".wav" in run(flute, "--midi-file", mid, "--out", tmp_path / "a.ogg", code=UsageError)
    assert "leave out" in run(flute, "--midi-file", mid, "--out", out, "--keys", code=UsageError)
    assert "is no pack" in run(tmp_path, "--midi-file", mid, "--out", out, code=DataError)
    assert "did you mean" in run(flute, "--midi-file", mid, "--out", out, "--aftertouch", "vibrate", code=UnknownName)
    file = tmp_path / "file"
    file.touch()
    for take, words in ((tmp_path / "x.ogg", "must end in .wav"), (tmp_path, "must end in .wav"), (tmp_path / "x", "or .mid")):
        assert words in run(flute, "--record", take, code=UsageError)
    (tmp_path / "d.wav").mkdir()
    assert "is a folder" in run(flute, "--record", tmp_path / "d.wav", code=UsageError)
    assert "cannot write in" in run(flute, "--record", file / "x.wav", code=NsynthError)
    assert not list((tmp_path / "d.wav").iterdir())
    broken = livepacks.make(tmp_path / "broken", pitches=(60, 62))
    next(broken.glob("*.wav")).unlink()
    assert "lacks 1 of 2 files" in run(broken, "--midi-file", mid, "--out", out, code=DataError)
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_what_render_makes_in_steps_is_walked_by_the_wheel(tmp_path: Path) -> None:
    args = [
        "render",
        "--a",
        "flute",
        "--b",
        "bass",
        "--steps",
        "3",
        "--grid",
        "60",
        "--velocities",
        "100",
        "--seconds",
        "1.5",
        "--out",
        str(tmp_path / "p"),
    ]
    cli = [sys.executable, "-m", "nsynth_instrument"]
    r = subprocess.run([*cli, *args], capture_output=True, text=True, cwd=Path(__file__).parent.parent, timeout=300)
    assert r.returncode == 0, r.stderr
    sound = load(tmp_path / "p", rate=RATE, budget=1 << 30)
    assert (sound.nx, sound.ny) == (3, 1)
    for wheel, position in ((0, 0.0), (64, 0.5), (127, 1.0)):
        zone = max((z for z in sound.pack.zones if z.position == (position,)), key=lambda z: z.velocity)
        e = Engine([sound], settings=FLAT)
        for word in (0xB0 | 1 << 8 | wheel << 16, 0x90 | 60 << 8 | zone.velocity << 16):
            e.send(word)
        got = fill(e, 8)[:, 0]
        want = soundfile.read(tmp_path / "p" / zone.file, dtype="float32")[0][: len(got)]
        assert np.abs(want).max() > 0.05
        error = np.abs(got - want).max()
        assert error == 0.0 if wheel != 64 else error < 0.05 * np.abs(want).max()  # 64 of 127 is a little beyond the middle


@pytest.mark.skipif(not sys.platform.startswith("linux") or Path("/dev/snd").exists(), reason="there is a sound card")
@pytest.mark.parametrize("what", ["play", "devices"])
def test_without_a_sound_card_one_sentence_names_the_cure(flute: Path, what: str) -> None:
    env = {**os.environ, "JACK_DEFAULT_SERVER": "nowhere", "JACK_NO_START_SERVER": "1"}
    command = [sys.executable, "-m", "nsynth_instrument", what] + ([str(flute)] if what == "play" else [])
    r = subprocess.run(command, capture_output=True, text=True, env=env, cwd=Path(__file__).parent.parent, timeout=300)
    assert r.returncode == (1 if what == "play" else 0)
    assert r.stdout == ""
    said = [line for line in r.stderr.splitlines() if "no audio output" in line]
    assert len(said) == 1
    assert "--midi-file SONG --out FILE" in said[0]
    assert "Traceback" not in r.stderr
    if what == "play":
        assert len(r.stderr.splitlines()) == 1
