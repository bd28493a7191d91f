/* Secret memory: see secret.h.
 *
 * Keys are small and a process may lock little memory (64 KiB by default in containers), so secrets share
 * pages.  A page is 64 slots of 64 bytes and a map with one bit a slot; a secret takes a run of slots.  Pages
 * are never given back: the next secret will want them, and an unmapped page could come back as somebody's
 * ordinary memory.
 *
 * Invariants
 *  1. A slot whose bit is clear holds zeros.
 *  2. A secret lies in one page, and begins in the slot behind which its length is recorded (page->runs).
 *  3. `pages` and everything it leads to is guarded by `pages_lock` (rank: leaf); the secrets' bytes are
 *     their owners'.
 */
#include "secret.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <openssl/crypto.h>

#include "logging.h"
#include "scope.h"

#define SLOT_BYTES 64
#define PAGE_SLOTS (SECRET_BYTES_MAX / SLOT_BYTES)

struct secret_page {
    struct secret_page *next;
    uint8_t *memory;          /* SECRET_BYTES_MAX bytes, mapped */
    uint64_t taken;           /* bit i: slot i is in use */
    uint8_t runs[PAGE_SLOTS]; /* slots of the secret that begins here */
};

static pthread_mutex_t pages_lock = PTHREAD_MUTEX_INITIALIZER;
static struct secret_page *pages;

static struct secret_page *map_page(void)
{
    static bool warned;
    struct secret_page *page = calloc(1, sizeof *page);
    if (!page)
        return NULL;
    page->memory = mmap(NULL, SECRET_BYTES_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page->memory == MAP_FAILED) {
        free(page);
        return NULL;
    }
    madvise(page->memory, SECRET_BYTES_MAX, MADV_DONTDUMP);
    if (mlock(page->memory, SECRET_BYTES_MAX) != 0 && !warned) {
        warned = true;
        logging_warning("keys cannot be locked in memory and might be written to the swap disk: raise `ulimit -l`");
    }
    page->next = pages;
    pages = page;
    return page;
}

/* A run of `count` slots: all bits set. */
static uint64_t run_mask(unsigned count)
{
    return count == 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1;
}

static void *take_slots(struct secret_page *page, unsigned count)
{
    for (unsigned first = 0; first + count <= PAGE_SLOTS; first++) {
        uint64_t run = run_mask(count) << first;
        if (page->taken & run)
            continue;
        page->taken |= run;
        page->runs[first] = (uint8_t)count;
        return page->memory + first * SLOT_BYTES;
    }
    return NULL;
}

void *secret_allocate(size_t count)
{
    assert(count >= 1 && count <= SECRET_BYTES_MAX);
    unsigned slots = (unsigned)((count + SLOT_BYTES - 1) / SLOT_BYTES);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&pages_lock);
    for (struct secret_page *page = pages; page; page = page->next) {
        void *secret = take_slots(page, slots);
        if (secret)
            return secret;
    }
    struct secret_page *page = map_page();
    return page ? take_slots(page, slots) : NULL;
}

void secret_free(void *secret)
{
    if (!secret)
        return;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&pages_lock);
    struct secret_page *page = pages;
    uintptr_t at = (uintptr_t)secret;
    while (page && (at < (uintptr_t)page->memory || at >= (uintptr_t)page->memory + SECRET_BYTES_MAX))
        page = page->next;
    assert(page);
    unsigned first = (unsigned)((at - (uintptr_t)page->memory) / SLOT_BYTES), count = page->runs[first];
    assert(count > 0);
    OPENSSL_cleanse(secret, (size_t)count * SLOT_BYTES);
    page->runs[first] = 0;
    page->taken &= ~(run_mask(count) << first);
}

void secret_wipe(void *bytes, size_t count)
{
    OPENSSL_cleanse(bytes, count);
}

bool secret_equal(const void *a, const void *b, size_t count)
{
    return CRYPTO_memcmp(a, b, count) == 0;
}
