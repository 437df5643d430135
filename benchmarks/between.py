"""A bank's instruments between the keys that it has, beside their own recordings there: python benchmarks/between.py SET MODEL [KEYS]

SET: a dataset of the soundfont that the bank was made of, as `dataset build` makes it; KEYS: of no training note, by default
46,66,86. Each is made as a pack has it, of what is known of the bank's keys around it, at a velocity that is drawn. Printed are
notes that hiss where the recording does not (`dsp.hiss`), the share that is free, of those with a pitch the share within 10
cents, and the mean log-spectral distance.
"""

import sys
from pathlib import Path

import numpy as np

from nsynth_instrument import bundle
from nsynth_instrument.audio import fit, resample
from nsynth_instrument.codes import Morph
from nsynth_instrument.dataset.nsynth import Dataset
from nsynth_instrument.dsp.distance import log_spectral_distance
from nsynth_instrument.dsp.hiss import CLEAN, floors, fundamental
from nsynth_instrument.dsp.partials import BAND_CENTRES, RATE
from nsynth_instrument.dsp.pitch import cents_off
from nsynth_instrument.evaluate.recordings import hear
from nsynth_instrument.instruments import read_bank
from nsynth_instrument.mixing import Mixer
from nsynth_instrument.notes import Note
from nsynth_instrument.runtimes import open_codec
from nsynth_instrument.training.bank import read_table


def main(data, name, keys="46,66,86", seed="0"):
    model = bundle.find(name)
    codec, bank, rng = open_codec(model), read_bank(model), np.random.default_rng(int(seed))
    recorded = {
        (e.extra["soundfont"], e.extra["bank"], e.extra["program"], e.pitch, e.velocity): e for e in Dataset.open(Path(data))
    }
    asked, heard = [], []
    for entry in read_table():
        known = bank[entry.name].pitches
        for key in map(int, keys.split(",")):
            note = Note(key, int(rng.choice(entry.grid.velocities)))
            there = recorded.get((entry.soundfont, entry.bank, entry.program, key, note.velocity))
            if there and not entry.transpose and key not in known and known.min() < key < known.max():
                asked.append((Morph(((entry.name, 1.0),)), note))
                heard.append(hear(there, codec.rate))
    mixed, notes = Mixer(bank, codec, 125).mix(asked), [note for _, note in asked]
    made = codec.decode(
        [m.codes for m in mixed], notes, seed=int(seed), detail=[m.detail for m in mixed], level=[m.level for m in mixed]
    )
    worst, off, apart = [], [], []
    for (morph, note), r, sound in zip(asked, heard, made, strict=True):
        sound = fit(sound, len(r.audio))
        apart.append(log_spectral_distance(r.audio, sound))
        off += [abs(cents_off(sound, codec.rate, note.pitch))] if r.pitched else []
        theirs, ours = (resample(x, codec.rate, RATE) for x in (r.audio, sound))
        f0 = fundamental(theirs, note.pitch)
        before, after = floors(theirs, f0), floors(ours, f0)
        if not (clean := before <= CLEAN).any():
            continue
        band = int(np.where(clean, after, -np.inf).argmax())
        worst.append(after[band])
        if after[band] > CLEAN:
            where = f"{morph.names[0]:14} {note.pitch:3} at {note.velocity:3}"
            print(f"{where}: {after[band]:.1f} dB at {BAND_CENTRES[band]:.0f} Hz, recorded {before[band]:.1f}")
    free, near = (100 * np.mean(np.array(worst) <= CLEAN + more) for more in (0, 3))
    print(f"{name}: {free:.1f} % of {len(worst)} free of hiss, {near:.1f} % to within 3 dB;", end=" ")
    print(f"{100 * np.mean(np.array(off) <= 10):.1f} % of {len(off)} within 10 cents; LSD {np.mean(apart):.2f} dB of {len(apart)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
