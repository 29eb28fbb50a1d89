/*
 * valija migrate: mail of users with the field migrate moves here from the POP3 server that has it,
 * which goes on serving meanwhile. For each user a round of two processes is started, as often as
 * it takes: one that dials (dialer.h), one that writes (writer.h). Runs with the rights of its
 * caller, usually root; it has no mail and dials nowhere. See valija-migrate(1).
 */
#include "cli/migrate/migrate.h"

#include "base/text.h"
#include "cli/command.h"
#include "cli/migrate/dialer.h"
#include "cli/migrate/follow/follow.h"
#include "cli/migrate/make_key.h"
#include "cli/migrate/mover.h"
#include "cli/migrate/people.h"
#include "cli/migrate/print.h"
#include "cli/migrate/undo.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { WAIT_SECONDS = 20 };

struct call {
	struct migrate migrate;
	bool all, follow, waits, passwords;
	uint64_t jobs, every_seconds; /* of follow; 0: not given */
	const char *key_file;         /* to make; NULL: none */
	struct name_list named;
	struct movers movers;
	struct migrate_totals totals;
};

/* ---- arguments ---- */

static int usage(FILE *out, int status)
{
	fputs("usage: valija migrate [-c CONF] --all | --user NAME... [--dry-run]\n"
	      "                      [--rate OCTETS] [--wait SECONDS] [--delete-there]\n"
	      "                      [--accept-deleted] [--stopped]\n"
	      "       valija migrate [-c CONF] --follow [--rate OCTETS] [--jobs N]\n"
	      "                      [--every SECONDS] [--delete-there]\n"
	      "       valija migrate [-c CONF] --undo --user NAME... [--dry-run]\n"
	      "       valija migrate [-c CONF] --passwords --all | --user NAME...\n"
	      "       valija migrate --make-key FILE\n",
	      out);
	return status;
}

/* "500", "20K", "1M" */
static int take_rate(const char *text, uint64_t *ret)
{
	static const char units[] = "KMG";
	pop3_span number = span_of(text);
	const char *unit = number.size ? strchr(units, text[number.size - 1] & ~0x20) : NULL;
	uint64_t factor = 1;

	if (unit && text[number.size - 1] > '9') {
		factor = 1ull << 10 * (unit - units + 1);
		number.size--;
	}
	if (span_number(number, UINT64_MAX / (1 << 30), ret) < 0 || *ret == 0)
		return -1;
	*ret *= factor;
	return 0;
}

/* Not 0 */
static int take_number(const char *text, uint64_t most, uint64_t *ret)
{
	return span_number(span_of(text), most, ret) == 0 && *ret ? 0 : -1;
}

static int take_wait(const char *text, struct call *call)
{
	call->waits = true;
	return span_number(span_of(text), 1u << 20, &call->migrate.options.wait_seconds);
}

/* Whether the options go together. */
static bool fits(const struct call *call)
{
	const struct migrate_options *options = &call->migrate.options;
	bool named = call->named.count > 0;

	if (call->key_file)
		return !call->all && !named && !call->follow;
	if (call->follow)
		return !(call->all || named || call->waits || options->dry_run || options->undo ||
			 options->accept || options->stopped || call->passwords);
	return call->all == !named && !(options->undo && (call->all || call->passwords)) &&
	       !call->jobs && !call->every_seconds;
}

static int parse(int argc, char **argv, struct call *call)
{
	struct migrate_options *options = &call->migrate.options;
	static const struct option longs[] = {{"all", no_argument, NULL, 'a'},
					      {"user", required_argument, NULL, 'u'},
					      {"dry-run", no_argument, NULL, 'n'},
					      {"rate", required_argument, NULL, 'r'},
					      {"wait", required_argument, NULL, 'w'},
					      {"delete-there", no_argument, NULL, 'd'},
					      {"accept-deleted", no_argument, NULL, 'A'},
					      {"stopped", no_argument, NULL, 's'},
					      {"undo", no_argument, NULL, 'U'},
					      {"follow", no_argument, NULL, 'f'},
					      {"jobs", required_argument, NULL, 'j'},
					      {"every", required_argument, NULL, 'e'},
					      {"passwords", no_argument, NULL, 'P'},
					      {"make-key", required_argument, NULL, 'K'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:nh", longs, NULL)) != -1) {
		int rc = 0;

		if (c == 'c')
			options->config_file = optarg;
		else if (c == 'a')
			call->all = true;
		else if (c == 'u')
			name_list_add(&call->named, span_of(optarg));
		else if (c == 'n')
			options->dry_run = true;
		else if (c == 'r')
			rc = take_rate(optarg, &options->rate);
		else if (c == 'w')
			rc = take_wait(optarg, call);
		else if (c == 'd')
			options->delete_there = true;
		else if (c == 'A')
			options->accept = true;
		else if (c == 's')
			options->stopped = true;
		else if (c == 'U')
			options->undo = true;
		else if (c == 'f')
			call->follow = true;
		else if (c == 'j')
			rc = take_number(optarg, FOLLOW_JOBS_MAX, &call->jobs);
		else if (c == 'e')
			rc = take_number(optarg, 1u << 20, &call->every_seconds);
		else if (c == 'P')
			call->passwords = true;
		else if (c == 'K')
			call->key_file = optarg;
		else
			return c == 'h' ? 1 : -1;
		if (rc < 0)
			return -1;
	}
	return optind == argc && fits(call) ? 0 : -1;
}

/* ---- the command ---- */

typedef void step(struct migrate *m, const struct user *user, struct migrate_totals *totals);

static step *step_of(const struct call *call)
{
	if (call->passwords)
		return print_password;
	return call->migrate.options.undo ? undo_move : mover_move;
}

static int run(struct call *call, struct err *err)
{
	const struct migrate_options *options = &call->migrate.options;
	struct migrate_totals *totals = &call->totals;

	if (migrate_init(&call->migrate, err) < 0 ||
	    movers_find(&call->movers, &call->migrate.config, &call->named, err) < 0)
		return -1;
	call->migrate.users = call->movers.users;
	call->migrate.user_count = call->movers.count;
	for (size_t i = 0; i < call->movers.count; i++)
		step_of(call)(&call->migrate, &call->movers.users[i], totals);
	totals->failed += call->movers.failed;
	if (!options->undo && !call->passwords)
		tell_totals(totals, options->dry_run);
	if (fflush(stdout) != 0)
		return EX_IOERR;
	return totals->failed + totals->left ? EX_TEMPFAIL : EX_OK;
}

static int follow(const struct call *call, struct err *err)
{
	const struct follow_options options = {
		.migrate = call->migrate.options,
		.jobs = call->jobs ? (unsigned)call->jobs : FOLLOW_JOBS,
		.every_seconds = call->every_seconds ? call->every_seconds : FOLLOW_EVERY_SECONDS};

	return follow_run(&options, err);
}

int migrate_main(int argc, char **argv)
{
	struct call *call;
	struct err err = {0};
	int rc;

	if (argc == 2 && strcmp(argv[1], "--dial") == 0)
		return dialer_main();
	call = calloc(1, sizeof(*call));
	if (!call)
		return EX_OSERR;
	call->migrate.options.wait_seconds = WAIT_SECONDS;
	call->migrate.private_fd = -1;
	rc = parse(argc, argv, call);
	if (rc != 0) {
		rc = rc < 0 ? usage(stderr, EX_USAGE) : usage(stdout, EX_OK);
	} else if (call->follow) {
		rc = follow(call, &err);
	} else if (call->key_file) {
		rc = make_key(call->key_file, &err);
	} else {
		signal(SIGPIPE, SIG_IGN);
		rc = run(call, &err);
		movers_finish(&call->movers);
		migrate_finish(&call->migrate);
	}
	name_list_finish(&call->named);
	free(call);
	return rc < 0 ? command_failed("migrate", &err) : rc;
}
