"""Signals to a command, at any moment of its life."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mixop
from mixop.runs import checkpoint

SRC = str(Path(mixop.__file__).parents[1])
SUPPORT = Path(__file__).parents[1] / "support"
TOY = ("--space", "toy", "--data", "toy")
WORDS = "Interrupted: what was saved is kept, and the same command continues from there.\n"


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": SRC, "OMP_NUM_THREADS": "1", **more}


@pytest.fixture(autouse=True)
def heard():
    """These tests may run under nohup, or in the background of a script: children are to start with the usual signals."""
    before = {signum: signal.signal(signum, signal.SIG_DFL) for signum in (signal.SIGHUP, signal.SIGTERM)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("imports", "every", "ours"),
    [(301, 300_007, 30_011), (29, 30_011, 1_009)],
    ids=["some moments", "many moments"],
)
def test_nothing_but_a_sentence_at_any_moment(tmp_path: Path, imports: int, every: int, ours: int):
    """Moments are numbers of imports and of function calls: in steps, while files are written, and while the process ends."""
    run, result = tmp_path / "run", tmp_path / "found.json"
    sampling = (str(SUPPORT / "signalled.py"), "2/15/1/2,2/15,1", str(imports), str(every), str(ours), str(result), str(run))
    subprocess.run(
        [sys.executable, *sampling, "search", *TOY, "--epochs", "2", "--out", str(run)],
        env=environment(),
        capture_output=True,
        check=True,
    )
    found = json.loads(result.read_text())
    assert len(found) > 10
    stopped = {f"Stopped in epoch {n} of 2 with all progress saved: mixop resume {run}\n" for n in (1, 2)}
    for moment in found:
        if moment["done"]:  # it has said how it ended: the signal comes too late
            assert (moment["code"], moment["said"]) == (0, ""), moment
        else:
            assert moment["code"] == 128 + moment["signals"][0], moment
            assert moment["said"] in {WORDS, *stopped}, moment
    assert {moment["said"] for moment in found} == {WORDS, "", *stopped}


def test_a_terminal_that_is_closed_stops_a_search_which_saves(tmp_path: Path):
    """The kernel sends SIGHUP, and every write to the terminal fails from then on."""
    out = tmp_path / "run"
    words = ["search", *TOY, "--epochs", "100000", "--checkpoint-seconds", "1e9", "--out", str(out)]
    child, terminal = pty.fork()
    if not child:
        os.execve(sys.executable, [sys.executable, "-m", "mixop", *words], environment(TERM="xterm"))
    shown = b""
    while b"2 of 100000, step" not in shown:
        shown += os.read(terminal, 4096)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    saved = checkpoint.load(out / "state.pt")["search"]  # the first checkpoint was the last one until then
    assert saved["epoch"] == len((out / "metrics.jsonl").read_text().splitlines()) >= 1


@pytest.mark.slow
def test_nohup_goes_on_when_the_terminal_is_closed(tmp_path: Path):
    code = (
        "import os, signal, sys\n"
        "from mixop.engine import driver\n"
        "tell = driver.Driver._tell\n"
        "def also(self, record):\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    tell(self, record)\n"
        "driver.Driver._tell = also\n"
        "from mixop.cli import main\n"
        f"sys.argv = {['mixop', 'search', *TOY, '--epochs', '1', '--quiet', '--out', str(tmp_path / 'run')]!r}\n"
        "sys.exit(main())\n"
    )
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# Runs in every Python process of a command: a signal to the whole group of processes, as Ctrl-C in a terminal sends it, when
# the server of the workers begins to import torch.
IN_THE_SERVER = """
import os, signal, sys
if "forkserver" in " ".join(sys.orig_argv):
    def hook(event, arguments, state=[]):
        if event == "import" and arguments[0] == "torch" and not state:
            state.append(True)
            os.killpg(0, int(os.environ["SIGNUM"]))
    sys.addaudithook(hook)
"""


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP])
def test_nothing_but_a_sentence_while_the_workers_of_a_comparison_start(tmp_path: Path, signum: int):
    (tmp_path / "sitecustomize.py").write_text(IN_THE_SERVER)
    words = ["compare", *TOY, "--recipes", "gdas", "--seeds", "1", "--jobs", "2", "--out", str(tmp_path / "all")]
    done = subprocess.run(
        [sys.executable, "-m", "mixop", *words],
        env=environment(PYTHONPATH=f"{tmp_path}{os.pathsep}{SRC}", SIGNUM=str(int(signum))),
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert done.returncode == 128 + signum, done.stderr
    assert done.stderr == (
        f"Stopped with 0 of 2 runs done and all progress saved in {tmp_path / 'all'}: the same command continues from there.\n"
    )


def test_leaving_at_once_removes_what_is_not_kept(tmp_path: Path):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from mixop.cli import interrupt\n"
        "from mixop.core.scratch import scratch_folder\n"
        "interrupt.mind_signals()\n"
        f"with scratch_folder(within={str(tmp_path)!r}) as folder:\n"
        "    Path(folder, 'large').write_bytes(bytes(10))\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (143, WORDS)
    assert list(tmp_path.iterdir()) == []
