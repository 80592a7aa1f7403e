"""Every example runs, small, as a script."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
ARGUMENTS = {"compare_methods": ["1", "1"], "constraints": ["0.02"], "reproduce": ["tiny"]}
SAYS = {
    "find_a_network": "accuracy on the test images",
    "black_box": "found ",
    "compare_methods": "random 9",
    "own_relaxation": "sparsemax",
    "own_space": "found |",
    "signals": "plain: accuracy on the test signals",
    "own_model": "plain: ",
    "transformer": "plain: ",
    "timm_backbone": "timm's own: ",
    "hf_backbone": "Hugging Face's own: ",
    "prune": "from scratch",
    "constraints": "ceiling 20%",
    "reproduce": "The regret of projected gradient grows like k",
    "own_scheme": "mixed level",
    "own_task": "interval_score on the test",
}


NEEDS = {
    "signals": ("sktime", "of the extra 'test'"),
    "timm_backbone": ("timm", "which no extra brings"),
    "hf_backbone": ("transformers", "which no extra brings"),
}


SLOW = {"prune", "compare_methods"}
"""They train a dozen networks; each of their parts has tests of its own."""


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=p.stem, marks=[pytest.mark.slow] if p.stem in SLOW else []) for p in EXAMPLES]
)
def test_example(path, tmp_path, monkeypatch, capsys):
    """In this process, where warnings are errors: starting Python and torch would take longer than most of them."""
    if path.stem in NEEDS:
        package, source = NEEDS[path.stem]
        pytest.importorskip(package, reason=f"needs {package}, {source}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", [str(path), *ARGUMENTS.get(path.stem, ["1"])])
    runpy.run_path(str(path), run_name="__main__")
    assert SAYS[path.stem] in capsys.readouterr().out
