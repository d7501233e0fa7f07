#!/usr/bin/env python3
"""Each flag that lets the compiler choose other instructions gives the library's functions another namespace.

test_flags.py INCLUDE_DIRECTORY COMPILER...
"""

import subprocess
import sys

SOURCE = "#include <twofold/flags.hpp>\nTWOFOLD_FLAGS_NAMESPACE\n"

# By machine, as the compiler's macros have it. Compilers may lack some.
OPTIONS = {
    "__x86_64__": [
        *("sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "lzcnt", "bmi", "bmi2", "avx", "avx2", "fma", "fma4", "f16c"),
        *("xop", "avxvnni", "gfni", "avx512f", "avx512cd", "avx512dq", "avx512bw", "avx512vl", "avx512ifma"),
        *("avx512vbmi", "avx512vbmi2", "avx512vnni", "avx512bitalg", "avx512vpopcntdq", "avx512bf16", "avx512fp16"),
        "avx512vp2intersect",
    ],
    "__aarch64__": [f"arch=armv8-a+{name}" for name in ("lse", "sve", "sve2", "dotprod", "fp16", "bf16", "i8mm")],
}


def preprocessed(compiler: list[str], source: str, *options: str) -> str | None:
    """None where the compiler does not know an option."""
    command = [*compiler, "-std=c++20", "-E", *options, "-x", "c++", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def main(include: str, *compiler: str) -> str | None:
    macros = preprocessed(list(compiler), "", "-dM")
    machine = next(name for name in OPTIONS if f"#define {name} 1" in macros)
    names = {}
    for option in ("", *OPTIONS[machine]):
        text = preprocessed(list(compiler), SOURCE, f"-I{include}", *([f"-m{option}"] if option else []))
        if text is not None:
            names.setdefault(text.strip().splitlines()[-1], []).append(option or "none")
    shared = [f"{name} is the namespace with each of {options}" for name, options in names.items() if len(options) > 1]
    if len(names) < 5:
        return f"the compiler knows too few of the options: {names}"
    return "\n".join(shared) or None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
