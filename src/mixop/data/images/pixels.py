"""Pictures as Pillow opens them: which ones have numbers that fit into a byte, and how each kind becomes RGB or grey."""

from typing import Any, NamedTuple

EIGHT_BITS = frozenset(("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB"))
"""Pillow's modes whose numbers fit into a byte; others would be cut off."""


class Seen(NamedTuple):
    """A picture in RGB or grey, and what it lost or how it was changed on the way.

    Args:
        image: the picture of Pillow.
        transparent: whether parts of it were transparent; they show the colour that is stored under the transparency.
        frames: whether there are frames behind the first.
        turned: whether its orientation tag turned it.
    """

    image: Any
    transparent: bool
    frames: bool
    turned: bool


def too_deep(image: Any) -> str | None:
    """What a picture has in place of 8 bits for each channel, in words; None where it has them.

    Pillow reads colours of 16 bits as their upper bytes, in the mode of 8 bits. What is in the file shows only before the
    pixels are loaded, in the raw mode of its tiles.
    """
    if image.mode not in EIGHT_BITS:
        return f"mode {image.mode}"
    for *_, arguments in getattr(image, "tile", None) or ():
        raw, *rest = arguments if isinstance(arguments, tuple) and arguments else (arguments,)
        if isinstance(raw, str) and ";16" in raw:
            return "16 bits"
        if isinstance(raw, str) and rest and type(rest[0]) is int and rest[0] > 255 and image.format == "PPM":
            return f"numbers up to {rest[0]}"
    return None


def seen(image: Any, mode: str, *, upright: bool) -> Seen:
    """A picture in another mode.

    Args:
        image: as Pillow opened it, 8 bits for each channel.
        mode: ``RGB`` or ``L``.
        upright: whether its orientation tag is followed.
    """
    opened, turned = image, False
    if upright:
        from PIL import ImageOps

        turned = image.getexif().get(0x0112, 1) in range(2, 9)
        image = ImageOps.exif_transpose(image)
    transparent = False
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA"):
        image = image.convert("RGBA")  # a palette's transparency in bytes needs this step
        transparent = image.getextrema()[3][0] < 255
    converted = image.convert(mode)
    return Seen(converted, transparent, getattr(opened, "is_animated", False), turned)  # asking moves to other frames
