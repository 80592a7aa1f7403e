"""What the two spaces of ENAS have in common: sizes, dropout before the classifier, and architectures as numbers.

Source: Pham et al. 2018 (arXiv:1802.03268), and the authors' code for the notation.
"""

import re
from typing import Any

from mixop.core.errors import SpaceError
from mixop.core.outside import shortened
from mixop.spaces.core import Space
from mixop.spaces.sizes import check_halvings

LONGEST = 20_000
"""Characters of an architecture that is read; one of 64 layers has a fifth."""


def check_dropout(space: str, dropout: Any) -> None:
    """Refuses a share that is not in [0, 1).

    Raises:
        SpaceError: with the value.
    """
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise SpaceError(f"{space}: dropout must be a share in [0, 1), got {dropout!r}.")


def check_halved(space: Space, halvings: int) -> None:
    """Refuses data that networks with pooling cannot read.

    Args:
        space: with its sizes.
        halvings: how often its networks halve every axis.

    Raises:
        SpaceError: naming what to use instead.
    """
    if space.tokens:
        raise SpaceError(f"{space.name} reads images and signals, got tokens: use a CellSpace, or the darts space.")
    if space.dims == 0:
        raise SpaceError(f"{space.name} reads images and signals, got feature vectors: use mlp, or a CellSpace with stages=1.")
    if space.input_shape is not None:
        check_halvings(space.name, space.input_shape, halvings)


def numbers_of(text: Any, space: str, form: str, count: int) -> list[int]:
    """The numbers of an architecture in ENAS's notation, in any number of lines; commas and brackets may stand between them.

    Args:
        text: what the user gave.
        space: its name, for messages.
        form: how an architecture is written.
        count: how many numbers there must be.

    Raises:
        SpaceError: with what was expected.
    """
    if not isinstance(text, str):
        raise SpaceError(f"An architecture of {space} is written as a string, got {type(text).__name__}.")
    if len(text) > LONGEST:
        raise SpaceError(f"An architecture of {space} is written in at most {LONGEST:,} characters, got {len(text):,}.")
    words = re.split(r"[\s,\[\]]+", text.strip(" \t\r\n,[]"))
    for word in words:
        if not re.fullmatch(r"[0-9]{1,3}", word):
            raise SpaceError(f"An architecture of {space} is written {form}, but there is {shortened(word)}.")
    if len(words) != count:
        raise SpaceError(f"An architecture of {space} is written {form}: {count} numbers, got {len(words)}.")
    return [int(word) for word in words]
