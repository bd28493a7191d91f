/* Contexts per thread: see thread_contexts.h.
 *
 * `current` is the fast way to a thread's contexts; the pthread key exists for its destructor, which frees
 * them when the thread ends.  The algorithms are fetched under pthread_once and read-only from then on.
 */
#include "thread_contexts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "openssl_failure.h"

struct thread_algorithms thread_contexts_algorithms;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t owner;
static bool ready; /* everything that `once` set up is there */
static atomic_uint fork_generation;
static _Atomic uint64_t serials;
static _Thread_local struct thread_contexts *current;

static void free_contexts(void *contexts_of_thread)
{
    struct thread_contexts *contexts = contexts_of_thread;
    if (!contexts)
        return;
    EVP_CIPHER_CTX_free(contexts->seal);
    EVP_CIPHER_CTX_free(contexts->open);
    free(contexts);
    current = NULL;
}

static void note_fork(void)
{
    atomic_fetch_add(&fork_generation, 1);
}

static void set_up(void)
{
    thread_contexts_algorithms = (struct thread_algorithms){
        .gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL),
    };
    ready = thread_contexts_algorithms.gcm && pthread_key_create(&owner, free_contexts) == 0 &&
            pthread_atfork(NULL, NULL, note_fork) == 0;
}

static struct thread_contexts *make_contexts(void)
{
    struct thread_contexts *contexts = calloc(1, sizeof *contexts);
    if (!contexts)
        return NULL;
    contexts->nonce_next = THREAD_NONCES;
    contexts->seal = EVP_CIPHER_CTX_new();
    contexts->open = EVP_CIPHER_CTX_new();
    if (contexts->seal && contexts->open && pthread_setspecific(owner, contexts) == 0)
        return contexts;
    free_contexts(contexts);
    return NULL;
}

struct thread_contexts *thread_contexts_get(struct failure *why)
{
    if (current)
        return current;
    pthread_once(&once, set_up);
    if (ready)
        current = make_contexts();
    if (!current) {
        openssl_failure_forget();
        failure_set(why, CODE_NO_MEMORY, "preparing encryption: out of memory");
    }
    return current;
}

uint64_t thread_contexts_new_serial(void)
{
    return atomic_fetch_add(&serials, 1) + 1;
}

unsigned thread_contexts_fork_generation(void)
{
    return atomic_load_explicit(&fork_generation, memory_order_relaxed);
}
