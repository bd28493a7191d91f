/* Inside fs/wire: one connection's bytes, over TLS 1.3 with certificates of both sides, or plain over a UNIX socket.  Never
 * blocks. */
#ifndef CYTOFS_WIRE_CHANNEL_H
#define CYTOFS_WIRE_CHANNEL_H

#include <stdbool.h>
#include <sys/types.h>

#include "wire_link.h"

struct wire_context; /* credentials, ready for use */
struct wire_channel;

enum wire_want { WIRE_NOTHING, WIRE_READ = 1, WIRE_WRITE = 2 }; /* poll for that before going on */

/* server: certificates are asked for, and one that is given must be the lab's.  At the workstation credentials NULL make a
 * context that takes any server: whoever uses it looks at wire_channel_check_root before saying anything. */
MUST_CHECK enum code wire_context_make(const struct wire_credentials *credentials, bool server, struct wire_context **out,
                                       struct failure *why);
void wire_context_destroy(struct wire_context *context);

/* Takes over the connected, non-blocking socket, also where it fails.  context NULL: plain. */
MUST_CHECK enum code wire_channel_open(struct wire_context *context, int fd, bool server, struct wire_channel **out,
                                       struct failure *why);
void wire_channel_close(struct wire_channel *channel); /* and frees */

/* CODE_OK once both sides know each other; CODE_AGAIN with *want. */
MUST_CHECK enum code wire_channel_greet(struct wire_channel *channel, enum wire_want *want, struct failure *why);

/* Who is there, after the greeting; name "" without a certificate. */
const struct certificate_holder *wire_channel_holder(const struct wire_channel *channel);

/* Whether the server's certificate comes from a lab with this fingerprint. */
MUST_CHECK enum code wire_channel_check_root(struct wire_channel *channel,
                                             const uint8_t lab_fingerprint[CERTIFICATE_FINGERPRINT_BYTES],
                                             struct failure *why);

/* Bytes moved in *moved (at least 1), else CODE_AGAIN with *want, CODE_NO_DATA at the end, CODE_IO. */
MUST_CHECK enum code wire_channel_read(struct wire_channel *channel, void *bytes, size_t count, size_t *moved,
                                       enum wire_want *want, struct failure *why);
MUST_CHECK enum code wire_channel_write(struct wire_channel *channel, const void *bytes, size_t count, size_t *moved,
                                        enum wire_want *want, struct failure *why);

/* Whether bytes were taken from the socket and not read yet: poll(2) knows nothing of them. */
bool wire_channel_holds(const struct wire_channel *channel);

int wire_channel_fd(const struct wire_channel *channel);

#endif
