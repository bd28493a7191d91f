/* Names and folders that a relay answers itself, and when it does not. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "relay_fixture.h"
#include "scope.h"
#include "testing.h"
#include "timing.h"

/* Waits until the station has answered a lookup of the name without a message. */
static void await_known(struct station *station, uint64_t folder, const char *name, int expected)
{
    struct fuse_entry_out entry;
    int64_t until_ms = timing_monotonic_ms() + TESTING_PATIENCE_MS;
    for (;;) {
        struct relay_counters before = relay_fixture_counters(station);
        assert_int_equal(fuse_call_lookup(&station->kernel, folder, name, &entry), expected);
        struct relay_counters after = relay_fixture_counters(station);
        if (after.answered_here > before.answered_here && after.messages_sent == before.messages_sent)
            return;
        if (timing_monotonic_ms() > until_ms)
            fail_msg("%s is asked of the server each time", name);
        usleep(2000);
    }
}

static void the_first_look_up_in_a_folder_makes_all_of_it_known(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *maker = &fixture->stations[0];
    relay_fixture_folder(maker, "datasets/cells");
    assert_int_equal(fuse_path_put(&maker->kernel, "datasets/cells/a", "one"), 0);
    assert_int_equal(fuse_path_put(&maker->kernel, "datasets/cells/b", "two"), 0);
    relay_drain(maker->relay, TESTING_PATIENCE_MS);

    struct station *reader = relay_fixture_join(fixture, NULL);
    uint64_t folder = relay_fixture_folder(reader, "datasets/cells");
    await_known(reader, folder, "b", 0);
    await_known(reader, folder, "a", 0);
    await_known(reader, folder, "not there", ENOENT);
}

static void a_folder_is_listed_from_what_is_known(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    SCOPE_BUFFER names = {0};
    uint64_t folder = relay_fixture_folder(station, "datasets/many");
    for (char name[2] = "a"; name[0] <= 'z'; name[0]++) {
        char path[64];
        snprintf(path, sizeof path, "datasets/many/%s", name);
        assert_int_equal(fuse_path_put(&station->kernel, path, "text"), 0);
    }
    relay_drain(station->relay, TESTING_PATIENCE_MS);
    struct relay_counters before;
    int tries = 0;
    do {
        buffer_clear(&names);
        before = relay_fixture_counters(station);
        assert_int_equal(fuse_call_list(&station->kernel, folder, true, &names), 0);
    } while (relay_fixture_counters(station).messages_sent != before.messages_sent && ++tries < RELAY_FIXTURE_TRIES);
    assert_string_equal(buffer_text(&names),
                        "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\np\nq\nr\ns\nt\nu\nv\nw\nx\ny\nz\n");
    assert_int_equal(relay_fixture_counters(station).messages_sent, before.messages_sent);
}

static void a_name_that_was_made_removed_or_moved_is_so_at_once(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    struct fuse_client *kernel = &station->kernel;
    struct fuse_entry_out entry, other;
    uint64_t folder = relay_fixture_folder(station, "datasets/names");
    assert_int_equal(fuse_call_lookup(kernel, folder, "x", &entry), ENOENT);
    assert_int_equal(fuse_call_mkdir(kernel, folder, "x", &entry), 0);
    assert_int_equal(fuse_call_lookup(kernel, folder, "x", &other), 0);
    assert_int_equal(other.nodeid, entry.nodeid);
    assert_int_equal(fuse_call_rename(kernel, folder, "x", folder, "y", 0), 0);
    assert_int_equal(fuse_call_lookup(kernel, folder, "x", &other), ENOENT);
    assert_int_equal(fuse_call_lookup(kernel, folder, "y", &other), 0);
    assert_int_equal(other.nodeid, entry.nodeid);
    assert_int_equal(fuse_call_remove(kernel, folder, "y", true), 0);
    assert_int_equal(fuse_call_lookup(kernel, folder, "y", &other), ENOENT);
}

static void two_names_change_places(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    uint64_t folder = relay_fixture_folder(station, "datasets/places");
    assert_int_equal(fuse_path_put(&station->kernel, "datasets/places/a", "of a"), 0);
    assert_int_equal(fuse_path_put(&station->kernel, "datasets/places/b", "of b"), 0);
    assert_int_equal(fuse_call_rename(&station->kernel, folder, "a", folder, "b", 2), 0);
    relay_fixture_expect(station, "datasets/places/a", "of b");
    relay_fixture_expect(station, "datasets/places/b", "of a");
}

static void a_file_can_be_moved_before_the_server_has_it(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    struct fuse_entry_out entry;
    uint64_t folder = relay_fixture_folder(station, "datasets/early");
    assert_int_equal(fuse_path_put(&station->kernel, "datasets/early/new", "text"), 0);
    assert_int_equal(fuse_call_rename(&station->kernel, folder, "new", folder, "moved", 0), 0);
    assert_int_equal(fuse_call_lookup(&station->kernel, folder, "new", &entry), ENOENT);
    relay_fixture_expect(station, "datasets/early/moved", "text");
    assert_int_equal(fuse_path_put(&station->kernel, "datasets/early/gone", "text"), 0);
    assert_int_equal(fuse_call_remove(&station->kernel, folder, "gone", false), 0);
    assert_int_equal(fuse_call_lookup(&station->kernel, folder, "gone", &entry), ENOENT);
    assert_int_equal(fuse_path_put(&station->kernel, "datasets/early/last", "text"), 0);
    assert_int_equal(fuse_call_remove(&station->kernel, relay_fixture_folder(station, "datasets"), "early", true),
                     ENOTEMPTY);
}

static void a_name_that_is_too_long_is_refused_as_by_any_file_system(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    struct fuse_entry_out entry;
    char name[300];
    memset(name, 'n', sizeof name);
    name[256] = 0;
    uint64_t folder = relay_fixture_folder(station, "datasets/long");
    assert_int_equal(fuse_call_lookup(&station->kernel, folder, name, &entry), ENAMETOOLONG);
    assert_int_equal(fuse_call_mkdir(&station->kernel, folder, name, &entry), ENAMETOOLONG);
}

static void what_the_server_makes_as_it_is_read_is_asked_for_each_time(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *station = &fixture->stations[0];
    SCOPE_BUFFER first = {0}, second = {0};
    assert_int_equal(fuse_path_get(&station->kernel, "lab/health", &first), 0);
    struct relay_counters before = relay_fixture_counters(station);
    assert_int_equal(fuse_path_get(&station->kernel, "lab/health", &second), 0);
    assert_true(relay_fixture_counters(station).messages_sent >= before.messages_sent + 3); /* LOOKUP, OPEN, READ */
    assert_true(first.length > 0 && second.length > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        relay_test(the_first_look_up_in_a_folder_makes_all_of_it_known),
        relay_test(a_folder_is_listed_from_what_is_known),
        relay_test(a_name_that_was_made_removed_or_moved_is_so_at_once),
        relay_test(two_names_change_places),
        relay_test(a_file_can_be_moved_before_the_server_has_it),
        relay_test(a_name_that_is_too_long_is_refused_as_by_any_file_system),
        relay_test(what_the_server_makes_as_it_is_read_is_asked_for_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
