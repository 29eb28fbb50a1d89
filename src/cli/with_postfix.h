/* `valija init --with postfix`: the settings of main.cf. */
#ifndef CLI_WITH_POSTFIX_H
#define CLI_WITH_POSTFIX_H

#include "cli/with.h"

int with_postfix(struct with *with, struct err *err);

#endif
