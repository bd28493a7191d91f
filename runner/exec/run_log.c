/* The log: see run_log.h.
 *
 * Programs write in bits; each append to the lab costs a message, so bits are gathered for RUN_LOG_DELAY_MS or RUN_LOG_BATCH
 * bytes, whichever comes first.  Order is kept: there is one stream and one batch.  The last line is what a failed run is
 * explained with; a carriage return begins a line anew, as progress bars do.
 * The node's thread.
 */
#include "run_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "scope.h"
#include "timing.h"

#define READS_AT_ONCE 4 /* batches taken before others get their turn */

enum code run_log_open(struct run_log *log, const char *folder, struct failure *why)
{
    *log = (struct run_log){.fd = -1, .batch = {.max = 2 * RUN_LOG_BATCH}};
    SCOPE_FREE char *path = file_join(folder, "log");
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
    log->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (log->fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", path);
    return CODE_OK;
}

static void remember(struct run_log *log, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte != '\n' && byte != '\r') {
            if (log->line_length < RUN_LOG_LINE_MAX && (log->line_length > 0 || byte > ' '))
                log->line[log->line_length++] = byte < ' ' || byte == 0x7F ? ' ' : (char)byte;
            continue;
        }
        if (log->line_length > 0) {
            memcpy(log->last, log->line, log->line_length);
            log->last[log->line_length] = 0;
        }
        log->line_length = 0;
    }
}

enum code run_log_take(struct run_log *log, int output, bool *ended, struct failure *why)
{
    *ended = false;
    for (int i = 0; i < READS_AT_ONCE; i++) {
        char *end = buffer_reserve(&log->batch, RUN_LOG_BATCH);
        if (!end)
            return buffer_check(&log->batch, "log", why);
        ssize_t got = read(output, end, RUN_LOG_BATCH);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return CODE_OK;
        if (got <= 0) {
            *ended = true;
            return CODE_OK;
        }
        if (log->batch.length == 0)
            log->batch_since_ms = timing_monotonic_ms();
        remember(log, end, (size_t)got);
        log->batch.length += (size_t)got;
        enum code code = run_log_flush(log, false, why);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

static enum code append(struct run_log *log, const char *bytes, size_t count, struct failure *why)
{
    while (count > 0) {
        ssize_t put = write(log->fd, bytes, count);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return failure_set_errno(why, errno, "log: cannot be written");
        bytes += put;
        count -= (size_t)put;
    }
    return CODE_OK;
}

enum code run_log_flush(struct run_log *log, bool in_any_case, struct failure *why)
{
    if (log->batch.length == 0 || log->fd < 0)
        return CODE_OK;
    if (!in_any_case && log->batch.length < RUN_LOG_BATCH && run_log_due_ms(log) > 0)
        return CODE_OK;
    static const char notice[] = "\n[cytofs: the program wrote more than 256 MiB; the rest is not kept]\n";
    uint64_t before = log->written;
    enum code code = CODE_OK;
    log->written += log->batch.length;
    if (log->written <= RUN_LOG_BYTES_MAX)
        code = append(log, log->batch.data, log->batch.length, why);
    else if (before <= RUN_LOG_BYTES_MAX)
        code = append(log, notice, sizeof notice - 1, why);
    buffer_clear(&log->batch);
    return code;
}

int run_log_due_ms(const struct run_log *log)
{
    if (log->batch.length == 0)
        return -1;
    int64_t due = log->batch_since_ms + RUN_LOG_DELAY_MS - timing_monotonic_ms();
    return due < 0 ? 0 : (int)due;
}

const char *run_log_last_line(struct run_log *log)
{
    remember(log, "\n", 1);
    return log->last;
}

void run_log_close(struct run_log *log)
{
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
    buffer_free(&log->batch);
}
