/*
 * valija import: a site of another server moves here, and no client loads anything twice. The rule
 * by which that server made unique ids is recorded for each mail folder, and the ids are written
 * into each maildrop, as its owner. See valija-import(1).
 */
#include "cli/import/import.h"

#include "base/array.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/import/dovecot_conf.h"
#include "cli/import/dovecot_rule.h"
#include "cli/import/people.h"
#include "maildrop/maildir/bring.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

/* Counted by the processes that work as owners. */
struct totals {
	uint64_t users;    /* whose ids are brought, or taken back */
	uint64_t ours;     /* users whose maildrops were ours already */
	uint64_t plain;    /* users without mail of the other server */
	uint64_t messages; /* of `users` */
	uint64_t brought, again;
	uint64_t troubled; /* users with messages that are loaded again */
	uint64_t failed;   /* users */
};

struct request {
	const char *config_file, *dovecot_file, *from;
	bool dry_run, undo;
	char **names;
	size_t name_count, name_room;
	struct mail_origin origin;
	struct config config;
	struct people people;
	struct totals *totals; /* shared with those processes */
	size_t first, end;     /* of people: of one owner */
};

static int usage(FILE *out, int status)
{
	fputs("usage: valija import dovecot [-c CONF] [--config FILE] [--from DIR] [--user "
	      "NAME]...\n"
	      "                             [--dry-run]\n"
	      "       valija import courier [-c CONF] [--from DIR] [--user NAME]... [--dry-run]\n"
	      "       valija import none [-c CONF] [--user NAME]... [--dry-run]\n"
	      "       valija import dovecot|courier|none --undo [-c CONF] [--user NAME]... "
	      "[--dry-run]\n",
	      out);
	return status;
}

static int take_name(struct request *request, char *name)
{
	char **grown = array_grow(request->names, request->name_count, &request->name_room,
				  sizeof(*grown));

	if (!grown)
		return -1;
	request->names = grown;
	grown[request->name_count++] = name;
	return 0;
}

/* The server by its word; each takes the options that mean something for it. */
static int take_server(struct request *request, const char *word)
{
	unsigned i = 0;

	while (i < ORIGIN_SERVERS && strcmp(mail_origin_names[i].word, word) != 0)
		i++;
	if (i == ORIGIN_SERVERS || (i != ORIGIN_DOVECOT && request->dovecot_file) ||
	    (i == ORIGIN_NONE && request->from))
		return -1;
	request->origin.server = i;
	return 0;
}

/* 1: help is wanted; -1: it is not understood. */
static int parse(int argc, char **argv, struct request *ret)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'C'},
						{"from", required_argument, NULL, 'f'},
						{"user", required_argument, NULL, 'u'},
						{"dry-run", no_argument, NULL, 'n'},
						{"undo", no_argument, NULL, 'U'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:nh", options, NULL)) != -1) {
		if (c == 'c')
			ret->config_file = optarg;
		else if (c == 'C')
			ret->dovecot_file = optarg;
		else if (c == 'f')
			ret->from = optarg;
		else if (c == 'n')
			ret->dry_run = true;
		else if (c == 'U')
			ret->undo = true;
		else if (c == 'h')
			return 1;
		else if (c != 'u' || take_name(ret, optarg) < 0)
			return -1;
	}
	return optind + 1 == argc ? take_server(ret, argv[optind]) : -1;
}

/* ---- Dovecot's rule ---- */

static int read_rule(struct request *request, struct err *err)
{
	struct dovecot_conf conf;
	int rc;

	if (request->undo || request->origin.server != ORIGIN_DOVECOT)
		return 0;
	rc = dovecot_conf_read(request->dovecot_file, &conf, err);
	if (rc == 0)
		rc = dovecot_rule(&conf, request->from, &request->origin, err);
	dovecot_conf_finish(&conf);
	return rc;
}

/* ---- one maildrop, as its owner ---- */

static void say(const struct person *person, const char *text)
{
	char shown[4 * 256 + 1];

	text_show(shown, sizeof(shown) - 1, span_of(person->name));
	printf("%s: %s\n", shown, text);
}

static void count(struct request *request, const struct person *person,
		  const struct adopt_report *report)
{
	struct totals *totals = request->totals;
	char text[sizeof(report->why) + 128];

	totals->ours += report->is == ADOPT_OURS;
	totals->plain += report->is == ADOPT_PLAIN;
	totals->users += report->is == ADOPT_FOREIGN;
	totals->messages += report->messages;
	totals->brought += report->brought;
	totals->again += report->again;
	totals->troubled += report->again > 0;
	if (report->again) {
		snprintf(text, sizeof(text),
			 "%" PRIu64 " of %" PRIu64 " messages are loaded again: %s", report->again,
			 report->messages, report->why);
		say(person, text);
	}
	if (report->bad) {
		snprintf(text, sizeof(text),
			 "%" PRIu32 " lines of %s make no sense: their messages get new ids",
			 report->bad, mail_origin_names[request->origin.server].list);
		say(person, text);
	}
	if (report->is == ADOPT_OURS && request->name_count)
		say(person, "was here already: its unique ids stay as they are");
}

/* The folder in which the other server keeps its list of this maildrop. */
static int open_control(const struct request *request, const struct person *person, int folder)
{
	char path[CONFIG_PATH_MAX + 512];
	int n;

	if (!request->from)
		return fcntl(folder, F_DUPFD_CLOEXEC, 0);
	n = snprintf(path, sizeof(path), "%s/%s", request->from, person->home);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int bring(struct request *request, const struct person *person, int folder, struct err *err)
{
	int control = open_control(request, person, folder);
	struct adopt_report report;
	enum maildrop_status status;

	if (control < 0)
		return err_sys(err, EX_NOINPUT, errno, "%s/%s", request->from, person->home);
	status = maildir_bring(folder, control, person->home, &request->origin, request->dry_run,
			       &report, err);
	close(control);
	if (status != MAILDROP_OK)
		return -1;
	count(request, person, &report);
	return 0;
}

static int take_back(struct request *request, const struct person *person, int folder,
		     struct err *err)
{
	bool any, used;

	if (maildir_take_back(folder, person->home, request->dry_run, &any, &used, err) !=
	    MAILDROP_OK)
		return -1;
	request->totals->users += any && !used;
	request->totals->ours += used;
	request->totals->plain += !any;
	if (used)
		say(person, "was used here since: its unique ids stay as they are");
	return 0;
}

static void work_on(struct request *request, const struct person *person)
{
	int root = request->people.maker.roots[person->root].fd;
	struct err err = {0};
	int folder = maildrop_folder(root, person->home, &err), rc = -1;

	if (folder < 0 && err.errnum == ENOENT) {
		request->totals->plain++;
		return;
	}
	if (folder >= 0) {
		rc = request->undo ? take_back(request, person, folder, &err)
				   : bring(request, person, folder, &err);
		close(folder);
	}
	if (rc < 0) {
		request->totals->failed++;
		say(person, err.text);
	}
}

static int work_on_owner(void *context, struct err *err)
{
	struct request *request = context;

	(void)err;
	for (size_t i = request->first; i < request->end; i++)
		work_on(request, &request->people.persons[i]);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

/* ---- all of them ---- */

static int work_on_all(struct request *request, struct err *err)
{
	const struct person *persons = request->people.persons;
	int code = EX_OK, one;

	for (request->first = 0; request->first < request->people.count;
	     request->first = request->end) {
		const struct person *first = &persons[request->first];

		for (request->end = request->first + 1; request->end < request->people.count &&
							persons[request->end].uid == first->uid &&
							persons[request->end].gid == first->gid;)
			request->end++;
		fflush(stdout);
		one = maker_as_owner(first->uid, first->gid, work_on_owner, request, err);
		if (one < 0)
			return -1;
		code = code == EX_OK ? one : code;
	}
	return code;
}

/* Of each mail folder, for the maildrops that are opened later. */
static int record(struct request *request, struct err *err)
{
	char is[ORIGIN_TEXT_MAX], was[ORIGIN_TEXT_MAX];

	mail_origin_print(&request->origin, is);
	for (uint32_t i = 0; i < request->config.root_count; i++) {
		int fd = request->people.maker.roots[i].fd;
		struct mail_origin before;
		int known = mail_origin_read(&maildrop_kernel, fd, &before, err);

		if (known < 0)
			return err_prefix(err, "%s", request->config.roots[i].path);
		if (known)
			mail_origin_print(&before, was);
		if (known && strcmp(is, was) != 0)
			return err_set(
				err, EX_CONFIG,
				"%s has another origin of ids already (%.100s; now: %.100s): "
				"take that back first (--undo)",
				request->config.roots[i].path, was, is);
		if (!known && !request->dry_run && mail_origin_write(fd, &request->origin, err) < 0)
			return err_prefix(err, "%s", request->config.roots[i].path);
	}
	printf("origin of unique ids: %s\n", is);
	return 0;
}

static int forget(struct request *request, struct err *err)
{
	for (uint32_t i = 0; !request->dry_run && i < request->config.root_count; i++)
		if (mail_origin_remove(request->people.maker.roots[i].fd, err) < 0)
			return err_prefix(err, "%s", request->config.roots[i].path);
	return 0;
}

static void print_totals(const struct request *request)
{
	const struct totals *totals = request->totals;

	if (request->undo)
		printf("%" PRIu64 " users %s\n", totals->users,
		       request->dry_run ? "would be taken back" : "were taken back");
	else
		printf("%" PRIu64 " users, %" PRIu64 " messages, %" PRIu64
		       " keep their unique ids, %" PRIu64 " would be loaded again (by %" PRIu64
		       " users)%s\n",
		       totals->users, totals->messages, totals->brought, totals->again,
		       totals->troubled, request->dry_run ? "; nothing was written" : "");
	if (totals->ours)
		printf("%" PRIu64 " users were here already: their unique ids stay\n",
		       totals->ours);
	if (totals->plain)
		printf("%" PRIu64 " users have no mail of another server\n", totals->plain);
	if (totals->failed + request->people.failed)
		printf("%" PRIu64 " users failed\n", totals->failed + request->people.failed);
}

static int run(struct request *request, struct err *err)
{
	int code;

	request->totals = mmap(NULL, sizeof(*request->totals), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (request->totals == MAP_FAILED)
		return err_sys(err, EX_OSERR, errno, "out of memory");
	if (config_load(command_config(request->config_file), &request->config, err) < 0 ||
	    read_rule(request, err) < 0 ||
	    people_find(&request->people, &request->config, request->names, request->name_count,
			err) < 0)
		return -1;
	/* the rule is for all who come later, so it is not that of a few users */
	if (!request->name_count &&
	    (request->undo ? forget(request, err) : record(request, err)) < 0)
		return -1;
	code = work_on_all(request, err);
	if (code < 0)
		return -1;
	print_totals(request);
	if (fflush(stdout) != 0)
		return EX_IOERR;
	return code == EX_OK && request->totals->failed + request->people.failed ? EX_TEMPFAIL
										 : code;
}

int import_main(int argc, char **argv)
{
	struct request *request = calloc(1, sizeof(*request));
	struct err err = {0};
	int rc;

	if (!request)
		return EX_OSERR;
	rc = parse(argc, argv, request);
	if (rc != 0) {
		rc = rc < 0 ? usage(stderr, EX_USAGE) : usage(stdout, EX_OK);
	} else {
		rc = run(request, &err);
		people_finish(&request->people);
	}
	free(request->names);
	free(request);
	return rc < 0 ? command_failed("import", &err) : rc;
}
