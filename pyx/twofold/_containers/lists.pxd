# Lists, for the other modules of twofold. `values` is an exact list or tuple: of others the items may not be what they
# iterate over.
from twofold._engine.twofold_engine cimport Policy

# [v + v for v in values], exactly, for numbers only. With RAISE, a finite float whose double is infinite is an error.
cdef list double_list(values, Policy policy)
cdef list double_range(values)

# Fills `out`, which has room for n, with the n items of `values` as an element type has them. They are checked one by
# one; what does not fit raises, and names the index. RuntimeError if there are fewer or more by now.
cdef int read_list(values, Py_ssize_t n, int element, void* out) except -1

# The error for an item of those that were read into `elements`: in the list there may be others by now, or none.
cdef object read_item_does_not_fit(Py_ssize_t i, const char* elements, int element)

# The n elements at `values`, as a list of Python's numbers.
cdef list make_list(int element, const void* values, Py_ssize_t n)

# A list as an array of one element type has it: range-checked, then doubled as that type.
cdef list double_fixed_width(values, int element, Policy policy, unsigned int threads)
