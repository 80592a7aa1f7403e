"""Damaged input of every kind gives a value or one sentence: no other error, no hang, and no code of the input's choice.

Seeded, so that a failure comes again. A few mutations of every file run each time; `make test-all` runs thousands.
"""

import base64
import bz2
import copy
import hashlib
import json
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from mutations import mutated_bytes, mutated_json, mutated_lines, mutated_text, mutated_value, outcome

from mixop import api
from mixop.cli import main
from mixop.cli.arguments import parse
from mixop.cli.commands import COMMANDS
from mixop.data import Cifar10, Cifar100, Folder, ImageNet16, Npz, Sheets, Split, Text
from mixop.evaluate.trained import load_network
from mixop.recipe.parts import recipe_to_json
from mixop.recipes import RECIPES
from mixop.report.comparison_files import read_comparison
from mixop.report.comparison_page import render as render_comparison
from mixop.report.html import write_report
from mixop.runs.directory import RunDirectory
from mixop.runs.read import read_run
from mixop.searchers import SEARCHERS
from mixop.searchers.driver import read_rows, run_search
from mixop.spaces import SPACES, CellSpace, nasbench101, nasbench201, toy
from mixop.tables import Column, Table, write_table
from mixop.tables.conversion import convert
from mixop.tables.layout import BLANK
from mixop.tables.tfrecord import masked_crc32c

QUICK, MANY = 3, 60
"""Mutations of every file, by default and in `make test-all`."""

Mutator = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Target:
    """Something that is read: a folder or a file, the files in it that are damaged, and the reader."""

    make: Callable[[Path], Path]
    files: tuple[tuple[str, Mutator], ...]
    read: Callable[[Path], Any]
    slow: bool = False  # takes a second or more: damaged less often, and not by default


def failures(target: Target, folder: Path, name: str, count: int) -> list[str]:
    """What went wrong, for each file that is damaged."""
    whole = target.make(folder)
    found = []
    assert outcome(lambda: target.read(whole), 120) is None, outcome(lambda: target.read(whole), 120)
    for file, mutate in target.files:
        path = whole / file if file else whole
        kept = path.read_bytes()
        saved = {p: p.read_bytes() for p in whole.rglob("*") if p.is_file()} if whole.is_dir() else {}
        for number in range(count):
            path.write_bytes(mutate(kept, Random(f"{name} {file} {number}")))
            wrong = outcome(lambda: target.read(whole))
            if wrong is not None:
                found.append(f"{name} {file} {number}: {wrong}")
            path.write_bytes(kept)
            for other, content in saved.items():  # what reading wrote
                if other.is_file() and other.read_bytes() != content:
                    other.write_bytes(content)
    return found


# Runs


@cache
def _searched() -> dict[str, bytes]:
    """The files of a search with its retraining."""
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "run")
        words = ("--space", "toy", "--data", "toy", "--data.n", "48", "--batch-size", "16", "--epochs", "1", "--quiet")
        assert main(["search", *words, "--out", str(out)]) == 0
        assert main(["retrain", str(out), "--epochs", "1", "--batch-size", "16", "--random", "1", "--quiet"]) == 0
        return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def finished(folder: Path, *, but: tuple[str, ...] = ()) -> Path:
    run = folder / "run"
    for name, content in _searched().items():
        if name not in but:
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_bytes(content)
    return run


RETRAINED = ("retrain.json", "retrain.pt", "score.json", "weights.safetensors")


def searched(folder: Path) -> Path:
    return finished(folder, but=(*RETRAINED, "retrain.pt.previous", "metrics.jsonl"))


def stopped(folder: Path) -> Path:
    """A search that has its last checkpoint, but not its result."""
    run = finished(folder, but=(*RETRAINED, "retrain.pt.previous", "architecture.json"))
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "metrics.jsonl").write_bytes(lines[0])
    return run


def with_checksum(content: bytes, rng: Random) -> bytes:
    """A checkpoint with other data in it, and the right checksum."""
    if rng.random() < 0.3:
        return mutated_bytes(content, rng)
    head, _, payload = content.partition(b"\n")
    import io

    state = torch.load(io.BytesIO(payload), weights_only=True)
    odd = (None, 0, -1, 10**6, 2.5, "x", [], {}, torch.zeros(3), torch.zeros(0), torch.tensor([1, 2]), ["a"], {"a": 1})
    buffer = io.BytesIO()
    torch.save(mutated_value(state, rng, odd), buffer)
    payload = buffer.getvalue()
    return head.rpartition(b" ")[0] + b" " + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload


def restore(run: Path) -> Any:
    """Takes up a checkpoint; what would follow may take as long as the damaged numbers say."""
    from mixop.data import source_from_json
    from mixop.engine.loop import Search
    from mixop.engine.settings import Settings
    from mixop.evaluate.trained import read_space

    directory = RunDirectory(run)
    data = source_from_json(directory.read_json("data.json")["source"]).load()
    job = Search(api.read_recipe(directory), read_space(directory), data, directory, Settings())
    with directory.locked():
        job.restore()


SEARCH_FILES = tuple((name, mutated_json) for name in ("recipe.json", "space.json", "data.json", "settings.json", "run.json"))
RUNS = {
    "a finished run, read": Target(
        finished,
        (
            *SEARCH_FILES,
            ("environment.json", mutated_json),
            ("architecture.json", mutated_json),
            ("score.json", mutated_json),
            ("metrics.jsonl", mutated_lines),
        ),
        read_run,
    ),
    "a finished search, resumed": Target(
        searched, (*SEARCH_FILES, ("architecture.json", mutated_json), ("environment.json", mutated_json)), api.resume
    ),
    "a finished retraining, resumed": Target(
        finished,
        (*SEARCH_FILES, ("retrain.json", mutated_json), ("score.json", mutated_json), ("environment.json", mutated_json)),
        api.resume,
    ),
    "a trained network": Target(
        finished,
        (
            ("score.json", mutated_json),
            ("space.json", mutated_json),
            ("architecture.json", mutated_json),
            ("weights.safetensors", mutated_bytes),
        ),
        load_network,
    ),
    "a checkpoint": Target(stopped, (("state.pt", with_checksum),), restore),
    "a report": Target(
        finished,
        (
            ("recipe.json", mutated_json),
            ("data.json", mutated_json),
            ("settings.json", mutated_json),
            ("environment.json", mutated_json),
            ("score.json", mutated_json),
            ("metrics.jsonl", mutated_lines),
        ),
        write_report,
        slow=True,
    ),
}


# Settings


def built(word: str, command: str = "search") -> Callable[[Path], Any]:
    def read(path: Path) -> Any:
        parsed = parse(COMMANDS[command], [word, str(path)])
        return [parsed.build(name) for name in parsed.trees]

    return read


def one_file(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


RECIPE = json.dumps(recipe_to_json(RECIPES["pdarts"]())).encode()
VARIANT = (
    b'{"base": "drnas", "regularisers": [{"type": "AnchorL2", "weight": 0.1}], "weight_optimiser": {"lr": {"start": 0.1}}}'
)
CONFIG = json.dumps(
    {
        "settings": {
            "recipe": "gdas",
            "space": "nasbench201",
            "data": "npz",
            "epochs": 9,
            "seed": 3,
            "out": "x",
            "batch-size": 8,
        },
        "recipe": {"warmup": 2, "relaxation": {"temperature": {"type": "Linear", "start": 5.0, "stop": 1.0}}},
        "space": {"operations": ["none", "skip_connect", "nor_conv_3x3"], "channels": 4},
        "data": {"path": "x.npz", "split": {"valid": 0.3}},
    }
).encode()
TOML = b'[settings]\nrecipe = "gdas"\nepochs = 3\n[recipe.weight_optimiser]\ntype = "Adam"\nlr = 1e-3\nbetas = [0.9, 0.99]\n'


def toml_mutation(content: bytes, rng: Random) -> bytes:
    if rng.random() < 0.5:
        return mutated_bytes(content, rng)
    return mutated_text(content.decode(), rng).encode("utf-8", "surrogatepass")


SETTINGS = {
    "a recipe": Target(one_file("mine.json", RECIPE), (("", mutated_json),), built("--recipe")),
    "a variant": Target(one_file("variant.json", VARIANT), (("", mutated_json),), built("--recipe")),
    "settings": Target(one_file("settings.json", CONFIG), (("", mutated_json),), built("--config")),
    "settings in TOML": Target(one_file("settings.toml", TOML), (("", toml_mutation),), built("--config")),
}


# Tables

SMALL = CellSpace(operations=("none", "skip_connect", "nor_conv_3x3"), nodes=3, name="small")


def table(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    texts = [SMALL.to_native(architecture) for architecture in SMALL.architectures()]
    after = {"epochs": 4, "seeds": (5, 6), "after": (2, 4)}
    columns = [
        Column(metric="accuracy", split="valid", values=rng.uniform(0, 100, (27, 2, 2)), dataset="d", **after),
        Column(metric="accuracy", split="test", values=100 * rng.integers(0, 50, 27) / 50, dataset="d", epochs=4, images=50),
        Column(metric="params", values=rng.integers(0, 9, 27)),
    ]
    return write_table(folder / "small.table", columns, name="small", architectures=texts, space=SMALL)


def sealed(content: bytes, rng: Random) -> bytes:
    """A table with another header and its right checksum, or with other bytes."""
    if rng.random() < 0.25:
        return mutated_bytes(content, rng)
    line, _, arrays = content.partition(b"\n")
    header = mutated_value({k: v for k, v in json.loads(line).items() if k not in ("format", "header_sha256")}, rng)
    plain = header if isinstance(header, dict) else {"x": header}
    from mutations import written

    def line_of(digest: str) -> bytes:
        text = written({"format": "mixop-table", **plain, "header_sha256": digest})
        return text + b" " * (-(len(text) + 1) % 64) + b"\n"

    digest = hashlib.sha256(line_of(BLANK)).hexdigest()
    return line_of(digest) + arrays


def ask(path: Path) -> None:
    found = Table.open(path, verify=True)
    for dataset in found.datasets:
        for split in found.splits(dataset):
            for epochs in found.lengths(dataset, split):
                what: dict[str, Any] = {"dataset": dataset, "split": split, "epochs": epochs, "reveal_test": True}
                found.column(**what)
                found.query(0, **what)
                found.best(2, **what)
                found.seeds(dataset, split, epochs=epochs)
                found.curve(dataset, split, epochs=epochs)
    found.native(0)
    found.architecture(0)
    found.index(found.native(1))
    found.measure()
    repr(found)


def converted(path: Path) -> None:
    convert(path, path.parent / "out.table")


def built_npz(folder: Path) -> Path:
    space = nasbench201()
    texts = np.array([space.to_native(space.from_index(i)).encode() for i in range(4)])
    scores = {
        name: np.full((4, 2, 1), 0.5, np.float32) for name in ("valid_accuracy", "test_accuracy", "valid_loss", "test_loss")
    }
    measures = [{"name": "accuracy", "better": "higher", "unit": "", "style": "percent"}, {"name": "loss", "better": "lower"}]
    path = folder / "built-digits.npz"
    np.savez_compressed(
        path,
        arch=texts,
        measures=np.array(json.dumps(measures)),
        train_loss=np.ones((4, 2, 1), np.float32),
        epochs=np.array([3], np.uint16),
        seeds=np.arange(2, dtype=np.uint16),
        valid_examples=np.array(10),
        test_examples=np.array(20),
        params=np.arange(4),
        flops=np.arange(4),
        seconds=np.ones(4, np.float32),
        **scores,
    )
    return path


def other_arrays(content: bytes, rng: Random) -> bytes:
    """An ``.npz`` file with other arrays in it, or with other bytes."""
    if rng.random() < 0.4:
        return mutated_bytes(content, rng)
    import io

    with np.load(io.BytesIO(content)) as file:
        arrays = {name: file[name] for name in file.files}
    name = rng.choice(list(arrays))
    value = arrays[name]
    new: Any = rng.choice(
        (
            lambda: None,
            lambda: value[:0] if value.ndim else value,
            lambda: value[..., None],
            lambda: value.reshape(-1),
            lambda: value.astype("f8") * np.nan if value.dtype.kind in "iuf" else np.array("[]"),
            lambda: (
                value.astype("c8") if value.dtype.kind in "iuf" else np.array([b"\xff\xfe"] * max(len(np.atleast_1d(value)), 1))
            ),
            lambda: np.array("x"),
            lambda: np.array([["a", "b"]]),
            lambda: np.zeros((0, 0)),
            lambda: np.array(mutated_text(str(value), rng).replace("\ud800", "")),
            lambda: -value.astype("i8") if value.dtype.kind in "iu" else value,
            lambda: np.full(value.shape, 2**63, np.uint64),
            lambda: value.astype("M8[s]") if value.dtype.kind in "iu" else value,
            lambda: np.zeros(value.shape, [("a", "f4")]),
        )
    )()
    if new is None:
        del arrays[name]
    else:
        arrays[name] = new
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def csv(folder: Path) -> Path:
    space = nasbench201()
    rows = [f'"{space.to_native(space.from_index(i))}",{i * 10},0.5,{i}' for i in range(4)]
    path = folder / "mine.csv"
    path.write_text("\n".join(["architecture,accuracy/d/valid/12,loss/d/valid/12,params", *rows]) + "\n")
    return path


def official(kind: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / f"NATS-tss.{kind}"
        content = _official()
        if kind == "pth":
            torch.save(content, path)
        else:
            with bz2.BZ2File(path, "wb") as file:
                pickle.dump(content, file, protocol=4)
        return path

    return make


@cache
def _official() -> dict[str, Any]:
    import importlib.util

    spec = importlib.util.spec_from_file_location("official_files", Path(__file__).parent / "tables" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make(2)


PICKLED_ODD = (None, 0, -1, 1e300, float("nan"), "x", "", [], {}, (1, 2), b"x", 10**30, {"a": 1}, [None], True, 3 + 4j, {1, 2})


def repickled(content: bytes, rng: Random) -> bytes:
    if rng.random() < 0.3:
        return mutated_bytes(content, rng)
    if rng.random() < 0.3:
        return bz2.compress(mutated_bytes(bz2.decompress(content), rng))
    return bz2.compress(pickle.dumps(mutated_value(copy.deepcopy(_official()), rng, PICKLED_ODD), protocol=4))


def repickled_pth(content: bytes, rng: Random) -> bytes:
    if rng.random() < 0.5:
        return mutated_bytes(content, rng)
    import io

    buffer = io.BytesIO()
    torch.save(mutated_value(copy.deepcopy(_official()), rng, PICKLED_ODD), buffer)
    return buffer.getvalue()


def cells_of_101(name: str) -> Callable[[Path], Path]:
    """Two cells of NAS-Bench-101, in each of the forms that are read."""
    space = nasbench101()
    specs = [space.spec(space.random(Random(seed))).pruned() for seed in (0, 1)]
    numbers = b"".join(bytes([field << 3 | 1]) + struct.pack("<d", 0.5) for field in range(2, 6))
    message = 3 * (bytes([10, len(numbers)]) + numbers)
    shared = {"validation_accuracy": [0.5, 0.6], "test_accuracy": [0.5, 0.6], "training_time": [1.0, 2.0], "n_params": 10}

    def make(folder: Path) -> Path:
        path = folder / name
        texts = ["".join(str(entry) for row in spec.matrix for entry in row) for spec in specs]
        names = [["input", *spec.operations, "output"] for spec in specs]
        metrics = base64.b64encode(message).decode()
        records = [
            [spec.module_hash(), 4, text, ",".join(ops), metrics] for spec, text, ops in zip(specs, texts, names, strict=True)
        ]
        objects = [{"matrix": spec.matrix, "ops": ops, **shared} for spec, ops in zip(specs, names, strict=True)]
        lines = [json.dumps(entry).encode() for entry in (records if path.suffix == ".tfrecord" else objects)]
        if path.suffix == ".tfrecord":
            path.write_bytes(framed(lines))
        else:
            path.write_bytes(b"\n".join(lines) if path.suffix == ".jsonl" else json.dumps(objects).encode())
        return path

    return make


def framed(texts: list[bytes]) -> bytes:
    """Records of a TFRecord file, with the right checksums."""
    heads = [struct.pack("<Q", len(text)) for text in texts]
    sums = [masked_crc32c(pieces).astype("<u4") for pieces in (heads, texts)]
    return b"".join(h + a.tobytes() + t + b.tobytes() for h, a, t, b in zip(heads, sums[0], texts, sums[1], strict=True))


def reframed(content: bytes, rng: Random) -> bytes:
    """Other bytes, or the first record changed under checksums that are right."""
    if rng.random() < 0.3:
        return mutated_bytes(content, rng)
    size = struct.unpack("<Q", content[:8])[0]
    return framed([mutated_json(content[12 : 12 + size], rng)]) + content[16 + size :]


TABLES = {
    "a table": Target(table, (("", sealed),), ask),
    "a file of NAS-Bench-101": Target(cells_of_101("nb.tfrecord"), (("", reframed),), converted),
    "cells of NAS-Bench-101": Target(cells_of_101("nb.json"), (("", mutated_json),), converted),
    "lines of NAS-Bench-101": Target(cells_of_101("nb.jsonl"), (("", mutated_lines),), converted),
    "a built table": Target(built_npz, (("", other_arrays),), converted),
    "a table in CSV": Target(csv, (("", toml_mutation),), converted),
    "an official pickle": Target(official("pickle.pbz2"), (("", repickled),), converted, slow=True),
    "an official file of torch": Target(official("pth"), (("", repickled_pth),), converted, slow=True),
}


# Data

RNG = np.random.default_rng(0)


def load(make: Callable[[Path], Any]) -> Callable[[Path], Any]:
    def read(path: Path) -> Any:
        data = make(path).load()
        for part in ("train", "valid", "test"):
            data.examples.read(data.at(part)[:2])

    return read


def npz(folder: Path) -> Path:
    path = folder / "set.npz"
    x, y = RNG.integers(0, 256, (40, 3, 8, 8), dtype=np.uint8), np.arange(40) % 4
    np.savez_compressed(
        path, x=x, y=y, x_val=x[:8], y_val=y[:8], x_test=x[:8], y_test=y[:8], classes=np.array(["a", "b", "c", "d"])
    )
    return path


def cifar_batch(labels: list[int], key: str = "labels") -> bytes:
    pixels = RNG.integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    return pickle.dumps({"batch_label": "x", key: labels, "data": pixels, "filenames": ["a.png"] * len(labels)}, 2)


def cifar10(folder: Path) -> Path:
    inner = folder / "cifar" / "cifar-10-batches-py"
    inner.mkdir(parents=True)
    for number in range(1, 6):
        (inner / f"data_batch_{number}").write_bytes(cifar_batch([k % 10 for k in range(20)]))
    (inner / "test_batch").write_bytes(cifar_batch(list(range(10))))
    (inner / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"t{k}" for k in range(10)]}, 2))
    return folder / "cifar"


def cifar100(folder: Path) -> Path:
    """The archive as it is downloaded."""
    folder = folder / "cifar"
    folder.mkdir()
    names = {"fine_label_names": [f"t{k}" for k in range(100)], "coarse_label_names": ["all"]}
    files = {
        "train": cifar_batch([k % 100 for k in range(400)], "fine_labels"),
        "test": cifar_batch(list(range(100)), "fine_labels"),
        "meta": pickle.dumps(names, 2),
    }
    import io

    with tarfile.open(folder / "cifar-100-python.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-100-python/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return folder


def imagenet16(folder: Path) -> Path:
    folder = folder / "set"
    folder.mkdir()
    for name in (*(f"train_data_batch_{number}" for number in range(1, 11)), "val_data"):
        pixels = RNG.integers(0, 256, (5, 768), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": [1, 2, 3, 4, 900]}, 2))
    return folder


def cifar_mutation(content: bytes, rng: Random) -> bytes:
    if rng.random() < 0.5:
        return mutated_bytes(content, rng)
    return pickle.dumps(
        mutated_value(pickle.loads(content), rng, (*PICKLED_ODD, np.zeros(3), np.zeros((2, 3072), np.uint8))), 2
    )


def images(folder: Path) -> Path:
    image = pytest.importorskip("PIL.Image", reason="needs pillow, the extra 'images'")
    for name in ("rose", "tulip"):
        (folder / "set" / name).mkdir(parents=True)
        for number in range(8):
            pixels = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            image.fromarray(pixels).save(folder / "set" / name / f"{number}.{'png' if number % 2 else 'jpg'}")
    lists = {"train": list(range(6)), "valid": list(range(6, 12)), "test": list(range(12, 16))}
    (folder / "set.json").write_text(json.dumps({name: ["int", [str(i) for i in list_]] for name, list_ in lists.items()}))
    return folder


def with_lists(path: Path) -> Npz:
    return Npz(str(path / "set.npz"), split=Split(index_file=str(path / "lists.json")))


def lists(folder: Path) -> Path:
    npz(folder)
    with np.load(folder / "set.npz") as file:
        np.savez(folder / "set.npz", x=file["x"], y=file["y"])
    parts = {"train": list(range(16)), "valid": list(range(16, 32)), "test": list(range(32, 40))}
    (folder / "lists.json").write_text(json.dumps(parts))
    return folder


def sheet(folder: Path) -> Path:
    image = pytest.importorskip("PIL.Image", reason="needs pillow, the extra 'images'")
    for name in ("set_train_0", "set_test"):
        pixels = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        image.fromarray(pixels).save(folder / f"{name}.webp", lossless=True)
    labels = np.arange(12, dtype=np.uint8) % 3
    np.savez(folder / "set_labels.npz", train_y=labels, test_y=labels, classes=np.array(["a", "b", "c"]))
    return folder


def text(folder: Path) -> Path:
    (folder / "set.txt").write_text("the cat sat on the mat\n" * 40)
    return folder / "set.txt"


DATA = {
    "arrays": Target(npz, (("", other_arrays),), load(lambda path: Npz(str(path)))),
    "CIFAR-10 in pickles": Target(
        cifar10,
        tuple((f"cifar-10-batches-py/{name}", cifar_mutation) for name in ("data_batch_2", "test_batch", "batches.meta")),
        load(lambda path: Cifar10(str(path))),
    ),
    "ImageNet16 in pickles": Target(
        imagenet16,
        tuple((name, cifar_mutation) for name in ("train_data_batch_2", "val_data")),
        load(lambda path: ImageNet16(str(path), classes=4)),
    ),
    "CIFAR-100 in its archive": Target(
        cifar100, (("cifar-100-python.tar.gz", mutated_bytes),), load(lambda path: Cifar100(str(path)))
    ),
    "images in folders": Target(
        images,
        (("set/rose/1.png", mutated_bytes), ("set/tulip/2.jpg", mutated_bytes), ("set.json", mutated_json)),
        load(lambda path: Folder(str(path / "set"), size=8, split=Split(index_file=str(path / "set.json")))),
    ),
    "index lists": Target(lists, (("lists.json", mutated_json),), load(with_lists)),
    "sheets": Target(
        sheet,
        (("set_train_0.webp", mutated_bytes), ("set_test.webp", mutated_bytes), ("set_labels.npz", other_arrays)),
        load(lambda path: Sheets(str(path), tile=8, size=8)),
    ),
    "a text": Target(text, (("", toml_mutation),), load(lambda path: Text(str(path), window=4))),
}


# Comparisons and searchers

MEASURE = {"name": "accuracy", "better": "higher", "unit": "", "style": "percent"}


def comparison(folder: Path) -> Path:
    out = folder / "versus"
    found = {"architecture": "a", "search_seconds": 2.0, "score": 0.5, "hit": True, "distance": 0, "skips": 1, "entropy": 0.1}
    identity = {
        "recipes": {"quick": {"name": "quick"}},
        "searchers": {"evolution": {"type": "Evolution"}},
        "space": {"space": {"type": "NasBench201"}},
        "data": {"name": "toy"},
        "seeds": [0, 1],
        "evaluator": {"type": "Retrain", "protocol": {"name": "short", "epochs": 10}},
        "score": "validation accuracy",
        "measure": MEASURE,
        "trial_measure": MEASURE,
        "note": "A note.",
        "paper": {"reported": {"quick": {"mean": 90.0, "deviation": 1.0, "source": "somebody"}}, "differences": "none"},
    }
    files: dict[str, Any] = {"comparison.json": identity, "run.json": json.loads(_searched()["run.json"])}
    candidates = [{"architecture": c, "value": 0.1 * k, "seconds": 1.0, "score": 0.2 * k} for k, c in enumerate("abc")]
    for seed in (0, 1):
        files[f"quick-{seed}/trial.json"] = {"recipe": "quick", "seed": seed, "curve": [[1, 1.0, 0.2], [2, 2.0, 0.5]], **found}
        files[f"evolution-{seed}/trial.json"] = {
            "recipe": "evolution",
            "seed": seed,
            "trained": 3,
            "budgets": {"median": 2.0},
            **found,
        }
        files[f"random-{seed}/trial.json"] = {"seed": seed, "budgets": {"quick": 2.0, "median": 2.0}, "candidates": candidates}
    for name, content in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(json.dumps(content))
    return out


def compared(path: Path) -> None:
    found = read_comparison(path)
    found.summary()
    found.notes()
    found.table()


def trials(folder: Path) -> Path:
    searcher = SEARCHERS["evolution"](epochs=2)
    run_search(searcher, toy(), lambda architecture, epochs: (0.5, 1.0), max_trials=4, save=folder / "trials.jsonl")
    return folder / "trials.jsonl"


OTHERS = {
    "a comparison": Target(
        comparison,
        tuple(
            (name, mutated_json)
            for name in ("comparison.json", "quick-1/trial.json", "random-0/trial.json", "evolution-0/trial.json")
        ),
        compared,
    ),
    "the page of a comparison": Target(
        comparison,
        tuple((name, mutated_json) for name in ("comparison.json", "quick-1/trial.json", "random-0/trial.json")),
        lambda path: render_comparison(read_comparison(path)),
        slow=True,
    ),
    "trials": Target(trials, (("", mutated_lines),), read_rows),
}

TARGETS = {**RUNS, **SETTINGS, **TABLES, **DATA, **OTHERS}


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if not target.slow])
def test_a_few_damages_are_sentences(name: str, tmp_path: Path):
    wrong = failures(TARGETS[name], tmp_path, name, QUICK)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", TARGETS)
def test_thousands_of_damages_are_sentences(name: str, tmp_path: Path):
    count = int(os.environ.get("MIXOP_FUZZ", MANY))
    wrong = failures(TARGETS[name], tmp_path, name, count // 6 if TARGETS[name].slow else count)
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong)


NOTATIONS = {name: space() for name, space in SPACES.items() if name not in ("s0",)}


@pytest.mark.parametrize("name", NOTATIONS)
@pytest.mark.parametrize("count", [pytest.param(60, id="few"), pytest.param(400, id="many", marks=pytest.mark.slow)])
def test_a_damaged_notation_is_a_sentence(name: str, count: int):
    space = NOTATIONS[name]
    native = space.to_native(space.random(Random(0)))
    wrong = []
    for number in range(count):
        text = mutated_text(native, Random(f"{name} {number}"))
        said = outcome(lambda text=text: space.from_native(text))
        if said is not None:
            wrong.append(f"{name} {number}: {said}")
    assert not wrong, "\n".join(wrong)
