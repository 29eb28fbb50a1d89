/*
 * LMTP recipients in auth: an address becomes users, and each user's keeper is told that this front
 * may deliver to it in this transaction. The keeper answers the front, so a front can't deliver to
 * whom nobody resolved. See auth.h.
 */
#include "server/auth.h"

#include "base/log.h"
#include "base/text.h"
#include "users/recipients.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

int auth_recipients_open(struct auth *auth, struct err *err)
{
	const struct config *config = auth->child->config;
	struct recipients_settings settings = {
		.delimiters = config->recipient_delimiter,
		.domains = config->domains,
		.catch_all = config->catch_all,
		.aliases_dir_fd = auth->aliases_fd,
		.aliases_file = auth->aliases_fd >= 0 ? auth->aliases_name : NULL};

	return recipients_open(&settings, auth->users, &auth->recipients, err);
}

static void refuse(struct peer *front, const struct ipc_recipient *message, uint16_t code,
		   uint16_t a, uint16_t b, uint16_t c, const char *text)
{
	struct ipc_recipient_answer answer = {.session = message->session,
					      .transaction = message->transaction,
					      .index = message->index,
					      .code = code,
					      .enhanced = {a, b, c},
					      .parts = 1};
	struct iovec tail;

	memcpy(&tail.iov_base, &text, sizeof(text));
	tail.iov_len = strlen(text);
	peer_send(front, IPC_RCPT_REFUSED, &answer, &tail, 1, NULL, 0);
}

static int pass_on(struct peer *front, const struct ipc_recipient *message, const struct user *user,
		   uint32_t parts)
{
	struct auth *auth = front->child->state;
	const struct config *config = auth->child->config;
	const char *home = user->home[0] ? user->home : user->name;
	struct ipc_recipient_open open = {
		.front = front->instance,
		.session = message->session,
		.transaction = message->transaction,
		.index = message->index,
		.quota_messages =
			user->quota_messages ? user->quota_messages : config->quota_messages,
		.quota_octets = user->quota_octets ? user->quota_octets : config->quota_octets,
		.user_size = (uint32_t)strlen(user->name),
		.home_size = (uint32_t)strlen(home),
		.address_size = message->head.tail,
		.parts = parts};
	struct iovec tail[3] = {{.iov_len = open.user_size},
				{.iov_len = open.home_size},
				{.iov_len = open.address_size}};
	const char *name = user->name, *address = ipc_tail(message);
	struct peer *keeper;
	uint32_t uid;

	memcpy(&tail[0].iov_base, &name, sizeof(name));
	memcpy(&tail[1].iov_base, &home, sizeof(home));
	memcpy(&tail[2].iov_base, &address, sizeof(address));
	if (auth_keeper(auth, home, &keeper, &uid) != 0)
		return -1; /* being started: the MTA tries again */
	return ipc_send(&keeper->chan, IPC_RCPT_OPEN, &open, tail, 3, NULL, 0);
}

void auth_recipient(struct peer *front, const struct ipc_recipient *message)
{
	struct auth *auth = front->child->state;
	struct user *users = calloc(RECIPIENT_USERS_MAX, sizeof(*users));
	pop3_span address = {ipc_tail(message), message->head.tail};
	enum recipient_status status = RECIPIENT_DOWN;
	struct err err = {.text = "out of memory"};
	size_t count = 0;

	if (users)
		status = recipients_find(auth->recipients, address, users, RECIPIENT_USERS_MAX,
					 &count, &err);
	if (status == RECIPIENT_UNKNOWN) {
		refuse(front, message, 550, 5, 1, 1, "no such user here");
	} else if (status == RECIPIENT_DOWN) {
		log_error("recipient <%.*s>: %s", (int)address.size, address.data, err.text);
		refuse(front, message, 451, 4, 3, 0,
		       "the user database is not available, try again later");
	} else {
		for (size_t i = 0; i < count; i++) {
			if (pass_on(front, message, &users[i], (uint32_t)count) == 0)
				continue;
			refuse(front, message, 451, 4, 3, 0,
			       "the mail store is not available, try again later");
			break;
		}
	}
	if (users)
		explicit_bzero(users, RECIPIENT_USERS_MAX * sizeof(*users));
	free(users);
}
