"""Two detuned oscillators: told from how levels move, and played as two."""

from dataclasses import replace

import numpy as np
import pytest

from nsynth_instrument.codecs.harmonic import spoken, voiced
from nsynth_instrument.dsp import timbre
from nsynth_instrument.dsp.additive import played, tones
from nsynth_instrument.dsp.beating import beats
from nsynth_instrument.dsp.fluctuation import enliven
from nsynth_instrument.dsp.partials import ATTACK, BANDS, HOP, RATE, SILENCE, SLOTS, Partials, silenced, slots_for
from nsynth_instrument.dsp.pitch import cents_off
from nsynth_instrument.dsp.tuning import exact, in_tune
from nsynth_instrument.notes import Note, hz

FRAMES, GRAIN = 375, np.zeros(timbre.ORDERS, np.float32)


def words(pitch: float, apart: float, ratio: float, *, slots: int = 20, tremolo: bool = False, sway: float = 0.3) -> timbre.Said:
    """What is said of a note of two oscillators, or of one whose partials all swing as the fifth of two would."""
    level = np.full((FRAMES, SLOTS), SILENCE, np.float32)
    level[:, :slots] = -20 - np.arange(slots)
    zones = np.geomspace(timbre.LOWEST, timbre.TOP, timbre.ZONES)
    numbers = np.full(timbre.ZONES, 5.0) if tremolo else np.clip(zones / hz(pitch), 1, slots)
    turns = 1j * np.arange(4000)[:, None] * (2 * np.pi * apart * HOP / RATE) * numbers
    course = 20 * np.log10(np.abs(1 + ratio * np.exp(turns)))
    sizes = np.array([np.abs(np.diff(course - course.mean(axis=0), order, axis=0)).mean(axis=0) for order in range(timbre.ORDERS)])
    zero = np.zeros(FRAMES, np.float32)
    cents = np.tile(np.array([sway, sway / 2, sway / 2], np.float32), (FRAMES, 1))
    return timbre.Said(
        level, np.zeros_like(level), np.full((FRAMES, BANDS), -150, np.float32), zero,
        np.tile(sizes.astype(np.float32), (FRAMES, 1, 1)), cents, np.zeros(ATTACK, np.float32),
    )  # fmt: skip


def drawn(said: timbre.Said, pitch: float, amount: float = 1.0) -> Partials:
    return enliven(said, hz(pitch), np.random.default_rng(0), amount, told=said)


@pytest.mark.parametrize(("pitch", "apart"), [(46, 0.7), (66, 1.7), (80, 2.5)])
def test_two_oscillators_are_told_and_how_far_apart_they_are(pitch: int, apart: float) -> None:
    sure, found = beats(words(pitch, apart, 0.5), hz(pitch), GRAIN)
    assert sure == 1
    assert found == pytest.approx(apart, rel=0.15)


def test_what_does_not_beat_is_not_two() -> None:
    assert not beats(words(66, 1.7, 0.5, tremolo=True), hz(66), GRAIN)[0], "a tremolo is as fast in every partial"
    assert not beats(words(66, 1.7, 0.5, sway=4.0), hz(66), GRAIN)[0], "players' pitch strays"
    assert not beats(words(66, 1.7, 0.1), hz(66), GRAIN)[0], "doubt"
    walk = words(66, 1.7, 0.5)
    walk.level_sizes[:] = np.array([2.5, 1.0, 1.4], np.float32)[:, None]
    assert not beats(walk, hz(66), GRAIN)[0], "nor does a walk"


def test_each_partial_is_two_as_far_apart_as_its_number_says() -> None:
    pitch, apart = 66, 1.7
    said = words(pitch, apart, 0.5)
    note = drawn(said, pitch)
    assert note.beat is not None
    assert np.allclose(note.level, said.level), "nothing is left to chance"
    steady = replace(note, deviation=np.zeros_like(note.deviation))
    sound = tones(steady, np.zeros(SLOTS))
    one = tones(replace(steady, beat=None), np.zeros(SLOTS))
    spectra = [np.abs(np.fft.rfft(s * np.hanning(len(s)), 1 << 19)) for s in (sound, one)]
    step = RATE / (1 << 19)
    for number in (4, 8, 12):
        around = slice(*(round((number * hz(pitch) + to) / step) for to in (-40, 40)))
        two, alone = (s[around] for s in spectra)
        peaks = 1 + np.flatnonzero((two[1:-1] > two[:-2]) & (two[1:-1] > two[2:]) & (two[1:-1] > 0.2 * two.max()))
        assert len(peaks) == 2
        assert (peaks[1] - peaks[0]) * step == pytest.approx(number * note.beat.hz, rel=0.03)
        ratio = float(note.beat.ratio[0, number - 1])
        assert two[peaks].min() / two[peaks].max() == pytest.approx(ratio, rel=0.1)
        assert (two**2).sum() == pytest.approx((alone**2).sum(), rel=0.1), "together as loud as one"


def test_it_fades_with_what_is_drawn() -> None:
    said = words(66, 1.7, 0.5)
    full, half = drawn(said, 66).beat, drawn(said, 66, 0.5).beat
    assert full is not None
    assert half is not None
    assert 0.4 * full.ratio.max() < half.ratio.max() < 0.65 * full.ratio.max()
    assert drawn(said, 66, 0.0).beat is None, "temperature 0"
    known = replace(said, level_sizes=0.4 * said.level_sizes, pitch_sizes=0.4 * said.pitch_sizes)
    less = enliven(known, hz(66), np.random.default_rng(0), told=said).beat
    assert less is not None
    assert less.ratio.max() < 0.5 * full.ratio.max(), "details tell some of it"
    all_known = replace(said, level_sizes=0 * said.level_sizes)
    assert enliven(all_known, hz(66), np.random.default_rng(0), told=said).beat is None, "or all"
    strings = words(66, 1.7, 0.5, sway=4.0)
    steadier = replace(strings, pitch_sizes=0.1 * strings.pitch_sizes)
    assert enliven(steadier, hz(66), np.random.default_rng(0), told=strings).beat is None, "strings are no oscillators by being known"


def test_positions_of_a_morph_have_one_oscillator() -> None:
    said, note = words(66, 1.7, 0.5), Note(66, 100)
    assert spoken(said, note, (), None, note.rng(0), 1.0).beat is not None
    assert spoken(said, note, (), None, note.rng(0), 1.0, alone=False).beat is None
    shared = np.arange(1, slots_for(note.hz) + 1) * np.full((FRAMES, 1), note.hz)
    assert voiced(said, note, (), None, note.rng(0), 1.0, shared).beat is None


@pytest.mark.parametrize(("pitch", "apart"), [(40, 0.5), (57, 1.2), (66, 1.7), (80, 2.5)])
def test_what_beats_is_in_tune(pitch: int, apart: float) -> None:
    said = words(pitch, apart, 0.5)
    note = silenced(in_tune(drawn(said, pitch), pitch))
    assert note.beat is not None
    assert abs(cents_off(exact(note, pitch, np.random.default_rng(1)), RATE, pitch)) <= 0.25


def test_where_it_is_silent_nothing_changes() -> None:
    note = drawn(words(66, 1.7, 0.5), 66)
    assert note.beat is not None
    none = replace(note, beat=replace(note.beat, ratio=0 * note.beat.ratio))
    phase = np.random.default_rng(0).random(SLOTS)
    assert np.allclose(played(none, phase, None), played(replace(note, beat=None), phase, None), atol=1e-6)
