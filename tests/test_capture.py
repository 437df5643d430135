"""A user's own instrument: kept, encoded for a model, rendered beside the shipped ones, and removed."""

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tomli_w

from nsynth_instrument import capture
from nsynth_instrument.bank import Instrument
from nsynth_instrument.bundle import Bundle
from nsynth_instrument.capture import codes, store
from nsynth_instrument.capture.note import Sound
from nsynth_instrument.capture.sounds import prepare
from nsynth_instrument.capture.sources import Take
from nsynth_instrument.cli import cli
from nsynth_instrument.codecs import Codec
from nsynth_instrument.dsp.loudness import NOMINAL, loudest
from nsynth_instrument.dsp.pitch import cents_off
from nsynth_instrument.errors import AudioError, DataError, NsynthError, UnknownName, UsageError
from nsynth_instrument.instruments import read_bank
from nsynth_instrument.notes import Note
from nsynth_instrument.runtimes import open_codec
from tests.tones import RATE, Floats, save, tone

ABOUT = store.About("mine", "Mine", "vocal", "acoustic", "CC0")


def sounds(*notes: tuple[float, dict[str, float]]) -> list[Sound]:
    def take(pitch: float, audio: Floats) -> Take:
        return Take(f"{pitch}", lambda: (audio, None))

    return prepare([take(p, tone(p, **kw)) for p, kw in notes])[0]


def run(*args: object) -> int | object:
    return cli.main([str(a) for a in args], standalone_mode=False)


@pytest.fixture(autouse=True)
def home(model: Bundle) -> Iterator[Path]:
    """The user's folder of instruments, empty before and after."""
    yield store.home()
    shutil.rmtree(store.home(), ignore_errors=True)


@pytest.fixture
def codec(model: Bundle) -> Codec:
    return open_codec(model, threads=1)


def test_an_instrument_is_kept_and_comes_back_as_it_was(model: Bundle) -> None:
    before = sounds((57, {}), (60.3, {"hold": 1.0}))
    kept = store.save(ABOUT, before)
    assert kept.folder == store.home() / "mine"
    after = store.load("mine").sounds()
    for a, b in zip(before, after, strict=True):
        assert (a.pitch, a.velocity, a.hold, a.sustains, a.cents) == (b.pitch, b.velocity, b.hold, b.sustains, b.cents)
        assert len(a.audio) == len(b.audio)
        assert np.abs(a.audio - b.audio).max() < 1e-6
    info = soundfile.info(kept.folder / kept.notes[0].file)
    assert (info.format, info.samplerate, info.channels) == ("FLAC", 48000, 1)
    assert [s.about.name for s in store.installed()] == ["mine"]


def test_a_name_is_given_once_unless_it_is_replaced(model: Bundle) -> None:
    store.save(ABOUT, sounds((57, {})))
    with pytest.raises(UsageError, match="--force"):
        store.save(ABOUT, sounds((60, {})))
    assert store.load("mine").keys == (57, 57)
    assert store.save(ABOUT, sounds((60, {})), replace=True).keys == (60, 60)
    assert [p.name for p in store.home().iterdir()] == ["mine"], "nothing is left behind"


@pytest.mark.parametrize("name", ["", "..", "a/b", "A b", "ü", "-x", "x" * 41, ".hidden", "con:"])
def test_names_that_no_folder_and_no_option_can_have_are_refused(model: Bundle, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        store.check_name(name)
    with pytest.raises(UnknownName):
        store.remove(name)
    with pytest.raises(UnknownName):
        store.load(name)


def test_what_was_damaged_is_told_and_not_listed(model: Bundle) -> None:
    kept = store.save(ABOUT, sounds((57, {})))
    flac, manifest = kept.folder / kept.notes[0].file, kept.folder / store.MANIFEST
    text = manifest.read_text()
    good = flac.read_bytes()
    flac.write_bytes(good[:-1])
    with pytest.raises(DataError, match="not what was captured"):
        kept.sounds()
    flac.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        kept.sounds()
    for wrong in (
        "x", text.replace("format = 1", "format = 2"), text.replace('"057-100.flac"', '"../../x.flac"'),
        text.replace("pitch = 57", "pitch = 257"), text.replace("pitch = 57", 'pitch = "a"'), text.replace("hold", "hope"),
        text.replace("velocity = 100", "velocity = 0"), tomli_w.dumps({"format": 1, "notes": 3}),
    ):  # fmt: skip
        manifest.write_text(wrong)
        with pytest.raises(DataError, match="is damaged"):
            store.load("mine")
        assert store.installed() == []
    assert store.remove("mine") == kept.folder, "what is damaged can be removed"
    assert not kept.folder.exists()


def test_one_note_keeps_its_own_length(codec: Codec) -> None:
    for hold, frames in ((1.3, 72), (3.0, 125), (8.0, 281)):
        found = codes.instrument(ABOUT, sounds((57, {"hold": hold})), codec)
        assert found.codes.shape[0] == 1
        assert abs(found.codes.shape[1] - frames) <= 2
    plucked = codes.instrument(ABOUT, sounds((57, {"hold": 0.5, "release": 0.0, "decay": 80.0})), codec)
    assert plucked.codes.shape == (1, 125, 16)


def test_notes_of_different_lengths_share_one(codec: Codec) -> None:
    some = sounds((57, {"hold": 1.2}), (60, {"hold": 2.5}), (64, {"hold": 4.0}), (67, {"hold": 1.0, "release": 0.0, "decay": 60.0}))
    assert [s.sustains for s in some] == [True, True, True, False]
    found = codes.instrument(ABOUT, some, codec)
    assert found.pitches.tolist() == [57, 60, 64, 67]
    frames = found.codes.shape[1]
    assert frames == pytest.approx(3.5 * 31.25, abs=2)
    for s in some:
        audio = codes.at_length(s, frames)
        hold = len(audio) - RATE
        assert len(audio) == round(frames / 31.25 * RATE)
        assert abs(cents_off(audio[:hold], RATE, s.pitch)) < 1
        if s.sustains:
            level = [float(np.sqrt(np.mean(audio[i : i + 4800] ** 2))) for i in range(4800, hold - 4800, 4800)]
            assert max(level) < 1.15 * min(level), "a longer hold is as even as the note"
            assert np.abs(np.diff(audio)).max() < 1.5 * np.abs(np.diff(s.audio)).max(), "no clicks"
        assert np.abs(audio[hold + RATE // 2 :]).max() < 0.01 * np.abs(audio).max()


def test_codes_are_made_once_for_each_model_and_anew_for_new_notes(model: Bundle, codec: Codec) -> None:
    opened = []

    def open_() -> Codec:
        opened.append(1)
        return codec

    bank = read_bank(model)
    store.save(ABOUT, sounds((57, {})))
    first, second = (capture.resolve("mine", model, bank, open_) for _ in range(2))
    assert len(opened) == 1
    assert np.array_equal(first.codes, second.codes)
    assert (first.name, first.family, first.licence) == ("mine", "vocal", "CC0")
    store.save(ABOUT, sounds((62, {})), replace=True)
    assert capture.resolve("mine", model, bank, open_).pitches.tolist() == [62]
    kept = next((store.home() / "mine" / store.CODES).iterdir())
    kept.write_bytes(b"junk")
    assert capture.resolve("mine", model, bank, open_).pitches.tolist() == [62]
    assert len(opened) == 3


def test_names_mean_the_bank_then_the_users_own_then_files(model: Bundle, codec: Codec) -> None:
    bank = read_bank(model)
    store.save(ABOUT, sounds((57, {})))
    path = save(Path("Note_C4.wav"), tone(60))
    assert capture.which("FLUTE", bank) == "flute"
    assert capture.which("mi", bank) == "mine"
    assert capture.which(str(path), bank) == "Note_C4.wav"
    with pytest.raises(UnknownName, match="pi"):
        capture.which("pi", bank)  # piano, pizzicato
    told: list[str] = []
    found = capture.resolve(str(path), model, bank, lambda: codec, tell=told.append)
    assert isinstance(found, Instrument) and found.name == "Note_C4.wav" and found.title == "Note_C4"
    assert "C4 (60) by its name" in told[0]
    extra = capture.beside(["flute", "mine", "Note_C4.wav"], model, bank, lambda: codec)
    assert list(extra.instruments) == ["mine", "Note_C4.wav"]
    with pytest.raises(UsageError, match="no file or folder"):
        capture.resolve("nothere.wav", model, bank, lambda: codec)


def test_the_codec_hears_a_captured_note_in_tune_and_as_loud_as_others(model: Bundle) -> None:
    """With the real features, no network: what the codec would analyse is at the key's own pitch."""
    from nsynth_instrument.dsp.analysis import analyse

    note = sounds((60.45, {"level": 0.01}))[0]
    assert note.pitch == 60
    assert loudest(note.audio) == pytest.approx(NOMINAL, abs=0.01)
    assert 1200 * np.log2(analyse(note.audio, 60).f0 / Note(60).hz) == pytest.approx(0, abs=0.3)


def test_capture_list_render_remove(model: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    for name, p in (("C3", 60), ("G3", 67)):
        save(Path(f"takes/My Voice_{name}_mf.wav"), np.stack([tone(p + 0.4, rate=44100)] * 2, axis=1), 44100)
    run("capture", "My_Voice", "takes", "--licence", "CC0")
    out = capsys.readouterr()
    assert out.out == f"{store.home() / 'my_voice'}\n"
    assert "C4 (60) by its name, C3, 40 cents too high; velocity 80" in out.err
    assert "middle C (60) = C3" in out.err
    run("list")
    assert "my_voice  vocal   acoustic  C4..G4  2      My Voice" in capsys.readouterr().out
    run("list", "--json")
    assert '"own"' in capsys.readouterr().out
    run("render", "--a", "my_v", "--b", "flute", "--grid", "60", "--velocities", "100", "--seconds", "2")
    folder = Path(capsys.readouterr().out.strip())
    assert folder.name == "my_voice-flute"
    assert "My Voice (CC0)" in (folder / "README.txt").read_text()
    row = next(csv.DictReader((folder / "report.csv").read_text().splitlines()))
    assert abs(float(row["cents_off"])) < 3
    run("remove", "my_voice")
    assert capsys.readouterr().out.strip().endswith("my_voice")
    with pytest.raises(UnknownName):
        run("render", "--a", "my_voice", "--b", "flute")


def test_a_file_is_rendered_directly_and_again_when_it_changes(model: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    save(Path("in/Note.wav"), tone(60))
    args = ("render", "--a", "in/Note.wav", "--b", "bass", "--grid", "60", "--velocities", "100", "--seconds", "2")
    run(*args)
    out = capsys.readouterr()
    assert out.out == "exports/packs/Note-bass\n"
    assert "Note.wav: C4 (60) as it sounds" in out.err
    run(*args)
    assert "holds this pack already" in capsys.readouterr().err
    save(Path("in/Note.wav"), tone(64))
    with pytest.raises(NsynthError, match="another pack"):
        run(*args)


def test_a_plan_with_a_file_can_be_rendered_again(model: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    save(Path("in/Note.wav"), tone(60))
    run("render", "--a", "in/Note.wav", "--grid", "60", "--velocities", "100", "--seconds", "2", "--plan")
    Path("pack.toml").write_text(capsys.readouterr().out)
    run("render", "--preset", "pack.toml")
    assert capsys.readouterr().out == "exports/packs/Note\n"


def test_mistakes_end_in_a_sentence(model: Bundle) -> None:
    path = save(Path("a.wav"), tone(60))
    with pytest.raises(UsageError, match="came with the program"):
        run("capture", "flute", path)
    with pytest.raises(UsageError, match="C4, g#3 or 60"):
        run("capture", "mine", path, "--key", "H9")
    with pytest.raises(UsageError, match="one recording"):
        run("capture", "mine", path, path, "--key", "C4")
    save(Path("hiss.wav"), np.random.default_rng(0).standard_normal(RATE) * 0.1)
    with pytest.raises(AudioError, match="--key C4"):
        run("capture", "mine", "hiss.wav")
    run("capture", "mine", "hiss.wav", "--key", "C4")
    assert store.load("mine").keys == (60, 60)


