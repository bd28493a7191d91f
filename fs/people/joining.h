/* What is said when somebody joins: one question with the invitation's secret and the public halves of the new keys, one
 * answer with the certificate.  Both go over TLS to a server that the invitation's fingerprint has vouched for.  FORMAT.md
 * draws them.
 */
#ifndef CYTOFS_JOINING_H
#define CYTOFS_JOINING_H

#include "buffer.h"
#include "invite.h"
#include "member_role.h"

struct joining_question {
    char name[MEMBER_NAME_MAX + 1];
    uint8_t secret[INVITE_SECRET_BYTES];
    struct member_public member;
    struct buffer link_key; /* public half of the certificate's key, PEM; buffer_free */
};

struct joining_answer {
    enum member_role role;
    struct buffer certificate, lab_certificate; /* PEM */
};

void joining_write_question(const struct joining_question *question, struct buffer *out);
void joining_write_answer(const struct joining_answer *answer, struct buffer *out);

/* Pure: take any bytes.  CODE_INVALID; CODE_NEWER_FORMAT.  The buffers must be empty, and are the caller's also after a
 * failure. */
MUST_CHECK enum code joining_read_question(const void *text, size_t count, struct joining_question *out,
                                           struct failure *why);
MUST_CHECK enum code joining_read_answer(const void *text, size_t count, struct joining_answer *out, struct failure *why);

#endif
