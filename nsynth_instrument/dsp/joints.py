"""Where a held note can be joined to itself: places at which both sides of a loop's seam are alike."""

from __future__ import annotations

import numba
import numpy as np

LATEST = 0.6
"""s; a loop ends at most this long before the hold does, since a player goes on from there to the recorded release."""
RIPPLED, EARLY, LONG = 0.05, 0.01, 0.004
"""What a place costs, beside 1 for sides that share nothing: each dB squared of ripple, each second before the hold's
end; and what each doubling of length is worth."""


@numba.njit(nogil=True, cache=True)
def good_places(sounds, squares, length, window, rate, most):  # type: ignore[no-untyped-def]
    """Costs and starts of at most so many good loops of `length` frames inside holds (notes, frames), whose `energy` is (notes,
    frames + 1): low where both sides of the seam match in all."""
    hop = rate // 1000
    wide, total = -(-window // hop), sounds.shape[1]
    begin = max(0, total - length - round(LATEST * rate) - 2 * window)
    count = (total - length - begin) // hop - 2 * wide + 1
    cost = np.full(max(count, 0), -np.inf)
    for n in range(len(sounds)):
        cost = np.maximum(cost, _unlike(sounds[n], squares[n], begin, length, hop, wide, len(cost)))
    for i in range(len(cost)):
        cost[i] += EARLY * (count - i) * hop / rate - LONG * np.log2(length / rate)
    costs, starts = np.empty(most), np.empty(most, np.int64)
    for k in range(most):
        if count < 2 or not np.isfinite(cost.min()):
            return costs[:k], starts[:k]
        best = np.argmin(cost)
        seam = (best + wide) * hop
        low, high = begin + max(1, seam - window // 4), min(total - length - 1, begin + seam + window // 4)
        least = np.inf
        for at in range(low, high):
            step = 0.0
            for n in range(len(sounds)):
                x = sounds[n]
                step += abs(x[at] - x[at - 1]) + abs(x[at + length] - x[at + length - 1])
            if step < least:
                least, starts[k] = step, at
        costs[k] = cost[best]
        cost[max(0, best - wide) : best + wide] = np.inf
    return costs, starts


@numba.njit(nogil=True, cache=True)
def _unlike(sound, squares, begin, length, hop, wide, count):  # type: ignore[no-untyped-def]
    """What (count,) places of a seam, every `hop` frames from `begin` on, cost: by what its sides do not share, and by ripple."""
    total = _apart(sound[begin:], length, hop, count + 2 * wide)
    cost = np.empty(count)
    for i in range(count):
        first, middle, last = begin + i * hop, begin + (i + wide) * hop, begin + (i + 2 * wide) * hop
        both = squares[last] - squares[first] + squares[last + length] - squares[first + length]
        falls = squares[middle + length] - squares[first + length] + 1e-12
        ripple = 10 * np.log10(falls / (squares[last] - squares[middle] + 1e-12))
        cost[i] = (total[i + 2 * wide] - total[i]) / (both + 1e-12) + RIPPLED * ripple * ripple
    return cost


@numba.njit(nogil=True, cache=True, fastmath=True)
def _apart(sound, length, hop, count):  # type: ignore[no-untyped-def]
    """Energy (count,) of the differences of a sound and itself `length` frames later, up to every `hop`-th frame."""
    total = np.zeros(count)
    for i in range(1, count):
        here, there = sound[(i - 1) * hop : i * hop], sound[(i - 1) * hop + length : i * hop + length]
        energy = np.float32(0)
        for k in range(hop):
            energy += (there[k] - here[k]) ** 2
        total[i] = total[i - 1] + energy
    return total
