"""What a system lacks is missed in one sentence where it is used, and nowhere before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mixop

SRC = Path(mixop.__file__).parents[1]

# As on Windows: these modules and functions are absent, and there is no fork. The modules of others are loaded before, as they
# have their own ways; os.name stays, because the standard library would look for the real Windows.
LIKE_WINDOWS = """
import multiprocessing, os, pkgutil, signal, sys
import torch, sklearn.datasets, scipy.stats, matplotlib.figure, jinja2, rich.live, rich.progress
import multiprocessing.forkserver, multiprocessing.resource_tracker, safetensors.torch, PIL.Image
for name in ("fcntl", "resource", "pwd", "grp", "termios", "pty", "posix"):
    sys.modules[name] = None
for name in ("SIGHUP", "SIGALRM", "SIGKILL", "pthread_sigmask", "alarm", "setitimer"):
    delattr(signal, name)
for name in (
    "fork", "setpgid", "getpgid", "killpg", "setsid", "sched_getaffinity", "getuid", "geteuid", "sysconf", "getloadavg",
    "statvfs", "mkfifo", "O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_DIRECTORY", "fchmod", "pread", "posix_fadvise",
):
    if hasattr(os, name):
        delattr(os, name)
multiprocessing.get_all_start_methods = lambda: ["spawn"]
get_context = multiprocessing.get_context
def only_spawn(method=None):
    if method in ("fork", "forkserver"):
        raise ValueError(f"cannot find context for {method!r}")
    return get_context(method or "spawn")
multiprocessing.get_context = only_spawn
"""

EVERY_MODULE = """
import mixop
for module in pkgutil.walk_packages(mixop.__path__, "mixop."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
print("all")
"""

A_COMMAND = """
from pathlib import Path
from mixop.core.machine import cores, memory
from mixop.runs.interrupt import SIGNALS, listening, shielded
from mixop.runs.write import write_bytes
assert cores() >= 1 and memory() > 0
with listening() as stop, shielded():
    signal.raise_signal(signal.SIGTERM)
    assert stop.signum == signal.SIGTERM
    stop.signum = None
write_bytes(Path("x"), b"content")
assert Path("x").read_bytes() == b"content"
sys.argv = ["mixop", "list", "recipes"]
from mixop.cli import main
sys.exit(main())
"""


def without(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", LIKE_WINDOWS + code]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_module_can_be_imported_without_what_windows_lacks(tmp_path):
    done = without(EVERY_MODULE, tmp_path)
    assert (done.returncode, done.stdout) == (0, "all\n"), done.stderr


@pytest.mark.slow
def test_files_signals_and_the_command_line_work_without_it(tmp_path):
    done = without(A_COMMAND, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "drnas" in done.stdout
