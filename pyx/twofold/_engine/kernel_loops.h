// Loops of ufuncs that call a C function of the user's, for each element or for chunks of them.
#pragma once

#include <numpy/npy_common.h>
#include <numpy/ndarraytypes.h>
#include <stdint.h>
#include <string.h>

enum {
    TWOFOLD_MAX_INPUTS = 4,    // of a function on elements
    TWOFOLD_MAX_POINTERS = 8,  // of a function on chunks
};

// What a function takes behind its operands.
enum twofold_tail {
    TWOFOLD_NOTHING,
    TWOFOLD_USER_DATA,
    TWOFOLD_SKIP_DISPATCH,  // of Cython's cpdef functions: whether a method of a subclass is not looked for
    TWOFOLD_TAILS,
};

typedef struct {
    void* address;
    void* user_data;
    int tail, returns_code;
    int nin, nop;
    npy_intp sizes[TWOFOLD_MAX_POINTERS];  // of the elements
} twofold_function;

typedef void (*twofold_loop)(char** args, const npy_intp* count, const npy_intp* steps, void* function);

// ---- functions on elements, all of one type

#define TWOFOLD_X(T, i) (*(const T*)(args[i] + k * steps[i]))
#define TWOFOLD_LOOP(T, name, nin, parameters, arguments)                                               \
    static void name(char** args, const npy_intp* count, const npy_intp* steps, void* function) {       \
        T(*const f) parameters = (T(*) parameters)((twofold_function*)function)->address;               \
        void* const user_data = ((twofold_function*)function)->user_data;                               \
        (void)user_data;                                                                                \
        for (npy_intp k = 0; k < *count; ++k) *(T*)(args[nin] + k * steps[nin]) = f arguments;          \
    }

#define TWOFOLD_LOOPS_OF(T, name)                                                                       \
    TWOFOLD_LOOP(T, name##_1_0, 1, (T), (TWOFOLD_X(T, 0)))                                              \
    TWOFOLD_LOOP(T, name##_1_1, 1, (T, void*), (TWOFOLD_X(T, 0), user_data))                            \
    TWOFOLD_LOOP(T, name##_1_2, 1, (T, int), (TWOFOLD_X(T, 0), 1))                                      \
    TWOFOLD_LOOP(T, name##_2_0, 2, (T, T), (TWOFOLD_X(T, 0), TWOFOLD_X(T, 1)))                          \
    TWOFOLD_LOOP(T, name##_2_1, 2, (T, T, void*), (TWOFOLD_X(T, 0), TWOFOLD_X(T, 1), user_data))        \
    TWOFOLD_LOOP(T, name##_2_2, 2, (T, T, int), (TWOFOLD_X(T, 0), TWOFOLD_X(T, 1), 1))                  \
    TWOFOLD_LOOP(T, name##_3_0, 3, (T, T, T), (TWOFOLD_X(T, 0), TWOFOLD_X(T, 1), TWOFOLD_X(T, 2)))      \
    TWOFOLD_LOOP(T, name##_3_1, 3, (T, T, T, void*),                                                    \
                 (TWOFOLD_X(T, 0), TWOFOLD_X(T, 1), TWOFOLD_X(T, 2), user_data))                        \
    TWOFOLD_LOOP(T, name##_3_2, 3, (T, T, T, int),                                                      \
                 (TWOFOLD_X(T, 0), TWOFOLD_X(T, 1), TWOFOLD_X(T, 2), 1))                                \
    TWOFOLD_LOOP(T, name##_4_0, 4, (T, T, T, T),                                                        \
                 (TWOFOLD_X(T, 0), TWOFOLD_X(T, 1), TWOFOLD_X(T, 2), TWOFOLD_X(T, 3)))                  \
    TWOFOLD_LOOP(T, name##_4_1, 4, (T, T, T, T, void*),                                                 \
                 (TWOFOLD_X(T, 0), TWOFOLD_X(T, 1), TWOFOLD_X(T, 2), TWOFOLD_X(T, 3), user_data))       \
    TWOFOLD_LOOP(T, name##_4_2, 4, (T, T, T, T, int),                                                   \
                 (TWOFOLD_X(T, 0), TWOFOLD_X(T, 1), TWOFOLD_X(T, 2), TWOFOLD_X(T, 3), 1))

// The element types: what C calls them, NumPy's number, kind and size.
#define TWOFOLD_KERNEL_TYPES(ROW)                         \
    ROW(int8_t, int8, NPY_INT8, 'i')                      \
    ROW(int16_t, int16, NPY_INT16, 'i')                   \
    ROW(int32_t, int32, NPY_INT32, 'i')                   \
    ROW(int64_t, int64, NPY_INT64, 'i')                   \
    ROW(uint8_t, uint8, NPY_UINT8, 'u')                   \
    ROW(uint16_t, uint16, NPY_UINT16, 'u')                \
    ROW(uint32_t, uint32, NPY_UINT32, 'u')                \
    ROW(uint64_t, uint64, NPY_UINT64, 'u')                \
    ROW(float, float32, NPY_FLOAT, 'f')                   \
    ROW(double, float64, NPY_DOUBLE, 'f')                 \
    ROW(float _Complex, complex64, NPY_CFLOAT, 'c')       \
    ROW(double _Complex, complex128, NPY_CDOUBLE, 'c')

#define TWOFOLD_ROW_LOOPS(T, name, number, kind) TWOFOLD_LOOPS_OF(T, twofold_loop_##name)
TWOFOLD_KERNEL_TYPES(TWOFOLD_ROW_LOOPS)

typedef struct {
    const char* name;
    int number;
    char kind;
    int size;
    twofold_loop loops[TWOFOLD_MAX_INPUTS][TWOFOLD_TAILS];
} twofold_kernel_type;

#define TWOFOLD_LOOPS(name, nin) {name##_##nin##_0, name##_##nin##_1, name##_##nin##_2}
#define TWOFOLD_ROW(T, name, number, kind)                                                              \
    {#T, number, kind, (int)sizeof(T),                                                                  \
     {TWOFOLD_LOOPS(twofold_loop_##name, 1), TWOFOLD_LOOPS(twofold_loop_##name, 2),                     \
      TWOFOLD_LOOPS(twofold_loop_##name, 3), TWOFOLD_LOOPS(twofold_loop_##name, 4)}},
static const twofold_kernel_type twofold_kernel_types[] = {TWOFOLD_KERNEL_TYPES(TWOFOLD_ROW)};
enum { TWOFOLD_TYPE_COUNT = sizeof(twofold_kernel_types) / sizeof(twofold_kernel_types[0]) };

// ---- functions on chunks

// Pointers to data are all passed alike, whatever they point to.
static inline int twofold_call_on_chunk(const twofold_function* f, char** p, npy_intp n) {
#define TWOFOLD_CASE(nop, parameters, ...)                                                              \
    case nop:                                                                                           \
        if (f->tail == TWOFOLD_USER_DATA) {                                                             \
            if (f->returns_code)                                                                        \
                return ((int (*)(parameters, npy_intp, void*))f->address)(__VA_ARGS__, n, f->user_data); \
            ((void (*)(parameters, npy_intp, void*))f->address)(__VA_ARGS__, n, f->user_data);          \
            return 0;                                                                                   \
        }                                                                                               \
        if (f->returns_code) return ((int (*)(parameters, npy_intp))f->address)(__VA_ARGS__, n);        \
        ((void (*)(parameters, npy_intp))f->address)(__VA_ARGS__, n);                                   \
        return 0;
#define TWOFOLD_2 void*, void*
#define TWOFOLD_3 TWOFOLD_2, void*
#define TWOFOLD_4 TWOFOLD_3, void*
#define TWOFOLD_5 TWOFOLD_4, void*
#define TWOFOLD_6 TWOFOLD_5, void*
#define TWOFOLD_7 TWOFOLD_6, void*
#define TWOFOLD_8 TWOFOLD_7, void*
    switch (f->nop) {
        TWOFOLD_CASE(2, TWOFOLD_2, p[0], p[1])
        TWOFOLD_CASE(3, TWOFOLD_3, p[0], p[1], p[2])
        TWOFOLD_CASE(4, TWOFOLD_4, p[0], p[1], p[2], p[3])
        TWOFOLD_CASE(5, TWOFOLD_5, p[0], p[1], p[2], p[3], p[4])
        TWOFOLD_CASE(6, TWOFOLD_6, p[0], p[1], p[2], p[3], p[4], p[5])
        TWOFOLD_CASE(7, TWOFOLD_7, p[0], p[1], p[2], p[3], p[4], p[5], p[6])
        TWOFOLD_CASE(8, TWOFOLD_8, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7])
    }
    return 0;
}

static inline void twofold_copy(char* to, npy_intp to_step, const char* from, npy_intp from_step, npy_intp n,
                                npy_intp size) {
#define TWOFOLD_COPY(bytes) \
    for (npy_intp i = 0; i < n; ++i) memcpy(to + i * to_step, from + i * from_step, bytes)
    switch (size) {
        case 1: TWOFOLD_COPY(1); break;
        case 2: TWOFOLD_COPY(2); break;
        case 4: TWOFOLD_COPY(4); break;
        case 8: TWOFOLD_COPY(8); break;
        default: TWOFOLD_COPY(16);
    }
}

typedef struct {
    uintptr_t first, end;
} twofold_bytes;

static inline twofold_bytes twofold_bytes_of(const char* data, npy_intp step, npy_intp n, npy_intp size) {
    uintptr_t const last = (uintptr_t)data + (uintptr_t)((n - 1) * step);
    twofold_bytes const forward = {(uintptr_t)data, last + (uintptr_t)size};
    twofold_bytes const backward = {last, (uintptr_t)data + (uintptr_t)size};
    return step < 0 ? backward : forward;
}

// The function gets contiguous memory, and none that it writes overlaps with any other. So what is not contiguous, and
// an input that is an output, too, goes through memory of ours, block by block. Where else an output overlaps with an
// input, as in `ufunc.accumulate`, NumPy counts on the order of the elements: a block is then one of them.
static inline int twofold_run_on_chunks(char** args, const npy_intp* count, const npy_intp* steps, void* function) {
    enum { ROOM = 1 << 14, MULTIPLE = 64 };
    const twofold_function* const f = function;
    npy_intp const n = *count;
    if (n == 0) return 0;
    _Alignas(64) char room[ROOM];
    char* copies[TWOFOLD_MAX_POINTERS];
    npy_intp bytes_each = 0;
    int one_by_one = 0;
    for (int i = 0; i < f->nop; ++i) {
        int is_copied = steps[i] != f->sizes[i] && n > 1;
        for (int j = f->nin; i < f->nin && j < f->nop; ++j) {
            twofold_bytes const in = twofold_bytes_of(args[i], steps[i], n, f->sizes[i]);
            twofold_bytes const out = twofold_bytes_of(args[j], steps[j], n, f->sizes[j]);
            if (in.end <= out.first || out.end <= in.first) continue;
            is_copied = 1;
            one_by_one |= args[i] != args[j] || steps[i] != steps[j] || steps[j] == 0;
        }
        copies[i] = is_copied ? room : NULL;
        bytes_each += is_copied ? f->sizes[i] : 0;
    }
    npy_intp const block = bytes_each == 0 ? n : one_by_one ? 1 : ROOM / bytes_each / MULTIPLE * MULTIPLE;
    char* free_room = room;
    for (int i = 0; i < f->nop; ++i) {
        if (copies[i] == NULL) continue;
        copies[i] = free_room;
        free_room += (block * f->sizes[i] + MULTIPLE - 1) / MULTIPLE * MULTIPLE;
    }
    for (npy_intp first = 0; first < n; first += block) {
        npy_intp const m = n - first < block ? n - first : block;
        char* data[TWOFOLD_MAX_POINTERS];
        for (int i = 0; i < f->nop; ++i) {
            char* const here = args[i] + first * steps[i];
            data[i] = copies[i] != NULL ? copies[i] : here;
            if (copies[i] != NULL && i < f->nin) twofold_copy(copies[i], f->sizes[i], here, steps[i], m, f->sizes[i]);
        }
        int const code = twofold_call_on_chunk(f, data, m);
        if (code != 0) return code;
        for (int i = f->nin; i < f->nop; ++i) {
            if (copies[i] == NULL) continue;
            twofold_copy(args[i] + first * steps[i], steps[i], copies[i], f->sizes[i], m, f->sizes[i]);
        }
    }
    return 0;
}
