/* The lab's issuing key and what it has issued for the server, made when first needed.
 *
 * The lab's certificate is a record that every member may know.  The two private keys are a record in the home of the member
 * who first served the lab: sealed with a key that this member alone holds (and, in the first member's home, the recovery
 * key), so neither a stolen disk nor another member with a copy of the store can issue a certificate.  They go with that
 * home when it is deleted: then new ones are made, and members on other machines join anew.  FORMAT.md.
 */
#ifndef CYTOFS_AUTHORITY_H
#define CYTOFS_AUTHORITY_H

#include "wire_link.h"

struct tree;

struct authority {
    struct buffer lab_key;          /* issues certificates */
    struct wire_credentials server; /* the server's own, with the lab's certificate */
};

/* Reads it, or makes it in the home of the tree's own member.  CODE_DENIED where another member holds it. */
MUST_CHECK enum code authority_open(struct tree *tree, struct authority *out, struct failure *why);

/* The lab's certificate alone, for which no private key is needed; made with the rest where there is none. */
MUST_CHECK enum code authority_certificate(struct tree *tree, struct buffer *lab_certificate, struct failure *why);

void authority_free(struct authority *authority); /* and wipes */
void authority_free_credentials(struct wire_credentials *credentials);

/* The text of the record; and from it: CODE_CORRUPT.  `server.lab_certificate` is not part of it. */
void authority_print(const struct authority *authority, struct buffer *out);
MUST_CHECK enum code authority_parse(const void *text, size_t count, struct authority *out, struct failure *why);

#endif
