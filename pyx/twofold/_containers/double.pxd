# What `double` is made of, for another operation's public function.
from twofold._engine.twofold_engine cimport Operation, Policy

# Looks at what comes in, and hands it to the module that knows such containers. `ufunc_keywords` may be None.
cdef object run_any(Operation operation, values, out, dtype, Policy policy, unsigned int threads, dict ufunc_keywords)
