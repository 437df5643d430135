"""Voices that come and go, offline: envelopes, the limit, stealing, the limiter."""

from __future__ import annotations

import numpy as np
import pytest
from engines import FLAT, cc, clicks, off, on, play, rms

from nsynth_instrument.live.engine import Engine, Settings
from nsynth_instrument.live.samples import Sound
from nsynth_instrument.live.state import FREE


def test_a_key_struck_again_leaves_no_voice_behind(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=FLAT)
    play(e, on(60), on(60), on(60), seconds=0.1)
    play(e, off(60), seconds=0.5)
    assert e.globals["sounding"] == 0


def test_envelope(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=Settings(gain=0.0, attack=0.2, decay=0.5, sustain=0.5, release=0.4))
    x = play(e, on(60), seconds=1.2)[:, 0]
    peak = np.abs(x).max()
    assert np.abs(x[4600:5000]).max() / peak == pytest.approx(0.5, abs=0.03)  # half-way up after 0.1 s
    assert np.abs(x[-2000:]).max() / peak == pytest.approx(0.5, abs=0.02)
    y = play(e, off(60), seconds=0.5)[:, 0]
    assert np.abs(y[9600:9900]).max() / np.abs(x[-2000:]).max() == pytest.approx(10 ** (-30 / 20), rel=0.1)
    assert e.globals["sounding"] == 0


def test_the_voice_limit_holds_and_stealing_takes_the_quietest_released(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=Settings(gain=-24.0, voices=8, release=2.0))
    for i in range(8):
        play(e, on(48 + i, 30 + 10 * i), seconds=0.05)
    play(e, off(50), off(52), off(54), seconds=0.05)
    play(e, on(70), seconds=0.05)
    assert e.globals["stolen"] == 1
    assert 50 not in e.voices["key"][e.voices["state"] != FREE]  # the softest of the three released ones
    play(e, on(71), on(72), on(73), seconds=0.05)
    left = set(e.voices["key"][e.voices["state"] != FREE].tolist())
    assert len(left) == 8
    assert 48 not in left  # none is in release any more: the quietest of all goes
    assert {70, 71, 72, 73} <= left


def test_stealing_does_not_click(packs: dict[str, Sound]) -> None:
    few, many = (Engine([packs["sparse"]], settings=Settings(gain=-12.0, voices=v)) for v in (4, 64))
    jumps = []
    for e in (few, many):
        play(e, on(36), on(39), on(42), on(45), seconds=0.2)
        x = np.concatenate([play(e, *([on(48 + 3 * i)] if i < 4 else []), seconds=0.01) for i in range(8)])
        jumps.append(clicks(x[:, 0]))
    assert few.globals["stolen"] == 4
    assert many.globals["stolen"] == 0
    assert jumps[0] < 1.2 * jumps[1]


def test_more_stealing_than_there_is_room_to_fade_breaks_nothing(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=Settings(voices=2))
    out = play(e, *(on(36 + i % 60) for i in range(200)), seconds=0.1)
    assert np.isfinite(out).all()
    play(e, *(off(36 + i) for i in range(60)), seconds=1.0)
    assert e.globals["sounding"] == 0


def test_loud_chords_stay_under_full_scale_and_soft_ones_are_untouched(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=Settings(gain=6.0))
    out = play(e, *(on(k, 127) for k in range(36, 97)), seconds=1.0)
    assert np.abs(out).max() <= 1.0
    assert rms(out) > 0.1
    play(e, cc(120, 0), seconds=3.0)
    quiet = play(e, cc(7, 127), on(60, 20), seconds=0.2)
    fresh = play(Engine([packs["looped"]], settings=Settings(gain=6.0)), on(60, 20), seconds=0.2)
    assert np.abs(quiet - fresh).max() < 1e-6
