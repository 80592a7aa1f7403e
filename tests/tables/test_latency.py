"""Latencies: looked up, and as a sum over edges that a search can use."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixop.core.errors import DataError, SpaceError
from mixop.nets.costs import CostTable
from mixop.spaces.nasbench201 import NASBENCH201_OPERATIONS, NasBench201, benchmark_order
from mixop.tables import latencies

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "nasbench201_latency.npz"
SPACE = NasBench201(channels=4, cells=1)


def write(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def additive_truth() -> tuple[np.ndarray, float, np.ndarray]:
    """Costs ``(6, 5)``, the fixed cost, and the latencies of all architectures that they give."""
    table = np.random.default_rng(0).uniform(0, 2, (6, 5))
    table -= table.min(1, keepdims=True)
    numbers = {name: o for o, name in enumerate(NASBENCH201_OPERATIONS)}
    sums = [sum(table[e, numbers[name]] for e, name in enumerate(names)) for names in benchmark_order()]
    return table, 1.5, np.array(sums) + 1.5


def test_lookup(tmp_path: Path):
    values = np.random.default_rng(1).uniform(1, 9, (2, 15_625)).astype(np.float32)
    found = latencies(write(tmp_path / "l.npz", device=np.array(["phone", "card"]), latency_ms=values))
    architecture = SPACE.from_index(123)
    for given in (123, architecture, SPACE.to_native(architecture)):
        assert found.of(given, device="card") == values[1, 123]
    assert found.column("phone")[7] == values[0, 7]
    with pytest.raises(DataError, match="did you mean 'phone'"):
        found.of(0, device="fone")
    with pytest.raises(SpaceError):
        found.of(15_625, device="card")


def test_a_sum_over_edges_is_found(tmp_path: Path):
    table, fixed, latency = additive_truth()
    found = latencies(write(tmp_path / "l.npz", device=np.array(["d"]), latency_ms=latency[None].astype(np.float32)))
    cost = found.additive("d")
    np.testing.assert_allclose(cost.decisions["cell"], table, atol=1e-4)  # of float32 latencies
    assert cost.fixed == pytest.approx(fixed, abs=1e-4)
    assert cost.explained == pytest.approx(1, abs=1e-6)
    costs = CostTable(decisions=cost.decisions, fixed=cost.fixed).costs(SPACE)
    for index in (0, 1462, 9999):
        assert costs.of(SPACE.from_index(index), SPACE) == pytest.approx(latency[index], abs=1e-3)


def test_the_error_of_the_sum_is_told(tmp_path: Path):
    _, _, latency = additive_truth()
    noisy = latency + np.random.default_rng(2).normal(0, 0.3, latency.shape).clip(-1, 1)
    found = latencies(write(tmp_path / "l.npz", device=np.array(["d"]), latency_ms=noisy[None].astype(np.float32)))
    cost = found.additive("d")
    assert cost.error == pytest.approx(0.3, rel=0.05)
    assert cost.explained == pytest.approx(1 - 0.09 / noisy.var(), abs=0.01)


@pytest.mark.skipif(not REAL.exists(), reason="needs nasbench201_latency.npz beside the project, in ../shared/data")
def test_real_latencies():
    found = latencies(REAL)
    real = np.load(REAL, allow_pickle=False)
    assert len(found.devices) == 27
    row = real["device"].tolist().index("fpga")
    assert found.of(9930, device="fpga") == real["latency_ms"][row, 9930]
    cost = found.additive("fpga")  # an exact sum over edges
    assert cost.error < 1e-3
    costs = CostTable(decisions=cost.decisions, fixed=cost.fixed).costs(SPACE)
    for index in range(0, 15_625, 1999):
        assert costs.of(SPACE.from_index(index), SPACE) == pytest.approx(found.of(index, device="fpga"), abs=2e-3)
    assert found.additive("pixel2").explained < 0.9  # which is not one


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"device": np.array(["a"])}, "must hold device and latency_ms"),
        ({"device": np.array(["a"]), "latency_ms": np.zeros((2, 15_625))}, "of shape"),
        ({"device": np.array(["a"]), "latency_ms": np.zeros((1, 10))}, "of shape"),
        ({"device": np.array(["a", "a"]), "latency_ms": np.zeros((2, 15_625))}, "different names"),
        ({"device": np.array(["a"]), "latency_ms": np.full((1, 15_625), np.nan)}, "at least 0"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, arrays: dict[str, Any], says: str):
    with pytest.raises(DataError, match=says):
        latencies(write(tmp_path / "l.npz", **arrays))
