/* The names of roles: see member_role.h. */
#include "member_role.h"

#include <string.h>

static const char *const names[ROLE_COUNT] = {
    [ROLE_VIEWER] = "viewer", [ROLE_SCIENTIST] = "scientist", [ROLE_STEWARD] = "steward",
    [ROLE_ADMIN] = "admin",   [ROLE_NODE] = "node",           [ROLE_ENDPOINT] = "endpoint",
};

const char *member_role_name(enum member_role role)
{
    return (unsigned)role < ROLE_COUNT ? names[role] : "unknown";
}

enum code member_role_parse(const char *text, size_t length, enum member_role *out, struct failure *why)
{
    for (int role = 0; role < ROLE_COUNT; role++)
        if (strlen(names[role]) == length && memcmp(names[role], text, length) == 0) {
            *out = (enum member_role)role;
            return CODE_OK;
        }
    return failure_set(why, CODE_INVALID, "\"%.*s\" is no role: there are " MEMBER_ROLES_TEXT,
                       (int)(length < 64 ? length : 64), text);
}
