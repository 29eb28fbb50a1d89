/*
 * Connections of an MTA that ask about recipients, one question at a time: each is passed on to
 * auth, and answered when auth answers, or when its time is over. map.c and policy.c are the
 * protocols. On mta's loop; what comes is hostile.
 */
#ifndef SERVER_MTA_QUESTION_H
#define SERVER_MTA_QUESTION_H

#include "server/mta/root.h"

struct question_session;

/* A protocol. */
struct question_kind {
	/* Takes octets of *in until a question is whole, and then asks it (question_ask) or
	 * answers it (question_say). Returns false: more octets are needed, or the connection is
	 * over (question_end). */
	bool (*take)(struct question_session *session, pop3_span *in);
	/* Answers the question as auth did. USERS_DOWN: auth did not. */
	void (*answered)(struct question_session *session, enum reason reason, pop3_span text);
};

struct question_session {
	struct client client;
	struct mta *mta;
	const struct question_kind *kind;
	struct table_node node; /* key: of the question at auth */
	struct loop_deadline answer;
	bool asked; /* waits for auth */
	bool held;  /* the protocol's part has octets that were taken and may be a question */
	bool over;
	char *out; /* the answer; NULL: none */
	size_t out_size, out_at;
};

/* The first member of an allocated struct of size octets, zeroed; NULL: no memory, and the
 * connection is closed by the caller's caller. */
void question_session_start(struct front_frame *frame, int *fd, const struct accepted *from,
			    const struct question_kind *kind, size_t size);
bool question_session_is(const struct client *client);
void question_session_end_idle(struct client *client);
bool question_session_may_give_way(const struct client *client);
void question_session_give_way(struct client *client);

/* For protocols. type: WHOSE or QUOTA; deadlines: how long auth may take. */
void question_ask(struct question_session *session, enum ipc_type type, pop3_span address,
		  uint64_t size, struct loop_deadlines *deadlines);
/* The answer: a copy of data. */
void question_say(struct question_session *session, const char *data, size_t size);
/* Closes the connection when the answer is out. */
void question_end(struct question_session *session);

/* The deadlines of mta that questions use: expired. */
void question_unanswered(struct loop_deadlines *deadlines, struct loop_deadline *deadline);
/* The answer of auth to the question of that number, if somebody still waits for it. */
void question_answer(struct mta *mta, const struct ipc_whose_answer *message);
/* auth is gone. */
void questions_fail(struct mta *mta);

#endif
