"""The templates of the pages, and ids that a page has once."""

import itertools
import re
from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from mixop.report import words


@cache
def template(name: str, package: str = "mixop.report") -> Template:
    """A template of a package, with the filters that pages use."""
    environment = Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        duration=words.duration, listed=words.listed, scalar=words.scalar, large=words.large, percent=words.percent
    )
    environment.tests["simple"] = lambda value: not isinstance(value, Mapping | list)
    return environment.get_template(name)


def unique_ids(page: str, name: str = "f") -> str:
    """Numbers the ids inside every figure, as a page must not have one twice.

    Args:
        page: HTML.
        name: what the new ids begin with; another one for every part that a page is put together from.
    """
    numbers = itertools.count()

    def renumber(match: re.Match[str]) -> str:
        number = next(numbers)
        return re.sub(r'( id="|url\(#|href="#)', lambda found: f"{found[1]}{name}{number}-", match[0])

    return re.sub(r"<svg.*?</svg>", renumber, page, flags=re.DOTALL)
