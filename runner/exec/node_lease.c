/* The lease: see node_lease.h.
 *
 * One JSON object, overwritten in place and padded with blanks to a fixed size, so that a reader in between sees the old
 * text or the new one and never a longer text's tail.
 *
 * A node that was killed may leave its file behind for a moment: the server hears of the close a little later.  Opening that
 * same file would be wrong twice: the server would then not see the old life end, or, having seen it, remove the file of
 * the new one.  So a file that is there is unlinked first, by which the server calls the old life lost at once, and a new
 * one is made.  flock tells a dead holder from a living one on this machine: keepers hold the lease, too, until their
 * programs are gone (exec_keeper.c).
 * The node's thread.
 */
#include "node_lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer.h"
#include "file.h"
#include "scope.h"
#include "timing.h"

#define LEASE_BYTES 1024 /* the line of GPUs has at most 255 */
#define DYING_MS    6000 /* the keepers of a killed node need a moment to end its programs */

static void describe(const struct node_description *description, struct buffer *out)
{
    char host[256] = "";
    double load = 0;
    gethostname(host, sizeof host - 1);
    if (getloadavg(&load, 1) != 1)
        load = 0;
    buffer_append_text(out, "{\"version\":1,\"host\":");
    buffer_append_json(out, host);
    buffer_printf(out, ",\"pid\":%d,\"cpus\":%d,\"memory_bytes\":%llu,\"gpus\":%d,\"devices\":", (int)getpid(),
                  description->has.cpus, (unsigned long long)description->has.memory_bytes, description->has.gpus);
    buffer_append_json(out, description->devices ? description->devices : "");
    buffer_printf(out, ",\"load\":%.2f,\"cpus_used\":%d,\"memory_bytes_used\":%llu,\"gpus_used\":%d}", load,
                  description->used.cpus, (unsigned long long)description->used.memory_bytes, description->used.gpus);
    while (out->length < LEASE_BYTES - 1)
        buffer_append_text(out, " ");
    buffer_append_text(out, "\n");
}

enum code node_lease_refresh(int fd, const struct node_description *description, struct failure *why)
{
    SCOPE_BUFFER text = {0};
    describe(description, &text);
    enum code code = buffer_check(&text, "the node's description", why);
    if (code != CODE_OK)
        return code;
    ssize_t put = pwrite(fd, text.data, text.length, 0);
    if (put < 0)
        return failure_set_errno(why, errno, "lab/nodes/%s: cannot be written", description->name);
    if ((size_t)put != text.length)
        return failure_set(why, CODE_IO, "lab/nodes/%s: only part of it could be written", description->name);
    return CODE_OK;
}

bool node_lease_is_held(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_nlink > 0;
}

/* Removes what an earlier life left; CODE_BUSY where its holder lives. */
static enum code remove_leftover(const char *path, struct failure *why)
{
    SCOPE_CLOSE int opened = open(path, O_RDWR | O_CLOEXEC);
    if (opened < 0 && errno == ENOENT)
        return CODE_OK;
    if (opened < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", path);
    bool locked = false;
    for (int64_t until = timing_monotonic_ms() + DYING_MS; !locked && timing_monotonic_ms() < until;)
        if (!(locked = flock(opened, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK))
            usleep(20000);
    if (!locked)
        return failure_set(why, CODE_BUSY, "%s: a node of this name is at work already (give this one another with --name)",
                           path);
    if (unlink(path) != 0 && errno != ENOENT)
        return failure_set_errno(why, errno, "%s: cannot be removed", path);
    return CODE_OK;
}

enum code node_lease_take(const char *lab, const struct node_description *description, int *fd, struct failure *why)
{
    SCOPE_FREE char *folder = file_join(lab, "lab/nodes");
    SCOPE_FREE char *path = folder ? file_join(folder, description->name) : NULL;
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", lab);
    enum code code = remove_leftover(path, why);
    if (code != CODE_OK)
        return code;
    SCOPE_CLOSE int opened = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (opened < 0)
        return failure_set_errno(why, errno, "%s: the node cannot sign on (is a lab mounted at %s?)", path, lab);
    if (flock(opened, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return failure_set(why, CODE_BUSY, "%s: another node of this name is starting", path);
    code = node_lease_refresh(opened, description, why);
    if (code != CODE_OK)
        return code;
    *fd = opened;
    opened = -1;
    return CODE_OK;
}
