"""Measured latencies of the architectures of nasbench201 on devices, for searches that take them into account."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mixop.core.errors import DataError, unknown
from mixop.spaces.core import Architecture
from mixop.spaces.nasbench201 import NASBENCH201_OPERATIONS, NasBench201, benchmark_order
from mixop.tables.arrays import read_npz


@dataclass(frozen=True, kw_only=True)
class AdditiveCost:
    """Latencies as a sum over edges, for a cost table: ``mixop.nets.costs.CostTable(decisions=a.decisions, fixed=a.fixed)``.

    Args:
        decisions: milliseconds of every operation on every edge, ``(6, 5)``, of the group ``cell``; >= 0.
        fixed: milliseconds of the rest of the network, >= 0.
        error: root mean squared difference from the measured latencies, in milliseconds.
        explained: share of the variance of the measured latencies that the sum explains, at most 1.
    """

    decisions: dict[str, tuple[tuple[float, ...], ...]]
    fixed: float
    error: float
    explained: float


@dataclass(frozen=True, eq=False)
class Latencies:
    """Latencies in milliseconds, made by `latencies`.

    Args:
        devices: names of the devices.
        values: ``(devices, 15625)`` float32, architectures in the order of the benchmark.
    """

    devices: tuple[str, ...]
    values: NDArray[np.float32]

    def of(self, architecture: Architecture | str | int, *, device: str) -> float:
        """The latency of an architecture in milliseconds.

        Args:
            architecture: a member of nasbench201, its native string, or its number in the benchmark.
            device: the device.

        Raises:
            DataError: if there is no such device.
            SpaceError: if the architecture is not of nasbench201.
        """
        space = NasBench201()
        if isinstance(architecture, int):
            architecture = space.from_index(architecture)
        elif isinstance(architecture, str):
            architecture = space.from_native(architecture)
        return float(self.column(device)[space.index(architecture)])

    def column(self, device: str) -> NDArray[np.float32]:
        """The latencies of all architectures on a device, ``(15625,)`` in milliseconds.

        Raises:
            DataError: if there is no such device.
        """
        if device not in self.devices:
            raise DataError(unknown("device", device, self.devices))
        return self.values[self.devices.index(device)]

    def additive(self, device: str) -> AdditiveCost:
        """The sum over edges closest to the latencies, by least squares with costs of at least 0.

        A search needs a sum, because the expected cost of mixing weights is then exact and differentiable. How well it fits
        differs from device to device, so look at ``explained``.

        Args:
            device: the device.

        Raises:
            DataError: if there is no such device.

        Source: Cai et al. 2019 (arXiv:1812.00332), section 3.3, latency as a sum over operations; the fit is ours.
        """
        from scipy.optimize import nnls

        latency = self.column(device).astype(np.float64)
        numbers = {name: o for o, name in enumerate(NASBENCH201_OPERATIONS)}
        chosen = np.array([[numbers[name] for name in operations] for operations in benchmark_order()])
        edges, options = chosen.shape[1], len(numbers)
        features = np.ones((len(chosen), 1 + edges * options))
        features[:, 1:] = (chosen[:, :, None] == np.arange(options)).reshape(len(chosen), -1)
        # The normal equations say the same in 31 rows instead of 15,625.
        left = np.linalg.cholesky(features.T @ features + 1e-9 * np.eye(features.shape[1]))
        weights, _ = nnls(left.T, np.linalg.solve(left, features.T @ latency))
        table = weights[1:].reshape(edges, options)
        fixed = weights[0] + table.min(1).sum()  # a cost that all options of an edge share does not affect the choice
        rows = tuple(tuple(float(cost) for cost in row - row.min()) for row in table)
        squared = np.square(features @ weights - latency).mean()
        return AdditiveCost(
            decisions={"cell": rows},
            fixed=float(fixed),
            error=float(np.sqrt(squared)),
            explained=float(1 - squared / latency.var()) if latency.var() > 0 else 1.0,
        )


def latencies(path: str | os.PathLike[str]) -> Latencies:
    """Reads a file of latencies of nasbench201.

    Args:
        path: an ``.npz`` file with ``device`` (names) and ``latency_ms`` ``(devices, 15625)``, architectures in the order of
            the benchmark.

    Raises:
        DataError: if the file is missing, damaged, or holds something else.
    """
    arrays = read_npz(Path(path))
    if "device" not in arrays or "latency_ms" not in arrays:
        raise DataError(f"{os.fspath(path)!r} must hold device and latency_ms, but does not.")
    devices, values = tuple(str(name) for name in arrays["device"].ravel()), arrays["latency_ms"]
    wanted = (len(devices), len(benchmark_order()))
    if values.shape != wanted or values.dtype.kind != "f":
        raise DataError(
            f"latency_ms of {os.fspath(path)!r} must be floats of shape {wanted}, got {values.dtype} {values.shape}."
        )
    if len(set(devices)) != len(devices) or not np.isfinite(values).all() or values.min() < 0:
        raise DataError(f"{os.fspath(path)!r} must hold latencies of at least 0, of devices with different names.")
    return Latencies(devices, values.astype(np.float32))
