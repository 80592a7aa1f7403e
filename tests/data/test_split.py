import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mixop.core.errors import DataError, RecipeError
from mixop.data.split import Split, divide_by_indices, divide_in_order
from mixop.data.split import divide as divide_any

CLASSES = ("cat", "dog", "owl")
Y = torch.tensor([0] * 40 + [1] * 21 + [2] * 10)[torch.randperm(71, generator=torch.Generator().manual_seed(9))]


def divide(y: torch.Tensor, classes, split: Split, **options):
    """The division of labelled examples."""
    return divide_any(len(y), y, classes, split, **options)


def by_indices(y: torch.Tensor, classes, train, valid):
    return divide_by_indices(len(y), y, classes, train, valid)


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


def test_the_shares_of_the_imagenet_searches_take_their_part_of_every_class():
    sizes = [1300, 732, 1000, 40]
    y = torch.cat([torch.full((n,), k) for k, n in enumerate(sizes)])
    divided = divide(y, "abcd", Split(train=0.10, valid=0.025), own_test=True)
    # By hand: 2.5 % of 3,072 are 76.8, so 77; of each class 32.5, 18.3, 25, 1, rounded down 76, the one left over to the
    # largest remainder. 10 % are 307.2, so 307; of each class 130, 73.2, 100, 4, rounded down 307.
    assert torch.bincount(y[divided.valid]).tolist() == [33, 18, 25, 1]
    assert torch.bincount(y[divided.train]).tolist() == [130, 73, 100, 4]
    assert not set(divided.train.tolist()) & set(divided.valid.tolist())
    assert divided.record == {"method": "stratified", "valid": 0.025, "seed": 0, "train": 0.10}
    whole = divide(y, "abcd", Split(valid=0.025), own_test=True)
    assert torch.equal(divided.valid, whole.valid)  # the share of the weights changes nothing for the architecture
    assert set(divided.train.tolist()) <= set(whole.train.tolist())


@pytest.mark.parametrize("stratified", [True, False])
@pytest.mark.parametrize("own_test", [True, False])
def test_both_shares_are_of_the_same_examples(stratified: bool, own_test: bool):
    split = Split(valid=0.2, train=0.3, test=0.3, stratified=stratified)
    divided = divide(Y, CLASSES, split, own_test=own_test)
    rest = 71 if own_test else 71 - round(71 * 0.3)
    assert (len(divided.valid), len(divided.train)) == (round(rest * 0.2), round(rest * 0.3))


def test_shares_that_add_up_to_one_take_everything():
    for share in (0.1, 0.3, 0.5, 0.7):
        divided = divide(Y, CLASSES, Split(valid=share, train=1 - share), own_test=True)
        assert len(divided.valid) + len(divided.train) >= 70  # each is rounded by itself
    with pytest.raises(RecipeError, match=r"train and valid shares of a split may add up to at most 1, got 0.6 and 0.5"):
        Split(train=0.6)


def of(*sizes: int) -> torch.Tensor:
    """Labels of classes of these sizes, in a fixed order of no pattern."""
    y = torch.cat([torch.full((size,), k) for k, size in enumerate(sizes)])
    return y[torch.randperm(len(y), generator=torch.Generator().manual_seed(9))]


def told(part: torch.Tensor | None) -> str | None:
    return None if part is None else hashlib.sha256(part.numpy().tobytes()).hexdigest()[:12]


@pytest.mark.parametrize(
    ("sizes", "split", "own_test", "parts"),
    [
        ((40, 21, 10, 13), Split(), True, ("a3f80acef740", "e00cc53c9404", None)),
        ((40, 21, 10, 13), Split(), False, ("1e5c42bdb4c4", "e29385d748f6", "09320f3b998f")),
        ((200, 150, 100, 7), Split(), False, ("ba8136283136", "0a0cd4982f09", "fc205c29e3a9")),
        ((200, 150, 100, 7), Split(valid=0.25, seed=3), False, ("1ab1b4b11e9a", "953eb8d06207", "d96ebff8c1ae")),
        ((200, 150, 100, 7), Split(valid=0.3, train=0.3, seed=2), False, ("6e007f85ca09", "2136b8ae1cc7", "d78706966430")),
        ((500, 500, 500, 500), Split(valid=0.25, seed=3), True, ("15a8c0dd269d", "66e62b9629be", None)),
        (
            (500, 500, 500, 500),
            Split(valid=0.4, test=0.3, stratified=False, seed=1),
            False,
            ("39e54bf2e5df", "599c9d1cb7af", "13fccfc64880"),
        ),
        ((6, 6, 6, 6), Split(valid=0.3, train=0.3, seed=2), False, ("06ba233127e9", "05762e62a531", "875142f7eda8")),
    ],
)
def test_divisions_stay_what_they_were_before_rare_classes_were_cared_for(sizes, split: Split, own_test: bool, parts: tuple):
    divided = divide(of(*sizes), "abcd", split, own_test=own_test)
    assert tuple(map(told, (divided.train, divided.valid, divided.test))) == parts  # written down before that change
    assert "classes_given_one_example" not in divided.record


@pytest.mark.parametrize("seed", range(5))
def test_three_examples_of_a_rare_class_are_one_for_each_part(seed: int):
    y = of(54, 3, 3)
    divided = divide(y, CLASSES, Split(seed=seed), own_test=False)
    # 20 % of 60 are 12: shares of 10.8, 0.6 and 0.6, and the two that rounding down leaves over went to two classes. Half of
    # the other 48 are 24: 22, 1 and 1 by their shares.
    parts = [torch.bincount(y[part], minlength=3).tolist() for part in (divided.train, divided.valid, divided.test)]
    assert parts == [[22, 1, 1], [22, 1, 1], [10, 1, 1]]
    assert torch.equal(torch.cat(divided[:3]).sort().values, torch.arange(60))
    assert divided.record["classes_given_one_example"] == {"test": 1}


@pytest.mark.parametrize(
    ("split", "counts"),
    [
        (Split(valid=0.02), ([206 - 3, 6], [3, 1])),  # 4 of 213: 3.92 and 0.14 of the classes
        (Split(valid=0.98), ([4 - 1, 1], [203, 6])),  # 209 stay for the architecture, one of each class for the weights
        (Split(valid=0.5, train=0.01), ([1, 1], [103, 3])),  # 2 of 213
        (Split(valid=0.001), ([205, 6], [1, 1])),  # none of 213: the share grows to one of each
    ],
)
def test_every_class_has_an_example_in_every_part_whatever_the_share(split: Split, counts: tuple):
    y = of(206, 7)
    divided = divide(y, ("a", "b"), split, own_test=True)
    assert tuple(torch.bincount(y[part], minlength=2).tolist() for part in (divided.train, divided.valid)) == counts


def test_many_rare_classes_make_a_share_larger_and_the_record_says_so():
    y = of(*[4] * 30)
    divided = divide(y, [str(k) for k in range(30)], Split(test=0.05), own_test=False)
    assert torch.bincount(y[divided.test]).tolist() == [1] * 30  # 6 by the share alone
    assert divided.record["classes_given_one_example"] == {"test": 24}


@pytest.mark.parametrize(
    ("sizes", "own_test", "sentence"),
    [
        ((50, 1), True, "Class 'b' has 1 example, but it needs at least 2, one each for train and valid: add examples, or"),
        ((50, 2), False, "Class 'b' has 2 examples, but it needs at least 3, one each for train, valid and test: add"),
    ],
)
def test_a_class_with_fewer_examples_than_parts_is_told_what_to_do(sizes: tuple, own_test: bool, sentence: str):
    with pytest.raises(DataError, match=sentence):
        divide(of(*sizes), ("a", "b"), Split(), own_test=own_test)


@pytest.mark.parametrize("stratified", [True, False])
def test_whole_numbers_are_counts(stratified: bool):
    y = of(40, 21, 10)
    split = Split(valid=20, test=11, seed=3, stratified=stratified)
    divided = divide(y, CLASSES, split, own_test=False)
    assert [len(part) for part in (divided.train, divided.valid, divided.test)] == [40, 20, 11]
    if stratified:  # 11 of 71: 6.2, 3.3 and 1.5
        assert torch.bincount(y[divided.test]).tolist() == [6, 3, 2]
    assert divided.record["valid"] == 20
    both = divide(y, CLASSES, Split(valid=0.2, train=30, stratified=stratified), own_test=True)
    assert [len(part) for part in (both.train, both.valid)] == [30, 14]


@pytest.mark.parametrize(
    ("split", "sentence"),
    [
        (Split(valid=72), "asks for 72 examples in its valid part, but 71 are left for it: ask for fewer"),
        (Split(valid=50, train=22), "asks for 22 examples in its train part, but 21 are left"),
        (Split(valid=2), "asks for 2 examples in its valid part, but there are 3 classes: ask for at least one of each"),
        (Split(valid=71, stratified=False), "without an example in its train part"),
    ],
)
def test_counts_that_do_not_fit_are_refused(split: Split, sentence: str):
    with pytest.raises(DataError, match=sentence):
        divide(of(40, 21, 10), CLASSES, split, own_test=True)


def test_counts_of_a_sequence_are_positions():
    divided = divide_in_order(100, Split(valid=20, test=5), own_test=False)
    assert [len(part) for part in (divided.train, divided.valid, divided.test)] == [75, 20, 5]
    with pytest.raises(DataError, match="asks for 101 examples in its test part, but 100 are left"):
        divide_in_order(100, Split(test=101), own_test=False)


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
@pytest.mark.parametrize("name", ["valid", "train", "test"])
def test_a_share_outside_0_and_1_is_refused(name: str, share: float):
    with pytest.raises(RecipeError, match=f"The {name} share of a split must be greater than 0 and less than 1"):
        Split(**{name: share})


def test_a_negative_seed_is_refused():
    with pytest.raises(RecipeError, match="seed of a split"):
        Split(seed=-1)


@pytest.mark.parametrize(("split", "part"), [(Split(valid=0.02), "valid"), (Split(valid=0.98), "train")])
def test_a_random_share_that_leaves_a_class_empty_is_refused(split: Split, part: str):
    with pytest.raises(
        DataError, match=f"leaves class '(cat|dog|owl)' without an example in its {part} part: .* stratified=True"
    ):
        divide(Y, CLASSES, replace(split, stratified=False), own_test=True)


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_index_lists_of_any_kind(kind):
    train, valid = [5, 3, 0, 1], [7, 2, 4]
    y = torch.tensor([0, 1, 1, 0, 0, 1, 0, 1])
    divided = by_indices(y, ("a", "b"), kind(train), kind(valid))
    assert divided.train.tolist() == [0, 1, 3, 5]
    assert divided.valid.tolist() == [2, 4, 7]
    assert divided.record == {"method": "indices"}


@pytest.mark.parametrize(
    ("train", "valid", "sentence"),
    [
        ([0, 1, 8], [2, 4], "'train' holds 8, but the set has 8 examples, numbered 0 to 7"),
        ([0, 1, -1], [2, 4], "'train' holds -1"),
        ([0, 1, 1], [2, 4], "'train' holds 1 more than once"),
        ([0, 1], [2, 4, 0], "'train' and 'valid' overlap \\(both hold 0\\)"),
        ([0, 3], [2, 4], "leaves class 'b' without an example in its train part"),
        ([0, 1], [], "'valid' must be a plain list of whole numbers that is not empty"),
        ([0.0, 1.0], [2, 4], "'train' must be a plain list of whole numbers"),
        ([[0], [1]], [2, 4], "'train' must be a plain list of whole numbers"),
        ([[0], [1, 2]], [2, 4], "'train' must be a plain list of whole numbers"),
        ([True, False], [2, 4], "'train' must be a plain list of whole numbers"),
    ],
)
def test_index_lists_that_cannot_be_used_are_refused(train: list, valid: list, sentence: str):
    with pytest.raises(DataError, match=sentence):
        by_indices(torch.tensor([0, 1, 1, 0, 0, 1, 0, 1]), ("a", "b"), train, valid)


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
    with pytest.raises(DataError, match=r"must hold the lists 'train', 'valid', 'test', got .'train', 'valid'.\."):
        from_file(tmp_path / "two.json", {"train": [0, 1], "valid": [2, 3]}, own_test=False)


def test_an_index_file_says_what_it_does_not_use(tmp_path: Path):
    path = tmp_path / "lists.json"
    path.write_text(json.dumps({"train": [0, 1], "valid": [2, 3], "test": [4], "note": "mine"}))
    divided = divide(torch.tensor([0, 1, 0, 1, 0, 1]), ("a", "b"), Split(index_file=str(path)), own_test=True)
    assert (divided.record["lists_not_used"], divided.record["examples_in_no_list"]) == (["test", "note"], 2)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "must be JSON with index lists, but is not"),
        ("[1, 2]", "it must be an object, got"),
        ("{}", "got nothing"),
        ({"train": [0, 1], "valid": [2, "3"]}, "list 'valid' of the index file .* must hold whole numbers only"),
        ({"train": [0, 1], "valid": [2, 3.0]}, "list 'valid' of the index file .* must hold whole numbers only"),
        ({"train": ["int", ["0", "x"]], "valid": [2, 3]}, "list 'train' of the index file .* must hold whole numbers only"),
        ({"train": [0, 1], "valid": 3}, "list 'valid' of the index file .* must hold whole numbers only"),
        ({"train": [0, 10**30], "valid": [2, 3]}, "a whole number beyond 64 bits"),
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


def test_examples_without_classes_are_divided_at_random():
    divided = divide_any(40, None, (), Split(valid=0.25, test=0.2, seed=3), own_test=False)
    assert divided.valid is not None
    assert divided.test is not None
    assert (len(divided.train), len(divided.valid), len(divided.test)) == (24, 8, 8)
    assert divided.record == {"method": "random", "valid": 0.25, "seed": 3, "test": 0.2}
    assert not torch.equal(divided.test, torch.arange(8))


def test_a_validation_set_of_its_own_leaves_all_to_the_weights():
    divided = divide_any(71, Y, CLASSES, Split(test=0.3), own_test=False, own_valid=True)
    assert divided.valid is None
    assert divided.test is not None
    assert len(divided.train) + len(divided.test) == 71
    assert divided.record["valid"] == "came with the set"


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"own_test": False}, (72, 18, 10)),
        ({"own_test": True}, (80, 20, None)),
        ({"own_test": False, "own_valid": True}, (90, None, 10)),
    ],
)
def test_a_sequence_is_divided_in_order(options: dict, sizes: tuple):
    divided = divide_in_order(100, Split(valid=0.2, test=0.1), **options)
    parts = (divided.train, divided.valid, divided.test)
    assert tuple(None if part is None else len(part) for part in parts) == sizes
    assert torch.equal(torch.cat([part for part in parts if part is not None]), torch.arange(100))
    assert divided.record["method"] == "in order"


def test_a_share_of_a_sequence_for_the_weights_is_its_beginning():
    divided = divide_in_order(100, Split(train=0.3, valid=0.2), own_test=True)
    assert divided.valid is not None
    assert (divided.train.tolist(), divided.valid.tolist()) == (list(range(30)), list(range(80, 100)))


def test_a_sequence_that_cannot_be_divided_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="leaves 1 tokens in its test part, which is too few"):
        divide_in_order(9, Split(test=0.1), own_test=False)
    with pytest.raises(DataError, match="not by a file of index lists: leave it out"):
        divide_in_order(9, Split(index_file=str(tmp_path / "x.json")), own_test=True)
