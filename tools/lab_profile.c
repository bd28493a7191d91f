/* Labs that were joined from this workstation: see lab_profile.h. */
#include "lab_profile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authority.h"
#include "file.h"
#include "key_lines.h"
#include "lab_store.h"
#include "link_key.h"
#include "member_key.h"
#include "scope.h"

#define MAGIC          "cytofs profile 1"
#define PROFILE_FILE   "profile" /* written last: a lab that has it was joined */
#define FILE_BYTES_MAX 16384

/* Addresses -------------------------------------------------------------------------------------------------------- */

bool lab_profile_is_address(const char *text)
{
    const char *at = strchr(text, '@'), *slash = strchr(text, '/');
    return at && at != text && (!slash || at < slash) && !file_exists(text);
}

static bool take_port(const char *text, uint16_t *port)
{
    char *end;
    long number = strtol(text, &end, 10);
    *port = (uint16_t)number;
    return *text >= '0' && *text <= '9' && !*end && number >= 1 && number <= 65534;
}

static bool take_host(const char *text, struct lab_address *out)
{
    const char *colon = strrchr(text, ':'), *end = text + strlen(text);
    out->port = WIRE_PORT;
    if (text[0] == '[') {
        end = strchr(text, ']');
        if (!end || (end[1] && (end[1] != ':' || !take_port(end + 2, &out->port))))
            return false;
        text++;
    } else if (colon && strchr(text, ':') == colon) {
        end = colon;
        if (!take_port(colon + 1, &out->port))
            return false;
    }
    size_t length = (size_t)(end - text);
    if (length == 0 || length > LAB_PROFILE_HOST_MAX || memchr(text, '/', length))
        return false;
    memcpy(out->host, text, length);
    out->host[length] = 0;
    return true;
}

enum code lab_profile_parse_address(const char *text, struct lab_address *out, struct failure *why)
{
    *out = (struct lab_address){0};
    const char *at = strrchr(text, '@');
    size_t length = at ? (size_t)(at - text) : 0;
    if (length <= MEMBER_NAME_MAX && take_host(at ? at + 1 : text, out)) {
        memcpy(out->name, text, length);
        out->name[length] = 0;
        if (!at || member_card_check_name(out->name, NULL) == CODE_OK)
            return CODE_OK;
    }
    return failure_set(why, CODE_INVALID,
                       "\"%s\" is no address of a lab: it is NAME@HOST, NAME@HOST:PORT or NAME@[ADDRESS]:PORT", text);
}

enum code lab_profile_folder(const struct lab_address *address, struct buffer *out, struct failure *why)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    buffer_clear(out);
    if (config && config[0] == '/')
        buffer_printf(out, "%s/cytofs/labs/", config);
    else if (home && *home)
        buffer_printf(out, "%s/.config/cytofs/labs/", home);
    else
        return failure_set(why, CODE_NOT_FOUND, "finding your labs: you have no home folder here (set HOME)");
    buffer_printf(out, "%s@%s:%u", address->name, address->host, address->port);
    return buffer_check(out, "the path of a profile", why);
}

/* Reading ---------------------------------------------------------------------------------------------------------- */

static enum code read_part(const struct lab_profile *profile, const char *name, struct buffer *out, struct failure *why)
{
    SCOPE_FREE char *path = file_join(buffer_text(&profile->folder), name);
    return path ? file_read(path, FILE_BYTES_MAX, out, why)
                : failure_set(why, CODE_NO_MEMORY, "reading a profile: no memory");
}

/* The path of the member's key: the only thing in the file that the folder's name does not tell. */
static enum code parse_profile(const struct buffer *text, struct buffer *key_path, struct failure *why)
{
    struct key_lines lines = {.at = buffer_text(text), .end = buffer_text(text) + text->length};
    struct key_text line;
    if (!key_lines_take(&lines, &line) || !key_lines_skip(&line, MAGIC) || line.count || !key_lines_take(&lines, &line) ||
        !key_lines_skip(&line, "key ") || !line.count || line.count >= PATH_MAX || memchr(line.bytes, 0, line.count))
        return failure_set(why, CODE_CORRUPT, "the profile is damaged in line %u: join anew", lines.line);
    buffer_append(key_path, line.bytes, line.count);
    return buffer_check(key_path, "the path of a key", why);
}

static enum code read_all(struct lab_profile *profile, struct failure *why)
{
    SCOPE_BUFFER text = {0};
    SCOPE_BUFFER key_path = {0};
    SCOPE_BUFFER link_key = {0};
    enum code code = read_part(profile, PROFILE_FILE, &text, why);
    if (code == CODE_OK)
        code = parse_profile(&text, &key_path, why);
    if (code == CODE_OK)
        code = read_part(profile, "link.key", &link_key, why);
    if (code == CODE_OK)
        code = read_part(profile, "certificate", &profile->credentials.certificate, why);
    if (code == CODE_OK)
        code = read_part(profile, "lab.certificate", &profile->credentials.lab_certificate, why);
    if (code == CODE_OK)
        code = lab_store_load_key(buffer_text(&key_path), &profile->member, why);
    if (code == CODE_OK)
        code = link_key_open(profile->member, buffer_text(&link_key), link_key.length, &profile->credentials.key, why);
    return code;
}

enum code lab_profile_open(const char *address, struct lab_profile *out, struct failure *why)
{
    *out = (struct lab_profile){0};
    enum code code = lab_profile_parse_address(address, &out->address, why);
    if (code == CODE_OK && !out->address.name[0])
        return failure_set(why, CODE_INVALID, "\"%s\" lacks your name in that lab: NAME@HOST", address);
    if (code == CODE_OK)
        code = lab_profile_folder(&out->address, &out->folder, why);
    SCOPE_FREE char *saved = code == CODE_OK ? file_join(buffer_text(&out->folder), PROFILE_FILE) : NULL;
    if (code == CODE_OK && (!saved || !file_exists(saved))) /* only keys, where joining failed */
        return failure_set(
            why, CODE_NOT_FOUND,
            "nobody has joined the lab at %s:%u as %s from here: ask an admin for an invitation, then cytofs join",
            out->address.host, out->address.port, out->address.name);
    return code == CODE_OK ? read_all(out, why) : code;
}

void lab_profile_free(struct lab_profile *profile)
{
    member_key_destroy(profile->member);
    authority_free_credentials(&profile->credentials);
    buffer_free(&profile->folder);
    *profile = (struct lab_profile){0};
}

/* Writing ---------------------------------------------------------------------------------------------------------- */

/* Nobody else may read it, from the first byte on. */
static enum code write_private(const char *folder, const char *name, const struct buffer *text, struct failure *why)
{
    SCOPE_FREE char *path = file_join(folder, name);
    if (!path)
        return failure_set(why, CODE_NO_MEMORY, "writing a profile: no memory");
    mode_t before = umask(077);
    enum code code = file_replace(path, buffer_text(text), text->length, why);
    umask(before);
    return code;
}

enum code lab_profile_save(const struct lab_profile *profile, const char *key_path, struct failure *why)
{
    SCOPE_BUFFER text = {0};
    SCOPE_BUFFER link_key = {0};
    const char *folder = buffer_text(&profile->folder);
    buffer_printf(&text, MAGIC "\nkey %s\n", key_path);
    enum code code = strchr(key_path, '\n')
                         ? failure_set(why, CODE_INVALID, "a path with a line break cannot be kept: %s", key_path)
                         : buffer_check(&text, "a profile", why);
    if (code == CODE_OK)
        code = file_make_folders(folder, why);
    if (code == CODE_OK && chmod(folder, 0700) != 0)
        return failure_set_errno(why, errno, "%s", folder);
    if (code == CODE_OK)
        code = link_key_seal(profile->member, &profile->credentials.key, &link_key, why);
    if (code == CODE_OK)
        code = write_private(folder, "link.key", &link_key, why);
    if (code == CODE_OK)
        code = write_private(folder, "certificate", &profile->credentials.certificate, why);
    if (code == CODE_OK)
        code = write_private(folder, "lab.certificate", &profile->credentials.lab_certificate, why);
    return code == CODE_OK ? write_private(folder, PROFILE_FILE, &text, why) : code;
}
