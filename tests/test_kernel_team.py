"""Teams of threads: every piece is done once, after all of the stage before it, and a crowded machine gets one thread."""

import threading
import time

import numpy as np
import pytest
from numba import njit

from nsynth_instrument.runtimes.kernel_team import ALONE, SPAN, Crew, board, done, draw, wait


@njit(nogil=True)
def stages(team, pieces, rounds, sums, log):  # type: ignore[no-untyped-def]
    """Each stage adds up what all pieces of the one before wrote."""
    ticket, base = draw(team), 0
    for r in range(rounds):
        if ticket < base + pieces:
            wait(team, base)
        while ticket < base + pieces:
            i = ticket - base
            total = 1
            if r:
                for j in range(pieces):
                    total += sums[r - 1, j] % 1000003
            sums[r, i] = total
            log[r, i] += 1
            ticket = done(team, ticket, 1)
        base += pieces


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_stages_follow_one_another(threads: int) -> None:
    pieces, rounds = 7, 400
    sums, log, team = np.zeros((rounds, pieces), np.int64), np.zeros((rounds, pieces), np.int64), board(threads)
    stages(board(1), 1, 1, sums[:1, :1].copy(), log[:1, :1].copy())
    crew = [threading.Thread(target=stages, args=(team, pieces, rounds, sums, log)) for _ in range(threads)]
    for t in crew:
        t.start()
    for t in crew:
        t.join()
    assert (log == 1).all()
    wanted = 0
    for row in sums:
        wanted = 1 + pieces * (wanted % 1000003)
        assert (row == wanted).all()
        wanted = int(row[0])


@pytest.mark.parametrize("threads", [1, 2])
def test_a_crew_does_all_steps_in_order(threads: int) -> None:
    seen: list[tuple[int, int]] = []
    lock = threading.Lock()

    def share(team: np.ndarray, begin: int, end: int) -> None:
        if draw(team) == 0:
            with lock:
                seen.append((begin, end))

    with Crew(threads) as crew:
        crew.work(share, 77)
        crew.work(share, 5)
    assert [n for begin, end in seen for n in range(begin, end)] == [*range(77), *range(5)]


def test_a_crew_that_waits_becomes_one_thread_for_a_while() -> None:
    sizes: list[int] = []

    def share(team: np.ndarray, begin: int, end: int) -> None:
        sizes.append(int(team[16]))
        # As one that has no processor.
        time.sleep(SPAN / 10)

    with Crew(2) as crew:
        for _ in range(ALONE + 2):
            crew.work(share, 1)
    assert sizes == [2, 2, *[1] * (ALONE - 1), 2, 2, 1] or sizes == [2, 2, *[1] * ALONE, 2, 2]
