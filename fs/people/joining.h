/* What is said when somebody joins: one question with the invitation's secret and the public halves of the new keys, one answer with
 * the certificate.  Both go over TLS to a server that the invitation's fingerprint has vouched for.  FORMAT.md draws them.
 */
#ifndef CYTOFS_JOINING_H
#define CYTOFS_JOINING_H

#include "buffer.h"
#include "invite.h"
#include "member_role.h"

#define JOINING_BYTES_MAX     16384
#define JOINING_WIREGUARD_MAX 2048 /* bytes of a configuration */
#define WIREGUARD_KEY_BYTES   32

struct joining_question {
    char name[MEMBER_NAME_MAX + 1];
    uint8_t secret[INVITE_SECRET_BYTES];
    struct member_public member;
    bool wants_wireguard;
    uint8_t wireguard_key[WIREGUARD_KEY_BYTES]; /* the workstation's public one */
    struct buffer link_key;                     /* public half of the certificate's key, PEM; buffer_free */
};

struct joining_answer {
    enum member_role role;
    struct buffer certificate, lab_certificate; /* PEM */
    struct buffer wireguard;                    /* a configuration without its private key, or empty */
};

void joining_write_question(const struct joining_question *question, struct buffer *out);
void joining_write_answer(const struct joining_answer *answer, struct buffer *out);

/* Pure: take any bytes.  CODE_INVALID; CODE_NEWER_FORMAT.  The buffers must be empty, and are the caller's also after a failure. */
MUST_CHECK enum code joining_read_question(const void *text, size_t count, struct joining_question *out, struct failure *why);
MUST_CHECK enum code joining_read_answer(const void *text, size_t count, struct joining_answer *out, struct failure *why);

#endif
