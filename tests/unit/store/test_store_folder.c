/* Making, opening and locking a store's folder; where its key is looked for. */
#include "test_folder.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hex.h"
#include "key_location.h"
#include "store_folder.h"

static struct failure why;

static const char *path_in(const char *folder, const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_text(const char *path, const char *text)
{
    assert_code_ok(file_write(path, text, strlen(text), &why), why);
}

static struct store_folder *create(const char *path)
{
    struct store_folder *store;
    assert_code_ok(store_folder_create(path, &store, &why), why);
    return store;
}

static void a_created_store_opens_again_with_its_id(void **state)
{
    char path[128];
    snprintf(path, sizeof path, "%s/new/lab", (char *)*state);
    struct store_folder *store = create(path);
    struct store_id id = *store_folder_id(store);
    struct stat status;
    assert_int_equal(stat(store_folder_packs_path(store), &status), 0);
    assert_int_equal(status.st_mode & 077, 0);
    store_folder_close(store);
    assert_code_ok(store_folder_open(path, false, &store, &why), why);
    assert_memory_equal(store_folder_id(store), &id, sizeof id);
    store_folder_close(store);
    assert_int_equal(store_folder_create(path, &store, &why), CODE_EXISTS);
}

static void a_folder_with_other_files_is_refused_and_left_as_it_was(void **state)
{
    const char *folder = *state;
    struct store_folder *store;
    write_text(path_in(folder, "thesis.txt"), "x");
    assert_int_equal(store_folder_create(folder, &store, &why), CODE_NOT_EMPTY);
    assert_non_null(strstr(why.text, "thesis.txt"));
    struct file_names names;
    assert_code_ok(file_list(folder, 10, &names, &why), why);
    assert_int_equal(names.count, 1);
    file_names_free(&names);
}

static void somebody_elses_catalog_is_not_taken_for_an_interrupted_create(void **state)
{
    const char *folder = *state;
    struct store_folder *store;
    write_text(path_in(folder, "catalog.db"), "books");
    assert_int_equal(store_folder_create(folder, &store, &why), CODE_NOT_EMPTY);
    assert_true(file_exists(path_in(folder, "catalog.db")));
}

static void an_interrupted_create_can_be_repeated(void **state)
{
    const char *folder = *state;
    write_text(path_in(folder, "lock"), "");
    assert_int_equal(mkdir(path_in(folder, "packs"), 0700), 0);
    write_text(path_in(folder, "catalog.db"), "half made");
    write_text(path_in(folder, "catalog.db-wal"), "");
    struct store_folder *store;
    assert_int_equal(store_folder_open(folder, false, &store, &why), CODE_NOT_FOUND);
    store_folder_close(create(folder));
    assert_false(file_exists(path_in(folder, "catalog.db")));
    assert_code_ok(store_folder_open(folder, false, &store, &why), why);
    store_folder_close(store);
}

static void a_store_in_use_is_refused_with_the_number_of_its_process(void **state)
{
    const char *folder = *state;
    struct store_folder *store = create(folder), *other;
    char number[32];
    snprintf(number, sizeof number, "process %ld", (long)getpid());
    assert_int_equal(store_folder_open(folder, false, &other, &why), CODE_BUSY);
    assert_non_null(strstr(why.text, number));
    assert_int_equal(store_folder_open(folder, true, &other, &why), CODE_BUSY);
    store_folder_close(store);
    assert_code_ok(store_folder_open(folder, true, &store, &why), why);
    assert_code_ok(store_folder_open(folder, true, &other, &why), why);
    store_folder_close(other);
    assert_int_equal(store_folder_open(folder, false, &other, &why), CODE_BUSY);
    store_folder_close(store);
}

static void a_killed_process_leaves_no_lock_behind(void **state)
{
    const char *folder = *state;
    store_folder_close(create(folder));
    pid_t child = fork();
    if (child == 0) {
        struct store_folder *store;
        _exit(store_folder_open(folder, false, &store, NULL) == CODE_OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct store_folder *store;
    assert_code_ok(store_folder_open(folder, false, &store, &why), why);
    store_folder_close(store);
}

static void a_newer_or_damaged_format_is_refused_in_words(void **state)
{
    const char *folder = *state;
    store_folder_close(create(folder));
    static const struct {
        const char *text, *says;
        enum code code;
    } cases[] = {
        {"cytofs store 3\nanything\n", "newer cytofs (format 3", CODE_NEWER_FORMAT},
        {"cytofs store 2\nanything\n", "checksum", CODE_CORRUPT},
        {"", "is no store", CODE_CORRUPT},
        {"hello\n", "is no store", CODE_CORRUPT},
        {"cytofs store \n", "no number", CODE_CORRUPT},
        {"cytofs store 1", "no number", CODE_CORRUPT},
        {"cytofs store 1\n", "no id", CODE_CORRUPT},
        {"cytofs store 1\nid 0011\n", "no id", CODE_CORRUPT},
        {"cytofs store 1\nid 00112233445566778899aabbccddeefg\n", "no id", CODE_CORRUPT},
        {"cytofs store 1\nid 00112233445566778899aabbccddeeff\nmore\n", "no id", CODE_CORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_folder *store;
        write_text(path_in(folder, "FORMAT"), cases[i].text);
        assert_int_equal(store_folder_open(folder, false, &store, &why), cases[i].code);
        assert_non_null(strstr(why.text, cases[i].says));
        assert_non_null(strstr(why.text, folder));
    }
    write_text(path_in(folder, "FORMAT"), "cytofs store 1\nid 00112233445566778899aabbccddeeff\n");
    struct store_folder *store;
    assert_code_ok(store_folder_open(folder, false, &store, &why), why);
    char digits[HEX_TEXT_BYTES(IDENTITY_BYTES)];
    hex_encode(store_folder_id(store)->bytes, IDENTITY_BYTES, digits);
    assert_string_equal(digits, "00112233445566778899aabbccddeeff");
    store_folder_close(store);
}

static void each_flipped_bit_of_the_format_file_is_found(void **state)
{
    const char *folder = *state;
    store_folder_close(create(folder));
    const char *path = path_in(folder, "FORMAT");
    SCOPE_BUFFER text = {0};
    assert_code_ok(file_read(path, 1000, &text, &why), why);
    for (size_t bit = 0; bit < 8 * text.length; bit++) {
        struct store_folder *store;
        text.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_code_ok(file_write(path, text.data, text.length, &why), why);
        enum code code = store_folder_open(folder, true, &store, &why);
        assert_true(code == CODE_CORRUPT || code == CODE_NEWER_FORMAT);
        text.data[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static void an_older_format_file_gets_its_checksum_when_it_is_opened_for_writing(void **state)
{
    const char *folder = *state;
    struct store_folder *store;
    static const char older[] = "cytofs store 1\nid 00112233445566778899aabbccddeeff\n";
    SCOPE_BUFFER text = {0};
    store_folder_close(create(folder));
    const char *path = path_in(folder, "FORMAT");
    write_text(path, older);
    assert_code_ok(store_folder_open(folder, true, &store, &why), why);
    store_folder_close(store);
    assert_code_ok(file_read(path, 1000, &text, &why), why);
    assert_string_equal(buffer_text(&text), older);
    assert_code_ok(store_folder_open(folder, false, &store, &why), why);
    store_folder_close(store);
    buffer_clear(&text);
    assert_code_ok(file_read(path, 1000, &text, &why), why);
    assert_string_equal(buffer_text(&text), "cytofs store 2\nid 00112233445566778899aabbccddeeff\nsum eb6e9d2893a613a3\n");
}

static void a_key_is_looked_for_by_option_then_environment_then_home(void **state)
{
    (void)state;
    const struct store_id id = {{0xab, 0xcd}};
    SCOPE_BUFFER path = {0};
    setenv("HOME", "/home/ann", 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("CYTOFS_KEY");
    assert_code_ok(key_location_find(&id, NULL, &path, &why), why);
    assert_string_equal(buffer_text(&path), "/home/ann/.config/cytofs/keys/abcd0000000000000000000000000000.key");
    setenv("XDG_CONFIG_HOME", "/c", 1);
    assert_code_ok(key_location_find(&id, "", &path, &why), why);
    assert_string_equal(buffer_text(&path), "/c/cytofs/keys/abcd0000000000000000000000000000.key");
    setenv("CYTOFS_KEY", "usb/key", 1);
    assert_code_ok(key_location_find(&id, NULL, &path, &why), why);
    assert_string_equal(buffer_text(&path), "usb/key");
    assert_code_ok(key_location_find(&id, "mine.key", &path, &why), why);
    assert_string_equal(buffer_text(&path), "mine.key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_folder(a_created_store_opens_again_with_its_id),
        in_folder(a_folder_with_other_files_is_refused_and_left_as_it_was),
        in_folder(somebody_elses_catalog_is_not_taken_for_an_interrupted_create),
        in_folder(an_interrupted_create_can_be_repeated),
        in_folder(a_store_in_use_is_refused_with_the_number_of_its_process),
        in_folder(a_killed_process_leaves_no_lock_behind),
        in_folder(a_newer_or_damaged_format_is_refused_in_words),
        in_folder(each_flipped_bit_of_the_format_file_is_found),
        in_folder(an_older_format_file_gets_its_checksum_when_it_is_opened_for_writing),
        cmocka_unit_test(a_key_is_looked_for_by_option_then_environment_then_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
