"""A package that uses both Cython doors of twofold, with no flags but those that the documentation names."""

import twofold
from Cython.Build import cythonize
from setuptools import Extension, setup

setup(
    name="consumer",
    py_modules=[],
    ext_modules=cythonize(
        [
            Extension("header_free_door", ["header_free_door.pyx"]),
            Extension("template_door", ["template_door.pyx"], include_dirs=[twofold.get_include()]),
        ],
        compiler_directives={"language_level": 3},
    ),
)
