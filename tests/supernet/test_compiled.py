"""Building the kernels: found in the cache, built once, and one sentence where that is impossible."""

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mixop.core.errors import RunError
from mixop.supernet import compiled

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernels are for Linux")


@pytest.fixture(autouse=True, scope="module")
def _quickly():
    """Slow kernels are built and kept like fast ones, in a third of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "FLAGS", ("-O0", *compiled.FLAGS[1:]))
        yield


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
        compiled.compiler()
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


def test_they_are_built_once(built, fresh, monkeypatch):
    (file,) = built.iterdir()
    when = file.stat().st_mtime_ns
    monkeypatch.setenv("MIXOP_CACHE", str(built))
    monkeypatch.setattr(compiled, "_build", lambda *_: pytest.fail("built again"))
    compiled.kernels(4)
    assert [path.stat().st_mtime_ns for path in built.iterdir()] == [when]


def test_another_source_is_another_library(monkeypatch, tmp_path):
    before = compiled._place(4)
    folder = tmp_path / "kernels"
    folder.mkdir()
    for path in compiled.SOURCES.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(compiled, "SOURCES", folder)
    assert compiled._place(4) == before
    assert compiled._place(8) != before
    (folder / "tile.h").write_text((folder / "tile.h").read_text() + "\n// changed\n")
    assert compiled._place(4) != before


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


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A cache with a kernel in it, to be copied."""
    can_build()
    folder = tmp_path_factory.mktemp("built") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXOP_CACHE", str(folder))
        compiled.kernels.cache_clear()
        compiled.kernels(4)
        compiled.kernels.cache_clear()
    return folder


@pytest.fixture
def cached(built, fresh):
    """A cache of its own with a kernel in it."""
    fresh.mkdir(mode=0o700)
    (file,) = built.iterdir()
    copy = fresh / file.name
    copy.write_bytes(file.read_bytes())
    copy.chmod(0o644)
    return copy


@pytest.fixture
def builds(monkeypatch, built):
    """Counts the builds, each of which is a copy of the kernel."""
    (file,) = built.iterdir()
    made = []

    def build(command, path):
        made.append(path)
        path.unlink(missing_ok=True)
        path.write_bytes(file.read_bytes())
        path.chmod(0o644)

    monkeypatch.setattr(compiled, "_build", build)
    return made


def test_a_cached_kernel_needs_no_compiler(cached, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RunError, match="there is no 'g\\+\\+' here"):
        compiled.compiler()
    compiled.check_machine()
    assert compiled.kernels(4).mixop_cell_workspace is not None


DAMAGES = {
    "cut in half": lambda content: content[: len(content) // 2],
    "cut by a byte": lambda content: content[:-1],
    "empty": lambda content: b"",
    "a flipped byte at its begin": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "a flipped byte in the middle": lambda content: content[:9000] + bytes([content[9000] ^ 64]) + content[9001:],
    "a flipped byte at its end": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    "without a checksum": lambda content: content.rpartition(compiled._MARK)[0],
    "a sound checksum of something else": lambda content: (
        b"torn" + compiled._MARK + hashlib.sha256(b"torn").hexdigest().encode()
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_kernel_is_built_again(cached, builds, damage):
    good = cached.read_bytes()
    cached.write_bytes(damage(good))
    compiled.kernels(4)
    assert builds == [cached]
    assert cached.read_bytes() == good


def test_a_damaged_kernel_without_a_compiler_is_one_sentence(cached, monkeypatch):
    cached.write_bytes(cached.read_bytes()[:-9])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RunError, match=r"needs a C\+\+ compiler, but there is no 'g\+\+' here"):
        compiled.kernels(4)


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_that_others_may_write_is_built_again(cached, builds, mode):
    cached.chmod(mode)
    compiled.kernels(4)
    assert builds == [cached]


def test_a_file_of_another_owner_is_built_again(cached, builds, monkeypatch):
    real = os.fstat
    monkeypatch.setattr(os, "fstat", lambda number: owned_by(real(number), 4321) if not builds else real(number))
    compiled.kernels(4)
    assert builds == [cached]


def owned_by(found, user):
    values = list(found)
    values[stat.ST_UID] = user
    return os.stat_result(values)


def test_a_link_in_the_cache_is_built_again(cached, builds, tmp_path):
    cached.rename(tmp_path / "elsewhere.so")
    cached.symlink_to(tmp_path / "elsewhere.so")
    compiled.kernels(4)
    assert builds == [cached]
    assert not cached.is_symlink()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_named_folder_that_others_may_write_is_refused(cached, builds, mode):
    cached.parent.chmod(mode)
    with pytest.raises(RunError, match="can be written by other users: name a folder of your own in MIXOP_CACHE, or change"):
        compiled.kernels(4)
    assert not builds


def test_a_folder_below_one_that_everybody_may_write_is_refused(cached, builds):
    cached.parent.parent.chmod(0o777)
    with pytest.raises(RunError, match=f"but {cached.parent.parent} can be written by other users"):
        compiled.kernels(4)
    cached.parent.parent.chmod(0o1777)  # as /tmp is
    compiled.kernels(4)
    assert not builds


def test_a_folder_of_another_owner_is_refused(cached, builds, monkeypatch):
    real = Path.stat
    monkeypatch.setattr(
        Path,
        "stat",
        lambda path, **options: owned_by(real(path, **options), 4321) if path == cached.parent else real(path, **options),
    )
    with pytest.raises(RunError, match="belongs to another user: name a folder of your own in MIXOP_CACHE"):
        compiled.kernels(4)


def test_our_own_folder_is_closed_to_others(cached, builds, monkeypatch, tmp_path):
    """Earlier versions left its permissions to the umask."""
    monkeypatch.delenv("MIXOP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cached.parent.rename(tmp_path / "mixop")
    (tmp_path / "mixop").chmod(0o775)
    compiled.kernels(4)
    assert stat.S_IMODE((tmp_path / "mixop").stat().st_mode) == 0o755
    assert not builds


def test_a_folder_that_cannot_be_written_serves_what_is_in_it(cached, monkeypatch):
    cached.chmod(0o444)
    cached.parent.chmod(0o555)
    try:
        compiled.kernels(4)
    finally:
        cached.parent.chmod(0o755)


@pytest.mark.slow
def test_two_processes_may_build_at_once(fresh):
    can_build()
    code = "from mixop.supernet import compiled; compiled.kernels(4)"
    two = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=250)[1] for process in two]
    assert [(process.returncode, said) for process, said in zip(two, told, strict=True)] == [(0, "")] * 2
    (file,) = fresh.iterdir()
    assert compiled._cached(file) is not None
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o700


def test_another_system_is_refused(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    compiled.kernels.cache_clear()
    with pytest.raises(RunError, match="runs on Linux, got Darwin: use --executor nodewise"):
        compiled.kernels(4)
    compiled.kernels.cache_clear()
