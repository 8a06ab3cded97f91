// SPDX-License-Identifier: Apache-2.0
// A verilated board with its two clocks and the far end of its serial line behind a C interface.
//
// Time is in picoseconds; each clock has edges of its own. The line's bits are as long as the
// board's own, in 256ths of a cycle of `clk`. All time is spent in here: Python gives and takes
// bytes and calls once per some thousand cycles.

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "Vtop.h"
#include "Vtop___024root.h"
#include "verilated.h"

#define WEFT_API extern "C" __attribute__((visibility("default")))

double sc_time_stamp() { return 0; }

namespace {

constexpr int interface_version = 1;
constexpr uint64_t step = 256;

// Bytes to levels: a start bit, eight bits, low first, and a stop bit.
class Sender {
  public:
    std::deque<uint8_t> bytes;
    explicit Sender(uint64_t period) : period_(period) {}
    int level() {
        if (left_ < step && bits_ == 0 && !bytes.empty()) {
            frame_ = uint32_t(bytes.front()) << 1 | 0x200;
            bytes.pop_front();
            bits_ = 10;
            left_ += period_;
            level_ = 0;
        } else if (left_ < step && bits_ > 1) {
            frame_ >>= 1;
            --bits_;
            left_ += period_;
            level_ = frame_ & 1;
        } else if (left_ < step && bits_ == 1) {
            bits_ = 0;
            return level();
        }
        if (left_ >= step) left_ -= step;
        return level_;
    }

  private:
    uint64_t period_, left_ = 0;
    uint32_t frame_ = 0;
    int bits_ = 0, level_ = 1;
};

// Levels to bytes, each bit looked at in its middle.
class Receiver {
  public:
    std::vector<uint8_t> bytes;
    uint64_t broken = 0;  // bytes without a stop bit
    explicit Receiver(uint64_t period) : period_(period) {}
    void level(int now) {
        if (bit_ < 0) {
            if (!now) {
                bit_ = 0;
                left_ = period_ / 2;
            }
            return;
        }
        if (left_ >= step) {
            left_ -= step;
            return;
        }
        left_ += period_ - step;
        if (bit_ == 0 && now) bit_ = -2;
        if (bit_ >= 1 && bit_ <= 8) value_ = uint8_t(value_ >> 1 | now << 7);
        if (bit_ == 9) {
            if (now) bytes.push_back(value_);
            else ++broken;
            bit_ = -2;
        }
        ++bit_;
    }

  private:
    uint64_t period_, left_ = 0;
    int bit_ = -1;
    uint8_t value_ = 0;
};

class Board {
  public:
    uint64_t cycles = 0;
    Sender sender;
    Receiver receiver;

    Board(uint64_t period_ps, uint64_t sdram_ps, uint64_t bit_256ths)
        : sender(bit_256ths), receiver(bit_256ths), top_(new Vtop(&context_, "board")),
          half_(period_ps / 2), sdram_half_(sdram_ps / 2) {
        top_->i_uart = 1;
        top_->i_buttons = 0;
        next_ = half_;
        sdram_next_ = sdram_half_;
        top_->eval();  // initial values, before anybody writes the ROM
    }
    ~Board() { top_->final(); }

    void reset(uint64_t count) {
        top_->rst = 1;
        run(count, false);
        top_->rst = 0;
    }

    // At most `limit` cycles; less at a broken rule, and if asked to once a byte has come.
    uint64_t run(uint64_t limit, bool until_byte) {
        uint64_t done = 0;
        while (done < limit && !top_->rule && !(until_byte && !receiver.bytes.empty())) {
            // Edges in their order; those at the same time together.
            const uint64_t now = next_ < sdram_next_ ? next_ : sdram_next_;
            const bool mine = next_ == now;
            if (sdram_next_ == now) {
                top_->clk_sdram = !top_->clk_sdram;
                sdram_next_ += sdram_half_;
            }
            if (mine) {
                next_ += half_;
                top_->clk = !top_->clk;
            }
            top_->eval();
            // The line changes and is looked at between rising edges.
            if (mine && !top_->clk) {
                receiver.level(top_->o_uart);
                top_->i_uart = sender.level();
                ++done;
                ++cycles;
            }
        }
        return done;
    }

    Vtop& top() { return *top_; }
    uint8_t* memory() {
        return reinterpret_cast<uint8_t*>(
            &top_->rootp->simulated_board__DOT__model__DOT__memory[0]);
    }

    // The CPU's ROM, words of 32 bits.
    uint8_t* rom() {
        return reinterpret_cast<uint8_t*>(
            &top_->rootp->simulated_board__DOT__soc__DOT__cpu__DOT__rom__DOT__memory[0]);
    }

  private:
    VerilatedContext context_;
    std::unique_ptr<Vtop> top_;
    uint64_t half_, sdram_half_, next_ = 0, sdram_next_ = 0;
};

}  // namespace

WEFT_API int board_interface_version() { return interface_version; }
WEFT_API Board* board_create(uint64_t period_ps, uint64_t sdram_ps, uint64_t bit_256ths) {
    return new Board(period_ps, sdram_ps, bit_256ths);
}
WEFT_API void board_destroy(Board* b) { delete b; }
WEFT_API void board_reset(Board* b, uint64_t cycles) { b->reset(cycles); }
WEFT_API uint64_t board_run(Board* b, uint64_t limit, int until_byte) {
    return b->run(limit, until_byte != 0);
}
WEFT_API void board_send(Board* b, const uint8_t* data, uint64_t size) {
    b->sender.bytes.insert(b->sender.bytes.end(), data, data + size);
}
WEFT_API uint64_t board_unsent(const Board* b) { return b->sender.bytes.size(); }
WEFT_API uint64_t board_receive(Board* b, uint8_t* into, uint64_t most) {
    auto& bytes = b->receiver.bytes;
    const uint64_t size = bytes.size() < most ? bytes.size() : most;
    std::copy(bytes.begin(), bytes.begin() + size, into);
    bytes.erase(bytes.begin(), bytes.begin() + size);
    return size;
}
WEFT_API uint8_t* board_memory(Board* b) { return b->memory(); }
WEFT_API uint8_t* board_rom(Board* b) { return b->rom(); }
WEFT_API void board_set_buttons(Board* b, int value) { b->top().i_buttons = uint8_t(value); }
WEFT_API int board_leds(Board* b) { return b->top().o_leds; }

// Cycles of the board, bytes that had no stop bit, then the SDRAM model's ports.
WEFT_API void board_figures(Board* b, uint64_t* into) {
    Vtop& t = b->top();
    const uint64_t values[] = {b->cycles,    b->receiver.broken, t.rule,         t.rule_bank,
                               t.rule_cycle, t.rule_needed,      t.rule_found,   t.cycles,
                               t.words_read, t.words_written,    t.activates,    t.refreshes};
    std::copy(std::begin(values), std::end(values), into);
}
