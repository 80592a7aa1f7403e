"""Loading torch's compiler, or Optuna, takes seconds in every process: they stay away where nothing needs them."""

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
import torch
import mixop.searchers
from mixop.cli import main
from mixop.core.flops import FlopCounter

out, words = sys.argv[1], ["--space", "toy", "--data", "toy", "--recipe", "darts", "--epochs", "1", "--threads", "1", "--quiet"]
assert main(["search", *words, "--out", out]) == 0
assert main(["retrain", out, "--epochs", "1", "--random", "0", "--threads", "1", "--quiet"]) == 0
with FlopCounter() as counter:
    torch.nn.Conv2d(3, 4, 3)(torch.zeros(1, 3, 5, 5))
assert counter.total == 2 * 4 * 9 * 27
mixop.searchers.Bohb()
assert not {"torch._dynamo", "optuna"} & sys.modules.keys()
"""


def test_what_takes_long_to_load_is_not_loaded(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", CODE, str(tmp_path / "run")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "score.json").exists()
