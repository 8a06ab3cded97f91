// SPDX-License-Identifier: Apache-2.0
// The two functions of zlib that Verilator's FST writer calls, so that waves need no library. The
// output is a valid zlib stream of stored blocks (RFC 1950, 1951); the writer keeps whichever of
// stored and compressed is smaller, and the bulk of a trace goes through LZ4.
#pragma once

#include <cstring>

typedef unsigned char Bytef;
typedef unsigned long uLong;
typedef unsigned long uLongf;

constexpr int Z_OK = 0;
constexpr int Z_BUF_ERROR = -5;

inline uLong compressBound(uLong size) { return size + 5 * (size / 65535 + 1) + 6; }

inline int compress2(Bytef* to, uLongf* capacity, const Bytef* from, uLong size, int) {
    if (*capacity < compressBound(size)) return Z_BUF_ERROR;
    Bytef* out = to;
    *out++ = 0x78;
    *out++ = 0x01;
    uLong left = size, a = 1, b = 0;
    do {
        const uLong count = left < 65535 ? left : 65535;
        *out++ = left == count;  // the last block
        *out++ = Bytef(count);
        *out++ = Bytef(count >> 8);
        *out++ = Bytef(~count);
        *out++ = Bytef(~count >> 8);
        std::memcpy(out, from, count);
        for (uLong i = 0; i < count; ++i) {
            a = (a + from[i]) % 65521;
            b = (b + a) % 65521;
        }
        out += count;
        from += count;
        left -= count;
    } while (left);
    const uLong checksum = b << 16 | a;
    for (int shift = 24; shift >= 0; shift -= 8) *out++ = Bytef(checksum >> shift);
    *capacity = uLong(out - to);
    return Z_OK;
}
