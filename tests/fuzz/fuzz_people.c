/* What people hand each other, say when they join, and what a lab keeps of it: the first byte says which parser.  Whoever
 * reaches the port can say a question; the rest a member may have written, or somebody who stands between. */
#include "fuzzing.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "authority.h"
#include "invite.h"
#include "invite_list.h"
#include "joining.h"
#include "wireguard.h"

static struct failure why;

static bool refused(enum code code)
{
    assert(code == CODE_OK || code == CODE_INVALID || code == CODE_CORRUPT || code == CODE_NEWER_FORMAT);
    assert(code == CODE_OK || why.text[0]);
    return code != CODE_OK;
}

static void take_invite(const char *text, size_t count)
{
    struct invite invite;
    char again[INVITE_TEXT_MAX];
    char *word = strndup(text, count);
    if (word && !refused(invite_parse(word, &invite, &why))) {
        struct invite same;
        invite_write(&invite, again);
        assert(invite_parse(again, &same, &why) == CODE_OK && memcmp(same.secret, invite.secret, sizeof same.secret) == 0 &&
               same.expires_s == invite.expires_s && strcmp(same.name, invite.name) == 0);
    }
    free(word);
}

static void take_question(const char *text, size_t count)
{
    SCOPE_BUFFER again = {0};
    struct joining_question question = {0};
    if (!refused(joining_read_question(text, count, &question, &why))) {
        struct joining_question same = {0};
        joining_write_question(&question, &again); /* but for zeros in front of a length */
        assert(again.length <= count && joining_read_question(again.data, again.length, &same, &why) == CODE_OK &&
               strcmp(same.name, question.name) == 0 && same.link_key.length == question.link_key.length);
        buffer_free(&same.link_key);
    }
    buffer_free(&question.link_key);
}

static void take_answer(const char *text, size_t count)
{
    SCOPE_BUFFER again = {0};
    struct joining_answer answer = {0};
    if (!refused(joining_read_answer(text, count, &answer, &why))) {
        joining_write_answer(&answer, &again);
        assert(again.length <= count);
    }
    buffer_free(&answer.certificate);
    buffer_free(&answer.lab_certificate);
}

static void take_list(const char *text, size_t count)
{
    static struct invite_list list;
    SCOPE_BUFFER again = {0};
    if (refused(invite_list_parse(text, count, &list, &why)))
        return;
    assert(list.count <= INVITES_MAX);
    invite_list_print(&list, &again);
    assert(again.length == count && memcmp(buffer_text(&again), text, count) == 0);
}

static void take_wireguard(const char *text, size_t count)
{
    static struct wireguard vpn;
    SCOPE_BUFFER again = {0};
    SCOPE_BUFFER twice = {0};
    if (refused(wireguard_parse(text, count, &vpn, &why)))
        return;
    assert(vpn.count <= WIREGUARD_PEERS_MAX && vpn.prefix >= 16 && vpn.prefix <= 30);
    wireguard_print(&vpn, &again); /* what is written is read as the same */
    assert(wireguard_parse(again.data, again.length, &vpn, &why) == CODE_OK);
    wireguard_print(&vpn, &twice);
    assert(again.length == twice.length && memcmp(again.data, twice.data, again.length) == 0);
}

static void take_authority(const char *text, size_t count)
{
    struct authority authority = {0};
    (void)refused(authority_parse(text, count, &authority, &why));
    authority_free(&authority);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static void (*const parsers[])(const char *, size_t) = {take_invite, take_question,  take_answer,
                                                            take_list,   take_wireguard, take_authority};
    if (count == 0)
        return 0;
    char *text = malloc(count); /* of its own, so that one byte too many is seen */
    if (!text)
        return 0;
    memcpy(text, bytes + 1, count - 1);
    text[count - 1] = 0;
    parsers[bytes[0] % (sizeof parsers / sizeof *parsers)](text, count - 1);
    free(text);
    return 0;
}

#define KEY    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
#define MEMBER "bb000000000000000000000000000000"
#define PEM                                                                                                                 \
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=\n-----END PUBLIC KEY-----\n"

static const char *const seeds[] = {
    "\6"
    "1.1795996800.00112233445566778899aabbccddeeff." KEY ".00000000.bob",
    "\1"
    "cytofs join 1\nname bob\nsecret 00112233445566778899aabbccddeeff\nmember " MEMBER "\npublic " KEY
    "\nlink-key 113\n" PEM,
    "\2"
    "cytofs joined 1\nrole scientist\ncertificate 113\nlab-certificate 113\n" PEM PEM,
    "\3"
    "cytofs invites 1\ninvite " KEY " 1795996800 0 scientist - ada bob\ninvite " KEY " 1795996800 9 admin " MEMBER
    " ada eve\n",
    "\4"
    "cytofs wireguard 1\nendpoint lab.example:51820\nsubnet 10.73.31.0/24\nprivate " KEY "\npublic " KEY "\npeer " KEY
    " 2 bob\n",
    "\5"
    "cytofs authority keys 1\nlab-key 113\n" PEM "server-key 113\n" PEM "server-certificate 113\n" PEM,
};

uint8_t *fuzzing_seed(size_t index, size_t *count)
{
    if (index >= sizeof seeds / sizeof *seeds)
        return NULL;
    *count = strlen(seeds[index]);
    return (uint8_t *)strdup(seeds[index]);
}
