"""The kernels for ARM on an emulated processor: a call goes with all its memory to a program, and the memory comes back."""

import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mixop.supernet import building, compiled, fused, kernel

COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
MISSING = [name for name in (COMPILER, EMULATOR) if shutil.which(name) is None]
PROGRAM = """
#include "cell.cpp"
#include <cstddef>
#include <cstdio>
#include <cstdlib>

struct Region { i64 there, bytes; char* here; };
static std::vector<Region> regions;

static void* here(const void* there) {  // what an address of the caller is in this process
  if (!there) return nullptr;
  for (const Region& r : regions) {
    const i64 at = (i64)there - r.there;
    if (at == 0 || (at > 0 && at < r.bytes)) return r.here + at;
  }
  std::fprintf(stderr, "an address that was not handed over\\n");
  std::exit(3);
}
static void move(const void* array, i64 count) {
  for (i64 i = 0; i < count && array; ++i) ((void**)array)[i] = here(((void**)array)[i]);
}
static void read(void* to, i64 bytes) { if (std::fread(to, 1, bytes, stdin) != (size_t)bytes) std::exit(4); }

int main(int, char** arguments) {
  Cell cell;
  i64 counts[2];  // tensors, which go back, and all regions
  read(counts, sizeof counts), read(&cell, sizeof cell);
  for (i64 i = 0; i < counts[1]; ++i) {
    Region r;
    read(&r, 2 * sizeof(i64));
    r.here = (char*)std::aligned_alloc(64, r.bytes + 64 - r.bytes % 64);
    read(r.here, r.bytes);
    regions.push_back(r);
  }
  const int first = offsetof(Cell, info) / sizeof(void*);
  move((void**)&cell + first, sizeof cell / sizeof(void*) - first);
  move(cell.weight, 8 * cell.terms), move(cell.gradient, 8 * cell.terms), move(cell.running, 4 * cell.terms);
  for (const void* array : {(void*)cell.runs, (void*)cell.mask, (void*)cell.given}) move(array, cell.terms);
  move(cell.value, cell.nodes), move(cell.slope, cell.nodes);
  arguments[1][0] == 'f' ? mixop_cell_forward(&cell) : mixop_cell_backward(&cell);
  for (i64 i = 0; i < counts[0]; ++i) std::fwrite(regions[i].here, 1, regions[i].bytes, stdout);
}
"""


def build(folder: Path, width: int) -> Path:
    """The program for vectors of ``width`` floats."""
    (folder / "program.cpp").write_text(PROGRAM)
    flags = [flag for flag in building.FLAGS if flag not in ("-shared", "-fPIC")]
    command = [COMPILER, *flags, "-march=armv8-a", "-fopenmp", "-static", f"-DWIDTH={width}", f"-I{building.SOURCES}"]
    subprocess.run([*command, "-o", f"program{width}", "program.cpp"], cwd=folder, check=True)
    return folder / f"program{width}"


class Emulated:
    """In the place of a library of kernels."""

    def __init__(self, program: Path) -> None:
        self.program, self.calls = program, 0
        self.prepared: Any = None  # the call that is on, with its memory

    def mixop_cell_workspace(self, call: Any) -> int:
        return compiled.kernels(4).mixop_cell_workspace(call)  # the same on every machine

    def mixop_cell_forward(self, call: Any) -> None:
        self._run("forward", call)

    def mixop_cell_backward(self, call: Any) -> None:
        self._run("backward", call)

    def _run(self, name: str, call: Any) -> None:
        self.calls += 1
        parts = list(_flat([vars(self.prepared), self.prepared.kernel.workspace._memory]))
        stores = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in parts if torch.is_tensor(x)}
        arrays = {x.ctypes.data: x.nbytes for x in parts if isinstance(x, np.ndarray)}
        memory = [*stores.items(), *arrays.items()]
        sent = [np.array([len(stores), len(memory)]).tobytes(), bytes(call._obj)]
        for at, size in memory:
            sent += [np.array([at, size]).tobytes(), ctypes.string_at(at, size)]
        done = subprocess.run([EMULATOR, str(self.program), name], input=b"".join(sent), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        position = 0
        for at, size in stores.items():
            ctypes.memmove(at, done.stdout[position : position + size], size)
            position += size
        assert position == len(done.stdout)


def _flat(values: Any) -> Iterator[Any]:
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list | tuple):
        for value in values:
            yield from _flat(value)
    else:
        yield values


def emulate(patch: pytest.MonkeyPatch, library: Emulated) -> None:
    """Lets cells that are made from now on compute by these kernels, of vectors of 4 floats."""
    by_term, run = kernel._Prepared._by_term, kernel._Prepared.run

    def keeping(self: Any, terms: Any, tensors: Any) -> int:
        self.keep.extend(tensors.values())
        return by_term(self, terms, tensors)

    def watched(self: Any, name: str, *memory: Any) -> None:
        library.prepared = self
        self.keep.append(memory)
        run(self, name, *memory)

    patch.setattr(kernel._Prepared, "_by_term", keeping)
    patch.setattr(kernel._Prepared, "run", watched)
    patch.setattr(kernel, "kernels", lambda width: library)
    for module in (kernel, fused):
        patch.setattr(module, "vector_width", lambda channels: 4)
