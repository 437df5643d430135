"""Half an hour of dense music on the JACK rig, as fast as the machine goes: what it takes in memory, and that no note stays."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from pathlib import Path

import jackrig
import livepacks
import numpy as np
import pytest
from jackrig import RATE, App

pytest.importorskip("jack")
if jackrig.missing:
    pytest.skip(f"{' and '.join(jackrig.missing)} missing: apt install jackd2 libportaudio2", allow_module_level=True)

CYCLE = 8192
"""frames; JACK allows no more. Freewheeling costs by the cycle, so long ones make half an hour short."""
CYCLES = -(-30 * 60 * RATE // CYCLE)
VOICES = 32
LET_GO = [(0, bytes((0xB0 | c, control, 0))) for c in range(4) for control in (121, 123)]


def phrase(rng: np.random.Generator) -> list[tuple[int, bytes]]:
    """What comes within a cycle, by frame: six notes on four channels, and a bend, or a move of the wheel or the pedal."""
    events = []
    for frame in range(0, 6 * (CYCLE // 6), CYCLE // 6):
        channel, key = int(rng.integers(4)), int(rng.integers(36, 97))
        events += [(frame, bytes((0x90 | channel, key, int(rng.integers(1, 128)))))]
        events += [(frame, bytes((0x80 | int(rng.integers(4)), int(rng.integers(36, 97)), 0)))]
    value = int(rng.integers(128))
    moves = ((0xE0, 0, value), (0xB0 | int(rng.integers(4)), 1, value), (0xB1, 64, value if rng.integers(4) == 0 else 0))
    return [*events, (CYCLE - 1, bytes(moves[int(rng.integers(3))]))]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc to read the memory from")
def test_half_an_hour_of_dense_music_takes_no_more_memory(tmp_path: Path) -> None:
    pack = livepacks.make(tmp_path / "p", looped=True, positions=[(0.0,), (1.0,)], seconds=0.5)
    rng = np.random.default_rng(3)
    phrases = [phrase(rng) for _ in range(509)]
    peaks = np.zeros(CYCLES + 20, np.float32)
    sizes: list[int] = []
    done, errors = threading.Event(), []
    at, go = 0, False
    with contextlib.ExitStack() as stack:
        stack.enter_context(jackrig.server(period=CYCLE))
        app = stack.enter_context(App("--voices", str(VOICES), "--gain", "-20", str(pack)))
        client = stack.enter_context(jackrig.client("driver"))
        midi, audio = client.midi_outports.register("midi"), client.inports.register("audio")

        def cycle() -> None:
            nonlocal at
            midi.clear_buffer()
            if done.is_set() or not go:
                return
            peaks[at] = np.abs(audio.get_array()).max()
            for frame, data in phrases[at % len(phrases)] if at < CYCLES else LET_GO if at == CYCLES else ():
                midi.write_midi_event(frame, data)
            if at % (CYCLES // 10) == CYCLES // 10 - 1:
                sizes.append(int(Path(f"/proc/{app.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE"))
            at += 1
            if at == len(peaks):
                done.set()

        @client.set_process_callback
        def process(frames: int) -> None:
            try:
                cycle()
            except Exception as e:
                errors.append(e)
                done.set()

        client.activate()
        client.connect(midi, jackrig.MIDI_IN)
        client.connect(jackrig.AUDIO_OUT, audio)
        client.set_freewheel(True)
        go = True
        assert done.wait(5 * jackrig.LIMIT), f"only {at} of {CYCLES} cycles"
        client.set_freewheel(False)
        client.close()
        assert app.stop() == 0
    assert not errors
    assert len(sizes) == 10
    assert sizes[-1] - sizes[0] < 1 << 20
    assert np.isfinite(peaks).all()
    assert peaks.max() <= 1.0
    assert peaks[2:CYCLES].min() > 0.01, "it fell silent"
    assert not peaks[-10:].any(), "a note is stuck"
    found = re.search(r"(\d+):\d\d played, (\d+) notes, (\d+) stolen", app.lines[-1])
    assert found
    minutes, notes, stolen = map(int, found.groups())
    assert minutes >= 30
    assert notes == 6 * CYCLES
    assert notes - stolen < notes / 4, "it was not dense"
