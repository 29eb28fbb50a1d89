/* See last_login.h. */
#include "server/auth/last_login.h"

#include "base/log.h"
#include "base/table.h"
#include "base/text.h"
#include "users/last_logins.h"

#include <inttypes.h>
#include <string.h>

enum {
	SENT_MAX = 4u << 20, /* a day; those beyond are sent with each login */
};

void last_login_notes_init(struct last_login_notes *notes)
{
	*notes = (struct last_login_notes){.logins = NULL};
	hash_map_init(&notes->sent, SENT_MAX);
}

void last_login_up(struct last_login_notes *notes, struct peer *logins)
{
	notes->logins = logins;
}

void last_login_gone(struct last_login_notes *notes, const struct peer *logins)
{
	if (notes->logins == logins)
		notes->logins = NULL;
}

/* A label that is used again is another app password. */
static uint64_t hash_of(const struct user *user, const struct app_password *app, bool mta)
{
	char key[1 + sizeof(app->created) + APP_LABEL_MAX + 1 + USER_NAME_MAX];
	size_t n = 0, label = app ? strlen(app->label) : 0;

	key[n++] = mta ? 's' : 'p';
	if (app)
		memcpy(key + n, &app->created, sizeof(app->created));
	else
		memset(key + n, 0, sizeof(app->created));
	n += sizeof(app->created);
	if (label)
		memcpy(key + n, app->label, label);
	n += label;
	key[n++] = '\0';
	n += user_name_key(span_of(user->name), key + n).size;
	return hash_octets(key, n);
}

static int send_note(struct last_login_notes *notes, const struct user *user,
		     const struct app_password *app, bool mta)
{
	struct ipc_logged_in message = {.day = notes->day, .mta = mta};
	pop3_span texts[] = {span_of(user->name), span_of(app ? app->label : "")};

	if (chan_queued(&notes->logins->chan) > LAST_LOGIN_QUEUE_MAX)
		return -1;
	return ipc_send_texts(&notes->logins->chan, IPC_LOGGED_IN, &message, texts, 2);
}

void last_login_note(struct last_login_notes *notes, const struct user *user,
		     const struct app_password *app, bool mta)
{
	uint32_t day;
	uint64_t hash, *number;

	if (!notes->logins || notes->off)
		return;
	day = last_login_today();
	if (day != notes->day)
		hash_map_clear(&notes->sent);
	notes->day = day;
	hash = hash_of(user, app, mta);
	if (hash_map_find(&notes->sent, hash))
		return;
	if (send_note(notes, user, app, mta) < 0) {
		notes->dropped++;
		return;
	}
	number = hash_map_put(&notes->sent, hash);
	if (number)
		*number = 1;
}

void last_login_tick(struct last_login_notes *notes)
{
	if (notes->dropped)
		log_warning("%" PRIu64
			    " last logins were not written down: their process takes none",
			    notes->dropped);
	notes->dropped = 0;
}
