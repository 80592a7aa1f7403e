"""Configuration files: tables of settings in TOML or JSON."""

from typing import Any

from mixop.core.errors import RecipeError
from mixop.core.files import read_file
from mixop.core.outside import MalformedError, parse_object, parse_toml

SUFFIXES = (".json", ".toml")


def read_table(path: str) -> dict[str, Any]:
    """The tables of a ``.toml`` file, or the object of a ``.json`` file.

    Raises:
        RecipeError: if it is missing or malformed, with the line.
    """
    if not path.endswith(SUFFIXES):
        raise RecipeError(f"A configuration file ends in .toml or .json, got {path!r}.")
    try:
        content = read_file(path)
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise RecipeError(f"Cannot read the file {path!r} ({getattr(error, 'strerror', error)}): check its name.") from error
    toml = path.endswith(".toml")
    try:
        return parse_toml(content) if toml else parse_object(content)
    except MalformedError as error:
        raise RecipeError(f"{path!r} is not valid {'TOML' if toml else 'JSON'} of settings: {error}.") from error
