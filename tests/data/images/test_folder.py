import json
import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from mixop.core.errors import DataError, DataWarning, MissingExtraError
from mixop.core.values import to_plain
from mixop.data import Folder, Preparation, Split, from_folder, imagenet, source_from_json

pytest.importorskip("PIL", reason="needs pillow, the extra 'images'")
from PIL import Image

from mixop.data.images.folder import read_image
from mixop.data.notes import facts

RNG = np.random.default_rng(0)


def save(path: Path, array: np.ndarray | None = None, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8) if array is None else array).save(path, **options)
    return path


def fill(root: Path, classes: tuple[str, ...] = ("rose", "tulip"), count: int = 10) -> Path:
    for name in classes:
        for number in range(count):
            save(root / name / f"{number:02}.png")
    return root


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def test_images_of_the_right_size_are_read_as_they_are(tmp_path: Path):
    fill(tmp_path, count=10)
    data = from_folder(tmp_path, size=8, test=0.2, valid=0.25, seed=1)
    files = sorted(tmp_path.glob("*/*.png"))
    read = {pixels_of(file).tobytes(): file.parent.name for file in files}
    x, y, _ = data.examples.read(torch.arange(20))
    assert {image.numpy().tobytes(): data.task.classes[label] for image, label in zip(x, y, strict=True)} == read
    assert (len(data.train), len(data.valid), len(data.test)) == (12, 4, 4)
    assert (data.task.classes, data.name) == (("rose", "tulip"), tmp_path.name)
    assert data.source == Folder(str(tmp_path), size=8, split=Split(valid=0.25, test=0.2, seed=1))
    assert data.source.load().fingerprint == data.fingerprint
    assert data.augment.flip
    assert len(data.augment.mean) == 3


@pytest.mark.parametrize("test_name", ["test", "val", "valid", "validation"])
def test_a_test_folder_is_the_test_set(tmp_path: Path, test_name: str):
    fill(tmp_path / "train")
    fill(tmp_path / test_name, classes=("tulip",), count=2)
    data = from_folder(tmp_path, size=8)
    assert (len(data.examples), data.targets("test").tolist()) == (22, [1, 1])
    assert np.array_equal(data.examples.read(data.test[:1]).x[0].numpy(), pixels_of(tmp_path / test_name / "tulip" / "00.png"))
    assert data.record["folders"] == {"train": "train", "test": test_name}


def test_a_train_folder_alone_gives_a_share_to_the_test(tmp_path: Path):
    data = from_folder(fill(tmp_path / "train").parent, size=8, test=0.3)
    assert (len(data.train) + len(data.valid), len(data.test), data.record["folders"]) == (14, 6, {"train": "train"})


def test_train_can_be_a_class(tmp_path: Path):
    data = from_folder(fill(tmp_path, classes=("car", "test", "train")), size=8)
    assert data.task.classes == ("car", "test", "train")


def test_a_validation_folder_beside_a_test_folder_is_for_the_architecture(tmp_path: Path):
    for name, count in (("train", 5), ("val", 3), ("test", 2)):
        fill(tmp_path / name, count=count)
    data = from_folder(tmp_path, size=8)
    assert [len(data.at(part)) for part in ("train", "valid", "test")] == [10, 6, 4]
    assert np.array_equal(data.examples.read(data.valid[:1]).x[0], pixels_of(tmp_path / "val" / "rose" / "00.png"))
    assert data.record["folders"] == {"train": "train", "valid": "val", "test": "test"}
    assert data.record["split"]["valid"] == "came with the set"
    fill(tmp_path / "validation")
    with pytest.raises(DataError, match="must hold one validation folder, got 'val' and 'validation'"):
        from_folder(tmp_path)


def test_images_need_not_be_square(tmp_path: Path):
    fill(tmp_path, count=9)
    data = from_folder(tmp_path, size=(6, 12))
    assert data.shape == (3, 6, 12)
    wide = np.zeros((8, 16, 3), dtype=np.uint8)
    wide[:, ::2] = 200
    assert np.array_equal(read_image(save(tmp_path / "w.png", wide), (8, 16), 3), wide.transpose(2, 0, 1))
    # Of a square the middle half of its rows has the proportions 1:2.
    square = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(read_image(save(tmp_path / "s.png", square), (4, 8), 3), square[2:6].transpose(2, 0, 1))
    source = Folder(str(tmp_path), size=(6, 12))
    assert source_from_json(json.loads(json.dumps(to_plain(source)))) == source


def noisy(batch, generator):
    return batch._replace(x=batch.x + torch.randn(batch.x.shape, generator=generator))


def test_a_function_of_the_users_own_augments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "noises", sys.modules[__name__])
    monkeypatch.setattr(noisy, "__module__", "noises")
    data = from_folder(fill(tmp_path), size=8, augment=noisy)
    assert data.source == Folder(str(tmp_path), size=8, augment=Preparation(function="noises:noisy"))
    at = torch.arange(4)
    noise = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    std = torch.tensor(data.augment.std).view(3, 1, 1)
    got = data.augmented(at, torch.Generator().manual_seed(1)).x - data.batch(at).x
    torch.testing.assert_close(got, noise / std, rtol=1e-4, atol=1e-4)  # float32 rounding of numbers near 10


def test_a_wide_image_loses_its_sides_and_a_tall_one_its_ends(tmp_path: Path):
    wide = np.zeros((8, 20, 3), dtype=np.uint8)
    wide[:, 6:14] = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(read_image(save(tmp_path / "wide.png", wide), 8, 3), wide[:, 6:14].transpose(2, 0, 1))
    tall = wide.swapaxes(0, 1).copy()
    assert np.array_equal(read_image(save(tmp_path / "tall.png", tall), 8, 3), tall[6:14].transpose(2, 0, 1))


def test_scaling_is_bilinear(tmp_path: Path):
    ramp = np.repeat(np.arange(0, 256, 8, dtype=np.uint8)[None, :, None], 32, 0).repeat(3, 2)
    got = read_image(save(tmp_path / "ramp.png", ramp), 16, 3).astype(float)
    with Image.open(tmp_path / "ramp.png") as image:
        expected = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(got, expected)
    assert np.abs(np.diff(got[0, 5])[1:-1] - 16).max() <= 1  # a ramp stays a ramp, up to rounding
    assert read_image(tmp_path / "ramp.png", 64, 3).shape == (3, 64, 64)


def test_grey_palette_transparency_and_orientation(tmp_path: Path):
    grey = RNG.integers(0, 256, (8, 8), dtype=np.uint8)
    path = save(tmp_path / "grey.png", grey)
    assert np.array_equal(read_image(path, 8, 1)[0], grey)
    assert np.array_equal(read_image(path, 8, 3), np.stack([grey] * 3))
    palette = Image.fromarray(np.stack([grey] * 3, 2)).quantize(256)
    palette.save(tmp_path / "palette.png", transparency=bytes([0] * 256))
    assert np.abs(read_image(tmp_path / "palette.png", 8, 3)[0].astype(int) - grey).max() <= 1
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    turned = save(tmp_path / "turned.png", grey, exif=exif)
    assert np.array_equal(read_image(turned, 8, 1)[0], np.rot90(grey, -1))


def test_everything_in_the_folder_is_read_or_named(tmp_path: Path):
    root = fill(tmp_path / "flowers")
    (root / "rose" / "notes.txt").write_text("roses")
    (root / "rose" / "image").write_bytes(b"of no known kind")
    (root / "rose" / ".hidden.png").write_bytes(b"no image")
    (root / "readme.md").write_text("flowers")
    save(root / "loose.png")
    (root / ".cache").mkdir()
    (root / "tulip" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (root / "tulip" / "round.png").symlink_to("round.png")
    os.mkfifo(root / "tulip" / "pipe.png")
    with pytest.warns(DataWarning) as told:
        data = from_folder(root, size=8)
    assert data.record["left_out"] == {
        "hidden files and folders": {"count": 2, "first": ["flowers/.cache", "flowers/rose/.hidden.png"]},
        "files outside the class folders": {"count": 2, "first": ["flowers/loose.png", "flowers/readme.md"]},
        "files that are no images": {"count": 2, "first": ["flowers/rose/image", "flowers/rose/notes.txt"]},
        "links that point nowhere": {"count": 2, "first": ["flowers/tulip/gone.png", "flowers/tulip/round.png"]},
        "entries that are neither files nor folders": {"count": 1, "first": ["flowers/tulip/pipe.png"]},
    }
    (warning,) = told
    assert "files that are no images (2: flowers/rose/image, flowers/rose/notes.txt)" in str(warning.message)
    assert len(data.examples) == 20


def test_images_in_subfolders_of_a_class_are_read_in_order(tmp_path: Path):
    root = fill(tmp_path / "set", count=8)
    for number in range(20):
        save(root / "rose" / "outdoor" / "far" / f"{number:02}.png")
    data = from_folder(root, size=8)
    assert data.record["images_in_subfolders"] == 20
    assert (len(data.x), len(data.test_x)) == (36, 7)
    assert data.y.tolist() == [0] * 28 + [1] * 8
    files = [*sorted(root.glob("rose/*.png")), *sorted(root.glob("rose/outdoor/far/*.png")), *sorted(root.glob("tulip/*.png"))]
    assert np.array_equal(data.x.numpy(), np.stack([pixels_of(file) for file in files]))
    moved = from_folder(root.rename(tmp_path / "elsewhere"), size=8)
    assert moved.fingerprint == data.fingerprint
    assert "left_out" not in data.record


def test_links_are_followed_but_no_folder_is_read_twice(tmp_path: Path):
    root = fill(tmp_path / "set")
    fill(tmp_path / "other", classes=("daisy",), count=10)
    (root / "daisy").symlink_to(tmp_path / "other" / "daisy")  # a class that is a link
    (root / "rose" / "more").symlink_to(fill(tmp_path / "more", classes=("far",), count=3) / "far")
    (root / "rose" / "round").symlink_to(root / "rose")
    (root / "rose" / "up").symlink_to(root)
    (root / "rose" / "wrong").symlink_to(root / "tulip")  # would give tulips the label of roses
    (root / "rose" / "again").symlink_to(tmp_path / "more" / "far")
    with pytest.warns(
        DataWarning, match=r"links to folders that are read already \(4: set/rose/more, set/rose/round, \.\.\.\)"
    ):
        data = from_folder(root, size=8)
    assert data.task.classes == ("daisy", "rose", "tulip")
    assert torch.bincount(data.y).tolist() == [10, 13, 10]
    assert data.record["images_in_subfolders"] == 3


def test_a_class_that_is_a_link_to_nothing_or_to_another_class_is_refused(tmp_path: Path):
    root = fill(tmp_path)
    (root / "daisy").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match=r"daisy' is a link that points nowhere, so a class may be missing: mend the link or"):
        from_folder(root)
    (root / "daisy").unlink()
    (root / "daisy").symlink_to(root / "rose")
    with pytest.raises(DataError, match=r"classes 'daisy' and 'rose' of .* are one folder: remove one of the links"):
        from_folder(root)


def test_a_class_of_lost_links_is_refused_with_what_it_holds(tmp_path: Path):
    fill(tmp_path, classes=("rose", "tulip"))
    (tmp_path / "daisy").mkdir()
    for number in range(3):
        (tmp_path / "daisy" / f"{number}.png").symlink_to(tmp_path / "gone" / f"{number}.png")
    with pytest.raises(
        DataError, match=r"daisy' must hold the images of a class, but holds none \(it holds links that point .* \(3"
    ):
        from_folder(tmp_path)


def test_an_empty_class_folder_of_the_test_is_named(tmp_path: Path):
    fill(tmp_path / "train")
    fill(tmp_path / "test", classes=("rose",), count=3)
    (tmp_path / "test" / "tulip").mkdir()
    with pytest.warns(DataWarning, match=r"without class folders without an image \(1: test/tulip\)"):
        from_folder(tmp_path, size=8)


def test_classes_that_differ_only_in_case_are_told(tmp_path: Path):
    fill(tmp_path, classes=("Rose", "rose", "tulip"))
    if len(list(tmp_path.iterdir())) != 3:
        pytest.skip("this file system does not tell cases apart")
    data = from_folder(tmp_path, size=8)
    assert data.record["classes_that_differ_only_in_case"] == [["Rose", "rose"]]
    assert "classes whose names differ only in case (Rose and rose)" in facts(data.record)


@pytest.mark.parametrize("names", [("train", "test", "extra"), ("Train", "Test"), ("train", "holdout")])
def test_parts_are_not_read_as_classes(tmp_path: Path, names: tuple):
    for name in names:
        fill(tmp_path / name)
    with pytest.raises(
        DataError, match=r"a folder of folders, as a class among .*: if it is a part of the set, name the parts"
    ):
        from_folder(tmp_path, size=8)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fill(tmp_path)
    (tmp_path / "rose" / "closed").mkdir()
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"Cannot read the image folder '.*closed': Permission denied"):
        from_folder(tmp_path, size=8)


@pytest.mark.parametrize("content", [b"", b"no image", "truncated"])
def test_an_unreadable_image_is_named(tmp_path: Path, content):
    fill(tmp_path)
    path = tmp_path / "tulip" / "03.png"
    path.write_bytes(path.read_bytes()[:120] if content == "truncated" else content)
    with pytest.raises(DataError, match=r"Cannot read the image '.*tulip.03\.png' .*: fix or remove it"):
        from_folder(tmp_path)


def png_of_16_bits(colour_type: int, channels: int) -> bytes:
    """A picture of 4 x 4 pixels with 16 bits for each channel, which Pillow reads but does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + bytes(range(8 * channels)) for _ in range(4))
    header = struct.pack(">IIBBBBB", 4, 4, 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


DEEP = {
    "grey.png": (png_of_16_bits(0, 1), "mode I"),
    "colour.png": (png_of_16_bits(2, 3), "16 bits"),
    "grey_and_alpha.png": (png_of_16_bits(4, 2), "16 bits"),
    "colour_and_alpha.png": (png_of_16_bits(6, 4), "16 bits"),
    "colour.ppm": (b"P6 4 4 65535\n" + bytes(4 * 4 * 6), "numbers up to 65535"),
    "grey.pgm": (b"P5 4 4 65535\n" + bytes(4 * 4 * 2), "mode I"),
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_8_bits_are_refused_instead_of_clipped(tmp_path: Path, name: str):
    content, got = DEEP[name]
    (fill(tmp_path) / "rose" / name).write_bytes(content)
    sentence = rf"{name}' must have 8 bits for each channel, got {got}.*: convert or remove it"
    with pytest.raises(DataError, match=sentence):
        from_folder(tmp_path)
    tree = tmp_path / "tree"
    for part in ("train", "val"):
        fill(tree / part, count=3)
    (tree / "train" / "rose" / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        imagenet(tree, size=8, verify=True)


def test_a_float_tiff_is_refused(tmp_path: Path):
    fill(tmp_path)
    save(tmp_path / "rose" / "height.tiff", np.full((8, 8), 0.5, dtype=np.float32))
    with pytest.raises(DataError, match=r"height\.tiff' must have 8 bits for each channel, got mode F"):
        from_folder(tmp_path)


def test_what_is_special_about_images_is_counted(tmp_path: Path):
    root = fill(tmp_path, count=6)
    half = RNG.integers(1, 256, (8, 8, 4), dtype=np.uint8)
    half[:4, :, 3] = 0
    save(root / "rose" / "a.png", half)
    opaque = half.copy()
    opaque[..., 3] = 255
    save(root / "rose" / "b.png", opaque)
    palette = Image.fromarray(half[..., :3]).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(root / "rose" / "c.png", transparency=int(np.asarray(palette)[0, 0]))
    frames = [Image.fromarray(np.full((8, 8), value, dtype=np.uint8)) for value in (10, 200)]
    frames[0].save(root / "tulip" / "moving.gif", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(half[..., :3]).save(root / "tulip" / "turned.png", exif=exif)
    Image.fromarray(half).convert("CMYK").save(root / "tulip" / "print.jpg")
    Image.fromarray(half[..., 0] > 128).save(root / "tulip" / "bits.png")
    data = from_folder(root, size=8)
    keys = ("images_without_their_transparency", "images_of_several_frames", "images_turned_upright")
    assert [data.record[key] for key in keys] == [2, 1, 1]
    # The colours stored under the transparency are what one sees then, as with convert("RGB").
    assert np.array_equal(read_image(root / "rose" / "a.png", 8, 3), half[..., :3].transpose(2, 0, 1))
    assert np.array_equal(read_image(root / "rose" / "b.png", 8, 3), half[..., :3].transpose(2, 0, 1))
    assert int(read_image(root / "tulip" / "moving.gif", 8, 3).max()) < 20
    assert np.array_equal(read_image(root / "tulip" / "turned.png", 8, 3), np.rot90(half[..., :3], -1).transpose(2, 0, 1))
    assert np.array_equal(read_image(root / "tulip" / "bits.png", 8, 1)[0], np.where(half[..., 0] > 128, 255, 0))
    text = "2 images without their transparency, the first frame of 1 images that have several, 1 images turned upright by"
    assert facts(data.record).startswith(text)


def test_folders_without_images_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"Cannot read the image folder '.*none': No such file"):
        from_folder(tmp_path / "none")
    with pytest.raises(DataError, match="must hold one folder of images for each class, but no image was found"):
        from_folder(tmp_path)
    save(tmp_path / "flat.png")
    with pytest.raises(
        DataError, match=r"no image was found in one \(it holds files outside the class folders \(1: .*flat.png"
    ):
        from_folder(tmp_path)
    (tmp_path / "flat.png").unlink()
    fill(tmp_path, classes=("rose",))
    with pytest.raises(DataError, match="at least two classes, got 'rose'"):
        from_folder(tmp_path)
    (tmp_path / "tulip").mkdir()
    with pytest.raises(DataError, match=r"tulip' must hold the images of a class, but holds none: fill or remove it"):
        from_folder(tmp_path)


def test_a_class_in_the_test_only_is_refused(tmp_path: Path):
    fill(tmp_path / "train")
    fill(tmp_path / "test", classes=("daisy",), count=1)
    with pytest.raises(DataError, match=r"test' holds the class 'daisy', which the training folder does not: add it there, or"):
        from_folder(tmp_path)


def test_a_class_with_one_image_cannot_be_split(tmp_path: Path):
    fill(tmp_path, count=6)
    save(tmp_path / "rare" / "only.png")
    with pytest.raises(
        DataError, match="Class 'rare' has 1 example, but it needs at least 3, one each for train, valid and test"
    ):
        from_folder(tmp_path)


@pytest.mark.parametrize(("size", "channels"), [(0, 3), (-1, 3), (8, 2), (8, 4)])
def test_sizes_and_channels_out_of_range_are_refused(tmp_path: Path, size: int, channels: int):
    with pytest.raises(DataError, match="Images need a size >= 1 and 1 or 3 channels"):
        from_folder(fill(tmp_path, count=1), size=size, channels=channels)


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fill(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"Reading an image folder needs pillow, .* pip install 'mixop\[images\]'"):
        from_folder(tmp_path)


def test_photographs_at_the_size_of_imagenet(tmp_path: Path):
    fill(tmp_path, count=3)
    pixels = RNG.integers(0, 256, (256, 300, 3), dtype=np.uint8)
    save(tmp_path / "rose" / "00.png", pixels)
    data = from_folder(tmp_path, size=224, test=0.4)
    assert data.shape == (3, 224, 224)
    with Image.open(tmp_path / "rose" / "00.png") as image:
        scaled = image.resize((224, 224), Image.Resampling.BILINEAR, box=(22, 0, 278, 256))
        expected = np.asarray(scaled).transpose(2, 0, 1)
    assert any(np.array_equal(x.numpy(), expected) for x in data.examples.read(torch.arange(6)).x)
