/* Sockets that listen: see wire_listen.h. */
#include "wire_listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "wire_server.h"

enum code wire_listen_network(const char *address, uint16_t port, int *out, uint16_t *bound_port, struct failure *why)
{
    char service[8];
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST};
    struct addrinfo *found;
    snprintf(service, sizeof service, "%u", port == (uint16_t)-1 ? 0 : port ? port : WIRE_PORT);
    int error = getaddrinfo(address, service, &wanted, &found);
    if (error)
        return failure_set(why, CODE_INVALID, "listening at %s: %s (write an address of this machine)", address,
                           gai_strerror(error));
    int again = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *out = fd;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &again, sizeof again);
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    enum code code = CODE_OK;
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, WIRE_HANDSHAKES_MAX) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &size) != 0)
        code = failure_set_errno(why, errno, "listening at %s port %s", address, service);
    else
        *bound_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                        : ((struct sockaddr_in *)&bound)->sin_port);
    freeaddrinfo(found);
    return code;
}

enum code wire_listen_socket(const char *path, mode_t mode, int *out, struct failure *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return failure_set(why, CODE_INVALID, "%s: the path of a socket has at most %zu bytes", path,
                           sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    struct stat there;
    if (lstat(path, &there) == 0 && S_ISSOCK(there.st_mode))
        unlink(path);
    int fd = *out = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        return failure_set_errno(why, errno, "listening at %s", path);
    if (chmod(path, mode) == 0 && listen(fd, WIRE_HANDSHAKES_MAX) == 0)
        return CODE_OK;
    enum code code = failure_set_errno(why, errno, "listening at %s", path);
    unlink(path);
    return code;
}
