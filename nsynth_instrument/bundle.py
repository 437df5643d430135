"""A model on disk: a folder with `model.toml`, its weights, its graphs and its bank. Find, verify, describe, write."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs
import tomli_w

from .errors import BundleError, UnknownName

MANIFEST = "model.toml"
FORMAT = 1
KINDS = ("harmonic", "wavenet", "spectral", "classifier")
DEFAULT = "harmonic"
"""The model that `render` takes when none is named."""

_ENV = "NSYNTH_INSTRUMENT_HOME"


def distinct(sources: Iterable[str]) -> tuple[str, ...]:
    """Each source once, in whatever order its words are given."""
    found: dict[frozenset[str], str] = {}
    for source in sources:
        found.setdefault(frozenset(re.findall(r"\w+", source.lower())), source)
    return tuple(found.values())


def user_home() -> Path:
    """Folder of the user's own models and instruments; NSYNTH_INSTRUMENT_HOME overrides it."""
    return Path(os.environ.get(_ENV) or platformdirs.user_data_dir("nsynth-instrument", appauthor=False))


def model_roots() -> tuple[Path, ...]:
    """Folders in which models are looked for, the user's before the shipped ones."""
    return (user_home() / "models", Path("exports/models"), Path(__file__).parent / "data")


@dataclass(frozen=True)
class Bundle:
    """A model folder whose manifest has been read.

    rate: Hz of the audio that it makes; hop: audio samples per code frame; dims: values per code frame;
    network: the network's own configuration; files: sha256 in hex by file name; training: commit, data,
    seed, steps and figures as the exporter recorded them.
    """

    folder: Path
    name: str
    kind: str
    rate: int
    hop: int
    dims: int
    licence: str
    sources: tuple[str, ...]
    network: Mapping[str, Any]
    files: Mapping[str, str]
    training: Mapping[str, Any] = field(default_factory=dict)

    def path(self, file: str) -> Path:
        """Path of one of the bundle's files, after its sha256 was compared.

        Raises BundleError if the bundle has no such file, or it is missing or not what was exported.
        """
        if file not in self.files:
            raise BundleError(f"model {self.name} has no {file}; export it again")
        path = self.folder / file
        try:
            found = sha256(path)
        except OSError as e:
            raise BundleError(f"model {self.name} is incomplete: {path} cannot be read; install or export it again") from e
        if found != self.files[file]:
            raise BundleError(f"model {self.name} is damaged: {path} is not what was exported; install or export it again")
        return path

    def has(self, file: str) -> bool:
        """Whether the manifest lists `file`."""
        return file in self.files

    @property
    def fingerprint(self) -> str:
        """Hex digest over all files: two bundles with the same one make the same sound."""
        listed = "".join(f"{n} {h}\n" for n, h in sorted(self.files.items()))
        if guided := self.guide():
            listed += guided.fingerprint
        return hashlib.sha256(f"{self.kind} {self.rate} {self.hop}\n{listed}".encode()).hexdigest()

    def guide(self) -> Bundle | None:
        """The model whose codes, bank and voice this one uses; None if they are its own.

        Raises UnknownName or BundleError if there is none of that name that can be one.
        """
        name = self.network.get("guide")
        if not name:
            return None
        found = find(str(name))
        if found.kind != "harmonic":
            raise BundleError(f"model {self.name} follows {name}, which is of kind {found.kind}; export it again")
        return found


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def read(folder: Path) -> Bundle:
    """The bundle in `folder`. Raises BundleError when its manifest is missing, not TOML, or says what cannot be."""
    path = folder / MANIFEST
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as e:
        raise BundleError(f"{folder} is not a model: it has no {MANIFEST}") from e
    except (OSError, ValueError, RecursionError) as e:
        raise BundleError(f"{path} cannot be read ({e}); install or export the model again") from e
    try:
        if raw["format"] != FORMAT:
            raise BundleError(f"{path} has format {raw['format']}, this program reads {FORMAT}; update nsynth-instrument")
        kind, rate, hop, dims = raw["kind"], int(raw["rate"]), int(raw["hop"]), int(raw["dims"])
        files = {str(k): str(v) for k, v in raw["files"].items()}
        if kind not in KINDS or not 8000 <= rate <= 192000 or not 1 <= hop <= 65536 or not 1 <= dims <= 65536:
            raise ValueError("kind, rate, hop or dims out of range")
        if any(Path(f).name != f or f.startswith(".") for f in files):
            raise ValueError("a file name that leaves the folder")
        return Bundle(
            folder, str(raw["name"]), kind, rate, hop, dims, str(raw["licence"]), tuple(map(str, raw["sources"])),
            dict(raw["network"]), files, dict(raw.get("training", {})),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as e:
        raise BundleError(f"{path} is not a model's manifest ({e}); install or export the model again") from e


def installed(tell: Callable[[str], object] = lambda _: None) -> Iterator[Bundle]:
    """Every model found, the first of a name only. Folders that are not models are passed over, damaged ones told."""
    seen: set[str] = set()
    for root in model_roots():
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            if folder.name not in seen and (folder / MANIFEST).is_file():
                seen.add(folder.name)
                try:
                    yield read(folder)
                except BundleError as e:
                    tell(str(e))


def find(name: str) -> Bundle:
    """The model called `name`, or the one in the folder `name`. Raises UnknownName or BundleError."""
    if (Path(name) / MANIFEST).is_file():
        return read(Path(name))
    for root in model_roots():
        if Path(name).name == name and (root / name / MANIFEST).is_file():
            return read(root / name)
    raise UnknownName("model", name, (b.name for b in installed()))


def write(
    folder: Path,
    contents: Mapping[str, bytes],
    *,
    name: str,
    kind: str,
    rate: int,
    hop: int,
    dims: int,
    licence: str,
    sources: tuple[str, ...],
    network: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Bundle:
    """Write a bundle of the given file contents; the folder appears whole, replacing one of the same name.

    Raises BundleError where it cannot be written, or where something else than a model lies in its place.
    """
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise BundleError(f"{folder} holds something that is no model; choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        files = {}
        for file, data in contents.items():
            (part / file).write_bytes(data)
            files[file] = hashlib.sha256(data).hexdigest()
        manifest = {
            "format": FORMAT, "name": name, "kind": kind, "rate": rate, "hop": hop, "dims": dims,
            "licence": licence, "sources": list(sources), "network": dict(network), "training": dict(training), "files": files,
        }  # fmt: skip
        (part / MANIFEST).write_text(tomli_w.dumps(manifest), "utf-8")
        put(part, folder)
    except OSError as e:
        raise BundleError(f"cannot write the model to {folder} ({e.strerror or e}); choose another folder") from e
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return read(folder)


def put(part: Path, folder: Path) -> None:
    """The folder `part`, made beside `folder`, becomes `folder`, whole; what was there goes. Raises OSError."""
    part.chmod(0o755)
    if not folder.exists():
        part.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    folder.rename(old / "was")
    part.rename(folder)
    shutil.rmtree(old)
