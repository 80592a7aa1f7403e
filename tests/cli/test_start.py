"""``mixop retrain RUN --start supernet``: what it prints, and what it refuses."""

from mixop.cli import main
from mixop.runs.directory import RunDirectory


def test_a_retraining_from_the_supernet_says_so(tmp_path, capsys):
    run, out = str(tmp_path / "run"), str(tmp_path / "out")
    toy = ("--space", "toy", "--data", "toy", "--data.n", "96", "--batch-size", "16", "--epochs", "2")
    assert main(["search", *toy, "--out", run, "--quiet"]) == 0
    words = ["--start", "supernet", "--protocol", "finetune", "--epochs", "2", "--random", "1", "--out", out]
    capsys.readouterr()
    assert main(["retrain", run, *words]) == 0
    told = capsys.readouterr().out
    assert "trained from the supernet  " in told
    assert "whose network began from the supernet's weights" in " ".join(told.split())
    start = RunDirectory(out).score().start
    assert start is not None
    assert start.run == str((tmp_path / "run").resolve())
    assert main(["resume", out, "--quiet"]) == 0
    assert main(["retrain", "--architecture", "DARTS_V2", "--start", "supernet"]) == 2
    assert "write mixop retrain RUN --start supernet" in capsys.readouterr().err
    assert main(["retrain", run, *words[:-1], str(tmp_path / "frozen"), "--protocol.freeze", "layers.77"]) == 2
    assert "weight to freeze in this network 'layers.77'" in capsys.readouterr().err
