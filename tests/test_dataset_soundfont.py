import struct

import numpy as np
import pytest
from soundfonts import PERIOD, chunk, tone, write_small, write_soundfont, write_zoned

from nsynth_instrument.dataset import gm
from nsynth_instrument.dataset.example import FAMILIES, SOURCES
from nsynth_instrument.dataset.sf2 import Preset, presets, sounding, zones
from nsynth_instrument.dataset.soundfont import Player
from nsynth_instrument.errors import DataError, NsynthError
from nsynth_instrument.notes import Note, hz


@pytest.fixture(scope="module")
def font(tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("font") / "small.sf2")


def test_presets_are_listed_by_bank_and_program(font):
    assert [(p.bank, p.program) for p in presets(font)] == [(0, 0), (0, 73), (0, 80), (0, 122), (8, 80), (17, 80), (128, 0)]
    assert presets(font)[2] == Preset(0, 80, "Sine Lead")


def test_every_cut_of_a_soundfont_is_refused_in_words(font, tmp_path):
    whole = font.read_bytes()
    ends = [*range(60), whole.index(b"phdr") + 3, whole.index(b"phdr") + 40, len(whole) - 1]
    for end in ends:
        (tmp_path / "cut.sf2").write_bytes(whole[:end])
        with pytest.raises(DataError, match="cut off|not a SoundFont|not a whole"):
            presets(tmp_path / "cut.sf2")


def test_every_damaged_byte_of_the_structure_is_harmless(font, tmp_path):
    whole = font.read_bytes()
    at = whole.index(b"pdta")
    for place in [*range(64), *range(at - 8, at + 60)]:
        bad = bytearray(whole)
        bad[place] ^= 0xFF
        (tmp_path / "bad.sf2").write_bytes(bad)
        try:
            found = presets(tmp_path / "bad.sf2")
        except DataError:
            continue
        assert all(0 <= p.bank <= 128 and 0 <= p.program <= 127 and p.name.isprintable() for p in found)


def test_names_and_places_that_no_midi_message_reaches(tmp_path):
    rows = [(b"Bad\x01Name\xe9\0junk", 0, 0), (b"", 5, 0), (b"High", 200, 0), (b"Far", 1, 9000), (b"Twin", 0, 0), (b"EOP", 0, 0)]
    phdr = b"".join(struct.pack("<20sHHHIII", n, p, b, 0, 0, 0, 0) for n, p, b in rows)
    path = tmp_path / "odd.sf2"
    path.write_bytes(chunk(b"RIFF", b"sfbk" + chunk(b"LIST", b"pdta" + chunk(b"phdr", phdr))))
    assert presets(path) == (Preset(0, 0, "Bad Name\xe9"), Preset(0, 5, "Program 5"))
    path.write_bytes(chunk(b"RIFF", b"sfbk" + chunk(b"LIST", b"pdta" + chunk(b"phdr", phdr[:-1]))))
    with pytest.raises(DataError, match=r"damaged phdr list"):
        presets(path)


def test_missing_soundfont_is_told(tmp_path):
    with pytest.raises(DataError, match="cannot read the soundfont"):
        presets(tmp_path / "none.sf2")


KEYS, VELOCITIES, INSTRUMENT, SAMPLE, LOOPED = 43, 44, 41, 53, (54, 1)
HARMONICS = (1, 2, 3, 5)


def span(low, high):
    return low | high << 8


@pytest.fixture(scope="module")
def zoned(tmp_path_factory):
    """Four samples, each one harmonic, so that what sounds can be heard; zones that overlap, that nothing reaches, and mistakes."""
    waves = [0.2 * np.sin(np.arange(PERIOD * 40) * 2 * np.pi * h / PERIOD) for h in HARMONICS]
    upper = (KEYS, span(60, 127))
    instruments = [
        [[LOOPED], [(KEYS, span(0, 64)), (SAMPLE, 0)], [upper, (VELOCITIES, span(0, 80)), (SAMPLE, 1)], [upper, (VELOCITIES, span(81, 127)), (SAMPLE, 2)]],
        [[LOOPED, (SAMPLE, 3)]],
        [[(KEYS, span(0, 60)), LOOPED], [(SAMPLE, 0)], [(KEYS, span(50, 100)), (SAMPLE, 1)]],  # the global zone has a range
        [[LOOPED], [(SAMPLE, 0)], [(KEYS, span(0, 60))], [(SAMPLE, 1)]],  # a zone of nothing
        [[LOOPED, (KEYS, span(0, 60)), (SAMPLE, 0)], [(VELOCITIES, span(0, 64)), (KEYS, span(0, 60)), LOOPED, (SAMPLE, 1)]],  # ranges too late
        [[LOOPED], [(SAMPLE, 0), (KEYS, span(0, 60))], [(KEYS, span(61, 50)), (SAMPLE, 1)], [(SAMPLE, 2)]],  # later still; backwards
    ]
    heads = [
        (0, 0, "Layers", [[(17, 0)], [(KEYS, span(40, 100)), (INSTRUMENT, 0)], [(VELOCITIES, span(100, 127)), (INSTRUMENT, 1)]]),
        (0, 6, "Global range", [[(KEYS, span(0, 60))], [(INSTRUMENT, 1)], [(KEYS, span(50, 100)), (INSTRUMENT, 0)]]),
        *((0, i, f"Instrument {i}", [[(INSTRUMENT, i)]]) for i in range(1, len(instruments))),
    ]
    return write_zoned(tmp_path_factory.mktemp("zoned") / "zoned.sf2", waves, instruments, heads)


def test_the_samples_of_a_note_are_those_that_fluidsynth_plays(zoned):
    found = {}
    with Player(zoned) as player:
        for preset in presets(zoned):
            player.select(preset.bank, preset.program)
            for note in (Note(k, v) for k in (30, 50, 55, 62, 80, 102) for v in (40, 100)):
                spectrum = np.abs(np.fft.rfft(player.play(note)[48000:96000] * np.hanning(48000)))
                at = [round(hz(note.pitch) * h) for h in HARMONICS]
                heard = [i for i, f in enumerate(at) if spectrum[f - 3 : f + 4].max() > 1]
                assert sounding(zones(zoned, preset), note) == heard, (preset, note)
                found[preset.program, note.pitch, note.velocity] = heard
    assert found[0, 30, 40] == []
    assert found[0, 30, 100] == [3]
    assert found[0, 62, 40] == [0, 1]
    assert found[0, 62, 100] == [0, 2, 3]


def test_a_preset_without_zones_and_one_that_is_not_there(zoned, tmp_path):
    silent = write_zoned(tmp_path / "silent.sf2", [], [], [(0, 0, "Nothing", []), (0, 1, "Global", [[(17, 0)]])])
    assert [zones(silent, p) for p in presets(silent)] == [(), ()]
    with pytest.raises(DataError, match="no preset at bank 1, program 5"):
        zones(zoned, Preset(1, 5, "None"))


def test_every_damaged_byte_of_the_zones_is_harmless_or_told_in_a_sentence(zoned, tmp_path):
    whole = zoned.read_bytes()
    bad, refused = tmp_path / "bad.sf2", set()
    for place in range(whole.index(b"pdta") - 8, len(whole)):
        data = bytearray(whole)
        data[place] ^= 0xFF
        bad.write_bytes(data)
        try:
            found = [zones(bad, p) for p in presets(bad)]
        except DataError as e:
            refused.add(str(e).partition("which")[0].removeprefix(f"{bad} "))
            continue
        assert all(0 <= z.sample < len(HARMONICS) and len(z.keys) and len(z.velocities) for some in found for z in some)
    assert {f"has damaged {what}, " for what in ("presets", "preset zones", "instruments", "instrument zones")} <= refused


def test_zones_that_multiply_are_refused_at_once(tmp_path):
    many = write_zoned(tmp_path / "many.sf2", [tone()], [[[(SAMPLE, 0)]] * 300], [(0, 0, "Many", [[(INSTRUMENT, 0)]] * 300)])
    with pytest.raises(DataError, match="more than 65536 zones in preset 'Many'"):
        zones(many, presets(many)[0])


def test_every_program_has_one_family_and_source():
    for program in range(128):
        family, source = gm.family_and_source(0, program)
        assert family in FAMILIES and source in SOURCES
    assert sum(len(gm._programs(text)) for _, _, text in gm._TABLE) == 128
    assert gm.family_and_source(0, 73) == ("flute", "acoustic")
    assert gm.family_and_source(8, 38) == ("bass", "synthetic")
    assert gm.is_melodic(0, 119) and not gm.is_melodic(0, 120) and not gm.is_melodic(128, 0)


def test_table_of_the_documentation_is_the_table_in_use():
    documented = {}
    for line in gm.__doc__.splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if line.startswith("| ") and cells[1] in FAMILIES and cells[0][0].isdigit():
            for item in cells[0].split(", "):
                low, _, high = item.partition("..")
                documented |= dict.fromkeys(range(int(low), int(high or low) + 1), (cells[1], cells[2]))
    assert documented == {p: gm.family_and_source(0, p) for p in range(128)}


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("pitch", [45, 69, 88])
def test_note_has_its_length_and_its_pitch(font, rate, pitch):
    with Player(font) as player:
        player.select(0, 80)
        sound = player.play(Note(pitch, 100), rate=rate)
    assert sound.shape == (4 * rate,) and sound.dtype == np.float32
    held = sound[rate : 2 * rate]
    spectrum = np.abs(np.fft.rfft(held * np.hanning(rate)))
    k = int(spectrum.argmax())
    a, b, c = np.log(spectrum[k - 1 : k + 2])
    assert 1200 * np.log2((k + (a - c) / (2 * (a - 2 * b + c))) / hz(pitch)) == pytest.approx(0, abs=1)
    assert np.abs(sound[round(3.6 * rate) :]).max() < 0.01 * np.abs(held).max()  # released after 3 s
    assert np.abs(sound[round(2.9 * rate) : 3 * rate]).max() > 0.9 * np.abs(held).max()


def test_note_does_not_depend_on_what_sounded_before(tmp_path):
    """With a release of 32 s, cut tails and the gain of reused mixing slots would show."""
    loud = np.cos(np.arange(4000) * 2 * np.pi / PERIOD)  # starts at full scale
    font = write_soundfont(tmp_path / "long.sf2", [(0, 0, "Long", loud * 0.9), (0, 1, "Other", tone(20))], release=6000)
    note = Note(60, 90)
    with Player(font) as player:
        player.select(0, 0)
        fresh = player.play(note)
        for other in (Note(60, 90), Note(90, 127), Note(30, 20)):
            player.play(other)
            np.testing.assert_array_equal(player.play(note), fresh)
        player.select(0, 1)
        player.play(Note(40, 127))
        player.select(0, 0)
        np.testing.assert_array_equal(player.play(note), fresh)


def test_what_cannot_be_played_is_told(font, tmp_path, capfd):
    with Player(font) as player, pytest.raises(DataError, match="no preset at bank 3"):
        player.select(3, 0)
    (tmp_path / "bad.sf2").write_bytes(b"RIFF")
    with pytest.raises(NsynthError, match="cannot load"):
        Player(tmp_path / "bad.sf2")
