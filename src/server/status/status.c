/* See status.h. This file: the process, its pages, and which answer a path gets. */
#include "server/status/status.h"

#include "base/log.h"
#include "config/listener.h"
#include "server/counters.h"
#include "server/status/http.h"
#include "server/status/page.h"
#include "server/status/samples.h"
#include "server/status/text.h"
#include "server/totals.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	TICK_MS = 5000,
	LISTENERS_MAX = CONFIG_LISTENERS_MAX,
};

struct status {
	struct child *child;
	struct http *http;
	struct samples *samples;
	struct loop_timer tick;
	struct totals_pages pages;
	int sockets[LISTENERS_MAX]; /* came before START */
	unsigned socket_count;
};

static struct status *root_struct(struct child *child)
{
	bool is_new;
	struct status *status = child_state(child, sizeof(*status), &is_new);

	if (!is_new)
		return status;
	status->child = child;
	return status;
}

/* ---- answers ---- */

static bool wants_open_metrics(const char *accept)
{
	return strstr(accept, "application/openmetrics-text") != NULL;
}

static void metrics(const struct text_source *source, const char *accept, FILE *out,
		    struct http_answer *ret)
{
	bool open_metrics = wants_open_metrics(accept);

	counters_add(COUNTER_SCRAPES, 1);
	ret->type = open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
				 : "text/plain; version=0.0.4; charset=utf-8";
	text_metrics(source, open_metrics, out);
}

static void ready(const struct totals *totals, FILE *out, struct http_answer *ret)
{
	const char *why = text_not_ready(totals);

	ret->code = why ? 503 : 200;
	fprintf(out, "%s\n", why ? why : "ready");
}

static void answer_of(const struct text_source *source, const char *path, const char *accept,
		      FILE *out, struct http_answer *ret)
{
	if (strcmp(path, "/metrics") == 0) {
		metrics(source, accept, out, ret);
	} else if (strcmp(path, "/readyz") == 0) {
		ready(source->totals, out, ret);
	} else if (strcmp(path, "/status.json") == 0) {
		ret->type = "application/json";
		text_json(source, out);
	} else if (strcmp(path, "/") == 0) {
		ret->type = "text/html; charset=utf-8";
		page_write(source, out);
	} else {
		ret->code = 404;
		fputs("not here: /, /metrics, /status.json, /healthz, /readyz\n", out);
	}
}

static void answer(void *context, const char *path, const char *accept, FILE *out,
		   struct http_answer *ret)
{
	struct status *status = context;
	struct text_source source = {.samples = status->samples,
				     .config = status->child->config,
				     .now = (uint64_t)time(NULL)};
	struct totals *totals;

	if (strcmp(path, "/healthz") == 0) { /* this process is alive */
		fputs("ok\n", out);
		return;
	}
	totals = totals_of_pages(&status->pages);
	if (!totals) {
		ret->code = 503;
		return;
	}
	source.totals = totals;
	answer_of(&source, path, accept, out, ret);
	free(totals);
}

static void listener_dead(void *context)
{
	struct status *status = context;
	struct ipc_empty message;

	log_error(
		"a listening socket of HTTP was shut; this process asks the monitor for a new one");
	ipc_send(&status->child->monitor, IPC_LISTENER_DEAD, &message);
}

static void tick(struct loop_timer *timer)
{
	struct status *status = timer->context;
	struct totals *totals = status->samples ? totals_of_pages(&status->pages) : NULL;

	if (totals)
		samples_tick(status->samples, totals, (uint64_t)time(NULL));
	free(totals);
	loop_timer_set(timer, TICK_MS);
}

/* ---- the process ---- */

static void take_socket(struct status *status, int *fd)
{
	if (status->http) {
		http_listen(status->http, fd);
	} else if (status->socket_count < LISTENERS_MAX) {
		status->sockets[status->socket_count++] = *fd;
		*fd = -1;
	}
}

static void monitor_message(struct child *child, enum ipc_type type, const void *message, int *fds)
{
	struct status *status = root_struct(child);

	if (type == IPC_PAGE)
		totals_take_page(&status->pages, message, fds[0]);
	else if (type == IPC_SAMPLES && !status->samples)
		status->samples = samples_open(fds[0]);
	else if (type == IPC_LISTENER)
		take_socket(status, &fds[0]);
}

static void warn_of_others(const struct config *config)
{
	char where[CONFIG_PATH_MAX + 16];

	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];

		if (listener->service != SERVICE_STATUS || config_listener_is_local(listener))
			continue;
		config_listener_print(listener, where, sizeof(where));
		log_warning("%s:%u: other machines may reach the metrics at %s: whoever does sees "
			    "how the server is used; let a firewall keep all but the monitoring "
			    "out, or write 127.0.0.1",
			    config->file, listener->line, where);
	}
}

static int start(struct child *child, struct err *err)
{
	struct status *status = root_struct(child);
	const struct http_handler handler = {answer, listener_dead, status};
	struct sandbox sandbox;

	warn_of_others(child->config);
	status->http = http_create(child->loop, &handler, err);
	if (!status->http)
		return -1;
	child_sandbox(child, SANDBOX_STATUS, &sandbox);
	if (sandbox_enter(&sandbox, err) < 0)
		return -1;
	for (unsigned i = 0; i < status->socket_count; i++)
		http_listen(status->http, &status->sockets[i]);
	loop_timer_init(&status->tick, child->loop, tick, status);
	loop_timer_set(&status->tick, 0);
	return 0;
}

static void no_peer(struct peer *peer)
{
	(void)peer;
}

static void no_message(struct peer *peer, enum ipc_type type, const void *message, int *fds)
{
	(void)type;
	(void)message;
	(void)fds;
	peer_break(peer, "status works with no other process");
}

/* Nobody's session depends on it; the next generation's has the sockets already. */
static void drain(struct child *child, uint64_t ms)
{
	struct status *status = root_struct(child);

	(void)ms;
	http_destroy(status->http);
	status->http = NULL;
	child_exit(child);
}

const struct child_role status_role = {
	.role = ROLE_STATUS,
	.monitor_message = monitor_message,
	.start = start,
	.peer_up = no_peer,
	.peer_gone = no_peer,
	.peer_message = no_message,
	.drain = drain,
};
