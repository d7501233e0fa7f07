// New arrays of the module `array` that are not filled, which Python has no function for. That module is not imported:
// whoever has such an array has done so, while `import twofold` would take two milliseconds longer.
#pragma once
#include <Python.h>
#include <stdbool.h>
#include <string.h>

// As arraymodule.c of CPython has it, in all of its versions from 3.3 on.
typedef struct {
    PyObject_VAR_HEAD
    void* items;
    Py_ssize_t allocated;  // items
    void const* format;
    PyObject* weak_references;
    Py_ssize_t exports;
} twofold_array;

// Of a subclass: no, since it may export what it likes. No class of Python code is immutable, whatever its name.
static inline bool twofold_is_array(PyObject* object) {
    PyTypeObject const* type = Py_TYPE(object);
    return type->tp_basicsize == sizeof(twofold_array) && (type->tp_flags & Py_TPFLAGS_IMMUTABLETYPE) != 0 &&
           strcmp(type->tp_name, "array.array") == 0;
}

// Of the format of `model`; n items of `itemsize` bytes, which any memory holds.
static inline PyObject* twofold_new_array(PyObject* model, Py_ssize_t n, Py_ssize_t itemsize) {
    twofold_array* made = (twofold_array*)Py_TYPE(model)->tp_alloc(Py_TYPE(model), 0);
    if (made == NULL) return NULL;
    made->format = ((twofold_array*)model)->format;
    if (n == 0) return (PyObject*)made;
    made->items = PyMem_Malloc((size_t)n * (size_t)itemsize);
    if (made->items == NULL) {
        Py_DECREF(made);
        return PyErr_NoMemory();
    }
    made->allocated = n;
    Py_SET_SIZE(made, n);
    return (PyObject*)made;
}
