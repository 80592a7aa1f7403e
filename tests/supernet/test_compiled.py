"""Finding the kernels: in the cache, built once, or in the wheel, and one sentence where that is impossible."""

import hashlib
import os
import platform
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mixop.core.errors import RunError
from mixop.supernet import building, compiled

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no kernels for Windows")


@pytest.fixture(autouse=True, scope="module")
def _quickly():
    """Slow kernels are built and kept like fast ones, in a third of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "FLAGS", ("-O0", *building.FLAGS[1:]))
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
    monkeypatch.setattr(compiled, "build", lambda *_: pytest.fail("built again"))
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
    ("machine", "features", "width"),
    [
        ("x86_64", {"avx512f", "avx2", "fma"}, 16),
        ("x86_64", {"avx2", "fma", "sse2"}, 8),
        ("aarch64", {"fp", "asimd", "sve"}, 4),
        ("arm64", set(), 4),
    ],
    ids=["AVX-512", "AVX2", "ARM", "Apple"],
)
def test_the_widest_vector(machine, features, width):
    assert compiled.widest_vector(machine, frozenset(features)) == width


@pytest.mark.parametrize("features", [{"sse2"}, {"avx2"}, set()])
def test_an_old_processor_is_refused(features):
    with pytest.raises(RunError, match="needs a processor with AVX2 and FMA: use --executor nodewise"):
        compiled.widest_vector("x86_64", frozenset(features))


@pytest.mark.parametrize(
    "lines",
    ["model name\t: Xeon\nvmx flags\t: ept\nflags\t\t: fma avx2\n", "Features\t: fma avx2\nCPU part\t: 0xd0c\n"],
    ids=["x86", "ARM"],
)
def test_the_features_of_a_processor(lines, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda path, encoding: lines)
    assert compiled._features.__wrapped__() == {"fma", "avx2"}


@pytest.mark.parametrize(("told", "width", "kept"), [("AVX2", 8, {"avx2", "fma"}), ("AVX512", 16, None)])
def test_the_kernels_do_without_avx512_where_torch_does(told, width, kept, monkeypatch):
    its = frozenset({"avx2", "fma", "avx512f", "avx512bw"})
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: told)
    monkeypatch.setattr(compiled, "_of_processor", lambda: its)
    monkeypatch.setattr(compiled, "_features", compiled._features.__wrapped__)
    assert compiled._features() == (its if kept is None else kept)
    assert compiled.widest_vector() == width
    assert ("-mno-avx512f" in compiled._flags(width)) is (kept is not None)


@pytest.mark.parametrize(("channels", "width"), [(4, 4), (8, 8), (12, 4), (16, 16), (36, 4), (48, 16), (40, 8)])
def test_the_vector_divides_the_channels(channels, width, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(compiled, "_features", lambda: frozenset({"avx512f"}))
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

    monkeypatch.setattr(compiled, "build", build)
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
    "without a checksum": lambda content: content.rpartition(building.MARK)[0],
    "a sound checksum of something else": lambda content: (
        b"torn" + building.MARK + hashlib.sha256(b"torn").hexdigest().encode()
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


@pytest.mark.parametrize(("system", "machine"), [("Windows", "AMD64"), ("Darwin", "x86_64"), ("Linux", "riscv64")])
def test_another_machine_is_refused(system, machine, monkeypatch):
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(RunError, match=rf"runs on Linux .* and macOS .*, got {system} on {machine}: use --executor nodewise"):
        compiled.check_machine()


@pytest.fixture
def prebuilt(built, fresh, monkeypatch, tmp_path):
    """The kernels of a wheel for this machine, and an empty cache; a mixop whose files have the usual permissions."""
    monkeypatch.setattr(building, "PREBUILT", tmp_path / "prebuilt")
    monkeypatch.setattr(compiled, "PREBUILT", tmp_path / "prebuilt")
    level = building.Level("here", compiled._features(), (4,))
    monkeypatch.setattr(compiled, "LEVELS", {platform.machine(): (level,)})
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "compiled.py"))
    (tmp_path / "compiled.py").touch(mode=0o644)
    (tmp_path / "prebuilt").mkdir()
    (file,) = built.iterdir()
    shutil.copy(file, level.file(4))
    level.file(4).chmod(0o644)
    return level.file(4)


def test_the_prebuilt_kernels_need_no_compiler(prebuilt, fresh, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert compiled.kernels(4)._name == str(prebuilt)
    assert compiled.origin(4) == "prebuilt"
    assert not fresh.exists()
    with pytest.raises(RunError, match="there is no 'g\\+\\+' here"):
        compiled.kernels(2)


def test_what_was_built_here_comes_before_the_prebuilt_kernels(prebuilt, builds, fresh):
    fresh.mkdir()
    assert compiled.origin(4) == "built on this machine"
    assert builds == [compiled._place(4)]


def test_the_prebuilt_kernels_stand_in_for_a_compiler_that_fails(prebuilt, monkeypatch):
    monkeypatch.setenv("CXX", "false")
    assert compiled.origin(4) == "prebuilt"


def test_prebuilt_kernels_for_another_processor_are_left_alone(prebuilt, monkeypatch):
    (level,) = compiled.LEVELS[platform.machine()]
    monkeypatch.setattr(compiled, "LEVELS", {platform.machine(): (replace(level, features=level.features | {"no-such"}),)})
    assert compiled._prebuilt(4) is None


def test_torn_prebuilt_kernels_are_left_alone(prebuilt):
    prebuilt.write_bytes(prebuilt.read_bytes()[:-1])
    assert compiled._prebuilt(4) is None


def test_prebuilt_kernels_are_as_safe_as_the_code_beside_them(prebuilt, tmp_path):
    """Where a group shares an installation, it can change the code too."""
    prebuilt.chmod(0o664)
    assert compiled._prebuilt(4) is None
    (tmp_path / "compiled.py").chmod(0o664)
    assert compiled._prebuilt(4) is not None


def test_prebuilt_kernels_without_their_thread_library_are_one_sentence(prebuilt, monkeypatch):
    def fail(name):
        raise OSError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", fail)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RunError, match=r"cannot be loaded \(libgomp.so.1: .*\): install libgomp, which Debian"):
        compiled.kernels(4)


@pytest.mark.parametrize(
    ("machine", "features"),
    [("x86_64", {"avx2", "fma"}), ("x86_64", {"avx2", "fma", "avx512f"}), ("aarch64", set())],
    ids=["AVX2", "AVX-512", "ARM"],
)
def test_a_wheel_has_every_width_that_a_processor_may_ask_for(machine, features):
    has = next(level.features for level in building.LEVELS[machine] if level.features >= features)
    widths = {width for level in building.LEVELS[machine] if level.features <= has for width in level.widths}
    assert widths >= {2**n for n in range(5) if 2**n <= compiled.widest_vector(machine, frozenset(features))}
