/* See command.h. In `valija`, with the rights of its caller. */
#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

int command_failed(const char *name, const struct err *err)
{
	fprintf(stderr, "valija %s: %s\n", name, err->text);
	return err->code ? err->code : EX_SOFTWARE;
}

const char *command_config(const char *named)
{
	const char *variable = getenv("VALIJA_CONF");

	if (named)
		return named;
	if (variable && *variable)
		return variable;
	return access("valija.conf", F_OK) == 0 ? "valija.conf" : "/etc/valija/valija.conf";
}
