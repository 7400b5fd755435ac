/* SPDX-License-Identifier: MIT */
#include "app/passwd_ask.h"

#include "base/mem.h"
#include "base/refuse.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* What is put back before a signal ends the program. */
static struct termios terminal_before;

static void put_terminal_back(int number)
{
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal_before);
    signal(number, SIG_DFL);
    raise(number);
}

static void switch_echo_off(void)
{
    struct termios quiet;

    tcgetattr(STDIN_FILENO, &terminal_before);
    quiet = terminal_before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    signal(SIGINT, put_terminal_back);
    signal(SIGTERM, put_terminal_back);
    signal(SIGHUP, put_terminal_back);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
}

static void switch_echo_on(void)
{
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal_before);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
}

static bool is_good(const struct asked_password *password, char *error, size_t size)
{
    if (password->len == 0)
        return refuse_with(error, size, "the password is empty");
    if (password->len > PASSWORD_BYTES_MAX)
        return refuse_with(error, size, "the password is longer than %u bytes", PASSWORD_BYTES_MAX);
    if (memchr(password->bytes, '\0', password->len) != NULL)
        return refuse_with(error, size, "there is a zero byte in the password");
    return true;
}

/* Reads up to the end of the line, byte by byte: what follows is not ours. */
static bool read_line(int descriptor, struct asked_password *to, char *error, size_t size)
{
    to->len = 0;
    for (;;) {
        uint8_t byte;
        ssize_t got = read(descriptor, &byte, 1);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return refuse_with(error, size, "the password cannot be read: %s", strerror(errno));
        if (got == 0 || byte == '\n')
            break;
        if (to->len < sizeof(to->bytes))
            to->bytes[to->len++] = byte;
    }
    to->len -= to->len > 0 && to->bytes[to->len - 1] == '\r';
    return is_good(to, error, size);
}

/* The echo is off already when the words are there: what is typed at once is not seen either. */
static bool prompt(struct asked_password *to, const char *words, char *error, size_t size)
{
    bool read;

    fprintf(stderr, "%s: ", words);
    read = read_line(STDIN_FILENO, to, error, size);
    fputc('\n', stderr);
    return read;
}

static bool ask_again(const struct asked_password *first, char *error, size_t size)
{
    struct asked_password again;
    bool same = prompt(&again, "The same again", error, size) &&
                ((again.len == first->len && memcmp(again.bytes, first->bytes, first->len) == 0) ||
                 refuse_with(error, size, "the second password is another one"));

    passwd_forget(&again);
    return same;
}

bool passwd_ask(struct asked_password *to, bool twice, char *error, size_t size)
{
    bool good;

    if (!isatty(STDIN_FILENO))
        return read_line(STDIN_FILENO, to, error, size);
    switch_echo_off();
    good = prompt(to, "Password", error, size) && (!twice || ask_again(to, error, size));
    switch_echo_on();
    return good;
}

bool passwd_read(struct asked_password *to, const char *path, char *error, size_t size)
{
    FILE *file = fopen(path, "re");
    bool read;

    if (file == NULL)
        return refuse_with(error, size, "%s: %s", path, strerror(errno));
    read = read_line(fileno(file), to, error, size);
    fclose(file);
    return read;
}

bool passwd_take(struct asked_password *to, char *word, char *error, size_t size)
{
    size_t len = strlen(word);

    to->len = (uint32_t)(len < sizeof(to->bytes) ? len : sizeof(to->bytes));
    memcpy(to->bytes, word, to->len);
    memset(word, '*', len); /* other programs see it from here on only so */
    return is_good(to, error, size);
}

void passwd_forget(struct asked_password *password)
{
    mem_wipe(password, sizeof(*password));
}
