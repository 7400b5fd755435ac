/* SPDX-License-Identifier: MIT
 *
 * unfit - plug-ins that a broker must refuse at its start; which of them it is says the compiler's command line.
 */
#include <shardmq/plugin.h>

#include <stdio.h>

#ifndef UNFIT_ABI
#define UNFIT_ABI SMQ_PLUGIN_ABI
#endif
#ifndef UNFIT_SIZE
#define UNFIT_SIZE sizeof(struct smq_plugin)
#endif
#ifndef UNFIT_ENTRY
#define UNFIT_ENTRY shardmq_plugin
#endif

#ifdef UNFIT_INIT
static bool init(const struct smq_host *host, struct smq_context *context, void **self, char *error,
                 size_t size)
{
    (void)host;
    (void)context;
    (void)self;
    snprintf(error, size, "today it would rather not");
    return false;
}
#endif

SMQ_PLUGIN_EXPORT const struct smq_plugin *UNFIT_ENTRY(void);

SMQ_PLUGIN_EXPORT const struct smq_plugin *UNFIT_ENTRY(void)
{
    static const struct smq_plugin plugin = {
        .struct_size = UNFIT_SIZE,
        .abi = UNFIT_ABI,
        .name = "unfit",
        .version = "1.0",
#ifdef UNFIT_INIT
        .init = init,
#endif
    };

    return &plugin;
}
