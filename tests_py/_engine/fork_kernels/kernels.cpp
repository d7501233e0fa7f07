// An extension module of somebody else's, with kernels that do what kernels had better not: they take the GIL, sleep,
// wait for a lock, call the engine, on its caller's thread and on helpers.
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <thread>
#include <twofold/python.hpp>
#include <twofold/twofold.hpp>
#include <vector>

namespace {

constexpr std::size_t short_call = std::size_t{64} << 10;  // elements, which have helpers in calls back to back
constexpr std::size_t long_call = std::size_t{4} << 20;    // elements, for which helpers are started
constexpr unsigned one_action_in = 4096;                   // of the calls of a kernel
constexpr std::uint32_t value = 21;

std::mutex mutex;
std::atomic<bool> helper_is_in{false};
std::atomic<unsigned> actions_of_helpers{0};

void nothing(PyObject*) noexcept {}

void call_python(PyObject* callback) noexcept {
    PyGILState_STATE const state = PyGILState_Ensure();
    PyObject* const result = PyObject_CallNoArgs(callback);
    if (result == nullptr) PyErr_WriteUnraisable(callback);
    Py_XDECREF(result);
    PyGILState_Release(state);
}

void sleep_a_millisecond(PyObject*) noexcept {
    usleep(1000);
}

void take_lock(PyObject*) noexcept {
    std::lock_guard const guard(mutex);
}

void call_again(PyObject*) noexcept {
    std::array<std::uint32_t, 20'000> values;
    values.fill(value);
    twofold::double_in_place(values, {.threads = 3});
    if (std::ranges::count(values, 2 * value) != std::ssize(values)) abort();
}

// Doubles back to back, for which helpers are woken; what else the kernel does, now and then, says `action`. The number
// of wrong elements.
std::ptrdiff_t call_often(void (*action)(PyObject*) noexcept, PyObject* callback) {
    constexpr unsigned calls = 5;
    std::vector<std::uint32_t> const in(short_call, value);
    std::vector<std::uint32_t> out(short_call);
    std::ptrdiff_t wrong = 0;
    pthread_t const caller = pthread_self();
    for (unsigned call = 0; call < calls; ++call) {
        twofold::transform(in, out,
                           [=](auto x) noexcept {
                               thread_local unsigned kernels = 0;
                               if (kernels++ % one_action_in == 0) {
                                   action(callback);
                                   if (pthread_equal(pthread_self(), caller) == 0) ++actions_of_helpers;
                               }
                               return x + x;
                           },
                           {.threads = 3});
        wrong += std::ssize(out) - std::ranges::count(out, 2 * value);
        std::ranges::fill(out, 0u);
    }
    return wrong;
}

// The same, but a helper does it, once, and the caller waits for it to come.
std::ptrdiff_t call_on_helper(void (*action)(PyObject*) noexcept, PyObject* callback) {
    std::vector<std::uint32_t> const in(long_call, value);
    std::vector<std::uint32_t> out(long_call);
    pthread_t const caller = pthread_self();
    helper_is_in = false;
    twofold::transform(in, out,
                       [=](auto x) noexcept {
                           thread_local bool is_new = true;
                           if (pthread_equal(pthread_self(), caller) != 0) {
                               while (!helper_is_in) sched_yield();
                           } else if (is_new) {
                               is_new = false;
                               helper_is_in = true;
                               action(callback);
                           }
                           return x + x;
                       },
                       {.threads = 2});
    return static_cast<std::ptrdiff_t>(long_call) - std::ranges::count(out, 2 * value);
}

struct named_action {
    char const* name;
    void (*act)(PyObject*) noexcept;
};
constexpr named_action actions[] = {{"nothing", nothing},
                                    {"python", call_python},
                                    {"sleep", sleep_a_millisecond},
                                    {"lock", take_lock},
                                    {"nest", call_again}};

named_action const* find_action(char const* name) noexcept {
    auto const* const found = std::ranges::find(actions, std::string_view(name), &named_action::name);
    if (found == std::end(actions)) PyErr_Format(PyExc_ValueError, "no action %s", name);
    return found == std::end(actions) ? nullptr : found;
}

// run(name, callback=None): some calls whose kernel does that now and then; the number of wrong elements.
PyObject* run(PyObject*, PyObject* arguments) noexcept {
    char const* name = nullptr;
    PyObject* callback = Py_None;
    if (!PyArg_ParseTuple(arguments, "s|O", &name, &callback)) return nullptr;
    named_action const* const action = find_action(name);
    if (action == nullptr) return nullptr;
    std::ptrdiff_t wrong = 0;
    Py_BEGIN_ALLOW_THREADS;
    wrong = call_often(action->act, callback);
    Py_END_ALLOW_THREADS;
    return PyLong_FromSsize_t(wrong);
}

std::thread other_thread;
std::ptrdiff_t wrong_of_other_thread = 0;

// start(name, callback=None): has another thread make a call, and returns when its helper does that, or is about to.
// Does not release the GIL.
PyObject* start(PyObject*, PyObject* arguments) noexcept {
    char const* name = nullptr;
    PyObject* callback = Py_None;
    if (!PyArg_ParseTuple(arguments, "s|O", &name, &callback)) return nullptr;
    named_action const* const action = find_action(name);
    if (action == nullptr) return nullptr;
    Py_INCREF(callback);  // until the process ends
    helper_is_in = false;
    other_thread = std::thread([=] { wrong_of_other_thread = call_on_helper(action->act, callback); });
    while (!helper_is_in) sched_yield();
    Py_RETURN_NONE;
}

// finish(): waits for that call; the number of wrong elements.
PyObject* finish(PyObject*, PyObject*) noexcept {
    Py_BEGIN_ALLOW_THREADS;
    other_thread.join();
    Py_END_ALLOW_THREADS;
    return PyLong_FromSsize_t(wrong_of_other_thread);
}

// By C code, with the GIL or without. The child makes calls of its own.
PyObject* fork_here(PyObject*, PyObject* with_gil) noexcept {
    PyThreadState* const state = with_gil == Py_True ? nullptr : PyEval_SaveThread();
    pid_t const child = fork();
    if (child == 0) {
        alarm(20);
        _exit(call_often(call_again, nullptr) == 0 ? 0 : 1);
    }
    if (state != nullptr) PyEval_RestoreThread(state);
    return PyLong_FromLong(child);
}

PyObject* lock(PyObject*, PyObject*) noexcept {
    mutex.lock();
    Py_RETURN_NONE;
}

PyObject* unlock(PyObject*, PyObject*) noexcept {
    mutex.unlock();
    Py_RETURN_NONE;
}

// How often helpers have done what kernels do.
PyObject* count_of_helpers(PyObject*, PyObject*) noexcept {
    return PyLong_FromUnsignedLong(actions_of_helpers);
}

PyObject* add_fork_hooks(PyObject*, PyObject*) noexcept {
    if (twofold::register_at_fork() < 0) return nullptr;
    Py_RETURN_NONE;
}

PyMethodDef functions[] = {{"run", run, METH_VARARGS, nullptr},
                           {"start", start, METH_VARARGS, nullptr},
                           {"finish", finish, METH_NOARGS, nullptr},
                           {"fork_here", fork_here, METH_O, nullptr},
                           {"count_of_helpers", count_of_helpers, METH_NOARGS, nullptr},
                           {"lock", lock, METH_NOARGS, nullptr},
                           {"unlock", unlock, METH_NOARGS, nullptr},
                           {"register_at_fork", add_fork_hooks, METH_NOARGS, nullptr},
                           {}};
PyModuleDef definition = {PyModuleDef_HEAD_INIT, "kernels", nullptr, -1, functions, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_kernels() {
    return PyModule_Create(&definition);
}
