/* Logs of the catalog that somebody else wrote: a header, then frames; any bytes.  And pages, as any bytes. */
#include "fuzzing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "log_format.h"
#include "page_sum.h"

static void walk(const uint8_t *bytes, size_t count)
{
    struct log_walk log;
    if (count < LOG_HEADER_BYTES || log_format_begin(&log, bytes, NULL) != CODE_OK)
        return;
    const uint8_t *before = NULL;
    for (size_t at = LOG_HEADER_BYTES; at + LOG_FRAME_BYTES <= count; at += LOG_FRAME_BYTES) {
        uint64_t frames = log.frames;
        bool taken = log_format_next(&log, bytes + at);
        assert(log.frames == frames + taken && log.committed <= log.frames);
        if (before)
            (void)log_format_follows(&log, before, bytes + at);
        before = bytes + at;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    uint8_t page[PAGE_SUM_PAGE_BYTES] = {0};
    walk(bytes, count);
    memcpy(page, bytes, count < sizeof page ? count : sizeof page);
    (void)page_sum_is_older(page);
    page_sum_write(page, 9);
    assert(page_sum_check(page, 9));
    return 0;
}

static void store(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t load_little(const uint8_t *at)
{
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static void add(uint32_t sums[2], const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i += 8) {
        sums[0] += load_little(bytes + i) + sums[1];
        sums[1] += load_little(bytes + i + 4) + sums[0];
    }
}

/* A log of `index` frames, made from SQLite's description of the format. */
uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    uint32_t sums[2] = {0, 0};
    if (index > 2)
        return NULL;
    *count = LOG_HEADER_BYTES + index * LOG_FRAME_BYTES;
    uint8_t *log = calloc(1, *count);
    assert(log);
    const uint32_t header[] = {0x377f0682, 3007000, LOG_PAGE_BYTES, 5, 77, 78};
    for (size_t i = 0; i < 6; i++)
        store(log + 4 * i, header[i]);
    add(sums, log, 24);
    store(log + 24, sums[0]);
    store(log + 28, sums[1]);
    for (size_t frame = 0; frame < index; frame++) {
        uint8_t *at = log + LOG_HEADER_BYTES + frame * LOG_FRAME_BYTES;
        const uint32_t head[] = {(uint32_t)frame + 1, (uint32_t)frame, 77, 78};
        for (size_t i = 0; i < 4; i++)
            store(at + 4 * i, head[i]);
        memset(at + LOG_FRAME_HEADER_BYTES, 'p', LOG_PAGE_BYTES);
        add(sums, at, 8);
        add(sums, at + LOG_FRAME_HEADER_BYTES, LOG_PAGE_BYTES);
        store(at + 16, sums[0]);
        store(at + 20, sums[1]);
        struct log_walk walked;
        assert(log_format_begin(&walked, log, NULL) == CODE_OK);
    }
    return log;
}
