"""Arrays of other libraries, through Arrow's C data interface: their memory comes in, and new memory goes out.

https://arrow.apache.org/docs/format/CDataInterface.html. No library is imported, as in dlpack.pyx.
"""
cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.pycapsule cimport PyCapsule_Destructor, PyCapsule_GetPointer, PyCapsule_New
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcmp, memcpy, memset, strlen

from twofold._containers.lists cimport make_list
from twofold._containers.view cimport check_dtype
from twofold._engine.arguments cimport does_not_fit
from twofold._engine.messages cimport attribute_if_loaded, homes_of, is_instance_of_loaded, type_name
from twofold._engine.messages import what_to_convert
from twofold._engine.twofold_engine cimport Operation, Policy, element_size, fill_by_letter, find_element_of, run_with_gil
from twofold._memory.checked cimport CACHE_LINE, add, aligned, at, multiply, pointer_of
from twofold._memory.numpy_handler cimport free_memory, new_memory


cdef struct ArrowSchema:
    const char* format
    const char* name
    const char* metadata
    int64_t flags
    int64_t n_children
    ArrowSchema** children
    ArrowSchema* dictionary
    void (*release)(ArrowSchema*) noexcept nogil
    void* private_data

cdef struct ArrowArray:
    int64_t length
    int64_t null_count  # -1: not counted
    int64_t offset
    int64_t n_buffers
    int64_t n_children
    const void** buffers
    ArrowArray** children
    ArrowArray* dictionary
    void (*release)(ArrowArray*) noexcept nogil
    void* private_data

cdef struct ArrowArrayStream:
    int (*get_schema)(ArrowArrayStream*, ArrowSchema*) noexcept nogil
    int (*get_next)(ArrowArrayStream*, ArrowArray*) noexcept nogil
    const char* (*get_last_error)(ArrowArrayStream*) noexcept nogil
    void (*release)(ArrowArrayStream*) noexcept nogil
    void* private_data

cdef extern from *:
    long add_and_fetch "__atomic_add_fetch"(long*, long, int) noexcept nogil
    const int in_order "__ATOMIC_ACQ_REL"

cdef bint counts_down_to_zero(long* references) noexcept nogil:
    return add_and_fetch(references, -1, in_order) == 0

# The consumer of a result may release it at any time, without the GIL. So the parts of a result are reference-counted.

cdef struct Schema:
    ArrowSchema source
    long references

cdef struct Values:  # in front of the new elements, in one block of memory
    ArrowArray source  # owns the validity bitmap
    const void* buffers[2]
    int64_t offset
    long references

cdef void drop_schema(Schema* schema) noexcept nogil:
    if schema is not NULL and counts_down_to_zero(&schema.references):
        if schema.source.release is not NULL:
            schema.source.release(&schema.source)
        PyMem_RawFree(schema)

cdef void drop_values(Values* values) noexcept nogil:
    if values is not NULL and counts_down_to_zero(&values.references):
        if values.source.release is not NULL:
            values.source.release(&values.source)
        free_memory(values)

cdef void release_schema(ArrowSchema* exported) noexcept nogil:
    exported.release = NULL
    drop_schema(<Schema*>exported.private_data)

cdef void release_array(ArrowArray* exported) noexcept nogil:
    exported.release = NULL
    drop_values(<Values*>exported.private_data)

cdef void export_schema(Schema* schema, ArrowSchema* out) noexcept nogil:
    out[0] = schema.source
    out.release = release_schema
    out.private_data = schema
    add_and_fetch(&schema.references, 1, in_order)

cdef void export_values(Values* values, ArrowArray* out) noexcept nogil:
    out[0] = values.source
    out.offset = values.offset
    out.buffers = values.buffers
    out.release = release_array
    out.private_data = values
    add_and_fetch(&values.references, 1, in_order)


# Capsules that own their structs, and release them if no consumer has.

cdef void destroy_schema_capsule(object capsule) noexcept:
    cdef ArrowSchema* schema = <ArrowSchema*>pointer_of(capsule)
    if schema.release is not NULL:
        schema.release(schema)
    PyMem_RawFree(schema)

cdef void destroy_array_capsule(object capsule) noexcept:
    cdef ArrowArray* array = <ArrowArray*>pointer_of(capsule)
    if array.release is not NULL:
        array.release(array)
    PyMem_RawFree(array)

cdef void destroy_stream_capsule(object capsule) noexcept:
    cdef ArrowArrayStream* stream = <ArrowArrayStream*>pointer_of(capsule)
    if stream.release is not NULL:
        stream.release(stream)
    PyMem_RawFree(stream)

cdef void* new_struct(size_t nbytes) except NULL:
    cdef void* memory = PyMem_RawMalloc(nbytes)
    if memory is NULL:
        raise MemoryError
    memset(memory, 0, nbytes)
    return memory

cdef object new_capsule(size_t nbytes, const char* name, PyCapsule_Destructor destructor):
    """A capsule with a struct that is all zeros, which means released."""
    cdef void* memory = new_struct(nbytes)
    try:
        return PyCapsule_New(memory, name, destructor)
    except MemoryError:
        PyMem_RawFree(memory)
        raise


@cython.internal
@cython.final
cdef class SchemaHolder:
    """The type of a result, which is the input's type."""
    cdef Schema* schema
    cdef int element

    def __cinit__(self):
        self.schema = <Schema*>new_struct(sizeof(Schema))
        self.schema.references = 1

    def __dealloc__(self):
        drop_schema(self.schema)

    cdef int take(self, Operation operation, ArrowSchema* schema, values) except -1:
        if schema.release is NULL:
            raise ValueError("values exports a schema that was released")
        self.schema.source = schema[0]
        schema.release = NULL
        if self.schema.source.format is NULL:
            raise ValueError("values exports a schema without a format")
        self.element = element_of_schema(&self.schema.source)
        if self.element < 0:
            raise refused(operation, &self.schema.source, values)
        return 0

    cdef object capsule(self):
        capsule = new_capsule(sizeof(ArrowSchema), "arrow_schema", destroy_schema_capsule)
        export_schema(self.schema, <ArrowSchema*>pointer_of(capsule))
        return capsule

cdef dict units = {c's': "seconds", c'm': "milliseconds", c'u': "microseconds", c'n': "nanoseconds"}  # of durations

cdef signed char element_of_letter[256]  # by a format's only letter; -1: none of ours
fill_by_letter(element_of_letter, "arrow_letter")

cdef int element_of_schema(ArrowSchema* schema) except -2:
    """-1: none of ours."""
    cdef const char* format = schema.format
    if schema.dictionary is not NULL or extension_name(schema.metadata):
        return -1
    if format[0] == c't' and format[1] == c'D' and format[2] in units and format[3] == 0:
        return find_element_of(c'm', 8)  # durations have the limits and missing values of timedelta64
    return -1 if format[0] == 0 or format[1] != 0 else element_of_letter[<unsigned char>format[0]]

cdef bytes extension_name(const char* metadata):
    """The value of ARROW:extension:name, which gives the elements another meaning; empty if there is none."""
    cdef const char* key = "ARROW:extension:name"
    cdef bint is_name = False
    cdef int32_t pairs, size
    cdef int64_t i
    if metadata is NULL:
        return b""
    memcpy(&pairs, metadata, 4)
    metadata += 4
    for i in range(2 * <int64_t>pairs):
        memcpy(&size, metadata, 4)
        metadata += 4
        if size < 0:
            break
        if i % 2 and is_name:
            return metadata[:size]
        is_name = size == <int32_t>strlen(key) and memcmp(metadata, key, size) == 0
        metadata += size
    else:
        if pairs >= 0:
            return b""
    raise ValueError("values exports a schema whose metadata has a negative size")

cdef object refused(Operation operation, ArrowSchema* schema, values):
    cdef type kind = type(values)
    called, function = type_name(values), f"twofold.{operation.function.__name__}"
    if schema.format == b"+s" and not hasattr(kind, "type") and not hasattr(kind, "dtype"):  # as tables are exported
        advice = f"{function}(values[name])"
        if hasattr(kind, "with_columns"):
            advice = f"values.with_columns({function}(polars.col(name)))"
        return TypeError(f"values is a {called}, a table; {operation.function.__name__} its columns, each by its name: {advice}")
    name = name_of_schema(schema, values)
    return TypeError(f"values is of Arrow type {name}, which cannot be {operation.participle}{what_to_convert(name)}")

cdef str name_of_schema(ArrowSchema* schema, values):
    name = extension_name(schema.metadata)
    if name:
        return name.decode("utf-8", "replace")
    for attribute in ("type", "dtype"):
        if hasattr(values, attribute):
            return str(getattr(values, attribute))
    return repr((b"dictionary" if schema.dictionary is not NULL else schema.format).decode("utf-8", "replace"))


@cython.internal
@cython.final
cdef class NewArrow:
    """An array of Arrow with new elements and the validity bitmap of another one."""
    cdef SchemaHolder schema
    cdef Values* values

    def __cinit__(self, SchemaHolder schema not None):
        self.schema = schema
        self.values = NULL

    def __dealloc__(self):
        drop_values(self.values)

    cdef int64_t run(self, Operation operation, ArrowArray* array, Policy policy, unsigned int threads) except -2:
        """Take the array over. Returns the index of the first valid element that does not fit, or -1."""
        cdef int element = self.schema.element
        cdef size_t itemsize = element_size(element)
        cdef size_t n, nbytes, index, lead = 0, i
        cdef const uint8_t* valid = NULL
        cdef const char* source = <const char*>checked_elements(array, itemsize)
        cdef char* start
        cdef char* target
        n = array.length
        nbytes = n * itemsize
        if n != 0 and array.buffers[0] is not NULL and array.null_count != 0:
            # The bitmap is shared from the start of a word on, so at most 63 elements are made in vain.
            lead = array.offset % 64
            valid = <const uint8_t*>array.buffers[0] + (array.offset - lead) // 8
        self.values = <Values*>new_memory(sizeof(Values) + 2 * CACHE_LINE + lead * itemsize + nbytes)
        self.values.references = 1
        self.values.source = array[0]
        array.release = NULL
        start = <char*>aligned(self.values + 1)
        memset(start, 0, lead * itemsize)
        target = start + lead * itemsize
        self.values.offset = lead
        self.values.buffers[0] = valid
        self.values.buffers[1] = start
        if n == 0:
            return -1
        index = run_with_gil(operation.kernels, element, source, target, n, nbytes, policy, threads)
        if index < n and valid is not NULL:  # it may be an invalid element
            memcpy(target, source, nbytes)
            for i in range(n):
                if not (valid[(lead + i) >> 3] >> ((lead + i) & 7) & 1):
                    memset(target + i * itemsize, 0, itemsize)
            index = run_with_gil(operation.kernels, element, target, target, n, nbytes, policy, threads)
        return -1 if index >= n else <int64_t>index

    cdef object overflow_at(self, Operation operation, int64_t index, int64_t before):
        """The OverflowError for an element, read from memory, of an array that follows `before` other elements."""
        cdef ArrowArray* source = &self.values.source
        cdef bint is_duration = self.schema.schema.source.format[0] == c't'
        cdef int element = find_element_of(c'i', 8) if is_duration else self.schema.element
        cdef const char* start = <const char*>source.buffers[1] + (source.offset + index) * element_size(element)
        item = make_list(element, start, 1)[0]
        if is_duration:
            item = f"{item} {units[self.schema.schema.source.format[2]]}"
        return does_not_fit(operation, f"values[{before + index}]", item, self.schema.element)

    def __arrow_c_schema__(self):
        return self.schema.capsule()

    def __arrow_c_array__(self, requested_schema=None):
        capsule = new_capsule(sizeof(ArrowArray), "arrow_array", destroy_array_capsule)
        export_values(self.values, <ArrowArray*>pointer_of(capsule))
        return self.schema.capsule(), capsule


cdef const void* checked_elements(ArrowArray* array, Py_ssize_t itemsize) except? NULL:
    """Where the elements of an array are; all of its fields are checked. NULL: it has no elements."""
    cdef Py_ssize_t end, nbytes
    cdef void* elements
    if array.release is NULL:
        raise ValueError("values exports an array that was released")
    if array.n_buffers != 2 or array.buffers is NULL or array.n_children != 0 or array.dictionary is not NULL:
        raise ValueError(f"values exports an array with {array.n_buffers} buffers and {array.n_children} children, "
                         "which is none of its type")
    if array.length < 0 or array.offset < 0 or array.null_count < -1 or array.null_count > array.length:
        raise ValueError(f"values exports an array of {array.length} elements from {array.offset} on, {array.null_count} "
                         "of them null")
    if array.length == 0:
        return NULL
    if array.buffers[1] is NULL or array.buffers[0] is NULL and array.null_count > 0:
        raise BufferError("values exports an array with elements, but no memory that holds them")
    if add(array.offset, array.length, &end) and multiply(end, itemsize, &nbytes):
        elements = at(array.buffers[1], nbytes)  # the order of the additions does not matter
        if elements is not NULL and (array.buffers[0] is NULL or at(array.buffers[0], end // 8) is not NULL):
            return <const char*>array.buffers[1] + array.offset * itemsize
    raise ValueError(f"values exports an array of {array.length} elements from {array.offset} on, which is more than any "
                     "memory holds")

cdef object run_arrow(Operation operation, values, dtype, Policy policy, unsigned int threads):
    schema_capsule, array_capsule = values.__arrow_c_array__()
    cdef SchemaHolder schema = SchemaHolder()
    schema.take(operation, <ArrowSchema*>PyCapsule_GetPointer(schema_capsule, "arrow_schema"), values)
    check_dtype(dtype, values, schema.element)
    cdef NewArrow result = NewArrow(schema)
    cdef int64_t index = result.run(operation, <ArrowArray*>PyCapsule_GetPointer(array_capsule, "arrow_array"), policy, threads)
    if index >= 0:
        raise result.overflow_at(operation, index, 0)
    return in_its_library(values, "array", result)

cdef bint is_polars_series(type kind) except -1:
    series = attribute_if_loaded("polars", "Series")
    return series is not None and issubclass(kind, series)

cdef object in_its_library(values, str maker, result):
    """The result as an array of the kind of `values`; unchanged if its library has no way to make one."""
    cdef type kind = type(values)
    if is_polars_series(kind):
        return kind(result)
    if hasattr(kind, "from_arrow"):
        return kind.from_arrow(result)
    for home in homes_of(kind):
        make = getattr(home, maker, None)
        if callable(make):
            return make(result)
    return result


# ---- in chunks

cdef struct Chunks:
    Schema* schema
    int64_t n
    int64_t next
    Values** chunks  # behind this struct

cdef int schema_of_chunks(ArrowArrayStream* stream, ArrowSchema* out) noexcept nogil:
    export_schema((<Chunks*>stream.private_data).schema, out)
    return 0

cdef int next_chunk(ArrowArrayStream* stream, ArrowArray* out) noexcept nogil:
    cdef Chunks* chunks = <Chunks*>stream.private_data
    if chunks.next == chunks.n:
        out.release = NULL
    else:
        export_values(chunks.chunks[chunks.next], out)
        chunks.next += 1
    return 0

cdef const char* no_error(ArrowArrayStream* stream) noexcept nogil:
    return NULL

cdef void release_chunks(ArrowArrayStream* stream) noexcept nogil:
    cdef Chunks* chunks = <Chunks*>stream.private_data
    stream.release = NULL
    for i in range(chunks.n):
        drop_values(chunks.chunks[i])
    drop_schema(chunks.schema)
    PyMem_RawFree(chunks)


@cython.internal
@cython.final
cdef class NewChunks:
    """Arrays of Arrow, one after another."""
    cdef SchemaHolder schema
    cdef list chunks

    def __cinit__(self, SchemaHolder schema not None):
        self.schema = schema
        self.chunks = []

    def __arrow_c_schema__(self):
        return self.schema.capsule()

    def __arrow_c_stream__(self, requested_schema=None):
        capsule = new_capsule(sizeof(ArrowArrayStream), "arrow_array_stream", destroy_stream_capsule)
        cdef ArrowArrayStream* stream = <ArrowArrayStream*>pointer_of(capsule)
        cdef int64_t n = len(self.chunks)
        cdef Chunks* chunks = <Chunks*>new_struct(sizeof(Chunks) + n * sizeof(Values*))
        cdef NewArrow chunk
        chunks.chunks = <Values**>(chunks + 1)
        chunks.schema = self.schema.schema
        add_and_fetch(&chunks.schema.references, 1, in_order)
        for chunk in self.chunks:
            chunks.chunks[chunks.n] = chunk.values
            add_and_fetch(&chunk.values.references, 1, in_order)
            chunks.n += 1
        stream.get_schema, stream.get_next = schema_of_chunks, next_chunk
        stream.get_last_error, stream.release, stream.private_data = no_error, release_chunks, chunks
        return capsule


cdef object run_chunks(Operation operation, values, dtype, Policy policy, unsigned int threads):
    cdef object capsule = values.__arrow_c_stream__()
    cdef ArrowArrayStream* stream = <ArrowArrayStream*>PyCapsule_GetPointer(capsule, "arrow_array_stream")
    cdef SchemaHolder schema = SchemaHolder()
    cdef ArrowSchema type_of_chunks
    cdef ArrowArray array
    cdef NewChunks result
    cdef NewArrow chunk
    cdef int64_t index, before = 0
    if stream.release is NULL or stream.get_schema is NULL or stream.get_next is NULL:
        raise ValueError("values exports a stream that was released, or has nothing to read it with")
    memset(&type_of_chunks, 0, sizeof(ArrowSchema))
    check_stream(stream, stream.get_schema(stream, &type_of_chunks))
    schema.take(operation, &type_of_chunks, values)
    check_dtype(dtype, values, schema.element)
    result = NewChunks(schema)
    while True:
        memset(&array, 0, sizeof(ArrowArray))
        check_stream(stream, stream.get_next(stream, &array))
        if array.release is NULL:
            return in_its_library(values, "chunked_array", result)
        chunk = NewArrow(schema)
        try:
            index = chunk.run(operation, &array, policy, threads)
        finally:
            if array.release is not NULL:
                array.release(&array)
        if index >= 0:
            raise chunk.overflow_at(operation, index, before)
        result.chunks.append(chunk)
        before += chunk.values.source.length

cdef int check_stream(ArrowArrayStream* stream, int code) except -1:
    cdef const char* message = NULL
    if code:
        if stream.get_last_error is not NULL:
            message = stream.get_last_error(stream)
        raise OSError(code, "reading values: " + ("" if message is NULL else message.decode("utf-8", "replace")))
    return 0


# ---- columns

cdef object run_columns(Operation operation, values, Policy policy, unsigned int threads):
    """Run on columns in Arrow memory whose library supports ufuncs, too: a ufunc would convert them to floats or Python
    objects, and treat dates as numbers. None for other columns.
    """
    if is_polars_series(type(values)):
        return run_chunks(operation, values, None, policy, threads)
    return run_arrow_backed(operation, values, policy, threads) if is_arrow_dtype(getattr(values, "dtype", None)) else None

cdef bint is_arrow_dtype(dtype) except -1:
    return hasattr(dtype, "pyarrow_dtype")  # of pandas.ArrowDtype

cdef object run_arrow_backed(Operation operation, values, Policy policy, unsigned int threads):
    """Run on a pandas array in Arrow memory, or on a Series or an Index of one."""
    array = getattr(values, "array", values)
    result = type(array)(run_chunks(operation, array.__arrow_array__(), None, policy, threads))
    if array is values:
        return result
    if is_instance_of_loaded(values, "pandas", "Series"):
        return values._constructor(result, index=values.index, name=values.name).__finalize__(values)
    return values._constructor(result, name=values.name)
