/* Long work on a lab that is started by writing into a file of lab/ and followed by reading it.
 *
 * The file is a control file (rule.h).  What is written is one line: what to do, or "stop".  What is read:
 *
 *     state   idle | working | done | incomplete | failed
 *     done    120            of
 *     all     300            with their unit; 0 while unknown
 *     unit    MB
 *     said    ...            any number of lines: what came out, or why not
 *
 * One piece of work at a time and file, in a thread of its own; a second is refused while the first is at work. */
#ifndef CYTOFS_LAB_TASK_H
#define CYTOFS_LAB_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"

#define LAB_TASK_LINE_MAX 4096 /* bytes of what is written */

struct buffer;
struct lab_task;
struct tree;

struct lab_task_work {
    const char *path; /* "lab/backup" */
    const char *unit; /* of progress */
    const char *help; /* said while nothing was asked for yet: what can be written */

    /* Looks at the line (without its end), and answers the write.  Quick; no file of the lab itself may be touched. */
    enum code (*check)(void *context, const char *line, struct failure *why);
    /* The work, in the task's thread. */
    enum code (*run)(void *context, const char *line, struct lab_task *task, struct failure *why);
    /* Handles a line that changes how the work is done, at any moment; true where it was one.  May be NULL. */
    bool (*adjust)(void *context, const char *line);
    /* Appends lines "key value" about what the file stands for, at each reading.  May be NULL. */
    void (*describe)(void *context, struct buffer *out);
    void *context;
};

/* Adds the file to a tree that is not served yet.  *work is copied. */
MUST_CHECK enum code lab_task_add(struct tree *tree, const struct lab_task_work *work, struct lab_task **out,
                                  struct failure *why);

/* What writing the line into the file does. */
MUST_CHECK enum code lab_task_start(struct lab_task *task, const char *line, struct failure *why);

/* Asks what is at work to stop and waits for it; nothing is begun any more.  Before the tree is closed.  NULL is fine. */
void lab_task_stop(struct lab_task *task);
void lab_task_destroy(struct lab_task *task); /* after the tree was closed */

/* For `run`: how far it is; false when it is to stop (then it returns CODE_INTERRUPTED). */
bool lab_task_progress(struct lab_task *task, uint64_t done, uint64_t all);
void lab_task_say(struct lab_task *task, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What was wanted is done as far as it can be, and something is amiss: the state is "incomplete". */
void lab_task_mark_incomplete(struct lab_task *task);

#endif
