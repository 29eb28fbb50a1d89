/* valija-lookup-NAME: a child of valijad's monitor that asks one database of users. There is one
 * program a driver, so that a client library is in no process but those that need it. */
#include "build-config.h"
#include "lookup/driver.h"
#include "lookup/role.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum {
	CHILD_FD = 3,
};

static const struct child_role *const roles[ROLE_COUNT] = {[ROLE_LOOKUP] = &lookup_role};

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--child") == 0)
		return child_main(CHILD_FD, roles);
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("valija-lookup " VALIJA_VERSION);
		return EX_OK;
	}
	fprintf(stderr,
		"valijad starts this program for each database of driver %s: see valija.conf(5)\n",
		config_driver_name(lookup_driver.driver));
	return EX_USAGE;
}
