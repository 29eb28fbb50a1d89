/*
 * `valija retention`: what the settings of the section retention say is carried out now, or only
 * listed: for maildrops that nobody logs in to, by a timer, and to see beforehand what would go.
 * Each maildrop is worked on as its owner, under the lock of a session. See valija-retention(1).
 */
#include "cli/retention.h"

#include "base/text.h"
#include "cli/command.h"
#include "cli/mailbox.h"
#include "cli/name_list.h"
#include "config/path.h"
#include "maildrop/store.h"
#include "maildrop/upkeep.h"
#include "users/edit.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

struct request {
	const char *config;
	bool dry_run;
	struct name_list users; /* all that can be listed, if none is named */
	struct mailbox *mailbox;
	const char *name; /* of the user that is worked on */
};

static int usage(FILE *out, int status)
{
	fputs("usage: valija retention [-c CONF] [--dry-run] [USER...]\n", out);
	return status;
}

/* ---- whose maildrops ---- */

static void add_name(void *list, pop3_span name)
{
	name_list_add(list, name);
}

static int list_all(struct request *request, const struct config *config, struct err *err)
{
	static const struct name_list_filter filter = {.command = "retention",
						       .advice = "name them"};

	if (edit_list(config->users, add_name, &request->users, err) < 0 ||
	    name_list_add_databases(&request->users, config, &filter, err) < 0)
		return -1;
	return request->users.short_of_memory ? err_set(err, EX_OSERR, "out of memory") : 0;
}

static int parse(int argc, char **argv, struct request *ret)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"dry-run", no_argument, NULL, 'n'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:nh", options, NULL)) != -1) {
		if (c == 'c')
			ret->config = optarg;
		else if (c == 'n')
			ret->dry_run = true;
		else
			return c == 'h' ? 1 : -1;
	}
	for (; optind < argc; optind++)
		name_list_add(&ret->users, span_of(argv[optind]));
	return ret->users.short_of_memory ? -1 : 0;
}

/* ---- one maildrop, as its owner ---- */

static void print_one(void *context, const char *id, uint64_t stored, uint64_t arrived)
{
	const struct request *request = context;
	time_t at = (time_t)arrived;
	char when[32] = "-";
	struct tm tm;

	if (gmtime_r(&at, &tm))
		(void)!strftime(when, sizeof(when), "%F", &tm);
	printf("%s %s %s %" PRIu64 " %s\n", request->dry_run ? "would-delete" : "deleted",
	       request->name, when, stored, id);
}

static void note(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "valija retention: %s\n", text);
}

static enum maildrop_status work(struct request *request, struct maildrop *maildrop,
				 struct err *err)
{
	enum maildrop_status status;

	do {
		status = maildrop_expire(maildrop, request->dry_run, print_one, request, err);
		if (!request->dry_run)
			maildrop_sweep(maildrop); /* and kept messages that are due go */
	} while (status == MAILDROP_WAIT);
	return status;
}

static int carry_out(void *context, struct err *err)
{
	struct request *request = context;
	struct mailbox *mailbox = request->mailbox;
	const struct config *config = &mailbox->config;
	struct maker_root *root = maker_root(&mailbox->maker, &mailbox->user);
	struct maildrop_upkeep *upkeep = calloc(1, sizeof(*upkeep)); /* all is due */
	struct maildrop_settings settings = {
		.driver = store_driver(STORE_MAILDIR),
		.host_name = config->host_name,
		.root = &root->root,
		.guard = &root->guard,
		.note = note,
		.retention = {.keep_seconds = config->keep_deleted_seconds,
			      .keep_octets = config->keep_octets,
			      .delete_seconds = config->delete_after_seconds,
			      .upkeep = upkeep}};
	struct maildrop *maildrop = NULL;
	enum maildrop_status status;

	status = maildrop_open(&settings, root->fd, user_home(&mailbox->user), &maildrop, err);
	if (status == MAILDROP_OK) {
		status = work(request, maildrop, err);
		maildrop_close(maildrop);
	}
	free(upkeep);
	if (status == MAILDROP_OK || status == MAILDROP_ABSENT)
		return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
	if (!err->code)
		err->code = EX_TEMPFAIL;
	return -1;
}

/* ---- the command ---- */

static int work_on(struct request *request, const char *name)
{
	struct err err = {0};
	int rc;

	request->name = name;
	rc = mailbox_open(request->mailbox, request->config, name, &err);
	if (rc == 0)
		rc = mailbox_check_maildir(request->mailbox, &err);
	if (rc == 0)
		rc = mailbox_as_owner(request->mailbox, carry_out, request, &err);
	mailbox_close(request->mailbox);
	if (rc >= 0)
		return rc;
	fprintf(stderr, "valija retention: %s: %s\n", name, err.text);
	return err.code ? err.code : EX_TEMPFAIL;
}

static int run(struct request *request, struct err *err)
{
	struct config *config = &request->mailbox->config;
	int code = EX_OK;

	if (config_load(command_config(request->config), config, err) < 0)
		return -1;
	if (!config->delete_after_seconds && !config->keep_deleted_seconds)
		return err_set(err, EX_CONFIG,
			       "%s has neither retention.delete_after nor retention.keep_deleted: "
			       "there is nothing to do",
			       config->file);
	if (!request->users.count && list_all(request, config, err) < 0)
		return -1;
	for (size_t i = 0; i < request->users.count; i++) {
		int one = work_on(request, request->users.names[i]);

		code = code == EX_OK ? one : code;
	}
	return code;
}

int retention_main(int argc, char **argv)
{
	struct request request = {.mailbox = calloc(1, sizeof(struct mailbox))};
	struct err err = {0};
	int rc = parse(argc, argv, &request);

	if (rc != 0)
		rc = rc < 0 ? usage(stderr, EX_USAGE) : usage(stdout, EX_OK);
	else if (!request.mailbox)
		rc = EX_OSERR;
	else
		rc = run(&request, &err);
	name_list_finish(&request.users);
	free(request.mailbox);
	return rc < 0 ? command_failed("retention", &err) : rc;
}
