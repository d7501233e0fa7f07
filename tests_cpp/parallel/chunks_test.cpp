// Promises of chunk arithmetic: all elements once, in order, and no cache line of the output in two chunks.
#include <string>
#include <twofold/parallel/chunks.hpp>
#include <vector>

#include "catch.hpp"

namespace {

using chunks = twofold::detail::chunks;
using twofold::detail::cache_line_bytes;
using twofold::detail::chunk;

struct row {
    std::size_t n;
    std::size_t element_bytes;
    std::size_t bytes_past_line;
    unsigned workers;
};

constexpr std::string_view fault_in(row const& r) {
    chunks const cut(r.n, r.element_bytes, r.bytes_past_line, r.workers);
    std::size_t next = 0;
    bool const lines_divide = cache_line_bytes % r.element_bytes == 0 && r.bytes_past_line % r.element_bytes == 0;
    for (std::size_t i = 0; i < cut.size(); ++i) {
        chunk const part = cut[i];
        if (part.first != next) return "a chunk does not begin where the one before it ends";
        if (part.count == 0) return "an empty chunk";
        if (part.count > r.n - part.first) return "a chunk goes past the end";
        if (lines_divide && i > 0 && (r.bytes_past_line + part.first * r.element_bytes) % cache_line_bytes != 0) {
            return "a chunk does not begin on a cache line of the output";
        }
        if (i > 1 && i + 1 < cut.size() && part.count != cut[1].count) return "chunks of different sizes";
        if (part.count * r.element_bytes > chunks::max_bytes) return "a chunk is too large";
        next = part.first + part.count;
    }
    return next == r.n ? "" : "not all elements are in a chunk";
}

constexpr std::size_t sizes[] = {1, 2, 4, 8, 16};

}  // namespace

TEST_CASE("chunks hold each element once and begin on cache lines of the output", "[chunks]") {
    std::vector<std::string> faults;
    for (std::size_t const element_bytes : sizes) {
        std::size_t const least = chunks::min_bytes / element_bytes;
        std::size_t const most = chunks::max_bytes / element_bytes;
        for (std::size_t const n :
             {std::size_t{0}, std::size_t{1}, std::size_t{15}, std::size_t{63}, least - 1, least, least + 1,
              2 * least - 1, 2 * least, 2 * least + 1, 7 * least + 3, most * 8, most * 8 + 1, most * 33 - 1}) {
            for (std::size_t bytes_past_line = 0; bytes_past_line < cache_line_bytes; ++bytes_past_line) {
                for (unsigned const workers : {1u, 2u, 3u, 8u, 64u, 256u}) {
                    std::string_view const fault = fault_in({n, element_bytes, bytes_past_line, workers});
                    if (fault.empty()) continue;
                    faults.push_back(std::string(fault) + ": n = " + std::to_string(n) + ", elements of " +
                                     std::to_string(element_bytes) + " bytes, " + std::to_string(bytes_past_line) +
                                     " past a line, " + std::to_string(workers) + " workers");
                }
            }
        }
    }
    CHECK(faults == std::vector<std::string>{});
}

TEST_CASE("elements that do not divide a line are still all in one chunk each", "[chunks]") {
    for (std::size_t const element_bytes : {3u, 12u, 24u, 100u, 300'000u}) {
        for (std::size_t const n : {1u, 1000u, 123'457u}) {
            for (std::size_t const bytes_past_line : {0u, 1u, 63u}) {
                chunks const cut(n, element_bytes, bytes_past_line, 4);
                std::size_t next = 0;
                bool in_order = true;
                for (std::size_t i = 0; i < cut.size(); ++i) {
                    in_order = in_order && cut[i].first == next;
                    next += cut[i].count;
                }
                CHECK(in_order);
                CHECK(next == n);
            }
        }
    }
}

TEST_CASE("each worker has several chunks, unless they would be too small or too large", "[chunks]") {
    std::size_t const a_mebibyte = std::size_t{1} << 20;
    CHECK(chunks(4 * a_mebibyte, 1, 0, 4).size() == 4 * chunks::per_worker);
    CHECK(chunks(chunks::min_bytes * 3, 1, 0, 8).size() == 3);
    CHECK(chunks(chunks::min_of_several_bytes * 3, 1, 0, 3).size() == 3);
    CHECK(chunks(chunks::min_of_several_bytes * 16, 1, 0, 4).size() == 16);
    CHECK(chunks(64 * a_mebibyte, 1, 0, 1).size() == 64 * a_mebibyte / chunks::max_bytes);
}

TEST_CASE("chunks can be computed by the compiler", "[chunks]") {
    static_assert(fault_in({100'000, 4, 12, 3}).empty());
    static_assert(chunks(0, 4, 12, 3).size() == 0);
    static_assert(chunks(10, 4, 12, 3)[0] == chunk{0, 10});
    static_assert(noexcept(chunks(10, 4, 12, 3)[0]));
    // The first is shorter by the three elements that its first line already holds.
    constexpr std::size_t length = chunks::min_bytes / 4;
    static_assert(chunks(2 * length, 4, 12, 3)[0] == chunk{0, length - 3});
    static_assert(chunks(2 * length, 4, 12, 3)[1] == chunk{length - 3, length});
    CHECK(chunks(2 * length, 4, 12, 3)[2] == chunk{2 * length - 3, 3});
}
