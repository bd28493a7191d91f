/* From libfyaml's events to a tree.
 *
 * The text is looked at before libfyaml sees it (size, UTF-8, control characters), then read event by event
 * onto a stack of open maps and lists.  Nodes and texts live in two slabs that are allocated once:
 *
 *  1. nodes[0 .. node_count) are in use, node_count <= SPEC_TREE_NODES_MAX; pointers to them stay good.
 *  2. texts[0 .. text_length) are in use; the slab is large enough for any text (see TEXT_GROWTH).
 *  3. The stack never holds more than SPEC_TREE_DEPTH_MAX open nodes.
 *
 * Pure; any thread.
 */
#include "spec_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libfyaml.h>

#include "spec_findings.h"

/* One escape of two characters in double quotes ("\L") stands for three bytes of UTF-8. */
#define TEXT_GROWTH 3

struct spec_tree {
    struct spec_node *nodes; /* (SPEC_TREE_NODES_MAX) */
    size_t node_count;
    char *texts;
    size_t text_length, text_capacity;
    struct spec_node *root;
    bool complete;
};

struct pending_key {
    const char *text; /* NULL: none read yet */
    int line, column;
};

struct reading {
    struct spec_tree *tree;
    struct spec_findings *findings;
    struct spec_node *open[SPEC_TREE_DEPTH_MAX];
    struct pending_key keys[SPEC_TREE_DEPTH_MAX]; /* of open[i], where that is a map */
    size_t depth;
    int documents;
};

static struct spec_tree *tree_create(size_t count)
{
    struct spec_tree *tree = calloc(1, sizeof *tree);
    if (!tree)
        return NULL;
    tree->text_capacity = TEXT_GROWTH * count + 2 * SPEC_TREE_NODES_MAX;
    tree->nodes = calloc(SPEC_TREE_NODES_MAX, sizeof *tree->nodes);
    tree->texts = malloc(tree->text_capacity);
    if (tree->nodes && tree->texts)
        return tree;
    spec_tree_destroy(tree);
    return NULL;
}

void spec_tree_destroy(struct spec_tree *tree)
{
    if (!tree)
        return;
    free(tree->nodes);
    free(tree->texts);
    free(tree);
}

const struct spec_node *spec_tree_root(const struct spec_tree *tree)
{
    return tree->root;
}

bool spec_tree_complete(const struct spec_tree *tree)
{
    return tree->complete;
}

const struct spec_node *spec_tree_entry(const struct spec_node *map, const char *key)
{
    if (!map || map->kind != SPEC_NODE_MAP)
        return NULL;
    for (const struct spec_node *node = map->first; node; node = node->next)
        if (!strcmp(node->key, key))
            return node;
    return NULL;
}

/* The bytes of the UTF-8 character at `at`, 1 to 4; 0 where there is none (RFC 3629, table 3-7 of Unicode).
 */
static size_t utf8_length(const unsigned char *at, size_t left)
{
    if (at[0] < 0x80)
        return 1;
    size_t length = at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : 2;
    if (at[0] < 0xC2 || at[0] > 0xF4 || left < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    bool overlong = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xF0 && at[1] < 0x90);
    bool outside = (at[0] == 0xED && at[1] > 0x9F) || (at[0] == 0xF4 && at[1] > 0x8F);
    return overlong || outside ? 0 : length;
}

/* Whether the text is one that libfyaml should see. */
static bool is_readable(const char *text, size_t count, struct spec_findings *findings)
{
    if (count > SPEC_BYTES_MAX) {
        spec_findings_add(findings, 1, 1, "the spec has %zu bytes; at most %d are allowed", count, SPEC_BYTES_MAX);
        return false;
    }
    int line = 1, column = 1;
    for (size_t i = 0; i < count;) {
        unsigned char byte = (unsigned char)text[i];
        size_t length = utf8_length((const unsigned char *)text + i, count - i);
        bool allowed = byte >= 0x20 ? byte != 0x7F : byte == '\t' || byte == '\n' || byte == '\r';
        if (length == 0 || !allowed) {
            spec_findings_add(findings, line, column, "the byte 0x%02X is not text (save the file as UTF-8)", byte);
            return false;
        }
        column = byte == '\n' ? 1 : column + 1;
        line += byte == '\n';
        i += length;
    }
    return true;
}

static const char *keep_text(struct spec_tree *tree, const char *text, size_t count)
{
    if (tree->text_capacity - tree->text_length <= count)
        return NULL;
    char *kept = tree->texts + tree->text_length;
    if (count > 0)
        memcpy(kept, text, count);
    kept[count] = 0;
    tree->text_length += count + 1;
    return kept;
}

/* Links the node into the innermost open node, as the value of the pending key in a map. */
static void attach(struct reading *reading, struct spec_node *node)
{
    if (reading->depth == 0) {
        reading->tree->root = node;
        return;
    }
    struct spec_node *parent = reading->open[reading->depth - 1];
    struct pending_key *key = &reading->keys[reading->depth - 1];
    if (parent->kind == SPEC_NODE_MAP) {
        const struct spec_node *twin = spec_tree_entry(parent, key->text);
        node->key = key->text;
        node->key_line = key->line;
        node->key_column = key->column;
        key->text = NULL;
        if (twin) {
            spec_findings_add(reading->findings, node->key_line, node->key_column,
                              "\"%s\" is given twice (the first is on line %d)", node->key, twin->key_line);
            return;
        }
    }
    if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
}

static struct spec_node *make_node(struct reading *reading, enum spec_node_kind kind, int line, int column)
{
    struct spec_tree *tree = reading->tree;
    if (tree->node_count == SPEC_TREE_NODES_MAX) {
        spec_findings_add(reading->findings, line, column, "the spec holds more than %d values", SPEC_TREE_NODES_MAX);
        return NULL;
    }
    struct spec_node *node = &tree->nodes[tree->node_count++];
    *node = (struct spec_node){.kind = kind, .line = line, .column = column, .text = ""};
    return node;
}

/* Where a token starts; `before` is 1 where libfyaml's mark stands behind the token's first sign (&, *, a
 * quote). */
static void locate_token(struct fy_token *token, int before, int *line, int *column)
{
    const struct fy_mark *mark = fy_token_start_mark(token);
    if (mark) {
        *line = mark->line + 1;
        *column = mark->column + 1 - before;
    }
}

/* Says that YAML's way of repeating and typing values is not for specs.  Returns whether there was such a
 * thing. */
static bool refuse_marks(struct reading *reading, struct fy_token *anchor, struct fy_token *tag)
{
    int line = 1, column = 1;
    if (anchor) {
        locate_token(anchor, 1, &line, &column);
        spec_findings_add(reading->findings, line, column,
                          "anchors (&name) are not allowed in a spec: write the value where it is needed");
    }
    if (tag) {
        locate_token(tag, 0, &line, &column);
        spec_findings_add(reading->findings, line, column, "tags (!name) are not allowed in a spec: remove it");
    }
    return anchor || tag;
}

static bool expects_key(const struct reading *reading)
{
    return reading->depth > 0 && reading->open[reading->depth - 1]->kind == SPEC_NODE_MAP &&
           !reading->keys[reading->depth - 1].text;
}

static bool read_scalar(struct reading *reading, struct fy_event *event, int line, int column)
{
    size_t length = 0;
    const char *text = event->scalar.value ? fy_token_get_text(event->scalar.value, &length) : NULL;
    enum fy_scalar_style style = event->scalar.value ? fy_token_scalar_style(event->scalar.value) : FYSS_PLAIN;
    if (style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED)
        locate_token(event->scalar.value, 1, &line, &column);
    if (text && memchr(text, 0, length)) {
        spec_findings_add(reading->findings, line, column, "a text must not hold the character \\0");
        return false;
    }
    const char *kept = keep_text(reading->tree, text ? text : "", text ? length : 0);
    if (!kept)
        return false;
    bool refused = refuse_marks(reading, event->scalar.anchor, event->scalar.tag);
    if (expects_key(reading)) {
        reading->keys[reading->depth - 1] = (struct pending_key){kept, line, column};
        return true;
    }
    struct spec_node *node = make_node(reading, SPEC_NODE_TEXT, line, column);
    if (!node)
        return false;
    node->text = kept;
    node->plain = style == FYSS_PLAIN;
    node->refused = refused;
    attach(reading, node);
    return true;
}

static bool read_alias(struct reading *reading, int line, int column)
{
    spec_findings_add(reading->findings, line, column,
                      "aliases (*name) are not allowed in a spec: write the value where it is needed");
    if (expects_key(reading))
        return false;
    struct spec_node *node = make_node(reading, SPEC_NODE_TEXT, line, column);
    if (!node)
        return false;
    node->refused = true;
    attach(reading, node);
    return true;
}

static bool read_start(struct reading *reading, enum spec_node_kind kind, struct fy_event *event, int line, int column)
{
    if (expects_key(reading)) {
        spec_findings_add(reading->findings, line, column, "a key must be one word, not a list or a map");
        return false;
    }
    if (reading->depth == SPEC_TREE_DEPTH_MAX) {
        spec_findings_add(reading->findings, line, column, "the spec is nested more than %d levels deep",
                          SPEC_TREE_DEPTH_MAX);
        return false;
    }
    struct spec_node *node = make_node(reading, kind, line, column);
    if (!node)
        return false;
    node->refused = kind == SPEC_NODE_MAP ? refuse_marks(reading, event->mapping_start.anchor, event->mapping_start.tag)
                                          : refuse_marks(reading, event->sequence_start.anchor, event->sequence_start.tag);
    attach(reading, node);
    reading->keys[reading->depth] = (struct pending_key){NULL, 0, 0};
    reading->open[reading->depth++] = node;
    return true;
}

/* Returns whether to go on. */
static bool read_event(struct reading *reading, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    int line = mark ? mark->line + 1 : 1, column = mark ? mark->column + 1 : 1;
    switch (event->type) {
    case FYET_DOCUMENT_START:
        if (++reading->documents == 1)
            return true;
        spec_findings_add(reading->findings, line, column, "a second document begins here: one file holds one spec");
        return false;
    case FYET_SCALAR:
        return read_scalar(reading, event, line, column);
    case FYET_ALIAS:
        locate_token(event->alias.anchor, 1, &line, &column);
        return read_alias(reading, line, column);
    case FYET_MAPPING_START:
        return read_start(reading, SPEC_NODE_MAP, event, line, column);
    case FYET_SEQUENCE_START:
        return read_start(reading, SPEC_NODE_LIST, event, line, column);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        reading->depth--;
        return true;
    default:
        return true;
    }
}

/* A tab in the indentation at or next to the broken line: libfyaml's words for it ("invalid multiline plain
 * key") would help nobody. */
static bool find_tab(const char *text, size_t count, int broken_line, int *line, int *column)
{
    int number = 1;
    for (size_t i = 0; i < count; number++) {
        size_t start = i;
        while (i < count && text[i] == ' ')
            i++;
        if (i < count && text[i] == '\t' && number >= broken_line - 1 && number <= broken_line + 1) {
            *line = number;
            *column = (int)(i - start) + 1;
            return true;
        }
        const char *stop = memchr(text + i, '\n', count - i);
        i = stop ? (size_t)(stop - text) + 1 : count;
    }
    return false;
}

static void add_syntax_finding(struct spec_findings *findings, const char *text, size_t count, int line, int column,
                               const char *message)
{
    int lines = 1;
    for (size_t i = 0; i + 1 < count; i++)
        lines += text[i] == '\n';
    int tab_line, tab_column;
    if (find_tab(text, count, line, &tab_line, &tab_column))
        spec_findings_add(findings, tab_line, tab_column, "the line is indented with a tab: use spaces");
    else if (line > lines)
        spec_findings_add(findings, lines, 1, "not valid YAML: %s at the end of the file", message);
    else
        spec_findings_add(findings, line, column, "not valid YAML: %s", message);
}

/* Feeds the events of the text to *reading.  False where something stopped it; then a finding says what. */
static bool read_events(struct reading *reading, struct fy_parser *parser, struct fy_diag *diagnostics, const char *text,
                        size_t count)
{
    if (fy_parser_set_string(parser, text, count) != 0)
        return false;
    bool going = true;
    for (struct fy_event *event; going && (event = fy_parser_parse(parser)) != NULL;) {
        going = read_event(reading, event);
        fy_parser_event_free(parser, event);
    }
    if (!going || !fy_parser_get_stream_error(parser))
        return going;
    void *iterator = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(diagnostics, &iterator);
    add_syntax_finding(reading->findings, text, count, error ? error->line : 1, error ? error->column : 1,
                       error && error->msg ? error->msg : "the text cannot be read");
    return false;
}

enum code spec_tree_read(const char *text, size_t count, struct spec_tree **out, struct spec_findings *findings,
                         struct failure *why)
{
    *out = NULL;
    struct spec_tree *tree = tree_create(count <= SPEC_BYTES_MAX ? count : 0);
    struct fy_diag_cfg diagnostics_options;
    fy_diag_cfg_default(&diagnostics_options);
    diagnostics_options.fp = NULL;
    struct fy_diag *diagnostics = fy_diag_create(&diagnostics_options);
    struct fy_parse_cfg options = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_JSON_NONE | FYPCF_DEFAULT_VERSION_1_2,
                                   .diag = diagnostics};
    struct fy_parser *parser = diagnostics ? fy_parser_create(&options) : NULL;
    if (tree && parser) {
        fy_diag_set_collect_errors(diagnostics, true);
        struct reading reading = {.tree = tree, .findings = findings};
        tree->complete = is_readable(text, count, findings) && read_events(&reading, parser, diagnostics, text, count);
        *out = tree;
    } else {
        spec_tree_destroy(tree);
    }
    fy_parser_destroy(parser);
    fy_diag_destroy(diagnostics);
    return *out ? CODE_OK : failure_set(why, CODE_NO_MEMORY, "reading a spec: not enough memory");
}
