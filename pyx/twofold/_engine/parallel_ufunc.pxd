# How a kernel of the user's becomes one of `parallel`.
from cpython.object cimport PyObject, PyTypeObject

from twofold._engine.shared_loop cimport code_loop

cdef extern from *:
    """
    // The type's slots are set by hand: Cython knows nothing of vectorcall.
    static inline void twofold_use_vectorcall(PyTypeObject* type, Py_ssize_t offset) {
        type->tp_vectorcall_offset = offset;
        type->tp_call = PyVectorcall_Call;
        type->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
        PyType_Modified(type);
    }
    """
    ctypedef PyObject* (*vectorcallfunc)(PyObject*, PyObject* const*, size_t, PyObject*)
    void use_vectorcall "twofold_use_vectorcall"(PyTypeObject* type, Py_ssize_t offset) noexcept

# A ParallelUfunc of a ufunc whose only loop neither raises nor takes the GIL, or else has a twin, `returning`, that
# returns a code where it would raise. Which elements a loop is called for, and in which order, must not matter.
cdef object parallel_kernel(ufunc, code_loop returning)
