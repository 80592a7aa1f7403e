"""The files of a set of images that lies in one folder for each class: what is read, and what is left out."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mixop.core.errors import DataError
from mixop.data.notes import LeftOut

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"))
"""Files that are read as images."""

OTHER_FILES = "files that are no images"
HIDDEN = "hidden files and folders"
LOST_LINKS = "links that point nowhere"
READ_ALREADY = "links to folders that are read already"
NO_FILES = "entries that are neither files nor folders"
OUTSIDE = "files outside the class folders"
EMPTY = "class folders without an image"


class Images(NamedTuple):
    """The images of one part, class by class, by name within a class.

    Args:
        names: below the folder of the part, with slashes.
        sizes: of the files in bytes.
        labels: the number of each one's class.
        nested: how many lie in subfolders of their class.
    """

    names: list[str]
    sizes: list[int]
    labels: list[int]
    nested: int


def classes_of(root: Path) -> list[str]:
    """The names of the class folders, in order.

    Raises:
        DataError: if the folder cannot be read, a class is a link that points nowhere, or two classes are one folder.
    """
    names, known = [], {}
    for entry in _entries(root):
        if entry.name.startswith("."):
            continue
        if _is_lost(entry):
            suffix = Path(entry.name).suffix.lower()
            if suffix in SUFFIXES:
                continue  # a file, which `images_in` counts
            raise DataError(
                f"{entry.path!r} is a link that points nowhere, so a class may be missing: mend the link or remove it."
            )
        if entry.is_dir():
            place = _place(entry.path)
            if place in known:
                raise DataError(
                    f"The classes {known[place]!r} and {entry.name!r} of {str(root)!r} are one folder: remove one of the links."
                )
            known[place] = entry.name
            names.append(entry.name)
    return names


def images_in(root: Path, classes: Sequence[str], left_out: LeftOut, *, every_class: bool) -> Images:
    """The images of a part, in the folders of their classes and the subfolders of these.

    Links are followed. A folder that links lead to more than once, or in a circle, is read once.

    Args:
        root: the folder of the part.
        classes: names of the classes in the order of their numbers.
        left_out: counts what is not read.
        every_class: whether a class without an image is refused.

    Raises:
        DataError: if a folder cannot be read, a class has no image, there is none at all, or a class is not in ``classes``.
    """
    own = classes_of(root)
    strange = [name for name in own if name not in set(classes)]
    if strange:
        raise DataError(
            f"{str(root)!r} holds the class {strange[0]!r}, which the training folder does not: add it there, or remove it "
            "here."
        )
    for entry in _entries(root):
        if entry.name not in own:
            _count(entry, root, left_out, otherwise=OUTSIDE)
    # A link that leads out of its class, to another class or up the tree, would give images a wrong label.
    top = root.resolve()
    taken = {_place(folder) for folder in (top, *top.parents, *(root / name for name in own))}
    found = Images([], [], [], 0)
    nested = 0
    for label, name in enumerate(classes):
        before = len(found.names)
        here = LeftOut()
        for entry, depth in _walk(root / name, root, taken, here, left_out) if name in own else ():
            found.names.append(Path(entry.path).relative_to(root).as_posix())
            found.sizes.append(entry.stat().st_size)
            found.labels.append(label)
            nested += depth > 0
        if len(found.names) == before and every_class:
            without = f" (it holds {here})" if str(here) else ""
            raise DataError(
                f"{str(root / name)!r} must hold the images of a class, but holds none{without}: fill or remove it."
            )
        if len(found.names) == before and name in own:
            left_out.add(EMPTY, f"{root.name}/{name}")
    if not found.names:
        without = f" (it holds {left_out})" if str(left_out) else ""
        raise DataError(f"{str(root)!r} must hold one folder of images for each class, but no image was found in one{without}.")
    return found._replace(nested=nested)


def refuse_one_class(root: Path, classes: Sequence[str]) -> None:
    """Raises a `DataError` if there is a single class."""
    if len(classes) < 2:
        raise DataError(f"{str(root)!r} must hold one folder of images for each of at least two classes, got {classes[0]!r}.")


def alike(classes: Sequence[str]) -> list[list[str]]:
    """Classes whose names differ only in their case: most likely one class in two folders."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        groups.setdefault(name.casefold(), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _walk(
    folder: Path, root: Path, taken: set[tuple[int, int]], here: LeftOut, left_out: LeftOut, depth: int = 0
) -> Iterator[tuple[os.DirEntry[str], int]]:
    """The image files of a folder and of the folders in it, by name; what is not read is counted here and for the set."""
    for entry in _entries(folder):
        unread = entry.name.startswith(".") or _is_lost(entry)
        if not unread and entry.is_file() and Path(entry.name).suffix.lower() in SUFFIXES:
            yield entry, depth
        elif not unread and entry.is_dir():
            place = _place(entry.path)
            if place in taken:
                _add(READ_ALREADY, entry, root, here, left_out)
                continue
            taken.add(place)
            yield from _walk(Path(entry.path), root, taken, here, left_out, depth + 1)
        else:
            _count(entry, root, here, left_out, otherwise=OTHER_FILES)


def _count(entry: os.DirEntry[str], root: Path, *left_out: LeftOut, otherwise: str) -> None:
    kind = otherwise
    if entry.name.startswith("."):
        kind = HIDDEN
    elif _is_lost(entry):
        kind = LOST_LINKS
    elif not entry.is_file():
        kind = NO_FILES
    _add(kind, entry, root, *left_out)


def _add(kind: str, entry: os.DirEntry[str], root: Path, *left_out: LeftOut) -> None:
    for counts in left_out:
        counts.add(kind, Path(entry.path).relative_to(root.parent).as_posix())


def _is_lost(entry: os.DirEntry[str]) -> bool:
    """Whether it is a link that leads to nothing, or in a circle of links."""
    return entry.is_symlink() and not Path(entry.path).exists()


def _place(path: str | Path) -> tuple[int, int]:
    """What tells one folder from another, whatever links lead to it."""
    try:
        status = Path(path).stat()
    except OSError as error:
        raise DataError(f"Cannot read the image folder {str(path)!r}: {error.strerror or error}.") from error
    return status.st_dev, status.st_ino


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"Cannot read the image folder {str(folder)!r}: {error.strerror or error}.") from error
