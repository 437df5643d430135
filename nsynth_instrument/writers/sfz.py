"""SFZ: one text file beside the samples (sfzformat.com). Loops end at the last frame played, as in a Zone.

Every layer carries its own loudness, so `amp_veltrack` is 0; velocity layers and morph positions fade into each
other; CC1, and CC2 for a second axis, is the morph.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..audio import whole
from ..pack import SamplePack, Zone
from .layers import Fade, axes, by_position, fade, layers_alike, velocity_fades
from .names import position_name, safe

AXIS_CC = (1, 2)
"""The controllers of the first and the second axis of the morph: mod wheel, breath."""


def write(pack: SamplePack, folder: Path) -> Path:
    """Write `NAME.sfz` into the pack's folder, over its WAV files."""
    return write_over(pack, folder, folder / f"{safe(pack.name)}.sfz", lambda zone: zone.file)


def write_over(pack: SamplePack, folder: Path, path: Path, sample: Callable[[Zone], str]) -> Path:
    """Write an SFZ at `path` whose regions play the files that `sample` names, relative to the SFZ's folder."""
    grid = axes(pack)
    alike = layers_alike(pack, folder)
    lines = [f"// {' '.join(line.split())}" for line in (pack.title, pack.licence) if line]
    morph = len(pack.positions) > 1
    controls = [f"set_cc{cc}=0 label_cc{cc}=Morph{n}" for cc, n in zip(AXIS_CC, _numbers(len(grid)), strict=False) if morph]
    lines += ["", "<control>", *controls, "", "<global>", "amp_veltrack=0 ampeg_attack=0.002"]
    curves = f"xf_velcurve={'gain' if alike else 'power'}" + (" xf_cccurve=power" if morph else "")
    lines += [f"ampeg_release={1.3 * pack.release:.3f} {curves}"]
    for position, zones in by_position(pack):
        lines += ["", "<group>", f"group_label={position_name(position) if morph else pack.name}"]
        if morph:
            places = zip(AXIS_CC, position, grid, strict=False)
            lines += [_morph(cc, fade(at, along)) for cc, at, along in places if len(along) > 1]
        fades = velocity_fades(zones, alike=alike)
        for z in sorted(zones, key=lambda z: (z.root, z.velocity)):
            lines.append(_region(z, fades[z.root, z.velocity], sample(z)))
    with whole(path) as part:
        part.write_text("\n".join(lines) + "\n", "utf-8", newline="\n")
    return path


def _numbers(count: int) -> list[str]:
    return [""] if count == 1 else [f" {i + 1}" for i in range(count)]


def _morph(cc: int, f: Fade) -> str:
    parts = []
    if f.rise is not None:
        parts.append(f"xfin_locc{cc}={round(127 * f.rise[0])} xfin_hicc{cc}={round(127 * f.rise[1])}")
    if f.fall is not None:
        parts.append(f"xfout_locc{cc}={round(127 * f.fall[0])} xfout_hicc{cc}={round(127 * f.fall[1])}")
    return " ".join(parts)


def _region(z: Zone, f: Fade, sample: str) -> str:
    low, high = (1 if f.rise is None else int(f.rise[0]) + 1), (127 if f.fall is None else int(f.fall[1]) - 1)
    parts = [f"<region> lokey={z.low_key} hikey={z.high_key} pitch_keycenter={z.root} lovel={low} hivel={high}"]
    if f.rise is not None:
        parts.append(f"xfin_lovel={f.rise[0]:.0f} xfin_hivel={f.rise[1]:.0f}")
    if f.fall is not None:
        parts.append(f"xfout_lovel={f.fall[0]:.0f} xfout_hivel={f.fall[1]:.0f}")
    if z.loop is not None:
        parts.append(f"loop_mode=loop_sustain loop_start={z.loop.start} loop_end={z.loop.end}")
    else:
        parts.append("loop_mode=no_loop")
    return " ".join([*parts, f"sample={sample}"])
