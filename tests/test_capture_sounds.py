"""From recordings to notes: onset, hold, release, pitch, tuning, velocity; and what is refused, with the reason."""

from __future__ import annotations

import numpy as np
import pytest

from nsynth_instrument.capture.note import Sound
from nsynth_instrument.capture.sounds import prepare
from nsynth_instrument.capture.sources import Take
from nsynth_instrument.dsp import envelope
from nsynth_instrument.dsp.detect import detect
from nsynth_instrument.dsp.loudness import NOMINAL, by_velocity, loudest
from nsynth_instrument.dsp.pitch import cents_off
from nsynth_instrument.errors import AudioError
from tests.tones import RATE, Floats, tone


def take(audio: Floats, label: str = "a.wav", *, loop: tuple[int, int] | None = None, **said: object) -> Take:
    return Take(label, lambda: (audio, loop), **said)  # type: ignore[arg-type]


def one(audio: Floats, **said: object) -> tuple[Sound, list[str]]:
    sounds, words = prepare([take(audio, **said)])  # type: ignore[arg-type]
    return sounds[0], words


def noise(seconds: float = 2.0, level: float = 0.1) -> Floats:
    return (level * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


@pytest.mark.parametrize("pitch", [21, 28.4, 36, 45, 57.25, 69, 81, 93.6, 105, 108])
@pytest.mark.parametrize("harmonics", [1, 3, 20])
def test_the_pitch_of_a_tone_is_heard_to_a_cent(pitch: float, harmonics: int) -> None:
    found = detect(tone(pitch, hold=1.0, harmonics=harmonics))
    assert found is not None
    assert found.clear and not found.mixed and not found.moves
    assert found.pitch == pytest.approx(pitch, abs=0.01 if pitch > 24 else 0.03)


def test_a_missing_fundamental_and_odd_harmonics_are_heard_in_their_octave() -> None:
    t = np.arange(RATE) / RATE
    missing = sum(np.sin(2 * np.pi * 110 * k * t + k) / k for k in range(3, 20)).astype(np.float32)
    odd = sum(np.sin(2 * np.pi * 220 * k * t) / k for k in range(1, 20, 2)).astype(np.float32)
    assert detect(missing).pitch == pytest.approx(45, abs=0.02)  # type: ignore[union-attr]
    assert detect(odd).pitch == pytest.approx(57, abs=0.02)  # type: ignore[union-attr]


@pytest.mark.parametrize("interval", [3, 4, 5, 7, 8, 9, 10])
def test_two_notes_at_once_are_told_from_one(interval: int) -> None:
    found = detect(tone(57) + tone(57 + interval))
    assert found is not None and (found.mixed or not found.clear)


def test_noise_has_no_pitch_and_silence_no_shape() -> None:
    found = detect(noise())
    assert found is not None and found.strength < 0.1
    assert detect(np.zeros(RATE, np.float32)) is None
    assert envelope.shape(np.zeros(RATE, np.float32)) is None
    assert envelope.shape(np.zeros(0, np.float32)) is None


@pytest.mark.parametrize("before", [0.0, 0.123, 1.5])
@pytest.mark.parametrize(("hold", "release"), [(0.6, 0.1), (2.0, 0.2), (7.0, 0.6)])
def test_onset_release_and_end_are_found(before: float, hold: float, release: float) -> None:
    s = envelope.shape(tone(57, hold=hold, release=release, before=before, after=0.4))
    assert s is not None
    assert s.start == pytest.approx(before, abs=0.003)
    assert s.release == pytest.approx(before + hold, abs=0.05)
    assert s.end == pytest.approx(before + hold + release, abs=0.03)
    assert s.sustains and s.let_go and not s.cut and not s.others


def test_a_plucked_note_does_not_sustain_and_a_broken_one_is_told() -> None:
    plucked = envelope.shape(tone(57, hold=2.0, release=0.0, decay=30, after=0.5))
    assert plucked is not None and not plucked.sustains and not plucked.cut
    broken = envelope.shape(tone(57, hold=2.0, release=0.0, before=0.2))
    assert broken is not None and broken.sustains and broken.cut and not broken.let_go


def test_noise_around_a_note_is_not_taken_for_it() -> None:
    audio = tone(57, hold=2.0, before=1.0, after=1.0)
    audio = audio + noise(len(audio) / RATE, 0.003)
    s = envelope.shape(audio)
    assert s is not None
    assert s.start == pytest.approx(1.0, abs=0.01)
    assert s.end == pytest.approx(3.2, abs=0.1)
    assert -45 < s.floor < -25
    _, words = prepare([take(tone(57, before=1.0) + noise(3.2, 0.01))])
    assert words == [] and "background noise" in one(tone(57, before=1.0) + noise(3.2, 0.01))[0].how


def test_a_click_before_a_note_is_no_onset() -> None:
    audio = tone(57, before=1.0, after=0.2)
    audio[4800:4810] = 0.9
    s = envelope.shape(audio)
    assert s is not None and s.start == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize("cents", [-50, -49, -20, 0, 30, 49])
def test_a_detuned_note_comes_out_in_tune(cents: int) -> None:
    sound, _ = one(tone(60 + cents / 100, before=0.3))
    assert sound.pitch == round(60 + cents / 100 + 1e-6) or abs(cents) == 50
    assert abs(cents_off(sound.audio, RATE, sound.pitch)) < 0.5
    assert abs(sound.cents) <= 50.5
    assert sound.hold == pytest.approx(2.0, abs=0.08)


def test_a_note_has_its_own_length_and_one_second_of_release() -> None:
    for hold in (0.4, 2.0, 9.0, 40.0):
        sound, _ = one(tone(57, hold=hold, release=0.3, before=0.2, after=0.2, rate=RATE))
        assert sound.hold == pytest.approx(min(hold, 29.0), abs=0.05)
        assert sound.sustains
        assert len(sound.audio) == round((sound.hold + 1) * RATE)
        after = sound.audio[round((sound.hold + 0.4) * RATE) :]
        assert np.abs(after).max() < 0.01 * np.abs(sound.audio).max(), "the release is the recording's own"


def test_a_short_struck_note_gains_no_sustain() -> None:
    sound, _ = one(tone(57, hold=0.5, release=0.0, decay=80, before=0.1, after=0.2))
    assert not sound.sustains
    assert np.abs(sound.audio[round(0.7 * RATE) :]).max() == 0


def test_a_loop_is_played_until_the_note_is_long_enough() -> None:
    period = RATE / (440 * 2 ** (-12 / 12))
    audio = tone(57, hold=1.0, release=0.0)
    loop = (24000, 24000 + round(period * 22) - 1)
    sound, _ = one(audio, loop=loop)
    assert sound.sustains and sound.hold == pytest.approx(3.0, abs=0.01)
    late = sound.audio[round(2.5 * RATE) : round(2.9 * RATE)]
    assert abs(cents_off(late, RATE, 57)) < 1
    assert np.sqrt(np.mean(late**2)) == pytest.approx(float(np.sqrt(np.mean(sound.audio[20000:24000] ** 2))), rel=0.05)


def test_velocity_is_what_is_said_or_follows_the_level() -> None:
    assert one(tone(57), velocity=33)[0].velocity == 33
    assert one(tone(57))[0].velocity == 100
    loud, middle, soft = (tone(57, level=0.3 * g) for g in (1, 0.25, 0.0625))
    sounds, _ = prepare([take(soft, "s"), take(loud, "l"), take(middle, "m")])
    assert [(s.label, s.velocity) for s in sounds] == [("s", 32), ("m", 64), ("l", 127)]


def test_instruments_are_equally_loud_and_keep_their_dynamics() -> None:
    sounds, _ = prepare([take(tone(57, level=0.3), velocity=100), take(tone(60, level=0.3), velocity=100), take(tone(60, level=0.1), velocity=50)])
    at = {(s.pitch, s.velocity): loudest(s.audio) - by_velocity(s.velocity) for s in sounds}
    assert np.median(list(at.values())) == pytest.approx(NOMINAL, abs=0.01)
    steps = loudest(sounds[2].audio) - loudest(sounds[1].audio)
    assert steps == pytest.approx(20 * np.log10(3), abs=0.1)


def test_one_of_each_key_and_velocity_is_kept() -> None:
    sounds, words = prepare([take(tone(57.3), "off"), take(tone(57), "on", velocity=100), take(tone(57), "again", velocity=100)])
    assert [s.label for s in sounds] == ["on"] or len(sounds) == 2
    assert any("left out" in w for w in words)


@pytest.mark.parametrize(("names", "octave"), [("C4", 4), ("C3", 3), ("C5", 5)])
def test_the_makers_name_of_middle_c_is_found_by_listening(names: str, octave: int) -> None:
    shift = 12 * (octave - 4)
    takes = [
        take(tone(p), f"{p}.wav", pitch=float(p + shift), by="name", text="x", absolute=False) for p in (48, 55, 60, 67)
    ]
    sounds, words = prepare(takes)
    assert [s.pitch for s in sounds] == [48, 55, 60, 67]
    assert f"C{octave}" in words[0]
    told, _ = prepare(takes, octave=octave)
    assert [s.pitch for s in told] == [48, 55, 60, 67]


def test_ears_and_words_settle_which_key_it_is() -> None:
    wrong = one(tone(57), pitch=67.0, by="name", text="G4", absolute=False)[0]
    assert wrong.pitch == 57 and "against its name, G4" in wrong.how
    default = one(tone(57), pitch=60.0, by="chunk", text="its sampler chunk")[0]
    assert default.pitch == 57, "programs write 60 that do not know"
    octave = one(tone(57), pitch=69.0, by="map", text="the SFZ")[0]
    assert octave.pitch == 69 and "an octave below" in octave.how.replace("1 octave", "an octave")
    mapped = one(tone(57), pitch=62.0, by="map", text="the SFZ")[0]
    assert mapped.pitch == 62 and "sounds like A3" in mapped.how
    told, _ = prepare([take(noise(0.5))], key=40)
    assert told[0].pitch == 40 and "as told" in told[0].how


@pytest.mark.parametrize(
    ("audio", "reason"),
    [
        (np.zeros(RATE, np.float32), "is silent"),
        (np.full(RATE, 1e-5, np.float32), "is silent"),
        (tone(60, hold=0.01, release=0.005, after=0.5), "ms of sound"),
        (noise(), "noise or a drum"),
        (tone(57) + tone(61) + tone(64), "several notes seem to sound"),
        (np.concatenate([tone(p, hold=0.6, release=0.01) for p in (60, 64, 67, 71)]), "changes its pitch"),
    ],
)
def test_what_cannot_be_one_note_is_refused_with_the_reason(audio: Floats, reason: str) -> None:
    with pytest.raises(AudioError, match=reason):
        prepare([take(audio)])


def test_bad_recordings_among_good_ones_are_told_and_left_out() -> None:
    sounds, words = prepare([take(np.zeros(RATE, np.float32), "bad.wav"), take(tone(57), "good.wav")])
    assert [s.label for s in sounds] == ["good.wav"]
    assert words == ["bad.wav is silent; record it again, louder"]
    with pytest.raises(AudioError, match="none of the recordings"):
        prepare([take(np.zeros(RATE, np.float32), "a.wav"), take(noise(), "b.wav")])


def test_the_first_of_several_sounds_is_taken() -> None:
    sound, _ = one(np.concatenate([tone(57, hold=1.0), np.zeros(RATE // 2, np.float32), tone(62, hold=1.0)]))
    assert sound.pitch == 57 and "first of several" in sound.how
    assert sound.hold == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("below", [30, 20, 10])
def test_noise_around_a_held_note_is_no_fall(below: int) -> None:
    x = tone(57)
    noisy = x + np.float32(np.std(x) * 10 ** (-below / 20)) * np.random.default_rng(0).standard_normal(len(x)).astype(np.float32)
    sound = one(noisy)[0]
    assert sound.sustains and sound.hold == pytest.approx(2.0, abs=0.05)


def test_a_short_note_is_not_held_longer_and_a_long_one_is_cut_and_told() -> None:
    brief = one(tone(60, hold=0.15, release=0.1))[0]
    assert not brief.sustains and brief.hold == pytest.approx(0.14, abs=0.03)
    long, _ = one(tone(60, hold=31.0, release=0.1))
    assert long.hold == 29 and "cut to 29 of its 31 s" in long.how


def test_a_note_whose_key_is_said_is_tuned_though_it_is_not_clear() -> None:
    """A piano's top keys: their partials stand out, but too few for a pitch to be found among all there could be."""
    x = tone(105.2, hold=1.0, harmonics=1, level=0.05, release=0.1)
    x = x + 0.05 * noise(len(x) / RATE)[: len(x)]
    found = detect(x)
    assert found is not None and not found.clear
    sound = one(x, pitch=105.0, by="name", text="A7", absolute=False)[0]
    assert sound.cents == pytest.approx(20, abs=1) and "tuned by its partials" in sound.how
