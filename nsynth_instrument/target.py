"""A pack's folder before and after a render: what lies there, whether there is room, and how a finished pack takes its place."""

from __future__ import annotations

import shutil
from pathlib import Path

from .errors import DataError, NsynthError
from .pack import MANIFEST, WORK, SamplePack
from .preset import RenderPlan
from .report import README, REPORT
from .writers.sums import SUMS, read_sums


def there(folder: Path) -> SamplePack | None:
    """The pack in a folder; None without one, or where it is damaged."""
    try:
        return SamplePack.load(folder)
    except DataError:
        return None


def complete(pack: SamplePack, folder: Path) -> bool:
    """Whether all its sounds are there."""
    return all((folder / z.file).is_file() for z in pack.zones)


def free_for(plan: RenderPlan, folder: Path, old: SamplePack | None) -> None:
    """Raises NsynthError when the folder holds another pack, `old` unless that is damaged, or files that are no pack's."""
    cure = "choose another folder with --out, or replace"
    if (folder / MANIFEST).exists():
        raise NsynthError(f"{folder} holds another pack ({_difference(plan, old)}); {cure} it with --force")
    others = [name for name in (README, REPORT, SUMS) if (folder / name).exists()]
    if others and not (folder / WORK).exists():
        raise NsynthError(f"{folder} holds files that are no pack's ({', '.join(others)}); {cure} them with --force")


def _difference(plan: RenderPlan, old: SamplePack | None) -> str:
    if old is None:
        return "a damaged one"
    mine, theirs = plan.to_dict(), old.plan
    other = [k for k in mine if k not in ("name", "formats") and mine[k] != theirs.get(k, mine[k])]
    if not other:
        return "incomplete, or made with another version of the model"
    return "its " + " and ".join(other) + (" differ" if len(other) > 1 else " differs")


def room(plan: RenderPlan, folder: Path) -> None:
    """Raises NsynthError when the disk has no room for the notes, kept and written, or the folder cannot be made."""
    need = plan.count * plan.seconds * plan.rate * (4 + plan.bits // 8) * 1.05
    try:
        (folder / WORK).mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as e:
        raise NsynthError(f"cannot write in {folder} ({e.strerror}); choose another folder with --out") from e
    if need > free:
        raise NsynthError(
            f"the render needs {need / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free; make room, choose another "
            "folder with --out, or fewer keys with --grid 21-108/3"
        )


def stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    """Of every file, what changes when it is written again."""
    return {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.rglob("*") if p.is_file()}


def publish(staged: Path, folder: Path) -> None:
    """Move the files to their places; `pack.json` goes first and comes last, so that it never speaks of what is not there.

    What another pack made there before goes too, and nothing else: a list of hashes without a pack is someone else's.
    """
    files = sorted((p.relative_to(staged) for p in staged.rglob("*") if p.is_file()), key=lambda p: (p.name == MANIFEST, p))
    replaced = folder / WORK / "replaced.json"
    try:
        if (folder / MANIFEST).exists():
            (folder / MANIFEST).replace(replaced)
        old = there(replaced)
        listed = [*(read_sums(folder) if replaced.exists() else ()), *(z.file for z in (old.zones if old else ()))]
        for stale in {Path(name) for name in listed} - set(files):
            (folder / stale).unlink(missing_ok=True)
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (staged / file).replace(folder / file)
    except OSError as e:
        cure = "close what uses them and run the same command again"
        raise NsynthError(f"cannot put the files in {folder} ({e.strerror or e}); {cure}") from e
    shutil.rmtree(folder / WORK, ignore_errors=True)
