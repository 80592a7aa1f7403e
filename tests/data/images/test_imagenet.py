import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("PIL", reason="needs pillow, the extra 'images'")
from PIL import Image

from mixop import api
from mixop.core.errors import DataError, DataWarning
from mixop.core.values import to_plain
from mixop.data import IMAGENET, IMAGENET_SEARCH, Augment, Data, ImageNet, LazyImages, Split, imagenet, source_from_json
from mixop.data.examples import Arrays, Joined
from mixop.data.images.crops import crop_boxes, crop_numbers
from mixop.data.images.jitter import jitter
from mixop.data.images.lazy import ImageFiles
from mixop.data.stream import Stream
from mixop.recipes import darts
from mixop.spaces import nasbench201

COUNTS = {"n01440764": 14, "n01443537": 9, "n01484850": 11}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(tmp_path_factory.mktemp("imagenet"))


def plant(root: Path, counts: Mapping[str, int] = COUNTS) -> Path:
    """A small tree of photographs of noise, each class with its own colour."""
    rng = np.random.default_rng(0)
    for part, factor in (("train", 1), ("val", 3)):
        for label, (name, count) in enumerate(counts.items()):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(max(1, count // factor)):
                pixels = rng.integers(0, 100, (*rng.integers(18, 30, 2), 3), dtype=np.uint8)
                pixels[..., label % 3] += 150
                Image.fromarray(pixels).save(folder / f"{name}_{number}.JPEG")
    return root


def files_of(data: Data) -> LazyImages:
    """The training images."""
    assert isinstance(data.examples, Joined)
    assert isinstance(data.examples.pieces[0], ImageFiles)
    return data.examples.pieces[0].images


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def epoch(data: Data, *, ahead: bool, seed: int = 3) -> list[torch.Tensor]:
    """The batches of one pass and a half, as a search draws them."""
    stream, generator, got = Stream(data.train, 4, seeded(seed), "training"), seeded(seed + 1), []
    for _ in range(stream.batches + 3):
        at = stream.next()
        then = stream.order[stream.at * 4 : (stream.at + 2) * 4] if ahead else None
        got.append(data.augmented(at, generator, then=then).x)
    return got


def test_the_tree_is_read_as_it_lies(tree: Path):
    data = imagenet(tree, size=16)
    assert data.task.classes == tuple(COUNTS)
    assert torch.bincount(data.targets("train", "valid")).tolist() == [14, 9, 11]
    assert torch.bincount(data.targets("test")).tolist() == [4, 3, 3]
    images = files_of(data)
    assert images.names[:3] == ["n01440764/n01440764_0.JPEG", "n01440764/n01440764_1.JPEG", "n01440764/n01440764_10.JPEG"]
    assert images.resize == 18  # 256 / 224 of 16
    batch = data.examples.read(torch.arange(44))
    assert torch.equal(batch.x.float().mean((2, 3)).argmax(1), batch.y)
    assert torch.equal(batch.y, data.examples.targets)
    assert data.shape == (3, 16, 16)
    description = data.describe()
    assert json.loads(json.dumps(description)) == description
    assert sum(description["counts"].values()) == 44


def test_a_published_subset_has_its_share_of_every_class(tmp_path: Path):
    tree = plant(tmp_path, {"n1": 40, "n2": 80, "n3": 60})
    data = imagenet(tree, size=8, split=IMAGENET_SEARCH)
    assert torch.bincount(data.targets("train")).tolist() == [4, 8, 6]
    # 2.5 % of 180 are 4.5, so 4 by rounding to even; 1, 2 and 1 of the classes, with nothing left over
    assert torch.bincount(data.targets("valid")).tolist() == [1, 2, 1]
    assert len(files_of(data)) == 180
    few = imagenet(tree, size=8, split=Split(train=0.1, valid=0.01))  # 1.8 of 180, so one of each class
    assert torch.bincount(few.targets("valid")).tolist() == [1, 1, 1]


def test_training_crops_the_whole_image_with_the_random_numbers_of_the_augmentation(tree: Path):
    data = imagenet(tree, size=16)
    at = torch.tensor([20, 3, 30])
    got, generator, images = data.augmented(at, seeded(5)), seeded(5), files_of(data)
    numbers = crop_numbers(3, generator)
    x = torch.empty(3, 3, 16, 16)
    for row, i in enumerate(at.tolist()):
        with Image.open(images.root / images.names[i]) as file:
            sides = torch.tensor([file.height]), torch.tensor([file.width])
            top, left, height, width = crop_boxes(numbers[row : row + 1], *sides)[0].tolist()
            part = file.crop((left, top, left + width, top + height))
            pixels = np.array(part.resize((16, 16), Image.Resampling.BILINEAR))
        x[row] = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    x = jitter(Augment(flip=True).images(x, generator), (0.4, 0.4, 0.4, 0.2), generator)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(got.x, (x - mean) / std)
    assert torch.equal(got.y, data.examples.targets[at])
    torch.testing.assert_close(data.batch(at).x, (images.read(at) / 255 - mean) / std)


def test_other_augmentations_see_the_centres_as_of_a_set_in_memory(tree: Path):
    data = imagenet(tree, size=16, augment=replace(IMAGENET, resized_crop=False, crop=2))
    everything = data.examples.read(torch.arange(44))
    whole = replace(data, examples=Arrays(everything.x, everything.y), source=None)
    at = torch.tensor([1, 33, 7])
    assert torch.equal(data.augmented(at, seeded()).x, whole.augmented(at, seeded()).x)
    assert torch.equal(data.batch(at).x, whole.batch(at).x)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("ahead", [False, True])
def test_workers_and_decoding_ahead_give_the_same_batches(tree: Path, workers: int, ahead: bool):
    expected = epoch(imagenet(tree, size=16, workers=1), ahead=False)
    got = epoch(imagenet(tree, size=16, workers=workers), ahead=ahead)
    assert len(got) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))
    other = epoch(imagenet(tree, size=16), ahead=False, seed=4)
    assert not torch.equal(got[0], other[0])


class Cut(Exception):
    """The power goes."""


def test_a_search_goes_on_in_the_middle_of_an_epoch(tree: Path, tmp_path: Path):
    source = ImageNet(str(tree), size=8, workers=2, split=Split(valid=0.4))
    recipe = replace(darts(epochs=2), batch_size=4)
    space = nasbench201(channels=2, cells=1)
    whole = api.search(recipe, space, source.load(), tmp_path / "whole", checkpoint_seconds=0)

    def cut(record: Mapping[str, Any]) -> None:
        if record.get("event") == "step" and record["epoch"] == 2 and record["step"] == 2:
            raise Cut

    with pytest.raises(Cut):
        api.search(recipe, space, source.load(), tmp_path / "cut", checkpoint_seconds=0, observe=cut)
    resumed = api.resume(tmp_path / "cut")  # loads the tree again by itself
    assert resumed.architecture == whole.architecture  # pyright: ignore[reportAttributeAccessIssue]
    runs = [
        [json.loads(line) | {"seconds": 0} for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "cut")
    ]
    assert runs[0] == runs[1]
    assert len(runs[0]) == 2


def test_the_fingerprint_sees_files_labels_and_indices_and_not_the_workers(tmp_path: Path):
    source = ImageNet(str(plant(tmp_path / "a")), size=8)
    data = source.load()
    assert source_from_json(json.loads(json.dumps(to_plain(source)))) == source
    assert replace(source, workers=1).load().fingerprint == data.fingerprint == data.to("cpu").fingerprint
    moved = ImageNet(str(plant(tmp_path / "b")), size=8).load()
    assert moved.fingerprint == data.fingerprint  # the same files in another place
    prints = {
        replace(source, size=9).load().fingerprint,
        replace(source, split=Split(seed=1)).load().fingerprint,
        data.with_split(Split(valid=0.3)).fingerprint,
        replace(data, train=torch.arange(0, 34, 2), valid=torch.arange(1, 34, 2)).fingerprint,
    }
    file = tmp_path / "a" / "val" / "n01440764" / "n01440764_0.JPEG"
    file.write_bytes(file.read_bytes() + b"\0")
    prints |= {source.load().fingerprint}
    file.rename(file.with_name("other.JPEG"))
    prints |= {source.load().fingerprint, data.fingerprint}
    assert len(prints) == 7


def test_the_published_normalisation_stands_in_for_a_measured_one(tree: Path):
    data = imagenet(tree, size=8, augment=Augment(flip=True))
    assert (data.augment.mean, data.augment.std) == (IMAGENET.mean, IMAGENET.std)
    assert data.augment.mean == (0.485, 0.456, 0.406)
    other = data.with_augment(Augment(crop=1))
    assert other.augment == Augment(crop=1, mean=IMAGENET.mean, std=IMAGENET.std)
    assert other.source.load().augment == other.augment  # pyright: ignore[reportOptionalMemberAccess]


def test_a_broken_file_is_found_when_it_is_read_or_before(tmp_path: Path):
    tree = plant(tmp_path)
    (tree / "val" / "n01443537" / "n01443537_1.JPEG").write_bytes(b"no image")
    data = imagenet(tree, size=8)
    said = r"Cannot read the image '.*n01443537_1\.JPEG'"
    with pytest.raises(DataError, match=said):
        data.batch(data.test)
    with pytest.raises(DataError, match=said):
        imagenet(tree, size=8, verify=True)
    (tree / "val" / "n01443537" / "n01443537_1.JPEG").unlink()
    assert len(imagenet(tree, size=8, verify=True).test) == 9


def test_trees_that_are_none_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="must hold the folders 'train' and 'val', but 'train' is missing"):
        imagenet(tmp_path)
    tree = plant(tmp_path / "tree")
    (tree / "train" / "n2").mkdir()
    with pytest.raises(DataError, match=r"train.n2' must hold the images of a class, but holds none"):
        imagenet(tree)
    (tree / "train" / "n2" / "notes.txt").write_text("a fish")
    with pytest.raises(DataError, match=r"train.n2' must hold the images of a class, but holds none"):
        imagenet(tree)
    (tree / "train" / "n2").rename(tree / "val" / "n2")
    with pytest.raises(
        DataError, match=r"val' holds the class 'n2', which the training folder does not: add it there, or remove"
    ):
        imagenet(tree)
    flat = plant(tmp_path / "flat")
    (flat / "val").rename(flat / "sorted")
    (flat / "val").mkdir()
    (flat / "sorted" / "n01440764" / "n01440764_0.JPEG").rename(flat / "val" / "ILSVRC2012_val_00000001.JPEG")
    with pytest.raises(
        DataError,
        match=r"val' must hold one folder of images for each class, but no image was found in one \(it "
        r"holds files outside the class folders \(1: val/ILSVRC2012_val_00000001\.JPEG\)\)\.",
    ):
        imagenet(flat)


def test_other_files_are_left_alone_and_counted(tmp_path: Path):
    tree = plant(tmp_path)
    (tree / "train" / "n01440764" / "notes.txt").write_text("tench")
    (tree / "train" / "n01440764" / ".hidden.JPEG").write_bytes(b"no image")
    with pytest.warns(DataWarning, match="^imagenet was read without hidden files and folders"):
        data = imagenet(tree, size=8)
    assert data.record["left_out"] == {
        "hidden files and folders": {"count": 1, "first": ["train/n01440764/.hidden.JPEG"]},
        "files that are no images": {"count": 1, "first": ["train/n01440764/notes.txt"]},
    }
    assert len(files_of(data)) == 34


def test_a_moved_tree_is_the_same_set(tmp_path: Path):
    tree = plant(tmp_path / "here")
    before = imagenet(tree, size=8)
    moved = tree.rename(tmp_path / "there")
    after = before.source.at(moved).load()
    assert after.fingerprint == before.fingerprint
    assert after.source.path == str(moved)


def test_images_in_subfolders_are_read(tmp_path: Path):
    tree = plant(tmp_path)
    folder = tree / "train" / "n01440764"
    (folder / "more").mkdir()
    next(folder.glob("*_1.JPEG")).rename(folder / "more" / "deep.JPEG")
    data = imagenet(tree, size=8)
    assert "n01440764/more/deep.JPEG" in files_of(data).names
    assert data.record["images_in_subfolders"] == 1


@pytest.mark.parametrize("settings", [{"size": 0}, {"size": 16, "resize": 15}, {"workers": 0}])
def test_settings_out_of_range_are_refused(tree: Path, settings: dict):
    with pytest.raises(DataError, match="Images need a size >= 1, at most the resize, and at least one worker"):
        imagenet(tree, **settings)
