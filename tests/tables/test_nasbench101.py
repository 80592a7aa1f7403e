"""Tables of NAS-Bench-101 from files in its published form, which the tests write by the format's own rules."""

import base64
import json
import struct
from random import Random

import pytest
from tests.tables.test_tfrecord import framed

from mixop.cli import main
from mixop.core.errors import DataError, SpaceError
from mixop.searchers.evolution import Evolution
from mixop.searchers.objective import TableObjective
from mixop.spaces import nasbench1shot1, nasbench101
from mixop.spaces.model_spec import ModelSpec
from mixop.tables import Table, convert, convert_nasbench101

SPACE = nasbench101()


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def double(field, value):
    return bytes([field << 3 | 1]) + struct.pack("<d", value)


def evaluation(epoch, seconds, train, valid, test):
    inner = b"".join(double(field, value) for field, value in enumerate((epoch, seconds, train, valid, test), start=1))
    inner += bytes([6 << 3 | 2, 4]) + b"path"  # a field that we do not need
    return bytes([1 << 3 | 2]) + varint(len(inner)) + inner


def record(spec, epochs, run, parameters=1000):
    """A record as the benchmark's authors write it."""
    flat = "".join(str(entry) for row in spec.matrix for entry in row)
    metrics = evaluation(0, 0, 0.1, 0.1, 0.1) + evaluation(epochs / 2, *run[:4]) + evaluation(epochs, *run[4:])
    metrics += bytes([2 << 3]) + varint(parameters) + double(3, 99.0)
    names = ",".join(("input", *spec.operations, "output"))
    return [spec.module_hash(), epochs, flat, names, base64.b64encode(metrics).decode()]


def cells(count=4, seed=0):
    """Different networks, pruned, as the file has them."""
    rng, found = Random(seed), {}
    while len(found) < count:
        spec = SPACE.spec(SPACE.random(rng)).pruned()
        found[spec.module_hash()] = spec
    return list(found.values())


def run_of(row, repeat, epochs):
    """Accuracies and seconds that tell where they belong: half way, then at the end."""
    end = 0.5 + 0.01 * row + 0.001 * repeat + 0.0001 * epochs
    return (epochs * 5.0, 0.4, 0.3, 0.2, epochs * 10.0 + repeat, end + 0.02, end, end - 0.01)


def written(path, specs, lengths=(4, 108)):
    rows = [
        record(spec, epochs, run_of(row, repeat, epochs), 1000 + row)
        for row, spec in enumerate(specs)
        for epochs in lengths
        for repeat in range(3)
    ]
    Random(1).shuffle(rows)  # the published order says nothing
    path.write_bytes(b"".join(framed(json.dumps(row).encode()) for row in rows))
    return path


def test_a_table_answers_what_the_file_says(tmp_path):
    specs = cells()
    table = Table.open(convert(written(tmp_path / "nb.tfrecord", specs), tmp_path / "nb.table"), verify=True)
    assert (len(table), table.name, table.datasets) == (4, "nb", ("cifar10",))
    assert table.lengths("cifar10", "valid") == (4, 108)
    for row, spec in enumerate(specs):
        architecture = SPACE.of_spec(spec)
        for epochs in (4, 108):
            runs = [run_of(row, repeat, epochs) for repeat in range(3)]
            what = {"dataset": "cifar10", "epochs": epochs}
            mean = sum(run[6] for run in runs) / 3
            assert table.query(architecture, split="valid", **what) == pytest.approx(100 * mean, abs=1e-4)
            test = [table.query(architecture, split="test", seed=seed, reveal_test=True, **what) for seed in range(3)]
            assert sorted(test) == pytest.approx(sorted(100 * run[7] for run in runs), abs=1e-4)
            assert table.query(architecture, split="train", metric="seconds", **what) == pytest.approx(epochs * 10 + 1)
        assert table.cost("params", architecture) == 1000 + row
    with pytest.raises(DataError, match="only at the end"):
        table.query(0, dataset="cifar10", split="valid", epochs=108, after=54)


def test_isomorphic_cells_and_those_of_nasbench1shot1_answer_alike(tmp_path):
    part = nasbench1shot1(3)
    found = part.architecture([(0, 1, 2, 0, 1), (0,), (0,), (1, 3), (2, 4), (0, 5)])
    spec = part.spec(found).pruned()
    table = Table.open(convert(written(tmp_path / "nb.tfrecord", [*cells(3), spec]), tmp_path / "nb.table"))
    where = {"dataset": "cifar10", "split": "valid", "epochs": 108}
    wanted = table.query(spec.text(), **where)
    assert wanted == pytest.approx(50 + 3 + 0.1 + 1.08, abs=1e-4)
    # Nodes 2 and 3 both read the input or what reads it alone: exchange the two.
    order = [0, 1, 3, 2, 4, 5, 6]
    matrix = tuple(tuple(spec.matrix[s][t] for t in order) for s in order)
    swapped = ModelSpec(matrix, tuple(spec.operations[v - 1] for v in order[1:-1]))
    assert swapped != spec
    assert table.query(swapped.text(), **where) == wanted
    assert table.query(found, **where) == wanted
    with pytest.raises(SpaceError, match="does not hold"):
        table.query(part.architecture([(1, 1, 1, 1, 1), (0,), (0,), (1, 3), (2, 4), (0, 5)]), **where)


def test_the_half_of_a_training_is_a_curve(tmp_path):
    source = written(tmp_path / "nb.tfrecord", cells(2))
    table = Table.open(convert(source, tmp_path / "nb.table", curves=True))
    where = {"dataset": "cifar10", "split": "valid", "epochs": 108}
    assert table.curve(**{**where, "metric": None}) == (54, 108)
    assert table.query(0, **where, after=54) == pytest.approx(30)
    assert table.query(0, **where) > 50


def test_a_search_sees_runs_and_their_seconds(tmp_path):
    table = Table.open(convert(written(tmp_path / "nb.tfrecord", cells()), tmp_path / "nb.table"))
    value, seconds = TableObjective(table.for_search(dataset="cifar10"), seed=0)(table.architecture(2), 4)
    assert 0.52 <= value <= 0.5225
    assert 40 <= seconds <= 42


def as_object(spec, row):
    return {
        "module_adjacency": [list(line) for line in spec.matrix],
        "module_operations": ["input", *spec.operations, "output"],
        "trainable_parameters": 1000 + row,
        "avg_validation_accuracy": 0.9 + 0.01 * row,
        "avg_test_accuracy": 0.8 + 0.01 * row,
        "avg_training_time": 50.0,
        "unique_hash": spec.module_hash(),
    }


def as_runs(spec, row):
    valid = [0.9 + 0.01 * row + shift for shift in (-0.001, 0, 0.001)]
    names = ["input", *spec.operations, "output"]
    return {"matrix": spec.matrix, "ops": names, "validation_accuracy": valid, "test_accuracy": valid, "n_params": 1000 + row}


def as_pair(spec, row):
    def run(valid):
        return {"final_validation_accuracy": valid, "final_test_accuracy": 0.8, "final_training_time": 50.0}

    fixed = {"module_adjacency": spec.matrix, "module_operations": ["input", *spec.operations, "output"]}
    runs = [run(0.9 + 0.01 * row + shift) for shift in (-0.001, 0, 0.001)]
    return [{**fixed, "trainable_parameters": 1000 + row}, {"4": [run(0.5)], "108": runs}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.json", lambda specs: json.dumps([as_object(spec, row) for row, spec in enumerate(specs)])),
        ("numbers.json", lambda specs: json.dumps({row: as_runs(spec, row) for row, spec in enumerate(specs)})),
        ("hashes.json", lambda specs: json.dumps({spec.module_hash(): as_pair(spec, row) for row, spec in enumerate(specs)})),
        ("lines.jsonl", lambda specs: "\n".join(json.dumps(as_object(spec, row)) for row, spec in enumerate(specs))),
    ],
)
def test_json_files_are_read(tmp_path, name, content):
    specs = cells(3)
    (tmp_path / name).write_text(content(specs))
    table = Table.open(convert(tmp_path / name, tmp_path / "nb.table"))
    for row, spec in enumerate(specs):
        value = table.query(SPACE.of_spec(spec), dataset="cifar10", split="valid", epochs=108)
        assert value == pytest.approx(90 + row, abs=1e-4)
        assert table.cost("params", row) == 1000 + row


def damaged(change):
    """One record with something changed."""
    spec = cells(1)[0]
    row = record(spec, 108, run_of(0, 0, 108))
    return json.dumps(change(row)).encode()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "is no JSON"),
        (damaged(lambda row: row[:4]), "must be a list of hash, epochs, matrix"),
        (damaged(lambda row: ["0" * 32, *row[1:]]), "contradicts itself: the hash of ModelSpec"),
        (damaged(lambda row: [*row[:4], "?"]), "metrics in base64"),
        (damaged(lambda row: [*row[:4], row[4][:40]]), "cut short"),
        (damaged(lambda row: [*row[:4], ""]), "got 0 times"),
        (damaged(lambda row: [row[0], 0, *row[2:]]), "number of epochs"),
        (damaged(lambda row: [row[0], 108, "0", *row[3:]]), "must be square|operations between"),
        (damaged(lambda row: [row[0], 108, "0" * 49, "input,a,b,c,d,e,output", row[4]]), "no cell of NAS-Bench-101"),
    ],
)
def test_damaged_records_are_refused(tmp_path, content, problem):
    path = tmp_path / "nb.tfrecord"
    path.write_bytes(framed(content))
    with pytest.raises(DataError, match=problem):
        convert_nasbench101(path, tmp_path / "nb.table")
    assert not (tmp_path / "nb.table").exists()


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        (3, "must be an object with a matrix"),
        ({"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]}, "must have a validation_accuracy"),
        ({"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"], "validation_accuracy": "high"}, "must have measured numbers"),
        ({"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"], "validation_accuracy": 1e300}, "from 0 to 100, got 1e"),
        ({"ops": ["input", "output"], "validation_accuracy": 0.5}, "needs a matrix"),
    ],
)
def test_cells_that_say_nothing_are_refused(tmp_path, cell, problem):
    path = tmp_path / "nb.json"
    path.write_text(json.dumps([cell]))
    with pytest.raises(DataError, match=problem):
        convert_nasbench101(path, tmp_path / "nb.table")


def test_the_command_converts_and_shows(tmp_path, capsys):
    source, target = written(tmp_path / "nb.tfrecord", cells()), tmp_path / "nb.table"
    main(["table", "convert", str(source), str(target), "--json"])
    assert json.loads(capsys.readouterr().out)["architectures"] == 4
    main(["table", "show", str(target), "--best", "1"])
    shown = capsys.readouterr().out
    assert "ModelSpec(matrix=" in shown
    assert "nasbench101" in shown


def test_a_black_box_search_by_the_table_goes_the_way_of_its_values(tmp_path):
    def values(architecture, epochs):
        found = int(SPACE.spec(architecture).pruned().module_hash()[:6], 16) % 1000 / 1000
        return 0.5 + 0.4 * found, 1000.0 + found

    def searched(objective):
        state, visited = Evolution(epochs=108, population=4).start(SPACE, Random(3)), []
        searcher = Evolution(epochs=108, population=4)
        for _ in range(25):
            trial = searcher.ask(state)
            visited.append(trial.architecture)
            searcher.tell(state, trial, *objective(trial.architecture, trial.epochs))
        return visited, state

    visited, wanted = searched(values)
    cells = {}
    for architecture in visited:
        spec, (value, seconds) = SPACE.spec(architecture).pruned(), values(architecture, 108)
        cells[spec.module_hash()] = {
            "matrix": spec.matrix,
            "ops": ["input", *spec.operations, "output"],
            "validation_accuracy": [value] * 3,
            "test_accuracy": [value - 0.05] * 3,
            "training_time": [seconds] * 3,
        }
    (tmp_path / "nb.json").write_text(json.dumps(cells))
    table = Table.open(convert(tmp_path / "nb.json", tmp_path / "nb.table"))
    again, found = searched(TableObjective(table.for_search(dataset="cifar10"), seed=1))
    assert again == visited
    assert found.best.score == pytest.approx(wanted.best.score, abs=1e-6)
    assert found.spent == pytest.approx(wanted.spent, rel=1e-6)
