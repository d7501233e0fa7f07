// Highway's Transform, for the instruction set that this file is compiled for.
#include <hwy/contrib/algo/transform-inl.h>
#include <hwy/highway.h>

#include <cstddef>
#include <string>

#include "way.hpp"

namespace {

namespace hn = hwy::HWY_NAMESPACE;

struct highway_transform {
    // The only one of its functions that has an input of its own reads the output, too; a compiler sees that nobody
    // wants that.
    template <class T>
    static void out_of_place(T const* in, T* out, std::size_t n) {
        hn::Transform1(hn::ScalableTag<T>(), out, n, in, [](auto, auto, auto x) { return hn::Add(x, x); });
    }
    template <class T>
    static void in_place(T* values, std::size_t n) {
        hn::Transform(hn::ScalableTag<T>(), values, n, [](auto, auto x) { return hn::Add(x, x); });
    }
};

[[maybe_unused]] bool const listed = [] {
    peers::all_ways().push_back(peers::make_way<highway_transform>("highway"));
    peers::all_versions().push_back("highway=" + std::to_string(HWY_MAJOR) + "." + std::to_string(HWY_MINOR) + "." +
                                    std::to_string(HWY_PATCH));
    return true;
}();

}  // namespace
