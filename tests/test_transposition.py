"""Codes at other keys: what the network says, how it is played, and how it is trained and exported."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nsynth_instrument.bank import Instrument
from nsynth_instrument.bundle import Bundle, find
from nsynth_instrument.codecs import Kept
from nsynth_instrument.codecs.harmonic import least
from nsynth_instrument.codecs.transposition import (
    FILE,
    REACH,
    SPANS,
    STEPS,
    Transposition,
    added,
    familiar,
    packed,
    told,
    unpacked,
    woven,
)
from nsynth_instrument.codes import DIMS, FRAMES
from nsynth_instrument.dsp.detail import MEANT, Means
from nsynth_instrument.dsp.partials import BANDS
from nsynth_instrument.dsp.timbre import KEY
from nsynth_instrument.errors import BundleError, DataError
from nsynth_instrument.instruments import read_bank
from nsynth_instrument.mixing import Mixer, alone
from nsynth_instrument.notes import Note
from nsynth_instrument.runtimes import open_codec

CONFIG = {"seen": 6, "width": 8, "blocks": 2, "level": 3, "noise": 2}


def _weights(seed: int = 0, said: float = 1.0) -> dict[str, np.ndarray]:
    """Of a small network that sees the first code frame's first six numbers, as a model keeps them."""
    rng = np.random.default_rng(seed)
    seen, width, level, noise = (CONFIG[k] for k in ("seen", "width", "level", "noise"))
    shapes = {"start": (width, seen + 2 * KEY + 2), "say": (seen, width), "few_level": (level, width), "few_noise": (noise, width)}
    shapes |= {"level": (3 * MEANT, level), "noise": (3 * BANDS, noise)}
    shapes |= {f"blocks.{i}.{part}": (width, width) for i in range(2) for part in ("mix", "out")}
    out = {f"{n}.weight": rng.normal(0, 0.3, s) for n, s in shapes.items()}
    out |= {f"{n}.bias": rng.normal(0, 0.1, s[0]) for n, s in shapes.items()}
    for name in ("norm", *(f"blocks.{i}.norm" for i in range(2))):
        out |= {f"{name}.weight": rng.normal(1, 0.2, width), f"{name}.bias": rng.normal(0, 0.2, width)}
    for part in ("weight", "bias"):
        out[f"say.{part}"] *= said
    root = np.tile(np.eye(DIMS) * 2, (FRAMES, 1, 1))
    basis = np.eye(FRAMES * DIMS)[:, :seen]
    out |= {"root": root, "inverse": root / 4, "mean": rng.normal(0, 0.1, FRAMES * DIMS), "basis": basis}
    return packed(out | {"size": np.linspace(2, 1, seen), "scale": np.linspace(2, 1, seen)})


def test_what_is_said_of_a_note_does_not_depend_on_what_else_is_asked() -> None:
    from safetensors.numpy import load_file

    keys = Transposition(load_file(find("harmonic").path(FILE)))
    codes, known = [_codes(seed=i) for i in range(23)], [Note(40 + i, 100) for i in range(23)]
    wanted, sure = [Note(90 - i, 25 + i) for i in range(23)], np.linspace(0, 1, 23)
    every, missed = keys(codes, known, wanted, sure), keys.missed(codes, known)
    for some in (slice(7, 8), slice(3, 6), slice(1, 22)):
        for (codes_alone, alone_), (codes_among, among) in zip(
            keys(codes[some], known[some], wanted[some], sure[some]), every[some], strict=True
        ):
            assert np.array_equal(codes_alone, codes_among)
            assert np.array_equal(alone_.level, among.level)
            assert np.array_equal(alone_.noise, among.noise)
        assert np.array_equal(keys.missed(codes[some], known[some]), missed[some])


def _codes(frames: int = FRAMES, seed: int = 1) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(0, 0.05, (frames, DIMS)), axis=0).astype(np.float32)


def test_spans_are_a_whole_note_and_what_refining_added_comes_back() -> None:
    assert [a for a, _ in SPANS[1:]] == [b for _, b in SPANS[:-1]] and (SPANS[0][0], SPANS[-1][1]) == (0, FRAMES)
    assert np.allclose(woven(FRAMES).sum(axis=1), 1) and np.allclose(woven(300).sum(axis=1), 1)
    heard, more = _codes(), np.linspace(-1, 1, DIMS, dtype=np.float32)
    assert np.abs(woven(FRAMES) @ (added(heard + more, heard) / np.float32(STEPS)) - more).max() <= 0.5 / STEPS + 1e-6


def test_eight_bits_keep_a_matrix_to_a_255th_of_each_row_s_largest() -> None:
    x = np.random.default_rng(0).normal(0, 1, (200, 100)) * np.geomspace(1e-3, 10, 200)[:, None]
    kept = packed({"large": x, "small": x[:3]})
    assert kept["large"].dtype == np.int8 and kept["small"].dtype == np.float32
    assert (np.abs(unpacked(kept)["large"] - x) <= np.abs(x).max(axis=1, keepdims=True) / 253).all()


def test_the_same_as_the_network_that_was_trained() -> None:
    torch = pytest.importorskip("torch")
    from nsynth_instrument.nets.transposition import KeyConfig, KeyNetwork

    weights, note, wanted = _weights(), Note(60, 100), Note(67, 50)
    net = KeyNetwork(KeyConfig(**CONFIG))
    net.load_state_dict({k: torch.from_numpy(v) for k, v in unpacked(weights).items()})
    codes, size = _codes(), unpacked(weights)["scale"]
    heard = (2 * codes[0, :6] - unpacked(weights)["mean"][:6]) / size
    with torch.no_grad():
        asked = (net(torch.from_numpy(heard[None]), torch.from_numpy(told(note, n)[None])) for n in (wanted, note))
        (there, level, noise), (here, *_) = ([x.numpy()[0] for x in found] for found in asked)
    (drift, lost), = Transposition(weights)([codes], [note], [wanted], [0.5])
    assert np.allclose(drift[0, :6], (there - here + 0.5 * (here - heard)) * size / 2, atol=1e-4) and not drift[1:].any() and not drift[0, 6:].any()
    assert np.allclose(lost.level, level, atol=1e-4) and np.allclose(lost.noise, noise, atol=1e-4)
    assert np.abs(drift).max() > 0.05


def test_at_its_own_key_nothing_moves_and_beyond_its_reach_what_it_says_holds() -> None:
    t, codes = Transposition(_weights()), _codes()
    own, velocity, far, farther = t([codes] * 4, [Note(30)] * 4, [Note(30), Note(30, 20), Note(30 + REACH), Note(90)], [0.0] * 4)
    assert np.abs(own[0]).max() < 1e-5 and np.abs(velocity[0]).max() > 0.05
    assert np.allclose(far[0], farther[0], atol=1e-5) and np.allclose(far[1].level, farther[1].level, atol=1e-4)


def test_a_batch_is_its_notes_and_lengths_are_kept() -> None:
    t, some = Transposition(_weights()), [_codes(n, n) for n in (125, 40, 300, 60)]
    notes, wanted = [Note(p) for p in (40, 60, 80, 50)], [Note(p) for p in (52, 48, 81, 50)]
    for (a, lost), b, c, w in zip(t(some, notes, wanted, [1.0] * 4), some, notes, wanted, strict=True):
        assert a.shape == b.shape
        alone, other = t([b], [c], [w], [1.0])[0]
        assert np.allclose(alone, a, atol=1e-5) and np.allclose(other.noise, lost.noise, atol=1e-5)


def test_a_sound_is_familiar_when_its_own_key_says_its_own_codes() -> None:
    assert familiar(Transposition(_weights(said=0.0)).missed([_codes()], [Note(60)])) == pytest.approx(1)
    assert familiar(Transposition(_weights(said=3.0)).missed([_codes()], [Note(60)])) == pytest.approx(0)


def test_the_least_lies_between_what_was_asked() -> None:
    at = range(-15, 16, 3)
    for there in (-12, -7, 0, 8, 11):
        assert least(at, np.square(np.array(at) - there).astype(np.float32)) == there
    assert least(at, np.arange(11, dtype=np.float32)) == -15 and least(at, -np.arange(11, dtype=np.float32)) == 15


def test_a_sound_is_known_however_loud_it_is() -> None:
    codec, bank = open_codec(find("harmonic"), threads=1), read_bank(find("harmonic"))
    note, wanted = Note(64, 75), Note(76, 75)
    sound = codec.decode([bank["trumpet"].at(note)], [note], temperature=0)[0]
    found = []
    for gain in (0, 8):
        louder = [sound * np.float32(10 ** (gain / 20))]
        kept = codec._known(codec.keys, codec.analyse(louder, [note]), [note], codes := codec.encode(louder, [note]))
        (moved, lost), = codec.transposed(codes, [note], [wanted], [Kept(kept, 0)])
        found.append((float(kept["familiar"][0]), int(kept["gain"][0]), codec.levels([moved], [wanted], detail=[[lost]])[0]))
    (known, before, plain), (still, after, loud) = found
    assert known == still == 1 and abs(before - after - 8) <= 1
    assert np.abs(loud - plain - 8)[50:350].max() < 1


def test_other_weights_are_refused() -> None:
    start, scale, flat = np.zeros((8, 3), np.float32), np.ones(3, np.float32), {**_weights(), "basis": np.ones(6, np.float32)}
    del flat["basis/scale"]
    for weights in ({}, {**_weights(), "start.weight": start}, {**_weights(), "scale": scale}, flat):
        with pytest.raises(BundleError, match="another network"):
            Transposition(weights)


def test_means_last_as_long_as_their_spans_and_say_nothing_of_what_moves() -> None:
    means = Means(np.arange(3 * 5, dtype=np.float32).reshape(3, 5), np.ones((3, BANDS), np.float32))
    for frames in (500, 200, 40):
        found = means.over(frames)
        assert found.level.shape == (frames, 5) and found.noise.shape == (frames, BANDS)
        assert not found.quick and not found.deviation.any() and not found.attack.any()
    long = means.over(500)
    assert np.allclose(long.level[[0, 200, 499]], means.level)


class _Moving:
    """Of a codec: codes move by a semitone's number, and a dB is expected to be lost."""

    def __init__(self) -> None:
        self.asked: list[tuple[Note, Note]] = []

    def transposed(
        self, codes: Sequence[np.ndarray], notes: Sequence[Note], wanted: Sequence[Note], kept: Sequence[Kept | None]
    ) -> list[tuple[np.ndarray, Kept | None]]:
        self.asked += zip(notes, wanted, strict=True)
        lost = Means(np.ones((3, 4), np.float32), np.ones((3, BANDS), np.float32))
        there = zip(codes, notes, wanted, strict=True)
        return [(c + np.float32(w.pitch - n.pitch), Kept(lost, 0, 0.5) if n != w else None) for c, n, w in there]


def test_a_note_between_known_ones_is_the_mean_of_what_each_would_be_there() -> None:
    codes = np.stack([_codes(seed=s) for s in (1, 2)])
    known = Instrument(
        "a", "keyboard", "acoustic", "A", "MIT", np.array([60, 64], np.int16), np.array([100, 100], np.int16), codes
    )
    codec = _Moving()
    between, own = alone(codec, [(known, Note(61, 100)), (known, Note(64, 100))], FRAMES)  # type: ignore[arg-type]
    assert np.allclose(between.codes, 0.75 * (codes[0] + 1) + 0.25 * (codes[1] - 3), atol=1e-6)
    assert np.array_equal(own.codes, codes[1])
    assert [k.weight for k in between.detail] == [0.375, 0.125] and not own.detail
    assert codec.asked == [(Note(60, 100), Note(61, 100)), (Note(64, 100), Note(61, 100)), (Note(64, 100), Note(64, 100))]


def test_what_is_expected_to_be_lost_is_added_as_loud_as_it_is_known() -> None:
    codec, note = open_codec(find("harmonic"), threads=1), Note(60)
    lost = Means(np.full((3, 20), 6, np.float32), np.full((3, BANDS), -6, np.float32))
    codes = read_bank(find("harmonic"))["flute"].codes[:1]
    plain, more = (codec.levels(codes, [note], detail=[d])[0] for d in ([], [Kept(lost, 0, 0.5)]))
    held = slice(100, 300)
    assert np.allclose((more - plain)[held], 3, atol=0.2)


def test_shipped_notes_come_nearer_to_the_notes_they_are_to_be() -> None:
    model = find("harmonic")
    codec, bank = open_codec(model, threads=1), read_bank(model)
    before, after = [], []
    for name in ("flute", "piano", "trumpet", "strings", "bass", "organ"):
        i = bank[name]
        at = {(int(p), int(v)): k for k, (p, v) in enumerate(zip(i.pitches, i.velocities, strict=True))}
        pairs = [(k, at[p + 12, v]) for (p, v), k in at.items() if (p + 12, v) in at]
        notes = [Note(int(p), int(v)) for p, v in zip(i.pitches, i.velocities, strict=True)]
        them = [[of[k] for k, _ in pairs] for of in (i.codes, notes)]
        made = codec.transposed(*them, [notes[b] for _, b in pairs], [Kept(i.detail or {}, a) for a, _ in pairs])
        before += [np.square(i.codes[a] - i.codes[b]).mean() for a, b in pairs]
        after += [np.square(m - i.codes[b]).mean() for (m, _), (_, b) in zip(made, pairs, strict=True)]
    assert len(before) > 60 and np.mean(after) < 0.6 * np.mean(before)


def test_damaged_details_are_refused_in_a_sentence() -> None:
    codec = open_codec(find("harmonic"), threads=1)
    for spoilt in (np.zeros((0,), np.float16), np.zeros((2, 3), np.float16), np.array(["x"])):
        with pytest.raises(DataError, match="damaged"):
            codec.transposed([_codes()], [Note(60)], [Note(72)], [Kept({"familiar": spoilt}, 0)])
    known = np.ones(1, np.float16)
    with pytest.raises(DataError, match="damaged"):
        codec.transposed([_codes()], [Note(60)], [Note(72)], [Kept({"familiar": known, "added": np.zeros((1, 3), np.int8)}, 0)])
    (odd, lost), = codec.transposed([_codes()], [Note(60)], [Note(63)], [Kept({"familiar": np.array([np.nan], np.float16)}, 0)])
    assert np.array_equal(odd, _codes()) and lost is None, "no number is no knowledge"


def test_a_model_without_it_leaves_codes_to_the_decoder(model: Bundle) -> None:
    assert not model.has(FILE)
    bank, codec = read_bank(model), open_codec(model, threads=1)
    mixed = alone(codec, [(bank["flute"], Note(61, 90))], 125)[0]
    assert np.allclose(mixed.codes, bank["flute"].at(Note(61, 90)), atol=1e-6)


def test_a_note_s_codes_do_not_depend_on_the_others() -> None:
    from nsynth_instrument.codes import Morph

    model = find("harmonic")
    mixer = Mixer(read_bank(model), open_codec(model, threads=1), 125)
    jobs = [(Morph.between("flute", "bass", 0.5), Note(p, 90)) for p in (50, 61, 62)]
    together = mixer.mix(jobs)
    for job, m in zip(jobs, together, strict=True):
        assert np.allclose(mixer.mix([job])[0].codes, m.codes, atol=1e-5)


@pytest.fixture(scope="module")
def run(_model: Bundle, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float], dict[str, float]]:
    """A run of a second on a small model's codes: its folder, and what validation said before and after."""
    torch = pytest.importorskip("torch")
    from nsynthset import make

    from nsynth_instrument.training import plan
    from nsynth_instrument.training.loop import Run

    folder = tmp_path_factory.mktemp("keys")
    splits = {"train": [("one", 2), ("two", 3)], "valid": [("three", 2)]}
    data = make(folder / "set", splits=splits, pitches=range(57, 82, 6), rate=48000)
    asked = plan.TrainingPlan.of(
        "small", {"kind": "transposition", "network": {"of": str(_model.folder), "seen": 12, "width": 16, "blocks": 1},
                  "recipe": {"probes": 4, "held_pitches": [69]}, "schedule": {"batch": 64, "warmup": 5, "rate": 5e-3, "average": 0.9}},
        where="a test",
    )  # fmt: skip
    task, schedule, about = plan.prepare(asked, data, folder / "features", lambda *_: None)
    plan.remember(folder / "run", asked, about)
    going = Run(folder / "run", task, schedule)
    before = task.validate(going.averaged())
    batch = task.batch(np.random.default_rng(0), 3)
    again = task.batch(np.random.default_rng(0), 3)
    assert all(torch.equal(batch[k], again[k]) for k in batch)
    assert batch["heard"].shape == (4, 12) and batch["level"].shape == (4, 3, MEANT), "three pairs, and one note twice"
    assert {i.index["pitch"][r] for i, rows in zip(task.instruments, task.train_rows, strict=True) for r in rows} == {57, 63, 75, 81}
    assert not any("voice" in k for k in going.plain.state_dict()), "the voice is no part of what is learned"
    list(going.train(5 / 60))
    return folder / "run", before, task.validate(going.averaged())


def test_it_learns_what_codes_are_at_other_keys(run: tuple[Path, dict[str, float], dict[str, float]]) -> None:
    _, before, after = run
    assert set(after) >= {"loss", "pitches/codes", "pitches/level", "pitches/decoded", "instruments/noise"}
    assert all(after[f"pitches/{k}"] < before[f"pitches/{k}"] for k in ("codes", "level", "noise"))


def test_a_run_becomes_part_of_the_model(
    run: tuple[Path, dict[str, float], dict[str, float]], model: Bundle, tmp_path: Path
) -> None:
    from nsynth_instrument.training.export import export

    made = export(run[0], tmp_path / "out", licence="MIT")
    assert made.has(FILE) and {**made.files, FILE: ""} == {**model.files, FILE: ""}
    codec, bank = open_codec(made, threads=1), read_bank(made)
    codes = bank["flute"].codes[0]
    kept = Kept({"familiar": np.ones(1, np.float16)}, 0)
    (moved, lost), (own, none) = codec.transposed([codes] * 2, [Note(60)] * 2, [Note(72), Note(60)], [kept] * 2)
    assert np.array_equal(own, codes) and none is None and lost is not None and not np.array_equal(moved, codes)
