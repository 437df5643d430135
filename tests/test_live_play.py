"""`play` without a keyboard or a sound card: rendering, refusals, and what the terminal shows and hears."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import livepacks
import mido
import numpy as np
import pyte
import pytest
import soundfile
from click.testing import CliRunner

from nsynth_instrument.errors import DataError, NsynthError, UnknownName, UsageError
from nsynth_instrument.live.commands import play
from nsynth_instrument.live.engine import Engine, Settings
from nsynth_instrument.live.keyboard import HOLD, Desk, Keyboard
from nsynth_instrument.live.line import Line
from nsynth_instrument.live.samples import load

RATE = 48000


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return livepacks.make(tmp_path_factory.mktemp("p") / "flute", pitches=(48, 60, 72), looped=True, seconds=1.5, release=0.2)


@pytest.fixture
def engine(pack: Path) -> Engine:
    return Engine([load(pack, rate=RATE, budget=1 << 30)], settings=Settings(gain=0.0))


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


def test_a_song_is_rendered_to_the_frame_and_the_same_each_time(pack: Path, tmp_path: Path) -> None:
    mid = song(tmp_path / "s.mid")
    assert run(pack, "--midi-file", mid, "--out", tmp_path / "a.wav", "--gain", 0) == f"{tmp_path / 'a.wav'}\n"
    run(pack, "--midi-file", mid, "--out", tmp_path / "b.wav", "--gain", 0)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    x, rate = soundfile.read(tmp_path / "a.wav")
    info = soundfile.info(tmp_path / "a.wav")
    assert (rate, info.channels, info.subtype) == (RATE, 2, "PCM_24")
    want = livepacks.tone(60, rate=RATE, seconds=0.5, level=0.5 * 100 / 127)
    assert not x[:12000].any()
    assert np.abs(x[12000:36000, 0] - want).max() < 2**-23
    assert 0.9 * 45600 < len(x) < 1.2 * 48000  # the release is let out, and no more


def test_another_rate(pack: Path, tmp_path: Path) -> None:
    run(pack, "--midi-file", song(tmp_path / "s.mid"), "--out", tmp_path / "a.wav", "--rate", 44100)
    x, rate = soundfile.read(tmp_path / "a.wav")
    assert rate == 44100
    assert np.flatnonzero(np.abs(x[:, 0]) > 0.05)[0] == pytest.approx(11025, abs=1)


def test_a_note_that_is_never_let_go_ends_with_the_song(pack: Path, tmp_path: Path) -> None:
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(mido.MidiTrack([mido.Message("control_change", control=64, value=127), mido.Message("note_on", note=60, velocity=99),
                                       mido.MetaMessage("end_of_track", time=480)]))  # fmt: skip
    file.save(tmp_path / "s.mid")
    run(pack, "--midi-file", tmp_path / "s.mid", "--out", tmp_path / "a.wav")
    x, _ = soundfile.read(tmp_path / "a.wav")
    assert len(x) < RATE
    assert np.abs(x[-100:]).max() < 1e-3


def test_what_cannot_be_is_refused_with_a_sentence_and_leaves_nothing(pack: Path, tmp_path: Path) -> None:
    mid, out = song(tmp_path / "s.mid"), tmp_path / "o" / "a.wav"
    bad = tmp_path / "bad.mid"
    bad.write_bytes(mid.read_bytes()[:-9])
    assert "damaged" in run(pack, "--midi-file", bad, "--out", out, code=DataError)
    assert "--midi-file" in run(pack, "--out", out, code=UsageError)
    assert ".wav" in run(pack, "--midi-file", mid, "--out", tmp_path / "a.ogg", code=UsageError)
    assert "leave out" in run(pack, "--midi-file", mid, "--out", out, "--keys", code=UsageError)
    assert "is no pack" in run(tmp_path, "--midi-file", mid, "--out", out, code=DataError)
    assert "did you mean" in run(pack, "--midi-file", mid, "--out", out, "--aftertouch", "vibrate", code=UnknownName)
    file = tmp_path / "file"
    file.touch()
    for take, words in ((tmp_path / "x.ogg", "must end in .wav"), (tmp_path, "must end in .wav"), (tmp_path / "x", "or .mid")):
        assert words in run(pack, "--record", take, code=UsageError)
    (tmp_path / "d.wav").mkdir()
    assert "is a folder" in run(pack, "--record", tmp_path / "d.wav", code=UsageError)
    assert "cannot write in" in run(pack, "--record", file / "x.wav", code=NsynthError)
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
        e = Engine([sound], settings=Settings(gain=0.0))
        for word in (0xB0 | 1 << 8 | wheel << 16, 0x90 | 60 << 8 | zone.velocity << 16):
            e.send(word)
        got = fill(e, 8)[:, 0]
        want = soundfile.read(tmp_path / "p" / zone.file, dtype="float32")[0][: len(got)]
        assert np.abs(want).max() > 0.05
        error = np.abs(got - want).max()
        assert error == 0.0 if wheel != 64 else error < 0.05 * np.abs(want).max()  # 64 of 127 is a little beyond the middle


@pytest.mark.skipif(not sys.platform.startswith("linux") or Path("/dev/snd").exists(), reason="there is a sound card")
@pytest.mark.parametrize("what", ["play", "devices"])
def test_without_a_sound_card_one_sentence_names_the_cure(pack: Path, what: str) -> None:
    env = {**os.environ, "JACK_DEFAULT_SERVER": "nowhere", "JACK_NO_START_SERVER": "1"}
    command = [sys.executable, "-m", "nsynth_instrument", what] + ([str(pack)] if what == "play" else [])
    r = subprocess.run(command, capture_output=True, text=True, env=env, cwd=Path(__file__).parent.parent, timeout=300)
    assert r.returncode == (1 if what == "play" else 0)
    assert r.stdout == ""
    said = [line for line in r.stderr.splitlines() if "no audio output" in line]
    assert len(said) == 1
    assert "--midi-file SONG --out FILE" in said[0]
    assert "Traceback" not in r.stderr
    if what == "play":
        assert len(r.stderr.splitlines()) == 1


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Keyboard, int]]:
    """A Keyboard that reads a real pseudo-terminal, and the end to type into."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with Keyboard().listening(notes=False) as keyboard:
            yield keyboard, ours
    os.close(ours)


def keys(typed: tuple[Keyboard, int], data: bytes) -> list[tuple[str, bool]]:
    keyboard, end = typed
    os.write(end, data)
    found: list[tuple[str, bool]] = []
    for _ in range(20):
        found += keyboard.poll()
        __import__("time").sleep(0.01)
    return found


def test_keys_of_a_plain_terminal(typed: tuple[Keyboard, int]) -> None:
    assert keys(typed, b"zQ2") == [("z", True), ("q", True), ("2", True)]
    assert keys(typed, b"\x1b[A\x1b[D") == [("up", True), ("left", True)]
    assert keys(typed, b"\x7f") == [("backspace", True)]
    assert keys(typed, b"\x1b") == [("esc", True)]
    assert keys(typed, b"\x1b[15~\x1b[200~\x1bOPz") == [("z", True)]  # F5, paste, F1 mean nothing
    assert not typed[0].releases


def test_keys_of_a_terminal_that_tells_releases(typed: tuple[Keyboard, int]) -> None:
    assert keys(typed, b"\x1b[122;1:1u\x1b[122;1:3u") == [("z", True), ("z", False)]
    assert typed[0].releases
    assert keys(typed, b"\x1b[57:40;2:1u") == [("(", True)]
    assert keys(typed, b"\x1b[1;1:3A") == [("up", False)]
    assert keys(typed, b"\x1b[99;5u") == [("esc", True)]  # ctrl-c comes as a key then
    assert keys(typed, b"\x1b[27u") == [("esc", True)]
    assert keys(typed, b"\x1b[999999999u\x1b[1114112u") == []


def fill(engine: Engine, blocks: int = 8) -> np.ndarray:
    out = np.zeros((1024 * blocks, 2), np.float32)
    engine.fill(out)
    return out


def test_the_desk_plays_and_turns_knobs(engine: Engine) -> None:
    desk = Desk(engine, engine.send, notes=True)
    assert desk.press([("z", True), ("q", True)], releases=True)
    fill(engine)
    assert sorted(engine.voices["key"][engine.voices["state"] == 1].tolist()) == [48, 60]
    desk.press([("z", False)], releases=True)
    fill(engine)
    assert engine.voices["key"][engine.voices["state"] == 1].tolist() == [60]
    for _ in range(10):
        desk.press([("right", True), ("up", True), (")", True), ("}", True)], releases=True)
        fill(engine, 1)
    assert engine.morph == (pytest.approx(40 / 127), 0.0)
    for key in ">><":
        desk.press([(key, True)], releases=True)
        fill(engine, 1)
    assert engine.morph == (pytest.approx(40 / 127), pytest.approx(4 / 127))
    assert engine.globals["gain"] == pytest.approx(10**0.5)
    assert engine.globals["release"] > 0.2
    assert engine.globals["attack"] > 0.01
    desk.press([("backspace", True)], releases=True)
    fill(engine)
    assert engine.globals["sounding"] == 0
    assert not desk.press([("esc", True)], releases=True)


def test_without_releases_a_key_sounds_for_a_while(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    import nsynth_instrument.live.keyboard as terminal

    now = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    desk = Desk(engine, engine.send, notes=True)
    desk.press([("z", True)], releases=False)
    now[0] = HOLD * 0.9
    desk.press([("z", True)], releases=False)  # the key repeats
    now[0] = HOLD * 1.8
    desk.press([], releases=False)
    fill(engine)
    assert (engine.voices["state"] == 1).sum() == 1
    now[0] = HOLD * 2.0
    desk.press([], releases=False)
    fill(engine)
    assert (engine.voices["state"] == 1).sum() == 0


class Terminal(io.StringIO):
    """A terminal to write on, and what stands on it then."""

    def __init__(self, tty: bool = True) -> None:
        super().__init__()
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty

    def screen(self) -> pyte.Screen:
        screen = pyte.Screen(int(os.environ["COLUMNS"]), 24)
        screen.set_mode(pyte.modes.LNM)
        pyte.Stream(screen).feed(self.getvalue())
        return screen

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen().display if line.strip()]


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("TERM", "xterm-256color")


def test_the_line_shows_keys_voices_level_and_underruns(engine: Engine, wide: None) -> None:
    for word in (0x90 | 60 << 8 | 100 << 16, 0x90 | 64 << 8 | 100 << 16):
        engine.send(word)
    fill(engine)
    engine.globals["underruns"] = 3
    terminal = Terminal()
    line = Line(engine, out=terminal, quiet=False)
    line.draw(0.05)
    for part in ("C4 E4 ", "2 voices", "cpu   5%", "■■■■", "gain +0 dB", "underruns 3"):
        assert part in terminal.lines()[0]
    assert len(terminal.lines()) == 1
    sentence = "a-[bold]keyboard[/]-:smile:-is-gone-" * 4
    line.say(sentence)
    engine.send(0x80 | 64 << 8)
    fill(engine)
    line.draw(0.5)
    *above, last = terminal.lines()
    assert "".join(above) == sentence
    assert last.startswith("C4  ")
    assert "cpu  50%" in last
    before = terminal.getvalue()
    for _ in range(60):
        line.draw(0.5)
    assert 1 < terminal.getvalue()[len(before) :].count("cpu") < 30  # while the meter falls; then there is nothing new to tell
    line.close()
    assert len(terminal.lines()) == len(above)
    assert not terminal.screen().cursor.hidden


def test_the_line_shows_where_a_morph_stands_and_which_of_several_packs_plays(pack: Path, tmp_path: Path, wide: None) -> None:
    square = livepacks.make(tmp_path / "square", pitches=(60,), positions=[(x, y) for x in (0.0, 1.0) for y in (0.0, 1.0)], name="square")
    e = Engine([load(p, rate=RATE, budget=1 << 30) for p in (pack, square)])
    terminal = Terminal()
    line = Line(e, out=terminal, quiet=False)
    line.draw(0.0)
    assert terminal.lines()[0].startswith("test: -")
    assert "morph" not in terminal.lines()[0]
    for word in (0xC0 | 1 << 8, 0xB0 | 1 << 8 | 32 << 16, 0xB0 | 2 << 8 | 127 << 16):
        e.send(word)
    fill(e)
    line.draw(0.0)
    assert terminal.lines()[0].startswith("square: -")
    assert "morph 0.25 1.00" in terminal.lines()[0]


@pytest.mark.parametrize("columns", [20, 60, 80, 200])
def test_the_line_is_one_line_at_any_width(engine: Engine, wide: None, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for key in range(40, 80):
        engine.send(0x90 | key << 8 | 100 << 16)
    fill(engine)
    terminal = Terminal()
    line = Line(engine, out=terminal, quiet=False)
    for share in (0.0, 0.1, 0.2):
        line.draw(share)
    assert len(terminal.lines()) == 1


@pytest.mark.parametrize(("quiet", "tty", "kind"), [(True, True, "xterm"), (False, False, "xterm"), (False, True, "dumb")])
def test_where_there_is_no_live_line_there_are_plain_sentences(
    engine: Engine, wide: None, monkeypatch: pytest.MonkeyPatch, quiet: bool, tty: bool, kind: str
) -> None:
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as some build servers have it
    terminal = Terminal(tty)
    line = Line(engine, out=terminal, quiet=quiet)
    line.draw(0.05)
    line.say("a keyboard is gone")
    line.draw(0.06)
    line.close()
    assert terminal.getvalue() == "a keyboard is gone\n"
