/* The subcommands of `valija`: each gets its own name as argv[0] and returns a code of sysexits.h.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "base/err.h"

int init_main(int argc, char **argv);
int user_main(int argc, char **argv);

/* Prints "valija NAME: text" on standard error and returns the exit code. */
int command_failed(const char *name, const struct err *err);
/* The configuration when -c names none: $VALIJA_CONF, ./valija.conf, /etc/valija/valija.conf. */
const char *command_config(const char *named);

#endif
