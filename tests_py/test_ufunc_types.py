"""Which type the ufuncs compute in, for each type of input, `dtype=`, `out=`, `casting=` and `signature=`.

The answers stand in ufunc_types.txt, as they were when the ufuncs had legacy loops, which NumPy itself looked through.

    python tests_py/test_ufunc_types.py

prints those of the twofold that is installed.
"""

import warnings
from pathlib import Path

import numpy as np
import pytest

LETTERS = "?bBhHiIlLqQefdgFDGmMOSUV"
OUTPUTS = LETTERS.replace("SU", "")  # NumPy 2.0 itself writes beyond strings that it casts to
CASTINGS = ("no", "equiv", "safe", "same_kind", "unsafe")
ANSWERS = Path(__file__).with_name("ufunc_types.txt")
UFUNCS = ("doubled", "doubled_saturating", "doubled_checked")


def one(letter: str) -> np.ndarray:
    """An array of the type, of one element: 1, where there is such."""
    dtype = {"m": "m8[s]", "M": "M8[s]", "V": "V4"}.get(letter, letter)
    return np.zeros(1, dtype) if letter in "SUV" else np.ones(1, "i8").astype(dtype)


def inputs() -> dict[str, object]:
    scalars = {repr(value): value for value in (True, 3, 2**63, 2**70, 3.0, 3j)}
    return {letter: one(letter) for letter in LETTERS} | {f">{a}": one(a).astype(f">{a}") for a in "hdD"} | scalars


def calls(casting: str) -> dict[str, list[dict]]:
    """Keywords of calls: in each row one for each letter."""
    return {
        "dtype": [{"dtype": letter, "casting": casting} for letter in OUTPUTS],
        "out": [{"out": one(letter), "casting": casting} for letter in OUTPUTS],
        "out and dtype=d": [{"out": one(letter), "dtype": "d", "casting": casting} for letter in OUTPUTS],
        "signature in": [{"signature": (letter, None), "casting": casting} for letter in OUTPUTS],
        "signature": [{"signature": f"{letter}->{letter}", "casting": casting} for letter in OUTPUTS],
        "signature to d": [{"signature": f"{letter}->d", "casting": casting} for letter in OUTPUTS],
    }


def answer(ufunc: np.ufunc, value: object, **keywords: object) -> str:
    """The letter of the result's type; "-" for a TypeError, "." where a value cannot be cast."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = ufunc(value, **keywords)
        except TypeError:
            return "-"
        except (OverflowError, ValueError):
            return "."
    return result.dtype.char if isinstance(result, (np.ndarray, np.generic)) else "O"


def answers(ufunc: np.ufunc) -> list[str]:
    lines = [f"{name} alone: {answer(ufunc, value)}" for name, value in inputs().items()]
    for name, value in inputs().items():
        for casting in CASTINGS:
            for what, rows in calls(casting).items():
                letters = "".join(answer(ufunc, value, **keywords) for keywords in rows)
                if letters.strip("-"):
                    lines.append(f"{name} {casting} {what}: {letters}")
    return lines


@pytest.mark.parametrize("name", UFUNCS)
def test_the_answers_are_as_they_were(name):
    from twofold import ufuncs  # noqa: PLC0415 - so that this file prints those of a twofold of before, too

    def as_far_as_it_fits(lines: list[str]) -> list[str]:
        return [line for line in lines if name != "doubled_checked" or not line.startswith(str(2**63))]

    assert as_far_as_it_fits(answers(getattr(ufuncs, name))) == as_far_as_it_fits(ANSWERS.read_text().splitlines())


if __name__ == "__main__":
    from twofold import ufuncs

    print("\n".join(answers(ufuncs.doubled)), flush=True)
