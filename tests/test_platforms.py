"""mixop on Windows, as far as Linux can tell: in children that have only what Windows has (`like_windows`)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mixop

SRC = Path(mixop.__file__).parents[1]
SUPPORT = Path(__file__).parent / "support"

EVERY_MODULE = """
import pkgutil
import mixop
for module in pkgutil.walk_packages(mixop.__path__, "mixop."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
"""

PARTS = """
import signal
from pathlib import Path
from mixop.core.machine import cores, memory
from mixop.runs.interrupt import SIGNALS, listening, shielded
from mixop.runs.write import write_bytes, write_once
assert cores() >= 1 and memory() > 0
with listening() as stop, shielded():
    signal.raise_signal(signal.SIGTERM)
    assert stop.signum == signal.SIGTERM
    stop.signum = None
for content in (b"one", b"other"):
    write_bytes(Path("x"), content, keep_previous=True)
assert (Path("x").read_bytes(), Path("x.previous").read_bytes()) == (b"other", b"one")
assert write_once(Path("y"), b"one") and not write_once(Path("y"), b"other")
"""

LOCKS = """
import os, subprocess, sys, time
from pathlib import Path
from mixop.runs import lock
from mixop.runs.lock import Lock, LockedError, owner_of
lock.BEAT = 0.01
here, path = Path(), Path("run.lock")
held = Lock(here)
assert owner_of(path).process == os.getpid(), "the name of the owner is not what is locked"
for again in (lambda: Lock(here), lambda: Lock(here, "run.lock")):
    try:
        again()
    except LockedError as error:
        assert "Another process is working" in str(error)
    else:
        raise AssertionError("locked twice")
held.check()
path.exists() and os.utime(path, (1, 1))
while path.stat().st_mtime < 1000:  # who lives touches its lock
    time.sleep(0.01)
try:
    path.unlink()
except PermissionError:
    pass
else:
    raise AssertionError("an open file was removed")
held.release()
assert path.exists() and owner_of(path) is None
Lock(here).release(remove=True)
assert not path.exists()
held = Lock(here, wait=True)
child = "from pathlib import Path; from mixop.runs.lock import Lock; Lock(Path(), wait=%s).release(); print('got')"
refused = subprocess.run([sys.executable, "-c", child % False], capture_output=True, text=True)
assert "LockedError" in refused.stderr, refused.stderr
waiting = subprocess.Popen([sys.executable, "-c", child % True], stdout=subprocess.PIPE, text=True)
time.sleep(0.5)
assert waiting.poll() is None
held.release(remove=True)
assert waiting.communicate(timeout=60)[0] == "got\\n"
"""

# A search that is stopped, goes on, is trained and looked at, under a name that the console cannot show; then two at a time.
RUNS = """
import signal, sys, urllib.request
from dataclasses import replace
from pathlib import Path
from mixop import api
from mixop.cli import main
from mixop.core.machine import WINDOWS
from mixop.data.toy import toy_set
from mixop.recipes import darts
from mixop.runs.interrupt import InterruptedRunError
from mixop.spaces.toy import Toy
from mixop.watch.server import Server

def stop_first(record):
    if record.get("step") == 2:
        signal.raise_signal(signal.SIGINT)

def mixop(line):
    sys.argv = ["mixop", *line.split()]
    assert main() == 0, line

if __name__ == "__main__":
    assert WINDOWS
    out = "runs/\u7db2"
    try:
        api.search(replace(darts(epochs=3), batch_size=16), Toy(), toy_set(Toy(), n=96), out, observe=stop_first)
    except InterruptedRunError as error:
        assert error.signum == signal.SIGINT
    else:
        raise AssertionError("it went on")
    mixop(f"resume {out}")
    mixop(f"retrain {out} --random 1 --known 0 --quiet")
    mixop(f"evaluate {out}")
    mixop(f"report {out}")
    server = Server(Path("runs"), "127.0.0.1", 0)
    server.start()
    with urllib.request.urlopen(server.url) as page:
        assert b"<html" in page.read()
    server.stop()
    mixop("compare --recipes darts,drnas --space toy --epochs 2 --seeds 1 --jobs 2 --quiet --out runs/compared")
    assert "like_windows" in sys.modules
"""


def child(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A process in which, as in all that it starts, only what Windows has is there."""
    (folder / "sitecustomize.py").write_text("import like_windows\n")
    (folder / "script.py").write_text(code, encoding="utf-8")
    path = os.pathsep.join(map(str, (folder, SRC, SUPPORT)))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "cp1252"}
    command = [sys.executable, "script.py"]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, encoding="cp1252", check=False)


@pytest.mark.slow
@pytest.mark.parametrize("code", [EVERY_MODULE, PARTS, LOCKS], ids=["modules", "parts", "locks"])
def test_it_needs_nothing_that_windows_lacks(tmp_path: Path, code: str):
    done = child(code, tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.slow
def test_runs_are_stopped_continued_trained_watched_and_compared_as_on_windows(tmp_path: Path):
    done = child(RUNS, tmp_path)
    assert done.returncode == 0, done.stderr
    assert r"runs\\u7db2" in done.stdout.replace("/", "\\")
    assert not done.stderr
