/* Quotas: see tree_quota.h.  The record is read once and kept in memory (tree->usage.quotas, under the tree's lock); whoever
 * changes it writes the whole of it first, one at a time, and then takes it as what holds. */
#include "tree_quota.h"

#include <stdlib.h>
#include <string.h>

#include "logging.h"
#include "quota_list.h"
#include "tree_internal.h"
#include "tree_members.h"
#include "tree_record.h"
#include "tree_usage.h"
#include "viewer.h"

static const struct record_place place = {"lab/members", RECORD_PREFIX "quotas"};
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;

static void take(struct tree *tree, struct quota_list *list)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    free(tree->usage.quotas);
    tree->usage.quotas = list;
    usage_renew_limits(tree);
}

static enum code read_list(struct tree *tree, struct quota_list *list, struct failure *why)
{
    SCOPE_BUFFER text = {.max = RECORD_BYTES_MAX};
    enum code code = record_get(tree, &place, &text, why);
    list->count = 0;
    if (code == CODE_NO_DATA || code == CODE_NOT_FOUND)
        return CODE_OK;
    return code == CODE_OK ? quota_list_parse(buffer_text(&text), text.length, list, why) : code;
}

void tree_quota_load(struct tree *tree)
{
    struct failure why;
    SCOPE_FREE struct quota_list *list = calloc(1, sizeof *list);
    enum code code = list ? read_list(tree, list, &why) : failure_set(&why, CODE_NO_MEMORY, "no memory");
    if (code != CODE_OK)
        logging_warning("nobody's quotas are kept to: %s", why.text);
    if (code != CODE_OK || list->count == 0)
        return;
    take(tree, list);
    list = NULL;
}

struct quota tree_quota_said(struct tree *tree, const char *name)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    return tree->usage.quotas ? quota_list_get(tree->usage.quotas, name) : quota_unset;
}

struct quota tree_quota_of(struct tree *tree, const char *member)
{
    const struct quota own = tree_quota_said(tree, member), everyone = tree_quota_said(tree, QUOTA_EVERYONE);
    return quota_effective(&own, &everyone);
}

static enum code write_list(struct tree *tree, const struct quota_list *list, struct failure *why)
{
    SCOPE_BUFFER text = {.max = RECORD_BYTES_MAX};
    quota_list_print(list, &text);
    enum code code = buffer_check(&text, "the list of quotas", why);
    return code == CODE_OK ? record_put(tree, &place, buffer_text(&text), text.length, why) : code;
}

static enum code say(struct tree *tree, const char *name, const struct quota *quota, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&changing);
    SCOPE_FREE struct quota_list *list = calloc(1, sizeof *list);
    enum code code = list ? read_list(tree, list, why) : failure_set(why, CODE_NO_MEMORY, "no memory");
    if (code == CODE_OK)
        code = quota_list_put(list, name, quota, why);
    if (code == CODE_OK)
        code = write_list(tree, list, why);
    if (code != CODE_OK)
        return code;
    take(tree, list);
    list = NULL;
    return CODE_OK;
}

enum code tree_quota_say(struct tree *tree, const char *name, const struct quota *quota, struct failure *why)
{
    struct member_public ignored;
    enum code code = strcmp(name, QUOTA_EVERYONE) == 0 ? CODE_OK : members_find(tree, name, &ignored, why);
    if (code == CODE_OK)
        code = say(tree, name, quota, why);
    return code == CODE_OK ? code : failure_wrap(why, code, "the quotas of %s", name);
}

enum code tree_quota_forget(struct tree *tree, const char *name, struct failure *why)
{
    const struct quota said = tree_quota_said(tree, name);
    return memcmp(&said, &quota_unset, sizeof said) == 0 ? CODE_OK : say(tree, name, &quota_unset, why);
}

static int64_t owner_of(const struct viewer *viewer)
{
    return viewer ? viewer_owner(&viewer->id) : TREE_MOUNTER;
}

struct tree_quota_storage tree_quota_storage(struct tree *tree, const struct viewer *viewer)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    const struct usage_numbers numbers = usage_of(tree, owner_of(viewer));
    return (struct tree_quota_storage){numbers.bytes, numbers.held, numbers.most};
}

enum code tree_quota_storage_of(struct tree *tree, const char *member, struct tree_quota_storage *out, struct failure *why)
{
    struct member_public public;
    enum code code = members_find(tree, member, &public, why);
    if (code != CODE_OK)
        return code;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    const struct usage_numbers numbers = usage_of(tree, viewer_owner(&public.id));
    *out = (struct tree_quota_storage){numbers.bytes, numbers.held, numbers.most};
    return CODE_OK;
}

uint64_t tree_quota_hold(struct tree *tree, const struct viewer *viewer, uint64_t bytes)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    return usage_hold(tree, owner_of(viewer), bytes);
}

void tree_quota_let_go(struct tree *tree, const struct viewer *viewer, uint64_t bytes)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    usage_let_go(tree, owner_of(viewer), bytes);
}

void tree_quota_take_back(struct tree *tree, const struct viewer *viewer, uint64_t bytes)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&tree->lock);
    usage_take_back(tree, owner_of(viewer), bytes);
}
