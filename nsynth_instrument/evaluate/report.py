"""Tables as text, CSV, and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..audio import whole
from .bars import Bar


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
        rows.append((b.what, b.lab, b.bar, f"{b.value:.2f} {b.unit}", verdict, beside, str(b.notes)))
    return Table(f"{model}: the voice's bars", ("what", "lab", "bar", "here", "reached", "beside", "notes"), tuple(rows))


def write(table: Table, folder: Path, name: str) -> Path:
    """Write NAME.csv and NAME.md in `folder`; the folder."""
    for end, contents in ((".csv", table.csv()), (".md", table.markdown())):
        with whole(folder / f"{name}{end}") as part:
            part.write_text(contents, "utf-8")
    return folder
