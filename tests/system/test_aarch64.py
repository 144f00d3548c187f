"""The decoding loops for NEON: their unit test, built for 64-bit Arm and run there by an emulator."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SOURCES = ["tests/unit/test_decode_kernels.c", "src/parquet/decode_kernels.c", "src/parquet/decode_rle.c",
           "src/base/error.c", "src/base/memory.c", "src/base/buffer.c"]


def test_loops_for_neon_give_what_the_plain_ones_give(tmp_path):
    compiler, emulator = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
    if not compiler or not emulator:
        pytest.skip("no compiler for 64-bit Arm, or no emulator of it (Debian: gcc-aarch64-linux-gnu, qemu-user)")
    program = tmp_path / "test_decode_kernels"
    built = subprocess.run([compiler, "-static", "-std=gnu11", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
                            "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-Itests/aarch64", "-Isrc",
                            "-Iinclude", "-o", program, *SOURCES], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert b"unpack_neon" in program.read_bytes()
    done = subprocess.run([emulator, program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 6
