"""Building the kernels: found in the cache, built once, and one sentence where that is impossible."""

import sys

import pytest

from mixop.core.errors import RunError
from mixop.supernet import compiled

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernels are for Linux")


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """An empty cache, and nothing loaded that is not in it."""
    monkeypatch.setenv("MIXOP_CACHE", str(tmp_path / "cache"))
    compiled.kernels.cache_clear()
    yield tmp_path / "cache"
    compiled.kernels.cache_clear()


def can_build():
    try:
        compiled.widest_vector()
        compiled._compiler()
    except RunError as error:
        pytest.skip(str(error))


def test_where_kernels_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("MIXOP_CACHE", str(tmp_path))
    assert compiled.cache_folder() == tmp_path
    monkeypatch.delenv("MIXOP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled.cache_folder() == tmp_path / "mixop"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert compiled.cache_folder() == tmp_path / ".cache" / "mixop"


def test_they_are_built_once(fresh, monkeypatch):
    can_build()
    compiled.kernels(4)
    (built,) = fresh.iterdir()
    when = built.stat().st_mtime_ns
    compiled.kernels.cache_clear()
    monkeypatch.setattr(compiled, "_build", lambda *_: pytest.fail("built again"))
    compiled.kernels(4)
    assert [path.stat().st_mtime_ns for path in fresh.iterdir()] == [when]


def test_another_source_is_another_library(monkeypatch, tmp_path):
    can_build()
    command = [*compiled._compiler(), "-DWIDTH=4"]
    before = compiled._fingerprint(command)
    folder = tmp_path / "kernels"
    folder.mkdir()
    for path in compiled.SOURCES.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(compiled, "SOURCES", folder)
    assert compiled._fingerprint(command) == before
    (folder / "tile.h").write_text((folder / "tile.h").read_text() + "\n// changed\n")
    assert compiled._fingerprint(command) != before
    assert compiled._fingerprint([*command, "-O1"]) != compiled._fingerprint(command)


@pytest.mark.parametrize(
    ("flags", "width"), [({"avx512f", "avx2", "fma"}, 16), ({"avx2", "fma", "sse2"}, 8)], ids=["AVX-512", "AVX2"]
)
def test_the_widest_vector(flags, width):
    assert compiled.widest_vector(frozenset(flags)) == width


@pytest.mark.parametrize("flags", [{"sse2"}, {"avx2"}, set()])
def test_an_old_processor_is_refused(flags):
    with pytest.raises(RunError, match="needs a processor with AVX2 and FMA: use --executor nodewise"):
        compiled.widest_vector(frozenset(flags))


@pytest.mark.parametrize(("channels", "width"), [(4, 4), (8, 8), (12, 4), (16, 16), (36, 4), (48, 16), (40, 8)])
def test_the_vector_divides_the_channels(channels, width, monkeypatch):
    monkeypatch.setattr(compiled, "_processor_flags", lambda: frozenset({"avx512f"}))
    assert compiled.vector_width(channels) == width


@pytest.mark.parametrize("name", ["", "no-such-compiler", "no-such-compiler -O1"])
def test_without_a_compiler(name, fresh, monkeypatch):
    monkeypatch.setenv("CXX", name)
    with pytest.raises(RunError, match=r"needs a C\+\+ compiler, but there is no .*: install g\+\+, name one in CXX, or use"):
        compiled.kernels(4)


def test_a_compiler_that_fails(fresh, monkeypatch):
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(RunError, match="'false' did not build the kernels of the fused executor"):
        compiled.kernels(4)
    assert not list(fresh.iterdir())


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    can_build()
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MIXOP_CACHE", str(tmp_path / "file"))
    compiled.kernels.cache_clear()
    with pytest.raises(RunError, match="name a folder that can be written in MIXOP_CACHE"):
        compiled.kernels(4)
    compiled.kernels.cache_clear()


def test_a_torn_library(fresh, monkeypatch, tmp_path):
    can_build()
    compiled.kernels(4)
    (built,) = fresh.iterdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / built.name).write_bytes(b"torn")
    monkeypatch.setenv("MIXOP_CACHE", str(tmp_path / "other"))
    compiled.kernels.cache_clear()
    with pytest.raises(RunError, match=r"Cannot load the kernels of the fused executor .* delete"):
        compiled.kernels(4)


def test_another_system_is_refused(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    compiled.kernels.cache_clear()
    with pytest.raises(RunError, match="runs on Linux, got Darwin: use --executor nodewise"):
        compiled.kernels(4)
    compiled.kernels.cache_clear()
