// SPDX-License-Identifier: Apache-2.0
// What the memory model sees of the design, and what it drives, in one clock cycle.
#pragma once

#include <cstdint>

#ifndef WEFT_BEAT_BYTES
#error "WEFT_BEAT_BYTES must say how many bytes wide the AXI4 data bus is"
#endif

namespace weft {

constexpr unsigned beat_bytes = WEFT_BEAT_BYTES;
static_assert(beat_bytes == 4 || beat_bytes == 8 || beat_bytes == 16,
              "the AXI4 data bus is 4, 8 or 16 bytes wide");

enum Response : uint8_t { OKAY = 0, SLVERR = 2, DECERR = 3 };

// Address channel, read or write.
struct AddressSignals {
    bool valid;
    uint8_t id;
    uint32_t addr;
    uint8_t len;    // beats - 1
    uint8_t size;   // log2 of the bytes per beat
    uint8_t burst;  // 1 = incrementing

    bool same_payload(const AddressSignals& o) const {
        return id == o.id && addr == o.addr && len == o.len && size == o.size && burst == o.burst;
    }
};

struct WriteSignals {
    bool valid;
    bool last;
    uint32_t strobe;
    uint8_t data[beat_bytes];
};

// Outputs of the design, sampled just before a rising edge.
struct ManagerSignals {
    AddressSignals ar;
    AddressSignals aw;
    WriteSignals w;
    bool r_ready;
    bool b_ready;
};

// Inputs of the design, constant over a cycle. They depend on earlier cycles only, so the design
// may have combinational paths from its inputs to its outputs.
struct MemorySignals {
    bool ar_ready = false;
    bool aw_ready = false;
    bool w_ready = false;
    bool r_valid = false;
    bool r_last = false;
    uint8_t r_id = 0;
    uint8_t r_resp = OKAY;
    uint8_t r_data[beat_bytes] = {};
    bool b_valid = false;
    uint8_t b_id = 0;
    uint8_t b_resp = OKAY;
};

}  // namespace weft
