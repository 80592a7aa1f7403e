"""``--runner``: names and fields of runners as flags, and a device that only the workers have."""

from pathlib import Path

import pytest

from mixop.cli import main
from mixop.cli.arguments import parse
from mixop.cli.compare import COMPARE
from mixop.cli.reproducing import REPRODUCE
from mixop.cli.running import runner_and_settings
from mixop.cli.table import TABLE
from mixop.core.errors import RecipeError
from mixop.runs.local import Local
from mixop.runs.ray import Ray
from mixop.runs.runner import Runner
from mixop.runs.slurm import Slurm

BUILD = TABLE[0]


@pytest.mark.parametrize(
    ("words", "runner"),
    [
        ("", Local()),
        ("--runner.gpus 2", Local(gpus=2)),
        ("--runner ray --runner.address ray://h:1 --runner.cores 4", Ray(address="ray://h:1", cores=4)),
        ("--runner slurm --runner.partition a --runner.memory-gb 20", Slurm(partition="a", memory_gb=20)),
        ("--runner slurm --runner.hours 2 --runner.gpus 8 --runner.retries 0", Slurm(hours=2, gpus=8, retries=0)),
    ],
)
def test_runners_are_built_from_flags(words: str, runner: Runner):
    for command, places in ((COMPARE, ()), (REPRODUCE, ("x",)), (BUILD, ("a.table",))):
        assert parse(command, [*places, *words.split()]).build("runner") == runner


def test_a_file_says_the_same(tmp_path: Path):
    (tmp_path / "a.toml").write_text('[settings]\nrunner = "slurm"\njobs = 40\n\n[runner]\naccount = "lab"\n')
    parsed = parse(COMPARE, ["--config", str(tmp_path / "a.toml")])
    assert (parsed.build("runner"), parsed.options.jobs) == (Slurm(account="lab"), 40)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--runner", "slumr"), "There is no runner 'slumr': did you mean 'slurm'?"),
        (("--runner.address", "x"), "mixop compare has no flag --runner.address"),
        (("--runner", "ray", "--runner.adress", "x"), "did you mean --runner.address?"),
        (("--runner.gpus", "0"), "number of GPUs of a run must be"),
        (("--runner", "slurm", "--runner.cluster", "pbs"), "runner.cluster must be"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    words: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["compare", "--out", str(tmp_path / "c"), *words]) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1
    assert not (tmp_path / "c").exists()


def test_workers_elsewhere_may_have_a_device_that_this_machine_has_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    words = ["--device", "cuda"]
    _, settings, device = runner_and_settings(parse(COMPARE, [*words, "--runner", "slurm"]))
    assert (settings.device, device) == ("cpu", "cuda")
    with pytest.raises(RecipeError, match="There is no device 'cuda' here"):
        runner_and_settings(parse(COMPARE, words))
