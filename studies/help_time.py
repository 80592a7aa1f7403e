"""How long ``mixop COMMAND --help`` takes, command by command: the wall time of the whole process, the median of five.

    python studies/help_time.py [--whole]

``--whole`` measures ``--help-all``, which loads torch where a command trains something. The limit of the short page is half a
second; tests/cli/test_help.py holds what it rests on, that torch is not imported.
"""

import subprocess
import sys
import time
from statistics import median

from mixop.cli.commands import COMMANDS

LIMIT = 0.5
REPEATS = 5


def seconds(words: list[str]) -> float:
    """Wall time of one process, which writes its page to a pipe."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "mixop", *words], check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    flag = "--help-all" if "--whole" in sys.argv[1:] else "--help"
    pages = [[flag], ["--version"], *([*name.split(), flag] for name in COMMANDS)]
    print(f"{'mixop ...':<28} {'median':>8} {'least':>8} {'most':>8}   of {REPEATS}, in seconds")
    slowest = 0.0
    for words in pages:
        times = [seconds(words) for _ in range(REPEATS)]
        slowest = max(slowest, median(times))
        print(f"{' '.join(words):<28} {median(times):8.3f} {min(times):8.3f} {max(times):8.3f}")
    print(f"slowest median {slowest:.3f} s; the limit of the short page is {LIMIT} s")


if __name__ == "__main__":
    main()
