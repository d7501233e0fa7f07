// List items of Python's built-in types (ints, floats and complex numbers), read and made without running any Python
// code. So nothing changes the list meanwhile, and no references to its items are needed. Needs the GIL, or in a
// free-threaded Python a critical section of the list.
//
// The section "doubled exactly" knows one operation: doubling hands its loop to the lists as `of_plain_items`. All else
// is for any operation.
#pragma once

#include <Python.h>
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "_engine/kernels/wheel_elements.hpp"
#include "half_floats.hpp"

namespace twofold_wheel {

/// How many items ahead objects are prefetched: the objects of a list that was sorted or shuffled are scattered in
/// memory. Measured by `benchmarks/lists.py`.
inline constexpr Py_ssize_t items_ahead = 16;

inline void prefetch_ahead(PyObject* const* items, Py_ssize_t i, Py_ssize_t n) noexcept {
    __builtin_prefetch(items[std::min(i + items_ahead, n - 1)]);
}

/// From this size on memory is advised to use huge pages, as NumPy does for arrays. The first access to a page costs as
/// much as some hundred items. (This does not help the new objects, which Python allocates.)
inline constexpr std::size_t huge_pages_pay_bytes = std::size_t{4} << 20;

/// Advises huge pages for new memory.
inline void advise_huge_pages([[maybe_unused]] void* start, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(MADV_HUGEPAGE)
    constexpr std::uintptr_t page = 4096;
    if (bytes < huge_pages_pay_bytes) return;
    auto const from = (reinterpret_cast<std::uintptr_t>(start) + page - 1) / page * page;
    auto const to = (reinterpret_cast<std::uintptr_t>(start) + bytes) / page * page;
    madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
#endif
}

// ---- numbers of Python

/// Whether an int has at most one digit, of some 30 bits, as most ints do.
[[nodiscard]] inline bool has_one_digit(PyObject* item) noexcept {
#if PY_VERSION_HEX >= 0x030C0000
    return PyUnstable_Long_IsCompact(reinterpret_cast<PyLongObject*>(item)) != 0;
#else
    return Py_SIZE(item) >= -1 && Py_SIZE(item) <= 1;
#endif
}

[[nodiscard]] inline long long one_digit(PyObject* item) noexcept {
#if PY_VERSION_HEX >= 0x030C0000
    return PyUnstable_Long_CompactValue(reinterpret_cast<PyLongObject*>(item));
#else
    return Py_SIZE(item) * static_cast<long long>(reinterpret_cast<PyLongObject*>(item)->ob_digit[0]);
#endif
}

/// The value of an int, if it fits a `long long`.
[[nodiscard]] inline bool read_long_long(PyObject* item, long long& value) noexcept {
    if (has_one_digit(item)) {
        value = one_digit(item);
        return true;
    }
    int overflow = 0;
    value = PyLong_AsLongLongAndOverflow(item, &overflow);
    return overflow == 0;
}

template <class T>
concept real_element = std::floating_point<T> || half_float<T>;

template <std::integral T>
[[nodiscard]] PyObject* make_item(T value) noexcept {
    if constexpr (std::unsigned_integral<T>) {
        return PyLong_FromUnsignedLongLong(value);
    } else {
        return PyLong_FromLongLong(value);
    }
}
template <real_element T>
[[nodiscard]] PyObject* make_item(T value) noexcept {
    if constexpr (half_float<T>) {
        return PyFloat_FromDouble(double_from(value));
    } else {
        return PyFloat_FromDouble(value);
    }
}
template <std::floating_point T>
[[nodiscard]] PyObject* make_item(std::complex<T> value) noexcept {
    return PyComplex_FromDoubles(value.real(), value.imag());
}

// ---- doubled exactly

/// The double of an exact int, if it fits a `long long`.
[[nodiscard]] inline bool read_doubled(PyObject* item, long long& doubled, bool) noexcept {
    constexpr long long max_value = std::numeric_limits<long long>::max() / 2;
    long long value;
    if (!PyLong_CheckExact(item) || !read_long_long(item, value) || value > max_value || value < -max_value)
        return false;
    doubled = 2 * value;
    return true;
}

/// The double of an exact float; with `finite_only`, only if it is finite or the item itself is not.
[[nodiscard]] inline bool read_doubled(PyObject* item, double& doubled, bool finite_only) noexcept {
    if (!PyFloat_CheckExact(item)) return false;
    double const value = PyFloat_AS_DOUBLE(item);
    doubled = 2 * value;
    return !finite_only || std::isfinite(doubled) || !std::isfinite(value);
}

/// How many items are read before their results are made. Making results one by one would interfere with prefetching.
/// Measured by `benchmarks/lists.py`.
inline constexpr Py_ssize_t items_at_once = 256;

/// Doubles items from i on as long as each is a T. Returns the index reached; -1 with MemoryError.
template <class T>
Py_ssize_t double_alike_items(PyObject* const* items, PyObject** doubled, Py_ssize_t i, Py_ssize_t end, Py_ssize_t n,
                              bool finite_only) noexcept {
    T values[items_at_once];
    Py_ssize_t const start = i;
    Py_ssize_t const stop = std::min(end, start + items_at_once);
    for (; i < stop; ++i) {
        prefetch_ahead(items, i, n);
        if (!read_doubled(items[i], values[i - start], finite_only)) break;
    }
    for (Py_ssize_t j = start; j < i; ++j) {
        doubled[j] = make_item(values[j - start]);
        if (doubled[j] == nullptr) return -1;
    }
    return i;
}

/// Doubles items [i, end) of n into new objects, as long as they are floats, or ints of at most 62 bits; with
/// `finite_only`, as long as no finite float becomes infinite. Returns the index reached; -1 with MemoryError. An
/// item_loop of twofold_engine.pxd.
inline Py_ssize_t double_plain_items(PyObject** items, PyObject** doubled, Py_ssize_t i, Py_ssize_t end, Py_ssize_t n,
                                     int finite_only) noexcept {
    Py_ssize_t before = -1;
    while (i > before && i < end) {
        before = i;
        i = double_alike_items<long long>(items, doubled, i, end, n, finite_only != 0);
        if (i >= 0 && i < end) i = double_alike_items<double>(items, doubled, i, end, n, finite_only != 0);
    }
    return i;
}

// ---- converted to and from an element type

/// The value of an int that fits.
template <std::integral T>
[[nodiscard]] bool read_item(PyObject* item, T& out) noexcept {
    if (!PyLong_Check(item)) return false;
    long long value;
    if (read_long_long(item, value)) {
        if (!std::in_range<T>(value)) return false;
        out = static_cast<T>(value);
        return true;
    }
    if constexpr (std::in_range<T>(std::numeric_limits<unsigned long long>::max())) {
        out = static_cast<T>(PyLong_AsUnsignedLongLong(item));
        if (PyErr_Occurred() == nullptr) return true;
        PyErr_Clear();
    }
    return false;
}

/// Rounds to the nearest element, once. Returns false if that is infinite and the value is not.
template <real_element T>
[[nodiscard]] bool store_real(double value, T& out) noexcept {
    double stored;
    if constexpr (half_float<T>) {
        out = half_float_from<T>(value);
        stored = double_from(out);
    } else {
        out = static_cast<T>(value);
        stored = out;
    }
    return std::isfinite(stored) || !std::isfinite(value);
}

[[nodiscard]] inline bool read_real(PyObject* item, double& value) noexcept {
    if (PyFloat_Check(item)) {
        value = PyFloat_AS_DOUBLE(item);
        return true;
    }
    if (!PyLong_Check(item)) return false;
    if (has_one_digit(item)) {
        value = static_cast<double>(one_digit(item));
        return true;
    }
    value = PyLong_AsDouble(item);
    if (value != -1 || PyErr_Occurred() == nullptr) return true;
    PyErr_Clear();
    return false;
}

/// The value of a float or an int that fits, rounded.
template <real_element T>
[[nodiscard]] bool read_item(PyObject* item, T& out) noexcept {
    double value;
    return read_real(item, value) && store_real(value, out);
}

/// The value of a complex number, a float or an int that fits, rounded.
template <std::floating_point T>
[[nodiscard]] bool read_item(PyObject* item, std::complex<T>& out) noexcept {
    Py_complex value{};
    if (PyComplex_Check(item)) {
        value = reinterpret_cast<PyComplexObject*>(item)->cval;
    } else if (!read_real(item, value.real)) {
        return false;
    }
    T real;
    T imag;
    if (!store_real(value.real, real) || !store_real(value.imag, imag)) return false;
    out = {real, imag};
    return true;
}

/// Reads items [i, end) of n into out[i] and so on, as long as they are exact ints that fit; not bools, whose doubles
/// are ints. Returns the index reached.
inline Py_ssize_t read_exact_ints(PyObject* const* items, std::int64_t* out, Py_ssize_t i, Py_ssize_t end,
                                  Py_ssize_t n) noexcept {
    for (; i < end; ++i) {
        prefetch_ahead(items, i, n);
        if (!PyLong_CheckExact(items[i]) || !read_item(items[i], out[i])) break;
    }
    return i;
}

/// Converts lists to arrays of an element type, and back.
struct item_functions {
    /// Reads items [i, end) of n into out[i] and so on, as long as they are built-in numbers that fit. Returns the
    /// index reached.
    Py_ssize_t (*read)(PyObject* const* items, void* out, Py_ssize_t i, Py_ssize_t end, Py_ssize_t n) noexcept;
    /// Makes items of values [i, end). Returns `end`; -1 with MemoryError.
    Py_ssize_t (*make)(void const* values, PyObject** items, Py_ssize_t i, Py_ssize_t end) noexcept;
};

template <class T>
inline constexpr item_functions item_functions_of{
    [](PyObject* const* items, void* out, Py_ssize_t i, Py_ssize_t end, Py_ssize_t n) noexcept {
        T* const elements = static_cast<T*>(out);
        for (; i < end; ++i) {
            prefetch_ahead(items, i, n);
            if (!read_item(items[i], elements[i])) break;
        }
        return i;
    },
    [](void const* values, PyObject** items, Py_ssize_t i, Py_ssize_t end) noexcept {
        T const* const elements = static_cast<T const*>(values);
        for (; i < end; ++i) {
            items[i] = make_item(elements[i]);
            if (items[i] == nullptr) return Py_ssize_t{-1};
        }
        return i;
    },
};

/// Null pointers for elements for which Python has no numbers.
[[nodiscard]] inline item_functions item_functions_for(int element) noexcept {
    item_functions found{};
    with_element(element, [&]<class T>(std::type_identity<T>) {
        if constexpr (twofold::element<T>) found = item_functions_of<T>;
    });
    return found;
}

}  // namespace twofold_wheel
