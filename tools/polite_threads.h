/* Threads that wait by sleeping. */
#ifndef CYTOFS_POLITE_THREADS_H
#define CYTOFS_POLITE_THREADS_H

/* Starts this program anew, once, with GOMP_SPINCOUNT set, unless the user has chosen how OpenMP waits.  Call it before
 * anything else: argv is that of main.  Comes back where there is nothing to do, or where it cannot be done. */
void polite_threads_ensure(char **argv);

#endif
