"""Features that make noise which their recording has not, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nsynth_instrument.dsp.additive import noise_bands, played, synthesise
from nsynth_instrument.dsp.analysis import analyse
from nsynth_instrument.dsp.hiss import CLEAN, floors, hiss
from nsynth_instrument.dsp.partials import BAND_CENTRES, RATE, Partials
from nsynth_instrument.dsp.quiet import _sharing, quieted
from nsynth_instrument.notes import hz

PITCH = 57


@pytest.fixture(scope="module")
def recording() -> np.ndarray:
    """Twelve harmonics that fade, and noise 55 dB under them."""
    t = np.arange(3 * RATE) / RATE
    sound = sum(np.sin(2 * np.pi * k * hz(PITCH) * t + k * k) / k for k in range(1, 13)) * 0.2 * np.exp(-0.3 * t)
    return (sound + 2e-4 * np.random.default_rng(0).standard_normal(len(t))).astype(np.float32)


def made(note: Partials, draw: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([1, draw])
    phase, noise = rng.random((note.level.shape[1],)), noise_bands(note.noise, rng)
    return played(note, phase, noise), played(note, phase, None)


def again(note: Partials) -> np.ndarray:
    """Made of another draw."""
    return synthesise(note, np.random.default_rng(2))


def test_a_note_that_does_not_hiss_stays_as_it_is(recording: np.ndarray) -> None:
    note = analyse(recording, PITCH)
    assert quieted(note, recording, PITCH, made) is note


@pytest.mark.parametrize("seconds", [0.03, 0.12, 0.6, 1.0])
def test_short_notes_and_silence_are_kept(recording: np.ndarray, seconds: float) -> None:
    short = recording[: round(seconds * RATE)]
    note = analyse(short, PITCH)
    assert len(quieted(note, short, PITCH, made)) == len(note)
    nothing = analyse(0 * short, PITCH)
    assert quieted(nothing, 0 * short, PITCH, made) is nothing


def test_noise_that_is_said_too_loud_is_said_as_it_was(recording: np.ndarray) -> None:
    note = analyse(recording, PITCH)
    band = int(np.searchsorted(BAND_CENTRES, 4000))
    noise = note.noise.copy()
    noise[:, band - 1 : band + 2] += CLEAN + 8 - floors(recording, hz(PITCH))[band]
    loud = replace(note, noise=noise)
    assert hiss(recording, again(loud), PITCH) > CLEAN + 5
    quiet = quieted(loud, recording, PITCH, made)
    assert hiss(recording, again(quiet), PITCH) <= CLEAN
    np.testing.assert_array_equal(quiet.level, note.level)
    others = np.delete(np.arange(64), np.arange(band - 2, band + 3))
    np.testing.assert_array_equal(quiet.noise[:, others], noise[:, others])


def test_noise_of_the_recording_stays(recording: np.ndarray) -> None:
    windy = recording + 0.01 * np.random.default_rng(3).standard_normal(len(recording)).astype(np.float32)
    note = analyse(windy, PITCH)
    heard = floors(windy, hz(PITCH)) > CLEAN + 3
    assert heard.sum() > 10
    np.testing.assert_array_equal(quieted(note, windy, PITCH, made).noise[:, heard], note.noise[:, heard])


def test_a_partial_that_jumps_comes_to_rest(recording: np.ndarray) -> None:
    note = analyse(recording, PITCH)
    offset = note.offset.copy()
    offset[:, 7] = np.where(np.random.default_rng(4).random(len(note)) < 0.5, -0.3, 0.3)
    jumps = replace(note, offset=offset)
    assert hiss(recording, again(jumps), PITCH) > CLEAN + 3
    quiet = quieted(jumps, recording, PITCH, made)
    assert hiss(recording, again(quiet), PITCH) <= CLEAN
    np.testing.assert_array_equal(quiet.level[:12], note.level[:12])
    np.testing.assert_array_equal(quiet.offset[:, :3], note.offset[:, :3])


def test_a_course_of_pitch_is_smoothed_last(recording: np.ndarray) -> None:
    note = analyse(recording, PITCH)
    course = note.deviation + np.random.default_rng(5).normal(0, 25, len(note)).astype(np.float32)
    unsteady = replace(note, deviation=course)
    assert hiss(recording, again(unsteady), PITCH) > CLEAN + 3
    quiet = quieted(unsteady, recording, PITCH, made)
    assert hiss(recording, again(quiet), PITCH) < CLEAN + 1
    np.testing.assert_array_equal(unsteady.deviation, course)
    np.testing.assert_array_equal(quiet.deviation[:12], course[:12])


def test_every_try_is_heard_in_another_draw(recording: np.ndarray) -> None:
    heard = []

    def hears(note: Partials, draw: int) -> tuple[np.ndarray, np.ndarray]:
        heard.append(draw)
        return made(note, draw)

    quieted(analyse(recording, PITCH), recording, PITCH, hears)
    assert heard == [0, 1, 2]


def test_bands_of_a_slot_are_lowered_together() -> None:
    less = np.zeros(64)
    less[2] = 5.0  # 57 to 77 Hz: of the slot 46 to 139
    np.testing.assert_array_equal(np.flatnonzero(_sharing(less, 92.4)), [1, 2, 3, 4, 5])
    less = np.zeros(64)
    less[60] = 5.0
    np.testing.assert_array_equal(np.flatnonzero(_sharing(less, 92.4)), [59, 60, 61])
