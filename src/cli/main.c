/*
 * `valija`: one command for people and scripts. Finds the subcommand and calls it: each gets its
 * own name as argv[0] and returns a code of sysexits.h.
 */
#include "build-config.h"
#include "cli/autoconfig.h"
#include "cli/ban.h"
#include "cli/control.h"
#include "cli/deleted.h"
#include "cli/deliver.h"
#include "cli/doctor/doctor.h"
#include "cli/guard.h"
#include "cli/import/import.h"
#include "cli/init.h"
#include "cli/mark.h"
#include "cli/mbox.h"
#include "cli/migrate/migrate.h"
#include "cli/rados.h"
#include "cli/remote.h"
#include "cli/trace.h"
#include "cli/retention.h"
#include "cli/undelete.h"
#include "cli/user.h"
#include "fetch/fetch.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

static const struct command commands[] = {
	{"init", init_main, "make a post office in a directory"},
	{"user", user_main, "add, change, delete or list users"},
	{"mark", mark_main, "say what is so with a mail folder"},
	{"import", import_main, "bring a site of another server here, with its unique ids"},
	{"migrate", migrate_main, "move mail here from another server that goes on meanwhile"},
	{"deliver", deliver_main, "put a message from standard input into users' mail"},
	{"deleted", deleted_main, "list who deleted which messages of a user"},
	{"undelete", undelete_main, "bring deleted messages back, while they are kept"},
	{"retention", retention_main, "delete what is too old, or list it"},
	{"remote", remote_main, "have users consent to their maildrops on another server"},
	{"guard", guard_main, "say that a maildrop is right whose folders or unique ids changed"},
	{"mbox", mbox_main, "look at an mbox, and put it in order after a crash"},
	{"rados", rados_main, "look after pools of maildrops in Ceph RADOS"},
	{"who", control_main, "list the sessions of a running server"},
	{"kick", control_main, "end sessions of a running server"},
	{"reload", control_main, "have a running server read its configuration anew"},
	{"upgrade", control_main, "have a running server become the program that is installed"},
	{"drain", control_main, "have a running server take no new sessions"},
	{"show", control_main, "print what a running server has now"},
	{"stats", control_main, "print what a running server has counted"},
	{"top", control_main, "watch a running server on one screen"},
	{"log-level", control_main, "show or change how much a running server logs"},
	{"autoconfig", autoconfig_main, "write what mail programs set themselves up with"},
	{"explain", control_main, "tell why somebody cannot log in, and what to do"},
	{"trace", trace_main, "follow the dialogue of a user's next sessions"},
	{"ban", ban_main, "refuse the connections of an address or a network"},
	{"doctor", doctor_main, "look what is wrong with a server, and say what mends it"},
	{"fetch", fetch_main, "collect mail from POP3 servers"},
};

static void usage(FILE *out)
{
	fputs("usage: valija COMMAND [ARGUMENT...]\n\n", out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-10s  %s\n", commands[i].name, commands[i].help);
	fputs("\nThe server is valijad. `man valija` tells more.\n", out);
}

int main(int argc, char **argv)
{
	if (argc >= 2)
		for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
			if (strcmp(argv[1], commands[i].name) == 0)
				return commands[i].run(argc - 1, argv + 1);
	if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
		printf("valija %s\n", VALIJA_VERSION);
		return EX_OK;
	}
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
			  strcmp(argv[1], "help") == 0)) {
		usage(stdout);
		return EX_OK;
	}
	if (argc >= 2)
		fprintf(stderr, "valija: there is no command \"%s\"\n", argv[1]);
	usage(stderr);
	return EX_USAGE;
}
