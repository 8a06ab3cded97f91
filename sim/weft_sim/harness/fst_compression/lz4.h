// SPDX-License-Identifier: Apache-2.0
// The two functions of liblz4 that Verilator's FST writer calls, so that waves need no library.
// The output is an LZ4 block as its format description defines it.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

namespace weft_lz4 {

inline uint8_t* put_length(uint8_t* out, unsigned rest) {
    for (; rest >= 255; rest -= 255) *out++ = 255;
    *out++ = uint8_t(rest);
    return out;
}

// One sequence: literals, then a match of at least 4 bytes (none in the last sequence).
inline uint8_t* put_sequence(uint8_t* out, const uint8_t* literals, unsigned count,
                             unsigned offset, unsigned match) {
    const unsigned extra = match ? match - 4 : 0;
    *out++ = uint8_t((count < 15 ? count : 15) << 4 | (extra < 15 ? extra : 15));
    if (count >= 15) out = put_length(out, count - 15);
    std::memcpy(out, literals, count);
    out += count;
    if (!match) return out;
    *out++ = uint8_t(offset);
    *out++ = uint8_t(offset >> 8);
    return extra >= 15 ? put_length(out, extra - 15) : out;
}

inline uint32_t word_at(const uint8_t* p) {
    uint32_t word;
    std::memcpy(&word, p, 4);
    return word;
}

}  // namespace weft_lz4

inline int LZ4_compress_default(const char* from, char* to, int size, int capacity) {
    using namespace weft_lz4;
    if (capacity < LZ4_compressBound(size)) return 0;
    const uint8_t* in = reinterpret_cast<const uint8_t*>(from);
    uint8_t* out = reinterpret_cast<uint8_t*>(to);
    // The format: the last 5 bytes are literals, and no match starts in the last 12.
    const int last_start = size - 12, last_end = size - 5;
    std::vector<int> seen(1 << 12, -1);
    int anchor = 0, at = 0;
    while (at < last_start) {
        int& entry = seen[word_at(in + at) * 2654435761u >> 20];
        const int candidate = entry;
        entry = at;
        if (candidate < 0 || at - candidate > 65535 || word_at(in + candidate) != word_at(in + at)) {
            ++at;
            continue;
        }
        int end = at + 4;
        while (end < last_end && in[end] == in[candidate + end - at]) ++end;
        out = put_sequence(out, in + anchor, unsigned(at - anchor), unsigned(at - candidate),
                           unsigned(end - at));
        anchor = at = end;
    }
    out = put_sequence(out, in + anchor, unsigned(size - anchor), 0, 0);
    return int(out - reinterpret_cast<uint8_t*>(to));
}
