/*
 * `valija undelete`: messages that a user deleted, and that are still kept, are back in the
 * maildrop. For root, who may become the owner of the mail; all that is done there is done as that
 * owner, under the lock of a session, so that no session sees it happen. See valija-undelete(1).
 */
#include "cli/undelete.h"

#include "base/array.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/mailbox.h"
#include "maildrop/store.h"
#include "maildrop/undelete.h"
#include "users/site.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <syslog.h>
#include <unistd.h>

struct request {
	const char *config, *name;
	char **wanted; /* sessions and unique ids */
	int wanted_count;
	struct mailbox *mailbox;
	unsigned uid;        /* of the person */
	const char *session; /* whose lines are looked for */
	struct undelete_item *items;
	size_t count, room;
	bool failed; /* out of memory */
};

static int usage(FILE *out, int status)
{
	fputs("usage: valija undelete [-c CONF] USER SESSION|ID...\n"
	      "`valija deleted USER` lists sessions and unique ids.\n",
	      out);
	return status;
}

static int parse(int argc, char **argv, struct request *ret)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (c == 'h')
			return 1;
		if (c != 'c')
			return -1;
		ret->config = optarg;
	}
	if (argc - optind < 2)
		return -1;
	ret->name = argv[optind];
	ret->wanted = argv + optind + 1;
	ret->wanted_count = argc - optind - 1;
	return 0;
}

/* The person behind root: the one who logged in, where the kernel knows. */
static unsigned person(void)
{
	unsigned uid = getuid(), login;
	FILE *f = fopen("/proc/self/loginuid", "re");

	if (!f)
		return uid;
	if (fscanf(f, "%u", &login) == 1 && login != UINT32_MAX)
		uid = login;
	fclose(f);
	return uid;
}

/* ---- what is meant ---- */

static void add(struct request *request, const char *id, uint64_t inode)
{
	struct undelete_item *grown =
		array_grow(request->items, request->count, &request->room, sizeof(*grown));

	request->failed = request->failed || !grown;
	if (!grown)
		return;
	request->items = grown;
	grown[request->count] = (struct undelete_item){.inode = inode};
	snprintf(grown[request->count++].id, sizeof(grown->id), "%s", id);
}

/* A line of a session that is named. */
static void take_line(void *context, const struct deleted *deleted)
{
	struct request *request = context;
	char session[DELETED_TEXT_MAX];

	if (deleted->what == DELETED_BY_SESSION && deleted->by.front &&
	    strcmp(deleted_session(&deleted->by, session), request->session) == 0)
		add(request, deleted->id, deleted->inode);
}

static bool is_session(const char *text)
{
	unsigned long long front, session;
	int end = 0;

	return sscanf(text, "%16llx-%19llu%n", &front, &session, &end) == 2 && !text[end];
}

/* A word that looks like a session and is none in the journal is a unique id. */
static int find_word(struct request *request, int folder, const char *word, struct err *err)
{
	size_t before = request->count;

	request->session = word;
	if (strlen(word) > POP3_UNIQUE_ID_MAX)
		return err_set(err, EX_USAGE, "%s is too long for a unique id", word);
	if (is_session(word) && deleted_each(&maildrop_kernel, folder, take_line, request, err) < 0)
		return -1;
	if (request->count == before)
		add(request, word, 0);
	return 0;
}

static int find_items(struct request *request, struct err *err)
{
	int folder = mailbox_folder(request->mailbox, err), rc = 0;

	if (folder < 0)
		return -1;
	for (int i = 0; i < request->wanted_count && rc == 0; i++)
		rc = find_word(request, folder, request->wanted[i], err);
	close(folder);
	return request->failed ? err_set(err, EX_OSERR, "out of memory") : rc;
}

/* ---- what became of it ---- */

static const char *const words[] = {
	[UNDELETE_NOT_KEPT] = "is not kept (any more)",
	[UNDELETE_BACK] = "is back",
	[UNDELETE_THERE] = "is there",
	[UNDELETE_OVER_QUOTA] = "does not fit into the user's quota",
	[UNDELETE_NO_MESSAGE] = "is kept as no file of the mail's owner",
};

static bool is_good(enum undelete_outcome outcome)
{
	return outcome == UNDELETE_BACK || outcome == UNDELETE_THERE;
}

/* Returns how many are not there now. */
static size_t report(const struct request *request)
{
	size_t bad = 0;

	for (size_t i = 0; i < request->count; i++) {
		const struct undelete_item *item = &request->items[i];

		if (item->outcome == UNDELETE_BACK)
			syslog(LOG_NOTICE, "undelete by-uid=%u maildrop=%s id=%s", request->uid,
			       user_home(&request->mailbox->user), item->id);
		fprintf(is_good(item->outcome) ? stdout : stderr, "%s %s\n", item->id,
			words[item->outcome]);
		bad += !is_good(item->outcome);
	}
	return bad;
}

/* ---- as the owner of the mail ---- */

static void note(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "valija undelete: %s\n", text);
}

static int code_of(enum maildrop_status status, struct err *err)
{
	if (status == MAILDROP_ABSENT)
		return err_set(err, EX_NOINPUT, "the user has no maildrop");
	if (status == MAILDROP_IN_USE)
		return err_set(err, EX_TEMPFAIL,
			       "a session has the maildrop: try again, or end it with `valija "
			       "kick`");
	if (!err->code)
		err->code = EX_TEMPFAIL;
	return -1;
}

static int carry_out(void *context, struct err *err)
{
	struct request *request = context;
	struct mailbox *mailbox = request->mailbox;
	const struct config *config = &mailbox->config;
	struct site_quota quota = site_quota(config, &mailbox->user);
	struct maker_root *root = maker_root(&mailbox->maker, &mailbox->user);
	struct maildrop_settings settings = {
		.driver = store_driver(STORE_MAILDIR),
		.host_name = config->host_name,
		.root = &root->root,
		.guard = &root->guard,
		.note = note,
		/* what is not kept yet is not lost by this */
		.retention = {.keep_seconds = config->keep_deleted_seconds
						      ? config->keep_deleted_seconds
						      : UINT32_MAX}};
	struct undelete undelete = {.max_octets = quota.octets, .max_messages = quota.messages};
	enum maildrop_status status;
	struct maildrop *maildrop;

	snprintf(undelete.by.label, sizeof(undelete.by.label), "uid=%u", request->uid);
	status = mailbox_open_maildrop(mailbox, &settings, &maildrop, err);
	if (status < 0)
		return code_of(status, err);
	if (find_items(request, err) < 0) {
		maildrop_close(maildrop);
		return -1;
	}
	undelete.items = request->items;
	undelete.count = request->count;
	status = maildrop_undelete(maildrop, &undelete, err);
	maildrop_close(maildrop);
	if (report(request) && status == MAILDROP_OK)
		return EX_NOINPUT;
	if (fflush(stdout) != 0)
		return err_set(err, EX_IOERR, "cannot write what was done");
	return status == MAILDROP_OK ? EX_OK : code_of(status, err);
}

static int run(struct request *request, struct err *err)
{
	int rc;

	if (geteuid() != 0)
		return err_set(err, EX_NOPERM,
			       "only root brings deleted messages back: call this as root");
	rc = mailbox_open(request->mailbox, request->config, request->name, err);
	if (rc == 0)
		rc = mailbox_check_maildir(request->mailbox, err);
	if (rc == 0)
		rc = mailbox_as_owner(request->mailbox, carry_out, request, err);
	mailbox_close(request->mailbox);
	return rc;
}

int undelete_main(int argc, char **argv)
{
	struct request request = {.uid = person()};
	struct err err = {0};
	int rc = parse(argc, argv, &request);

	if (rc != 0)
		return rc < 0 ? usage(stderr, EX_USAGE) : usage(stdout, EX_OK);
	openlog("valija", LOG_PID, LOG_MAIL);
	request.mailbox = calloc(1, sizeof(*request.mailbox));
	rc = request.mailbox ? run(&request, &err) : err_set(&err, EX_OSERR, "out of memory");
	free(request.mailbox);
	free(request.items);
	return rc < 0 ? command_failed("undelete", &err) : rc;
}
