/* Contents kept on the workstation's disk. */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buffer.h"
#include "file.h"
#include "relay_disk.h"
#include "relay_message.h"
#include "scope.h"
#include "testing.h"

#define PIECE 100000

struct loading {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
    struct relay_bytes *bytes;
};

static void on_loaded(void *context, void *subject, struct relay_bytes *bytes)
{
    struct loading *loading = context;
    assert_ptr_equal(subject, loading);
    pthread_mutex_lock(&loading->lock);
    loading->bytes = bytes;
    loading->done = true;
    pthread_cond_signal(&loading->changed);
    pthread_mutex_unlock(&loading->lock);
}

/* The piece as a new text, NULL where there is none. */
static struct relay_bytes *load(struct relay_disk *disk, const struct relay_disk_key *key)
{
    struct loading loading = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    if (!relay_disk_load(disk, key, on_loaded, &loading, &loading))
        return NULL;
    pthread_mutex_lock(&loading.lock);
    while (!loading.done)
        pthread_cond_wait(&loading.changed, &loading.lock);
    pthread_mutex_unlock(&loading.lock);
    return loading.bytes;
}

static void keep(struct relay_disk *disk, const struct relay_disk_key *key, char with)
{
    struct relay_bytes *bytes = relay_bytes_make(PIECE);
    memset(bytes->data, with, PIECE);
    relay_disk_keep(disk, key, bytes, 0, PIECE);
    relay_bytes_drop(bytes);
}

static struct relay_disk *open_disk(const char *folder, uint64_t bytes_max)
{
    struct failure why;
    struct relay_disk *disk;
    const struct relay_disk_options options = {.folder = folder, .bytes_max = bytes_max};
    assert_code_ok(relay_disk_open(&options, &disk, &why), why);
    return disk;
}

static int make_folder(void **state)
{
    char path[] = "/tmp/cytofs-relay-disk-XXXXXX";
    assert_non_null(mkdtemp(path));
    *state = strdup(path);
    return 0;
}

static int remove_folder(void **state)
{
    struct failure why;
    assert_code_ok(file_remove_tree(*state, &why), why);
    free(*state);
    return 0;
}

static void what_was_kept_is_there_after_it_was_closed(void **state)
{
    const struct relay_disk_key key = {7, 0, 11}, newer = {7, 0, 12}, next = {7, 1, 11};
    struct relay_disk *disk = open_disk(*state, 0);
    keep(disk, &key, 'x');
    relay_disk_close(disk);
    disk = open_disk(*state, 0);
    struct relay_bytes *bytes = load(disk, &key);
    assert_non_null(bytes);
    assert_int_equal(bytes->count, PIECE);
    assert_int_equal(bytes->data[PIECE - 1], 'x');
    relay_bytes_drop(bytes);
    assert_null(load(disk, &newer));
    assert_null(load(disk, &next));
    relay_disk_close(disk);
}

/* Calls `each` for every piece's path. */
static int for_each_piece(const char *folder, void (*each)(const char *path))
{
    SCOPE_BUFFER command = {0};
    char path[4096];
    int count = 0;
    buffer_printf(&command, "find %s -mindepth 2 -type f", folder);
    FILE *list = popen(buffer_text(&command), "r");
    assert_non_null(list);
    while (fgets(path, sizeof path, list)) {
        path[strcspn(path, "\n")] = 0;
        each(path);
        count++;
    }
    pclose(list);
    return count;
}

static void damage(const char *path)
{
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, 5000, SEEK_SET);
    fputc('!', file);
    fclose(file);
}

static void shows_no_plaintext(const char *path)
{
    struct failure why;
    SCOPE_BUFFER bytes = {0};
    assert_code_ok(file_read(path, 1 << 20, &bytes, &why), why);
    assert_null(memmem(bytes.data, bytes.length, "xxxxxxxx", 8));
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void a_damaged_piece_is_none_and_goes(void **state)
{
    const struct relay_disk_key key = {7, 0, 11};
    struct relay_disk *disk = open_disk(*state, 0);
    keep(disk, &key, 'x');
    relay_disk_close(disk);
    assert_int_equal(for_each_piece(*state, shows_no_plaintext), 1);
    assert_int_equal(for_each_piece(*state, damage), 1);
    disk = open_disk(*state, 0);
    assert_null(load(disk, &key));
    assert_null(load(disk, &key));
    assert_int_equal(relay_disk_used(disk), 0);
    relay_disk_close(disk);
    assert_int_equal(for_each_piece(*state, damage), 0);
}

static bool is_kept(struct relay_disk *disk, uint64_t node)
{
    struct relay_bytes *bytes = load(disk, &(struct relay_disk_key){node, 0, 1});
    bool kept = bytes != NULL;
    if (kept)
        relay_bytes_drop(bytes);
    return kept;
}

static void what_was_not_used_for_longest_makes_room(void **state)
{
    struct relay_disk *disk = open_disk(*state, 5 * PIECE);
    const struct relay_disk_key first = {1, 0, 1};
    for (uint64_t i = 1; i <= 4; i++)
        keep(disk, &(struct relay_disk_key){i, 0, 1}, 'x');
    relay_disk_close(disk);
    disk = open_disk(*state, 5 * PIECE);
    relay_bytes_drop(load(disk, &first)); /* used again */
    keep(disk, &(struct relay_disk_key){5, 0, 1}, 'x');
    keep(disk, &(struct relay_disk_key){6, 0, 1}, 'x');
    relay_disk_close(disk);
    disk = open_disk(*state, 5 * PIECE);
    assert_true(relay_disk_used(disk) <= 5 * PIECE);
    assert_true(is_kept(disk, 1));
    /* Two of these three went; which is open, since files written within one tick of the clock are of the same age. */
    assert_int_equal(is_kept(disk, 2) + is_kept(disk, 3) + is_kept(disk, 4), 1);
    assert_true(is_kept(disk, 5) && is_kept(disk, 6));
    relay_disk_close(disk);
}

static void one_mount_at_a_time_uses_a_folder(void **state)
{
    struct relay_disk *disk = open_disk(*state, 0);
    pid_t child = fork(); /* locks are a process's */
    if (child == 0) {
        struct failure why;
        struct relay_disk *other;
        const struct relay_disk_options options = {.folder = *state};
        _exit(relay_disk_open(&options, &other, &why) == CODE_BUSY ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    relay_disk_close(disk);
}

#define disk_test(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        disk_test(what_was_kept_is_there_after_it_was_closed),
        disk_test(a_damaged_piece_is_none_and_goes),
        disk_test(what_was_not_used_for_longest_makes_room),
        disk_test(one_mount_at_a_time_uses_a_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
