"""Recording what is played: it never stops the music, and keeps what can be kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import livepacks
import mido
import numpy as np
import pytest
import soundfile

from nsynth_instrument.live.engine import Engine, Settings
from nsynth_instrument.live.record import Recorder
from nsynth_instrument.live.samples import load

RATE = 48000


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    pack = livepacks.make(tmp_path / "p", pitches=(60,), looped=True)
    return Engine([load(pack, rate=RATE, budget=1 << 30)], settings=Settings(gain=0.0))


@pytest.fixture
def small_disk() -> Iterator[int]:
    """No file may grow beyond so many bytes."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_001, before[1]))
    yield 300_001
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def play(engine: Engine, recorder: Recorder, tenths: int) -> np.ndarray:
    out = np.zeros((tenths, RATE // 10, 2), np.float32)
    for block in out:
        engine.fill(block)
        recorder.poll()
    return out.reshape(-1, 2)


def test_a_full_disk_keeps_what_was_played_until_then(engine: Engine, tmp_path: Path, small_disk: int) -> None:
    recorder = Recorder(engine, tmp_path / "take.wav")
    engine.send(0x90 | 60 << 8 | 100 << 16)
    x = play(engine, recorder, 20)
    recorder.close()
    assert recorder.lost > 0
    take, rate = soundfile.read(tmp_path / "take.wav", dtype="float32")
    assert rate == RATE
    assert small_disk // 6 - 0.2 * RATE < len(take) <= small_disk // 6
    assert np.abs(take - x[: len(take)]).max() < 2e-7
    assert not list(tmp_path.glob("*.part"))


def test_a_card_that_comes_back_at_another_rate(engine: Engine, tmp_path: Path) -> None:
    recorders = [Recorder(engine, tmp_path / name) for name in ("take.wav", "take.mid")]
    for rate in (48000, 24000, 48000):
        engine.globals["rate"], engine.globals["ratio"] = rate, RATE / rate
        for status in (0x90, 0x80):
            engine.send(status | 60 << 8 | 100 << 16)
            out = np.zeros((rate // 2, 2), np.float32)
            engine.fill(out)
            for recorder in recorders:
                recorder.poll()
    for recorder in recorders:
        recorder.close()
    assert [r.lost for r in recorders] == [24000, 0]
    assert soundfile.info(tmp_path / "take.wav").frames == 2 * 48000
    at = np.cumsum([m.time for m in mido.MidiFile(tmp_path / "take.mid") if not m.is_meta])
    assert at == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0, 2.5], abs=2e-3)
