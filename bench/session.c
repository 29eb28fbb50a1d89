/*
 * See session.h. A step begins with step_begin(), gets the client machine's events in
 * step_event(), and ends with step_done(), which begins the next one. A session that meets an
 * error counts it, keeps the first one's words and closes.
 */
#include "session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void step_begin(struct session *s);

__attribute__((format(printf, 2, 3))) static void fail(struct session *s, const char *format, ...)
{
	struct load *load = s->load;
	if (load->errors++ == 0) {
		va_list args;
		va_start(args, format);
		vsnprintf(load->why, sizeof load->why, format, args);
		va_end(args);
	}
	session_close(s);
}

static enum step current(const struct session *s)
{
	const struct script *script = &s->load->script;
	return s->step < script->count ? (enum step)script->step[s->step] : STEP_CLOSE;
}

static void watch(struct session *s, uint32_t mask)
{
	struct epoll_event event = {.events = mask, .data.ptr = s};
	if (s->mask == mask)
		return;
	epoll_ctl(s->load->epoll, s->mask ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, &event);
	s->mask = mask;
}

static void flush(struct session *s)
{
	while (s->out_done < s->out_size) {
		uint32_t size = s->out_size - s->out_done;
		ssize_t sent = s->tls ? tls13_write(s->tls, s->out + s->out_done, size)
				      : send(s->fd, s->out + s->out_done, size, 0);
		if (sent <= 0) {
			if (errno != EAGAIN) {
				fail(s, "writing: %s", strerror(errno));
				return;
			}
			watch(s, (s->deaf ? 0u : (uint32_t)EPOLLIN) | EPOLLOUT);
			return;
		}
		s->out_done += (uint32_t)sent;
	}
	s->out_done = s->out_size = 0;
	if (s->mask & EPOLLOUT)
		watch(s, s->deaf ? 0 : EPOLLIN);
}

static bool queue(struct session *s, enum pop3_command command, uint32_t number, const char *text)
{
	pop3_span span = {text, strlen(text)};
	int size = pop3_client_command(&s->client, command, number, 0, span, s->out + s->out_size,
				       OUT_SIZE - s->out_size);
	if (size < 0)
		return false;
	s->out_size += (uint32_t)size;
	return true;
}

static void ask(struct session *s, enum pop3_command command, const char *text)
{
	if (!queue(s, command, 0, text)) {
		fail(s, "a command was refused by the client machine");
		return;
	}
	flush(s);
}

/* Keeps the window of RETR or DELE full. */
static void pump(struct session *s, enum pop3_command command)
{
	struct load *load = s->load;
	bool any = false;
	while (s->next_send < s->count && s->next_send - s->next_done < load->window &&
	       queue(s, command, s->next_send + 1, "")) {
		s->sent_at[s->next_send % load->window] = net_now();
		s->next_send++;
		any = true;
	}
	if (any)
		flush(s);
}

static void step_done(struct session *s)
{
	uint64_t now = s->arrived ? s->arrived : net_now();
	s->arrived = 0;
	hist_add(&s->load->step[current(s)], now - s->step_began);
	s->load->last_progress = now;
	s->step++;
	step_begin(s);
}

static void arrive_at_gate(struct session *s)
{
	s->at_gate = true;
	s->load->at_gate++;
	s->load->last_progress = net_now();
}

static void begin_window(struct session *s, enum pop3_command command)
{
	struct load *load = s->load;
	s->next_send = s->next_done = 0;
	if (load->max_messages && s->count > load->max_messages)
		s->count = load->max_messages;
	if (s->count == 0) {
		step_done(s);
		return;
	}
	if (!s->sent_at)
		s->sent_at = calloc(load->window, sizeof *s->sent_at);
	if (!s->sent_at)
		net_die("memory");
	pump(s, command);
}

static void begin_deaf(struct session *s)
{
	s->deaf = true;
	begin_window(s, POP3_RETR);
	if (s->state != SESSION_OPEN)
		return;
	watch(s, s->out_size ? EPOLLOUT : 0);
	arrive_at_gate(s);
}

static void step_begin(struct session *s)
{
	char name[128];
	s->phase = 0;
	s->step_began = net_now();
	switch (current(s)) {
	case STEP_LOGIN:
	case STEP_BADLOGIN:
		snprintf(name, sizeof name, "%s%06u", s->load->users, s->load->first + s->slot);
		ask(s, POP3_USER, name);
		break;
	case STEP_STAT:
		ask(s, POP3_STAT, "");
		break;
	case STEP_LIST:
		s->sum = 0;
		ask(s, POP3_LIST, "");
		break;
	case STEP_UIDL:
		s->sum = 0;
		ask(s, POP3_UIDL, "");
		break;
	case STEP_RETR:
		s->laps_done = 0;
		begin_window(s, POP3_RETR);
		break;
	case STEP_DELE:
		begin_window(s, POP3_DELE);
		break;
	case STEP_NOOP:
		ask(s, POP3_NOOP, "");
		break;
	case STEP_RSET:
		ask(s, POP3_RSET, "");
		break;
	case STEP_QUIT:
		ask(s, POP3_QUIT, "");
		break;
	case STEP_CLOSE:
		s->load->sessions++;
		session_close(s);
		break;
	case STEP_GATE:
		arrive_at_gate(s);
		break;
	case STEP_STALL:
	case STEP_DRIP:
		begin_deaf(s);
		break;
	case STEP_COUNT:
		break;
	}
}

static void login_event(struct session *s, const struct pop3_client_event *event, bool good)
{
	if (s->phase++ == 0) {
		if (!event->ok)
			fail(s, "USER: %.*s", (int)event->text.size, event->text.data);
		else
			ask(s, POP3_PASS, good ? s->load->password : "not the password");
		return;
	}
	if (event->ok != good)
		fail(s, "PASS: %.*s", (int)event->text.size, event->text.data);
	else
		step_done(s);
}

static void list_event(struct session *s, const struct pop3_client_event *event)
{
	if (event->type == POP3_CLIENT_LINE) {
		/* nothing is marked when the bench lists: numbers go up by one */
		if (event->malformed || event->number != s->phase + 1) {
			fail(s, "LIST: a bad line behind message %u", s->phase);
			return;
		}
		if (s->phase == s->sizes_cap) {
			uint32_t cap = s->phase ? s->phase * 2 : 64;
			uint32_t *more = realloc(s->sizes, cap * sizeof *more);
			if (!more)
				net_die("memory");
			s->sizes = more;
			s->sizes_cap = cap;
		}
		s->sizes[s->phase++] = (uint32_t)event->octets;
		s->sum += event->octets;
	} else if (event->type == POP3_CLIENT_END) {
		s->count = s->phase;
		s->listed = true;
		if (s->stat_octets && s->sum != s->stat_octets)
			fail(s, "LIST adds up to %llu octets, STAT said %llu",
			     (unsigned long long)s->sum, (unsigned long long)s->stat_octets);
		else
			step_done(s);
	}
}

static void uidl_event(struct session *s, const struct pop3_client_event *event)
{
	if (event->type == POP3_CLIENT_LINE) {
		if (event->malformed)
			fail(s, "UIDL: a bad line");
		s->phase++;
	} else if (event->type == POP3_CLIENT_END) {
		if (s->count && s->phase != s->count)
			fail(s, "UIDL has %u lines for %u messages", s->phase, s->count);
		else {
			s->count = s->phase;
			step_done(s);
		}
	}
}

/* One message of RETR or DELE is complete. */
static void window_event(struct session *s, enum pop3_command command)
{
	struct load *load = s->load;
	uint64_t now = net_now();
	hist_add(&load->step[current(s)], now - s->sent_at[s->next_done % load->window]);
	load->messages++;
	load->last_progress = now;
	s->next_done++;
	if (s->next_done == s->next_send && command == POP3_RETR &&
	    (load->deadline ? now >= load->deadline : false)) {
		s->step++;
		step_begin(s);
		return;
	}
	if (s->next_done == s->count) {
		s->laps_done++;
		if (command == POP3_RETR && (load->laps == 0 || s->laps_done < load->laps) &&
		    (load->deadline == 0 || now < load->deadline)) {
			s->next_done = s->next_send = 0;
			pump(s, command);
		} else {
			s->step++;
			step_begin(s);
		}
		return;
	}
	if (load->deadline == 0 || now < load->deadline || command == POP3_DELE)
		pump(s, command);
}

static void retr_event(struct session *s, const struct pop3_client_event *event)
{
	uint64_t listed = s->listed ? s->sizes[event->number - 1] : 0;
	if (event->type == POP3_CLIENT_REPLY) {
		s->announced = event->octets;
	} else if (event->type == POP3_CLIENT_END) {
		s->load->octets += event->octets;
		if (event->octets == 0 || (s->listed && event->octets != listed) ||
		    (s->announced && event->octets != s->announced))
			fail(s, "RETR %u: %llu octets, announced %llu, listed %llu", event->number,
			     (unsigned long long)event->octets, (unsigned long long)s->announced,
			     (unsigned long long)listed);
		else
			window_event(s, POP3_RETR);
	}
}

static void step_event(struct session *s, const struct pop3_client_event *event)
{
	enum step step = current(s);
	if (event->type == POP3_CLIENT_REPLY && !event->ok && step != STEP_LOGIN &&
	    step != STEP_BADLOGIN) {
		fail(s, "%s: %.*s", step_names[step], (int)event->text.size, event->text.data);
		return;
	}
	switch (step) {
	case STEP_LOGIN:
	case STEP_BADLOGIN:
		login_event(s, event, step == STEP_LOGIN);
		break;
	case STEP_STAT:
		s->count = event->count;
		s->stat_octets = event->octets;
		step_done(s);
		break;
	case STEP_LIST:
		list_event(s, event);
		break;
	case STEP_UIDL:
		uidl_event(s, event);
		break;
	case STEP_RETR:
		retr_event(s, event);
		break;
	case STEP_DELE:
		window_event(s, POP3_DELE);
		break;
	case STEP_NOOP:
	case STEP_RSET:
		step_done(s);
		break;
	case STEP_QUIT: /* what remains is the server's close */
		hist_add(&s->load->step[STEP_QUIT], net_now() - s->step_began);
		hist_add(&s->load->session, net_now() - s->began);
		s->ended = true;
		break;
	case STEP_CLOSE:
	case STEP_GATE:
	case STEP_STALL:
	case STEP_DRIP:
	case STEP_COUNT:
		fail(s, "an answer to nothing");
		break;
	}
}

static void feed(struct session *s, const char *data, size_t size)
{
	pop3_span in = {data, size};
	while (s->state == SESSION_OPEN) {
		struct pop3_client_event event;
		enum pop3_client_event_type type = pop3_client_next(&s->client, &in, s->load->body,
								    sizeof s->load->body, &event);
		if (type == POP3_CLIENT_MORE)
			return;
		if (type == POP3_CLIENT_BAD) {
			fail(s, "protocol: %.*s", (int)event.text.size, event.text.data);
		} else if (event.command == POP3_GREETING) {
			if (!event.ok) {
				fail(s, "greeting: %.*s", (int)event.text.size, event.text.data);
				return;
			}
			s->greeted = true;
			s->load->starting--;
			hist_add(&s->load->greeting, net_now() - s->began);
			step_begin(s);
		} else if (type != POP3_CLIENT_BODY) {
			step_event(s, &event);
		}
	}
}

/*
 * --late: a listing is put aside until its end is there, the clock stops, and only then it is
 * parsed and checked: what is measured is the server, not this program.
 */
static bool put_aside(struct session *s, size_t size)
{
	static const char end[] = "\r\n.\r\n";
	struct load *load = s->load;
	enum step step = current(s);
	if (!load->late || s->state != SESSION_OPEN || (step != STEP_LIST && step != STEP_UIDL))
		return false;
	if (s->aside_size + size > s->aside_cap) {
		s->aside_cap = (s->aside_size + size) * 2;
		s->aside = realloc(s->aside, s->aside_cap);
		if (!s->aside)
			net_die("memory");
	}
	memcpy(s->aside + s->aside_size, load->in, size);
	s->aside_size += size;
	load->last_progress = net_now();
	if (s->aside_size < 5 || memcmp(s->aside + s->aside_size - 5, end, 5) != 0)
		return true;
	s->arrived = load->last_progress;
	size = s->aside_size;
	s->aside_size = 0;
	feed(s, s->aside, size);
	return true;
}

static void end_of_stream(struct session *s, const char *why)
{
	if (s->ended) {
		s->load->sessions++;
		session_close(s);
		return;
	}
	if (s->at_gate)
		s->load->dropped++;
	fail(s, "connection lost in step %s: %s", step_names[current(s)], why);
}

static void receive(struct session *s)
{
	for (int turns = 0; turns < 4 && s->state == SESSION_OPEN; turns++) {
		ssize_t size = s->tls ? tls13_read(s->tls, s->load->in, IN_SIZE)
				      : recv(s->fd, s->load->in, IN_SIZE, 0);
		if (size > 0) {
			if (s->load->quickack)
				net_quickack(s->fd);
			if (!put_aside(s, (size_t)size))
				feed(s, s->load->in, (size_t)size);
			if (s->tls || size < IN_SIZE)
				return;
			continue;
		}
		if (size < 0 && errno == EAGAIN)
			return;
		end_of_stream(s, size < 0 ? strerror(errno) : "end of stream");
	}
}

static void opened(struct session *s)
{
	s->state = SESSION_OPEN;
	pop3_client_init(&s->client, POP3_KEEP_CRLF, 100000000);
	watch(s, EPOLLIN);
	receive(s);
}

static void handshake(struct session *s)
{
	int result = tls13_handshake(s->tls);
	if (result > 0)
		opened(s);
	else if (result == 0)
		watch(s, EPOLLIN);
	else
		fail(s, "the TLS handshake failed");
}

static void connected(struct session *s)
{
	int error = 0;
	socklen_t size = sizeof error;
	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error) {
		fail(s, "connecting: %s", strerror(error));
		return;
	}
	net_nodelay(s->fd);
	if (!s->load->tls) {
		opened(s);
		return;
	}
	s->tls = tls13_create(s->load->tls, s->fd);
	s->state = SESSION_HANDSHAKE;
	handshake(s);
}

void session_io(struct session *s, uint32_t events)
{
	if (s->state == SESSION_CONNECT) {
		connected(s);
		return;
	}
	if (s->state == SESSION_HANDSHAKE) {
		handshake(s);
		return;
	}
	if (s->state == SESSION_OPEN && (events & EPOLLOUT))
		flush(s);
	if (s->state == SESSION_OPEN && !s->deaf && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		receive(s);
	else if (s->state == SESSION_OPEN && s->deaf && (events & (EPOLLHUP | EPOLLERR)))
		session_close(s); /* the server's right: it gave up on a client like this */
}

void session_init(struct session *s, struct load *load, unsigned slot)
{
	memset(s, 0, sizeof *s);
	s->load = load;
	s->slot = slot;
	s->fd = -1;
}

void session_start(struct session *s, uint64_t began)
{
	struct load *load = s->load;
	s->step = s->phase = 0;
	s->greeted = s->ended = s->deaf = s->at_gate = s->listed = false;
	s->count = s->out_size = s->out_done = s->mask = 0;
	s->stat_octets = s->arrived = 0;
	s->aside_size = 0;
	s->began = s->step_began = began;
	if (!s->out)
		s->out = malloc(OUT_SIZE);
	if (!s->out)
		net_die("memory");
	load->starting++;
	load->alive++;
	s->state = SESSION_CONNECT;
	s->fd = net_connect(&load->address,
			    load->sources ? load->source + s->slot % load->sources : 0);
	if (s->fd < 0)
		fail(s, "connecting: %s", strerror(errno));
	else
		watch(s, EPOLLOUT);
}

void session_release(struct session *s)
{
	if (!s->at_gate || current(s) != STEP_GATE)
		return;
	s->at_gate = false;
	s->load->at_gate--;
	s->step++;
	step_begin(s);
}

void session_drip(struct session *s)
{
	char octet;
	if (s->state == SESSION_OPEN)
		(void)recv(s->fd, &octet, 1, 0);
}

void session_close(struct session *s)
{
	struct load *load = s->load;
	if (s->state == SESSION_NONE)
		return;
	if (!s->greeted)
		load->starting--;
	if (s->at_gate) {
		s->at_gate = false;
		load->at_gate--;
	}
	load->alive--;
	tls13_destroy(s->tls);
	s->tls = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->state = SESSION_NONE;
	load->vacant[(load->vacant_first + load->vacant_count++) % load->slots] = s->slot;
}

void session_finish(struct session *s)
{
	session_close(s);
	free(s->out);
	free(s->sizes);
	free(s->aside);
	free(s->sent_at);
	s->out = NULL;
	s->sizes = NULL;
	s->aside = NULL;
	s->sent_at = NULL;
}
