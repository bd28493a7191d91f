/* No memory at the n-th allocation, for every n: of our own code, of SQLite and of OpenSSL, counted together.  The day of
 * fault_scenario.h; the sanitizers watch what it leaves behind.
 *
 *     test_memory_faults [--every | STRIDE]      without it about RUNS runs
 *
 * Our own code's calls are taken by the linker (--wrap), so that the sanitizers' own allocator stays where it is. */
#include <errno.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault_scenario.h"
#include "file.h"
#include "testing.h"

#define STRIDE 211

static atomic_ullong calls;
static atomic_bool is_on, paused;
static uint64_t fails_at;
static bool from_then_on;
static uint64_t stride = STRIDE;
static char root[64];

/* Copying a context of AES-SIV half-way (which each sealing of a name does) leaves its inner one behind in OpenSSL 3.0. What
 * our own code would leave behind of OpenSSL's things, all other tests find. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libcrypto.so";
}

static bool fails(void)
{
    if (!atomic_load(&is_on) || atomic_load(&paused))
        return false;
    uint64_t number = atomic_fetch_add(&calls, 1) + 1;
    bool now = number == fails_at || (from_then_on && number > fails_at);
    if (now)
        errno = ENOMEM;
    return now;
}

void *__real_malloc(size_t count);
void *__real_calloc(size_t count, size_t each);
void *__real_realloc(void *old, size_t count);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t count);
void *__wrap_malloc(size_t count);
void *__wrap_calloc(size_t count, size_t each);
void *__wrap_realloc(void *old, size_t count);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t count);
int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

void *__wrap_malloc(size_t count)
{
    return fails() ? NULL : __real_malloc(count);
}

void *__wrap_calloc(size_t count, size_t each)
{
    return fails() ? NULL : __real_calloc(count, each);
}

void *__wrap_realloc(void *old, size_t count)
{
    return fails() ? NULL : __real_realloc(old, count);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t count)
{
    return fails() ? NULL : __real_strndup(text, count);
}

int __wrap_asprintf(char **out, const char *format, ...)
{
    if (fails())
        return -1;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(out, format, arguments);
    va_end(arguments);
    return length;
}

/* SQLite and OpenSSL ask for theirs through these. */
static sqlite3_mem_methods sqlite_memory;

static void *sqlite_allocate(int count)
{
    return fails() ? NULL : sqlite_memory.xMalloc(count);
}

static void *sqlite_resize(void *old, int count)
{
    return fails() ? NULL : sqlite_memory.xRealloc(old, count);
}

static void *openssl_allocate(size_t count, const char *file, int line)
{
    (void)file;
    (void)line;
    return count == 0 || fails() ? NULL : __real_malloc(count);
}

static void *openssl_resize(void *old, size_t count, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails() ? NULL : __real_realloc(old, count);
}

static void openssl_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

static void take_libraries(void)
{
    if (!CRYPTO_set_mem_functions(openssl_allocate, openssl_resize, openssl_free) ||
        sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory) != SQLITE_OK)
        abort();
    sqlite3_mem_methods counted = sqlite_memory;
    counted.xMalloc = sqlite_allocate;
    counted.xRealloc = sqlite_resize;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &counted) != SQLITE_OK)
        abort();
}

static void arm(void *context, uint64_t n, bool on)
{
    (void)context;
    fails_at = n;
    from_then_on = on;
    atomic_store(&calls, 0);
    atomic_store(&is_on, true);
}

static void pause_it(void *context, bool now)
{
    (void)context;
    atomic_store(&paused, now);
}

static void disarm(void *context)
{
    (void)context;
    atomic_store(&is_on, false);
}

static uint64_t count_calls(void *context)
{
    (void)context;
    return atomic_load(&calls);
}

static const struct fault_switch no_memory = {.arm = arm, .pause = pause_it, .disarm = disarm, .count = count_calls};

static void one_allocation_that_fails_is_told_and_nothing_is_lost(void **state)
{
    (void)state;
    struct fault_outcome outcome;
    fault_scenario_run(&no_memory, "no memory", root, stride, false, &outcome);
    assert_int_equal(outcome.violations, 0);
}

static void memory_that_runs_out_is_told_and_nothing_is_lost(void **state)
{
    (void)state;
    struct fault_outcome outcome;
    fault_scenario_run(&no_memory, "no memory", root, stride, true, &outcome);
    assert_int_equal(outcome.violations, 0);
}

int main(int count, char **arguments)
{
    if (count > 1)
        stride = strcmp(arguments[1], "--every") == 0 ? 1 : strtoull(arguments[1], NULL, 10);
    snprintf(root, sizeof root, "%s/fault-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    take_libraries();
    if (stride == 0 || !mkdtemp(root))
        return 3;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_allocation_that_fails_is_told_and_nothing_is_lost),
        cmocka_unit_test(memory_that_runs_out_is_told_and_nothing_is_lost),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)!file_remove_tree(root, NULL);
    return failed;
}
