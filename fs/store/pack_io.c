/* Records to and from a descriptor: see pack_io.h.  A record and its chunk go in one system call; what a
 * short read or write left over goes in the next one. */
#include "pack_io.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "chunk_store.h"

int pack_io_write_record(int fd, uint64_t offset, const uint8_t record[PACK_RECORD_BYTES], const void *chunk, size_t count)
{
    size_t done = 0, total = PACK_RECORD_BYTES + count;
    while (done < total) {
        struct iovec parts[2] = {{(void *)(uintptr_t)record, PACK_RECORD_BYTES}, {(void *)(uintptr_t)chunk, count}};
        struct iovec *first = parts;
        if (done < PACK_RECORD_BYTES) {
            parts[0].iov_base = (char *)parts[0].iov_base + done;
            parts[0].iov_len -= done;
        } else {
            first = parts + 1;
            parts[1].iov_base = (char *)parts[1].iov_base + (done - PACK_RECORD_BYTES);
            parts[1].iov_len = total - done;
        }
        ssize_t put = pwritev(fd, first, (int)(parts + 2 - first), (off_t)(offset + done));
        if (put < 0 && errno != EINTR)
            return errno;
        if (put > 0)
            done += (size_t)put;
    }
    return 0;
}

static enum code damaged(const struct chunk_address *address, const char *how, struct failure *why)
{
    return failure_set(why, CODE_CORRUPT, "reading a chunk: pack %u at %llu: %s", address->pack,
                       (unsigned long long)address->offset, how);
}

enum code pack_io_read_record(int fd, const struct chunk_address *address, void *out, struct failure *why)
{
    uint8_t record[PACK_RECORD_BYTES];
    size_t done = 0, total = PACK_RECORD_BYTES + address->bytes;
    while (done < total) {
        struct iovec parts[2] = {{record, PACK_RECORD_BYTES}, {out, address->bytes}};
        struct iovec *first = parts;
        if (done < PACK_RECORD_BYTES) {
            parts[0] = (struct iovec){record + done, PACK_RECORD_BYTES - done};
        } else {
            first = parts + 1;
            parts[1] = (struct iovec){(char *)out + (done - PACK_RECORD_BYTES), total - done};
        }
        ssize_t got = preadv(fd, first, (int)(parts + 2 - first), (off_t)(address->offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failure_set_errno(why, errno, "reading a chunk: pack %u at %llu", address->pack,
                                     (unsigned long long)address->offset);
        if (got == 0)
            return damaged(address, "the pack ends before it does", why);
        done += (size_t)got;
    }
    const struct pack_place place = {address->pack, address->offset};
    if (!pack_format_check_record(&place, record, out, address->bytes))
        return damaged(address, "the bytes there are not those that were stored", why);
    return CODE_OK;
}

enum code pack_io_read_unchecked(int fd, const struct chunk_address *address, void *out, struct failure *why)
{
    for (size_t done = 0; done < address->bytes;) {
        ssize_t got =
            pread(fd, (char *)out + done, address->bytes - done, (off_t)(address->offset + PACK_RECORD_BYTES + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failure_set_errno(why, errno, "reading a chunk: pack %u at %llu", address->pack,
                                     (unsigned long long)address->offset);
        if (got == 0)
            return damaged(address, "the pack ends before it does", why);
        done += (size_t)got;
    }
    return CODE_OK;
}

enum code pack_io_read(int fd, uint64_t offset, void *bytes, size_t count, struct failure *why)
{
    size_t done = 0;
    while (done < count) {
        ssize_t got = pread(fd, (char *)bytes + done, count - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failure_set_errno(why, errno, "it cannot be read");
        if (got == 0)
            return failure_set(why, CODE_CORRUPT, "it became shorter meanwhile");
        done += (size_t)got;
    }
    return CODE_OK;
}
