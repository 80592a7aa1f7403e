"""Records: what is written is read back, and nothing else is taken for one."""

import json
from dataclasses import replace

import pytest
from made_runs import make_run

from mixop.core.errors import MixopError, RecipeError, RunError
from mixop.core.measure import ACCURACY, LOSS, Measure
from mixop.runs.directory import RunDirectory
from mixop.runs.records import (
    NetworkScore,
    RetrainingRecord,
    Scope,
    Score,
    SearchRecord,
    from_record,
    noun,
    to_record,
)

SEARCH = SearchRecord(
    epoch=3,
    epochs=10,
    seconds=75.5,
    train={"accuracy": 0.1 + 0.2, "loss": 1 / 3},
    valid={"accuracy": None, "loss": 2.0},
    learning_rate=0.025,
    architecture_rate=0.0,
    entropy=1.5,
    skip_share=None,
    mix={"cell": ((0.25, 0.75), (1.0, 0.0))},
    architecture="|skip_connect~0|",
    columns={"eigenvalue": 1e-30, "gap": None, "warning": "50 % are skips."},
    action="SkipStop: stop",
    stage="tune",
)
RETRAINING = RetrainingRecord(
    label="random 1", epoch=1, epochs=20, seconds=0.0, train={"rmse": 3.25, "loss": 0.1}, learning_rate=0.1
)
NETWORK = NetworkScore(
    label="found",
    architecture="|a~0|",
    measures={"accuracy": 0.75, "loss": 0.5},
    parameters=10,
    flops=20,
    seconds=1.5,
    epochs=2,
    seed=0,
)
SCORE = Score(
    networks=(NETWORK, replace(NETWORK, label="random 1")),
    trained_on=Scope(parts=("train", "valid"), examples=100),
    scored_on=Scope(parts=("test",), examples=4),
    task={"type": "Classification", "classes": ["a", "b"], "smoothing": 0.0},
    measures=(ACCURACY, LOSS),
    protocol={"type": "Protocol", "epochs": 2},
    input={"shape": [1, 8, 8], "mean": [0.5], "std": [0.25]},
    weights_sha256="00ff",
    bound_to={"retrain.json": "00ff"},
    classes=("a", "b"),
    confusion=((2, 0), (1, 1)),
)


@pytest.mark.parametrize(
    "record",
    [SEARCH, replace(SEARCH, stage=2, valid={}, columns={}), replace(SEARCH, stage=None, action=""), RETRAINING, NETWORK, SCORE,
     replace(SCORE, classes=(), confusion=(), measures=(Measure("rmse", "lower", "mm"), LOSS))],
    ids=lambda record: type(record).__name__,
)  # fmt: skip
def test_what_is_written_is_read_back(record):
    text = json.dumps(to_record(record), allow_nan=False)
    assert from_record(type(record), json.loads(text), "x") == record


def test_a_run_directory_gives_back_what_was_appended(tmp_path):
    run = RunDirectory(tmp_path)
    run.write_json("recipe.json", {})
    for record in (SEARCH, RETRAINING):
        run.append(to_record(record))
    assert run.records() == [SEARCH, RETRAINING]
    assert run.searched() == [SEARCH]
    assert run.retrained() == [RETRAINING]
    run.write_json("score.json", to_record(SCORE))
    assert run.score() == SCORE


@pytest.mark.parametrize(
    ("kind", "record"),
    [(SearchRecord, SEARCH), (RetrainingRecord, RETRAINING), (NetworkScore, NETWORK), (Score, SCORE), (Scope, SCORE.scored_on)],
)
def test_every_field_of_a_wrong_type_is_named(kind, record):
    for name, value in to_record(record).items():
        wrong = True if isinstance(value, str) else "text"
        with pytest.raises(RunError, match=rf"over there.*{name}") as refused:
            from_record(kind, {**to_record(record), name: wrong}, "over there")
        assert "restore it" in str(refused.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "1"])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(RunError, match="seconds must be a number"):
        from_record(SearchRecord, {**to_record(SEARCH), "seconds": value}, "line 3")


def test_a_missing_and_an_unknown_field_are_named():
    data = to_record(RETRAINING)
    with pytest.raises(RunError, match="'label' is missing"):
        from_record(RetrainingRecord, {key: value for key, value in data.items() if key != "label"}, "line 1")
    with pytest.raises(RunError, match="novelty"):
        from_record(RetrainingRecord, {**data, "novelty": 1}, "line 1")


def test_a_column_that_could_not_be_read_again_is_refused():
    with pytest.raises(RecipeError, match="column 'type'"):
        replace(SEARCH, columns={"type": 1.0})


def test_a_number_that_is_not_finite_is_never_written():
    with pytest.raises(MixopError, match="finite"):
        to_record(replace(RETRAINING, seconds=float("nan")))


@pytest.mark.parametrize(
    ("parts", "examples", "words", "word"),
    [
        (("test",), 359, "359 test examples", "test"),
        (("valid",), 719, "719 validation examples", "validation"),
        (("train", "valid"), 1438, "1,438 training examples", "training"),
        (("train",), 1, "1 example of the weight split", "training"),
    ],
)
def test_a_scope_in_words(parts, examples, words, word):
    scope = Scope(parts=parts, examples=examples)
    assert scope.words == words
    assert scope.word == word
    assert scope.of("image") == words.replace("example", "image")


def test_the_best_network_is_first_whatever_the_direction():
    networks = tuple(
        replace(NETWORK, label=label, measures={"accuracy": value, "loss": value})
        for label, value in (("found", 0.5), ("random 1", 0.75), ("random 2", 0.25), ("random 3", None))
    )
    higher = replace(SCORE, networks=networks)
    lower = replace(higher, measures=(LOSS, ACCURACY))
    assert [n.label for n in higher.ranked] == ["random 1", "found", "random 2", "random 3"]
    assert [n.label for n in lower.ranked] == ["random 2", "found", "random 1", "random 3"]
    assert higher.found is networks[0]
    assert higher.rivals == networks[1:]


def test_only_a_share_of_single_examples_is_counted():
    assert SCORE.counted == 4  # 3 of 4 on the diagonal, and an accuracy of 0.75
    assert replace(SCORE, confusion=()).counted is None
    assert replace(SCORE, confusion=((200, 0), (100, 100))).counted is None  # positions, many in an example
    mean_iou = replace(NETWORK, measures={"mean_iou": 0.7, "loss": 0.5})
    assert replace(SCORE, networks=(mean_iou,), measures=(Measure("mean_iou", "higher", style="percent"),)).counted is None


def test_made_up_runs_are_counted_as_their_confusion_says(tmp_path):
    assert RunDirectory(make_run(tmp_path / "x", epochs=1)).score().counted == 360
    assert RunDirectory(make_run(tmp_path / "y", epochs=1, task="heights")).score().counted is None


@pytest.mark.parametrize(
    ("shape", "tokens", "word"), [((3, 8, 8), False, "image"), ((12, 128), False, "example"), ((30,), False, "example"),
                                  ((65, 32), True, "example")],
)  # fmt: skip
def test_what_an_example_is_called(shape, tokens, word):
    assert noun(shape, tokens=tokens) == word


def test_a_record_is_a_row_of_a_table():
    row = SEARCH.row
    assert {row[f"train_{name}"] for name in SEARCH.train} == set(SEARCH.train.values())
    assert {row[f"valid_{name}"] for name in SEARCH.valid} == set(SEARCH.valid.values())
    assert SEARCH["epoch"] == SEARCH.epoch
    assert "mix" not in row
    assert all(row[name] == value for name, value in SEARCH.columns.items())
    with pytest.raises(KeyError):
        SEARCH["valid_f1"]
