// SPDX-License-Identifier: Apache-2.0
// An AXI4 memory: in-order responses, latency, bandwidth, random stalls, injected errors.
//
// It is deliberately unkind where AXI allows it. A write becomes visible only when its response is
// offered, so a design that reads back before it has the response reads old data; with random
// stalls on, a read takes its data at a random time between its address and its delivery, so a
// design that overwrites what it is still reading is found out, too.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <vector>

#include "axi_signals.h"
#include "protocol_checker.h"

extern "C" {
// Mirrored by weft_sim/harness_library.py.
struct WeftMemoryParameters {
    uint64_t latency_cycles;        // from the read address to the first beat of data, at least 1
    uint64_t write_latency_cycles;  // from the last beat of data to the response, at least 1
    uint64_t outstanding_reads;     // bursts accepted and not yet delivered
    uint64_t outstanding_writes;    // bursts accepted and not yet answered
    uint64_t bytes_per_256_cycles;  // 0 = a beat in every cycle
    uint64_t seed;
    uint32_t shared_bus;            // reads and writes share the bandwidth
    uint32_t stall_ar, stall_aw, stall_w, stall_r, stall_b;  // probability per cycle, in 1/256
};

struct WeftStatistics {
    uint64_t cycles;
    uint64_t read_bytes, read_beats, read_bursts;
    uint64_t write_bytes, write_beats, write_bursts;  // write_bytes counts active strobes
};
}

namespace weft {

struct ErrorRange {
    uint64_t first, end;
    uint8_t response;
    bool reads, writes;
};

class MemoryModel {
  public:
    MemorySignals drive;  // what the design sees in the current cycle
    WeftStatistics statistics{};
    ProtocolChecker checker;

    MemoryModel(uint8_t* data, uint64_t base, uint64_t size, const WeftMemoryParameters& parameters)
        : data_(data), base_(base), size_(size) { configure(parameters); }

    void configure(const WeftMemoryParameters& p) {
        p_ = p;
        p_.latency_cycles = std::max<uint64_t>(p.latency_cycles, 1);
        p_.write_latency_cycles = std::max<uint64_t>(p.write_latency_cycles, 1);
        p_.outstanding_reads = std::max<uint64_t>(p.outstanding_reads, 1);
        p_.outstanding_writes = std::max<uint64_t>(p.outstanding_writes, 1);
        random_state_ = p.seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
        random_ = (p.stall_ar | p.stall_aw | p.stall_w | p.stall_r | p.stall_b) != 0;
    }

    void set_error_ranges(std::vector<ErrorRange> ranges) { errors_ = std::move(ranges); }

    // Forget everything under way; what was not answered is not written.
    void reset() {
        reads_.clear();
        writes_.clear();
        answers_.clear();
        drive = {};
        read_credit_ = write_credit_ = 0;
        checker.forget();
    }

    // The rising edge that ends cycle `now`: take what is transferred, decide on the next cycle.
    // Writes `drive` only through `next`, which the caller copies after the edge.
    void edge(uint64_t now, const ManagerSignals& in, MemorySignals& next) {
        checker.check(now, in, drive);
        accept(now, in);
        earn();
        // On a shared bus reads go first, but a write that waits gets every other beat.
        const bool write_first = p_.shared_bus && read_was_last_ && in.w.valid;
        if (write_first) offer_write_ready(next);
        offer_read(now, in, next);
        if (!write_first) offer_write_ready(next);
        offer_write_response(now, in, next);
        next.ar_ready = reads_.size() < p_.outstanding_reads && !stall(p_.stall_ar);
        next.aw_ready = writes_.size() + answers_.size() < p_.outstanding_writes &&
                        !stall(p_.stall_aw);
    }

  private:
    struct Read {
        uint64_t due;
        uint32_t addr;
        unsigned beats, size;
        uint8_t id;
        bool copied;
        std::vector<uint8_t> copy;  // beats in bus layout, where the data was taken early
        unsigned next_beat;
    };
    struct Write {
        uint32_t addr;
        unsigned beats_left, size;
        uint8_t id, resp;
        std::vector<uint8_t> bytes;  // address order, `size` per beat on the bus
        std::vector<uint32_t> strobes;
        uint32_t first_addr;
    };
    struct Answer {
        uint64_t due;
        Write write;
    };

    static uint64_t bus_addr(uint32_t addr) { return addr & ~uint64_t(beat_bytes - 1); }
    static uint32_t next_addr(uint32_t addr, unsigned size) {
        return (addr & ~((1u << size) - 1)) + (1u << size);
    }
    bool holds(uint64_t addr) const { return addr >= base_ && addr + beat_bytes <= base_ + size_; }

    uint8_t response(uint64_t addr, bool write) const {
        if (!holds(bus_addr(uint32_t(addr)))) return DECERR;
        for (const ErrorRange& e : errors_)
            if (addr >= e.first && addr < e.end && (write ? e.writes : e.reads)) return e.response;
        return OKAY;
    }

    // ---- randomness and bandwidth ------------------------------------------------------------
    uint32_t draw() {  // xorshift64*
        random_state_ ^= random_state_ >> 12;
        random_state_ ^= random_state_ << 25;
        random_state_ ^= random_state_ >> 27;
        return uint32_t(random_state_ * 0x2545f4914f6cdd1du >> 32);
    }
    bool stall(uint32_t probability) { return probability && (draw() & 255) < probability; }

    void earn() {
        if (!p_.bytes_per_256_cycles) return;
        // What is not used is lost, but for the fraction of a beat (or of what one cycle brings).
        const int64_t most = std::max<int64_t>(beat_bytes * 256, p_.bytes_per_256_cycles) +
                             beat_bytes * 256 - 1;
        read_credit_ = std::min<int64_t>(read_credit_ + p_.bytes_per_256_cycles, most);
        write_credit_ = std::min<int64_t>(write_credit_ + p_.bytes_per_256_cycles, most);
    }
    int64_t& write_credit() { return p_.shared_bus ? read_credit_ : write_credit_; }
    bool spend(int64_t& credit) {
        if (!p_.bytes_per_256_cycles) return true;
        if (credit < int64_t(beat_bytes) * 256) return false;
        credit -= beat_bytes * 256;
        return true;
    }

    // ---- taking addresses and data -----------------------------------------------------------
    void accept(uint64_t now, const ManagerSignals& in) {
        if (in.ar.valid && drive.ar_ready) {
            ++statistics.read_bursts;
            Read read{now + p_.latency_cycles, in.ar.addr, in.ar.len + 1u, in.ar.size, in.ar.id,
                      false, {}, 0};
            if (random_ && (draw() & 1)) copy_now(read);
            reads_.push_back(std::move(read));
        }
        if (in.aw.valid && drive.aw_ready) {
            ++statistics.write_bursts;
            writes_.push_back(
                Write{in.aw.addr, in.aw.len + 1u, in.aw.size, in.aw.id, OKAY, {}, {}, in.aw.addr});
        }
        if (drive.w_ready) {
            if (in.w.valid) take_data(now, in.w);
            else if (p_.bytes_per_256_cycles) write_credit() += beat_bytes * 256;  // not used
        }
    }

    void take_data(uint64_t now, const WriteSignals& w) {
        Write& write = writes_.front();
        checker.check_last(now, w.last, write.beats_left, write.first_addr);
        ++statistics.write_beats;
        statistics.write_bytes += unsigned(__builtin_popcount(w.strobe));
        write.resp = std::max(write.resp, response(write.addr, true));
        write.bytes.insert(write.bytes.end(), w.data, w.data + beat_bytes);
        write.strobes.push_back(w.strobe);
        write.addr = next_addr(write.addr, write.size);
        if (--write.beats_left == 0) {
            answers_.push_back(Answer{now + p_.write_latency_cycles, std::move(write)});
            writes_.pop_front();
        }
    }

    // ---- answering ---------------------------------------------------------------------------
    // Data is taken only for a burst whose address came before.
    void offer_write_ready(MemorySignals& next) {
        next.w_ready = !writes_.empty() && !stall(p_.stall_w) && spend(write_credit());
        if (next.w_ready) read_was_last_ = false;
    }

    void offer_read(uint64_t now, const ManagerSignals& in, MemorySignals& next) {
        if (drive.r_valid) {
            if (!in.r_ready) {  // offered and not taken: it stays
                next.r_valid = true;
                next.r_last = drive.r_last;
                next.r_id = drive.r_id;
                next.r_resp = drive.r_resp;
                std::memcpy(next.r_data, drive.r_data, beat_bytes);
                return;
            }
            ++statistics.read_beats;
            statistics.read_bytes += beat_bytes;
        }
        next.r_valid = false;
        if (reads_.empty() || now + 1 < reads_.front().due || stall(p_.stall_r)) return;
        if (!spend(read_credit_)) return;
        read_was_last_ = true;
        Read& read = reads_.front();
        next.r_valid = true;
        next.r_id = read.id;
        next.r_resp = response(read.addr, false);
        if (read.copied)
            std::memcpy(next.r_data, &read.copy[read.next_beat * beat_bytes], beat_bytes);
        else
            fetch(read.addr, next.r_resp, next.r_data);
        read.addr = next_addr(read.addr, read.size);
        next.r_last = ++read.next_beat == read.beats;
        if (next.r_last) reads_.pop_front();
    }

    void fetch(uint64_t addr, uint8_t resp, uint8_t* into) const {
        if (resp == OKAY) std::memcpy(into, data_ + (bus_addr(uint32_t(addr)) - base_), beat_bytes);
        else std::memset(into, 0xee, beat_bytes);
    }

    void copy_now(Read& read) const {
        read.copied = true;
        read.copy.resize(read.beats * beat_bytes);
        uint32_t addr = read.addr;
        for (unsigned i = 0; i < read.beats; ++i, addr = next_addr(addr, read.size))
            fetch(addr, response(addr, false), &read.copy[i * beat_bytes]);
    }

    void offer_write_response(uint64_t now, const ManagerSignals& in, MemorySignals& next) {
        if (drive.b_valid && !in.b_ready) {
            next.b_valid = true;
            next.b_id = drive.b_id;
            next.b_resp = drive.b_resp;
            return;
        }
        next.b_valid = false;
        if (answers_.empty() || now + 1 < answers_.front().due || stall(p_.stall_b)) return;
        const Write& write = answers_.front().write;
        next.b_valid = true;
        next.b_id = write.id;
        next.b_resp = write.resp;
        store(write);
        answers_.pop_front();
    }

    void store(const Write& write) {
        uint32_t addr = write.first_addr;
        for (size_t i = 0; i < write.strobes.size(); ++i, addr = next_addr(addr, write.size)) {
            if (response(addr, true) != OKAY) continue;
            uint8_t* to = data_ + (bus_addr(addr) - base_);
            const uint8_t* from = &write.bytes[i * beat_bytes];
            for (unsigned lane = 0; lane < beat_bytes; ++lane)
                if (write.strobes[i] >> lane & 1) to[lane] = from[lane];
        }
    }

    uint8_t* data_;
    uint64_t base_, size_;
    WeftMemoryParameters p_{};
    std::vector<ErrorRange> errors_;
    std::deque<Read> reads_;
    std::deque<Write> writes_;   // accepted, data still to come
    std::deque<Answer> answers_; // complete, response still to be offered
    int64_t read_credit_ = 0, write_credit_ = 0;
    uint64_t random_state_ = 1;
    bool random_ = false;
    bool read_was_last_ = false;
};

}  // namespace weft
