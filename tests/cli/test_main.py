"""The commands from end to end on the toy space, their screens, sentences and exit codes."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killed import CONTEXT
from rich.console import Console

import mixop.cli
from mixop.cli import main, screens, training
from mixop.cli.arguments import parse
from mixop.cli.commands import COMMANDS
from mixop.engine.driver import Driver
from mixop.measure.turns import Roofline
from mixop.nets.latency import read_latency_table
from mixop.runs.interrupt import InterruptedRunError
from mixop.spaces import EnasMacro, RandWire
from mixop.spaces.darts import Darts
from mixop.spaces.published import ARCHITECTURES, DARTS_V2

TOY = ("--space", "toy", "--data", "toy", "--data.n", "96", "--batch-size", "16")
DARTS_V2_TEXT = Darts().to_native(DARTS_V2)
SRC = str(Path(mixop.cli.__file__).parents[2])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished search, an unfinished one, and one with its retraining."""
    folder = tmp_path_factory.mktemp("runs")
    paths = {name: folder / name for name in ("searched", "retrained", "begun")}
    assert main(["search", *TOY, "--epochs", "2", "--out", str(paths["searched"]), "--quiet"]) == 0
    shutil.copytree(paths["searched"], paths["retrained"])
    assert main(["retrain", str(paths["retrained"]), "--epochs", "2", "--random", "2", "--quiet"]) == 0
    shutil.copytree(paths["searched"], paths["begun"])
    (paths["begun"] / "architecture.json").unlink()
    return paths


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must end with one sentence on stderr and exit code 2."""

    def run(*words: str, code: int = 2) -> str:
        capsys.readouterr()
        assert main(list(words)) == code
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert told.endswith("\n")
        assert "Traceback" not in told
        return told

    return run


def test_search_says_what_it_found_and_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "a run"
    assert main(["search", *TOY, "--epochs", "2", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    native = json.loads((out / "architecture.json").read_text())["native"]
    lines = shown.splitlines()
    assert lines[0] == "Rate  0.03 for the architecture, 100 times the published one for the short search"
    assert lines[1] == f"Searching toy with drnas on toy for 2 epochs, into {out}."
    assert [line.split("  ")[0] for line in lines[2:4]] == ["epoch 1/2", "epoch 2/2"]
    assert all(word in lines[2] for word in ("train loss", "valid loss", "accuracy", "entropy", "skip", "left"))
    assert f"  {native}" in lines
    assert f"Run directory  {out}" in lines
    assert f"Report         {out / 'report.html'}" in lines
    assert f"Next           mixop retrain '{out}'" in lines
    assert "\x1b" not in shown
    assert (out / "report.html").exists()


def test_retrain_says_how_good_it_is_beside_random_ones(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "retrained"
    assert main(["retrain", str(runs["searched"]), "--epochs", "2", "--random", "3", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    networks = json.loads((out / "score.json").read_text())["networks"]
    rows = {line[:24].strip(): line for line in shown.splitlines()}
    accuracies = [f"{100 * network['measures']['accuracy']:.1f} %" for network in networks]
    ordered = sorted(network["measures"]["accuracy"] for network in networks[1:])
    assert accuracies[0] in rows["found"]
    assert accuracies[1] in rows["a random architecture"]
    assert f"{100 * ordered[-1]:.1f} %" in rows["best of 3 random"]
    assert f"{100 * ordered[0]:.1f} %" in rows["worst of 3 random"]
    assert networks[0]["architecture"] in shown
    assert "random architectures trained the same way" in shown
    assert str(out / "report.html") in shown
    assert not (runs["searched"] / "score.json").exists()
    assert "random 3    epoch 2/2" in shown


def test_retrain_trains_five_random_ones_unless_told_otherwise(runs: dict[str, Path], tmp_path: Path):
    out = tmp_path / "retrained"
    assert main(["retrain", str(runs["searched"]), "--epochs", "1", "--out", str(out), "--quiet"]) == 0
    networks = json.loads((out / "score.json").read_text())["networks"]
    assert [network["label"] for network in networks] == ["found", *(f"random {k}" for k in range(1, 6))]


SMALL = ("--protocol.cells", "1", "--protocol.channels", "4", "--epochs", "1", "--quiet")


def test_retrain_takes_a_published_cell_without_a_search(tmp_path: Path):
    flags = ("--protocol", "darts-cifar10", "--protocol.crop", "1", "--protocol.cutout", "2", "--protocol.auxiliary", "0")
    for text in ("DARTS_V2", str(DARTS_V2_TEXT)):
        out = tmp_path / text[:8]
        assert main(["retrain", "--architecture", text, *flags, *SMALL, "--out", str(out)]) == 0
        (network,) = json.loads((out / "score.json").read_text())["networks"]
        assert network["architecture"] == DARTS_V2_TEXT
        assert json.loads((out / "retrain.json").read_text())["protocol"]["drop_path"] == 0.2


def test_retrain_draws_an_architecture(tmp_path: Path):
    """``random:7`` is always the same one, ``random`` that of the run's seed."""
    small = ["--space", "randwire", "--space.nodes", "8", "--space.channels", "2"]
    drawn = [
        training._given(parse(COMMANDS["retrain"], ["--architecture", text, *small, "--seed", seed]))[0]
        for text, seed in (("random:7", "0"), ("random", "7"), ("random", "1"))
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert main(["retrain", "--architecture", "random:7", *small, "--epochs", "1", "--quiet", "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "architecture.json").read_text())["native"] == RandWire(nodes=8).to_native(drawn[0])
    assert {path.name for path in tmp_path.glob("*.svg")} == {f"architecture-conv{k}.svg" for k in (3, 4, 5)}


@pytest.mark.parametrize("text", ["random:x", "random:", "random:-1", "random:1.5", "random: 7", f"random:{10**9}"])
def test_the_seed_of_a_drawn_architecture_must_be_a_whole_number(text, capsys):
    assert main(["retrain", "--architecture", text, "--space", "nasbench201", "--epochs", "1"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said == (
        f"--architecture random:SEED draws by a seed, a whole number from 0 to 999999999 as in random:7, got '{text}': write "
        "one, or random for the seed of the run."
    )


def test_a_long_architecture_is_broken_between_words_where_a_person_reads_it():
    """And whoever copies it can give it back."""
    text = EnasMacro(depth=24).to_native(ARCHITECTURES["ENAS_MACRO"])
    for terminal in (True, False):
        file = io.StringIO()
        console = Console(file=file, force_terminal=terminal, width=80, highlight=False, color_system=None)
        screens._architecture(console, text, of_choices=False)
        lines = file.getvalue().splitlines()
        assert (max(map(len, lines)) <= 80) == terminal
        assert all(line.startswith("  ") for line in lines)
        assert EnasMacro(depth=24).from_native(file.getvalue()) == ARCHITECTURES["ENAS_MACRO"]


@pytest.mark.parametrize(("name", "last", "flags"), [("PROXYLESS_GPU", 1728, ()), ("PROXYLESS_GPU", 1280, ("proxylessnas",))])
def test_a_published_network_of_modules_has_its_own_sizes_unless_a_space_is_named(name, last, flags):
    space = [word for flag in flags for word in ("--space", flag)]
    architecture, built, _, _ = training._given(parse(COMMANDS["retrain"], ["--architecture", name, *space]))
    assert architecture == ARCHITECTURES[name]
    assert (built.name, built.arguments["last"]) == ("proxylessnas", last)


def test_retrain_on_a_tree_of_photographs(tmp_path: Path):
    image = pytest.importorskip("PIL.Image", reason="needs pillow, the extra 'images'")
    rng = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 2)):
        for label, name in enumerate(("n01", "n02")):
            folder = tmp_path / "tree" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 100, (40, 50, 3), dtype=np.uint8) + np.uint8(100 * label)
                image.fromarray(pixels).save(folder / f"{number}.JPEG")
    data = ("--data", "imagenet", "--data.path", str(tmp_path / "tree"), "--data.size", "32")
    flags = ("--protocol", "darts-imagenet", "--protocol.auxiliary", "0", "--batch-size", "4", "--space", "darts")
    out = tmp_path / "run"
    given = ("--architecture", "DRNAS_IMAGENET", "--space.stem", "imagenet", "--out", str(out))
    assert main(["retrain", *given, *data, *flags, *SMALL]) == 0
    score = json.loads((out / "score.json").read_text())
    assert score["input"]["shape"] == [3, 32, 32]
    assert score["networks"][0]["measures"]["loss"] > 0


def test_what_to_retrain_is_said_once(runs: dict[str, Path], fails: Callable[..., str], tmp_path: Path):
    out = ("--out", str(tmp_path / "new"))
    assert "or --architecture" in fails("retrain")
    assert "leave out --architecture" in fails("retrain", str(runs["searched"]), "--architecture", "DARTS_V1")
    assert "did you mean 'DARTS_V2'" in fails("retrain", "--architecture", "DARTS_V3", *out)
    wrong = DARTS_V2_TEXT.replace("dil_conv_3x3", "dil_conv_9x9")
    assert "dil_conv_9x9" in fails("retrain", "--architecture", wrong, *out)
    assert "normal" in fails("retrain", "--architecture", "Genotype(normal=[], normal_concat=range(2, 6))", *out)
    flags = ("--protocol", "darts-cifar10", "--protocol.crop", "1", "--protocol.cutout", "2")
    assert "auxiliary head needs 6 positions" in fails("retrain", "--architecture", "DARTS_V2", *flags, *SMALL, *out)


def test_resume_finishes_a_search_and_then_has_nothing_to_do(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = tmp_path / "begun"
    shutil.copytree(runs["begun"], run)
    assert main(["resume", str(run)]) == 0
    assert "Continuing" in capsys.readouterr().out
    assert (run / "architecture.json").read_text() == (runs["searched"] / "architecture.json").read_text()
    assert main(["resume", str(run)]) == 0
    assert "Nothing is left to do" in capsys.readouterr().out


def test_resume_goes_on_with_a_retraining(runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = tmp_path / "retrained"
    shutil.copytree(runs["retrained"], run)
    (run / "score.json").unlink()
    assert main(["resume", str(run)]) == 0
    assert "best of 2 random" in capsys.readouterr().out
    before, after = (json.loads((p / "score.json").read_text()) for p in (runs["retrained"], run))
    assert [n["measures"] for n in after["networks"]] == [n["measures"] for n in before["networks"]]


def test_evaluate_gives_the_accuracy_of_the_score(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]):
    score = json.loads((runs["retrained"] / "score.json").read_text())["networks"][0]
    assert main(["evaluate", str(runs["retrained"])]) == 0
    assert f"{100 * score['measures']['accuracy']:.1f} % accuracy on 96 test images of toy" in capsys.readouterr().out
    assert main(["evaluate", str(runs["retrained"]), "--json", "--data", "toy", "--data.n", "48"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 48


def test_report_and_export_say_what_they_wrote(runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", str(runs["retrained"])]) == 0
    assert capsys.readouterr().out == f"Report  {runs['retrained'] / 'report.html'}\n"
    assert main(["export", str(runs["retrained"]), "--out", str(tmp_path / "net.pt2")]) == 0
    assert str(tmp_path / "net.pt2") in capsys.readouterr().out
    assert (tmp_path / "net.pt2").stat().st_size > 0


def test_json_is_all_there_is_on_standard_output(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]):
    words = ["search", *TOY, "--epochs", "2", "--out", str(runs["searched"]), "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["architecture"] == json.loads((runs["searched"] / "architecture.json").read_text())["native"]
    assert main(["resume", str(runs["retrained"]), "--json"]) == 0
    assert [network["label"] for network in json.loads(capsys.readouterr().out)["networks"]] == [
        "found",
        "random 1",
        "random 2",
    ]


def test_list(capsys: pytest.CaptureFixture[str]):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for word in ("drnas", "nasbench201", "digits", "Dirichlet", "quick", "skip_connect"):
        assert f"  {word} " in shown
    assert main(["list", "recipes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipes"]["darts"].startswith("DARTS")
    assert main(["list", "relaxations"]) == 0
    assert capsys.readouterr().out.startswith("Softmax ")


def test_bad_input_is_one_sentence(runs: dict[str, Path], tmp_path: Path, fails: Callable[..., str], monkeypatch: Any):
    monkeypatch.chdir(tmp_path)
    new = ("--out", str(tmp_path / "new"))
    searched, begun = str(runs["searched"]), str(runs["begun"])
    assert "did you mean 'search'" in fails("serch")
    assert "The command comes first" in fails("--epochs", "3")
    assert "did you mean 'recipes'" in fails("list", "recipe")
    assert "at least 1, got 0" in fails("search", *TOY, "--epochs", "0", *new)
    assert "at most 48" in fails("search", *TOY, "--epochs", "1", "--batch-size", "500", *new)
    assert "nope.npz" in fails("search", "--data", "npz", "--data.path", "nope.npz", *new)
    assert "the smallest that works is 4" in fails("search", "--data", "toy", *new)
    assert "holds another run: recipe.epochs is 2 there and 3 now" in fails("search", *TOY, "--epochs", "3", "--out", searched)
    assert "is not a run" in fails("search", *TOY, "--epochs", "3", "--out", str(runs["searched"].parent))
    assert "There is no run directory nowhere" in fails("resume", "nowhere")
    assert "is not a run directory" in fails("resume", str(tmp_path))
    assert f"`mixop resume {begun}`" in fails("retrain", begun)
    assert f"`mixop retrain {searched}`" in fails("export", searched)
    assert f"`mixop retrain {searched}`" in fails("evaluate", searched)
    assert "'pt2' or 'onnx'" in fails("export", str(runs["retrained"]), "--format", "onx")
    assert "got -1" in fails("retrain", searched, "--random", "-1", *new)
    assert "does not fit the network" in fails("evaluate", str(runs["retrained"]), "--data", "digits")
    assert "There is no run directory nowhere" in fails("report", "nowhere")


def test_a_missing_extra_is_named(runs: dict[str, Path], fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert "pip install 'mixop[tensorboard]'" in fails("track", str(runs["retrained"]), "--to", "tensorboard")
    assert "pip install 'mixop[tensorboard]'" in fails("search", "--track", "tensorboard", "--out", str(runs["retrained"]))


def test_a_tracker_is_named_and_has_runs_to_show(runs: dict[str, Path], fails: Callable[..., str], tmp_path: Path):
    assert "add --to and one of tensorboard, wandb, trackio, mlflow" in fails("track", str(runs["retrained"]))
    assert "There is no tracker 'mlfow': did you mean 'mlflow'?" in fails("track", str(runs["retrained"]), "--to", "mlfow")
    assert "There is no run in" in fails("track", str(tmp_path), "--to", "tensorboard")


def test_runs_are_sent_to_a_tracker(runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    for name in ("one", "two"):
        shutil.copytree(runs["retrained"], tmp_path / name)
    assert main(["track", str(tmp_path), "--to", "tensorboard"]) == 0
    assert "4 runs" in capsys.readouterr().out
    assert list((tmp_path / "two" / "tensorboard").glob("search/events*"))
    assert (tmp_path / "two" / "report.html").exists()


def raising(error: BaseException) -> Callable[..., None]:
    def run(words: Any) -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "Interrupted"),
        (InterruptedRunError("Stopped with all progress saved: mixop resume x", signal.SIGTERM), 143, "mixop resume x"),
        (OSError(28, "No space left on device", "runs/x/report.html"), 2, "runs/x/report.html: No space left on device"),
        (MemoryError(), 2, "smaller --batch-size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 2, "smaller --batch-size"),
        (ZeroDivisionError("a\nb"), 1, "a bug in mixop (ZeroDivisionError: a b)"),
    ],
)
def test_whatever_ends_a_command_is_told_in_a_sentence(
    error: BaseException, code: int, says: str, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("mixop.cli.commands.run", raising(error))
    assert says in fails("list", code=code)


def test_debug_shows_where_an_error_came_from(capsys: pytest.CaptureFixture[str]):
    assert main(["search", "--epochs", "0", "--debug"]) == 2
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert told.splitlines()[-1].startswith("epochs must be")


def test_ctrl_c_in_a_program_that_calls_main_comes_into_no_import_and_is_heeded_before_anything_is_computed(
    tmp_path: Path, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    def press(kind: str | None) -> Any:
        signal.raise_signal(signal.SIGINT)
        return recipe(kind)

    from mixop.cli.kinds import recipe

    command = COMMANDS["search"]
    values = {**command.values, "recipe": press}
    monkeypatch.setattr("mixop.cli.commands.COMMANDS", {"search": replace(command, values=values)})
    assert "Interrupted" in fails("search", *TOY, "--out", str(tmp_path / "new"), code=130)
    assert not (tmp_path / "new").exists()


def child(*words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": SRC, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "mixop", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def _stopped(words: list[str], signum: int, told: Path) -> None:
    """What a child does: a command that sends itself the signal in the second epoch, however fast it is."""
    tell = Driver._tell

    def also(self: Driver, record: Any) -> None:
        if (record.get("epoch"), record.get("step")) == (2, 2):
            signal.raise_signal(signum)
        tell(self, record)

    Driver._tell = also  # type: ignore[method-assign]
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signum])  # the server of a comparison before this test blocks it
    os.dup2(os.open(told, os.O_WRONLY | os.O_CREAT), 2)
    sys.argv = ["mixop", *words]
    sys.exit(main())


@pytest.mark.parametrize(("signum", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_stopped_search_says_how_to_go_on_and_goes_on(
    tmp_path: Path, signum: int, exit_code: int, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "stopped"
    words = ["search", *TOY, "--epochs", "3", "--out", str(out)]
    process = CONTEXT.Process(target=_stopped, args=(words, signum, tmp_path / "told"))
    process.start()
    process.join()
    told = (tmp_path / "told").read_text()
    assert process.exitcode == exit_code, told
    process.close()
    assert told == f"Stopped in epoch 2 of 3 with all progress saved: mixop resume {out}\n"
    assert main(["resume", str(out)]) == 0
    assert "drnas found in 3 epochs" in capsys.readouterr().out


def test_a_reader_that_has_seen_enough_is_no_error():
    with child("list", "spaces") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_a_part_of_ones_own_is_found_where_one_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass, replace\n"
        "from mixop.recipes import darts\n"
        "from mixop.relax.softmax import Softmax\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Warm(Softmax):\n"
        "    heat: float = 2.0\n"
        "def recipe():\n"
        "    return replace(darts(epochs=1), name='mine', relaxation=Warm())\n"
    )
    words = ("--recipe", "mine:recipe", "--recipe.relaxation.heat", "3", "--json")
    monkeypatch.setattr(sys, "argv", ["mixop", "search", *TOY, *words])
    assert main(sys.argv[1:]) == 0
    shown, told = capsys.readouterr()
    assert told == ""
    sys.modules.pop("mine")
    run = tmp_path / json.loads(shown)["run"]
    assert run == tmp_path / "runs" / "recipe-toy-toy"
    assert json.loads((run / "recipe.json").read_text())["relaxation"]["heat"] == 3.0
    command = json.loads((run / "environment.json").read_text())["command"]
    assert command == f"mixop search {' '.join((*TOY, *words))}"


def test_help_comes_without_heavy_imports():
    code = (
        "import sys; from mixop.cli import main; codes = [main(['--help']), main(['list', 'recipes'])];"
        "heavy = {'matplotlib', 'sklearn', 'jinja2'} & sys.modules.keys(); assert codes == [0, 0] and not heavy, heavy;"
        "print('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": SRC}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_batch_size_is_found(tmp_path, monkeypatch, capsys):
    """The recipe's own where it fits; a run that was begun keeps its own, however much is free by then."""
    words = ["search", *TOY[:-2], "--recipe", "darts", "--epochs", "1", "--quiet", "--out", str(tmp_path / "run")]
    assert main([*words, "--batch-size", "auto"]) == 0
    batch = json.loads((tmp_path / "run" / "recipe.json").read_text())["batch_size"]
    assert batch == 32  # of 64, halved for a split of 40 images
    monkeypatch.setattr("mixop.measure.foresight.fitting_batch", lambda *_: 2)
    assert main([*words, "--batch-size=auto"]) == 0
    config = tmp_path / "run.toml"
    config.write_text('[settings]\nbatch-size = "auto"\n')
    assert main([*words, "--config", str(config)]) == 0
    assert main([*words, "--config", str(config), "--out", str(tmp_path / "other")]) == 0
    assert json.loads((tmp_path / "other" / "recipe.json").read_text())["batch_size"] == 2


def test_a_search_and_a_retraining_have_the_epochs_that_there_is_time_for_and_keep_them(tmp_path, monkeypatch, capsys):
    class Whole:
        seconds = 100.0

    for name in ("search_estimate", "retraining_estimate"):
        monkeypatch.setattr(f"mixop.measure.foresight.{name}", lambda *given, **more: Whole)
    out = str(tmp_path / "run")
    search = ["search", "--recipe", "darts", *TOY, "--epochs", "10", "--minutes", "0.4", "--out", out, "--json"]
    retrain = ["retrain", out, "--random", "0", "--epochs", "10", "--minutes", "0.4", "--json"]
    assert [main(search), main(retrain)] == [0, 0]
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["epochs"] == 2  # 24 seconds, of 11.5 each
    assert json.loads((tmp_path / "run" / "score.json").read_text())["networks"][0]["epochs"] == 2
    Whole.seconds = 1e6  # the machine is slower now: what has begun keeps its length
    assert [main(search), main(retrain)] == [0, 0]


def test_of_several_searches_the_best_by_a_short_training_is_kept(tmp_path, capsys):
    out = tmp_path / "run"
    words = ["search", "--recipe", "darts", *TOY, "--epochs", "1", "--out", str(out), "--seed", "4", "--seeds", "2"]
    assert main(words) == 0
    screen = capsys.readouterr().out
    selection = json.loads((out / "selection" / "selection.json").read_text())
    runs = [str(out / "seed-4"), str(out / "seed-5")]
    assert [candidate["run"] for candidate in selection["candidates"]] == runs
    assert [json.loads((Path(run) / "settings.json").read_text())["seed"] for run in runs] == [4, 5]
    kept = runs[selection["selected"]]
    (line,) = [line for line in screen.splitlines() if line.endswith("kept")]
    assert kept in line
    assert f"Run directory  {kept}" in screen
    assert selection["scored_on"]["parts"] == ["valid"]
    assert main([*words, "--json"]) == 0  # nothing is searched or trained twice
    assert json.loads(capsys.readouterr().out)["run"] == kept


def test_only_the_batch_size_is_found(fails):
    assert "--seeds must be at least 1" in fails("search", *TOY, "--seeds", "0")
    assert "epochs" in fails("search", *TOY, "--epochs", "auto")
    assert "batch" in fails("retrain", "x", "--batch-size", "auto")


SPEED = (
    "speed",
    "--space.cells",
    "1",
    "--space.channels",
    "4",
    "--space.input-shape",
    "3,8,8",
    "--batch",
    "4",
    "--repeats",
    "2",
)


def test_speed_says_how_fast(capsys, monkeypatch):
    assert main([*SPEED, "--json", "--executors", "nodewise", "--skip-memory"]) == 0
    figures = json.loads(capsys.readouterr().out)
    executors = figures["executors"]
    assert executors["nodewise"]["times_as_fast"] == 1
    for its in executors.values():
        assert len(its["step"]) == 2
        halves = [a + w for a, w in zip(its["architecture"], its["weights"], strict=True)]
        assert all(0 < half < whole for half, whole in zip(halves, its["step"], strict=True))
    assert figures["limit_seconds"] == pytest.approx(figures["flops"] / figures["roofline"]["convolution"])
    monkeypatch.setattr("mixop.measure.speed.roofline", lambda device: Roofline(**figures["roofline"]))
    assert main([*SPEED, "--executors", "plain", "--skip-memory"]) == 0
    screen = capsys.readouterr().out
    assert "One search step of darts on nasbench201, batches of 4" in screen
    assert "plain" in screen
    assert "memory" not in screen.lower()


@pytest.mark.slow
def test_speed_takes_images_and_signals_of_any_size(capsys, fails):
    def flops(*flags: str) -> float:
        assert main([*SPEED, *flags, "--json", "--executors", "plain", "--skip-memory"]) == 0
        return json.loads(capsys.readouterr().out)["flops"]

    assert 3.5 < flops("--size", "8") / flops("--size", "4") < 4.5  # four times the pixels
    assert "at least 1" in fails(*SPEED, "--size", "0")
    assert "leave it out" in fails("speed", "--space", "darts_rnn", "--recipe", "darts_rnn", "--size", "8")


@pytest.mark.parametrize(("value", "text"), [(18.66, "18.7"), (5.1, "5.10"), (0.0205, "0.0205"), (123.4, "123"), (0.0, "0")])
def test_seconds_have_three_figures(value, text):
    assert screens._figures(value) == text


def test_speed_says_how_much_memory(capsys):
    assert main([*SPEED, "--json", "--executors", "nodewise"]) == 0
    memory = json.loads(capsys.readouterr().out)["executors"]["nodewise"]["memory"]
    assert memory["saved"] > 0
    assert main([*SPEED, "--executors", "nodewise"]) == 0
    assert "memory" in capsys.readouterr().out.lower()


LATENCY = ("--space", "nasbench201", "--space.channels", "4", "--space.cells", "1", "--space.input-shape", "3,8,8")


def test_speed_writes_a_latency_table_that_find_reads(tmp_path, capsys, fails, monkeypatch):
    monkeypatch.setattr("mixop.measure.latency.TIMED", 1)
    monkeypatch.setattr("mixop.measure.latency.MOST_DRAWS", 20)
    file = tmp_path / "board.json"
    assert main(["speed", "--latency", str(file), "--device-name", "a board", *LATENCY]) == 0
    screen = capsys.readouterr().out
    table = read_latency_table(file)
    assert table.device == "a board"
    assert f"{len(table.layers)} layers on a board, one example at a time." in " ".join(screen.split())
    assert main(["speed", "--latency", str(file), "--json", *LATENCY]) == 0
    assert json.loads(capsys.readouterr().out)["layers"].keys() == table.layers.keys()
    said = fails("find", "digits", "--max-latency-ms", "5", "--latency", str(file), "--out", str(tmp_path / "find"))
    assert "lacks Conv2d(1, 16" in said  # that table is of another space
    assert "measure these networks there, by mixop speed --latency" in said
    assert "add --latency FILE" in fails("speed", "--data", "digits")


def test_speed_refuses(fails):
    assert "no executor 'fast'" in fails(*SPEED, "--executors", "plain,fast")
    assert "at least 1 repetition" in fails(*SPEED[:-1], "0")
    assert "measured once" in fails(*SPEED, "--executors", "plain,plain")
    assert "computes in float32" in fails(*SPEED, "--precision", "bfloat16", "--executors", "fused")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("bench",), "mixop bench is called mixop speed now: mixop speed\n"),
        (("bench", "--batch", "4"), "mixop bench is called mixop speed now: mixop speed --batch 4\n"),
        (("benchmark",), "mixop benchmark is called mixop table now: mixop table\n"),
        (("benchmark", "show", "a b.table"), "mixop benchmark is called mixop table now: mixop table show 'a b.table'\n"),
        (("benchmark", "--help"), "mixop benchmark is called mixop table now: mixop table --help\n"),
    ],
)
def test_an_old_name_answers_with_the_new_one(fails: Callable[..., str], words: tuple[str, ...], says: str):
    assert fails(*words) == says
