import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mixop.data.split import Split, divide, divide_by_indices
from mixop.errors import DataError, RecipeError

CLASSES = ("cat", "dog", "owl")
Y = torch.tensor([0] * 40 + [1] * 21 + [2] * 10)[torch.randperm(71, generator=torch.Generator().manual_seed(9))]


def counts(part: torch.Tensor) -> list[int]:
    return torch.bincount(Y[part], minlength=3).tolist()


@pytest.mark.parametrize("stratified", [True, False])
@pytest.mark.parametrize("own_test", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_parts_are_disjoint_sorted_and_complete(stratified: bool, own_test: bool, seed: int):
    divided = divide(Y, CLASSES, Split(valid=0.4, test=0.3, seed=seed, stratified=stratified), own_test=own_test)
    parts = [divided.train, divided.valid] + ([] if divided.test is None else [divided.test])
    assert len(parts) == (2 if own_test else 3)
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(71))
    for part in parts:
        assert part.dtype == torch.int64
        assert torch.equal(part, part.sort().values)
    rest = 71 if own_test else 71 - round(71 * 0.3)
    assert len(divided.valid) == round(rest * 0.4)


@pytest.mark.parametrize("valid", [0.2, 0.3, 0.5, 0.77])
def test_a_stratified_share_is_within_one_example_of_every_class(valid: float):
    divided = divide(Y, CLASSES, Split(valid=valid), own_test=True)
    assert len(divided.valid) == round(71 * valid)
    for got, whole in zip(counts(divided.valid), (40, 21, 10), strict=True):
        assert abs(got - whole * valid) < 1


def test_the_seed_decides_and_the_global_generator_is_left_alone():
    state = torch.get_rng_state()
    one, two, other = (divide(Y, CLASSES, Split(seed=seed), own_test=False) for seed in (4, 4, 5))
    assert torch.equal(torch.get_rng_state(), state)
    for name in ("train", "valid", "test"):
        assert torch.equal(getattr(one, name), getattr(two, name))
        assert not torch.equal(getattr(one, name), getattr(other, name))
    assert one.record == {"method": "stratified", "valid": 0.5, "seed": 4, "test": 0.2}


def test_a_random_split_is_not_stratified():
    valid_cats = {counts(divide(Y, CLASSES, Split(seed=seed, stratified=False), own_test=True).valid)[0] for seed in range(10)}
    assert len(valid_cats) > 2


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, float("nan")])
@pytest.mark.parametrize("name", ["valid", "test"])
def test_a_share_outside_0_and_1_is_refused(name: str, share: float):
    with pytest.raises(RecipeError, match=f"The {name} share of a split must lie between 0 and 1"):
        Split(**{name: share})


def test_a_negative_seed_is_refused():
    with pytest.raises(RecipeError, match="seed of a split"):
        Split(seed=-1)


@pytest.mark.parametrize(("split", "part"), [(Split(valid=0.02), "valid"), (Split(valid=0.98), "train")])
def test_a_share_that_leaves_a_class_empty_is_refused(split: Split, part: str):
    with pytest.raises(DataError, match=f"leaves class '(cat|dog|owl)' without an example in its {part} part"):
        divide(Y, CLASSES, split, own_test=True)


def test_a_test_share_that_leaves_a_class_empty_is_refused():
    with pytest.raises(DataError, match="in its test part"):
        divide(Y, CLASSES, Split(test=0.02), own_test=False)


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_index_lists_of_any_kind(kind):
    train, valid = [5, 3, 0, 1], [7, 2, 4]
    y = torch.tensor([0, 1, 1, 0, 0, 1, 0, 1])
    divided = divide_by_indices(y, ("a", "b"), kind(train), kind(valid))
    assert divided.train.tolist() == [0, 1, 3, 5]
    assert divided.valid.tolist() == [2, 4, 7]
    assert divided.record == {"method": "indices"}


@pytest.mark.parametrize(
    ("train", "valid", "sentence"),
    [
        ([0, 1, 8], [2, 4], "'train' holds 8, but the set has 8 examples, numbered 0 to 7"),
        ([0, 1, -1], [2, 4], "'train' holds -1"),
        ([0, 1, 1], [2, 4], "'train' holds 1 more than once"),
        ([0, 1], [2, 4, 0], "'train' and 'valid' overlap, both hold 0"),
        ([0, 3], [2, 4], "leaves class 'b' without an example in its train part"),
        ([0, 1], [], "'valid' must be a plain list of whole numbers, at least one"),
        ([0.0, 1.0], [2, 4], "'train' must be a plain list of whole numbers"),
        ([[0], [1]], [2, 4], "'train' must be a plain list of whole numbers"),
        ([[0], [1, 2]], [2, 4], "'train' must be a plain list of whole numbers"),
        ([True, False], [2, 4], "'train' must be a plain list of whole numbers"),
    ],
)
def test_index_lists_that_cannot_be_used_are_refused(train: list, valid: list, sentence: str):
    with pytest.raises(DataError, match=sentence):
        divide_by_indices(torch.tensor([0, 1, 1, 0, 0, 1, 0, 1]), ("a", "b"), train, valid)


def from_file(path: Path, content: object, *, own_test: bool = True):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return divide(torch.tensor([0, 1, 1, 0, 0, 1, 0, 1]), ("a", "b"), Split(index_file=str(path)), own_test=own_test)


def test_an_index_file_and_the_form_of_nasbench201(tmp_path: Path):
    plain = from_file(tmp_path / "plain.json", {"train": [5, 3, 0], "valid": [7, 4]})
    published = from_file(
        tmp_path / "published.txt", {"train": ["int", ["0", "3", "5"]], "valid": ["int", ["4", "7"]], "other": ["int", []]}
    )
    for divided in (plain, published):
        assert (divided.train.tolist(), divided.valid.tolist(), divided.test) == ([0, 3, 5], [4, 7], None)
    assert plain.record["method"] == "index file"
    assert plain.record["file"] == "plain.json"
    assert plain.record["md5"] != published.record["md5"]


def test_an_index_file_for_a_set_without_a_test(tmp_path: Path):
    divided = from_file(tmp_path / "all.json", {"train": [0, 1], "valid": [2, 3], "test": [4, 5, 7]}, own_test=False)
    assert divided.test is not None
    assert divided.test.tolist() == [4, 5, 7]
    with pytest.raises(DataError, match="must hold the lists 'train', 'valid', 'test', got 'train', 'valid'"):
        from_file(tmp_path / "two.json", {"train": [0, 1], "valid": [2, 3]}, own_test=False)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "must be JSON with index lists, but is not"),
        ("[1, 2]", "must hold the lists 'train', 'valid', got list"),
        ("{}", "got nothing"),
        ({"train": [0, 1], "valid": [2, "3"]}, "list 'valid' of the index file .* must hold whole numbers only"),
        ({"train": [0, 1], "valid": [2, 3.0]}, "list 'valid' of the index file .* must hold whole numbers only"),
        ({"train": ["int", ["0", "x"]], "valid": [2, 3]}, "list 'train' of the index file .* must hold whole numbers only"),
        ({"train": [0, 1], "valid": 3}, "list 'valid' of the index file .* must hold whole numbers only"),
        ({"train": [0, 10**30], "valid": [2, 3]}, "'train' must be a plain list of whole numbers"),
        ({"train": [0, 9], "valid": [2, 3]}, "'train' holds 9, but the set has 8 examples"),
        ({"train": [0, 1], "valid": [1, 3]}, "overlap"),
    ],
)
def test_a_bad_index_file_is_refused(tmp_path: Path, content: object, sentence: str):
    with pytest.raises(DataError, match=sentence):
        from_file(tmp_path / "lists.json", content)


def test_a_missing_index_file_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"Cannot read the index file '.*none\.json': No such file"):
        divide(Y, CLASSES, Split(index_file=str(tmp_path / "none.json")), own_test=True)
