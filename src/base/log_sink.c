/* SPDX-License-Identifier: MIT
 *
 * log_sink - how a line looks, and the four places it can go to. One thread at a time (log.c holds
 * the lock), and none of the message path: a console or a disk that stalls holds up the control
 * thread only.
 *
 * syslog and journald are spoken to directly, one datagram a line (RFC 3164; systemd's native
 * protocol): their libraries would block, allocate, and link more than this needs.
 */
#include "base/file_replace.h"
#include "base/log_priv.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES (6 * LOG_LINE_MAX + 256) /* each byte may become \u00XX */
#define PATH_MAX_BYTES 1400

static const struct {
    const char *name, *json;
    int severity; /* RFC 3164 */
} levels[LOG_LEVEL_COUNT] = {
    [LOG_LEVEL_FATAL] = {"FATAL", "fatal", 2}, [LOG_LEVEL_ERROR] = {"ERROR", "error", 3},
    [LOG_LEVEL_WARN] = {"WARN", "warn", 4},    [LOG_LEVEL_INFO] = {"INFO", "info", 6},
    [LOG_LEVEL_DEBUG] = {"DEBUG", "debug", 7}, [LOG_LEVEL_TRACE] = {"TRACE", "trace", 7},
};

/* Descriptors are -1 while closed. */
struct sinks {
    unsigned to;
    bool json;
    int file, syslog, journald;
    bool file_failed;   /* told on the console once, until it works again */
    bool rotate_failed; /* told once; the file then grows */
    uint64_t file_size, rotation_size;
    uint32_t rotation_count;
    char path[PATH_MAX_BYTES];
    char syslog_socket[108], journald_socket[108];
};

static struct sinks sinks = {.to = LOG_TO_CONSOLE, .file = -1, .syslog = -1, .journald = -1};

/* Appends; `used` never passes size - 1. */
static size_t append(char *to, size_t size, size_t used, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static size_t append(char *to, size_t size, size_t used, const char *format, ...)
{
    va_list arguments;
    int len;

    va_start(arguments, format);
    len = vsnprintf(to + used, size - used, format, arguments);
    va_end(arguments);
    if (len < 0)
        return used;
    return used + (size_t)len < size ? used + (size_t)len : size - 1;
}

static void split_time(const struct log_record *record, bool utc, struct tm *parts, unsigned *ms)
{
    time_t seconds = (time_t)(record->wall_ns / 1000000000u);

    *ms = (unsigned)(record->wall_ns / 1000000u % 1000u);
    if (utc)
        gmtime_r(&seconds, parts);
    else
        localtime_r(&seconds, parts);
}

static size_t append_suppressed(char *to, size_t size, size_t used, const struct log_record *record)
{
    if (record->suppressed == 0)
        return used;
    return append(to, size, used, " (%u lines suppressed)", (unsigned)record->suppressed);
}

static size_t text_line(char *to, size_t size, const struct log_record *record)
{
    struct tm parts;
    unsigned ms;
    size_t used;

    split_time(record, false, &parts, &ms);
    used =
        append(to, size, 0, "%04d-%02d-%02d %02d:%02d:%02d.%03u [%s] %-5s %s", parts.tm_year + 1900,
               parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, ms,
               record->thread, levels[record->level].name, record->text);
    used = append_suppressed(to, size, used, record);
    return append(to, size, used, "\n");
}

/* The text is well-formed UTF-8 as far as log_escape() made it; anything else becomes U+FFFD byte
 * by byte. */
static size_t append_json_text(char *to, size_t size, size_t used, const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        uint8_t lead = (uint8_t)text[at];
        size_t taken = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

        if (lead == '"' || lead == '\\') {
            used = append(to, size, used, "\\%c", lead);
        } else if (lead < 0x20) {
            used = append(to, size, used, "\\u%04x", lead);
        } else if (at + taken <= len && utf8_valid((const uint8_t *)text + at, taken)) {
            used = append(to, size, used, "%.*s", (int)taken, text + at);
        } else {
            used = append(to, size, used, "\\ufffd");
            taken = 1;
        }
        at += taken;
    }
    return used;
}

static size_t json_line(char *to, size_t size, const struct log_record *record)
{
    struct tm parts;
    unsigned ms;
    size_t used;

    split_time(record, true, &parts, &ms);
    used =
        append(to, size, 0,
               "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03uZ\",\"level\":\"%s\",\"thread\":\"",
               parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
               parts.tm_sec, ms, levels[record->level].json);
    used = append_json_text(to, size, used, record->thread, strlen(record->thread));
    used = append(to, size, used, "\",\"message\":\"");
    used = append_json_text(to, size, used, record->text, record->len);
    used = append(to, size, used, "\"");
    if (record->suppressed != 0)
        used = append(to, size, used, ",\"suppressed\":%u", (unsigned)record->suppressed);
    return append(to, size, used, "}\n");
}

static size_t syslog_line(char *to, size_t size, const struct log_record *record)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const int daemon_facility = 3 << 3;
    struct tm parts;
    unsigned ms;
    size_t used;

    split_time(record, false, &parts, &ms);
    used = append(to, size, 0, "<%d>%.3s %2d %02d:%02d:%02d shardmq[%ld]: [%s] %s",
                  daemon_facility | levels[record->level].severity, months + 3 * parts.tm_mon,
                  parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, (long)getpid(),
                  record->thread, record->text);
    return append_suppressed(to, size, used, record);
}

static size_t journald_fields(char *to, size_t size, const struct log_record *record)
{
    size_t used =
        append(to, size, 0, "PRIORITY=%d\nSYSLOG_IDENTIFIER=shardmq\nSHARDMQ_THREAD=%s\nMESSAGE=%s",
               levels[record->level].severity, record->thread, record->text);

    used = append_suppressed(to, size, used, record);
    return append(to, size, used, "\n");
}

/* O_NOFOLLOW: a link that somebody else put there must not direct the log of a broker that root
 * started. */
static int open_file(const char *path, uint64_t *size_now)
{
    int descriptor =
        open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
    struct stat status;

    if (descriptor < 0)
        return -1;
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(descriptor);
        errno = EINVAL;
        return -1;
    }
    *size_now = (uint64_t)status.st_size;
    return descriptor;
}

static int open_datagram(const char *path)
{
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (descriptor >= 0 &&
        connect(descriptor, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        int saved = errno;

        close(descriptor);
        errno = saved;
        return -1;
    }
    return descriptor;
}

/* Sends one datagram; when the service was restarted meanwhile, connects again. A service that does
 * not keep up loses lines, as with any logger that does not block. */
static void send_datagram(int *descriptor, const char *path, const char *bytes, size_t len)
{
    if (*descriptor >= 0 && send(*descriptor, bytes, len, MSG_NOSIGNAL) >= 0)
        return;
    if (*descriptor >= 0 && (errno == EAGAIN || errno == EMSGSIZE))
        return;
    if (*descriptor >= 0)
        close(*descriptor);
    *descriptor = open_datagram(path);
    if (*descriptor >= 0)
        (void)!send(*descriptor, bytes, len, MSG_NOSIGNAL);
}

static void tell_console(const char *what, int error_number)
{
    char line[PATH_MAX_BYTES + 200];
    size_t len = append(line, sizeof(line), 0, "shardmq: log file %s: %s: %s\n", sinks.path, what,
                        strerror(error_number));

    (void)file_write_all(STDERR_FILENO, line, len);
}

/* <file>.n-1 becomes <file>.n, from the oldest on, and <file> becomes <file>.1. */
static void rotate(void)
{
    char from[PATH_MAX_BYTES + 16], to[PATH_MAX_BYTES + 16];

    close(sinks.file);
    sinks.file = -1;
    for (uint32_t n = sinks.rotation_count; n > 0; n--) {
        if (n > 1)
            snprintf(from, sizeof(from), "%s.%u", sinks.path, (unsigned)(n - 1));
        else
            snprintf(from, sizeof(from), "%s", sinks.path);
        snprintf(to, sizeof(to), "%s.%u", sinks.path, (unsigned)n);
        if (rename(from, to) != 0 && errno != ENOENT) {
            tell_console("it cannot be renamed and grows", errno);
            sinks.rotate_failed = true;
        }
    }
    if (sinks.rotation_count == 0)
        unlink(sinks.path);
    log_sinks_reopen();
}

static void write_file(const char *line, size_t len)
{
    if (sinks.file >= 0 && sinks.file_size > 0 && !sinks.rotate_failed &&
        sinks.file_size + len > sinks.rotation_size)
        rotate();
    if (sinks.file < 0)
        log_sinks_reopen();
    if (sinks.file >= 0 && file_write_all(sinks.file, line, len)) {
        sinks.file_size += len;
        sinks.file_failed = false;
        return;
    }
    if (!sinks.file_failed)
        tell_console("lines are lost", errno);
    sinks.file_failed = true;
}

void log_sinks_write(const struct log_record *record)
{
    char line[LINE_MAX_BYTES];
    size_t len;

    if (sinks.to & (LOG_TO_CONSOLE | LOG_TO_FILE)) {
        len = sinks.json ? json_line(line, sizeof(line), record)
                         : text_line(line, sizeof(line), record);
        if (sinks.to & LOG_TO_CONSOLE)
            (void)file_write_all(STDERR_FILENO, line, len);
        if (sinks.to & LOG_TO_FILE)
            write_file(line, len);
    }
    if (sinks.to & LOG_TO_SYSLOG) {
        len = syslog_line(line, sizeof(line), record);
        send_datagram(&sinks.syslog, sinks.syslog_socket, line, len);
    }
    if (sinks.to & LOG_TO_JOURNALD) {
        len = journald_fields(line, sizeof(line), record);
        send_datagram(&sinks.journald, sinks.journald_socket, line, len);
    }
}

void log_sinks_reopen(void)
{
    if (!(sinks.to & LOG_TO_FILE))
        return;
    if (sinks.file >= 0)
        close(sinks.file);
    sinks.file = open_file(sinks.path, &sinks.file_size);
}

static void close_descriptors(struct sinks *of)
{
    if (of->file >= 0)
        close(of->file);
    if (of->syslog >= 0)
        close(of->syslog);
    if (of->journald >= 0)
        close(of->journald);
    of->file = of->syslog = of->journald = -1;
}

void log_sinks_close(void)
{
    close_descriptors(&sinks);
    sinks = (struct sinks){.to = LOG_TO_CONSOLE, .file = -1, .syslog = -1, .journald = -1};
}

static bool failed(struct sinks *fresh, char *error, size_t size, const char *what,
                   const char *path)
{
    snprintf(error, size, "%s %s: %s", what, path, strerror(errno));
    close_descriptors(fresh);
    return false;
}

bool log_sinks_open(const struct log_options *options, char *error, size_t size)
{
    struct sinks fresh = {.to = options->to,
                          .json = options->json,
                          .file = -1,
                          .syslog = -1,
                          .journald = -1,
                          .rotation_size = options->rotation_size,
                          .rotation_count = options->rotation_count};

    snprintf(fresh.syslog_socket, sizeof(fresh.syslog_socket), "%s",
             options->syslog_socket != NULL ? options->syslog_socket : "/dev/log");
    snprintf(fresh.journald_socket, sizeof(fresh.journald_socket), "%s",
             options->journald_socket != NULL ? options->journald_socket
                                              : "/run/systemd/journal/socket");
    if (options->to & LOG_TO_FILE) {
        if (snprintf(fresh.path, sizeof(fresh.path), "%s/%s", options->dir, options->file) >=
            (int)sizeof(fresh.path)) {
            errno = ENAMETOOLONG;
            return failed(&fresh, error, size, "cannot open the log file in", options->dir);
        }
        if (mkdir(options->dir, 0700) != 0 && errno != EEXIST)
            return failed(&fresh, error, size, "cannot make the log folder", options->dir);
        fresh.file = open_file(fresh.path, &fresh.file_size);
        if (fresh.file < 0)
            return failed(&fresh, error, size, "cannot open the log file", fresh.path);
    }
    if (options->to & LOG_TO_SYSLOG) {
        fresh.syslog = open_datagram(fresh.syslog_socket);
        if (fresh.syslog < 0)
            return failed(&fresh, error, size, "cannot reach syslog at", fresh.syslog_socket);
    }
    if (options->to & LOG_TO_JOURNALD) {
        fresh.journald = open_datagram(fresh.journald_socket);
        if (fresh.journald < 0)
            return failed(&fresh, error, size, "cannot reach journald at", fresh.journald_socket);
    }
    close_descriptors(&sinks);
    sinks = fresh;
    return true;
}
