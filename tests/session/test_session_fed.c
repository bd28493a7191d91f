/* A session that is fed its messages: what it answers through its peer, and on whose behalf it works. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/fuse.h>

#include "session.h"
#include "session_fixture.h"
#include "testing.h"
#include "viewer.h"

#define ANSWER_BYTES_MAX 8192

struct fed {
    struct session *session;
    char answer[ANSWER_BYTES_MAX]; /* the last one */
    size_t answer_bytes;
    int answers;
};

static void take(void *context, const struct iovec *parts, int count)
{
    struct fed *fed = context;
    fed->answer_bytes = 0;
    for (int i = 0; i < count; i++) {
        assert_true(fed->answer_bytes + parts[i].iov_len <= ANSWER_BYTES_MAX);
        memcpy(fed->answer + fed->answer_bytes, parts[i].iov_base, parts[i].iov_len);
        fed->answer_bytes += parts[i].iov_len;
    }
    fed->answers++;
}

/* The errno that it is answered with. */
static int feed(struct fed *fed, uint32_t opcode, uint64_t node, const void *body, size_t count)
{
    static uint64_t unique = 1;
    char message[1024];
    struct fuse_in_header header = {.len = (uint32_t)(sizeof header + count), .opcode = opcode, .unique = ++unique, .nodeid = node};
    memcpy(message, &header, sizeof header);
    memcpy(message + sizeof header, body, count);
    int before = fed->answers;
    session_process(fed->session, message, sizeof header + count);
    assert_int_equal(fed->answers, before + 1);
    const struct fuse_out_header *answer = (const void *)fed->answer;
    assert_int_equal(answer->len, fed->answer_bytes);
    assert_true(answer->unique == unique);
    return -answer->error;
}

static void begin(struct session_fixture *fixture, struct fed *fed, const struct viewer *viewer)
{
    struct failure why;
    const struct session_peer peer = {.send = take, .context = fed, .viewer = viewer};
    const struct session_options options = {.peer = &peer};
    const struct fuse_init_in init = {.major = 7, .minor = 31, .max_readahead = 1 << 20, .flags = FUSE_BIG_WRITES};
    assert_code_ok(session_start(fixture->tree, &options, &fed->session, &why), why);
    assert_int_equal(feed(fed, FUSE_INIT, 0, &init, sizeof init), 0);
}

static void what_is_fed_is_answered_and_others_see_it(void **state)
{
    struct session_fixture *fixture = *state;
    struct fed fed = {0};
    begin(fixture, &fed, NULL);
    struct {
        struct fuse_mkdir_in fixed;
        char name[8];
    } mkdir = {.fixed = {.mode = 0755}, .name = "cells"};
    uint64_t datasets = session_fixture_node(fixture, "datasets");
    assert_int_equal(feed(&fed, FUSE_LOOKUP, FUSE_ROOT_ID, "datasets", 9), 0);
    assert_int_equal(feed(&fed, FUSE_MKDIR, datasets, &mkdir, sizeof mkdir.fixed + 6), 0);
    assert_int_equal(feed(&fed, FUSE_MKDIR, datasets, &mkdir, sizeof mkdir.fixed + 6), EEXIST);
    assert_true(session_fixture_node(fixture, "datasets/cells") != 0);
    session_destroy(fed.session);
}

static void rules_know_who_asks(void **state)
{
    struct session_fixture *fixture = *state;
    struct fed fed = {0};
    struct viewer bob = {.name = "bob", .role = ROLE_SCIENTIST, .session = 1};
    begin(fixture, &fed, &bob);
    uint64_t jobs = session_fixture_node(fixture, "jobs");
    assert_int_equal(feed(&fed, FUSE_LOOKUP, FUSE_ROOT_ID, "jobs", 5), 0);
    assert_int_equal(feed(&fed, FUSE_SYMLINK, jobs, "a.yaml\0nowhere", 15), 0);
    assert_int_equal(feed(&fed, FUSE_UNLINK, jobs, "a.yaml", 7), 0);
    char *happened = test_rules_happened(&fixture->rules);
    assert_non_null(strstr(happened, "removed jobs/a.yaml by bob\n"));
    assert_null(viewer_current());
    free(happened);
    session_destroy(fed.session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        session_test(what_is_fed_is_answered_and_others_see_it),
        session_test(rules_know_who_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
