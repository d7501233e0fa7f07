"""Arrays of other libraries, by DLPack and by Arrow's C data interface: their memory comes in, and new memory goes out.

No library is imported: whoever has such an array has its library, and what makes an array of that kind from ours is
found there.
"""
cimport cython
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.object cimport PyObject
from cpython.pycapsule cimport (
    PyCapsule_Destructor, PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_New, PyCapsule_SetName,
)
from cpython.ref cimport Py_DECREF
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcmp, memcpy, memset, strlen

import sys

from twofold._engine.messages import raise_again_if_callers
from twofold._engine.twofold_engine import element_rows
from twofold._containers.lists cimport make_list
from twofold._containers.view cimport (
    MAX_DIMENSIONS, check_dimensions, check_output, fill_c_strides, measure, overflow_at, run_view,
)
from twofold._memory.checked cimport add, at, multiply, product_or_limit
from twofold._memory.numpy_handler cimport free_memory, new_memory
from twofold._engine.arguments cimport does_not_fit, element_from_dtype, element_name
from twofold._engine.messages cimport attribute_if_loaded, is_instance_of_loaded, short, type_name
from twofold._engine.twofold_engine cimport (
    Operation, Policy, View, element_size, fill_by_letter, find_element_of, run_with_gil,
)

cdef extern from *:
    """
    // Of a capsule of ours, whatever it is called by now; it raises nothing.
    #define twofold_pointer_of(capsule) PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))
    """
    void* pointer_of "twofold_pointer_of"(object capsule) noexcept


def run_exchanged(Operation operation not None, values, out, dtype, Policy policy, unsigned int threads):
    """What has `__arrow_c_array__`, `__arrow_c_stream__` or `__dlpack__`."""
    cdef type kind = type(values)
    if hasattr(kind, "__arrow_c_array__") or hasattr(kind, "__arrow_c_stream__"):
        if out is not None:
            raise TypeError(f"out= does not go with {type_name(values)}: arrays of Arrow are never changed")
        if hasattr(kind, "__arrow_c_array__"):
            return run_arrow(operation, values, dtype, policy, threads)
        return run_chunks(operation, values, dtype, policy, threads)
    return run_tensor(operation, values, out, dtype, policy, threads)

cdef list homes_of(type kind):
    """The modules, already imported, of the libraries that a class and its bases are from: theirs first."""
    names = [getattr(base, "__module__", "").partition(".")[0] for base in kind.__mro__]
    return [sys.modules[name] for name in dict.fromkeys(names) if name != "builtins" and name in sys.modules]

cdef int check_dtype(dtype, values, int element) except -1:
    """Refuses a dtype= that is not the type of `values`, whether it is named in our way or in that of its library."""
    if dtype is None or dtype is getattr(values, "dtype", None):
        return 0
    try:
        same = element_from_dtype(dtype) == element
    except TypeError as error:
        raise_again_if_callers(error)
        same = False
    if not same:
        raise TypeError(f"values holds {element_name(element)}, and dtype is {short(dtype)}; convert values first")
    return 0

cdef enum:
    CACHE_LINE = 64  # bytes; Arrow recommends this alignment, too

cdef inline void* aligned(void* address) noexcept nogil:
    return <void*>((<uintptr_t>address + CACHE_LINE - 1) & ~<uintptr_t>(CACHE_LINE - 1))


# ---- DLPack: https://dmlc.github.io/dlpack/latest/c_api.html

cdef struct DLDevice:
    int32_t device_type
    int32_t device_id

cdef struct DLDataType:
    uint8_t code
    uint8_t bits
    uint16_t lanes

cdef struct DLTensor:
    void* data
    DLDevice device
    int32_t ndim
    DLDataType dtype
    int64_t* shape
    int64_t* strides  # in elements; null for C's order
    uint64_t byte_offset

cdef struct DLManagedTensor:
    DLTensor dl_tensor
    void* manager_ctx
    void (*deleter)(DLManagedTensor*) noexcept nogil

cdef struct DLManagedTensorVersioned:
    uint32_t major
    uint32_t minor
    void* manager_ctx
    void (*deleter)(DLManagedTensorVersioned*) noexcept nogil
    uint64_t flags
    DLTensor dl_tensor

# What a library's class may have, too: the same without a call of Python.
cdef struct DLPackExchangeAPI:
    uint32_t major
    uint32_t minor
    void* older
    void* new_tensor
    int (*tensor_of_object)(void*, DLManagedTensorVersioned**) except? -1
    int (*object_of_tensor)(DLManagedTensorVersioned*, void**) except? -1

cdef enum:
    READ_ONLY = 1  # of the flags
    CPU = 1  # of the device types

cdef dict other_devices = {
    2: "CUDA", 3: "CUDA host", 4: "OpenCL", 7: "Vulkan", 8: "Metal", 9: "VPI", 10: "ROCm", 11: "ROCm host", 13: "managed CUDA",
    14: "oneAPI", 15: "WebGPU", 16: "Hexagon", 17: "MAIA",
}
cdef tuple type_codes = (
    "int", "uint", "float", "opaque", "bfloat", "complex", "bool", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz",
    "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float6_e2m3fn",
    "float6_e3m2fn", "float4_e2m1fn",
)

cdef signed char element_of_code[32][32]  # by the code of a type and its bytes; -1: none of ours

cdef int fill_element_of_code() except -1:
    memset(element_of_code, -1, sizeof(element_of_code))
    for element, row in enumerate(element_rows()):
        if row["dlpack_code"] >= 0:
            element_of_code[<int>row["dlpack_code"]][<int>row["bits"] // 8] = element
    return 0

fill_element_of_code()

cdef int element_of(DLDataType dtype) noexcept:
    """-1: none of ours."""
    if dtype.lanes != 1 or dtype.code > 31 or dtype.bits % 8:
        return -1
    return element_of_code[dtype.code][dtype.bits // 8]

cdef str name_of_type(DLDataType dtype):
    name = type_codes[dtype.code] if dtype.code < len(type_codes) else f"type code {dtype.code}, "
    if "_" not in name:
        name = "bool" if name == "bool" else f"{name}{dtype.bits}"
    return name if dtype.lanes == 1 else f"{name} in {dtype.lanes} lanes"


cdef DLPackExchangeAPI* exchange_api_of(type kind) except? NULL:
    """NULL: it has none. Looked for in the very class, since a subclass may have another __dlpack__."""
    cdef DLPackExchangeAPI* api
    capsule = kind.__dict__.get("__dlpack_c_exchange_api__")
    if capsule is None:
        return NULL
    api = <DLPackExchangeAPI*>PyCapsule_GetPointer(capsule, "dlpack_exchange_api")
    return api if api.major == 1 and api.tensor_of_object is not NULL and api.object_of_tensor is not NULL else NULL

cdef int check_device(device, str name) except -1:
    if device != CPU:
        raise BufferError(f"{name} is in the memory of {other_devices.get(device, 'another device')} (DLPack's device "
                          f"{device}); it has to be copied to the CPU first")
    return 0

cdef int check_nothing_is_lost(owner, str name) except -1:
    """Tensors of PyTorch have properties that DLPack has no word for; not all of its doors ask for all of them."""
    if getattr(owner, "requires_grad", False):
        raise BufferError(f"{name} requires a gradient, which would be lost; call {name}.detach() first")
    # PyTorch has tangents within a level of torch.autograd.forward_ad alone; to ask elsewhere, too, takes long.
    level = attribute_if_loaded("torch.autograd.forward_ad", "_current_level")
    if level is not None and level >= 0 and is_instance_of_loaded(owner, "torch", "Tensor"):
        if sys.modules["torch.autograd.forward_ad"].unpack_dual(owner).tangent is not None:
            raise BufferError(f"{name} has a tangent, which would be lost; torch.autograd.forward_ad.unpack_dual({name}) "
                              "has the tensor without it")
    for property, remedy in (("is_conj", "resolve_conj"), ("is_neg", "resolve_neg")):
        if hasattr(owner, property) and getattr(owner, property)():
            raise BufferError(f"{name} is still to be conjugated or negated; call {name}.{remedy}() first")
    return 0


@cython.internal
@cython.final
cdef class Tensor:
    """A tensor of another library, held until this object goes."""
    cdef DLManagedTensorVersioned* versioned  # one of the two, and ours to delete
    cdef DLManagedTensor* plain
    cdef View view
    cdef Py_ssize_t strides[MAX_DIMENSIONS]  # bytes
    cdef DLDataType dtype
    cdef bint writable_is_known

    def __cinit__(self, Operation operation not None, owner, str name not None):
        cdef DLPackExchangeAPI* api = exchange_api_of(type(owner))
        check_nothing_is_lost(owner, name)
        if api is not NULL and self.take(owner, api):
            self.read_versioned(operation, name)
            return
        if not hasattr(owner, "__dlpack_device__"):  # although its class has __dlpack__
            raise TypeError(f"{name} is a {type_name(owner)}, which has no elements yet: it stands for an array while "
                            "a computation is traced, as by jax.jit")
        check_device(owner.__dlpack_device__()[0], name)
        try:
            capsule = owner.__dlpack__(max_version=(1, 0))
        except TypeError as error:  # of a library that knows no versions yet
            raise_again_if_callers(error)
            capsule = owner.__dlpack__()
        if PyCapsule_IsValid(capsule, "dltensor_versioned"):
            self.versioned = <DLManagedTensorVersioned*>PyCapsule_GetPointer(capsule, "dltensor_versioned")
            PyCapsule_SetName(capsule, "used_dltensor_versioned")
            self.read_versioned(operation, name)
        else:
            self.plain = <DLManagedTensor*>PyCapsule_GetPointer(capsule, "dltensor")
            PyCapsule_SetName(capsule, "used_dltensor")
            self.read(operation, &self.plain.dl_tensor, name)

    cdef bint take(self, owner, DLPackExchangeAPI* api) except -1:
        """Whether the short way works. Where it does not, the long one has the clearer words for it."""
        try:
            return api.tensor_of_object(<PyObject*>owner, &self.versioned) == 0 and self.versioned is not NULL
        except (BufferError, RuntimeError) as error:
            raise_again_if_callers(error)
            return False

    def __dealloc__(self):
        if self.versioned is not NULL and self.versioned.deleter is not NULL:
            self.versioned.deleter(self.versioned)
        if self.plain is not NULL and self.plain.deleter is not NULL:
            self.plain.deleter(self.plain)

    cdef int read_versioned(self, Operation operation, str name) except -1:
        if self.versioned.major != 1:
            raise BufferError(f"{name} comes by DLPack {self.versioned.major}.{self.versioned.minor}; known is 1.x")
        self.writable_is_known = True
        self.view.writable = not self.versioned.flags & READ_ONLY
        return self.read(operation, &self.versioned.dl_tensor, name)

    cdef int read(self, Operation operation, DLTensor* tensor, str name) except -1:
        cdef View* view = &self.view
        check_device(tensor.device.device_type, name)
        self.dtype = tensor.dtype
        view.element = element_of(tensor.dtype)
        if view.element < 0:
            raise TypeError(f"{name} holds {name_of_type(tensor.dtype)}, which cannot be {operation.participle}")
        check_dimensions(tensor.ndim, tensor.shape, name)
        view.ndim, view.itemsize = tensor.ndim, tensor.dtype.bits // 8
        view.data = at(tensor.data, tensor.byte_offset)
        view.shape, view.strides = <Py_ssize_t*>tensor.shape, self.strides
        fill_c_strides(view, self.strides)
        for i in range(view.ndim if tensor.strides is not NULL else 0):
            if view.shape[i] > 1:  # others are never used, and may be anything
                self.strides[i] = product_or_limit(tensor.strides[i], view.itemsize)
        return measure(view, name)

    cdef int check_as_output_of(self, Tensor values) except -1:
        # Arrays that must not be changed, as those of JAX, come by the older DLPack, which cannot say so.
        if not self.writable_is_known:
            raise ValueError("out does not say whether it may be written, as an array that knows DLPack 1.0 does; "
                             "those of JAX never may")
        return check_output(&self.view, &values.view)

    cdef bint fills_its_memory(self) noexcept:
        """Whether its elements, if there are any, lie one after another, the dimensions in any order."""
        cdef Py_ssize_t expected = self.view.itemsize
        cdef int left = 0
        if self.view.n == 0:
            return False
        for i in range(self.view.ndim):
            left += self.view.shape[i] != 1
        for _ in range(left):
            for i in range(self.view.ndim):
                if self.strides[i] == expected and self.view.shape[i] > 1:
                    expected *= self.view.shape[i]
                    break
            else:
                return False
        return True


cdef struct TensorBlock:  # before the shape, the strides and the elements, all in one piece of memory
    DLManagedTensor plain
    DLManagedTensorVersioned versioned

cdef void delete_plain(DLManagedTensor* tensor) noexcept nogil:
    free_memory(tensor.manager_ctx)

cdef void delete_versioned(DLManagedTensorVersioned* tensor) noexcept nogil:
    free_memory(tensor.manager_ctx)

cdef void destroy_tensor_capsule(object capsule) noexcept:
    """For a capsule that nobody has taken the tensor out of."""
    if PyCapsule_IsValid(capsule, "dltensor"):
        free_memory((<DLManagedTensor*>pointer_of(capsule)).manager_ctx)
    elif PyCapsule_IsValid(capsule, "dltensor_versioned"):
        free_memory((<DLManagedTensorVersioned*>pointer_of(capsule)).manager_ctx)


@cython.internal
@cython.final
cdef class NewTensor:
    """New memory of the type, shape and, where it has no gaps, the layout of `model`, for one library to take over."""
    cdef TensorBlock* block  # null once it has been taken over
    cdef View view
    cdef Py_ssize_t strides[MAX_DIMENSIONS]

    def __cinit__(self, Tensor model not None):
        cdef int ndim = model.view.ndim
        cdef size_t nbytes = model.view.n * model.view.itemsize
        cdef size_t dimensions = ndim * sizeof(int64_t)
        cdef DLTensor* tensor
        cdef bint same_layout = model.fills_its_memory()
        self.block = <TensorBlock*>new_memory(sizeof(TensorBlock) + 2 * dimensions + CACHE_LINE + nbytes)
        tensor = &self.block.plain.dl_tensor
        tensor.device.device_type, tensor.device.device_id = CPU, 0
        tensor.dtype = model.dtype
        tensor.ndim = ndim
        tensor.shape = <int64_t*>(self.block + 1)
        tensor.strides = tensor.shape + ndim
        tensor.data = aligned(tensor.strides + ndim)
        tensor.byte_offset = 0
        self.view = model.view
        self.view.data, self.view.strides = tensor.data, self.strides
        if same_layout:
            memcpy(self.strides, model.strides, dimensions)
        else:
            fill_c_strides(&model.view, self.strides)
        for i in range(ndim):
            tensor.shape[i] = model.view.shape[i]
            tensor.strides[i] = self.strides[i] // model.view.itemsize
        self.view.contiguous = model.view.contiguous or not same_layout
        self.block.plain.manager_ctx = self.block
        self.block.plain.deleter = delete_plain
        self.block.versioned.major, self.block.versioned.minor = 1, 0
        self.block.versioned.manager_ctx = self.block
        self.block.versioned.deleter = delete_versioned
        self.block.versioned.flags = 0
        self.block.versioned.dl_tensor = tensor[0]

    def __dealloc__(self):
        free_memory(self.block)

    def __dlpack_device__(self):
        return (CPU, 0)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        if self.block is NULL:
            raise BufferError("this memory was taken over before")
        if max_version is not None and max_version[0] >= 1:
            capsule = PyCapsule_New(&self.block.versioned, "dltensor_versioned", destroy_tensor_capsule)
        else:
            capsule = PyCapsule_New(&self.block.plain, "dltensor", destroy_tensor_capsule)
        self.block = NULL
        return capsule

    cdef object taken_over_by(self, DLPackExchangeAPI* api):
        cdef void* taken = NULL
        if api.object_of_tensor(&self.block.versioned, &taken) != 0 or taken is NULL:
            raise BufferError("the library of values takes no memory for the result")
        self.block = NULL
        result = <object>taken
        Py_DECREF(result)  # which `taken` was already a reference to
        return result


cdef object find_from_dlpack(values):
    """What makes an array of the library of `values` from one that has `__dlpack__`."""
    homes = homes_of(type(values))
    if hasattr(type(values), "__array_namespace__"):
        homes.append(values.__array_namespace__())
    for home in homes:
        for holder in (home, getattr(getattr(home, "utils", None), "dlpack", None)):
            found = getattr(holder, "from_dlpack", None)
            if found is not None:
                return found
    raise TypeError(f"values is {type_name(values)}, whose library has no from_dlpack to make the result with; "
                    "pass out=, or convert values first")

cdef object run_tensor(Operation operation, values, out, dtype, Policy policy, unsigned int threads):
    cdef Tensor source = Tensor(operation, values, "values")
    cdef Tensor target
    cdef NewTensor result
    cdef DLPackExchangeAPI* api
    cdef size_t index
    check_dtype(dtype, values, source.view.element)
    if out is None:
        api = exchange_api_of(type(values))
        from_dlpack = find_from_dlpack(values) if api is NULL else None
        result = NewTensor(source)
        index = run_view(operation, &source.view, &result.view, policy, threads)
        if index < source.view.n:
            raise overflow_at(operation, index, &source.view)
        return result.taken_over_by(api) if api is not NULL else of_class_of(values, from_dlpack(result))
    if out is not values and not hasattr(type(out), "__dlpack__"):
        raise TypeError(f"out must be a writable array with __dlpack__, as values is, not {type_name(out)}")
    target = source if out is values else Tensor(operation, out, "out")
    target.check_as_output_of(source)
    written = version_of_torch(out)
    cdef bint is_as_before = False  # else a part of it may have been written, as when a signal handler raises something
    try:
        index = run_view(operation, &source.view, &target.view, policy, threads)
        is_as_before = index < source.view.n and target is source
    finally:
        if written is not None and not is_as_before:
            written(out)
    if index < source.view.n:
        raise overflow_at(operation, index, &source.view)
    return out

cdef object version_of_torch(out):
    """What tells PyTorch that a tensor was written to, so that it does not take a gradient of what was there before; None
    for all else."""
    if not is_instance_of_loaded(out, "torch", "Tensor"):
        return None
    return attribute_if_loaded("torch.autograd.graph", "increment_version")

cdef object of_class_of(values, result):
    """A result in the class of `values`, where that is one of PyTorch's subclasses which operations keep."""
    if not is_instance_of_loaded(values, "torch", "Tensor"):
        return result
    kind = type(values.detach())
    return result if kind is type(result) else result.as_subclass(kind)


# ---- Arrow: https://arrow.apache.org/docs/format/CDataInterface.html

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

# Whoever takes a result over may release it at any time, without the GIL. So what a result is made of is counted.

cdef struct Schema:
    ArrowSchema source
    long references

cdef struct Values:  # before the new elements, in one piece of memory
    ArrowArray source  # which has the validity bitmap
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


# The structs in capsules, which outlive whoever takes them out; they are released if nobody does.

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
    """A capsule with a struct that is all zeros, and so released."""
    cdef void* memory = new_struct(nbytes)
    try:
        return PyCapsule_New(memory, name, destructor)
    except MemoryError:
        PyMem_RawFree(memory)
        raise


@cython.internal
@cython.final
cdef class SchemaHolder:
    """The type of a result, as it was the type of what came in."""
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
            raise TypeError(f"values is of Arrow type {name_of_schema(&self.schema.source, values)}, which cannot be "
                            f"{operation.participle}")
        return 0

    cdef object capsule(self):
        capsule = new_capsule(sizeof(ArrowSchema), "arrow_schema", destroy_schema_capsule)
        export_schema(self.schema, <ArrowSchema*>pointer_of(capsule))
        return capsule

cdef dict units = {c's': "seconds", c'm': "milliseconds", c'u': "microseconds", c'n': "nanoseconds"}  # of durations

cdef signed char element_of_letter[256]  # by the only letter of a format; -1: none of ours
fill_by_letter(element_of_letter, "arrow_letter")

cdef int element_of_schema(ArrowSchema* schema) except -2:
    """-1: none of ours."""
    cdef const char* format = schema.format
    if schema.dictionary is not NULL or extension_name(schema.metadata):
        return -1
    if format[0] == c't' and format[1] == c'D' and format[2] in units and format[3] == 0:
        return find_element_of(c'm', 8)  # durations, whose limits and missing values are those of timedelta64
    return -1 if format[0] == 0 or format[1] != 0 else element_of_letter[<unsigned char>format[0]]

cdef bytes extension_name(const char* metadata):
    """The value of ARROW:extension:name, which gives the elements a meaning of their own."""
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

cdef str name_of_schema(ArrowSchema* schema, values):
    name = extension_name(schema.metadata)
    if name:
        return name.decode("utf-8", "replace")
    for attribute in ("type", "dtype"):
        if hasattr(values, attribute):
            return str(getattr(values, attribute))
    if schema.format == b"+s":  # as tables are exported
        return "struct"
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
        """Takes the array over. Returns the index of the first valid element that does not fit, -1 if all do."""
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
            # The bitmap is shared from a word on, so that only the elements up to its first bit are made for nothing.
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
        if index < n and valid is not NULL:  # it may be what stands where nothing is valid
            memcpy(target, source, nbytes)
            for i in range(n):
                if not (valid[(lead + i) >> 3] >> ((lead + i) & 7) & 1):
                    memset(target + i * itemsize, 0, itemsize)
            index = run_with_gil(operation.kernels, element, target, target, n, nbytes, policy, threads)
        return -1 if index >= n else <int64_t>index

    cdef object overflow_at(self, Operation operation, int64_t index, int64_t before):
        """The OverflowError for an element, read from memory, of an array behind so many others."""
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
    """Where the elements of an array are, whose numbers are looked at, all of them. NULL: it has none."""
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
        elements = at(array.buffers[1], nbytes)  # in which order the two are added does not matter
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

cdef object in_its_library(values, str maker, result):
    """The result as an array of the kind of `values`; as it is, where nothing is known to make one."""
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

cdef bint is_polars_series(type kind) except -1:
    series = attribute_if_loaded("polars", "Series")
    return series is not None and issubclass(kind, series)

def run_columns(Operation operation not None, values, Policy policy, unsigned int threads):
    """Columns that Arrow has the memory of, although their library knows ufuncs: for those it would go through floats, or
    through Python objects, and takes dates for numbers. None for all else.
    """
    if is_polars_series(type(values)):
        return run_chunks(operation, values, None, policy, threads)
    return run_arrow_backed(operation, values, policy, threads) if is_arrow_dtype(getattr(values, "dtype", None)) else None

cdef bint is_arrow_dtype(dtype) except -1:
    return hasattr(dtype, "pyarrow_dtype")  # of pandas.ArrowDtype

cdef object run_arrow_backed(Operation operation, values, Policy policy, unsigned int threads):
    """An array of pandas that Arrow has the memory of, or a Series or an Index of it."""
    array = getattr(values, "array", values)
    result = type(array)(run_chunks(operation, array.__arrow_array__(), None, policy, threads))
    if array is values:
        return result
    if is_instance_of_loaded(values, "pandas", "Series"):
        return values._constructor(result, index=values.index, name=values.name).__finalize__(values)
    return values._constructor(result, name=values.name)
