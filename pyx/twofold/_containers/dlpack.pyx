"""Tensors of other libraries, through DLPack: their memory comes in, and new memory goes out.

https://dmlc.github.io/dlpack/latest/c_api.html. No library is imported: whoever has such a tensor has loaded its
library, in which the function is found that makes a tensor from ours.
"""
cimport cython
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_New, PyCapsule_SetName
from cpython.ref cimport Py_DECREF
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import sys

from twofold._containers.view cimport (
    MAX_DIMENSIONS, check_dimensions, check_dtype, check_output, fill_c_strides, measure, overflow_at, run_view,
)
from twofold._engine.messages cimport attribute_if_loaded, homes_of, is_instance_of_loaded, type_name
from twofold._engine.messages import raise_again_if_callers, what_to_convert
from twofold._engine.twofold_engine cimport Operation, Policy, View
from twofold._engine.twofold_engine import element_rows
from twofold._memory.checked cimport CACHE_LINE, aligned, at, pointer_of, product_or_limit
from twofold._memory.numpy_handler cimport free_memory, new_memory


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
    int64_t* strides  # in elements; null for C order
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

# What a library's class may also have: the same without calling Python.
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
    """The API of a class, or NULL. Not looked up in base classes, since a subclass may have another __dlpack__."""
    cdef DLPackExchangeAPI* api
    capsule = kind.__dict__.get("__dlpack_c_exchange_api__")
    if capsule is None:
        return NULL
    api = <DLPackExchangeAPI*>PyCapsule_GetPointer(capsule, "dlpack_exchange_api")
    return api if api.major == 1 and api.tensor_of_object is not NULL and api.object_of_tensor is not NULL else NULL

cdef int check_device(device, str name, owner) except -1:
    if device != CPU:
        call = f": {name}.cpu()" if hasattr(owner, "cpu") else f": {name}.to_device('cpu')" if hasattr(owner, "to_device") else ""
        raise BufferError(f"{name} is in the memory of {other_devices.get(device, 'another device')} (DLPack's device "
                          f"{device}); copy it to the CPU first{call}")
    return 0

cdef object device_of(owner, str name):
    try:
        return owner.__dlpack_device__()[0]
    except Exception as error:
        raise_again_if_callers(error)
        if hasattr(owner, "is_deleted") and owner.is_deleted():  # of JAX
            raise ValueError(f"{name} is a {type_name(owner)} that was deleted: by its delete(), or since it was donated to a "
                             "function of jax.jit; pass a copy that was made before") from None
        raise

cdef int check_nothing_is_lost(owner, str name) except -1:
    """PyTorch tensors have properties that DLPack cannot express; not all of its interfaces check all of them."""
    if getattr(owner, "requires_grad", False):
        raise BufferError(f"{name} requires a gradient, which would be lost; call {name}.detach() first")
    # PyTorch has tangents only within a level of torch.autograd.forward_ad; asking outside of one takes long.
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
    cdef DLManagedTensorVersioned* versioned  # one of these two is set, and ours to delete
    cdef DLManagedTensor* plain
    cdef View view
    cdef Py_ssize_t strides[MAX_DIMENSIONS]  # bytes
    cdef DLDataType dtype
    cdef bint writable_is_known

    def __cinit__(self, Operation operation not None, owner, str name not None):
        cdef DLPackExchangeAPI* api = exchange_api_of(type(owner))
        check_nothing_is_lost(owner, name)
        if api is not NULL and self.take(owner, api):
            self.read_versioned(operation, name, owner)
            return
        if not hasattr(owner, "__dlpack_device__"):  # although its class has __dlpack__
            raise TypeError(f"{name} is a {type_name(owner)}, which has no elements yet: it stands for an array while "
                            "a computation is traced, as by jax.jit")
        check_device(device_of(owner, name), name, owner)
        try:
            capsule = owner.__dlpack__(max_version=(1, 0))
        except TypeError as error:  # the library does not know versions yet
            raise_again_if_callers(error)
            capsule = owner.__dlpack__()
        if PyCapsule_IsValid(capsule, "dltensor_versioned"):
            self.versioned = <DLManagedTensorVersioned*>PyCapsule_GetPointer(capsule, "dltensor_versioned")
            PyCapsule_SetName(capsule, "used_dltensor_versioned")
            self.read_versioned(operation, name, owner)
        else:
            self.plain = <DLManagedTensor*>PyCapsule_GetPointer(capsule, "dltensor")
            PyCapsule_SetName(capsule, "used_dltensor")
            self.read(operation, &self.plain.dl_tensor, name, owner)

    cdef bint take(self, owner, DLPackExchangeAPI* api) except -1:
        """Take the tensor through the C API. Returns whether that works; otherwise `__dlpack__` gives a clearer error."""
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

    cdef int read_versioned(self, Operation operation, str name, owner) except -1:
        if self.versioned.major != 1:
            raise BufferError(f"{name} comes by DLPack {self.versioned.major}.{self.versioned.minor}; known is 1.x")
        self.writable_is_known = True
        self.view.writable = not self.versioned.flags & READ_ONLY
        return self.read(operation, &self.versioned.dl_tensor, name, owner)

    cdef int read(self, Operation operation, DLTensor* tensor, str name, owner) except -1:
        cdef View* view = &self.view
        check_device(tensor.device.device_type, name, owner)
        self.dtype = tensor.dtype
        view.element = element_of(tensor.dtype)
        if view.element < 0:
            held = name_of_type(tensor.dtype)
            raise TypeError(f"{name} holds {held}, which cannot be {operation.participle}{what_to_convert(held)}")
        check_dimensions(tensor.ndim, tensor.shape, name)
        view.ndim, view.itemsize = tensor.ndim, tensor.dtype.bits // 8
        view.data = at(tensor.data, tensor.byte_offset)
        view.shape, view.strides = <Py_ssize_t*>tensor.shape, self.strides
        fill_c_strides(view, self.strides)
        for i in range(view.ndim if tensor.strides is not NULL else 0):
            if view.shape[i] > 1:  # other strides are never used, and may be anything
                self.strides[i] = product_or_limit(tensor.strides[i], view.itemsize)
        return measure(view, name)

    cdef int check_as_output_of(self, Tensor values) except -1:
        # Immutable arrays, as those of JAX, come through the older DLPack, which cannot express that.
        if not self.writable_is_known:
            raise ValueError("out does not say whether it may be written, as an array that knows DLPack 1.0 does; "
                             "those of JAX never may")
        return check_output(&self.view, &values.view)

    cdef bint fills_its_memory(self) noexcept:
        """Whether it has elements, and they are contiguous, with the dimensions in any order."""
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
    """Frees the tensor of a capsule from which it was not taken."""
    if PyCapsule_IsValid(capsule, "dltensor"):
        free_memory((<DLManagedTensor*>pointer_of(capsule)).manager_ctx)
    elif PyCapsule_IsValid(capsule, "dltensor_versioned"):
        free_memory((<DLManagedTensorVersioned*>pointer_of(capsule)).manager_ctx)


@cython.internal
@cython.final
cdef class NewTensor:
    """New memory of the type and shape of `model`, and of its layout if that has no gaps, which a library takes over."""
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

    @cython.critical_section
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
        Py_DECREF(result)  # `taken` was already a new reference
        return result


cdef object find_from_dlpack(values):
    """The `from_dlpack` of the library of `values`."""
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
    cdef bint is_as_before = False  # otherwise it may have been partly written, as when a signal handler raises
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
    """The function that tells PyTorch that a tensor was written to, so that it takes no gradient of its old values; None
    for other tensors."""
    if not is_instance_of_loaded(out, "torch", "Tensor"):
        return None
    return attribute_if_loaded("torch.autograd.graph", "increment_version")

cdef object of_class_of(values, result):
    """A result in the class of `values`, if that is a subclass of PyTorch's that operations keep."""
    if not is_instance_of_loaded(values, "torch", "Tensor"):
        return result
    kind = type(values.detach())
    return result if kind is type(result) else result.as_subclass(kind)
