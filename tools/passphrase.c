/* Passphrases from the terminal: see passphrase.h.  The terminal's echo is off while a line is read, and on again on every
 * path; /dev/tty is used, so that standard input may be anything. */
#include "passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "scope.h"

static enum code read_line(int terminal, char text[PASSPHRASE_BYTES_MAX], struct failure *why)
{
    size_t length = 0;
    for (;;) {
        char byte;
        ssize_t got = read(terminal, &byte, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return failure_set(why, CODE_INTERRUPTED, "the passphrase: the terminal was closed");
        if (byte == '\n')
            break;
        if (length + 1 == PASSPHRASE_BYTES_MAX)
            return failure_set(why, CODE_INVALID, "the passphrase: longer than %d bytes", PASSPHRASE_BYTES_MAX - 1);
        text[length++] = byte;
    }
    text[length] = 0;
    return length ? CODE_OK : failure_set(why, CODE_INVALID, "the passphrase: it is empty");
}

static enum code ask_once(int terminal, const char *prompt, char text[PASSPHRASE_BYTES_MAX], struct failure *why)
{
    struct termios before, silent;
    if (tcgetattr(terminal, &before) != 0)
        return failure_set_errno(why, errno, "the passphrase: the terminal cannot be set");
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(terminal, TCSAFLUSH, &silent);
    if (write(terminal, prompt, strlen(prompt)) < 0 || write(terminal, ": ", 2) < 0)
        errno = 0;
    enum code code = read_line(terminal, text, why);
    tcsetattr(terminal, TCSAFLUSH, &before);
    if (write(terminal, "\n", 1) < 0)
        errno = 0;
    return code;
}

enum code passphrase_read_terminal(const char *prompt, char text[PASSPHRASE_BYTES_MAX], struct failure *why)
{
    SCOPE_CLOSE int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (terminal < 0)
        return failure_set(why, CODE_NOT_FOUND, "there is no terminal to ask on for the %s", prompt);
    return ask_once(terminal, prompt, text, why);
}

/* From the variable; CODE_NOT_FOUND where it is not set. */
static enum code take_variable(const char *variable, char text[PASSPHRASE_BYTES_MAX], struct failure *why)
{
    const char *given = getenv(variable);
    if (!given || !given[0])
        return CODE_NOT_FOUND;
    if (strlen(given) >= PASSPHRASE_BYTES_MAX)
        return failure_set(why, CODE_INVALID, "%s: longer than %d bytes", variable, PASSPHRASE_BYTES_MAX - 1);
    strcpy(text, given);
    return CODE_OK;
}

static enum code ask(const char *variable, const char *prompt, bool twice, char text[PASSPHRASE_BYTES_MAX],
                     struct failure *why)
{
    enum code code = take_variable(variable, text, why);
    if (code != CODE_NOT_FOUND)
        return code;
    SCOPE_CLOSE int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (terminal < 0)
        return failure_set(why, CODE_NOT_FOUND, "a passphrase is needed, and there is no terminal to ask on (set %s)",
                           variable);
    code = ask_once(terminal, prompt, text, why);
    if (code != CODE_OK || !twice)
        return code;
    char again[PASSPHRASE_BYTES_MAX];
    code = ask_once(terminal, "once more", again, why);
    if (code == CODE_OK && strcmp(text, again) != 0)
        code = failure_set(why, CODE_INVALID, "the passphrase: the two are not the same");
    passphrase_wipe(again);
    return code;
}

enum code passphrase_ask(const char *prompt, bool twice, char text[PASSPHRASE_BYTES_MAX], struct failure *why)
{
    return ask("CYTOFS_PASSPHRASE", prompt, twice, text, why);
}

enum code passphrase_ask_new(char text[PASSPHRASE_BYTES_MAX], struct failure *why)
{
    return ask("CYTOFS_NEW_PASSPHRASE", "new passphrase", true, text, why);
}

void passphrase_wipe(char text[PASSPHRASE_BYTES_MAX])
{
    explicit_bzero(text, PASSPHRASE_BYTES_MAX);
}
