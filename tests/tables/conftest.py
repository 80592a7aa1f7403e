"""Official files of exactly the public layout, small, and made here."""

import bz2
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mixop.spaces.nasbench201 import NasBench201
from mixop.tables.archives import IMAGES

SETS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}
SPLITS = {"x-valid": "valid", "x-test": "test"}
COUNT = 4
SEEDS = {"12": (111,), "200": (777, 888, 999)}


def split_of(dataset: str, name: str) -> str:
    return SPLITS.get(name) or ("test" if dataset.startswith("cifar10-") or dataset == "cifar10" else "valtest")


def percent(rng: np.random.Generator, dataset: str, split: str, count: int) -> list[float]:
    images = IMAGES[dataset, split]
    return [100 * int(correct) / images for correct in rng.integers(0, images + 1, count)]


def result(rng: np.random.Generator, dataset: str, seed: int, epochs: int, text: str, even: bool) -> dict[str, Any]:
    """One run: 16 fields."""
    sets = SETS[dataset]
    times = [float(rng.uniform(5, 10))] * epochs if even else rng.uniform(5, 10, epochs).tolist()
    found: dict[str, Any] = {
        "name": dataset,
        "net_state_dict": None,
        "train_acc1es": OrderedDict(enumerate(percent(rng, dataset, "train", epochs))),
        "train_acc5es": None,
        "train_losses": OrderedDict(enumerate(rng.uniform(0, 3, epochs).tolist())),
        "train_times": OrderedDict(enumerate(times)),
        "arch_config": {"channel": 16, "num_cells": 5, "arch_str": text, "class_num": 10},
        "params": 0.129306,
        "flop": 15.64736,
        "seed": f"{seed:04d}",
        "epochs": epochs,
        "latency": [float(seconds) for seconds in rng.uniform(0.01, 0.03, 3)],
        "eval_names": list(sets),
        "eval_acc1es": {},
        "eval_times": {},
        "eval_losses": {},
    }
    for name in sets:
        accuracies = percent(rng, dataset, split_of(dataset, name), epochs)
        seconds = float(rng.uniform(0.5, 1))
        for epoch in range(epochs):
            key = f"{name}@{epoch}"
            found["eval_acc1es"][key] = accuracies[epoch]
            found["eval_losses"][key] = np.float64(rng.uniform(0, 3))  # a NumPy number, as some files have
            found["eval_times"][key] = seconds if even else float(rng.uniform(0.5, 1))
    return found


def record(index: int, text: str, hp: str, even: bool = True) -> dict[str, Any]:
    """The results of an architecture in one training."""
    rng = np.random.default_rng([index, int(hp)])
    runs, seeds = {}, {}
    for dataset in SETS:
        seeds[dataset] = [111, 777] if (hp, dataset) == ("12", "cifar10-valid") else list(SEEDS[hp])
        if hp == "200" and index % 2:  # some architectures have two runs only
            seeds[dataset] = seeds[dataset][:2]
        for seed in seeds[dataset]:
            runs[dataset, seed] = result(rng, dataset, seed, int(hp), text, even)
    return {
        "arch_index": index,
        "arch_str": text,
        "all_results": runs,
        "dataset_seed": seeds,
        "clear_net_done": True,
    }


def make(count: int = COUNT, names: tuple[str, str] = ("12", "200"), even: bool = True) -> dict[str, Any]:
    """The content of a file of a whole benchmark."""
    space = NasBench201()
    texts = [space.to_native(space.from_index(i)) for i in range(count)]
    infos = {
        i: {name: record(i, text, hp, even) for name, hp in zip(names, ("12", "200"), strict=True)}
        for i, text in enumerate(texts)
    }
    return {"meta_archs": texts, "total_archs": count, "arch2infos": OrderedDict(infos), "evaluated_indexes": set(range(count))}


def write_bz2(path: Path, content: Any) -> Path:
    with bz2.BZ2File(path, "wb") as file:
        pickle.dump(content, file, protocol=4)
    return path


@pytest.fixture(scope="session")
def content() -> dict[str, Any]:
    """A benchmark of four architectures as NATS-Bench writes it."""
    return make()


@pytest.fixture(scope="session")
def uneven() -> dict[str, Any]:
    """The same with epochs that take different times."""
    return make(3, even=False)


@pytest.fixture(scope="session")
def official(content: dict[str, Any], uneven: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every form of official file that there is."""
    folder = tmp_path_factory.mktemp("official")
    paths = {"pbz2": write_bz2(folder / "NATS-tss-v1_0-3ffb9.pickle.pbz2", content)}
    paths["uneven"] = write_bz2(folder / "uneven.pickle.pbz2", uneven)

    paths["simple"] = folder / "NATS-tss-v1_0-3ffb9-simple"
    paths["simple"].mkdir()
    write_bz2(paths["simple"] / "meta.pickle.pbz2", {**content, "arch2infos": None})
    for index, info in content["arch2infos"].items():
        write_bz2(paths["simple"] / f"{index:06d}.pickle.pbz2", info)

    older = {
        **content,
        "arch2infos": {i: dict(zip(("less", "full"), info.values(), strict=True)) for i, info in content["arch2infos"].items()},
    }
    paths["pth"] = folder / "NAS-Bench-201-v1_1-096897.pth"
    torch.save(older, paths["pth"])
    paths["legacy"] = folder / "NAS-Bench-201-v1_0-e61699.pth"
    torch.save(older, paths["legacy"], _use_new_zipfile_serialization=False)

    # Archives of single architectures have the weights.
    weights = OrderedDict(weight=torch.arange(6.0).view(2, 3), bias=torch.nn.Parameter(torch.ones(3)))
    for name, save in (("archive", torch.save), ("packed archive", lambda content, path: write_bz2(path, content))):
        paths[name] = folder / name
        paths[name].mkdir()
        for index in (0, 3):
            info = {}
            for hp, state in older["arch2infos"][index].items():
                runs = {key: {**run, "net_state_dict": weights} for key, run in state["all_results"].items()}
                info[hp] = {**state, "all_results": runs, "clear_net_done": False}
            save(info, paths[name] / (f"{index:06d}-FULL.pth" if name == "archive" else f"{index:06d}.pickle.pbz2"))
    return paths
