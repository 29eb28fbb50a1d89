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
#include "config/config.h"
#include "config/path.h"
#include "lmtp/headers.h"
#include "maildrop/mail_root.h"
#include "maildrop/maildir/maildir.h"
#include "maildrop/maildrop.h"
#include "maildrop/register.h"
#include "users/site.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* As in a keeper: a maildrop that is not there is made, then the message is delivered. */
enum step { STEP_DELIVER, STEP_MAKE };
enum { STEP_ABSENT = 125 }; /* an exit code of the owner's process, beyond those of sysexits.h */

/* One maildrop that the message goes to. */
struct target {
	struct user user;
	const char *address; /* as named on the command line */
	uid_t uid;
	gid_t gid;
};

struct deliver {
	struct config config;
	int users_dir_fd, aliases_dir_fd, mail_fd;
	struct mail_root root;     /* what is known of mail_fd */
	struct mail_register *reg; /* NULL: there is no place for one */
	struct users *users;
	struct recipients *recipients;
	struct target *targets;
	size_t count;
	uid_t mail_uid;
	gid_t mail_gid;
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
	char file[MAIL_ROOT_MEMORY_MAX];
	struct stat st;

	if (config_open_directory(config->mail, O_RDONLY, &deliver->mail_fd, err) < 0 ||
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
	if (fstat(deliver->mail_fd, &st) < 0)
		return err_sys(err, EX_TEMPFAIL, errno, "cannot look at %s", config->mail);
	mail_root_look(deliver->mail_fd, config->mail, &deliver->root);
	if (mail_root_register(&deliver->root, file) == 0)
		deliver->reg = register_create(file);
	deliver->mail_uid = st.st_uid;
	deliver->mail_gid = st.st_gid;
	return 0;
}

/* ---- recipients ---- */

/* Finds the owner of the files: the maildrop's owner, if it exists, else the mail root's. */
static int find_owner(const struct deliver *deliver, struct target *target)
{
	struct stat st;

	target->uid = deliver->mail_uid;
	target->gid = deliver->mail_gid;
	if (fstatat(deliver->mail_fd, user_home(&target->user), &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISDIR(st.st_mode))
		return 0;
	if (st.st_uid == 0 && deliver->mail_uid != 0)
		return -1;
	target->uid = st.st_uid;
	target->gid = st.st_gid;
	return 0;
}

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
	if (geteuid() == 0 && find_owner(deliver, target) < 0) {
		complain(address, "the maildrop belongs to root, but the mail does not");
		note_status(deliver, EX_TEMPFAIL);
		return 0;
	}
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
	case MAILDROP_FULL:
		break;
	}
	return EX_TEMPFAIL;
}

static int deliver_one(struct deliver *deliver, const struct target *target, enum step step)
{
	const struct config *config = &deliver->config;
	struct site_quota quota = site_quota(config, &target->user);
	struct maildrop_settings settings = {.driver = &maildir_driver,
					     .store_crlf = config->store_crlf,
					     .host_name = config->host_name,
					     .root = &deliver->root};
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
	struct err err = {0};
	enum maildrop_status status =
		step == STEP_MAKE
			? maildrop_make(&settings, deliver->mail_fd, user_home(&target->user), &err)
			: maildrop_deliver(&settings, deliver->mail_fd, user_home(&target->user),
					   &delivery, &err);

	if (status == MAILDROP_ABSENT)
		return STEP_ABSENT;
	if (status != MAILDROP_OK)
		complain(target->user.name, err.text[0] ? err.text : "cannot be delivered");
	return status_of(deliver, status);
}

/* As root: a child becomes the owner for good, so that no right of root is left in it. */
static int deliver_as_owner(struct deliver *deliver, const struct target *target, enum step step)
{
	pid_t pid = fork(), ended;
	int status = 0;

	if (pid < 0) {
		complain("fork", strerror(errno));
		return EX_TEMPFAIL;
	}
	if (pid == 0) {
		if (seteuid(0) < 0 || setgroups(0, NULL) < 0 ||
		    setresgid(target->gid, target->gid, target->gid) < 0 ||
		    setresuid(target->uid, target->uid, target->uid) < 0) {
			complain("cannot become the owner of the mail", strerror(errno));
			_exit(EX_TEMPFAIL);
		}
		_exit(deliver_one(deliver, target, step));
	}
	do
		ended = waitpid(pid, &status, 0);
	while (ended < 0 && errno == EINTR);
	if (ended == pid && WIFEXITED(status))
		return WEXITSTATUS(status);
	complain(target->user.name, "the delivering process died");
	return EX_TEMPFAIL;
}

static int take_step(struct deliver *deliver, const struct target *target, enum step step)
{
	return geteuid() == 0 ? deliver_as_owner(deliver, target, step)
			      : deliver_one(deliver, target, step);
}

/* The register is somebody else's: an MTA calls the command as the owner of the mail, and the state
 * folder is root's. The server enters the maildrop when it first meets it. */
static bool not_ours(const struct err *err)
{
	return geteuid() != 0 && (err->errnum == EACCES || err->errnum == EPERM ||
				  err->errnum == EROFS || err->errnum == ENOENT);
}

/* Enters the maildrop in the register, on the disk, before and after it is made; as the one who
 * called the command, not as the owner of the mail. */
static int enter(struct deliver *deliver, const struct target *target, enum register_kind kind)
{
	pop3_span home = span_of(user_home(&target->user));
	enum register_kind is = REGISTER_NONE;
	struct err err = {0};
	int rc = 0;

	if (!deliver->reg)
		return 0; /* no place for one: it is known by its folder alone */
	if (rc == 0 && kind == REGISTER_MAKING)
		rc = register_find(deliver->reg, home, &is, &err);
	if (rc == 0 && is == REGISTER_MADE)
		rc = err_set(
			&err, EX_TEMPFAIL,
			"the maildrop is not there, but it was before: mount its filesystem, or "
			"restore it; if it was removed on purpose: valija mark --forget %s %s",
			home.data, deliver->config.mail);
	if (rc == 0) {
		rc = register_enter(deliver->reg, home, kind, REGISTER_NOW, &err);
		rc = rc < 0 && not_ours(&err) ? 0 : rc;
	}
	if (rc < 0)
		complain(target->user.name, err.text);
	return rc;
}

static int deliver_to(struct deliver *deliver, const struct target *target)
{
	int status = take_step(deliver, target, STEP_DELIVER);

	if (status != STEP_ABSENT)
		return status;
	if (enter(deliver, target, REGISTER_MAKING) < 0)
		return EX_TEMPFAIL;
	status = take_step(deliver, target, STEP_MAKE);
	if (status != EX_OK)
		return status == STEP_ABSENT ? EX_TEMPFAIL : status;
	if (enter(deliver, target, REGISTER_MADE) < 0)
		return EX_TEMPFAIL;
	status = take_step(deliver, target, STEP_DELIVER);
	return status == STEP_ABSENT ? EX_TEMPFAIL : status;
}

/* The message comes from outside: it is read with the rights of the mail's owner, not root's. */
static int read_message(struct deliver *deliver, struct err *err)
{
	bool root = geteuid() == 0;
	int rc;

	if (root && (setgroups(0, NULL) < 0 || setegid(deliver->mail_gid) < 0 ||
		     seteuid(deliver->mail_uid) < 0))
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
	const char *config, *sender;
};

static int usage(FILE *out, int status)
{
	fputs("usage: valija deliver [-c CONF] [-f SENDER] USER...\n"
	      "       the message is read from standard input; see valija-deliver(1)\n",
	      out);
	return status;
}

static int run(struct deliver *deliver, const struct options *options, char **addresses,
	       struct err *err)
{
	if (config_load(command_config(options->config), &deliver->config, err) < 0 ||
	    open_databases(deliver, err) < 0)
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
	int fds[] = {deliver->users_dir_fd, deliver->aliases_dir_fd, deliver->mail_fd};

	register_destroy(deliver->reg);
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
	struct options options = {NULL, NULL};
	struct deliver *deliver;
	struct err err = {0};
	int option, failed;

	while ((option = getopt(argc, argv, "+c:f:h")) != -1) {
		if (option == 'c')
			options.config = optarg;
		else if (option == 'f')
			options.sender = optarg;
		else
			return option == 'h' ? usage(stdout, EX_OK) : usage(stderr, EX_USAGE);
	}
	if (optind == argc)
		return usage(stderr, EX_USAGE);
	log_open("valija deliver", LOG_LEVEL_WARNING);
	deliver = calloc(1, sizeof(*deliver));
	if (!deliver)
		return EX_TEMPFAIL;
	deliver->users_dir_fd = deliver->aliases_dir_fd = deliver->mail_fd = -1;
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
