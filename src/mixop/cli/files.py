"""Configuration files: tables of settings in TOML or JSON."""

import json
import tomllib
from typing import Any

from mixop.core.errors import RecipeError
from mixop.core.files import read_file

SUFFIXES = (".json", ".toml")


def read_table(path: str) -> dict[str, Any]:
    """The tables of a ``.toml`` file, or the object of a ``.json`` file.

    Raises:
        RecipeError: if it is missing or malformed, with the line.
    """
    if not path.endswith(SUFFIXES):
        raise RecipeError(f"A configuration file ends in .toml or .json, got {path!r}.")
    try:
        text = read_file(path).decode("utf-8")
    except OSError as error:
        raise RecipeError(f"Cannot read the file {path!r} ({error.strerror or error}): check its name.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path!r} is not a text in UTF-8 ({error.reason}): save it as such.") from error
    try:
        content = tomllib.loads(text) if path.endswith(".toml") else json.loads(text)
    except json.JSONDecodeError as error:
        raise RecipeError(f"{path!r} is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}.") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path!r} is not valid TOML: {str(error).rstrip('.')}.") from error
    except RecursionError as error:
        raise RecipeError(f"{path!r} is nested too deeply to be a configuration.") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path!r} must hold an object of settings, got {type(content).__name__}.")
    return content
