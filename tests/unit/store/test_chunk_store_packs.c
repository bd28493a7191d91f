/* Pack files over restarts, after crashes, with rot, on a disk that fills up. */
#include "test_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "chunk_store.h"
#include "chunk_store_packs.h"
#include "pack_format.h"

static struct failure why;

static struct chunk_store *open_with(const char *folder, const struct chunk_store_packs_options *options)
{
    struct chunk_store *store;
    assert_code_ok(chunk_store_packs_open(folder, options, &store, &why), why);
    return store;
}

static struct chunk_store *open_packs(const char *folder)
{
    return open_with(folder, &(struct chunk_store_packs_options){.store = {{7}}});
}

static struct chunk_address put(struct chunk_store *store, const char *text)
{
    struct chunk_address address;
    assert_code_ok(chunk_store_put(store, text, strlen(text), &address, &why), why);
    return address;
}

static void assert_text(struct chunk_store *store, const struct chunk_address *address, const char *text)
{
    char got[64];
    assert_int_equal(address->bytes, strlen(text));
    assert_code_ok(chunk_store_get(store, address, got, &why), why);
    assert_memory_equal(got, text, address->bytes);
}

static const char *pack_path(const char *folder, uint32_t number)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%08u.pack", folder, number);
    return path;
}

struct damage {
    size_t whole, damaged;
    uint64_t damaged_at, damaged_bytes;
};

static bool note(void *context, const struct chunk_address *address, enum code code)
{
    struct damage *damage = context;
    if (code == CODE_OK) {
        damage->whole++;
    } else {
        damage->damaged++;
        damage->damaged_at = address->offset;
        damage->damaged_bytes = address->bytes;
    }
    return true;
}

static struct damage verify(struct chunk_store *store, uint32_t pack)
{
    struct damage damage = {0};
    assert_code_ok(chunk_store_verify(store, pack, note, &damage, &why), why);
    return damage;
}

/* Restarts ------------------------------------------------------------------------------------- */

static void a_reopened_store_goes_on_in_its_last_pack(void **state)
{
    const char *folder = *state;
    struct chunk_store *store = open_packs(folder);
    struct chunk_address first = put(store, "first");
    chunk_store_destroy(store);
    store = open_packs(folder);
    struct chunk_address second = put(store, "second");
    assert_int_equal(second.pack, first.pack);
    assert_int_equal(second.offset, first.offset + PACK_RECORD_BYTES + first.bytes);
    assert_code_ok(chunk_store_sync(store, &why), why);
    assert_text(store, &first, "first");
    assert_text(store, &second, "second");
    chunk_store_destroy(store);
}

static void a_number_is_not_used_again_after_its_pack_was_dropped(void **state)
{
    const char *folder = *state;
    struct chunk_store *store = open_packs(folder);
    struct chunk_address first = put(store, "first");
    assert_code_ok(chunk_store_seal(store, &why), why);
    assert_code_ok(chunk_store_drop_pack(store, first.pack, &why), why);
    chunk_store_destroy(store);
    store = open_packs(folder);
    struct chunk_address second = put(store, "other");
    assert_true(second.pack > first.pack);
    chunk_store_destroy(store);
}

static void names_that_are_no_packs_are_left_alone(void **state)
{
    const char *folder = *state, *others[] = {"note.txt", "0000001.pack", "00000009.pack.bak", "0000000x.pack"};
    for (size_t i = 0; i < 4; i++) {
        SCOPE_BUFFER path = {0};
        buffer_printf(&path, "%s/%s", folder, others[i]);
        assert_code_ok(file_write(buffer_text(&path), "x", 1, &why), why);
    }
    struct chunk_store *store = open_packs(folder);
    struct chunk_address address = put(store, "text");
    assert_int_equal(address.pack, 1);
    chunk_store_destroy(store);
}

static void a_read_only_store_is_read_and_never_written(void **state)
{
    const char *folder = *state;
    struct chunk_store *store = open_packs(folder);
    struct chunk_address address = put(store, "text"), other;
    chunk_store_destroy(store);
    store = open_with(folder, &(struct chunk_store_packs_options){.store = {{7}}, .read_only = true});
    assert_text(store, &address, "text");
    assert_int_equal(chunk_store_put(store, "x", 1, &other, &why), CODE_READ_ONLY);
    assert_int_equal(chunk_store_seal(store, &why), CODE_READ_ONLY);
    assert_int_equal(chunk_store_drop_pack(store, 1, &why), CODE_READ_ONLY);
    assert_code_ok(chunk_store_sync(store, &why), why);
    chunk_store_destroy(store);
}

static void more_packs_than_descriptors_can_be_read(void **state)
{
    const char *folder = *state;
    enum { PACKS = 300 };
    static struct chunk_address addresses[PACKS];
    struct chunk_store *store = open_packs(folder);
    for (size_t i = 0; i < PACKS; i++) {
        char text[16];
        snprintf(text, sizeof text, "chunk %zu", i);
        addresses[i] = put(store, text);
        assert_code_ok(chunk_store_seal(store, &why), why);
        if (i % 50 == 0)
            assert_code_ok(chunk_store_sync(store, &why), why);
    }
    assert_code_ok(chunk_store_sync(store, &why), why);
    struct rlimit limit, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = (struct rlimit){200, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < PACKS; i++) {
            char text[16];
            snprintf(text, sizeof text, "chunk %zu", i);
            assert_text(store, &addresses[i], text);
        }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    chunk_store_destroy(store);
}

/* Crashes -------------------------------------------------------------------------------------- */

/* A pack cut at every byte, from its header to its end: opening it again never fails, what lies whole before
 * the cut is read, what was cut is refused, and new chunks go where nothing lay. */
static void a_pack_torn_at_any_byte_keeps_what_is_whole(void **state)
{
    const char *folder = *state, *texts[] = {"the first chunk", "the second", "the third one"};
    struct chunk_store *store = open_packs(folder);
    struct chunk_address addresses[3];
    for (int i = 0; i < 3; i++)
        addresses[i] = put(store, texts[i]);
    chunk_store_destroy(store);
    SCOPE_BUFFER whole = {0};
    assert_code_ok(file_read(pack_path(folder, 1), 4096, &whole, &why), why);
    for (size_t cut = 0; cut <= whole.length; cut++) {
        assert_code_ok(file_remove_tree(pack_path(folder, 2), &why), why);
        assert_code_ok(file_write(pack_path(folder, 1), whole.data, cut, &why), why);
        store = open_packs(folder);
        bool at_a_border = cut == PACK_HEADER_BYTES;
        for (int i = 0; i < 3; i++) {
            uint64_t end = addresses[i].offset + PACK_RECORD_BYTES + addresses[i].bytes;
            at_a_border |= cut == end;
            char out[64];
            if (end <= cut)
                assert_text(store, &addresses[i], texts[i]);
            else
                assert_int_equal(chunk_store_get(store, &addresses[i], out, &why), CODE_CORRUPT);
        }
        struct chunk_address fresh = put(store, "after the crash");
        assert_int_equal(fresh.pack, at_a_border ? 1 : 2);
        assert_text(store, &fresh, "after the crash");
        assert_code_ok(chunk_store_sync(store, &why), why);
        chunk_store_destroy(store);
        struct stat status;
        assert_int_equal(stat(pack_path(folder, 1), &status), 0);
        assert_true((size_t)status.st_size >= cut); /* nothing was cut off */
    }
}

/* Blocks may reach the disk in another order: a hole in the middle hides nothing behind it. */
static void a_hole_in_a_pack_does_not_hide_the_records_behind_it(void **state)
{
    const char *folder = *state;
    struct chunk_store *store = open_packs(folder);
    put(store, "one");
    struct chunk_address second = put(store, "two"), third = put(store, "three");
    chunk_store_destroy(store);
    SCOPE_BUFFER bytes = {0};
    assert_code_ok(file_read(pack_path(folder, 1), 4096, &bytes, &why), why);
    memset(bytes.data + second.offset, 0, third.offset - second.offset);
    assert_code_ok(file_write(pack_path(folder, 1), bytes.data, bytes.length, &why), why);
    store = open_packs(folder);
    struct damage damage = verify(store, 1);
    assert_int_equal(damage.whole, 2);
    assert_int_equal(damage.damaged, 1);
    assert_int_equal(damage.damaged_at, second.offset);
    assert_int_equal(damage.damaged_bytes, third.offset - second.offset);
    assert_text(store, &third, "three");
    assert_int_equal(put(store, "four").pack, 2);
    chunk_store_destroy(store);
}

/* Rot ------------------------------------------------------------------------------------------ */

static void every_flipped_byte_is_found_with_and_without_an_address(void **state)
{
    const char *folder = *state;
    struct chunk_store *store = open_packs(folder);
    struct chunk_address first = put(store, "the first chunk"), second = put(store, "the second"), third = put(store, "3");
    chunk_store_destroy(store);
    SCOPE_BUFFER bytes = {0};
    assert_code_ok(file_read(pack_path(folder, 1), 4096, &bytes, &why), why);
    for (size_t at = second.offset; at < third.offset; at++)
        for (int bit = 0; bit < 8; bit++) {
            bytes.data[at] ^= (char)(1 << bit);
            assert_code_ok(file_write(pack_path(folder, 1), bytes.data, bytes.length, &why), why);
            store = open_with(folder, &(struct chunk_store_packs_options){.store = {{7}}, .read_only = true});
            char out[64];
            assert_text(store, &first, "the first chunk");
            assert_int_equal(chunk_store_get(store, &second, out, &why), CODE_CORRUPT);
            assert_text(store, &third, "3");
            struct damage damage = verify(store, 1);
            assert_int_equal(damage.whole, 2);
            assert_int_equal(damage.damaged, 1);
            assert_int_equal(damage.damaged_at, second.offset);
            chunk_store_destroy(store);
            bytes.data[at] ^= (char)(1 << bit);
        }
}

static void a_pack_of_another_store_or_number_or_version_is_refused(void **state)
{
    const char *folder = *state;
    struct chunk_store *store = open_packs(folder);
    struct chunk_address address = put(store, "text");
    chunk_store_destroy(store);
    char out[8];

    store = open_with(folder, &(struct chunk_store_packs_options){.store = {{8}}});
    assert_int_equal(chunk_store_get(store, &address, out, &why), CODE_CORRUPT);
    assert_non_null(strstr(why.text, "another store"));
    chunk_store_destroy(store);

    SCOPE_BUFFER bytes = {0};
    assert_code_ok(file_read(pack_path(folder, 1), 4096, &bytes, &why), why);
    assert_code_ok(file_write(pack_path(folder, 5), bytes.data, bytes.length, &why), why);
    store = open_packs(folder);
    address.pack = 5;
    assert_int_equal(chunk_store_get(store, &address, out, &why), CODE_CORRUPT);
    assert_non_null(strstr(why.text, "another name"));
    chunk_store_destroy(store);
}

/* A disk that fills up, made of a limit on file sizes: the kernel refuses the write half-way. */
static void a_write_that_fails_half_way_stops_the_store_and_leaves_it_readable(void **state)
{
    const char *folder = *state;
    static char large[5000];
    struct chunk_store *store = open_packs(folder);
    struct chunk_address first = put(store, "first"), address;
    struct rlimit limit, low;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    low = (struct rlimit){2000, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    enum code code = chunk_store_put(store, large, sizeof large, &address, &why);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(code, CODE_TOO_LARGE);
    assert_int_equal(chunk_store_put(store, "x", 1, &address, &why), CODE_IO);
    assert_int_equal(chunk_store_sync(store, &why), CODE_IO);
    assert_non_null(strstr(why.text, "mount again"));
    assert_text(store, &first, "first");
    chunk_store_destroy(store);
    store = open_packs(folder);
    assert_text(store, &first, "first");
    address = put(store, "next");
    assert_code_ok(chunk_store_sync(store, &why), why);
    assert_text(store, &address, "next");
    chunk_store_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_folder(a_reopened_store_goes_on_in_its_last_pack),
        in_folder(a_number_is_not_used_again_after_its_pack_was_dropped),
        in_folder(names_that_are_no_packs_are_left_alone),
        in_folder(a_read_only_store_is_read_and_never_written),
        in_folder(more_packs_than_descriptors_can_be_read),
        in_folder(a_pack_torn_at_any_byte_keeps_what_is_whole),
        in_folder(a_hole_in_a_pack_does_not_hide_the_records_behind_it),
        in_folder(every_flipped_byte_is_found_with_and_without_an_address),
        in_folder(a_pack_of_another_store_or_number_or_version_is_refused),
        in_folder(a_write_that_fails_half_way_stops_the_store_and_leaves_it_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
