/* The clients' state on disk: read once, by the next server of the same store; cut, flipped, grown, of another store, of
 * another commit or with another key it is nothing, and nothing of it is believed. */
#include "testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "random.h"
#include "scope.h"
#include "server_state.h"

#define NUMBER 77
#define TEXT   "what the clients had open, whom they are, which messages they wait for"

struct place {
    char disk[64], memory[64];
    struct store_id store;
    struct server_state_place place;
};

static struct failure why;

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->disk, "/tmp/cytofs-state-XXXXXX");
    strcpy(place->memory, "/dev/shm/cytofs-state-XXXXXX") /* a tmpfs */;
    assert_non_null(mkdtemp(place->disk));
    assert_non_null(mkdtemp(place->memory));
    memset(&place->store, 7, sizeof place->store);
    place->place = (struct server_state_place){.folder = place->disk, .memory = place->memory, .store = &place->store};
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    assert_code_ok(file_remove_tree(place->disk, &why), why);
    assert_code_ok(file_remove_tree(place->memory, &why), why);
    free(place);
    return 0;
}

static void keep(const struct place *place, uint64_t number)
{
    SCOPE_BUFFER text = {0};
    buffer_append_text(&text, TEXT);
    assert_code_ok(server_state_write(&place->place, number, &text, &why), why);
}

/* What is read is the whole text. */
static enum code take(const struct place *place, uint64_t number)
{
    SCOPE_BUFFER out = {0};
    enum code code = server_state_read(&place->place, number, &out, &why);
    if (code == CODE_OK) {
        assert_int_equal(out.length, strlen(TEXT));
        assert_memory_equal(out.data, TEXT, out.length);
    }
    return code;
}

/* The only file of a folder. */
static void find_file(const char *folder, char path[256])
{
    struct file_names names;
    assert_code_ok(file_list(folder, 16, &names, &why), why);
    assert_int_equal(names.count, 1);
    snprintf(path, 256, "%s/%s", folder, names.names[0]);
    file_names_free(&names);
}

static void rewrite(const char *path, const struct buffer *bytes, size_t count)
{
    assert_code_ok(file_replace(path, bytes->data, count, &why), why);
}

static void it_is_read_once(void **state)
{
    const struct place *place = *state;
    assert_int_equal(take(place, NUMBER), CODE_NO_DATA);
    keep(place, NUMBER);
    assert_int_equal(take(place, NUMBER), CODE_OK);
    assert_int_equal(take(place, NUMBER), CODE_NO_DATA);
}

static void the_disk_gives_nothing_of_it_away(void **state)
{
    const struct place *place = *state;
    char path[256];
    SCOPE_BUFFER bytes = {0};
    keep(place, NUMBER);
    find_file(place->disk, path);
    assert_code_ok(file_read(path, 65536, &bytes, &why), why);
    assert_null(memmem(bytes.data, bytes.length, "clients", 7));
}

static void a_store_that_somebody_has_had_meanwhile_does_not_take_it(void **state)
{
    struct place *place = *state;
    keep(place, NUMBER);
    assert_int_equal(take(place, NUMBER + 1), CODE_DENIED);
    keep(place, NUMBER);
    place->store.bytes[0] ^= 1;
    assert_int_not_equal(take(place, NUMBER), CODE_OK);
}

static void cut_or_changed_anywhere_it_is_nothing(void **state)
{
    const struct place *place = *state;
    struct random random = {5};
    char path[256];
    for (int round = 0; round < 200; round++) {
        SCOPE_BUFFER bytes = {0};
        keep(place, NUMBER);
        find_file(place->disk, path);
        assert_code_ok(file_read(path, 65536, &bytes, &why), why);
        size_t count = bytes.length, at = random_below(&random, (uint32_t)count);
        switch (round % 3) {
        case 0:
            count = at;
            break;
        case 1:
            bytes.data[at] ^= (char)(1 << random_below(&random, 8));
            break;
        default:
            buffer_append_text(&bytes, "more");
            count = bytes.length;
        }
        rewrite(path, &bytes, count);
        enum code code = take(place, NUMBER);
        if (code == CODE_OK)
            fail_msg("round %d: changed at %zu of %zu, and read all the same", round, at, count);
        assert_true(why.text[0]);
        (void)!unlink(path);
    }
}

static void make_old(const char *path, time_t age_s)
{
    assert_code_ok(file_write(path, "0123456789abcdef0123456789abcdef", 32, &why), why);
    const struct timespec times[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void the_key_of_a_store_that_is_not_served_again_goes_after_an_hour(void **state)
{
    const struct place *place = *state;
    static const char *const names[] = {"cytofs-00112233445566778899aabbccddeeff.resume",
                                        "cytofs-ff112233445566778899aabbccddeeff.resume", "cytofs-notes.resume",
                                        "other-00112233445566778899aabbccddeeff.resume"};
    static const bool goes[] = {true, false, false, false};
    char path[256];
    for (int written = 0; written < 2; written++) { /* by a server that starts, and by one that stops */
        for (int i = 0; i < 4; i++) {
            snprintf(path, sizeof path, "%s/%s", place->memory, names[i]);
            make_old(path, i == 1 ? SERVER_STATE_AGE_MAX_S - 60 : 2 * SERVER_STATE_AGE_MAX_S);
        }
        if (written)
            keep(place, NUMBER);
        else
            assert_int_equal(take(place, NUMBER), CODE_NO_DATA);
        for (int i = 0; i < 4; i++) {
            snprintf(path, sizeof path, "%s/%s", place->memory, names[i]);
            assert_int_equal(file_exists(path), !goes[i]);
        }
    }
    assert_int_equal(take(place, NUMBER), CODE_OK);
}

static void without_its_key_it_is_nothing(void **state)
{
    const struct place *place = *state;
    char path[256];
    keep(place, NUMBER);
    find_file(place->memory, path);
    assert_int_equal(unlink(path), 0); /* the machine was started anew */
    assert_int_not_equal(take(place, NUMBER), CODE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_read_once, setup, teardown),
        cmocka_unit_test_setup_teardown(the_disk_gives_nothing_of_it_away, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_that_somebody_has_had_meanwhile_does_not_take_it, setup, teardown),
        cmocka_unit_test_setup_teardown(cut_or_changed_anywhere_it_is_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_key_of_a_store_that_is_not_served_again_goes_after_an_hour, setup, teardown),
        cmocka_unit_test_setup_teardown(without_its_key_it_is_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
