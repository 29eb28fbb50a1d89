/* The part that the subcommands of `valija` share: how an error is shown, which configuration is
 * read. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "base/err.h"

/* Prints "valija NAME: text" on standard error and returns the exit code. */
int command_failed(const char *name, const struct err *err);
/* The configuration when -c names none: $VALIJA_CONF, ./valija.conf, /etc/valija/valija.conf. */
const char *command_config(const char *named);

#endif
