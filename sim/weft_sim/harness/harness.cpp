// SPDX-License-Identifier: Apache-2.0
// The verilated top module with its clock, memory and register port behind a small C interface.
//
// One cycle is two evaluations: inputs and the falling edge, then the rising edge. The design's
// outputs are sampled between them, so they may depend combinationally on its inputs. All time is
// spent in here; Python calls once per register access or per million cycles.

#include <memory>
#include <string>
#include <vector>

#include "Vtop.h"
#include "axi_signals.h"
#include "memory_model.h"
#include "verilated.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
#endif

#define WEFT_API extern "C" __attribute__((visibility("default")))

double sc_time_stamp() { return 0; }  // the wheel's run-time asks for it; traces have their own

namespace {

using namespace weft;

constexpr int interface_version = 2;
constexpr uint64_t register_timeout_cycles = 100'000;

template <typename Port> void copy_out(const Port& port, uint8_t* to) {
    static_assert(sizeof(Port) >= beat_bytes, "the design's data bus is narrower than the harness's");
    std::memcpy(to, &port, beat_bytes);
}
template <typename Port> void copy_in(Port& port, const uint8_t* from) {
    static_assert(sizeof(Port) == beat_bytes, "the design's data bus is not as wide as the harness's");
    std::memcpy(&port, from, beat_bytes);
}

class Harness {
  public:
    MemoryModel memory;

    Harness(uint8_t* data, uint64_t base, uint64_t size, const WeftMemoryParameters& parameters)
        : memory(data, base, size, parameters), top_(new Vtop(&context_, "weft")) {
        context_.traceEverOn(VM_TRACE_FST);
        reset(2);
    }
    ~Harness() {
        close_trace();
        top_->final();
    }

    void reset(uint64_t cycles) {
        memory.reset();
        top_->rst = 1;
        top_->s_axil_awvalid = top_->s_axil_wvalid = top_->s_axil_bready = 0;
        top_->s_axil_arvalid = top_->s_axil_rready = 0;
        top_->s_axil_awprot = top_->s_axil_arprot = 0;
        in_reset_ = true;
        for (uint64_t i = 0; i < cycles; ++i) cycle();
        top_->rst = 0;
        in_reset_ = false;
    }

    // Run for at most `limit` cycles, and only until the interrupt if asked to; the cycles run.
    uint64_t run(uint64_t limit, bool until_irq) {
        uint64_t done = 0;
        while (done < limit && !memory.checker.failed() && !(until_irq && top_->irq)) {
            cycle();
            ++done;
        }
        return done;
    }

    bool irq() const { return top_->irq; }

    // AXI4-Lite accesses: the response code, or -1 if the design does not answer.
    int write_register(uint32_t addr, uint32_t value) {
        top_->s_axil_awaddr = addr;
        top_->s_axil_wdata = value;
        top_->s_axil_wstrb = 0xf;
        top_->s_axil_awvalid = top_->s_axil_wvalid = top_->s_axil_bready = 1;
        for (uint64_t i = 0; i < register_timeout_cycles; ++i) {
            settle();
            const bool aw = top_->s_axil_awvalid && top_->s_axil_awready;
            const bool w = top_->s_axil_wvalid && top_->s_axil_wready;
            const bool b = top_->s_axil_bvalid;
            const int resp = top_->s_axil_bresp;
            finish();
            if (aw) top_->s_axil_awvalid = 0;
            if (w) top_->s_axil_wvalid = 0;
            if (b) {
                top_->s_axil_bready = 0;
                return resp;
            }
        }
        return -1;
    }

    int read_register(uint32_t addr, uint32_t* value) {
        top_->s_axil_araddr = addr;
        top_->s_axil_arvalid = top_->s_axil_rready = 1;
        for (uint64_t i = 0; i < register_timeout_cycles; ++i) {
            settle();
            const bool ar = top_->s_axil_arvalid && top_->s_axil_arready;
            const bool r = top_->s_axil_rvalid;
            const int resp = top_->s_axil_rresp;
            *value = top_->s_axil_rdata;
            finish();
            if (ar) top_->s_axil_arvalid = 0;
            if (r) {
                top_->s_axil_rready = 0;
                return resp;
            }
        }
        return -1;
    }

    bool open_trace(const char* path) {
#if VM_TRACE_FST
        close_trace();
        trace_.reset(new VerilatedFstC);
        top_->trace(trace_.get(), 99);
        trace_->open(path);
        if (!trace_->isOpen()) trace_.reset();
        return trace_ != nullptr;
#else
        (void)path;
        return false;
#endif
    }
    void close_trace() {
#if VM_TRACE_FST
        if (trace_) trace_->close();
        trace_.reset();
#endif
    }

    std::string error_text;

    // Every cycle whose word of events differs from the one before, or holds a strobe.
    struct Observation {
        uint64_t cycle, word;
    };
    std::vector<Observation> observations;

    bool observe(uint64_t strobes) {
        observations.clear();
        observing_ = true;
        strobes_ = strobes;
        seen_ = 0;
#ifdef WEFT_OBSERVED
        return true;
#else
        return false;
#endif
    }

  private:
    void cycle() {
        settle();
        finish();
    }

    // Everything up to the rising edge: the outputs of the cycle are valid afterwards.
    void settle() {
        drive(memory.drive);
        top_->clk = 0;
        top_->eval();
        dump(5);
    }

    // The rising edge.
    void finish() {
        MemorySignals next;
        if (!in_reset_) memory.edge(memory.statistics.cycles, sample(), next);
        record();
        top_->clk = 1;
        top_->eval();
        ++memory.statistics.cycles;
        dump(0);
        memory.drive = next;
    }

    void record() {
#ifdef WEFT_OBSERVED
        if (!observing_) return;
        const uint64_t word = top_->o_observed;
        if (word != seen_ || (word & strobes_))
            observations.push_back({memory.statistics.cycles, word});
        seen_ = word;
#endif
    }

    void dump(unsigned offset) {
#if VM_TRACE_FST
        if (trace_) trace_->dump(memory.statistics.cycles * 10 + offset);
#else
        (void)offset;
#endif
    }

    ManagerSignals sample() const {
        const Vtop& t = *top_;
        ManagerSignals s;
        s.ar = {bool(t.m_axi_arvalid), uint8_t(t.m_axi_arid),   uint32_t(t.m_axi_araddr),
                uint8_t(t.m_axi_arlen), uint8_t(t.m_axi_arsize), uint8_t(t.m_axi_arburst)};
        s.aw = {bool(t.m_axi_awvalid), uint8_t(t.m_axi_awid),   uint32_t(t.m_axi_awaddr),
                uint8_t(t.m_axi_awlen), uint8_t(t.m_axi_awsize), uint8_t(t.m_axi_awburst)};
        s.w.valid = t.m_axi_wvalid;
        s.w.last = t.m_axi_wlast;
        s.w.strobe = t.m_axi_wstrb;
        copy_out(t.m_axi_wdata, s.w.data);
        s.r_ready = t.m_axi_rready;
        s.b_ready = t.m_axi_bready;
        return s;
    }

    void drive(const MemorySignals& s) {
        Vtop& t = *top_;
        t.m_axi_arready = s.ar_ready;
        t.m_axi_awready = s.aw_ready;
        t.m_axi_wready = s.w_ready;
        t.m_axi_rvalid = s.r_valid;
        t.m_axi_rlast = s.r_last;
        t.m_axi_rid = s.r_id;
        t.m_axi_rresp = s.r_resp;
        copy_in(t.m_axi_rdata, s.r_data);
        t.m_axi_bvalid = s.b_valid;
        t.m_axi_bid = s.b_id;
        t.m_axi_bresp = s.b_resp;
    }

    VerilatedContext context_;
    std::unique_ptr<Vtop> top_;
#if VM_TRACE_FST
    std::unique_ptr<VerilatedFstC> trace_;
#endif
    bool in_reset_ = false;
    bool observing_ = false;
    uint64_t strobes_ = 0, seen_ = 0;
};

}  // namespace

WEFT_API int weft_interface_version() { return interface_version; }
WEFT_API int weft_beat_bytes() { return beat_bytes; }

WEFT_API Harness* weft_create(uint8_t* data, uint64_t base, uint64_t size,
                              const WeftMemoryParameters* parameters) {
    return new Harness(data, base, size, *parameters);
}
WEFT_API void weft_destroy(Harness* h) { delete h; }
WEFT_API void weft_reset(Harness* h, uint64_t cycles) { h->reset(cycles); }
WEFT_API uint64_t weft_run(Harness* h, uint64_t limit, int until_irq) {
    return h->run(limit, until_irq != 0);
}
WEFT_API int weft_irq(const Harness* h) { return h->irq(); }
WEFT_API int weft_write_register(Harness* h, uint32_t addr, uint32_t value) {
    return h->write_register(addr, value);
}
WEFT_API int weft_read_register(Harness* h, uint32_t addr, uint32_t* value) {
    return h->read_register(addr, value);
}
WEFT_API void weft_configure_memory(Harness* h, const WeftMemoryParameters* parameters) {
    h->memory.configure(*parameters);
}
WEFT_API void weft_clear_errors(Harness* h) { h->memory.set_error_ranges({}); }
WEFT_API void weft_inject_error(Harness* h, uint64_t first, uint64_t end, int response, int reads,
                                int writes) {
    h->memory.set_error_ranges({{first, end, uint8_t(response), reads != 0, writes != 0}});
}
WEFT_API const char* weft_protocol_error(const Harness* h) {
    return h->memory.checker.error().c_str();
}
WEFT_API void weft_statistics(const Harness* h, WeftStatistics* into) { *into = h->memory.statistics; }
WEFT_API int weft_open_trace(Harness* h, const char* path) { return h->open_trace(path); }
WEFT_API void weft_close_trace(Harness* h) { h->close_trace(); }
WEFT_API int weft_observe(Harness* h, uint64_t strobes) { return h->observe(strobes); }
WEFT_API uint64_t weft_observations(const Harness* h, const uint64_t** into) {
    *into = reinterpret_cast<const uint64_t*>(h->observations.data());
    return h->observations.size();
}
