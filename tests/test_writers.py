"""Formats: chunks byte by byte, structure by the public specifications, sound by players made elsewhere."""

from __future__ import annotations

import gzip
import io
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import numpy as np
import packs
import pytest
import soundfile
from players import Fluid, Sfizz, Spessa, amplitude, cents_off, held, level, tone_hz

from nsynth_instrument.errors import DataError, UnknownName, UsageError
from nsynth_instrument.notes import Note, hz
from nsynth_instrument.pack import Loop, SamplePack, Zone
from nsynth_instrument.writers import FORMATS, parse_formats, write_formats, writer
from nsynth_instrument.writers.layers import axes, fade, layers_alike, velocity_fades
from nsynth_instrument.writers.modulators import fadable, gains
from nsynth_instrument.writers.names import safe, sample_file
from nsynth_instrument.writers.parallel import ordered
from nsynth_instrument.writers.wav import write_wav

TWO = ((0.0,), (1.0,))
THREE = ((0.0,), (0.5,), (1.0,))
CORNERS = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))


def chunks(data: bytes) -> dict[bytes, bytes]:
    """The chunks of a RIFF form, LISTs by their type."""
    found, at = {}, 12
    assert data[:4] == b"RIFF" and struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    while at < len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        body = data[at + 8 : at + 8 + size]
        found[body[:4] if name == b"LIST" else name] = body[4:] if name == b"LIST" else body
        at += 8 + size + (size & 1)
    assert at == len(data)
    return found


def inner(body: bytes) -> dict[bytes, bytes]:
    """The chunks inside a LIST."""
    return chunks(b"RIFF" + struct.pack("<I", len(body) + 4) + b"LIST" + body)


# -- WAV ------------------------------------------------------------------------------------------------------------------


def test_the_sampler_chunks_of_a_wav_byte_by_byte(tmp_path: Path) -> None:
    write_wav(
        tmp_path / "a.wav", np.zeros(5, np.float32), 48000, bits=24, root=60, loop=Loop(1, 3), low_key=58, high_key=61,
        low_velocity=38, high_velocity=62, title="Flute", comment="no", licence="CC0-1.0", date="2026-01-02",
    )  # fmt: skip
    found = chunks((tmp_path / "a.wav").read_bytes())
    assert list(found) == [b"fmt ", b"data", b"smpl", b"inst", b"bext", b"INFO"]
    assert found[b"fmt "].hex(" ", 2) == "0100 0100 80bb 0000 8032 0200 0300 1800"
    assert found[b"smpl"].hex(" ", 4) == " ".join([
        "00000000", "00000000", "61510000",  # manufacturer, product, period 20833 ns
        "3c000000", "00000000", "00000000", "00000000",  # root 60, fraction 0, SMPTE
        "01000000", "00000000",  # one loop
        "00000000", "00000000", "01000000", "03000000", "00000000", "00000000",  # forward, frames 1..3 played, for ever
    ])  # fmt: skip
    assert found[b"inst"].hex() == "3c00003a3d263e"
    assert found[b"bext"][:6] == b"Flute\0" and found[b"bext"][320:330] == b"2026-01-02"
    assert b"W=24" in found[b"bext"][602:]
    assert inner(found[b"INFO"]) | {b"ISFT": b""} == {
        b"INAM": b"Flute\0", b"ICMT": b"no\0", b"ICOP": b"CC0-1.0\0", b"ICRD": b"2026-01-02\0", b"ISFT": b"",
    }  # fmt: skip


@pytest.mark.parametrize(("bits", "subtype"), [(16, "PCM_16"), (24, "PCM_24"), (32, "FLOAT")])
@pytest.mark.parametrize("rate", [44100, 48000, 88200, 96000])
def test_libsndfile_reads_every_depth_and_rate(tmp_path: Path, bits: int, subtype: str, rate: int) -> None:
    x = (0.9 * np.sin(np.arange(1001) * 0.1)).astype(np.float32)
    written = write_wav(tmp_path / "a.wav", x, rate, bits=bits, root=61, loop=Loop(10, 900), rng=Note(61).rng(0))
    with soundfile.SoundFile(tmp_path / "a.wav") as f:
        assert (f.subtype, f.samplerate, f.frames) == (subtype, rate, 1001)
        back, dump = f.read(dtype="float32"), f.extra_info
    assert re.search(r"Midi Note\s*:\s*61", dump)
    assert re.search(r"Start\s*:\s*10\s+End\s*:\s*900", dump)
    assert "inst : 7" in dump
    assert np.abs(back - x).max() <= (0 if bits == 32 else 1.51 * 2.0 ** (1 - bits))
    assert written.peak == pytest.approx(np.abs(back).max(), abs=1e-7)


def test_dither_is_triangular_white_enough_and_the_notes_own(tmp_path: Path) -> None:
    x = np.full(200000, 0.3 / 32768, np.float32)
    a, b = (write_wav(tmp_path / f"{i}.wav", x, 48000, bits=16, root=60, rng=Note(60).rng(1)) for i in range(2))
    assert a.sha256 == b.sha256
    noise = soundfile.read(tmp_path / "0.wav", dtype="int16")[0].astype(float)
    assert noise.mean() == pytest.approx(0.3, abs=0.01)  # a constant below one step survives
    assert noise.std() == pytest.approx(0.5, abs=0.01)  # sqrt(2/12 + 1/12)


def test_what_is_too_loud_is_clipped_and_never_wraps(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.array([2, -2, 1, -1], np.float32), 48000, bits=16, root=60)
    assert soundfile.read(tmp_path / "a.wav", dtype="int16")[0].tolist() == [32767, -32767, 32767, -32767]
    with pytest.raises(UsageError, match="8-bit"):
        write_wav(tmp_path / "b.wav", np.zeros(4, np.float32), 48000, bits=8, root=60)


# -- names, formats, layers -----------------------------------------------------------------------------------------------


def test_names_carry_the_midi_number_first() -> None:
    assert sample_file("Flute-Bass", Note(60, 64)) == "Samples/Flute-Bass_060_C4_v064.wav"
    assert sample_file("Flûte & Bass", Note(61, 5), position=1, positions=3) == "Samples/Flute-Bass_p2_061_C#4_v005.wav"
    assert safe("日本") == "Pack"
    assert all(re.fullmatch(r"Samples/[A-Za-z0-9_#-]+\.wav", sample_file("a b/c", Note(k))) for k in range(128))


def test_formats_are_parsed_in_the_tables_order() -> None:
    assert parse_formats("sf2, WAV") == ("wav", "sf2")
    assert parse_formats("all") == tuple(FORMATS)
    with pytest.raises(UnknownName, match="did you mean sfz"):
        parse_formats("sfzz")


def test_formats_are_imported_only_when_asked() -> None:
    code = "import sys, nsynth_instrument.writers as w; w.parse_formats('all'); print([m for m in sys.modules if 'ers.' in m])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_positions_must_be_a_full_grid(tmp_path: Path) -> None:
    pack = SamplePack("a", "a", 48000, 24, (), positions=((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))
    with pytest.raises(DataError, match="no full grid"):
        axes(pack)


def test_fades_meet() -> None:
    assert fade(0.5, (0.0, 0.5, 1.0)).rise == (0.0, 0.5)
    zones = [Zone("", 60, v, 0, 127, low, high, 9) for v, low, high in ((25, 1, 37), (50, 38, 62), (75, 63, 127))]
    wide, narrow = (velocity_fades(zones, alike=alike) for alike in (True, False))
    assert (wide[60, 50].rise, wide[60, 50].fall) == ((25, 50), (50, 75))
    assert (narrow[60, 50].rise, narrow[60, 50].fall) == ((32, 43), (57, 68))
    assert narrow[60, 25].rise is None and narrow[60, 75].fall is None


@pytest.mark.parametrize("turn", [0.0, 1.6])
def test_layers_are_told_alike_by_their_phases(tmp_path: Path, turn: float) -> None:
    t = np.arange(24000) / 48000
    zones = []
    for k, velocity in enumerate((50, 100)):
        x = (velocity / 200) * np.sin(2 * np.pi * 440 * t + turn * k)
        write_wav(tmp_path / f"{velocity}.wav", x.astype(np.float32), 48000, bits=16, root=69)
        zones.append(Zone(f"{velocity}.wav", 69, velocity, 0, 127, 1 + 75 * k, 75 + 52 * k, 24000))
    assert layers_alike(SamplePack("a", "a", 48000, 16, tuple(zones)), tmp_path) == (not turn)


def test_work_in_order_keeps_few_waiting() -> None:
    begun: list[int] = []
    results = ordered(lambda i: begun.append(i) or i, range(100), threads=2)
    assert next(results) == 0
    assert len(begun) <= 6
    assert list(results) == list(range(1, 100))


# -- SFZ through sfizz ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sfz", "flac"])
def test_sfizz_plays_every_cell_in_tune_and_louder_by_velocity(tmp_path: Path, name: str) -> None:
    pack = packs.make(tmp_path)
    player = Sfizz(writer(name)(pack, tmp_path))
    for key in (30, 60, 90):
        levels = []
        for layer, velocity in enumerate((20, 80, 127)):
            seg = player.play(held(key, velocity, seconds=2.0), 2.0)[20000:]
            assert abs(cents_off(seg, hz(key))) < 0.05  # half of it round the loop
            marks = [amplitude(seg, tone_hz(key, packs.LAYER_MARK + j)) for j in range(3)]
            assert int(np.argmax(marks)) == layer and sorted(marks)[1] < 0.01 * max(marks)
            levels.append(level(seg))
        assert levels[1] - levels[0] > 5 and levels[2] - levels[1] > 5


@pytest.mark.parametrize("positions", [TWO, THREE])
def test_the_mod_wheel_morphs_in_sfizz_at_equal_power_without_a_step(tmp_path: Path, positions: tuple[tuple[float], ...]) -> None:
    player = Sfizz(writer("sfz")(packs.make(tmp_path, positions=positions), tmp_path))
    full = None
    for cc in range(0, 128, 9):
        seg = player.play([(0.0, "cc", 1, cc), *held(60, 127, seconds=0.6)], 0.6)[9600:]
        g = np.array([amplitude(seg, tone_hz(60, packs.PLACE_MARK + k)) for k in range(len(positions))])
        full = full or g[0]
        assert abs(10 * np.log10(np.sum((g / full) ** 2))) < 0.1
    sweep = [(0.3 + cc / 127, "cc", 1, cc) for cc in range(128)]
    steps = np.abs(np.diff(player.play([*held(60, 127, seconds=2.0), *sweep], 1.8)[9600:]))
    still = np.abs(np.diff(player.play([(0.0, "cc", 1, 64), *held(60, 127, seconds=2.0)], 1.8)[9600:]))
    assert steps.max() < 1.6 * still.max()


def test_four_corners_answer_to_two_controllers_in_sfizz(tmp_path: Path) -> None:
    player = Sfizz(writer("sfz")(packs.make(tmp_path, positions=CORNERS), tmp_path))
    full = None
    for x, y in ((0, 0), (127, 0), (0, 127), (127, 127), (64, 64), (32, 100)):
        seg = player.play([(0.0, "cc", 1, x), (0.0, "cc", 2, y), *held(60, 127, seconds=0.6)], 0.6)[9600:]
        g = np.array([amplitude(seg, tone_hz(60, packs.PLACE_MARK + k)) for k in range(4)])
        full = full or g[0]
        a, b = x / 127, y / 127
        assert np.allclose((g / full) ** 2, [(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b], atol=0.02)


@pytest.mark.parametrize("positions", [((0.0,),), THREE, CORNERS])
def test_sfz_is_valid_for_sfzen_and_plays_on_after_the_loop(tmp_path: Path, positions: tuple[tuple[float, ...], ...]) -> None:
    path = writer("sfz")(packs.make(tmp_path, positions=positions), tmp_path)
    text, count = path.read_text("utf-8"), 9 * len(positions)
    assert text.count("<region>") == count and text.count("loop_mode=loop_sustain") == count and "amp_veltrack=0" in text
    done = subprocess.run([Path(sys.executable).with_name("sfz-validate"), path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_titles_cannot_write_sfz(tmp_path: Path) -> None:
    pack = packs.make(tmp_path)
    nasty = SamplePack(**{**pack.__dict__, "title": "x\n<region> sample=evil.wav", "positions": pack.positions})
    regions = [line for line in writer("sfz")(nasty, tmp_path).read_text().splitlines() if line.startswith("<region>")]
    assert len(regions) == 9


# -- SoundFonts through FluidSynth and SpessaSynth -------------------------------------------------------------------------

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


# -- loop ends: a loop of 100 frames is 17 cents off by one ---------------------------------------------------------------


@pytest.fixture
def short(tmp_path: Path) -> SamplePack:
    """One zone of 480 Hz at 48 kHz that loops 100 frames from 24000 on."""
    x = (0.5 * np.sin(2 * np.pi * 480 * np.arange(24400) / 48000)).astype(np.float32)
    loop = Loop(24000, 24099)
    done = write_wav(tmp_path / "Samples/a.wav", x, 48000, bits=24, root=71, loop=loop)
    zone = Zone("Samples/a.wav", 71, 100, 0, 127, 1, 127, done.frames, loop=loop)
    return SamplePack("Short", "Short", 48000, 24, (zone,))


@pytest.mark.parametrize(
    ("name", "player"),
    [("sfz", Sfizz), ("flac", Sfizz), ("sf2", Fluid), ("sf2-16", Fluid), ("sf3", Fluid), ("sf2", Spessa), ("sf3", Spessa)],
)
def test_no_player_is_one_frame_off(short: SamplePack, tmp_path: Path, name: str, player: type[Sfizz | Fluid | Spessa]) -> None:
    seg = player(writer(name)(short, tmp_path)).play(held(71, 100, seconds=4.0), 4.0)[48000:-4800]
    assert level(seg) > -22
    assert abs(cents_off(seg, 480.0)) < 0.05


@pytest.mark.parametrize("name", ["sfz", "sf2"])
def test_a_note_let_go_falls_by_sixty_decibels_in_the_release(tmp_path: Path, name: str) -> None:
    path = writer(name)(packs.make(tmp_path, release=0.6), tmp_path)
    x = (Sfizz(path) if name == "sfz" else Fluid(path)).play(held(60, 127, seconds=1.5), 2.4)
    now = level(x[40000:70000])
    for seconds in (0.2, 0.4, 0.6):
        at = round((1.5 + seconds) * 48000)
        assert level(x[at : at + 960]) - now == pytest.approx(-100 * seconds, abs=3.0)


# -- DecentSampler, multisample -------------------------------------------------------------------------------------------


def table(text: str, at: float) -> float:
    """A DecentSampler translation table's output."""
    points = [tuple(map(float, p.split(","))) for p in text.split(";")]
    assert [p[0] for p in points] == sorted({p[0] for p in points})
    return float(np.interp(at, *zip(*points, strict=True)))


@pytest.mark.parametrize("positions", [TWO, THREE, CORNERS])
def test_decentsampler_knobs_turn_positions_at_equal_power(tmp_path: Path, positions: tuple[tuple[float, ...], ...]) -> None:
    pack = packs.make(tmp_path, positions=positions)
    root = ET.parse(writer("decentsampler")(pack, tmp_path)).getroot()
    knobs = [k for k in root.iter("labeled-knob") if k.get("label", "").startswith("Morph")]
    groups = list(root.iter("group"))
    assert len(knobs) == len(positions[0]) and len(groups) == len(positions)
    assert [cc.get("number") for cc in root.iter("cc")] == ["1", "2"][: len(knobs)]
    rng = np.random.default_rng(0)
    for turn in [np.zeros(len(knobs)), np.ones(len(knobs)), *rng.uniform(size=(8, len(knobs)))]:
        volume = {k: float(g.get("volume", 1)) for k, g in enumerate(groups)}
        tags = {t.get("name"): float(t.get("volume", 1)) for t in root.iter("tag")}
        for knob, value in zip(knobs, turn, strict=True):
            for b in knob.iter("binding"):
                gain = table(b.get("translationTable", ""), float(value))
                assert (b.get("parameter"), b.get("translation")) == ("AMP_VOLUME", "table")
                if b.get("level") == "group":
                    volume[int(b.get("position", -1))] = gain
                else:
                    tags[b.get("identifier")] = gain
        heard = [volume[k] * np.prod([tags[t] for t in g.get("tags", "").split(",") if t]) for k, g in enumerate(groups)]
        assert abs(10 * np.log10(np.sum(np.square(heard)))) < 0.05
        if set(turn) <= {0.0, 1.0}:
            assert heard[pack.positions.index(tuple(turn))] == pytest.approx(1.0)


def test_decentsampler_samples_exist_and_tile(tmp_path: Path) -> None:
    pack = packs.make(tmp_path)
    root = ET.parse(writer("decentsampler")(pack, tmp_path)).getroot()
    cover = np.zeros((128, 128), int)
    for s, z in zip(root.iter("sample"), sorted(pack.zones, key=lambda z: (z.root, z.velocity)), strict=True):
        assert (tmp_path / s.get("path", "")).is_file()
        assert (s.get("loopEnabled"), s.get("loopStart"), s.get("loopEnd")) == ("true", str(z.loop.start), str(z.loop.end))
        low, high, soft, hard = (int(s.get(k, -1)) for k in ("loNote", "hiNote", "loVel", "hiVel"))
        cover[low : high + 1, soft : hard + 1] += 1
    assert (cover == 1).all()
    assert root.find("groups").get("ampVelTrack") == "0"


def test_dslibrary_is_the_pack_in_one_file(tmp_path: Path) -> None:
    pack = packs.make(tmp_path)
    one, two = (writer("dslibrary")(pack, tmp_path).read_bytes() for _ in range(2))
    assert one == two
    with zipfile.ZipFile(io.BytesIO(one)) as z:
        assert z.testzip() is None
        root = ET.fromstring(z.read("Flute-Bass/Flute-Bass.dspreset"))
        inside = set(z.namelist())
        assert all(f"Flute-Bass/{s.get('path')}" in inside for s in root.iter("sample"))
        assert ET.fromstring(z.read("Flute-Bass/DSLibraryInfo.xml")).get("name") == "Flute-Bass test"


RANGE = {"low": int, "high": int, "low-fade": int, "high-fade": int}
MULTISAMPLE = {
    "group": {"name": str, "color": str},
    "sample": {
        "file": str, "sample-start": float, "sample-stop": float, "gain": float, "group": int, "parameter-1": float,
        "parameter-2": float, "parameter-3": float, "reverse": {"true", "false"}, "zone-logic": {"always-play", "round-robin"},
    },
    "key": {**RANGE, "root": int, "track": float, "tune": float}, "velocity": RANGE, "select": RANGE,
    "loop": {"mode": {"off", "loop", "ping-pong"}, "start": float, "stop": float, "fade": float},
}  # fmt: skip
"""Attributes and their types, from the format's public description (github.com/bitwig/multisample)."""


def test_multisample_is_as_its_public_description_wants(tmp_path: Path) -> None:
    pack = packs.make(tmp_path, positions=THREE)
    with zipfile.ZipFile(writer("multisample")(pack, tmp_path)) as z:
        assert {i.compress_type for i in z.infolist()} == {zipfile.ZIP_STORED}
        root, files = ET.fromstring(z.read("multisample.xml")), set(z.namelist())
    heads = ["generator", "category", "creator", "description", "keywords"]
    assert [e.tag for e in root] == heads + ["group"] * 3 + ["sample"] * 27
    for e in [*root.iter("group"), *(s for sample in root.iter("sample") for s in [sample, *sample])]:
        allowed = MULTISAMPLE[e.tag]
        for name, value in e.attrib.items():
            kind = allowed[name]
            assert value in kind if isinstance(kind, set) else kind(value) is not None
    for s in root.iter("sample"):
        assert [e.tag for e in s] == ["key", "velocity", "select", "loop"]
        zone = next(z for z in pack.zones if z.file.endswith(s.get("file", "?")))
        assert s.get("file") in files
        assert float(s.find("loop").get("stop")) == zone.loop.end + 1
    places = [e.attrib for e in root.iter("select")][::9]
    assert [(p["low"], p["high"], p["low-fade"], p["high-fade"]) for p in places] == [
        ("0", "64", "0", "64"), ("0", "127", "64", "63"), ("64", "127", "63", "0"),
    ]  # fmt: skip


@pytest.mark.parametrize("positions", [((0.0,),), THREE, CORNERS])
def test_multisample_is_valid_by_its_publishers_schema(tmp_path: Path, positions: tuple[tuple[float, ...], ...]) -> None:
    """The XML schema of Bitwig's description of the format, which scripts/test puts beside the Python packages."""
    etree = pytest.importorskip("lxml.etree")
    description = Path(sys.prefix) / "multisample/README.md"
    if not description.exists():
        pytest.skip("the schema is not at hand")
    text = re.search(r"<xs:schema.*?</xs:schema>", description.read_text("utf-8"), re.DOTALL)
    schema = etree.XMLSchema(etree.fromstring(text[0]))
    with zipfile.ZipFile(writer("multisample")(packs.make(tmp_path, positions=positions), tmp_path)) as z:
        tree = etree.fromstring(z.read("multisample.xml"))
    assert schema.validate(tree), schema.error_log
    tree.find("sample").remove(tree.find("sample/key"))
    assert not schema.validate(tree)


# -- Ableton, MPC: no player can be had, so the mapping is read back ------------------------------------------------------


def test_the_mapping_of_an_adv(tmp_path: Path) -> None:
    pack = packs.make(tmp_path, positions=TWO)
    root = ET.fromstring(gzip.decompress(writer("adv")(pack, tmp_path).read_bytes()))
    sampler = root.find("MultiSampler")
    assert sampler.find("VolumeAndPan/VolumeVelScale/Manual").get("Value") == "0"

    def number(part: ET.Element, path: str) -> int:
        return int(part.find(path).get("Value"))

    found = set()
    for part in sampler.iter("MultiSamplePart"):
        file = part.find("SampleRef/FileRef/RelativePath").get("Value")
        assert number(part, "SampleRef/FileRef/OriginalFileSize") == (tmp_path / file).stat().st_size
        ranges = [number(part, f"{r}Range/{e}") for r in ("Key", "Velocity", "Selector") for e in ("Min", "Max")]
        loop = (number(part, "SustainLoop/Start"), number(part, "SustainLoop/End") - 1, number(part, "SustainLoop/Mode"))
        found.add((file, number(part, "RootKey"), *ranges, *loop))
    half = {(0.0,): (0, 63), (1.0,): (64, 127)}
    assert found == {
        (z.file, z.root, z.low_key, z.high_key, z.low_velocity, z.high_velocity, *half[z.position], z.loop.start, z.loop.end, 1)
        for z in pack.zones
    }


def test_the_mapping_of_an_xpm(tmp_path: Path) -> None:
    pack = packs.make(tmp_path)
    path = writer("xpm")(pack, tmp_path)
    program = ET.parse(path).getroot().find("Program")
    assert program.findtext("KeygroupNumKeygroups") == "3"
    found = set()
    for group in program.iter("Instrument"):
        assert float(group.findtext("VelocitySensitivity")) == 0.0
        for layer in group.iter("Layer"):
            numbers = [int(layer.findtext(k)) for k in ("RootNote", "VelStart", "VelEnd", "SliceLoopStart", "SliceEnd")]
            assert (path.parent / f"{layer.findtext('SampleName')}.wav").is_file()
            found.add((int(group.findtext("LowNote")), int(group.findtext("HighNote")), *numbers))
    assert found == {
        (z.low_key, z.high_key, z.root + 1, z.low_velocity, z.high_velocity, z.loop.start, z.loop.end + 1) for z in pack.zones
    }


# -- all of them ----------------------------------------------------------------------------------------------------------


def test_every_format_is_written_with_progress_and_the_same_twice(tmp_path: Path) -> None:
    pack = packs.make(tmp_path, positions=TWO, bits=32)
    runs = []
    for _ in range(2):
        steps = list(write_formats(pack, tmp_path, tuple(FORMATS)))
        paths = {s.format: s.path for s in steps if s.path is not None}
        assert list(paths) == list(FORMATS)
        assert all(p.exists() for p in paths.values())
        assert [s.done for s in steps if s.format == "sf3"][:3] == [1, 2, 3]
        runs.append({k: p.read_bytes() for k, p in paths.items() if p.is_file()})
    assert runs[0] == runs[1]
    assert not list(tmp_path.rglob("*.part"))


def test_notes_without_loops_are_said_to_have_none(tmp_path: Path) -> None:
    pack = packs.make(tmp_path, looped=False)
    text = writer("sfz")(pack, tmp_path).read_text()
    assert text.count("loop_mode=no_loop") == 9 and "loop_start" not in text
    seg = Fluid(writer("sf2")(pack, tmp_path)).play(held(60, 127, seconds=3.0), 3.0)
    assert level(seg[4800:40000]) > -30 and level(seg[96000:]) < -90
    root = ET.parse(writer("decentsampler")(pack, tmp_path)).getroot()
    assert {s.get("loopEnabled") for s in root.iter("sample")} == {"false"}


def test_a_file_that_does_not_fit_the_pack_is_refused(tmp_path: Path) -> None:
    pack = packs.make(tmp_path)
    write_wav(tmp_path / pack.zones[4].file, np.zeros(100, np.float32), 48000, bits=24, root=60)
    for name in ("sf2", "sf3", "flac"):
        with pytest.raises(DataError, match="render the pack again"):
            writer(name)(pack, tmp_path)
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.glob("*.sf*"))
