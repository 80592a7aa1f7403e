import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mixop.core.errors import DataError, MissingExtraError
from mixop.core.values import to_plain
from mixop.data import Folder, Preparation, Split, from_folder, source_from_json

pytest.importorskip("PIL", reason="needs pillow, the extra 'images'")
from PIL import Image

from mixop.data.images.folder import read_image

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


def test_other_files_are_left_alone_and_counted(tmp_path: Path):
    fill(tmp_path)
    (tmp_path / "rose" / "notes.txt").write_text("roses")
    (tmp_path / "rose" / ".hidden.png").write_bytes(b"no image")
    (tmp_path / "readme.md").write_text("flowers")
    (tmp_path / ".cache").mkdir()
    data = from_folder(tmp_path, size=8)
    assert data.record["files_that_are_no_images"] == 1
    assert len(data.examples) == 20


@pytest.mark.parametrize("content", [b"", b"no image", "truncated"])
def test_an_unreadable_image_is_named(tmp_path: Path, content):
    fill(tmp_path)
    path = tmp_path / "tulip" / "03.png"
    path.write_bytes(path.read_bytes()[:120] if content == "truncated" else content)
    with pytest.raises(DataError, match=r"Cannot read the image '.*tulip.03\.png' .*: fix or remove it"):
        from_folder(tmp_path)


def test_sixteen_bits_are_refused_instead_of_clipped(tmp_path: Path):
    fill(tmp_path)
    save(tmp_path / "rose" / "deep.png", np.full((8, 8), 60000, dtype=np.uint16))
    with pytest.raises(DataError, match=r"deep\.png' must have 8 bits for each channel, got mode I"):
        from_folder(tmp_path)


def test_folders_without_images_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"Cannot read the image folder '.*none': No such file"):
        from_folder(tmp_path / "none")
    with pytest.raises(DataError, match="must hold one folder of images for each class, but no image was found"):
        from_folder(tmp_path)
    save(tmp_path / "flat.png")
    with pytest.raises(DataError, match="no image was found"):
        from_folder(tmp_path)
    fill(tmp_path, classes=("rose",))
    with pytest.raises(DataError, match="at least two classes, got 'rose'"):
        from_folder(tmp_path)
    (tmp_path / "tulip").mkdir()
    with pytest.raises(DataError, match="leaves class 'tulip' without an example in its test part"):
        from_folder(tmp_path)


def test_a_class_in_the_test_only_is_refused(tmp_path: Path):
    fill(tmp_path / "train")
    fill(tmp_path / "test", classes=("daisy",), count=1)
    with pytest.raises(DataError, match=r"holds the class 'daisy', which '.*train' does not"):
        from_folder(tmp_path)


def test_a_class_with_one_image_cannot_be_split(tmp_path: Path):
    fill(tmp_path, count=6)
    save(tmp_path / "rare" / "only.png")
    with pytest.raises(DataError, match="leaves class 'rare' without an example"):
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
