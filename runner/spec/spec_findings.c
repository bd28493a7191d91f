/* Findings: a list sorted by place, and how a person sees it:
 *
 *     jobs/a.yaml:3:18: "epochs: many" is not a whole number (write 1 to 100000)
 *       train: {epochs: many}
 *                       ^
 *
 * Columns count characters, not bytes, as editors do.  Pure; any thread.
 */
#include "spec_findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "spec_tree.h"

#define SHOWN_CHARACTERS_MAX 160 /* of a line of the text */

static bool is_before(const struct spec_finding *a, const struct spec_finding *b)
{
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

void spec_findings_add(struct spec_findings *findings, int line, int column, const char *format, ...)
{
    struct spec_finding finding = {line < 1 ? 1 : line, column < 1 ? 1 : column, ""};
    va_list args;
    va_start(args, format);
    vsnprintf(finding.text, sizeof finding.text, format, args);
    va_end(args);
    for (size_t i = 0; i < findings->count; i++) {
        const struct spec_finding *other = &findings->items[i];
        if (other->line == finding.line && other->column == finding.column && !strcmp(other->text, finding.text))
            return;
    }
    if (findings->count == SPEC_FINDINGS_MAX)
        return;
    size_t place = findings->count;
    while (place > 0 && is_before(&finding, &findings->items[place - 1]))
        place--;
    memmove(&findings->items[place + 1], &findings->items[place], (findings->count - place) * sizeof findings->items[0]);
    findings->items[place] = finding;
    findings->count++;
}

void spec_add_finding(struct spec_findings *findings, const char *text, size_t count, const char *key, const char *message)
{
    struct spec_findings ignored = {.count = 0};
    struct spec_tree *tree = NULL;
    int line = 1, column = 1;
    if (spec_tree_read(text, count, &tree, &ignored, NULL) == CODE_OK) {
        const struct spec_node *node = spec_tree_entry(spec_tree_root(tree), key);
        if (node) {
            line = node->line;
            column = node->column;
        }
    }
    spec_tree_destroy(tree);
    spec_findings_add(findings, line, column, "%s", message);
}

/* The line with this number, 1-based, without its line break; an empty one behind the end. */
static const char *find_line(const char *text, size_t count, int line, size_t *length)
{
    const char *at = text, *end = text + count;
    while (line > 1 && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        at = stop ? stop + 1 : end;
        line--;
    }
    const char *stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    *length = (size_t)((stop ? stop : end) - at);
    return at;
}

static bool starts_character(char byte)
{
    return ((unsigned char)byte & 0xC0) != 0x80;
}

/* The line, and a caret below the column; control characters other than the tab are shown as '?'. */
static void format_excerpt(const char *line, size_t length, int column, struct buffer *out)
{
    int characters = 0;
    buffer_append_text(out, "  ");
    for (size_t i = 0; i < length; i++) {
        if (starts_character(line[i]) && characters++ == SHOWN_CHARACTERS_MAX) {
            buffer_append_text(out, " ...");
            break;
        }
        bool control = (unsigned char)line[i] < 0x20 && line[i] != '\t';
        buffer_append(out, control ? "?" : &line[i], 1);
    }
    buffer_append_text(out, "\n");
    if (column > SHOWN_CHARACTERS_MAX)
        return;
    buffer_append_text(out, "  ");
    int passed = 0;
    for (size_t i = 0; i < length && passed < column - 1; i++)
        if (starts_character(line[i])) {
            buffer_append(out, line[i] == '\t' ? "\t" : " ", 1);
            passed++;
        }
    buffer_append_text(out, "^\n");
}

void spec_format_findings(const struct spec_findings *findings, const char *path, const char *text, size_t count,
                          struct buffer *out)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct spec_finding *finding = &findings->items[i];
        buffer_printf(out, "%s:%d:%d: %s\n", path, finding->line, finding->column, finding->text);
        size_t length;
        const char *line = find_line(text, count, finding->line, &length);
        if (length > 0)
            format_excerpt(line, length, finding->column, out);
    }
    if (findings->count == SPEC_FINDINGS_MAX)
        buffer_printf(out, "Only the first %d findings are shown.\n", SPEC_FINDINGS_MAX);
}
