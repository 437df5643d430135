"""Ableton Live's Sampler preset, `.adv`: gzipped XML beside the samples.

Written from public descriptions of the format, and played by no one here: Live is closed. Velocity layers tile, morph
positions tile along the sample selector. Ends of samples and loops are counted as exclusive.
"""

from __future__ import annotations

import gzip
from pathlib import Path, PurePosixPath

from ..audio import whole
from ..pack import SamplePack, Zone
from .layers import by_position
from .names import safe
from .xml import Value, document, element


def write(pack: SamplePack, folder: Path) -> Path:
    """Write `NAME.adv` into the pack's folder, over its WAV files."""
    path = folder / f"{safe(pack.name)}.adv"
    with whole(path) as part:
        part.write_bytes(gzip.compress(_preset(pack, folder).encode("utf-8"), mtime=0))
    return path


def _preset(pack: SamplePack, folder: Path) -> str:
    positions = by_position(pack)
    parts = []
    for k, (_, zones) in enumerate(positions):
        selector = (128 * k // len(positions), 128 * (k + 1) // len(positions) - 1)
        parts += [_part(pack, folder, z, selector) for z in sorted(zones, key=lambda z: (z.root, z.velocity))]
    numbered = [element("MultiSamplePart", *lines, Id=i) for i, lines in enumerate(parts)]
    envelope = {"AttackTime": 2.0, "DecayTime": 1.0, "ReleaseTime": 1000 * pack.release}
    envelope |= {"AttackLevel": 0.0, "DecayLevel": 1.0, "SustainLevel": 1.0, "ReleaseLevel": 0.0}
    return document(
        element(
            "Ableton",
            element(
                "MultiSampler",
                element("On", _value("Manual", True)),
                _value("UserName", pack.title or pack.name),
                _value("Annotation", " ".join(filter(None, (pack.description, pack.licence)))),
                element("Player", element("MultiSampleMap", element("SampleParts", *numbered), _value("LoadInRam", False))),
                element(
                    "VolumeAndPan",
                    element("Volume", _value("Manual", 0.0)),
                    element("VolumeVelScale", _value("Manual", 0.0)),
                    element("Envelope", *(element(k, _value("Manual", v)) for k, v in envelope.items())),
                ),
            ),
            MajorVersion=5, MinorVersion="11.0_11300", Creator="nsynth-instrument",
        )
    )  # fmt: skip


def _part(pack: SamplePack, folder: Path, z: Zone, selector: tuple[int, int]) -> list[str]:
    loop = (z.loop.start, z.loop.end + 1, 1) if z.loop is not None else (0, z.frames, 0)
    return [
        _value("Name", PurePosixPath(z.file).stem),
        _range("KeyRange", z.low_key, z.high_key),
        _range("VelocityRange", z.low_velocity, z.high_velocity),
        _range("SelectorRange", *selector),
        *(_value(k, v) for k, v in (("RootKey", z.root), ("Detune", 0), ("TuneScale", 100), ("Panorama", 0), ("Volume", 1))),
        _value("SampleStart", 0),
        _value("SampleEnd", z.frames),
        _loop("SustainLoop", *loop),
        _loop("ReleaseLoop", 0, z.frames, 0 if z.loop is not None else 3),
        element(
            "SampleRef",
            element(
                "FileRef",
                *(_value(k, v) for k, v in (("RelativePathType", 1), ("RelativePath", z.file), ("Path", ""), ("Type", 2))),
                _value("OriginalFileSize", (folder / z.file).stat().st_size),
            ),
            _value("DefaultDuration", z.frames),
            _value("DefaultSampleRate", pack.rate),
        ),
    ]


def _value(name: str, value: Value) -> str:
    return element(name, Value=value)


def _range(name: str, low: int, high: int) -> str:
    ends = (("Min", low), ("Max", high), ("CrossfadeMin", low), ("CrossfadeMax", high))
    return element(name, *(_value(k, v) for k, v in ends))


def _loop(name: str, start: int, end: int, mode: int) -> str:
    fields = (("Start", start), ("End", end), ("Mode", mode), ("Crossfade", 0), ("Detune", 0))
    return element(name, *(_value(k, v) for k, v in fields))
