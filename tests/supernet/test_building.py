"""The compiler's command by machine, and what goes into a wheel."""

import pytest

from mixop.core.errors import RunError
from mixop.supernet import building


@pytest.mark.parametrize(
    ("system", "machine", "flags"),
    [
        ("Linux", "x86_64", ("-march=native", "-fopenmp")),
        ("Linux", "aarch64", ("-mcpu=native", "-fopenmp")),
        ("Darwin", "arm64", ()),
    ],
)
def test_flags_by_machine(system, machine, flags, monkeypatch):
    assert building.native(system, machine) == flags
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert building.own_flags(4) == [*building.FLAGS, *flags, "-DWIDTH=4"]


def compiler_for(target, folder, monkeypatch):
    """A compiler that writes its command and asks for two versions of the C library."""
    script = folder / "compiler"
    script.write_text(
        "#!/bin/sh\n"
        f'case "$*" in -dumpmachine) echo {target}; exit;; --version) echo made; exit;; esac\n'
        'while [ "$1" != -o ]; do said="$said $1"; shift; done\n'
        'echo "$said GLIBC_2.4 GLIBC_2.14" > "$2"\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("aarch64-linux-gnu", {f"cell_armv8_a_{width}.so" for width in (1, 2, 4)}),
        ("x86_64-redhat-linux-gnu", {*(f"cell_x86_64_v3_{width}.so" for width in (1, 2, 4, 8)), "cell_x86_64_v4_16.so"}),
    ],
)
def test_what_a_wheel_holds_follows_from_the_compiler(target, expected, monkeypatch, tmp_path):
    compiler_for(target, tmp_path, monkeypatch)
    built, tag = building.prebuild(tmp_path / "built")
    assert {path.name for path in built} == expected
    assert tag == f"manylinux_2_17_{target.partition('-')[0]}"
    for path in built:
        level, _, width = path.stem.removeprefix("cell_").rpartition("_")
        flags = path.read_text().split()
        assert {f"-DWIDTH={width}", "-fopenmp"} <= set(flags)
        assert f"-march={level}" in [flag.replace("-", "_").replace("_march", "-march") for flag in flags]


@pytest.mark.parametrize(
    ("asked", "oldest"),
    [("GLIBC_2.35", 35), ("GLIBCXX_3.4.29 GLIBC_2.14", 34), ("GLIBCXX_3.4.29 GLIBC_2.36", 36), ("GLIBCXX_3.4", 17)],
)
def test_a_wheel_names_the_oldest_systems_that_have_all_it_asks_for(asked, oldest, monkeypatch, tmp_path):
    compiler_for("aarch64-linux-gnu", tmp_path, monkeypatch)
    script = tmp_path / "compiler"
    script.write_text(script.read_text().replace("GLIBC_2.14", asked))
    assert building.prebuild(tmp_path / "built")[1] == f"manylinux_2_{oldest}_aarch64"


@pytest.mark.parametrize("target", ["riscv64-linux-gnu", "arm64-apple-darwin24", "x86_64-linux-musl", ""])
def test_a_wheel_for_another_machine_is_refused(target, monkeypatch, tmp_path):
    compiler_for(target, tmp_path, monkeypatch)
    with pytest.raises(RunError, match=rf"kernels for Linux on x86_64 and aarch64, but .* compiles for '{target}'"):
        building.prebuild(tmp_path / "built")
