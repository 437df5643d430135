"""Work done once, in blocks on the disk."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nsynth_instrument.errors import NsynthError
from nsynth_instrument.executors.local import Blocks, each, fill


@pytest.mark.parametrize("makers", [1, 2])
def test_blocks_make_each_item_once_in_any_batches(makers: int, tmp_path: Path) -> None:
    made: list[int] = []

    def make(run: range) -> list[int]:
        made.extend(run)
        return list(run)

    def finish(run: range, raw: list[int]) -> dict[str, np.ndarray]:
        return {"x": np.array(raw) * 10}

    def filled(size: int) -> Iterator[range]:
        return fill(Blocks(tmp_path, 23), make, finish, size=size, makers=makers, threads=2)

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


def test_each_keeps_the_order_and_raises_what_was_raised() -> None:
    assert list(each(range(50), lambda i: i * i, threads=3)) == [i * i for i in range(50)]
    with pytest.raises(ZeroDivisionError):
        list(each(range(-2, 3), lambda i: 1 // i, threads=3))


def test_after_a_failure_nothing_more_begins() -> None:
    begun: list[int] = []

    def one(i: int) -> None:
        begun.append(i)
        if i == 0:
            raise ZeroDivisionError
        time.sleep(0.05)

    with pytest.raises(ZeroDivisionError):
        list(each(range(40), one, threads=2))
    assert len(begun) < 6


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
