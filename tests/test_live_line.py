"""The live line: what the terminal shows while it plays."""

from __future__ import annotations

import io
import os
from pathlib import Path

import livepacks
import pyte
import pytest
from engines import FLAT, RATE, fill

from nsynth_instrument.live.engine import Engine
from nsynth_instrument.live.line import Line
from nsynth_instrument.live.samples import load


@pytest.fixture
def engine(flute: Path) -> Engine:
    return Engine([load(flute, rate=RATE, budget=1 << 30)], settings=FLAT)


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


def test_the_line_shows_where_a_morph_stands_and_which_of_several_packs_plays(flute: Path, tmp_path: Path, wide: None) -> None:
    square = livepacks.make(tmp_path / "square", pitches=(60,), positions=[(x, y) for x in (0.0, 1.0) for y in (0.0, 1.0)], name="square")
    e = Engine([load(p, rate=RATE, budget=1 << 30) for p in (flute, square)])
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
