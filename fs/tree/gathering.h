/* Whether those who wait for the disk should wait a moment longer, for others to share the sync with.
 *
 * Programs that sync after each write come again as soon as they were told.  If the first of them has the disk sync for
 * himself, the others wait for that and for their own; if he waits for them, one sync does for all.  How many will come
 * shows after each sync: those that it was for, and those that came while it lasted.  That is only a guess: where they do
 * not come, syncs begin at once again for a while, the longer the more often it was wrong.  (Databases call it group commit,
 * and wait for a fixed time; the journal of ext4 waits as long as a sync takes.)
 */
#ifndef CYTOFS_GATHERING_H
#define CYTOFS_GATHERING_H

#include <stdbool.h>
#include <stdint.h>

#define GATHERING_SKIPS_MAX 64

/* How long nobody comes before those who are expected are given up: a few system calls of theirs, and about what a fast disk
 * takes for a sync; and as long as they have always come, longer, since looking costs the processor's time as well. */
#define GATHERING_PATIENCE_NS       150000
#define GATHERING_LONG_PATIENCE_NS  1000000
#define GATHERING_LONG_PATIENCE_MIN 16

struct gathering { /* all 0: nobody is expected */
    unsigned expected;
    unsigned skips;   /* so many syncs wait for nobody */
    unsigned penalty; /* as many will, when the next wait was in vain */
    unsigned kept;    /* syncs for which all came who were expected, in a row */
};

/* Whether a sync for those that wait, 1 or more, should begin now. */
bool gathering_is_complete(const struct gathering *gathering, unsigned waiting);

/* GATHERING_PATIENCE_NS or GATHERING_LONG_PATIENCE_NS. */
int64_t gathering_patience_ns(const struct gathering *gathering);

/* A sync for `taken` has ended, while which `came` others began to wait.  in_vain: it began since nobody came any more,
 * though more were expected. */
void gathering_synced(struct gathering *gathering, unsigned taken, unsigned came, bool in_vain);

#endif
