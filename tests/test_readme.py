"""The README and the page of commands are true: commands run, Python runs, links and make targets exist."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mixop.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = (ROOT / "docs" / "commands.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", COMMANDS, flags=re.DOTALL | re.MULTILINE)


def run(arguments: list[str], folder: Path) -> None:
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stdout}\n{done.stderr}"


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("mixop ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


SMALL = {
    "find": ["--minutes", "0.05"],
    "search": ["--epochs", "1", "--recipe.warmup", "0"],
    "retrain": ["--epochs", "1", "--random", "1"],
    "compare": ["--epochs", "1", "--seeds", "1"],
}
"""What is added to a command of the README, so that it takes seconds; what comes last counts."""


def test_the_commands_run_in_their_order(tmp_path, monkeypatch, capsys):
    """In this process, where warnings are errors too: a start of Python and torch for each would take most of the time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert {command[0] for command in commands()} == {
        "find",
        "search",
        "resume",
        "retrain",
        "evaluate",
        "report",
        "track",
        "export",
        "compare",
        "table",
        "list",
    }
    for command in commands():
        command += SMALL.get(command[0], [])
        assert main(command) == 0, f"{shlex.join(command)}: {capsys.readouterr().err}"
    for name in ("architecture.json", "architecture.svg", "weights.safetensors", "score.json", "report.html"):
        assert (tmp_path / "runs" / "x" / name).stat().st_size > 0
    assert list((tmp_path / "runs" / "x").glob("*.pt2"))


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_search_runs_what_the_readme_says():
    """What it runs is what the README's commands are, which run in another test."""
    shown = subprocess.run(["make", "-n", "search"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [shlex.split(line)[1:] for line in shown.splitlines() if "/bin/mixop " in line]
    assert lines == [["find", "digits", "--minutes", "2", "--out", "runs/digits"], ["export", "runs/digits/final"]]
    assert ["find", "digits", "--minutes", "2"] in commands()
    assert all(f"mixop {shlex.join(line)}" in README for line in lines)


def test_the_python_runs(tmp_path):
    images = pytest.importorskip("PIL.Image", reason="Pillow (extra `images`) is not installed")
    rng = np.random.default_rng(0)
    for flower in ("rose", "tulip"):
        (tmp_path / "flowers" / flower).mkdir(parents=True)
        for k in range(24):
            pixels = rng.integers(0, 255, (40, 36, 3), dtype=np.uint8)
            images.fromarray(pixels).save(tmp_path / "flowers" / flower / f"{k}.png")
    code, _ = blocks("python")
    # Small: two epochs instead of hundreds, narrow cells, batches that two dozen images fill.
    for large, small in (
        ("epochs=50", "epochs=1"),
        ("epochs=200", "epochs=1"),
        ("channels=16, cells=2", "channels=2, cells=1"),
        ("mixop.recipes.drnas(", "replace(mixop.recipes.drnas("),
        ("epochs=1), space", "epochs=1), batch_size=8), space"),
        ("epochs=1, out", "epochs=1, protocol=replace(mixop.evaluate.PROTOCOLS['quick'], batch_size=8), out"),
    ):
        assert large in code
        code = code.replace(large, small)
    code = f"from dataclasses import replace\n{code}\nassert result.model(data.batch(data.test[:1]).x).shape == (1, 2)\n"
    (tmp_path / "code.py").write_text(code)
    run([sys.executable, "-W", "error", "code.py"], tmp_path)


GIVEN = """
import numpy as np, torch, mixop
from pathlib import Path
rng = np.random.default_rng(0)
signals, labels = rng.normal(size=(40, 2, 16)).astype("float32"), np.arange(40) % 2
x, prices = rng.normal(size=(40, 5)).astype("float32"), rng.normal(size=40).astype("float32")
photos, masks = rng.normal(size=(40, 3, 8, 8)).astype("float32"), rng.integers(0, 2, (40, 8, 8))
train, valid, test = (torch.utils.data.TensorDataset(torch.randn(20, 1, 8, 8), torch.arange(20) % 2) for _ in range(3))
Path("ptb").mkdir()
for part in ("train", "valid", "test"):
    Path("ptb", f"ptb.{part}.txt").write_text("a rose is a rose is a rose \\n" * 40)
def my_loss(outputs, targets):
    return (outputs[:, 0] - targets).square()
my_measure = my_loss
"""


def test_data_that_is_not_images(tmp_path):
    _, code = blocks("python")
    shapes = ((2, 16), (5,), (3, 8, 8), (1, 8, 8), None)
    lines = [line for line in code.splitlines() if line.startswith("data = ")]
    assert len(lines) == len(shapes)
    checks = [f"{line}\nassert data.shape == {shape}" if shape else line for line, shape in zip(lines, shapes, strict=True)]
    (tmp_path / "code.py").write_text("\n".join([GIVEN, *checks, *code.splitlines()[len(lines) :], "assert task.outputs == 3"]))
    run([sys.executable, "-W", "error", "code.py"], tmp_path)


def test_links_and_targets_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z-]+)", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
