"""What a pack says about itself: `report.csv`, one line a note, and a README for whoever finds the folder."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .audio import db, whole
from .notes import Note, key_name
from .pack import SamplePack

REPORT = "report.csv"
README = "README.txt"


@dataclass(frozen=True)
class Measured:
    """One note as it was written.

    cents: off 12-TET, NaN without a clear pitch; loudness: LUFS of its loudest 0.4 s; peak: of full scale; looped: whether
    it has a loop; position: along the morph; shift: semitones by which it was moved from the key that it was made for.
    """

    note: Note
    file: str
    cents: float
    loudness: float
    peak: float
    looped: bool
    position: tuple[float, ...]
    shift: int = 0


def write_report(rows: Sequence[Measured], path: Path) -> Path:
    """One line a note; the cents off 12-TET are empty where no pitch is clear, and positions of two axes have a blank between."""
    with whole(path) as part, part.open("w", encoding="utf-8", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        head = ("key", "name", "velocity", "cents_off", "loudness_lufs", "peak_dbfs", "loop", "position", "repitched", "file")
        out.writerow(head)
        for r in rows:
            cents = "" if math.isnan(r.cents) else f"{r.cents:+.2f}"
            out.writerow([
                r.note.pitch, key_name(r.note.pitch), r.note.velocity, cents, f"{r.loudness:.1f}", f"{db(r.peak):.1f}",
                "yes" if r.looped else "no", " ".join(f"{p:g}" for p in r.position), r.shift, r.file,
            ])  # fmt: skip
    return path


def read_report(pack: SamplePack, path: Path) -> list[Measured] | None:
    """What `write_report` wrote of a pack, to the digits there; None where it is not what that wrote."""
    try:
        with path.open(encoding="utf-8", newline="") as f:
            lines = {line["file"]: line for line in csv.DictReader(f)}
        return [
            Measured(
                Note(z.root, z.velocity), z.file, float(line["cents_off"] or "nan"), float(line["loudness_lufs"]), z.peak,
                z.loop is not None, z.position, int(line["repitched"]),
            )
            for z, line in ((z, lines[z.file]) for z in pack.zones)
        ]  # fmt: skip
    except (OSError, KeyError, ValueError, TypeError, csv.Error):
        return None


def summary(rows: Sequence[Measured]) -> str:
    """The report in a sentence: tuning, loudness, loops."""
    cents = np.abs([r.cents for r in rows if not math.isnan(r.cents)])
    tuned = "without a clear pitch"
    if len(cents):
        tuned = f"in tune to {np.median(cents):.2f} cents (median; 9 in 10 within {np.quantile(cents, 0.9):.2f})"
    vague = f", {len(rows) - len(cents)} without a clear pitch" if 0 < len(cents) < len(rows) else ""
    levels = [r.loudness for r in rows]
    looped = sum(r.looped for r in rows)
    moved = [abs(r.shift) for r in rows if r.shift]
    far = f"; {len(moved)} repitched from the nearest known key, by up to {max(moved)} semitones" if moved else ""
    return f"{len(rows)} notes {tuned}{vague}; loudness {min(levels):.0f} to {max(levels):.0f} LUFS; {looped} looped{far}"


def write_readme(
    pack: SamplePack, rows: Sequence[Measured], path: Path, *, plan: str, mixtures: Sequence[str], maps: Sequence[str]
) -> Path:
    """What the folder is, how its files are called, whose sounds it comes from and how to make it again.

    `mixtures` says what each of the pack's positions is made of, `maps` which formats it has.
    """
    bits = "32-bit float" if pack.bits == 32 else f"{pack.bits}-bit"
    place, morph = ("morph position, ", _morph_words(pack, mixtures)) if len(mixtures) > 1 else ("", [])
    lines = [
        pack.title, "=" * len(pack.title), "",
        pack.description, "",
        f"{summary(rows)[0].upper()}{summary(rows)[1:]} (every note: {REPORT}).", "",
        "Files",
        "-----",
        f"{pack.zones[0].file} and so on: name, {place}MIDI key (middle C = 60 = C4), the key's name, velocity.",
        f"Mono, {pack.rate} Hz, {bits}. One gain for all files, so velocities keep their dynamics; a player must not",
        "add its own (the maps beside this file see to that). pack.json holds the plan, the hashes and the versions.", "",
        *(f"- {m}" for m in maps), "",
        *morph,
        "Licence",
        "-------",
        pack.licence, "",
        *(f"- {s}" for s in pack.sources), "",
        "Made with",
        "---------",
        *(f"{k}: {v}" for k, v in pack.versions.items()), "",
        "To make it again, save the following as pack.toml and run: nsynth-instrument render --preset pack.toml", "",
        *(f"    {line}".rstrip() for line in plan.splitlines()),
    ]  # fmt: skip
    with whole(path) as part:
        part.write_text("\n".join(lines) + "\n", "utf-8", newline="\n")
    return path


def _morph_words(pack: SamplePack, mixtures: Sequence[str]) -> list[str]:
    """Which position is which, and by what they are reached."""
    wheel = "the mod wheel (CC1)"
    if len(pack.positions[0]) > 1:
        wheel += " from left to right and by CC2 (breath) from top to bottom"
    rows = [f"p{k}: {words}" for k, words in enumerate(mixtures, 1)]
    return ["Morph", "-----", f"{len(rows)} positions, each fading into the next by {wheel}:", *rows, ""]
