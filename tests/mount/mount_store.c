/* The tree that mount_server serves: see mount_store.h. */
#include "mount_store.h"

#include "buffer.h"
#include "chunk_store.h"
#include "chunk_store_memory.h"
#include "chunk_store_packs.h"
#include "file.h"
#include "member_key.h"
#include "member_key_file.h"
#include "store_folder.h"
#include "tree.h"

static struct tree_open_options tree_options(const struct mount_store *store)
{
    return (struct tree_open_options){
        .chunks = store->chunks,
        .catalog_path = store->folder ? store_folder_catalog_path(store->folder) : NULL,
        .member = store->member,
        .store = store->folder ? store_folder_id(store->folder) : NULL,
        .member_name = "tester",
    };
}

static enum code open_chunks(struct mount_store *store, struct failure *why)
{
    const struct chunk_store_packs_options options = {.store = *store_folder_id(store->folder)};
    return chunk_store_packs_open(store_folder_packs_path(store->folder), &options, &store->chunks, why);
}

static enum code make(struct mount_store *store, const char *folder, const char *key_path, struct failure *why)
{
    enum code code = store_folder_create(folder, &store->folder, why);
    if (code == CODE_OK)
        code = member_key_generate(&store->member, why);
    if (code == CODE_OK)
        code = member_key_file_save(key_path, store->member, NULL, why);
    if (code == CODE_OK)
        code = open_chunks(store, why);
    if (code != CODE_OK)
        return code;
    const struct tree_open_options options = tree_options(store);
    return tree_create(&options, why);
}

static enum code open_kept(struct mount_store *store, const char *folder, const char *key_path, struct failure *why)
{
    enum code code = store_folder_open(folder, false, &store->folder, why);
    if (code == CODE_OK)
        code = member_key_file_load(key_path, NULL, &store->member, why);
    return code == CODE_OK ? open_chunks(store, why) : code;
}

enum code mount_store_open(struct mount_store *store, const char *folder, struct failure *why)
{
    *store = (struct mount_store){0};
    SCOPE_BUFFER key_path = {0};
    buffer_printf(&key_path, "%s.key", folder ? folder : "");
    enum code code;
    if (!folder)
        code = chunk_store_memory_create(0, &store->chunks, why);
    else if (file_exists(folder))
        code = open_kept(store, folder, buffer_text(&key_path), why);
    else
        code = make(store, folder, buffer_text(&key_path), why);
    if (code != CODE_OK)
        return code;
    const struct tree_open_options options = tree_options(store);
    return tree_open(&options, &store->tree, why);
}

void mount_store_close(struct mount_store *store)
{
    if (store->tree)
        tree_close(store->tree);
    chunk_store_destroy(store->chunks);
    member_key_destroy(store->member);
    store_folder_close(store->folder);
}
