"""What torchrun told this process when it started it: how many there are, and which one this is. Imports no torch."""

import os

LAUNCHER = "torchrun --nproc-per-node N -m mixop"
"""How a command is started on several processes."""


def processes() -> int:
    """How many processes torchrun started together; 1 where it did not start this one."""
    return _number("WORLD_SIZE", 1) if "RANK" in os.environ and "MASTER_ADDR" in os.environ else 1


def rank() -> int:
    """Which of them this is, from 0; 0 also where it is alone."""
    return _number("RANK", 0) if processes() > 1 else 0


def local_rank() -> int:
    """Which of those on this machine this is, from 0; its GPU has that number."""
    return _number("LOCAL_RANK", 0) if processes() > 1 else 0


def _number(name: str, otherwise: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else otherwise
