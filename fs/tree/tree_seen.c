/* The number of the last commit that this member has seen: see tree_seen.h.
 *
 * The file is one line of fixed length (seen_text.h), overwritten after each commit and never
 * synced: the catalog is synced before, so whatever survives a crash is no newer than the store.
 */
#include "tree_seen.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "seen_text.h"

/* 0 where the file is new or no such file: then nothing is known. */
static uint64_t read_number(int fd)
{
    char text[SEEN_TEXT_BYTES];
    return pread(fd, text, sizeof text, 0) == (ssize_t)sizeof text ? seen_text_read(text) : 0;
}

void seen_note(struct tree *tree, uint64_t commit)
{
    char text[SEEN_TEXT_BYTES + 1];
    if (tree->seen_fd < 0)
        return;
    seen_text_write(commit, text);
    (void)!pwrite(tree->seen_fd, text, SEEN_TEXT_BYTES, 0);
}

enum code seen_open(struct tree *tree, const char *path, bool accept_older, struct failure *why)
{
    int fd = open(path, (tree->read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && tree->read_only && errno == ENOENT)
        return CODE_OK;
    if (fd < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", path);
    tree->seen_fd = fd;
    uint64_t seen = read_number(fd), commit = tree->commit.number;
    if (commit < seen && !accept_older)
        return failure_set(why, CODE_DENIED,
                           "the store is older than when you used it last (commit %llu; you have seen %llu): it was put "
                           "back from a backup, or by somebody who wants old data believed.  If the former: say "
                           "--accept-older",
                           (unsigned long long)commit, (unsigned long long)seen);
    if (commit < seen) /* what comes now is newer than all that was seen */
        tree->commit.number = seen;
    if (tree->read_only)
        seen_close(tree);
    else
        seen_note(tree, commit);
    return CODE_OK;
}

void seen_close(struct tree *tree)
{
    if (tree->seen_fd >= 0)
        close(tree->seen_fd);
    tree->seen_fd = -1;
}
