/*
 * Databases of users: auth asks them through lookup processes, one a database, in the order of the
 * configuration. A database that is down, hangs or answers nonsense costs its own users a temporary
 * failure, and nobody else: questions wait in a queue a database, fair by network, each has a
 * deadline, and a database that has not answered for a while is tried by one question at a time. On
 * auth's loop; answers are hostile (judge.h).
 */
#ifndef SERVER_AUTH_DATABASES_H
#define SERVER_AUTH_DATABASES_H

#include "server/auth/queue.h"
#include "server/child.h"
#include "users/directory.h"

struct databases;
struct ask;

/* Names, password and token are copied. */
struct ask_question {
	enum lookup_purpose purpose;
	pop3_span names[IPC_LOOKUP_NAMES_MAX]; /* spellings, best first */
	unsigned name_count;
	pop3_span password; /* empty: none, and databases that judge passwords are passed over,
			       unless it is a recipient that is asked about */
	pop3_span token;    /* not empty: databases of driver oauth alone are asked */
	const struct config_database *access; /* it alone is asked for an access token of the
						 user's; NULL: no such question */
	bool fresh;                           /* what is remembered does not count */
	bool proved; /* by an app password: all databases are asked for the entry alone */
	bool tls, loopback;
	uint8_t address[16], network[16]; /* of the client; canonical */
	enum queue_class class;
	uint64_t front, session; /* for the recorder: whose login or transaction it is */
	/* whether the password was right before, by the word of that database; NULL: no */
	bool (*remembered)(void *context, const char *database);
	void *context;
};

/* A finding for each name, in order, up to the best one that somebody has; the caller's to free.
 * NULL: no memory. */
typedef void ask_done(void *context, struct finding *findings);

struct databases *databases_create(struct child *child, struct err *err);
/* The answer, if it is remembered: the caller's to free. NULL: ask. */
struct finding *databases_known(struct databases *databases, const struct ask_question *question);
/* Asks; done is called later, never from in here. NULL: no memory. */
struct ask *databases_ask(struct databases *databases, const struct ask_question *question,
			  ask_done *done, void *context);
/* Nobody waits any more: done is not called. */
void databases_cancel(struct ask *ask);
/* Forgets the answers of databases about that name (or, NULL, about any): they are asked anew, and
 * no answer to a question that is under way is remembered. Returns how many entries were forgotten.
 */
uint32_t databases_forget(struct databases *databases, const pop3_span *name);
/* A message of a lookup process. */
void databases_answer(struct databases *databases, struct peer *lookup,
		      const struct ipc_answer *message);
/* A lookup process is there, or gone: its questions are answered as by a database that is down. */
void databases_up(struct databases *databases, const struct peer *lookup);
void databases_gone(struct databases *databases, const struct peer *lookup);
/* Sets the gauges: which are up, and how many questions wait. */
void databases_count(const struct databases *databases);
/* Calls visit for each: whether it answers, and how many questions wait for it. */
typedef void databases_visit(void *context, const struct config_database *database, bool up,
			     uint32_t waiting);
void databases_each(const struct databases *databases, databases_visit *visit, void *context);
/* A user of a database logged in. */
void databases_note(struct databases *databases, const char *database, const char *name);

void findings_free(struct finding *findings);

#endif
