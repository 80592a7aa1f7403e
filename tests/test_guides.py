"""The first pages are true: their commands run in their order, and so does their Python."""

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.test_readme import SMALL

import mixop
from mixop.cli import main

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [*(DOCS / f"{name}.md" for name in ("index", "start", "choose", "truth")), DOCS.parent / "README.md"]

FASTER = SMALL | {
    "find": ["--minutes", "0.01"],
    "search": ["--epochs", "1", "--recipe.warmup", "0", "--batch-size", "128"],
    "compare": [*SMALL["compare"], "--jobs", "1"],
}


def steps(page: Path) -> list[tuple[str, str]]:
    """Blocks that can be run, in their order: their language and their text."""
    return re.findall(r"^```(sh|python)\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def given() -> dict[str, object]:
    """A folder of images, and arrays of signals, which the pages say are the reader's own."""
    images = pytest.importorskip("PIL.Image", reason="Pillow (extra `images`) is not installed")
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        Path("photos", kind).mkdir(parents=True)
        for k in range(24):
            images.fromarray(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(f"photos/{kind}/{k}.png")
    return {"signals": rng.normal(size=(60, 2, 16)).astype("float32"), "labels": np.arange(60) % 2}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_runs(page: Path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    names = given()
    for language, text in steps(page):
        if language == "python":
            exec(re.sub(r"minutes=\d+", "minutes=0.01", text), names)
            continue
        for line in text.splitlines():
            command = shlex.split(line, comments=True)
            assert command[0] == "mixop", line
            assert main([*command[1:], *FASTER.get(command[1], [])]) == 0, f"{line}: {capsys.readouterr().err}"


def test_what_is_cited_is_this_version():
    cited = (DOCS.parent / "CITATION.cff").read_text()
    assert f"\nversion: {mixop.__version__}\n" in cited
    for page in (DOCS / "cite.md", DOCS.parent / "README.md"):
        assert f"version = {{{mixop.__version__}}}" in page.read_text()
    assert "The mixop developers" in cited
