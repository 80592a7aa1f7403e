"""A wheel with kernels in it, installed where no compiler is."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mixop.core.errors import RunError
from mixop.supernet.building import compiler

ROOT = Path(__file__).parents[1]
PROGRAM = """
import json
from dataclasses import replace
from pathlib import Path
import numpy as np
import torch
import mixop
from mixop.nets.ops import BatchNorm
from mixop.recipes import darts
from mixop.spaces import nasbench201
from mixop.supernet.fused import fused
from mixop.supernet.nodewise import nodewise

def results(make, channels):
    space = nasbench201(channels=channels, cells=1, input_shape=(3, 8, 8), outputs=4)
    net = make(space, norm=BatchNorm(affine=False, track=True), generator=torch.Generator().manual_seed(0))
    random = torch.Generator().manual_seed(1)
    mix = {group.name: torch.rand(group.shape, generator=random).softmax(-1).requires_grad_() for group in space.groups}
    loss = net(torch.randn(4, 3, 8, 8, generator=random), mix).square().mean()
    return [loss, *torch.autograd.grad(loss, [*mix.values(), *net.parameters()])]

for channels in (3, 4, 6, 8, 16):
    for ours, theirs in zip(results(fused, channels), results(nodewise, channels), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
random = np.random.default_rng(0)
data = mixop.data.from_arrays(random.random((32, 3, 8, 8), dtype=np.float32), random.integers(0, 4, 32))
recipe = replace(darts(epochs=1), batch_size=4)
mixop.search(recipe, nasbench201(channels=4, cells=1), data, "run", progress=False)
mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
print(json.dumps([mixop.__file__, [name for name in mapped if "/cell_" in name]]))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)  # builds a wheel, installs it and starts torch
@pytest.mark.skipif(sys.platform != "linux", reason="wheels have kernels for Linux")
def test_prebuilt_kernels_compute_without_a_compiler(tmp_path):
    try:
        command = compiler()
    except RunError as error:
        pytest.skip(str(error))
    quick = tmp_path / "quick"  # slow kernels are built in a tenth of the time
    quick.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@" -O0\n')
    quick.chmod(0o755)
    made = tmp_path / "dist"
    make = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(made), str(ROOT)]
    run(make, {"MIXOP_KERNELS": "1", "CXX": str(quick)}, tmp_path)
    (wheel,) = made.iterdir()
    assert "-py3-none-manylinux_2_" in wheel.name
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(site)]
    run([*pip, str(wheel)], {}, tmp_path)
    bare = {"CXX": "/nowhere/g++", "MIXOP_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    used, loaded = json.loads(run([sys.executable, "-c", PROGRAM], bare, tmp_path).splitlines()[-1])
    assert used == str(site / "mixop" / "__init__.py")
    assert {Path(path).parent for path in loaded} == {site / "mixop/supernet/kernels/prebuilt"}
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert (environment["executor"], environment["kernels"]) == ("fused", "prebuilt")
    assert not (tmp_path / "cache").exists()


def run(command: list[str], changed: dict[str, str], folder: Path) -> str:
    done = subprocess.run(command, env=os.environ | changed, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
