"""The engine, offline: what is played is compared with what can be computed."""

from __future__ import annotations

from pathlib import Path

import livepacks
import numpy as np
import pytest
from engines import FLAT, RATE, cc, cents, clicks, off, on, pitch, play, rms, write

from nsynth_instrument.errors import UsageError
from nsynth_instrument.live.engine import Engine, Settings
from nsynth_instrument.live.samples import Sound, load
from nsynth_instrument.pack import Loop, Zone


def test_a_note_at_its_root_is_the_file_bit_for_bit(packs: dict[str, Sound]) -> None:
    out = play(Engine([packs["plain"]], settings=FLAT), on(60), seconds=0.5)
    want = livepacks.tone(60, rate=RATE, seconds=1, level=0.5 * 100 / 127)[: len(out)]
    assert np.array_equal(out[:, 0], want)
    assert np.array_equal(out[:, 1], want)


@pytest.mark.parametrize("name", ["sparse", "looped", "foreign"])
@pytest.mark.parametrize("key", [24, 37, 61, 62, 88, 99])
def test_pitch_between_and_beyond_roots_is_within_a_cent(packs: dict[str, Sound], name: str, key: int) -> None:
    x = play(Engine([packs[name]], settings=FLAT), on(key), seconds=0.8 if name == "sparse" and key < 90 else 0.6)[:, 0]
    assert rms(x) > 0.1
    assert cents(pitch(x[:24000]), key) < 1


def test_the_pitch_test_can_fail(tmp_path: Path) -> None:
    sound = load(livepacks.make(tmp_path / "p", pitches=(69,), shift=12 * np.log2(442 / 440)), rate=RATE, budget=1 << 30)
    x = play(Engine([sound], settings=FLAT), on(69), seconds=0.8)[:, 0]
    assert cents(pitch(x), 69) > 5


@pytest.mark.parametrize("name", ["looped", "foreign"])
@pytest.mark.parametrize("key", [48, 61, 84])
def test_a_held_note_loops_without_a_seam(packs: dict[str, Sound], name: str, key: int) -> None:
    e = Engine([packs[name]], settings=FLAT)
    x = play(e, on(key), seconds=5.0)[:, 0]
    assert cents(pitch(x[-96000:]), key) < 1
    steady = clicks(x[:9600])
    assert clicks(x[200:]) < 1.3 * steady + 2e-4
    assert rms(x[-4800:]) == pytest.approx(rms(x[:4800]), rel=0.05)
    play(e, off(key), seconds=1.0)
    assert e.globals["sounding"] == 0


@pytest.mark.parametrize("rate", [48000, 44100])
def test_after_note_off_the_recorded_release_is_played(tmp_path: Path, rate: int) -> None:
    x = np.zeros(3 * rate, np.float32)
    t = np.arange(rate) / rate
    x[:rate] = 0.5 * np.cos(2 * np.pi * 400 * t)
    x[rate : 2 * rate] = 0.5 * np.cos(2 * np.pi * 1000 * t)  # the release sounds an other pitch
    zone = Zone("a.wav", 60, 100, 0, 127, 1, 127, len(x), loop=Loop(rate // 2, rate - 1))
    sound = load(write(tmp_path / "r", [(zone, x)], rate=rate), rate=RATE, budget=1 << 30)
    e = Engine([sound], settings=Settings(gain=0.0, release=60.0))
    held = play(e, on(60), seconds=2.8)[:, 0]
    assert pitch(held[-9600:]) == pytest.approx(400, rel=1e-3)
    after = play(e, off(60), seconds=1.0)[:, 0]  # the loop ends at 3.0 s: 0.2 s more of it, then what follows
    assert pitch(after[:7000]) == pytest.approx(400, rel=3e-3)
    assert pitch(after[12000:40000]) == pytest.approx(1000, rel=1e-3)


def test_velocity_rises_steadily_through_layers_whatever_their_phase(packs: dict[str, Sound], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = [(Zone(f"{v}.wav", 60, v, 0, 127, 1, 127, 24000), (0.3 * v / 127 * rng.standard_normal(24000)).astype("f4"))
             for v in (25, 50, 75, 100, 127)]  # fmt: skip
    strangers = load(write(tmp_path / "n", noise), rate=RATE, budget=1 << 30)
    for sound in (packs["layers"], strangers):
        e = Engine([sound], settings=Settings(gain=-12.0))
        level = []
        for v in range(1, 128):
            level.append(rms(play(e, on(60, v), seconds=0.3)))
            play(e, cc(120, 0), seconds=0.02)
        steps = np.diff(level)
        assert (steps > 0).all()
        assert level[126] / level[0] > 100
        assert level[86] == pytest.approx((level[74] + level[99]) / 2, rel=0.05)


@pytest.mark.parametrize("rate", [48000, 44100])
@pytest.mark.parametrize("key", [63, 82, 90])
def test_two_layers_together_are_the_sum_of_each_alone(tmp_path: Path, rate: int, key: int) -> None:
    rng = np.random.default_rng(3)
    low = np.hanning(41) / 20  # noise of low frequencies only, of which the interpolator makes no error worth a name
    layers = []
    for v, loop in ((50, Loop(9000, 12001)), (100, Loop(8000, 15702))):
        x = np.convolve(rng.standard_normal(40000), low, "same").astype("f4") * 0.2
        layers.append((Zone(f"{v}.wav", 60, v, 0, 127, 1, 127, len(x), loop=loop), x))
    take = []
    for which in (layers, layers[:1], layers[1:]):
        sound = load(write(tmp_path / str(len(take)), which, rate=rate), rate=RATE, budget=1 << 30)
        e = Engine([sound], settings=Settings(gain=0.0, release=1.0))
        take.append(np.concatenate([play(e, on(key, 75), seconds=1.2), play(e, off(key), seconds=0.3)])[:, 0])
    ab = np.stack(take[1:], axis=1)
    best, *_ = np.linalg.lstsq(ab, take[0], rcond=None)
    assert (best > 0.2).all()
    assert np.abs(ab @ best - take[0]).max() < 1e-4 * np.abs(take[0]).max()


def test_mono_and_many_channels(packs: dict[str, Sound]) -> None:
    for channels in (1, 2, 6):
        e = Engine([packs["plain"]], settings=FLAT, channels=channels)
        e.send(on(60))
        out = np.full((512, channels), 9, np.float32)
        e.fill(out)
        assert out[0, 0] == pytest.approx(0.5 * 100 / 127)
        assert not out[:, 2:].any()


@pytest.mark.parametrize("bad", [{"voices": 0}, {"gain": 99.0}, {"attack": -1.0}, {"sustain": 2.0}, {"channel": 17}, {"mpe": 16},
                                 {"aftertouch": "wah"}, {"tune": 1e9}, {"release": 1e9}])  # fmt: skip
def test_settings_that_cannot_be_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Settings(**bad)  # type: ignore[arg-type]
