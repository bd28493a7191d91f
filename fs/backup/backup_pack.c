/* Copying packs: see backup_pack.h.  The source is walked as a check walks it (pack_walk.h); each whole record is read once
 * more, now from memory, checked again as the bytes that are about to be written, and compared with what the copy holds.
 *
 * Runs in one thread; holds no lock; memory: one record, twice. */
#include "backup_pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chunk_store.h"
#include "pack_io.h"
#include "pack_walk.h"
#include "scope.h"

#define RECORD_BYTES_MAX (PACK_RECORD_BYTES + CHUNK_STORE_BYTES_MAX)
#define RAW_STEP_BYTES   ((size_t)1 << 20)
#define TAIL_BYTES       4096

struct work {
    const struct backup_pack_copy *copy;
    int from, to;
    uint64_t held;          /* bytes that the copy had when this began */
    uint8_t *bytes, *there; /* RECORD_BYTES_MAX each */
    uint64_t sound, written;
    bool was_damaged;
    enum code code; /* of what ended the walk */
    struct failure *why;
};

static enum code write_all(const struct work *work, uint64_t offset, const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        ssize_t put = pwrite(work->to, bytes, count, (off_t)offset);
        if (put < 0 && errno != EINTR)
            return failure_set_errno(work->why, errno, "%s: cannot be written", work->copy->to);
        if (put > 0) {
            bytes += put;
            offset += (uint64_t)put;
            count -= (size_t)put;
        }
    }
    return CODE_OK;
}

/* Writes what differs from what the copy holds. */
static enum code write_if_new(struct work *work, uint64_t offset, size_t count)
{
    if (offset + count <= work->held && pack_io_read(work->to, offset, work->there, count, NULL) == CODE_OK &&
        memcmp(work->bytes, work->there, count) == 0)
        return CODE_OK;
    work->written += count;
    return write_all(work, offset, work->bytes, count);
}

static enum code copy_record(struct work *work, const struct chunk_address *address)
{
    size_t count = PACK_RECORD_BYTES + address->bytes;
    enum code code = pack_io_read(work->from, address->offset, work->bytes, count, work->why);
    if (code != CODE_OK)
        return failure_wrap(work->why, code, "%s", work->copy->from);
    const struct pack_place place = {work->copy->header.number, address->offset};
    if (!pack_format_check_record(&place, work->bytes, work->bytes + PACK_RECORD_BYTES, address->bytes))
        return failure_set(work->why, CODE_IO, "%s: changes while it is read: check the disk", work->copy->from);
    code = write_if_new(work, address->offset, count);
    if (code == CODE_OK && !work->was_damaged)
        work->sound = address->offset + count;
    return code;
}

/* Bytes without a whole record. */
static enum code copy_raw(struct work *work, uint64_t offset, uint64_t bytes)
{
    enum code code = CODE_OK;
    for (uint64_t done = 0; code == CODE_OK && done < bytes;) {
        size_t step = bytes - done < RAW_STEP_BYTES ? (size_t)(bytes - done) : RAW_STEP_BYTES;
        /* A source that is too short, or a block that the disk cannot read, is zeros. */
        if (pack_io_read(work->from, offset + done, work->bytes, step, NULL) != CODE_OK)
            memset(work->bytes, 0, step);
        code = write_if_new(work, offset + done, step);
        done += step;
    }
    if (code == CODE_OK)
        code = work->copy->damaged(work->copy->context, work->to, offset, bytes, work->why);
    work->was_damaged = true;
    return code;
}

static bool visit(void *context, const struct chunk_address *address, enum code found)
{
    struct work *work = context;
    uint64_t bytes = address->bytes + (found == CODE_OK ? PACK_RECORD_BYTES : 0);
    work->code = found == CODE_OK ? copy_record(work, address) : copy_raw(work, address->offset, bytes);
    if (work->code == CODE_OK && !work->copy->progress(work->copy->context, bytes))
        work->code = failure_set(work->why, CODE_INTERRUPTED, "copying was stopped");
    return work->code == CODE_OK;
}

/* A block that the disk cannot read is damage like any other. */
static enum code read_source(void *context, uint64_t offset, void *bytes, size_t count, struct failure *why)
{
    (void)why;
    const struct work *work = context;
    if (pack_io_read(work->from, offset, bytes, count, NULL) != CODE_OK)
        memset(bytes, 0, count);
    return CODE_OK;
}

static enum code copy_header(struct work *work)
{
    uint8_t found[PACK_HEADER_BYTES];
    struct pack_header header;
    pack_format_write_header(&work->copy->header, work->bytes);
    enum code code = write_if_new(work, 0, PACK_HEADER_BYTES);
    if (code == CODE_OK && (pack_io_read(work->from, 0, found, sizeof found, NULL) != CODE_OK ||
                            pack_format_read_header(found, &header, NULL) != CODE_OK))
        return work->copy->damaged(work->copy->context, work->to, 0, PACK_HEADER_BYTES, work->why);
    if (code == CODE_OK && memcmp(work->bytes, found, sizeof found) != 0)
        return failure_set(work->why, CODE_CORRUPT, "%s: is a pack of another store, or has another's name",
                           work->copy->from);
    return code;
}

static enum code open_files(struct work *work, struct failure *why)
{
    const struct backup_pack_copy *copy = work->copy;
    struct stat status;
    work->from = open(copy->from, O_RDONLY | O_CLOEXEC);
    if (work->from < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", copy->from);
    work->to = open(copy->to, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (work->to < 0 || fstat(work->to, &status) != 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", copy->to);
    work->held = (uint64_t)status.st_size;
    work->bytes = malloc(RECORD_BYTES_MAX);
    work->there = malloc(RECORD_BYTES_MAX);
    return work->bytes && work->there ? CODE_OK : failure_set(why, CODE_NO_MEMORY, "copying a pack: out of memory");
}

static void close_files(struct work *work)
{
    /* What was read once is not read again soon: it must not push others' pages out. */
    if (work->from >= 0)
        posix_fadvise(work->from, 0, 0, POSIX_FADV_DONTNEED);
    if (work->from >= 0)
        close(work->from);
    if (work->to >= 0)
        close(work->to);
    free(work->bytes);
    free(work->there);
}

static enum code copy_records(struct work *work, uint64_t start)
{
    const struct pack_source source = {.number = work->copy->header.number,
                                       .from = start,
                                       .bytes = work->copy->bytes,
                                       .context = work,
                                       .read = read_source};
    work->sound = start;
    enum code code = pack_walk(&source, visit, work, work->why);
    return code == CODE_OK ? work->code : code;
}

enum code backup_pack_copy(const struct backup_pack_copy *copy, uint64_t *sound, uint64_t *written, struct failure *why)
{
    struct work work = {.copy = copy, .from = -1, .to = -1, .why = why};
    uint64_t start = copy->trusted > PACK_HEADER_BYTES ? copy->trusted : PACK_HEADER_BYTES;
    enum code code = open_files(&work, why);
    if (code == CODE_OK && work.held < start)
        start = PACK_HEADER_BYTES; /* somebody cut the copy: all of it is looked at again */
    if (code == CODE_OK && start == PACK_HEADER_BYTES)
        code = copy_header(&work);
    else if (code == CODE_OK)
        copy->progress(copy->context, start);
    if (code == CODE_OK && start < copy->bytes)
        code = copy_records(&work, start);
    else
        work.sound = start;
    if (code == CODE_OK && work.written && fdatasync(work.to) != 0)
        code = failure_set_errno(why, errno, "%s: cannot be written", copy->to);
    close_files(&work);
    *sound = work.sound < copy->bytes ? work.sound : copy->bytes;
    *written = work.written;
    return code;
}

/* Whose history ------------------------------------------------------------------------------------------------------ */

struct damage_search {
    uint64_t from; /* damage that ends behind this matters */
    bool found;
};

static bool look_for_damage(void *context, const struct chunk_address *address, enum code code)
{
    struct damage_search *search = context;
    search->found |= code != CODE_OK && address->offset + address->bytes > search->from;
    return !search->found;
}

static enum code read_fd(void *context, uint64_t offset, void *bytes, size_t count, struct failure *why)
{
    (void)why;
    if (pack_io_read(*(int *)context, offset, bytes, count, NULL) != CODE_OK)
        memset(bytes, 0, count);
    return CODE_OK;
}

/* Whether the last bytes before `end` of the pack are damaged. */
static enum code tail_is_damaged(int fd, uint32_t number, uint64_t from, uint64_t end, bool *out, struct failure *why)
{
    struct damage_search search = {.from = from};
    const struct pack_source source = {.number = number, .bytes = end, .context = &fd, .read = read_fd};
    enum code code = pack_walk(&source, look_for_damage, &search, why);
    *out = search.found;
    return code;
}

enum code backup_pack_same(const struct backup_pack_copy *copy, uint64_t bytes, bool *same, struct failure *why)
{
    uint8_t tails[2][TAIL_BYTES];
    SCOPE_CLOSE int from = open(copy->from, O_RDONLY | O_CLOEXEC);
    SCOPE_CLOSE int to = open(copy->to, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *same = true;
    if (from < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", copy->from);
    if (to < 0)
        return CODE_OK; /* there is nothing that could differ */
    uint64_t start = bytes > TAIL_BYTES + PACK_HEADER_BYTES ? bytes - TAIL_BYTES : PACK_HEADER_BYTES;
    if (bytes <= start)
        return CODE_OK;
    size_t count = (size_t)(bytes - start);
    bool readable = pack_io_read(from, start, tails[0], count, NULL) == CODE_OK &&
                    pack_io_read(to, start, tails[1], count, NULL) == CODE_OK;
    if (readable && memcmp(tails[0], tails[1], count) == 0)
        return CODE_OK;
    bool damaged = false;
    struct stat status;
    /* A pack that is shorter than its copy went another way after it was put back, unless it lost its end. */
    uint64_t end = fstat(from, &status) == 0 && (uint64_t)status.st_size < bytes ? (uint64_t)status.st_size : bytes;
    enum code code = tail_is_damaged(from, copy->header.number, end > start ? start : 0, end, &damaged, why);
    if (code == CODE_OK && !damaged)
        code = tail_is_damaged(to, copy->header.number, start, bytes, &damaged, why);
    *same = damaged;
    return code;
}
