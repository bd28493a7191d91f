/* The channels: see session_channel.h.
 *
 * The end of a channel is told to libfuse as ENODEV, as the kernel does after an unmount.  A socket peer may send messages
 * longer than our buffer; such a message is cut by the kernel, so it is answered by ending the session.
 *
 * libfuse 3.14 speaks protocol 7.31 but never asks for three things that kernels offer, so their flags are set in the answer
 * to INIT as it passes (older kernels ignore what they do not know): parallel operations in one folder (since 7.25), which
 * the tree allows; that we take the set-uid and set-gid bits of a file that somebody without privilege changes (7.33),
 * without which the kernel asks for the attribute security.capability before each write; and shared maps of files that are
 * open for direct I/O, as those opened with O_APPEND are (7.39).  A kernel that offers the last one also drops the pages of
 * what is written past its cache, so that files may be written like that which others read through it (session_files.c). */
#include "session_channel.h"

#include <errno.h>
#include <linux/fuse.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "logging.h"
#include "session_state.h"

#define FLAGS2_DIRECT_IO_ALLOW_MMAP (1u << 4) /* FUSE_DIRECT_IO_ALLOW_MMAP >> 32, of newer headers */

static void trace_request(const struct fuse_in_header *header, ssize_t length)
{
    if (length >= (ssize_t)sizeof *header)
        logging_trace(TRACE_SESSION, "request %llu: opcode %u, node %llu, %u bytes", (unsigned long long)header->unique,
                      header->opcode, (unsigned long long)header->nodeid, header->len);
}

static void trace_reply(const struct fuse_out_header *header)
{
    logging_trace(TRACE_SESSION, "reply %llu: error %d, %u bytes", (unsigned long long)header->unique, header->error,
                  header->len);
}

/* What the kernel says of itself in INIT that the library does not look at. */
static void note_abilities(struct session_channel *channel, const void *message, ssize_t length)
{
    const struct fuse_in_header *header = message;
    const struct fuse_init_in *init = (const void *)(header + 1);
    if (length < (ssize_t)(sizeof *header + sizeof *init) || header->opcode != FUSE_INIT)
        return;
    atomic_store(&channel->drops_pages, init->flags & FUSE_INIT_EXT && init->flags2 & FLAGS2_DIRECT_IO_ALLOW_MMAP);
}

static ssize_t read_device(int fd, void *bytes, size_t size, void *session)
{
    struct session_channel *channel = &((struct session *)session)->channel;
    ssize_t got = read(fd, bytes, size);
    trace_request(bytes, got);
    if (!atomic_load_explicit(&channel->greeted, memory_order_relaxed))
        note_abilities(channel, bytes, got);
    return got;
}

static ssize_t read_socket(int fd, void *bytes, size_t size, void *session)
{
    struct session_channel *channel = &((struct session *)session)->channel;
    ssize_t got = recv(fd, bytes, size, MSG_TRUNC);
    if (got == 0 || (got < 0 && errno == ECONNRESET) || got > (ssize_t)size) {
        errno = ENODEV;
        return -1;
    }
    trace_request(bytes, got);
    if (!atomic_load_explicit(&channel->greeted, memory_order_relaxed))
        note_abilities(channel, bytes, got);
    return got;
}

static void ask_for_more(struct session_channel *channel, const struct iovec *parts, int count)
{
    if (atomic_exchange(&channel->greeted, true) || count < 2 || parts[1].iov_len < sizeof(struct fuse_init_out))
        return;
    struct fuse_init_out *answer = parts[1].iov_base;
    answer->max_pages = (uint16_t)(SESSION_WRITE_MAX / (uint32_t)sysconf(_SC_PAGESIZE)); /* of what is read, too */
    answer->flags |= FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_INIT_EXT;
    answer->flags2 |= FLAGS2_DIRECT_IO_ALLOW_MMAP;
}

static ssize_t write_device(int fd, struct iovec *parts, int count, void *session)
{
    ask_for_more(&((struct session *)session)->channel, parts, count);
    trace_reply(parts[0].iov_base);
    return writev(fd, parts, count);
}

static ssize_t write_socket(int fd, struct iovec *parts, int count, void *session)
{
    ask_for_more(&((struct session *)session)->channel, parts, count);
    trace_reply(parts[0].iov_base);
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* Nobody reads from a fed channel. */
static ssize_t read_nothing(int fd, void *bytes, size_t size, void *session)
{
    (void)fd;
    (void)bytes;
    (void)size;
    (void)session;
    errno = ENODEV;
    return -1;
}

static ssize_t write_peer(int fd, struct iovec *parts, int count, void *session)
{
    (void)fd;
    struct session_channel *channel = &((struct session *)session)->channel;
    const struct fuse_out_header *header = parts[0].iov_base;
    ask_for_more(channel, parts, count);
    trace_reply(header);
    if (!atomic_load(&channel->silent))
        channel->peer.send(channel->peer.context, parts, count);
    return header->len;
}

enum code session_channel_attach(struct session_channel *channel, struct fuse_session *fuse, struct failure *why)
{
    static const struct fuse_custom_io device = {.read = read_device, .writev = write_device};
    static const struct fuse_custom_io socket = {.read = read_socket, .writev = write_socket};
    static const struct fuse_custom_io peer = {.read = read_nothing, .writev = write_peer};
    const struct fuse_custom_io *io = channel->mountpoint ? &device : channel->peer.send ? &peer : &socket;
    int error = fuse_session_custom_io(fuse, io, channel->fd);
    if (error)
        return failure_set_errno(why, -error, "attaching the channel to the FUSE library");
    return CODE_OK;
}

void session_channel_shut(struct session_channel *channel)
{
    if (!channel->mountpoint && !channel->peer.send)
        shutdown(channel->fd, SHUT_RDWR);
}
