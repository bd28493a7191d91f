/* Threads of the program's own, which no signal interrupts: signals are for the thread that waits for them. */
#ifndef CYTOFS_THREAD_H
#define CYTOFS_THREAD_H

#include <pthread.h>
#include <signal.h>

#include "failure.h"

/* what: what it is for, "a thread that ..." */
MUST_CHECK static inline enum code thread_start(pthread_t *thread, void *(*run)(void *), void *context, const char *what,
                                                struct failure *why)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? failure_set_errno(why, error, "starting %s", what) : CODE_OK;
}

#endif
