"""The lock of a directory: one process works in it at a time, and notices if its lock is taken away. Imports no torch.

On one machine the kernel's lock (`mixop.runs.held`) decides, and is free the moment its process ends. On network disks it may
hold for all machines, for each alone, or not exist, by how the disk was mounted, and no call says which. So the file also
names its owner, which touches it while it lives. Another machine believes that for a while, by the clock of the file server
alone, and then takes the directory over; an owner that only slept finds its name gone, and writes nothing more.
"""

import json
import os
import secrets
import socket
import stat
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from mixop.core.errors import RunError
from mixop.core.files import read_file
from mixop.core.machine import WINDOWS, machine
from mixop.core.outside import MalformedError, parse_object
from mixop.runs.files import LOCK
from mixop.runs.held import HELD, hold

BEAT = 10.0
"""Seconds between two touches of a lock's file."""

STALE = 60.0
"""Seconds without a touch after which another machine takes an owner for dead."""

# Never through a link, and never waiting for the other end of a pipe. Windows has no such pipes, and other links.
_FLAGS = os.O_RDWR | os.O_CREAT
_FLAGS |= sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))


class LockedError(RunError):
    """Another process holds a lock."""


@dataclass(frozen=True)
class Owner:
    """Who holds a lock, as its file says.

    Args:
        machine: see `mixop.core.machine.machine`.
        host: its name, for people.
        process: the number of the process there.
        token: of this one lock.
    """

    machine: str
    host: str
    process: int
    token: str


class Lock:
    """An exclusive lock on a directory, held by this process until `release`; it goes with the process, however it ends.

    The kernel's lock belongs to an open file, not to its name: someone may remove the file, or the whole directory, and
    another process may then lock a new one of the same name. `check` finds that out.

    Args:
        folder: the directory, which exists.
        name: of the lock's file in it. A directory whose work is divided has a lock for each piece.
        wait: whether to wait while another process holds it.

    Raises:
        LockedError: if another process holds it, and nobody waits.
        RunError: if the file cannot be made.
    """

    def __init__(self, folder: Path, name: str = LOCK, *, wait: bool = False) -> None:
        self.folder, self.path = folder, folder / name
        self._owner = Owner(machine(), socket.gethostname(), os.getpid(), secrets.token_hex(8))
        self._file = self._take(wait)
        self._over = threading.Event()
        threading.Thread(target=self._touch, name=f"touches {self.path}", daemon=True).start()

    def _take(self, wait: bool) -> IO[bytes]:
        while True:
            file = self._open()
            kernel = True
            try:
                hold(file, wait=wait)
            except OSError as error:
                if error.errno in HELD:
                    file.close()
                    raise self._locked() from error
                kernel = False
            if not _same(file, self.path):
                file.close()  # the holder before us removed it after we opened it
                continue
            other = self._other(kernel=kernel)
            if other is None:
                self._sign(file)
                return file
            file.close()
            if not wait:
                raise self._locked(other)
            time.sleep(1.0)

    def _open(self) -> IO[bytes]:
        try:
            return os.fdopen(os.open(self.path, _FLAGS, 0o644), "wb", buffering=0)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> RunError:
        return RunError(f"Run directory {self.folder} is not writable ({error.strerror or error}): choose another --out.")

    def _locked(self, other: Owner | None = None) -> LockedError:
        who = "" if other is None else f" ({other.host}, process {other.process})"
        return LockedError(f"Another process is working in {self.folder}{who}: wait for it, or choose another --out.")

    def _other(self, *, kernel: bool) -> Owner | None:
        """Who else lives and holds the lock, though the kernel of this machine does not know it.

        Args:
            kernel: whether this machine's kernel gave us its lock, so that its own processes do not hold it.
        """
        owner = owner_of(self.path)
        if owner is None:
            return None
        if owner.machine == machine() and (kernel or not _lives(owner.process)):
            return None
        return owner if self._age() < STALE else None

    def _age(self) -> float:
        """Seconds since the lock's file was touched: a new file beside it has the time of the same clock, the file server's."""
        probe = self.path.with_name(f"{self.path.name}.{self._owner.process}-{self._owner.token}.partial")
        try:
            probe.touch()
            now = probe.stat().st_mtime
            probe.unlink()
            return now - self.path.stat().st_mtime
        except OSError as error:
            raise self._unwritable(error) from error

    def _sign(self, file: IO[bytes]) -> None:
        """Writes the owner's name into the file; of two machines that do so at once, the first `check` stops one."""
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return
        try:
            file.truncate(0)
            file.write(json.dumps(asdict(self._owner)).encode())
            os.fsync(file.fileno())
        except OSError as error:
            file.close()
            raise self._unwritable(error) from error

    def _touch(self) -> None:
        """Says that the owner lives, until the lock is released."""
        while not self._over.wait(BEAT):
            with suppress(OSError):
                os.utime(self.path, follow_symlinks=os.utime not in os.supports_follow_symlinks)

    def check(self) -> None:
        """Makes sure that the lock is still there.

        Raises:
            RunError: if it was removed or replaced, or another machine has taken it over.
        """
        if not _same(self._file, self.path):
            raise RunError(
                f"{self.path} was removed while this run was working, and another process may work there now: this one stops "
                "and writes nothing more; run it again into another --out."
            )
        owner = owner_of(self.path)
        if owner is not None and owner != self._owner:
            raise RunError(
                f"{self.folder} was taken over by {owner.host}, process {owner.process}, as nothing was heard of this one for "
                f"{STALE:.0f} s: this one stops and writes nothing more, and that one continues."
            )

    def release(self, *, remove: bool = False) -> None:
        """Gives the lock back.

        Args:
            remove: whether its file goes too.
        """
        self._over.set()
        ours = _same(self._file, self.path) and owner_of(self.path) in (None, self._owner)
        if ours and remove and not WINDOWS:
            self.path.unlink()  # before anybody else can lock it
        elif ours:
            with suppress(OSError):  # a pipe
                self._file.truncate(0)
        self._file.close()
        if ours and remove and WINDOWS:
            with suppress(OSError):  # whoever has opened it in the meantime
                self.path.unlink()


def owner_of(path: Path) -> Owner | None:
    """Who holds a lock, by its file; None where it names nobody.

    Args:
        path: the file. It is opened anew each time: a network disk looks at the server then.
    """
    with suppress(OSError, MalformedError, TypeError):
        return Owner(**parse_object(read_file(path)))
    return None


def _same(file: IO[bytes], path: Path) -> bool:
    """Whether a path leads to an open file."""
    if WINDOWS:  # which lets nobody remove or rename what is open
        return True
    here = os.fstat(file.fileno())
    try:
        there = path.lstat()
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _lives(process: int) -> bool:
    """Whether a process of this machine is there, as far as the system answers that."""
    if WINDOWS:  # where signal 0 is Ctrl-C
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError, TypeError):
        return True
    return True
