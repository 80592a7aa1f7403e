"""torch's compiler stays away from commands that compile nothing: loading it takes seconds, in every process."""

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from mixop.cli import main

out, space = sys.argv[1], ["--space", "nasbench201", "--space.channels", "4", "--space.cells", "1", "--space.stages", "1"]
data = ["--data", "digits", "--data.split.valid", "0.5"]
words = [*space, *data, "--recipe", "darts", "--epochs", "1", "--batch-size", "128", "--threads", "1", "--quiet"]
assert main(["search", *words, "--out", out]) == 0
assert main(["retrain", out, "--epochs", "1", "--random", "0", "--threads", "1", "--quiet"]) == 0
assert "torch._dynamo" not in sys.modules, "torch's compiler was loaded"
"""


def test_a_search_and_a_retraining_do_not_load_torchs_compiler(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", CODE, str(tmp_path / "run")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "score.json").exists()
