// Promise: a user's program compiles without a warning, even where xsimd and the compiler's own headers have some.
#include <algorithm>
#include <cstdint>
#include <twofold/twofold.hpp>
#include <vector>

struct at_most_20 {
    template <class T>
    T operator()(T x) const noexcept {
        using std::min, xsimd::min;
        return min(x, T(20));
    }
};

template <class T>
bool use(std::vector<T> values) {
    twofold::double_in_place(values, {.overflow = twofold::overflow_policy::saturate});
    twofold::transform(values, values, at_most_20{});
    return values == std::vector<T>{2, 20};
}

int main() {
    return use<std::int8_t>({1, 100}) && use<int>({1, 11}) && use<float>({1, 11}) ? 0 : 1;
}
