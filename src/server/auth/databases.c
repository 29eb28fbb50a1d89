/* See databases.h. */
#include "server/auth/databases.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/table.h"
#include "base/text.h"
#include "config/database.h"
#include "server/auth/entries.h"
#include "server/auth/unanswered.h"
#include "server/counters.h"
#include "server/record.h"
#include "users/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum {
	WAITING_MAX = 4096,  /* questions that wait for one database */
	SILENT_MAX = 4,      /* deadlines in a row without any answer: see is_silent */
	PROBE_MS = 1000,     /* between two tries of a database that is silent */
	SLACK_MS = 500,      /* for the way there and back, beyond the database's own time */
	SAY_AGAIN_MS = 1000, /* between two lines about entries that cannot be used */
};

#define GONE "its process is not there"

struct database {
	struct databases *databases;
	const struct config_database *settings;
	uint32_t index;
	struct queue queue;
	struct peer *peer;    /* NULL: its process is not there */
	unsigned silent;      /* deadlines since the last answer */
	uint64_t tried, said; /* milliseconds */
	bool kept_said;       /* that it is down and what is remembered serves */
	uint32_t timeout, cache_ms, keep_ms;
	bool judges; /* passwords, itself */
};

struct databases {
	struct child *child;
	struct entries *entries;
	struct table asks; /* that were sent; key: id */
	struct unanswered unanswered;
	uint64_t last_id;
	uint32_t count;
	uint32_t forgotten; /* how often entries were: see remember */
	struct database list[];
};

struct ask {
	struct table_node node;
	struct queue_entry entry;
	struct loop_timer timer;
	struct loop_later later; /* settles what needed no waiting */
	struct databases *databases;
	struct ask_question question; /* its spans are those below */
	ask_done *done;
	void *context;
	uint32_t at;        /* the database that is asked */
	uint64_t since;     /* loop_now: when it was asked */
	uint32_t forgotten; /* at its beginning */
	bool sent, judges;
	unsigned best;         /* the best name that somebody has; name_count: none */
	struct finding *found; /* of that name */
	const char *down;      /* a database that could have a better one is down */
	size_t size;
	char text[]; /* names, password, token */
};

void findings_free(struct finding *findings)
{
	while (findings) {
		struct finding *next = findings->next;

		finding_free(findings);
		findings = next;
	}
}

/* ---- which databases ---- */

static uint32_t purpose_of(const struct ask_question *question)
{
	return question->purpose == LOOKUP_RECIPIENT ? CONFIG_FOR_RECIPIENT : CONFIG_FOR_LOGIN;
}

/* Whether a name better than the best so far could be in the database. */
static bool could_have(const struct ask *ask, const struct database *database)
{
	if (ask->question.token.size || ask->question.access)
		return true; /* the token says whose it is */
	for (unsigned i = 0; i < ask->best && i < ask->question.name_count; i++)
		if (config_database_could_have(ask->databases->child->config, database->settings,
					       ask->question.names[i]))
			return true;
	return false;
}

/* The recorder has what each database said, and after how long. */
static void note(const struct ask *ask, const struct database *database, enum record_event event,
		 const char *answer)
{
	const struct ask_question *question = &ask->question;
	bool login = question->purpose != LOOKUP_RECIPIENT;
	struct record record;

	record_begin(&record, event, login ? question->address : NULL, question->front,
		     question->session);
	record_words(&record, RECORD_KEY_DATABASE, database->settings->name);
	record_words(&record, RECORD_KEY_ANSWER, answer);
	record_number(&record, RECORD_KEY_MS, loop_now(ask->databases->child->loop) - ask->since);
	if (question->name_count)
		record_text(&record, login ? RECORD_KEY_USER : RECORD_KEY_RECIPIENT,
			    question->names[0]);
	record_write(&record);
}

static bool is_asked(const struct ask *ask, const struct database *database)
{
	const struct ask_question *question = &ask->question;
	bool oauth = database->settings->driver == DRIVER_OAUTH;
	bool judges =
		config_database_judges_tokens(ask->databases->child->config, database->settings);

	if (question->access)
		return database->settings == question->access;
	if (!(database->settings->purposes & purpose_of(question)) || !could_have(ask, database))
		return false;
	if (question->token.size || oauth)
		return question->token.size && judges;
	return question->purpose == LOOKUP_RECIPIENT || question->password.size ||
	       question->proved || !database->judges;
}

/* ---- the end of a question ---- */

static void free_ask(struct ask *ask)
{
	loop_timer_cancel(&ask->timer);
	loop_later_cancel(&ask->later);
	finding_free(ask->found);
	wipe(ask->text, ask->size);
	free(ask);
}

static struct finding *new_finding(const struct ask *ask, unsigned name, enum users_status status)
{
	struct finding *finding = calloc(1, sizeof(*finding));
	pop3_span key;

	if (!finding)
		return NULL;
	key = user_name_key(ask->question.names[name], finding->name);
	finding->name[key.size] = '\0';
	finding->status = status;
	finding->judges = ask->judges;
	if (status == USERS_DOWN) {
		finding->database = ask->down;
		snprintf(finding->why, sizeof(finding->why), "it cannot be asked");
	}
	return finding;
}

/* A finding for each name up to the best. */
static struct finding *findings_of(struct ask *ask)
{
	struct finding *first = NULL, **end = &first;
	enum users_status status = ask->down ? USERS_DOWN : USERS_UNKNOWN;

	for (unsigned i = 0; i < ask->question.name_count; i++) {
		if (i == ask->best && !ask->down) {
			*end = ask->found;
			ask->found = NULL;
			return first;
		}
		*end = new_finding(ask, i, status);
		if (!*end) {
			findings_free(first);
			return NULL;
		}
		end = &(*end)->next;
	}
	return first;
}

static void settle(struct loop_later *later)
{
	struct ask *ask = later->context;
	struct finding *findings = findings_of(ask);
	ask_done *done = ask->done;
	void *context = ask->context;

	free_ask(ask);
	done(context, findings);
}

/* ---- asking ---- */

static void advance(struct ask *ask);

/* No answer for long: one question at a time finds out whether there is one again. */
static bool is_silent(const struct database *database)
{
	uint64_t now = loop_now(database->databases->child->loop);

	return database->silent >= SILENT_MAX && now - database->tried < PROBE_MS;
}

static void leave(struct ask *ask);

static int send_verify(struct ask *ask, struct database *database)
{
	const struct ask_question *question = &ask->question;
	struct ipc_verify message = {.id = ask->node.key,
				     .kind = question->access       ? LOOKUP_ACCESS
					     : question->token.size ? LOOKUP_TOKEN
								    : LOOKUP_PASSWORD,
				     .purpose = question->purpose,
				     .deadline = database->timeout,
				     .tls = question->tls};
	pop3_span texts[] = {question->names[0],
			     question->token.size ? question->token : question->password};

	memcpy(message.address, question->address, sizeof(message.address));
	return ipc_send_texts(&database->peer->chan, IPC_VERIFY, &message, texts, 2);
}

static int send_find(struct ask *ask, struct database *database)
{
	const struct ask_question *question = &ask->question;
	struct ipc_find message = {
		.id = ask->node.key,
		.purpose = question->purpose,
		.deadline = database->timeout,
		.count = ask->best < question->name_count ? ask->best : question->name_count};
	const pop3_span *last = &question->names[message.count - 1];
	pop3_span names = {question->names[0].data,
			   (size_t)(last->data + last->size + 1 - question->names[0].data)};

	return ipc_send_all(&database->peer->chan, IPC_FIND, &message, &names, 1, NULL, 0);
}

static bool verifies(const struct ask *ask, const struct database *database)
{
	return ask->question.access || ask->question.token.size ||
	       (ask->question.password.size && database->judges);
}

static int send_ask(struct ask *ask, struct database *database)
{
	if (!database->peer)
		return -1;
	ask->node.key = ++ask->databases->last_id;
	if ((verifies(ask, database) ? send_verify : send_find)(ask, database) < 0)
		return -1;
	table_add(&ask->databases->asks, &ask->node, ask->node.key);
	ask->sent = true;
	ask->judges |= verifies(ask, database);
	database->tried = loop_now(ask->databases->child->loop);
	return 0;
}

static void is_down(struct ask *ask, struct database *database, const char *why);

/* Sends the questions whose turn it is. */
static void run_next(struct database *database)
{
	struct queue_entry *entry;

	while ((entry = queue_take(&database->queue))) {
		struct ask *ask = CONTAINER(entry, struct ask, entry);

		if (send_ask(ask, database) == 0)
			continue;
		leave(ask);
		is_down(ask, database, GONE);
	}
}

/* The question neither waits for its database nor is under way there. */
static void leave(struct ask *ask)
{
	struct database *database = &ask->databases->list[ask->at];

	queue_leave(&database->queue, &ask->entry);
	loop_timer_cancel(&ask->timer);
	if (ask->sent)
		table_remove(&ask->databases->asks, &ask->node);
	ask->sent = false;
}

static void end(struct ask *ask)
{
	loop_later_add(ask->databases->child->loop, &ask->later);
}

static void next_database(struct ask *ask)
{
	ask->at++;
	advance(ask);
}

/* An entry that is remembered may serve while the database is down. */
static struct finding *kept(struct ask *ask, struct database *database)
{
	const struct ask_question *question = &ask->question;
	struct entry_found found;
	struct finding *finding;

	if (question->name_count != 1 || question->token.size || question->access)
		return NULL;
	finding = entries_get(ask->databases->entries, purpose_of(question), question->names[0],
			      loop_now(ask->databases->child->loop), &found);
	if (!finding || found.database != database->index ||
	    (found.judged && !question->proved &&
	     (!question->remembered ||
	      !question->remembered(question->context, database->settings->name)))) {
		finding_free(finding);
		return NULL;
	}
	finding->secret = found.judged && !question->proved ? FINDING_RIGHT : FINDING_UNJUDGED;
	if (!database->kept_said)
		log_warning("database %s is down: logins that are remembered go on",
			    database->settings->name);
	database->kept_said = true;
	return finding;
}

/* The database of the question cannot be asked: what it could have is not known. */
static void is_down(struct ask *ask, struct database *database, const char *why)
{
	note(ask, database, RECORD_DATABASE_DOWN, why);
	ask->found = ask->found ? ask->found : kept(ask, database);
	if (ask->found && ask->found->cached)
		ask->best = 0;
	else
		ask->down = database->settings->name;
	end(ask);
}

/* Nobody waits for the answer of a question that was sent. */
static void cancel(struct ask *ask, struct database *database)
{
	struct ipc_cancel message = {.id = ask->node.key};

	if (!database->peer)
		return;
	(void)ipc_send(&database->peer->chan, IPC_CANCEL, &message);
	unanswered_add(&ask->databases->unanswered, ask->node.key, database->peer->instance,
		       loop_now(ask->databases->child->loop));
}

static void too_late(struct loop_timer *timer)
{
	struct ask *ask = timer->context;
	struct database *database = &ask->databases->list[ask->at];
	const char *why = ask->sent ? "no answer in time" : "too many questions wait";

	if (ask->sent) {
		if (database->silent++ == SILENT_MAX - 1)
			log_error("database %s does not answer: its users get a temporary failure "
				  "until it does",
				  database->settings->name);
		cancel(ask, database);
	}
	leave(ask);
	is_down(ask, database, why);
	run_next(database);
}

/* Asks the next database that could have a better name than the best so far. */
static void advance(struct ask *ask)
{
	struct databases *databases = ask->databases;

	for (; ask->at < databases->count && ask->best > 0; ask->at++) {
		struct database *database = &databases->list[ask->at];

		if (!is_asked(ask, database))
			continue;
		if (!database->peer || is_silent(database) ||
		    queue_add(&database->queue, &ask->entry, ask->question.network,
			      ask->question.loopback, ask->question.class) < 0) {
			is_down(ask, database, database->peer ? "it is silent or busy" : GONE);
			return;
		}
		loop_timer_set(&ask->timer, database->timeout + SLACK_MS);
		run_next(database);
		return;
	}
	end(ask);
}

static char *copy_text(char *to, pop3_span text, pop3_span *ret)
{
	if (text.size)
		memcpy(to, text.data, text.size);
	to[text.size] = '\0';
	*ret = (pop3_span){to, text.size};
	return to + text.size + 1;
}

struct ask *databases_ask(struct databases *databases, const struct ask_question *question,
			  ask_done *done, void *context)
{
	size_t size = question->password.size + question->token.size + 2;
	struct ask *ask;
	char *to;

	for (unsigned i = 0; i < question->name_count; i++)
		size += question->names[i].size + 1;
	ask = calloc(1, sizeof(*ask) + size);
	if (!ask)
		return NULL;
	ask->databases = databases;
	ask->question = *question;
	ask->size = size;
	ask->done = done;
	ask->context = context;
	ask->best = question->name_count;
	ask->since = loop_now(databases->child->loop);
	ask->forgotten = databases->forgotten;
	to = ask->text;
	for (unsigned i = 0; i < question->name_count; i++)
		to = copy_text(to, question->names[i], &ask->question.names[i]);
	to = copy_text(to, question->password, &ask->question.password);
	copy_text(to, question->token, &ask->question.token);
	loop_timer_init(&ask->timer, databases->child->loop, too_late, ask);
	ask->later.run = settle;
	ask->later.context = ask;
	advance(ask);
	return ask;
}

void databases_cancel(struct ask *ask)
{
	struct database *database = &ask->databases->list[ask->at];

	if (ask->at < ask->databases->count) {
		if (ask->sent)
			cancel(ask, database);
		leave(ask);
		run_next(database);
	}
	free_ask(ask);
}

struct finding *databases_known(struct databases *databases, const struct ask_question *question)
{
	struct entry_found found;
	struct finding *finding;
	uint64_t now = loop_now(databases->child->loop);

	if (question->fresh || question->token.size || question->name_count != 1)
		return NULL;
	finding = entries_get(databases->entries, purpose_of(question), question->names[0], now,
			      &found);
	if (finding && found.good_until > now) {
		if (!found.judged || question->proved)
			return finding;
		finding->secret = FINDING_RIGHT;
		if (question->remembered &&
		    question->remembered(question->context, finding->database))
			return finding;
	}
	finding_free(finding);
	return NULL;
}

uint32_t databases_forget(struct databases *databases, const pop3_span *name)
{
	databases->forgotten++;
	if (!name)
		return entries_forget_all(databases->entries);
	return entries_forget(databases->entries, CONFIG_FOR_LOGIN, *name) +
	       entries_forget(databases->entries, CONFIG_FOR_RECIPIENT, *name);
}

/* ---- answers ---- */

/* A recipient's entry serves for half a minute: mail follows a user who moved. */
static void remember(struct ask *ask, struct database *database, const struct finding *finding,
		     const struct ipc_answer *message)
{
	enum { RECIPIENT_MS = 30 * 1000 };
	uint64_t now = loop_now(ask->databases->child->loop), ms = database->cache_ms;
	struct entry_found found = {.database = database->index,
				    .judged = finding->secret == FINDING_RIGHT ||
					      (ask->question.proved && database->judges)};

	if (message->ttl && message->ttl * 1000ull < ms)
		ms = message->ttl * 1000ull;
	if (ask->question.purpose == LOOKUP_RECIPIENT && ms > RECIPIENT_MS)
		ms = RECIPIENT_MS;
	if (ask->question.token.size || finding->status != USERS_FOUND || !ms || finding->fleeting)
		return;
	found.good_until = now + ms;
	found.kept_until = found.good_until;
	if (ask->question.purpose != LOOKUP_RECIPIENT)
		found.kept_until += database->keep_ms;
	entries_put(ask->databases->entries, purpose_of(&ask->question), span_of(finding->name),
		    finding, &found);
}

static void say_unserved(struct database *database, const struct finding *finding)
{
	uint64_t now = loop_now(database->databases->child->loop);
	char shown[300];

	if (finding->user.remote_section)
		return; /* a login opens it there */
	if (database->said && now - database->said < SAY_AGAIN_MS)
		return;
	database->said = now;
	text_escape(shown, sizeof(shown), span_of(finding->name));
	log_error("database %s: the entry of %s cannot be used: %s", database->settings->name,
		  shown, finding->why);
}

/* The answer's only field is the token. */
static void found_access(struct ask *ask, struct database *database,
			 const struct ipc_answer *message)
{
	const char *name = ipc_strings(message),
		   *value = name ? ipc_next_string(message, name) : NULL;
	struct finding *finding = new_finding(ask, 0, USERS_FOUND);

	if (finding && value && strcmp(name, "access_token") == 0 && *value)
		finding->access = strdup(value);
	if (!finding || !finding->access) {
		finding_free(finding);
		is_down(ask, database, "no token in its answer");
		return;
	}
	finding->secret = FINDING_RIGHT;
	finding->database = database->settings->name;
	ask->found = finding;
	ask->best = 0;
	end(ask);
}

static void found(struct ask *ask, struct database *database, const struct ipc_answer *message)
{
	char key[USER_NAME_MAX + 1];
	pop3_span name = user_name_key(ask->question.names[message->matched], key);
	struct finding *finding;

	key[name.size] = '\0';
	finding = judge_answer(ask->databases->child->config, database->settings, key,
			       ipc_tail(message), message->head.tail);
	if (!finding) {
		is_down(ask, database, "no memory for the answer");
		return;
	}
	finding->judges = ask->judges;
	finding->fleeting = ask->forgotten != ask->databases->forgotten;
	if (verifies(ask, database))
		finding->secret = FINDING_RIGHT;
	if (finding->status == USERS_UNSERVED)
		say_unserved(database, finding);
	remember(ask, database, finding, message);
	finding_free(ask->found);
	ask->found = finding;
	ask->best = message->matched;
	next_database(ask);
}

/* The database has the user, but no more than that is known. */
static void decided(struct ask *ask, struct database *database, enum users_status status,
		    enum finding_secret secret)
{
	finding_free(ask->found);
	ask->best = 0;
	ask->found = new_finding(ask, 0, status);
	if (ask->found) {
		if (status == USERS_UNSERVED)
			snprintf(ask->found->why, sizeof(ask->found->why),
				 "its entry cannot be used");
		ask->found->secret = secret;
		ask->found->database = database->settings->name;
	}
	end(ask);
}

static void note_answer(const struct ask *ask, const struct database *database,
			enum lookup_status status)
{
	static const char *const words[LOOKUP_STATUSES] = {
		[LOOKUP_FOUND] = "found",
		[LOOKUP_UNKNOWN] = "unknown user",
		[LOOKUP_WRONG] = "wrong password",
		[LOOKUP_REFUSED] = "the account is expired or locked",
		[LOOKUP_BAD_ENTRY] = "an entry that cannot be used"};

	if (status < LOOKUP_STATUSES && words[status])
		note(ask, database, RECORD_DATABASE, words[status]);
}

static void take_answer(struct ask *ask, struct database *database,
			const struct ipc_answer *message)
{
	note_answer(ask, database, (enum lookup_status)message->status);
	switch ((enum lookup_status)message->status) {
	case LOOKUP_FOUND:
		if (ask->question.access)
			found_access(ask, database, message);
		else
			found(ask, database, message);
		break;
	case LOOKUP_UNKNOWN:
		next_database(ask);
		break;
	case LOOKUP_WRONG:
		decided(ask, database, USERS_FOUND, FINDING_WRONG);
		break;
	case LOOKUP_REFUSED:
		decided(ask, database, USERS_FOUND, FINDING_REFUSED);
		break;
	case LOOKUP_BAD_ENTRY: /* its process said why */
		decided(ask, database, USERS_UNSERVED, FINDING_UNJUDGED);
		break;
	case LOOKUP_DOWN:
	case LOOKUP_STATUSES:
		is_down(ask, database, "it is down");
		break;
	}
}

/* Whether the answer fits the question. */
static bool fits(const struct ask *ask, const struct database *database,
		 const struct ipc_answer *message)
{
	bool judged = message->status == LOOKUP_WRONG || message->status == LOOKUP_REFUSED;

	return message->matched < ask->best && (!judged || verifies(ask, database));
}

void databases_answer(struct databases *databases, struct peer *lookup,
		      const struct ipc_answer *message)
{
	struct table_node *node = table_find(&databases->asks, message->id);
	struct ask *ask = node ? CONTAINER(node, struct ask, node) : NULL;
	struct database *database;

	if (!ask) {
		if (message->id > databases->last_id ||
		    !unanswered_take(&databases->unanswered, message->id, lookup->instance,
				     loop_now(databases->child->loop)))
			peer_break(lookup, "an answer that was given twice, too late, or to no "
					   "question");
		return;
	}
	database = &databases->list[ask->at];
	if (database->peer != lookup || !fits(ask, database, message)) {
		peer_break(lookup, "an answer that does not fit the question");
		return;
	}
	if (database->silent >= SILENT_MAX)
		log_info("database %s answers again", database->settings->name);
	database->silent = 0;
	if (message->status != LOOKUP_DOWN)
		database->kept_said = false;
	leave(ask);
	take_answer(ask, database, message);
	run_next(database);
}

/* ---- processes ---- */

static struct database *database_of(struct databases *databases, const struct peer *lookup)
{
	return lookup->index < databases->count ? &databases->list[lookup->index] : NULL;
}

void databases_up(struct databases *databases, const struct peer *lookup)
{
	struct database *database = database_of(databases, lookup);

	if (!database)
		return;
	for (struct peer *peer = databases->child->peers; peer; peer = peer->next)
		if (peer == lookup)
			database->peer = peer;
	database->silent = 0;
	databases_count(databases);
}

struct lost {
	struct database *database;
	struct ask *asks[64];
	unsigned count;
};

static void collect(struct table_node *node, void *context)
{
	struct lost *lost = context;
	struct ask *ask = CONTAINER(node, struct ask, node);

	if (&ask->databases->list[ask->at] == lost->database &&
	    lost->count < sizeof(lost->asks) / sizeof(lost->asks[0]))
		lost->asks[lost->count++] = ask;
}

void databases_gone(struct databases *databases, const struct peer *lookup)
{
	struct lost lost = {.database = database_of(databases, lookup)};

	if (!lost.database || lost.database->peer != lookup)
		return;
	lost.database->peer = NULL;
	do {
		lost.count = 0;
		table_each(&databases->asks, collect, &lost);
		for (unsigned i = 0; i < lost.count; i++) {
			leave(lost.asks[i]);
			is_down(lost.asks[i], lost.database, GONE);
		}
	} while (lost.count);
	run_next(lost.database);
	databases_count(databases);
}

static bool is_up(const struct database *database)
{
	return database->peer && database->silent < SILENT_MAX;
}

void databases_each(const struct databases *databases, databases_visit *visit, void *context)
{
	for (uint32_t i = 0; i < databases->count; i++) {
		const struct database *database = &databases->list[i];

		visit(context, database->settings, is_up(database), database->queue.waiting);
	}
}

void databases_count(const struct databases *databases)
{
	for (uint32_t i = 0; i < databases->count; i++) {
		const struct database *database = &databases->list[i];

		counters_set(COUNTER_DATABASE_UP + database->index, is_up(database));
		counters_set(COUNTER_DATABASE_QUEUE + database->index, database->queue.waiting);
	}
}

void databases_note(struct databases *databases, const char *database, const char *name)
{
	struct ipc_note message = {.day = (uint32_t)(time(NULL) / 86400)};
	pop3_span text = span_of(name);

	for (uint32_t i = 0; i < databases->count; i++)
		if (databases->list[i].settings->name == database && databases->list[i].peer &&
		    config_database_item(databases->child->config, databases->list[i].settings,
					 "last_login_update", 0) &&
		    !entries_noted(databases->entries, CONFIG_FOR_LOGIN, text, message.day))
			(void)ipc_send_texts(&databases->list[i].peer->chan, IPC_NOTE, &message,
					     &text, 1);
}

static uint32_t milliseconds(const struct config *config, const struct config_database *settings,
			     const char *name)
{
	uint64_t seconds = config_database_number(config, settings, name);

	return (uint32_t)(seconds > UINT32_MAX / 1000 ? UINT32_MAX : seconds * 1000);
}

static void init(struct database *database, struct databases *databases, uint32_t index)
{
	const struct config *config = databases->child->config;
	const struct config_database *settings = &config->databases[index];
	uint64_t running = 8;

	database->databases = databases;
	database->settings = settings;
	database->index = index;
	if (settings->driver != DRIVER_SYSTEM)
		running = 2 * config_database_number(config, settings, "connections");
	queue_init(&database->queue, WAITING_MAX, (uint32_t)running);
	database->judges = config_database_verifies(config, settings);
	database->timeout = milliseconds(config, settings, "timeout");
	database->cache_ms = milliseconds(config, settings, "cache_time");
	database->keep_ms = milliseconds(config, settings, "cache_down");
}

struct databases *databases_create(struct child *child, struct err *err)
{
	uint32_t count = child->config->database_count;
	struct databases *databases =
		calloc(1, sizeof(*databases) + count * sizeof(databases->list[0]));

	if (databases)
		databases->entries = entries_create(child->config->auth_cache_entries);
	if (!databases || !databases->entries) {
		free(databases);
		err_set(err, EX_OSERR, "out of memory");
		return NULL;
	}
	databases->child = child;
	databases->count = count;
	table_init(&databases->asks);
	unanswered_init(&databases->unanswered);
	for (uint32_t i = 0; i < count; i++)
		init(&databases->list[i], databases, i);
	return databases;
}
