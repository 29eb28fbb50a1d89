/*
 * LMTP recipients in auth: an address becomes users, and each user's keeper is sent the permission
 * of this front to deliver to that user in this transaction. The keeper answers the front, so a
 * front cannot deliver to a user whom auth did not resolve. On auth's loop; see auth.h.
 */
#include "server/auth/recipient.h"

#include "base/log.h"
#include "base/text.h"
#include "server/auth/keepers.h"
#include "server/auth/remote.h"
#include "server/auth/usage.h"
#include "server/record.h"
#include "users/site.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static void warn(const char *text)
{
	log_warning("%s", text);
}

int auth_recipients_open(struct auth *auth, struct err *err)
{
	const struct config *config = auth->child->config;
	int rc =
		site_recipients_open(config, auth->aliases_fd, auth->users, &auth->recipients, err);

	if (rc < 0 && auth->aliases_fd >= 0)
		site_explain(config->aliases, auth->aliases_fd,
			     auth->child->change_ids ? config->user_auth : NULL, err);
	if (rc == 0)
		site_recipients_check(config, auth->recipients, false, warn);
	return rc;
}

_Static_assert(RECIPIENT_USERS_MAX <= IPC_PARTS_MAX, "a recipient has more parts than RESOLVED");

/* The answer to mta, which asks without a transaction: no keeper is involved. */
static void answer_mta(struct peer *mta, const struct ipc_recipient *message, enum reason reason,
		       const struct user *users, size_t count)
{
	struct ipc_whose_answer answer = {.session = message->session, .reason = reason};
	char names[IPC_SASL_MAX];
	pop3_span text = {names, 0};

	for (size_t i = 0; i < count; i++) {
		pop3_span name = span_of(users[i].name);

		if (text.size + name.size + 2 > sizeof(names))
			break;
		if (i > 0) {
			memcpy(names + text.size, ", ", 2);
			text.size += 2;
		}
		memcpy(names + text.size, name.data, name.size);
		text.size += name.size;
	}
	peer_send_texts(mta, IPC_WHOSE_ANSWER, &answer, &text, 1);
}

/* The process that asked, if it is still there. */
static struct peer *front_of(const struct auth *auth, uint64_t instance)
{
	struct peer *front = child_peer(auth->child, ROLE_LMTP, instance);

	return front ? front : child_peer(auth->child, ROLE_MTA, instance);
}

static void refuse(struct peer *front, const struct ipc_recipient *message, enum reason reason)
{
	struct ipc_recipient_answer answer = {.session = message->session,
					      .transaction = message->transaction,
					      .index = message->index,
					      .reason = reason};

	if (front->role == ROLE_MTA) {
		answer_mta(front, message, reason, NULL, 0);
		return;
	}
	peer_send(front, IPC_RCPT_REFUSED, &answer);
}

static int pass_on_remote(struct peer *front, const struct ipc_recipient *message,
			  const struct user *user, struct peer *connector)
{
	struct ipc_recipient_remote open = {.front = front->instance,
					    .session = message->session,
					    .transaction = message->transaction,
					    .index = message->index,
					    .remote = user->remote_section - 1};
	pop3_span texts[] = {span_of(user->name), span_of(user->mail_to), ipc_text(message, 0)};

	return auth_pass_on(connector, IPC_RCPT_REMOTE, &open, texts, 3);
}

static int pass_on(struct peer *front, const struct ipc_recipient *message, const struct user *user,
		   struct peer *keeper)
{
	struct site_quota quota = site_quota(front->child->config, user);
	struct ipc_recipient_open open = {.front = front->instance,
					  .session = message->session,
					  .transaction = message->transaction,
					  .index = message->index,
					  .quota_messages = quota.messages,
					  .quota_octets = quota.octets,
					  .root = user->root,
					  .placed = user->placed};
	pop3_span texts[] = {span_of(user->name), span_of(user_home(user)), ipc_text(message, 0)};

	if (user->remote_section)
		return pass_on_remote(front, message, user, keeper);
	return auth_pass_on(keeper, IPC_RCPT_OPEN, &open, texts, 3);
}

enum {
	HOLDING_WAIT_MS = 5 * 1000, /* in a transaction that keeps other keepers from ending; for
				       one that is idle to end, and another to start */
};

/* A recipient has no keeper since too many owners have theirs. */
static enum reason crowded(const struct ipc_recipient *message)
{
	return message->held ? REASON_TOO_MANY_OWNERS : REASON_OWNERS_BUSY;
}

/* It has waited for key until its deadline, or cannot wait. */
static enum reason waited(const struct auth *auth, const struct ipc_recipient *message,
			  uint64_t key, uint64_t deadline)
{
	if (key >= HOMES_KEY_FIRST || deadline > loop_now(auth->child->loop))
		return REASON_STORE_DOWN;
	return crowded(message);
}

struct waiting_recipient {
	struct auth_waiting waiting;
	uint64_t front;
	struct ipc_recipient message; /* its tail follows */
};

static void find(struct peer *front, const struct ipc_recipient *message, uint64_t deadline);

static void wake(struct auth *auth, struct auth_waiting *waiting, bool refused)
{
	struct waiting_recipient *wait = (struct waiting_recipient *)waiting;
	struct peer *front = child_peer(auth->child, ROLE_LMTP, wait->front);

	if (front && refused)
		refuse(front, &wait->message,
		       waited(auth, &wait->message, waiting->key, waiting->deadline));
	else if (front)
		find(front, &wait->message, waiting->deadline);
	free(wait);
}

/* deadline 0: it has not waited yet. Two transactions that keep keepers from ending could wait for
 * each other's, so they do not wait for long. */
static void wait_for_keeper(struct peer *front, const struct ipc_recipient *message, uint64_t key,
			    uint64_t deadline)
{
	size_t size = sizeof(*message) + message->head.tail;
	struct waiting_recipient *wait = calloc(1, sizeof(*wait) + message->head.tail);
	struct auth *auth = front->child->state;

	if (!deadline && message->held)
		deadline = loop_now(auth->child->loop) + HOLDING_WAIT_MS;
	if (wait) {
		wait->waiting.wake = wake;
		wait->waiting.kind = WAITING_RECIPIENT;
		wait->waiting.deadline = deadline;
		wait->front = front->instance;
		memcpy(&wait->message, message, size);
		if (auth_wait(auth, &wait->waiting, key) == 0)
			return;
		deadline = wait->waiting.deadline;
	}
	free(wait);
	refuse(front, message, waited(auth, message, key, deadline ? deadline : UINT64_MAX));
}

/* The owners of a recipient's maildrops. */
struct owners_found {
	uint32_t count, absent; /* of all; of those whose keeper does not run */
	uint32_t uids[RECIPIENT_USERS_MAX];
	const struct user *users[RECIPIENT_USERS_MAX]; /* one of each; NULL: its keeper runs */
};

static void note_owner(struct owners_found *owners, uint32_t uid, const struct user *user)
{
	for (uint32_t i = 0; i < owners->count; i++)
		if (owners->uids[i] == uid)
			return;
	owners->uids[owners->count] = uid;
	owners->users[owners->count++] = user;
	owners->absent += user != NULL;
}

/* Finds the keepers of all users that run, and the owners of all; asks for unknown owners. All
 * recipients of a session whose mail goes to other servers have the same connector, so that their
 * message goes to each of these once. */
static enum auth_keeper_found look(struct auth *auth, const struct ipc_recipient *message,
				   const struct user *users, size_t count, struct peer **ret,
				   struct owners_found *owners, uint64_t *ret_key)
{
	enum auth_keeper_found found = KEEPER_FOUND;
	uint64_t key = 0;

	for (size_t i = 0; i < count; i++) {
		if (users[i].remote_section) {
			ret[i] = auth_find_connector(auth, message->session);
			if (!ret[i])
				return KEEPER_NONE;
			continue;
		}
		switch (auth_find_keeper(auth, &users[i], &ret[i], &key)) {
		case KEEPER_FOUND:
			note_owner(owners, ret[i]->uid, NULL);
			break;
		case KEEPER_ABSENT:
			note_owner(owners, (uint32_t)key, &users[i]);
			break;
		case KEEPER_STARTING:
			found = KEEPER_STARTING;
			*ret_key = key;
			break;
		case KEEPER_NONE:
			return KEEPER_NONE;
		}
	}
	return found == KEEPER_FOUND && owners->absent ? KEEPER_ABSENT : found;
}

/* Whether there can be keepers for all these owners beside those that the transaction keeps from
 * ending. One of the owners may be the mail folder's, who needs no keeper on demand. */
static bool can_have(const struct auth *auth, const struct ipc_recipient *message,
		     const struct owners_found *owners)
{
	uint32_t most = auth->child->config->owner_keepers;
	pop3_span address = ipc_text(message, 0);

	if (message->held != IPC_HELD_ALL && owners->count <= most + 1 && owners->absent <= most &&
	    message->held <= most - owners->absent)
		return true;
	if (!message->held && record_may(RECORD_RECIPIENT_DOWN, NULL))
		log_error("recipient <%.*s>: its maildrops belong to %u users, more than "
			  "processes.owner_keepers, %u: raise that",
			  (int)address.size, address.data, owners->count, most);
	return false;
}

/* Finds the keepers of all users; asks for those that do not run, and for unknown owners.
 * KEEPER_ABSENT: there cannot be keepers for all of them now. */
static enum auth_keeper_found find_keepers(struct auth *auth, const struct ipc_recipient *message,
					   const struct user *users, size_t count,
					   struct peer **ret, uint64_t *ret_key)
{
	struct owners_found owners = {.count = 0};
	enum auth_keeper_found found = look(auth, message, users, count, ret, &owners, ret_key);

	if (found != KEEPER_ABSENT || !can_have(auth, message, &owners))
		return found;
	for (uint32_t i = owners.count; i-- > 0;) {
		if (!owners.users[i])
			continue;
		if (auth_want_keeper(auth, owners.uids[i], owners.users[i]) == KEEPER_NONE)
			return KEEPER_NONE;
		*ret_key = owners.uids[i];
	}
	return KEEPER_STARTING;
}

/* RESOLVED with the instances of the keepers is sent before any keeper can answer: the front
 * accepts answers from these keepers only. */
static void resolved(struct peer *front, const struct ipc_recipient *message,
		     const struct user *users, size_t count, uint64_t deadline)
{
	struct peer *keepers[RECIPIENT_USERS_MAX];
	uint64_t instances[RECIPIENT_USERS_MAX];
	struct ipc_resolved answer = {.session = message->session,
				      .transaction = message->transaction,
				      .index = message->index,
				      .parts = (uint32_t)count};
	pop3_span tail = {(const char *)instances, count * sizeof(instances[0])};
	uint64_t key = 0;

	switch (find_keepers(front->child->state, message, users, count, keepers, &key)) {
	case KEEPER_FOUND:
		break;
	case KEEPER_STARTING:
		wait_for_keeper(front, message, key, deadline);
		return;
	case KEEPER_ABSENT:
		refuse(front, message, crowded(message));
		return;
	case KEEPER_NONE: /* a keeper that is being restarted: the MTA tries again */
		refuse(front, message, REASON_STORE_DOWN);
		return;
	}
	for (size_t i = 0; i < count; i++)
		instances[i] = keepers[i]->instance;
	peer_send_parts(front, IPC_RESOLVED, &answer, &tail, 1);
	for (size_t i = 0; i < count; i++)
		if (pass_on(front, message, &users[i], keepers[i]) < 0) {
			refuse(front, message, REASON_STORE_DOWN);
			return;
		}
}

/* ---- databases ---- */

/* A recipient whose names databases are asked about, one question after another. */
struct asking {
	struct auth *auth;
	uint64_t front, deadline;
	struct finding *findings; /* so far */
	unsigned rounds;
	struct ipc_recipient message; /* its tail follows */
};

enum {
	ROUNDS_MAX = 2 * RECIPIENT_USERS_MAX, /* questions for one recipient */
};

static void free_asking(struct asking *asking)
{
	findings_free(asking->findings);
	free(asking);
}

static void find_with(struct peer *front, const struct ipc_recipient *message, uint64_t deadline,
		      struct asking *asking);

static void add_findings(struct asking *asking, struct finding *findings)
{
	struct finding **end = &asking->findings;

	while (*end)
		end = &(*end)->next;
	*end = findings;
}

static void answered(void *context, struct finding *findings)
{
	struct asking *asking = context;
	struct peer *front = front_of(asking->auth, asking->front);

	if (!front) {
		findings_free(findings);
		free_asking(asking);
		return;
	}
	add_findings(asking, findings);
	if (findings) {
		find_with(front, &asking->message, asking->deadline, asking);
		return;
	}
	refuse(front, &asking->message, REASON_USERS_DOWN);
	free_asking(asking);
}

static struct asking *new_asking(struct peer *front, const struct ipc_recipient *message,
				 uint64_t deadline)
{
	struct asking *asking = calloc(1, sizeof(*asking) + message->head.tail);

	if (!asking)
		return NULL;
	asking->auth = front->child->state;
	asking->front = front->instance;
	asking->deadline = deadline;
	memcpy(&asking->message, message, sizeof(*message) + message->head.tail);
	return asking;
}

static struct ask_question question_of(const struct peer *front,
				       const struct ipc_recipient *message,
				       const struct recipient_names *names)
{
	struct ask_question question = {.purpose = LOOKUP_RECIPIENT,
					.loopback = true, /* no bound of one network */
					.class = QUEUE_CALM,
					.front = front->instance,
					.session = message->session};

	for (unsigned i = 0; i < names->count; i++)
		question.names[question.name_count++] = span_of(names->names[i]);
	return question;
}

_Static_assert((int)RECIPIENT_NAMES_MAX <= (int)IPC_LOOKUP_NAMES_MAX, "FIND has too few names");

/* Asks, or takes what is remembered of the best spelling. Returns true: the search goes on at once.
 * *asking NULL: it was refused, or somebody answers later. */
static bool ask(struct peer *front, const struct ipc_recipient *message, uint64_t deadline,
		const struct recipient_names *names, struct asking **asking)
{
	struct auth *auth = front->child->state;
	struct ask_question question = question_of(front, message, names), best = question;
	struct finding *known;

	if (!*asking)
		*asking = new_asking(front, message, deadline);
	if (*asking && (*asking)->rounds++ < ROUNDS_MAX) {
		best.name_count = 1;
		known = databases_known(auth->databases, &best);
		if (known) {
			add_findings(*asking, known);
			return true;
		}
		if (databases_ask(auth->databases, &question, answered, *asking)) {
			*asking = NULL;
			return false;
		}
	}
	refuse(front, message, REASON_USERS_DOWN);
	return false;
}

/* ---- the search ---- */

static void conclude(struct peer *front, const struct ipc_recipient *message, uint64_t deadline,
		     enum recipient_status status, const struct user *users, size_t count,
		     const struct err *err)
{
	pop3_span address = ipc_text(message, 0);

	if (status == RECIPIENT_UNKNOWN) {
		refuse(front, message, REASON_NO_SUCH_USER);
	} else if (status == RECIPIENT_DOWN) {
		if (record_may(RECORD_RECIPIENT_DOWN, NULL))
			log_error("recipient <%.*s>: %s", (int)address.size, address.data,
				  err->text);
		refuse(front, message, REASON_USERS_DOWN);
	} else if (message->head.type == IPC_QUOTA) {
		usages_ask(front->child->state, front, message, users, count);
	} else if (front->role == ROLE_MTA) {
		answer_mta(front, message, REASON_OK, users, count);
	} else {
		resolved(front, message, users, count, deadline);
	}
}

/* message may be that of asking, which is freed here if nobody answers it any more. */
static void find_with(struct peer *front, const struct ipc_recipient *message, uint64_t deadline,
		      struct asking *asking)
{
	struct auth *auth = front->child->state;
	struct recipient_names names = {0};
	struct user *users = calloc(RECIPIENT_USERS_MAX, sizeof(*users));
	pop3_span address = ipc_text(message, 0);
	enum recipient_status status = RECIPIENT_DOWN;
	struct err err = {.text = "out of memory"};
	size_t count = 0;

	do {
		if (users)
			status = recipients_resolve(auth->recipients, address,
						    asking ? asking->findings : NULL, users,
						    RECIPIENT_USERS_MAX, &count, &names, &err);
	} while (status == RECIPIENT_ASK && ask(front, message, deadline, &names, &asking));
	if (status != RECIPIENT_ASK)
		conclude(front, message, deadline, status, users, count, &err);
	if (users)
		explicit_bzero(users, RECIPIENT_USERS_MAX * sizeof(*users));
	free(users);
	if (asking)
		free_asking(asking);
}

/* deadline: of a recipient that has waited for a keeper; 0: it has not. */
static void find(struct peer *front, const struct ipc_recipient *message, uint64_t deadline)
{
	find_with(front, message, deadline, NULL);
}

void auth_recipient(struct peer *front, const struct ipc_recipient *message)
{
	find(front, message, 0);
}
