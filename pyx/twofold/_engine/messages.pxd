# What messages say of a value.
cdef str short(value)
cdef str type_name(value)
cdef str instead_of_item(item)

cdef object unlocked_in_child(value)
cdef object attribute_if_loaded(str module, str name)
cdef bint is_instance_of_loaded(value, str module, str name) except -1
cdef list homes_of(type kind)
