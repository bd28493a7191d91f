/* A run's events as the node sees them: see run_journal.h and the table in runner/README.md.  The node's thread. */
#include "run_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer.h"
#include "file.h"
#include "run_state.h"
#include "scope.h"
#include "timing.h"

enum code run_journal_append(const char *folder, struct run_event event, struct failure *why)
{
    SCOPE_BUFFER line = {0};
    event.ms = timing_wall_ms();
    run_event_format(&event, &line);
    enum code code = buffer_check(&line, "a line of events", why);
    if (code != CODE_OK)
        return code;
    SCOPE_FREE char *path = file_join(folder, "events");
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
    SCOPE_CLOSE int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", path);
    ssize_t put = write(fd, line.data, line.length);
    if (put >= 0 && (size_t)put != line.length)
        return failure_set(why, CODE_IO, "%s: only part of a line could be written", path);
    if (put < 0 || fsync(fd) != 0)
        return failure_set_errno(why, errno, "%s: cannot be written", path);
    return CODE_OK;
}

enum code run_journal_read(const char *folder, struct run_summary *out, struct failure *why)
{
    SCOPE_BUFFER text = {0};
    SCOPE_FREE char *path = file_join(folder, "events");
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", folder);
    struct statx status; /* the server has written, too: the kernel shall ask it for the size, not its cache */
    statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &status);
    enum code code = file_read(path, RUN_EVENTS_BYTES_MAX, &text, why);
    if (code == CODE_OK)
        run_summary_fold(buffer_text(&text), text.length, out);
    return code;
}
