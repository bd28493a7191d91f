/* Class names beside YOLO labels.  data.yaml is read line by line for its "names:" alone, in the three ways
 * in which tools write it; this is no YAML reader, and does not need to be one:
 *
 *     names: [RBC, 'WBC', "Platelets"]     names:          names:
 *                                            - RBC           0: RBC
 *                                            - WBC           1: WBC
 */
#include "yolo_names.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buffer.h"
#include "file.h"
#include "scope.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)

/* Without blanks, quotes and a comment behind it; changes the text. */
static char *strip(char *text)
{
    text += strspn(text, " \t");
    char *end;
    if (*text == '"' || *text == '\'') {
        end = strchr(text + 1, *text);
        text++;
    } else {
        end = strstr(text, " #");
    }
    if (end)
        *end = 0;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = 0;
    return text;
}

static enum code set_name(struct yolo_names *names, long number, char *name, struct failure *why)
{
    if (number < 0 || number >= DATASET_CLASSES_MAX)
        return failure_set(why, CODE_TOO_LARGE, "%s: class number %ld; numbers go from 0 to %d", names->path, number,
                           DATASET_CLASSES_MAX - 1);
    name = strip(name);
    if (!*name)
        return CODE_OK;
    free(names->names[number]);
    if (!(names->names[number] = strdup(name)))
        return failure_set(why, CODE_NO_MEMORY, "%s: out of memory", names->path);
    if (number >= names->count)
        names->count = (int32_t)number + 1;
    return CODE_OK;
}

enum code yolo_names_from_lines(char *text, struct yolo_names *out, struct failure *why)
{
    char *line;
    enum code code = CODE_OK;
    while (code == CODE_OK && text && (line = strsep(&text, "\n"))) {
        line[strcspn(line, "\r")] = 0;
        if (*strip(line))
            code = set_name(out, out->count, line, why);
    }
    return code;
}

static enum code read_bracketed(char *text, struct yolo_names *out, struct failure *why)
{
    char *end = strchr(text, ']'), *name;
    if (end)
        *end = 0;
    enum code code = CODE_OK;
    for (long number = 0; code == CODE_OK && text && (name = strsep(&text, ",")); number++) {
        name += strspn(name, " \t\r\n");
        code = set_name(out, number, name, why);
    }
    return code;
}

enum code yolo_names_from_yaml(char *text, struct yolo_names *out, struct failure *why)
{
    char *rest = text, *line = NULL;
    while (rest && strncmp(rest, "names:", 6) != 0) {
        rest = strchr(rest, '\n');
        rest = rest ? rest + 1 : NULL;
    }
    if (!rest)
        return CODE_OK;
    rest += strlen("names:");
    rest += strspn(rest, " \t");
    if (*rest == '[')
        return read_bracketed(rest + 1, out, why);
    strsep(&rest, "\n");
    enum code code = CODE_OK;
    for (long next = 0; code == CODE_OK && rest && (line = strsep(&rest, "\n"));) {
        bool indented = isspace((unsigned char)*line);
        line[strcspn(line, "\r")] = 0;
        line += strspn(line, " \t");
        char *end;
        long number = strtol(line, &end, 10);
        if (*line == 0 || *line == '#')
            continue;
        if (line[0] == '-' && line[1] == ' ')
            code = set_name(out, next++, line + 2, why);
        else if (indented && end != line && *end == ':')
            code = set_name(out, number, end + 1, why);
        else
            break;
    }
    return code;
}

static bool is_line_list(const char *path)
{
    return strcmp(file_base_name(path), "classes.txt") == 0 || strcmp(file_extension(path), "names") == 0;
}

static bool is_yaml(const char *path)
{
    return strcasecmp(file_extension(path), "yaml") == 0 || strcasecmp(file_extension(path), "yml") == 0;
}

enum code yolo_names_read(const struct scan *scan, struct yolo_names *out, struct failure *why)
{
    *out = (struct yolo_names){.path = ""};
    for (int yaml = 0; yaml < 2; yaml++)
        for (size_t i = 0; i < scan->count && out->count == 0; i++) {
            if (yaml ? !is_yaml(scan->paths[i]) : !is_line_list(scan->paths[i]))
                continue;
            SCOPE_FREE char *full = file_join(scan->folder, scan->paths[i]);
            SCOPE_BUFFER text = {0};
            if (!full || file_read(full, FILE_BYTES_MAX, &text, NULL) != CODE_OK || text.length == 0)
                continue;
            out->path = scan->paths[i];
            enum code code = yaml ? yolo_names_from_yaml(text.data, out, why) : yolo_names_from_lines(text.data, out, why);
            if (code != CODE_OK) {
                yolo_names_free(out);
                return code;
            }
        }
    return CODE_OK;
}

void yolo_names_free(struct yolo_names *names)
{
    for (int i = 0; i < DATASET_CLASSES_MAX; i++)
        free(names->names[i]);
    *names = (struct yolo_names){.path = ""};
}
