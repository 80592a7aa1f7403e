"""Small words of the commands: plurals, and names fit for a folder."""

from pathlib import Path


def count(number: int, noun: str) -> str:
    """A number with its noun: "1 epoch", "3 epochs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def short(kind: str) -> str:
    """A name fit for a folder: of ``package.module:name`` the name, of a file its stem."""
    return Path(kind).stem if kind.endswith((".json", ".toml")) else kind.rpartition(":")[2]
