/* Reading a run's metrics: see metric_set.h.  Each call reads the tree anew; nothing is kept.  Any thread. */
#include "metric_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "key_list.h"
#include "scope.h"
#include "tree_path.h"

static enum code list_keys(struct tree *tree, const char *run, struct key_list *keys, struct failure *why)
{
    SCOPE_FREE char *folder = NULL;
    if (asprintf(&folder, "%s/metrics", run) < 0)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", run);
    return key_list_read(tree, folder, METRIC_KEYS_MAX, METRIC_DEPTH_MAX, keys, why);
}

static enum code read_series(struct tree *tree, const char *run, const char *key, size_t bytes_max,
                             struct metric_series *series, struct failure *why)
{
    SCOPE_FREE char *path = NULL;
    if (asprintf(&path, "%s/metrics/%s", run, key) < 0)
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", run);
    SCOPE_BUFFER text = {0};
    enum code code = tree_path_read_tail(tree, path, bytes_max, &text, why);
    if (code == CODE_NO_MEMORY)
        return code;
    bool cut = false;
    struct node_attributes attributes;
    if (text.length == bytes_max && tree_path_attributes(tree, path, &attributes, NULL) == CODE_OK)
        cut = attributes.size > bytes_max;
    return metric_series_parse(series, key, buffer_text(&text), text.length, cut, why);
}

/* plot_name NULL: all keys. */
static enum code read_set(struct tree *tree, const char *run, const char *plot_name, size_t bytes_max,
                          struct metric_set *out, struct failure *why)
{
    *out = (struct metric_set){0};
    struct key_list keys;
    enum code code = list_keys(tree, run, &keys, why);
    if (code != CODE_OK)
        return code;
    out->cut = keys.cut;
    out->items = calloc(keys.count + 1, sizeof *out->items);
    if (!out->items)
        code = failure_set(why, CODE_NO_MEMORY, "%s/metrics: out of memory", run);
    for (size_t i = 0; code == CODE_OK && i < keys.count; i++) {
        char name[256];
        if (plot_name && (!metric_set_plot_name(keys.keys[i], name) || strcmp(name, plot_name) != 0))
            continue;
        code = read_series(tree, run, keys.keys[i], bytes_max, &out->items[out->count], why);
        out->count += code == CODE_OK;
    }
    key_list_free(&keys);
    if (code != CODE_OK)
        metric_set_free(out);
    return code;
}

enum code metric_set_read(struct tree *tree, const char *run, size_t bytes_max, struct metric_set *out, struct failure *why)
{
    return read_set(tree, run, NULL, bytes_max, out, why);
}

enum code metric_set_read_plot(struct tree *tree, const char *run, const char *plot_name, struct metric_set *out,
                               struct failure *why)
{
    return read_set(tree, run, plot_name, METRIC_BYTES_WHOLE, out, why);
}

void metric_set_free(struct metric_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        metric_series_free(&set->items[i]);
    free(set->items);
    *set = (struct metric_set){0};
}

const struct metric_series *metric_set_find(const struct metric_set *set, const char *key)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->items[i].key, key) == 0)
            return &set->items[i];
    return NULL;
}

enum code metric_set_visit_keys(struct tree *tree, const char *run, void (*each)(void *context, const char *key),
                                void *context, struct failure *why)
{
    struct key_list keys;
    enum code code = list_keys(tree, run, &keys, why);
    if (code != CODE_OK)
        return code;
    for (size_t i = 0; i < keys.count; i++)
        each(context, keys.keys[i]);
    key_list_free(&keys);
    return CODE_OK;
}

bool metric_set_plot_name(const char *key, char name[256])
{
    int length = snprintf(name, 256, "%s.png", key);
    if (length < 0 || length >= 256)
        return false;
    for (char *slash = name; (slash = strchr(slash, '/'));)
        *slash = '-';
    return true;
}
