/* read_lab STORE KEY-FILE [SEEN-FILE]: opens the store as a mount does and reads everything in it, without a mount.
 *
 * One line each: a path, a tab, and what is there: `folder`, `file <SHA-256 of the contents>`, `link <target>`, with
 * ` <attribute>=<value>` for each extended attribute; or `error: <why>`.  Exits 1 with the reason where the store is
 * refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk_store.h"
#include "chunk_store_packs.h"
#include "digest.h"
#include "member_key.h"
#include "member_key_file.h"
#include "scope.h"
#include "store_folder.h"
#include "tree.h"
#include "tree_path.h"

#define FILE_BYTES_MAX ((size_t)64 << 20)

struct reading {
    struct tree *tree;
    const char *path; /* of the folder */
};

static void tell_error(const char *path, const struct failure *why)
{
    printf("%s\terror: %s\n", path, why->text);
}

static enum code add_attributes(struct tree *tree, struct node_id node, struct buffer *line, struct failure *why)
{
    SCOPE_BUFFER names = {0};
    enum code code = tree_list_xattrs(tree, node, &names, why);
    for (size_t at = 0; code == CODE_OK && at < names.length; at += strlen(names.data + at) + 1) {
        SCOPE_BUFFER value = {0};
        code = tree_get_xattr(tree, node, names.data + at, &value, why);
        buffer_printf(line, " %s=%s", names.data + at, buffer_text(&value));
    }
    return code;
}

static void tell_file(struct reading *reading, const char *path, const struct node_attributes *attributes)
{
    SCOPE_BUFFER text = {0};
    SCOPE_BUFFER line = {0};
    struct failure why;
    enum code code = tree_path_read(reading->tree, path, FILE_BYTES_MAX, &text, &why);
    if (code == CODE_OK)
        code = add_attributes(reading->tree, attributes->id, &line, &why);
    if (code != CODE_OK) {
        tell_error(path, &why);
        return;
    }
    struct digest digest;
    uint8_t result[DIGEST_BYTES];
    char digits[DIGEST_TEXT_BYTES];
    digest_begin(&digest);
    digest_add(&digest, buffer_text(&text), text.length);
    digest_end(&digest, result);
    digest_to_text(result, digits);
    printf("%s\tfile %o %s%s\n", path, attributes->mode, digits, buffer_text(&line));
}

static bool tell(void *context, const char *name, const struct node_attributes *attributes)
{
    struct reading *reading = context;
    SCOPE_BUFFER path = {0};
    SCOPE_BUFFER target = {0};
    struct failure why;
    buffer_printf(&path, "%s%s%s", reading->path, *reading->path ? "/" : "", name);
    const char *text = buffer_text(&path);
    if (attributes->kind == NODE_FILE) {
        tell_file(reading, text, attributes);
    } else if (attributes->kind == NODE_FOLDER) {
        struct reading below = {reading->tree, text};
        printf("%s\tfolder %o\n", text, attributes->mode);
        if (tree_path_list(reading->tree, text, tell, &below, &why) != CODE_OK)
            tell_error(text, &why);
        if (strcmp(reading->path, "datasets") == 0) {
            buffer_append_text(&path, "/.snap"); /* which no listing shows */
            below.path = buffer_text(&path);
            if (tree_path_list(reading->tree, below.path, tell, &below, &why) != CODE_OK)
                tell_error(below.path, &why);
        }
    } else if (tree_path_read_link(reading->tree, text, &target, &why) != CODE_OK) {
        tell_error(text, &why);
    } else {
        printf("%s\tlink %s\n", text, buffer_text(&target));
    }
    return true;
}

int main(int argc, char **argv)
{
    struct store_folder *folder = NULL;
    struct chunk_store *chunks = NULL;
    struct member_key *member = NULL;
    struct tree *tree = NULL;
    struct failure why;
    if (argc < 3)
        return 2;
    enum code code = store_folder_open(argv[1], false, &folder, &why);
    if (code == CODE_OK) {
        const struct chunk_store_packs_options packs = {.store = *store_folder_id(folder)};
        code = chunk_store_packs_open(store_folder_packs_path(folder), &packs, &chunks, &why);
    }
    if (code == CODE_OK)
        code = member_key_file_load(argv[2], NULL, &member, &why);
    if (code == CODE_OK) {
        const struct tree_open_options options = {.chunks = chunks,
                                                  .catalog_path = store_folder_catalog_path(folder),
                                                  .member = member,
                                                  .store = store_folder_id(folder),
                                                  .seen_path = argc > 3 ? argv[3] : NULL};
        code = tree_open(&options, &tree, &why);
    }
    if (code == CODE_OK) {
        struct reading reading = {tree, ""};
        if (tree_path_list(tree, "", tell, &reading, &why) != CODE_OK)
            tell_error("", &why);
    } else {
        fprintf(stderr, "refused: %s\n", why.text);
    }
    tree_close(tree);
    chunk_store_destroy(chunks);
    member_key_destroy(member);
    store_folder_close(folder);
    return code == CODE_OK ? 0 : 1;
}
