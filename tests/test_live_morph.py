"""Between morph positions, offline: the level, both axes, and what is in step."""

from __future__ import annotations

from pathlib import Path

import livepacks
import numpy as np
import pytest
from engines import FLAT, RATE, cc, harmonics, off, on, play, rms, write

from nsynth_instrument.live.engine import Engine
from nsynth_instrument.live.samples import Sound, load
from nsynth_instrument.pack import Zone


def test_morph_is_equal_power_between_neighbours(packs: dict[str, Sound]) -> None:
    e = Engine([packs["morph"]], settings=FLAT)
    at = livepacks.tone(60, rate=RATE, seconds=1, level=0.5 * 100 / 127).max()
    play(e, on(60))
    for wheel in (0, 16, 32, 48, 64, 80, 100, 127):
        play(e, cc(1, wheel), seconds=0.3)
        h = harmonics(play(e, seconds=0.3)[:, 0], 60) / at
        x = wheel / 127
        axis = [0.0, 0.25, 0.5, 1.0]
        i = min(int(np.searchsorted(axis, x, "right")) - 1, 2)
        t = (x - axis[i]) / (axis[i + 1] - axis[i])
        want = np.zeros(4)
        want[i], want[i + 1] = np.cos(t * np.pi / 2), np.sin(t * np.pi / 2)
        assert np.allclose(h, want, atol=0.02), (wheel, h, want)


@pytest.mark.parametrize("twins", [True, False])
def test_the_level_stays_between_positions_in_phase_or_not(tmp_path: Path, twins: bool) -> None:
    rng = np.random.default_rng(2)
    x = 0.1 * rng.standard_normal((4, 96000)).astype("f4")
    zones = [
        (Zone(f"{x_}{y}.wav", 60, 100, 0, 127, 1, 127, 96000, (float(x_), float(y))), x[0 if twins else 2 * x_ + y])
        for x_ in (0, 1)
        for y in (0, 1)
    ]
    e = Engine([load(write(tmp_path / "w", zones), rate=RATE, budget=1 << 30)], settings=FLAT)
    level = []
    for a in (0, 32, 64, 96, 127):
        for b in (0, 64, 127):
            level.append(rms(play(e, cc(1, a), cc(2, b), on(60), seconds=0.5)))
            play(e, cc(120, 0), seconds=0.02)
    assert np.ptp(20 * np.log10(level)) < 0.2  # equal power alone would make twins 6 dB louder amidst the square


@pytest.mark.parametrize("share", [0.1, 0.5, -0.4])
def test_what_strangers_share_by_chance_is_not_made_up_for(tmp_path: Path, share: float) -> None:
    """Positions that are in step and a quarter turn apart are strangers, but half a second of them is not quite."""
    a, b = 0.1 * np.random.default_rng(2).standard_normal((2, 96000))
    zones = [(Zone(f"{i}.wav", 60, 100, 0, 127, 1, 127, 96000, (float(i),)), x.astype("f4")) for i, x in ((0, a), (1, share * a + np.sqrt(1 - share**2) * b))]
    found = load(write(tmp_path / "w", zones), rate=RATE, budget=1 << 30).layers["beside"][:, 0]
    assert found[:128] == pytest.approx(0.0 if share == 0.1 else share, abs=0.0 if share == 0.1 else 0.02)


def test_a_note_struck_at_a_position_equals_one_moved_there(packs: dict[str, Sound]) -> None:
    moved = Engine([packs["morph"]], settings=FLAT)
    play(moved, on(60), seconds=0.32)
    play(moved, cc(1, 127), seconds=0.32)
    struck = Engine([packs["morph"]], settings=FLAT)
    play(struck, cc(1, 127), on(60), seconds=0.64)
    a, b = play(moved, seconds=0.2), play(struck, seconds=0.2)
    assert np.abs(a - b).max() < 1e-3  # the lane that joined is in step to a small part of a frame


@pytest.mark.parametrize("second", [2, 74])
def test_two_axes(packs: dict[str, Sound], second: int) -> None:
    e = Engine([packs["square"]], settings=FLAT)
    at = 0.5 * 100 / 127
    for x, y in ((0, 0), (127, 0), (0, 127), (127, 127)):
        play(e, cc(1, x), cc(second, y), on(60), seconds=0.2)
        h = harmonics(play(e, seconds=0.5)[:, 0], 60) / at
        assert h.argmax() == (x > 0) + 2 * (y > 0)
        assert h.max() == pytest.approx(1, abs=0.02)
        play(e, off(60), seconds=0.3)
    play(e, cc(1, 0), cc(second, 0), on(60), seconds=0.1)
    play(e, cc(1, 127), cc(second, 127), seconds=0.2)
    assert (harmonics(play(e, seconds=0.5)[:, 0], 60) / at).argmax() == 3
