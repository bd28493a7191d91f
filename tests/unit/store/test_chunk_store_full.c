/* Packs on a disk that is really full: a tmpfs of 256 KiB in a mount namespace of this process alone. Skipped
 * where the kernel does not let us make one. */
#include "testing.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "chunk_store.h"
#include "chunk_store_packs.h"
#include "file.h"

#define DISK_BYTES (256 * 1024)

static struct failure why;
static char disk[] = "/tmp/cytofs-disk-XXXXXX";

static bool write_map(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return done;
}

/* Gives this process a mount namespace, and with it, where it is not root, a user namespace in which it may
 * mount. */
static bool enter_namespace(void)
{
    char map[64];
    unsigned uid = (unsigned)getuid(), gid = (unsigned)getgid();
    if (uid == 0)
        return unshare(CLONE_NEWNS) == 0;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    snprintf(map, sizeof map, "0 %u 1", uid);
    if (!write_map("/proc/self/uid_map", map) || !write_map("/proc/self/setgroups", "deny"))
        return false;
    snprintf(map, sizeof map, "0 %u 1", gid);
    return write_map("/proc/self/gid_map", map);
}

static bool mount_disk(void)
{
    char options[32];
    snprintf(options, sizeof options, "size=%d", DISK_BYTES);
    return enter_namespace() && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", disk, "tmpfs", 0, options) == 0;
}

static struct chunk_store *open_packs(uint64_t roll_bytes)
{
    const struct chunk_store_packs_options options = {.roll_bytes = roll_bytes};
    struct chunk_store *store;
    assert_code_ok(chunk_store_packs_open(disk, &options, &store, &why), why);
    return store;
}

static int empty_disk(void **state)
{
    (void)state;
    struct file_names names;
    if (file_list(disk, 1000, &names, NULL) != CODE_OK)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        char *path = file_join(disk, names.names[i]);
        unlink(path);
        free(path);
    }
    file_names_free(&names);
    return 0;
}

static uint8_t chunk[10000];

/* Puts chunks until the disk is full; how many went in. */
static size_t fill(struct chunk_store *store, struct chunk_address *addresses, size_t max)
{
    for (size_t i = 0; i < max; i++) {
        memset(chunk, (int)i, sizeof chunk);
        enum code code = chunk_store_put(store, chunk, sizeof chunk, &addresses[i], &why);
        if (code == CODE_NO_SPACE)
            return i;
        assert_code_ok(code, why);
    }
    fail_msg("the disk did not fill up");
    return 0;
}

static void assert_chunks(struct chunk_store *store, const struct chunk_address *addresses, size_t first, size_t count)
{
    uint8_t got[sizeof chunk];
    for (size_t i = first; i < count; i++) {
        memset(chunk, (int)i, sizeof chunk);
        assert_code_ok(chunk_store_get(store, &addresses[i], got, &why), why);
        assert_memory_equal(got, chunk, sizeof chunk);
    }
}

static void a_full_disk_keeps_everything_and_takes_more_when_there_is_room_again(void **state)
{
    (void)state;
    const uint64_t rolls[] = {0, 30000}; /* full inside a record; full where a new pack is to begin, too */
    for (int round = 0; round < 2; round++) {
        struct chunk_store *store = open_packs(rolls[round]);
        struct chunk_address addresses[40], small;
        size_t count = fill(store, addresses, 40);
        assert_in_range(count, 20, 30);
        assert_code_ok(chunk_store_sync(store, &why), why);
        assert_chunks(store, addresses, 0, count);
        assert_int_equal(chunk_store_put(store, chunk, sizeof chunk, &small, &why), CODE_NO_SPACE);
        if (round == 1) {
            assert_code_ok(chunk_store_drop_pack(store, addresses[0].pack, &why), why);
            assert_code_ok(chunk_store_put(store, chunk, sizeof chunk, &small, &why), why);
            assert_code_ok(chunk_store_sync(store, &why), why);
        }
        chunk_store_destroy(store);
        store = open_packs(rolls[round]);
        assert_chunks(store, addresses, round == 1 ? 2 : 0, count); /* two chunks a pack */
        chunk_store_destroy(store);
        assert_int_equal(empty_disk(NULL), 0);
    }
}

int main(void)
{
    if (!mkdtemp(disk) || !mount_disk()) {
        rmdir(disk);
        puts("skipped: a small disk of its own cannot be mounted here");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_full_disk_keeps_everything_and_takes_more_when_there_is_room_again, empty_disk),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    umount(disk);
    rmdir(disk);
    return failed;
}
