"""Notes a second that a set gives, against what training asks for: python benchmarks/dataset.py SET

SET is any form that `dataset info` reads. Notes are read in random order, sounds and all, by one thread; training is
steps of the small spectral autoencoder on one core, the quickest network here and so the hungriest. All in processor time, so that other work on the machine does not count; what waits for a disk does not either.
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch

from nsynth_instrument.dataset.nsynth import Dataset
from nsynth_instrument.nets.spectral_config import SpectralConfig
from nsynth_instrument.training.recordings import _INDEX, Recorded
from nsynth_instrument.training.spectral import SpectralRecipe, SpectralTask


class Noise(Recorded):
    """Sixteen notes of noise in memory: batches cost what they cost, the disk nothing."""

    audio = (np.random.default_rng(0).normal(0, 3000, (16, 64000))).astype(np.int16)
    level = np.full((16, 125), 0.1, np.float32)


def consumed(task, size: int) -> float:
    """Notes a second that one core takes in training."""
    net = task.module().train()
    optimiser = torch.optim.AdamW(net.parameters())
    rng = np.random.default_rng(0)
    for step in range(9):
        if step == 1:
            began = time.process_time()
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=torch.ops.mkldnn._is_mkldnn_bf16_supported()):
            loss = net(**task.batch(rng, size))["loss"]
        loss.backward()
        optimiser.step()
    return 8 * size / (time.process_time() - began)


def main() -> None:
    torch.set_num_threads(1)
    data = Path(sys.argv[1])
    began = time.process_time()
    notes = Dataset.open(data)
    listed = time.process_time() - began
    print(f"listing: {len(notes)} notes in {listed:.1f} s, {len(notes) / listed:.0f} notes/s")
    order = np.random.default_rng(0).permutation(len(notes))
    began, count = time.process_time(), 0
    while time.process_time() - began < 8 and count < len(order):
        notes[order[count]].audio()
        count += 1
    given = count / (time.process_time() - began)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"random access: {given:.0f} notes/s by one thread; at most {memory:.0f} MB resident, with what is mapped and the program")
    index = np.zeros(16, _INDEX)
    index["pitch"], index["velocity"] = np.arange(50, 66), 100
    there = [Noise(s, Path(), index, {"split": s}) for s in ("train", "valid")]
    # Each item hears one note and says another, so it takes two.
    taken = 2 * 2 * consumed(SpectralTask(there, SpectralConfig(), SpectralRecipe()), 16)
    print(f"spectral-small: two cores train on {taken:.0f} notes/s; one reading thread gives {given / taken:.1f} times that")



main()
