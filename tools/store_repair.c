/* Repairing a store: see store_repair.h.
 *
 *   1. It is opened and closed as usual, where that is possible: what a crash left (writes in the log of recent writes,
 * files that were unlinked while open) is then dealt with as ever.
 *   2. The catalog is copied, byte for byte, to catalog.db.before-repair-<moment>.  A second file, -wal, where it has a log.
 *   3. The repair itself, in one transaction. */
#include "store_repair.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "lab_store.h"
#include "progress_bar.h"
#include "repair.h"
#include "scope.h"
#include "store_folder.h"
#include "when.h"

#define STEP_BYTES ((size_t)1 << 20)

static void show_progress(void *context, uint64_t chunks_done)
{
    progress_bar_draw(context, "repairing", (int64_t)chunks_done, 0, "chunks");
}

static enum code copy_file(const char *from, const char *to, struct failure *why)
{
    SCOPE_CLOSE int source = open(from, O_RDONLY | O_CLOEXEC);
    if (source < 0)
        return failure_set_errno(why, errno, "%s: cannot be opened", from);
    SCOPE_CLOSE int target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    SCOPE_FREE char *bytes = malloc(STEP_BYTES);
    if (target < 0 || !bytes)
        return failure_set_errno(why, bytes ? errno : ENOMEM, "%s: cannot be made", to);
    for (ssize_t got; (got = read(source, bytes, STEP_BYTES)) != 0;) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failure_set_errno(why, errno, "%s: cannot be read", from);
        for (ssize_t done = 0, put; done < got; done += put) {
            put = write(target, bytes + done, (size_t)(got - done));
            if (put < 0 && errno == EINTR)
                put = 0;
            if (put < 0)
                return failure_set_errno(why, errno, "%s: cannot be written", to);
        }
    }
    return fsync(target) == 0 ? CODE_OK : failure_set_errno(why, errno, "%s: cannot be written", to);
}

/* With the store's lock. */
static enum code save_files(const char *catalog, struct buffer *saved, struct failure *why)
{
    char moment[WHEN_TEXT_BYTES];
    SCOPE_FREE char *log = NULL;
    SCOPE_FREE char *saved_log = NULL;
    when_print((int64_t)time(NULL) * 1000, moment);
    buffer_printf(saved, "%s.before-repair-%s", catalog, moment);
    for (int more = 2; file_exists(buffer_text(saved)) && more < 100; more++) { /* a second repair within the second */
        buffer_clear(saved);
        buffer_printf(saved, "%s.before-repair-%s-%d", catalog, moment, more);
    }
    if (asprintf(&log, "%s-wal", catalog) < 0 || asprintf(&saved_log, "%s-wal", buffer_text(saved)) < 0)
        return failure_set(why, CODE_NO_MEMORY, "out of memory");
    enum code code = copy_file(catalog, buffer_text(saved), why);
    if (code == CODE_OK && file_exists(log))
        code = copy_file(log, saved_log, why);
    return code;
}

static enum code save_catalog(const char *path, struct buffer *saved, struct failure *why)
{
    struct store_folder *folder;
    enum code code = store_folder_open(path, false, &folder, why);
    if (code != CODE_OK)
        return code;
    code = save_files(store_folder_catalog_path(folder), saved, why);
    store_folder_close(folder);
    return code == CODE_OK ? code : failure_wrap(why, code, "saving the catalog");
}

static void open_as_usual(const char *path, const char *key)
{
    struct lab_store store;
    if (lab_store_open(path, &(struct lab_store_options){.key = key}, &store, NULL) == CODE_OK)
        lab_store_close(&store);
}

static const struct {
    size_t offset;
    const char *what;
} lines[] = {
    {offsetof(struct repair_summary, rows), "rows put right"},
    {offsetof(struct repair_summary, names_removed), "names that led nowhere removed"},
    {offsetof(struct repair_summary, attached), "files and folders without a name put into lab/lost+found"},
    {offsetof(struct repair_summary, links_counted), "names counted anew"},
    {offsetof(struct repair_summary, links_removed), "symbolic links without a target removed"},
    {offsetof(struct repair_summary, parts_cut), "parts beyond the end of their file cut"},
    {offsetof(struct repair_summary, parts_lost), "lost parts of files noted: reading them gives an error"},
};

static int tell(const struct repair_summary *summary, bool accept, const char *saved)
{
    if (summary->unproven && !accept) {
        printf("%" PRIu64 " files and folders are not as they were written last; nothing was changed.\n"
               "If you know why (a disk that failed, a catalog edited by hand), take them as they are:\n"
               "    cytofs fsck --repair --accept STORE\n"
               "If not, put the store back from a backup: somebody may want these changes believed.\n",
               summary->unproven);
        return EXIT_REFUSED;
    }
    if (summary->problems_left) {
        printf("%" PRIu64 " problems cannot be repaired; nothing was changed: put the store back from a backup\n",
               summary->problems_left);
        return EXIT_REFUSED;
    }
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        uint64_t count;
        memcpy(&count, (const char *)summary + lines[i].offset, sizeof count);
        if (count)
            printf("%8" PRIu64 " %s\n", count, lines[i].what);
    }
    if (summary->unproven)
        printf("%8" PRIu64 " files and folders accepted as they are\n", summary->unproven);
    if (summary->changed)
        printf("repaired; the catalog of before is kept as %s\n", saved);
    else
        printf("the store is whole: nothing was changed\n");
    return EXIT_DONE;
}

int store_repair(const struct command *command, const char *path, const char *key, bool accept)
{
    struct failure why;
    struct lab_store store;
    struct progress_bar bar;
    struct repair_summary summary;
    SCOPE_BUFFER report = {0};
    SCOPE_BUFFER saved = {0};
    open_as_usual(path, key);
    if (save_catalog(path, &saved, &why) != CODE_OK)
        return command_fail(command, &why);
    const struct lab_store_options how = {
        .key = key, .read_only = true, .accept_older = accept, .accept_damage = true, .repair = true};
    if (lab_store_open(path, &how, &store, &why) != CODE_OK)
        return command_fail(command, &why);
    const struct repair_options options = {.accept = accept, .progress = show_progress, .context = &bar};
    progress_bar_start(&bar);
    enum code code = repair_run(store.tree, &options, &report, &summary, &why);
    progress_bar_end(&bar);
    lab_store_close(&store);
    fputs(buffer_text(&report), stdout);
    if (code != CODE_OK || !summary.changed) { /* the copy is the same as what is there */
        SCOPE_FREE char *log = NULL;
        unlink(buffer_text(&saved));
        if (asprintf(&log, "%s-wal", buffer_text(&saved)) >= 0)
            unlink(log);
    }
    return code == CODE_OK ? tell(&summary, accept, buffer_text(&saved)) : command_fail(command, &why);
}
