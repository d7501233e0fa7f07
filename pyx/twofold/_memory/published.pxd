# Pointers that one thread sets and others read without a lock: who reads one sees all that was written before it was set.
cdef extern from *:
    """
    #define TWOFOLD_LOAD_ACQUIRE(slot) __atomic_load_n(slot, __ATOMIC_ACQUIRE)
    #define TWOFOLD_STORE_RELEASE(slot, value) __atomic_store_n(slot, value, __ATOMIC_RELEASE)
    // Puts `made` at the head of a list; *next is its link.
    #define TWOFOLD_PUSH(head, made, next)                                                                             \
        do *(next) = __atomic_load_n(head, __ATOMIC_ACQUIRE);                                                          \
        while (!__atomic_compare_exchange_n(head, next, made, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    """
    void* load_acquire "TWOFOLD_LOAD_ACQUIRE"(void** slot) noexcept nogil
    void store_release "TWOFOLD_STORE_RELEASE"(void** slot, void* value) noexcept nogil
    void push "TWOFOLD_PUSH"(void** head, void* made, void** next) noexcept nogil
