"""The examples of README.md are run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import twofold

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_python_example():
    example, *_ = blocks("python")
    names: dict = {}
    exec(example, names)
    assert names["y"][:3].tolist() == [0, 2, 4]
    assert names["x"] is not names["y"]
    assert (names["x"] == names["y"]).all()


def test_the_examples_of_shared_arrays_and_pools():
    shared, pools = blocks("python")[2:]
    checks = """
assert type(a) is type(b) is twofold.SharedArray
assert a[:3].tolist() == b[:3].tolist() == [0, 2, 4]
assert c == [2, 4, 6]
"""
    subprocess.run([sys.executable, "-c", shared + pools + checks], check=True, timeout=60)


def test_the_cpp_example(tmp_path):
    (example,) = blocks("cpp")
    (tmp_path / "example.cpp").write_text(example)
    compiler = ["c++", "-std=c++20", "-pthread", f"-I{twofold.get_include()}", "example.cpp", "-o", "example", "-ldl"]
    subprocess.run(compiler, cwd=tmp_path, check=True, timeout=120)
    subprocess.run([str(tmp_path / "example")], check=True, timeout=20)


@pytest.mark.parametrize(
    ("index", "use"),
    [
        (0, "x = array('I', [1, 2**31]); example.double_all(x, x); assert x.tolist() == [2, 0]"),
        (1, "assert example.double_squares(4) == [0.0, 2.0, 8.0, 18.0]"),
    ],
    ids=["header-free", "templates"],
)
def test_the_cython_examples(tmp_path, index, use):
    (tmp_path / "example.pyx").write_text(blocks("cython")[index])
    (tmp_path / "setup.py").write_text(blocks("python")[1])
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(build, cwd=tmp_path, check=True, timeout=240)
    script = f"from array import array; import example; {use}"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60)
