"""Runs a command and sends it a signal at many moments of its life, by number of function calls and not by a clock.

Until torch is there, moments are imports; from then on they are calls of functions. At each of them the process forks. The fork
gets the signal, and its exit code and all that it wrote to standard error are noted; then its files are put back, and the
original goes on as if nothing had happened. So one start of Python shows many moments: inside imports, steps, writes, and
the end of the process.

    python signalled.py SIGNALS IMPORTS ALL OURS RESULT RUN WORD ...

SIGNALS are groups joined by ``/``, which take turns: numbers joined by commas, sent one after the other. IMPORTS, ALL and OURS
are the numbers of imports, of calls, and of calls of functions of mixop, between two moments; every so many steps are one too.
RESULT is the file of results, JSON; RUN is the run directory that is put back; the words are those of the command.
"""

import atexit
import json
import os
import signal
import sys
from pathlib import Path

STEPS = 7
"""Steps between two moments."""

PATIENCE = 300
"""Seconds after which a fork that goes on is ended: so that a failure is not a test that hangs."""


def contents(folder: Path) -> dict[Path, bytes]:
    """All files of a folder but its lock, which the process holds."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def put_back(folder: Path, before: dict[Path, bytes]) -> None:
    """Makes the files of a folder what they were."""
    for path in contents(folder).keys() - before.keys():
        path.unlink()
    for path, content in before.items():
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)


class Sampler:
    """A hook of imports, then a profile function, that forks at every so many of them."""

    def __init__(self, groups: list[list[int]], imports: int, every: int, ours: int, run: Path, said: Path) -> None:
        self.groups, self.imports, self.every, self.ours, self.run, self.said = groups, imports, every, ours, run, said
        self.imported, self.calls, self.own, self.steps, self.busy, self.profiles = 0, 0, 0, 0, False, False
        self.found: list[dict] = []

    def hear(self, event: str, arguments: tuple) -> None:
        """An audit hook: a profile of what torch does while it is imported would take most of the time."""
        if event != "import" or self.profiles or self.busy:
            return
        self.imported += 1
        if self.imported % self.imports == 0:
            self.sample(f"import {arguments[0]}", self.groups[len(self.found) % len(self.groups)])
        torch = sys.modules.get("torch")
        if torch is not None and not getattr(torch.__spec__, "_initializing", True):
            self.profiles = True
            sys.setprofile(self)

    def __call__(self, frame, event, argument) -> None:
        self.calls += 1
        due, step = self.calls % self.every == 0, False
        if event == "call" and "/mixop/" in frame.f_code.co_filename:
            self.own += 1
            due |= self.own % self.ours == 0
            if frame.f_code.co_name == "take_step":
                self.steps += 1
                step = self.steps % STEPS == 0
        if (due or step) and not self.busy:
            # In a step always the first signals, which ask a run to stop once: whatever is called before, some stop.
            signums = self.groups[0 if step else len(self.found) % len(self.groups)]
            self.sample(f"{frame.f_code.co_filename}:{frame.f_lineno}", signums)

    def sample(self, where: str, signums: list[int]) -> None:
        """Forks, signals the fork and notes how it ends."""
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # mixop has not begun
            return
        self.busy = True
        before = contents(self.run)
        from mixop.cli import interrupt

        done = interrupt._Ending.said is not None
        fork = os.fork()
        if not fork:
            sys.setprofile(None)
            signal.alarm(PATIENCE)
            os.dup2(os.open(self.said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            for signum in signums:
                os.kill(os.getpid(), signum)
            return
        _, status = os.waitpid(fork, 0)
        code, said = os.waitstatus_to_exitcode(status), self.said.read_text()
        self.found.append({"where": where, "signals": signums, "done": done, "code": code, "said": said})
        put_back(self.run, before)
        self.busy = False


def main() -> None:
    groups, imports, every, ours, result, run, *words = sys.argv[1:]
    signums = [[int(signum) for signum in group.split(",")] for group in groups.split("/")]
    sampler = Sampler(signums, int(imports), int(every), int(ours), Path(run), Path(result + ".said"))
    process = os.getpid()

    def end() -> None:
        if os.getpid() == process:
            sampler.sample("the end", signums[0])
        if os.getpid() == process:
            Path(result).write_text(json.dumps(sampler.found))

    atexit.register(end)  # before all others, and called after them
    sys.argv = ["mixop", *words]
    sys.addaudithook(sampler.hear)
    from mixop.cli import main

    sys.exit(main())


if __name__ == "__main__":
    main()
