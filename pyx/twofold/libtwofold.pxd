# distutils: language = c++
# distutils: extra_compile_args = -std=c++20
# The C++ door for Cython: templates of twofold/twofold.hpp, under their own names.
#
#     from libcpp.vector cimport vector
#     from twofold.libtwofold cimport double_into
#
# They are compiled into the consumer, for the instruction set that its flags name; `twofold.get_include()` holds all
# the headers they need. `options` and its fields, the ranges and the errors are those of C++; std::invalid_argument
# becomes ValueError.

from libc.stddef cimport ptrdiff_t
from libcpp.optional cimport optional

cdef extern from "<twofold/python.hpp>":
    # Once in a module that shares the templates' calls with helpers: says with os.register_at_fork that forks are to
    # stop these in time. Compiled in here, the templates have helpers of their own.
    int register_at_fork "twofold::register_at_fork"() except -1

cdef extern from "<span>" namespace "std" nogil:
    # A pointer and a number of elements, as a range.
    cdef cppclass span[T]:
        span() noexcept
        span(T* data, size_t n) noexcept

cdef extern from "<twofold/twofold.hpp>" namespace "twofold" nogil:
    cdef enum class overflow_policy:
        wrap
        saturate
        # "raise" in C++, which Python keeps for itself.
        raise_ "twofold::overflow_policy::raise"
    cdef cppclass options:
        options() noexcept
        overflow_policy overflow
        unsigned int threads

    optional[size_t] first_overflow[In](const In& values) except +
    optional[size_t] first_overflow[In](const In& values, const options& how) except +
    void double_strided[T](const T* values, ptrdiff_t stride, T* out, ptrdiff_t out_stride, size_t n) except +
    void double_strided[T](const T* values, ptrdiff_t stride, T* out, ptrdiff_t out_stride, size_t n,
                           const options& how) except +

cdef extern from * namespace "twofold_cython" nogil:
    """
    // Cython writes template arguments out: double_into<In, Out>(in, out). Out&& would then take no lvalue, so the
    // type of the output is deduced here, whatever Out says. Static: see twofold/flags.hpp.
    namespace twofold_cython {
    template <class In, class Out>
    static inline void double_into(In const& values, auto&& out, twofold::options const& how = {}) {
        twofold::double_into(values, out, how);
    }
    template <class Range>
    static inline void double_in_place(auto&& values, twofold::options const& how = {}) {
        twofold::double_in_place(values, how);
    }
    }
    """
    void double_into[In, Out](const In& values, Out& out) except +
    void double_into[In, Out](const In& values, Out& out, const options& how) except +
    void double_in_place[Range](Range& values) except +
    void double_in_place[Range](Range& values, const options& how) except +
