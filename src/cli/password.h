/* A new password, from the person at the terminal or from a script. */
#ifndef CLI_PASSWORD_H
#define CLI_PASSWORD_H

#include "base/err.h"
#include "base/secret.h"

/* From the terminal: twice, without echo. When standard input is none: its first line. */
int password_read(struct secret *ret, struct err *err);

/* The same for a password that is tried, not set: from the terminal once. */
int password_ask(struct secret *ret, struct err *err);

#endif
