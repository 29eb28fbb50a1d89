/* See news.h. What comes from the server is root's own, and is checked as text from outside is. */
#include "cli/migrate/follow/news.h"

#include "base/text.h"
#include "cli/control_link.h"
#include "cli/migrate/follow/helper.h"
#include "cli/migrate/move.h"
#include "users/users.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { PAUSE_SECONDS = 1, PAUSE_MAX_SECONDS = 16, FIELD_USER = 2, FIELD_SECTION };

static int hex(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* A text as the server escapes it (docs/control.md), in place. Returns its end. */
static char *plain(char *field)
{
	char *to = field;

	for (const char *at = field; *at; at++) {
		bool escaped = at[0] == '\\' && at[1] == 'x' && hex(at[2]) >= 0 && hex(at[3]) >= 0;

		*to++ = escaped ? (char)(hex(at[2]) << 4 | hex(at[3])) : *at;
		at += escaped ? 3 : 0;
	}
	return to;
}

static void send_login(char *name, char *section, int out)
{
	char text[2 * (USER_NAME_MAX + 1)], *end = plain(name), *section_end = plain(section);
	size_t size = (size_t)(end - name), more = (size_t)(section_end - section);

	if (size + 1 + more > sizeof(text))
		return;
	memcpy(text, name, size);
	text[size] = '\0';
	memcpy(text + size + 1, section, more);
	helper_send(out, NEWS_LOGIN, (pop3_span){text, size + 1 + more});
}

/* Up to the end of the connection. False: the server refuses, or there is none. */
static bool follow(struct control_link *link, int out, struct err *err)
{
	int rc = control_link_ask(link, "logins migrate", NULL, err);

	helper_send(out, NEWS_UP, SPAN_LITERAL(""));
	while (rc == 0 && (rc = control_link_next(link, err)) > 0) {
		rc = 0;
		if (control_link_is(link, "login", FIELD_SECTION + 1))
			send_login(link->fields[FIELD_USER], link->fields[FIELD_SECTION], out);
	}
	return link->cut;
}

void news_run(const void *argument, int out)
{
	const struct migrate_options *options = argument;
	struct control_link link;
	bool was_up = false;

	for (unsigned pause = PAUSE_SECONDS;;
	     pause = pause * 2 < PAUSE_MAX_SECONDS ? pause * 2 : PAUSE_MAX_SECONDS) {
		struct err err = {0};
		bool up = control_link_open(&link, options->config_file, NULL, 0, &err) == 0;

		if (!up && !was_up && err.code == EX_CONFIG) {
			helper_send(out, NEWS_NEVER, span_of(err.text));
			return;
		}
		was_up |= up;
		if (!up || !follow(&link, out, &err))
			helper_send(out, NEWS_DOWN, span_of(err.text));
		else
			pause = PAUSE_SECONDS; /* it was there: a reload closes it, too */
		control_link_close(&link);
		nanosleep(&(struct timespec){.tv_sec = pause}, NULL);
	}
}
