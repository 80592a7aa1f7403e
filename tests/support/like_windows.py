"""Makes this process as poor as one on Windows, as far as Linux can: for children of tests/test_platforms.py.

Absent are modules, functions, signals and start methods. A file that is open can neither be removed nor renamed, names are
those that Windows allows, signal 0 is Ctrl-C, ``/proc`` and ``/sys`` are not there, and locks are ``msvcrt``'s. The packages of
others are imported before, as they have their own ways; ``os.name`` stays, because the standard library would look for the real
Windows.
"""

import builtins
import io
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import multiprocessing.spawn
import os
import re
import signal
import sys
from importlib import import_module
from pathlib import Path

from windows_locks import msvcrt

OTHERS = (
    "torch", "torch.export", "safetensors.torch", "sklearn.datasets", "scipy.stats", "scipy.optimize", "matplotlib.figure",
    "PIL.Image", "jinja2", "rich.live", "rich.progress", "optuna", "networkx", "tempfile",
)  # fmt: skip
MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "pty", "posix")
SIGNALS = ("SIGHUP", "SIGALRM", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGCHLD", "pthread_sigmask", "alarm", "setitimer")
FUNCTIONS = (
    "fork", "setpgid", "getpgid", "killpg", "setsid", "sched_getaffinity", "getuid", "geteuid", "sysconf", "getloadavg",
    "uname", "mkfifo", "O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_DIRECTORY", "fchmod", "pread", "posix_fadvise", "statvfs",
)  # fmt: skip

RESERVED = re.compile(r'[<>:"|?*\x00-\x1f]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)
"""What no part of a file's name may be."""

_readlink, _listdir = os.readlink, os.listdir


def _open_here(path: object) -> bool:
    wanted = os.path.realpath(str(path))
    for number in _listdir("/proc/self/fd"):
        try:
            if _readlink(f"/proc/self/fd/{number}") == wanted:
                return True
        except OSError:
            continue
    return False


def _closed(function):
    """A function that takes away the names of files, refused for those that are open."""

    def checked(*paths, **options):
        for path in paths:
            if isinstance(path, str | os.PathLike) and _open_here(path):
                raise PermissionError(13, "it is being used by another process", str(path))
        _named(paths[-1])
        return function(*paths, **options)

    return checked


def _named(path: object) -> None:
    if isinstance(path, str | os.PathLike):
        for part in Path(path).parts:
            assert part in (".", "..") or not RESERVED.search(part), f"{path} is no name on Windows"


def _opened(function):
    """A function that opens files: there is no ``/proc``, and directories are not opened."""

    def checked(path, *arguments, **options):
        if isinstance(path, str | os.PathLike):
            if str(path).startswith(("/proc/", "/sys/")):
                raise FileNotFoundError(2, "No such file or directory", str(path))
            if os.path.isdir(path):  # noqa: PTH112
                raise PermissionError(13, "Permission denied", str(path))
            _named(path)
        return function(path, *arguments, **options)

    return checked


def _touched(path, *arguments, follow_symlinks=True, **options):
    if not follow_symlinks:
        raise NotImplementedError("utime: follow_symlinks unavailable on this platform")
    return _utime(path, *arguments, **options)


def _killed(process: int, signum: int) -> None:
    assert signum != 0, "on Windows this is Ctrl-C for a whole group of processes"
    _kill(process, signum)


for name in OTHERS:
    import_module(name)
for name in MODULES:
    sys.modules[name] = None  # type: ignore[assignment]
sys.modules["msvcrt"] = msvcrt
for name in SIGNALS:
    delattr(signal, name)
for name in FUNCTIONS:
    if hasattr(os, name):
        delattr(os, name)

_utime, _kill = os.utime, os.kill
os.utime, os.kill = _touched, _killed
os.supports_follow_symlinks = os.supports_follow_symlinks - {_utime}
for name in ("unlink", "remove", "replace", "rename"):
    setattr(os, name, _closed(getattr(os, name)))
os.open = _opened(os.open)
builtins.open = io.open = _opened(io.open)

multiprocessing.resource_tracker._HAVE_SIGMASK = False
multiprocessing.get_all_start_methods = lambda: ["spawn"]
_context = multiprocessing.get_context


def _only_spawn(method: str | None = None):
    if method in ("fork", "forkserver"):
        raise ValueError(f"cannot find context for {method!r}")
    return _context(method or "spawn")


multiprocessing.get_context = _only_spawn

import mixop.core.machine  # noqa: E402

mixop.core.machine.WINDOWS = True  # before anything imports it by name
