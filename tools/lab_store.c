/* Opening a store from the outside in, and closing it from the inside out: see lab_store.h. */
#include "lab_store.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "catalog_pages.h"
#include "chunk_store.h"
#include "chunk_store_memory.h"
#include "chunk_store_mirror.h"
#include "entropy.h"
#include "hex.h"
#include "key_location.h"
#include "member_card.h"
#include "member_key_file.h"
#include "mirror_set.h"
#include "passphrase.h"
#include "store_folder.h"
#include "timing.h"

#define LOCK_PATIENCE_MS 2000
#define LOCK_RETRY_US    50000

const char *lab_store_login_name(void)
{
    const struct passwd *entry = getpwuid(getuid());
    return entry && entry->pw_name[0] ? entry->pw_name : "member";
}

static struct tree_open_options tree_options(const struct lab_store *store)
{
    return (struct tree_open_options){
        .chunks = store->chunks,
        .catalog_path = store->folder ? store_folder_catalog_path(store->folder) : NULL,
        .member = store->member,
        .store = store->folder ? store_folder_id(store->folder) : NULL,
        .member_name = lab_store_login_name(),
        .mirrors = store->mirrors,
    };
}

/* The chunks of an opened folder, and where its key lies. */
static enum code open_chunks(struct lab_store *store, const char *key_option, struct failure *why)
{
    const struct store_id *id = store_folder_id(store->folder);
    hex_encode(id->bytes, sizeof id->bytes, store->id);
    enum code code = key_location_find(id, key_option, &store->key_path, why);
    if (code != CODE_OK)
        return code;
    return chunk_store_mirror_open(store->mirrors, false, &store->chunks, why);
}

/* Everything but the catalog.  The folder is no store before it is finished: what an interruption leaves can be made anew.
 */
static enum code create_parts(struct lab_store *store, const struct lab_store_plan *plan, struct failure *why)
{
    struct store_id id;
    enum code code = entropy_fill(id.bytes, sizeof id.bytes, why);
    if (code == CODE_OK)
        code = store_folder_prepare(plan->path, &id, &store->folder, why);
    if (code != CODE_OK)
        return code;
    code = mirror_set_adopt(store->folder, &store->mirrors, why);
    if (code != CODE_OK)
        store_folder_close(store->folder);
    else
        code = open_chunks(store, plan->key, why);
    if (code == CODE_OK)
        code = member_key_generate(&store->member, why);
    if (code == CODE_OK)
        code = member_key_file_save(buffer_text(&store->key_path), store->member, plan->passphrase, why);
    return code;
}

enum code lab_store_create(const struct lab_store_plan *plan, struct lab_store_made *made, struct failure *why)
{
    struct lab_store store = {0};
    struct member_public recovery;
    enum code code = plan->member ? member_card_check_name(plan->member, why) : CODE_OK;
    if (code == CODE_OK)
        code = recovery_key_make(made->recovery, &recovery, why);
    if (code == CODE_OK)
        code = create_parts(&store, plan, why);
    if (code == CODE_OK) {
        struct tree_open_options options = tree_options(&store);
        options.recovery = &recovery;
        if (plan->member)
            options.member_name = plan->member;
        code = tree_create(&options, why);
    }
    if (code == CODE_OK)
        code = store_folder_finish(store.folder, why);
    if (code == CODE_OK)
        buffer_append_text(&made->key_path, buffer_text(&store.key_path));
    lab_store_close(&store);
    return code;
}

/* A protected key needs a passphrase; which it is shows when it is opened without one. */
enum code lab_store_load_key(const char *path, struct member_key **out, struct failure *why)
{
    enum code code = member_key_file_load(path, NULL, out, why);
    if (code != CODE_DENIED)
        return code;
    char passphrase[PASSPHRASE_BYTES_MAX];
    code = passphrase_ask("passphrase of your key", false, passphrase, why);
    if (code == CODE_OK)
        code = member_key_file_load(path, passphrase, out, why);
    passphrase_wipe(passphrase);
    return code;
}

/* A server that was killed a moment ago holds the lock until the kernel has done with it. */
static enum code open_folders_patiently(const char *path, struct mirror_set **out, struct failure *why)
{
    const struct mirror_set_options options = {.newest = catalog_pages_newest};
    int64_t deadline_ms = timing_monotonic_ms() + LOCK_PATIENCE_MS;
    enum code code;
    while ((code = mirror_set_open(path, &options, out, why)) == CODE_BUSY && timing_monotonic_ms() < deadline_ms)
        usleep(LOCK_RETRY_US);
    return code;
}

static enum code open_parts(const char *path, const char *key_option, struct lab_store *out, struct failure *why)
{
    *out = (struct lab_store){0};
    enum code code = open_folders_patiently(path, &out->mirrors, why);
    if (code == CODE_OK)
        out->folder = mirror_set_folder(out->mirrors, mirror_set_leader(out->mirrors));
    if (code == CODE_OK)
        code = open_chunks(out, key_option, why);
    return code == CODE_OK ? lab_store_load_key(buffer_text(&out->key_path), &out->member, why) : code;
}

enum code lab_store_seen_path(const char *key_path, const char *store_id, struct buffer *out, struct failure *why)
{
    const char *slash = strrchr(key_path, '/');
    buffer_printf(out, "%.*s%s.seen", slash ? (int)(slash + 1 - key_path) : 0, key_path, store_id);
    return buffer_check(out, "a path", why);
}

enum code lab_store_open(const char *path, const struct lab_store_options *options, struct lab_store *out,
                         struct failure *why)
{
    SCOPE_BUFFER seen = {0};
    enum code code = open_parts(path, options->key, out, why);
    if (code == CODE_OK)
        code = lab_store_seen_path(buffer_text(&out->key_path), out->id, &seen, why);
    struct tree_open_options tree = tree_options(out);
    tree.read_only = options->read_only;
    tree.seen_path = buffer_text(&seen);
    tree.accept_older = options->accept_older;
    tree.accept_damage = options->accept_damage;
    tree.repair = options->repair;
    tree.look_first = options->look_first;
    tree.keep_nameless = options->keep_nameless;
    if (code == CODE_OK)
        code = tree_open(&tree, &out->tree, why);
    if (code != CODE_OK)
        lab_store_close(out);
    return code;
}

void lab_store_forget_seen(const char *path)
{
    struct store_folder *folder;
    SCOPE_BUFFER key = {0};
    SCOPE_BUFFER seen = {0};
    char id[HEX_TEXT_BYTES(IDENTITY_BYTES)];
    if (store_folder_open(path, true, &folder, NULL) != CODE_OK)
        return;
    hex_encode(store_folder_id(folder)->bytes, IDENTITY_BYTES, id);
    if (key_location_find(store_folder_id(folder), NULL, &key, NULL) == CODE_OK &&
        lab_store_seen_path(buffer_text(&key), id, &seen, NULL) == CODE_OK)
        (void)!unlink(buffer_text(&seen));
    store_folder_close(folder);
}

enum code lab_store_open_with(const char *path, struct member_key *key, struct lab_store *out, struct failure *why)
{
    *out = (struct lab_store){.member = key};
    enum code code = open_folders_patiently(path, &out->mirrors, why);
    if (code == CODE_OK)
        out->folder = mirror_set_folder(out->mirrors, mirror_set_leader(out->mirrors));
    if (code == CODE_OK)
        code = open_chunks(out, NULL, why);
    struct tree_open_options options = tree_options(out);
    if (code == CODE_OK)
        code = tree_open(&options, &out->tree, why);
    if (code != CODE_OK)
        lab_store_close(out);
    return code;
}

enum code lab_store_open_memory(struct lab_store *out, struct failure *why)
{
    *out = (struct lab_store){.id = "memory"};
    enum code code = chunk_store_memory_create(0, &out->chunks, why);
    if (code == CODE_OK) {
        struct tree_open_options options = tree_options(out);
        code = tree_open(&options, &out->tree, why);
    }
    if (code != CODE_OK)
        lab_store_close(out);
    return code;
}

void lab_store_close(struct lab_store *store)
{
    if (store->tree)
        tree_close(store->tree);
    chunk_store_destroy(store->chunks);
    member_key_destroy(store->member);
    mirror_set_close(store->mirrors);
    buffer_free(&store->key_path);
    *store = (struct lab_store){0};
}
