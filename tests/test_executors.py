"""Work done once, in blocks on the disk."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from nsynth_instrument.errors import NsynthError, UnknownName
from nsynth_instrument.executors.local import Blocks, fill
from nsynth_instrument.executors.processes import Helpers


def test_blocks_make_each_item_once_in_any_batches(tmp_path: Path) -> None:
    made: list[int] = []

    def make(run: range) -> list[int]:
        made.extend(run)
        return list(run)

    def finish(run: range, raw: list[int]) -> dict[str, np.ndarray]:
        return {"x": np.array(raw) * 10}

    def filled(size: int) -> Iterator[range]:
        return fill(Blocks(tmp_path, 23), make, finish, size=size, threads=2)

    first = filled(5)
    next(first)
    first.close()  # type: ignore[attr-defined]
    (tmp_path / "000007-000005.npz").write_bytes(b"no block")
    (tmp_path / ".000010-000015.npz.part").write_bytes(b"half a block")
    list(filled(7))
    blocks = Blocks(tmp_path, 23)
    assert sorted(made) == list(range(23))
    assert np.concatenate([blocks.get(r, "x") for r in blocks.done()]).tolist() == list(range(0, 230, 10))
    assert blocks.missing(5) == []


def warm() -> None:
    """What a helper does first."""


RUNS = [range(i, i + 2) for i in range(0, 40, 2)]


def kept(folder: Path, fault: str, others: int = 0) -> Callable[[range], range]:
    """What notes for each run who made it, after so many others have made one, with a fault on the way."""
    here = os.getpid()

    def do(run: range) -> range:
        if fault == "dies" and run.start >= 24:
            os.kill(here, signal.SIGKILL)
        if fault == "error" and run.start >= 24:
            raise UnknownName("sound", "flut", ["flute"])
        if fault == "slow":
            time.sleep(60)
        until = time.monotonic() + 20
        while len({p.read_text() for p in folder.iterdir()}) < others and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.02)
        print("words on stdout")
        with (folder / f"{run.start}").open("x") as f:
            f.write(str(here))
        return run

    return do


def shared(folder: Path, count: int, workers: int, fault: str = "", *, wait: bool = True) -> tuple[Iterator[range], list[subprocess.Popen[bytes]]]:
    """A share of RUNS, and its processes."""
    helpers = Helpers(count, __name__)
    processes = [h._process for h in helpers._helpers if h._process]
    return helpers.share(RUNS, kept(folder, "", count * wait), workers, kept, folder, fault), processes


@pytest.mark.parametrize(("helpers", "workers"), [(1, 2), (2, 3), (0, 1), (0, 2), (1, 4)])
def test_each_run_is_made_once_by_all_who_are_there(tmp_path: Path, helpers: int, workers: int) -> None:
    runs, processes = shared(tmp_path, helpers, workers)
    assert sorted(runs, key=lambda r: r.start) == RUNS
    makers = {(tmp_path / f"{r.start}").read_text() for r in RUNS}
    assert makers == {str(p.pid) for p in processes} | {str(os.getpid())}
    assert all(p.returncode is not None for p in processes), "they have ended"


@pytest.mark.parametrize("when", ["never", "before", "midway"])
def test_a_helper_that_is_no_more_is_not_missed(tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if when == "never":
        monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    runs, processes = shared(tmp_path, 1, 2, fault="dies", wait=when == "midway")
    assert len(processes) == (when != "never")
    if when == "before":
        processes[0].kill()
    assert sorted(runs, key=lambda r: r.start) == RUNS
    assert {(tmp_path / f"{r.start}").read_text() for r in RUNS[12:]} == {str(os.getpid())}


def test_what_a_helper_raises_is_raised_here_and_nothing_more_begins(tmp_path: Path) -> None:
    runs, processes = shared(tmp_path, 1, 2, fault="error")
    with pytest.raises(NsynthError, match="no sound is called 'flut'; did you mean flute"):
        list(runs)
    assert len(list(tmp_path.iterdir())) < len(RUNS) - 3
    assert processes[0].returncode is not None


def test_who_stops_early_does_not_wait_for_a_helper(tmp_path: Path) -> None:
    runs, processes = shared(tmp_path, 1, 2, fault="slow", wait=False)
    next(runs)
    started = time.monotonic()
    runs.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 5
    assert processes[0].returncode is not None


def test_a_helper_ends_with_who_asked_it(tmp_path: Path) -> None:
    """Even if that was killed; and an interrupt from the terminal is not for it."""
    code = "import sys, time; from nsynth_instrument.executors.processes import Helpers; h = Helpers(1, 'nsynth_instrument.render')"
    code += "; print(h._helpers[0]._process.pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        helper = int(parent.stdout.readline())
        assert os.getpgid(helper) != os.getpgid(parent.pid)
        time.sleep(0.5)
        assert _lives(helper)
        parent.kill()
    until = time.monotonic() + 20
    while _lives(helper):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_helper_ends_when_who_asked_it_goes_in_the_middle_of_a_message(tmp_path: Path) -> None:
    helper = Helpers(1, __name__)._helpers[0]._process
    assert helper is not None and helper.stdin is not None and helper.stdout is not None
    helper.stdin.write(pickle.dumps((kept, (tmp_path, "x" * 100000)))[:-9])
    helper.stdin.close()
    assert helper.wait(20) == 0
    helper.stdout.close()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_block_that_the_disk_has_spoilt_is_told(tmp_path: Path) -> None:
    blocks = Blocks(tmp_path, 4)
    blocks.put(range(4), {"x": np.zeros((4, 1000))})
    path = tmp_path / "000000-000004.npz"
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    assert blocks.done() == [range(4)]
    with pytest.raises(NsynthError, match=r"000000-000004.npz is damaged .*; remove it and run the same command again"):
        blocks.get(range(4), "x")
    with pytest.raises(NsynthError, match="is damaged"):
        blocks.get(range(4), "y")
