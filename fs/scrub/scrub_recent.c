/* The log of recent writes, without keys: see fs/tree/FORMAT.md.
 *
 *     record, record, ... of one commit, with the next number each --> 64 zeros, or the file's end
 *
 * Anything else at a record's place is damage, or what a crash has torn: nobody can tell them apart, and both end the log.
 * A log that follows an older commit than the catalog's last is needed by nobody.
 *
 * The log of a lab that is in use changes meanwhile.  What it holds is then in memory, too, so a commit mends it; and bytes
 * that are the same before and after that commit were not on their way when they were read. */
#include <stdio.h>
#include <string.h>

#include "catalog.h"
#include "checksum.h"
#include "file.h"
#include "recent_format.h"
#include "scope.h"
#include "scrub_internal.h"

struct bad_place {
    bool is_there;
    size_t offset;
    uint64_t sum; /* of the bytes there */
};

static bool is_end(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count && i < RECENT_FORMAT_HEAD; i++)
        if (bytes[i])
            return false;
    return true;
}

/* Whether a log whose first record follows this commit is void. */
static bool is_void(const struct scrub *scrub, uint64_t commit)
{
    uint64_t last;
    return scrub->options->catalog && catalog_get_number(scrub->options->catalog, CATALOG_COMMIT, &last, NULL) == CODE_OK &&
           commit < last;
}

static struct bad_place find_bad(const struct scrub *scrub, uint8_t *bytes, size_t count)
{
    struct recent_head head, first = {0};
    enum recent_state state = RECENT_NONE;
    size_t at = 0;
    for (uint64_t sequence = 0; at < count && !is_end(bytes + at, count - at); sequence++) {
        uint64_t sum =
            checksum_64(bytes + at, count - at < RECENT_FORMAT_RECORD_MAX ? count - at : RECENT_FORMAT_RECORD_MAX, 0);
        state = recent_format_read(bytes + at, count - at, &head);
        if (state == RECENT_UNSUMMED)
            break;
        if (sequence == 0 && state == RECENT_WHOLE)
            first = head;
        if (state != RECENT_WHOLE || head.commit != first.commit || head.sequence != first.sequence + sequence)
            return (struct bad_place){.is_there = sequence == 0 || !is_void(scrub, first.commit), .offset = at, .sum = sum};
        at += recent_format_bytes(&head);
    }
    return (struct bad_place){0};
}

static enum code look(const struct scrub *scrub, const char *path, struct bad_place *bad, uint64_t *bytes,
                      struct failure *why)
{
    SCOPE_BUFFER log = {0};
    *bad = (struct bad_place){0};
    *bytes = 0;
    enum code code = file_read(path, RECENT_FORMAT_FILE_BYTES, &log, why);
    if (code != CODE_OK)
        return code == CODE_NOT_FOUND ? CODE_OK : code;
    *bytes = log.length;
    *bad = find_bad(scrub, (uint8_t *)log.data, log.length);
    return CODE_OK;
}

/* By commits, where there is somebody who makes them: *bad is empty where it was none.  *mended: nobody needs it any more.
 */
static enum code mend(const struct scrub *scrub, const char *path, struct bad_place *bad, bool *mended, struct failure *why)
{
    const struct scrub_options *options = scrub->options;
    struct bad_place after;
    uint64_t bytes;
    if (!options->commit)
        return CODE_OK;
    enum code code = options->commit(options->context, false, why);
    if (code == CODE_OK)
        code = look(scrub, path, &after, &bytes, why);
    if (code != CODE_OK)
        return code;
    bad->is_there = after.is_there && after.offset == bad->offset && after.sum == bad->sum;
    *mended = true;
    return bad->is_there ? options->commit(options->context, true, why) : CODE_OK;
}

enum code scrub_recent(struct scrub *scrub, size_t side, struct failure *why)
{
    SCOPE_FREE char *path = file_join(scrub_side_path(scrub, side), RECENT_FORMAT_FILE);
    struct bad_place bad;
    uint64_t bytes;
    bool mended = false;
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "scrubbing: no memory");
    enum code code = look(scrub, path, &bad, &bytes, why);
    if (code == CODE_OK && bad.is_there && !scrub->options->look_only)
        code = mend(scrub, path, &bad, &mended, why);
    if (code != CODE_OK)
        return code;
    if (bad.is_there && mended)
        scrub_tell(scrub, SCRUB_MENDED, "%s: at %zu: is damaged", path, bad.offset);
    else if (bad.is_there)
        scrub_tell(
            scrub, SCRUB_DAMAGED,
            "%s: at %zu: a small write that followed the last commit was torn by a crash, or is damaged: it, and what "
            "may have come after it, is lost",
            path, bad.offset);
    return scrub_step(scrub, bytes) ? CODE_OK : scrub_interrupted(why);
}
