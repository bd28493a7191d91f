/* What stands between the wire and the FUSE library, which takes its peer for the kernel and believes every length, name and
 * flag.
 *
 * A message that passes is one that a kernel could have sent: its lengths are those of its opcode, its names are whole, its
 * numbers are in range.  Pure, but for the few fields of a message that are overwritten.
 */
#ifndef CYTOFS_MESSAGE_CHECK_H
#define CYTOFS_MESSAGE_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include <linux/fuse.h>

#include "failure.h"

#define MESSAGE_IO_MAX 1048576 /* bytes in one READ, WRITE or listing */

/* What is known of a checked message. */
struct message {
    uint32_t opcode;
    uint64_t unique; /* 0 where no answer is expected */
    uint64_t node;
    const void *body;               /* its fixed part */
    const char *name, *second_name; /* or NULL; with terminators */
    uint64_t second_node;           /* RENAME's folder, LINK's node, COPY_FILE_RANGE's; else 0 */
    uint32_t flags;                 /* OPEN, CREATE, OPENDIR, REOPEN: as open(2)'s; SETATTR: its FATTR_ bits; else 0 */
    uint64_t handle;                /* of operations on what is open; else 0 */
};

/* Checks a whole message, and puts the identity of this process in place of what it says of its sender.  INIT is cut to what
 * this program knows (*length with it); greeted: it has been carried out, so that another is refused, and anything else
 * before it. CODE_UNSUPPORTED: the opcode is not answered here (ENOSYS); CODE_INVALID: no kernel would send this;
 * out->unique is set in either case where the header was whole. */
MUST_CHECK enum code message_check(void *bytes, size_t *length, int greeted, struct message *out, struct failure *why);

/* "LOOKUP" ...; for texts; never NULL. */
const char *message_opcode_name(uint32_t opcode);

#endif
