/* A command that goes on in the background once it is ready: the user waits, and sees what became of it. */
#ifndef CYTOFS_BACKGROUND_H
#define CYTOFS_BACKGROUND_H

#include <stdbool.h>

#include "command.h"
#include "failure.h"

/* What the process in the background tells the one that the user waits for, once. */
struct background {
    int pipe; /* written to; -1 in the foreground, or when it was told */
};

typedef int background_body(void *context, struct background *self);

/* Runs the body in a child that forks off before anything has threads, and returns the exit status when the body has said
 * how it is; or, in the foreground, in this process, and returns what it returns. */
int background_run(const struct command *command, bool foreground, background_body *body, void *context);

/* In the body, when everything can still be refused on the terminal: from now on output goes to the log
 * ~/.local/state/cytofs/NAME.log ($XDG_STATE_HOME/cytofs), and the process leaves its terminal.  In the foreground it does
 * nothing. */
MUST_CHECK enum code background_leave(struct background *self, const char *name, struct failure *why);

/* Ready: the text is what the user sees on standard output. */
void background_ready(struct background *self, const char *text);

/* Not, or no longer: tells the user, or, after background_ready, the log.  Returns the exit status. */
int background_fail(struct background *self, const struct command *command, const struct failure *why);

#endif
