// SPDX-License-Identifier: Apache-2.0
// Watches the AXI4 manager port and describes the first breach of the protocol in a sentence.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>

#include "axi_signals.h"

namespace weft {

class ProtocolChecker {
  public:
    const std::string& error() const { return error_; }
    bool failed() const { return !error_.empty(); }

    // A reset may take back valid.
    void forget() { before_ = {}; before_ready_ = {}; }

    void check(uint64_t cycle, const ManagerSignals& now, const MemorySignals& inputs) {
        cycle_ = cycle;
        hold_address("read", before_.ar, before_ready_.ar, now.ar);
        hold_address("write", before_.aw, before_ready_.aw, now.aw);
        if (before_.w.valid && !before_ready_.w) {
            if (!now.w.valid) fail("write data valid was taken back before ready");
            else if (now.w.last != before_.w.last || now.w.strobe != before_.w.strobe ||
                     !same_strobed_data(now.w, before_.w))
                fail("write data changed while it waited for ready");
        }
        if (now.ar.valid && inputs.ar_ready) check_burst("read", now.ar);
        if (now.aw.valid && inputs.aw_ready) check_burst("write", now.aw);
        before_ = now;
        before_ready_ = {inputs.ar_ready, inputs.aw_ready, inputs.w_ready};
    }

    void check_last(uint64_t cycle, bool last, unsigned beats_left, uint32_t addr) {
        cycle_ = cycle;
        if (last != (beats_left == 1))
            fail("WLAST is %d with %u beats of the burst at 0x%08x to go", last, beats_left, addr);
    }

  private:
    struct Ready { bool ar, aw, w; };

    static bool same_strobed_data(const WriteSignals& a, const WriteSignals& b) {
        for (unsigned i = 0; i < beat_bytes; ++i)
            if ((a.strobe >> i & 1) && a.data[i] != b.data[i]) return false;
        return true;
    }

    void hold_address(const char* what, const AddressSignals& old, bool old_ready,
                      const AddressSignals& now) {
        if (!old.valid || old_ready) return;
        if (!now.valid)
            fail("%s address valid was taken back before ready (address 0x%08x)", what, old.addr);
        else if (!now.same_payload(old))
            fail("%s address changed from 0x%08x (%u beats) to 0x%08x (%u beats) while it waited "
                 "for ready", what, old.addr, old.len + 1u, now.addr, now.len + 1u);
    }

    void check_burst(const char* what, const AddressSignals& a) {
        const uint64_t size = 1u << a.size;
        const uint64_t first = a.addr & ~(size - 1);
        const uint64_t last = first + size * (a.len + 1u) - 1;
        if (a.burst != 1)
            fail("%s burst at 0x%08x has type %u; only incrementing bursts (1) are known here",
                 what, a.addr, a.burst);
        else if (size > beat_bytes)
            fail("%s burst at 0x%08x has %u bytes per beat on a bus of %u", what, a.addr,
                 unsigned(size), beat_bytes);
        else if (first >> 12 != last >> 12)
            fail("%s burst of %u beats at 0x%08x crosses a 4 KiB boundary", what, a.len + 1u,
                 a.addr);
    }

    void fail(const char* format, ...) {
        if (failed()) return;
        char text[256];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        error_ = "The design broke the AXI4 protocol in cycle " + std::to_string(cycle_) + ": " +
                 text + ".";
    }

    ManagerSignals before_{};
    Ready before_ready_{};
    uint64_t cycle_ = 0;
    std::string error_;
};

}  // namespace weft
