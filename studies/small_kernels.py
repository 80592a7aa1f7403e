"""Why the fused executor is a compiled extension: its kernels against the same loops in Numba, on one thread.

    python studies/small_kernels.py

Needs g++, or the compiler that CXX names; leaves Numba out where it is not installed. Prints GFLOP/s, the best of many runs, of
a depthwise 5x5 and a pointwise convolution on one image of 32 x 32 pixels and 16 channels.
"""

import ctypes
import importlib.util
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mixop.supernet.building import SOURCES, compiler, own_flags
from mixop.supernet.compiled import vector_width

SIZE, CHANNELS = 32, 16

SOURCE = """
#include "tile.h"
extern "C" void depthwise5(const float* tile, const float* w, float* o) {
  depthwise(5, 1, 1, inside((float*)tile, 32, 16), 16, w, false, View{o, 32 * 16, 16}, 32, 32, false);
}
extern "C" void pointwise(const float* z, const float* w, float* o) {
  const Product from = {Const(z, 32 * 16, 16), w};
  product(&from, 1, View{o, 32 * 16, 16}, 32, 32, 16, false);
}
"""


def compiled(folder: Path) -> tuple[Callable[..., None], Callable[..., None]]:
    """The fused executor's two kernels."""
    (folder / "small.cpp").write_text(SOURCE)
    command = [*compiler(), *own_flags(vector_width(CHANNELS)), f"-I{SOURCES}"]
    subprocess.run([*command, "-o", str(folder / "small.so"), str(folder / "small.cpp")], check=True)
    library = ctypes.CDLL(str(folder / "small.so"))

    def call(name: str) -> Callable[..., None]:
        function = getattr(library, name)
        return lambda *arrays: function(*(ctypes.c_void_p(a.ctypes.data) for a in arrays))

    return call("depthwise5"), call("pointwise")


def jitted() -> tuple[Callable[..., None], Callable[..., None]]:
    """The same as loops for Numba, channels innermost."""
    numba: Any = importlib.import_module("numba")

    def depthwise5(x: np.ndarray, w: np.ndarray, o: np.ndarray) -> None:
        for y in range(SIZE):
            for q in range(SIZE):
                for c in range(CHANNELS):
                    o[y, q, c] = 0.0
                for i in range(5):
                    for j in range(5):
                        for c in range(CHANNELS):
                            o[y, q, c] += x[y + i + 2, q + j + 2, c] * w[i * 5 + j, c]

    def pointwise(z: np.ndarray, w: np.ndarray, o: np.ndarray) -> None:
        for y in range(SIZE):
            for q in range(SIZE):
                for c in range(CHANNELS):
                    o[y, q, c] = 0.0
                for k in range(CHANNELS):
                    for c in range(CHANNELS):
                        o[y, q, c] += z[y, q, k] * w[k, c]

    return numba.njit(fastmath=True)(depthwise5), numba.njit(fastmath=True)(pointwise)


def rate(run: Callable[..., None], flops: int, *arrays: np.ndarray) -> float:
    """GFLOP/s of the best of 30 batches of 20 runs."""
    run(*arrays)
    best = float("inf")
    for _ in range(30):
        begin = time.perf_counter()
        for _ in range(20):
            run(*arrays)
        best = min(best, (time.perf_counter() - begin) / 20)
    return flops / best / 1e9


def main() -> None:
    """Measures and prints."""
    random = np.random.default_rng(0)
    tile = random.random((SIZE + 8, SIZE + 8, CHANNELS), dtype=np.float32)  # the kernels' border of 4 pixels
    image = np.ascontiguousarray(tile[4:-4, 4:-4])
    taps, matrix = (random.random((n, CHANNELS), dtype=np.float32) for n in (25, CHANNELS))
    pixels = SIZE * SIZE * CHANNELS
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        kinds = {"compiled": compiled(Path(folder))}
        if importlib.util.find_spec("numba"):
            kinds["Numba"] = jitted()
        for name, (depthwise5, pointwise) in kinds.items():
            outputs = [np.zeros_like(image) for _ in range(2)]
            first = rate(depthwise5, 2 * 25 * pixels, tile, taps, outputs[0])
            second = rate(pointwise, 2 * CHANNELS * pixels, image, matrix, outputs[1])
            print(f"{name:8s} depthwise 5x5 {first:6.1f} GFLOP/s, pointwise {second:6.1f} GFLOP/s")
            results[name] = outputs
    for ours, theirs in zip(*results.values(), strict=True) if len(results) == 2 else ():
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)


if __name__ == "__main__":
    main()
