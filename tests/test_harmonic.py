"""The harmonic voice around its network: maps, fluctuation, tuning, and the same words from every runtime."""

from dataclasses import replace

import numpy as np
import pytest

from nsynth_instrument.dsp import detail, keeping, recalling, timbre, tuning
from nsynth_instrument.dsp.additive import synthesise
from nsynth_instrument.dsp.fluctuation import _bend, enliven
from nsynth_instrument.dsp.partials import ATTACK, BAND_CENTRES, BANDS, SILENCE, SLOTS, Partials, silenced, slots_for
from nsynth_instrument.dsp.pitch import cents_off
from nsynth_instrument.dsp.tuning import exact, in_tune
from nsynth_instrument.errors import BundleError, DataError
from nsynth_instrument.notes import hz
from nsynth_instrument.runtimes.kernel_harmonic import HarmonicKernel


def said(frames: int = 400, f0: float = 220.0, **changes: np.ndarray) -> timbre.Said:
    level = np.full((frames, SLOTS), SILENCE, np.float32)
    level[:, :20] = -20 - 2 * np.arange(20)
    zero = np.zeros(frames, np.float32)
    still, steady = np.zeros((frames, timbre.ORDERS, timbre.ZONES), np.float32), np.zeros((frames, timbre.ORDERS), np.float32)
    onset = np.zeros(ATTACK, np.float32)
    base = timbre.Said(level, np.zeros_like(level), np.full((frames, BANDS), -150, np.float32), zero, still, steady, onset)
    return replace(base, **changes)


def test_envelope_and_harmonics_are_inverse_on_smooth_timbres() -> None:
    for f0 in (55.0, 220.0, 880.0):
        n = slots_for(f0)
        level = np.zeros(SLOTS, np.float32)
        level[:n] = -40 + 20 * np.cos(np.log(np.arange(1, n + 1)))
        again = (level @ timbre.to_envelope(f0)) @ timbre.to_harmonics(f0)
        assert np.abs(again[:n] - level[:n]).max() < 3


def test_the_envelope_of_one_timbre_is_one_picture_at_every_pitch() -> None:
    def envelope(f0: float) -> np.ndarray:
        f = np.arange(1, SLOTS + 1) * f0
        return np.asarray((-20 * np.log10(1 + (f / 1000) ** 2)).astype(np.float32) @ timbre.to_envelope(f0))

    low, high = envelope(110.0), envelope(220.0)
    both = np.geomspace(timbre.LOWEST, timbre.TOP, timbre.POINTS) > 300
    assert np.abs(low - high)[both].max() < 1.5


def test_condition_tells_pitch_velocity_onset_and_release() -> None:
    times = timbre.frame_times(500)
    one = timbre.condition(60, 100, times)
    assert one.shape == (500, timbre.COND)
    assert not np.allclose(one, timbre.condition(61, 100, times))
    assert not np.allclose(one, timbre.condition(60, 90, times))
    assert np.allclose(one[:200], timbre.condition(60, 100, times, release=2.0)[:200])
    assert not np.allclose(one[260], timbre.condition(60, 100, times, release=2.0)[260])
    assert np.allclose(timbre.condition(120, 100, times), timbre.condition(127, 100, times)), "beyond the trained keys nothing new is told"


def test_say_reads_the_envelope_at_the_harmonics() -> None:
    raw = np.zeros((3, timbre.OUT), np.float32)
    raw[:, : timbre.POINTS] = np.linspace(0, 1, timbre.POINTS)
    words = timbre.say(raw, 440.0)
    n = slots_for(440.0)
    expected = timbre.positions(440.0)[:n] / (timbre.POINTS - 1) * 25 - 80
    assert np.allclose(words.level[0, :n], expected, atol=1e-3)


def sizes(frames: int, *values: float) -> np.ndarray:
    """Level sizes alike in all zones."""
    return np.tile(np.array(values, np.float32)[:, None], (frames, 1, timbre.ZONES))


def differences(x: np.ndarray) -> list[float]:
    """Mean absolute size of x (frames, n), of its change, and of the change of that."""
    return [float(np.abs(np.diff(x, n=order, axis=0)).mean()) for order in range(timbre.ORDERS)]


@pytest.mark.parametrize("wanted", [(2.5, 1.25, 1.75), (3.0, 0.8, 0.24), (2.5, 3.5, 6.0)], ids=["walk", "swing", "noise"])
def test_fluctuation_has_the_size_and_the_speed_that_were_said(wanted: tuple[float, float, float]) -> None:
    frames = 4000
    cents = tuple(3 * w for w in wanted)
    words = said(frames, level_sizes=sizes(frames, *wanted), pitch_sizes=np.tile(np.array(cents, np.float32), (frames, 1)))
    note = enliven(words, 220.0, np.random.default_rng(0))
    stray = (note.level - words.level)[:, :20]
    size, step, _ = differences(stray)
    assert 0.72 * wanted[0] < size < 0.85 * wanted[0], "some of what is said is doubt"
    assert step == pytest.approx(wanted[1], rel=0.15), "but not of how far levels go from frame to frame"
    assert stray.max() < 5.0, "beating adds to little more than its parts"
    sway, change, bend = differences(note.deviation[:, None])
    walks = 1 - wanted[1] ** 4 / (wanted[0] * wanted[2]) ** 2
    assert sway == pytest.approx((1 - 0.4 * walks) * cents[0], rel=0.25), "nor is all that is said of pitch the sound's, if it walks"
    assert np.allclose((change, bend), cents[1:], rtol=0.25)
    together = np.corrcoef(stray[:, 0], stray[:, 7])[0, 1]
    assert abs(together) < 0.2, "partials waver one by one"


def test_a_vibrato_comes_back_with_its_rate() -> None:
    frames, rate = 4000, 5.5
    swing = 8 * np.sin(2 * np.pi * rate * np.arange(frames) / 125)[:, None]
    words = said(frames, pitch_sizes=np.tile(np.array(differences(swing), np.float32), (frames, 1)))
    drawn = enliven(words, 220.0, np.random.default_rng(0)).deviation
    power = np.abs(np.fft.rfft(drawn * np.hanning(frames))) ** 2
    at = np.fft.rfftfreq(frames, 1 / 125)
    assert power[np.abs(at - rate) < 1.5].sum() > 0.8 * power.sum(), "most of the power lies about the vibrato's rate"


def test_no_fluctuation_said_is_no_tremolo_heard() -> None:
    for doubt in ((0.1, 0.15, 0.25), (0.6, 0.25, 0.35)):
        words = said(level_sizes=sizes(400, *doubt))
        note = enliven(words, 220.0, np.random.default_rng(0))
        assert np.allclose(note.level, words.level, atol=1e-4), "neither the data's grain nor doubt is the sound's"


def test_what_beats_dips_deeper_than_it_rises() -> None:
    words = said(2000, level_sizes=sizes(2000, 3.5, 2.0, 2.6))
    stray = (enliven(words, 220.0, np.random.default_rng(0)).level - words.level)[:, :20]
    assert stray.max() < 5.0 < 12.0 < -stray.min() <= 30.0
    assert abs(np.median(stray)) < 0.3, "the middle stays where it was said"
    level = np.zeros((1, 4), np.float32)
    _bend(np.array([[1e4, -1e4, 0.1]], np.float32), 1.0, level)
    assert level[0] == pytest.approx([5, -30, 0.1, 0], abs=2e-3), "however far it is drawn"


def test_what_is_faint_beside_the_loudest_moves_less() -> None:
    words = said(1000, level_sizes=sizes(1000, 2.5, 1.25, 1.75))
    plain = differences(enliven(words, 220.0, np.random.default_rng(0)).level[:, 5:6] - words.level[:, 5:6])[0]
    for under, share in ((29, 1.0), (40, 0.5), (51, 0.0)):
        words.level[:, 5] = words.level.max() - under
        stray = differences(enliven(words, 220.0, np.random.default_rng(0)).level[:, 5:6] - words.level[:, 5:6])[0]
        assert stray == pytest.approx(share * plain, rel=0.15, abs=1e-3)


@pytest.mark.parametrize("pitch", [28, 57, 96])
def test_pitch_is_exact_however_the_network_bends_it(pitch: int) -> None:
    rng = np.random.default_rng(1)
    f0 = hz(pitch)
    words = said(500)
    bent = Partials(
        f0,
        words.level,
        np.tile(rng.normal(0, 0.004, SLOTS), (500, 1)).astype(np.float32),
        words.noise,
        (9 + 5 * np.sin(np.arange(500) / 125 * 2 * np.pi * 5)).astype(np.float32),
    )
    sound = synthesise(silenced(in_tune(bent, pitch)), rng)
    assert cents_off(sound, 48000, pitch) == pytest.approx(0, abs=0.3), "as reports measure it"


def test_what_trembles_in_noise_is_in_tune_as_a_whole() -> None:
    pitch = 43
    words = said(500, level_sizes=sizes(500, 2.5, 1.5, 2.0), pitch_sizes=np.full((500, 3), 4, np.float32))
    words = replace(words, noise=words.noise + 75)

    def drawn() -> tuple[Partials, np.random.Generator]:
        rng = np.random.default_rng(2)
        return silenced(in_tune(enliven(words, hz(pitch), rng), pitch)), rng

    before = cents_off(synthesise(*drawn()), 48000, pitch)
    note, rng = drawn()
    assert abs(before) > 2 * abs(cents_off(exact(note, pitch, rng), 48000, pitch)) > 0


def test_what_goes_back_and_forth_as_it_is_moved_is_in_tune(monkeypatch: pytest.MonkeyPatch) -> None:
    """So tremolo celli do: steps of what they are off led from 3.3 cents to 2.0, and no nearer."""
    words = said(500)
    note = silenced(in_tune(enliven(words, hz(57), np.random.default_rng(0), 0.0), 57))
    for phase in (0.0, 1.5, 3.0, 4.5):

        def bent(audio: np.ndarray, rate: float, pitch: float, phase: float = phase) -> float:
            true = cents_off(audio, rate, pitch)
            return true + 3 * np.sin(1.5 * true + phase) + 2.0

        monkeypatch.setattr(tuning, "cents_off", bent)
        assert abs(bent(exact(note, 57, np.random.default_rng(0)), 48000, 57)) <= tuning.EXACT


def test_silence_after_a_stroke_is_kept() -> None:
    """What is 60 dB fainter in the mean than at its loudest is heard over seconds."""
    words = said(500, noise=np.full((500, BANDS), -100, np.float32))
    note = replace(enliven(words, 220.0, np.random.default_rng(0), 0.0), noise=np.full((500, BANDS), -140, np.float32))
    found = recalling.recall(keeping.stack([keeping.keep(note, words)]), 0, 500)
    np.testing.assert_allclose(words.noise + found.noise, -140, atol=1.5)


@pytest.mark.parametrize(("slow", "fast", "n"), [(40, 32, 12), (40, 32, 3), (160, 128, 12), (128, 160, 37), (144, 136, 29)])
def test_kernel_says_what_torch_says(slow: int, fast: int, n: int) -> None:
    """Narrow, in float32; and as wide as what goes by tiles, where there are such, or by no whole ones."""
    torch = pytest.importorskip("torch")
    from nsynth_instrument.nets.harmonic import Harmonic, HarmonicConfig

    torch.manual_seed(0)
    net = Harmonic(HarmonicConfig(encoder=24, slow=slow, fast=fast)).eval()
    kernel = HarmonicKernel({k: v.numpy() for k, v in net.state_dict().items()}, net.config.to_dict())
    rng = np.random.default_rng(0)
    heard, told = (rng.standard_normal((2, 4 * n, w), dtype=np.float32) for w in (timbre.IN, timbre.COND))
    codes = rng.standard_normal((2, n, 16), dtype=np.float32)
    with torch.no_grad():
        encoded = net.encode(torch.from_numpy(heard), torch.from_numpy(told)).numpy()
        decoded = net.decode(torch.from_numpy(codes), torch.from_numpy(told[:, :n]), torch.from_numpy(told)).numpy()
    assert np.abs(kernel.encode(heard, told) - encoded).max() < 1e-5
    assert np.abs(kernel.decode(codes, told[:, :n], told) - decoded).max() < (1e-5 if slow < 128 else 1e-4)
    with pytest.raises(BundleError, match=r"no slow\.4\.mix"):
        HarmonicKernel({k: v.numpy() for k, v in net.state_dict().items() if not k.startswith("slow.4.mix")}, net.config.to_dict())
    with pytest.raises(BundleError, match="lacks the network's 'fast_dilations'"):
        HarmonicKernel({}, {k: v for k, v in net.config.to_dict().items() if k != "fast_dilations"})


def test_another_key_has_the_colour_of_a_detail_but_not_its_tremble() -> None:
    rng = np.random.default_rng(6)
    words = said(500)
    colour, tremble = rng.normal(0, 8, 20), 3 * rng.normal(size=(500, 20))
    level, noise = words.level.copy(), words.noise.copy()
    level[:, :20] += (colour + tremble).astype(np.float32)
    noise[:, 30] = -60
    note = Partials(220.0, level, words.offset, noise, words.deviation + 20, words.attack)
    kept = keeping.stack([keeping.keep(note, words)])
    here, third, octave = (recalling.recall(kept, 0, 500, away) for away in (0, 4, 12))
    for some, least, most in ((here, 0.95, 1.05), (third, 0.85, 1.0), (octave, 0.7, 0.95)):
        share = some.level[40:370, :20].mean(axis=0) @ colour / (colour @ colour)
        assert least < share < most
    assert here.level[:, :20].std(axis=0).mean() > 1 and third.level[60:360, :20].std(axis=0).max() < 0.8
    assert here.noise[200].argmax() == 30, "noise lies where it lay"
    up = BAND_CENTRES[octave.noise[200].argmax()] / BAND_CENTRES[30]
    assert up == pytest.approx(2, rel=0.05), "and an octave higher at the octave"
    assert not octave.deviation.any()
    plain = detail.add(words, 220.0, [(third, 1.0)])
    assert np.array_equal(plain.level_sizes, words.level_sizes), "what trembles is drawn anew"
    half, none = (recalling.recall(kept, 0, 500, 4, told) for told in (0.5, 1.0))
    assert np.allclose(half.level, third.level / 2, atol=1e-4) and np.allclose(half.noise, third.noise / 2, atol=1e-4)
    assert np.array_equal(none.swing, third.swing) and third.swing.any(), "how much it moves is not told by others"
    other = detail.add(words, 220.0, [(none, 1.0)])
    assert all(np.array_equal(getattr(other, part), getattr(words, part)) for part in ("level", "offset", "noise", "attack"))


def test_a_sound_that_the_network_does_not_know_keeps_its_colour_at_other_keys() -> None:
    rng = np.random.default_rng(7)
    words = said(500)
    colour = np.where(np.arange(20) % 2, -25, 5) + rng.normal(0, 3, 20)
    level = words.level.copy()
    level[:, :20] += colour.astype(np.float32)
    note = Partials(220.0, level, words.offset, words.noise, words.deviation, words.attack)
    kept = keeping.stack([keeping.keep(note, words)])
    elsewhere = words.level.copy()
    elsewhere[:, :20] += rng.normal(0, 6, 20).astype(np.float32) - 10
    there = detail.add(replace(words, level=elsewhere), 440.0, [(recalling.recall(kept, 0, 500, 12), 1.0)])
    apart = there.level[60:360, :20] - level[60:360, :20]
    assert np.abs(apart - np.median(apart)).mean() < 2, "an octave away it has the same colour, not what is said there"
    familiar = Partials(220.0, words.level + 1, words.offset, words.noise, words.deviation, words.attack)
    kept = keeping.stack([keeping.keep(familiar, words)])
    assert recalling.recall(kept, 0, 500, 12).doubt == 0
    kept["colours"] = kept["colours"][::-1].copy()
    with pytest.raises(DataError, match="damaged"):
        recalling.recall(kept, 0, 500)
    del kept["colours"], kept["colours_end"]
    assert recalling.recall(kept, 0, 500, 12).doubt == 0, "banks of before know no colours"


def test_detail_brings_a_note_back_and_its_data_is_checked() -> None:
    rng = np.random.default_rng(5)
    words = said(500)
    bumps = 6 * np.sin(2 * np.pi * np.arange(500)[:, None] / 125 * rng.uniform(0.5, 6, 20))
    level = words.level.copy()
    level[:, :20] += bumps.astype(np.float32)
    sharp = np.linspace(-30, 5, ATTACK, dtype=np.float32)
    note = Partials(220.0, level, words.offset, words.noise + 5, np.float32(4 * np.sin(np.arange(500) / 4)), sharp)
    kept = keeping.stack([keeping.keep(note, words), keeping.keep(note, words)])
    assert kept["data"].nbytes < 2 * 6000
    again = detail.add(words, 220.0, [(recalling.recall(kept, 1, 500), 1.0)])
    assert np.abs(again.level - level)[:, :20].mean() < 0.6
    assert np.abs(again.deviation - note.deviation).mean() < 0.5
    assert np.abs(again.attack - sharp).max() < 0.3
    assert not again.level_sizes.any()
    half = detail.add(words, 220.0, [(recalling.recall(kept, 0, 500), 0.5)])
    assert np.abs(half.level - words.level)[:, :20].mean() == pytest.approx(np.abs(bumps).mean() / 2, rel=0.1)
    assert np.allclose(half.level_sizes, words.level_sizes * np.sqrt(0.75))
    longer = recalling.recall(kept, 0, 700)
    assert len(longer.level) == 700
    kept["data"] = kept["data"][::-1].copy()
    with pytest.raises(DataError, match="damaged"):
        recalling.recall(kept, 0, 500)
