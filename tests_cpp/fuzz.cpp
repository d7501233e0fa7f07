// A libFuzzer target: any call on any arrays gives what a plain loop gives, and touches no byte beside the elements.
// Its input is read as a call: which element type, which function, how many elements, where they lie, what they are.
//
//     nox -s fuzz -- 600
#include <sanitizer/asan_interface.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "any_array.hpp"
#include "elements.hpp"
#include "forced_sharing.hpp"

namespace {

// The fuzzer's bytes, one decision after another; zeros when they are used up.
class decisions {
public:
    decisions(std::uint8_t const* data, std::size_t size) : next_(data), left_(size) {}

    /// A number in [0, end), of one byte or, where that is not enough, of two or more.
    std::size_t below(std::size_t end) {
        std::size_t number = 0;
        for (std::size_t reached = 1; reached < end; reached *= 256) number = number * 256 + byte();
        return number % end;
    }
    std::uint8_t byte() {
        if (left_ == 0) return 0;
        --left_;
        return *next_++;
    }
    [[nodiscard]] bool one_in(std::size_t n) { return below(n) == n - 1; }
    [[nodiscard]] bool are_made() const { return left_ == 0; }

private:
    std::uint8_t const* next_;
    std::size_t left_;
};

enum class function {
    double_into,
    double_in_place,
    double_strided,
    double_strided_in_place,
    first_overflow,
    cached_kernel,
    streaming_kernel,
    cached_kernel_in_place,
    streaming_kernel_in_place,
    first_overflow_kernel,
    transform,
    transform_two,
    transform_two_in_place,
    transform_reduce,
    double_array,
    count
};

bool is_in_place(function f) {
    return f == function::double_in_place || f == function::double_strided_in_place ||
           f == function::cached_kernel_in_place || f == function::streaming_kernel_in_place ||
           f == function::transform_two_in_place;
}
bool is_strided(function f) {
    return f == function::double_strided || f == function::double_strided_in_place;
}
bool only_reads(function f) {
    return f == function::first_overflow || f == function::first_overflow_kernel || f == function::transform_reduce;
}
bool takes_a_kernel(function f) {
    return f >= function::transform && f <= function::transform_reduce;
}

struct call {
    function what = {};
    overflow_policy policy = {};
    unsigned threads = 1;
    std::size_t n = 0;
    std::ptrdiff_t in_stride = 1;
    std::ptrdiff_t out_stride = 1;
    std::size_t in_offset = 0;  // bytes past a boundary of 64
    std::size_t out_offset = 0;
};

// Memory for elements with a stride, between margins that nobody may touch: under the address sanitizer a read is
// found, too (but for up to seven bytes before the elements, of which it cannot tell).
class array {
public:
    array(element_under_test const& element, std::size_t n, std::ptrdiff_t stride, std::size_t offset)
        : size_(element.size),
          n_(n),
          stride_(stride),
          length_(n == 0 ? 0 : ((n - 1) * static_cast<std::size_t>(std::abs(stride)) + 1) * size_),
          memory_(margin + 63 + offset + length_ + margin, sentinel) {
        begin_ = memory_.data() + margin;
        begin_ += 63 - (reinterpret_cast<std::uintptr_t>(begin_) + 63) % 64 + offset;
    }
    array(array const&) = delete;
    array& operator=(array const&) = delete;
    ~array() { unpoison(); }

    [[nodiscard]] std::byte* start() const { return begin_ + (stride_ < 0 && n_ > 0 ? length_ - size_ : 0); }

    /// Writes elements one after another, with the stride between them; into a stride of 0, the last one.
    void fill(bytes const& elements) {
        for (std::size_t i = 0; i < n_; ++i) {
            auto const at = static_cast<std::ptrdiff_t>(i) * stride_ * static_cast<std::ptrdiff_t>(size_);
            copy_bytes(start() + at, &elements[i * size_], size_);
        }
    }
    void poison_margins() const {
        ASAN_POISON_MEMORY_REGION(memory_.data(), static_cast<std::size_t>(begin_ - memory_.data()));
        ASAN_POISON_MEMORY_REGION(begin_ + length_, static_cast<std::size_t>(end() - begin_) - length_);
    }
    void unpoison() const { ASAN_UNPOISON_MEMORY_REGION(memory_.data(), memory_.size()); }

    [[nodiscard]] bytes const& memory() const { return memory_; }

    /// From the first of the elements to the last, and what lies between them.
    [[nodiscard]] std::byte const* extent() const { return begin_; }
    [[nodiscard]] std::size_t extent_bytes() const { return length_; }

    /// Whether the bytes before and after the elements are as they were.
    [[nodiscard]] bool has_clean_margins() const {
        auto const is_clean = [](std::byte byte) { return byte == sentinel; };
        return std::all_of<std::byte const*>(memory_.data(), begin_, is_clean) &&
               std::all_of<std::byte const*>(begin_ + length_, end(), is_clean);
    }

private:
    static constexpr std::size_t margin = 192;  // three vectors of the widest
    static constexpr auto sentinel = std::byte{0xA5};
    [[nodiscard]] std::byte const* end() const { return memory_.data() + memory_.size(); }

    std::size_t size_;
    std::size_t n_;
    std::ptrdiff_t stride_;
    std::size_t length_;
    bytes memory_;
    std::byte* begin_;
};

// What special_values gives, made once: there are 65,536 of 16 bits.
bytes const& special_values_of(element_under_test const& element) {
    static auto const all = [] {
        std::vector<bytes> each;
        for (element_under_test const& other : elements_under_test()) each.push_back(other.special_values());
        return each;
    }();
    return all[static_cast<std::size_t>(&element - elements_under_test().data())];
}

bytes elements_for(element_under_test const& element, std::size_t n, decisions& decide) {
    bytes all;
    switch (decide.below(4)) {
        case 0:
            all = element.arbitrary(n);
            break;
        case 1: {  // those at which doubling is special, from any of them on
            bytes const& special = special_values_of(element);
            std::size_t const count = special.size() / element.size;
            std::size_t const first = decide.below(count);
            all.resize(n * element.size);
            for (std::size_t i = 0; i < n; ++i) {
                copy_bytes(&all[i * element.size], &special[(first + i) % count * element.size], element.size);
            }
            break;
        }
        default:
            all = element.fitting(n);
    }
    // Some elements that only just overflow, then the fuzzer's own.
    bytes const overflowing = element.overflowing();
    for (std::size_t k = decide.below(4); k > 0 && n > 0; --k) {
        copy_bytes(&all[decide.below(n) * element.size], overflowing.data(), element.size);
    }
    for (unsigned k = 0; k < 64 && n > 0 && !decide.are_made(); ++k) {
        std::byte* const own = &all[decide.below(n) * element.size];
        for (std::size_t i = 0; i < element.size; ++i) own[i] = std::byte{decide.byte()};
    }
    return all;
}

call decide_call(element_under_test const& element, decisions& decide) {
    call c;
    c.what = static_cast<function>(decide.below(static_cast<std::size_t>(function::count)));
    c.policy = policies[decide.below(3)];
    bool const is_kernel = c.what >= function::cached_kernel && c.what <= function::first_overflow_kernel;
    // A few are long enough for threads, and, with the least of caches, for streaming.
    bool const is_long = decide.below(64) == 7 && !is_kernel;
    if (is_long) {
        c.n = (twofold::detail::threads_pay_awake_bytes + decide.below(std::size_t{600} << 10)) / element.size;
        c.threads = 1 + static_cast<unsigned>(decide.below(4));
    } else {
        c.n = decide.below(256) * (1 + decide.below(3)) + decide.below(4);
    }
    c.in_offset = decide.below(64);
    c.out_offset = decide.below(64);
    if (is_strided(c.what)) {
        std::ptrdiff_t const most = is_long ? 2 : 9;
        c.in_stride = static_cast<std::ptrdiff_t>(decide.below(static_cast<std::size_t>(2 * most + 1))) - most;
        c.out_stride = static_cast<std::ptrdiff_t>(decide.below(static_cast<std::size_t>(2 * most + 1))) - most;
        // All elements of an output cannot be one.
        if (c.out_stride == 0) c.out_stride = 1;
    }
    if (is_in_place(c.what)) c.in_stride = c.out_stride;
    // These kernels look for the index in what they have read, and are not called in place.
    if (c.policy == overflow_policy::raise && is_kernel && is_in_place(c.what)) c.policy = overflow_policy::wrap;
    if (takes_a_kernel(c.what)) c.policy = overflow_policy::wrap;
    return c;
}

// The engine with a kernel that is not the library's, and one or two inputs, which are the same here. What the table of
// elements does not have is here for one type.
void transform(bool has_two, void const* in, void* out, std::size_t n, options const& how) {
    std::span<std::uint32_t const> const source(static_cast<std::uint32_t const*>(in), n);
    std::span<std::uint32_t> const target(static_cast<std::uint32_t*>(out), n);
    if (has_two) {
        twofold::transform(source, source, target, [](auto x, auto y) noexcept { return x + y; }, how);
    } else {
        twofold::transform(source, target, [](auto x) noexcept { return static_cast<decltype(x)>(x + x); }, how);
    }
}

// A sum of two inputs, which are the same here: n, if it is that of a plain loop.
std::size_t transform_reduce(void const* in, std::size_t n, options const& how) {
    std::span<std::uint32_t const> const source(static_cast<std::uint32_t const*>(in), n);
    std::vector<std::uint32_t> aligned(n);  // for the plain loop, which must not read elements at odd addresses
    if (n > 0) std::memcpy(aligned.data(), in, n * sizeof(std::uint32_t));
    std::uint32_t const expected = 2 * std::accumulate(aligned.begin(), aligned.end(), 7u);
    auto const sum = [](auto x, auto y) noexcept { return x + y; };
    return twofold::transform_reduce(source, source, 14u, sum, sum, how) == expected ? n : n + 1;
}

std::size_t run(element_under_test const& element, call const& c, void const* in, void* out) {
    options const how{c.policy, c.threads};
    switch (c.what) {
        case function::double_strided:
        case function::double_strided_in_place:
            return element.double_strided(in, c.in_stride, out, c.out_stride, c.n, how);
        case function::first_overflow:
            return element.first_overflow(in, c.n, how);
        case function::cached_kernel:
        case function::cached_kernel_in_place:
            return element.double_by_kernel(in, out, c.n, c.policy, stores::cached);
        case function::streaming_kernel:
        case function::streaming_kernel_in_place:
            return element.double_by_kernel(in, out, c.n, c.policy, stores::streaming);
        case function::first_overflow_kernel:
            return element.first_overflow_by_kernel(in, c.n);
        case function::transform:
        case function::transform_two:
        case function::transform_two_in_place:
            transform(c.what != function::transform, in, out, c.n, how);
            return c.n;
        case function::transform_reduce:
            return transform_reduce(in, c.n, how);
        default:
            return element.double_elements(in, out, c.n, how);
    }
}

[[noreturn]] void fail(char const* what, element_under_test const& element, call const& c) {
    std::fprintf(stderr,
                 "%s: %s, function %d, policy %d, %u threads, n = %zu, strides %td and %td, offsets %zu and %zu\n",
                 what, element.name.c_str(), static_cast<int>(c.what), static_cast<int>(c.policy), c.threads, c.n,
                 c.in_stride, c.out_stride, c.in_offset, c.out_offset);
    std::abort();
}

// ---- arrays of several dimensions

std::vector<std::size_t> decide_shape(element_under_test const& element, bool is_long, decisions& decide) {
    if (is_long) {
        std::size_t const n =
            (twofold::detail::threads_pay_awake_bytes + decide.below(std::size_t{300} << 10)) / element.size;
        std::size_t const side = 1 + decide.below(600);
        std::vector<std::size_t> const shapes[] = {
            {n}, {side, n / side + 1}, {n / side + 1, side}, {2, side, n / side}};
        return shapes[decide.below(4)];
    }
    std::size_t const dimensions = decide.below(7);
    std::size_t const most[] = {0, 600, 70, 14, 6, 4, 3};
    std::vector<std::size_t> shape(dimensions);
    for (std::size_t& length : shape) length = decide.one_in(30) ? 0 : 1 + decide.below(most[dimensions]);
    return shape;
}

// The bytes that an array lies in, from its first element on: before it, and from there to the end.
std::pair<std::size_t, std::size_t> reach_of(test_array const& array) {
    std::size_t before = 0;
    std::size_t after = array.element_bytes;
    for (std::size_t i = 0; i < array.shape.size(); ++i) {
        auto const stride = static_cast<std::size_t>(std::abs(array.strides[i]));
        (array.strides[i] < 0 ? before : after) += stride * (std::max<std::size_t>(array.shape[i], 1) - 1);
    }
    return {before, after};
}

// How the memory of the two sides of a call lies.
enum class sides { apart, same, near };

struct array_call {
    options how;
    sides where = {};
    bool is_nested = true;  // each stride of the output steps over all that smaller ones reach
    test_array in, out;     // the memory of `in` is a copy of that of `out`, unless the two are apart

    [[nodiscard]] bool is_in_place() const {
        bool same =
            where != sides::apart && in.first == out.first && (in.swapped == out.swapped || in.scalar_bytes == 1);
        for (std::size_t i = 0; i < in.shape.size(); ++i) same &= in.shape[i] == 1 || in.strides[i] == out.strides[i];
        return same;
    }

    /// Whether elements of the output share bytes, or the output some with another input.
    [[nodiscard]] bool overlaps() {
        std::vector<bool> written(out.memory.size());
        bool found = false;
        for (std::size_t i = 0; i < out.size(); ++i) {
            auto const at = static_cast<std::size_t>(out.at(i) - out.memory.data());
            for (std::size_t k = at; k < at + out.element_bytes; ++k) {
                found = found || written[k];
                written[k] = true;
            }
        }
        if (where == sides::apart || is_in_place()) return found;
        for (std::size_t i = 0; i < in.size(); ++i) {
            auto const at = static_cast<std::size_t>(in.at(i) - in.memory.data());
            for (std::size_t k = at; k < at + in.element_bytes; ++k) found = found || written[k];
        }
        return found;
    }
};

array_call decide_array_call(element_under_test const& element, decisions& decide) {
    constexpr std::size_t margin = 64;
    options const how{policies[decide.below(3)], 1 + static_cast<unsigned>(decide.below(4))};
    auto const where = static_cast<sides>(decide.below(3));
    auto const shape = decide_shape(element, decide.below(64) == 7, decide);
    // Mostly with gaps between elements, in which those of the other side may lie.
    std::size_t const min_step = where == sides::near && !decide.one_in(4) ? (2 + decide.below(3)) * element.size : 0;
    array_call made{how, where, true, any_array(decide, element.size, element.scalar_size, shape, true, min_step),
                    any_array(decide, element.size, element.scalar_size, shape, false, min_step)};
    bool const is_swapped = made.in.swapped;
    if (where == sides::same || decide.one_in(2)) made.in = made.out;
    if (where != sides::same || decide.one_in(8)) made.in.swapped = is_swapped;
    if (decide.one_in(4)) {  // any strides at all, most of which are refused
        made.is_nested = false;
        for (test_array* array : {&made.in, &made.out}) {
            for (std::ptrdiff_t& stride : array->strides) {
                if (decide.one_in(2)) stride = static_cast<std::ptrdiff_t>(decide.below(129)) - 64;
            }
        }
    }
    auto const [in_before, in_after] = reach_of(made.in);
    auto const [out_before, out_after] = reach_of(made.out);
    if (where == sides::apart) {
        made.in.first = static_cast<std::ptrdiff_t>(margin + in_before + decide.below(64));
        made.out.first = static_cast<std::ptrdiff_t>(margin + out_before + decide.below(64));
        made.in.memory.assign(static_cast<std::size_t>(made.in.first) + in_after + margin, std::byte{0xA5});
        made.out.memory.assign(static_cast<std::size_t>(made.out.first) + out_after + margin, std::byte{0xA5});
    } else {
        constexpr std::size_t most = 32;  // that one of them begins before the other
        made.out.first = static_cast<std::ptrdiff_t>(margin + most + std::max(in_before, out_before));
        made.in.first = made.out.first;
        if (where == sides::near) {
            made.in.first += static_cast<std::ptrdiff_t>(decide.below(2 * most)) - static_cast<std::ptrdiff_t>(most);
        }
        made.out.memory.assign(static_cast<std::size_t>(made.out.first) + most + std::max(in_after, out_after) + margin,
                               std::byte{0xA5});
    }
    return made;
}

[[noreturn]] void fail(char const* what, element_under_test const& element, array_call const& c) {
    std::fprintf(stderr, "%s: %s, double_array, policy %d, %u threads, memory %d, byte order %d and %d, offset %td\n",
                 what, element.name.c_str(), static_cast<int>(c.how.overflow), c.how.threads, static_cast<int>(c.where),
                 c.in.swapped, c.out.swapped, c.in.first - c.out.first);
    for (std::size_t i = 0; i < c.in.shape.size(); ++i) {
        std::fprintf(stderr, "length %zu, strides %td and %td\n", c.in.shape[i], c.in.strides[i], c.out.strides[i]);
    }
    std::abort();
}

// Nobody may touch what lies before and after both arrays.
void poison_margins(std::byte* memory, std::size_t size, std::vector<test_array const*> const& arrays) {
    std::size_t first = size;
    std::size_t end = 0;
    for (test_array const* array : arrays) {
        auto const [before, after] = reach_of(*array);
        first = std::min(first, static_cast<std::size_t>(array->first) - before);
        end = std::max(end, static_cast<std::size_t>(array->first) + after);
    }
    ASAN_POISON_MEMORY_REGION(memory, first);
    ASAN_POISON_MEMORY_REGION(memory + end, size - end);
}

void check_array_call(element_under_test const& element, decisions& decide) {
    array_call c = decide_array_call(element, decide);
    bool const are_apart = c.where == sides::apart;
    std::size_t const n = c.in.size();
    bytes elements = elements_for(element, n, decide);
    if (!are_apart) c.in.memory = c.out.memory;
    for (std::size_t i = 0; i < n; ++i) c.in.write(i, &elements[i * element.size]);
    for (std::size_t i = 0; i < n; ++i) c.in.read(i, &elements[i * element.size]);  // others, where they share bytes
    if (!are_apart) c.out.memory = c.in.memory;

    auto const overflows = element.overflows(elements);
    auto first = static_cast<std::size_t>(std::ranges::find(overflows, true) - overflows.begin());
    if (c.how.overflow != overflow_policy::raise) first = n;
    bool const overlaps = c.overlaps();
    test_array const before = c.out;
    test_array right = c.out;
    bytes const doubles = element.doubles(elements, c.how.overflow);
    for (std::size_t i = 0; i < n; ++i) right.write(i, &doubles[i * element.size]);

    bytes in = c.in.memory;  // where the two are apart
    bytes& out = c.out.memory;
    std::byte* const in_data = (are_apart ? in.data() : out.data()) + c.in.first;
    auto const order_of = [](test_array const& array) {
        bool const is_little = std::endian::native == std::endian::little;
        return is_little != array.swapped ? std::endian::little : std::endian::big;
    };
    if (are_apart) {
        poison_margins(in.data(), in.size(), {&c.in});
        poison_margins(out.data(), out.size(), {&c.out});
    } else {
        poison_margins(out.data(), out.size(), {&c.in, &c.out});
    }
    if (c.how.threads > 1) share_next_call();
    bool is_refused = false;
    std::size_t index = n;
    try {
        index = element.double_array({in_data, c.in.shape, c.in.strides, order_of(c.in)},
                                     {c.out.data(), c.out.shape, c.out.strides, order_of(c.out)}, c.how);
    } catch (std::invalid_argument const&) {
        is_refused = true;
    }
    ASAN_UNPOISON_MEMORY_REGION(in.data(), in.size());
    ASAN_UNPOISON_MEMORY_REGION(out.data(), out.size());

    if (in != c.in.memory) fail("input", element, c);
    if (is_refused) {
        if (c.is_nested && (are_apart || c.is_in_place())) fail("refused", element, c);
        if (out != before.memory) fail("refused, and written", element, c);
        return;
    }
    if (overlaps) fail("not refused", element, c);
    if (index != first) fail("index", element, c);
    if (first == n && out != right.memory) fail("output", element, c);
    if (first < n && c.is_in_place() && out != before.memory) fail("output in place", element, c);
    if (first < n && !c.out.same_beside_elements(before)) fail("bytes beside the output", element, c);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);

int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    twofold::detail::the_cache_size.store(twofold::detail::min_cache_bytes);
    decisions decide(data, size);
    auto const& all = elements_under_test();
    element_under_test const* element = &all[decide.below(all.size())];
    call const c = decide_call(*element, decide);
    if (c.what == function::double_array) {
        check_array_call(*element, decide);
        return 0;
    }
    if (takes_a_kernel(c.what)) {
        element = &*std::ranges::find(all, "u32", &element_under_test::name);
    }
    auto elements = elements_for(*element, c.n, decide);
    if (c.in_stride == 0) {  // one element for all of the output
        for (std::size_t i = 1; i < c.n; ++i) {
            copy_bytes(&elements[i * element->size], elements.data(), element->size);
        }
    }

    // What a plain loop gives.
    auto const overflows = element->overflows(elements);
    auto const first = static_cast<std::size_t>(std::ranges::find(overflows, true) - overflows.begin());
    bool const looks =
        c.policy == overflow_policy::raise || (only_reads(c.what) && c.what != function::transform_reduce);
    bool const throws = looks && first < c.n;
    auto const expected = element->doubles(elements, c.policy);

    array in(*element, c.n, c.in_stride, c.in_offset);
    in.fill(elements);
    bytes const in_before = in.memory();
    array out(*element, c.n, c.out_stride, c.out_offset);
    array right(*element, c.n, c.out_stride, c.out_offset);
    if (is_in_place(c.what)) {
        out.fill(elements);
        right.fill(elements);
    }
    // After a throw out of place the output is unspecified, but not where there are strides.
    bool const is_specified = !throws || is_in_place(c.what) || is_strided(c.what) || only_reads(c.what);
    if (!throws && !only_reads(c.what)) right.fill(expected);

    in.poison_margins();
    out.poison_margins();
    if (c.threads > 1) share_next_call();
    std::size_t const index = run(*element, c, is_in_place(c.what) ? out.start() : in.start(), out.start());
    in.unpoison();
    out.unpoison();

    if (index != (throws ? first : c.n)) fail("index", *element, c);
    if (in.memory() != in_before) fail("input", *element, c);
    if (!out.has_clean_margins()) fail("bytes beside the output", *element, c);
    if (is_specified && !same_bytes(out.extent(), right.extent(), out.extent_bytes())) fail("output", *element, c);
    return 0;
}
