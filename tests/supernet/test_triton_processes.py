"""What the triton executor needs processes of its own for: Triton interprets, or compiles for a GPU, from its import on.

Here Triton is never imported, so that nothing else that runs in this process is affected.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed: it comes with mixop[triton]")

COMPILES = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

import torch
from mixop.nets.ops import BatchNorm
from mixop.spaces import darts
from mixop.supernet import launched
from mixop.supernet.executors import make_supernet

TYPES = {torch.float32: "*fp32", torch.int8: "*i8"}
compiled = {}


def described(value):
    if isinstance(value, tuple):
        return tuple(map(described, value))
    return "constexpr" if value is None else "i32" if isinstance(value, int) else TYPES[value.dtype]


def launch(name, grid, *given, **constants):
    if (key := (name, constants.get("RELU"), constants.get("MAXIMUM"))) in compiled:
        return
    kernel = getattr(launched.kernels(), name)
    named = dict(zip(kernel.arg_names, given))
    signature = {name: described(value) for name, value in named.items()} | dict.fromkeys(constants, "constexpr")
    fixed = {name: None for name, value in named.items() if value is None} | constants
    compiled[key] = triton.compile(ASTSource(kernel, signature, fixed), target=GPUTarget("cuda", 90, 32)).asm["cubin"]


launched.launch, launched.interpreting = launch, lambda: True
from mixop.supernet import triton as executor
executor.interpreting = launched.interpreting
kinds = ("max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_3x3")
space = darts(cells=1, channels=4, input_shape=(3, 4, 4), outputs=2, operations=kinds)
net = make_supernet("triton", space, norm=BatchNorm(), generator=torch.Generator())
net(torch.randn(2, 3, 4, 4), {g.name: torch.rand(g.shape).requires_grad_() for g in net.groups}).sum().backward()
assert all(compiled.values())
print(*sorted({name for name, *_ in compiled}))
"""


def environment(**more: str) -> dict[str, str]:
    paths = [str(ROOT / "src"), str(ROOT / "tests" / "support"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}


def interpret(*arguments: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(TRITON_INTERPRET="1"), capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1], done.stdout


def test_the_kernels_and_the_executor_in_the_interpreter():
    interpret("tests/supernet/test_launched.py", "tests/supernet/test_triton.py")


@pytest.mark.slow
@pytest.mark.parametrize("which", ["launched.py", "triton.py -k loss", "triton.py -k not(loss)"])
def test_larger_ones_in_the_interpreter(which: str):
    interpret("-m", "slow", *f"tests/supernet/test_{which}".split())


@pytest.mark.slow
def test_what_every_executor_must_do_in_the_interpreter():
    """The contract tests of executors, which skip this one where Triton does not interpret."""
    interpret("-k", "triton", "tests/supernet/test_by_cell.py")
    interpret("-k", "triton and (one or nasbench201)", "tests/supernet/test_golden.py")


@pytest.mark.slow
def test_every_kernel_compiles_for_a_gpu(tmp_path: Path):
    """To machine code for compute capability 9.0, by the assembler that comes with Triton; nobody runs it."""
    done = subprocess.run(
        [sys.executable, "-c", COMPILES],
        env=environment(TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0"),
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        "block_moments", "depthwise", "depthwise_by_image", "depthwise_by_weight", "merge_moments", "mixture",
        "mixture_backward", "mixture_sums", "pool", "pool_backward",
    ]  # fmt: skip
