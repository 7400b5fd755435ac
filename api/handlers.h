/* SPDX-License-Identifier: MIT
 *
 * handlers - a declaration for every handler that a row of routes.def or codes.def names.
 */
#ifndef SHARDMQ_API_HANDLERS_H
#define SHARDMQ_API_HANDLERS_H

#include "api/api.h"

#define ROUTE(method, path, handler, name, flags, query, body, answer, doc) api_handler handler;
#include "api/routes.def"
#undef ROUTE
#define CODE(number, handler, name, scope, members, data, doc) api_handler handler;
#include "api/codes.def"
#undef CODE

#endif
