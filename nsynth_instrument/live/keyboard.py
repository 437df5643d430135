"""The computer's keyboard as a keyboard, and as the knobs of the engine."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from .engine import Engine
from .midi import message

LOWER, UPPER = "zsxdcvgbhnjm,l.;/", "q2w3er5t6y7ui9o0p[=]"
"""Two rows of keys, each a piano from C on, the upper an octave above the lower."""

HOLD = 0.6
"""s that a note is held after its last key press, on terminals that do not tell when a key goes up."""

_ARROWS = {"A": "up", "B": "down", "C": "right", "D": "left"}
_ESCAPE = re.compile(r"\x1b\[(?:(\d{1,6})(?::(\d{0,6})[:\d]*)?)?(?:;(\d{1,4})?(?::(\d))?)?([ABCDu~])")
_UNKNOWN = re.compile(r"^\x1b(\[[^a-zA-Z~]*[a-zA-Z~]?|O.)?")
_KITTY_ON, _KITTY_OFF = "\x1b[>15u", "\x1b[<u"

HELP = "arrows: morph and gain; < >: morph, second axis; ( ): release; { }: attack; backspace: silence; esc: end"


class Keyboard:
    """Keys of the computer as (name, down): names are characters, or up, down, left, right, esc, backspace.

    Terminals send no key-up, but those that know the kitty protocol are asked for it; `releases` turns true when one answers.
    """

    def __init__(self) -> None:
        self.releases = False
        self._text = ""
        self._escaped = 0.0

    @contextlib.contextmanager
    def listening(self, *, notes: bool) -> Iterator[Keyboard]:
        """Read key by key until the block ends; the terminal is left as it was found. notes: ask for key-ups."""
        if os.name == "nt":
            yield self
            return
        import termios
        import tty

        number = sys.stdin.fileno()
        before = termios.tcgetattr(number)
        try:
            tty.setcbreak(number)
            if notes:
                self._say(_KITTY_ON)
            yield self
        finally:
            if notes:
                self._say(_KITTY_OFF)
            termios.tcsetattr(number, termios.TCSADRAIN, before)

    @staticmethod
    def _say(text: str) -> None:
        if sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
            sys.stderr.write(text)
            sys.stderr.flush()

    def poll(self) -> list[tuple[str, bool]]:
        """Keys that went down or up since the last call; never waits."""
        fresh = self._read()
        self._text += fresh
        keys: list[tuple[str, bool]] = []
        while self._text:
            if self._text[0] != "\x1b":
                char, self._text = self._text[0], self._text[1:]
                keys.append(({"\x7f": "backspace", "\b": "backspace"}.get(char, char.lower()), True))
                continue
            found = _ESCAPE.match(self._text)
            if found:
                self._text = self._text[found.end() :]
                keys += self._decode(found)
            elif len(self._text) == 1 and fresh:
                self._escaped = time.monotonic()
                break  # the rest of a sequence may still come
            elif len(self._text) == 1 and time.monotonic() - self._escaped < 0.05:
                break
            elif len(self._text) > 1:
                self._text = _UNKNOWN.sub("", self._text, count=1)  # a key that means nothing here
            else:
                self._text = ""
                keys.append(("esc", True))
        return keys

    def _decode(self, found: re.Match[str]) -> list[tuple[str, bool]]:
        code, shifted, modifiers, event, kind = found.groups()
        if event:
            self.releases = True
        down = event != "3"
        if kind in _ARROWS:
            return [(_ARROWS[kind], down)]
        if kind != "u" or not code or max(int(code), int(shifted or 0)) > 0x10FFFF:
            return []
        control = (int(modifiers or 1) - 1) & 4
        if control:
            return [("esc", True)] if chr(int(code)) == "c" and down else []
        self.releases = True
        char = int(shifted or code) if int(modifiers or 1) - 1 & 1 else int(code)
        return [({27: "esc", 127: "backspace"}.get(char, chr(char).lower()), down)]

    def _read(self) -> str:
        if os.name == "nt":
            import msvcrt

            windows: Any = msvcrt
            text = ""
            while windows.kbhit():
                char = windows.getwch()
                if char in "\x00\xe0":
                    char = {"H": "\x1b[A", "P": "\x1b[B", "M": "\x1b[C", "K": "\x1b[D"}.get(windows.getwch(), "")
                text += char
            return text
        import select

        number = sys.stdin.fileno()
        if not select.select([number], [], [], 0)[0]:
            return ""
        return os.read(number, 4096).decode("utf-8", "replace")


class Desk:
    """What the computer's keys do: turn the engine's knobs, and with `notes` play it."""

    def __init__(self, engine: Engine, send: Callable[[int], object], *, notes: bool) -> None:
        self._engine, self._send = engine, send
        self._notes = {}
        if notes:
            self._notes = {c: 48 + i for i, c in enumerate(LOWER)} | {c: 60 + i for i, c in enumerate(UPPER)}
        self._down: dict[int, float] = {}

    def press(self, keys: list[tuple[str, bool]], *, releases: bool) -> bool:
        """Do what the keys say; False when the player wants to end."""
        now = time.monotonic()
        for name, down in keys:
            note = self._notes.get(name)
            if note is not None:
                self._note(note, down, now)
            elif down and not self._turn(name):
                return False
        if not releases:
            for note in [n for n, since in self._down.items() if now - since > HOLD]:
                self._note(note, False, now)
        return True

    def _note(self, note: int, down: bool, now: float) -> None:
        if down:
            if note not in self._down:
                self._send(message(0x90, note, 100))
            self._down[note] = now
        elif note in self._down:
            del self._down[note]
            self._send(message(0x80, note, 0))

    def _turn(self, name: str) -> bool:
        g = self._engine.globals
        if name == "esc":
            return False
        if name == "backspace":
            self._engine.panic()
            self._down.clear()
        elif name in ("left", "right", "<", ">"):
            axis = name in "<>"
            value = round(self._engine.morph[axis] * 127) + (4 if name in ("right", ">") else -4)
            for channel in range(16):
                self._send(message(0xB0 | channel, 1 + axis, min(max(value, 0), 127)))
        elif name in ("up", "down"):
            g["gain"] = min(max(float(g["gain"]) * 10 ** (0.05 if name == "up" else -0.05), 1e-3), 16.0)
        elif name in ("{", "}"):
            g["attack"] = _step(float(g["attack"]), name == "}")
        elif name in ("(", ")"):
            old = float(g["release"])
            g["release"] = _step(self._engine.sounds[0].pack.release if old < 0 else old, name == ")")
        return True


def _step(seconds: float, up: bool) -> float:
    """Longer or shorter by a quarter; under 5 ms is 0."""
    seconds = max(seconds, 0.004) * 1.25 if up else seconds / 1.25
    return min(seconds, 20.0) if seconds >= 0.005 else 0.0
