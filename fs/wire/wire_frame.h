/* Inside fs/wire: frames, the unit of what goes over a connection.  Layouts: PROTOCOL.md.  Pure. */
#ifndef CYTOFS_WIRE_FRAME_H
#define CYTOFS_WIRE_FRAME_H

#include "wire_link.h"

#define WIRE_VERSION          1
#define WIRE_FRAME_HEAD_BYTES 8 /* length of what follows (4), kind (1), zero (3) */
#define WIRE_FRAME_MAX        (WIRE_FRAME_HEAD_BYTES + WIRE_MESSAGE_MAX)
#define WIRE_ASK_MAX          (16 << 10)
#define WIRE_TEXT_MAX         1000
#define WIRE_HELLO_BYTES      40
#define WIRE_WELCOME_BYTES    40
#define WIRE_ACK_BYTES        8

enum wire_kind {
    WIRE_HELLO = 1, /* workstation: this version, this link (or a new one), so much received */
    WIRE_WELCOME,   /* server: the same from the other side */
    WIRE_REFUSED,   /* server: why there will be no link, or no longer; then it closes */
    WIRE_MESSAGE,   /* counted, kept until acknowledged */
    WIRE_ACK,       /* so many messages received */
    WIRE_PING,      /* still here */
    WIRE_ASK,       /* in place of HELLO, without a certificate */
    WIRE_ANSWER,
    WIRE_BYE, /* that was all: the link ends */
    WIRE_KIND_COUNT
};

struct wire_frame {
    enum wire_kind kind;
    const uint8_t *bytes; /* what follows the head */
    size_t length;
};

/* Takes one frame from the front of `count` bytes: CODE_OK with its whole size in *taken; CODE_AGAIN where it is not there
 * whole; CODE_CORRUPT where it can never be one.  The frame's length fits its kind. */
MUST_CHECK enum code wire_frame_take(const uint8_t *bytes, size_t count, struct wire_frame *out, size_t *taken,
                                     struct failure *why);

void wire_frame_put_head(uint8_t head[WIRE_FRAME_HEAD_BYTES], enum wire_kind kind, size_t length);

#define WIRE_GIVEN_UP UINT64_MAX

/* HELLO and WELCOME. */
struct wire_greeting {
    uint16_t version;
    bool resumed;                        /* WELCOME: the link is known, numbering goes on */
    uint8_t session[WIRE_SESSION_BYTES]; /* HELLO: zeros for a new link */
    uint64_t received; /* messages, of this link; WIRE_GIVEN_UP in a HELLO: its owner's memory of it is gone */
};

/* CODE_NEWER_FORMAT where the other speaks another version, with both in the text. */
MUST_CHECK enum code wire_frame_read_greeting(const struct wire_frame *frame, struct wire_greeting *out,
                                              struct failure *why);
void wire_frame_write_greeting(const struct wire_greeting *greeting, enum wire_kind kind,
                               uint8_t frame[WIRE_FRAME_HEAD_BYTES + WIRE_HELLO_BYTES]);

/* REFUSED: the words, as a failure with a code that says whether trying again makes sense (CODE_DENIED, or CODE_AGAIN,
 * CODE_NEWER_FORMAT). */
enum code wire_frame_read_refusal(const struct wire_frame *frame, struct failure *why);
size_t wire_frame_write_refusal(enum code code, const char *text, uint8_t frame[WIRE_FRAME_HEAD_BYTES + 4 + WIRE_TEXT_MAX]);

#endif
