/* The lab's VPN: a record in the home of who serves, since it holds a private key (wireguard.h, FORMAT.md). */
#include <string.h>

#include "people_state.h"
#include "scope.h"
#include "secret.h"
#include "tree.h"
#include "tree_members.h"
#include "tree_record.h"

enum code people_vpn_read(struct people *people, struct failure *why)
{
    SCOPE_BUFFER folder = {0};
    struct buffer text = {0};
    buffer_printf(&folder, "home/%s", tree_member_name(people->tree));
    const struct record_place place = {buffer_text(&folder), RECORD_PREFIX "wireguard"};
    (void)!buffer_reserve(&text, RECORD_BYTES_MAX);
    enum code code = record_get(people->tree, &place, &text, why);
    if (code == CODE_OK)
        code = wireguard_parse(buffer_text(&text), text.length, &people->vpn, why);
    if (text.data)
        secret_wipe(text.data, text.length);
    buffer_free(&text);
    return code;
}

enum code people_vpn_write(struct people *people, struct failure *why)
{
    SCOPE_BUFFER folder = {0};
    struct buffer text = {0};
    buffer_printf(&folder, "home/%s", tree_member_name(people->tree));
    const struct record_place place = {buffer_text(&folder), RECORD_PREFIX "wireguard"};
    (void)!buffer_reserve(&text, RECORD_BYTES_MAX);
    wireguard_print(&people->vpn, &text);
    enum code code = buffer_check(&text, "the lab's VPN", why);
    if (code == CODE_OK)
        code = record_put(people->tree, &place, buffer_text(&text), text.length, why);
    if (text.data)
        secret_wipe(text.data, text.length);
    buffer_free(&text);
    return code;
}

enum code people_describe_wireguard(struct people *people, struct buffer *out, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&people->lock);
    enum code code = people_vpn_read(people, why);
    if (code == CODE_NO_DATA)
        return failure_set(why, CODE_NOT_FOUND, "the lab has no VPN (cytofs member add --wireguard makes one)");
    if (code == CODE_OK)
        wireguard_print_server(&people->vpn, out);
    return code;
}

enum code people_vpn_leave(struct people *people, const char *name, struct failure *why)
{
    SCOPE_UNLOCK pthread_mutex_t *held = scope_lock(&people->lock);
    enum code code = people_vpn_read(people, why);
    if (code == CODE_OK && wireguard_remove(&people->vpn, name))
        return people_vpn_write(people, why);
    return code == CODE_NO_DATA ? CODE_OK : code;
}
