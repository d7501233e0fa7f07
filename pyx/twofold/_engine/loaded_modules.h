// Looks for what other modules have, without importing them, and without running Python code: so no signal handler can
// raise in it, and an exception that is set stays.
//
// Free of locks, too: `sys.modules.get` takes the dict's in a free-threaded Python, and the child of a fork that comes
// while a thread waits for it may find it taken for ever.
#pragma once
#include <Python.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

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

#if defined(Py_GIL_DISABLED)
// Whether this thread is in a critical section of the object, as a finalizer of what a dict had may be.
static inline bool twofold_has_lock(PyObject* object) {
    PyThreadState const* const state = PyThreadState_GetUnchecked();  // NULL where C code forks
    uintptr_t section = state == NULL ? 0 : state->critical_section;
    while (section != 0) {
        PyCriticalSection const* const one = (PyCriticalSection const*)(section & ~(uintptr_t)3);
        PyMutex const* const second = (section & 2) != 0 ? ((PyCriticalSection2 const*)one)->_cs_mutex2 : NULL;
        bool const is_active = (section & 1) == 0;  // else its locks are released meanwhile
        if (is_active && (one->_cs_mutex == &object->ob_mutex || second == &object->ob_mutex)) return true;
        section = one->_cs_prev;
    }
    return false;
}
#endif

// In the child of a fork, whose only thread this is. The lock of an object may have been handed to a thread that waited
// for it and is not there any more; nothing was changed under it. (A fork waits until other threads are where they may
// be stopped, and who is stopped releases its locks.) Even look-ups without a lock want it for some keys and values.
static inline void twofold_unlock_in_child(PyObject* object) {
#if defined(Py_GIL_DISABLED)
    if (!twofold_has_lock(object)) object->ob_mutex = (PyMutex){0};
#else
    (void)object;
#endif
}

#if defined(Py_GIL_DISABLED)
static PyObject* twofold_unlocked = NULL;

static inline void twofold_unlock_all_in_child(void) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(twofold_unlocked); ++i) {
        twofold_unlock_in_child(PyList_GET_ITEM(twofold_unlocked, i));
    }
}
#endif

// Unlocks what the list has, from now on, before Python does anything in the child: it frees what other threads had,
// and so runs finalizers, before the hooks of os.register_at_fork. Returns 0, or -1 with an exception set.
static inline int twofold_unlock_in_children(PyObject* list) {
#if defined(Py_GIL_DISABLED)
    Py_INCREF(list);
    twofold_unlocked = list;
    if (pthread_atfork(NULL, NULL, &twofold_unlock_all_in_child) != 0) {
        PyErr_NoMemory();
        return -1;
    }
#else
    (void)list;
#endif
    return 0;
}

// sys.modules, and where each module has its names.
static inline void twofold_unlock_modules_in_child(void) {
#if defined(Py_GIL_DISABLED)
    PyObject* const modules = PyImport_GetModuleDict();
    twofold_unlock_in_child(modules);
    PyObject* module;
    for (Py_ssize_t position = 0; PyDict_Next(modules, &position, NULL, &module);) {
        if (PyModule_Check(module)) twofold_unlock_in_child(PyModule_GetDict(module));
    }
#endif
}
