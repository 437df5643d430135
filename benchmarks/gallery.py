"""The pictures of docs/gallery.png: python benchmarks/gallery.py FluidR3_GM.sf2 [OUT.png]

A row for each of eight instruments of the shipped table, from one note each, at velocity 100: the soundfont's note, what the voice
makes of it at its own key, an octave up, and half way to the instrument of the next row. Spectrograms up to 10 kHz, 4 s,
80 dB deep under the loudest point of each.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np

from nsynth_instrument import bundle
from nsynth_instrument.bank import InstrumentBank
from nsynth_instrument.codes import Morph, frames_for
from nsynth_instrument.dataset.soundfont import Player
from nsynth_instrument.dsp.distance import log_spectral_distance, spectrogram
from nsynth_instrument.mixing import Mixer, alone
from nsynth_instrument.notes import Note, NoteGrid
from nsynth_instrument.picture import beside, write_png
from nsynth_instrument.runtimes import open_codec
from nsynth_instrument.training.bank import encode, read_table, render

ROWS = {"flute": 72, "violin": 67, "strings": 60, "choir": 60, "trumpet": 65, "piano": 60, "marimba": 64, "bass": 48}
HEIGHT, WIDTH, TOP, DEPTH, STEPS = 130, 205, 10000.0, 80.0, 40
COLOURS = np.array([(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)], float)


def picture(audio):
    s = spectrogram(audio, 2048, 192)
    db = 20 * np.log10(np.maximum(s, 1e-9)).T
    db = db[: round(TOP / 48000 * 2048)]
    rows, columns = (np.linspace(0, n, k + 1).astype(int) for n, k in zip(db.shape, (HEIGHT, WIDTH), strict=True))
    small = np.maximum.reduceat(np.maximum.reduceat(db, rows[:-1], axis=0), columns[:-1], axis=1)
    light = np.round(np.clip(1 + (small - small.max()) / DEPTH, 0, 1) * STEPS) / STEPS
    at = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(light, at, c) for c in COLOURS.T], axis=2)[::-1].round().astype(np.uint8)


def main(soundfont, out):
    model = bundle.find("harmonic")
    codec, frames = open_codec(model, threads=2), frames_for(4.0)
    table = {e.name: e for e in read_table()}
    known, recorded = {}, {}
    with Player(Path(soundfont)) as player:
        for name, key in ROWS.items():
            notes, sounds = render(player, dataclasses.replace(table[name], grid=NoteGrid((key,), (100,))))
            recorded[name], known[name] = sounds[0], encode(codec, table[name], notes, sounds)
    mixer, cells = Mixer(InstrumentBank.of(known.values()), codec, frames), []
    for name, after in zip(ROWS, [*list(ROWS)[1:], next(iter(ROWS))], strict=True):
        note, up = Note(ROWS[name], 100), Note(ROWS[name] + 12, 100)
        mixed = alone(codec, [(known[name], note), (known[name], up)], frames)
        mixed += mixer.mix([(Morph.between(name, after, 0.5), note)])
        made = codec.decode(
            [m.codes for m in mixed], [note, up, note], detail=[m.detail for m in mixed], level=[m.level for m in mixed]
        )
        print(f"{name} {note.pitch}: {log_spectral_distance(recorded[name], made[0]):.1f} dB; half {after}")
        cells += [picture(a) for a in (recorded[name], *made)]
    write_png(Path(out), beside(cells, 4))
    print(out)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "docs/gallery.png")
