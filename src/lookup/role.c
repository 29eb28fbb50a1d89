/* See role.h. The role's struct is the loop's; a question is one worker's while it is asked. */
#include "lookup/role.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/table.h"
#include "base/text.h"
#include "lookup/driver.h"
#include "sys/workers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	SECRETS_MAX = 1 << 20,
	SAY_AGAIN_MS = 60 * 1000, /* a database that is down is named again after so long */
	NOTES_MAX = 256,
	LOWER_PRIORITY = 5,
};

struct lookup {
	struct child *child;
	struct lookup_database database;
	char *secrets;
	void *driver;
	struct workers *workers;
	struct table questions; /* key: id */
	unsigned notes;
	bool down; /* the last answer was DOWN */
	uint64_t said;
};

struct question {
	struct job job;
	struct table_node node;
	struct lookup *lookup;
	uint64_t peer; /* instance */
	struct lookup_question question;
	struct lookup_answer answer;
	atomic_bool cancelled;
	char *secret;
	char names[IPC_LOOKUP_NAMES_MAX * 256 + 1];
};

struct note {
	struct job job;
	struct lookup *lookup;
	uint32_t day;
	char name[256];
};

/* A connection to the database, of each worker. */
static _Thread_local void *connection;

/* ---- questions ---- */

static void ask(struct job *job)
{
	struct question *q = CONTAINER(job, struct question, job);

	if (atomic_load(&q->cancelled))
		return;
	if (lookup_time_left(&q->question) == 0) {
		lookup_down(&q->answer, "all connections are busy: see connections and timeout");
		return;
	}
	q->answer.status = LOOKUP_UNKNOWN;
	lookup_driver.ask(q->lookup->driver, &connection, &q->question, &q->answer);
}

static void free_question(struct question *q)
{
	if (q->secret)
		wipe(q->secret, q->question.secret.size);
	free(q->secret);
	explicit_bzero(&q->answer, sizeof(q->answer));
	free(q);
}

/* The log has a line when the database goes down, at times while it is, and when it answers again.
 */
static void log_answer(struct lookup *lookup, const struct question *q)
{
	const char *name = lookup->database.settings->name;
	uint64_t now = loop_now(lookup->child->loop);
	char shown[300];

	if (q->answer.status == LOOKUP_DOWN) {
		if (!lookup->down || now - lookup->said >= SAY_AGAIN_MS) {
			log_error("database %s cannot be asked: %s", name, q->answer.why);
			lookup->said = now;
		}
		lookup->down = true;
		return;
	}
	if (lookup->down)
		log_info("database %s answers again", name);
	lookup->down = false;
	if (q->answer.status != LOOKUP_BAD_ENTRY || now - lookup->said < 1000)
		return;
	lookup->said = now;
	text_escape(shown, sizeof(shown), span_of(q->question.names[q->answer.matched]));
	log_warning("database %s: the entry of %s cannot be used: %s", name, shown, q->answer.why);
}

static void asked(struct job *job)
{
	struct question *q = CONTAINER(job, struct question, job);
	struct lookup *lookup = q->lookup;
	struct peer *peer = child_peer(lookup->child, ROLE_AUTH, q->peer);
	const struct lookup_answer *answer = &q->answer;
	struct ipc_answer message = {.id = q->node.key,
				     .expires = answer->expires,
				     .status = answer->status,
				     .matched = answer->matched,
				     .ttl = answer->ttl};
	pop3_span fields = {answer->fields, answer->status == LOOKUP_FOUND ? answer->size : 0};

	table_remove(&lookup->questions, &q->node);
	if (!atomic_load(&q->cancelled)) {
		log_answer(lookup, q);
		if (peer)
			peer_send_parts(peer, IPC_ANSWER, &message, &fields, 1);
	}
	if (answer->finished)
		child_exit(lookup->child);
	free_question(q);
}

static struct question *new_question(struct lookup *lookup, struct peer *peer, uint64_t id,
				     uint32_t deadline)
{
	struct question *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->job = (struct job){.run = ask, .done = asked};
	q->lookup = lookup;
	q->peer = peer->instance;
	q->question.deadline = loop_now(lookup->child->loop) + deadline;
	table_add(&lookup->questions, &q->node, id);
	return q;
}

static const char *service_of(uint32_t purpose)
{
	switch ((enum lookup_purpose)purpose) {
	case LOOKUP_LOGIN:
	case LOOKUP_CLI:
		return "pop3";
	case LOOKUP_RECIPIENT:
		return "lmtp";
	case LOOKUP_SASL:
		return "smtp";
	case LOOKUP_PURPOSES:
		break;
	}
	return "";
}

static void answer_down(struct peer *peer, uint64_t id)
{
	struct ipc_answer message = {.id = id, .status = LOOKUP_DOWN};

	peer_send(peer, IPC_ANSWER, &message);
}

/* Asks in a worker; a full queue is an answer, too. */
static void begin(struct peer *peer, struct question *q)
{
	struct lookup *lookup = q->lookup;
	uint64_t id = q->node.key;

	if (workers_add(lookup->workers, &q->job, false) == 0)
		return;
	table_remove(&lookup->questions, &q->node);
	free_question(q);
	answer_down(peer, id);
}

static void take_find(struct lookup *lookup, struct peer *peer, const struct ipc_find *message)
{
	struct question *q = new_question(lookup, peer, message->id, message->deadline);
	char *to;

	if (!q) {
		answer_down(peer, message->id);
		return;
	}
	q->question.kind = LOOKUP_FIND;
	q->question.purpose = (enum lookup_purpose)message->purpose;
	q->question.service = service_of(message->purpose);
	to = q->names;
	for (const char *name = ipc_strings(message); name; name = ipc_next_string(message, name)) {
		memcpy(to, name, strlen(name) + 1);
		q->question.names[q->question.name_count++] = to;
		to += strlen(to) + 1;
	}
	begin(peer, q);
}

static void show_address(const uint8_t address[16], char buf[46])
{
	static const uint8_t none[16], mapped[12] = {[10] = 0xff, [11] = 0xff};

	buf[0] = '\0';
	if (memcmp(address, none, 16) == 0)
		return;
	if (memcmp(address, mapped, 12) == 0)
		inet_ntop(AF_INET, address + 12, buf, 46);
	else
		inet_ntop(AF_INET6, address, buf, 46);
}

/* auth sends no secret with a NUL inside. */
static int take_secret(struct question *q, pop3_span secret)
{
	if (secret.size && memchr(secret.data, 0, secret.size))
		return -1;
	q->secret = malloc(secret.size + 1);
	if (!q->secret)
		return -1;
	if (secret.size)
		memcpy(q->secret, secret.data, secret.size);
	q->secret[secret.size] = '\0';
	q->question.secret = (pop3_span){q->secret, secret.size};
	return 0;
}

static void take_verify(struct lookup *lookup, struct peer *peer, const struct ipc_verify *message)
{
	struct question *q = new_question(lookup, peer, message->id, message->deadline);

	if (!q || take_secret(q, ipc_text(message, 1)) < 0 ||
	    span_copy(ipc_text(message, 0), q->names, 256) < 0) {
		if (q) {
			table_remove(&lookup->questions, &q->node);
			free_question(q);
		}
		answer_down(peer, message->id);
		return;
	}
	q->question.kind = (enum lookup_kind)message->kind;
	q->question.purpose = (enum lookup_purpose)message->purpose;
	q->question.service = service_of(message->purpose);
	q->question.names[0] = q->names;
	q->question.name_count = 1;
	q->question.tls = message->tls;
	show_address(message->address, q->question.address);
	begin(peer, q);
}

static void take_cancel(struct lookup *lookup, const struct ipc_cancel *message)
{
	struct table_node *node = table_find(&lookup->questions, message->id);

	if (node)
		atomic_store(&CONTAINER(node, struct question, node)->cancelled, true);
}

/* ---- lists ---- */

struct list {
	struct job job;
	struct lookup *lookup;
	uint64_t peer, id; /* peer: instance */
	struct lookup_listing listing;
};

static void write_list(struct job *job)
{
	struct list *list = CONTAINER(job, struct list, job);
	struct lookup_listing *listing = &list->listing;

	listing->answer.status = LOOKUP_FOUND;
	if (lookup_driver.list)
		lookup_driver.list(list->lookup->driver, &connection, listing);
	else
		lookup_down(&listing->answer, "users of driver %s cannot be listed",
			    config_driver_name(lookup_driver.driver));
	lookup_list_end(listing);
}

static void list_written(struct job *job)
{
	struct list *list = CONTAINER(job, struct list, job);
	struct peer *peer = child_peer(list->lookup->child, ROLE_AUTH, list->peer);
	const struct lookup_answer *answer = &list->listing.answer;
	const char *name = list->lookup->database.settings->name;
	struct ipc_answer message = {.id = list->id, .status = answer->status};

	if (answer->status == LOOKUP_DOWN)
		log_error("database %s cannot be listed: %s", name, answer->why);
	else if (list->listing.bad)
		log_warning("database %s has %" PRIu64 " users with names that are none", name,
			    list->listing.bad);
	if (peer)
		peer_send(peer, IPC_ANSWER, &message);
	free(list);
}

/* Takes the descriptor. */
static void take_list(struct lookup *lookup, struct peer *peer, const struct ipc_list *message,
		      int *fd)
{
	struct list *list = calloc(1, sizeof(*list));

	if (list) {
		list->job = (struct job){.run = write_list, .done = list_written};
		list->lookup = lookup;
		list->peer = peer->instance;
		list->id = message->id;
		list->listing.fd = *fd;
		list->listing.deadline = loop_now(lookup->child->loop) + message->deadline;
	}
	if (!list || workers_add(lookup->workers, &list->job, false) < 0) {
		free(list);
		answer_down(peer, message->id);
		return;
	}
	*fd = -1;
}

/* ---- notes ---- */

static void write_note(struct job *job)
{
	struct note *note = CONTAINER(job, struct note, job);

	lookup_driver.note(note->lookup->driver, &connection, note->name, note->day);
}

static void note_written(struct job *job)
{
	struct note *note = CONTAINER(job, struct note, job);

	note->lookup->notes--;
	free(note);
}

/* Nobody waits for it: when there are too many, it is dropped. */
static void take_note(struct lookup *lookup, const struct ipc_note *message)
{
	struct note *note;

	if (!lookup_driver.note || lookup->notes >= NOTES_MAX)
		return;
	note = calloc(1, sizeof(*note));
	if (!note)
		return;
	note->job = (struct job){.run = write_note, .done = note_written};
	note->lookup = lookup;
	note->day = message->day;
	if (span_copy(ipc_text(message, 0), note->name, sizeof(note->name)) < 0 ||
	    workers_add(lookup->workers, &note->job, false) < 0)
		free(note);
	else
		lookup->notes++;
}

/* ---- the process ---- */

static void peer_message(struct peer *peer, enum ipc_type type, const void *message, int *fds)
{
	struct lookup *lookup = peer->child->state;

	if (type == IPC_LIST)
		take_list(lookup, peer, (const struct ipc_list *)message, &fds[0]);
	else if (type == IPC_FIND)
		take_find(lookup, peer, message);
	else if (type == IPC_VERIFY)
		take_verify(lookup, peer, message);
	else if (type == IPC_CANCEL)
		take_cancel(lookup, message);
	else if (type == IPC_NOTE)
		take_note(lookup, message);
}

static void peer_up(struct peer *peer)
{
	(void)peer;
}

static void cancel_of(struct table_node *node, void *context)
{
	struct question *q = CONTAINER(node, struct question, node);
	const struct peer *peer = context;

	if (q->peer == peer->instance)
		atomic_store(&q->cancelled, true);
}

static void peer_gone(struct peer *peer)
{
	struct lookup *lookup = peer->child->state;

	table_each(&lookup->questions, cancel_of, peer);
	child_drained(peer->child, peer, 0);
}

static struct lookup *root_struct(struct child *child)
{
	bool is_new;
	struct lookup *lookup = child_state(child, sizeof(*lookup), &is_new);

	if (!is_new)
		return lookup;
	lookup->child = child;
	table_init(&lookup->questions);
	return lookup;
}

static void monitor_message(struct child *child, enum ipc_type type, const void *data, int *fds)
{
	struct lookup *lookup = root_struct(child);
	const struct ipc_database *message = data;

	if (type != IPC_DATABASE || message->index >= child->config->database_count ||
	    message->size > SECRETS_MAX || lookup->secrets)
		return;
	lookup->secrets = calloc(1, message->size + 1);
	if (!lookup->secrets ||
	    pread(fds[0], lookup->secrets, message->size, 0) != (ssize_t)message->size)
		return;
	lookup->database =
		(struct lookup_database){.config = child->config,
					 .settings = &child->config->databases[message->index],
					 .secrets = lookup->secrets,
					 .secrets_size = message->size};
}

static int start(struct child *child, struct err *err)
{
	struct lookup *lookup = root_struct(child);
	const struct config_database *settings = lookup->database.settings;
	struct sandbox sandbox;

	if (!settings || settings->driver != lookup_driver.driver)
		return err_set(err, EX_SOFTWARE, "the monitor named no database of this driver");
	/* questions of strangers must not hold up the loops of other processes */
	(void)setpriority(PRIO_PROCESS, 0, LOWER_PRIORITY);
	child_sandbox(child, SANDBOX_LOOKUP, &sandbox);
	sandbox.empty_root = false; /* sockets and files of the database are found by name */
	sandbox.allow_connect = true;
	if (lookup_driver.open(&lookup->database, &sandbox, &lookup->driver, err) < 0)
		return err_prefix(err, "database %s", settings->name);
	if (sandbox_enter(&sandbox, err) < 0)
		return -1;
	lookup->workers = workers_create(child->loop,
					 (unsigned)lookup_number(&lookup->database, "connections"),
					 0, IPC_LOOKUP_CREDITS + NOTES_MAX, err);
	return lookup->workers ? 0 : -1;
}

const struct child_role lookup_role = {
	.role = ROLE_LOOKUP,
	.monitor_message = monitor_message,
	.start = start,
	.peer_up = peer_up,
	.peer_gone = peer_gone,
	.peer_message = peer_message,
};
