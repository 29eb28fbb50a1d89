/* See http.h. The library reads requests and writes answers; what it does not have is here: a bound
 * for connections, and an end for a client that sends or takes an octet now and then. A
 * connection's bufferevent is held here beside the library, which shows that it has let go of it by
 * taking its callbacks away. */
#include "server/status/http.h"

#include "base/log.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	CLIENTS_MAX = 64,
	LISTENERS_MAX = 16,
	HEADERS_MAX = 8192, /* octets of a request */
	IDLE_SECONDS = 10,  /* without an octet either way */
	LIFE_MS = 30 * 1000,
	TICK_MS = 1000, /* between two looks at the clients */
};

struct http_client {
	struct bufferevent *bev; /* NULL: a free place */
	uint64_t since;
};

struct http {
	struct loop *loop;
	struct http_handler handler;
	struct evhttp *server;
	struct evconnlistener *listeners[LISTENERS_MAX]; /* the first count ones */
	unsigned listener_count;
	struct http_client clients[CLIENTS_MAX];
	struct loop_timer tick;
	bool paused, ticks;
};

/* ---- clients ---- */

static bool is_over(struct bufferevent *bev)
{
	bufferevent_data_cb read = NULL, write = NULL;
	bufferevent_event_cb event = NULL;

	bufferevent_getcb(bev, &read, &write, &event, NULL);
	return !read && !write && !event;
}

/* Frees the places of connections that have ended. Returns a free place; NULL: there is none. */
static struct http_client *find_room(struct http *http)
{
	struct http_client *room = NULL;

	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct http_client *client = &http->clients[i];

		if (client->bev && is_over(client->bev)) {
			bufferevent_decref(client->bev);
			client->bev = NULL;
		}
		if (!client->bev)
			room = client;
	}
	return room;
}

static unsigned places_taken(const struct http *http)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		taken += http->clients[i].bev != NULL;
	return taken;
}

static void pause_accepting(struct http *http, bool pause)
{
	for (unsigned i = 0; i < http->listener_count && pause != http->paused; i++) {
		if (!http->listeners[i])
			continue;
		if (pause)
			evconnlistener_disable(http->listeners[i]);
		else
			evconnlistener_enable(http->listeners[i]);
	}
	http->paused = pause;
}

static void start_tick(struct http *http)
{
	if (!http->ticks)
		loop_timer_set(&http->tick, TICK_MS);
	http->ticks = true;
}

static void tick(struct loop_timer *timer)
{
	struct http *http = timer->context;
	uint64_t now = loop_now(http->loop);
	bool any = http->paused;

	http->ticks = false;
	if (find_room(http))
		pause_accepting(http, false);
	for (unsigned i = 0; i < CLIENTS_MAX; i++) {
		struct http_client *client = &http->clients[i];

		any |= client->bev != NULL;
		if (client->bev && now - client->since >= LIFE_MS)
			bufferevent_trigger_event(client->bev,
						  BEV_EVENT_READING | BEV_EVENT_TIMEOUT, 0);
	}
	if (any)
		start_tick(http);
}

/* The library has accepted a connection, for which it wants a bufferevent. No more are accepted
 * when the last place is taken, so there is one here. */
static struct bufferevent *new_client(struct event_base *base, void *context)
{
	struct http *http = context;
	struct http_client *room = find_room(http);
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);

	if (bev && room) {
		bufferevent_incref(bev);
		*room = (struct http_client){bev, loop_now(http->loop)};
	}
	/* the library sets its callbacks when this returns: until then bev looks as if it were over
	 */
	if (places_taken(http) == CLIENTS_MAX)
		pause_accepting(http, true);
	start_tick(http);
	return bev;
}

/* ---- requests ---- */

static void put_headers(struct evhttp_request *request, const struct http_answer *answer)
{
	static const char *const fixed[][2] = {
		{"Connection", "close"},
		{"Cache-Control", "no-store"},
		{"X-Content-Type-Options", "nosniff"},
		{"Referrer-Policy", "no-referrer"},
		{"Content-Security-Policy",
		 "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; "
		 "base-uri 'none'; form-action 'none'"},
	};
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);

	evhttp_add_header(headers, "Content-Type", answer->type);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		evhttp_add_header(headers, fixed[i][0], fixed[i][1]);
}

static void send_answer(struct evhttp_request *request, const struct http_answer *answer,
			const char *body, size_t size)
{
	struct evbuffer *out = evbuffer_new();
	char length[32];

	put_headers(request, answer);
	snprintf(length, sizeof(length), "%zu", size);
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Length", length);
	if (out && evhttp_request_get_command(request) != EVHTTP_REQ_HEAD)
		evbuffer_add(out, body, size);
	evhttp_send_reply(request, answer->code, NULL, out);
	if (out)
		evbuffer_free(out);
}

static void requested(struct evhttp_request *request, void *context)
{
	struct http *http = context;
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	const char *accept =
		evhttp_find_header(evhttp_request_get_input_headers(request), "Accept");
	struct http_answer answer = {.code = 200, .type = "text/plain; charset=utf-8"};
	char *body = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&body, &size);

	if (out) {
		http->handler.answer(http->handler.context, path ? path : "/", accept ? accept : "",
				     out, &answer);
		fclose(out);
	}
	if (out && body)
		send_answer(request, &answer, body, size);
	else
		evhttp_send_error(request, HTTP_SERVUNAVAIL, NULL);
	free(body);
}

/* ---- sockets ---- */

static void forget(struct http *http, struct evconnlistener *listener)
{
	for (unsigned i = 0; i < http->listener_count; i++)
		if (http->listeners[i] == listener)
			http->listeners[i] = NULL;
}

static void accept_failed(struct evconnlistener *listener, void *context)
{
	struct http *http = context;

	if (errno == EINVAL) { /* it was shut: its event would come in every turn */
		evconnlistener_disable(listener);
		forget(http, listener);
		http->handler.dead(http->handler.context);
		return;
	}
	pause_accepting(http, true);
	start_tick(http);
}

void http_listen(struct http *http, int *fd)
{
	struct evhttp_bound_socket *bound;
	unsigned i = 0;

	while (i < http->listener_count && http->listeners[i])
		i++;
	if (i == LISTENERS_MAX)
		return;
	bound = evhttp_accept_socket_with_handle(http->server, *fd);
	if (!bound)
		return;
	*fd = -1;
	http->listeners[i] = evhttp_bound_socket_get_listener(bound);
	evconnlistener_set_error_cb(http->listeners[i], accept_failed);
	if (i == http->listener_count)
		http->listener_count++;
}

struct http *http_create(struct loop *loop, const struct http_handler *handler, struct err *err)
{
	struct http *http = calloc(1, sizeof(*http));

	if (http)
		http->server = evhttp_new(loop_base(loop));
	if (!http || !http->server) {
		free(http);
		err_set(err, EX_OSERR, "out of memory");
		return NULL;
	}
	http->loop = loop;
	http->handler = *handler;
	loop_timer_init(&http->tick, loop, tick, http);
	evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(http->server, HEADERS_MAX);
	evhttp_set_max_body_size(http->server, 0);
	evhttp_set_timeout(http->server, IDLE_SECONDS);
	evhttp_set_bevcb(http->server, new_client, http);
	evhttp_set_gencb(http->server, requested, http);
	return http;
}

void http_destroy(struct http *http)
{
	if (!http)
		return;
	loop_timer_cancel(&http->tick);
	evhttp_free(http->server);
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		if (http->clients[i].bev)
			bufferevent_decref(http->clients[i].bev);
	free(http);
}
