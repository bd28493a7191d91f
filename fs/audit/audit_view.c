/* lab/audit and lab/audit-check: see audit_view.h.  The rights are looked at by the gate too (fs/session/rights_table.c). */
#include "audit_view.h"

#include <inttypes.h>

#include "audit.h"
#include "rule.h"
#include "timing.h"
#include "viewer.h"

#define LINES_SHOWN 5000

static enum code check(const struct audit_view *view, const char *path, struct failure *why)
{
    const struct viewer *viewer = viewer_current();
    if (viewer && viewer->role != ROLE_STEWARD && viewer->role != ROLE_ADMIN)
        return failure_set(why, CODE_DENIED, "%s is a steward's and an admin's to read", path);
    return view->audit ? CODE_OK : failure_set(why, CODE_NOT_FOUND, "%s: no log is kept", path);
}

static enum code render_log(void *argument, const char *path, struct buffer *out, struct failure *why)
{
    const struct audit_view *view = argument;
    enum code code = check(view, path, why);
    if (code != CODE_OK)
        return code;
    audit_flush(view->audit);
    code = audit_show(view->tree, audit_folder(view->audit), LINES_SHOWN, out, why);
    if (code == CODE_CORRUPT) {
        buffer_printf(out, "here the log ends: %s\n", why->text);
        code = CODE_OK;
    }
    return code == CODE_OK ? buffer_check(out, path, why) : code;
}

static enum code render_check(void *argument, const char *path, struct buffer *out, struct failure *why)
{
    const struct audit_view *view = argument;
    uint64_t lines;
    enum code code = check(view, path, why);
    if (code != CODE_OK)
        return code;
    audit_flush(view->audit);
    code = audit_verify(view->tree, audit_folder(view->audit), &lines, why);
    if (code == CODE_OK)
        buffer_printf(out, "%" PRIu64 " lines, each as it was written\n", lines);
    else
        buffer_printf(out, "changed: %s\n", why->text);
    return buffer_check(out, path, why);
}

static void stamp(void *argument, const char *path, uint64_t *version, int64_t *modify_ns)
{
    const struct audit_view *view = argument;
    (void)path;
    *version = view->audit ? audit_version(view->audit) + 1 : 0;
    *modify_ns = timing_wall_ns();
}

enum code audit_view_add(struct audit_view *view, struct failure *why)
{
    const struct rule rules[] = {
        {.kind = RULE_DERIVED, .pattern = "lab/audit", .context = view, .render = render_log, .stamp = stamp},
        {.kind = RULE_DERIVED, .pattern = "lab/audit-check", .context = view, .render = render_check, .stamp = stamp},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        enum code code = rule_add(view->tree, &rules[i], why);
        if (code != CODE_OK)
            return failure_wrap(why, code, "adding %s", rules[i].pattern);
    }
    return CODE_OK;
}
