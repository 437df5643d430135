"""MIDI bytes and files, checked against mido, and against files that lie."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import mido
import numpy as np
import pytest
import rtmidi
from hypothesis import given, settings
from hypothesis import strategies as st
from mido.midifiles.meta import encode_variable_int

from nsynth_instrument.errors import DataError, DeviceError, UnknownName, UsageError
from nsynth_instrument.live import midifile
from nsynth_instrument.live.midi import APIS, Parser, Ports, backend, candidates, message

RATE = 48000


def word(m: mido.Message) -> int:
    b = [*m.bytes(), 0]
    return message(b[0], b[1], b[2])


seven = st.integers(0, 127)
notes = st.builds(
    lambda kind, c, a, b: {
        0: mido.Message("note_on", channel=c, note=a, velocity=b),
        1: mido.Message("note_off", channel=c, note=a, velocity=b),
        2: mido.Message("control_change", channel=c, control=a, value=b),
        3: mido.Message("program_change", channel=c, program=a),
        4: mido.Message("aftertouch", channel=c, value=a),
        5: mido.Message("polytouch", channel=c, note=a, value=b),
        6: mido.Message("pitchwheel", channel=c, pitch=a * 128 + b - 8192),
    }[kind],
    st.integers(0, 6), st.integers(0, 15), seven, seven,
)  # fmt: skip


@given(st.lists(notes), st.booleans())
def test_the_parser_reads_what_mido_writes(messages: list[mido.Message], running: bool) -> None:
    data = bytearray()
    last = None
    for m in messages:
        b = m.bytes()
        data += bytes(b[1:]) if running and b[0] == last else bytes(b)
        data += b"\xf8"  # a clock may come between any two bytes
        last = b[0]
    parser = Parser()
    one_by_one = [w for byte in data for w in parser.feed([byte])]
    # mido drops running status, so it is asked for the plain stream
    want = [word(m) for m in mido.parse_all([x for m in messages for x in m.bytes()])]
    assert one_by_one == want
    assert list(Parser().feed(data)) == want


@given(st.binary())
def test_the_parser_survives_anything_and_yields_only_messages(data: bytes) -> None:
    for w in Parser().feed(data):
        assert 0x80 <= w & 0xFF < 0xF0
        assert not w & 0x808000


def test_sysex_and_stray_data_are_dropped_and_end_running_status() -> None:
    assert list(Parser().feed(bytes([60, 100, 0x90, 60, 100, 0xF0, 1, 2, 0xF7, 61, 100, 0x90, 0x80, 62, 0]))) == [
        message(0x90, 60, 100),
        message(0x80, 62, 0),
    ]


def song(*tracks: list[tuple[int, bytes]], division: int = 480, kind: int = 1) -> bytes:
    out = struct.pack(">4sIHHH", b"MThd", 6, kind, len(tracks), division)
    for t in tracks:
        body = b"".join(bytes(encode_variable_int(d)) + e for d, e in t)
        out += struct.pack(">4sI", b"MTrk", len(body)) + body
    return out


def read(data: bytes, tmp_path: Path) -> midifile.Song:
    path = tmp_path / "x.mid"
    path.write_bytes(data)
    return midifile.read(path, rate=RATE)


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 2000), notes), max_size=30), min_size=1, max_size=4),
    st.lists(st.integers(10_000, 10**6)),
)
def test_files_say_what_mido_says(
    tmp_path_factory: pytest.TempPathFactory, tracks: list[list[tuple[int, mido.Message]]], tempi: list[int]
) -> None:
    file = mido.MidiFile(type=1, ticks_per_beat=480)
    head = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=t, time=100 * i) for i, t in enumerate(tempi)])
    file.tracks.append(head)
    for t in tracks:
        file.tracks.append(mido.MidiTrack([m.copy(time=d) for d, m in t]))
    buffer = io.BytesIO()
    file.save(file=buffer)
    ours = read(buffer.getvalue(), tmp_path_factory.mktemp("m"))
    now = 0.0
    theirs = []
    for m in file:
        now += m.time
        if not m.is_meta:
            theirs.append((round(now * RATE), word(m)))
    assert len(ours.frames) == len(theirs) + 48
    got = list(zip(ours.frames.tolist(), ours.messages.tolist(), strict=True))[:-48]
    assert [w for _, w in got] == [w for _, w in theirs]
    assert all(abs(a - b) <= 1 for (a, _), (b, _) in zip(got, theirs, strict=True))


def test_time_is_exact_over_hours(tmp_path: Path) -> None:
    events = [(1, b"\x90\x3c\x40")] * 40_000
    data = song([(0, b"\xff\x51\x03" + (333_333).to_bytes(3, "big")), *events], division=7)
    s = read(data, tmp_path)
    exact = (2 * 40_000 * 333_333 * RATE + 7_000_000) // 14_000_000
    assert s.frames[39_999] == exact == s.end


def test_smpte_time(tmp_path: Path) -> None:
    s = read(song([(50, b"\x90\x3c\x40")], division=(256 - 25) << 8 | 40), tmp_path)
    assert s.frames[0] == RATE * 50 // 1000


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not a MIDI file"),
        (b"MThd", "ends in the midst"),
        (b"RIFF" + bytes(40), "is not a MIDI file"),
        (song(), "holds no track"),
        (song([(0, b"\x90\x3c\x40")], kind=2), "format 2"),
        (song([(0, b"\x90\x3c\x40")], division=0), "header"),
        (song([(0, b"\x90\x3c")]), "ends in the midst"),
        (song([(0, b"\x3c\x40")]), "running status"),
        (song([(0, b"\x90\x3c\x90")]), "data byte"),
        (song([(0, b"\xff\x51\x03\x00\x00\x00")]), "tempo"),
        (song([(0, b"\xff\x01\xff\xff\xff\x7f")]), "length 268435455"),
        (song([(0, b"\xf0\xff\xff\xff\xff\xff\x7f")]), "exceeds"),
        (song([(0, b"\xf4")]), "f4"),
        (song([(0, b"\xf8")]), "F8"),
        (song([(0, b"\xff\x51\x01\x07")]), "tempo"),
        (song([(0, b"\xff\x51\x03" + b"\xff" * (1 << 20))]), "no end"),
        (song([(0x0FFFFFFF, b"\x90\x3c\x40")] * 9), "more than 4 h"),
        (song([(0, b"\x90\x3c\x40")])[:-1], "ends in the midst"),
        (song([(0, b"\x90\x3c\x40")], division=0xE728 & 0xFF00), "time code"),
    ],
)
def test_files_that_lie_are_refused(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(data, tmp_path)


@pytest.mark.parametrize(
    "event",
    [
        b"\xff\x08\x01a",  # a program's name
        b"\xff\x59\x02\x00\xff",  # a key that is neither major nor minor
        b"\xff\x58\x02\x04\x02",
        b"\xff\x54\x00",
        b"\xff\x7f\x02\xff\xff",
        b"\xf0\x03\x7e\x7f\xf7",
        b"\xf7\x02\xf3\x01",  # a song select, escaped
    ],
)
def test_what_is_no_note_keeps_its_time(tmp_path: Path, event: bytes) -> None:
    known = {kind: mido.MetaMessage(kind).bytes() for kind in ("key_signature", "set_tempo", "text")}
    s = read(song([(480, event), (480, b"\x90\x3c\x40"), (0, b"\xff\x2f\x00"), (480, b"\x90\x3d\x40")]), tmp_path)
    assert s.frames[:-48].tolist() == [RATE]
    assert s.messages[0] == message(0x90, 60, 64)
    assert s.end == RATE
    for kind, data in known.items():  # mido reads for others as before
        assert mido.MetaMessage.from_bytes(data) == mido.MetaMessage(kind)


def test_foreign_chunks_are_passed_over_and_tracks_are_counted_as_they_come(tmp_path: Path) -> None:
    data = song([(0, b"\x90\x3c\x40")], [(480, b"\x90\x3d\x40")])
    data = data[:10] + b"\0\1" + data[12:14] + b"XFIH\0\0\0\2ab" + data[14:]
    assert read(data, tmp_path).frames[:-48].tolist() == [0, RATE // 2]


@pytest.mark.parametrize("flood", [[[(0, b"\x90\x3c\x40" + b"\0\x3c\x40" * 5000)]], [[]] * 2501])
def test_a_flood_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flood: list[list[tuple[int, bytes]]]) -> None:
    data = song(*flood)
    read(data, tmp_path)
    monkeypatch.setattr(midifile, "EVENTS", 5000)
    with pytest.raises(DataError, match="more than 5000 events"):
        read(data, tmp_path)


def test_missing_and_huge_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        midifile.read(tmp_path / "no.mid", rate=RATE)
    monkeypatch.setattr(midifile, "LARGEST", 10)
    with pytest.raises(DataError, match="larger than"):
        read(song([(0, b"\x90\x3c\x40")]), tmp_path)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_file_with_wrong_bytes_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    good = bytearray(
        song(
            [(0, b"\xff\x51\x03\x07\xa1\x20"), (5, b"\x90\x3c\x40"), (5, b"\x3c\x00"), (1, b"\xf0\x02\x01\xf7")],
            [(9, b"\xc0\x01"), (0, b"\xff\x59\x02\x00\x00"), (3, b"\xf7\x01\xf8"), (1, b"\xe1\x01\x02"), (0, b"\xff\x2f\x00")],
        )
    )
    for _ in range(data.draw(st.integers(1, 6))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        s = read(bytes(good[: data.draw(st.integers(0, len(good)))]), tmp_path_factory.mktemp("w"))
    except DataError:
        return
    assert (np.diff(s.frames) >= 0).all()
    assert s.end <= midifile.LONGEST * RATE


@given(st.lists(st.tuples(st.floats(0, 1000), notes)))
def test_what_is_written_is_read_by_mido(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[float, mido.Message]]
) -> None:
    events.sort(key=lambda e: e[0])
    path = tmp_path_factory.mktemp("o") / "o.mid"
    midifile.write(path, [(t, word(m)) for t, m in events])
    got = [m for m in mido.MidiFile(path) if not m.is_meta]
    assert [word(m) for m in got] == [word(m) for _, m in events]
    assert np.allclose(np.cumsum([m.time for m in got]), [t for t, _ in events], atol=1e-3)


@pytest.mark.parametrize(
    ("compiled", "names"),
    [
        (("LINUX_ALSA", "UNIX_JACK"), ["alsa", "jack"]),
        (("UNIX_JACK", "MACOSX_CORE"), ["coremidi", "jack"]),  # the keyboards are on CoreMIDI
        (("MACOSX_CORE",), ["coremidi"]),
        (("WINDOWS_MM",), ["winmm"]),
        (("RTMIDI_DUMMY",), []),
    ],
)
def test_back_ends_are_tried_in_the_order_of_the_system(compiled: tuple[str, ...], names: list[str]) -> None:
    numbers = [getattr(rtmidi, f"API_{c}") for c in compiled]
    assert [n for n, _ in candidates(numbers)] == names
    for name, number in candidates(numbers):
        assert candidates(numbers, name) == [(name, number)]
        assert number == getattr(rtmidi, APIS[name])


def test_a_back_end_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "nowhere")
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    with pytest.raises(UnknownName, match="did you mean alsa"):
        backend("also")
    other = "winmm" if rtmidi.API_WINDOWS_MM not in rtmidi.get_compiled_api() else "alsa"
    for name in (other, "jack"):
        with pytest.raises(DeviceError, match=f"no MIDI back end {name} answers here; .* --keys"):
            backend(name)


@pytest.mark.skipif(not sys.platform.startswith("linux") or Path("/dev/snd/seq").exists(), reason="there is an ALSA sequencer")
def test_without_a_sequencer_one_sentence_names_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "nowhere")
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    with pytest.raises(DeviceError, match=r"no MIDI back end \(alsa, jack\) answers here"):
        backend(None)


def test_windows_is_told_of_loopmidi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtmidi, "get_compiled_api", lambda: [rtmidi.API_WINDOWS_MM])
    with pytest.raises(UsageError, match="loopMIDI"):
        Ports(print, virtual=True)
