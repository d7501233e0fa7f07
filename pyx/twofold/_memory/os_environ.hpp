// Has the C++ of an extension module read environment variables from os.environ.
//
// In a free-threaded Python another thread may change the environment at any time, and getenv must not run meanwhile. A
// dict of Python's can be read: the one in which os.environ keeps what it has, since os.environ itself runs Python
// code, in which a signal handler might raise. Variables are read only by threads that are attached to Python (have the
// GIL).
#pragma once

#include <Python.h>

#include <cstring>
#include <twofold/machine/environment.hpp>

namespace twofold_memory {

/// bytes by bytes; null if os.environ has another form than it had from Python 3.2 to 3.15: then getenv is used.
inline constinit PyObject* the_os_environ = nullptr;

inline char const* read_os_environ(char const* name, char* memory, std::size_t bytes) noexcept {
    PyObject* const key = PyBytes_FromString(name);
    PyObject* found = nullptr;
    if (key == nullptr) {
        PyErr_Clear();
        return nullptr;
    }
#if PY_VERSION_HEX >= 0x030D0000
    (void)PyDict_GetItemRef(the_os_environ, key, &found);
#else
    found = PyDict_GetItemWithError(the_os_environ, key);
    Py_XINCREF(found);
#endif
    Py_DECREF(key);
    char const* text = nullptr;
    if (found != nullptr && PyBytes_Check(found)) {
        std::strncpy(memory, PyBytes_AS_STRING(found), bytes - 1);
        memory[bytes - 1] = '\0';
        text = memory;
    }
    Py_XDECREF(found);
    return text;
}

/// Called when a module is initialized. Returns 0, or -1 with an exception set.
[[nodiscard]] inline int use_os_environ() noexcept {
    PyObject* const os = PyImport_ImportModule("os");
    PyObject* const environ = os == nullptr ? nullptr : PyObject_GetAttrString(os, "environ");
    Py_XDECREF(os);
    if (environ == nullptr) return -1;
    PyObject* const data = PyObject_GetAttrString(environ, "_data");
    Py_DECREF(environ);
    if (data != nullptr && PyDict_CheckExact(data)) {
        the_os_environ = data;  // for good
        twofold::detail::the_variable_reader.store(&read_os_environ, std::memory_order_release);
        return 0;
    }
    Py_XDECREF(data);
    PyErr_Clear();
    return 0;
}

}  // namespace twofold_memory
