"""Tables as text, CSV, Markdown, and PNG."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..audio import whole
from ..picture import Picture, write_png
from .bar import Bar
from .interpolation import Figure
from .table import PUBLISHED, Row


@dataclass(frozen=True)
class Table:
    """head: names of the columns; rows: their cells; notes: sentences that stand under it."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """For a terminal."""
        widths = [max(len(line[i]) for line in (self.head, *self.rows)) for i in range(len(self.head))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in (self.head, *self.rows)]
        return "\n".join([self.title, "", *lines, *(("", *self.notes) if self.notes else ()), ""])

    def markdown(self) -> str:
        """As a GitHub table."""
        lines = [f"| {' | '.join(row)} |" for row in (self.head, ("---",) * len(self.head), *self.rows)]
        return "\n".join([f"## {self.title}", "", *lines, "", *(f"- {n}" for n in self.notes), ""])

    def csv(self) -> str:
        """The cells alone."""
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([self.head, *self.rows])
        return out.getvalue()


def bars_table(model: str, found: Sequence[Bar]) -> Table:
    """The bars of one voice."""
    rows = []
    for b in found:
        beside = ", ".join(f"{name} {value:.3g}" for name, value in b.others)
        verdict = {True: "yes", False: "no", None: ""}[b.holds]
        here = f"{b.value:.2f} {b.unit}" if np.isfinite(b.value) else "no pitch heard"
        rows.append((b.what, b.lab, b.bar, here, verdict, beside, str(b.notes)))
    return Table(f"{model}: the voice's bars", ("what", "lab", "bar", "here", "reached", "beside", "notes"), tuple(rows))


def paper_table(found: Sequence[Row], data: str, judges: Sequence[str], notes: Sequence[str]) -> Table:
    """The paper's table, its own figures first. data: what ours are measured on; judges: names of the pitch judges."""
    head = ("sound", "measured on", "pitch %", "quality %", *(f"{j} %" for j in judges), "cents off", "no pitch %",
            "LSD dB", "LSD to 8 kHz dB", "MR-STFT")  # fmt: skip
    where = "NSynth test set, by the paper's classifier"
    empty = [""] * (len(judges) + 5)
    rows = [(f"{name} (published)", where, f"{pitch:.1f}", f"{quality:.1f}", *empty) for name, pitch, quality in PUBLISHED]
    for r in found:
        by = [_figure(r.judges[j][0], 1) + f" of {r.judges[j][1]}" for j in judges]
        kilo = f" ({r.rate / 1000:g} kHz)" if r.lsd is not None else ""
        rows.append(
            (r.name, f"{data}, {r.notes} notes", _figure(r.pitch, 1), _figure(r.quality, 1), *by, _figure(r.cents, 2),
             _figure(r.unclear, 1), _figure(r.lsd, 2) + kilo, _figure(r.lsd_8k, 2), _figure(r.mr, 3))
        )  # fmt: skip
    return Table("Pitch and quality heard in reconstructions", head, tuple(rows), tuple(notes))


def interpolation_table(model: str, found: Sequence[Figure], pairs: int) -> Table:
    """What lies between instruments, by codes and by plain mixing."""
    rows = tuple((f.what, f.latent, f.mixed) for f in found)
    return Table(f"{model}: between two instruments, {pairs} pairs", ("what", "by codes", "by plain mixing"), rows)


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def write(table: Table, folder: Path, name: str) -> list[Path]:
    """Write NAME.csv, NAME.md and, where Pillow is installed, NAME.png in `folder`; the files."""
    done = [folder / f"{name}.csv", folder / f"{name}.md"]
    for path, contents in zip(done, (table.csv(), table.markdown()), strict=True):
        with whole(path) as part:
            part.write_text(contents, "utf-8")
    drawn = _drawn(table)
    if drawn is not None:
        done.append(folder / f"{name}.png")
        write_png(done[-1], drawn)
    return done


def _drawn(table: Table) -> Picture | None:
    """The table as a picture, black on white; None without Pillow, whose letters it takes."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        return None
    font, bold = ImageFont.load_default(15), ImageFont.load_default(19)
    line, gap, margin = 26, 22, 18
    cells = (table.head, *table.rows)
    widths = [max(int(font.getlength(row[i])) for row in cells) + gap for i in range(len(table.head))]
    under = [piece for note in table.notes for piece in textwrap.wrap(note, max(40, sum(widths) // 8))]
    size = (max(sum(widths), int(bold.getlength(table.title))) + 2 * margin, (len(cells) + len(under) + 3) * line + margin)
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    pen.text((margin, margin // 2), table.title, "black", bold)
    y = margin + line
    for n, row in enumerate(cells):
        if n % 2 == 0:
            pen.rectangle((margin - 6, y - 4, margin + sum(widths), y + line - 5), fill="#e8eef4" if n == 0 else "#f5f7f9")
        x = margin
        for cell, width in zip(row, widths, strict=True):
            pen.text((x, y), cell, "black", font)
            x += width
        y += line
    for text in under:
        y += line
        pen.text((margin, y - line // 2), text, "#444444", font)
    return np.asarray(picture)
