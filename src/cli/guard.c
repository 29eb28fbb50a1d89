/*
 * `valija guard`: what the guard of unique ids knows of users' maildrops (maildrop/guard.h), and a
 * person's decision that one is right as it is. What is done in the mail is done as its owner; the
 * register is written as the caller, behind it: who is interrupted calls it again.
 */
#include "cli/guard.h"

#include "base/text.h"
#include "cli/command.h"
#include "cli/mailbox.h"
#include "cli/name_list.h"
#include "config/path.h"
#include "maildrop/store.h"
#include "users/site.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <syslog.h>
#include <unistd.h>

/* What the process of the mail's owner found. */
struct found {
	struct guard_facts facts;
	bool lost_ids;
	uint32_t messages;
};

struct request {
	const char *config;
	bool accepts;
	char **names;
	int count;
	struct mailbox *mailbox;
	struct found *found; /* shared with that process */
};

static int usage(FILE *out, int status)
{
	fputs("usage: valija guard [show] [-c CONF] [USER...]\n"
	      "       valija guard accept [-c CONF] USER...\n"
	      "show says what is known of the unique ids of users' maildrops, and without a\n"
	      "user which maildrops are refused; accept: that a maildrop is right as it is,\n"
	      "though its folders or unique ids are not those it had.\n",
	      out);
	return status;
}

static int parse(int argc, char **argv, struct request *ret)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int c;

	if (argc > 1 && (strcmp(argv[1], "accept") == 0 || strcmp(argv[1], "show") == 0)) {
		ret->accepts = strcmp(argv[1], "accept") == 0;
		argc--;
		argv++;
	}
	optind = 0;
	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (c == 'h')
			return 1;
		if (c != 'c')
			return -1;
		ret->config = optarg;
	}
	ret->names = argv + optind;
	ret->count = argc - optind;
	return ret->count > 0 || !ret->accepts ? 0 : -1;
}

/* ---- as the owner of the mail ---- */

static void note(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "valija guard: %s\n", text);
}

static bool has_ids_file(struct mailbox *mailbox)
{
	struct err ignored;
	int folder = mailbox_folder(mailbox, &ignored);
	struct stat st;
	bool has = folder >= 0 && fstatat(folder, "valija-uidl", &st, AT_SYMLINK_NOFOLLOW) == 0;

	if (folder >= 0)
		close(folder);
	return has;
}

/* The index becomes the one of what is there. */
static int carry_out(void *context, struct err *err)
{
	struct request *request = context;
	struct mailbox *mailbox = request->mailbox;
	struct maker_root *root = maker_root(&mailbox->maker, &mailbox->user);
	struct maildrop_settings settings = {.driver = store_driver(STORE_MAILDIR),
					     .host_name = mailbox->config.host_name,
					     .root = &root->root,
					     .guard_accepts = true,
					     .note = note};
	struct found *found = request->found;
	struct maildrop_snapshot snapshot;
	enum maildrop_status status;
	struct maildrop *maildrop;

	status = mailbox_open_maildrop(mailbox, &settings, &maildrop, err);
	if (status == MAILDROP_ABSENT)
		return err_set(err, EX_NOINPUT,
			       "the user has no maildrop: restore it, or, if it was removed on "
			       "purpose, valija mark --forget");
	if (status < 0) {
		err->code = err->code ? err->code : EX_TEMPFAIL;
		return -1;
	}
	maildrop_snapshot(maildrop, &snapshot);
	memcpy(found->facts.folders, snapshot.folders, sizeof(found->facts.folders));
	found->facts.has = GUARD_FILES | (snapshot.has_ids ? GUARD_IDS : 0u);
	(void)span_copy(span_of(snapshot.rule ? snapshot.rule : ""), found->facts.rule,
			sizeof(found->facts.rule));
	found->lost_ids = !has_ids_file(mailbox);
	found->messages = snapshot.count;
	maildrop_close(maildrop);
	return EX_OK;
}

/* ---- as the caller ---- */

static int no_register(struct err *err)
{
	return err_set(err, EX_CANTCREAT, "there is no state folder: set STATE_DIRECTORY");
}

static int accept_one(struct request *request, const char *name, struct err *err)
{
	struct mailbox *mailbox = request->mailbox;
	struct maker_root *root = maker_root(&mailbox->maker, &mailbox->user);
	const char *home = user_home(&mailbox->user);
	const struct found *found = request->found;
	int rc;

	if (!root->reg)
		return no_register(err);
	memset(request->found, 0, sizeof(*request->found));
	rc = mailbox_as_owner(mailbox, carry_out, request, err);
	if (rc != EX_OK)
		return rc < 0 ? rc : -1;
	if (guard_accept(root->reg, span_of(home), &found->facts, found->lost_ids, err) < 0)
		return -1;
	syslog(LOG_NOTICE, "guard accept by-uid=%u maildrop=%s", (unsigned)getuid(), home);
	printf("%s: maildrop %s is accepted with its %u messages\n", name, home, found->messages);
	return 0;
}

static int show_one(const struct request *request, const char *name, struct err *err)
{
	struct mailbox *mailbox = request->mailbox;
	struct maker_root *root = maker_root(&mailbox->maker, &mailbox->user);
	const char *home = user_home(&mailbox->user);
	const pop3_span none = {0};
	bool alarm, served, brought;

	if (!root->reg)
		return no_register(err);
	if (register_knows(root->reg, span_of(home), REGISTER_ALARM, none, &alarm, err) < 0 ||
	    register_knows(root->reg, span_of(home), REGISTER_SERVED, none, &served, err) < 0 ||
	    register_knows(root->reg, span_of(home), REGISTER_BROUGHT, none, &brought, err) < 0)
		return -1;
	printf("%s: maildrop %s: %s%s%s\n", name, home,
	       served ? "its folders are known" : "no session had it yet",
	       brought ? ", unique ids were brought" : "",
	       alarm ? "; REFUSED since it is not the one it was: the log says why" : "");
	return 0;
}

static int each(struct request *request, const char *name, struct err *err)
{
	int rc = mailbox_open(request->mailbox, request->config, name, err);

	if (rc == 0 && mailbox_is_mbox(request->mailbox))
		rc = err_set(err, EX_UNAVAILABLE,
			     "the mail of %s is an mbox, whose unique ids are made of the messages "
			     "themselves",
			     name);
	if (rc == 0)
		rc = request->accepts ? accept_one(request, name, err)
				      : show_one(request, name, err);
	mailbox_close(request->mailbox);
	return rc;
}

/* ---- without a user ---- */

struct search {
	struct mailbox *mailbox;
	struct users *users;
	uint64_t looked_at, refused, failed;
};

/* Says nothing of a maildrop that is served. */
static int look_at(struct search *search, const char *name, struct err *err)
{
	struct mailbox *mailbox = search->mailbox;
	struct maker_root *root;
	bool alarm;

	if (mailbox_find(&mailbox->config, search->users, name, &mailbox->user, err) != USERS_FOUND)
		return -1;
	root = maker_root(&mailbox->maker, &mailbox->user);
	search->looked_at++;
	if (mailbox_is_mbox(mailbox))
		return 0;
	if (!root->reg)
		return no_register(err);
	if (register_knows(root->reg, span_of(user_home(&mailbox->user)), REGISTER_ALARM,
			   (pop3_span){0}, &alarm, err) < 0)
		return -1;
	search->refused += alarm;
	if (alarm)
		printf("%s: maildrop %s: REFUSED since it is not the one it was: the log says "
		       "why\n",
		       name, user_home(&mailbox->user));
	return 0;
}

static int look_at_one(void *context, const char *name)
{
	struct search *search = context;
	struct err err = {0};

	if (look_at(search, name, &err) == 0)
		return 0;
	search->failed++;
	fprintf(stderr, "valija guard: %s: %s\n", name, err.text);
	return 0;
}

static int show_refused(const struct request *request, struct err *err)
{
	struct mailbox *mailbox = request->mailbox;
	struct search search = {.mailbox = mailbox};
	int fd = -1, rc = -1;

	if (config_load(command_config(request->config), &mailbox->config, err) < 0)
		return -1;
	maker_find_stores(&mailbox->config);
	if (maker_init(&mailbox->maker, &mailbox->config, err) == 0 &&
	    config_open_parent(mailbox->config.users, &fd, err) == 0 &&
	    site_users_open(&mailbox->config, fd, &search.users, err) == 0)
		rc = name_list_each(&(struct name_list){0},
				    &(struct name_list_all){&mailbox->config, search.users, "guard",
							    "name them"},
				    look_at_one, &search, err);
	users_close(search.users);
	if (fd >= 0)
		close(fd);
	mailbox_close(mailbox);
	if (rc < 0)
		return -1;
	printf("%llu users, %llu maildrops are refused\n", (unsigned long long)search.looked_at,
	       (unsigned long long)search.refused);
	return search.failed ? EX_TEMPFAIL : EX_OK;
}

int guard_main(int argc, char **argv)
{
	struct request request = {0};
	int rc = parse(argc, argv, &request), status = EX_OK;

	if (rc != 0)
		return rc < 0 ? usage(stderr, EX_USAGE) : usage(stdout, EX_OK);
	openlog("valija", LOG_PID, LOG_MAIL);
	request.mailbox = calloc(1, sizeof(*request.mailbox));
	request.found = mmap(NULL, sizeof(*request.found), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!request.count && request.mailbox) {
		struct err err = {0};

		status = show_refused(&request, &err);
		if (status < 0)
			status = command_failed("guard", &err);
	}
	for (int i = 0; i < request.count; i++) {
		struct err err = {0};

		if (!request.mailbox || request.found == MAP_FAILED)
			rc = err_set(&err, EX_OSERR, "out of memory");
		else
			rc = each(&request, request.names[i], &err);
		if (rc < 0)
			status = command_failed("guard", &err);
	}
	free(request.mailbox);
	if (fflush(stdout) != 0)
		return EX_IOERR;
	return status;
}
