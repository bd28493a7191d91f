/* Messages that a client on another machine sends: which of them a session gets to see. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "extra.h"
#include "message_check.h"
#include "testing.h"

static struct {
    struct fuse_in_header header;
    uint8_t body[512];
} sent;
static struct message known;

static enum code check(uint32_t opcode, const void *body, size_t count)
{
    struct failure why;
    size_t length = sizeof sent.header + count;
    sent.header =
        (struct fuse_in_header){.len = (uint32_t)length, .opcode = opcode, .unique = 4, .nodeid = 1, .uid = 4711, .pid = 99};
    memcpy(sent.body, body, count);
    return message_check(&sent, &length, 1, &known, &why);
}

/* One byte too short it does not pass; whole it does, and `known` is what it says. */
static void expect_exact(uint32_t opcode, const void *body, size_t count)
{
    if (count)
        assert_int_equal(check(opcode, body, count - 1), CODE_INVALID);
    assert_int_equal(check(opcode, body, count), CODE_OK);
}

static void names_are_one_component_with_its_end(void **state)
{
    (void)state;
    char long_name[300];
    memset(long_name, 'n', sizeof long_name);
    long_name[255] = 0;
    expect_exact(FUSE_LOOKUP, "cells", 6);
    assert_string_equal(known.name, "cells");
    assert_int_equal(check(FUSE_LOOKUP, long_name, 256), CODE_OK);
    long_name[255] = 'n';
    long_name[256] = 0;
    assert_int_equal(check(FUSE_LOOKUP, long_name, 257), CODE_INVALID);
    assert_int_equal(check(FUSE_LOOKUP, "cells\0more", 11), CODE_INVALID);
    assert_int_equal(check(FUSE_LOOKUP, "", 1), CODE_INVALID);
    assert_int_equal(check(FUSE_LOOKUP, ".", 2), CODE_INVALID);
    assert_int_equal(check(FUSE_UNLINK, "..", 3), CODE_INVALID);
    assert_int_equal(check(FUSE_RMDIR, "a/b", 4), CODE_INVALID);
    expect_exact(FUSE_SYMLINK, "name\0../any/where", 18);
    assert_string_equal(known.second_name, "../any/where");
}

static void data_are_as_long_as_they_say(void **state)
{
    (void)state;
    struct {
        struct fuse_write_in fixed;
        char data[8];
    } write = {.fixed = {.fh = 7, .size = 8}};
    expect_exact(FUSE_WRITE, &write, sizeof write);
    assert_true(known.handle == 7);
    write.fixed.size = 4096; /* as the library would believe */
    assert_int_equal(check(FUSE_WRITE, &write, sizeof write), CODE_INVALID);
    write.fixed.size = 8;
    write.fixed.offset = INT64_MAX - 7;
    assert_int_equal(check(FUSE_WRITE, &write, sizeof write), CODE_INVALID);
    struct {
        struct fuse_batch_forget_in fixed;
        struct fuse_forget_one one[2];
    } forget = {.fixed = {.count = 2}};
    expect_exact(FUSE_BATCH_FORGET, &forget, sizeof forget);
    assert_true(known.unique == 0);
    forget.fixed.count = 0x10000002;
    assert_int_equal(check(FUSE_BATCH_FORGET, &forget, sizeof forget), CODE_INVALID);
}

static void reads_are_bounded(void **state)
{
    (void)state;
    struct fuse_read_in read = {.size = MESSAGE_IO_MAX};
    expect_exact(FUSE_READ, &read, sizeof read);
    read.size++;
    assert_int_equal(check(FUSE_READ, &read, sizeof read), CODE_INVALID);
    assert_int_equal(check(FUSE_READDIRPLUS, &read, sizeof read), CODE_INVALID);
    struct extra_fetch_in fetch = {.offset = 1, .size = EXTRA_FETCH_MAX};
    expect_exact(EXTRA_FETCH, &fetch, sizeof fetch);
    fetch.offset = UINT64_MAX;
    assert_int_equal(check(EXTRA_FETCH, &fetch, sizeof fetch), CODE_INVALID);
}

static void flags_that_kernels_keep_for_themselves_are_refused(void **state)
{
    (void)state;
    struct fuse_open_in open = {.flags = O_RDWR | O_TRUNC};
    expect_exact(FUSE_OPEN, &open, sizeof open);
    open.flags = O_RDWR | O_CREAT;
    assert_int_equal(check(FUSE_OPEN, &open, sizeof open), CODE_INVALID);
    open.flags = O_ACCMODE;
    assert_int_equal(check(FUSE_OPEN, &open, sizeof open), CODE_INVALID);
    struct fuse_setattr_in set = {.valid = FATTR_MTIME, .mtimensec = 999999999};
    expect_exact(FUSE_SETATTR, &set, sizeof set);
    set.mtimensec++;
    assert_int_equal(check(FUSE_SETATTR, &set, sizeof set), CODE_INVALID);
    struct fuse_lk_in lock = {.lk = {.start = 5, .end = 4}};
    assert_int_equal(check(FUSE_SETLK, &lock, sizeof lock), CODE_INVALID);
}

static void who_asks_is_not_taken_from_the_message(void **state)
{
    (void)state;
    assert_int_equal(check(FUSE_STATFS, "", 0), CODE_OK);
    assert_int_equal(sent.header.uid, geteuid());
    assert_int_equal(sent.header.gid, getegid());
    assert_int_equal(sent.header.pid, 0);
}

static void unknown_operations_are_not_supported(void **state)
{
    (void)state;
    const uint32_t unknown[] = {FUSE_IOCTL, FUSE_SETUPMAPPING, FUSE_SYNCFS, FUSE_NOTIFY_REPLY, FUSE_DESTROY, 51, 52, 4096,
                                0};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_int_equal(check(unknown[i], "", 0), CODE_UNSUPPORTED);
}

static void greetings_come_first_and_once(void **state)
{
    (void)state;
    struct failure why;
    struct {
        struct fuse_in_header header;
        struct fuse_init_in init;
    } message = {{.opcode = FUSE_INIT, .unique = 1}, {.major = 7, .minor = 45, .flags = UINT32_MAX, .flags2 = UINT32_MAX}};
    size_t length = message.header.len = sizeof message;
    assert_int_equal(message_check(&message, &length, 1, &known, &why), CODE_INVALID);
    assert_int_equal(message_check(&message, &length, 0, &known, &why), CODE_OK);
    assert_int_equal(length, sizeof message.header + 16);
    assert_int_equal(message.header.len, length);
    assert_false(message.init.flags & (FUSE_WRITEBACK_CACHE | FUSE_SETXATTR_EXT | FUSE_INIT_EXT | FUSE_EXPORT_SUPPORT));
    struct fuse_in_header early = {.len = sizeof early, .opcode = FUSE_STATFS, .unique = 2, .nodeid = 1};
    length = sizeof early;
    assert_int_equal(message_check(&early, &length, 0, &known, &why), CODE_INVALID);
    length = sizeof early - 1;
    assert_int_equal(message_check(&early, &length, 1, &known, &why), CODE_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_one_component_with_its_end),
        cmocka_unit_test(data_are_as_long_as_they_say),
        cmocka_unit_test(reads_are_bounded),
        cmocka_unit_test(flags_that_kernels_keep_for_themselves_are_refused),
        cmocka_unit_test(who_asks_is_not_taken_from_the_message),
        cmocka_unit_test(unknown_operations_are_not_supported),
        cmocka_unit_test(greetings_come_first_and_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
