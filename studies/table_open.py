"""Measures the time and memory of opening a table, and the time of a look-up.

python studies/table_open.py FOLDER/nasbench201.npz

Each opening runs in a separate process, which has already loaded mixop.tables. Memory is the growth of the resident set
(/proc/self/statm, Linux) after opening, after one look-up, and after one pass over every column.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

CHILD = """
import os, sys, time
from pathlib import Path
from mixop.tables import Table

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20

what = {"dataset": "cifar10", "split": "valid", "epochs": 200}
before, begin = resident(), time.perf_counter()
table = Table.open(sys.argv[1])
opened, memory = time.perf_counter() - begin, resident() - before
begin = time.perf_counter()
table.query(6111, **what)
first = time.perf_counter() - begin
after = resident() - before
begin = time.perf_counter()
architecture = table.architecture(6111)
table.query(architecture, **what)
named = time.perf_counter() - begin
begin = time.perf_counter()
for row in range(10_000):
    table.query(row, **what)
query = (time.perf_counter() - begin) / 10_000
begin = time.perf_counter()
for _ in range(2_000):
    table.query(architecture, **what)
by_name = (time.perf_counter() - begin) / 2_000
for column in table.columns:
    table._raw(column).sum()
print(opened, memory, first, after, named, query, by_name, resident() - before)
"""


def main() -> None:
    """Converts, measures and prints."""
    from mixop.tables import Table, convert

    with tempfile.TemporaryDirectory() as folder:
        path = convert(sys.argv[1], Path(folder, "benchmark.table"))
        table = Table.open(path)
        print(f"{path.stat().st_size:,} bytes, {len(table):,} architectures, {len(table.columns)} columns")
        runs = []
        for _ in range(7):
            done = subprocess.run([sys.executable, "-c", CHILD, path], capture_output=True, text=True, check=True)
            runs.append([float(word) for word in done.stdout.split()])
    names = (
        "opening, ms",
        "memory after opening, MiB",
        "first look-up by row, ms",
        "memory after it, MiB",
        "first look-up by architecture, ms",
        "look-up by row, us",
        "look-up by architecture, us",
        "memory after reading every column, MiB",
    )
    scales = (1e3, 1, 1e3, 1, 1e3, 1e6, 1e6, 1)
    for name, scale, values in zip(names, scales, zip(*runs, strict=True), strict=True):
        ordered = sorted(scale * value for value in values)
        print(f"{name:<40} median {ordered[3]:8.2f}   {ordered[0]:.2f} to {ordered[-1]:.2f}")


if __name__ == "__main__":
    main()
