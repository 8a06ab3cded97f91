/* SPDX-License-Identifier: Apache-2.0 */
/* What the compiler calls by itself for large assignments; there is no C library. */
#include <stddef.h>
#include <stdint.h>

void *memset(void *to, int value, size_t bytes)
{
    uint8_t *at = to;
    while (bytes--)
        *at++ = (uint8_t)value;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    uint8_t *at = to;
    const uint8_t *source = from;
    while (bytes--)
        *at++ = *source++;
    return to;
}
