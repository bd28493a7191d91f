/* Where key files lie: see key_location.h. */
#include "key_location.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "buffer.h"
#include "file.h"
#include "hex.h"

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static const char *home_folder(void)
{
    const char *home = environment("HOME");
    if (home)
        return home;
    const struct passwd *user = getpwuid(getuid());
    return user && user->pw_dir && *user->pw_dir ? user->pw_dir : NULL;
}

/* The file of that name in the folder of keys, unless another was given. */
static enum code locate(const char *option, const char *name, struct buffer *out, struct failure *why)
{
    const char *given = option && *option ? option : environment("CYTOFS_KEY");
    const char *config = environment("XDG_CONFIG_HOME"), *home = home_folder();
    buffer_clear(out);
    if (given)
        buffer_append_text(out, given);
    else if (config && config[0] == '/') /* a relative one is to be ignored: XDG Base Directory, 0.8 */
        buffer_printf(out, "%s/cytofs/keys/%s.key", config, name);
    else if (home)
        buffer_printf(out, "%s/.config/cytofs/keys/%s.key", home, name);
    else
        return failure_set(why, CODE_NOT_FOUND,
                           "finding your key: you have no home folder here: name the key file with --key or $CYTOFS_KEY");
    return buffer_check(out, "the path of the key file", why);
}

enum code key_location_of_member(const char *option, struct buffer *out, struct failure *why)
{
    return locate(option, "member", out, why);
}

enum code key_location_find(const struct store_id *store, const char *option, struct buffer *out, struct failure *why)
{
    char id[HEX_TEXT_BYTES(IDENTITY_BYTES)];
    hex_encode(store->bytes, IDENTITY_BYTES, id);
    enum code code = locate(option, id, out, why);
    if (code != CODE_OK || file_exists(buffer_text(out)))
        return code;
    code = locate(option, "member", out, why);
    return code == CODE_OK && !file_exists(buffer_text(out)) ? locate(option, id, out, why) : code;
}
