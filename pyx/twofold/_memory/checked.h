// Arithmetic with numbers from other libraries (sizes, strides, offsets) that checks for overflow. In C, like the
// modules that use it.
#pragma once
#include <Python.h>
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

// DLPack's sizes are read in place, as Python's.
static_assert(sizeof(Py_ssize_t) == sizeof(int64_t), "sizes have 64 bits");

// Stores the result, and returns whether it fits.
static inline bool twofold_add(Py_ssize_t a, Py_ssize_t b, Py_ssize_t* sum) {
    return !__builtin_add_overflow(a, b, sum);
}

static inline bool twofold_multiply(Py_ssize_t a, Py_ssize_t b, Py_ssize_t* product) {
    return !__builtin_mul_overflow(a, b, product);
}

// The product, or the limit nearest to it, which exceeds any memory.
static inline Py_ssize_t twofold_product_or_limit(Py_ssize_t a, Py_ssize_t b) {
    Py_ssize_t product;
    return twofold_multiply(a, b, &product) ? product : (a < 0) == (b < 0) ? PY_SSIZE_T_MAX : PY_SSIZE_T_MIN;
}

// The pointer of a capsule of ours, whatever its name is by now; raises nothing.
#define twofold_pointer_of(capsule) PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))

// The address `bytes` further on; null if that overflows, or if `data` is null.
static inline void* twofold_at(void const* data, uint64_t bytes) {
    uintptr_t address;
    return data == NULL || __builtin_add_overflow((uintptr_t)data, bytes, &address) ? NULL : (void*)address;
}
