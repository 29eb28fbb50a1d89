/* See control.h. Runs with the rights of the person who calls it: the server judges the uid that
 * the kernel names. The protocol is that of docs/control.md. */
#include "cli/control.h"

#include "base/text.h"
#include "cli/command.h"
#include "cli/control_commands.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum {
	SILENT_SECONDS = 60,  /* the server may be */
	RELOAD_SECONDS = 330, /* processes and disks take their time */
	WAIT_SECONDS_MAX = 86400,
};

/* Options and arguments of a command. */
enum {
	TAKES_JSON = 1,
	TAKES_TARGET = 2,
	NEEDS_TARGET = 4,
	TAKES_WAIT = 8,
	TAKES_ONCE = 16,
	TAKES_SECONDS = 32, /* --wait has a value */
};

#define TARGET_HELP \
	"TARGET is a user, an address, or a session as the log and `valija who` name it."

static const struct control_command {
	const char *name;
	control_run *run;
	unsigned takes, seconds;
	const char *usage, *help; /* behind the options; a line more */
} commands[] = {
	{"who", control_who, TAKES_JSON | TAKES_TARGET, SILENT_SECONDS, "[TARGET]", TARGET_HELP},
	{"kick", control_kick, TAKES_JSON | TAKES_TARGET | NEEDS_TARGET, SILENT_SECONDS, "TARGET",
	 TARGET_HELP},
	{"explain", control_explain, TAKES_JSON | TAKES_TARGET | NEEDS_TARGET, SILENT_SECONDS,
	 "USER|ADDRESS|SESSION",
	 "It tells what happened at logins and deliveries, and what to do."},
	{"reload", control_reload, TAKES_JSON, RELOAD_SECONDS, "",
	 "The server reads its configuration anew."},
	{"drain", control_drain, TAKES_JSON | TAKES_WAIT, SILENT_SECONDS, "",
	 "The server takes no new session until a reload; --wait: until the last has ended."},
	{"upgrade", control_upgrade, TAKES_JSON | TAKES_SECONDS, RELOAD_SECONDS, "",
	 "The server becomes the valijad that is installed now; sessions go on.\n"
	 "--wait: give up waiting for that after so many seconds (330)."},
	{"show", control_show, TAKES_JSON | TAKES_TARGET | NEEDS_TARGET, SILENT_SECONDS,
	 "sessions|listeners|users|generations|processes|certificates|databases|bans|program",
	 "What the server has now."},
	{"stats", control_stats, TAKES_JSON, SILENT_SECONDS, "", "What the server has counted."},
	{"top", control_top, TAKES_ONCE, SILENT_SECONDS, "",
	 "One screen, each second: sessions, rates, steps of a login, refusals; --once: once."},
	{"log-level", control_log_level, TAKES_JSON | TAKES_TARGET, SILENT_SECONDS, "[LEVEL]",
	 "LEVEL is error, warning, info or debug; it stays until a reload."},
};

static int usage(const struct control_command *command)
{
	fprintf(stderr, "usage: valija %s [-c CONF] [--socket PATH]%s%s%s%s%s%s\n%s\n",
		command->name, command->takes & TAKES_JSON ? " [--json]" : "",
		command->takes & TAKES_SECONDS ? " [--wait SECONDS]" : "",
		command->takes & TAKES_WAIT ? " [--wait]" : "",
		command->takes & TAKES_ONCE ? " [--once]" : "", *command->usage ? " " : "",
		command->usage, command->help);
	return EX_USAGE;
}

static bool takes_seconds(const char *text, struct control_arguments *ret)
{
	uint64_t seconds;

	if (span_number(span_of(text), WAIT_SECONDS_MAX, &seconds) < 0 || !seconds)
		return false;
	ret->seconds = (unsigned)seconds;
	return true;
}

static int parse(int argc, char **argv, unsigned takes, struct control_arguments *ret)
{
	const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"wait", takes & TAKES_SECONDS ? required_argument : no_argument, NULL, 'w'},
		{"once", no_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (c == 'c')
			ret->config = optarg;
		else if (c == 's')
			ret->socket = optarg;
		else if (c == 'j' && takes & TAKES_JSON)
			ret->json = true;
		else if (c == 'w' && takes & TAKES_WAIT)
			ret->wait = true;
		else if (c == 'w' && takes & TAKES_SECONDS && takes_seconds(optarg, ret))
			continue;
		else if (c == 'o' && takes & TAKES_ONCE)
			ret->once = true;
		else
			return -1;
	}
	if (optind < argc && takes & TAKES_TARGET)
		ret->target = argv[optind++];
	if (optind < argc || (takes & NEEDS_TARGET && !ret->target))
		return -1;
	return ret->target && (!*ret->target || strpbrk(ret->target, "\n\r\t")) ? -1 : 0;
}

static const struct control_command *command_named(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

int control_main(int argc, char **argv)
{
	const struct control_command *command = command_named(argv[0]);
	struct control_arguments arguments = {.name = argv[0]};
	struct control_link link;
	int code = EX_OK, rc;
	struct err err = {0};

	if (!command)
		return EX_SOFTWARE; /* main.c has a command that this table lacks */
	if (parse(argc, argv, command->takes, &arguments) < 0)
		return usage(command);
	if (!arguments.seconds)
		arguments.seconds = command->seconds;
	rc = control_link_open(&link, arguments.config, arguments.socket, arguments.seconds, &err);
	if (rc == 0)
		rc = command->run(&link, &arguments, &code, &err);
	control_link_close(&link);
	if (rc < 0)
		return command_failed(arguments.name, &err);
	return fflush(stdout) == 0 ? code : EX_IOERR;
}
