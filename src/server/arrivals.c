/* See arrivals.h. The header is looked at before it is taken from the socket, so that not one octet
 * behind it is: those are the client's, to be read by TLS or by the session. */
#include "server/arrivals.h"

#include "base/table.h"
#include "config/rules.h"
#include "server/counters.h"
#include "server/proxy_header.h"
#include "server/record.h"
#include "sys/loop_deadlines.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 512 }; /* octets that are looked at together: what senders keep a header below */

struct arrivals {
	struct loop_deadlines deadlines; /* of those that wait, the oldest first */
	const struct config *config;
	size_t waiting, max;
	void (*arrived)(void *context, int *fd, const struct accepted *from);
	void (*ended)(void *context);
	void *context;
};

struct arrival {
	struct loop_watch watch;
	struct loop_deadline deadline;
	struct arrivals *arrivals;
	struct accepted from; /* the proxy */
	struct proxy_header header;
};

bool arrivals_proxied(const struct config *config, uint32_t listener)
{
	return config->rules[listener].proxy_from.count > 0;
}

/* Takes it out of the list; the descriptor is the caller's. */
static int release(struct arrival *arrival)
{
	int fd = arrival->watch.fd;

	loop_watch_finish(&arrival->watch);
	loop_deadline_cancel(&arrival->deadline);
	arrival->arrivals->waiting--;
	free(arrival);
	return fd;
}

/* why NULL: no line of the log. */
static void turn_away(const struct accepted *from, const char *why)
{
	struct record record;

	if (!why)
		return;
	counters_add(COUNTER_PROXY_HEADERS + RESULT_FAILED, 1);
	record_begin(&record, RECORD_PROXY_REFUSED, from->address, 0, 0);
	record_words(&record, RECORD_KEY_REASON, why);
	record_write(&record);
}

static void end(struct arrival *arrival, const char *why)
{
	struct arrivals *arrivals = arrival->arrivals;

	turn_away(&arrival->from, why);
	close(release(arrival));
	arrivals->ended(arrivals->context);
}

/* The TLS between client and proxy. */
static void describe_tls(const char *version, struct accepted *ret)
{
	static const struct {
		const char *name;
		enum tls_protocol protocol;
	} known[] = {{"TLSv1.3", TLS_1_3},
		     {"TLSv1.2", TLS_1_2},
		     {"TLSv1.1", TLS_OLDER},
		     {"TLSv1", TLS_OLDER}};

	ret->tls = TLS_OLDER; /* the header does not say which, or names one that is not known */
	ret->tls_version = "yes";
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(version, known[i].name) == 0) {
			ret->tls = known[i].protocol;
			ret->tls_version = known[i].name;
		}
}

/* The client, as the header says. It is never taken for one on this machine: the header may name
 * loopback, or the proxy itself, and the proxy may have been asked from anywhere. */
static void describe(const struct arrival *arrival, struct accepted *ret)
{
	const struct proxy_header *header = &arrival->header;

	*ret = arrival->from;
	ret->loopback = false;
	ret->proxied = header->local ? PROXIED_ITSELF : PROXIED_CLIENT;
	if (header->local)
		return;
	memcpy(ret->address, header->address, sizeof(ret->address));
	ret->port = header->port;
	if (header->tls && arrival->arrivals->config->rules[arrival->from.listener].trust_tls)
		describe_tls(header->tls_version, ret);
}

static void arrive(struct arrival *arrival)
{
	struct arrivals *arrivals = arrival->arrivals;
	struct accepted from;
	int fd;

	describe(arrival, &from);
	counters_add(COUNTER_PROXY_HEADERS + RESULT_OK, 1);
	fd = release(arrival);
	arrivals->arrived(arrivals->context, &fd, &from);
	if (fd >= 0)
		close(fd);
	arrivals->ended(arrivals->context);
}

static void ready(struct loop_watch *watch, int what)
{
	struct arrival *arrival = watch->context;
	enum proxy_status status;
	uint8_t piece[PIECE];
	ssize_t got = recv(watch->fd, piece, sizeof(piece), MSG_PEEK | MSG_DONTWAIT);
	size_t used;

	(void)what;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) { /* a look whether the port is open, or a client that left */
		end(arrival, NULL);
		return;
	}
	status = proxy_header_take(&arrival->header, piece, (size_t)got, &used);
	if (status != PROXY_BAD && recv(watch->fd, piece, used, MSG_DONTWAIT) != (ssize_t)used)
		status = PROXY_BAD;
	if (status == PROXY_DONE)
		arrive(arrival);
	else if (status == PROXY_BAD)
		end(arrival, "what came first is no PROXY header");
}

static void expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	(void)deadlines;
	end(CONTAINER(deadline, struct arrival, deadline), "no PROXY header in time");
}

struct arrivals *arrivals_create(struct loop *loop, const struct config *config, size_t max,
				 void (*arrived)(void *context, int *fd,
						 const struct accepted *from),
				 void (*ended)(void *context), void *context)
{
	struct arrivals *arrivals = calloc(1, sizeof(*arrivals));

	if (!arrivals)
		return NULL;
	arrivals->config = config;
	arrivals->max = max;
	arrivals->arrived = arrived;
	arrivals->ended = ended;
	arrivals->context = context;
	loop_deadlines_init(&arrivals->deadlines, loop, ARRIVALS_MS, expired, arrivals);
	return arrivals;
}

static void make_room(struct arrivals *arrivals)
{
	struct loop_deadline *first = loop_deadlines_first(&arrivals->deadlines);

	if (arrivals->waiting >= arrivals->max && first)
		end(CONTAINER(first, struct arrival, deadline),
		    "too many connections wait for a PROXY header");
}

void arrivals_add(struct arrivals *arrivals, int *fd, const struct accepted *from)
{
	const struct config_rules *rules = &arrivals->config->rules[from->listener];
	struct arrival *arrival;

	if (!config_networks_have(&rules->proxy_from, from->address)) {
		turn_away(from, "not from a network of proxy_from");
		return;
	}
	make_room(arrivals);
	arrival = calloc(1, sizeof(*arrival));
	if (!arrival)
		return;
	arrival->arrivals = arrivals;
	arrival->from = *from;
	loop_deadline_init(&arrival->deadline);
	loop_deadline_renew(&arrivals->deadlines, &arrival->deadline);
	loop_watch_init(&arrival->watch, arrivals->deadlines.loop, *fd, ready, arrival);
	*fd = -1;
	arrivals->waiting++;
	if (loop_watch_want(&arrival->watch, LOOP_READ) < 0)
		end(arrival, NULL);
}

size_t arrivals_waiting(const struct arrivals *arrivals)
{
	return arrivals ? arrivals->waiting : 0;
}

void arrivals_end_all(struct arrivals *arrivals)
{
	struct loop_deadline *first;

	while (arrivals && (first = loop_deadlines_first(&arrivals->deadlines)))
		close(release(CONTAINER(first, struct arrival, deadline)));
}
