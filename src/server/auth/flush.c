/* See flush.h. */
#include "server/auth/flush.h"

#include "base/text.h"
#include "server/auth/session.h"
#include "server/lines.h"
#include "server/record.h"
#include "users/directory.h"

#include <string.h>

static uint32_t forget(struct auth *auth, pop3_span name)
{
	char text[USER_NAME_MAX + 1];

	if (span_copy(name, text, sizeof(text)) < 0)
		return 0; /* no user has so long a name */
	login_service_forget(auth->service, text);
	return databases_forget(auth->databases, &name);
}

/* The name as it is, and as a login completes it. */
static uint32_t forget_spellings(struct auth *auth, pop3_span name)
{
	char buf[USER_NAME_MAX + 1];
	pop3_span whole = directory_name(auth->users, auth->child->config, name, buf);
	uint32_t count = forget(auth, name);

	return span_equal(whole, name) ? count : count + forget(auth, whole);
}

static void say(uint32_t uid, pop3_span name, uint32_t count)
{
	struct record record;

	record_begin(&record, RECORD_FORGOTTEN, NULL, 0, 0);
	record_number(&record, RECORD_KEY_BY_UID, uid);
	record_number(&record, RECORD_KEY_ENTRIES, count);
	if (name.size)
		record_text(&record, RECORD_KEY_USER, name);
	record_write(&record);
}

static uint32_t flush(struct auth *auth, uint32_t uid, pop3_span name)
{
	uint32_t count;

	if (!name.size)
		login_service_forget(auth->service, NULL);
	count = name.size ? forget_spellings(auth, name) : databases_forget(auth->databases, NULL);
	say(uid, name, count);
	return count;
}

void auth_flush_told(struct auth *auth, uint32_t uid, pop3_span name)
{
	(void)flush(auth, uid, name);
}

void auth_flush(struct peer *control, const struct ipc_flush *message)
{
	struct auth *auth = control->child->state;
	struct ipc_flushed answer = {.number = message->number, .status = WHO_REFUSED};
	pop3_span name = ipc_text(message, 0);

	if (lines_obeyed(&auth->control, message->uid, message->gid)) {
		answer.status = WHO_END;
		answer.count = flush(auth, message->uid, name);
		nodes_tell(auth, NODES_FLUSH, message->uid, name);
	}
	peer_send(control, IPC_FLUSHED, &answer);
}
