// The namespace of the library's functions, which is named after the flags that this file is compiled with.
//
// The linker keeps one copy of an inline function for the whole program. If functions had the same name whatever the
// flags, a file that is compiled for an older machine could be handed the copy that another file compiled for AVX2. So
// all functions stand in an inline namespace whose name holds each flag by which a compiler chooses its instructions.
// Outside of it stands what all files of a program share: types that pass from one to another, tables of kernels,
// state. Their member functions are always inlined.
//
// To choose the name, define TWOFOLD_FLAGS_NAMESPACE before the first include. If it is empty, the namespace is
// unnamed, and nothing in it can be seen outside of its file.
#pragma once

#if !defined(TWOFOLD_FLAGS_NAMESPACE)

// `name` where `macro` is defined as 1, nothing where it is not defined: only then is there a comma before `name`.
#define TWOFOLD_DETAIL_FLAG(macro, name) TWOFOLD_DETAIL_FLAG_(macro, name)
#define TWOFOLD_DETAIL_FLAG_(value, name) TWOFOLD_DETAIL_SECOND(TWOFOLD_DETAIL_COMMA_IF_##value name, , )
#define TWOFOLD_DETAIL_COMMA_IF_1 ,
#define TWOFOLD_DETAIL_SECOND(...) TWOFOLD_DETAIL_SECOND_(__VA_ARGS__)
#define TWOFOLD_DETAIL_SECOND_(first, second, ...) second

#define TWOFOLD_DETAIL_FLAGS(...) TWOFOLD_DETAIL_FLAGS_(__VA_ARGS__)
#define TWOFOLD_DETAIL_FLAGS_(a, b, c, d, e, f, g, h) a##b##c##d##e##f##g##h

// clang-format off
#define TWOFOLD_DETAIL_SSE_FLAGS TWOFOLD_DETAIL_FLAGS(                                           \
    TWOFOLD_DETAIL_FLAG(__SSE3__, _sse3), TWOFOLD_DETAIL_FLAG(__SSSE3__, _ssse3),                \
    TWOFOLD_DETAIL_FLAG(__SSE4_1__, _sse4_1), TWOFOLD_DETAIL_FLAG(__SSE4_2__, _sse4_2),          \
    TWOFOLD_DETAIL_FLAG(__POPCNT__, _popcnt), TWOFOLD_DETAIL_FLAG(__LZCNT__, _lzcnt),            \
    TWOFOLD_DETAIL_FLAG(__BMI__, _bmi), TWOFOLD_DETAIL_FLAG(__BMI2__, _bmi2))
#define TWOFOLD_DETAIL_AVX_FLAGS TWOFOLD_DETAIL_FLAGS(                                           \
    TWOFOLD_DETAIL_FLAG(__AVX__, _avx), TWOFOLD_DETAIL_FLAG(__AVX2__, _avx2),                    \
    TWOFOLD_DETAIL_FLAG(__FMA__, _fma), TWOFOLD_DETAIL_FLAG(__FMA4__, _fma4),                    \
    TWOFOLD_DETAIL_FLAG(__F16C__, _f16c), TWOFOLD_DETAIL_FLAG(__XOP__, _xop),                    \
    TWOFOLD_DETAIL_FLAG(__AVXVNNI__, _avxvnni), TWOFOLD_DETAIL_FLAG(__GFNI__, _gfni))
#define TWOFOLD_DETAIL_AVX512_FLAGS TWOFOLD_DETAIL_FLAGS(                                        \
    TWOFOLD_DETAIL_FLAG(__AVX512F__, _avx512f), TWOFOLD_DETAIL_FLAG(__AVX512CD__, _avx512cd),    \
    TWOFOLD_DETAIL_FLAG(__AVX512DQ__, _avx512dq), TWOFOLD_DETAIL_FLAG(__AVX512BW__, _avx512bw),  \
    TWOFOLD_DETAIL_FLAG(__AVX512VL__, _avx512vl), TWOFOLD_DETAIL_FLAG(__AVX512IFMA__, _ifma),    \
    TWOFOLD_DETAIL_FLAG(__AVX512VBMI__, _vbmi), TWOFOLD_DETAIL_FLAG(__AVX512VBMI2__, _vbmi2))
#define TWOFOLD_DETAIL_LATER_AVX512_FLAGS TWOFOLD_DETAIL_FLAGS(                                  \
    TWOFOLD_DETAIL_FLAG(__AVX512VNNI__, _vnni), TWOFOLD_DETAIL_FLAG(__AVX512BITALG__, _bitalg),  \
    TWOFOLD_DETAIL_FLAG(__AVX512VPOPCNTDQ__, _vpopcntdq),                                        \
    TWOFOLD_DETAIL_FLAG(__AVX512BF16__, _bf16), TWOFOLD_DETAIL_FLAG(__AVX512FP16__, _fp16),      \
    TWOFOLD_DETAIL_FLAG(__AVX512VP2INTERSECT__, _vp2intersect), , )
#define TWOFOLD_DETAIL_ARM_FLAGS TWOFOLD_DETAIL_FLAGS(                                           \
    TWOFOLD_DETAIL_FLAG(__ARM_FEATURE_ATOMICS, _lse), TWOFOLD_DETAIL_FLAG(__ARM_FEATURE_SVE, _sve), \
    TWOFOLD_DETAIL_FLAG(__ARM_FEATURE_SVE2, _sve2), TWOFOLD_DETAIL_FLAG(__ARM_FEATURE_DOTPROD, _dotprod), \
    TWOFOLD_DETAIL_FLAG(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC, _fp16),                            \
    TWOFOLD_DETAIL_FLAG(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC, _bf16),                            \
    TWOFOLD_DETAIL_FLAG(__ARM_FEATURE_MATMUL_INT8, _i8mm), )
#define TWOFOLD_FLAGS_NAMESPACE TWOFOLD_DETAIL_FLAGS(                                            \
    flags, TWOFOLD_DETAIL_SSE_FLAGS, TWOFOLD_DETAIL_AVX_FLAGS, TWOFOLD_DETAIL_AVX512_FLAGS,      \
    TWOFOLD_DETAIL_LATER_AVX512_FLAGS, TWOFOLD_DETAIL_ARM_FLAGS, , )
// clang-format on

#endif
