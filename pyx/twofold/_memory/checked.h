// Arithmetic with numbers that other libraries hand over: sizes, strides, offsets. Nothing is computed of them unless
// it is known to fit. In C, as the modules are that use it.
#pragma once
#include <Python.h>
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

// Sizes of DLPack are looked at where they are, as those of Python.
static_assert(sizeof(Py_ssize_t) == sizeof(int64_t), "sizes have 64 bits");

// Whether the result fits; it is stored.
static inline bool twofold_add(Py_ssize_t a, Py_ssize_t b, Py_ssize_t* sum) {
    return !__builtin_add_overflow(a, b, sum);
}

static inline bool twofold_multiply(Py_ssize_t a, Py_ssize_t b, Py_ssize_t* product) {
    return !__builtin_mul_overflow(a, b, product);
}

// The product, or the limit that is nearest to it, which is too much for any memory.
static inline Py_ssize_t twofold_product_or_limit(Py_ssize_t a, Py_ssize_t b) {
    Py_ssize_t product;
    return twofold_multiply(a, b, &product) ? product : (a < 0) == (b < 0) ? PY_SSIZE_T_MAX : PY_SSIZE_T_MIN;
}

// Of a capsule of ours, whatever it is called by now; it raises nothing.
#define twofold_pointer_of(capsule) PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))

// The address so many bytes on; null where there is none, and from null.
static inline void* twofold_at(void const* data, uint64_t bytes) {
    uintptr_t address;
    return data == NULL || __builtin_add_overflow((uintptr_t)data, bytes, &address) ? NULL : (void*)address;
}
