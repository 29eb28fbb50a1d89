/*
 * valijad: its arguments choose its part. Started by a person or a service manager it becomes the
 * monitor; started by the monitor ("--child", descriptor 3) it becomes one of the monitor's
 * children.
 */
#include "build-config.h"
#include "config/config.h"
#include "server/auth/auth.h"
#include "server/child.h"
#include "server/control/control.h"
#include "server/front/front.h"
#include "server/keeper/keeper.h"
#include "server/keys/keys.h"
#include "server/lmtp/lmtp.h"
#include "server/locker/locker.h"
#include "server/logins/logins.h"
#include "server/monitor/monitor.h"
#include "server/mta/mta.h"
#include "server/status/status.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	CHILD_FD = 3,
};

static const struct child_role *const roles[ROLE_COUNT] = {
	[ROLE_FRONT] = &front_role,         [ROLE_LMTP] = &lmtp_role,
	[ROLE_AUTH] = &auth_role,           [ROLE_KEEPER] = &keeper_role,
	[ROLE_KEYS] = &keys_role,           [ROLE_MTA] = &mta_role,
	[ROLE_LOGINS] = &logins_role,       [ROLE_CONTROL] = &control_role,
	[ROLE_STATUS] = &status_role,       [ROLE_LOCKER] = &locker_role,
	[ROLE_CONNECTOR] = &connector_role,
};

static const char usage[] =
	"usage: valijad [-c CONF] [-t | -n]\n"
	"  -c CONF  the configuration file (default: $VALIJA_CONF, /etc/valija/valija.conf)\n"
	"  -t       check CONF, users, certificates and directories, and end\n"
	"  -n       print the settings that differ from the defaults, and end\n"
	"  --version, --help\n"
	"Serves POP3 and LMTP in the foreground, logs on standard error or where CONF says.\n"
	"SIGHUP: read CONF again; SIGUSR1: open the log's file again; SIGTERM: finish what is "
	"under\n"
	"way and end; SIGUSR2: become the valijad that is installed by now, without cutting a "
	"session.\n"
	"`valija init DIR` makes a CONF to start with.\n";

static int print_changed(const char *file)
{
	struct config config;
	struct err err;

	if (config_load(file, &config, &err) < 0) {
		fprintf(stderr, "valijad: %s\n", err.text);
		return err.code;
	}
	config_print_changed(&config);
	return EX_OK;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'},
						{"version", no_argument, NULL, 'v'},
						/* of a monitor that becomes this program: see
						 * monitor/upgrade.h */
						{"resume", required_argument, NULL, 'r'},
						{"state", required_argument, NULL, 's'},
						{NULL, 0, NULL, 0}};
	const char *file = getenv("VALIJA_CONF");
	int option, mode = 0, state_fd = -1, resume_fd = -1;

	if (argc == 2 && strcmp(argv[1], "--child") == 0)
		return child_main(CHILD_FD, roles);
	while ((option = getopt_long(argc, argv, "c:tnh", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			file = optarg;
			break;
		case 't':
		case 'n':
			mode = option;
			break;
		case 'r':
			resume_fd = atoi(optarg);
			break;
		case 's':
			state_fd = atoi(optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			return EX_OK;
		case 'v':
			puts("valijad " VALIJA_VERSION);
			return EX_OK;
		default:
			fputs(usage, stderr);
			return EX_USAGE;
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		return EX_USAGE;
	}
	if (!file)
		file = "/etc/valija/valija.conf";
	if (mode == 't')
		return monitor_check(file, state_fd);
	if (mode == 'n')
		return print_changed(file);
	return resume_fd < 0 ? monitor_run(argv[0], file)
			     : monitor_resume(argv[0], file, resume_fd);
}
