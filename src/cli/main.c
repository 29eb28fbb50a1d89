/*
 * `valija`: one command for people and scripts. Finds the subcommand and calls it; see command.h.
 */
#include "cli/command.h"

#include "build-config.h"
#include "cli/deliver.h"
#include "fetch/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

static const struct command commands[] = {
	{"init", init_main, "make a post office in a directory"},
	{"user", user_main, "add, change, delete or list users"},
	{"deliver", deliver_main, "put a message from standard input into users' mail"},
	{"fetch", fetch_main, "collect mail from POP3 servers"},
};

static void usage(FILE *out)
{
	fputs("usage: valija COMMAND [ARGUMENT...]\n\n", out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-8s  %s\n", commands[i].name, commands[i].help);
	fputs("\nThe server is valijad. `man valija` tells more.\n", out);
}

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
