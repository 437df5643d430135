"""Pedals, wheels and knobs of the engine, offline."""

from __future__ import annotations

import numpy as np
import pytest
from engines import FLAT, RATE, bend, cc, cents, clicks, harmonics, off, on, pitch, play, rms

from nsynth_instrument.live.engine import Engine, Settings
from nsynth_instrument.live.samples import Sound
from nsynth_instrument.live.state import FREE
from nsynth_instrument.notes import hz


def test_sustain_holds_and_lets_go(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=FLAT)
    play(e, cc(64, 127), on(60), on(64), off(60), seconds=0.5)
    assert e.globals["sounding"] == 2
    assert rms(play(e, seconds=0.5)) > 0.1
    play(e, cc(64, 63), seconds=0.5)
    assert e.globals["sounding"] == 1  # 64 is still under a finger
    play(e, 0x90 | 64 << 8, seconds=0.5)  # note on with velocity 0
    assert e.globals["sounding"] == 0


def test_sostenuto_holds_only_what_was_down(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=FLAT)
    play(e, on(60), cc(66, 127), on(64), off(60), off(64), seconds=0.5)
    assert e.globals["sounding"] == 1
    play(e, cc(66, 0), seconds=0.5)
    assert e.globals["sounding"] == 0
    play(e, on(60), cc(66, 127), cc(64, 127), off(60), cc(66, 0), seconds=0.5)
    assert e.globals["sounding"] == 1  # the sustain pedal has it now
    play(e, cc(64, 0), seconds=0.5)
    assert e.globals["sounding"] == 0


def test_soft_pedal_is_softer(packs: dict[str, Sound]) -> None:
    loud = rms(play(Engine([packs["layers"]], settings=FLAT), on(60), seconds=0.2))
    soft = rms(play(Engine([packs["layers"]], settings=FLAT), cc(67, 127), on(60), seconds=0.2))
    assert 0.4 < soft / loud < 0.8


def test_bend_follows_its_range(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=FLAT)
    play(e, on(60), bend(16383), seconds=0.2)
    assert cents(pitch(play(e, seconds=0.5)[:, 0]), 62) < 1
    play(e, cc(101, 0), cc(100, 0), cc(6, 12), cc(38, 50), bend(0), seconds=0.2)
    assert cents(pitch(play(e, seconds=0.5)[:, 0]), 60 - 12.5) < 1
    play(e, bend(8192), seconds=0.3)
    assert cents(pitch(play(e, seconds=0.5)[:, 0]), 60) < 1
    play(e, cc(101, 127), cc(100, 127), cc(6, 1), bend(16383), seconds=0.2)  # no parameter chosen: the range stays
    assert cents(pitch(play(e, seconds=0.5)[:, 0]), 72.5) < 1


def test_volume_expression_and_pan(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=FLAT)
    full = rms(play(e, on(60), seconds=0.5)[:, 0])
    play(e, cc(7, 64), seconds=0.3)
    assert rms(play(e, seconds=0.5)[:, 0]) / full == pytest.approx((64 / 127) ** 2, rel=0.02)
    play(e, cc(7, 127), cc(11, 90), seconds=0.3)
    assert rms(play(e, seconds=0.5)[:, 0]) / full == pytest.approx((90 / 127) ** 2, rel=0.02)
    x = play(e, cc(11, 127), cc(10, 0), seconds=1.0)[-9600:]
    assert rms(x[:, 1]) < 1e-6 * full
    assert rms(x[:, 0]) / full == pytest.approx(2**0.5, rel=0.02)
    x = play(e, cc(10, 127), seconds=1.0)[-9600:]
    assert rms(x[:, 0]) < 1e-6 * full
    x = play(e, cc(10, 64), seconds=1.0)[-9600:]
    assert np.array_equal(x[:, 0], x[:, 1])


def test_controllers_that_jump_do_not_click(packs: dict[str, Sound]) -> None:
    e = Engine([packs["morph"]], settings=Settings(gain=-6.0))
    steady = clicks(play(e, on(60), seconds=0.5)[:, 0])
    for word in (cc(7, 0), cc(7, 127), cc(10, 0), cc(10, 127), cc(11, 3), cc(11, 127), cc(1, 127), cc(1, 0), bend(0), cc(1, 64)):
        assert clicks(play(e, word, seconds=0.2)[:, 0]) < 3 * steady + 5e-3
    play(e, cc(64, 127), off(60), seconds=0.1)
    assert clicks(play(e, cc(120, 0), seconds=0.2)[:, 0]) < 3 * steady + 5e-3


def test_the_click_test_can_fail(packs: dict[str, Sound]) -> None:
    x = play(Engine([packs["morph"]], settings=Settings(gain=-6.0)), on(60), seconds=0.5)[:, 0]
    steady = clicks(x)
    x[12000:] *= 0.9
    assert clicks(x) > 3 * steady + 5e-3


@pytest.mark.parametrize("poly", [False, True])
@pytest.mark.parametrize("to", ["vibrato", "loudness", "morph", "none"])
def test_aftertouch_does_what_it_is_assigned(packs: dict[str, Sound], to: str, poly: bool) -> None:
    e = Engine([packs["morph"]], settings=Settings(gain=-6.0, aftertouch=to))
    before = play(e, on(60), seconds=0.5)[:, 0]
    play(e, 0xA0 | 60 << 8 | 127 << 16 if poly else 0xD0 | 127 << 8, seconds=0.3)
    after = play(e, seconds=1.0)[:, 0]
    phase = np.unwrap(
        np.angle(np.convolve(after * np.exp(-2j * np.pi * hz(60) * np.arange(len(after)) / RATE), np.ones(2400), "valid"))
    )
    wobble = np.ptp(np.diff(phase[::480]))
    if to != "morph":  # which takes away the partial whose wobble is measured
        assert (wobble > 0.02) == (to == "vibrato")
    assert (rms(after) > 1.8 * rms(before)) == (to == "loudness")
    assert (harmonics(after, 60).argmax() == 3) == (to == "morph")


def test_all_sound_off_all_notes_off_and_reset(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=Settings(gain=0.0, release=5.0))
    play(e, on(60), on(64), cc(64, 127), off(60), seconds=0.1)
    play(e, cc(120, 0), seconds=0.01)
    assert e.globals["sounding"] == 0
    play(e, cc(64, 0), on(60), on(64), cc(123, 0), seconds=0.1)
    assert e.globals["sounding"] == 2  # released, 5 s long
    assert (e.voices["state"][e.voices["state"] != FREE] == 3).all()
    play(e, cc(120, 0), seconds=0.1)
    play(e, cc(64, 127), on(60), cc(123, 0), seconds=0.1)
    assert (e.voices["state"][e.voices["state"] != FREE] == 2).all()  # the pedal still holds
    play(e, cc(1, 99), cc(11, 5), bend(0), cc(7, 90), cc(10, 3), cc(121, 0), seconds=0.1)
    hand = e.hands[0]
    assert (hand["wheel"], hand["expression"], hand["bend"], hand["sustain"]) == (0, 127, 8192, 0)
    assert (hand["volume"], hand["pan"]) == (90, 3)
    assert (e.voices["state"][e.voices["state"] != FREE] == 3).all()
