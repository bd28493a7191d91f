/* A session that is fed its messages: what it answers through its peer, and on whose behalf it works. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/fuse.h>

#include "extra.h"
#include "key_lending.h"
#include "session.h"
#include "session_fixture.h"
#include "testing.h"
#include "tree_lending.h"
#include "tree_homes.h"
#include "tree_members.h"
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
    struct fuse_in_header header = {
        .len = (uint32_t)(sizeof header + count), .opcode = opcode, .unique = ++unique, .nodeid = node};
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

/* What fs/relay does after connecting. */
static size_t lend(struct fed *fed, const struct member_key *key)
{
    struct failure why;
    struct buffer lent = {0};
    assert_int_equal(feed(fed, EXTRA_KEYS, 0, "", 0), 0);
    const size_t head = sizeof(struct fuse_out_header);
    assert_code_ok(key_lending_open(key, fed->answer + head, fed->answer_bytes - head, &lent, &why), why);
    size_t count = lent.length / sizeof(struct extra_lent_key);
    assert_int_equal(feed(fed, EXTRA_LEND, 0, buffer_text(&lent), lent.length), 0);
    key_lending_wipe(&lent);
    return count;
}

static void a_member_writes_at_home_with_keys_that_he_lends(void **state)
{
    struct session_fixture *fixture = *state;
    struct failure why;
    struct fed bobs = {0}, carols = {0};
    struct member_key *keys[2];
    struct member_card cards[2] = {{.name = "bob"}, {.name = "carol"}};
    for (int i = 0; i < 2; i++) {
        assert_code_ok(member_key_generate(&keys[i], &why), why);
        cards[i].public = *member_key_public(keys[i]);
        assert_code_ok(members_add(fixture->tree, &cards[i], ROLE_SCIENTIST, &why), why);
        assert_code_ok(homes_make(fixture->tree, cards[i].name, &why), why);
    }
    struct viewer bob = {.name = "bob", .role = ROLE_SCIENTIST, .id = cards[0].public.id, .session = 1};
    struct viewer carol = {.name = "carol", .role = ROLE_SCIENTIST, .id = cards[1].public.id, .session = 2};
    begin(fixture, &bobs, &bob);
    begin(fixture, &carols, &carol);
    struct {
        struct fuse_mkdir_in fixed;
        char name[8];
    } mkdir = {.fixed = {.mode = 0755}, .name = "mine"};
    uint64_t home = session_fixture_node(fixture, "home/bob");
    lending_sweep(fixture->tree);
    assert_int_equal(feed(&bobs, FUSE_MKDIR, home, &mkdir, sizeof mkdir.fixed + 5), EACCES);
    assert_int_equal(lend(&bobs, keys[1]), 0); /* not hers to open */
    assert_int_equal(lend(&bobs, keys[0]), 1);
    assert_int_equal(lend(&bobs, keys[0]), 0);
    assert_int_equal(feed(&bobs, FUSE_MKDIR, home, &mkdir, sizeof mkdir.fixed + 5), 0);
    assert_int_equal(lend(&carols, keys[1]), 1);
    lending_end(fixture->tree, "bob");
    assert_int_equal(feed(&bobs, FUSE_LOOKUP, home, "mine", 5), EACCES);
    session_destroy(bobs.session);
    session_destroy(carols.session);
    member_key_destroy(keys[0]);
    member_key_destroy(keys[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        session_test(what_is_fed_is_answered_and_others_see_it),
        session_test(rules_know_who_asks),
        session_test(a_member_writes_at_home_with_keys_that_he_lends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
