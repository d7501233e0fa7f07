# distutils: language = c++
# distutils: extra_compile_args = -std=c++20
# The C++ door for Cython: templates of twofold/twofold.hpp, under their own names.
#
#     from libcpp.vector cimport vector
#     from twofold.libtwofold cimport double_into
#
# They are compiled into the consumer, for the instruction set that its flags name; `twofold.get_include()` holds all
# the headers they need. `options` and its fields, the ranges and the errors are those of C++: std::invalid_argument
# becomes ValueError, and twofold::overflow_error OverflowError, whose text has the index. Out of reach are
# `doubled` (make a vector, and call `double_into`) and kernels written in Cython. Loops may be.

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

cdef extern from "<bit>" namespace "std" nogil:
    cdef enum class endian:
        little
        big
        native

cdef extern from "<twofold/twofold.hpp>" namespace "twofold" nogil:
    cdef enum class overflow_policy:
        wrap
        saturate
    # Not among the others, none of which Cython can rename, and `raise` is a word of Python's.
    const overflow_policy raise_overflow "twofold::overflow_policy::raise"
    cdef cppclass options:
        options() noexcept
        overflow_policy overflow
        unsigned int threads
    # An array of several dimensions, which `view_of` makes. It refers to shape and strides, as it does to the elements.
    cdef cppclass array_view[T]:
        array_view() noexcept
        T* data
        span[const size_t] shape
        span[const ptrdiff_t] strides  # bytes
        endian byte_order  # `native`, unless it is set

    optional[size_t] first_overflow[In](const In& values) except +
    optional[size_t] first_overflow[In](const In& values, const options& how) except +
    void double_strided[T](const T* values, ptrdiff_t stride, T* out, ptrdiff_t out_stride, size_t n) except +
    void double_strided[T](const T* values, ptrdiff_t stride, T* out, ptrdiff_t out_stride, size_t n,
                           const options& how) except +
    # The type has to be named: double_array[uint32_t](values, out).
    void double_array[T](array_view[const T] values, array_view[T] out) except +
    void double_array[T](array_view[const T] values, array_view[T] out, const options& how) except +

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
    template <class In, class Out, class Kernel>
    static inline void transform(In const& values, auto&& out, Kernel const& kernel, twofold::options const& how = {}) {
        twofold::transform(values, out, kernel, how);
    }
    template <class In1, class In2, class Out, class Kernel>
    static inline void transform_two(In1 const& in1, In2 const& in2, auto&& out, Kernel const& kernel,
                                     twofold::options const& how = {}) {
        twofold::transform(in1, in2, out, kernel, how);
    }
    template <class In1, class In2, class In3, class Out, class Kernel>
    static inline void transform_three(In1 const& in1, In2 const& in2, In3 const& in3, auto&& out, Kernel const& kernel,
                                       twofold::options const& how = {}) {
        twofold::transform(in1, in2, in3, out, kernel, how);
    }
    // A function of Cython's as the body of a loop: Cython's noexcept is not C++'s.
    struct loop_body {
        using range_function = int (*)(std::ptrdiff_t first, std::ptrdiff_t count, void* user);
        loop_body() noexcept = default;
        loop_body(range_function called, void* handed) noexcept : function(called), user(handed) {}
        range_function function = nullptr;
        void* user = nullptr;
        int operator()(std::size_t first, std::size_t count) const noexcept {
            return function(static_cast<std::ptrdiff_t>(first), static_cast<std::ptrdiff_t>(count), user);
        }
    };
    template <class T>
    static inline twofold::array_view<T> view_of(T* data, std::ptrdiff_t const* shape, std::ptrdiff_t const* strides,
                                                 std::size_t dimensions) noexcept {
        return {data, {reinterpret_cast<std::size_t const*>(shape), dimensions}, {strides, dimensions}};
    }
    }
    """
    void double_into[In, Out](const In& values, Out& out) except +
    void double_into[In, Out](const In& values, Out& out, const options& how) except +
    void double_in_place[Range](Range& values) except +
    void double_in_place[Range](Range& values, const options& how) except +
    # A kernel is an object of a C++ class, whose operator() is a template, const and noexcept: written in a `cdef extern
    # from *`, as these functions are here.
    void transform[In, Out, Kernel](const In& values, Out& out, const Kernel& kernel) except +
    void transform[In, Out, Kernel](const In& values, Out& out, const Kernel& kernel, const options& how) except +
    # The same with two and three inputs. (Cython could not tell overloads apart.)
    void transform_two[In1, In2, Out, Kernel](
        const In1& in1, const In2& in2, Out& out, const Kernel& kernel) except +
    void transform_two[In1, In2, Out, Kernel](
        const In1& in1, const In2& in2, Out& out, const Kernel& kernel, const options& how) except +
    void transform_three[In1, In2, In3, Out, Kernel](
        const In1& in1, const In2& in2, const In3& in3, Out& out, const Kernel& kernel) except +
    void transform_three[In1, In2, In3, Out, Kernel](
        const In1& in1, const In2& in2, const In3& in3, Out& out, const Kernel& kernel, const options& how) except +
    # `reduce` and `map` are objects of such classes, too. The type of `init` is that of the result: <double>0, say.
    T transform_reduce "twofold::transform_reduce"[In, T, Reduce, Map](
        const In& values, T init, const Reduce& reduce, const Map& map) except +
    T transform_reduce "twofold::transform_reduce"[In, T, Reduce, Map](
        const In& values, T init, const Reduce& reduce, const Map& map, const options& how) except +
    T transform_reduce_two "twofold::transform_reduce"[In1, In2, T, Reduce, Map](
        const In1& in1, const In2& in2, T init, const Reduce& reduce, const Map& map) except +
    T transform_reduce_two "twofold::transform_reduce"[In1, In2, T, Reduce, Map](
        const In1& in1, const In2& in2, T init, const Reduce& reduce, const Map& map, const options& how) except +
    # A body is an object of such a class, whose operator() takes two size_t and returns an int; or a function of
    # Cython's: parallel_for(n, bytes_per_item, loop_body(function, user)).
    int parallel_for "twofold::parallel_for"[Body](size_t n, size_t bytes_per_item, const Body& body) except +
    int parallel_for "twofold::parallel_for"[Body](
        size_t n, size_t bytes_per_item, const Body& body, const options& how) except +
    cdef cppclass loop_body:
        loop_body() noexcept
        loop_body(int (*function)(Py_ssize_t first, Py_ssize_t count, void* user) noexcept nogil, void* user) noexcept
        int (*function)(Py_ssize_t first, Py_ssize_t count, void* user) noexcept nogil
        void* user
    # Of a memoryview: view_of(&out[0, 0], out.shape, out.strides, 2).
    array_view[T] view_of[T](T* data, const Py_ssize_t* shape, const Py_ssize_t* strides, size_t dimensions) noexcept
