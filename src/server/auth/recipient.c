/*
 * LMTP recipients in auth: an address becomes users, and each user's keeper is sent the permission
 * of this front to deliver to that user in this transaction. The keeper answers the front, so a
 * front cannot deliver to a user whom auth did not resolve. On auth's loop; see auth.h.
 */
#include "server/auth/recipient.h"

#include "base/log.h"
#include "base/text.h"
#include "server/auth/keepers.h"
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
		site_recipients_check(config, auth->recipients, warn);
	return rc;
}

_Static_assert(RECIPIENT_USERS_MAX <= IPC_PARTS_MAX, "a recipient has more parts than RESOLVED");

static void refuse(struct peer *front, const struct ipc_recipient *message, enum reason reason)
{
	struct ipc_recipient_answer answer = {.session = message->session,
					      .transaction = message->transaction,
					      .index = message->index,
					      .reason = reason};

	peer_send(front, IPC_RCPT_REFUSED, &answer);
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
					  .quota_octets = quota.octets};
	pop3_span texts[] = {span_of(user->name), span_of(user_home(user)), ipc_text(message, 0)};

	return ipc_send_texts(&keeper->chan, IPC_RCPT_OPEN, &open, texts, 3);
}

/* RESOLVED with the instances of the keepers is sent before any keeper can answer: the front
 * accepts answers from these keepers only. */
static void resolved(struct peer *front, const struct ipc_recipient *message,
		     const struct user *users, size_t count)
{
	struct peer *keepers[RECIPIENT_USERS_MAX];
	uint64_t instances[RECIPIENT_USERS_MAX];
	struct ipc_resolved answer = {.session = message->session,
				      .transaction = message->transaction,
				      .index = message->index,
				      .parts = (uint32_t)count};
	pop3_span tail = {(const char *)instances, count * sizeof(instances[0])};
	uint32_t uid;

	for (size_t i = 0; i < count; i++) {
		/* a keeper that is being started: the MTA tries again */
		if (auth_keeper(front->child->state, user_home(&users[i]), &keepers[i], &uid) !=
		    KEEPER_FOUND) {
			refuse(front, message, REASON_STORE_DOWN);
			return;
		}
		instances[i] = keepers[i]->instance;
	}
	peer_send_parts(front, IPC_RESOLVED, &answer, &tail, 1);
	for (size_t i = 0; i < count; i++)
		if (pass_on(front, message, &users[i], keepers[i]) < 0) {
			refuse(front, message, REASON_STORE_DOWN);
			return;
		}
}

void auth_recipient(struct peer *front, const struct ipc_recipient *message)
{
	struct auth *auth = front->child->state;
	struct user *users = calloc(RECIPIENT_USERS_MAX, sizeof(*users));
	pop3_span address = ipc_text(message, 0);
	enum recipient_status status = RECIPIENT_DOWN;
	struct err err = {.text = "out of memory"};
	size_t count = 0;

	if (users)
		status = recipients_find(auth->recipients, address, users, RECIPIENT_USERS_MAX,
					 &count, &err);
	if (status == RECIPIENT_UNKNOWN) {
		refuse(front, message, REASON_NO_SUCH_USER);
	} else if (status == RECIPIENT_DOWN) {
		log_error("recipient <%.*s>: %s", (int)address.size, address.data, err.text);
		refuse(front, message, REASON_USERS_DOWN);
	} else {
		resolved(front, message, users, count);
	}
	if (users)
		explicit_bzero(users, RECIPIENT_USERS_MAX * sizeof(*users));
	free(users);
}
