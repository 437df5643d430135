"""`play` as a musician runs it: a process with a MIDI port and a sound card, both JACK's."""

from __future__ import annotations

import contextlib
import os
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import jackrig
import livepacks
import mido
import numpy as np
import pyte
import pytest
import rtmidi
import soundfile
from engines import cents, clicks, harmonics, pitch, random_messages, rms
from jackrig import PERIOD, RATE, App, drive

from nsynth_instrument.live.midi import backend
from nsynth_instrument.live.state import DUE

pytest.importorskip("jack")
if jackrig.missing:
    pytest.skip(f"{' and '.join(jackrig.missing)} missing: apt install jackd2 libportaudio2", allow_module_level=True)

FLAT = ("--gain", "0")


@pytest.fixture(scope="module")
def jack() -> Iterator[None]:
    with jackrig.server():
        yield


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("packs")
    livepacks.make(root / "plain", looped=True, seconds=1.5)
    livepacks.make(root / "sharp", shift=12 * np.log2(442 / 440))
    livepacks.make(root / "many" / "a", pitches=(60,), looped=True, seconds=2.0)
    livepacks.make(root / "many" / "b", pitches=(60,), looped=True, seconds=2.0, positions=[(0.0,), (0.5,), (1.0,)])
    return root


def script(count: int = 60) -> list[tuple[int, int]]:
    """Frame and key of notes that start everywhere within a cycle."""
    return [(4800 + i * 4800 + (i * 37) % PERIOD, 60 + i % 12) for i in range(count)]


def messages(notes: list[tuple[int, int]]) -> list[tuple[int, bytes]]:
    return [e for f, k in notes for e in ((f, bytes((0x90, k, 100))), (f + 2400, bytes((0x80, k, 0))))]


def judge(x: np.ndarray, notes: list[tuple[int, int]]) -> tuple[list[int], list[float]]:
    """Frames from each note-on to its sound, and cents by which each is off. Every note must sound."""
    late, off = [], []
    for f, key in notes:
        part = x[f : f + 2400]
        first = int(np.argmax(np.abs(part) > 0.3))
        assert abs(part[first]) > 0.3, f"the note at {f} is not heard"
        late.append(first)
        off.append(cents(pitch(part[first : first + 2200]), key))
    return late, off


WAYS = [pytest.param((), jackrig.AUDIO_OUT, id="jack"), pytest.param(jackrig.PORTAUDIO, "PortAudio:out_0", id="portaudio")]


@pytest.mark.parametrize(("way", "port"), WAYS)
def test_every_note_within_one_cycle_and_a_cent(jack: None, packs: Path, way: tuple[str, ...], port: str) -> None:
    notes = script()
    with App(*FLAT, *way, "--release", "0.02", str(packs / "plain")):
        x = drive(messages(notes), 6.3, audio_from=port)
    late, off = judge(x, notes)
    if way:  # two clients of JACK do not share a cycle: a message sounds at the start of the next
        assert {(d + f % PERIOD) / PERIOD for d, (f, _) in zip(late, notes, strict=True)} == {1.0}
    else:  # at its very frame of the next
        assert set(late) == {PERIOD}
    assert max(late) <= PERIOD
    assert max(off) < 1


def test_the_judge_hears_a_wrong_pitch_a_late_note_and_a_missing_one(jack: None, packs: Path) -> None:
    notes = script(12)
    with App(*FLAT, "--release", "0.02", str(packs / "sharp")):
        x = drive(messages(notes), 1.5)
    late, off = judge(x, notes)
    assert min(off) > 5
    assert max(late) <= PERIOD
    late, _ = judge(np.concatenate([np.zeros(PERIOD, np.float32), x]), notes)
    assert max(late) > PERIOD
    x[notes[5][0] : notes[5][0] + 2400] = 0
    with pytest.raises(AssertionError, match="not heard"):
        judge(x, notes)


@pytest.mark.parametrize(("way", "port"), WAYS)
def test_the_same_playing_gives_the_same_sound(jack: None, packs: Path, way: tuple[str, ...], port: str) -> None:
    takes = []
    for _ in range(2):
        with App(*FLAT, *way, str(packs / "plain")):
            takes.append(drive(messages(script(10)), 1.5, audio_from=port))
    assert np.array_equal(*takes)


def test_in_real_time(jack: None, packs: Path) -> None:
    notes = script(10)
    with App(*FLAT, "--release", "0.02", str(packs / "plain")):
        x = drive(messages(notes), 1.5, freewheel=False)
    assert sum(np.abs(x[f : f + 2400]).max() > 0.3 for f, _ in notes) == len(notes)  # time itself is not judged on a busy machine


@pytest.mark.parametrize(("way", "port"), WAYS)
def test_random_messages_in_freewheel(jack: None, packs: Path, way: tuple[str, ...], port: str) -> None:
    rng = np.random.default_rng(7)
    events = []
    for i, word in enumerate(random_messages(rng, 10_000)):
        data = word.to_bytes(3, "little")
        kind = rng.integers(20)
        if kind == 0:
            data = data[1:]  # no status: running, or stray
        elif kind == 1:
            data = b"\xf0" + bytes(rng.integers(0, 128, 40).tolist()) + b"\xf7"
        elif kind == 2:
            data = bytes(rng.integers(0, 256, int(rng.integers(1, 30))).tolist())
        events.append((4800 + i * 24, data))
    end = 4800 + 10_000 * 24 + 4800
    events.append((end, b"\xf7"))  # should a sysex be open
    for c in range(16):
        events += [(end + 300 + c, bytes((0xB0 | c, 121, 0))), (end + 600 + c, bytes((0xB0 | c, 123, 0)))]
    with App("--gain", "0", *way, "--voices", "64", "--release", "0.2", str(packs / "many")) as app:
        x = drive(events, end / RATE + 2.0, audio_from=port)
        again = drive(
            [
                (4800, bytes((0xC0, 0))),
                (4900, bytes((0xB0, 7, 127))),
                (4900, bytes((0xB0, 10, 64))),
                (5000, bytes((0x90, 60, 100))),
            ],
            0.5,
            audio_from=port,
        )
    assert np.isfinite(x).all()
    assert 0.2 < np.abs(x).max() <= 1.0
    assert not x[-24000:].any(), "a note is stuck"
    assert rms(again[-4800:]) > 0.05, "it no longer plays"
    assert "Traceback" not in app.text()


def test_more_messages_than_a_cycle_has_room_for_leave_no_note(jack: None, packs: Path) -> None:
    flood = [(9600, bytes((0xB0, 10, 64)))] * DUE
    events = [(4800, bytes((0x90, 60, 100))), *flood, (9600, bytes((0x80, 60, 0))), (24000, bytes((0x90, 64, 100)))]
    with App(*FLAT, str(packs / "plain")):
        x = drive(events, 0.8)
    assert rms(x[7000:9600]) > 0.1
    assert not x[15000:24000].any(), "the note whose end was lost is stuck"
    assert rms(x[30000:]) > 0.1


@pytest.mark.parametrize(("way", "port"), WAYS)
def test_an_unplugged_port_leaves_no_note_and_is_taken_up_again(jack: None, packs: Path, way: tuple[str, ...], port: str) -> None:
    level = [0.0]  # what is heard

    def heard() -> bool:
        return level[0] > 0.1

    with contextlib.ExitStack() as stack:
        with jackrig.keyboard("mykeys") as strike:
            command = (*FLAT, *way, "--release", "0.05", str(packs / "plain"))
            app = stack.enter_context(App(*command, midi=("--midi", "mykeys")))
            listener = stack.enter_context(jackrig.client("listener"))
            audio = listener.inports.register("audio")
            listener.set_process_callback(lambda frames: level.__setitem__(0, float(np.abs(audio.get_array()).max())))
            listener.activate()
            listener.connect(port, audio)
            strike(bytes((0x90, 60, 100)), heard)
        jackrig.wait(lambda: level[0] == 0.0, "the note of the unplugged keyboard is stuck")
        app.said("mykeys:out is gone")
        strike = stack.enter_context(jackrig.keyboard("mykeys"))
        app.said("listening to mykeys")
        strike(bytes((0x90, 64, 100)), heard)
        assert app.text().count("listening to mykeys") == 1


def test_a_client_of_a_test_that_fails_has_left_the_server(jack: None) -> None:
    with pytest.raises(RuntimeError, match="failed"), jackrig.client("failing") as client:
        client.midi_outports.register("out")
        client.set_process_callback(lambda frames: None)
        client.activate()
        assert "failing:out" in jackrig.ports()
        raise RuntimeError("failed")
    assert "failing:out" not in jackrig.ports()


def test_programs_and_morph_while_playing_do_not_click(jack: None, packs: Path) -> None:
    events = [(4800, bytes((0xC0, 1))), (9600, bytes((0x90, 60, 100)))]
    events += [(24000 + 480 * i, bytes((0xB0, 1, i * 3))) for i in range(43)]
    events += [(48000, bytes((0xC0, 0))), (60000, bytes((0xB0, 1, 0))), (72000, bytes((0x90, 67, 100)))]
    with App("--gain", "-6", str(packs / "many")):
        x = drive(events, 1.9)
    assert harmonics(x[14400:24000], 60).argmax() == 0
    assert harmonics(x[48000:57600], 60).argmax() == 2
    steady = clicks(x[48000:57600])
    assert clicks(x[9800:71000]) < 1.5 * steady + 5e-3  # as in the tests of the engine, where a step is found


def test_record_takes_down_what_is_heard(jack: None, packs: Path, tmp_path: Path) -> None:
    notes = script(8)
    with App(*FLAT, str(packs / "plain"), "--record", str(tmp_path / "take.wav")):
        x = drive(messages(notes), 1.2, freewheel=False)
        time.sleep(0.3)
    take, rate = soundfile.read(tmp_path / "take.wav", dtype="float32")
    assert rate == RATE
    assert take.shape[1] == 2
    start = int(np.flatnonzero(take[:, 0])[0])
    here = int(np.flatnonzero(x)[0])
    n = min(len(take) - start, len(x) - here) - 4800
    assert np.abs(take[start : start + n, 0] - x[here : here + n]).max() < 2e-7

    with App(*FLAT, str(packs / "plain"), "--record", str(tmp_path / "take.mid")):
        drive(messages(notes), 1.2, freewheel=False)
    got = [m for m in mido.MidiFile(tmp_path / "take.mid") if m.type in ("note_on", "note_off")]
    assert [m.note for m in got] == [k for _, k in notes for _ in range(2)]


def test_a_song_is_played_to_its_end(jack: None, packs: Path, tmp_path: Path) -> None:
    song = mido.MidiFile(ticks_per_beat=480)
    song.tracks.append(mido.MidiTrack([mido.Message("note_on", note=60, velocity=99), mido.Message("note_off", note=60, time=480)]))
    song.save(tmp_path / "s.mid")
    with App(*FLAT, str(packs / "plain"), "--midi-file", str(tmp_path / "s.mid"), "--record", str(tmp_path / "t.wav"), midi=()) as app:
        assert app.ended() == 0
    assert "1 notes" in app.text()
    take, rate = soundfile.read(tmp_path / "t.wav")
    on = np.flatnonzero(np.abs(take[:, 0]) > 0.1)
    assert 0.45 < (on[-1] - on[0]) / rate < 0.6
    assert cents(pitch(take[on[0] : on[0] + 12000, 0]), 60) < 1


def test_a_block_that_jack_does_not_have_is_refused(jack: None, packs: Path) -> None:
    command = [sys.executable, "-m", "nsynth_instrument", "play", "--block", "64", str(packs / "plain")]
    r = subprocess.run(command, capture_output=True, text=True, env=jackrig.environment(), stdin=subprocess.DEVNULL, timeout=jackrig.LIMIT)
    assert (r.returncode, r.stdout) == (2, "")
    assert "JACK has blocks of 128 frames" in r.stderr
    with App("--block", "128", str(packs / "plain")) as app:
        assert app.stop() == 0


@pytest.mark.skipif(Path("/dev/snd/seq").exists(), reason="there is an ALSA sequencer, which comes first")
def test_jack_is_found_where_there_is_no_sequencer(jack: None) -> None:
    assert backend(None) == ("jack", rtmidi.API_UNIX_JACK)


def test_devices_lists_both(jack: None) -> None:
    out = subprocess.run(
        [sys.executable, "-m", "nsynth_instrument", "devices"], capture_output=True, text=True, env=jackrig.environment()
    )
    assert out.returncode == 0
    assert "audio  JACK  (2 channels, 48000 Hz, 2.7 ms)" in out.stdout
    assert "audio  system, JACK Audio Connection Kit  (2 channels, 48000 Hz" in out.stdout


def test_the_computer_keyboard_plays_under_the_live_line(jack: None, packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 110))
    screen = pyte.Screen(110, 24)
    stream = pyte.ByteStream(screen)

    def seen(text: str) -> bool:
        while select.select([ours], [], [], 0)[0]:
            stream.feed(re.sub(rb"\x1b\[[<>]\d*u", b"", os.read(ours, 65536)))  # pyte does not know the kitty protocol
        return any(text in line for line in screen.display)

    with App(*FLAT, "--keys", str(packs / "plain"), stdin=theirs, stderr=theirs) as app:
        x = drive([], 4.0, midi_to=None, freewheel=False, meanwhile=lambda: os.write(ours, b"q"))
        os.write(ours, b"\x1b[113;1:1u")  # as terminals do that tell when a key goes up: it is held until then
        jackrig.wait(lambda: seen("C4 "), "the line does not show the key")
        jackrig.wait(lambda: seen("1 voices"), "the line does not show the voice")
        os.write(ours, b"\x1b[A")
        jackrig.wait(lambda: seen("gain +1 dB"), "the line does not show the gain")
        assert sum("voices" in line for line in screen.display) == 1
        os.write(ours, b"\x1b")
        assert app.ended() == 0
        assert seen("2 notes, 0 stolen")
        assert not seen("voices"), "the line is left behind"
        assert not screen.cursor.hidden
    os.close(ours)
    os.close(theirs)
    on = np.flatnonzero(np.abs(x) > 0.1)
    assert len(on)
    assert cents(pitch(x[on[0] : on[0] + 12000]), 60) < 1
