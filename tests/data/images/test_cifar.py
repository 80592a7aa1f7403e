import io
import json
import pickle
import tarfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mixop.core.errors import DataError, DataWarning
from mixop.data import CIFAR10_DARTS, CIFAR100_DARTS, Cifar10, Data, cifar10, cifar100

RNG = np.random.default_rng(0)
Files = dict[str, bytes]


def pixels(count: int) -> np.ndarray:
    return RNG.integers(0, 256, (count, 3072), dtype=np.uint8)


CLASSES = {10: [f"thing{k}" for k in range(10)], 100: [f"thing{k}" for k in range(100)]}
# Four examples of each class over five batches, and one of each in the test.
TRAIN10 = [(pixels(8), ((np.arange(8) + 8 * b) % 10).tolist()) for b in range(5)]
TEST10 = (pixels(10), list(range(9, -1, -1)))
TRAIN100 = (pixels(200), (np.arange(200) % 100).tolist())
TEST100 = (pixels(100), list(range(100)))


def python10(protocol: int = 2) -> Files:
    files = {
        f"data_batch_{b}": pickle.dumps({"batch_label": "x", "labels": y, "data": x, "filenames": ["a.png"] * 8}, protocol)
        for b, (x, y) in enumerate(TRAIN10, 1)
    }
    files["test_batch"] = pickle.dumps({b"labels": TEST10[1], b"data": TEST10[0]}, protocol)
    files["batches.meta"] = pickle.dumps({"label_names": CLASSES[10], "num_vis": 3072}, protocol)
    return {f"cifar-10-batches-py/{name}": content for name, content in files.items()}


def binary10() -> Files:
    def batch(part: tuple[np.ndarray, list[int]]) -> bytes:
        return np.concatenate([np.array(part[1], dtype=np.uint8)[:, None], part[0]], axis=1).tobytes()

    files = {f"data_batch_{b}.bin": batch(part) for b, part in enumerate(TRAIN10, 1)}
    files["test_batch.bin"] = batch(TEST10)
    files["batches.meta.txt"] = ("\n".join(CLASSES[10]) + "\n\n").encode()
    return {f"cifar-10-batches-bin/{name}": content for name, content in files.items()}


def python100() -> Files:
    files = {
        name: pickle.dumps({"data": x, "fine_labels": y, "coarse_labels": [0] * len(y)}, 2)
        for name, (x, y) in (("train", TRAIN100), ("test", TEST100))
    }
    files["meta"] = pickle.dumps({"fine_label_names": CLASSES[100], "coarse_label_names": ["all"]}, 2)
    return {f"cifar-100-python/{name}": content for name, content in files.items()}


def binary100() -> Files:
    files = {
        name: np.concatenate([np.zeros((len(y), 1), np.uint8), np.array(y, dtype=np.uint8)[:, None], x], axis=1).tobytes()
        for name, (x, y) in (("train.bin", TRAIN100), ("test.bin", TEST100))
    }
    files["fine_label_names.txt"] = "\n".join(CLASSES[100]).encode()
    return {f"cifar-100-binary/{name}": content for name, content in files.items()}


def pack(path: Path, files: Files) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def unpack(root: Path, files: Files) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


FORMS: dict[str, tuple[Callable[..., Data], Callable[[], Files]]] = {
    "cifar-10-python": (cifar10, python10),
    "cifar-10-binary": (cifar10, binary10),
    "cifar-100-python": (cifar100, python100),
    "cifar-100-binary": (cifar100, binary100),
}


def check(data: Data, kind: str) -> None:
    x, y = (np.concatenate(parts) for parts in zip(*TRAIN10, strict=True)) if "-10-" in kind else TRAIN100
    test_x, test_y = TEST10 if "-10-" in kind else TEST100
    training, test = data.examples.read(data.at("train", "valid").sort().values), data.examples.read(data.test)
    assert np.array_equal(training.x.numpy(), x.reshape(-1, 3, 32, 32))
    assert np.array_equal(training.y.numpy(), y)
    assert np.array_equal(test.x.numpy(), test_x.reshape(-1, 3, 32, 32))
    assert test.y.tolist() == test_y
    assert list(data.task.classes) == CLASSES[data.outputs]


@pytest.mark.parametrize("kind", FORMS)
def test_an_archive_a_folder_and_a_folder_around_them_give_the_same(tmp_path: Path, kind: str):
    load, make = FORMS[kind]
    archive = pack(tmp_path / f"{kind}.tar.gz", make())
    folder = unpack(tmp_path / "unpacked", make())
    places = [archive, tmp_path, folder, folder / next(iter(make())).split("/")[0]]
    prints = set()
    for place in places:
        data = load(place, valid=0.5, seed=3)
        check(data, kind)
        prints.add(data.fingerprint)
        assert data.source is not None
        assert data.source.load().fingerprint == data.fingerprint
    assert len(prints) == 1
    assert list(folder.parent.glob("*.tmp*")) == []


@pytest.mark.parametrize("kind", ["cifar-100-python", "cifar-100-binary"])
def test_coarse_labels_are_the_others(tmp_path: Path, kind: str):
    """The 20 superclasses: in pickles under their own key, in binary files the byte before the fine label."""
    names = [f"group{k}" for k in range(20)]
    files = python100() if kind == "cifar-100-python" else binary100()
    for name, (x, y) in (("train", TRAIN100), ("test", TEST100)):
        coarse = [label // 5 for label in y]
        if kind == "cifar-100-python":
            content = pickle.dumps({b"data": x, b"fine_labels": y, b"coarse_labels": coarse}, 2)
            files[f"{kind}/{name}"] = content
        else:
            columns = np.array([coarse, y], dtype=np.uint8).T
            files[f"{kind}/{name}.bin"] = np.concatenate([columns, x], axis=1).tobytes()
    files[f"{kind}/meta"] = pickle.dumps({"fine_label_names": CLASSES[100], "coarse_label_names": names}, 2)
    files[f"{kind}/coarse_label_names.txt"] = "\n".join(names).encode()
    unpack(tmp_path, {name: content for name, content in files.items() if kind == "cifar-100-binary" or ".txt" not in name})
    check(cifar100(tmp_path), kind)
    data = cifar100(tmp_path, coarse=True)
    assert data.y[:200].tolist() == [label // 5 for label in TRAIN100[1]]
    assert data.test_y.tolist() == [label // 5 for label in TEST100[1]]
    assert list(data.task.classes) == names
    assert data.source is not None
    assert data.source.load().outputs == 20


def test_python_2_pickles(tmp_path: Path):
    """The official files were written by Python 2: texts are bytes, and the array's bytes are a short or long string."""

    def text(value: str) -> bytes:
        return b"U" + bytes([len(value)]) + value.encode()

    def batch(x: np.ndarray, y: list[int]) -> bytes:
        labels = b"(" + b"".join(b"K" + bytes([label]) for label in y) + b"l"
        array = (
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text("b") + b"tR"
            b"(K\x01(K" + bytes([len(x)]) + b"M\x00\x0ct"
            b"cnumpy\ndtype\n("
            + text("u1")
            + b"K\x00K\x01tR(K\x03"
            + text("|")
            + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
            b"\x89T" + x.nbytes.to_bytes(4, "little") + x.tobytes() + b"tb"
        )
        return b"\x80\x02}(" + text("labels") + labels + text("data") + array + b"u."

    files = python10()
    for b, part in enumerate(TRAIN10, 1):
        files[f"cifar-10-batches-py/data_batch_{b}"] = batch(*part)
    check(cifar10(unpack(tmp_path, files)), "cifar-10-python")


@pytest.mark.parametrize("protocol", range(2, 6))
def test_every_pickle_protocol(tmp_path: Path, protocol: int):
    check(cifar10(unpack(tmp_path, python10(protocol))), "cifar-10-python")


def test_augmentation_and_split_by_default(tmp_path: Path):
    data = cifar10(unpack(tmp_path, {**binary10(), **python100()}))
    assert data.augment == CIFAR10_DARTS
    assert data.source == Cifar10(str(tmp_path))
    assert torch.bincount(data.targets("train")).tolist() == torch.bincount(data.targets("valid")).tolist() == [2] * 10
    assert cifar100(tmp_path).augment == CIFAR100_DARTS


def test_checksums_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = python10()
    record = cifar10(unpack(tmp_path / "a", files)).record
    assert json.loads(json.dumps(record)) == record
    assert record["official"] is False
    assert set(record["files"]) == set(files)
    assert all(len(file["md5"]) == 32 and file["official"] is False for file in record["files"].values())

    sums = {name: file["md5"] for name, file in record["files"].items()}
    monkeypatch.setattr("mixop.data.images.cifar.OFFICIAL_MD5", sums | {"cifar-10-python.tar.gz": "0" * 32})
    assert cifar10(tmp_path / "a").record["official"] is True
    packed = cifar10(pack(tmp_path / "again.tar.gz", files)).record  # packed again: other archive, same files
    assert packed["official"] is True
    assert packed["files"]["cifar-10-python.tar.gz"]["official"] is False


def test_checksums_of_unpacked_binary_files_are_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert cifar10(unpack(tmp_path, binary10())).record["official"] is None
    archive = pack(tmp_path / "cifar-10-binary.tar.gz", binary10())
    record = cifar10(archive).record
    assert record["official"] is False
    monkeypatch.setattr("mixop.data.images.cifar.OFFICIAL_MD5", {archive.name: record["files"][archive.name]["md5"]})
    assert cifar10(archive).record["official"] is True


class Trap:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("value", ["trap", OrderedDict(a=1), np.float64(3), np.arange(3, dtype=object)])
def test_a_file_that_names_code_is_refused_and_does_not_run(tmp_path: Path, value: object):
    mark = tmp_path / "ran"
    files = python10()
    content = {"data": TRAIN10[0][0], "labels": TRAIN10[0][1], "extra": Trap(mark) if isinstance(value, str) else value}
    files["cifar-10-batches-py/data_batch_1"] = pickle.dumps(content, 2)
    if isinstance(value, np.ndarray):  # an array of another type does no harm: it stays a note
        check(cifar10(unpack(tmp_path, files)), "cifar-10-python")
    else:
        with pytest.raises(DataError, match=r"data_batch_1 of .* is damaged, or not a CIFAR file: it names"):
            cifar10(unpack(tmp_path, files))
    assert not mark.exists()


@pytest.mark.parametrize(
    "payload",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"cnumpy\nfromfile\n(S'/etc/hostname'\ntR.",
        b"cnumpy.core.multiarray\nscalar\n(S'x'\ntR.",
        b"c_codecs\nencode\nc_codecs\nencode\n}S'__code__'\nNs\x86b.",
        b"\x80\x02Pabc\n.",
        b"\x80\x04" + b"(" * 10,
    ],
)
def test_crafted_pickles_are_refused(tmp_path: Path, payload: bytes):
    files = python10() | {"cifar-10-batches-py/test_batch": payload}
    with pytest.raises(DataError, match=r"test_batch of .* is damaged, or not a CIFAR file"):
        cifar10(unpack(tmp_path, files))


def changed(**changes: object) -> bytes:
    return pickle.dumps({"data": TRAIN10[0][0], "labels": TRAIN10[0][1]} | changes, 2)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is damaged, or not a CIFAR file"),
        (pickle.dumps([1, 2], 2), "must hold a dict, got list"),
        (pickle.dumps({"a": 1}, 2), "must hold an array under 'data' and a list under 'labels'"),
        (changed(data=[[0] * 3072] * 8), "must hold an array under 'data'"),
        (changed(data=TRAIN10[0][0].astype(np.float32)), "must be uint8, got f4"),
        (changed(data=TRAIN10[0][0][:, :3000]), r"must have the shape \(N, 3072\), got \(8, 3000\)"),
        (changed(data=TRAIN10[0][0].reshape(8, 3, 32, 32)), r"must have the shape \(N, 3072\)"),
        (changed(labels=TRAIN10[0][1][:-1]), "7 labels and 8 images"),
        (changed(labels=[*TRAIN10[0][1][:-1], 10]), "must run from 0 to 9, got 10: is it cifar10?"),
        (changed(labels=[*TRAIN10[0][1][:-1], -1]), "must be whole numbers from 0"),
        (changed(labels=[*TRAIN10[0][1][:-1], 1.0]), "must be whole numbers from 0"),
        (pickle.dumps({"data": TRAIN10[0][0][:0], "labels": []}, 4), "is empty"),
    ],
)
def test_a_python_batch_of_the_wrong_form_is_refused(tmp_path: Path, content: bytes, sentence: str):
    files = python10() | {"cifar-10-batches-py/data_batch_1": content}
    with pytest.raises(DataError, match=f"data_batch_1 of .*{sentence}"):
        cifar10(unpack(tmp_path, files))


def test_a_fortran_ordered_array_keeps_its_pixels(tmp_path: Path):
    files = python10() | {"cifar-10-batches-py/data_batch_1": changed(data=np.asfortranarray(TRAIN10[0][0]))}
    check(cifar10(unpack(tmp_path, files)), "cifar-10-python")


@pytest.mark.parametrize("kept", [10, 1000, -5000, -1])
@pytest.mark.parametrize("kind", FORMS)
def test_a_truncated_file_is_refused(tmp_path: Path, kind: str, kept: int):
    load, make = FORMS[kind]
    files = make()
    name = next(iter(files))
    with pytest.raises(DataError, match=r"damaged|cut short"):
        load(unpack(tmp_path, files | {name: files[name][:kept]}))


@pytest.mark.parametrize("kept", [0, 5, 100, 20000, -2000, -1])
def test_a_truncated_archive_is_refused(tmp_path: Path, kept: int):
    archive = pack(tmp_path / "cifar-10-python.tar.gz", python10())
    archive.write_bytes(archive.read_bytes()[:kept])
    with pytest.raises(DataError, match="is damaged or cut short, get it again"):
        cifar10(archive)


def test_a_flipped_bit_in_an_archive_is_refused(tmp_path: Path):
    archive = pack(tmp_path / "cifar-10-binary.tar.gz", binary10())
    content = bytearray(archive.read_bytes())
    content[-8] ^= 1  # in the checksum of the packed file: all its members can still be read
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"is damaged or cut short.*CRC"):
        cifar10(archive)


def test_an_empty_binary_file_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"test_batch\.bin of .* is empty"):
        cifar10(unpack(tmp_path, binary10() | {"cifar-10-batches-bin/test_batch.bin": b""}))


@pytest.mark.parametrize("missing", ["data_batch_4", "test_batch", "batches.meta"])
@pytest.mark.parametrize("packed", [True, False])
def test_a_missing_file_is_named(tmp_path: Path, missing: str, packed: bool):
    files = python10()
    del files[f"cifar-10-batches-py/{missing}"]
    with pytest.raises(DataError, match=f"is incomplete, {missing} is missing"):
        cifar10(pack(tmp_path / "a.tar.gz", files) if packed else unpack(tmp_path, files))


def test_where_there_is_nothing(tmp_path: Path):
    with pytest.raises(DataError, match=r"cifar10 needs cifar-10-python\.tar\.gz .* does not exist: get the archive"):
        cifar10(tmp_path / "none")
    with pytest.raises(DataError, match=r"holds neither"):
        cifar10(tmp_path)
    with pytest.raises(DataError, match=r"must hold the folder cifar-100-python or cifar-100-binary of cifar100"):
        cifar100(pack(tmp_path / "cifar-10-python.tar.gz", python10()))
    with pytest.raises(DataError, match="is damaged or cut short"):
        cifar10(unpack(tmp_path, {"page.html": b"<html>not found</html>"}) / "page.html")


def test_names_that_do_not_fit_are_refused(tmp_path: Path):
    files = binary10() | {"cifar-10-batches-bin/batches.meta.txt": b"cat\ndog\n"}
    with pytest.raises(DataError, match="must name 10 classes, got 2"):
        cifar10(unpack(tmp_path, files))
    files = python10() | {"cifar-10-batches-py/batches.meta": pickle.dumps({"names": []}, 2)}
    with pytest.raises(DataError, match="must hold the class names under 'label_names'"):
        cifar10(unpack(tmp_path / "py", files))


def test_members_outside_the_expected_folder_are_not_read_and_nothing_is_unpacked(tmp_path: Path):
    archive = tmp_path / "in" / "a.tar.gz"
    archive.parent.mkdir()
    pack(archive, {"../escape": b"x", "/cifar-10-batches-py/test_batch": b"x", "data_batch_1": b"x"} | python10())
    with pytest.warns(DataWarning, match=r"^cifar10 was read without files of other names \(3: \.\./escape, "):
        data = cifar10(archive)
    check(data, "cifar-10-python")
    assert data.record["left_out"]["files of other names"]["count"] == 3
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.tar.gz"]


def test_a_batch_that_does_not_belong_to_the_set_is_named(tmp_path: Path):
    folder = tmp_path / "cifar-10-batches-py"
    for name, content in python10().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (folder / "data_batch_6").write_bytes(b"more")
    (folder / "readme.html").write_text("about the set")
    with pytest.warns(DataWarning, match=r"files of other names \(1: data_batch_6\)"):
        cifar10(tmp_path)


REAL = Path(__file__).parents[3].parent / "shared" / "data"


@pytest.mark.skipif(not (REAL / "cifar10_train_0.webp").exists(), reason="the real CIFAR-10 images are not on this machine")
def test_real_images_in_the_official_form(tmp_path: Path):
    image_module = pytest.importorskip("PIL.Image", reason="needs pillow")
    with image_module.open(REAL / "cifar10_test.webp") as mosaic:  # 50 images a row
        whole = np.asarray(mosaic.convert("RGB"))
    rows = whole.reshape(whole.shape[0] // 32, 32, 50, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)
    names = np.load(REAL / "cifar10_labels.npz")
    labels = names["test_y"]
    planes = rows.transpose(0, 3, 1, 2).reshape(len(rows), 3072)
    files = {
        f"cifar-10-batches-py/data_batch_{b + 1}": pickle.dumps(
            {"data": planes[500 * b : 500 * b + 500], "labels": labels[500 * b : 500 * b + 500].tolist()}, 2
        )
        for b in range(5)
    }
    files["cifar-10-batches-py/test_batch"] = pickle.dumps({"data": planes[2500:], "labels": labels[2500:].tolist()}, 2)
    files["cifar-10-batches-py/batches.meta"] = pickle.dumps({"label_names": [str(n) for n in names["classes"]]}, 2)
    data = cifar10(pack(tmp_path / "cifar-10-python.tar.gz", files))
    read = data.examples.read(torch.arange(3000))
    assert np.array_equal(read.x.permute(0, 2, 3, 1).numpy(), rows)
    assert read.y.tolist() == labels.tolist()
    assert data.test.tolist() == list(range(2500, 3000))
    assert data.task.classes[0] == "airplane"
    # The published moments of the training set fit these images to 3 %.
    normal = replace(data.augment, crop=0, flip=False).plain(read.x[:2500])
    assert normal.mean((0, 2, 3)).abs().max() < 0.03
    assert (normal.std((0, 2, 3)) - 1).abs().max() < 0.03
