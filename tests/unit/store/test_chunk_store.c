/* What every chunk store promises, asked of each: packs in files, packs in memory, and both below a layer of
 * faults. */
#include "test_folder.h"

#include <pthread.h>
#include <stdatomic.h>

#include "chunk_store.h"
#include "chunk_store_fault.h"
#include "chunk_store_memory.h"
#include "chunk_store_packs.h"
#include "random.h"
#include "timing.h"

#define ROLL_BYTES 4096

static struct failure why;
static char folder[64];

static struct chunk_store *open_packs(void)
{
    const struct chunk_store_packs_options options = {.store = {{7}}, .roll_bytes = ROLL_BYTES};
    struct chunk_store *store;
    assert_code_ok(chunk_store_packs_open(folder, &options, &store, &why), why);
    return store;
}

static struct chunk_store *open_memory(void)
{
    struct chunk_store *store;
    assert_code_ok(chunk_store_memory_create(ROLL_BYTES, &store, &why), why);
    return store;
}

static struct chunk_store *open_below_faults(void)
{
    struct chunk_store *store;
    assert_code_ok(chunk_store_fault_create(open_packs(), &store, &why), why);
    return store;
}

static struct chunk_store *(*const kinds[])(void) = {open_packs, open_memory, open_below_faults};
#define KINDS (sizeof kinds / sizeof *kinds)

/* One store of each kind in turn, each in an empty folder. */
#define for_each_store(store)                                                                                               \
    for (size_t kind_ = 0; kind_ < KINDS; kind_++)                                                                          \
        for (struct chunk_store *store = fresh(kinds[kind_]); store; chunk_store_destroy(store), store = NULL)

static struct chunk_store *fresh(struct chunk_store *(*open)(void))
{
    assert_code_ok(file_remove_tree(folder, &why), why);
    assert_code_ok(file_make_folders(folder, &why), why);
    return open();
}

static int make_folder(void **state)
{
    strcpy(folder, "/tmp/cytofs-store-XXXXXX");
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return file_remove_tree(folder, NULL) == CODE_OK ? 0 : -1;
}

/* Chunk i: 1 .. 700 bytes that depend on i alone. */
static size_t make_chunk(size_t i, uint8_t chunk[700])
{
    struct random random = random_stream(1, i);
    size_t count = 1 + random_below(&random, 700);
    for (size_t at = 0; at < count; at++)
        chunk[at] = (uint8_t)random_next(&random);
    return count;
}

static struct chunk_address put_chunk(struct chunk_store *store, size_t i)
{
    uint8_t chunk[700];
    struct chunk_address address;
    size_t count = make_chunk(i, chunk);
    assert_code_ok(chunk_store_put(store, chunk, count, &address, &why), why);
    assert_int_equal(address.bytes, count);
    return address;
}

static void assert_chunk(struct chunk_store *store, const struct chunk_address *address, size_t i)
{
    uint8_t expected[700], got[700];
    size_t count = make_chunk(i, expected);
    assert_int_equal(address->bytes, count);
    assert_code_ok(chunk_store_get(store, address, got, &why), why);
    assert_memory_equal(got, expected, count);
}

static void what_was_put_is_got_from_many_packs(void **state)
{
    (void)state;
    for_each_store(store)
    {
        struct chunk_address addresses[200];
        for (size_t i = 0; i < 200; i++)
            addresses[i] = put_chunk(store, i);
        assert_true(addresses[199].pack > 10);
        for (size_t i = 0; i < 200; i++)
            assert_chunk(store, &addresses[i], i);
        struct chunk_store_statistics statistics;
        chunk_store_statistics(store, &statistics);
        assert_int_equal(statistics.puts, 200);
        assert_int_equal(statistics.gets, 200);
        assert_int_equal(statistics.packs, addresses[199].pack);
        assert_int_equal(statistics.bytes_put, statistics.bytes_got);
        assert_true(statistics.bytes_stored > statistics.bytes_put);
    }
}

static void an_address_that_was_never_given_out_is_refused(void **state)
{
    (void)state;
    for_each_store(store)
    {
        struct chunk_address good = put_chunk(store, 1), bad = good;
        uint8_t out[8];
        put_chunk(store, 2);
        bad.pack = 9;
        assert_int_equal(chunk_store_get(store, &bad, out, &why), CODE_NOT_FOUND);
        bad.pack = 0;
        assert_int_equal(chunk_store_get(store, &bad, out, &why), CODE_NOT_FOUND);
        SCOPE_BUFFER whole = {0};
        assert_non_null(buffer_reserve(&whole, 1 << 16));
        for (int64_t shift = -64; shift < 2000; shift++) {
            bad = good;
            bad.offset = (uint64_t)((int64_t)good.offset + shift);
            if (shift != 0)
                assert_int_not_equal(chunk_store_get(store, &bad, whole.data, &why), CODE_OK);
            bad = good;
            bad.bytes = (uint32_t)((int64_t)good.bytes + shift);
            if (shift != 0 && bad.bytes < 1 << 16)
                assert_int_equal(chunk_store_get(store, &bad, whole.data, &why), CODE_CORRUPT);
        }
        bad = (struct chunk_address){good.pack, UINT32_MAX, UINT64_MAX};
        assert_int_equal(chunk_store_get(store, &bad, whole.data, &why), CODE_CORRUPT);
    }
}

static void empty_and_huge_chunks_are_refused(void **state)
{
    (void)state;
    for_each_store(store)
    {
        struct chunk_address address;
        assert_int_equal(chunk_store_put(store, "", 0, &address, &why), CODE_TOO_LARGE);
        assert_int_equal(chunk_store_put(store, "", CHUNK_STORE_BYTES_MAX + 1, &address, &why), CODE_TOO_LARGE);
    }
}

static void the_largest_chunk_fits_though_it_is_larger_than_a_pack(void **state)
{
    (void)state;
    uint8_t *chunk = calloc(2, CHUNK_STORE_BYTES_MAX);
    assert_non_null(chunk);
    memset(chunk, 5, CHUNK_STORE_BYTES_MAX);
    for_each_store(store)
    {
        struct chunk_address address;
        assert_code_ok(chunk_store_put(store, chunk, CHUNK_STORE_BYTES_MAX, &address, &why), why);
        assert_code_ok(chunk_store_get(store, &address, chunk + CHUNK_STORE_BYTES_MAX, &why), why);
        assert_memory_equal(chunk, chunk + CHUNK_STORE_BYTES_MAX, CHUNK_STORE_BYTES_MAX);
    }
    free(chunk);
}

static void a_sealed_pack_can_be_dropped_and_a_growing_one_cannot(void **state)
{
    (void)state;
    for_each_store(store)
    {
        struct chunk_address first = put_chunk(store, 1);
        assert_int_equal(chunk_store_drop_pack(store, first.pack, &why), CODE_BUSY);
        assert_int_equal(chunk_store_drop_pack(store, 77, &why), CODE_NOT_FOUND);
        assert_code_ok(chunk_store_seal(store, &why), why);
        struct chunk_address second = put_chunk(store, 2);
        assert_true(second.pack > first.pack);
        assert_code_ok(chunk_store_drop_pack(store, first.pack, &why), why);
        uint8_t out[700];
        assert_int_equal(chunk_store_get(store, &first, out, &why), CODE_NOT_FOUND);
        assert_chunk(store, &second, 2);
        assert_code_ok(chunk_store_sync(store, &why), why);
    }
}

static void packs_are_listed_in_order(void **state)
{
    (void)state;
    for_each_store(store)
    {
        for (size_t i = 0; i < 40; i++)
            put_chunk(store, i);
        struct chunk_pack_list list;
        assert_code_ok(chunk_store_list_packs(store, &list, &why), why);
        assert_true(list.count > 2);
        for (size_t i = 0; i < list.count; i++) {
            assert_int_equal(list.packs[i].number, i + 1);
            assert_int_equal(list.packs[i].growing, i + 1 == list.count);
            assert_in_range(list.packs[i].bytes, 65, ROLL_BYTES);
        }
        chunk_store_list_free(&list);
    }
}

struct tally {
    size_t whole, damaged;
    uint64_t chunk_bytes;
};

static bool count_record(void *context, const struct chunk_address *address, enum code code)
{
    struct tally *tally = context;
    tally->whole += code == CODE_OK;
    tally->damaged += code != CODE_OK;
    tally->chunk_bytes += address->bytes;
    return true;
}

static bool stop_at_once(void *context, const struct chunk_address *address, enum code code)
{
    (void)address;
    (void)code;
    ++*(int *)context;
    return false;
}

static void verifying_sees_every_record_and_can_be_stopped(void **state)
{
    (void)state;
    for_each_store(store)
    {
        struct chunk_store_statistics statistics;
        struct tally tally = {0};
        for (size_t i = 0; i < 40; i++)
            put_chunk(store, i);
        chunk_store_statistics(store, &statistics);
        for (uint32_t pack = 1; pack <= statistics.packs; pack++)
            assert_code_ok(chunk_store_verify(store, pack, count_record, &tally, &why), why);
        assert_int_equal(tally.whole, 40);
        assert_int_equal(tally.damaged, 0);
        assert_int_equal(tally.chunk_bytes, statistics.bytes_put);
        int calls = 0;
        assert_code_ok(chunk_store_verify(store, 1, stop_at_once, &calls, &why), why);
        assert_int_equal(calls, 1);
        assert_int_equal(chunk_store_verify(store, 1000, stop_at_once, &calls, &why), CODE_NOT_FOUND);
    }
}

/* Faults --------------------------------------------------------------------------------------- */

static void a_full_disk_refuses_a_put_and_nothing_else_is_lost(void **state)
{
    (void)state;
    struct chunk_store *store = fresh(open_below_faults);
    const struct chunk_store_fault full = {.first = 3, .repeat = 2, .code = CODE_NO_SPACE};
    chunk_store_fault_set(store, CHUNK_STORE_PUT, &full);
    struct chunk_address addresses[2] = {put_chunk(store, 0), put_chunk(store, 1)}, address;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(chunk_store_put(store, "x", 1, &address, &why), CODE_NO_SPACE);
        assert_non_null(strstr(why.text, "on purpose"));
    }
    address = put_chunk(store, 2);
    assert_int_equal(chunk_store_fault_calls(store, CHUNK_STORE_PUT), 5);
    assert_code_ok(chunk_store_sync(store, &why), why);
    for (size_t i = 0; i < 2; i++)
        assert_chunk(store, &addresses[i], i);
    assert_chunk(store, &address, 2);
    chunk_store_destroy(store);
}

static void torn_calls_return_wrong_bytes_as_a_lying_disk_would(void **state)
{
    (void)state;
    struct chunk_store *store = fresh(open_below_faults);
    const struct chunk_store_fault tear = {.first = 1, .repeat = 1, .tear = true};
    struct chunk_address address;
    char out[8];
    chunk_store_fault_set(store, CHUNK_STORE_PUT, &tear);
    assert_code_ok(chunk_store_put(store, "abcdefgh", 8, &address, &why), why);
    assert_code_ok(chunk_store_get(store, &address, out, &why), why);
    assert_memory_equal(out, "abcd\0\0\0\0", 8);
    assert_code_ok(chunk_store_put(store, "abcdefgh", 8, &address, &why), why);
    chunk_store_fault_set(store, CHUNK_STORE_GET, &tear);
    assert_code_ok(chunk_store_get(store, &address, out, &why), why);
    assert_memory_equal(out, "abcd\0\0\0\0", 8);
    assert_code_ok(chunk_store_get(store, &address, out, &why), why);
    assert_memory_equal(out, "abcdefgh", 8);
    chunk_store_destroy(store);
}

static void latency_is_added_to_every_call_of_its_kind(void **state)
{
    (void)state;
    struct chunk_store *store = fresh(open_below_faults);
    chunk_store_fault_set(store, CHUNK_STORE_SYNC, &(struct chunk_store_fault){.latency_us = 20000});
    int64_t start = timing_monotonic_ms();
    assert_code_ok(chunk_store_sync(store, &why), why);
    assert_code_ok(chunk_store_sync(store, &why), why);
    assert_true(timing_monotonic_ms() - start >= 39);
    chunk_store_destroy(store);
}

/* Threads -------------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 300 };

struct worker {
    struct chunk_store *store;
    size_t number;
    atomic_size_t *failures;
};

/* Puts its own chunks, reads them back at once and later, and syncs now and then. */
static void *put_and_get(void *context)
{
    const struct worker *worker = context;
    struct chunk_address addresses[ROUNDS];
    uint8_t expected[700], got[700];
    size_t failures = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        size_t count = make_chunk(worker->number * ROUNDS + i, expected);
        failures += chunk_store_put(worker->store, expected, count, &addresses[i], NULL) != CODE_OK;
        size_t back = i / 2;
        count = make_chunk(worker->number * ROUNDS + back, expected);
        failures += chunk_store_get(worker->store, &addresses[back], got, NULL) != CODE_OK;
        failures += memcmp(got, expected, count) != 0;
        if (i % 16 == worker->number)
            failures += chunk_store_sync(worker->store, NULL) != CODE_OK;
        if (i % 100 == 50)
            failures += chunk_store_seal(worker->store, NULL) != CODE_OK;
    }
    atomic_fetch_add(worker->failures, failures);
    return NULL;
}

static void threads_put_get_and_sync_at_the_same_time(void **state)
{
    (void)state;
    for_each_store(store)
    {
        pthread_t threads[THREADS];
        struct worker workers[THREADS];
        atomic_size_t failures = 0;
        for (size_t i = 0; i < THREADS; i++) {
            workers[i] = (struct worker){store, i, &failures};
            assert_int_equal(pthread_create(&threads[i], NULL, put_and_get, &workers[i]), 0);
        }
        for (size_t i = 0; i < THREADS; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(failures, 0);
    }
}

struct reader {
    struct chunk_store *store;
    const struct chunk_address *addresses;
    size_t count;
    atomic_bool *stop;
    atomic_size_t *wrong;
};

/* Reads chunks whose packs are being dropped: each read gives the right bytes, or says that they are gone. */
static void *read_what_may_be_gone(void *context)
{
    const struct reader *reader = context;
    uint8_t expected[700], got[700];
    for (size_t i = 0; !atomic_load(reader->stop); i = (i + 7) % reader->count) {
        size_t count = make_chunk(i, expected);
        enum code code = chunk_store_get(reader->store, &reader->addresses[i], got, NULL);
        if (code != CODE_NOT_FOUND && (code != CODE_OK || memcmp(got, expected, count) != 0))
            atomic_fetch_add(reader->wrong, 1);
    }
    return NULL;
}

static void packs_are_dropped_under_their_readers(void **state)
{
    (void)state;
    for_each_store(store)
    {
        struct chunk_address addresses[200];
        for (size_t i = 0; i < 200; i++)
            addresses[i] = put_chunk(store, i);
        pthread_t threads[2];
        atomic_bool stop = false;
        atomic_size_t wrong = 0;
        struct reader reader = {store, addresses, 200, &stop, &wrong};
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, read_what_may_be_gone, &reader), 0);
        for (uint32_t pack = 1; pack < addresses[199].pack; pack++)
            assert_code_ok(chunk_store_drop_pack(store, pack, &why), why);
        atomic_store(&stop, true);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(wrong, 0);
        assert_chunk(store, &addresses[199], 199);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_got_from_many_packs),
        cmocka_unit_test(an_address_that_was_never_given_out_is_refused),
        cmocka_unit_test(empty_and_huge_chunks_are_refused),
        cmocka_unit_test(the_largest_chunk_fits_though_it_is_larger_than_a_pack),
        cmocka_unit_test(a_sealed_pack_can_be_dropped_and_a_growing_one_cannot),
        cmocka_unit_test(packs_are_listed_in_order),
        cmocka_unit_test(verifying_sees_every_record_and_can_be_stopped),
        cmocka_unit_test(a_full_disk_refuses_a_put_and_nothing_else_is_lost),
        cmocka_unit_test(torn_calls_return_wrong_bytes_as_a_lying_disk_would),
        cmocka_unit_test(latency_is_added_to_every_call_of_its_kind),
        cmocka_unit_test(packs_are_dropped_under_their_readers),
        cmocka_unit_test(threads_put_get_and_sync_at_the_same_time),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
