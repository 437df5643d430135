"""SFZ: one text file beside the samples (sfzformat.com). Loops end at the last frame played, as in a Zone.

Every layer carries its own loudness, so `amp_veltrack` is 0; velocity layers and morph positions fade into each
other; CC1, and CC2 for a second axis, is the morph.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..audio import whole
from ..pack import SamplePack, Zone
from .layers import Fade, axes, by_position, coherent, fade, velocity_fades
from .names import position_name, safe

AXIS_CC = (1, 2)
"""The controllers of the first and the second axis of the morph: mod wheel, breath."""


def write(pack: SamplePack, folder: Path) -> Path:
    """Write `NAME.sfz` into the pack's folder, over its WAV files."""
    return write_over(pack, folder, folder / f"{safe(pack.name)}.sfz", lambda zone: zone.file)


def write_over(pack: SamplePack, folder: Path, path: Path, sample: Callable[[Zone], str]) -> Path:
    """Write an SFZ at `path` whose regions play the files that `sample` names, relative to the SFZ's folder."""
    grid = axes(pack)
    velcurve = "gain" if coherent(pack, folder) else "power"
    lines = [f"// {line}" for line in (pack.title, pack.licence) if line]
    morph = len(pack.positions) > 1
    controls = [f"set_cc{cc}=0 label_cc{cc}=Morph{n}" for cc, n in zip(AXIS_CC, _numbers(len(grid)), strict=False) if morph]
    lines += ["", "<control>", *controls, "", "<global>", "amp_veltrack=0 ampeg_attack=0.002"]
    lines += [f"ampeg_release={pack.release:.3f} xf_velcurve={velcurve} xf_cccurve=power"]
    for position, zones in by_position(pack):
        lines += ["", "<group>", f"group_label={position_name(position) if morph else pack.name}"]
        if morph:
            places = zip(AXIS_CC, position, grid, strict=False)
            lines += [_morph(cc, fade(at, along)) for cc, at, along in places if len(along) > 1]
        fades = velocity_fades(zones)
        for z in sorted(zones, key=lambda z: (z.root, z.velocity)):
            lines.append(_region(z, fades[z.root, z.velocity], sample(z)))
    with whole(path) as part:
        part.write_text("\n".join(lines) + "\n", "utf-8", newline="\n")
    return path


def _numbers(count: int) -> list[str]:
    return [""] if count == 1 else [f" {i + 1}" for i in range(count)]


def _morph(cc: int, f: Fade) -> str:
    parts = []
    if f.before is not None:
        parts.append(f"xfin_locc{cc}={round(127 * f.before)} xfin_hicc{cc}={round(127 * f.at)}")
    if f.after is not None:
        parts.append(f"xfout_locc{cc}={round(127 * f.at)} xfout_hicc{cc}={round(127 * f.after)}")
    return " ".join(parts)


def _region(z: Zone, f: Fade, sample: str) -> str:
    low = 1 if f.before is None else int(f.before) + 1
    high = 127 if f.after is None else int(f.after) - 1
    parts = [f"<region> lokey={z.low_key} hikey={z.high_key} pitch_keycenter={z.root} lovel={low} hivel={high}"]
    if f.before is not None:
        parts.append(f"xfin_lovel={int(f.before)} xfin_hivel={z.velocity}")
    if f.after is not None:
        parts.append(f"xfout_lovel={z.velocity} xfout_hivel={int(f.after)}")
    if z.loop is not None:
        parts.append(f"loop_mode=loop_sustain loop_start={z.loop.start} loop_end={z.loop.end}")
    else:
        parts.append("loop_mode=no_loop")
    return " ".join(parts) + f" sample={sample}"
