/* Derived files: see tree_derived.h.
 *
 * An entry is found by (folder, name) and by id.  It is kept while it has lookups or pins, and afterwards in the order
 * of use up to TREE_DERIVED_IDLE_MAX.  Its id is a digest of what it is (folder, name, rule), so that clients which outlive
 * the process find it by the same number; where two that are in use would share one, the later has the next that is free.
 *
 * `shown` is what was rendered at stamp `version`.  Asking for attributes or contents compares stamps first and renders
 * only where they differ; a control file is rendered each time, because its source is not in the tree.  Two threads may
 * render the same entry at once; both results are right, the later one stays.
 */
#include "tree_derived.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "digest.h"
#include "timing.h"
#include "tree_node.h"
#include "tree_watch.h"
#include "viewer.h"

#define BUCKETS            4096
#define TRIM_STEPS_MAX     256
#define RENDERED_BYTES_MAX ((size_t)64 << 20) /* one file */

static size_t name_bucket(uint64_t folder, const char *name)
{
    uint64_t hash = folder * UINT64_C(0x9E3779B97F4A7C15);
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001B3);
    return (size_t)(hash ^ hash >> 32) & (BUCKETS - 1);
}

static size_t id_bucket(uint64_t id)
{
    return (size_t)id & (BUCKETS - 1);
}

/* With the lock. ------------------------------------------------------------------------------------------------- */

static void let_go(struct tree *tree, struct rendering *rendering)
{
    if (rendering && --rendering->references == 0) {
        tree->rendered_bytes -= rendering->size;
        free(rendering);
    }
}

static void unlink_entry(struct tree *tree, struct derived *entry)
{
    *(entry->previous ? &entry->previous->next : &tree->derived_first) = entry->next;
    *(entry->next ? &entry->next->previous : &tree->derived_last) = entry->previous;
    entry->previous = entry->next = NULL;
}

static void append_entry(struct tree *tree, struct derived *entry)
{
    entry->previous = tree->derived_last;
    *(tree->derived_last ? &tree->derived_last->next : &tree->derived_first) = entry;
    tree->derived_last = entry;
}

static void destroy(struct tree *tree, struct derived *entry)
{
    struct derived **link = &tree->derived_buckets[name_bucket(entry->folder, entry->name)];
    while (*link != entry)
        link = &(*link)->hash_next;
    *link = entry->hash_next;
    link = &tree->derived_by_id[id_bucket(entry->id)];
    while (*link != entry)
        link = &(*link)->id_next;
    *link = entry->id_next;
    unlink_entry(tree, entry);
    tree->derived_count--;
    let_go(tree, entry->shown);
    free(entry->name);
    free(entry);
}

/* Forgets what was used least recently: renderings, and entries that nobody holds.  Looks at a few entries a call. */
static void trim(struct tree *tree)
{
    struct derived *entry = tree->derived_first;
    for (int step = 0; entry && step < TRIM_STEPS_MAX; step++) {
        struct derived *next = entry->next;
        bool too_many = tree->derived_count > TREE_DERIVED_IDLE_MAX;
        if (!too_many && tree->rendered_bytes <= TREE_RENDERED_BYTES_MAX)
            return;
        if (!entry->pins && !entry->lookups && too_many) {
            destroy(tree, entry);
        } else if (!entry->pins && tree->rendered_bytes > TREE_RENDERED_BYTES_MAX) {
            let_go(tree, entry->shown);
            entry->shown = NULL;
        }
        entry = next;
    }
}

/* Whose entry of the rule's it is that this thread looks for. */
static int64_t viewer_of(const struct rule *rule)
{
    const struct viewer *viewer = rule->personal ? viewer_current() : NULL;
    return viewer ? viewer_owner(&viewer->id) : TREE_MOUNTER;
}

static struct derived *find(struct tree *tree, uint64_t folder, const char *name, const struct rule *rule)
{
    struct derived *entry = tree->derived_buckets ? tree->derived_buckets[name_bucket(folder, name)] : NULL;
    int64_t viewer = viewer_of(rule);
    while (entry &&
           (entry->folder != folder || entry->rule != rule || entry->viewer != viewer || strcmp(entry->name, name) != 0))
        entry = entry->hash_next;
    return entry;
}

/* Bit 62 is that of aliases (tree_alias.c). */
static uint64_t id_of(uint64_t folder, const char *name, const struct rule *rule)
{
    struct digest digest;
    uint8_t result[DIGEST_BYTES];
    digest_begin(&digest);
    digest_add_number(&digest, folder);
    digest_add_text(&digest, name);
    digest_add_text(&digest, rule->pattern);
    digest_end(&digest, result);
    return bytes_load64(result) >> 2;
}

static struct derived *find_id(struct tree *tree, uint64_t id)
{
    struct derived *entry = tree->derived_by_id ? tree->derived_by_id[id_bucket(id)] : NULL;
    while (entry && entry->id != id)
        entry = entry->id_next;
    return entry;
}

static uint64_t choose_id(struct tree *tree, uint64_t folder, const char *name, const struct rule *rule)
{
    uint64_t id = id_of(folder, name, rule);
    while (find_id(tree, TREE_DERIVED_BIT | id))
        id = (id + 1) & (UINT64_MAX >> 2);
    return TREE_DERIVED_BIT | id;
}

static struct derived *make(struct tree *tree, uint64_t folder, const char *name, const struct rule *rule)
{
    if (!tree->derived_buckets) {
        tree->derived_buckets = calloc(BUCKETS, sizeof *tree->derived_buckets);
        tree->derived_by_id = calloc(BUCKETS, sizeof *tree->derived_by_id);
    }
    if (!tree->derived_buckets || !tree->derived_by_id)
        return NULL;
    struct derived *entry = calloc(1, sizeof *entry);
    char *own_name = strdup(name);
    if (!entry || !own_name) {
        free(entry);
        free(own_name);
        return NULL;
    }
    *entry = (struct derived){.id = choose_id(tree, folder, name, rule),
                              .folder = folder,
                              .name = own_name,
                              .rule = rule,
                              .viewer = viewer_of(rule),
                              .modify_ns = tree->opened_ns};
    struct derived **bucket = &tree->derived_buckets[name_bucket(folder, name)];
    entry->hash_next = *bucket;
    *bucket = entry;
    bucket = &tree->derived_by_id[id_bucket(entry->id)];
    entry->id_next = *bucket;
    *bucket = entry;
    append_entry(tree, entry);
    tree->derived_count++;
    return entry;
}

static void pin(struct tree *tree, struct derived *entry)
{
    entry->pins++;
    unlink_entry(tree, entry);
    append_entry(tree, entry);
}

/* Without the lock. ---------------------------------------------------------------------------------------------- */

void derived_unpin(struct tree *tree, struct derived *entry)
{
    if (!entry)
        return;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    entry->pins--;
    trim(tree);
}

enum code derived_path(struct tree *tree, const struct derived *entry, struct buffer *path, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *folder;
    const char *above;
    enum code code = node_get(tree, entry->folder, &folder, why);
    if (code == CODE_OK)
        code = node_folder_path(tree, folder, &above, why);
    if (code != CODE_OK)
        return code;
    buffer_printf(path, "%s%s%s", above, *above ? "/" : "", entry->name);
    return buffer_check(path, "a path", why);
}

/* The stamp that a rendering made now would have. */
static void read_stamp(struct tree *tree, const struct derived *entry, const char *path, uint64_t *version,
                       int64_t *modify_ns)
{
    *version = 0;
    *modify_ns = tree->opened_ns;
    if (entry->rule->stamp) {
        entry->rule->stamp(entry->rule->context, path, version, modify_ns);
        return;
    }
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct node *folder;
    if (node_get(tree, entry->folder, &folder, NULL) == CODE_OK) {
        *version = folder->row.stamp;
        *modify_ns = folder->row.stamp_ns;
    }
}

/* Puts a new rendering in place. */
static enum code show(struct tree *tree, struct derived *entry, const struct buffer *text, uint64_t version,
                      int64_t modify_ns, struct failure *why)
{
    struct rendering *rendering = malloc(sizeof *rendering + text->length);
    if (!rendering)
        return failure_set(why, CODE_NO_MEMORY, "making a file's contents: no memory");
    rendering->references = 1;
    rendering->size = text->length;
    if (text->length)
        memcpy(rendering->bytes, text->data, text->length);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    bool same = entry->shown && entry->shown->size == rendering->size &&
                memcmp(entry->shown->bytes, rendering->bytes, rendering->size) == 0;
    if (entry->rule->kind == RULE_CONTROL)
        entry->modify_ns = same || !entry->shown ? entry->modify_ns : timing_wall_ns();
    else
        entry->modify_ns = modify_ns;
    tree->rendered_bytes += rendering->size;
    let_go(tree, entry->shown);
    entry->shown = rendering;
    entry->version = version;
    trim(tree);
    return CODE_OK;
}

static bool is_unborn(struct tree *tree, const struct derived *entry)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    return entry->unborn > 0;
}

static void refresh_stream(struct tree *tree, struct derived *entry, const char *path)
{
    uint64_t size = entry->rule->size ? entry->rule->size(entry->rule->context, path) : 0;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    entry->stream_size = size;
}

/* Makes sure that a pinned entry shows what its rule says now. */
static enum code refresh(struct tree *tree, struct derived *entry, struct failure *why)
{
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    enum code code = derived_path(tree, entry, &path, why);
    if (code == CODE_OK && entry->rule->kind == RULE_STREAM)
        refresh_stream(tree, entry, path.data);
    if (code != CODE_OK || entry->rule->kind == RULE_STREAM)
        return code;
    uint64_t version = 0;
    int64_t modify_ns = 0;
    if (entry->rule->kind == RULE_DERIVED) {
        read_stamp(tree, entry, path.data, &version, &modify_ns);
        SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
        if (entry->shown && entry->version == version)
            return CODE_OK;
    }
    SCOPE_BUFFER text = {.max = RENDERED_BYTES_MAX};
    code = entry->rule->render(entry->rule->context, path.data, &text, why);
    if (code == CODE_NOT_FOUND && is_unborn(tree, entry))
        code = CODE_OK;
    if (code == CODE_OK)
        code = buffer_check(&text, path.data, why);
    return code == CODE_OK ? show(tree, entry, &text, version, modify_ns, why) : code;
}

static struct derived *find_or_make(struct tree *tree, uint64_t folder, const char *name, const struct rule *rule)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct derived *entry = find(tree, folder, name, rule);
    if (!entry)
        entry = make(tree, folder, name, rule);
    if (entry)
        pin(tree, entry);
    return entry;
}

enum code derived_find(struct tree *tree, struct node_id folder, const char *name, struct derived **out, struct failure *why)
{
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    if (tree->rule_count == 0 || tree_is_derived(folder) || !watch_path_in(tree, folder, name, &path))
        return failure_set(why, CODE_NOT_FOUND, "there is no \"%s\"", name);
    for (size_t i = 0; i < tree->rule_count; i++) {
        const struct rule *rule = &tree->rules[i];
        if (rule->kind == RULE_WATCH || !rule_matches(rule->pattern, path.data))
            continue;
        struct derived *entry = find_or_make(tree, folder.value, name, rule);
        if (!entry)
            return failure_set(why, CODE_NO_MEMORY, "%s: no memory", path.data);
        enum code code = refresh(tree, entry, why);
        if (code == CODE_OK) {
            *out = entry;
            return CODE_OK;
        }
        derived_unpin(tree, entry);
        if (code != CODE_NOT_FOUND)
            return code;
    }
    return failure_set(why, CODE_NOT_FOUND, "there is no \"%s\"", name);
}

static const struct rule *rule_for_new(const struct tree *tree, const char *path)
{
    for (size_t i = 0; i < tree->rule_count; i++) {
        const struct rule *rule = &tree->rules[i];
        if (rule->kind == RULE_CONTROL && rule->creatable && rule_matches(rule->pattern, path))
            return rule;
    }
    return NULL;
}

enum code derived_make(struct tree *tree, struct node_id folder, const char *name, struct derived **out, struct failure *why)
{
    SCOPE_BUFFER path = {.max = TREE_PATH_MAX};
    const struct rule *rule = tree->rule_count && !tree_is_derived(folder) && watch_path_in(tree, folder, name, &path)
                                  ? rule_for_new(tree, path.data)
                                  : NULL;
    if (!rule)
        return failure_set(why, CODE_NOT_FOUND, "there is no \"%s\"", name);
    struct derived *entry = find_or_make(tree, folder.value, name, rule);
    if (!entry)
        return failure_set(why, CODE_NO_MEMORY, "%s: no memory", path.data);
    pthread_mutex_lock(&tree->lock);
    entry->unborn++;
    pthread_mutex_unlock(&tree->lock);
    enum code code = refresh(tree, entry, why);
    if (code == CODE_OK) {
        *out = entry;
        return CODE_OK;
    }
    derived_end_birth(tree, entry);
    derived_unpin(tree, entry);
    return code;
}

void derived_end_birth(struct tree *tree, struct derived *entry)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    entry->unborn--;
}

enum code derived_get(struct tree *tree, struct node_id id, struct derived **out, struct failure *why)
{
    pthread_mutex_lock(&tree->lock);
    struct derived *entry = find_id(tree, id.value);
    if (entry && entry->viewer != viewer_of(entry->rule))
        entry = NULL; /* another viewer's */
    if (entry)
        pin(tree, entry);
    pthread_mutex_unlock(&tree->lock);
    if (!entry)
        return failure_set(why, CODE_NOT_FOUND, "there is no such file any more");
    enum code code = refresh(tree, entry, why);
    if (code != CODE_OK) {
        derived_unpin(tree, entry);
        return code;
    }
    *out = entry;
    return CODE_OK;
}

enum code derived_folder(struct tree *tree, struct node_id id, uint64_t *folder, char *name, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    const struct derived *entry = find_id(tree, id.value);
    if (!entry)
        return failure_set(why, CODE_NOT_FOUND, "there is no such file any more");
    *folder = entry->folder;
    memcpy(name, entry->name, strlen(entry->name) + 1); /* it matched a path: TREE_NAME_MAX */
    return CODE_OK;
}

struct node_attributes derived_describe(struct tree *tree, const struct derived *entry)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    uint32_t mode = entry->rule->mode ? entry->rule->mode : entry->rule->kind == RULE_CONTROL ? 0644 : 0444;
    uint64_t size = entry->shown ? entry->shown->size : entry->stream_size;
    return (struct node_attributes){.id = {entry->id},
                                    .kind = NODE_FILE,
                                    .mode = mode & 07777,
                                    .owner = TREE_MOUNTER,
                                    .group = TREE_MOUNTER,
                                    .size = size,
                                    .blocks = (size + 511) / 512,
                                    .links = 1,
                                    .access_ns = entry->modify_ns,
                                    .modify_ns = entry->modify_ns,
                                    .change_ns = entry->modify_ns,
                                    .derived = true,
                                    .stream = entry->rule->kind == RULE_STREAM};
}

struct rendering *derived_acquire(struct tree *tree, struct derived *entry)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    if (entry->shown)
        entry->shown->references++;
    return entry->shown;
}

void derived_release(struct tree *tree, struct rendering *rendering)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    let_go(tree, rendering);
}

void derived_remember(struct tree *tree, struct node_id id)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct derived *entry = find_id(tree, id.value);
    if (entry)
        entry->lookups++;
}

void derived_forget(struct tree *tree, struct node_id id, uint64_t count)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    struct derived *entry = find_id(tree, id.value);
    if (entry)
        entry->lookups -= count < entry->lookups ? count : entry->lookups;
    trim(tree);
}

/* Whether the folder part of a pattern matches; *last is the pattern's last component then. */
static bool folder_matches(const char *pattern, const char *folder_path, const char **last)
{
    const char *slash = strrchr(pattern, '/');
    *last = slash ? slash + 1 : pattern;
    if (!slash)
        return *folder_path == 0;
    char above[TREE_PATH_MAX + 1];
    size_t length = (size_t)(slash - pattern);
    if (length >= sizeof above)
        return false;
    memcpy(above, pattern, length);
    above[length] = 0;
    return rule_matches(above, folder_path);
}

void derived_list(struct tree *tree, const char *folder_path, rule_emit *emit, void *context)
{
    for (size_t i = 0; i < tree->rule_count; i++) {
        const struct rule *rule = &tree->rules[i];
        const char *last;
        if (rule->kind == RULE_WATCH || !folder_matches(rule->pattern, folder_path, &last))
            continue;
        if (!strchr(last, '*'))
            emit(context, last);
        else if (rule->list)
            rule->list(rule->context, folder_path, emit, context);
    }
}

void derived_free_all(struct tree *tree)
{
    while (tree->derived_first)
        destroy(tree, tree->derived_first);
    free(tree->derived_buckets);
    free(tree->derived_by_id);
    tree->derived_buckets = tree->derived_by_id = NULL;
}
