// Looks for what other modules have, without importing them, and without running Python code: so no signal handler can
// raise in it, and an exception that is set stays.
//
// Free of locks, too: `sys.modules.get` takes the dict's in a free-threaded Python, and the child of a fork that comes
// while a thread waits for it may find it taken for ever.
#pragma once
#include <Python.h>
#include <stdbool.h>

// dict[name], a new reference, or NULL; all keys are strings.
static inline PyObject* twofold_look_up(PyObject* dict, PyObject* name) {
    PyObject* found = NULL;
#if PY_VERSION_HEX >= 0x030D0000
    (void)PyDict_GetItemRef(dict, name, &found);
#else
    found = PyDict_GetItemWithError(dict, name);
    Py_XINCREF(found);
#endif
    return found;
}

// The module of that name, a new reference; None if nobody has imported it.
static inline PyObject* twofold_loaded_module(PyObject* name) {
    PyObject* found = twofold_look_up(PyImport_GetModuleDict(), name);
    if (found != NULL) return found;
    Py_INCREF(Py_None);
    return Py_None;
}

// Whether that module is loaded and has a variable of that name that is not None.
static inline bool twofold_has_variable(PyObject* module_name, PyObject* name) {
    PyObject* module = twofold_look_up(PyImport_GetModuleDict(), module_name);
    PyObject* value = module != NULL && PyModule_Check(module) ? twofold_look_up(PyModule_GetDict(module), name) : NULL;
    bool const found = value != NULL && value != Py_None;
    Py_XDECREF(value);
    Py_XDECREF(module);
    return found;
}

// In the child of a fork, whose only thread this is. The lock may have been handed to a thread that waited for it and is
// not there any more; nothing was changed under it. Even look-ups without a lock want it for some keys and values.
static inline void twofold_unlock_loaded_modules(void) {
#if defined(Py_GIL_DISABLED)
    PyImport_GetModuleDict()->ob_mutex = (PyMutex){0};
#endif
}
