"""SFZ as far as a note needs it: which sample sounds on which keys and velocities, how it is tuned, and its loop.

https://sfzformat.com. Of the amplifier's envelope its attack and release are read; filters, its other parts, and effects are
not: what is captured is the samples.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from ..errors import DataError
from .names import key as key_of

_LARGEST = 8 << 20
"""bytes of an SFZ with all that it includes."""
_MOST = 20000
"""Regions."""
_OPCODES = 1000
"""Opcodes under one header."""
_DEEPEST = 8
"""Includes within includes."""

_COMMENT = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_DEFINE = re.compile(r"#define\s+(\$\w+)\s+(\S+)")
_INCLUDE = re.compile(r'#include\s+"([^"\n]+)"')
_TOKEN = re.compile(r"<(\w+)>|(?<![\w$])([\w$]++)=")
"""A name is tried from its beginning only, and once: else a word of a megabyte takes days."""
_HEADERS = ("control", "global", "master", "group", "region", "curve", "effect", "midi", "sample")


@dataclass(frozen=True)
class Region:
    """A sample and where it sounds.

    sample: its file; low_key..high_key, low_velocity..high_velocity: MIDI, inclusive; pitch: MIDI with fraction at which
    the sample sounds untransposed; offset: frames left out at its start; loop: first and last frame played, or None;
    unlooped: whether a loop in the file itself is not played either; track: how far velocity scales its level, 0..1; volume: dB;
    attack, release: of the amplifier, s; None where the release is not said.
    """

    sample: Path
    low_key: int
    high_key: int
    low_velocity: int
    high_velocity: int
    pitch: float
    offset: int
    loop: tuple[int, int] | None
    unlooped: bool
    track: float
    volume: float
    attack: float
    release: float | None

    @property
    def velocity(self) -> int | None:
        """The middle of the layer; None if there is one layer for all velocities."""
        if self.low_velocity <= 1 and self.high_velocity >= 127:
            return None
        return max(1, (self.low_velocity + self.high_velocity + 1) // 2)


def read(path: Path) -> list[Region]:
    """The regions that sound when a key is pressed. Raises DataError for a file that is no SFZ, or too large, or has none."""
    text = _COMMENT.sub(" ", _text(path, path.parent, {}, [0], 0))
    regions: list[Region] = []
    for opcodes in _regions(text):
        region = _region(opcodes, path)
        if region is not None:
            regions.append(region)
        if len(regions) > _MOST:
            raise DataError(f"{path} has more than {_MOST} regions; split it")
    if not regions:
        raise DataError(f"{path} names no samples that sound when a key is pressed; check that it is an SFZ")
    return regions


def _text(path: Path, root: Path, defined: dict[str, str], size: list[int], depth: int) -> str:
    """The file's text, with what it includes in its place and what it defines filled in, in the order of the text."""
    try:
        with path.open("rb") as f:
            data = f.read(_LARGEST + 1)
    except OSError as e:
        raise DataError(f"cannot read {path} ({e.strerror}); check the path") from e
    size[0] += len(data)
    if size[0] > _LARGEST or depth > _DEEPEST:
        raise DataError(f"{path} is too large, or includes itself; check that it is an SFZ")
    if b"\0" in data:
        raise DataError(f"{path} is not text; check that it is an SFZ")
    lines = []
    for line in _COMMENT.sub(" ", data.decode("utf-8-sig", "replace")).splitlines():
        define, include = _DEFINE.search(line), _INCLUDE.search(line)
        if define and len(defined) < 1000:
            defined[define[1]] = define[2][:200]
        elif include:
            lines.append(_text(_inside(root, _fill(include[1], defined), path), root, defined, size, depth + 1))
        elif not define:
            lines.append(_fill(line, defined))
    return "\n".join(lines)


def _fill(line: str, defined: Mapping[str, str]) -> str:
    if "$" in line:
        line = line[:4000]
        for name in sorted(defined, key=len, reverse=True):
            line = line.replace(name, defined[name])[:4000]
    return line


def _inside(root: Path, name: str, sfz: Path) -> Path:
    """A path that an SFZ writes, relative to its folder. Raises DataError for one that is absolute, or on another computer."""
    name = name.strip().replace("\\", "/")
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or name.startswith("//") or "\0" in name:
        raise DataError(f"{sfz} names {name!r}, which is not below its folder; make its paths relative")
    return root / name


def _regions(text: str) -> Iterator[dict[str, str]]:
    """Each region's opcodes, with those of the group, master and global around it."""
    levels: dict[str, dict[str, str]] = {}
    header = ""
    found = list(_TOKEN.finditer(text))
    for n, m in enumerate(found):
        if m[1]:
            if header == "region":
                yield _merged(levels)
            header = m[1].lower() if m[1].lower() in _HEADERS else ""
            for lower in {"global": ("global", "master", "group"), "master": ("master", "group")}.get(header, (header,)):
                levels[lower] = {}
            levels["region"] = {}
        elif header and len(levels[header]) < _OPCODES:
            end = found[n + 1].start() if n + 1 < len(found) else len(text)
            levels[header][m[2].lower()] = text[m.end() : end].split("\n", 1)[0].strip()
    if header == "region":
        yield _merged(levels)


def _merged(levels: Mapping[str, dict[str, str]]) -> dict[str, str]:
    out: dict[str, str] = {}
    for name in ("control", "global", "master", "group", "region"):
        out.update(levels.get(name, {}))
    return out


def _region(o: Mapping[str, str], sfz: Path) -> Region | None:
    """The region that opcodes describe; None if it has no sample file, or does not sound when a key is pressed."""
    sample = o.get("sample", "")
    if not sample or sample.startswith("*") or o.get("trigger", "attack") not in ("attack", "first"):
        return None
    if _number(o, "seq_position", 1) > 1 or _number(o, "lorand", 0) > 0 or _number(o, "end", 0) < 0:
        return None
    both = _key(o, "key", None)
    low, high = _key(o, "lokey", both if both is not None else 0), _key(o, "hikey", both if both is not None else 127)
    centre = _key(o, "pitch_keycenter", both if both is not None else 60)
    if low is None or high is None or centre is None or low > high:
        return None
    shift = 12 * _number(o, "octave_offset", 0) + _number(o, "note_offset", 0)
    tune = _number(o, "transpose", 0) + (_number(o, "tune", 0) + _number(o, "pitch", 0)) / 100
    mode = o.get("loop_mode", o.get("loopmode", ""))
    start, end = (int(_number(o, f"loop_{w}", _number(o, f"loop{w}", -1))) for w in ("start", "end"))
    loop = (start, end) if mode in ("loop_continuous", "loop_sustain") and 0 <= start < end else None
    return Region(
        sample=_inside(sfz.parent, o.get("default_path", "") + sample, sfz),
        low_key=int(_clip(low + shift, 0, 127)), high_key=int(_clip(high + shift, 0, 127)),
        low_velocity=int(_clip(_number(o, "lovel", 1), 1, 127)), high_velocity=int(_clip(_number(o, "hivel", 127), 1, 127)),
        pitch=centre + shift - tune, offset=int(_clip(_number(o, "offset", 0), 0, 1e9)), loop=loop,
        unlooped=mode in ("no_loop", "one_shot"), track=_clip(_number(o, "amp_veltrack", 100) / 100, 0, 1),
        volume=_volume(o), attack=_clip(_number(o, "ampeg_attack", 0), 0, 30),
        release=_clip(_number(o, "ampeg_release", 0), 0, 30) if "ampeg_release" in o else None,
    )  # fmt: skip


def _volume(o: Mapping[str, str]) -> float:
    """dB: `volume`, what ARIA adds for the levels around a region, and `amplitude` in percent."""
    levels = sum(_number(o, name, 0) for name in ("volume", "group_volume", "master_volume", "global_volume"))
    return _clip(levels + 20 * math.log10(_clip(_number(o, "amplitude", 100), 0.1, 1000) / 100), -60, 20)


def _number(o: Mapping[str, str], name: str, default: float) -> float:
    try:
        value = float(o.get(name, default))
    except ValueError:
        return default
    return value if abs(value) < 1e9 else default


def _key(o: Mapping[str, str], name: str, default: int | None) -> int | None:
    """A key as a number or a name, where c4 is 60; -1 and what is no key give None."""
    text = o.get(name)
    return default if text is None else key_of(text.strip())


def _clip(value: float, low: float, high: float) -> float:
    return max(low, min(high, value))
