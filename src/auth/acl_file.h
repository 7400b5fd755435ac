/* SPDX-License-Identifier: MIT
 *
 * acl_file - Mosquitto's acl_file:
 *
 *   # a comment
 *   topic read news/#                    before the first `user`: for clients without a user name
 *   user roger
 *   topic readwrite foo/bar              for roger; read, write, readwrite (also without a word) or deny
 *   topic deny foo/secret
 *   pattern write devices/%c/state       for everybody: %c is the client identifier, %u the user name
 *
 * A topic may have blanks in it; those at its end are not part of it. In what order lines are: those that deny, those
 * that allow, patterns that deny, patterns that allow, whatever their order in the file; what no line is about is left
 * to auth.no_match.
 */
#ifndef SHARDMQ_AUTH_ACL_FILE_H
#define SHARDMQ_AUTH_ACL_FILE_H

#include "auth/acl.h"

/* Adds the rules of a whole file, whose name (for messages) is `name`; a file without rules adds none. False, with a
 * sentence that begins with "name:line: " in `why`. */
bool acl_file_add(struct acl_builder *builder, const char *name, struct span text, char *why,
                  size_t size);

#endif
