// The version of twofold. It is written here and nowhere else: setup.py and meson.build read these three lines.
#pragma once

#if !defined(_MSVC_LANG) && __cplusplus < 202002L
#error "twofold needs C++20: -std=c++20"
#include <needs_C++20>  // there is no such file: compilers stop here, before they list what they do not know
#endif

#define TWOFOLD_VERSION_MAJOR 0
#define TWOFOLD_VERSION_MINOR 1
#define TWOFOLD_VERSION_PATCH 0

#define TWOFOLD_DETAIL_TEXT_(a) #a
#define TWOFOLD_DETAIL_TEXT(a) TWOFOLD_DETAIL_TEXT_(a)
#define TWOFOLD_DETAIL_JOIN_(a, b, c) v##a##_##b##_##c
#define TWOFOLD_DETAIL_JOIN(a, b, c) TWOFOLD_DETAIL_JOIN_(a, b, c)

/// The version as a string literal, "major.minor.patch".
#define TWOFOLD_VERSION                        \
    TWOFOLD_DETAIL_TEXT(TWOFOLD_VERSION_MAJOR) \
    "." TWOFOLD_DETAIL_TEXT(TWOFOLD_VERSION_MINOR) "." TWOFOLD_DETAIL_TEXT(TWOFOLD_VERSION_PATCH)

// Everything stands in an inline namespace that is named after the version, so that two versions of these headers in
// one process share neither code nor threads.
#define TWOFOLD_VERSION_NAMESPACE \
    TWOFOLD_DETAIL_JOIN(TWOFOLD_VERSION_MAJOR, TWOFOLD_VERSION_MINOR, TWOFOLD_VERSION_PATCH)
