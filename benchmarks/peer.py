"""The published decoder and encoder, ours beside Magenta's own (fastgen), in one session: figures for docs/speed.md.

    python benchmarks/peer.py install             the peer into an environment of its own, --env, once (2 GB)
    python benchmarks/peer.py decode              samples/s at --batches, the peer and ours in turn
    python benchmarks/peer.py encode              seconds for a note of 4 s, with and without loading the weights
    python benchmarks/peer.py process             the same as a user meets it: a program that starts, encodes one note, and ends

Weights are random: speed does not depend on them. The machine should be idle. The peer wants Python 3.9 to 3.11.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
PACKAGES = [["tensorflow-cpu==2.15.1", "tf-slim==1.1.0", "librosa", "soundfile", "scipy"], ["--no-deps", "magenta==2.1.4"]]


def install(env: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", env], check=True)
    for some in PACKAGES:
        subprocess.run([env / "bin" / "python", "-m", "pip", "install", "-q", *some], check=True)


# In the peer's environment.


def peer(what: str, batch: int, seconds: float, folder: str) -> dict[str, float]:
    """Its own functions, fed as its own command feeds them."""
    import importlib.machinery
    import types

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    # Magenta's own __init__ wants much that its NSynth does not use.
    package = types.ModuleType("magenta")
    package.__path__ = list(importlib.machinery.PathFinder.find_spec("magenta").submodule_search_locations)  # type: ignore[union-attr,arg-type]
    sys.modules["magenta"] = package
    import tensorflow.compat.v1 as tf

    tf.disable_v2_behavior()
    tf.logging.set_verbosity(tf.logging.ERROR)
    from magenta.models.nsynth.wavenet import fastgen

    config = tf.ConfigProto(allow_soft_placement=True)
    if what == "decode":
        with tf.Graph().as_default(), tf.Session(config=config) as session:
            net = fastgen.load_fastgen_nsynth(batch_size=batch)
            session.run(tf.global_variables_initializer())
            session.run(net["init_ops"])
            heard, codes = np.zeros((batch, 1)), np.zeros((batch, 16))
            for _ in range(3):
                heard = fastgen.generate_audio_sample(session, net, heard, codes)
            busy, start, steps = time.process_time(), time.perf_counter(), 0
            while time.perf_counter() - start < seconds:
                heard = fastgen.generate_audio_sample(session, net, heard, codes)
                steps += 1
            seconds, busy = time.perf_counter() - start, time.process_time() - busy
            return {"samples": batch * steps, "seconds": seconds, "busy": busy}
    prefix = str(Path(folder) / "model.ckpt")
    if what == "once":
        fastgen.encode(np.random.default_rng(0).normal(0, 0.1, (1, 64000)).astype(np.float32), prefix)
        return {}
    sound = np.random.default_rng(0).normal(0, 0.1, (1, 64000)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        net = fastgen.load_nsynth(batch_size=1, sample_length=64000)
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, prefix, write_meta_graph=False)
        graph = []
        for _ in range(3):
            start = time.perf_counter()
            session.run(net["encoding"], feed_dict={net["X"]: sound})
            graph.append(time.perf_counter() - start)
    if what == "save":
        return {}
    whole = []
    for _ in range(2):
        start = time.perf_counter()
        fastgen.encode(sound, prefix)
        whole.append(time.perf_counter() - start)
    return {"graph": min(graph), "whole": min(whole)}


def ask(env: Path, what: str, batch: int = 1, seconds: float = 8.0, folder: str | None = None) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as own:
        folder = folder or own
        order = [env / "bin" / "python", __file__, "peer", json.dumps([what, batch, seconds, folder])]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(order, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


# In ours.


def decode(env: Path, batches: list[int], seconds: float, precision: str) -> None:
    from speed import generate, multiply_adds, published, weights

    config = published()
    kernel = weights_to_kernel(config, weights(config), precision)
    print(f"{kernel.runtime}, {os.cpu_count()} threads; samples/s on {config.layers} layers of {config.width}", file=sys.stderr)
    best = 0.0
    for batch in batches:
        theirs = ask(env, "decode", batch, seconds)
        rate = theirs["samples"] / theirs["seconds"]
        best = max(best, rate)
        mine, busy = generate(kernel, batch, seconds / 2)
        print(
            f"batch {batch:4d}: peer {rate:6.0f}, ours {mine:6.0f} = {mine / rate:5.1f} x, {mine / best:5.1f} x its best so far; "
            f"{mine * multiply_adds(config) / 1e9:.0f} G multiply-adds/s; by processor time "
            f"{busy * theirs['busy'] / theirs['samples']:.1f} x",
            flush=True,
        )


def weights_to_kernel(config, weights, precision):  # type: ignore[no-untyped-def]
    from nsynth_instrument.runtimes.kernel_wavenet import WaveNetKernel

    return WaveNetKernel(weights, config, precision=precision)


def encode(env: Path, precision: str) -> None:
    from safetensors.numpy import load_file, save_file
    from speed import H512, weights

    from nsynth_instrument.dsp import mulaw

    # A code every 512 samples, as the peer's; both graphs are timed with their weights in place, the best of three.
    config = H512
    sound = np.random.default_rng(0).normal(0, 0.1, (1, 64000, 1)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        save_file({k: v.astype(np.float16) for k, v in weights(config).items()}, file)
        theirs = ask(env, "encode")
        graph, whole = [], []
        for _ in range(4):
            start = time.perf_counter()
            kernel = weights_to_kernel(config, load_file(file), precision)
            kernel.encode(mulaw.companded(mulaw.encode(sound)))
            whole.append(time.perf_counter() - start)
        for _ in range(3):
            start = time.perf_counter()
            kernel.encode(mulaw.companded(mulaw.encode(sound)))
            graph.append(time.perf_counter() - start)
    for name, mine in (("graph", min(graph)), ("whole", min(whole))):
        print(f"{name}: peer {theirs[name]:.2f} s, ours {mine:.2f} s = {theirs[name] / mine:.1f} x")


ONCE = """
import sys, numpy as np
from nsynth_instrument import bundle
from nsynth_instrument.notes import Note
from nsynth_instrument.runtimes import open_codec
sound = np.random.default_rng(0).normal(0, 0.1, 64000).astype(np.float32)
assert open_codec(bundle.find(sys.argv[1]), "kernel", precision=sys.argv[2]).encode([sound], [Note(60, 100)])[0].shape == (125, 16)
"""
"""Our side of `process`."""


def process(env: Path, precision: str) -> None:
    """Whole programs on the same checkpoint, in turn; the first of ours may compile, and is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        ask(env, "save", folder=folder)
        model, paths = str(Path(folder) / "model"), {**os.environ, "PYTHONPATH": str(ROOT)}
        ours = [sys.executable, "-c", ONCE, model, precision]
        order = [sys.executable, "-m", "nsynth_instrument", "import-magenta", str(Path(folder) / "model.ckpt"), model]
        subprocess.run(order, env=paths, check=True, capture_output=True)
        subprocess.run(ours, env=paths, check=True)
        theirs, mine = [], []
        for _ in range(3):
            start = time.perf_counter()
            ask(env, "once", folder=folder)
            between = time.perf_counter()
            subprocess.run(ours, env=paths, check=True)
            theirs.append(between - start)
            mine.append(time.perf_counter() - between)
    print(f"process: peer {min(theirs):.2f} s ({theirs}), ours {min(mine):.2f} s ({mine}) = {min(theirs) / min(mine):.1f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["install", "decode", "encode", "process", "peer"])
    parser.add_argument("order", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--env", type=Path, default=ROOT / ".venv-peer", help="the same that scripts/test --peer uses")
    parser.add_argument("--batches", default="1,32,128")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement of the peer")
    parser.add_argument("--float32", action="store_true", help="ours without bfloat16")
    asked = parser.parse_args()
    if asked.what == "peer":
        print(json.dumps(peer(*json.loads(asked.order))))
        return
    if asked.what == "install":
        install(asked.env)
        return
    sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
    precision = "float32" if asked.float32 else "auto"
    if asked.what == "decode":
        decode(asked.env, [int(b) for b in asked.batches.split(",")], asked.seconds, precision)
    else:
        {"encode": encode, "process": process}[asked.what](asked.env, precision)


if __name__ == "__main__":
    main()
