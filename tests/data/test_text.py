import lzma
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from mixop.core.errors import DataError, DataWarning, RecipeError
from mixop.data import Data, Ptb, Split, Text, WikiText2, from_text, from_tokens
from mixop.tasks.language import LanguageModel

REAL = Path(__file__).parents[2].parent / "shared" / "data"

TRAIN = " the cat sat on the <unk>\n the <unk> sat\n\n on the cat\n"
VALID = " the cat sat\n"
TEST = " the cat on the mat\n"


def words_of(data: Data, part: str) -> list[str]:
    """The words that a network is asked for, of a part."""
    assert isinstance(data.task, LanguageModel)
    assert not isinstance(data.task.vocabulary, int)
    batch = data.examples.read(data.at(part))  # pyright: ignore[reportArgumentType]
    return [data.task.vocabulary[int(batch.x[0])], *(data.task.vocabulary[k] for k in batch.y.tolist())]


def test_lines_become_words_with_an_end():
    data = from_text(train=TRAIN, valid=VALID, test=TEST, window=4)
    assert data.task == LanguageModel(("the", "cat", "sat", "on", "<unk>", "<eos>"))
    assert words_of(data, "train") == (
        [
            "the",
            "cat",
            "sat",
            "on",
            "the",
            "<unk>",
            "<eos>",
            "the",
            "<unk>",
            "sat",
            "<eos>",
            "<eos>",
            "on",
            "the",
            "cat",
            "<eos>",
        ]
    )
    assert words_of(data, "valid") == ["the", "cat", "sat", "<eos>"]
    assert words_of(data, "test") == ["the", "cat", "on", "the", "<unk>", "<eos>"]
    assert data.record["words_read_as_unknown"] == {"train": 0, "valid": 0, "test": 1}
    assert (data.shape, data.outputs, data.dense, data.tokens, data.name) == ((6, 4), 6, True, True, "text")


def test_a_word_that_the_vocabulary_does_not_have_is_refused_without_a_word_for_it():
    with pytest.raises(DataError, match="The test text has the word 'mat', but the training text has neither it nor '<unk>'"):
        from_text(train="the cat\nthe dog\n", valid="the cat\n", test="the mat\n")


def write(root: Path, names: dict[str, str]) -> Path:
    for name, text in names.items():
        content = text.encode()
        (root / name).write_bytes(lzma.compress(content) if name.endswith(".xz") else content)
    return root


@pytest.mark.parametrize(
    "names",
    [
        ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"),
        ("ptb.train.txt.xz", "ptb.valid.txt.xz", "ptb.test.txt.xz"),
        ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"),
        ("train.txt", "val.txt", "test.txt"),
    ],
)
def test_a_folder_has_the_texts_of_all_parts(tmp_path: Path, names: tuple[str, ...]):
    root = tmp_path / "ptb"
    root.mkdir()
    write(root, dict(zip(names, (TRAIN, VALID, TEST), strict=True)))
    write(root, {"ptb.char.train.txt": "x y z\n", "README": "a text\n", "other.zip": "x"})
    with pytest.warns(DataWarning, match=r"^ptb was read without other texts \(1: ptb\.char\.train\.txt\)\.$"):
        data = from_text(root, window=4)
    given = from_text(train=TRAIN, valid=VALID, test=TEST, window=4)
    assert data.fingerprint == given.fingerprint
    assert data.name == "ptb"
    assert data.source == Text(str(root), window=4, split=Split(valid=0.1, test=0.1))
    with pytest.warns(DataWarning, match="other texts"):
        again = data.source.load()
    assert again.fingerprint == data.fingerprint
    assert sorted(data.record["files"]) == sorted(names)
    assert "seed" not in data.record["split"]


def test_a_text_that_is_unpacked_and_packed_is_read_once(tmp_path: Path):
    write(tmp_path, {"ptb.train.txt": TRAIN, "ptb.train.txt.xz": "other\n", "ptb.valid.txt": VALID, "ptb.test.txt": TEST})
    with pytest.warns(DataWarning, match=r"other texts \(1: ptb\.train\.txt\.xz\)"):
        data = from_text(tmp_path, window=4)
    assert data.fingerprint == from_text(train=TRAIN, valid=VALID, test=TEST, window=4).fingerprint


def test_empty_lines_are_counted_and_a_mark_at_the_start_is_no_word(tmp_path: Path):
    (tmp_path / "book.txt").write_bytes("\ufeffthe cat\n\n  \nthe dog\n".encode() * 1 + b"the cat\n" * 30)
    data = from_text(tmp_path / "book.txt", window=2)
    assert data.task.vocabulary == ("the", "cat", "<eos>", "dog")
    assert data.record["empty_lines"] == {"train": 2}
    assert data.x[:6].tolist() == [0, 1, 2, 2, 2, 0]
    assert torch.equal(data.x[1:], data.y[:-1])


def test_a_single_text_is_divided_in_order(tmp_path: Path):
    lines = [f"word{k % 50} of {k % 7}" for k in range(100)]
    text = "\n".join(lines) + "\n"
    data = from_text(write(tmp_path, {"book.txt": text}) / "book.txt", valid_share=0.2, test_share=0.1, window=5)
    assert data.name == "book"
    # 400 tokens are 399 positions: 40 for the test, 72 of the others for the architecture; a position at the end of a piece
    # has its target in the next one and is left out.
    assert data.test.tolist() == list(range(359, 399))
    assert data.valid.tolist() == list(range(287, 358))
    assert data.train.tolist() == list(range(286))
    assert data.record["split"] == {"method": "in order", "valid": 0.2, "test": 0.1}
    other = data.with_split(Split(valid=0.5, test=0.1))
    assert (other.test.tolist(), len(other.valid)) == (data.test.tolist(), 179)
    assert from_text(train=text, valid_share=0.2, test_share=0.1, window=5).fingerprint == data.fingerprint


def test_files_that_are_no_texts_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"Cannot read the text '.*none': No such file"):
        from_text(tmp_path / "none")
    with pytest.raises(DataError, match=r"must hold a training text like 'ptb.train.txt' or 'train.txt', but holds none"):
        from_text(tmp_path)
    write(tmp_path, {"a.train.txt": TRAIN, "b.train.txt": TRAIN})
    with pytest.raises(DataError, match=r"holds 'a\.train\.txt' and 'b\.train\.txt': keep the files of one text there"):
        from_text(tmp_path)
    (tmp_path / "b.train.txt").unlink()
    (tmp_path / "a.valid.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(DataError, match=r"a\.valid\.txt' must be UTF-8, but is not"):
        from_text(tmp_path)
    (tmp_path / "a.valid.txt").unlink()
    (tmp_path / "a.valid.txt.xz").write_bytes(lzma.compress(VALID.encode())[:30])
    with pytest.raises(DataError, match=r"a\.valid\.txt\.xz' is damaged, or not compressed by xz"):
        from_text(tmp_path)
    (tmp_path / "a.valid.txt.xz").write_bytes(lzma.compress(b""))
    with pytest.raises(DataError, match=r"The valid text of .* must hold at least two tokens, got 0"):
        from_text(tmp_path)


def test_texts_come_from_one_place(tmp_path: Path):
    for options in ({}, {"path": tmp_path, "train": TRAIN}):
        with pytest.raises(DataError, match="A text comes from a path or from train=: give one of the two"):
            from_text(**options)
    with pytest.raises(DataError, match="A path has the texts of all parts: leave out valid= and test="):
        from_text(tmp_path, valid=VALID)
    with pytest.raises(DataError, match="at least two different words, got 1"):
        from_text(train="\n\n\n", valid="\n\n", test="\n\n")


def test_tokens_need_no_words():
    data = from_tokens(torch.tensor([0, 1, 2, 1, 0]), [1, 2], np.array([2, 1], dtype=np.uint8), 5, window=2)
    assert (data.shape, data.task, data.source) == ((5, 2), LanguageModel(5), None)
    assert from_tokens([0, 1, 2, 1, 0], [1, 2], [2, 1]).task == LanguageModel(3)
    assert from_tokens([0, 1, 2, 1, 0], [1, 2], [2, 1], ["a", "b", "c"]).task == LanguageModel(("a", "b", "c"))


@pytest.mark.parametrize(
    ("parts", "vocabulary", "sentence"),
    [
        (([0.0, 1.0], [0, 1], [0, 1]), 3, "The train tokens must be one row of whole numbers, got float64"),
        (([0, 1], [[0, 1]], [0, 1]), 3, r"The valid tokens must be one row of whole numbers, .* \(1, 2\)"),
        (([0, 1, 2], [0, 1], [3, 0]), 3, "must lie between 0 and 2, got 3: give the whole vocabulary"),
        (([0, 1, 2], [0, 1], [3, 0]), None, "must lie between 0 and 2, got 3: give the whole vocabulary"),
        (([0, 1, 2], [0], [1, 0]), 3, "The valid text of tokens must hold at least two tokens, got 1"),
        (([0, 1] * 5,), 2, "leaves 1 tokens in its valid part, which is too few"),
    ],
)
def test_what_are_no_tokens_is_refused(parts: tuple, vocabulary: int | None, sentence: str):
    with pytest.raises(DataError, match=sentence):
        from_tokens(*parts, vocabulary=vocabulary)


def test_a_vocabulary_of_one_is_refused():
    with pytest.raises(RecipeError, match="at least 2 tokens, got 1"):
        from_tokens([0, 0, 0], [0, 0], [0, 0], 1)


def test_characters_are_tokens_too(tmp_path: Path):
    data = from_text(train="ab a\nb\n" * 5, valid="a\n", test="ba\n", window=3, unit="characters")
    assert data.task == LanguageModel(("a", "b", " ", "<eos>"))
    assert words_of(data, "test") == ["b", "a", "<eos>"]
    write(tmp_path, {"train.txt": "ab a\nb\n" * 5, "valid.txt": "a\n", "test.txt": "ba\n"})
    read = Text(str(tmp_path), window=3, unit="characters").load()
    assert read.fingerprint == data.fingerprint
    assert read.record["characters_read_as_unknown"] == {"train": 0, "valid": 0, "test": 0}
    with pytest.raises(DataError, match=r"The test text has the character 'c', .*: leave it out, or add it to that text"):
        from_text(train="ab\n", valid="ab\n", test="abc\n", unit="characters")
    with pytest.raises(DataError, match="unit of a text"):
        Text(str(tmp_path), unit="letters").load()  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("source", "words"), [(Ptb, "929,589, 73,760, 82,430"), (WikiText2, "2,088,628, 217,646, 245,569")])
def test_a_known_text_must_be_the_usual_one(source: type[Ptb] | type[WikiText2], words: str, tmp_path: Path):
    write(tmp_path, {"train.txt": TRAIN, "valid.txt": VALID, "test.txt": TEST})
    with pytest.raises(DataError, match=rf"have {words} tokens and [\d,]+ different ones, but .* have 16, 4, 6 tokens and 6"):
        source(str(tmp_path)).load()


@pytest.mark.skipif(not (REAL / "ptb.train.txt.xz").exists(), reason="the shared data, real text, is not here")
def test_the_penn_treebank():
    data = Ptb(str(REAL)).load()
    assert data.name == "ptb"
    # Published: 929,589 and 73,760 and 82,430 words with the ends of lines, 10,000 different ones.
    assert [len(data.at(part)) + 1 for part in ("train", "valid", "test")] == [929_589, 73_760, 82_430]
    assert data.shape == (10_000, 35)
    assert data.record["words_read_as_unknown"] == {"train": 0, "valid": 0, "test": 0}
    text = lzma.decompress((REAL / "ptb.valid.txt.xz").read_bytes()).decode()
    expected = Counter(text.replace("\n", " <eos> ").split())
    assert isinstance(data.task.vocabulary, tuple)  # pyright: ignore[reportAttributeAccessIssue]
    counts = torch.bincount(data.examples.read(data.valid).x, minlength=10_000).tolist()
    got = {word: count for word, count in zip(data.task.vocabulary, counts, strict=True) if count}  # pyright: ignore[reportAttributeAccessIssue]
    got["<eos>"] += 1  # the last one is a target only
    assert got == expected
