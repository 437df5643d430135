"""Loops: found in what sustains, seamless by measurement, in tune for ever, and none in what decays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsynth_instrument.dsp.loops import bake, find_loop, find_loops, release_seconds, sustains
from nsynth_instrument.dsp.loudness import _K, loudest
from nsynth_instrument.dsp.periods import autocorrelation, between, energy, period
from nsynth_instrument.dsp.seams import judge, measure
from nsynth_instrument.errors import UsageError
from nsynth_instrument.notes import hz

HOLD = 3.0


def note(
    pitch: float,
    *,
    rate: int = 48000,
    decay: float = 0.0,
    vibrato: float = 0.0,
    tremolo: float = 0.0,
    noise: float = 0.0,
    harmonics: int = 8,
    release: float = 0.15,
    seed: int = 0,
) -> np.ndarray:
    """(4 s,): harmonics of a pitch, held 3 s. decay: dB/s; vibrato: cents; tremolo: dB; release: s to fall by 60 dB."""
    rng = np.random.default_rng(seed)
    t = np.arange(4 * rate) / rate
    wander = 2 ** (vibrato / 1200 * np.sin(2 * np.pi * 5.3 * t))
    phase = 2 * np.pi * hz(pitch) * np.cumsum(wander) / rate
    count = min(harmonics, int(0.45 * rate / hz(pitch)))
    x = sum(np.sin(h * phase + rng.uniform(0, 6.28)) / h for h in range(1, count + 1))
    x = 0.2 * x * 10 ** ((-decay * t + tremolo * np.sin(2 * np.pi * 4.1 * t)) / 20)
    x = x + noise * rng.standard_normal(len(t))
    x *= np.minimum(1, t / 0.03) * 10 ** (-3 * np.maximum(0, t - HOLD) / release)
    return x.astype(np.float32)


def unrolled(audio: np.ndarray, start: int, end: int, seconds: float, rate: int) -> np.ndarray:
    """What a player plays: up to the loop's end, then round it."""
    body = audio[start : end + 1]
    turns = int(np.ceil(seconds * rate / len(body)))
    return np.concatenate([audio[: end + 1], np.tile(body, turns)])[: round(seconds * rate)]


def frequency(x: np.ndarray, near: float, rate: int) -> float:
    """Hz of the partial near `near`, by the phase between the first and the last quarter of x (frames,)."""
    quarter = len(x) // 4
    turn = x * np.exp(-2j * np.pi * near / rate * np.arange(len(x)))
    first, last = turn[:quarter] @ np.hanning(quarter), turn[-quarter:] @ np.hanning(quarter)
    return near + float(np.angle(last * np.conj(first))) / (2 * np.pi) * rate / (len(x) - quarter)


@pytest.mark.parametrize(
    ("pitch", "rate"), [(21, 48000), (36.07, 44100), (60, 48000), (84.13, 44100), (96.4, 88200), (108, 48000), (49, 96000)]
)
def test_a_steady_note_loops_without_a_seam_and_in_tune_for_thirty_seconds(pitch: float, rate: int) -> None:
    audio = note(pitch, rate=rate)
    found = find_loop(audio, rate, hz(round(pitch)), hold_seconds=HOLD)
    assert found is not None
    assert found.seam.seamless, found.seam
    assert found.end < HOLD * rate
    baked = bake(audio, found)
    endless = unrolled(baked, found.start, found.end, 30.0, rate).astype(np.float64)
    looped = endless[found.end :]
    own = frequency(looped, hz(pitch), rate)
    assert abs(1200 * np.log2(own / hz(pitch))) < 0.05
    steps = np.abs(np.diff(endless))
    seams = np.arange(found.end, len(endless) - 1, found.frames)
    assert steps[seams].max() <= max(8 * np.median(steps[found.start : found.end]), 0.02 * np.abs(looped).max())


@pytest.mark.parametrize(
    "how", [{"vibrato": 25.0}, {"tremolo": 1.5}, {"noise": 0.02}, {"decay": 1.2}, {"vibrato": 12.0, "tremolo": 1.0}]
)
def test_notes_that_live_loop_within_the_four_criteria(how: dict[str, float]) -> None:
    for pitch in (40, 64, 79):
        audio = note(pitch, **how)
        found = find_loop(audio, 48000, hz(pitch), hold_seconds=HOLD)
        assert found is not None
        assert found.seam.seamless, (pitch, found.seam)
        again = measure(bake(audio, found), 48000, found.start, found.end, found.hz)
        assert again.ripple == pytest.approx(found.seam.ripple, abs=0.05)


@pytest.mark.parametrize("pitch", [45, 60])
def test_a_note_that_wavers_about_its_key_loops_at_the_key_s_pitch(pitch: int) -> None:
    """Half a cent sharp: of a vibrato of 20 cents nobody can tell, and layers of one key stay together; of a steady note one can."""
    for vibrato, wanted in ((20.0, hz(pitch)), (0.0, hz(pitch + 0.005))):
        found = find_loop(note(pitch + 0.005, vibrato=vibrato), 48000, hz(pitch), hold_seconds=HOLD)
        assert found is not None and found.seam.seamless
        assert abs(1200 * np.log2(found.periods * 48000 / found.frames / wanted)) < 0.05


def test_what_is_plucked_struck_silent_or_short_gets_no_loop() -> None:
    for audio in (note(60, decay=8.0), note(40, decay=3.0), np.zeros(192000, np.float32), note(60)[:30000]):
        assert find_loop(audio, 48000, hz(60), hold_seconds=HOLD) is None
    offset = note(60, decay=20.0) + np.float32(0.2)
    assert not sustains(offset, 48000, hold_seconds=HOLD)


def test_the_three_joints_are_smooth_and_the_rest_is_left_alone() -> None:
    audio = note(57, vibrato=20, noise=0.01)
    found = find_loop(audio, 48000, hz(57), hold_seconds=HOLD)
    assert found is not None
    baked = bake(audio, found)
    assert len(baked) == len(audio)
    assert np.array_equal(baked[: found.start - found.blend], audio[: found.start - found.blend])
    usual = 8 * np.median(np.abs(np.diff(audio[found.start : found.end])))
    into, out = (abs(float(baked[i] - baked[i - 1])) for i in (found.start, found.end + 1))
    assert max(into, out, abs(float(baked[found.start] - baked[found.end]))) < usual
    tail = baked[found.end + found.blend + 2 :] / audio[found.end + found.blend + 2 :]
    assert np.ptp(tail[np.isfinite(tail)]) < 1e-3  # one gain, the loop's


def test_the_period_is_measured_to_a_thousandth_of_a_cent() -> None:
    for pitch in (28.02, 55.55, 90.1):
        x = note(pitch)[12000:140000]
        assert abs(1200 * np.log2(period(x, 48000, hz(round(pitch))) * hz(pitch) / 48000)) < 0.005


def test_likeness_is_the_correlation_at_every_lag_whatever_the_length() -> None:
    for n in (675, 999, 1000, 2024):
        x = np.random.default_rng(n).standard_normal(n).astype(np.float32)
        found = autocorrelation(x, energy(x), n)
        assert len(found) == 3 * n // 4
        for lag in (0, 1, 17, n // 2):
            a, b = x[: n - lag], x[lag:]
            assert found[lag] == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), abs=1e-4)


def test_a_period_by_few_lags_of_low_sound_is_that_by_all_lags_of_the_whole() -> None:
    for pitch, how in ((30.3, {"noise": 0.01}), (52.8, {"vibrato": 8.0}), (71.0, {"tremolo": 2.0, "noise": 0.03}), (99.9, {})):
        x = note(pitch, **how)[12000:140000]
        likeness, cycle, periods = autocorrelation(x, energy(x), len(x)), 48000 / hz(round(pitch)), 1
        while periods * cycle * 1.2 < len(likeness) - 2:
            near = round(periods * cycle * 0.97) if periods == 1 else round((periods - 0.2) * cycle)
            far = round(periods * cycle * 1.03) if periods == 1 else round((periods + 0.2) * cycle)
            peak = near + int(np.argmax(likeness[near : far + 1]))
            a, b, c = likeness[peak - 1 : peak + 2].astype(float)
            cycle, periods = (peak + 0.5 * (a - c) / (a - 2 * b + c)) / periods, 2 * periods
        assert abs(1200 * np.log2(period(x, 48000, hz(round(pitch))) / cycle)) < 0.01, pitch


def test_likeness_between_lags_is_that_of_a_finer_rate() -> None:
    x = np.cos(2 * np.pi * 0.24 * np.arange(200)).astype(np.float32)
    at = np.linspace(5, 190, 777)
    assert np.abs(between(x, at) - np.cos(2 * np.pi * 0.24 * at)).max() < 0.02
    assert np.array_equal(between(x, np.arange(200.0)), x)


def test_a_part_is_baked_as_the_whole_is() -> None:
    audio = note(50, tremolo=1.0)
    found = find_loop(audio, 48000, hz(50), hold_seconds=HOLD)
    assert found is not None
    first, after = found.start - found.blend, found.end + 1 + found.blend
    part = bake(audio[first:after], replace(found, start=found.blend, end=found.end - first))
    assert np.array_equal(part, bake(audio, found)[first:after])


def test_loudness_is_the_standard_s_to_a_hundredth_of_a_decibel() -> None:
    scipy_signal = pytest.importorskip("scipy.signal")
    for seconds, decay in ((4.0, 0.0), (4.0, 20.0), (1.3, 90.0), (0.1, 0.0)):
        x = np.random.default_rng(3).standard_normal(round(48000 * seconds)) * 10 ** (-decay * np.arange(48000 * seconds) / 48000 / 20)
        y = np.pad(0.1 * x, (0, max(0, 19200 - len(x))))
        for f in _K:
            y = scipy_signal.lfilter(f[:3], f[3:], y)
        total = np.cumsum(np.pad(y**2, (19200, 0)))
        wanted = -0.691 + 10 * np.log10((total[19200:] - total[:-19200]).max() / 19200)
        assert loudest(np.float32(0.1 * x)) == pytest.approx(wanted, abs=0.01)


def test_one_frame_too_many_is_seen() -> None:
    rate, start = 48000, 24000
    x = (0.5 * np.sin(2 * np.pi * 480 * np.arange(96000) / rate)).astype(np.float32)
    right, wrong = (measure(x, rate, start, start + n, 480.0) for n in (99, 98))
    assert right.seamless
    assert abs(right.cents) < 1e-9
    assert wrong.cents == pytest.approx(17.4, abs=0.1)
    assert not wrong.seamless


def test_release_is_the_time_to_fall_by_sixty_decibels() -> None:
    for seconds in (0.1, 0.4, 0.9):
        assert release_seconds(note(60, release=seconds), 48000, hold_seconds=HOLD) == pytest.approx(seconds, abs=0.03)
    assert release_seconds(note(60, release=3.0), 48000, hold_seconds=HOLD) == pytest.approx(3.0, rel=0.05)


def test_impossible_notes_are_refused() -> None:
    with pytest.raises(UsageError, match="no loop can be sought"):
        find_loop(note(60), 48000, 30000.0, hold_seconds=HOLD)


def test_notes_that_fade_into_each_other_have_one_loop() -> None:
    lively = [note(58, rate=44100, vibrato=v, tremolo=t, noise=2e-3, seed=i) for i, (v, t) in enumerate([(0, 1), (6, 0), (3, 2)])]
    struck = note(58, rate=44100, decay=12)
    *found, none = find_loops([*lively, struck], 44100, hz(58), hold_seconds=3.0)
    assert none is None and len({(f.start, f.end) for f in found if f}) == 1
    for audio, loop in zip(lively, found, strict=True):
        assert loop and judge(bake(audio, loop), 44100, loop.start, loop.end, hz(58)).seamless
