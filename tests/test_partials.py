"""Analysis and synthesis against sounds whose partials are known."""

from dataclasses import replace

import numpy as np
import pytest

from nsynth_instrument.dsp import partials
from nsynth_instrument.dsp.additive import noise_bands, synthesise, tones
from nsynth_instrument.dsp.analysis import SKIRTS, _peaks, _spectra, analyse, measure_f0
from nsynth_instrument.dsp.curves import cosine, exp2, log, sigmoid
from nsynth_instrument.dsp.distance import log_spectral_distance
from nsynth_instrument.dsp.normal import LANES, _uniform, normal
from nsynth_instrument.dsp.partials import ATTACK, HOP, PIECES, RATE
from nsynth_instrument.dsp.sidebyside import SIZE, shaped, whole
from nsynth_instrument.dsp.thinning import thinned
from nsynth_instrument.notes import hz

SECONDS = np.arange(2 * RATE) / RATE


def tone(f0: float, amplitudes: list[float], stretch: float = 0.0) -> np.ndarray:
    out = np.zeros(len(SECONDS))
    for k, a in enumerate(amplitudes, 1):
        out += a * np.sin(2 * np.pi * k * f0 * np.sqrt(1 + stretch * k * k) * SECONDS + k)
    return out.astype(np.float32)


@pytest.mark.parametrize("pitch", [28, 45, 60, 84, 100])
@pytest.mark.parametrize("cents", [-47.0, 0.0, 30.0])
def test_f0_of_a_detuned_tone_is_found_within_a_tenth_of_a_cent(pitch: int, cents: float) -> None:
    f0 = hz(pitch + cents / 100)
    assert 1200 * np.log2(measure_f0(tone(f0, [0.3, 0.2, 0.1]), pitch) / f0) == pytest.approx(0, abs=0.1)


def test_levels_offsets_and_noise_are_those_of_the_sound() -> None:
    f0, sigma = hz(57), 1e-3
    rng = np.random.default_rng(0)
    sound = tone(f0, [0.3, 0.1, 0.03], stretch=1e-3) + sigma * rng.standard_normal(len(SECONDS), dtype=np.float32)
    note = analyse(sound, 57, f0=f0)
    middle = slice(50, 200)
    for k, a in enumerate([0.3, 0.1, 0.03], 1):
        assert note.level[middle, k - 1].mean() == pytest.approx(20 * np.log10(a), abs=0.1)
        place = note.offset[middle, k - 1] + k * 2 ** (note.deviation[middle] / 1200)
        assert place.mean() == pytest.approx(k * np.sqrt(1 + 1e-3 * k * k), abs=1e-3)
    # White noise of deviation s has the one-sided density 2 s^2 / rate, here in every band clear of the tones.
    density = 10 * np.log10(2 * sigma**2 / RATE)
    assert note.noise[middle, 30:].mean() == pytest.approx(density, abs=0.5)


def test_noise_is_neither_a_tremolo_nor_later_than_it_sounds() -> None:
    """A short window takes the one for noise, a long one says noise before and after it is there."""
    trembling = tone(hz(45), [0.3, 0.2, 0.1]) * (1 + 0.5 * np.sin(2 * np.pi * 3 * SECONDS)).astype(np.float32)
    middle = slice(60, 190)
    short, both = (analyse(trembling, 45, noise_periods=p).noise[middle, :12].mean() for p in ((16.0,), (16.0, 40.0)))
    assert both < short - 6

    burst = 1e-2 * np.random.default_rng(0).standard_normal(len(SECONDS), dtype=np.float32) * (SECONDS < 1)
    burst += tone(hz(45), [0.3])
    after = slice(round(1.09 * RATE / HOP), round(1.14 * RATE / HOP))
    long, both = (analyse(burst, 45, noise_periods=p).noise[after, 20:].mean() for p in ((40.0,), (16.0, 40.0)))
    assert both < long - 3


def test_a_partial_at_the_edge_of_a_slot_is_heard_by_one() -> None:
    """By both, the copy in the other slot, as loud, would beat with it."""
    f0 = hz(45)
    sound = tone(f0, [0.3, 0.2, 0.1]) + (0.1 * np.sin(2 * np.pi * 20.4 * f0 * SECONDS)).astype(np.float32)
    note, middle = analyse(sound, 45, f0=f0), slice(60, 190)
    level = note.level[middle, 19:21].mean(axis=0)
    assert level[0] == pytest.approx(-20, abs=0.2)
    assert level[1] < -45
    assert note.offset[middle, 19].mean() == pytest.approx(0.4, abs=0.01)


def test_noise_is_heard_by_every_slot() -> None:
    sound = 0.05 * np.random.default_rng(0).standard_normal(len(SECONDS), dtype=np.float32) + tone(hz(45), [0.3])
    spectra, size, share = _spectra(sound, 250, HOP, 4 * RATE / hz(45), 1024)
    _, _, skirt = _peaks(spectra, size, share, hz(45), np.zeros((250, 150), np.bool_))
    often = np.lib.stride_tricks.sliding_window_view(skirt[:, 2:], SKIRTS[0], axis=0).mean(axis=2) > SKIRTS[1]
    assert skirt.mean() > 0.1
    assert often.mean() < 0.001


def test_silence_before_the_window_does_not_halve_the_onset() -> None:
    note = analyse(tone(hz(69), [0.5]), 69)
    assert note.level[0, 0] == pytest.approx(20 * np.log10(0.5), abs=1.0)


def test_resynthesis_of_a_steady_tone_has_its_pitch_its_level_and_no_tremolo() -> None:
    sound = tone(hz(62), [0.3, 0.2, 0.1, 0.05])
    again = synthesise(analyse(sound, 62), np.random.default_rng(1))
    assert 1200 * np.log2(measure_f0(again, 62) / hz(62)) == pytest.approx(0, abs=0.05)
    assert again[HOP:-4096].std() == pytest.approx(sound[HOP:-4096].std(), rel=0.01)
    assert analyse(again, 62).level[40:200, 0].std() < 0.05


def test_resynthesis_is_near_the_sound_and_nearer_than_another_key() -> None:
    rng = np.random.default_rng(2)
    decay = np.exp(-SECONDS * 2)[:, None] ** np.arange(1, 11)
    sound = (0.2 * np.sin(2 * np.pi * hz(50) * SECONDS[:, None] * np.arange(1, 11)) * decay).sum(axis=1).astype(np.float32)
    sound += 1e-4 * rng.standard_normal(len(sound), dtype=np.float32)
    near = log_spectral_distance(sound, synthesise(analyse(sound, 50), rng)[: len(sound)])
    far = log_spectral_distance(sound, synthesise(analyse(sound, 50, f0=hz(50)), rng)[: len(sound)] * 0.25)
    assert near < 6 < far


def test_noise_is_reproduced_by_band_and_drawn_from_the_given_stream() -> None:
    density = np.full((250, partials.BANDS), -100, np.float32)
    density[:, :32] = -70
    one, two = (noise_bands(density, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one, two)
    power = np.abs(np.fft.rfft(one * np.hanning(len(one)))) ** 2 * 2 / (RATE * (np.hanning(len(one)) ** 2).sum())
    f = np.fft.rfftfreq(len(one), 1 / RATE)
    low = power[(f > 100) & (f < partials.BAND_CENTRES[29])].mean()
    high = power[(f > partials.BAND_CENTRES[35]) & (f < 15000)].mean()
    assert 10 * np.log10(low) == pytest.approx(-70, abs=0.5)
    assert 10 * np.log10(high) == pytest.approx(-100, abs=0.5)


@pytest.mark.parametrize("late", [0, 5, 15])
def test_an_attack_sounds_when_it_did_and_not_before(late: int) -> None:
    """ms of silence before the tone, over which the analysis windows reach."""
    silent = late * RATE // 1000
    sound = np.concatenate([np.zeros(silent, np.float32), tone(440.0, [0.3, 0.2, 0.1])])[:RATE]
    note = analyse(sound, 69)
    smeared, again = (synthesise(n, np.random.default_rng(0), noise=False) for n in (replace(note, attack=None), note))
    energy = [np.square(x[: max(silent - RATE // 500, 0)]).sum() for x in (smeared, again)]
    assert energy[1] <= 0.03 * energy[0]
    after = slice(silent + RATE // 250, silent + RATE // 50)
    assert np.square(again[after]).sum() == pytest.approx(np.square(sound[after]).sum(), rel=0.2)


def test_an_attack_ends_without_a_click() -> None:
    note = analyse(tone(440.0, [0.3]), 69)
    loud = synthesise(replace(note, attack=np.full(ATTACK, 6.0, np.float32)), np.random.default_rng(0), noise=False)
    end = ATTACK * HOP // PIECES
    steps = np.abs(np.diff(loud, n=2))
    assert steps[end - 100 : end + 100].max() < 1.3 * steps[end + 2000 : end + 6000].max()


def test_tones_at_a_lower_rate_are_the_same_sound() -> None:
    note = analyse(tone(220.0, [0.3, 0.2, 0.1]), 57)
    note = replace(note, level=note.level[:, :3], offset=note.offset[:, :3])
    phase = np.random.default_rng(0).random(3)
    full, few = tones(note, phase), tones(note, phase, thin=8)
    assert np.abs(thinned(full, 3) - few)[20:-20].max() < 1e-3 * np.abs(few).max()
    loud = np.sin(2 * np.pi * 19000 * np.arange(RATE) / RATE)
    assert np.abs(thinned(loud, 1))[20:-20].max() < 2e-4, "what would fold back is stopped"


def test_silence_is_analysed_without_a_warning() -> None:
    note = analyse(np.zeros(RATE, np.float32), 60)
    assert np.isfinite(note.level).all()
    assert np.isfinite(note.noise).all()
    assert note.level.max() < -120
    assert not synthesise(note, np.random.default_rng(0), noise=False).any()


@pytest.mark.parametrize("count", [1, 7, 200001])
def test_normal_numbers_are_normal(count: int) -> None:
    drawn = normal(np.random.default_rng(0), count)
    assert drawn.shape == (count,) and drawn.dtype == np.float32 and np.isfinite(drawn).all()
    if count > 1000:
        assert abs(drawn.mean()) < 0.01 and drawn.std() == pytest.approx(1, abs=0.01)
        assert np.mean(np.abs(drawn) < 0.6745) == pytest.approx(0.5, abs=0.005), "half lie within the quartiles"
        assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.01
        half = count // 2
        assert abs(np.corrcoef(drawn[:half], drawn[half + 1 : 2 * half + 1])[0, 1]) < 0.01, "sines beside their cosines"


def test_functions_are_what_they_are_called() -> None:
    x = np.linspace(-120, 120, 9999).astype(np.float32)
    assert np.allclose([exp2(v) for v in x], np.exp2(x.astype(float)), rtol=2e-7)
    assert np.allclose([cosine(v) for v in x / 100], np.cos(2 * np.pi * (x / 100).astype(float)), atol=5e-7)
    assert np.allclose([sigmoid(v) for v in x], 1 / (1 + np.exp(-x.astype(float))), rtol=0, atol=2e-7)
    assert np.isfinite(sigmoid(np.float32(-1e30))) and sigmoid(np.float32(1e30)) == 1
    positive = np.concatenate([np.exp2(x / 5), 1 + x / 1e6]).astype(np.float32)
    assert np.allclose([log(v) for v in positive], np.log(positive.astype(float)), rtol=4e-7, atol=1e-12)


def test_uniform_numbers_are_xoshiro_s() -> None:
    """The generator as its authors write it, lane by lane in whole numbers."""
    state, mask, wanted = np.random.default_rng(1).integers(1 << 64, size=(4, LANES), dtype=np.uint64), (1 << 64) - 1, []
    for lane in state.T:
        s, row = [int(x) for x in lane], []
        for _ in range(10):
            drawn = (s[0] + s[3]) & mask
            row.append((((drawn << 23 | drawn >> 41) & mask) + s[0]) & mask)
            t = s[1] << 17 & mask
            s[2] ^= s[0]
            s[3] ^= s[1]
            s[1] ^= s[2]
            s[0] ^= s[3]
            s[2] ^= t
            s[3] = (s[3] << 45 | s[3] >> 19) & mask
        wanted.append(row)
    out = np.empty((10, 2, LANES), np.float32)
    _uniform(state.reshape(-1).copy(), out.reshape(-1))
    assert out.transpose(1, 2, 0).tolist() == [[[(x >> shift & 0xFFFFFF) / 2**24 for x in row] for row in wanted] for shift in (40, 8)]


@pytest.mark.parametrize(("frames", "hop", "bins"), [(1, 384, 427), (33, 384, 511), (64, 100, 1)])
def test_windows_shaped_side_by_side_are_those_shaped_one_by_one(frames: int, hop: int, bins: int) -> None:
    rng, window = np.random.default_rng(frames), np.hanning(SIZE).astype(np.float32)
    white = rng.standard_normal((whole(frames) - 1) * hop + SIZE, dtype=np.float32)
    gains = np.zeros((bins, whole(frames)), np.float32)
    gains[:, :frames] = 10 ** rng.uniform(-6, 0, (bins, frames))
    wanted = np.zeros(len(white))
    for t in range(frames):
        spectrum = np.fft.rfft(white[t * hop : t * hop + SIZE] * window)
        spectrum[1 : bins + 1] *= gains[:, t]
        spectrum[0] = spectrum[bins + 1 :] = 0
        wanted[t * hop : t * hop + SIZE] += np.fft.irfft(spectrum) * window
    assert np.abs(shaped(white, gains, window, hop) - wanted).max() < 1e-6 * np.abs(wanted).max()
