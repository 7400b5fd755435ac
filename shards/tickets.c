/* SPDX-License-Identifier: MIT
 *
 * tickets - in a file without a name, in memory: nothing is written to a disk, and nobody else can open it. The next
 * program in this process finds its descriptor in TICKETS_VARIABLE; what is in it is a header and the keys. A program
 * that does not know the header makes keys of its own.
 */
#include "shards/tickets.h"

#include "base/log.h"
#include "shards/machine_priv.h"
#include "transport/tls_context.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define TICKETS_VARIABLE "SHARDMQ_TICKETS"
#define ROTATE_MS        3600000u
#define MAGIC            "ShardMQ tickets\n"

struct tickets_file {
    char magic[16];
    uint64_t due_ms;
    uint8_t keys[TLS_TICKETS_BYTES];
};

_Static_assert(sizeof(MAGIC) == sizeof(((struct tickets_file *)0)->magic) + 1, "without its end");

/* What the program before has left; false when there is nothing, or nothing that is known here. */
static bool take(struct tickets_file *file)
{
    const char *text = getenv(TICKETS_VARIABLE);
    int fd = text != NULL ? (int)strtol(text, NULL, 10) : -1;
    bool taken;

    unsetenv(TICKETS_VARIABLE);
    if (fd <= 2)
        return false;
    taken = pread(fd, file, sizeof(*file), 0) == sizeof(*file) &&
            memcmp(file->magic, MAGIC, sizeof(file->magic)) == 0;
    if (fcntl(fd, F_GET_SEALS) >= 0) /* such a file, and no other that has its number */
        close(fd);
    return taken;
}

struct tls_tickets *tickets_open(uint64_t *due_ms)
{
    struct tls_tickets *tickets = tls_tickets_create();
    struct tickets_file file;

    *due_ms = 0;
    if (take(&file)) {
        tls_tickets_load(tickets, file.keys);
        *due_ms = file.due_ms;
    }
    explicit_bzero(&file, sizeof(file));
    return tickets;
}

void tickets_pass(const struct machine *machine)
{
    struct tickets_file file = {.magic = MAGIC, .due_ms = machine->tickets_due_ms};
    int fd = memfd_create("tickets", MFD_ALLOW_SEALING); /* stays open at the execution */
    char number[16];

    tls_tickets_save(machine->tickets, file.keys);
    if (fd >= 0 && write(fd, &file, sizeof(file)) == sizeof(file)) {
        snprintf(number, sizeof(number), "%d", fd);
        setenv(TICKETS_VARIABLE, number, 1);
    } else {
        LOG_WARN("TLS sessions cannot be resumed after the restart: no file in memory");
        if (fd >= 0)
            close(fd);
    }
    explicit_bzero(&file, sizeof(file));
}

static void rotate(void *owner, struct timer *timer)
{
    struct shard *control = owner;
    struct machine *machine = control->machine;

    tls_tickets_rotate(machine->tickets);
    machine->tickets_due_ms = control->now_ms + ROTATE_MS;
    timer_arm(&control->timers, timer, machine->tickets_due_ms);
}

void tickets_start(struct shard *control, struct timer *rotation)
{
    struct machine *machine = control->machine;
    uint64_t latest = control->now_ms + ROTATE_MS;

    if (machine->tickets_due_ms == 0 || machine->tickets_due_ms > latest)
        machine->tickets_due_ms = latest;
    timer_init(rotation, rotate);
    timer_arm(&control->timers, rotation, machine->tickets_due_ms);
}
