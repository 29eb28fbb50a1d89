/* `valija init --with MTA --try USER`: gives the MTA a message as a program of this machine does,
 * and collects it by POP3 as its receiver does. */
#ifndef CLI_WITH_TRY_H
#define CLI_WITH_TRY_H

#include "cli/with.h"

struct with_try;

/* Checks the address of with->tried, and asks for the password. mta: its name for people. with and
 * mta are borrowed. */
int with_try_open(const struct with *with, const char *mta, struct with_try **ret, struct err *err);
/* Prints each step; err names the one that failed, and the place to look at. */
int with_try_run(struct with_try *try, struct err *err);
void with_try_close(struct with_try *try);

#endif
