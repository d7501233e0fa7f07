// For Python extension modules whose kernels may take the GIL, or wait for code that does:
//
//     #include <twofold/python.hpp>
//
//     PyMODINIT_FUNC PyInit_mine() {
//         PyObject* const module = PyModule_Create(&definition);
//         if (module != nullptr && twofold::register_at_fork() < 0) Py_CLEAR(module);
//         return module;
//     }
//
// Helpers are stopped before a fork, so a fork waits for kernels. By the time the C library's fork handlers run, Python
// (os.fork, multiprocessing) holds the GIL and other locks of the interpreter: a kernel that wants the GIL would delay
// the fork by the two seconds of parallel/crew.hpp. With this header the helpers are stopped earlier, by a hook of
// os.register_at_fork that releases the GIL. C code that forks with the GIL and without such hooks, as subprocess does
// for `user=`, still takes the two seconds.
//
// Each shared object has its own crew, and so registers its own hooks. Compiles with Py_LIMITED_API, too.
#pragma once

#include <Python.h>

#include <twofold/flags.hpp>
#include <twofold/parallel/crew.hpp>
#include <twofold/version.hpp>

namespace twofold::inline TWOFOLD_VERSION_NAMESPACE {
namespace detail {
inline namespace TWOFOLD_FLAGS_NAMESPACE {

// Hidden, since the functions belong to this shared object's crew. They are built-in functions of Python, so no signal
// handler can run in the middle of one and raise.
class
#if defined(__GNUC__)
    __attribute__((visibility("hidden")))
#endif
    fork_hooks {
public:
    static int add() noexcept {
        crew::watch_forks();
        PyObject* const os = PyImport_ImportModule("os");
        PyObject* const add_hooks = os == nullptr ? nullptr : PyObject_GetAttrString(os, "register_at_fork");
        PyObject* const no_arguments = PyTuple_New(0);
        PyObject* const hooks = Py_BuildValue("{sNsNsN}", "before", PyCFunction_NewEx(&before, nullptr, nullptr),
                                              "after_in_parent", PyCFunction_NewEx(&after_in_parent, nullptr, nullptr),
                                              "after_in_child", PyCFunction_NewEx(&after_in_child, nullptr, nullptr));
        PyObject* const none = add_hooks == nullptr || no_arguments == nullptr || hooks == nullptr
                                   ? nullptr
                                   : PyObject_Call(add_hooks, no_arguments, hooks);
        PyObject* const made[] = {os, add_hooks, no_arguments, hooks, none};
        for (PyObject* const object : made) Py_XDECREF(object);
        return none == nullptr ? -1 : 0;
    }

private:
    // Not noexcept: when the interpreter shuts down, up to Python 3.13, waiting for the GIL ends a daemon thread by an
    // exception.
    static PyObject* before_fork(PyObject*, PyObject*) {
        // Mostly there is no helper, and releasing the GIL may mean waiting to get it back.
        if (crew::expect_fork()) {
            PyThreadState* const state = PyEval_SaveThread();
            crew::stop_for_fork();
            PyEval_RestoreThread(state);
        }
        return none();
    }
    static PyObject* fork_is_over(PyObject*, PyObject*) noexcept {
        crew::fork_is_over();
        return none();
    }
    static PyObject* fork_is_over_in_child(PyObject*, PyObject*) noexcept {
        crew::fork_is_over_in_child();
        return none();
    }
    static PyObject* none() noexcept {
        Py_INCREF(Py_None);
        return Py_None;
    }

    static inline PyMethodDef before{"stop_helpers", before_fork, METH_NOARGS, nullptr};
    static inline PyMethodDef after_in_parent{"allow_helpers", fork_is_over, METH_NOARGS, nullptr};
    static inline PyMethodDef after_in_child{"allow_helpers", fork_is_over_in_child, METH_NOARGS, nullptr};
};

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace detail

inline namespace TWOFOLD_FLAGS_NAMESPACE {

/// Registers the hooks with os.register_at_fork. Call it with the GIL, once, when a module is initialized. Returns 0,
/// or -1 with an exception set.
[[nodiscard]] inline int register_at_fork() noexcept {
    return detail::fork_hooks::add();
}

}  // namespace TWOFOLD_FLAGS_NAMESPACE
}  // namespace twofold::inline TWOFOLD_VERSION_NAMESPACE
