"""Keyboards through RtMidi: taken up, missed, and taken up again; JACK stands for every system that RtMidi knows."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
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
def keyboard() -> Iterator[Callable[[bytes], None]]:
    """A port that sends what its function is given."""
    pending: list[bytes] = []
    with jackrig.client("mykeys") as client:
        out = client.midi_outports.register("out")

        @client.set_process_callback
        def process(frames: int) -> None:
            out.clear_buffer()
            while pending:
                out.write_midi_event(0, pending.pop(0))

        client.activate()
        yield pending.append


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

        def said(text: str) -> bool:
            return text in lines

        def strike(send: Callable[[bytes], None], key: int) -> None:
            """Until it is heard: a message that comes while the graph is rewired may be lost."""

            def heard() -> bool:
                send(bytes((0x92, key, 100)))
                time.sleep(0.2)
                return said(f"64{key:02x}92")

            jackrig.wait(heard, lambda: str(lines))

        with keyboard() as send:
            lines = stack.enter_context(listener())
            jackrig.wait(lambda: said("mykeys:out"), lambda: str(lines))
            strike(send, 60)
        jackrig.wait(lambda: said("mykeys:out is gone"), lambda: str(lines))
        ended = [line for line in lines if line[4:5] == "b"]
        assert ended == ["0079b2", "007bb2"], "controllers reset, then all notes off, on the channel that it played"
        send = stack.enter_context(keyboard())
        jackrig.wait(lambda: said("listening to mykeys:out"), lambda: str(lines))
        strike(send, 64)
