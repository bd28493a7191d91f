/* WireGuard's configurations: see wireguard.h.  Its keys are X25519's, like a member's, written in base 64 (RFC 4648, 4). */
#include "wireguard.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"
#include "key_lines.h"
#include "member_key.h"
#include "secret.h"

#define MAGIC       "cytofs wireguard 1"
#define BASE64_TEXT 45 /* 32 bytes, with terminator */
#define PREFIX_MIN  16
#define PREFIX_MAX  30
#define SERVER_HOST 1
#define KEEPALIVE_S 25 /* so that address translators on the way remember the workstation */

static void write_base64(const uint8_t key[WIREGUARD_KEY_BYTES], char text[BASE64_TEXT])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to = text;
    for (size_t at = 0; at < WIREGUARD_KEY_BYTES; at += 3) {
        size_t left = WIREGUARD_KEY_BYTES - at;
        uint32_t three =
            (uint32_t)key[at] << 16 | (left > 1 ? (uint32_t)key[at + 1] << 8 : 0) | (left > 2 ? key[at + 2] : 0);
        *to++ = digits[three >> 18];
        *to++ = digits[three >> 12 & 63];
        *to++ = left > 1 ? digits[three >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[three & 63] : '=';
    }
    *to = 0;
}

static void write_address(const struct wireguard *vpn, uint32_t host, char text[16])
{
    const struct in_addr address = {.s_addr = htonl(vpn->network + host)};
    inet_ntop(AF_INET, &address, text, 16);
}

void wireguard_server_address(const struct wireguard *vpn, char text[16])
{
    write_address(vpn, SERVER_HOST, text);
}

static enum code draw(uint8_t private_key[WIREGUARD_KEY_BYTES], uint8_t public_key[WIREGUARD_KEY_BYTES], struct failure *why)
{
    struct member_key *key;
    enum code code = member_key_generate(&key, why);
    if (code != CODE_OK)
        return code;
    memcpy(private_key, member_key_private(key), WIREGUARD_KEY_BYTES);
    memcpy(public_key, member_key_public(key)->key, WIREGUARD_KEY_BYTES);
    member_key_destroy(key);
    return CODE_OK;
}

/* Making ----------------------------------------------------------------------------------------------------------- */

static bool take_subnet(const char *text, struct wireguard *out)
{
    char address[16], *end;
    const char *slash = strchr(text, '/');
    struct in_addr parsed;
    if (!slash || slash - text >= (ptrdiff_t)sizeof address)
        return false;
    memcpy(address, text, (size_t)(slash - text));
    address[slash - text] = 0;
    unsigned long prefix = strtoul(slash + 1, &end, 10);
    if (slash[1] < '0' || slash[1] > '9' || *end || prefix < PREFIX_MIN || prefix > PREFIX_MAX ||
        inet_pton(AF_INET, address, &parsed) != 1)
        return false;
    out->prefix = (unsigned)prefix;
    out->network = ntohl(parsed.s_addr);
    return (out->network & (UINT32_MAX >> prefix)) == 0;
}

/* HOST or HOST:PORT, of letters that cannot begin another line. */
static bool take_endpoint(const char *text, struct wireguard *out)
{
    size_t length = strlen(text);
    const char *colon = strrchr(text, ':');
    bool port =
        colon && strspn(colon + 1, "0123456789") == strlen(colon + 1) && atol(colon + 1) >= 1 && atol(colon + 1) <= 65535;
    if (length == 0 || length > WIREGUARD_ENDPOINT_MAX - 6 || (colon && !port) || colon == text ||
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") != length)
        return false;
    snprintf(out->endpoint, sizeof out->endpoint, port ? "%s" : "%s:%d", text, WIREGUARD_PORT);
    return true;
}

enum code wireguard_make(const char *endpoint, const char *subnet, struct wireguard *out, struct failure *why)
{
    *out = (struct wireguard){0};
    if (!take_endpoint(endpoint, out))
        return failure_set(why, CODE_INVALID, "\"%s\" is not where WireGuard is reached: it is HOST or HOST:PORT", endpoint);
    if (!take_subnet(subnet ? subnet : WIREGUARD_SUBNET, out))
        return failure_set(why, CODE_INVALID,
                           "\"%s\" is not a subnet of IPv4: it is like " WIREGUARD_SUBNET ", with a prefix of %d to %d",
                           subnet, PREFIX_MIN, PREFIX_MAX);
    return draw(out->private_key, out->public_key, why);
}

static struct wireguard_peer *find(struct wireguard *vpn, const char *name)
{
    for (size_t i = 0; i < vpn->count; i++)
        if (strcmp(vpn->peers[i].name, name) == 0)
            return &vpn->peers[i];
    return NULL;
}

static bool is_taken(const struct wireguard *vpn, uint32_t host)
{
    for (size_t i = 0; i < vpn->count; i++)
        if (vpn->peers[i].host == host)
            return true;
    return false;
}

/* With the lowest address that is free; NULL where none is. */
static struct wireguard_peer *add_peer(struct wireguard *vpn, const char *name)
{
    uint32_t host = SERVER_HOST + 1, last = (UINT32_MAX >> vpn->prefix) - 1; /* the last of all is for broadcasts */
    while (is_taken(vpn, host))
        host++;
    if (host > last || vpn->count == WIREGUARD_PEERS_MAX)
        return NULL;
    struct wireguard_peer *peer = &vpn->peers[vpn->count++];
    *peer = (struct wireguard_peer){.host = host};
    strcpy(peer->name, name);
    return peer;
}

static void print_workstation(const struct wireguard *vpn, const struct wireguard_peer *peer, const uint8_t *private_key,
                              struct buffer *out)
{
    char own[16], server[16], key[BASE64_TEXT];
    write_address(vpn, peer->host, own);
    wireguard_server_address(vpn, server);
    write_base64(private_key, key);
    buffer_printf(out, "[Interface]\nAddress = %s/32\nPrivateKey = %s\n\n", own, key);
    secret_wipe(key, sizeof key);
    write_base64(vpn->public_key, key);
    buffer_printf(out, "[Peer]\nPublicKey = %s\nEndpoint = %s\nAllowedIPs = %s/32\nPersistentKeepalive = %d\n", key,
                  vpn->endpoint, server, KEEPALIVE_S);
}

enum code wireguard_add(struct wireguard *vpn, const char *name, struct buffer *configuration, struct failure *why)
{
    uint8_t private_key[WIREGUARD_KEY_BYTES];
    struct wireguard_peer *peer = find(vpn, name);
    enum code code = member_card_check_name(name, why);
    if (code == CODE_OK && !peer)
        peer = add_peer(vpn, name);
    if (code == CODE_OK && !peer)
        return failure_set(why, CODE_TOO_LARGE, "the VPN's subnet has no free address for %s", name);
    if (code == CODE_OK)
        code = draw(private_key, peer->public_key, why);
    if (code != CODE_OK)
        return code;
    print_workstation(vpn, peer, private_key, configuration);
    secret_wipe(private_key, sizeof private_key);
    return buffer_check(configuration, "a configuration for WireGuard", why);
}

bool wireguard_remove(struct wireguard *vpn, const char *name)
{
    struct wireguard_peer *peer = find(vpn, name);
    if (peer)
        *peer = vpn->peers[--vpn->count];
    return peer != NULL;
}

void wireguard_print_server(const struct wireguard *vpn, struct buffer *out)
{
    char address[16], key[BASE64_TEXT];
    wireguard_server_address(vpn, address);
    write_base64(vpn->private_key, key);
    buffer_printf(out, "[Interface]\nAddress = %s/%u\nListenPort = %s\nPrivateKey = %s\n", address, vpn->prefix,
                  strrchr(vpn->endpoint, ':') + 1, key);
    secret_wipe(key, sizeof key);
    for (size_t i = 0; i < vpn->count; i++) {
        write_address(vpn, vpn->peers[i].host, address);
        write_base64(vpn->peers[i].public_key, key);
        buffer_printf(out, "\n[Peer]\n# %s\nPublicKey = %s\nAllowedIPs = %s/32\n", vpn->peers[i].name, key, address);
    }
}

/* The record ------------------------------------------------------------------------------------------------------- */

void wireguard_print(const struct wireguard *vpn, struct buffer *out)
{
    char network[16], key[HEX_TEXT_BYTES(WIREGUARD_KEY_BYTES)], public[HEX_TEXT_BYTES(WIREGUARD_KEY_BYTES)];
    write_address(vpn, 0, network);
    hex_encode(vpn->private_key, WIREGUARD_KEY_BYTES, key);
    hex_encode(vpn->public_key, WIREGUARD_KEY_BYTES, public);
    buffer_printf(out, MAGIC "\nendpoint %s\nsubnet %s/%u\nprivate %s\npublic %s\n", vpn->endpoint, network, vpn->prefix,
                  key, public);
    secret_wipe(key, sizeof key);
    for (size_t i = 0; i < vpn->count; i++) {
        hex_encode(vpn->peers[i].public_key, WIREGUARD_KEY_BYTES, public);
        buffer_printf(out, "peer %s %u %s\n", public, vpn->peers[i].host, vpn->peers[i].name);
    }
}

static bool take_text(struct key_lines *lines, const char *word, char *out, size_t max)
{
    struct key_text line;
    if (!key_lines_take(lines, &line) || !key_lines_skip(&line, word) || line.count > max ||
        memchr(line.bytes, 0, line.count))
        return false;
    memcpy(out, line.bytes, line.count);
    out[line.count] = 0;
    return true;
}

/* "peer", the key, the host's number and the name. */
static bool take_peer(struct key_lines *lines, struct wireguard *out)
{
    char text[2 * WIREGUARD_KEY_BYTES + 16 + MEMBER_NAME_MAX];
    const size_t digits = 2 * (size_t)WIREGUARD_KEY_BYTES;
    struct wireguard_peer peer = {0};
    char *end;
    if (!take_text(lines, "peer ", text, sizeof text - 1) || strlen(text) < digits + 4 || text[digits] != ' ' ||
        !hex_decode(text, digits, peer.public_key, WIREGUARD_KEY_BYTES))
        return false;
    unsigned long host = strtoul(text + digits + 1, &end, 10);
    if (text[digits + 1] < '0' || text[digits + 1] > '9' || *end != ' ' || host <= SERVER_HOST ||
        host >= UINT32_MAX >> out->prefix || is_taken(out, (uint32_t)host) ||
        member_card_check_name(end + 1, NULL) != CODE_OK || find(out, end + 1) || out->count == WIREGUARD_PEERS_MAX)
        return false;
    peer.host = (uint32_t)host;
    strcpy(peer.name, end + 1);
    out->peers[out->count++] = peer;
    return true;
}

enum code wireguard_parse(const void *text, size_t count, struct wireguard *out, struct failure *why)
{
    struct key_lines lines = {.at = text, .end = (const char *)text + count};
    char endpoint[WIREGUARD_ENDPOINT_MAX + 1], subnet[32];
    struct key_text line;
    *out = (struct wireguard){0};
    bool fine = key_lines_take(&lines, &line) && key_lines_skip(&line, MAGIC) && !line.count &&
                take_text(&lines, "endpoint ", endpoint, WIREGUARD_ENDPOINT_MAX) && take_endpoint(endpoint, out) &&
                take_text(&lines, "subnet ", subnet, sizeof subnet - 1) && take_subnet(subnet, out) &&
                key_lines_take_hex(&lines, "private ", out->private_key, WIREGUARD_KEY_BYTES) &&
                key_lines_take_hex(&lines, "public ", out->public_key, WIREGUARD_KEY_BYTES);
    while (fine && lines.at != lines.end)
        fine = take_peer(&lines, out);
    return fine ? CODE_OK : failure_set(why, CODE_CORRUPT, "the lab's VPN is damaged in line %u of its record", lines.line);
}
