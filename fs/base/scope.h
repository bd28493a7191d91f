/* Scope cleanup.  A variable declared with one of these is released when its scope ends, on every path.
 *
 *     SCOPE_FREE char *text = NULL;      free()
 *     SCOPE_CLOSE int fd = -1;           close(), unless negative
 *     SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&mutex);
 */
#ifndef CYTOFS_SCOPE_H
#define CYTOFS_SCOPE_H

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define SCOPE_FREE   __attribute__((cleanup(scope_free_pointer)))
#define SCOPE_CLOSE  __attribute__((cleanup(scope_close_fd)))
#define SCOPE_UNLOCK __attribute__((cleanup(scope_unlock_mutex), unused)) /* it is only held */

static inline void scope_free_pointer(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

static inline void scope_close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline pthread_mutex_t *scope_lock(pthread_mutex_t *mutex)
{
    pthread_mutex_lock(mutex);
    return mutex;
}

static inline void scope_unlock_mutex(pthread_mutex_t **mutex)
{
    if (*mutex)
        pthread_mutex_unlock(*mutex);
}

#endif
