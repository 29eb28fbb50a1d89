/* See report.h. control is believed about the uid of a person, and about nothing else. */
#include "server/auth/report.h"

#include "base/text.h"
#include "config/database.h"
#include "server/auth/session.h"
#include "server/lines.h"

#include <stdlib.h>

/* A page that is being written. */
struct report {
	struct auth *auth;
	const struct ipc_ask *ask;
	struct ipc_lines page;
	bool lost; /* a line found no room */
	struct lines lines;
};

/* ---- topics ---- */

static void counts(struct report *report)
{
	const struct child *child = report->auth->child;
	uint64_t connections = 0;

	for (const struct peer *peer = child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_FRONT && peer->data)
			connections += ((const struct table *)peer->data)->count;
	lines_begin(&report->lines, "connections");
	lines_number(&report->lines, child->generation);
	lines_number(&report->lines, connections);
	lines_end(&report->lines);
}

enum { BUCKETS_MAX = 2048, ENOUGH = IPC_BATCH_MAX / 2 };

static void write_user(void *context, pop3_span name, uint32_t sessions)
{
	struct report *report = context;

	lines_begin(&report->lines, "user");
	lines_name(&report->lines, name);
	lines_number(&report->lines, sessions);
	lines_number(&report->lines, report->auth->child->generation);
	report->lost |= !lines_end(&report->lines);
}

/* A page ends when it is half full, so that a whole bucket finds room. */
static void users(struct report *report)
{
	uint64_t cursor = report->ask->cursor[0];
	unsigned buckets = 0;

	do
		cursor = limits_scan_users(&report->auth->limits, cursor, write_user, report);
	while (cursor && ++buckets < BUCKETS_MAX && report->lines.count < LINES_PAGE &&
	       report->lines.whole < ENOUGH);
	report->page.cursor[0] = cursor;
	report->page.status = cursor ? LINES_MORE : LINES_END;
}

static void write_database(void *context, const struct config_database *database, bool up,
			   uint32_t waiting)
{
	struct report *report = context;

	lines_begin(&report->lines, "database");
	lines_number(&report->lines, report->auth->child->generation);
	lines_name(&report->lines, span_of(database->name));
	lines_words(&report->lines, config_driver_name((enum config_driver)database->driver));
	lines_words(&report->lines, up ? "up" : "down");
	lines_number(&report->lines, waiting);
	lines_end(&report->lines);
}

static void databases(struct report *report)
{
	databases_each(report->auth->databases, write_database, report);
}

static const struct {
	void (*run)(struct report *report);
} topics[TOPICS] = {
	[TOPIC_COUNTS] = {counts},
	[TOPIC_USERS] = {users},
	[TOPIC_DATABASES] = {databases},
};

static void fail(struct peer *control, const struct ipc_ask *ask)
{
	struct ipc_lines message = {.number = ask->number, .status = LINES_FAILED};
	pop3_span why = SPAN_LITERAL("auth has no room for the answer");

	peer_send_parts(control, IPC_LINES, &message, &why, 1);
}

void auth_report(struct peer *control, const struct ipc_ask *ask)
{
	struct auth *auth = control->child->state;
	struct ipc_lines refusal = {.number = ask->number, .status = LINES_REFUSED};
	struct report *report;
	pop3_span tail;

	if (!lines_obeyed(&auth->control, ask->uid, ask->gid) || !topics[ask->topic].run) {
		peer_send(control, IPC_LINES, &refusal);
		return;
	}
	report = calloc(1, sizeof(*report));
	if (!report) {
		fail(control, ask);
		return;
	}
	report->auth = auth;
	report->ask = ask;
	report->page = (struct ipc_lines){.number = ask->number, .status = LINES_END};
	topics[ask->topic].run(report);
	report->page.count = report->lines.count;
	tail = (pop3_span){report->lines.text, report->lines.whole};
	if (report->lost)
		fail(control, ask);
	else
		peer_send_parts(control, IPC_LINES, &report->page, &tail, 1);
	free(report);
}
