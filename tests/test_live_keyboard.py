"""The computer's keyboard: what a terminal types, and what the desk makes of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engines import FLAT, RATE, fill

from nsynth_instrument.live.engine import Engine
from nsynth_instrument.live.keyboard import HOLD, Desk, Keyboard
from nsynth_instrument.live.samples import load


@pytest.fixture
def engine(flute: Path) -> Engine:
    return Engine([load(flute, rate=RATE, budget=1 << 30)], settings=FLAT)


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
        time.sleep(0.01)
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
