/* Rules that stand in for the runner's in tests of sessions and mounts:
 *
 *   jobs/ *.yaml      WATCH    refuses text that holds the word "bad"; remembers what settled and what was removed
 *   jobs/events       STREAM   the lines that the test says, and one for each thing that happened
 *   datasets/ * /size DERIVED  "<n> bytes" of the file `data` beside it
 */
#ifndef CYTOFS_TEST_RULES_H
#define CYTOFS_TEST_RULES_H

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>

#include "buffer.h"
#include "failure.h"

struct stream;
struct tree;

struct test_rules {
    struct tree *tree;
    pthread_mutex_t lock;   /* guards what follows */
    struct buffer happened; /* "settled jobs/a.yaml 12\n", "removed jobs/a.yaml\n" (by a viewer: "... by bob") in the order
                               of events */
    FILE *log;              /* gets the same lines, where not NULL */
    struct buffer said;     /* the stream's text */
    struct stream *streams; /* open ones */
};

MUST_CHECK enum code test_rules_add(struct test_rules *rules, struct tree *tree, FILE *log, struct failure *why);
void test_rules_destroy(struct test_rules *rules);

/* Appends one line to the stream and wakes its readers. */
void test_rules_say(struct test_rules *rules, const char *line);

/* A copy of what happened so far, the caller's to free. */
char *test_rules_happened(struct test_rules *rules);

#endif
