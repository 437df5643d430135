"""Two notes in one time, and levels between theirs: `dsp.align`, `dsp.levels`."""

import numpy as np
import pytest
from courses import FRAMES, RELEASE, falling
from hypothesis import given, settings
from hypothesis import strategies as st

from nsynth_instrument.dsp import levels
from nsynth_instrument.dsp.additive import synthesise
from nsynth_instrument.dsp.align import align, fallen, onset
from nsynth_instrument.dsp.loudness import loudest
from nsynth_instrument.dsp.partials import BANDS, SLOTS, Partials, silenced


def _even(*shares: float) -> np.ndarray:
    return np.repeat(np.array(shares, np.float32)[:, None], FRAMES, axis=1)


def test_a_struck_and_a_bowed_sound_meet_in_one_onset_and_one_fall() -> None:
    struck, bowed = falling(1, 40), falling(40, 0, top=-26)
    at, level = align(np.stack([struck, bowed]), _even(0.5, 0.5), RELEASE)
    start = onset(level, RELEASE)
    assert 1.5 < start < 12, "the geometric mean of 1 and 37 frames"
    held = level[int(np.argmax(level)) + 1 : RELEASE]
    slope = np.diff(held) * 125
    assert slope.max() <= 0 and np.ptp(slope) < 2, "one fall, straight"
    assert slope.mean() == pytest.approx(-20, abs=1)
    assert level.max() == pytest.approx(-23, abs=1)
    assert (np.diff(at, axis=1) > -1e-3).all(), "no sound goes backwards"
    t = RELEASE // 2
    fallen_ = struck.max() - np.interp(at[0, t], np.arange(FRAMES), struck)
    assert fallen_ == pytest.approx(level.max() - level[t], abs=3), "the string is read where it has fallen as far"
    assert at[1, t] == pytest.approx(t, abs=20), "the bow as time goes"


@pytest.mark.parametrize("pair", [((1, 40), (40, 0)), ((2, 10), (2, 60)), ((60, 0), (10, 0)), ((1, 200), (100, 2))])
def test_onsets_falls_and_levels_go_from_end_to_end(pair: tuple[tuple[int, float], tuple[int, float]]) -> None:
    ends = np.stack([falling(*pair[0], top=-30), falling(*pair[1], top=-12)])
    found = [align(ends, _even(1 - m, m), RELEASE)[1] for m in np.linspace(0, 1, 9)]
    starts, tops = [onset(f, RELEASE) for f in found], [f.max() for f in found]
    for row in (starts, tops, [f[RELEASE - 1] - f.max() for f in found]):
        steps = np.diff(row) * np.sign(row[-1] - row[0])
        assert steps.min() > -0.5
    assert starts[0] == pytest.approx(onset(ends[0], RELEASE), abs=1)
    assert starts[-1] == pytest.approx(onset(ends[1], RELEASE), abs=1)


@settings(max_examples=40)
@given(st.integers(0, 999), st.integers(2, 200), st.integers(1, 250), st.booleans())
def test_any_levels_give_places_in_the_note(seed: int, frames: int, release: int, moves: bool) -> None:
    rng = np.random.default_rng(seed)
    ends = (np.cumsum(rng.normal(0, 6, (3, frames)), axis=1) - 60).astype(np.float32)
    shares = rng.random((3, frames if moves else 1)).astype(np.float32) + 0.01
    at, level = align(ends, np.broadcast_to(shares / shares.sum(axis=0), (3, frames)), release)
    assert at.min() >= 0 and at.max() <= frames - 1
    assert np.isfinite(level).all() and level.max() <= ends.max() + 1e-3


def test_what_is_silent_falls_on_as_it_fell() -> None:
    level = falling(2, 60, floor=-75)
    found = fallen(level, RELEASE)
    assert np.diff(found[10 : RELEASE - 1]).mean() * 125 == pytest.approx(-60, abs=1)
    assert level.max() - 200 <= found.min() < level.max() - 170, "and on through the release"
    assert np.diff(found[10:]).max() <= 0, "also where it is let go"
    wavers = Partials(220.0, *(np.zeros(s, np.float32) for s in ((500, SLOTS), (500, SLOTS), (500, BANDS), 500)))
    wavers.level[:] = -130
    wavers.level[:, 0] = -30 + 3 * np.sin(np.arange(500))
    wavers.noise[:] = -120
    changed = levels.levelled(wavers, 220.0, np.full(500, -40, np.float32))
    assert np.ptp(changed.noise[20:-20]) < 1, "noise does not swell where a partial sinks"
    assert np.ptp(changed.level[20:-20, 0]) == pytest.approx(6, abs=1), "which goes on wavering"


@settings(max_examples=20)
@given(st.floats(50, 2000), st.integers(0, 99))
def test_the_level_of_features_is_the_loudness_of_their_sound(f0: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    level = np.full((125, SLOTS), -130, np.float32)
    level[:, :8] = rng.uniform(-60, -20, 8)
    zero = np.zeros((125, SLOTS), np.float32)
    noise = np.full((125, BANDS), rng.uniform(-120, -75), np.float32)
    note = silenced(Partials(f0, level, zero, noise, np.zeros(125, np.float32)))
    heard = loudest(synthesise(note, np.random.default_rng(0)))
    assert float(levels.course(note, f0).mean()) - 0.691 == pytest.approx(heard, abs=1)
    wanted = np.linspace(-40, -30, 125, dtype=np.float32)
    assert levels.course(levels.levelled(note, f0, wanted), f0) == pytest.approx(wanted, abs=20)


def test_features_are_made_as_loud_as_asked_but_silence_is_not_raised() -> None:
    level = np.full((100, SLOTS), -130, np.float32)
    level[:50, :3] = -30
    flat = np.zeros((100, SLOTS), np.float32)
    note = Partials(220.0, level, flat, np.full((100, BANDS), -170, np.float32), np.zeros(100, np.float32))
    done = levels.course(levels.levelled(note, 220.0, np.full(100, -35, np.float32)), 220.0)
    assert done[:50 - levels.SMOOTH] == pytest.approx(-35, abs=0.01)
    assert done[50:].max() < -90
