/* The audit log's files: whatever is done to them is found, and a crash costs nothing that was whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aead.h"
#include "audit_log.h"
#include "file.h"
#include "scope.h"
#include "testing.h"

#define LINES 20

struct place {
    char folder[64], file[128];
    struct aead_key *key;
};

static void write_lines(struct place *place, int from, int count)
{
    struct failure why;
    struct audit_log *log;
    assert_code_ok(audit_log_open(place->folder, place->key, &log, &why), why);
    for (int i = from; i < from + count; i++) {
        char text[64];
        snprintf(text, sizeof text, "event %d", i);
        assert_code_ok(audit_log_append(log, text, &why), why);
    }
    assert_code_ok(audit_log_sync(log, &why), why);
    assert_int_equal(audit_log_place(log).lines, from + count);
    audit_log_close(log);
}

static int set_up(void **state)
{
    struct failure why;
    const uint8_t bytes[AUDIT_KEY_BYTES] = {7};
    struct place *place = calloc(1, sizeof *place);
    strcpy(place->folder, "/tmp/cytofs-audit-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->file, sizeof place->file, "%s/%020d.log", place->folder, 0);
    assert_code_ok(aead_key_create(bytes, &place->key, &why), why);
    write_lines(place, 0, LINES);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    struct failure why;
    assert_code_ok(file_remove_tree(place->folder, &why), why);
    aead_key_destroy(place->key);
    free(place);
    return 0;
}

static void count_line(void *context, uint64_t number, const char *text)
{
    char expected[64];
    snprintf(expected, sizeof expected, "event %d", (int)number);
    assert_string_equal(text, expected);
    ++*(int *)context;
}

static enum code read_all(struct place *place, const struct audit_place *known, int *count, struct audit_read *read)
{
    struct failure why;
    *count = 0;
    const struct audit_reading reading = {.each = count_line, .context = count};
    return audit_log_read(place->folder, place->key, &reading, known, read, &why);
}

static enum code verify(struct place *place, const struct audit_place *known)
{
    int count;
    struct audit_read read;
    return read_all(place, known, &count, &read);
}

static void what_is_written_is_read_and_goes_on_after_a_restart(void **state)
{
    int count;
    struct audit_read read;
    write_lines(*state, LINES, 5);
    assert_int_equal(read_all(*state, NULL, &count, &read), CODE_OK);
    assert_int_equal(count, LINES + 5);
    assert_false(read.torn);
}

/* Puts other contents in the file; the lines of the old ones are given as a list. */
struct lines {
    struct buffer text;
    char *at[LINES + 2];
    size_t count;
};

static void load(struct place *place, struct lines *lines)
{
    struct failure why;
    *lines = (struct lines){.count = 0};
    assert_code_ok(file_read(place->file, 1 << 20, &lines->text, &why), why);
    for (char *rest = lines->text.data, *line; (line = strsep(&rest, "\n")) && *line;)
        lines->at[lines->count++] = line;
    assert_int_equal(lines->count, LINES + 1);
}

static void store(struct place *place, struct lines *lines)
{
    struct failure why;
    SCOPE_BUFFER text = {0};
    for (size_t i = 0; i < lines->count; i++)
        if (lines->at[i])
            buffer_printf(&text, "%s\n", lines->at[i]);
    assert_code_ok(file_write(place->file, text.data, text.length, &why), why);
    buffer_free(&lines->text);
}

static void any_flipped_character_is_found(void **state)
{
    struct place *place = *state;
    struct failure why;
    SCOPE_BUFFER text = {0};
    assert_code_ok(file_read(place->file, 1 << 20, &text, &why), why);
    int found = 0, count;
    struct audit_read read;
    assert_int_equal(read_all(place, NULL, &count, &read), CODE_OK);
    for (size_t at = 0; at < text.length; at += 7) {
        char before = text.data[at];
        text.data[at] = before == '0' ? '1' : '0';
        assert_code_ok(file_write(place->file, text.data, text.length, &why), why);
        assert_int_equal(verify(place, &read.end), CODE_CORRUPT);
        text.data[at] = before;
        found++;
    }
    assert_true(found > 200);
}

static void any_line_that_is_taken_away_is_found(void **state)
{
    struct audit_read read;
    int count;
    assert_int_equal(read_all(*state, NULL, &count, &read), CODE_OK);
    for (size_t i = 0; i <= LINES; i++) {
        struct lines lines;
        load(*state, &lines);
        SCOPE_BUFFER whole = {0};
        for (size_t j = 0; j < lines.count; j++)
            buffer_printf(&whole, "%s\n", lines.at[j]);
        lines.at[i] = NULL;
        store(*state, &lines);
        assert_int_equal(verify(*state, &read.end), CODE_CORRUPT); /* the last one by what the lab remembers */
        struct failure why;
        assert_code_ok(file_write(((struct place *)*state)->file, whole.data, whole.length, &why), why);
    }
    assert_int_equal(verify(*state, &read.end), CODE_OK);
}

static void lines_that_change_places_are_found(void **state)
{
    struct lines lines;
    load(*state, &lines);
    char *line = lines.at[4];
    lines.at[4] = lines.at[5];
    lines.at[5] = line;
    store(*state, &lines);
    assert_int_equal(verify(*state, NULL), CODE_CORRUPT);
}

/* Somebody who has no key begins the log anew, or goes on with another key, from where the lab remembers it. */
static void another_log_in_its_place_is_found(void **state)
{
    struct place *place = *state;
    struct audit_read read;
    struct failure why;
    int count;
    assert_int_equal(read_all(place, NULL, &count, &read), CODE_OK);
    assert_int_equal(unlink(place->file), 0);
    write_lines(place, 0, LINES + 3); /* even with the key: the nonces are others */
    assert_int_equal(verify(place, &read.end), CODE_CORRUPT);
    assert_int_equal(verify(place, NULL), CODE_OK);
    const uint8_t bytes[AUDIT_KEY_BYTES] = {8};
    struct place other = *place;
    assert_code_ok(aead_key_create(bytes, &other.key, &why), why);
    write_lines(&other, LINES + 3, 1);
    aead_key_destroy(other.key);
    assert_int_equal(verify(place, NULL), CODE_CORRUPT);
}

static void a_line_that_a_crash_tore_is_dropped_and_the_chain_goes_on(void **state)
{
    struct place *place = *state;
    struct failure why;
    SCOPE_BUFFER text = {0};
    int count;
    struct audit_read read;
    assert_code_ok(file_read(place->file, 1 << 20, &text, &why), why);
    for (size_t cut = 1; cut < 60; cut += 7) {
        assert_code_ok(file_write(place->file, text.data, text.length - cut, &why), why);
        assert_int_equal(read_all(place, NULL, &count, &read), CODE_OK);
        assert_true(read.torn);
        assert_int_equal(count, LINES - 1);
        write_lines(place, LINES - 1, 3);
        assert_int_equal(read_all(place, NULL, &count, &read), CODE_OK);
        assert_int_equal(count, LINES + 2);
    }
}

static void a_full_file_is_followed_by_the_next(void **state)
{
    struct place *place = *state;
    struct failure why;
    struct audit_log *log;
    struct file_names names;
    struct audit_read read;
    static char text[7000];
    memset(text, 'x', sizeof text - 1);
    assert_code_ok(audit_log_open(place->folder, place->key, &log, &why), why);
    for (int i = 0; i < 1400; i++)
        assert_code_ok(audit_log_append(log, text, &why), why);
    struct audit_place end = audit_log_place(log);
    audit_log_close(log);
    assert_code_ok(file_list(place->folder, 10, &names, &why), why);
    assert_int_equal(names.count, 3);
    const struct audit_reading reading = {.from = 0}, late = {.from = LINES + 1390};
    assert_code_ok(audit_log_read(place->folder, place->key, &reading, &end, &read, &why), why);
    assert_int_equal(read.end.lines, LINES + 1400);
    assert_code_ok(audit_log_read(place->folder, place->key, &late, NULL, &read, &why), why);
    assert_true(read.first > 0);
    for (size_t i = 0; i < names.count; i++) { /* none of the files can go missing */
        SCOPE_FREE char *path = file_join(place->folder, names.names[i]);
        SCOPE_FREE char *aside = file_join(place->folder, "aside");
        assert_int_equal(rename(path, aside), 0);
        assert_int_equal(audit_log_read(place->folder, place->key, &reading, &end, &read, &why), CODE_CORRUPT);
        assert_int_equal(rename(aside, path), 0);
    }
    file_names_free(&names);
}

int main(void)
{
#define log_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        log_test(what_is_written_is_read_and_goes_on_after_a_restart),
        log_test(any_flipped_character_is_found),
        log_test(any_line_that_is_taken_away_is_found),
        log_test(lines_that_change_places_are_found),
        log_test(another_log_in_its_place_is_found),
        log_test(a_line_that_a_crash_tore_is_dropped_and_the_chain_goes_on),
        log_test(a_full_file_is_followed_by_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
