"""The engine, offline: what is played is compared with what can be computed."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path

import livepacks
import numpy as np
import pytest
import soundfile

from nsynth_instrument.errors import AudioError, DataError, UsageError
from nsynth_instrument.live.engine import Engine, Settings
from nsynth_instrument.live.samples import Sound, check, find, load
from nsynth_instrument.live.state import FREE, RING
from nsynth_instrument.notes import hz
from nsynth_instrument.pack import Loop, SamplePack, Zone

RATE = 48000
FLAT = Settings(gain=0.0)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sound]:
    root = tmp_path_factory.mktemp("packs")
    third = tuple(range(36, 97, 3))
    makes = {
        "plain": {},
        "sparse": {"pitches": third, "level": 0.3},
        "layers": {"pitches": (60,), "velocities": (25, 50, 75, 100, 127)},
        "morph": {"pitches": (48, 60, 72), "positions": [(0.0,), (0.25,), (0.5,), (1.0,)], "seconds": 3.0, "looped": True},
        "square": {"pitches": (60,), "positions": [(x, y) for y in (0.0, 1.0) for x in (0.0, 1.0)], "seconds": 2.0},
        "looped": {"pitches": third, "looped": True, "level": 0.3, "release": 0.2},
        "foreign": {"pitches": third, "looped": True, "level": 0.3, "rate": 44100},
    }
    return {n: load(livepacks.make(root / n, name=n, **kw), rate=RATE, budget=1 << 30) for n, kw in makes.items()}


def play(engine: Engine, *words: int, seconds: float = 0.0) -> np.ndarray:
    """Send messages, then the sound of the next `seconds`, float32 (frames, 2)."""
    for w in words:
        assert engine.send(w)
    out = np.zeros((round(seconds * engine.rate / 128) * 128, 2), np.float32)
    for i in range(0, max(len(out), 1), 128):
        engine.fill(out[i : i + 128])
    return out


def on(key: int, velocity: int = 100, channel: int = 0) -> int:
    return 0x90 | channel | key << 8 | velocity << 16


def off(key: int, channel: int = 0) -> int:
    return 0x80 | channel | key << 8


def cc(number: int, value: int, channel: int = 0) -> int:
    return 0xB0 | channel | number << 8 | value << 16


def bend(value: int, channel: int = 0) -> int:
    return 0xE0 | channel | (value & 127) << 8 | (value >> 7) << 16


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def pitch(x: np.ndarray, rate: int = RATE) -> float:
    """Frequency in Hz of the strongest partial."""
    n = 1 << 17
    s = np.abs(np.fft.rfft(x * np.hanning(len(x)), n))
    j = int(s[1:-1].argmax()) + 1
    a, b, c = np.log(s[j - 1 : j + 2] + 1e-30)
    return float((j + 0.5 * (a - c) / (a - 2 * b + c)) * rate / n)


def cents(found: float, key: float) -> float:
    return abs(1200 * np.log2(found / hz(key)))


def harmonics(x: np.ndarray, key: int, count: int = 4) -> np.ndarray:
    """Amplitudes of the first partials of a key."""
    t = np.arange(len(x)) / RATE
    w = np.hanning(len(x))
    return np.array([2 * abs(np.sum(x * w * np.exp(-2j * np.pi * (h + 1) * hz(key) * t))) / w.sum() for h in range(count)])


def clicks(x: np.ndarray) -> float:
    """Largest jump: what a third difference leaves of tones far under half the rate is tiny, and of a step is its height."""
    return float(np.abs(np.diff(x, 3, axis=0)).max(initial=0.0))


def test_a_note_at_its_root_is_the_file_bit_for_bit(packs: dict[str, Sound]) -> None:
    out = play(Engine([packs["plain"]], settings=FLAT), on(60), seconds=0.5)
    want = livepacks.tone(60, rate=RATE, seconds=1, level=0.5 * 100 / 127)[: len(out)]
    assert np.array_equal(out[:, 0], want)
    assert np.array_equal(out[:, 1], want)


@pytest.mark.parametrize("name", ["sparse", "looped", "foreign"])
@pytest.mark.parametrize("key", [24, 37, 61, 62, 88, 99])
def test_pitch_between_and_beyond_roots_is_within_a_cent(packs: dict[str, Sound], name: str, key: int) -> None:
    x = play(Engine([packs[name]], settings=FLAT), on(key), seconds=0.8 if name == "sparse" and key < 90 else 0.6)[:, 0]
    assert rms(x) > 0.1
    assert cents(pitch(x[:24000]), key) < 1


def test_the_pitch_test_can_fail(tmp_path: Path) -> None:
    sound = load(livepacks.make(tmp_path / "p", pitches=(69,), shift=12 * np.log2(442 / 440)), rate=RATE, budget=1 << 30)
    x = play(Engine([sound], settings=FLAT), on(69), seconds=0.8)[:, 0]
    assert cents(pitch(x), 69) > 5


@pytest.mark.parametrize("name", ["looped", "foreign"])
@pytest.mark.parametrize("key", [48, 61, 84])
def test_a_held_note_loops_without_a_seam(packs: dict[str, Sound], name: str, key: int) -> None:
    e = Engine([packs[name]], settings=FLAT)
    x = play(e, on(key), seconds=5.0)[:, 0]
    assert cents(pitch(x[-96000:]), key) < 1
    steady = clicks(x[:9600])
    assert clicks(x[200:]) < 1.3 * steady + 2e-4
    assert rms(x[-4800:]) == pytest.approx(rms(x[:4800]), rel=0.05)
    play(e, off(key), seconds=1.0)
    assert e.globals["sounding"] == 0


def write(
    folder: Path, zones: list[tuple[Zone, np.ndarray]], *, rate: int = RATE, release: float = 0.3, positions: int = 1
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for z, x in zones:
        soundfile.write(folder / z.file, x, rate, subtype="FLOAT")
    SamplePack("w", "w", rate, 32, tuple(z for z, _ in zones), release).save(folder)
    return folder


@pytest.mark.parametrize("rate", [48000, 44100])
def test_after_note_off_the_recorded_release_is_played(tmp_path: Path, rate: int) -> None:
    x = np.zeros(3 * rate, np.float32)
    t = np.arange(rate) / rate
    x[:rate] = 0.5 * np.cos(2 * np.pi * 400 * t)
    x[rate : 2 * rate] = 0.5 * np.cos(2 * np.pi * 1000 * t)  # the release sounds an other pitch
    zone = Zone("a.wav", 60, 100, 0, 127, 1, 127, len(x), loop=Loop(rate // 2, rate - 1))
    sound = load(write(tmp_path / "r", [(zone, x)], rate=rate), rate=RATE, budget=1 << 30)
    e = Engine([sound], settings=Settings(gain=0.0, release=60.0))
    held = play(e, on(60), seconds=2.8)[:, 0]
    assert pitch(held[-9600:]) == pytest.approx(400, rel=1e-3)
    after = play(e, off(60), seconds=1.0)[:, 0]  # the loop ends at 3.0 s: 0.2 s more of it, then what follows
    assert pitch(after[:7000]) == pytest.approx(400, rel=3e-3)
    assert pitch(after[12000:40000]) == pytest.approx(1000, rel=1e-3)


def test_velocity_rises_steadily_through_layers_whatever_their_phase(packs: dict[str, Sound], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = [(Zone(f"{v}.wav", 60, v, 0, 127, 1, 127, 24000), (0.3 * v / 127 * rng.standard_normal(24000)).astype("f4"))
             for v in (25, 50, 75, 100, 127)]  # fmt: skip
    strangers = load(write(tmp_path / "n", noise), rate=RATE, budget=1 << 30)
    for sound in (packs["layers"], strangers):
        e = Engine([sound], settings=Settings(gain=-12.0))
        level = []
        for v in range(1, 128):
            level.append(rms(play(e, on(60, v), seconds=0.3)))
            play(e, cc(120, 0), seconds=0.02)
        steps = np.diff(level)
        assert (steps > 0).all()
        assert level[126] / level[0] > 100
        assert level[86] == pytest.approx((level[74] + level[99]) / 2, rel=0.05)


@pytest.mark.parametrize("rate", [48000, 44100])
@pytest.mark.parametrize("key", [63, 82, 90])
def test_two_layers_together_are_the_sum_of_each_alone(tmp_path: Path, rate: int, key: int) -> None:
    rng = np.random.default_rng(3)
    low = np.hanning(41) / 20  # noise of low frequencies only, of which the interpolator makes no error worth a name
    layers = []
    for v, loop in ((50, Loop(9000, 12001)), (100, Loop(8000, 15702))):
        x = np.convolve(rng.standard_normal(40000), low, "same").astype("f4") * 0.2
        layers.append((Zone(f"{v}.wav", 60, v, 0, 127, 1, 127, len(x), loop=loop), x))
    take = []
    for which in (layers, layers[:1], layers[1:]):
        sound = load(write(tmp_path / str(len(take)), which, rate=rate), rate=RATE, budget=1 << 30)
        e = Engine([sound], settings=Settings(gain=0.0, release=1.0))
        take.append(np.concatenate([play(e, on(key, 75), seconds=1.2), play(e, off(key), seconds=0.3)])[:, 0])
    ab = np.stack(take[1:], axis=1)
    best, *_ = np.linalg.lstsq(ab, take[0], rcond=None)
    assert (best > 0.2).all()
    assert np.abs(ab @ best - take[0]).max() < 1e-4 * np.abs(take[0]).max()


def test_sustain_holds_and_lets_go(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=FLAT)
    play(e, cc(64, 127), on(60), on(64), off(60), seconds=0.5)
    assert e.globals["sounding"] == 2
    assert rms(play(e, seconds=0.5)) > 0.1
    play(e, cc(64, 63), seconds=0.5)
    assert e.globals["sounding"] == 1  # 64 is still under a finger
    play(e, 0x90 | 64 << 8, seconds=0.5)  # note on with velocity 0
    assert e.globals["sounding"] == 0


def test_sostenuto_holds_only_what_was_down(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=FLAT)
    play(e, on(60), cc(66, 127), on(64), off(60), off(64), seconds=0.5)
    assert e.globals["sounding"] == 1
    play(e, cc(66, 0), seconds=0.5)
    assert e.globals["sounding"] == 0
    play(e, on(60), cc(66, 127), cc(64, 127), off(60), cc(66, 0), seconds=0.5)
    assert e.globals["sounding"] == 1  # the sustain pedal has it now
    play(e, cc(64, 0), seconds=0.5)
    assert e.globals["sounding"] == 0


def test_soft_pedal_is_softer(packs: dict[str, Sound]) -> None:
    loud = rms(play(Engine([packs["layers"]], settings=FLAT), on(60), seconds=0.2))
    soft = rms(play(Engine([packs["layers"]], settings=FLAT), cc(67, 127), on(60), seconds=0.2))
    assert 0.4 < soft / loud < 0.8


def test_bend_follows_its_range(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=FLAT)
    play(e, on(60), bend(16383), seconds=0.2)
    assert cents(pitch(play(e, seconds=0.5)[:, 0]), 62) < 1
    play(e, cc(101, 0), cc(100, 0), cc(6, 12), cc(38, 50), bend(0), seconds=0.2)
    assert cents(pitch(play(e, seconds=0.5)[:, 0]), 60 - 12.5) < 1
    play(e, bend(8192), seconds=0.3)
    assert cents(pitch(play(e, seconds=0.5)[:, 0]), 60) < 1
    play(e, cc(101, 127), cc(100, 127), cc(6, 1), bend(16383), seconds=0.2)  # no parameter chosen: the range stays
    assert cents(pitch(play(e, seconds=0.5)[:, 0]), 72.5) < 1


def test_volume_expression_and_pan(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=FLAT)
    full = rms(play(e, on(60), seconds=0.5)[:, 0])
    play(e, cc(7, 64), seconds=0.3)
    assert rms(play(e, seconds=0.5)[:, 0]) / full == pytest.approx((64 / 127) ** 2, rel=0.02)
    play(e, cc(7, 127), cc(11, 90), seconds=0.3)
    assert rms(play(e, seconds=0.5)[:, 0]) / full == pytest.approx((90 / 127) ** 2, rel=0.02)
    x = play(e, cc(11, 127), cc(10, 0), seconds=1.0)[-9600:]
    assert rms(x[:, 1]) < 1e-6 * full
    assert rms(x[:, 0]) / full == pytest.approx(2**0.5, rel=0.02)
    x = play(e, cc(10, 127), seconds=1.0)[-9600:]
    assert rms(x[:, 0]) < 1e-6 * full
    x = play(e, cc(10, 64), seconds=1.0)[-9600:]
    assert np.array_equal(x[:, 0], x[:, 1])


def test_controllers_that_jump_do_not_click(packs: dict[str, Sound]) -> None:
    e = Engine([packs["morph"]], settings=Settings(gain=-6.0))
    steady = clicks(play(e, on(60), seconds=0.5)[:, 0])
    for word in (cc(7, 0), cc(7, 127), cc(10, 0), cc(10, 127), cc(11, 3), cc(11, 127), cc(1, 127), cc(1, 0), bend(0), cc(1, 64)):
        assert clicks(play(e, word, seconds=0.2)[:, 0]) < 3 * steady + 5e-3
    play(e, cc(64, 127), off(60), seconds=0.1)
    assert clicks(play(e, cc(120, 0), seconds=0.2)[:, 0]) < 3 * steady + 5e-3


def test_the_click_test_can_fail(packs: dict[str, Sound]) -> None:
    x = play(Engine([packs["morph"]], settings=Settings(gain=-6.0)), on(60), seconds=0.5)[:, 0]
    steady = clicks(x)
    x[12000:] *= 0.9
    assert clicks(x) > 3 * steady + 5e-3


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


@pytest.mark.parametrize("poly", [False, True])
@pytest.mark.parametrize("to", ["vibrato", "loudness", "morph", "none"])
def test_aftertouch_does_what_it_is_assigned(packs: dict[str, Sound], to: str, poly: bool) -> None:
    e = Engine([packs["morph"]], settings=Settings(gain=-6.0, aftertouch=to))
    before = play(e, on(60), seconds=0.5)[:, 0]
    play(e, 0xA0 | 60 << 8 | 127 << 16 if poly else 0xD0 | 127 << 8, seconds=0.3)
    after = play(e, seconds=1.0)[:, 0]
    phase = np.unwrap(
        np.angle(np.convolve(after * np.exp(-2j * np.pi * hz(60) * np.arange(len(after)) / RATE), np.ones(2400), "valid"))
    )
    wobble = np.ptp(np.diff(phase[::480]))
    if to != "morph":  # which takes away the partial whose wobble is measured
        assert (wobble > 0.02) == (to == "vibrato")
    assert (rms(after) > 1.8 * rms(before)) == (to == "loudness")
    assert (harmonics(after, 60).argmax() == 3) == (to == "morph")


def test_all_sound_off_all_notes_off_and_reset(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=Settings(gain=0.0, release=5.0))
    play(e, on(60), on(64), cc(64, 127), off(60), seconds=0.1)
    play(e, cc(120, 0), seconds=0.01)
    assert e.globals["sounding"] == 0
    play(e, cc(64, 0), on(60), on(64), cc(123, 0), seconds=0.1)
    assert e.globals["sounding"] == 2  # released, 5 s long
    assert (e.voices["state"][e.voices["state"] != FREE] == 3).all()
    play(e, cc(120, 0), seconds=0.1)
    play(e, cc(64, 127), on(60), cc(123, 0), seconds=0.1)
    assert (e.voices["state"][e.voices["state"] != FREE] == 2).all()  # the pedal still holds
    play(e, cc(1, 99), cc(11, 5), bend(0), cc(7, 90), cc(10, 3), cc(121, 0), seconds=0.1)
    hand = e.hands[0]
    assert (hand["wheel"], hand["expression"], hand["bend"], hand["sustain"]) == (0, 127, 8192, 0)
    assert (hand["volume"], hand["pan"]) == (90, 3)
    assert (e.voices["state"][e.voices["state"] != FREE] == 3).all()


def test_a_key_struck_again_leaves_no_voice_behind(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=FLAT)
    play(e, on(60), on(60), on(60), seconds=0.1)
    play(e, off(60), seconds=0.5)
    assert e.globals["sounding"] == 0


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


def test_envelope(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=Settings(gain=0.0, attack=0.2, decay=0.5, sustain=0.5, release=0.4))
    x = play(e, on(60), seconds=1.2)[:, 0]
    peak = np.abs(x).max()
    assert np.abs(x[4600:5000]).max() / peak == pytest.approx(0.5, abs=0.03)  # half-way up after 0.1 s
    assert np.abs(x[-2000:]).max() / peak == pytest.approx(0.5, abs=0.02)
    y = play(e, off(60), seconds=0.5)[:, 0]
    assert np.abs(y[9600:9900]).max() / np.abs(x[-2000:]).max() == pytest.approx(10 ** (-30 / 20), rel=0.1)
    assert e.globals["sounding"] == 0


def test_the_voice_limit_holds_and_stealing_takes_the_quietest_released(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=Settings(gain=-24.0, voices=8, release=2.0))
    for i in range(8):
        play(e, on(48 + i, 30 + 10 * i), seconds=0.05)
    play(e, off(50), off(52), off(54), seconds=0.05)
    play(e, on(70), seconds=0.05)
    assert e.globals["stolen"] == 1
    assert 50 not in e.voices["key"][e.voices["state"] != FREE]  # the softest of the three released ones
    play(e, on(71), on(72), on(73), seconds=0.05)
    left = set(e.voices["key"][e.voices["state"] != FREE].tolist())
    assert len(left) == 8
    assert 48 not in left  # none is in release any more: the quietest of all goes
    assert {70, 71, 72, 73} <= left


def test_stealing_does_not_click(packs: dict[str, Sound]) -> None:
    few, many = (Engine([packs["sparse"]], settings=Settings(gain=-12.0, voices=v)) for v in (4, 64))
    jumps = []
    for e in (few, many):
        play(e, on(36), on(39), on(42), on(45), seconds=0.2)
        x = np.concatenate([play(e, *([on(48 + 3 * i)] if i < 4 else []), seconds=0.01) for i in range(8)])
        jumps.append(clicks(x[:, 0]))
    assert few.globals["stolen"] == 4
    assert many.globals["stolen"] == 0
    assert jumps[0] < 1.2 * jumps[1]


def test_more_stealing_than_there_is_room_to_fade_breaks_nothing(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=Settings(voices=2))
    out = play(e, *(on(36 + i % 60) for i in range(200)), seconds=0.1)
    assert np.isfinite(out).all()
    play(e, *(off(36 + i) for i in range(60)), seconds=1.0)
    assert e.globals["sounding"] == 0


def test_loud_chords_stay_under_full_scale_and_soft_ones_are_untouched(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=Settings(gain=6.0))
    out = play(e, *(on(k, 127) for k in range(36, 97)), seconds=1.0)
    assert np.abs(out).max() <= 1.0
    assert rms(out) > 0.1
    play(e, cc(120, 0), seconds=3.0)
    quiet = play(e, cc(7, 127), on(60, 20), seconds=0.2)
    fresh = play(Engine([packs["looped"]], settings=Settings(gain=6.0)), on(60, 20), seconds=0.2)
    assert np.abs(quiet - fresh).max() < 1e-6


def random_messages(rng: np.random.Generator, count: int) -> list[int]:
    """Anything at all: notes, controllers, programs, bends, pressure, and numbers that are no MIDI."""
    words = []
    for _ in range(count):
        kind = rng.integers(10)
        status = int(rng.integers(0x80, 0xF0)) if kind < 8 else int(rng.integers(0, 256))
        if kind < 4:
            status = int(rng.choice([0x80, 0x90, 0x90])) | int(rng.integers(16))
        words.append(
            status | int(rng.integers(256 if kind > 8 else 128)) << 8 | int(rng.integers(256 if kind > 8 else 128)) << 16
        )
    return words


@pytest.mark.parametrize("mpe", [0, 15])
def test_ten_thousand_random_messages(packs: dict[str, Sound], mpe: int) -> None:
    e = Engine(list(packs.values()), settings=Settings(gain=0.0, voices=64, mpe=mpe, aftertouch="morph"))
    words = random_messages(np.random.default_rng(mpe), 10_000)
    loudest = 0.0
    for i in range(0, len(words), 20):
        out = play(e, *words[i : i + 20], seconds=128 / RATE)
        assert np.isfinite(out).all()
        loudest = max(loudest, float(np.abs(out).max()))
    assert 0.2 < loudest <= 1.0
    for c in range(16):
        play(e, cc(121, 0, c), cc(123, 0, c), seconds=0.01)
    play(e, seconds=2.0)
    assert e.globals["sounding"] == 0
    assert not play(e, seconds=0.1).any()


def test_the_block_size_changes_nothing(packs: dict[str, Sound]) -> None:
    rng = np.random.default_rng(5)
    frames = np.sort(rng.integers(0, RATE, 200))
    words = np.array(random_messages(rng, 200))
    sounds = []
    for block in (64, 1024, RATE * 2):
        e = Engine([packs["morph"], packs["foreign"]], settings=FLAT)
        e.play(frames, words)
        out = np.zeros((RATE * 2 // block * block, 2), np.float32)
        for i in range(0, len(out), block):
            e.fill(out[i : i + block])
        sounds.append(out)
    assert np.abs(sounds[0]).max() > 0.1
    n = min(map(len, sounds))
    assert np.array_equal(sounds[0][:n], sounds[1][:n])
    assert np.array_equal(sounds[0][:n], sounds[2][:n])


def test_songs_are_exact_to_the_frame(packs: dict[str, Sound]) -> None:
    for at in (0, 1, 63, 64, 65, 1000, 12345):
        e = Engine([packs["plain"]], settings=FLAT)
        e.play(np.array([at]), np.array([on(60)]))
        out = np.zeros((20000, 2), np.float32)
        e.fill(out)
        assert np.flatnonzero(out[:, 0])[0] == at


def test_mono_and_many_channels(packs: dict[str, Sound]) -> None:
    for channels in (1, 2, 6):
        e = Engine([packs["plain"]], settings=FLAT, channels=channels)
        e.send(on(60))
        out = np.full((512, channels), 9, np.float32)
        e.fill(out)
        assert out[0, 0] == pytest.approx(0.5 * 100 / 127)
        assert not out[:, 2:].any()


def test_a_pack_larger_than_memory_sounds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for kw in ({"looped": True}, {"looped": False}, {"looped": True, "rate": 44100}):
        folder = livepacks.make(tmp_path / f"{kw}", pitches=(48, 60), seconds=4.0, **kw)
        ram = load(folder, rate=RATE, budget=1 << 30)
        disk = load(folder, rate=RATE, budget=1000)
        assert ram.mapped == 0
        assert disk.mapped > 1 << 20
        assert disk.memory < 0.3 * ram.memory
        sounds = []
        for s in (ram, disk):
            e = Engine([s], settings=FLAT)
            x = [play(e, on(60), on(49), seconds=3.0), play(e, off(60), off(49), seconds=1.0)]
            e.prefetch()
            sounds.append(np.concatenate(x))
        assert np.array_equal(*sounds)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("missing", "lacks 1 of 3 files, the first is test_0_060_100.wav"),
        ("short", "frames at 48000 Hz"),
        ("garbage", "cannot be read as sound"),
        ("nan", "not numbers"),
        ("checksum", "checksum"),
        ("rate", "44100 Hz"),
        ("manifest", "damaged"),
        ("empty", "no zones"),
        ("traversal", "cannot be"),
    ],
)
def test_a_pack_that_is_not_whole_is_refused(tmp_path: Path, harm: str, words: str) -> None:
    folder = livepacks.make(tmp_path / "p", pitches=(58, 60, 62))
    file = folder / "test_0_060_100.wav"
    x, rate = soundfile.read(file, dtype="float32")
    pack = SamplePack.load(folder)
    if harm == "missing":
        file.unlink()
    elif harm == "short":
        file.write_bytes(file.read_bytes()[:-4000])
    elif harm == "garbage":
        file.write_bytes(b"RIFF" + os.urandom(4000))
    elif harm == "nan":
        x[100] = np.nan
        soundfile.write(file, x, rate, subtype="FLOAT")
    elif harm == "checksum":
        dataclasses.replace(pack, zones=tuple(dataclasses.replace(z, sha256="0" * 64) for z in pack.zones)).save(folder)
    elif harm == "rate":
        soundfile.write(file, x, 44100, subtype="FLOAT")
    elif harm == "manifest":
        (folder / "pack.json").write_text('{"format": 1, "zones": [{}]}')
    elif harm == "empty":
        dataclasses.replace(pack, zones=()).save(folder)
    elif harm == "traversal":
        dataclasses.replace(pack, zones=(dataclasses.replace(pack.zones[0], file="../x.wav"),)).save(folder)
    with pytest.raises((DataError, AudioError), match=words):
        load(folder, rate=RATE, budget=1 << 30)


def test_folders_of_packs_are_found_in_order(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        livepacks.make(tmp_path / "all" / name, pitches=(60,))
    assert [p.name for p in find([tmp_path / "all" / "c", tmp_path / "all"])] == ["c", "a", "b", "c"]
    assert check(tmp_path / "all" / "a").rate == RATE
    with pytest.raises(DataError, match="is no pack and holds none"):
        find([tmp_path])


def test_messages_from_many_threads_all_arrive(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=FLAT)
    done = threading.Event()

    def hand(channel: int) -> None:
        for i in range(3000):
            while not e.send(on(36 + i % 60, channel=channel) if i % 2 == 0 else off(36 + (i - 1) % 60, channel=channel)):
                pass

    threads = [threading.Thread(target=hand, args=(c,)) for c in range(4)]
    sound = threading.Thread(target=lambda: [play(e, seconds=0.01) for _ in iter(done.is_set, True)])
    sound.start()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    done.set()
    sound.join()
    play(e, seconds=1.0)
    assert e.globals["tail"] == 12000
    assert 0 < e.globals["age"] <= 6000  # thousands that fall into one block are more than there are voices
    assert e.globals["sounding"] == 0


def test_messages_that_nobody_plays_end_in_silence_not_in_a_stuck_note(packs: dict[str, Sound]) -> None:
    e = Engine([packs["looped"]], settings=FLAT)
    for _ in range(RING):
        assert e.send(on(60))
    assert not e.send(off(60))  # this note-off is lost
    play(e, seconds=0.5)
    play(e, seconds=0.5)
    assert e.globals["sounding"] == 0
    assert rms(play(e, on(60), seconds=0.1)) > 0.1


@pytest.mark.parametrize("bad", [{"voices": 0}, {"gain": 99.0}, {"attack": -1.0}, {"sustain": 2.0}, {"channel": 17}, {"mpe": 16},
                                 {"aftertouch": "wah"}, {"tune": 1e9}, {"release": 1e9}])  # fmt: skip
def test_settings_that_cannot_be_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Settings(**bad)  # type: ignore[arg-type]
