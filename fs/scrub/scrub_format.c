/* What opening a store depends on: its FORMAT file, which every pack's header repeats, and its list of mirrors, of which
 * there are two copies (scrub.h). */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"
#include "file.h"
#include "mirror_file.h"
#include "pack_format.h"
#include "scope.h"
#include "scrub.h"
#include "store_folder.h"

#define NAMES_MAX (4u << 20)

/* The id in a pack's header; false where that is damaged too. */
static bool read_id(const char *path, struct store_id *id)
{
    uint8_t bytes[PACK_HEADER_BYTES];
    struct pack_header header;
    SCOPE_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes ||
        pack_format_read_header(bytes, &header, NULL) != CODE_OK)
        return false;
    *id = header.store;
    return true;
}

/* All packs that have a sound header must agree. */
static enum code find_id(const char *packs, struct store_id *id, struct failure *why)
{
    struct file_names names;
    size_t found = 0;
    enum code code = file_list(packs, NAMES_MAX, &names, why);
    if (code != CODE_OK)
        return code;
    for (size_t i = 0; code == CODE_OK && i < names.count; i++) {
        struct store_id here;
        SCOPE_FREE char *path = file_join(packs, names.names[i]);
        if (!path || !read_id(path, &here))
            continue;
        if (found > 0 && memcmp(&here, id, sizeof here) != 0)
            code = failure_set(why, CODE_CORRUPT, "%s: packs of different stores lie there", packs);
        *id = here;
        found++;
    }
    file_names_free(&names);
    if (code == CODE_OK && found == 0)
        code = failure_set(why, CODE_NOT_FOUND, "%s: no pack has a sound header", packs);
    return code;
}

bool scrub_lists_are_sound(const char *path)
{
    for (const char *const *name = mirror_file_names; *name; name++) {
        SCOPE_FREE char *list = file_join(path, *name);
        SCOPE_BUFFER text = {0};
        struct mirror_file file = {0};
        if (!list || !file_exists(list))
            continue;
        bool sound = file_read(list, MIRROR_FILE_BYTES_MAX, &text, NULL) == CODE_OK &&
                     mirror_file_parse(buffer_text(&text), text.length, &file, NULL) == CODE_OK;
        mirror_file_free(&file);
        if (!sound)
            return false;
    }
    return true;
}

enum code scrub_mend_format(const char *path, bool *mended, struct failure *why)
{
    struct store_folder *folder;
    SCOPE_FREE char *packs = file_join(path, "packs");
    struct store_id id;
    *mended = false;
    if (!packs)
        return failure_set(why, CODE_NO_MEMORY, "scrubbing: no memory");
    enum code code = store_folder_open(path, true, &folder, why);
    if (code != CODE_CORRUPT) {
        if (code == CODE_OK)
            store_folder_close(folder);
        return code;
    }
    code = find_id(packs, &id, NULL);
    if (code != CODE_OK)
        return CODE_CORRUPT; /* *why: what is damaged */
    code = store_folder_rewrite_format(path, &id, why);
    *mended = code == CODE_OK;
    return code;
}
