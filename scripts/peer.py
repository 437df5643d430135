"""What the original says: run by the Python that has TensorFlow and magenta, for tests/test_peer.py and the golden file.

    PEER_PYTHON scripts/peer.py OUT             checkpoints and references in OUT, about 0.5 GB
    PEER_PYTHON scripts/peer.py --golden FILE   tests/golden/peer.npz and, beside it, a small checkpoint

The graphs are magenta 2.1.4's own code. Weights are those of tests/peerdata.py, which both sides can make.
"""

import importlib.machinery
import os
import sys
import types
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np
import peerdata


def boot():
    """TensorFlow in its first version's manner, and magenta without what nsynth does not use."""
    spec = importlib.machinery.PathFinder.find_spec("magenta")
    bare = types.ModuleType("magenta")
    bare.__path__ = list(spec.submodule_search_locations)
    sys.modules["magenta"] = bare
    import tensorflow.compat.v1 as tf

    tf.disable_v2_behavior()
    # What tf_slim's batch norm imports, under the names that versions of TensorFlow look for it.
    for home in ("keras.src.legacy_tf_layers", "tf_keras.src.legacy_tf_layers"):
        try:
            moved = importlib.import_module(f"{home}.normalization")
        except ImportError:
            continue
        for old in ("keras.legacy_tf_layers", "tf_keras.legacy_tf_layers"):
            sys.modules[old] = sys.modules[home]
            sys.modules[f"{old}.normalization"] = moved
        break
    from magenta.contrib import training

    training.HParams.update = training.HParams.override_from_dict
    # The librosa that magenta 2.1.4 asks for, 0.7.2, mirrors the sound at its ends; later ones ask to be told.
    import functools

    import librosa

    librosa.stft = functools.partial(librosa.stft, pad_mode="reflect")
    return tf


def fill(tf, sess):
    """Give every variable of the graph its weights."""
    for v in tf.global_variables():
        v.load(peerdata.weight(v.op.name, tuple(v.shape.as_list())), sess)


def session(tf):
    """One that runs on the CPU what asks for a GPU."""
    return tf.Session(config=tf.ConfigProto(allow_soft_placement=True))


def mu_law(tf):
    """What the original makes of `peerdata.levels`, int16."""
    from magenta.models.nsynth import utils

    with tf.Graph().as_default(), session(tf) as sess:
        return sess.run(utils.mu_law(tf.constant(peerdata.levels()))).astype(np.int16)


def wavenet(tf, samples, save=None):
    """Codes (frames, 16) and logits (samples, 256) of the note's first `samples`; the checkpoint, if asked for."""
    from magenta.models.nsynth.wavenet import h512_bo16

    with tf.Graph().as_default(), session(tf) as sess:
        x = tf.placeholder(tf.float32, [1, samples])
        net = h512_bo16.Config().build({"wav": x}, is_training=False)
        fill(tf, sess)
        logits = net["predictions"].op.inputs[0]
        codes, found = sess.run([net["encoding"], logits], {x: peerdata.note(samples)[None]})
        if save:
            tf.train.Saver(tf.global_variables()).save(sess, save, global_step=200000, write_meta_graph=False)
    return codes[0], found.reshape(samples, 256)


def forced(tf, codes, samples):
    """Classes drawn by fastgen's graph when the past is given, sample by sample."""
    from magenta.models.nsynth import utils
    from magenta.models.nsynth.wavenet import h512_bo16

    given, u = utils.inv_mu_law_numpy(peerdata.past(samples).astype(np.float32) - 128), peerdata.noise(samples)
    with tf.Graph().as_default(), session(tf) as sess:
        x = tf.placeholder(tf.float32, [1, 1])
        net = h512_bo16.FastGenerationConfig(1).build({"wav": x})
        fill(tf, sess)
        sess.run(net["init_ops"])
        drawn, before = np.zeros(samples, np.uint8), 0.0
        for t in range(samples):
            feed = {x: [[before]], net["encoding"]: codes[t // 512][None]}
            shares = sess.run([net["predictions"], net["push_ops"]], feed)[0][0]
            drawn[t] = min(np.cumsum(shares).searchsorted(u[t]), 255)
            before = given[t]
    return drawn


def baseline(tf, save=None):
    """The note as the baseline hears it (512, 256), its z (1984,) and what it says of that (512, 256)."""
    from magenta.models.nsynth import utils
    from magenta.models.nsynth.baseline.models import ae
    from magenta.models.nsynth.baseline.models.ae_configs import nfft_1024

    hp = ae.get_hparams("nfft_1024")
    spectrum = utils.specgram(
        peerdata.note(), n_fft=hp.n_fft, hop_length=hp.hop_length, mask=hp.mask, log_mag=hp.log_mag, mag_only=True
    )
    heard = np.pad(np.squeeze(spectrum), ((0, 0), (0, 5)))[:512].astype(np.float32)
    with tf.Graph().as_default(), session(tf) as sess:
        x = tf.placeholder(tf.float32, [1, 512, 256, 1])
        batch = {"pitch": tf.constant([[peerdata.PITCH]], tf.int64)}
        z = nfft_1024.encode(x, hp, is_training=False)
        says = nfft_1024.decode(z, batch, hp, is_training=False)
        fill(tf, sess)
        found, said = sess.run([z, says], {x: heard[None, :, :, None]})
        if save:
            tf.train.Saver(tf.global_variables()).save(sess, save, global_step=1, write_meta_graph=False)
    return heard, found.reshape(-1), said[0, :, :, 0]


def small(tf, folder):
    """A checkpoint of a few tensors of several types, with moving averages, to read without TensorFlow."""
    with tf.Graph().as_default(), session(tf) as sess:
        names = {"a/W": (1, 3, 2, 4), "a/biases": (4,), "b/W": (1, 1, 4, 2)}
        made = [tf.get_variable(n, s, initializer=tf.constant_initializer(0)) for n, s in names.items()]
        tf.train.ExponentialMovingAverage(0.9).apply(made)
        step = tf.train.get_or_create_global_step()
        sess.run(tf.global_variables_initializer())
        for v in tf.global_variables():
            if v.dtype.base_dtype == tf.float32:
                v.load(peerdata.weight(v.op.name, tuple(v.shape.as_list())), sess)
        step.load(7, sess)
        saver = tf.train.Saver(tf.global_variables())
        saver.save(sess, str(folder / "small.ckpt"), global_step=7, write_meta_graph=False, write_state=False)


def main():
    """As the module says."""
    tf = boot()
    if sys.argv[1] == "--golden":
        out = Path(sys.argv[2])
        codes, logits = wavenet(tf, peerdata.WAVE)
        heard, z, says = baseline(tf)
        np.savez_compressed(
            out, mu_law=mu_law(tf), codes=codes, logits=logits[::32], forced=forced(tf, codes, peerdata.FORCED),
            heard=heard[::8, ::8], z=z, says=says[::8, ::8],
        )  # fmt: skip
        small(tf, out.parent)
        return
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    heard, z, says = baseline(tf, str(out / "baseline.ckpt"))
    codes, logits = wavenet(tf, 2048, str(out / "model.ckpt"))
    from magenta.models.nsynth.wavenet import fastgen

    whole = fastgen.encode(peerdata.note(), str(out / "model.ckpt-200000"))[0]
    np.savez(
        out / "peer.npz", mu_law=mu_law(tf), heard=heard, z=z, says=says, codes=codes, logits=logits, whole=whole,
        forced=forced(tf, codes, 2000),
    )  # fmt: skip


main()
