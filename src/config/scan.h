/*
 * The text of valija.conf before libconfuse parses it. Comments become blanks (libconfuse's scanner
 * counts their lines twice and refuses them within lists). Text that libconfuse would accept in
 * silence (an unended string or comment, "*" outside quotes, "${NAME}" from the environment) is an
 * error with its line. Used within config only.
 */
#ifndef CONFIG_SCAN_H
#define CONFIG_SCAN_H

#include "base/err.h"

#include <pop3/span.h>

#define CONFIG_TEXT_MAX (1u << 20)

/* In place. file is for the message. */
int config_scan(char *text, size_t size, const char *file, struct err *err);

#endif
