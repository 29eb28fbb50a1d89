/* See sessions.h. */
#include "cli/migrate/sessions.h"

#include "cli/control_link.h"

#include <string.h>

enum { CONTROL_SECONDS = 10, NAMELESS_MS = 5000 };

/* Sessions in mail that a target has; name: but those of a known user. -1 with err. */
static int count_sessions(const struct migrate *m, const char *target, bool named, struct err *err)
{
	enum { FIELD_USER = 2, FIELD_STATE = 5 };
	struct control_link link;
	int rc, sessions = 0;

	if (control_link_open(&link, m->options.config_file, NULL, CONTROL_SECONDS, err) < 0)
		return -1;
	rc = control_link_ask(&link, "who", target, err);
	while (rc == 0 && (rc = control_link_next(&link, err)) > 0) {
		rc = 0;
		if (control_link_is(&link, "session", FIELD_STATE + 1) &&
		    strcmp(link.fields[FIELD_STATE], "mail") == 0)
			sessions += named || strcmp(link.fields[FIELD_USER], "-") == 0;
	}
	control_link_close(&link);
	return rc < 0 ? -1 : sessions;
}

int sessions_none(struct migrate *m, const struct user *user, struct err *err)
{
	int sessions;

	if (m->options.stopped)
		return 1;
	if (!m->asked_at || migrate_now_ms() - m->asked_at >= NAMELESS_MS) {
		sessions = count_sessions(m, NULL, false, err);
		if (sessions < 0)
			return -1;
		m->nameless = sessions;
		m->asked_at = migrate_now_ms();
	}
	sessions = count_sessions(m, user->name, true, err);
	return sessions < 0 ? -1 : sessions + m->nameless == 0;
}
