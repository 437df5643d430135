import gzip
import json
import pickle
import struct

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from nsynth_instrument.dataset import crc, info, proto, tfrecord
from nsynth_instrument.dataset.example import FAMILIES, QUALITIES, SOURCES, from_entry
from nsynth_instrument.dataset.nsynth import Dataset, write_listing, write_wav
from nsynth_instrument.errors import AudioError, DataError

RATE = 16000


def entry(instrument, pitch, velocity, **other):
    return {
        "note": pitch * 128 + velocity,
        "instrument_str": instrument,
        "instrument": 7,
        "pitch": pitch,
        "velocity": velocity,
        "sample_rate": RATE,
        "qualities": [1, 0, 0, 1, 0, 0, 0, 0, 0, 1],
        "instrument_family": 3,
        "instrument_source": 1,
        **other,
    }


def sound(pitch):
    return (0.3 * np.sin(np.arange(400) * pitch / 50)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    notes = []
    for split, number in (("train", 0), ("train", 1), ("test", 2)):
        instrument = f"guitar_electronic_{number:03d}"
        for pitch in (60, 62):
            name = f"{instrument}-{pitch:03d}-100"
            path = tmp_path / "set" / split / "audio" / f"{name}.wav"
            write_wav(path, sound(pitch), rate=RATE)
            note = from_entry(name, entry(instrument, pitch, 100, preset_name="Jazz"), lambda: None, split=split)
            notes.append(note)
    for split in ("train", "test"):
        write_listing(tmp_path / "set" / split / "examples.json", [n for n in notes if n.split == split])
    return tmp_path / "set"


def test_a_folder_of_splits(folder):
    data = Dataset.open(folder)
    assert len(data) == 6 and [n.split for n in data] == ["train"] * 4 + ["test"] * 2
    assert data.instruments == {f"guitar_electronic_00{i}": (2 * i, 2 * i + 1) for i in range(3)}
    note = data[0]
    assert (note.instrument_family_str, note.instrument_source_str) == ("guitar", "electronic")
    assert note.qualities_str == ("bright", "fast_decay", "tempo-synced") and note.extra == {"preset_name": "Jazz"}
    np.testing.assert_allclose(note.audio(), sound(60), atol=1 / 32767)
    assert len(data.split("test")) == 2
    with pytest.raises(DataError, match="no notes in a split 'valid'"):
        data.split("valid")


def test_one_split_and_notes_that_travel_to_other_processes(folder):
    data = Dataset.open(folder / "train")
    assert len(data) == 4 and not data.damaged
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data[1])).audio(), data[1].audio())


def test_listing_has_the_standard_keys(folder):
    listed = json.loads((folder / "test" / "examples.json").read_text())
    assert set(listed["guitar_electronic_002-060-100"]) == {
        *("note", "note_str", "instrument", "instrument_str", "pitch", "velocity", "sample_rate", "qualities", "qualities_str"),
        *("instrument_family", "instrument_family_str", "instrument_source", "instrument_source_str", "preset_name"),
    }


def test_names_are_in_the_order_of_the_original():
    assert len(FAMILIES) == 11 and list(FAMILIES) == sorted(FAMILIES)
    assert len(SOURCES) == 3 and len(QUALITIES) == 10 and list(QUALITIES) == sorted(QUALITIES)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("../../etc/x", {}, "cannot be that of a file"),
        (".x", {}, "cannot be that of a file"),
        ("a", {"pitch": 128}, "pitch"),
        ("a", {"pitch": True}, "pitch"),
        ("a", {"velocity": None}, "velocity"),
        ("a", {"sample_rate": 0}, "sample_rate"),
        ("a", {"qualities": [0] * 9}, "qualities"),
        ("a", {"qualities": [[]] * 10}, "qualities"),
        ("a", {"qualities": [2] * 10}, "qualities"),
        ("a", {"instrument_family": 11}, "instrument_family"),
        ("a", {"instrument_str": "a/b"}, "instrument_str"),
        ("a", {"note": 1.5}, "note"),
    ],
)
def test_damaged_entries_are_refused_or_skipped(tmp_path, name, change, words):
    good = entry("a", 60, 100)
    (tmp_path / "examples.json").write_text(json.dumps({"b": good, name: {**good, **change}}))
    with pytest.raises(DataError, match=words):
        Dataset.open(tmp_path)
    data = Dataset.open(tmp_path, skip_damaged=True)
    assert [n.note_str for n in data] == ["b"] and len(data.damaged) == 1 and words in data.damaged[0]


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100000, "\xff"])
def test_listings_that_are_none(tmp_path, text):
    (tmp_path / "examples.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="get it again"):
        Dataset.open(tmp_path)


def test_no_set_and_missing_and_false_sounds(folder):
    with pytest.raises(DataError, match="holds no set"):
        Dataset.open(folder / "train" / "audio")
    data = Dataset.open(folder)
    wav = folder / "train" / "audio" / f"{data[0].note_str}.wav"
    write_wav(wav, sound(60), rate=8000)
    with pytest.raises(DataError, match="rate of 8000 Hz, not 16000"):
        data[0].audio()
    wav.unlink()
    with pytest.raises(AudioError, match="no file"):
        data[0].audio()
    faults = [r for _, r in info.listened(data, every=True) if isinstance(r, str)]
    assert len(faults) == 1 and "no file" in faults[0]


def test_crc_of_the_standard():
    """RFC 3720, B.4."""
    known = {bytes(32): 0x8A9136AA, b"\xff" * 32: 0x62A8AB43, bytes(range(32)): 0x46DD794E, b"123456789": 0xE3069283}
    for data, value in known.items():
        assert crc.by_numpy(data) == value == crc._implementation()(data)
    assert crc.by_numpy(b"") == 0


@pytest.mark.parametrize("size", [1, 1000, 1024 * 65 - 1, 1024 * 65, 1024 * 66 + 7, 256410])
def test_crc_by_numpy_is_that_of_the_library(size):
    data = np.random.default_rng(size).bytes(size)
    assert crc.by_numpy(data) == crc._implementation()(data)


def test_protobuf_byte_by_byte():
    assert proto.encoded({"pitch": [300], "a": [b"x"], "f": np.array([1.0], np.float32)}) == bytes.fromhex(
        "0a 2c"  # features, 44 bytes
        "0a 0a  0a 01 61  12 05  0a 03  0a 01 78"  # 'a': bytes_list
        "0a 0d  0a 01 66  12 08  12 06  0a 04 0000803f"  # 'f': float_list, packed
        "0a 0f  0a 05 7069746368  12 06  1a 04 0a 02 ac02"  # 'pitch': int64_list, packed
    )


@pytest.fixture(scope="module")
def google_example():
    """tf.train.Example as Google's own protobuf knows it, from its published definition."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto

    def message(name, *fields):
        m = file.message_type.add(name=name)
        for number, (title, kind, repeated) in enumerate(fields, 1):
            f = m.field.add(name=title, number=number, label=field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL)
            if isinstance(kind, str):
                f.type, f.type_name = field.TYPE_MESSAGE, f".t.{kind}"
            else:
                f.type = kind
        return m

    message("BytesList", ("value", field.TYPE_BYTES, True))
    message("FloatList", ("value", field.TYPE_FLOAT, True))
    message("Int64List", ("value", field.TYPE_INT64, True))
    message("Feature", ("bytes_list", "BytesList", False), ("float_list", "FloatList", False), ("int64_list", "Int64List", False))
    features = message("Features", ("feature", "Features.FeatureEntry", True))
    pair = features.nested_type.add(name="FeatureEntry")
    pair.options.map_entry = True
    pair.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    pair.field.add(name="value", number=2, type=field.TYPE_MESSAGE, type_name=".t.Feature", label=field.LABEL_OPTIONAL)
    message("Example", ("features", "Features", False))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example"))


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.one_of(
            st.lists(st.binary(max_size=5), min_size=1, max_size=4),
            st.lists(st.integers(0, 2**63 - 1), max_size=4),
            st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4).map(lambda v: np.array(v, np.float32)),
        ),
        max_size=4,
    )
)
def test_protobuf_is_googles(google_example, values):
    theirs = google_example.FromString(proto.encoded(values))
    assert set(theirs.features.feature) == set(values)
    mine = proto.features(memoryview(theirs.SerializeToString()))
    for key, value in values.items():
        f = theirs.features.feature[key]
        got = f.float_list.value if isinstance(value, np.ndarray) else f.bytes_list.value or f.int64_list.value
        assert list(got) == list(value) == list(mine[key])


def test_protobuf_of_older_writers_and_negative_numbers(google_example):
    unpacked = bytes.fromhex("0a16 0a14 0a01 69 120f 1a0d 08 05 08 ffffffffffffffffff01".replace(" ", ""))
    assert proto.features(memoryview(unpacked)) == {"i": [5, -1]}
    theirs = google_example.FromString(unpacked)
    assert list(theirs.features.feature["i"].int64_list.value) == [5, -1]


@given(st.binary(max_size=200))
def test_protobuf_of_noise_is_refused_in_words(data):
    try:
        proto.features(memoryview(data))
    except ValueError as e:
        assert str(e)


def test_lists_without_end_are_refused():
    with pytest.raises(ValueError, match="over 4096"):
        proto.features(memoryview(proto.encoded({"q": [0] * 5000})))


@pytest.fixture
def record(folder):
    path = folder.parent / "nsynth-train.tfrecord"
    assert tfrecord.write(path, Dataset.open(folder)) == 6
    return path


def test_records_hold_what_the_folder_holds(folder, record):
    there, here = Dataset.open(folder), Dataset.open(record)
    assert [n.entry() for n in here] == [{k: v for k, v in n.entry().items() if k != "preset_name"} for n in there]
    for a, b in zip(there, here, strict=True):
        np.testing.assert_array_equal(a.audio(), b.audio())
    assert {n.split for n in here} == {"train"}


def test_a_folder_of_records(record, tmp_path):
    (tmp_path / "r").mkdir()
    for split in ("test", "train"):
        (tmp_path / "r" / f"nsynth-{split}.tfrecord").write_bytes(record.read_bytes())
    assert [n.split for n in Dataset.open(tmp_path / "r")] == ["train"] * 6 + ["test"] * 6


def test_a_damaged_record_is_told_by_offset_and_skipped(record):
    data = bytearray(record.read_bytes())
    second = 12 + struct.unpack_from("<Q", data)[0] + 4
    data[data.index(b"sample_rate", second) + 2] ^= 1  # the rest of the note stays readable
    record.write_bytes(data)
    note = Dataset.open(record)[1]
    with pytest.raises(DataError, match=f"record at byte {second}: its data does not match"):
        note.audio()
    name = data.index(b"note_str", second)
    data[name + 4] ^= 1
    record.write_bytes(data)
    with pytest.raises(DataError, match=f"record at byte {second}: it has no note_str"):
        Dataset.open(record)
    skipped = Dataset.open(record, skip_damaged=True)
    assert len(skipped) == 5 and f"byte {second}" in skipped.damaged[0]


def test_after_a_damaged_length_the_rest_is_lost_and_said_to_be(record):
    data = bytearray(record.read_bytes())
    second = 12 + struct.unpack_from("<Q", data)[0] + 4
    data[second] ^= 1
    record.write_bytes(data)
    found = Dataset.open(record, skip_damaged=True)
    assert len(found) == 1 and "what follows is lost" in found.damaged[0] and f"byte {second}" in found.damaged[0]


def test_every_cut_of_a_record_is_told(record):
    data = record.read_bytes()
    length = 12 + struct.unpack_from("<Q", data)[0] + 4
    for end in (1, 11, 12, 500, length - 1, length + 3, length + 300):
        record.write_bytes(data[:end])
        found = Dataset.open(record, skip_damaged=True)
        assert len(found) == (end > length) and "cut off" in found.damaged[0]
    record.write_bytes(b"")
    with pytest.raises(DataError, match="cannot read"):
        Dataset.open(record)


def framed(data):
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", crc.masked(head)) + data + struct.pack("<I", crc.masked(data))


@pytest.mark.parametrize("audio", [[], [np.nan], [np.inf]])
def test_sounds_that_are_none(record, audio):
    features = {"note_str": [b"a-060-100"], **{k: [0] for k in ("pitch", "velocity", "instrument_family", "instrument_source")}}
    record.write_bytes(framed(proto.encoded({**features, "audio": np.array(audio, np.float32)})))
    with pytest.raises(DataError, match="record at byte 0"):
        Dataset.open(record)[0].audio()


def test_the_six_features_that_others_rely_on_are_enough(record):
    """Magenta's reader takes these alone."""
    features = {"note_str": [b"bass_synthetic_033-022-050"], "pitch": [22], "velocity": [50], "qualities": [0] * 10}
    features |= {"instrument_source": [2], "instrument_family": [0], "audio": sound(22)}
    record.write_bytes(framed(proto.encoded(features)))
    note = Dataset.open(record)[0]
    assert (note.instrument_str, note.sample_rate, note.pitch) == ("bass_synthetic_033", 16000, 22)
    np.testing.assert_array_equal(note.audio(), sound(22))


def test_an_absurd_length_is_not_believed(record):
    head = struct.pack("<Q", 1 << 60)
    record.write_bytes(head + struct.pack("<I", crc.masked(head)) + bytes(100))
    assert "length is damaged" in Dataset.open(record, skip_damaged=True).damaged[0]


def test_writing_fails_whole(folder, tmp_path):
    data = Dataset.open(folder)
    (folder / "train" / "audio" / f"{data[1].note_str}.wav").unlink()
    with pytest.raises(AudioError):
        tfrecord.write(tmp_path / "x.tfrecord", data)
    assert not list(tmp_path.glob("*x.tfrecord*"))


def test_description_of_nothing():
    assert info.described(Dataset([])) == "no notes"


def test_packed_sets_say_so(record, tmp_path):
    (tmp_path / "p").mkdir()
    packed = tmp_path / "p" / "nsynth-train.tfrecord.gz"
    packed.write_bytes(gzip.compress(record.read_bytes()))
    for path in (packed, packed.parent):
        with pytest.raises(DataError, match="unpack"):
            Dataset.open(path)


def test_listing_says_how_far_it_is_and_is_the_same(record, monkeypatch):
    whole = [n.note_str for n in Dataset.open(record)]
    monkeypatch.setattr(tfrecord, "_STRETCH", 5000)
    seen = []
    again = Dataset.open(record, passed=lambda done, of: seen.append((done, of)))
    assert [n.note_str for n in again] == whole
    assert len(seen) >= 2 and all(0 < done < of == record.stat().st_size for done, of in seen)
    np.testing.assert_array_equal(again[5].audio(), Dataset.open(record)[5].audio())
