/*
 * The driver of the system's users: entries by the name service (entry.h), passwords by PAM. This
 * process has no rights: a worker thread asks the PAM server (server.h), which open() started while
 * the process was root, on a lane of its own. Passwords go through here and are wiped.
 */
#include "lookup/system/server.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "lookup/driver.h"
#include "lookup/system/pam.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	GRACE = 1000, /* milliseconds that the server has to answer after a deadline */
};

struct system {
	const struct lookup_database *database;
	struct entry_range range;
	const char *group, *maildir;
	bool has_pam;
	int lanes[SERVER_LANES_MAX];
	unsigned lane_count;
	atomic_uint next_lane;
};

/* A worker's way to the server. */
struct lane {
	int fd;
	uint64_t id; /* of its last question */
};

/* ---- entries ---- */

static bool to_lower(const char *name, char *buf, size_t size)
{
	size_t n = strlen(name);
	bool changed = false;

	if (n >= size)
		return false;
	for (size_t i = 0; i <= n; i++) {
		buf[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
		changed |= buf[i] != name[i];
	}
	return changed;
}

/* The system tells Anna from anna, a POP3 server does not: as it was written, else in small
 * letters; when there are both, neither can be meant. */
static enum entry_status find_either(const struct system *system, const char *name,
				     struct entry *ret, int *ret_errnum)
{
	enum entry_status status = entry_find(name, &system->range, ret, ret_errnum), lower_status;
	struct entry other;
	char lower[256];

	if ((status != ENTRY_FOUND && status != ENTRY_UNKNOWN) ||
	    !to_lower(name, lower, sizeof(lower)))
		return status;
	lower_status = entry_find(lower, &system->range, &other, ret_errnum);
	if (status == ENTRY_UNKNOWN && lower_status == ENTRY_FOUND)
		*ret = other;
	if (status == ENTRY_UNKNOWN || lower_status == ENTRY_DOWN)
		return lower_status;
	return lower_status == ENTRY_FOUND && other.uid != ret->uid ? ENTRY_BAD : status;
}

static bool is_own_domain(const struct system *system, const char *domain)
{
	const char *own;

	for (size_t i = 0; (own = lookup_item(system->database, "domains", i)); i++)
		if (*own && span_equal_nocase(span_of(own), span_of(domain)))
			return true;
	return false;
}

/* With its domain, as sssd may have it; then without, if the domain is one of the database's. */
static enum entry_status find_name(const struct system *system, const char *name, struct entry *ret,
				   int *ret_errnum)
{
	enum entry_status status = find_either(system, name, ret, ret_errnum);
	const char *at = strrchr(name, '@');
	char local[256];

	if (status != ENTRY_UNKNOWN || !at || !is_own_domain(system, at + 1) ||
	    span_copy((pop3_span){name, (size_t)(at - name)}, local, sizeof(local)) < 0 || !*local)
		return status;
	return find_either(system, local, ret, ret_errnum);
}

static void answer_status(enum entry_status status, int errnum, struct lookup_answer *answer)
{
	switch (status) {
	case ENTRY_FOUND:
		answer->status = LOOKUP_FOUND;
		break;
	case ENTRY_UNKNOWN:
		answer->status = LOOKUP_UNKNOWN;
		break;
	case ENTRY_DOWN:
		lookup_down(answer, "the name service (nsswitch.conf) fails: %s", strerror(errnum));
		break;
	case ENTRY_BAD:
		lookup_bad(answer, "its name or home is too long, the name service gave another "
				   "name, or two names differ in capital letters only");
		break;
	}
}

static bool check_group(const struct system *system, const struct entry *entry,
			struct lookup_answer *answer)
{
	int errnum = 0;

	if (!*system->group)
		return true;
	switch (entry_in_group(entry, system->group, &errnum)) {
	case ENTRY_FOUND:
		return true;
	case ENTRY_UNKNOWN:
		answer->status = LOOKUP_UNKNOWN;
		return false;
	case ENTRY_DOWN:
	case ENTRY_BAD:
		break;
	}
	lookup_down(answer, "the group %s: %s", system->group,
		    errnum ? strerror(errnum) : "there is none: make it, or mend group = …");
	return false;
}

/* Leaves *answer FOUND with entry and matched, or with why there is none. */
static void find_entry(const struct system *system, const struct lookup_question *question,
		       struct entry *entry, struct lookup_answer *answer)
{
	answer->status = LOOKUP_UNKNOWN;
	for (unsigned i = 0; i < question->name_count; i++) {
		int errnum = 0;
		enum entry_status status = find_name(system, question->names[i], entry, &errnum);

		if (status == ENTRY_UNKNOWN)
			continue;
		answer->matched = i;
		answer_status(status, errnum, answer);
		if (status == ENTRY_FOUND)
			check_group(system, entry, answer);
		return;
	}
}

/* Whether mail is in homes: not if `mail` has placeholders, unless maildir was written. */
static bool is_at_home(const struct system *system)
{
	const char *template;

	(void)config_database_mail(system->database->config, system->database->settings, &template);
	return !template[0] || lookup_item(system->database, "maildir", 0);
}

/* The location of an entry's mail: by its own spelling of the name, whatever the client's was. */
static void put_maildir(const struct system *system, const struct lookup_question *question,
			const struct entry *entry, struct lookup_answer *answer)
{
	struct lookup_question named = {
		.names = {entry->name}, .name_count = 1, .service = question->service};
	char path[CONFIG_PATH_MAX];
	struct err err;

	if (!*system->maildir)
		return;
	if (lookup_expand(system->maildir, &named, 0, NULL, path, sizeof(path), &err) < 0)
		lookup_bad(answer, "maildir = …: %s", err.text);
	else
		lookup_field(answer, "maildir", path, strlen(path));
}

/* The name goes along where it is the one that was asked for: anna@example.org has the mail of
 * anna, but goes by the name with the domain. */
static void put_fields(const struct system *system, const struct lookup_question *question,
		       const struct entry *entry, struct lookup_answer *answer)
{
	char number[16];

	if (strcasecmp(question->names[answer->matched], entry->name) == 0)
		lookup_field(answer, "user", entry->name, strlen(entry->name));
	if (is_at_home(system)) {
		lookup_field(answer, "home", entry->home, strlen(entry->home));
		put_maildir(system, question, entry, answer);
	}
	snprintf(number, sizeof(number), "%u", (unsigned)entry->uid);
	lookup_field(answer, "uid", number, strlen(number));
	snprintf(number, sizeof(number), "%u", (unsigned)entry->gid);
	lookup_field(answer, "gid", number, strlen(number));
}

/* ---- passwords ---- */

/* No question can be asked any more: the monitor starts this process and its server anew. */
static void server_gone(struct lookup_answer *answer, const char *why)
{
	lookup_down(answer, "the PAM server %s", why);
	answer->finished = true;
}

static int send_question(struct lane *lane, const struct lookup_question *question,
			 const struct entry *entry)
{
	struct frame_question frame = {.head = {++lane->id, question->deadline}};
	char packet[FRAME_QUESTION_MAX];
	ssize_t sent;
	size_t size;

	snprintf(frame.user, sizeof(frame.user), "%s", entry->name);
	snprintf(frame.address, sizeof(frame.address), "%s", question->address);
	memcpy(frame.secret, question->secret.data, question->secret.size);
	size = frame_put_question(&frame, packet);
	sent = send(lane->fd, packet, size, MSG_NOSIGNAL);
	wipe(&frame, sizeof(frame));
	wipe(packet, sizeof(packet));
	return sent == (ssize_t)size ? 0 : -1;
}

/* Returns 1 with a verdict, 0: not in time, -1: the server broke. */
static int await_verdict(struct lane *lane, const struct lookup_question *question,
			 struct frame_verdict *ret)
{
	for (;;) {
		struct pollfd polled = {.fd = lane->fd, .events = POLLIN};
		char packet[FRAME_VERDICT_SIZE + 1];
		unsigned left = lookup_time_left(question);
		int n = poll(&polled, 1, (int)left + GRACE);
		ssize_t size;

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			return 0;
		size = recv(lane->fd, packet, sizeof(packet), MSG_DONTWAIT);
		if (size <= 0 || frame_take_verdict((pop3_span){packet, (size_t)size}, ret) < 0)
			return -1;
		if (ret->id == lane->id) /* else: of a question that was given up */
			return 1;
	}
}

static void explain_down(uint32_t detail, struct lookup_answer *answer)
{
	if (detail < DETAIL_QUESTION)
		lookup_down(answer, "PAM: %s: see the system's log (auth)", pam_words(detail));
	else if (detail == DETAIL_HUNG)
		lookup_down(answer, "a module of PAM did not answer in time and was ended");
	else if (detail == DETAIL_DIED)
		lookup_down(answer, "a module of PAM crashed or ended the process");
	else if (detail == DETAIL_FULL)
		lookup_down(answer, "no process for PAM: the limit of processes, or modules that "
				    "hang and cannot be ended");
	else
		lookup_down(answer, "the PAM server refused the question");
}

static void take_verdict(const struct system *system, const struct lookup_question *question,
			 const struct frame_verdict *verdict, const struct entry *entry,
			 struct lookup_answer *answer)
{
	const char *database = system->database->settings->name;

	switch (verdict->verdict) {
	case VERDICT_RIGHT:
		put_fields(system, question, entry, answer);
		return;
	case VERDICT_WRONG:
		answer->status = LOOKUP_WRONG;
		return;
	case VERDICT_EXPIRED:
	case VERDICT_LOCKED:
		log_info("database %s: %s may not log in: %s", database, entry->name,
			 verdict->verdict == VERDICT_EXPIRED
				 ? "the account or its password has expired (chage -l)"
				 : "PAM's account phase refuses it");
		answer->status = LOOKUP_REFUSED;
		return;
	case VERDICT_DOWN:
	case VERDICT_END:
		break;
	}
	explain_down(verdict->detail, answer);
}

static struct lane *lane_of(struct system *system, void **connection)
{
	struct lane *lane = *connection;
	unsigned number;

	if (lane)
		return lane;
	number = atomic_fetch_add(&system->next_lane, 1);
	lane = number < system->lane_count ? calloc(1, sizeof(*lane)) : NULL;
	if (lane)
		lane->fd = system->lanes[number];
	*connection = lane;
	return lane;
}

/* answer is FOUND, without fields. */
static void verify(struct system *system, void **connection, const struct lookup_question *question,
		   const struct entry *entry, struct lookup_answer *answer)
{
	struct lane *lane = system->has_pam ? lane_of(system, connection) : NULL;
	struct frame_verdict verdict;
	int rc;

	if (!lane) {
		lookup_down(answer, "passwords of system users are checked by PAM, which needs "
				    "root: start valijad as root");
		return;
	}
	if (question->secret.size == 0 || question->secret.size >= FRAME_SECRET_MAX) {
		answer->status = LOOKUP_WRONG;
		return;
	}
	if (send_question(lane, question, entry) < 0) {
		server_gone(answer, "is gone");
		return;
	}
	rc = await_verdict(lane, question, &verdict);
	if (rc < 0)
		server_gone(answer, "is gone, or sent what is no verdict");
	else if (rc == 0)
		lookup_down(answer, "the PAM server does not answer");
	else
		take_verdict(system, question, &verdict, entry, answer);
}

static void ask(void *state, void **connection, const struct lookup_question *question,
		struct lookup_answer *answer)
{
	struct system *system = state;
	struct entry entry;

	if (question->kind == LOOKUP_TOKEN) {
		answer->status = LOOKUP_UNKNOWN;
		return;
	}
	find_entry(system, question, &entry, answer);
	if (answer->status != LOOKUP_FOUND)
		return;
	if (question->kind == LOOKUP_PASSWORD)
		verify(system, connection, question, &entry, answer);
	else
		put_fields(system, question, &entry, answer);
}

/* ---- lists ---- */

struct system_list {
	const struct system *system;
	struct lookup_listing *listing;
};

static bool list_entry(void *context, const struct entry *entry)
{
	const struct system_list *list = context;

	if (*list->system->group && !check_group(list->system, entry, &list->listing->answer)) {
		if (list->listing->answer.status == LOOKUP_DOWN)
			return false;
		list->listing->answer.status = LOOKUP_FOUND; /* it is no member */
		return true;
	}
	return lookup_list(list->listing, entry->name, strlen(entry->name));
}

/* The name service has one place in its list for all threads. */
static void list(void *state, void **connection, struct lookup_listing *listing)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	struct system_list one = {.system = state, .listing = listing};

	(void)connection;
	pthread_mutex_lock(&mutex);
	if (!entry_each(&one.system->range, list_entry, &one))
		lookup_down(&listing->answer, "the name service (nsswitch.conf) fails: %s",
			    strerror(errno));
	pthread_mutex_unlock(&mutex);
}

/* ---- open ---- */

static int check_service(const char *service, struct err *err)
{
	static const char *const folders[] = {"/etc/pam.d", "/usr/lib/pam.d"};
	char path[300];
	size_t n = strlen(service);

	if (n == 0 || n > 64 || service[0] == '.' || strchr(service, '/'))
		return err_set(err, EX_CONFIG,
			       "service = \"%s\": write the name of a file in /etc/pam.d", service);
	if (access(folders[0], R_OK) < 0 && access(folders[1], R_OK) < 0)
		return 0; /* without the folders, PAM reads /etc/pam.conf */
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", folders[i], service);
		if (access(path, R_OK) == 0)
			return 0;
	}
	return err_set(err, EX_CONFIG,
		       "PAM has no service \"%s\", and would ask \"other\" instead: copy "
		       "dist/pam.d/valija of Valija to /etc/pam.d/%s",
		       service, service);
}

/* Modules of the name service and what they read. Their sockets need no rule. */
static void add_paths(struct sandbox *sandbox)
{
	static const char *const paths[] = {"/etc",        "/usr/lib",     "/usr/lib64",
					    "/lib",        "/lib64",       "/var/lib/sss",
					    "/run/userdb", "/run/systemd", "/var/lib/extrausers"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		sandbox_add_path(sandbox, paths[i], SANDBOX_READ);
}

static int start_pam(struct system *system, const char *service, struct err *err)
{
	const struct lookup_database *database = system->database;
	struct server_settings settings = {
		.service = service,
		.range = system->range,
		.lanes = system->lane_count,
		.longest = lookup_number(database, "timeout") * 1000,
		.ask = pam_ask,
	};

	if (geteuid() != 0) {
		log_warning("database %s: not root, so no password is checked: PAM needs root",
			    database->settings->name);
		return 0;
	}
	if (check_service(service, err) < 0 || server_start(&settings, system->lanes, err) < 0)
		return -1;
	system->has_pam = true;
	return 0;
}

static int open_system(const struct lookup_database *database, struct sandbox *sandbox, void **ret,
		       struct err *err)
{
	struct system *system = calloc(1, sizeof(*system));

	if (!system)
		return err_set(err, EX_OSERR, "out of memory");
	system->database = database;
	system->range.min = (uid_t)lookup_number(database, "min_uid");
	system->range.max = (uid_t)lookup_number(database, "max_uid");
	system->group = lookup_text(database, "group");
	system->maildir = lookup_text(database, "maildir");
	system->lane_count = (unsigned)lookup_number(database, "connections");
	if (system->range.min > system->range.max) {
		free(system);
		return err_set(err, EX_CONFIG, "min_uid is more than max_uid: no user is between");
	}
	if ((database->settings->purposes & CONFIG_FOR_LOGIN) &&
	    start_pam(system, lookup_text(database, "service"), err) < 0) {
		free(system);
		return -1;
	}
	add_paths(sandbox);
	*ret = system;
	return 0;
}

const struct lookup_driver lookup_driver = {
	.driver = DRIVER_SYSTEM,
	.open = open_system,
	.ask = ask,
	.list = list,
};
