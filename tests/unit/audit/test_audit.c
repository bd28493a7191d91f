/* The audit log of a lab: what is told becomes lines, in order, put together where it happens often; and the lab remembers
 * where it ended. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "chunk_store.h"
#include "chunk_store_memory.h"
#include "file.h"
#include "testing.h"
#include "tree_audit.h"
#include "tree_members.h"
#include "tree_readers.h"
#include "tree_path.h"
#include "viewer.h"

struct lab {
    char folder[64];
    struct chunk_store *chunks;
    struct tree *tree;
    struct audit *audit;
};

static const struct viewer bob = {.name = "bob", .role = ROLE_SCIENTIST, .id = {{9}}, .session = 1};

static int set_up(void **state)
{
    struct failure why;
    struct lab *lab = calloc(1, sizeof *lab);
    strcpy(lab->folder, "/tmp/cytofs-audit-XXXXXX");
    assert_non_null(mkdtemp(lab->folder));
    assert_code_ok(chunk_store_memory_create(0, &lab->chunks, &why), why);
    const struct tree_open_options options = {.chunks = lab->chunks, .member_name = "ada"};
    assert_code_ok(tree_open(&options, &lab->tree, &why), why);
    assert_code_ok(audit_open(lab->tree, lab->folder, NULL, &lab->audit, &why), why);
    *state = lab;
    return 0;
}

static int tear_down(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    audit_close(lab->audit);
    tree_close(lab->tree);
    chunk_store_destroy(lab->chunks);
    assert_code_ok(file_remove_tree(lab->folder, &why), why);
    free(lab);
    return 0;
}

static void tell(struct lab *lab, enum audit_verb verb, const char *path, const char *detail)
{
    viewer_enter(&bob);
    tree_audit(lab->tree, verb, path, detail);
    viewer_leave();
}

static void expect_shown(struct lab *lab, const char *part)
{
    struct failure why;
    SCOPE_BUFFER text = {0};
    audit_flush(lab->audit);
    assert_code_ok(audit_show(lab->tree, lab->folder, 1000, &text, &why), why);
    if (!strstr(buffer_text(&text), part))
        fail_msg("\"%s\" is not in:\n%s", part, buffer_text(&text));
}

static void what_happens_becomes_lines(void **state)
{
    struct lab *lab = *state;
    tell(lab, AUDIT_READ, "datasets/x/a.png", "");
    tell(lab, AUDIT_READ, "datasets/x/a.png", ""); /* its next part */
    tell(lab, AUDIT_READ, "datasets/x/b c.png", "");
    tell(lab, AUDIT_READ, "datasets/y/d.png", "");
    tell(lab, AUDIT_DEPLOY, "models/m/production", "-> 3");
    tell(lab, AUDIT_REFUSED, "home/ada", "as a scientist you may not read another member's home");
    expect_shown(lab, " bob read datasets/x: a.png b\\x20c.png\n");
    expect_shown(lab, " bob read datasets/y/d.png\n");
    expect_shown(lab, " bob deployed models/m/production (-> 3)\n");
    expect_shown(lab, " bob refused home/ada (as a scientist");
}

static void who_belongs_to_the_lab_and_reads_what_is_told_by_the_tree(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    assert_code_ok(tree_path_make_folders(lab->tree, "datasets/cells", &why), why);
    assert_code_ok(readers_rotate(lab->tree, "cells", &why), why);
    assert_int_equal(readers_share(lab->tree, "cells", "nobody", &why), CODE_NOT_FOUND);
    expect_shown(lab, " ada shared lab/spaces/cells (rotate)\n");
}

static void the_lab_remembers_where_the_log_ended(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    uint64_t lines;
    char file[128];
    tell(lab, AUDIT_DEPLOY, "models/m/production", "-> 3");
    tell(lab, AUDIT_DEPLOY, "models/m/production", "-> 4");
    audit_close(lab->audit);
    assert_code_ok(audit_verify(lab->tree, lab->folder, &lines, &why), why);
    assert_int_equal(lines, 2);
    snprintf(file, sizeof file, "%s/%020d.log", lab->folder, 0);
    SCOPE_BUFFER text = {0};
    assert_code_ok(file_read(file, 1 << 20, &text, &why), why);
    text.data[text.length - 1] = 0;
    assert_int_equal(truncate(file, strrchr(text.data, '\n') + 1 - text.data), 0); /* without its last line */
    assert_int_equal(audit_verify(lab->tree, lab->folder, &lines, &why), CODE_CORRUPT);
    assert_code_ok(audit_open(lab->tree, lab->folder, NULL, &lab->audit, &why), why);
    expect_shown(lab, "the log was found changed when the server started: lines 1 to 1 are missing");
}

#define THREADS 4
#define EVENTS  2000

static void *tell_many(void *argument)
{
    char path[64];
    for (int i = 0; i < EVENTS; i++) {
        snprintf(path, sizeof path, "datasets/%d/file-%d", i % 90, i);
        tell(argument, i % 10 ? AUDIT_READ : AUDIT_RENAME, path, "");
    }
    return NULL;
}

static void many_may_tell_at_once(void **state)
{
    struct lab *lab = *state;
    struct failure why;
    uint64_t lines;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, tell_many, lab), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    audit_flush(lab->audit);
    assert_code_ok(audit_verify(lab->tree, lab->folder, &lines, &why), why);
    assert_true(lines >= THREADS * EVENTS / 10);
}

int main(void)
{
#define audit_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        audit_test(what_happens_becomes_lines),
        audit_test(who_belongs_to_the_lab_and_reads_what_is_told_by_the_tree),
        audit_test(the_lab_remembers_where_the_log_ended),
        audit_test(many_may_tell_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
