# Lists, for the other modules of twofold. `values` is an exact list or tuple: of others the items may not be what they
# iterate over.
from twofold._engine.twofold_engine cimport Operation, Policy

# The results of all items, exactly, by Python's arithmetic, for numbers only. With RAISE, a finite float whose result is
# infinite is an error.
cdef list run_list(Operation operation, values, Policy policy)

# Fills `out`, which has room for n, with the n items of `values` as an element type has them. They are checked one by
# one; what does not fit raises, and names the index. RuntimeError if there are fewer or more by now.
cdef int read_list(Operation operation, values, Py_ssize_t n, int element, void* out) except -1

# The n elements at `values`, as a list of Python's numbers.
cdef list make_list(int element, const void* values, Py_ssize_t n)

# A list as an array of one element type has it: range-checked, then computed in that type.
cdef list run_fixed_width(Operation operation, values, int element, Policy policy, unsigned int threads)
