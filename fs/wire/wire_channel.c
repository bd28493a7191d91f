/* One connection's bytes: see wire_channel.h.
 *
 * TLS 1.3 alone, without tickets: each connection proves both keys anew, so a certificate that is refused from now on is
 * refused at the next connection.  A workstation takes only a server whose certificate the lab issued under the server's
 * name; names of hosts mean nothing. */
#include "wire_channel.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "certificate_x509.h"
#include "openssl_failure.h"

#define READ_AHEAD_BYTES (64 << 10)
#define CHAIN_MAX        2 /* the holder's certificate and the lab's */

struct wire_context {
    SSL_CTX *tls;
    bool any_server; /* see wire_context_make */
};

struct wire_channel {
    int fd;
    SSL *tls; /* NULL: plain */
    bool any_server;
    bool server;
    struct certificate_holder holder;
};

/* Contexts --------------------------------------------------------------------------------------------------------- */

static enum code use_credentials(SSL_CTX *tls, const struct wire_credentials *credentials, struct failure *why)
{
    EVP_PKEY *key = certificate_read_key(&credentials->key, why);
    X509 *own = key ? certificate_read(&credentials->certificate, why) : NULL;
    X509 *lab = own ? certificate_read(&credentials->lab_certificate, why) : NULL;
    enum code code = CODE_OK;
    if (!lab)
        code = CODE_CORRUPT;
    else if (SSL_CTX_use_certificate(tls, own) != 1 || SSL_CTX_use_PrivateKey(tls, key) != 1 ||
             SSL_CTX_check_private_key(tls) != 1 || SSL_CTX_add1_chain_cert(tls, lab) != 1 ||
             X509_STORE_add_cert(SSL_CTX_get_cert_store(tls), lab) != 1)
        code = openssl_failure_set(why, "the key and the certificate for the link do not belong together");
    X509_free(lab);
    X509_free(own);
    EVP_PKEY_free(key);
    return code;
}

static void set_manners(SSL_CTX *tls)
{
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(tls, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_num_tickets(tls, 0);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(tls, 1);
    SSL_CTX_set_default_read_buffer_len(tls, READ_AHEAD_BYTES);
    SSL_CTX_set_verify_depth(tls, CHAIN_MAX);
}

enum code wire_context_make(const struct wire_credentials *credentials, bool server, struct wire_context **out,
                            struct failure *why)
{
    struct wire_context *context = calloc(1, sizeof *context);
    if (!context)
        return failure_set(why, CODE_NO_MEMORY, "preparing a link: no memory");
    context->any_server = !credentials;
    context->tls = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    enum code code = CODE_OK;
    if (!context->tls || SSL_CTX_set_min_proto_version(context->tls, TLS1_3_VERSION) != 1)
        code = openssl_failure_set(why, "preparing a link");
    else {
        set_manners(context->tls);
        /* Without a certificate one may still ask to join. */
        SSL_CTX_set_verify(context->tls, credentials ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
        if (credentials)
            code = use_credentials(context->tls, credentials, why);
    }
    if (code == CODE_OK)
        *out = context;
    else
        wire_context_destroy(context);
    return code;
}

void wire_context_destroy(struct wire_context *context)
{
    if (!context)
        return;
    SSL_CTX_free(context->tls);
    free(context);
}

/* Channels ------------------------------------------------------------------------------------------------------------ */

enum code wire_channel_open(struct wire_context *context, int fd, bool server, struct wire_channel **out,
                            struct failure *why)
{
    struct wire_channel *channel = calloc(1, sizeof *channel);
    if (!channel) {
        close(fd);
        return failure_set(why, CODE_NO_MEMORY, "opening a connection: no memory");
    }
    *channel = (struct wire_channel){.fd = fd, .server = server, .any_server = context && context->any_server};
    if (context) {
        channel->tls = SSL_new(context->tls);
        if (!channel->tls || SSL_set_fd(channel->tls, fd) != 1) {
            wire_channel_close(channel);
            return openssl_failure_set(why, "opening a connection");
        }
        if (server)
            SSL_set_accept_state(channel->tls);
        else
            SSL_set_connect_state(channel->tls);
    }
    *out = channel;
    return CODE_OK;
}

void wire_channel_close(struct wire_channel *channel)
{
    if (!channel)
        return;
    SSL_free(channel->tls);
    close(channel->fd);
    free(channel);
}

/* What a call of the library that did not succeed means. */
static enum code translate(SSL *tls, int result, enum wire_want *want, const char *doing, struct failure *why)
{
    int saved = errno;
    switch (SSL_get_error(tls, result)) {
    case SSL_ERROR_WANT_READ:
        *want = WIRE_READ;
        return CODE_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        *want = WIRE_WRITE;
        return CODE_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        openssl_failure_forget();
        return failure_set(why, CODE_NO_DATA, "%s: the other side has closed the connection", doing);
    case SSL_ERROR_SYSCALL:
        openssl_failure_forget();
        return failure_set_errno(why, saved ? saved : ECONNRESET, "%s", doing);
    default: {
        int reason = ERR_GET_REASON(ERR_peek_error());
        if (reason == SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED) {
            openssl_failure_forget();
            return failure_set(why, CODE_IO,
                               "this computer's certificate has expired by the other side's clock: if that is right, join "
                               "again with a new invitation");
        }
        if (reason != SSL_R_UNEXPECTED_EOF_WHILE_READING)
            return openssl_failure_set(why, doing);
        openssl_failure_forget();
        return failure_set(why, CODE_NO_DATA, "%s: the other side has closed the connection", doing);
    }
    }
}

/* The library has verified that the lab issued it, or any_server is set. */
static enum code know_peer(struct wire_channel *channel, struct failure *why)
{
    X509 *peer = SSL_get0_peer_certificate(channel->tls);
    if (!peer || channel->any_server)
        return channel->server || channel->any_server
                   ? CODE_OK
                   : failure_set(why, CODE_DENIED, "connecting: the server shows no certificate");
    enum code code = certificate_holder_of(peer, &channel->holder, why);
    bool is_server = code == CODE_OK && strcmp(channel->holder.name, CERTIFICATE_SERVER_NAME) == 0;
    if (code == CODE_OK && is_server == channel->server)
        return failure_set(why, CODE_DENIED, "connecting: the other side's certificate is that of %s",
                           is_server ? "a server" : "a member, not of the lab's server");
    return code;
}

enum code wire_channel_greet(struct wire_channel *channel, enum wire_want *want, struct failure *why)
{
    if (!channel->tls)
        return CODE_OK;
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(channel->tls);
    if (result == 1)
        return know_peer(channel, why);
    long refused = SSL_get_verify_result(channel->tls);
    enum code code = translate(channel->tls, result, want, "greeting the other side", why);
    if (code != CODE_AGAIN && refused != X509_V_OK)
        return certificate_refuse(refused, "the other side's", why);
    return code;
}

const struct certificate_holder *wire_channel_holder(const struct wire_channel *channel)
{
    return &channel->holder;
}

enum code wire_channel_check_root(struct wire_channel *channel, const uint8_t lab_fingerprint[CERTIFICATE_FINGERPRINT_BYTES],
                                  struct failure *why)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(channel->tls);
    for (int i = 0; i < sk_X509_num(chain) && i < CHAIN_MAX; i++) {
        uint8_t fingerprint[CERTIFICATE_FINGERPRINT_BYTES];
        enum code code = certificate_digest(sk_X509_value(chain, i), fingerprint, why);
        if (code != CODE_OK)
            return code;
        if (memcmp(fingerprint, lab_fingerprint, sizeof fingerprint) != 0)
            continue;
        X509 *peer = SSL_get0_peer_certificate(channel->tls);
        code = certificate_verify(peer, sk_X509_value(chain, i), why);
        if (code == CODE_OK)
            code = certificate_holder_of(peer, &channel->holder, why);
        if (code == CODE_OK && strcmp(channel->holder.name, CERTIFICATE_SERVER_NAME) != 0)
            return failure_set(why, CODE_DENIED, "connecting: the other side is not the lab's server");
        return code;
    }
    return failure_set(why, CODE_DENIED,
                       "connecting: the server is not the one of the invitation: its lab has another fingerprint (ask for a "
                       "new invitation, and by another way than this network)");
}

static int bounded(size_t count)
{
    return count > INT_MAX ? INT_MAX : (int)count;
}

static enum code plain_result(ssize_t result, size_t *moved, enum wire_want wanted, enum wire_want *want,
                              struct failure *why)
{
    if (result > 0) {
        *moved = (size_t)result;
        return CODE_OK;
    }
    if (result == 0)
        return failure_set(why, CODE_NO_DATA, "the other side has closed the connection");
    if (errno == EAGAIN || errno == EINTR) {
        *want = wanted;
        return CODE_AGAIN;
    }
    return failure_set_errno(why, errno, "a connection");
}

enum code wire_channel_read(struct wire_channel *channel, void *bytes, size_t count, size_t *moved, enum wire_want *want,
                            struct failure *why)
{
    if (!channel->tls)
        return plain_result(recv(channel->fd, bytes, count, 0), moved, WIRE_READ, want, why);
    ERR_clear_error();
    errno = 0;
    int result = SSL_read(channel->tls, bytes, bounded(count));
    if (result > 0) {
        *moved = (size_t)result;
        return CODE_OK;
    }
    return translate(channel->tls, result, want, "receiving", why);
}

enum code wire_channel_write(struct wire_channel *channel, const void *bytes, size_t count, size_t *moved,
                             enum wire_want *want, struct failure *why)
{
    if (!channel->tls)
        return plain_result(send(channel->fd, bytes, count, MSG_NOSIGNAL), moved, WIRE_WRITE, want, why);
    ERR_clear_error();
    errno = 0;
    int result = SSL_write(channel->tls, bytes, bounded(count));
    if (result > 0) {
        *moved = (size_t)result;
        return CODE_OK;
    }
    return translate(channel->tls, result, want, "sending", why);
}

bool wire_channel_holds(const struct wire_channel *channel)
{
    return channel->tls && SSL_has_pending(channel->tls);
}

int wire_channel_fd(const struct wire_channel *channel)
{
    return channel->fd;
}
