"""Formats in XML, of which no player can be had: read back, and held against what their makers publish."""

from __future__ import annotations

import gzip
import io
import re
import sys
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import numpy as np
import packs
import pytest
from packs import CORNERS, THREE, TWO

from nsynth_instrument.writers import writer
from nsynth_instrument.writers.xml import element


def table(text: str, at: float) -> float:
    """A DecentSampler translation table's output."""
    points = [tuple(map(float, p.split(","))) for p in text.split(";")]
    assert [p[0] for p in points] == sorted({p[0] for p in points})
    return float(np.interp(at, *zip(*points, strict=True)))


@pytest.mark.parametrize("positions", [TWO, THREE, CORNERS])
def test_decentsampler_knobs_turn_positions_at_equal_power(tmp_path: Path, positions: tuple[tuple[float, ...], ...]) -> None:
    pack = packs.make(tmp_path, positions=positions)
    root = ET.parse(writer("decentsampler")(pack, tmp_path)).getroot()
    knobs = [k for k in root.iter("labeled-knob") if k.get("label", "").startswith("Morph")]
    groups = list(root.iter("group"))
    assert len(knobs) == len(positions[0]) and len(groups) == len(positions)
    assert [cc.get("number") for cc in root.iter("cc")] == ["1", "2"][: len(knobs)]
    rng = np.random.default_rng(0)
    for turn in [np.zeros(len(knobs)), np.ones(len(knobs)), *rng.uniform(size=(8, len(knobs)))]:
        volume = {k: float(g.get("volume", 1)) for k, g in enumerate(groups)}
        tags = {t.get("name"): float(t.get("volume", 1)) for t in root.iter("tag")}
        for knob, value in zip(knobs, turn, strict=True):
            for b in knob.iter("binding"):
                gain = table(b.get("translationTable", ""), float(value))
                assert (b.get("parameter"), b.get("translation")) == ("AMP_VOLUME", "table")
                if b.get("level") == "group":
                    volume[int(b.get("position", -1))] = gain
                else:
                    tags[b.get("identifier")] = gain
        heard = [volume[k] * np.prod([tags[t] for t in g.get("tags", "").split(",") if t]) for k, g in enumerate(groups)]
        assert abs(10 * np.log10(np.sum(np.square(heard)))) < 0.05
        if set(turn) <= {0.0, 1.0}:
            assert heard[pack.positions.index(tuple(turn))] == pytest.approx(1.0)


def test_decentsampler_samples_exist_and_tile(tmp_path: Path) -> None:
    pack = packs.make(tmp_path)
    root = ET.parse(writer("decentsampler")(pack, tmp_path)).getroot()
    cover = np.zeros((128, 128), int)
    for s, z in zip(root.iter("sample"), sorted(pack.zones, key=lambda z: (z.root, z.velocity)), strict=True):
        assert (tmp_path / s.get("path", "")).is_file()
        assert (s.get("loopEnabled"), s.get("loopStart"), s.get("loopEnd")) == ("true", str(z.loop.start), str(z.loop.end))
        low, high, soft, hard = (int(s.get(k, -1)) for k in ("loNote", "hiNote", "loVel", "hiVel"))
        cover[low : high + 1, soft : hard + 1] += 1
    assert (cover == 1).all()
    assert root.find("groups").get("ampVelTrack") == "0"


def test_dslibrary_is_the_pack_in_one_file(tmp_path: Path) -> None:
    pack = packs.make(tmp_path)
    one, two = (writer("dslibrary")(pack, tmp_path).read_bytes() for _ in range(2))
    assert one == two
    with zipfile.ZipFile(io.BytesIO(one)) as z:
        assert z.testzip() is None
        root = ET.fromstring(z.read("Flute-Bass/Flute-Bass.dspreset"))
        inside = set(z.namelist())
        assert all(f"Flute-Bass/{s.get('path')}" in inside for s in root.iter("sample"))
        assert ET.fromstring(z.read("Flute-Bass/DSLibraryInfo.xml")).get("name") == "Flute-Bass test"


RANGE = {"low": int, "high": int, "low-fade": int, "high-fade": int}
MULTISAMPLE = {
    "group": {"name": str, "color": str},
    "sample": {
        "file": str, "sample-start": float, "sample-stop": float, "gain": float, "group": int, "parameter-1": float,
        "parameter-2": float, "parameter-3": float, "reverse": {"true", "false"}, "zone-logic": {"always-play", "round-robin"},
    },
    "key": {**RANGE, "root": int, "track": float, "tune": float}, "velocity": RANGE, "select": RANGE,
    "loop": {"mode": {"off", "loop", "ping-pong"}, "start": float, "stop": float, "fade": float},
}  # fmt: skip
"""Attributes and their types, from the format's public description (github.com/bitwig/multisample)."""


def test_multisample_is_as_its_public_description_wants(tmp_path: Path) -> None:
    pack = packs.make(tmp_path, positions=THREE)
    with zipfile.ZipFile(writer("multisample")(pack, tmp_path)) as z:
        assert {i.compress_type for i in z.infolist()} == {zipfile.ZIP_STORED}
        root, files = ET.fromstring(z.read("multisample.xml")), set(z.namelist())
    heads = ["generator", "category", "creator", "description", "keywords"]
    assert [e.tag for e in root] == heads + ["group"] * 3 + ["sample"] * 27
    for e in [*root.iter("group"), *(s for sample in root.iter("sample") for s in [sample, *sample])]:
        allowed = MULTISAMPLE[e.tag]
        for name, value in e.attrib.items():
            kind = allowed[name]
            assert value in kind if isinstance(kind, set) else kind(value) is not None
    for s in root.iter("sample"):
        assert [e.tag for e in s] == ["key", "velocity", "select", "loop"]
        zone = next(z for z in pack.zones if z.file.endswith(s.get("file", "?")))
        assert s.get("file") in files
        assert float(s.find("loop").get("stop")) == zone.loop.end + 1
    places = [e.attrib for e in root.iter("select")][::9]
    assert [(p["low"], p["high"], p["low-fade"], p["high-fade"]) for p in places] == [
        ("0", "64", "0", "64"), ("0", "127", "64", "63"), ("64", "127", "63", "0"),
    ]  # fmt: skip


@pytest.mark.parametrize("positions", [((0.0,),), THREE, CORNERS])
def test_multisample_is_valid_by_its_publishers_schema(tmp_path: Path, positions: tuple[tuple[float, ...], ...]) -> None:
    """The XML schema of Bitwig's description of the format, which scripts/test puts beside the Python packages."""
    etree = pytest.importorskip("lxml.etree")
    description = Path(sys.prefix) / "multisample/README.md"
    if not description.exists():
        pytest.skip("the schema is not at hand")
    text = re.search(r"<xs:schema.*?</xs:schema>", description.read_text("utf-8"), re.DOTALL)
    schema = etree.XMLSchema(etree.fromstring(text[0]))
    with zipfile.ZipFile(writer("multisample")(packs.make(tmp_path, positions=positions), tmp_path)) as z:
        tree = etree.fromstring(z.read("multisample.xml"))
    assert schema.validate(tree), schema.error_log
    tree.find("sample").remove(tree.find("sample/key"))
    assert not schema.validate(tree)


def test_the_mapping_of_an_adv(tmp_path: Path) -> None:
    pack = packs.make(tmp_path, positions=TWO)
    root = ET.fromstring(gzip.decompress(writer("adv")(pack, tmp_path).read_bytes()))
    sampler = root.find("MultiSampler")
    assert sampler.find("VolumeAndPan/VolumeVelScale/Manual").get("Value") == "0"

    def number(part: ET.Element, path: str) -> int:
        return int(part.find(path).get("Value"))

    found = set()
    for part in sampler.iter("MultiSamplePart"):
        file = part.find("SampleRef/FileRef/RelativePath").get("Value")
        assert number(part, "SampleRef/FileRef/OriginalFileSize") == (tmp_path / file).stat().st_size
        ranges = [number(part, f"{r}Range/{e}") for r in ("Key", "Velocity", "Selector") for e in ("Min", "Max")]
        loop = (number(part, "SustainLoop/Start"), number(part, "SustainLoop/End") - 1, number(part, "SustainLoop/Mode"))
        found.add((file, number(part, "RootKey"), *ranges, *loop))
    half = {(0.0,): (0, 63), (1.0,): (64, 127)}
    assert found == {
        (z.file, z.root, z.low_key, z.high_key, z.low_velocity, z.high_velocity, *half[z.position], z.loop.start, z.loop.end, 1)
        for z in pack.zones
    }


def test_the_mapping_of_an_xpm(tmp_path: Path) -> None:
    pack = packs.make(tmp_path)
    path = writer("xpm")(pack, tmp_path)
    program = ET.parse(path).getroot().find("Program")
    assert program.findtext("KeygroupNumKeygroups") == "3"
    found = set()
    for group in program.iter("Instrument"):
        assert float(group.findtext("VelocitySensitivity")) == 0.0
        for layer in group.iter("Layer"):
            numbers = [int(layer.findtext(k)) for k in ("RootNote", "VelStart", "VelEnd", "SliceLoopStart", "SliceEnd")]
            assert (path.parent / f"{layer.findtext('SampleName')}.wav").is_file()
            found.add((int(group.findtext("LowNote")), int(group.findtext("HighNote")), *numbers))
    assert found == {
        (z.low_key, z.high_key, z.root + 1, z.low_velocity, z.high_velocity, z.loop.start, z.loop.end + 1) for z in pack.zones
    }


def test_letters_that_xml_cannot_hold_are_left_out() -> None:
    made = element("a", element("b", text="one\x07 & \ud800two"), title="\x00Flûte\x1b <\ufffe>")
    root = ET.fromstring(made)
    assert (root.get("title"), root[0].text) == ("Flûte <>", "one & two")
