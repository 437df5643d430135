"""Keyboards through RtMidi: taken up, missed, and taken up again; JACK stands for every system that RtMidi knows."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jackrig
import pytest

pytest.importorskip("jack")
if jackrig.missing:
    pytest.skip(f"{' and '.join(jackrig.missing)} missing: apt install jackd2 libportaudio2", allow_module_level=True)

LISTENER = """
import time
from nsynth_instrument.live.midi import Ports
ports = Ports(lambda word: print(f"{word:06x}", flush=True), api="jack", port="mykeys")
print(*ports.open, flush=True)
while True:
    for sentence in ports.poll():
        print(sentence, flush=True)
    time.sleep(0.2)
"""


@contextmanager
def listener() -> Iterator[list[str]]:
    """The lines that `Ports` says in a process of its own: RtMidi keeps the interpreter's lock while JACK waits for our keyboard."""
    p = subprocess.Popen(
        [sys.executable, "-c", LISTENER],
        stdout=subprocess.PIPE,
        text=True,
        env=jackrig.environment(),
        cwd=Path(__file__).parent.parent,
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(line.strip() for line in p.stdout or ()))
    reader.start()
    try:
        yield lines
    finally:
        p.kill()
        p.wait()
        reader.join()
        p.stdout.close()


def test_a_keyboard_that_goes_lets_go_of_its_notes_and_is_taken_up_again() -> None:
    with jackrig.server(sync=False), ExitStack() as stack:

        def said(text: str) -> None:
            jackrig.wait(lambda: text in lines, lambda: str(lines))

        with jackrig.keyboard("mykeys") as strike:
            lines = stack.enter_context(listener())
            said("mykeys:out")
            strike(bytes((0x92, 60, 100)), lambda: "643c92" in lines)
        said("mykeys:out is gone")
        ended = [line for line in lines if line[4:5] == "b"]
        assert ended == ["0079b2", "007bb2"], "controllers reset, then all notes off, on the channel that it played"
        strike = stack.enter_context(jackrig.keyboard("mykeys"))
        said("listening to mykeys:out")
        strike(bytes((0x92, 64, 100)), lambda: "644092" in lines)
