/* Asking for a passphrase on the terminal, without echo. */
#ifndef CYTOFS_PASSPHRASE_H
#define CYTOFS_PASSPHRASE_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"

#define PASSPHRASE_BYTES_MAX 1024

/* Fills text (NUL-terminated) from $CYTOFS_PASSPHRASE or, without it, from the terminal; with `twice` the terminal asks
 * again and compares.  CODE_INVALID: empty, too long, or the two differ; CODE_NOT_FOUND: neither variable nor terminal.
 * The caller wipes text with passphrase_wipe. */
MUST_CHECK enum code passphrase_ask(const char *prompt, bool twice, char text[PASSPHRASE_BYTES_MAX], struct failure *why);

/* The same for another passphrase in place of one: twice from the terminal, or from $CYTOFS_NEW_PASSPHRASE. */
MUST_CHECK enum code passphrase_ask_new(char text[PASSPHRASE_BYTES_MAX], struct failure *why);

/* A line from the terminal, without echo, whatever the environment says. */
MUST_CHECK enum code passphrase_read_terminal(const char *prompt, char text[PASSPHRASE_BYTES_MAX], struct failure *why);

void passphrase_wipe(char text[PASSPHRASE_BYTES_MAX]);

#endif
