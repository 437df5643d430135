"""What a check found, as a table for people and as plain data for programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..audio import db
from .check import CHECKS, Heard, Report

SHOWN = 10
"""Faults of a kind that the table lists."""


def table(report: Report) -> str:
    """A line for each check with its worst value, then the faults."""
    pack = report.pack
    keys, layers = len({z.root for z in pack.zones}), len({z.velocity for z in pack.zones})
    about = f"{pack.title or pack.name}: {len(pack.zones)} notes ({keys} keys x {layers} velocities"
    about += f" x {len(pack.positions)} positions)" if len(pack.positions) > 1 else ")"
    lines = [f"{about}, {pack.rate} Hz, {pack.bits} bit", ""]
    for name, promise in CHECKS.items():
        faults = sum(f.check == name for f in report.faults)
        verdict = f"{faults} wrong" if faults else "ok"
        lines.append(f"  {name:<9} {verdict:<9} {_worst(name, report.heard):<34} {promise}")
    for name in CHECKS:
        found = [f for f in report.faults if f.check == name]
        lines += ["", *(f"{f.where}: {f.text}" for f in found[:SHOWN])] if found else []
        if len(found) > SHOWN:
            lines.append(f"... and {len(found) - SHOWN} more of the kind; --json lists them all")
    count = len(report.faults)
    lines += ["", "all is well" if report.sound else f"{count} fault{'s' if count > 1 else ''}"]
    return "\n".join(lines)


def as_data(report: Report) -> dict[str, Any]:
    """The report as JSON takes it; what cannot be measured is null."""
    return {
        "pack": report.pack.name,
        "ok": report.sound,
        "notes": len(report.heard),
        "faults": [{"check": f.check, "where": f.where, "text": f.text} for f in report.faults],
        "measured": [_measured(h) for h in report.heard],
    }


def _measured(h: Heard) -> dict[str, Any]:
    seam = None
    if h.seam is not None:
        s = h.seam
        seam = {"step": s.step, "largest_step": s.largest_step, "ripple_db": s.ripple, "cents": s.cents}
        seam |= {"distance_db": s.distance, "inside_db": s.inside, "seamless": s.seamless}
    values = {"peak": h.peak, "level_db": h.level, "dc": h.mean, "cents": h.cents}
    return {"file": h.zone.file, **{k: None if math.isnan(v) else v for k, v in values.items()}, "loop": seam}


def _worst(name: str, heard: Sequence[Heard]) -> str:
    def worst(value: Callable[[Heard], float]) -> float | None:
        known = [v for v in map(value, heard) if not math.isnan(v)]
        return max(known) if known else None

    if name == "loops":
        seams = [h.seam for h in heard if h.seam is not None]
        if not seams:
            return "no loops"
        return f"{len(seams)} loops, ripple {max(s.ripple for s in seams):.2f} dB"
    if name == "tuning":
        off = worst(lambda h: abs(h.cents))
        return "no clear pitch" if off is None else f"{off:.1f} cents at most"
    if name == "clipping":
        peak = worst(lambda h: h.peak)
        return "" if peak is None else f"peak {db(peak):.1f} dB"
    if name == "silence":
        quiet = worst(lambda h: -h.level)
        return "" if quiet is None else f"quietest note {-quiet:.0f} dB"
    if name == "dc":
        mean = worst(lambda h: abs(h.mean))
        return "" if mean is None else f"{mean:.5f} at most"
    return ""
