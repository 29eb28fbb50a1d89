/* `valija init --with exim`: the parts of Debian's configuration of Exim. */
#ifndef CLI_WITH_EXIM_H
#define CLI_WITH_EXIM_H

#include "cli/with.h"

int with_exim(struct with *with, struct err *err);

#endif
