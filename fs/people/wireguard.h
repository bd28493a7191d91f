/* A VPN for the lab's workstations, as configurations for WireGuard (wg-quick(8)): who has which address, and the keys.
 *
 * The server is the first address of a subnet, each member has one of his own and keeps it.  Plain values; no lock, no
 * network.  FORMAT.md.
 */
#ifndef CYTOFS_WIREGUARD_H
#define CYTOFS_WIREGUARD_H

#include "buffer.h"
#include "member_card.h"

#define WIREGUARD_KEY_BYTES    32
#define WIREGUARD_PEERS_MAX    256
#define WIREGUARD_ENDPOINT_MAX 260 /* bytes of HOST:PORT */
#define WIREGUARD_SUBNET       "10.73.31.0/24"
#define WIREGUARD_PORT         51820

struct wireguard_peer {
    char name[MEMBER_NAME_MAX + 1];
    uint32_t host; /* of the subnet, from 2 */
    uint8_t public_key[WIREGUARD_KEY_BYTES];
};

struct wireguard {
    char endpoint[WIREGUARD_ENDPOINT_MAX + 1]; /* HOST:PORT by which workstations reach the server outside of the VPN */
    uint32_t network;                          /* IPv4, host order */
    unsigned prefix;                           /* 16 .. 30 */
    uint8_t private_key[WIREGUARD_KEY_BYTES], public_key[WIREGUARD_KEY_BYTES]; /* the server's */
    size_t count;
    struct wireguard_peer peers[WIREGUARD_PEERS_MAX];
};

/* A new one.  endpoint: HOST or HOST:PORT; subnet: ADDRESS/PREFIX, NULL for the default.  CODE_INVALID. */
MUST_CHECK enum code wireguard_make(const char *endpoint, const char *subnet, struct wireguard *out, struct failure *why);

/* Gives the member a new key, and an address where he has none.  Appends the workstation's configuration.  CODE_TOO_LARGE
 * where the subnet is full. */
MUST_CHECK enum code wireguard_add(struct wireguard *vpn, const char *name, struct buffer *configuration,
                                   struct failure *why);

/* Whether there was one. */
bool wireguard_remove(struct wireguard *vpn, const char *name);

/* The server's configuration, with all members. */
void wireguard_print_server(const struct wireguard *vpn, struct buffer *out);

/* The server's address in the VPN, as text of up to 16 bytes. */
void wireguard_server_address(const struct wireguard *vpn, char text[16]);

/* The record; and from it: CODE_CORRUPT. */
void wireguard_print(const struct wireguard *vpn, struct buffer *out);
MUST_CHECK enum code wireguard_parse(const void *text, size_t count, struct wireguard *out, struct failure *why);

#endif
