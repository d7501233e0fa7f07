"""Which instruction set runs, and that all of them give the same answers."""

import os
import re

import pytest
import twofold
from conftest import run_script
from twofold._engine import twofold_engine

SUPPORTED = twofold_engine.supported_simd_targets()


def test_the_best_one_runs_unless_told_otherwise(monkeypatch):
    env = {name: value for name, value in os.environ.items() if name != "TWOFOLD_SIMD"}
    assert run_script("import twofold; print(twofold.simd_target())", env=env).strip() == SUPPORTED[-1]


@pytest.mark.parametrize("target", SUPPORTED)
def test_each_can_be_forced_and_doubles_right(target):
    script = """
        import sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        import twofold
        from conftest import ELEMENTS, expected_double, native, sample
        assert twofold.simd_target() == sys.argv[2]
        for element in ELEMENTS:
            for n in [*range(150), 100_000, 3_000_000 if element == "uint8" else 1000]:
                values = sample(element, n)
                for threads in (1, 2):
                    result = twofold.double(native(element, values), threads=threads)
                    assert result.tolist() == expected_double(element, values), (element, n)
    """
    run_script(script, os.path.dirname(os.path.dirname(__file__)), target, env={**os.environ, "TWOFOLD_SIMD": target})


@pytest.mark.parametrize("name", ["nonsense", "AVX2", " avx2", "sse2,avx2"])
def test_an_unknown_name_is_a_clear_error(name):
    script = """
        import sys, twofold
        from array import array
        values = array("I", [1, 2])
        for call in (twofold.simd_target, lambda: twofold.double(values, out=values)):
            try:
                call()
            except ValueError as error:
                print(error)
            else:
                sys.exit("no error")
        assert values == array("I", [1, 2])
        assert twofold.double([1, 2]) == [2, 4]  # needs no instruction set
    """
    said = run_script(script, env={**os.environ, "TWOFOLD_SIMD": name}).splitlines()
    assert (
        said == [f"TWOFOLD_SIMD is '{name}', but this build of twofold on this machine has: {', '.join(SUPPORTED)}"] * 2
    )


def test_simd_target_is_one_of_the_supported():
    assert twofold.simd_target() in SUPPORTED
    assert all(re.fullmatch(r"\w+", name) for name in SUPPORTED)
