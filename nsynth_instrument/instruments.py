"""The instruments of a model, and which ones a name means."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from .bank import Instrument, InstrumentBank
from .bundle import Bundle
from .codes import Morph
from .errors import UnknownName

BANK = "bank.safetensors"
"""The file of a bundle that holds its instruments."""


def read_bank(model: Bundle) -> InstrumentBank:
    """The instruments that a model knows: its own, or its guide's. Raises BundleError or DataError when they are damaged."""
    path = (model.guide() or model).path(BANK)
    return _read(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(2)
def _read(path: Path, _stamp: int) -> InstrumentBank:
    """A command asks several times; the file is read once."""
    return InstrumentBank.read(path)


def find_instrument(bank: InstrumentBank, name: str) -> Instrument:
    """The instrument called `name`, in any case, or the only one whose name begins so. Raises UnknownName."""
    wanted = name.strip().lower()
    begin = [n for n in bank.instruments if n.lower().startswith(wanted)]
    exact = [n for n in begin if n.lower() == wanted]
    found = exact or begin
    if not wanted or len(found) != 1:
        raise UnknownName("instrument", name, bank.instruments)
    return bank[found[0]]


def resolve(morph: Morph, bank: InstrumentBank) -> Morph:
    """The same morph with the instruments' full names. Raises UnknownName for one that is not in the bank."""
    return morph.renamed(lambda name: find_instrument(bank, name).name)
