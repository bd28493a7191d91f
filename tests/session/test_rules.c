/* Rules for tests: see test_rules.h.  Callbacks come from any thread; one lock guards everything.  A stream's wake
 * function is called under it, which the contract of streams allows. */
#include "test_rules.h"

#include <stdlib.h>
#include <string.h>

#include "rule.h"
#include "scope.h"
#include "tree_path.h"
#include "viewer.h"

#define SPEC_MAX 65536

struct stream {
    struct test_rules *rules;
    size_t position;
    void (*wake)(void *context);
    void *wake_context;
    struct stream *next;
};

/* jobs/ *.yaml ---------------------------------------------------------------------------------------------------- */

static enum code check_spec(void *context, const char *path, struct failure *why)
{
    struct test_rules *rules = context;
    SCOPE_BUFFER text = {0};
    enum code code = tree_path_read(rules->tree, path, SPEC_MAX, &text, why);
    if (code != CODE_OK)
        return code;
    if (strstr(buffer_text(&text), "bad"))
        return failure_set(why, CODE_INVALID, "%s: it says \"bad\" (write something better)", path);
    return CODE_OK;
}

static void say(struct test_rules *rules, const char *line);

static void remember(struct test_rules *rules, const char *line)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&rules->lock);
    buffer_append_text(&rules->happened, line);
    say(rules, line);
    if (rules->log) {
        fputs(line, rules->log);
        fflush(rules->log);
    }
}

static void spec_settled(void *context, const char *path)
{
    struct test_rules *rules = context;
    struct failure why;
    SCOPE_BUFFER text = {0};
    SCOPE_BUFFER line = {0};
    if (check_spec(context, path, &why) != CODE_OK)
        buffer_printf(&line, "refused %s\n", path);
    else if (tree_path_read(rules->tree, path, SPEC_MAX, &text, &why) == CODE_OK)
        buffer_printf(&line, "settled %s %zu\n", path, text.length);
    remember(rules, buffer_text(&line));
}

static void spec_removed(void *context, const char *path)
{
    SCOPE_BUFFER line = {0};
    const struct viewer *viewer = viewer_current();
    buffer_printf(&line, "removed %s%s%s\n", path, viewer ? " by " : "", viewer ? viewer->name : "");
    remember(context, buffer_text(&line));
}

/* datasets/ * /size ------------------------------------------------------------------------------------------------ */

static enum code render_size(void *context, const char *path, struct buffer *out, struct failure *why)
{
    struct test_rules *rules = context;
    SCOPE_BUFFER data = {0};
    buffer_printf(&data, "%.*s/data", (int)(strrchr(path, '/') - path), path);
    struct node_attributes attributes;
    enum code code = tree_path_attributes(rules->tree, buffer_text(&data), &attributes, why);
    if (code == CODE_OK)
        buffer_printf(out, "%llu bytes\n", (unsigned long long)attributes.size);
    return code;
}

/* jobs/events ----------------------------------------------------------------------------------------------------- */

static enum code open_events(void *context, const char *path, struct stream **out, struct failure *why)
{
    struct test_rules *rules = context;
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return failure_set(why, CODE_NO_MEMORY, "opening %s: no memory", path);
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&rules->lock);
    stream->rules = rules;
    stream->position = rules->said.length;
    stream->next = rules->streams;
    rules->streams = stream;
    *out = stream;
    return CODE_OK;
}

static enum code read_events(struct stream *stream, char *bytes, size_t count, size_t *got, struct failure *why)
{
    (void)why;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&stream->rules->lock);
    size_t left = stream->rules->said.length - stream->position;
    *got = left < count ? left : count;
    if (*got > 0)
        memcpy(bytes, stream->rules->said.data + stream->position, *got);
    stream->position += *got;
    return CODE_OK;
}

static bool watch_events(struct stream *stream, void (*wake)(void *context), void *wake_context)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&stream->rules->lock);
    stream->wake = wake;
    stream->wake_context = wake_context;
    return stream->position < stream->rules->said.length;
}

static void close_events(struct stream *stream)
{
    struct test_rules *rules = stream->rules;
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&rules->lock);
    struct stream **link = &rules->streams;
    while (*link != stream)
        link = &(*link)->next;
    *link = stream->next;
    free(stream);
}

/* With the lock held. */
static void say(struct test_rules *rules, const char *line)
{
    buffer_append_text(&rules->said, line);
    for (struct stream *stream = rules->streams; stream; stream = stream->next) {
        void (*wake)(void *context) = stream->wake;
        stream->wake = NULL;
        if (wake)
            wake(stream->wake_context);
    }
}

void test_rules_say(struct test_rules *rules, const char *line)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&rules->lock);
    SCOPE_BUFFER whole = {0};
    buffer_printf(&whole, "%s\n", line);
    say(rules, buffer_text(&whole));
}

/* Life ------------------------------------------------------------------------------------------------------------ */

enum code test_rules_add(struct test_rules *rules, struct tree *tree, FILE *log, struct failure *why)
{
    *rules = (struct test_rules){.tree = tree, .log = log};
    pthread_mutex_init(&rules->lock, NULL);
    const struct rule list[] = {
        {.kind = RULE_WATCH,
         .pattern = "jobs/*.yaml",
         .context = rules,
         .check = check_spec,
         .settled = spec_settled,
         .removed = spec_removed},
        {.kind = RULE_STREAM,
         .pattern = "jobs/events",
         .context = rules,
         .open = open_events,
         .read = read_events,
         .watch = watch_events,
         .close = close_events},
        {.kind = RULE_DERIVED, .pattern = "datasets/*/size", .context = rules, .render = render_size},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        enum code code = rule_add(tree, &list[i], why);
        if (code != CODE_OK)
            return code;
    }
    return CODE_OK;
}

void test_rules_destroy(struct test_rules *rules)
{
    buffer_free(&rules->happened);
    buffer_free(&rules->said);
    pthread_mutex_destroy(&rules->lock);
}

char *test_rules_happened(struct test_rules *rules)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&rules->lock);
    return strdup(buffer_text(&rules->happened));
}
