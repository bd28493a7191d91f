/* The operations that clients on other machines have beside the kernel's: FETCH, PUT, RESERVE, REOPEN. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "extra.h"
#include "scope.h"
#include "session_fixture.h"
#include "session_reserved.h"
#include "timing.h"

#define SECOND INT64_C(1000000000)

struct remote {
    struct session_fixture *fixture;
    struct fuse_client client;
    uint64_t folder; /* of a dataset */
};

static int setup(void **state)
{
    struct remote *remote = calloc(1, sizeof *remote);
    void *fixture;
    struct fuse_entry_out entry;
    assert_non_null(remote);
    assert_int_equal(session_fixture_setup(&fixture), 0);
    remote->fixture = fixture;
    assert_true(fuse_client_start_fed(&remote->client, remote->fixture->tree, NULL));
    assert_int_equal(fuse_path_resolve(&remote->client, "datasets", &entry), 0);
    assert_int_equal(fuse_call_mkdir(&remote->client, entry.nodeid, "d", &entry), 0);
    remote->folder = entry.nodeid;
    *state = remote;
    return 0;
}

static int teardown(void **state)
{
    struct remote *remote = *state;
    void *fixture = remote->fixture;
    fuse_client_stop(&remote->client);
    free(remote);
    return session_fixture_teardown(&fixture);
}

static uint64_t reserve(struct remote *remote, uint32_t count)
{
    const struct extra_reserve_in in = {.count = count};
    struct extra_reserve_out out = {.first = 0};
    const struct fuse_client_request request = {.opcode = EXTRA_RESERVE, .fixed = &in, .fixed_bytes = sizeof in};
    assert_int_equal(fuse_client_call(&remote->client, &request, &out, sizeof out, NULL), 0);
    assert_int_equal(out.count, count);
    return out.first;
}

static int put_at(struct remote *remote, uint64_t folder, const char *name, uint64_t node, uint32_t flags, const char *text,
                  struct fuse_entry_out *out)
{
    const struct extra_put_in in = {.node = node,
                                    .mode = 0640,
                                    .flags = flags,
                                    .modify_ns = 1000 * SECOND + 7,
                                    .access_ns = 2000 * SECOND,
                                    .name_length = (uint32_t)strlen(name) + 1,
                                    .size = (uint32_t)strlen(text)};
    const struct fuse_client_request request = {EXTRA_PUT, folder,           &in,  sizeof in,
                                                name,      strlen(name) + 1, text, strlen(text)};
    struct fuse_entry_out ignored;
    return fuse_client_call(&remote->client, &request, out ? out : &ignored, sizeof ignored, NULL);
}

static int put(struct remote *remote, const char *name, uint64_t node, uint32_t flags, const char *text)
{
    return put_at(remote, remote->folder, name, node, flags, text, NULL);
}

static int fetch(struct remote *remote, uint64_t node, uint64_t offset, uint32_t size, struct extra_fetch_out *out,
                 char *text)
{
    const struct extra_fetch_in in = {.offset = offset, .size = size};
    const struct fuse_client_request request = {.opcode = EXTRA_FETCH, .node = node, .fixed = &in, .fixed_bytes = sizeof in};
    char answer[sizeof *out + 4096] = "";
    size_t got;
    int error = fuse_client_call(&remote->client, &request, answer, sizeof answer - 1, &got);
    if (error)
        return error;
    memcpy(out, answer, sizeof *out);
    assert_int_equal(got, sizeof *out + out->size);
    memcpy(text, answer + sizeof *out, out->size);
    text[out->size] = 0;
    return 0;
}

static void a_file_is_put_whole_with_its_number_mode_and_times(void **state)
{
    struct remote *remote = *state;
    uint64_t node = reserve(remote, 10) + 3;
    struct fuse_entry_out entry;
    assert_int_equal(put_at(remote, remote->folder, "a.txt", node, 0, "all of it", &entry), 0);
    assert_true(entry.nodeid == node && entry.attr.ino == node && entry.entry_valid > 0);
    assert_int_equal(entry.attr.size, 9);
    assert_int_equal(entry.attr.mode, S_IFREG | 0640);
    assert_true(entry.attr.mtime == 1000 && entry.attr.mtimensec == 7 && entry.attr.atime == 2000);
    assert_int_equal(session_fixture_node(remote->fixture, "datasets/d/a.txt"), node);
    session_fixture_expect(remote->fixture, "datasets/d/a.txt", "all of it");
    struct fuse_attr attributes;
    assert_int_equal(fuse_call_getattr(&remote->fixture->client, node, &attributes), 0);
    assert_true(attributes.mtime == 1000 && attributes.mtimensec == 7 && attributes.atime == 2000);
}

static void an_empty_file_can_be_put(void **state)
{
    struct remote *remote = *state;
    assert_int_equal(put(remote, "empty", reserve(remote, 1), 0, ""), 0);
    session_fixture_expect(remote->fixture, "datasets/d/empty", "");
}

static void a_name_that_is_taken_is_refused_or_its_contents_are_replaced(void **state)
{
    struct remote *remote = *state;
    uint64_t first = reserve(remote, 3);
    struct fuse_entry_out entry;
    assert_int_equal(put(remote, "a.txt", first, EXTRA_PUT_EXCLUSIVE, "a long first text"), 0);
    assert_int_equal(put(remote, "a.txt", first + 1, EXTRA_PUT_EXCLUSIVE, "second"), EEXIST);
    session_fixture_expect(remote->fixture, "datasets/d/a.txt", "a long first text");
    assert_int_equal(put_at(remote, remote->folder, "a.txt", first + 1, 0, "third", &entry), 0);
    assert_true(entry.nodeid == first);
    session_fixture_expect(remote->fixture, "datasets/d/a.txt", "third");
    assert_int_equal(put(remote, "b.txt", first + 1, EXTRA_PUT_EXCLUSIVE, "the number was not used up"), 0);
    assert_int_equal(fuse_call_mkdir(&remote->client, remote->folder, "sub", &entry), 0);
    assert_int_equal(put(remote, "sub", first + 2, 0, "text"), EISDIR);
}

static void a_repetition_changes_nothing(void **state)
{
    struct remote *remote = *state;
    uint64_t node = reserve(remote, 1);
    assert_int_equal(put(remote, "a.txt", node, EXTRA_PUT_EXCLUSIVE, "once"), 0);
    assert_int_equal(fuse_path_put(&remote->fixture->client, "datasets/d/a.txt", "by another since"), 0);
    assert_int_equal(put(remote, "a.txt", node, EXTRA_PUT_EXCLUSIVE, "once"), 0);
    session_fixture_expect(remote->fixture, "datasets/d/a.txt", "by another since");
}

static void numbers_are_ones_own_and_serve_once(void **state)
{
    struct remote *remote = *state;
    struct fuse_client *other = &remote->fixture->client;
    uint64_t node = reserve(remote, 1);
    struct fuse_entry_out entry;
    assert_int_equal(put(remote, "a", node + 1, 0, "never reserved"), EINVAL);
    assert_int_equal(put(remote, "a", 0, 0, "no number"), EINVAL);
    assert_int_equal(put(remote, "a", remote->folder, 0, "another's number"), EINVAL);
    assert_int_equal(put(remote, "a", node, 0, "good"), 0);
    assert_int_equal(put(remote, "b", node, 0, "used"), EINVAL);
    assert_int_equal(fuse_call_remove(other, remote->folder, "a", false), 0);
    assert_int_equal(put(remote, "a", node, 0, "used and gone"), EINVAL);
    uint64_t first = reserve(remote, 100);
    assert_true(first > node);
    assert_int_equal(fuse_call_mkdir(other, remote->folder, "sub", &entry), 0);
    assert_true(entry.nodeid >= first + 100);
    struct extra_reserve_in in = {.count = EXTRA_RESERVE_MAX + 1};
    const struct fuse_client_request request = {.opcode = EXTRA_RESERVE, .fixed = &in, .fixed_bytes = sizeof in};
    assert_int_equal(fuse_client_call(&remote->client, &request, NULL, 0, NULL), EINVAL);
    struct extra_reserve_out none = {.first = 1};
    in.count = 0;
    assert_int_equal(fuse_client_call(&remote->client, &request, &none, sizeof none, NULL),
                     0); /* gives bytes back, where there are any */
    assert_true(none.first == 0 && none.count == 0 && none.bytes == 0);
}

static void rules_check_what_is_put_and_act_on_it(void **state)
{
    struct remote *remote = *state;
    uint64_t first = reserve(remote, 3), jobs = session_fixture_node(remote->fixture, "jobs");
    struct fuse_entry_out entry;
    assert_int_equal(put_at(remote, jobs, "a.yaml", first, 0, "good", &entry), 0);
    assert_int_equal(put_at(remote, jobs, "b.yaml", first + 1, 0, "this is bad", NULL), EINVAL);
    session_fixture_expect(remote->fixture, "jobs/b.yaml", "this is bad"); /* kept, as after a close(2) that fails */
    assert_int_equal(put_at(remote, jobs, "b.yaml", first + 1, 0, "better", &entry), 0);
    assert_int_equal(put_at(remote, jobs, "events", first + 2, 0, "a stream", NULL), EPERM);
    SCOPE_FREE char *happened = test_rules_happened(&remote->fixture->rules);
    assert_string_equal(happened, "settled jobs/a.yaml 4\nrefused jobs/b.yaml\nsettled jobs/b.yaml 6\n");
}

static void a_file_is_fetched_without_being_opened(void **state)
{
    struct remote *remote = *state;
    struct extra_fetch_out out;
    char text[4097];
    assert_int_equal(fuse_path_put(&remote->client, "datasets/d/a.txt", "0123456789"), 0);
    uint64_t node = session_fixture_node(remote->fixture, "datasets/d/a.txt");
    assert_int_equal(fetch(remote, node, 0, 4096, &out, text), 0);
    assert_string_equal(text, "0123456789");
    assert_true(out.attr.ino == node && out.attr.size == 10 && S_ISREG(out.attr.mode));
    assert_int_equal(fetch(remote, node, 8, 1, &out, text), 0);
    assert_string_equal(text, "8");
    assert_int_equal(fetch(remote, node, 100, 1, &out, text), 0);
    assert_string_equal(text, "");
    assert_int_equal(fetch(remote, node, 0, 0, &out, text), 0);
    assert_true(out.size == 0 && out.attr.size == 10);
    assert_int_equal(fetch(remote, remote->folder, 0, 1, &out, text), EINVAL);
    assert_int_equal(fetch(remote, 999999, 0, 1, &out, text), ENOENT);
}

static void a_derived_file_has_to_be_opened(void **state)
{
    struct remote *remote = *state;
    struct extra_fetch_out out;
    char text[4097];
    uint64_t readme = session_fixture_node(remote->fixture, "README");
    assert_int_equal(fetch(remote, readme, 0, 10, &out, text), EINVAL);
}

static int reopen(struct remote *remote, uint64_t node, uint32_t flags, bool folder, struct fuse_open_out *out)
{
    const struct extra_reopen_in in = {.flags = flags, .folder = folder};
    const struct fuse_client_request request = {
        .opcode = EXTRA_REOPEN, .node = node, .fixed = &in, .fixed_bytes = sizeof in};
    return fuse_client_call(&remote->client, &request, out, sizeof *out, NULL);
}

static void a_handle_is_opened_anew_also_without_a_name(void **state)
{
    struct remote *remote = *state;
    struct fuse_client *client = &remote->client, *other = &remote->fixture->client;
    struct fuse_open_out open, again;
    char text[16];
    size_t got;
    assert_int_equal(fuse_path_put(client, "datasets/d/a.txt", "0123456789"), 0);
    uint64_t node = session_fixture_node(remote->fixture, "datasets/d/a.txt");
    assert_int_equal(fuse_call_open(other, node, O_RDWR, &open), 0);
    assert_int_equal(fuse_call_remove(other, remote->folder, "a.txt", false), 0);
    assert_int_equal(reopen(remote, node, O_RDWR | O_TRUNC | O_CREAT, false, &again), 0); /* not these two */
    assert_int_equal(fuse_call_read(client, node, again.fh, 0, text, sizeof text, &got), 0);
    assert_int_equal(got, 10);
    assert_int_equal(fuse_call_write(client, node, again.fh, 0, "X", 1), 0);
    assert_int_equal(fuse_call_release(other, node, open.fh), 0);
    assert_int_equal(fuse_call_read(client, node, again.fh, 0, text, 1, &got), 0);
    assert_int_equal(text[0], 'X');
    assert_int_equal(fuse_call_release(client, node, again.fh), 0);
    assert_int_equal(reopen(remote, remote->folder, O_RDONLY, true, &again), 0);
    assert_int_equal(reopen(remote, 999999, O_RDONLY, false, &again), ENOENT);
    assert_int_equal(reopen(remote, remote->folder, O_WRONLY, false, &again), EISDIR);
}

/* The session never told this client of the node: as after a restart, of which the client knows nothing. */
static void who_speaks_of_a_node_hears_of_its_changes(void **state)
{
    struct remote *remote = *state;
    struct extra_fetch_out out;
    char text[4097];
    int code;
    const void *body;
    assert_int_equal(fuse_path_put(&remote->fixture->client, "datasets/d/a.txt", "0123456789"), 0);
    uint64_t node = session_fixture_node(remote->fixture, "datasets/d/a.txt");
    assert_int_equal(fetch(remote, node, 0, 10, &out, text), 0);
    assert_int_equal(fuse_path_put(&remote->fixture->client, "datasets/d/a.txt", "other"), 0);
    do
        assert_int_equal(fuse_client_await_notice(&remote->client, TESTING_PATIENCE_MS, &code, &body), 0);
    while (code != FUSE_NOTIFY_INVAL_INODE || ((const struct fuse_notify_inval_inode_out *)body)->ino != node);
}

static void lying_lengths_are_refused(void **state)
{
    struct remote *remote = *state;
    uint64_t node = reserve(remote, 1);
    struct extra_put_in in = {.node = node, .mode = 0644, .name_length = 3, .size = 2};
    struct fuse_client_request request = {EXTRA_PUT, remote->folder, &in, sizeof in, "ab", 3, "xy", 1};
    assert_int_equal(fuse_client_call(&remote->client, &request, NULL, 0, NULL), EINVAL); /* one byte is missing */
    request.second_bytes = 2;
    in.name_length = 4;
    assert_int_equal(fuse_client_call(&remote->client, &request, NULL, 0, NULL), EINVAL); /* the name ends too early */
    in.name_length = 0;
    assert_int_equal(fuse_client_call(&remote->client, &request, NULL, 0, NULL), EINVAL);
    in = (struct extra_put_in){.node = node, .name_length = 3, .size = UINT32_MAX};
    assert_int_equal(fuse_client_call(&remote->client, &request, NULL, 0, NULL), EINVAL);
    request.fixed_bytes = 8;
    request.first_bytes = request.second_bytes = 0;
    for (uint32_t opcode = EXTRA_FETCH; opcode <= EXTRA_REOPEN; opcode++) {
        request.opcode = opcode;
        request.fixed_bytes = 3;
        assert_int_equal(fuse_client_call(&remote->client, &request, NULL, 0, NULL), EINVAL);
    }
}

static void numbers_set_aside_are_saved_and_taken_up(void **state)
{
    (void)state;
    struct session_reserved before, after;
    struct failure why;
    SCOPE_BUFFER saved = {0};
    session_reserved_init(&before);
    session_reserved_init(&after);
    for (uint64_t i = 0; i < RESERVED_RANGES_MAX + 2; i++)
        assert_code_ok(session_reserved_add(&before, 10000 * (i + 1), 100, &why), why);
    assert_false(session_reserved_take(&before, 10050)); /* the oldest are forgotten */
    assert_true(session_reserved_take(&before, 30050));
    session_reserved_save(&before, &saved);
    assert_code_ok(session_reserved_restore(&after, saved.data, saved.length, &why), why);
    assert_false(session_reserved_take(&after, 30050));
    assert_true(session_reserved_take(&after, 30051));
    assert_true(session_reserved_take(&after, 660099));
    assert_false(session_reserved_take(&after, 660100));
    session_reserved_give_back(&after, 30050);
    assert_true(session_reserved_take(&after, 30050));
    assert_int_equal(session_reserved_restore(&after, saved.data, saved.length - 1, &why), CODE_CORRUPT);
    memset(saved.data, 0xff, 12);
    assert_int_equal(session_reserved_restore(&after, saved.data, saved.length, &why), CODE_CORRUPT);
    session_reserved_destroy(&before);
    session_reserved_destroy(&after);
}

int main(void)
{
#define extra_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        extra_test(a_file_is_put_whole_with_its_number_mode_and_times),
        extra_test(an_empty_file_can_be_put),
        extra_test(a_name_that_is_taken_is_refused_or_its_contents_are_replaced),
        extra_test(a_repetition_changes_nothing),
        extra_test(numbers_are_ones_own_and_serve_once),
        extra_test(rules_check_what_is_put_and_act_on_it),
        extra_test(a_file_is_fetched_without_being_opened),
        extra_test(a_derived_file_has_to_be_opened),
        extra_test(a_handle_is_opened_anew_also_without_a_name),
        extra_test(who_speaks_of_a_node_hears_of_its_changes),
        extra_test(lying_lengths_are_refused),
        cmocka_unit_test(numbers_set_aside_are_saved_and_taken_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
