/* SPDX-License-Identifier: Apache-2.0 */
#include "order.h"

#include <stdbool.h>

#include "board.h"
#include "hal.h"
#include "logit.h"

#define PARTS 256
#define LOGITS_PER_SIGN_OF_LIFE 4096

/* The bits of a token's logit. */
static uint32_t bits_of(const struct order *order, uint32_t id)
{
    if (id % LOGITS_PER_SIGN_OF_LIFE == 0)
        board_is_alive();
    return dram_read(order->logits + 4 * id);
}

static bool is_left_out(const struct order *order, uint32_t rank, uint32_t id)
{
    return rank > order->last.rank || (rank == order->last.rank && id > order->last.id);
}

uint32_t order_check(struct order *order)
{
    uint32_t best = LOGIT_MINUS_INFINITY;
    for (uint32_t id = 0; id < order->count; id++) {
        uint32_t bits = bits_of(order, id);
        if (logit_is_bad(bits))
            return bits;
        if (logit_rank(bits) < logit_rank(best))
            best = bits;
    }
    order->highest = logit_fixed(best);
    return best == LOGIT_MINUS_INFINITY ? best : 0;
}

/* What a token adds to sums: its weight, or 1 where tokens are counted. */
static uint32_t amount(const struct order *order, uint32_t bits, bool counted)
{
    return counted ? 1 : logit_weight(bits, order->highest, order->inverse_temperature);
}

static struct place find(const struct order *order, uint64_t drawn, bool counted)
{
    struct place place = {0};
    uint64_t sums[PARTS];
    for (int shift = 24; shift >= 0; shift -= 8) {
        for (int part = 0; part < PARTS; part++)
            sums[part] = 0;
        for (uint32_t id = 0; id < order->count; id++) {
            uint32_t bits = bits_of(order, id), rank = logit_rank(bits);
            bool inside = shift == 24 || rank >> (shift + 8) == place.rank;
            if (inside && !is_left_out(order, rank, id))
                sums[rank >> shift & (PARTS - 1)] += amount(order, bits, counted);
        }
        uint32_t part = 0;
        while (part < PARTS - 1 && place.sum + sums[part] <= drawn)
            place.sum += sums[part++];
        place.rank = place.rank << 8 | part;
    }
    /* All with this rank have the same logit; they stand in the order of their ids. */
    for (uint32_t id = 0; id < order->count; id++) {
        uint32_t bits = bits_of(order, id);
        if (logit_rank(bits) != place.rank)
            continue;
        place.id = id;
        place.sum += amount(order, bits, counted);
        if (place.sum > drawn)
            break;
    }
    return place;
}

struct place order_find_number(const struct order *order, uint32_t n)
{
    return find(order, n, true);
}

struct place order_find_sum(const struct order *order, uint64_t drawn)
{
    return find(order, drawn, false);
}

uint64_t order_total(const struct order *order)
{
    uint64_t total = 0;
    for (uint32_t id = 0; id < order->count; id++) {
        uint32_t bits = bits_of(order, id);
        if (!is_left_out(order, logit_rank(bits), id))
            total += amount(order, bits, false);
    }
    return total;
}
