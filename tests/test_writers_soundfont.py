"""SoundFonts: structure by the public specification, sound by FluidSynth and SpessaSynth."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import packs
import pytest
import soundfile
from packs import CORNERS, THREE, TWO
from players import Fluid, Spessa, amplitude, cents_off, held, level, tone_hz
from riff import chunks, inner

from nsynth_instrument.notes import hz
from nsynth_instrument.writers import writer
from nsynth_instrument.writers.modulators import fadable, gains

SOUNDFONT = pytest.mark.parametrize("synth", [Fluid, Spessa])


def test_the_tables_of_an_sf2(tmp_path: Path) -> None:
    pack = packs.make(tmp_path, positions=TWO)
    data = writer("sf2")(pack, tmp_path).read_bytes()
    found = chunks(data)
    assert inner(found[b"INFO"])[b"ifil"] == bytes([2, 0, 4, 0])
    sdta, pdta = inner(found[b"sdta"]), inner(found[b"pdta"])
    frames = sum(z.frames + 46 for z in pack.zones)
    assert (len(sdta[b"smpl"]), len(sdta[b"sm24"])) == (2 * frames, frames)
    names = [pdta[b"phdr"][i : i + 20].rstrip(b"\0") for i in range(0, len(pdta[b"phdr"]), 38)]
    assert names == [b"Flute-Bass test", b"Flute-Bass t 0 %", b"Flute-Bass t 100 %", b"EOP"]
    start, end, loop, last = struct.unpack_from("<4I", pdta[b"shdr"], 20)
    assert (end - start, loop, last) == (pack.zones[0].frames, pack.zones[0].loop.start, pack.zones[0].loop.end + 1)
    off = {struct.unpack_from("<HHh", pdta[b"imod"], i)[:3] for i in range(0, 30, 10)}
    assert off == {(0x0502, 48, 0), (0x0102, 8, 0), (0x0081, 6, 0)}
    sizes = {b"phdr": 38, b"pbag": 4, b"pmod": 10, b"pgen": 4, b"inst": 22, b"ibag": 4, b"imod": 10, b"igen": 4, b"shdr": 46}
    assert list(pdta) == list(sizes)
    assert all(len(pdta[k]) % size == 0 for k, size in sizes.items())


def test_sf2_holds_the_very_samples(tmp_path: Path) -> None:
    for bits in (16, 24):
        pack = packs.make(tmp_path / str(bits), bits=bits, rate=44100)
        sdta = inner(chunks(writer("sf2")(pack, tmp_path / str(bits)).read_bytes())[b"sdta"])
        n = pack.zones[0].frames
        values = np.frombuffer(sdta[b"smpl"], "<i2")[:n].astype(int)
        assert (b"sm24" in sdta) == (bits == 24)
        if bits == 24:
            values = (values << 8) + np.frombuffer(sdta[b"sm24"], np.uint8)[:n]
        wav = soundfile.read(tmp_path / str(bits) / pack.zones[0].file, dtype="int32")[0] >> (32 - bits)
        assert np.array_equal(values, wav)


@SOUNDFONT
@pytest.mark.parametrize("name", ["sf2", "sf2-16", "sf3"])
def test_soundfonts_play_every_layer_in_tune_and_louder_by_velocity(tmp_path: Path, name: str, synth: type[Fluid | Spessa]) -> None:
    player = synth(writer(name)(packs.make(tmp_path), tmp_path))
    velocities, keys = (20, 80, 127), (36, 67)
    notes = [(4.0 * i, key, v) for i, (key, v) in enumerate((key, v) for key in keys for v in velocities)]
    events = [e for at, key, v in notes for e in ((at, "on", key, v), (at + 3.0, "off", key, 0))]
    played = player.play(events, 4.0 * len(notes))
    for key in keys:
        levels = []
        for layer, velocity in enumerate(velocities):
            at = round(48000 * next(t for t, k, v in notes if (k, v) == (key, velocity)))
            seg = played[at : at + 3 * 48000][20000:-2000]
            assert abs(cents_off(seg, hz(key))) < 2.0
            marks = [amplitude(seg, tone_hz(key, packs.LAYER_MARK + j)) for j in range(3)]
            assert int(np.argmax(marks)) == layer
            levels.append(level(seg))
        # Layers are 6 dB apart; a player's own velocity curve would make it more.
        assert np.allclose(np.diff(levels), 6.0, atol=0.7)


@SOUNDFONT
@pytest.mark.parametrize("positions", [TWO, THREE])
def test_the_mod_wheel_morphs_a_soundfont_within_half_a_decibel(
    tmp_path: Path, positions: tuple[tuple[float], ...], synth: type[Fluid | Spessa]
) -> None:
    player = synth(writer("sf2")(packs.make(tmp_path, positions=positions), tmp_path))
    times = {cc: 0.3 + 0.3 * i for i, cc in enumerate(range(0, 128, 9))}
    sweep = [(0.0, "cc", 1, 0), *((t, "cc", 1, cc) for cc, t in times.items())]
    x = player.play([*sweep, (0.0, "on", 60, 127), (6.0, "off", 60, 0)], 6.0)
    full = None
    for t in times.values():
        seg = x[round((t + 0.05) * 48000) : round((t + 0.29) * 48000)]
        g = np.array([amplitude(seg, tone_hz(60, packs.PLACE_MARK + k)) for k in range(len(positions))])
        full = full or g[0]
        assert abs(10 * np.log10(np.sum((g / full) ** 2))) < 0.5
    assert g[-1] / full == pytest.approx(1.0, abs=0.06) and g[0] / full < 0.02
    usual = np.abs(np.diff(x[round(0.35 * 48000) : round(0.55 * 48000)])).max()
    assert np.abs(np.diff(x[14400 : 6 * 48000 - 5000])).max() < 1.6 * usual


@SOUNDFONT
def test_four_corners_of_a_soundfont_answer_to_two_controllers(tmp_path: Path, synth: type[Fluid | Spessa]) -> None:
    player = synth(writer("sf2")(packs.make(tmp_path, positions=CORNERS), tmp_path))
    full = None
    for x, y in ((0, 0), (127, 0), (0, 127), (64, 64), (32, 100)):
        seg = player.play([(0.0, "cc", 1, x), (0.0, "cc", 2, y), *held(60, 127)], 1.5)[9600:-4800]
        g = np.array([amplitude(seg, tone_hz(60, packs.PLACE_MARK + k)) for k in range(4)])
        full = full or g[0]
        assert abs(10 * np.log10(np.sum((g / full) ** 2))) < 0.8
        if {x, y} <= {0, 127}:
            assert (g / full)[(x > 0) + 2 * (y > 0)] == pytest.approx(1.0, abs=0.06)


@SOUNDFONT
def test_each_position_has_its_own_preset(tmp_path: Path, synth: type[Fluid | Spessa]) -> None:
    player = synth(writer("sf2")(packs.make(tmp_path, positions=THREE), tmp_path))
    for k in range(3):
        seg = player.play([(0.0, "program", k + 1, 0), (0.0, "cc", 1, 64), *held(60, 127)], 1.5)[9600:-4800]
        marks = [amplitude(seg, tone_hz(60, packs.PLACE_MARK + j)) for j in range(3)]
        assert int(np.argmax(marks)) == k and sorted(marks)[1] < 0.001 * max(marks)


def test_modulators_keep_the_power_however_an_engine_reads_the_wheel() -> None:
    for among in ((0.0, 1.0), (0.0, 0.5, 1.0), (0.0, 0.3, 1.0)):
        for engine in range(3):
            g = np.array([gains(at, among, engine=engine) for at in among])
            assert np.abs(10 * np.log10(np.square(g).sum(axis=0))).max() < 1.0
            for k, at in enumerate(among):
                assert 20 * np.log10(np.delete(g[:, round(127 * at)], k).max()) < -17


def test_of_many_positions_some_are_faded() -> None:
    many = tuple(np.linspace(0, 1, 17).tolist())
    chosen = fadable(many)
    assert chosen[0] == 0.0 and chosen[-1] == 1.0 and 3 <= len(chosen) <= 5 and set(chosen) <= set(many)
