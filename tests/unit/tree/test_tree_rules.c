/* fs/tree with rules: who is called when, what derived files look like, what may not be done to them. */
#include "testing.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab_fixture.h"
#include "rule.h"
#include "scope.h"

struct watched {
    struct lab lab;
    pthread_mutex_t calling;
    struct buffer calls; /* "check jobs/a.yaml; settled jobs/a.yaml; " */
    enum code check_says;
    enum code admit_says;
    char shown[200]; /* what the control file shows */
    int renderings;
};

static enum code check(void *context, const char *path, struct failure *why)
{
    struct watched *watched = context;
    buffer_printf(&watched->calls, "check %s; ", path);
    return watched->check_says == CODE_OK ? CODE_OK : failure_set(why, watched->check_says, "%s: bad", path);
}

static enum code admit(void *context, const char *path, const char *target, struct failure *why)
{
    struct watched *watched = context;
    buffer_printf(&watched->calls, "admit %s%s%s; ", path, target ? " to " : "", target ? target : "");
    return watched->admit_says == CODE_OK ? CODE_OK : failure_set(why, watched->admit_says, "%s: not now", path);
}

static void settled(void *context, const char *path)
{
    struct watched *watched = context;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&watched->calling);
    buffer_printf(&watched->calls, "settled %s; ", path);
}

static void removed(void *context, const char *path)
{
    buffer_printf(&((struct watched *)context)->calls, "removed %s; ", path);
}

static void released(void *context, const char *path)
{
    buffer_printf(&((struct watched *)context)->calls, "released %s; ", path);
}

static enum code count_lines(void *context, const char *path, struct buffer *out, struct failure *why)
{
    struct watched *watched = context;
    watched->renderings++;
    if (strstr(path, "none"))
        return failure_set(why, CODE_NOT_FOUND, "%s: no such file", path);
    SCOPE_BUFFER text = {0};
    (void)!tree_path_read(watched->lab.tree, "experiments/e/source", 1000, &text, NULL);
    buffer_printf(out, "%zu bytes\n", text.length);
    return CODE_OK;
}

static enum code show_control(void *context, const char *path, struct buffer *out, struct failure *why)
{
    (void)path;
    (void)why;
    buffer_append_text(out, ((struct watched *)context)->shown);
    return CODE_OK;
}

static enum code command(void *context, const char *path, const char *text, size_t count, struct failure *why)
{
    struct watched *watched = context;
    if (memcmp(text, "no", 2) == 0)
        return failure_set(why, CODE_INVALID, "%s: no such command", path);
    snprintf(watched->shown, sizeof watched->shown, "%.*s", (int)count, text);
    return CODE_OK;
}

static void list_errors(void *context, const char *folder, rule_emit *emit, void *emit_context)
{
    (void)context;
    assert_string_equal(folder, "jobs");
    emit(emit_context, "a.error");
    emit(emit_context, "none.error");
}

static enum code show_error(void *context, const char *path, struct buffer *out, struct failure *why)
{
    (void)context;
    if (strcmp(path, "jobs/a.error") != 0)
        return failure_set(why, CODE_NOT_FOUND, "%s: no such file", path);
    buffer_append_text(out, "wrong");
    return CODE_OK;
}

struct stream {
    int next;
};

static enum code open_stream(void *context, const char *path, struct stream **out, struct failure *why)
{
    (void)context;
    (void)path;
    (void)why;
    *out = calloc(1, sizeof **out);
    return CODE_OK;
}

static enum code read_stream(struct stream *stream, char *bytes, size_t count, size_t *got, struct failure *why)
{
    (void)why;
    *got = 0;
    if (stream->next < 2)
        *got = (size_t)snprintf(bytes, count, "line %d\n", ++stream->next);
    return CODE_OK;
}

static void close_stream(struct stream *stream)
{
    free(stream);
}

static int open_lab(void **state)
{
    struct watched *watched = calloc(1, sizeof *watched);
    struct failure why;
    lab_open_memory(&watched->lab);
    pthread_mutex_init(&watched->calling, NULL);
    const struct rule rules[] = {
        {.kind = RULE_WATCH,
         .pattern = "jobs/*.yaml",
         .context = watched,
         .check = check,
         .settled = settled,
         .removed = removed},
        {.kind = RULE_WATCH, .pattern = "experiments/*/claim", .context = watched, .admit = admit, .settled = settled},
        {.kind = RULE_WATCH, .pattern = "experiments/*/events", .context = watched, .append_only = true},
        {.kind = RULE_WATCH, .pattern = "lab/nodes/*", .context = watched, .released = released},
        {.kind = RULE_DERIVED, .pattern = "experiments/*/summary", .context = watched, .render = count_lines},
        {.kind = RULE_DERIVED, .pattern = "jobs/*.error", .context = watched, .list = list_errors, .render = show_error},
        {.kind = RULE_CONTROL, .pattern = "lab/trace", .context = watched, .render = show_control, .command = command},
        {.kind = RULE_STREAM,
         .pattern = "jobs/events",
         .context = watched,
         .open = open_stream,
         .read = read_stream,
         .close = close_stream},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        assert_code_ok(rule_add(watched->lab.tree, &rules[i], &why), why);
    lab_make_folder(&watched->lab, "experiments/e");
    *state = watched;
    return 0;
}

static int close_lab(void **state)
{
    struct watched *watched = *state;
    lab_check(&watched->lab);
    lab_destroy(&watched->lab);
    buffer_free(&watched->calls);
    pthread_mutex_destroy(&watched->calling);
    free(watched);
    return 0;
}

static void expect_calls(struct watched *watched, const char *calls)
{
    assert_string_equal(buffer_text(&watched->calls), calls);
    buffer_clear(&watched->calls);
}

static void patterns_match_by_component(void **state)
{
    (void)state;
    assert_true(rule_matches("jobs/*.yaml", "jobs/a.yaml"));
    assert_true(rule_matches("experiments/*/*/status", "experiments/e/001/status"));
    assert_false(rule_matches("jobs/*.yaml", "jobs/a/b.yaml"));
    assert_false(rule_matches("jobs/*.yaml", "jobs/.a.yaml"));
    assert_true(rule_matches("jobs/.*", "jobs/.a"));
    assert_false(rule_matches("jobs/*.yaml", "jobs"));
    assert_false(rule_matches("jobs", "jobs/a"));
    assert_false(rule_matches("a*a", "a"));
    assert_true(rule_matches("README", "README"));
    assert_false(rule_matches("README", ""));
}

static void saving_is_checked_at_flush_and_settles_at_release(void **state)
{
    struct watched *watched = *state;
    lab_write(&watched->lab, "jobs/a.yaml", "epochs: 3");
    expect_calls(watched, "check jobs/a.yaml; settled jobs/a.yaml; ");
}

static void a_refused_text_is_kept(void **state)
{
    struct watched *watched = *state;
    struct failure why;
    watched->check_says = CODE_INVALID;
    assert_int_equal(lab_save(&watched->lab, "jobs/a.yaml", "epochs: many", &why), CODE_INVALID);
    assert_string_equal(why.text, "jobs/a.yaml: bad");
    expect_calls(watched, "check jobs/a.yaml; settled jobs/a.yaml; ");
    lab_expect(&watched->lab, "jobs/a.yaml", "epochs: many");
}

static void an_accepted_text_is_durable(void **state)
{
    struct watched *watched = *state;
    struct tree_statistics before, after;
    tree_statistics(watched->lab.tree, &before);
    lab_write(&watched->lab, "jobs/a.yaml", "epochs: 3");
    tree_statistics(watched->lab.tree, &after);
    assert_true(after.commits > before.commits);
}

static void reading_calls_nothing(void **state)
{
    struct watched *watched = *state;
    lab_write(&watched->lab, "jobs/a.yaml", "epochs: 3");
    buffer_clear(&watched->calls);
    lab_expect(&watched->lab, "jobs/a.yaml", "epochs: 3");
    expect_calls(watched, "");
}

static void two_writers_settle_once(void **state)
{
    struct watched *watched = *state;
    struct failure why;
    lab_write(&watched->lab, "jobs/a.yaml", "1");
    buffer_clear(&watched->calls);
    struct node_id node = lab_node(&watched->lab, "jobs/a.yaml");
    struct tree_file *first, *second;
    assert_code_ok(tree_open_file(watched->lab.tree, node, OPEN_WRITE, &first, &why), why);
    assert_code_ok(tree_open_file(watched->lab.tree, node, OPEN_WRITE, &second, &why), why);
    assert_code_ok(tree_write(first, 0, "2", 1, &why), why);
    assert_code_ok(tree_flush(first, &why), why);
    tree_release(first);
    expect_calls(watched, "check jobs/a.yaml; ");
    tree_release(second);
    expect_calls(watched, "settled jobs/a.yaml; ");
}

static void a_rename_into_the_pattern_settles_and_away_calls_nothing(void **state)
{
    struct watched *watched = *state;
    struct failure why;
    struct node_id jobs = lab_node(&watched->lab, "jobs");
    lab_write(&watched->lab, "jobs/a.yaml", "old");
    lab_write(&watched->lab, "jobs/.a.yaml.swp", "new");
    buffer_clear(&watched->calls);
    struct tree_rename away = {jobs, jobs, "a.yaml", "a.yaml~", 0, 0, 0};
    assert_code_ok(tree_rename(watched->lab.tree, &away, &why), why);
    expect_calls(watched, "");
    struct tree_rename in = {jobs, jobs, ".a.yaml.swp", "a.yaml", 0, 0, 0};
    assert_code_ok(tree_rename(watched->lab.tree, &in, &why), why);
    expect_calls(watched, "settled jobs/a.yaml; ");
    struct tree_rename over = {jobs, jobs, "a.yaml~", "a.yaml", 0, 0, 0};
    assert_code_ok(tree_rename(watched->lab.tree, &over, &why), why);
    expect_calls(watched, "settled jobs/a.yaml; ");
    assert_code_ok(tree_unlink(watched->lab.tree, jobs, "a.yaml", &why), why);
    expect_calls(watched, "removed jobs/a.yaml; ");
}

static void *release_file(void *file)
{
    tree_release(file);
    return NULL;
}

/* The kernel releases a file some time after close(2): what was saved beside and renamed settles once all the same. */
static void a_rename_while_the_file_is_released_settles_once(void **state)
{
    struct watched *watched = *state;
    struct failure why;
    struct node_attributes made;
    struct node_id jobs = lab_node(&watched->lab, "jobs");
    for (int round = 0; round < 2000; round++) {
        struct tree_file *file;
        pthread_t releasing;
        assert_code_ok(tree_create_file(watched->lab.tree, jobs, ".a.yaml.part", 0644, OPEN_WRITE, &made, &file, &why), why);
        assert_code_ok(tree_write(file, 0, "new", 3, &why), why);
        assert_code_ok(tree_flush(file, &why), why);
        assert_int_equal(pthread_create(&releasing, NULL, release_file, file), 0);
        struct tree_rename over = {jobs, jobs, ".a.yaml.part", "a.yaml", 0, 0, 0};
        assert_code_ok(tree_rename(watched->lab.tree, &over, &why), why);
        pthread_join(releasing, NULL);
        expect_calls(watched, "settled jobs/a.yaml; ");
    }
}

static void what_the_server_writes_calls_nothing(void **state)
{
    struct watched *watched = *state;
    struct failure why;
    assert_code_ok(tree_path_write(watched->lab.tree, "jobs/s.yaml", 0644, "x", 1, &why), why);
    assert_code_ok(tree_path_append(watched->lab.tree, "jobs/s.yaml", "y", 1, &why), why);
    assert_code_ok(tree_path_remove(watched->lab.tree, "jobs/s.yaml", &why), why);
    expect_calls(watched, "");
}

static void a_claim_is_admitted_with_its_target(void **state)
{
    struct watched *watched = *state;
    struct failure why;
    struct node_attributes attributes;
    struct node_id run = lab_node(&watched->lab, "experiments/e");
    watched->admit_says = CODE_AGAIN;
    assert_int_equal(tree_make_link(watched->lab.tree, run, "claim", "node-1", &attributes, &why), CODE_AGAIN);
    assert_false(tree_path_exists(watched->lab.tree, "experiments/e/claim"));
    expect_calls(watched, "admit experiments/e/claim to node-1; ");
    watched->admit_says = CODE_OK;
    assert_code_ok(tree_make_link(watched->lab.tree, run, "claim", "node-1", &attributes, &why), why);
    expect_calls(watched, "admit experiments/e/claim to node-1; settled experiments/e/claim; ");
    assert_int_equal(tree_make_link(watched->lab.tree, run, "claim", "node-2", &attributes, &why), CODE_EXISTS);
    expect_calls(watched, "");
}

static void an_append_only_file_only_grows(void **state)
{
    struct watched *watched = *state;
    struct failure why;
    struct node_attributes attributes;
    lab_write(&watched->lab, "experiments/e/events", "one\n");
    struct node_id node = lab_node(&watched->lab, "experiments/e/events");
    struct tree_file *file;
    assert_int_equal(tree_open_file(watched->lab.tree, node, OPEN_WRITE | OPEN_TRUNCATE, &file, &why), CODE_NOT_PERMITTED);
    struct attribute_change shrink = {.which = CHANGE_SIZE, .size = 0};
    assert_int_equal(tree_change(watched->lab.tree, node, &shrink, &attributes, &why), CODE_NOT_PERMITTED);
    assert_code_ok(tree_open_file(watched->lab.tree, node, OPEN_WRITE, &file, &why), why);
    assert_int_equal(tree_write(file, 0, "ONE", 3, &why), CODE_NOT_PERMITTED);
    tree_release(file);
    assert_code_ok(tree_open_file(watched->lab.tree, node, OPEN_WRITE | OPEN_APPEND, &file, &why), why);
    assert_code_ok(tree_write(file, 0, "two\n", 4, &why), why);
    tree_release(file);
    lab_expect(&watched->lab, "experiments/e/events", "one\ntwo\n");
}

static void the_last_release_of_any_kind_is_told(void **state)
{
    struct watched *watched = *state;
    struct failure why;
    struct node_attributes attributes;
    struct tree_file *writer, *reader;
    struct node_id nodes = lab_node(&watched->lab, "lab/nodes");
    assert_code_ok(tree_create_file(watched->lab.tree, nodes, "n1", 0644, OPEN_WRITE, &attributes, &writer, &why), why);
    assert_code_ok(tree_open_file(watched->lab.tree, attributes.id, OPEN_READ, &reader, &why), why);
    tree_release(writer);
    expect_calls(watched, "");
    tree_release(reader);
    expect_calls(watched, "released lab/nodes/n1; ");
}

static void a_derived_file_has_true_size_stable_time_and_follows_its_source(void **state)
{
    struct watched *watched = *state;
    struct failure why;
    struct node_attributes first, second, third;
    lab_write(&watched->lab, "experiments/e/source", "12345");
    assert_code_ok(tree_path_attributes(watched->lab.tree, "experiments/e/summary", &first, &why), why);
    assert_code_ok(tree_path_attributes(watched->lab.tree, "experiments/e/summary", &second, &why), why);
    assert_true(first.derived);
    assert_int_equal(first.size, strlen("5 bytes\n"));
    assert_int_equal(first.mode, 0444);
    assert_true(first.modify_ns == second.modify_ns && first.id.value == second.id.value);
    assert_int_equal(watched->renderings, 1);
    lab_expect(&watched->lab, "experiments/e/summary", "5 bytes\n");
    lab_write(&watched->lab, "experiments/e/source", "1234567890");
    lab_expect(&watched->lab, "experiments/e/summary", "10 bytes\n");
    assert_code_ok(tree_attributes(watched->lab.tree, first.id, &third, &why), why);
    assert_int_equal(third.size, strlen("10 bytes\n"));
    assert_true(third.modify_ns > first.modify_ns);
}

static void an_open_derived_file_keeps_what_it_showed(void **state)
{
    struct watched *watched = *state;
    struct failure why;
    struct tree_file *file;
    lab_write(&watched->lab, "experiments/e/source", "12345");
    struct node_id summary = lab_node(&watched->lab, "experiments/e/summary");
    assert_code_ok(tree_open_file(watched->lab.tree, summary, OPEN_READ, &file, &why), why);
    lab_write(&watched->lab, "experiments/e/source", "");
    char bytes[32] = {0};
    size_t got;
    assert_code_ok(tree_read(file, 0, bytes, sizeof bytes - 1, &got, &why), why);
    assert_string_equal(bytes, "5 bytes\n");
    tree_release(file);
}

static void derived_names_are_listed_and_cannot_be_touched(void **state)
{
    struct watched *watched = *state;
    struct failure why;
    struct node_id jobs = lab_node(&watched->lab, "jobs");
    lab_write(&watched->lab, "jobs/b.yaml", "x");
    SCOPE_BUFFER names = {0};
    struct tree_folder *folder;
    struct node_attributes attributes;
    const char *name;
    assert_code_ok(tree_open_folder(watched->lab.tree, jobs, &folder, &why), why);
    for (uint64_t cursor = 0; tree_folder_entry(folder, cursor, &name, &attributes); cursor++)
        if (attributes.links) /* 0: listed, but gone by now */
            buffer_printf(&names, "%s ", name);
    tree_close_folder(folder);
    assert_string_equal(buffer_text(&names), "a.error events b.yaml ");
    assert_code_ok(tree_unlink(watched->lab.tree, jobs, "a.error", &why), why); /* for rm -r; it stays */
    assert_code_ok(tree_lookup(watched->lab.tree, jobs, "a.error", &attributes, &why), why);
    assert_int_equal(tree_make_folder(watched->lab.tree, jobs, "events", 0755, &attributes, &why), CODE_EXISTS);
    struct tree_rename onto = {jobs, jobs, "b.yaml", "a.error", 0, 0, 0};
    assert_int_equal(tree_rename(watched->lab.tree, &onto, &why), CODE_NOT_PERMITTED);
    assert_int_equal(lab_save(&watched->lab, "jobs/a.error", "mine", &why), CODE_NOT_PERMITTED);
    lab_write(&watched->lab, "jobs/other.error", "a file of one's own, where no rule makes one");
}

static void a_folder_with_derived_files_alone_is_empty(void **state)
{
    struct watched *watched = *state;
    struct failure why;
    assert_code_ok(tree_remove_folder(watched->lab.tree, lab_node(&watched->lab, "experiments"), "e", &why), why);
}

static void a_control_file_takes_commands(void **state)
{
    struct watched *watched = *state;
    struct failure why;
    lab_write(&watched->lab, "lab/trace", "tree");
    lab_expect(&watched->lab, "lab/trace", "tree");
    assert_int_equal(lab_save(&watched->lab, "lab/trace", "no", &why), CODE_INVALID);
    lab_expect(&watched->lab, "lab/trace", "tree");
}

static void a_stream_gives_lines_and_then_says_again(void **state)
{
    struct watched *watched = *state;
    struct failure why;
    struct tree_file *file;
    struct node_attributes attributes;
    assert_code_ok(tree_path_attributes(watched->lab.tree, "jobs/events", &attributes, &why), why);
    assert_true(attributes.stream && attributes.size == 0);
    assert_code_ok(tree_open_file(watched->lab.tree, attributes.id, OPEN_READ, &file, &why), why);
    char bytes[64];
    size_t got;
    assert_code_ok(tree_read(file, 0, bytes, sizeof bytes, &got, &why), why);
    assert_memory_equal(bytes, "line 1\n", 7);
    assert_code_ok(tree_read(file, 0, bytes, sizeof bytes, &got, &why), why);
    assert_int_equal(tree_read(file, 0, bytes, sizeof bytes, &got, &why), CODE_AGAIN);
    tree_release(file);
}

static void stamps_count_changes_below(void **state)
{
    struct watched *watched = *state;
    struct tree *tree = watched->lab.tree;
    uint64_t folder, other, file, again;
    int64_t when;
    lab_make_folder(&watched->lab, "experiments/e/sub");
    lab_make_folder(&watched->lab, "experiments/f");
    lab_write(&watched->lab, "experiments/e/sub/x", "1");
    tree_path_stamp(tree, "experiments/e", &folder, &when);
    tree_path_stamp(tree, "experiments/f", &other, &when);
    tree_path_stamp(tree, "experiments/e/sub/x", &file, &when);
    lab_write(&watched->lab, "experiments/e/sub/x", "2");
    tree_path_stamp(tree, "experiments/e", &again, &when);
    assert_true(again > folder);
    tree_path_stamp(tree, "experiments/f", &again, &when);
    assert_true(again == other);
    tree_path_stamp(tree, "experiments/e/sub/x", &again, &when);
    assert_true(again > file);
    tree_path_stamp(tree, "experiments/e", &folder, &when);
    lab_expect(&watched->lab, "experiments/e/sub/x", "2");
    tree_path_stamp(tree, "experiments/e", &again, &when);
    assert_true(again == folder);
    struct failure why;
    tree_path_stamp(tree, "experiments", &folder, &when);
    assert_code_ok(tree_path_make_folders(tree, "experiments/g/001/metrics", &why), why);
    tree_path_stamp(tree, "experiments", &again, &when);
    assert_true(again > folder);
    tree_path_stamp(tree, "experiments/missing", &again, &when);
    assert_true(again == 0 && when == 0);
}

int main(void)
{
#define RULE_TEST(name) cmocka_unit_test_setup_teardown(name, open_lab, close_lab)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_by_component),
        RULE_TEST(saving_is_checked_at_flush_and_settles_at_release),
        RULE_TEST(a_refused_text_is_kept),
        RULE_TEST(an_accepted_text_is_durable),
        RULE_TEST(reading_calls_nothing),
        RULE_TEST(two_writers_settle_once),
        RULE_TEST(a_rename_into_the_pattern_settles_and_away_calls_nothing),
        RULE_TEST(a_rename_while_the_file_is_released_settles_once),
        RULE_TEST(what_the_server_writes_calls_nothing),
        RULE_TEST(a_claim_is_admitted_with_its_target),
        RULE_TEST(an_append_only_file_only_grows),
        RULE_TEST(the_last_release_of_any_kind_is_told),
        RULE_TEST(a_derived_file_has_true_size_stable_time_and_follows_its_source),
        RULE_TEST(an_open_derived_file_keeps_what_it_showed),
        RULE_TEST(derived_names_are_listed_and_cannot_be_touched),
        RULE_TEST(a_folder_with_derived_files_alone_is_empty),
        RULE_TEST(a_control_file_takes_commands),
        RULE_TEST(a_stream_gives_lines_and_then_says_again),
        RULE_TEST(stamps_count_changes_below),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
