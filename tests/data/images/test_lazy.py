import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("PIL", reason="needs pillow, the extra 'images'")
from PIL import Image

from mixop.core.errors import DataError, MissingExtraError
from mixop.data import ahead
from mixop.data.images.lazy import ImageFiles, LazyImages

SIDES = ((20, 30), (30, 20), (16, 16), (9, 40), (50, 12), (24, 24), (17, 31))  # width, height


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lazy")
    rng = np.random.default_rng(0)
    for number, (width, height) in enumerate(SIDES):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.jpg")
    return root


def make(root: Path, *, size: int = 8, resize: int = 10, workers: int = 2) -> LazyImages:
    names = sorted(path.name for path in root.glob("*.jpg"))
    return LazyImages(root, names, [(root / n).stat().st_size for n in names], size=size, resize=resize, workers=workers)


def centre_by_hand(path: Path, size: int, resize: int) -> torch.Tensor:
    """Scaled to the shorter side, then cut, as the field evaluates."""
    with Image.open(path) as file:
        width, height = file.size
        scaled = (resize, int(resize * height / width)) if width <= height else (int(resize * width / height), resize)
        pixels = np.asarray(file.convert("RGB").resize(scaled, Image.Resampling.BILINEAR))
    top, left = round((scaled[1] - size) / 2), round((scaled[0] - size) / 2)
    return torch.from_numpy(pixels[top : top + size, left : left + size].copy()).permute(2, 0, 1)


def everything(images: LazyImages) -> torch.Tensor:
    return images.read(torch.arange(len(images)))


def test_files_are_examples(root: Path):
    labels = torch.arange(len(SIDES)) % 2
    images = make(root)
    examples, whole = ImageFiles(images, labels), everything(images)
    assert (len(examples), examples.shape, examples.dtype) == (len(whole), tuple(whole.shape[1:]), whole.dtype)
    assert (examples.device, examples.inputs) == (whole.device, None)
    at = torch.tensor([3, 0, 3, 6])
    batch = examples.read(at)
    assert torch.equal(batch.x, whole[at])
    assert torch.equal(batch.y, labels[at])
    assert torch.equal(examples.to("cpu").read(at).x, whole[at])
    assert whole.is_contiguous()


@pytest.mark.parametrize(("size", "resize"), [(8, 10), (7, 7), (32, 37)])
def test_the_centre_is_that_of_the_field(root: Path, size: int, resize: int):
    got = everything(make(root, size=size, resize=resize))
    for number in range(len(SIDES)):
        assert torch.equal(got[number], centre_by_hand(root / f"{number}.jpg", size, resize))


def test_a_rectangle_is_cut_from_the_whole_image_and_then_scaled(root: Path):
    images, seen = make(root), []

    def boxes(heights: torch.Tensor, widths: torch.Tensor) -> torch.Tensor:
        seen.append((widths.tolist(), heights.tolist()))
        return torch.stack([heights // 3, widths // 4, heights // 2, widths // 2], 1)

    at = torch.tensor([4, 1, 0])
    got = images.read(at, boxes)
    assert seen == [([50, 30, 20], [12, 20, 30])]
    for row, number in enumerate(at.tolist()):
        with Image.open(root / f"{number}.jpg") as file:
            width, height = file.size
            left, top = width // 4, height // 3
            part = file.crop((left, top, left + width // 2, top + height // 2))
            expected = np.array(part.resize((8, 8), Image.Resampling.BILINEAR))
        assert torch.equal(got[row], torch.from_numpy(expected).permute(2, 0, 1))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_and_decoding_ahead_change_nothing(root: Path, workers: int, monkeypatch: pytest.MonkeyPatch):
    expected = everything(make(root, workers=1))
    images = make(root, workers=workers)
    order = torch.tensor([2, 6, 0, 1, 5, 3, 4, 2])
    for limit in (4096, 2):  # with the second, most of what was said is forgotten
        monkeypatch.setattr(ahead, "LIMIT", limit)
        for start in range(0, 8, 2):
            got = images.read(order[start : start + 2], then=order[start + 2 : start + 7])
            assert torch.equal(got, expected[order[start : start + 2]])
        images.expect([5, 6, 1])  # nobody asks for these
        assert torch.equal(images.read(torch.tensor([0])), expected[:1])


def test_what_comes_next_is_decoded_meanwhile(tmp_path: Path):
    for number in range(6):
        Image.fromarray(np.full((12, 12, 3), 40 * number, dtype=np.uint8)).save(tmp_path / f"{number}.jpg")
    images = make(tmp_path, workers=1)
    images.read(torch.tensor([0]), then=torch.tensor([4, 5]))
    images.read(torch.tensor([1]))  # one thread, first come first served: the others are decoded now
    for number in (4, 5):
        (tmp_path / f"{number}.jpg").unlink()
    assert images.read(torch.tensor([5, 4]))[:, 0, 0, 0].tolist() == [200, 160]
    with pytest.raises(DataError, match=r"Cannot read the image '.*4\.jpg'"):
        images.read(torch.tensor([4]))


def test_another_process_reads_the_same(root: Path):
    images = make(root)
    other = pickle.loads(pickle.dumps(images))
    assert torch.equal(everything(other), everything(images))
    assert other.digest == images.digest


def test_the_digest_sees_names_sizes_and_order(root: Path):
    images = make(root)
    names, counts = list(images.names), list(images.bytes_of)

    def digest(names: list[str], counts: list[int], size: int = 8, resize: int = 10) -> bytes:
        return LazyImages(root, names, counts, size=size, resize=resize, workers=1).digest

    digests = {
        digest(names[::-1], counts[::-1]),
        digest(["x.jpg", *names[1:]], counts),
        digest(names, [counts[0] + 1, *counts[1:]]),
        digest(names[:-1], counts[:-1]),
        digest(names, counts, size=9),
        digest(names, counts, resize=11),
    }
    assert len(digests) == 6
    assert images.digest not in digests
    assert images.digest == digest(names, counts)


@pytest.mark.parametrize("content", [b"", b"no image", "truncated"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes | str):
    for number in range(5):
        Image.fromarray(np.zeros((12, 12, 3), dtype=np.uint8)).save(tmp_path / f"{number}.jpg")
    broken = tmp_path / "3.jpg"
    broken.write_bytes(broken.read_bytes()[:300] if isinstance(content, str) else content)
    images = make(tmp_path)
    said = r"Cannot read the image '.*3\.jpg' .*: fix or remove it"
    with pytest.raises(DataError, match=said):
        images.read(torch.tensor([0, 3, 1]))
    images.read(torch.tensor([0]), then=torch.tensor([3]))
    with pytest.raises(DataError, match=said):
        images.read(torch.tensor([3]), lambda heights, widths: torch.zeros(1, 4).long())
    with pytest.raises(DataError, match=said):
        images.verify()
    broken.unlink()
    make(tmp_path).verify()


def test_grey_images_are_coloured_and_deep_ones_refused(tmp_path: Path):
    grey = np.random.default_rng(1).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "0.png")
    Image.fromarray(np.full((8, 8), 60000, dtype=np.uint16)).save(tmp_path / "1.png")
    images = LazyImages(tmp_path, ["0.png", "1.png"], [1, 1], size=8, resize=8, workers=1)
    assert np.array_equal(images.read(torch.tensor([0]))[0].numpy(), np.stack([grey] * 3))
    with pytest.raises(DataError, match=r"1\.png' must have 8 bits for each channel, got mode I"):
        images.read(torch.tensor([1]))


def test_without_pillow_the_extra_is_named(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "PIL.Image", raising=False)
    with pytest.raises(MissingExtraError, match=r"Reading image files needs pillow, .* pip install 'mixop\[images\]'"):
        make(root)
