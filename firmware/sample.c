/* SPDX-License-Identifier: Apache-2.0 */
/* Step numbers are those of weft.sampling. */
#include "sample.h"

#include "hal.h"
#include "logit.h"
#include "order.h"
#include "wide.h"

#define UNUSED_ENTRY 0xffffffffu

static struct choice chosen(uint32_t token)
{
    return (struct choice){.good = true, .token = token};
}

static struct choice refused(uint32_t bits)
{
    return (struct choice){.bad_bits = bits};
}

/* Step 4: the least sum s of weights with s * 2**16 >= top_p * total. */
static uint64_t sum_to_keep(uint64_t total, uint32_t top_p)
{
    uint64_t high = total >> WEFT_TOP_P_BITS, low = total & ((1u << WEFT_TOP_P_BITS) - 1);
    return top_p * high + ((top_p * low + (1u << WEFT_TOP_P_BITS) - 1) >> WEFT_TOP_P_BITS);
}

struct choice sample_list(const struct sampling *sampling, uint32_t list, uint32_t entries,
                          uint32_t step)
{
    uint32_t used = 0;
    for (; used < entries && dram_read(list + 8 * used + 4) != UNUSED_ENTRY; used++)
        if (logit_is_bad(dram_read(list + 8 * used)))
            return refused(dram_read(list + 8 * used));
    uint32_t first = used ? dram_read(list) : LOGIT_MINUS_INFINITY;
    if (first == LOGIT_MINUS_INFINITY)
        return refused(first);
    if (!sampling->inverse_temperature)
        return chosen(dram_read(list + 4));
    if (sampling->top_k < used)
        used = sampling->top_k;

    uint32_t weights[MOST_ENTRIES];
    int32_t highest = logit_fixed(first);
    struct scale scale = scale_of(sampling->inverse_temperature);
    uint64_t total = 0, kept = 0;
    for (uint32_t k = 0; k < used; k++) {
        uint32_t bits = dram_read(list + 8 * k), below = logit_below(bits, highest);
        bool none = bits == LOGIT_MINUS_INFINITY;
        weights[k] = none ? 0 : logit_weight(logit_distance(below, scale));
        total += weights[k];
    }
    uint64_t needed = sum_to_keep(total, sampling->top_p);
    for (uint32_t k = 0; kept < needed; k++)
        kept += weights[k];
    uint64_t drawn = multiply_high(splitmix64(sampling->key, step), kept), sum = 0;
    uint32_t k = 0;
    while ((sum += weights[k]) <= drawn)
        k++;
    return chosen(dram_read(list + 8 * k + 4));
}

struct choice sample_logits(const struct sampling *sampling, uint32_t logits, uint32_t count,
                            uint32_t best, uint32_t step)
{
    struct order order;
    bool cut = sampling->top_k && sampling->top_k < count;
    order.inverse_temperature = sampling->inverse_temperature;
    uint32_t bad = order_make(&order, logits, count, best, cut);
    if (bad)
        return refused(bad);
    if (cut)
        order_keep(&order, sampling->top_k);
    uint64_t total = order_total(&order), kept = total;
    uint64_t needed = sum_to_keep(total, sampling->top_p);
    if (needed < total)
        kept = order_find(&order, needed - 1).sum;
    uint64_t drawn = multiply_high(splitmix64(sampling->key, step), kept);
    return chosen(order_find(&order, drawn).id);
}
