"""Numbers that are not finite: at once on a CPU, all together from a device."""

import pytest
import torch

from mixop.core.errors import DivergedError
from mixop.engine.finite import FiniteCheck
from mixop.measure.simulated import SimulatedGpu


def test_a_number_on_the_cpu_is_looked_at_when_it_is_seen(tmp_path):
    check = FiniteCheck(tmp_path / "state.pt")
    check.see(torch.tensor(1e30), "The loss", " in step 1")
    with pytest.raises(DivergedError, match="The loss became inf in step 2"):
        check.see(torch.tensor(float("inf")), "The loss", " in step 2")


def test_numbers_on_a_device_are_looked_at_together_and_the_first_is_named(tmp_path):
    check = FiniteCheck(tmp_path / "state.pt")
    with SimulatedGpu() as gpu:
        values = torch.tensor([0.5, float("nan"), float("inf")]).to("cuda")
        gpu.reset()
        check.see(values[0], "The loss", " in step 1")
        check.check()
        for step in (1, 2):
            check.see(values[step], "The loss", f" in step {step + 1}")
        assert sum(gpu.waits.values()) == 1  # of the check
        with pytest.raises(DivergedError, match="The loss became nan in step 2"):
            check.check()
        check.check()  # what was looked at is forgotten
        assert sum(gpu.waits.values()) == 2
