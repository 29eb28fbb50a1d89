/*
 * valija migrate: mail of users with the field migrate moves here from the POP3 server that has it,
 * which goes on serving meanwhile. For each user a round of two processes is started, as often as
 * it takes: one that dials (dialer.h), one that writes (writer.h). Runs with the rights of its
 * caller, usually root; it has no mail and dials nowhere. See valija-migrate(1).
 */
#include "cli/migrate/migrate.h"

#include "base/descriptor.h"
#include "base/secret.h"
#include "base/text.h"
#include "cli/asker.h"
#include "cli/command.h"
#include "cli/control_link.h"
#include "cli/migrate/dialer.h"
#include "cli/migrate/people.h"
#include "cli/migrate/writer.h"
#include "config/remote.h"
#include "sys/sandbox.h"
#include "users/lookups.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	CONTROL_SECONDS = 10,
	WAIT_SECONDS = 20,
	NAMELESS_MS = 5000,
	PAUSE_MS = 250,
	PAUSE_MAX_MS = 8000,
	CUTS_MAX = 3
};

struct migrate {
	const char *config_file;
	bool all, dry_run, undo, delete_there, accept, stopped;
	uint64_t rate, wait_seconds;
	struct name_list named;
	struct config config;
	struct maker maker;
	struct movers movers;
	struct writer_report *report; /* shared with the writers */
	int nameless;      /* sessions of which nobody knows whose they are, as of asked_at */
	uint64_t asked_at; /* now_ms; 0: never */
	/* counted */
	uint64_t users, switched, messages, copied, again, troubled, failed, left;
};

/* A user whose mail moves. */
struct move {
	const struct user *user;
	const struct config_remote *section;
	char login[256], source[512], path[512];
	uid_t uid;
	gid_t gid;
};

/* ---- arguments ---- */

static int usage(FILE *out, int status)
{
	fputs("usage: valija migrate [-c CONF] --all | --user NAME... [--dry-run]\n"
	      "                      [--rate OCTETS] [--wait SECONDS] [--delete-there]\n"
	      "                      [--accept-deleted] [--stopped]\n"
	      "       valija migrate [-c CONF] --undo --user NAME... [--dry-run]\n",
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

static int parse(int argc, char **argv, struct migrate *m)
{
	static const struct option options[] = {{"all", no_argument, NULL, 'a'},
						{"user", required_argument, NULL, 'u'},
						{"dry-run", no_argument, NULL, 'n'},
						{"rate", required_argument, NULL, 'r'},
						{"wait", required_argument, NULL, 'w'},
						{"delete-there", no_argument, NULL, 'd'},
						{"accept-deleted", no_argument, NULL, 'A'},
						{"stopped", no_argument, NULL, 's'},
						{"undo", no_argument, NULL, 'U'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:nh", options, NULL)) != -1) {
		int rc = 0;

		if (c == 'c')
			m->config_file = optarg;
		else if (c == 'a')
			m->all = true;
		else if (c == 'u')
			name_list_add(&m->named, span_of(optarg));
		else if (c == 'n')
			m->dry_run = true;
		else if (c == 'r')
			rc = take_rate(optarg, &m->rate);
		else if (c == 'w')
			rc = span_number(span_of(optarg), 1u << 20, &m->wait_seconds);
		else if (c == 'd')
			m->delete_there = true;
		else if (c == 'A')
			m->accept = true;
		else if (c == 's')
			m->stopped = true;
		else if (c == 'U')
			m->undo = true;
		else
			return c == 'h' ? 1 : -1;
		if (rc < 0)
			return -1;
	}
	return optind == argc && m->all == !m->named.count && !(m->undo && m->all) ? 0 : -1;
}

/* ---- what the dialer gets ---- */

static int find_move(struct migrate *m, const struct user *user, struct move *ret, struct err *err)
{
	const struct config_remote *section = &m->config.remotes[user->migrate_section - 1];

	*ret = (struct move){.user = user, .section = section};
	if (user->remote_user[0])
		snprintf(ret->login, sizeof(ret->login), "%s", user->remote_user);
	else if (config_remote_login(section, span_of(user->name), ret->login, sizeof(ret->login)) <
		 0)
		return err_set(err, EX_CONFIG, "the name at %s does not fit", section->name);
	snprintf(ret->path, sizeof(ret->path), "%s/%s", section->name, user->name);
	snprintf(ret->source, sizeof(ret->source), "%s %s", section->name, ret->login);
	if (maker_owner(&m->maker, user, &ret->uid, &ret->gid) < 0)
		return err_set(err, EX_NOPERM,
			       "the maildrop belongs to root, but the mail does not: chown it");
	return 0;
}

/* The value of a name in "name NUL value NUL …"; -1: it is not there, or too long. */
static int find_value(const char *text, size_t size, const char *name, struct secret *ret)
{
	const char *at = text, *end = text + size;

	while (at < end) {
		const char *value = memchr(at, 0, (size_t)(end - at));
		const char *next = value ? memchr(value + 1, 0, (size_t)(end - value - 1)) : NULL;

		if (!next)
			return -1;
		if (strcmp(at, name) == 0)
			return secret_set(ret, span_of(value + 1));
		at = next + 1;
	}
	return -1;
}

static int section_secret(const struct migrate *m, const struct config_remote *section,
			  struct secret *ret, struct err *err)
{
	uint64_t size = 0;
	char *text = NULL;
	int fd = -1, rc = -1;

	if (remotes_open(&m->config, &fd, &size, err) < 0)
		return -1;
	if (fd >= 0 && size < 1 << 20)
		text = calloc(1, size + 1);
	if (text && pread(fd, text, size, 0) == (ssize_t)size)
		rc = find_value(text, size, section->name, ret);
	if (text)
		wipe(text, size);
	free(text);
	close_fd(&fd);
	return rc == 0 ? 0
		       : err_set(err, EX_CONFIG,
				 "there is no password for %s: the user has no remote_password, "
				 "and "
				 "the section no password_file",
				 section->name);
}

static int access_token(const struct migrate *m, const struct move *move, struct secret *ret,
			struct err *err)
{
	const struct config_database *database = &m->config.databases[move->section->database];
	struct asker_answer *answer = calloc(1, sizeof(*answer));
	char key[USER_NAME_MAX + 1];
	int rc;

	if (!answer)
		return err_set(err, EX_OSERR, "out of memory");
	rc = asker_access(&m->config, database, user_name_key(span_of(move->user->name), key),
			  answer, err);
	if (rc == 0 && (answer->status != LOOKUP_FOUND ||
			find_value(answer->fields, answer->size, "access_token", ret) < 0))
		rc = err_set(err, EX_TEMPFAIL,
			     "there is no access token: valija remote check %s%s%s",
			     move->user->name, answer->said[0] ? ": " : "", answer->said);
	wipe(answer, sizeof(*answer));
	free(answer);
	return rc;
}

static int find_secret(const struct migrate *m, const struct move *move, struct secret *ret,
		       struct err *err)
{
	if (move->section->credentials == CONFIG_REMOTE_OAUTH)
		return access_token(m, move, ret, err);
	if (move->user->remote_password[0])
		return secret_set(ret, span_of(move->user->remote_password));
	return section_secret(m, move->section, ret, err);
}

static pid_t start_dialer(const struct migrate *m, const struct move *move, int channel,
			  struct err *err)
{
	struct secret secret;
	pid_t pid = -1;

	secret_init(&secret);
	if (find_secret(m, move, &secret, err) == 0) {
		const struct dialer_order order = {.section = move->section,
						   .path = move->path,
						   .login = move->login,
						   .secret = {secret.bytes, secret.size}};

		pid = dialer_start(&order, channel, err);
	}
	secret_finish(&secret);
	return pid;
}

/* ---- the sessions of a user ---- */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Sessions in mail that a target has; name: but those of a known user. -1 with err. */
static int count_sessions(const struct migrate *m, const char *target, bool named, struct err *err)
{
	enum { FIELD_USER = 2, FIELD_STATE = 5 };
	struct control_link link;
	int rc, sessions = 0;

	if (control_link_open(&link, m->config_file, NULL, CONTROL_SECONDS, err) < 0)
		return -1;
	rc = control_link_ask(&link, "who", target, err);
	while (rc == 0 && (rc = control_link_next(&link, err)) > 0) {
		rc = 0;
		if (control_link_is(&link, "session", FIELD_STATE + 1) &&
		    strcmp(link.fields[FIELD_STATE], "mail") == 0)
			sessions += named || strcmp(link.fields[FIELD_USER], "-") == 0;
	}
	control_link_close(&link);
	return rc < 0 ? -1 : sessions;
}

/* The maildrop is locked, so no login that comes from now on opens it there; one that came before
 * is listed. Of sessions from before a restart of auth, which are few and end, nobody knows whose
 * they are: they are looked for once in a while. 1: none is open; 0: one may be; -1 with err:
 * nobody can tell. */
static int no_sessions(struct migrate *m, const struct user *user, struct err *err)
{
	int sessions;

	if (m->stopped)
		return 1;
	if (!m->asked_at || now_ms() - m->asked_at >= NAMELESS_MS) {
		sessions = count_sessions(m, NULL, false, err);
		if (sessions < 0)
			return -1;
		m->nameless = sessions;
		m->asked_at = now_ms();
	}
	sessions = count_sessions(m, user->name, true, err);
	return sessions < 0 ? -1 : sessions + m->nameless == 0;
}

/* ---- a round ---- */

struct round {
	int link[2], control[2]; /* [0]: the writer's end */
	pid_t writer, dialer;
};

static int make_channels(struct round *round, struct err *err)
{
	const struct timeval look = {.tv_usec = WRITER_LOOK_MS * 1000};

	*round = (struct round){{-1, -1}, {-1, -1}, -1, -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, round->link) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, round->control) < 0 ||
	    fcntl(round->link[1], F_SETFL, O_NONBLOCK) < 0 ||
	    setsockopt(round->link[0], SOL_SOCKET, SO_RCVTIMEO, &look, sizeof(look)) < 0)
		return err_sys(err, EX_OSERR, errno, "a pair of sockets");
	return 0;
}

/* As its owner: root may not reach it on another machine's filesystem. -1: err; errnum ENOENT: it
 * is not there. */
static int open_folder(const struct migrate *m, const struct move *move, struct err *err)
{
	bool root = geteuid() == 0;
	int fd;

	if (root && (setgroups(0, NULL) < 0 || setegid(move->gid) < 0 || seteuid(move->uid) < 0))
		return err_sys(err, EX_NOPERM, errno, "cannot become the owner of the mail");
	fd = maildrop_folder(m->maker.roots[move->user->root].fd, user_home(move->user), err);
	if (root && (seteuid(0) < 0 || setegid(0) < 0))
		return err_sys(err, EX_NOPERM, errno, "cannot be root again");
	return fd;
}

/* As a keeper: the owner of the mail for good, that maildrop alone, no network. */
static int confine(const struct move *move, int folder, struct err *err)
{
	struct sandbox sandbox = {.role = SANDBOX_KEEPER,
				  .change_ids = geteuid() == 0,
				  .uid = move->uid,
				  .gid = move->gid};

	if (folder >= 0)
		sandbox.paths[sandbox.path_count++] =
			(struct sandbox_path){folder, SANDBOX_READ | SANDBOX_WRITE};
	return sandbox_enter(&sandbox, err);
}

static void write_as_owner(const struct migrate *m, const struct move *move, struct round *round)
{
	struct maildrop_settings settings = {.driver = store_driver(STORE_MAILDIR),
					     .host_name = m->config.host_name};
	struct writer_job job = {.settings = &settings,
				 .home = user_home(move->user),
				 .source = move->source,
				 .channel = round->link[0],
				 .control = round->control[0],
				 .dry_run = m->dry_run,
				 .delete_there = m->delete_there,
				 .accept = m->accept,
				 .rate = m->rate};
	struct err err = {0};

	close_fd(&round->link[1]);
	close_fd(&round->control[1]);
	job.folder = open_folder(m, move, &err);
	if ((job.folder < 0 && !(m->dry_run && err.errnum == ENOENT)) ||
	    confine(move, job.folder, &err) < 0) {
		m->report->outcome = WRITER_FAILED;
		snprintf(m->report->why, sizeof(m->report->why), "%s", err.text);
		_exit(EX_OK);
	}
	writer_run(&job, m->report);
	_exit(EX_OK);
}

/* The writer has locked the maildrop: it gets a dialer, and learns whether it may switch. */
static void serve(struct migrate *m, const struct move *move, struct round *round)
{
	struct err err = {0};
	int none = m->dry_run ? 0 : no_sessions(m, move->user, &err);
	char octet;

	if (none < 0)
		movers_complain(move->user->name, err.text);
	round->dialer = start_dialer(m, move, round->link[1], &err);
	if (round->dialer < 0) {
		close_fd(&round->control[1]); /* it ends */
		while (waitpid(round->writer, NULL, 0) < 0 && errno == EINTR)
			;
		round->writer = -1;
		m->report->outcome = WRITER_FAILED;
		snprintf(m->report->why, sizeof(m->report->why), "%s", err.text);
		return;
	}
	close_fd(&round->link[1]);
	octet = none > 0 ? 'S' : 'C';
	(void)!write(round->control[1], &octet, 1);
}

static void end_round(struct round *round)
{
	close_fd(&round->link[1]);
	while (round->writer > 0 && waitpid(round->writer, NULL, 0) < 0 && errno == EINTR)
		;
	if (round->dialer > 0)
		kill(round->dialer, SIGKILL);
	while (round->dialer > 0 && waitpid(round->dialer, NULL, 0) < 0 && errno == EINTR)
		;
	for (int i = 0; i < 2; i++) {
		close_fd(&round->link[i]);
		close_fd(&round->control[i]);
	}
}

static int play_round(struct migrate *m, const struct move *move, struct err *err)
{
	struct round round;
	char octet;
	ssize_t n;

	*m->report = (struct writer_report){.outcome = WRITER_DIED};
	fflush(stdout);
	if (make_channels(&round, err) < 0) {
		end_round(&round);
		return -1;
	}
	round.writer = fork();
	if (round.writer == 0)
		write_as_owner(m, move, &round);
	close_fd(&round.link[0]);
	close_fd(&round.control[0]);
	while ((n = read(round.control[1], &octet, 1)) < 0 && errno == EINTR)
		;
	if (n == 1)
		serve(m, move, &round);
	end_round(&round);
	return 0;
}

/* ---- a user ---- */

/* The outcome changes by itself, perhaps soon. */
static bool may_change(enum writer_outcome outcome)
{
	return outcome == WRITER_YIELDED || outcome == WRITER_BUSY || outcome == WRITER_COPIED ||
	       outcome == WRITER_CUT;
}

static void sleep_ms(uint64_t ms)
{
	const struct timespec pause = {.tv_sec = (time_t)(ms / 1000),
				       .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&pause, NULL);
}

static int play_rounds(struct migrate *m, const struct move *move, uint64_t *ret_copied,
		       struct err *err)
{
	uint64_t until = now_ms() + m->wait_seconds * 1000, pause = PAUSE_MS;
	unsigned cuts = 0;

	for (;;) {
		if (play_round(m, move, err) < 0)
			return -1;
		*ret_copied += m->report->copied;
		cuts += m->report->outcome == WRITER_CUT;
		if (!may_change(m->report->outcome) || now_ms() >= until || cuts >= CUTS_MAX)
			return 0;
		sleep_ms(pause);
		pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
	}
}

static void say(const struct user *user, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(const struct user *user, const char *format, ...)
{
	char shown[4 * USER_NAME_MAX + 1];
	va_list arguments;

	text_show(shown, sizeof(shown) - 1, span_of(user->name));
	printf("%s: ", shown);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

static void fail(struct migrate *m, const struct user *user, const char *why)
{
	m->failed++;
	say(user, "%s", why);
}

static void count(struct migrate *m, const struct user *user, uint64_t copied)
{
	const struct writer_report *report = m->report;

	m->users++;
	m->messages += report->messages;
	m->copied += copied;
	m->again += report->again;
	m->troubled += report->again > 0;
	if (report->again)
		say(user,
		    "%" PRIu64 " of %" PRIu64
		    " messages are loaded again by clients that asked that server itself: RFC 1939 "
		    "forbids their unique ids",
		    report->again, report->messages);
}

static void tell(struct migrate *m, const struct user *user, uint64_t copied)
{
	const struct writer_report *report = m->report;

	switch (report->outcome) {
	case WRITER_SWITCHED:
		count(m, user, copied);
		m->switched += report->now;
		if (report->now)
			say(user, "%" PRIu64 " messages: the mail is here", report->messages);
		else if (copied)
			say(user, "%" PRIu64 " messages came late", copied);
		if (report->deleted)
			say(user, "%" PRIu64 " messages were deleted there", report->deleted);
		else if (report->why[0])
			say(user, "it is not known what was deleted there: %s", report->why);
		return;
	case WRITER_LOOKED:
		count(m, user, copied);
		return;
	case WRITER_COPIED:
		count(m, user, copied);
		m->left++;
		say(user,
		    "%" PRIu64 " messages are copied; a session is open: the switch comes "
		    "with a later call",
		    report->messages);
		return;
	case WRITER_REFUSED:
		count(m, user, copied);
		m->failed++;
		say(user,
		    "%" PRIu64 " of %" PRIu64
		    " messages cannot be had, so the mail stays there: %s",
		    report->refused, report->messages, report->why);
		return;
	case WRITER_YIELDED:
	case WRITER_BUSY:
		count(m, user, copied);
		m->left++;
		say(user, "%s: call this again later", report->why);
		return;
	case WRITER_CUT:
	case WRITER_FAILED:
		m->copied += copied;
		fail(m, user, report->why);
		return;
	case WRITER_DIED:
		m->copied += copied;
		fail(m, user, "the process that writes died");
		return;
	}
}

/* 1: it is there; 0: it is not, and was not made; -1 with err. */
static int make_maildrop(struct migrate *m, const struct move *move, struct err *err)
{
	struct maker_root *root = maker_root(&m->maker, move->user);
	struct stat st;

	if (root->store != STORE_MAILDIR)
		return err_set(err, EX_CONFIG,
			       "the mail folder %s does not have Maildirs: only a Maildir can be "
			       "moved to",
			       m->config.roots[move->user->root].path);
	if (fstatat(root->fd, user_home(move->user), &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	if (m->dry_run || m->undo)
		return 0;
	return maker_make(&m->maker, move->user, move->uid, move->gid, err) < 0 ? -1 : 1;
}

static void move_one(struct migrate *m, const struct user *user)
{
	struct err err = {0};
	uint64_t copied = 0;
	struct move move;

	if (find_move(m, user, &move, &err) < 0 || make_maildrop(m, &move, &err) < 0 ||
	    play_rounds(m, &move, &copied, &err) < 0)
		fail(m, user, err.text);
	else
		tell(m, user, copied);
	fflush(stdout);
}

/* ---- undo ---- */

struct undo {
	const struct migrate *m;
	const struct move *move;
};

static int undo_as_owner(void *context, struct err *err)
{
	const struct undo *undo = context;
	const struct migrate *m = undo->m;
	struct maildrop_settings settings = {.driver = store_driver(STORE_MAILDIR),
					     .host_name = m->config.host_name};
	const char *home = user_home(undo->move->user);
	int folder = maildrop_folder(m->maker.roots[undo->move->user->root].fd, home, err);
	enum maildrop_status status;

	if (folder < 0)
		return EX_NOINPUT;
	status = writer_undo(&settings, folder, home, undo->move->source, m->dry_run,
			     &m->report->before, err);
	close(folder);
	return status == MAILDROP_OK ? EX_OK : EX_TEMPFAIL;
}

static void undo_one(struct migrate *m, const struct user *user)
{
	struct err err = {0};
	struct move move;
	const struct undo undo = {m, &move};
	int there = find_move(m, user, &move, &err) < 0 ? -1 : make_maildrop(m, &move, &err);

	m->report->before = 0;
	if (there < 0 || (there > 0 && maker_as_owner(move.uid, move.gid, undo_as_owner,
						      (void *)(uintptr_t)&undo, &err) != EX_OK)) {
		fail(m, user, err.text);
		return;
	}
	m->users++;
	say(user, "%" PRIu64 " copies %s", m->report->before,
	    m->dry_run ? "would be removed" : "were removed");
}

/* ---- the command ---- */

static void print_totals(const struct migrate *m)
{
	if (m->dry_run)
		printf("%" PRIu64 " users, %" PRIu64 " messages, %" PRIu64
		       " of them to be copied, %" PRIu64 " would be loaded again (by %" PRIu64
		       " users); nothing was written\n",
		       m->users, m->messages, m->copied, m->again, m->troubled);
	else
		printf("%" PRIu64 " users, %" PRIu64 " messages, %" PRIu64
		       " of them copied now; the mail of %" PRIu64 " users is here since now\n",
		       m->users, m->messages, m->copied, m->switched);
	if (m->left)
		printf("%" PRIu64 " users wait for a later call\n", m->left);
	if (m->failed + m->movers.failed)
		printf("%" PRIu64 " users failed\n", m->failed + m->movers.failed);
}

static int run(struct migrate *m, struct err *err)
{
	m->report = mmap(NULL, sizeof(*m->report), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m->report == MAP_FAILED)
		return err_sys(err, EX_OSERR, errno, "out of memory");
	if (config_load(command_config(m->config_file), &m->config, err) < 0)
		return -1;
	maker_find_stores(&m->config);
	if (maker_init(&m->maker, &m->config, err) < 0 ||
	    movers_find(&m->movers, &m->config, &m->named, err) < 0)
		return -1;
	for (size_t i = 0; i < m->movers.count; i++)
		(m->undo ? undo_one : move_one)(m, &m->movers.users[i]);
	if (!m->undo)
		print_totals(m);
	if (fflush(stdout) != 0)
		return EX_IOERR;
	return m->failed + m->movers.failed + m->left ? EX_TEMPFAIL : EX_OK;
}

int migrate_main(int argc, char **argv)
{
	struct migrate *m;
	struct err err = {0};
	int rc;

	if (argc == 2 && strcmp(argv[1], "--dial") == 0)
		return dialer_main();
	m = calloc(1, sizeof(*m));
	if (!m)
		return EX_OSERR;
	m->wait_seconds = WAIT_SECONDS;
	rc = parse(argc, argv, m);
	if (rc != 0) {
		rc = rc < 0 ? usage(stderr, EX_USAGE) : usage(stdout, EX_OK);
	} else {
		signal(SIGPIPE, SIG_IGN);
		rc = run(m, &err);
		movers_finish(&m->movers);
		maker_finish(&m->maker);
	}
	name_list_finish(&m->named);
	free(m);
	return rc < 0 ? command_failed("migrate", &err) : rc;
}
