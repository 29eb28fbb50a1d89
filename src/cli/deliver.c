/*
 * valija deliver: the message on standard input goes into the maildrops of the named users, with
 * the same resolution, quota and durability as over LMTP. For MTAs' pipes and for filters. Exit
 * codes are those of sysexits; a failure that another try may mend is EX_TEMPFAIL. Started as root
 * it reads configuration and user database as root and becomes the owner of the mail before it
 * reads the message; otherwise it keeps its uid. See valija-deliver(1).
 */
#include "cli/deliver.h"

#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/deliver_input.h"
#include "cli/deliver_mbox.h"
#include "cli/maker.h"
#include "config/config.h"
#include "config/path.h"
#include "lmtp/headers.h"
#include "maildrop/store.h"
#include "users/site.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { DELIVER_ABSENT = 125 }; /* a result of the owner's step, beyond those of sysexits.h */

/* One maildrop that the message goes to. */
struct target {
	struct user user;
	const char *address; /* as named on the command line */
	uid_t uid;
	gid_t gid;
	int state_fd; /* of an mbox; 0: none */
};

struct deliver {
	struct config config;
	int users_dir_fd, aliases_dir_fd;
	struct maker maker; /* the mail folders, and whose they are */
	struct users *users;
	struct recipients *recipients;
	struct target *targets;
	size_t count;
	bool has_sender;
	char sender[LMTP_ADDRESS_MAX + 1];
	char id[17];
	int status; /* the exit code so far */
	struct deliver_input input;
};

static void complain(const char *about, const char *what)
{
	char subject[256], text[512];

	text_escape(subject, sizeof(subject) - 1, span_of(about));
	text_escape(text, sizeof(text) - 1, span_of(what));
	fprintf(stderr, "valija deliver: %s%s%s\n", subject, subject[0] ? ": " : "", text);
}

/* Several recipients share one exit code: EX_TEMPFAIL if another try may mend any failure, else the
 * first permanent failure. */
static void note_status(struct deliver *deliver, int status)
{
	if (status == EX_TEMPFAIL || deliver->status == EX_OK)
		deliver->status = status;
}

/* ---- preparation ---- */

static int open_databases(struct deliver *deliver, struct err *err)
{
	const struct config *config = &deliver->config;

	if (maker_init(&deliver->maker, config, err) < 0 ||
	    config_open_parent(config->users, &deliver->users_dir_fd, err) < 0 ||
	    (config->aliases[0] &&
	     config_open_parent(config->aliases, &deliver->aliases_dir_fd, err) < 0)) {
		err->code = EX_TEMPFAIL; /* the MTA tries again */
		return -1;
	}
	if (site_users_open(config, deliver->users_dir_fd, &deliver->users, err) < 0 ||
	    site_recipients_open(config, deliver->aliases_dir_fd, deliver->users,
				 &deliver->recipients, err) < 0)
		return -1;
	return 0;
}

/* ---- recipients ---- */

static int add_target(struct deliver *deliver, const struct user *user, const char *address)
{
	struct target *target;
	struct target *grown;

	for (size_t i = 0; i < deliver->count; i++)
		if (user_name_same(span_of(deliver->targets[i].user.name), span_of(user->name)))
			return 0;
	grown = reallocarray(deliver->targets, deliver->count + 1, sizeof(*grown));
	if (!grown)
		return -1;
	deliver->targets = grown;
	target = &grown[deliver->count];
	target->user = *user;
	target->address = address;
	explicit_bzero(target->user.secret, sizeof(target->user.secret));
	if (geteuid() == 0 &&
	    maker_owner(&deliver->maker, &target->user, &target->uid, &target->gid) < 0) {
		complain(address, "the maildrop belongs to root, but the mail does not");
		note_status(deliver, EX_TEMPFAIL);
		return 0;
	}
	target->state_fd = maker_state(&deliver->maker, &target->user, target->uid, target->gid);
	deliver->count++;
	return 0;
}

static void resolve(struct deliver *deliver, const char *address)
{
	struct user *users = calloc(RECIPIENT_USERS_MAX, sizeof(*users));
	struct err err = {.text = "out of memory"};
	enum recipient_status status = RECIPIENT_DOWN;
	size_t count = 0;

	if (users)
		status = recipients_find(deliver->recipients, span_of(address), users,
					 RECIPIENT_USERS_MAX, &count, &err);
	for (size_t i = 0; i < count && status == RECIPIENT_FOUND; i++)
		if (add_target(deliver, &users[i], address) < 0)
			status = RECIPIENT_DOWN;
	if (status == RECIPIENT_UNKNOWN) {
		complain(address, "no such user");
		note_status(deliver, EX_NOUSER);
	} else if (status == RECIPIENT_DOWN) {
		complain(address, err.text);
		note_status(deliver, EX_TEMPFAIL);
	}
	if (users)
		explicit_bzero(users, RECIPIENT_USERS_MAX * sizeof(*users));
	free(users);
}

/* ---- one delivery ---- */

static int status_of(const struct deliver *deliver, enum maildrop_status status)
{
	switch (status) {
	case MAILDROP_OK:
		return EX_OK;
	case MAILDROP_OVER_QUOTA:
		return deliver->config.quota_permanent ? EX_CANTCREAT : EX_TEMPFAIL;
	case MAILDROP_IN_USE:
	case MAILDROP_TEMP:
	case MAILDROP_PERM: /* a person must mend it; until then the message waits in the MTA's
			       queue */
	case MAILDROP_GONE:
	case MAILDROP_ABSENT:
	case MAILDROP_WAIT:
	case MAILDROP_LOST:
	case MAILDROP_UNKNOWN:
	case MAILDROP_CANCELLED:
	case MAILDROP_NEEDS_UTF8:
	case MAILDROP_ELSEWHERE:
	case MAILDROP_REFUSED:
	case MAILDROP_TOO_SOON:
	case MAILDROP_GUARDED:
	case MAILDROP_UNPROVEN:
	case MAILDROP_FULL:
		break;
	}
	return EX_TEMPFAIL;
}

struct step {
	struct deliver *deliver;
	const struct target *target;
};

/* As the owner of the mail. */
static int deliver_one(void *context, struct err *err)
{
	const struct step *step = context;
	struct deliver *deliver = step->deliver;
	const struct target *target = step->target;
	const struct config *config = &deliver->config;
	struct site_quota quota = site_quota(config, &target->user);
	struct maker_root *root = maker_root(&deliver->maker, &target->user);
	struct maildrop_settings settings = {
		.driver = store_driver(root->store),
		.store_crlf = config->store_crlf,
		.host_name = config->host_name,
		.retention = {.keep_seconds = config->keep_deleted_seconds,
			      .keep_octets = config->keep_octets},
		.root = &root->root,
		.guard = &root->guard,
		.state_fd = target->state_fd};
	struct lmtp_trace trace = {.sender = span_of(deliver->sender),
				   .recipient = span_of(target->address),
				   .host_name = span_of(config->host_name),
				   .protocol = SPAN_LITERAL("local"),
				   .id = span_of(deliver->id),
				   .time = time(NULL)};
	char headers[LMTP_HEADERS_MAX];
	struct maildrop_delivery delivery = {
		.message_fd = deliver->input.fd,
		.message_size = deliver->input.size,
		.headers = {headers, lmtp_headers_render(&trace, headers, sizeof(headers))},
		.quota = {quota.messages, quota.octets}};
	enum maildrop_status status =
		maildrop_deliver(&settings, root->fd, user_home(&target->user), &delivery, err);

	return status == MAILDROP_ABSENT ? DELIVER_ABSENT : status_of(deliver, status);
}

/* As in a keeper: a maildrop that is not there is made, then the message is delivered. */
static int deliver_to(struct deliver *deliver, const struct target *target)
{
	struct step step = {deliver, target};
	struct err err = {0};
	int status = maker_as_owner(target->uid, target->gid, deliver_one, &step, &err);

	if (status == DELIVER_ABSENT) {
		status = maker_make(&deliver->maker, &target->user, target->uid, target->gid, &err);
		if (status == 0)
			status = maker_as_owner(target->uid, target->gid, deliver_one, &step, &err);
	}
	if (status == EX_OK)
		return EX_OK;
	complain(target->user.name, err.text[0] ? err.text : "cannot be delivered");
	return status < 0 || status == DELIVER_ABSENT ? EX_TEMPFAIL : status;
}

/* The message comes from outside: it is read with the rights of the mail's owner, not root's. */
static int read_message(struct deliver *deliver, struct err *err)
{
	const struct maker_root *owner = &deliver->maker.roots[0];
	bool root = geteuid() == 0;
	int rc;

	if (root && (setgroups(0, NULL) < 0 || setegid(owner->gid) < 0 || seteuid(owner->uid) < 0))
		return err_sys(err, EX_TEMPFAIL, errno, "cannot become the owner of the mail");
	rc = deliver_input_read(STDIN_FILENO, deliver->config.lmtp_max_size, &deliver->input, err);
	if (root && (seteuid(0) < 0 || setegid(0) < 0))
		return err_sys(err, EX_TEMPFAIL, errno, "cannot be root again");
	return rc;
}

static void choose_sender(struct deliver *deliver, const char *option)
{
	const char *environment = getenv("SENDER");

	if (option) {
		/* an odd address is no reason to return mail: the message gets the null sender */
		if (!deliver_sender(option, strlen(option), deliver->sender))
			complain(option, "not an address, taken as the null sender");
	} else if (deliver->input.has_sender) {
		memcpy(deliver->sender, deliver->input.sender, sizeof(deliver->sender));
	} else if (environment) {
		deliver_sender(environment, strlen(environment), deliver->sender);
	}
}

static void make_id(char id[17])
{
	unsigned char octets[8] = {0};

	if (getrandom(octets, sizeof(octets), GRND_NONBLOCK) < 0)
		octets[0] = (unsigned char)getpid();
	hex_encode(octets, sizeof(octets), id);
}

/* ---- the command ---- */

struct options {
	const char *config, *sender, *mbox;
};

static int usage(FILE *out, int status)
{
	fputs("usage: valija deliver [-c CONF] [-f SENDER] USER...\n"
	      "       valija deliver [-f SENDER] -m FILE\n"
	      "       the message is read from standard input; see valija-deliver(1)\n",
	      out);
	return status;
}

static int run(struct deliver *deliver, const struct options *options, char **addresses,
	       struct err *err)
{
	if (config_load(command_config(options->config), &deliver->config, err) < 0)
		return EX_TEMPFAIL;
	maker_find_stores(&deliver->config);
	if (open_databases(deliver, err) < 0)
		return EX_TEMPFAIL; /* errors of the configuration as well: mail must not bounce for
				       them */
	for (; *addresses; addresses++)
		resolve(deliver, *addresses);
	if (deliver->count == 0)
		return EX_OK;
	if (read_message(deliver, err) < 0)
		return err->code;
	choose_sender(deliver, options->sender);
	make_id(deliver->id);
	for (size_t i = 0; i < deliver->count; i++)
		note_status(deliver, deliver_to(deliver, &deliver->targets[i]));
	return EX_OK;
}

static void finish(struct deliver *deliver)
{
	int fds[] = {deliver->users_dir_fd, deliver->aliases_dir_fd};

	maker_finish(&deliver->maker);
	recipients_close(deliver->recipients);
	users_close(deliver->users);
	deliver_input_finish(&deliver->input);
	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(deliver->targets);
	free(deliver);
}

int deliver_main(int argc, char **argv)
{
	struct options options = {NULL, NULL, NULL};
	struct deliver *deliver;
	struct err err = {0};
	int option, failed;

	while ((option = getopt(argc, argv, "+c:f:hm:")) != -1) {
		if (option == 'c')
			options.config = optarg;
		else if (option == 'f')
			options.sender = optarg;
		else if (option == 'm')
			options.mbox = optarg;
		else
			return option == 'h' ? usage(stdout, EX_OK) : usage(stderr, EX_USAGE);
	}
	if ((optind == argc) != (options.mbox != NULL) || (options.mbox && options.config))
		return usage(stderr, EX_USAGE);
	log_open("valija deliver", LOG_LEVEL_WARNING);
	if (options.mbox) {
		failed = deliver_mbox(options.mbox, options.sender, &err);
		if (failed != EX_OK)
			complain("", err.text);
		return failed;
	}
	deliver = calloc(1, sizeof(*deliver));
	if (!deliver)
		return EX_TEMPFAIL;
	deliver->users_dir_fd = deliver->aliases_dir_fd = -1;
	deliver->input.fd = -1;
	failed = run(deliver, &options, argv + optind, &err);
	if (failed != EX_OK) {
		complain("", err.text);
		note_status(deliver, failed);
	}
	failed = deliver->status;
	finish(deliver);
	return failed;
}
