"""Channels of the engine, offline: programs, the chosen one, MPE."""

from __future__ import annotations

import numpy as np
import pytest
from engines import FLAT, bend, cc, harmonics, off, on, play

from nsynth_instrument.live.engine import Engine, Settings
from nsynth_instrument.live.samples import Sound


def test_programs_and_banks_choose_packs(packs: dict[str, Sound]) -> None:
    many = [packs["plain"]] * 129 + [packs["layers"]]
    e = Engine(many, settings=FLAT)
    soft = 0.5 * 50 / 127
    play(e, 0xC0 | 1 << 8, cc(32, 1), 0xC0 | 1 << 8)  # bank 1, program 1: pack 129
    assert e.hands[0]["pack"] == 129
    assert np.abs(play(e, on(60, 50), seconds=0.1)).max() == pytest.approx(soft, rel=1e-3)
    play(e, 0xC0 | 99 << 8, seconds=0.1)  # pack 227 does not exist
    assert e.hands[0]["pack"] == 129
    assert e.globals["ignored"] == 1


def test_a_change_of_pack_leaves_sounding_notes_alone(packs: dict[str, Sound]) -> None:
    a, b = Engine([packs["looped"], packs["plain"]], settings=FLAT), Engine([packs["looped"]], settings=FLAT)
    play(a, on(60), seconds=0.1)
    play(b, on(60), seconds=0.1)
    assert np.array_equal(play(a, 0xC0 | 1 << 8, seconds=0.5), play(b, seconds=0.5))


def test_only_the_chosen_channel_is_heard(packs: dict[str, Sound]) -> None:
    e = Engine([packs["plain"]], settings=Settings(channel=3))
    assert not play(e, on(60, channel=0), on(62, channel=15), seconds=0.1).any()
    assert play(e, on(60, channel=2), seconds=0.1).any()


def test_mpe_bends_presses_and_morphs_each_note(packs: dict[str, Sound]) -> None:
    e = Engine([packs["morph"]], settings=Settings(gain=-6.0, mpe=15))
    play(e, on(60, channel=1), on(67, channel=2), bend(8192 + 8191 // 4, channel=1), seconds=0.2)  # +12 of 48
    x = play(e, seconds=0.6)[:, 0]
    assert harmonics(x, 72, 1)[0] > 0.1
    assert harmonics(x, 67, 1)[0] > 0.1
    assert harmonics(x, 60, 1)[0] < 0.01
    play(e, bend(16383, channel=0), seconds=0.2)  # the master bends all by 2
    x = play(e, seconds=0.6)[:, 0]
    assert harmonics(x, 74, 1)[0] > 0.1
    assert harmonics(x, 69, 1)[0] > 0.1
    play(e, bend(8192, channel=0), bend(8192, channel=1), cc(74, 127, channel=1), seconds=0.3)
    x = play(e, seconds=0.6)[:, 0]
    assert harmonics(x, 60).argmax() == 3  # timbre morphs its own note
    assert harmonics(x, 67).argmax() == 0
    play(e, cc(64, 127, channel=0), off(60, channel=1), off(67, channel=2), seconds=0.1)
    assert e.globals["sounding"] == 2  # the master's pedal holds its members
    held = play(e, bend(0, channel=1), seconds=0.6)[:, 0]
    assert harmonics(held, 60).argmax() == 3  # a note let go no longer follows its channel
    play(e, cc(64, 0, channel=0), seconds=0.5)
    assert e.globals["sounding"] == 0


def test_mpe_can_be_asked_for_by_the_keyboard(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=FLAT)
    play(e, cc(101, 0), cc(100, 6), cc(6, 4), seconds=0.01)
    assert e.globals["mpe"] == 4
    assert e.hands["range_semis"].tolist() == [2, 48, 48, 48, 48] + [2] * 11
    play(e, cc(101, 0, 2), cc(100, 0, 2), cc(6, 24, 2), seconds=0.01)
    assert e.hands["range_semis"].tolist() == [2, 24, 24, 24, 24] + [2] * 11
