/* Lines of events: written by hand (the order of members is part of how they read), read with jansson.  Pure;
 * any thread. */
#include "run_event.h"

#include <limits.h>
#include <string.h>

#include <jansson.h>

static const char *const names[RUN_EVENT_COUNT] = {
    [RUN_EVENT_SUBMITTED] = "submitted",
    [RUN_EVENT_CLAIMED] = "claimed",
    [RUN_EVENT_STARTED] = "started",
    [RUN_EVENT_LOST] = "lost",
    [RUN_EVENT_CANCEL_REQUESTED] = "cancel_requested",
    [RUN_EVENT_CANCELLED] = "cancelled",
    [RUN_EVENT_FINISHED] = "finished",
    [RUN_EVENT_FAILED] = "failed",
};

const char *run_event_name(enum run_event_kind kind)
{
    return names[kind];
}

static void append_text(struct buffer *out, const char *key, const char *value)
{
    if (!value)
        return;
    buffer_printf(out, ",\"%s\":", key);
    buffer_append_json(out, value);
}

static void append_number(struct buffer *out, const char *key, int64_t value)
{
    if (value)
        buffer_printf(out, ",\"%s\":%lld", key, (long long)value);
}

void run_event_format(const struct run_event *event, struct buffer *out)
{
    buffer_printf(out, "{\"ms\":%lld,\"event\":\"%s\"", (long long)event->ms, names[event->kind]);
    append_text(out, "job", event->job);
    append_text(out, "member", event->member);
    append_text(out, "node", event->node);
    append_number(out, "attempt", event->attempt);
    append_number(out, "pid", event->pid);
    append_number(out, "spec", event->spec_bytes);
    if (event->orderly)
        buffer_append_text(out, ",\"orderly\":true");
    append_text(out, "dataset", event->dataset);
    append_text(out, "model", event->model);
    append_text(out, "reason", event->reason);
    buffer_append_text(out, "}\n");
}

static const char *text_member(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static int64_t number_member(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static bool find_kind(const char *name, enum run_event_kind *kind)
{
    for (int i = 0; i < RUN_EVENT_COUNT; i++)
        if (!strcmp(names[i], name)) {
            *kind = (enum run_event_kind)i;
            return true;
        }
    return false;
}

bool run_event_parse(const char *line, size_t count, struct run_event *event)
{
    if (count > RUN_EVENT_LINE_MAX)
        return false;
    json_t *object = json_loadb(line, count, 0, NULL);
    enum run_event_kind kind;
    if (!json_is_object(object) || !find_kind(text_member(object, "event"), &kind)) {
        json_decref(object);
        return false;
    }
    int64_t attempt = number_member(object, "attempt");
    *event = (struct run_event){
        .kind = kind,
        .ms = number_member(object, "ms"),
        .attempt = attempt > 0 && attempt <= INT_MAX ? (int)attempt : 0,
        .pid = number_member(object, "pid"),
        .spec_bytes = number_member(object, "spec"),
        .orderly = json_is_true(json_object_get(object, "orderly")),
        .job = text_member(object, "job"),
        .member = text_member(object, "member"),
        .node = text_member(object, "node"),
        .reason = text_member(object, "reason"),
        .model = text_member(object, "model"),
        .dataset = text_member(object, "dataset"),
        .parsed = object,
    };
    return true;
}

void run_event_free(struct run_event *event)
{
    json_decref(event->parsed);
    event->parsed = NULL;
}
