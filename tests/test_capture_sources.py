"""What names, chunks, maps and folders say of recordings; none of them can do harm."""

import json
import os
import struct
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from nsynth_instrument.capture import chunks, names, sfz, sources
from nsynth_instrument.capture.sounds import prepare
from nsynth_instrument.dataset import tfrecord
from nsynth_instrument.dataset.nsynth import Dataset
from nsynth_instrument.errors import AudioError, DataError, UsageError
from nsynth_instrument.pack import Loop
from nsynth_instrument.writers import sfz as writer
from nsynth_instrument.writers.wav import write_wav
from tests.packs import make
from tests.soundfonts import write_small
from tests.tones import save, tone


@pytest.mark.parametrize(
    ("stem", "key", "absolute", "velocity"),
    [
        ("Flute_060_C4_v064", 60, True, 64),
        ("Flute_060_C3_v064", 60, True, 64),
        ("A#3", 58, False, None),
        ("Cello-Gb2", 42, False, None),
        ("piano_c4_ff", 60, False, 112),
        ("Cs4 mp", 61, False, 64),
        ("Bb-1", 10, False, None),
        ("guitar_acoustic_010-064-100", 64, True, 100),
        ("fluid_000_014-064-127", 64, True, 127),
        ("midi72 vel90", 72, True, 90),
        ("Oboe note 7", 7, True, None),
        ("E5 take 2", 76, False, None),
        ("voice 12", None, False, None),
        ("take 060", None, False, None),
        ("Bass2", None, False, None),
        ("abc4d", None, False, None),
        ("H4", None, False, None),
        ("v200", None, False, None),
        ("C12", None, False, None),
        ("G9", 127, False, None),
        ("A9", None, False, None),
        ("", None, False, None),
    ],
)
def test_names_say_keys_and_velocities(stem: str, key: int | None, absolute: bool, velocity: int | None) -> None:
    said = names.parse(stem)
    assert (said.key, said.absolute, said.velocity) == (key, absolute, velocity)


@given(st.text(max_size=60))
def test_any_name_can_be_read(stem: str) -> None:
    said = names.parse(stem)
    assert said.key is None or 0 <= said.key < 128
    assert said.velocity is None or 1 <= said.velocity < 128
    assert names.key(stem) is None or 0 <= names.key(stem) < 128  # type: ignore[operator]


def test_the_sampler_chunk_of_a_wav_names_root_and_loop(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    write_wav(path, tone(57), 48000, bits=16, root=57, loop=Loop(4800, 9599))
    assert chunks.root(path) == chunks.Root(57.0, (4800, 9599))
    data = bytearray(path.read_bytes())
    at = data.index(b"smpl") + 8
    struct.pack_into("<I", data, at + 16, 1 << 31)  # half a semitone up
    path.write_bytes(bytes(data))
    assert chunks.root(path) == chunks.Root(57.5, (4800, 9599))
    struct.pack_into("<I", data, at + 12, 0)  # what programs write that do not know
    path.write_bytes(bytes(data))
    assert chunks.root(path) is None


def test_the_instrument_chunk_of_an_aiff_names_root_and_loop(tmp_path: Path) -> None:
    path = save(tmp_path / "x.aiff", tone(57))
    marks = struct.pack(">H", 2) + struct.pack(">hIB", 1, 4800, 1) + b"a" + struct.pack(">hIB", 2, 9600, 2) + b"bc\0"
    inst = struct.pack(">BbBBBBhhhhhhh", 57, -20, 0, 127, 1, 127, 0, 1, 1, 2, 0, 0, 0)
    extra = b"".join(name + struct.pack(">I", len(body)) + body for name, body in ((b"MARK", marks), (b"INST", inst)))
    data = path.read_bytes() + extra
    path.write_bytes(data[:4] + struct.pack(">I", len(data) - 8) + data[8:])
    assert chunks.root(path) == chunks.Root(56.8, (4800, 9599))


@settings(max_examples=60)
@given(data=st.binary(max_size=200), at=st.integers(12, 150), kind=st.sampled_from([b"RIFF", b"FORM"]))
def test_a_damaged_file_is_one_that_says_nothing_or_something_possible(tmp_path_factory, data, at, kind) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "x"
    body = (b"smpl" if kind == b"RIFF" else b"INST") + data
    path.write_bytes(kind + b"\0\0\0\0" + (b"WAVE" if kind == b"RIFF" else b"AIFF") + body[:at])
    root = chunks.root(path)
    assert root is None or 0 < root.pitch < 129


SFZ = """// a comment
#define $EXT wav
<control> default_path=Samples/
<global> amp_veltrack=50
<group> lovel=1 hivel=63 tune=-20
<region> sample=My Flute A.$EXT key=60
<region> sample=b.$EXT lokey=c#4 hikey=66 pitch_keycenter=f4 transpose=1 /* and
one more */ volume=-3
<group> lovel=64 hivel=127 loop_mode=loop_continuous loop_start=100 loop_end=199
<region> sample=..\\Other\\c.$EXT key=60 offset=10
<group> trigger=release
<region> sample=noise.$EXT key=60
<group> seq_position=2
<region> sample=again.$EXT key=60
<region> sample=*sine key=60 seq_position=1
"""


def test_an_sfz_says_where_its_samples_sound(tmp_path: Path) -> None:
    path = tmp_path / "x.sfz"
    path.write_text(SFZ)
    a, b, c = sfz.read(path)
    assert a.sample == tmp_path / "Samples/My Flute A.wav"
    assert (a.low_key, a.high_key, a.pitch, a.velocity, a.loop, a.track) == (60, 60, 60.2, 32, None, 0.5)
    assert (b.low_key, b.high_key, b.volume) == (61, 66, -3)
    assert b.pitch == pytest.approx(65 - 1 + 0.2)
    assert (c.loop, c.offset, c.velocity) == ((100, 199), 10, 96)
    assert c.sample == tmp_path / "Samples/../Other/c.wav"


@pytest.mark.parametrize("text", ["a" * 10**6, "/*" * 10**6, "$a" * 10**6, "<" * 10**6, "<group>" + "a=1 b=2\n" * 10**5], ids=range(5))
def test_an_sfz_made_to_take_for_ever_is_read_at_once(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.sfz").write_text("#define $a b\n<region> sample=a.wav key=50\n" + text)
    assert sfz.read(tmp_path / "x.sfz")[0].pitch == 50


def test_an_sfz_of_ours_is_read_back(tmp_path: Path) -> None:
    pack = make(tmp_path)
    regions = sfz.read(writer.write(pack, tmp_path))
    wanted = {(z.file, z.root, z.low_key, z.high_key, (z.loop.start, z.loop.end)) for z in pack.zones if z.loop}
    found = {
        (r.sample.relative_to(tmp_path).as_posix(), r.pitch, r.low_key, r.high_key, r.loop) for r in regions
    }
    assert found == wanted


def test_includes_are_followed_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "main.sfz").write_text('#define $K 50\n<group>\n#include "parts/a.sfz"')
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/a.sfz").write_text("<region> sample=a.wav key=$K")
    assert sfz.read(tmp_path / "main.sfz")[0].pitch == 50
    (tmp_path / "self.sfz").write_text('#include "self.sfz"')
    with pytest.raises(DataError, match="includes itself"):
        sfz.read(tmp_path / "self.sfz")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<region> sample=/etc/passwd key=60", "not below its folder"),
        ("<region> sample=\\\\host\\share\\a.wav key=60", "not below its folder"),
        ("<region> sample=C:\\a.wav key=60", "not below its folder"),
        ("hello", "names no samples"),
        ("<region> key=60", "names no samples"),
        ("a\0b", "not text"),
    ],
)
def test_a_hostile_sfz_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "x.sfz").write_text(text)
    with pytest.raises(DataError, match=says):
        sfz.read(tmp_path / "x.sfz")


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["<region>", "<group>", "<x", "key=", "sample=a.wav", "lokey=-1", "tune=1e99", "hivel=300", "$a=", "/*", "\n"])))
def test_no_sfz_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "x.sfz"
    path.write_text(" ".join(words))
    try:
        regions = sfz.read(path)
    except DataError:
        return
    assert all(0 <= r.low_key <= r.high_key < 128 and 1 <= r.low_velocity < 128 for r in regions)


def read(*texts: object) -> sources.Source:
    with ExitStack() as stack:
        found = sources.read([str(t) for t in texts], stack)
        for take in found.takes[:1]:
            take.load()
        return found


def test_an_sfz_gives_takes_with_their_keys_levels_and_loops(tmp_path: Path) -> None:
    save(tmp_path / "a.wav", tone(60))
    (tmp_path / "x.sfz").write_text(
        "<region> sample=a.wav key=60 lovel=1 hivel=63 loop_mode=loop_continuous loop_start=48000 loop_end=57599\n"
        "<region> sample=a.wav key=62 lovel=1 hivel=63\n"  # the same note on another key
        "<region> sample=a.wav key=60 lovel=64 hivel=127 volume=6"
    )
    low, high = read(tmp_path / "x.sfz").takes
    assert (low.pitch, low.velocity, low.by) == (60, 32, "map")
    assert low.load()[1] == (48000, 57599)
    assert high.velocity == 96
    assert high.gain == pytest.approx(6 + 40 * np.log10(96 / 127))
    assert read(tmp_path).takes[0].by == "map", "a folder with one map is that map"


def test_an_sfz_s_levels_and_the_amplifier_s_ends_are_heard(tmp_path: Path) -> None:
    save(tmp_path / "a.wav", tone(60, hold=3.0, release=0.0))
    (tmp_path / "x.sfz").write_text(
        "<global> global_volume=-6\n<master> master_volume=1\n<group> amplitude=50 ampeg_attack=0.5 ampeg_release=0.8\n"
        "<region> sample=a.wav key=60 volume=2 tune=25 transpose=12"
    )
    region = sfz.read(tmp_path / "x.sfz")[0]
    assert region.volume == pytest.approx(-3 + 20 * np.log10(0.5))
    assert (region.pitch, region.attack, region.release) == (47.75, 0.5, 0.8)
    take = read(tmp_path / "x.sfz").takes[0]
    audio = take.load()[0]
    assert np.abs(audio[1000:2000]).max() < 0.1 * np.abs(audio[30000:40000]).max(), "it rises for half a second"
    sound = prepare([take])[0][0]
    assert sound.hold == pytest.approx(3.0 - 0.75, abs=0.06), "a quarter of it at most is release"
    tail = sound.audio[round(sound.hold * 48000) :]
    assert np.abs(tail[:2000]).max() > 10 * np.abs(tail[34000:36000]).max() > 0


def test_an_offset_behind_the_end_is_told(tmp_path: Path) -> None:
    save(tmp_path / "a.wav", tone(60, hold=0.1))
    (tmp_path / "x.sfz").write_text("<region> sample=a.wav key=60 offset=99999999")
    with pytest.raises(AudioError, match="correct the map"):
        read(tmp_path / "x.sfz")


def test_a_preset_of_a_soundfont_is_rendered(tmp_path: Path) -> None:
    pytest.importorskip("fluidsynth")
    path = write_small(tmp_path / "small.sf2")
    found = read(f"{path}#8:80")
    assert (found.title, found.family, len(found.takes)) == ("Saw Lead", "synth_lead", len(sources.PRESET))
    assert (found.takes[0].pitch, found.takes[0].velocity, found.takes[0].hold) == (24, 25, 3.0)
    assert read(f"{path}#80").title == "Sine Lead", "bank 0 goes without saying"
    with pytest.raises(UsageError, match="0:0 Soft Piano"):
        read(path)
    with pytest.raises(UsageError, match="say which preset"):
        read(f"{path}#9:9")


def test_a_set_in_the_nsynth_format_is_asked_for_one_instrument(tmp_path: Path) -> None:
    entries = {}
    for name in ("oboe_000", "harp_001"):
        for p in (60, 67):
            key = f"{name}-{p:03d}-100"
            save(tmp_path / "audio" / f"{key}.wav", tone(p, hold=3, release=1, rate=16000), 16000)
            entries[key] = {"note": len(entries), "pitch": p, "velocity": 100, "sample_rate": 16000}
            entries[key] |= {"instrument_str": name, "instrument": 0, "instrument_family": 7, "instrument_source": 0}
    (tmp_path / "examples.json").write_text(json.dumps(entries))
    with pytest.raises(UsageError, match="oboe_000"):
        read(tmp_path)
    found = read(f"{tmp_path}#oboe_000")
    assert (found.title, found.family, [t.pitch for t in found.takes]) == ("oboe_000", "reed", [60, 67])
    assert len(found.takes[0].load()[0]) == 4 * 48000
    (tmp_path / "examples.json").write_text(json.dumps({"a": {"pitch": 60}}))
    with pytest.raises(DataError, match="no notes that can be used"):
        read(tmp_path)
    (tmp_path / "examples.json").write_text(json.dumps({"a": {"pitch": 60}}))
    with pytest.raises(DataError, match="no notes that can be used"):
        read(tmp_path)


def test_records_and_folders_of_splits_are_sets_too(tmp_path: Path) -> None:
    entries = {}
    for p in (60, 67):
        key = f"oboe_000-{p:03d}-100"
        save(tmp_path / "set" / "train" / "audio" / f"{key}.wav", tone(p, hold=3, release=1, rate=16000), 16000)
        entries[key] = {"note": p, "pitch": p, "velocity": 100, "sample_rate": 16000, "instrument_str": "oboe_000"}
        entries[key] |= {"instrument": 0, "instrument_family": 7, "instrument_source": 0}
    (tmp_path / "set/train/examples.json").write_text(json.dumps(entries))
    tfrecord.write(tmp_path / "records" / "nsynth-train.tfrecord", Dataset.open(tmp_path / "set"))
    for path in (tmp_path / "set", tmp_path / "records", tmp_path / "records" / "nsynth-train.tfrecord"):
        assert sources.is_source(str(path))
        found = read(path)
        assert (found.title, found.family, [t.pitch for t in found.takes]) == ("oboe_000", "reed", [60, 67])
        assert len(found.takes[0].load()[0]) == 4 * 48000
    cut = tmp_path / "cut.tfrecord"
    cut.write_bytes((tmp_path / "records" / "nsynth-train.tfrecord").read_bytes()[:300000])
    assert [t.pitch for t in read(cut).takes] == [60]
    assert "cut off" in read(cut).words[0]


def test_small_numbers_after_v_are_layers_where_all_are(tmp_path: Path) -> None:
    for v, level in ((1, 0.1), (10, 0.3)):
        save(tmp_path / "a" / f"C4v{v}.wav", tone(60, level=level))
    found = read(tmp_path / "a")
    assert [t.velocity for t in found.takes] == [None, None]
    assert "layers" in found.words[0]
    assert [s.velocity for s in prepare(found.takes)[0]] == [73, 127]
    save(tmp_path / "a" / "C4v100.wav", tone(60, level=0.5))
    assert [t.velocity for t in read(tmp_path / "a").takes] == [1, 10, 100]


def test_channels_that_cancel_and_a_constant_do_not_spoil_a_note(tmp_path: Path) -> None:
    x = tone(57)
    opposite = save(tmp_path / "a.wav", np.stack([x, -0.9 * x], axis=1))
    assert np.abs(read(opposite).takes[0].load()[0]).max() == pytest.approx(np.abs(x).max(), rel=0.01)
    constant = save(tmp_path / "b.wav", 0.5 * x + 0.3)
    assert abs(float(read(constant).takes[0].load()[0].mean())) < 1e-4


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(UsageError, match="device or a pipe"):
        read(tmp_path / "pipe.wav")
    soundfile.write(tmp_path / "huge.wav", tone(57) * 1e20, 48000, subtype="FLOAT")
    with pytest.raises(AudioError, match="times full scale"):
        read(tmp_path / "huge.wav")


def test_a_folder_of_too_many_notes_is_thinned_evenly(tmp_path: Path) -> None:
    for p in range(21, 109):
        for v in (20, 50, 80, 110):
            save(tmp_path / f"x_{p:03d}-{p:03d}-{v:03d}.wav", np.zeros(10))
    found = read(*sorted(tmp_path.iterdir()))
    assert len(found.takes) <= sources.MOST
    pitches = sorted({t.pitch for t in found.takes})
    assert (pitches[0], pitches[-1]) == (21, 108)
    assert {t.velocity for t in found.takes} == {20, 50, 80, 110}
    assert "352 recordings" in found.words[0]


def test_what_is_not_there_or_no_sound_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file or folder"):
        read(tmp_path / "none.wav")
    with pytest.raises(DataError, match="holds no sound files"):
        read(tmp_path)
    (tmp_path / "x.wav").write_bytes(b"RIFFxxxxWAVEjunk")
    with pytest.raises(AudioError, match="cannot be read as sound"):
        read(tmp_path / "x.wav")
    sharp = save(tmp_path / "A#3.wav", tone(58))
    assert read(sharp).takes[0].pitch == 58, "a # in a name is no part of a soundfont"
