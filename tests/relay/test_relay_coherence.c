/* Two stations at one lab: what one does, the other sees, without asking. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay_fixture.h"
#include "scope.h"
#include "testing.h"
#include "timing.h"

#define LINES     200
#define CONTESTED 60

static void what_one_writes_and_closes_the_other_reads(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *one = &fixture->stations[0], *other = relay_fixture_join(fixture, NULL);
    relay_fixture_folder(one, "datasets/shared");
    assert_int_equal(fuse_path_put(&one->kernel, "datasets/shared/f", "first"), 0);
    relay_fixture_expect(other, "datasets/shared/f", "first");
    for (int i = 0; i < 20; i++) {
        char text[32];
        snprintf(text, sizeof text, "version %d", i);
        struct station *writer = i % 2 ? one : other, *reader = i % 2 ? other : one;
        assert_int_equal(fuse_path_put(&writer->kernel, "datasets/shared/f", text), 0);
        relay_fixture_expect(reader, "datasets/shared/f", text);
        relay_fixture_expect(writer, "datasets/shared/f", text);
    }
}

/* Until the lookup gives that errno. */
static void await_lookup(struct station *station, uint64_t folder, const char *name, int expected)
{
    struct fuse_entry_out entry;
    int64_t until_ms = timing_monotonic_ms() + TESTING_PATIENCE_MS;
    int error;
    while ((error = fuse_call_lookup(&station->kernel, folder, name, &entry)) != expected &&
           timing_monotonic_ms() < until_ms)
        usleep(1000);
    assert_int_equal(error, expected);
}

static void names_come_and_go_for_both(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *one = &fixture->stations[0], *other = relay_fixture_join(fixture, NULL);
    uint64_t folder = relay_fixture_folder(one, "datasets/names");
    assert_int_equal(relay_fixture_folder(other, "datasets/names"), folder);
    struct fuse_entry_out entry;
    for (int i = 0; i < 20; i++) {
        await_lookup(other, folder, "new", ENOENT);
        assert_int_equal(fuse_call_mkdir(&one->kernel, folder, "new", &entry), 0);
        await_lookup(other, folder, "new", 0);
        assert_int_equal(fuse_call_rename(&other->kernel, folder, "new", folder, "moved", 0), 0);
        await_lookup(one, folder, "moved", 0);
        await_lookup(one, folder, "new", ENOENT);
        assert_int_equal(fuse_call_remove(&one->kernel, folder, "moved", true), 0);
        await_lookup(other, folder, "moved", ENOENT);
    }
}

static void what_was_found_once_stays_found(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *one = &fixture->stations[0], *other = relay_fixture_join(fixture, NULL);
    struct fuse_entry_out entry;
    relay_fixture_folder(one, "datasets/found");
    for (int i = 0; i < 60; i++) {
        char path[64];
        int length = snprintf(path, sizeof path, "datasets/found/%d", i);
        relay_fixture_folder(one, path);
        snprintf(path + length, sizeof path - (size_t)length, "/f");
        assert_int_equal(fuse_path_put(&one->kernel, path, "x"), 0);
        relay_fixture_expect(other, path, "x");
        for (int again = 0; again < 20; again++)
            assert_int_equal(fuse_path_resolve(&other->kernel, path, &entry), 0);
    }
}

static bool is_notice(const struct fuse_out_header *message)
{
    return message->unique == 0;
}

static void a_file_that_has_grown_is_read_whole_although_nobody_has_told_of_it_yet(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *ours = &fixture->stations[0], *theirs = relay_fixture_join(fixture, NULL);
    uint64_t folder = relay_fixture_folder(theirs, "datasets/grown");
    assert_int_equal(fuse_path_put(&theirs->kernel, "datasets/grown/f", "short"), 0);
    assert_true(relay_drain(theirs->relay, TESTING_PATIENCE_MS));
    relay_fixture_folder(ours, "datasets/grown");
    await_lookup(ours, folder, "nothing", ENOENT); /* now it is known how long f is */

    relay_fixture_hold(ours, is_notice);
    assert_int_equal(fuse_path_put(&theirs->kernel, "datasets/grown/f", "longer than it was"), 0);
    while (!relay_fixture_is_held(ours))
        usleep(1000);
    SCOPE_BUFFER found = {0};
    assert_int_equal(fuse_path_get(&ours->kernel, "datasets/grown/f", &found), 0);
    relay_fixture_let_held_come(ours);
    relay_fixture_expect(ours, "datasets/grown/f", "longer than it was");
}

static bool is_long(const struct fuse_out_header *message)
{
    return message->len > 2 * sizeof(struct fuse_entry_out);
}

/* The listing knows the other's file of that name, is overtaken by the answer that takes our name back, and must not hide
 * both. */
static void a_listing_that_is_overtaken_hides_no_name(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *ours = &fixture->stations[0], *theirs = relay_fixture_join(fixture, NULL);
    uint64_t folder = relay_fixture_folder(ours, "datasets/overtaken");
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    await_lookup(ours, folder, "nothing", ENOENT);
    assert_int_equal(fuse_call_create(&ours->kernel, folder, "f", O_WRONLY | O_TRUNC, &entry, &open), 0);
    assert_int_equal(fuse_call_write(&ours->kernel, entry.nodeid, open.fh, 0, "ours", 4), 0);
    assert_int_equal(fuse_path_put(&theirs->kernel, "datasets/overtaken/f", "theirs"), 0);
    assert_int_equal(fuse_path_put(&theirs->kernel, "datasets/overtaken/g", "theirs"), 0);
    assert_true(relay_drain(theirs->relay, TESTING_PATIENCE_MS));

    relay_fixture_hold(ours, is_long);
    while (!relay_fixture_is_held(ours)) { /* until g is told of, and the folder listed anew */
        struct fuse_entry_out none;
        assert_int_equal(fuse_call_lookup(&ours->kernel, folder, "nothing", &none), ENOENT);
    }
    assert_int_equal(fuse_call_release(&ours->kernel, entry.nodeid, open.fh), 0);
    while (relay_fixture_counters(ours).puts == 0)
        usleep(1000);
    relay_fixture_let_held_come(ours);
    assert_int_equal(fuse_call_lookup(&ours->kernel, folder, "g", &entry), 0);
    assert_int_equal(fuse_call_lookup(&ours->kernel, folder, "f", &entry), 0);
    relay_fixture_expect(ours, "datasets/overtaken/f", "ours");
}

static void of_two_who_make_a_lock_file_one_gets_it(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *one = &fixture->stations[0], *other = relay_fixture_join(fixture, NULL);
    uint64_t folder = relay_fixture_folder(one, "datasets/exclusive");
    relay_fixture_folder(other, "datasets/exclusive");
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    await_lookup(other, folder, "index.lock", ENOENT);
    assert_int_equal(fuse_call_create(&one->kernel, folder, "index.lock", O_WRONLY | O_CREAT | O_EXCL, &entry, &open), 0);
    assert_int_equal(fuse_call_create(&other->kernel, folder, "index.lock", O_WRONLY | O_CREAT | O_EXCL, &entry, &open),
                     EEXIST);
}

struct rival {
    struct station *station;
    uint64_t folder;
    int won, lost;
};

static void *make_all(void *argument)
{
    struct rival *rival = argument;
    for (int i = 0; i < CONTESTED; i++) {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
        char name[32];
        snprintf(name, sizeof name, "image%d", i);
        int error =
            fuse_call_create(&rival->station->kernel, rival->folder, name, O_WRONLY | O_CREAT | O_EXCL, &entry, &open);
        assert_true(error == 0 || error == EEXIST);
        *(error ? &rival->lost : &rival->won) += 1;
        if (error)
            continue;
        snprintf(name, sizeof name, "of %p", (void *)rival);
        assert_int_equal(fuse_call_write(&rival->station->kernel, entry.nodeid, open.fh, 0, name, (uint32_t)strlen(name)),
                         0);
        assert_int_equal(fuse_call_flush(&rival->station->kernel, entry.nodeid, open.fh), 0);
        assert_int_equal(fuse_call_release(&rival->station->kernel, entry.nodeid, open.fh), 0);
    }
    return NULL;
}

static void of_two_who_make_a_file_exclusively_exactly_one_does_whatever_its_name(void **state)
{
    struct relay_fixture *fixture = *state;
    struct rival rivals[2] = {{.station = &fixture->stations[0]}, {.station = relay_fixture_join(fixture, NULL)}};
    pthread_t threads[2];
    rivals[0].folder = relay_fixture_folder(rivals[0].station, "datasets/contested");
    rivals[1].folder = relay_fixture_folder(rivals[1].station, "datasets/contested");
    for (int i = 0; i < 2; i++) {
        await_lookup(rivals[i].station, rivals[i].folder, "nothing", ENOENT);
        assert_int_equal(pthread_create(&threads[i], NULL, make_all, &rivals[i]), 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(rivals[0].won + rivals[1].won, CONTESTED);
    assert_int_equal(rivals[0].lost + rivals[1].lost, CONTESTED);
}

static void what_is_written_into_a_file_made_exclusively_never_lands_in_anothers(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *one = &fixture->stations[0], *other = relay_fixture_join(fixture, NULL);
    uint64_t folder = relay_fixture_folder(one, "datasets/taken");
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    await_lookup(one, folder, "name", ENOENT);
    assert_int_equal(fuse_call_create(&one->kernel, folder, "name", O_WRONLY | O_CREAT | O_EXCL, &entry, &open), 0);
    assert_int_equal(fuse_call_write(&one->kernel, entry.nodeid, open.fh, 0, "of one", 6), 0);
    relay_fixture_folder(other, "datasets/taken");
    assert_int_equal(fuse_call_remove(&other->kernel, folder, "name", false), 0);
    assert_int_equal(fuse_path_put(&other->kernel, "datasets/taken/name", "of the other"), 0);
    assert_true(relay_drain(other->relay, TESTING_PATIENCE_MS));
    (void)fuse_call_fsync(&one->kernel, entry.nodeid, open.fh);
    assert_int_equal(fuse_call_release(&one->kernel, entry.nodeid, open.fh), 0);
    assert_true(relay_drain(one->relay, TESTING_PATIENCE_MS));
    relay_fixture_expect(other, "datasets/taken/name", "of the other");
}

/* Like touch(1), or a database that opens its file: neither O_EXCL nor O_TRUNC. */
static void who_opens_a_name_that_another_makes_meanwhile_takes_nothing_of_it_away(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *one = &fixture->stations[0], *other = relay_fixture_join(fixture, NULL);
    uint64_t folder = relay_fixture_folder(one, "datasets/opened");
    struct fuse_entry_out entry;
    struct fuse_open_out open;
    assert_int_equal(fuse_path_put(&one->kernel, "datasets/opened/first", "new files are made behind from now on"), 0);
    await_lookup(one, folder, "name", ENOENT);
    relay_fixture_folder(other, "datasets/opened");
    assert_int_equal(fuse_call_create(&one->kernel, folder, "name", O_RDWR | O_CREAT, &entry, &open), 0);
    assert_int_equal(fuse_path_put(&other->kernel, "datasets/opened/name", "of the other"), 0);
    assert_true(relay_drain(other->relay, TESTING_PATIENCE_MS));
    assert_int_equal(fuse_call_flush(&one->kernel, entry.nodeid, open.fh), 0);
    assert_int_equal(fuse_call_release(&one->kernel, entry.nodeid, open.fh), 0);
    assert_true(relay_drain(one->relay, TESTING_PATIENCE_MS));
    relay_fixture_expect(other, "datasets/opened/name", "of the other");
    relay_fixture_expect(one, "datasets/opened/name", "of the other");
}

static void appends_of_two_all_arrive_whole(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *stations[] = {&fixture->stations[0], relay_fixture_join(fixture, NULL)};
    struct fuse_open_out open[2];
    struct fuse_entry_out entry;
    relay_fixture_folder(stations[0], "datasets/log");
    assert_int_equal(fuse_path_put(&stations[0]->kernel, "datasets/log/l", ""), 0);
    relay_fixture_expect(stations[1], "datasets/log/l", "");
    assert_int_equal(fuse_path_resolve(&stations[0]->kernel, "datasets/log/l", &entry), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fuse_call_open(&stations[i]->kernel, entry.nodeid, O_WRONLY | O_APPEND, &open[i]), 0);
    for (int line = 0; line < LINES; line++)
        assert_int_equal(
            fuse_call_write(&stations[line % 2]->kernel, entry.nodeid, open[line % 2].fh, 0, "a whole line\n", 13), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fuse_call_flush(&stations[i]->kernel, entry.nodeid, open[i].fh), 0);
        assert_int_equal(fuse_call_release(&stations[i]->kernel, entry.nodeid, open[i].fh), 0);
    }
    SCOPE_BUFFER all = {0};
    for (int line = 0; line < LINES; line++)
        buffer_append_text(&all, "a whole line\n");
    relay_fixture_expect(stations[0], "datasets/log/l", buffer_text(&all));
    relay_fixture_expect(stations[1], "datasets/log/l", buffer_text(&all));
}

static int lock(struct station *station, uint64_t node, uint64_t handle, uint32_t opcode, uint32_t type)
{
    const struct fuse_lk_in body = {.fh = handle, .owner = 7, .lk = {.start = 0, .end = INT64_MAX, .type = type, .pid = 1}};
    const struct fuse_client_request request = {.opcode = opcode, .node = node, .fixed = &body, .fixed_bytes = sizeof body};
    return fuse_client_call(&station->kernel, &request, NULL, 0, NULL);
}

static void a_lock_of_one_keeps_the_other_out_and_shows_what_was_written(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *one = &fixture->stations[0], *other = relay_fixture_join(fixture, NULL);
    struct fuse_open_out open, open_other;
    struct fuse_entry_out entry;
    relay_fixture_folder(one, "datasets/locks");
    assert_int_equal(fuse_path_put(&one->kernel, "datasets/locks/f", "0000"), 0);
    relay_fixture_expect(other, "datasets/locks/f", "0000");
    assert_int_equal(fuse_path_resolve(&other->kernel, "datasets/locks/f", &entry), 0);
    assert_int_equal(fuse_call_open(&one->kernel, entry.nodeid, O_RDWR, &open), 0);
    assert_int_equal(fuse_call_open(&other->kernel, entry.nodeid, O_RDWR, &open_other), 0);
    assert_int_equal(lock(one, entry.nodeid, open.fh, FUSE_SETLK, F_WRLCK), 0);
    assert_int_equal(lock(other, entry.nodeid, open_other.fh, FUSE_SETLK, F_WRLCK), EAGAIN);
    assert_int_equal(fuse_call_write(&one->kernel, entry.nodeid, open.fh, 0, "1111", 4), 0);
    assert_int_equal(lock(one, entry.nodeid, open.fh, FUSE_SETLK, F_UNLCK), 0);
    assert_int_equal(lock(other, entry.nodeid, open_other.fh, FUSE_SETLKW, F_WRLCK), 0);
    char found[4];
    size_t got;
    assert_int_equal(fuse_call_read(&other->kernel, entry.nodeid, open_other.fh, 0, found, 4, &got), 0);
    assert_int_equal(got, 4);
    assert_memory_equal(found, "1111", 4);
}

static void what_is_written_all_the_time_can_be_read(void **state)
{
    struct relay_fixture *fixture = *state;
    struct station *writer = &fixture->stations[0], *reader = relay_fixture_join(fixture, NULL);
    struct fuse_open_out open;
    struct fuse_entry_out entry;
    relay_fixture_folder(writer, "datasets/busy");
    assert_int_equal(fuse_path_put(&writer->kernel, "datasets/busy/f", "0"), 0);
    relay_fixture_expect(reader, "datasets/busy/f", "0");
    assert_int_equal(fuse_path_resolve(&writer->kernel, "datasets/busy/f", &entry), 0);
    assert_int_equal(fuse_call_open(&writer->kernel, entry.nodeid, O_WRONLY, &open), 0);
    for (char digit = '1'; digit <= '9'; digit++) {
        char text[2] = {digit, 0};
        for (int again = 0; again < 20; again++)
            assert_int_equal(fuse_call_write(&writer->kernel, entry.nodeid, open.fh, 0, text, 1), 0);
        assert_int_equal(fuse_call_flush(&writer->kernel, entry.nodeid, open.fh), 0);
        relay_fixture_expect(reader, "datasets/busy/f", text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        relay_test(what_one_writes_and_closes_the_other_reads),
        relay_test(names_come_and_go_for_both),
        relay_test(what_was_found_once_stays_found),
        relay_test(a_file_that_has_grown_is_read_whole_although_nobody_has_told_of_it_yet),
        relay_test(a_listing_that_is_overtaken_hides_no_name),
        relay_test(of_two_who_make_a_lock_file_one_gets_it),
        relay_test(of_two_who_make_a_file_exclusively_exactly_one_does_whatever_its_name),
        relay_test(what_is_written_into_a_file_made_exclusively_never_lands_in_anothers),
        relay_test(who_opens_a_name_that_another_makes_meanwhile_takes_nothing_of_it_away),
        relay_test(appends_of_two_all_arrive_whole),
        relay_test(a_lock_of_one_keeps_the_other_out_and_shows_what_was_written),
        relay_test(what_is_written_all_the_time_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
