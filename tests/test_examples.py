"""Every example runs, small, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
ARGUMENTS = {"compare_methods": ["1", "1"]}
SAYS = {
    "find_a_network": "accuracy on the test images",
    "black_box": "found ",
    "compare_methods": "drnas",
    "own_relaxation": "sparsemax",
    "own_space": "found |",
    "signals": "accuracy on the test signals",
    "own_task": "interval_score on the test",
}


NEEDS = {"signals": "sktime"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, tmp_path):
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem], reason=f"needs {NEEDS[path.stem]}, of the extra 'test'")
    command = [sys.executable, "-W", "error", str(path), *ARGUMENTS.get(path.stem, ["1"])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert SAYS[path.stem] in done.stdout
