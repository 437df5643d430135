"""One sound or two: measures that must find two where two are made to sound, and one where one is."""

import numpy as np
import pytest

from nsynth_instrument.dsp.fusion import Middle, between, listen
from nsynth_instrument.dsp.mfcc import KEPT, mfcc
from nsynth_instrument.notes import hz

RATE, PITCH = 48000, 60
T = np.arange(4 * RATE) / RATE


def note(attack: float, decay: float, slope: float, *, cents: float = 0.0, odd: bool = False, fall: float = 0.0) -> np.ndarray:
    """attack: s; decay: of amplitude, 1 / s; slope: of the spectrum; odd: of its harmonics alone; fall: how much faster each next
    harmonic decays, 1 / s.
    """
    f0 = hz(PITCH) * 2 ** (cents / 1200)
    envelope = np.minimum(1, T / attack) * np.exp(-decay * T - np.maximum(0, T - 3) / 0.05)
    out = sum(np.sin(2 * np.pi * k * f0 * T + k * k) * k**-slope * np.exp(-fall * k * T) for k in range(1, 25, 1 + odd))
    out = out * envelope
    return (0.2 * out / np.sqrt(np.mean(out[: RATE // 2] ** 2)) / 4).astype(np.float32)


PLUCKED = note(0.004, 2.5, 1.2, fall=0.1)
BOWED = note(0.25, 0.0, 0.7)
BLOWN = note(0.05, 0.0, 1.0, odd=True)


def judged(middle: np.ndarray, a: np.ndarray, b: np.ndarray) -> Middle:
    return between(listen(middle.astype(np.float32), PITCH), listen(a, PITCH), listen(b, PITCH))


@pytest.mark.parametrize(("a", "b"), [(PLUCKED, BOWED), (PLUCKED, BLOWN)])
def test_a_mixture_of_plucked_and_held_goes_on_as_both(a: np.ndarray, b: np.ndarray) -> None:
    found = judged(0.5 * a + 0.5 * b, a, b)
    assert found.two
    assert found.courses_two
    assert found.sum > 0.7


def test_a_mixture_of_a_slow_and_a_quick_sound_begins_twice() -> None:
    found = judged(0.5 * BOWED + 0.5 * BLOWN, BOWED, BLOWN)
    assert found.onsets_two
    assert found.two


def test_a_mixture_of_two_tunings_beats() -> None:
    other = note(0.25, 0.0, 0.7, cents=9)
    found = judged(0.5 * BOWED + 0.5 * other, BOWED, other)
    assert found.beating_two
    assert found.two


def test_a_sound_made_between_two_is_one() -> None:
    assert not judged(note(0.03, 1.25, 0.95, fall=0.05), PLUCKED, BOWED).two
    assert not judged(note(0.11, 0.0, 0.85), BOWED, BLOWN).two


def test_an_end_is_one_and_so_is_a_sum_of_sounds_that_begin_and_move_alike() -> None:
    assert not judged(PLUCKED, PLUCKED, BOWED).two
    assert not judged(BOWED, PLUCKED, BOWED).two
    darker = note(0.25, 0.0, 1.6)
    found = judged(0.5 * BOWED + 0.5 * darker, BOWED, darker)
    assert not found.two
    assert np.isnan(found.sum), "nothing tells such a sum from a sound between"


def test_cepstra_tell_timbres_apart_and_not_levels() -> None:
    bright, dark = (mfcc(note(0.02, 0.0, slope)[::3]) for slope in (0.7, 1.6))
    assert bright.shape[1] == KEPT
    middle = slice(20, 90)
    assert np.abs(bright - dark)[middle, 1:].mean() > 2
    quiet = mfcc(0.1 * note(0.02, 0.0, 0.7)[::3])
    assert np.abs(quiet - bright)[middle, 1:].max() < 0.1
    assert np.abs(bright - quiet)[middle, 0].mean() == pytest.approx(20 * 40**0.5, rel=0.01)
