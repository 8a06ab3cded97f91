// SPDX-License-Identifier: Apache-2.0
// An SDR SDRAM that checks every rule of its data sheet. Times are in picoseconds and are turned
// into cycles here, on purpose without a word of the controller's. See weft_sim/sdram_model.py.
//
// Signals are sampled at the rising edge of `clk`, the SDRAM's own clock pin. `rule` stays at the
// number of the first rule that was broken (package sdram_rule, generated from SdramRule). With
// LATE_DATA, read data changes half a cycle after the edge, as behind real access times.
module sdram_model #(
    parameter int PERIOD_PS = 0, DATA_BITS = 0, ROWS = 0, COLUMNS = 0, ADDRESS_BITS = 0,
    parameter int LATENCY_2_PS = 0, LATENCY_3_PS = 0, RCD_PS = 0, RP_PS = 0, RAS_PS = 0,
    parameter int RAS_MAX_PS = 0, RC_PS = 0, RRD_PS = 0, RFC_PS = 0, WR_PS = 0, WR_CYCLES = 0,
    parameter int CCD_CYCLES = 0, MRD_CYCLES = 0, POWER_UP_PS = 0, POWER_UP_REFRESHES = 0,
    parameter int REFRESHES = 0, REFRESH_INTERVAL_PS = 0, POSTPONED = 8, LATE_DATA = 0
) (
    input  logic clk, rst,
    input  logic cke, cs_n, ras_n, cas_n, we_n,
    input  logic [1:0] ba,
    input  logic [ADDRESS_BITS-1:0] a,
    input  logic [DATA_BITS/8-1:0] dqm,
    input  logic [DATA_BITS-1:0] dq_i,
    input  logic dq_driven,
    output logic [DATA_BITS-1:0] dq_o,
    output logic [7:0] rule,
    output logic [1:0] rule_bank,
    output logic [63:0] rule_cycle,
    output logic [31:0] rule_needed, rule_found,
    output logic [63:0] cycles, words_read, words_written, activates, refreshes
);
    localparam int LANES = DATA_BITS / 8, RB = $clog2(ROWS), CB = $clog2(COLUMNS);
    function automatic int at_least(input int ps); return (ps + PERIOD_PS - 1) / PERIOD_PS; endfunction
    localparam int RCD = at_least(RCD_PS), RP = at_least(RP_PS), RAS = at_least(RAS_PS);
    localparam int RC = at_least(RC_PS), RRD = at_least(RRD_PS), RFC = at_least(RFC_PS);
    localparam int WR = at_least(WR_PS) > WR_CYCLES ? at_least(WR_PS) : WR_CYCLES;
    localparam int RAS_MAX = RAS_MAX_PS / PERIOD_PS, INTERVAL = REFRESH_INTERVAL_PS / PERIOD_PS;
    localparam int POWER_UP = at_least(POWER_UP_PS);
    localparam longint RETENTION = longint'(REFRESH_INTERVAL_PS) * REFRESHES / PERIOD_PS;

    // The word with number row, bank, column is at that place: the order of weft's controller.
    logic [DATA_BITS-1:0] memory [0:4*ROWS*COLUMNS-1] /* verilator public_flat_rw */;

    // What happened when; LONG_AGO is before anything that a rule looks at.
    localparam longint LONG_AGO = -64'd1_000_000_000;
    longint activated [4], precharged [4], written [4], last_read [4];
    longint activated_any, refreshed_any, column_any, mode_at, driven_from, driven_to;
    logic [3:0] open;
    logic [RB-1:0] row [4];
    longint refreshed [REFRESHES];          // of each group of rows that one REFRESH refreshes
    int next_refresh, owed, until_owed, power_up_refreshes_done;
    logic precharged_all, mode_set;
    int burst, latency;

    // The burst under way.
    int left;
    logic writing, reading_now;
    logic [1:0] bank;
    logic [CB-1:0] column;
    logic [DATA_BITS-1:0] fetched, output_word;
    logic [LANES-1:0] dqm_before;

    wire [3:0] command = {cs_n, ras_n, cas_n, we_n};
    localparam logic [3:0] MODE = 4'b0000, REFRESH = 4'b0001, PRECHARGE = 4'b0010,
        ACTIVATE = 4'b0011, WRITE = 4'b0100, READ = 4'b0101, STOP = 4'b0110;

    function automatic longint least(input longint x, input longint y);
        return x < y ? x : y;
    endfunction

    task automatic broken(input int code, input int which, input longint needed, input longint found);
        if (rule == 0) begin
            rule = 8'(code);
            rule_bank = 2'(which);
            rule_cycle = cycles;
            rule_needed = 32'(needed);
            rule_found = 32'(found);
        end
    endtask

    // At least `needed` cycles since `earlier`.
    task automatic since(input int code, input int which, input longint earlier, input int needed);
        if (longint'(cycles) - earlier < longint'(needed))
            broken(code, which, longint'(needed), longint'(cycles) - earlier);
    endtask

    // What every command but NOP keeps clear of.
    task automatic idle_device(input int which);
        since(sdram_rule::REFRESH_CYCLE, which, refreshed_any, RFC);
        since(sdram_rule::MODE_CYCLE, which, mode_at, MRD_CYCLES);
    endtask

    task automatic all_banks_idle(input int code);
        for (int b = 0; b < 4; b++) begin
            if (open[b]) broken(code, b, 0, 0);
            since(sdram_rule::PRECHARGE_TIME, b, precharged[b], RP);
        end
    endtask

    task automatic close(input int b);
        since(sdram_rule::ROW_ACTIVE, b, activated[b], RAS);
        since(sdram_rule::WRITE_RECOVERY, b, written[b], WR);
        // Output stops `latency` cycles after the command.
        since(sdram_rule::BURST_CUT, b, last_read[b], burst);
        if (left > 0 && writing && 2'(b) == bank) broken(sdram_rule::BURST_CUT, b, 0, 0);
        open[b] = 0;
        precharged[b] = cycles;
    endtask

    // The word of the burst at this edge.
    task automatic move;
        automatic int place = (int'(row[bank]) * 4 + int'(bank)) * COLUMNS + int'(column);
        if (writing) begin
            if (!dq_driven && dqm != '1) broken(sdram_rule::UNDRIVEN, bank, 0, 0);
            for (int lane = 0; lane < LANES; lane++)
                if (!dqm[lane]) memory[place][8*lane +: 8] = dq_i[8*lane +: 8];
            words_written = words_written + 1;
            written[bank] = cycles;
        end else begin
            fetched <= memory[place];
            reading_now <= 1;
            words_read = words_read + 1;
        end
        // The burst wraps in its own aligned block of columns.
        column = (column & ~CB'(burst - 1)) | ((column + 1'b1) & CB'(burst - 1));
        left = left - 1;
    endtask

    always_ff @(posedge clk) begin
        if (rst) begin
            {rule, rule_bank, rule_cycle, rule_needed, rule_found} = '0;
            {cycles, words_read, words_written, activates, refreshes} = '0;
            {open, precharged_all, mode_set, writing} = '0;
            reading_now <= 0;
            {next_refresh, owed, power_up_refreshes_done, left} = '0;
            until_owed = INTERVAL;
            burst = 1;
            latency = 3;
            for (int b = 0; b < 4; b++) begin
                activated[b] = LONG_AGO;
                precharged[b] = LONG_AGO;
                written[b] = LONG_AGO;
                last_read[b] = LONG_AGO;
            end
            activated_any = LONG_AGO;
            refreshed_any = LONG_AGO;
            column_any = LONG_AGO;
            mode_at = LONG_AGO;
            driven_from = LONG_AGO;
            driven_to = LONG_AGO;
            for (int i = 0; i < REFRESHES; i++) refreshed[i] = 0;
        end else begin
            cycles = cycles + 1;
            reading_now <= 0;
            if (!cke && precharged_all) broken(sdram_rule::UNSUPPORTED, 0, 0, 0);
            if (cke && !cs_n && command[2:0] != 3'b111) begin
                if (longint'(cycles) < longint'(POWER_UP))
                    broken(sdram_rule::POWER_UP, 0, longint'(POWER_UP), longint'(cycles));
                if (!precharged_all && !(command == PRECHARGE && a[10]))
                    broken(sdram_rule::POWER_UP_PRECHARGE, 0, 0, 0);
                idle_device(32'(ba));
            end
            if (cke) case (command)
                MODE: begin
                    all_banks_idle(sdram_rule::MODE_BANK_OPEN);
                    burst = 1 << a[2:0];
                    latency = 32'(a[6:4]);
                    if (a[2:0] > 3 || a[3] || a[9:7] != 0 || (a >> 10) != 0 || ba != 0)
                        broken(sdram_rule::MODE_VALUE, 0, 0, 32'(a));
                    if (!(latency == 3 && PERIOD_PS >= LATENCY_3_PS
                          || latency == 2 && PERIOD_PS >= LATENCY_2_PS))
                        broken(sdram_rule::LATENCY, 0, PERIOD_PS >= LATENCY_2_PS ? 2 : 3, latency);
                    mode_set = 1;
                    // No row holds anything before, so each has its whole time from here on.
                    for (int i = 0; i < REFRESHES; i++) refreshed[i] = cycles;
                    mode_at = cycles;
                    owed = 0;
                end
                REFRESH: begin
                    all_banks_idle(sdram_rule::REFRESH_BANK_OPEN);
                    refreshed_any = cycles;
                    refreshed[next_refresh] = cycles;
                    next_refresh = next_refresh == REFRESHES - 1 ? 0 : next_refresh + 1;
                    refreshes = refreshes + 1;
                    if (!mode_set) power_up_refreshes_done = power_up_refreshes_done + 1;
                    if (owed > -POSTPONED) owed = owed - 1;
                end
                PRECHARGE: begin
                    if (a[10]) precharged_all = 1;
                    for (int b = 0; b < 4; b++) if (a[10] || 2'(b) == ba) if (open[b]) close(b);
                end
                ACTIVATE: begin
                    if (!mode_set || power_up_refreshes_done < POWER_UP_REFRESHES)
                        broken(sdram_rule::POWER_UP_ORDER, 32'(ba), POWER_UP_REFRESHES,
                               power_up_refreshes_done);
                    if (open[ba]) broken(sdram_rule::ACTIVATE_OPEN, 32'(ba), 0, 0);
                    since(sdram_rule::ROW_CYCLE, 32'(ba), activated[ba], RC);
                    since(sdram_rule::PRECHARGE_TIME, 32'(ba), precharged[ba], RP);
                    since(sdram_rule::ACTIVATE_SPACING, 32'(ba), activated_any, RRD);
                    if (32'(a) >= ROWS) broken(sdram_rule::ADDRESS, 32'(ba), ROWS, 32'(a));
                    open[ba] = 1;
                    row[ba] = a[RB-1:0];
                    activated[ba] = cycles;
                    activated_any = cycles;
                    activates = activates + 1;
                end
                READ, WRITE: begin
                    if (!open[ba]) broken(sdram_rule::COLUMN_CLOSED, 32'(ba), 0, 0);
                    since(sdram_rule::ACTIVATE_TO_COLUMN, 32'(ba), activated[ba], RCD);
                    since(sdram_rule::COLUMN_SPACING, 32'(ba), column_any, CCD_CYCLES);
                    if (a[10]) broken(sdram_rule::UNSUPPORTED, 32'(ba), 0, 0);
                    if ((32'(a) & 32'h3ff) >= COLUMNS)
                        broken(sdram_rule::ADDRESS, 32'(ba), COLUMNS, 32'(a));
                    column_any = cycles;
                    writing = command == WRITE;
                    bank = ba;
                    column = a[CB-1:0];
                    left = burst;
                    if (!writing) begin
                        // On from a cycle before the first word to a cycle after the last.
                        if (longint'(cycles) > driven_to)
                            driven_from = longint'(cycles) + longint'(latency) - 1;
                        driven_to = longint'(cycles) + longint'(latency) + longint'(burst);
                        last_read[ba] = cycles;
                    end else driven_to = least(driven_to, longint'(cycles) + longint'(latency));
                end
                STOP: broken(sdram_rule::UNSUPPORTED, 32'(ba), 0, 0);
                default: ;
            endcase
            if (left > 0) move();
            if (dq_driven && longint'(cycles) >= driven_from && longint'(cycles) <= driven_to)
                broken(sdram_rule::CONTENTION, 32'(bank), 0, 0);

            // What time alone breaks.
            for (int b = 0; b < 4; b++)
                if (open[b] && longint'(cycles) - activated[b] > longint'(RAS_MAX))
                    broken(sdram_rule::ROW_ACTIVE_MAX, b, RAS_MAX, longint'(cycles) - activated[b]);
            if (mode_set) begin
                until_owed = until_owed - 1;
                if (until_owed == 0) begin
                    until_owed = INTERVAL;
                    owed = owed + 1;
                    if (owed > POSTPONED) broken(sdram_rule::REFRESH_LATE, 0, POSTPONED, owed);
                end
                if (longint'(cycles) - refreshed[next_refresh] > RETENTION)
                    broken(sdram_rule::RETENTION, 0, RETENTION,
                           longint'(cycles) - refreshed[next_refresh]);
            end

            // Read data: `latency` cycles after the command; DQM hides what comes 2 cycles later.
            dqm_before <= dqm;
        end
    end

    // Words that nobody asked for are never zero, nor the same for long.
    logic [DATA_BITS-1:0] waiting;
    logic waiting_now;
    always_ff @(posedge clk) begin
        waiting <= fetched;
        waiting_now <= reading_now;
    end
    wire shown_now = latency == 2 ? reading_now : waiting_now;
    wire [DATA_BITS-1:0] shown = latency == 2 ? fetched : waiting;
    wire [DATA_BITS-1:0] junk = {LANES{8'ha5 ^ cycles[7:0]}};
    always_ff @(posedge clk)
        for (int lane = 0; lane < LANES; lane++)
            output_word[8*lane +: 8] <=
                shown_now && !dqm_before[lane] ? shown[8*lane +: 8] : junk[8*lane +: 8];
    logic [DATA_BITS-1:0] late_word;
    always_ff @(negedge clk) late_word <= output_word;
    assign dq_o = LATE_DATA != 0 ? late_word : output_word;
endmodule
