/* See trace.h. control is believed about the uid of a person, and about nothing else. */
#include "server/auth/trace.h"

#include "server/record.h"
#include "users/names.h"

static void say(const struct ipc_trace *ask, pop3_span user)
{
	struct record record;

	record_begin(&record, RECORD_TRACED, NULL, 0, 0);
	record_number(&record, RECORD_KEY_BY_UID, ask->uid);
	record_number(&record, RECORD_KEY_SECONDS, ask->seconds);
	record_text(&record, RECORD_KEY_USER, user);
	record_write(&record);
}

void auth_trace(struct peer *control, const struct ipc_trace *ask)
{
	struct ipc_traced answer = {.number = ask->number, .status = WHO_END};
	struct ipc_trace_user message = {.id = ask->id, .seconds = ask->seconds};
	pop3_span user = ipc_text(ask, 0);
	char key[USER_NAME_MAX];

	if (ask->uid != 0 || user.size > sizeof(key)) {
		answer.status = ask->uid != 0 ? WHO_REFUSED : WHO_FAILED;
		peer_send(control, IPC_TRACED, &answer);
		return;
	}
	user = user_name_key(user, key);
	if (ask->seconds && !control->child->draining) /* auth of each generation is asked */
		say(ask, user);
	for (struct peer *peer = control->child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_FRONT)
			peer_send_texts(peer, IPC_TRACE_USER, &message, &user, 1);
	peer_send(control, IPC_TRACED, &answer);
}
