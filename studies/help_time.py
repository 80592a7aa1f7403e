"""How long ``mixop COMMAND --help`` takes, command by command: the wall time of the whole process, the median of five, and
the time of the processor, which other work on the machine does not lengthen as much.

    python studies/help_time.py [--whole]

``--whole`` measures ``--help-all``, which loads torch where a command trains something. The limit of the short page is half a
second; tests/cli/test_help.py holds what it rests on, that torch is not imported.
"""

import resource
import subprocess
import sys
import time
from statistics import median

from mixop.cli.commands import COMMANDS

LIMIT = 0.5
REPEATS = 5


def processor() -> float:
    """Seconds of the processor that the processes started so far have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seconds(words: list[str]) -> tuple[float, float]:
    """Wall time and processor time of one process, which writes its page to a pipe."""
    began, used = time.perf_counter(), processor()
    subprocess.run([sys.executable, "-m", "mixop", *words], check=True, capture_output=True)
    return time.perf_counter() - began, processor() - used


def main() -> None:
    flag = "--help-all" if "--whole" in sys.argv[1:] else "--help"
    pages = [[flag], ["--version"], *([*name.split(), flag] for name in COMMANDS)]
    print(f"{'mixop ...':<28} {'median':>8} {'least':>8} {'most':>8} {'processor':>10}   of {REPEATS}, in seconds")
    slowest = 0.0
    for words in pages:
        walls, cpus = zip(*(seconds(words) for _ in range(REPEATS)), strict=True)
        slowest = max(slowest, median(walls))
        print(f"{' '.join(words):<28} {median(walls):8.3f} {min(walls):8.3f} {max(walls):8.3f} {median(cpus):10.3f}")
    print(f"slowest median {slowest:.3f} s; the limit of the short page is {LIMIT} s")


if __name__ == "__main__":
    main()
