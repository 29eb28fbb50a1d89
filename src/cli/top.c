/*
 * `valija top`: one screen about a server that runs, drawn anew each second. See
 * control_commands.h. What it shows comes from `stats` and `who`; what its keys do is done by the
 * commands of that name, run as a person would, so the server judges the same person.
 */
#include "base/histogram.h"
#include "cli/control_commands.h"
#include "cli/stats.h"
#include "cli/top_screen.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	PAUSE_MS = 1000,
	WINDOW = 10,       /* looks that rates and quantiles are taken over */
	ROWS_MAX = 1000,   /* sessions that are kept: those with the most octets */
	ADDRESSES_MAX = 4, /* busiest ones that are shown */
	REASONS_MAX = 5,
	TEXT_MAX = 96,
};

struct row {
	char id[48], user[64], address[48], state[12];
	unsigned long long since, octets;
};

struct address {
	char text[48];
	unsigned sessions;
};

struct top {
	const struct control_arguments *arguments;
	struct control_link *link;
	struct stats looks[WINDOW + 1]; /* the last one first */
	double times[WINDOW + 1];
	unsigned look_count;
	struct row rows[ROWS_MAX];
	struct address addresses[ROWS_MAX];
	unsigned row_count, address_count, page;
	unsigned long long sessions;
	struct err trouble; /* code 0: none */
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- what the server says ---- */

static void keep_stats(struct top *top, const struct stats *stats)
{
	stats_free(&top->looks[WINDOW]);
	memmove(&top->looks[1], &top->looks[0], WINDOW * sizeof(top->looks[0]));
	memmove(&top->times[1], &top->times[0], WINDOW * sizeof(top->times[0]));
	top->looks[0] = *stats;
	top->times[0] = now();
	if (top->look_count <= WINDOW)
		top->look_count++;
}

static void count_address(struct top *top, const char *text)
{
	unsigned i = 0;

	while (i < top->address_count && strcmp(top->addresses[i].text, text) != 0)
		i++;
	if (i == ROWS_MAX)
		return;
	if (i == top->address_count) {
		snprintf(top->addresses[i].text, sizeof(top->addresses[i].text), "%s", text);
		top->addresses[i].sessions = 0;
		top->address_count++;
	}
	top->addresses[i].sessions++;
}

/* A row for a session; of a full table, the row with the least octets, if they are fewer; else
 * NULL. */
static struct row *place_for(struct top *top, unsigned long long octets)
{
	struct row *least = &top->rows[0];

	if (top->row_count < ROWS_MAX)
		return &top->rows[top->row_count++];
	for (unsigned i = 1; i < ROWS_MAX; i++)
		if (top->rows[i].octets < least->octets)
			least = &top->rows[i];
	return least->octets < octets ? least : NULL;
}

static void take_session(struct top *top)
{
	const struct control_link *link = top->link;
	unsigned long long octets = control_link_number(link, 9);
	struct row *row = place_for(top, octets);

	top->sessions++;
	count_address(top, link->fields[3]);
	if (!row)
		return;
	snprintf(row->id, sizeof(row->id), "%s", link->fields[1]);
	snprintf(row->user, sizeof(row->user), "%s", link->fields[2]);
	snprintf(row->address, sizeof(row->address), "%s", link->fields[3]);
	snprintf(row->state, sizeof(row->state), "%s", link->fields[5]);
	row->since = control_link_number(link, 4);
	row->octets = octets;
}

static int by_octets(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->octets != y->octets ? (x->octets < y->octets ? 1 : -1) : strcmp(x->id, y->id);
}

static int by_sessions(const void *a, const void *b)
{
	const struct address *x = a, *y = b;

	return x->sessions != y->sessions ? (x->sessions < y->sessions ? 1 : -1)
					  : strcmp(x->text, y->text);
}

static int look(struct top *top, struct err *err)
{
	struct stats stats;
	int rc = stats_read(&stats, top->link, err);

	if (rc < 0) {
		stats_free(&stats);
		return -1;
	}
	keep_stats(top, &stats);
	top->row_count = top->address_count = 0;
	top->sessions = 0;
	rc = control_link_ask(top->link, "who", NULL, err);
	while (rc == 0 && (rc = control_link_next(top->link, err)) > 0) {
		rc = 0;
		if (control_link_is(top->link, "session", 10))
			take_session(top);
	}
	qsort(top->rows, top->row_count, sizeof(top->rows[0]), by_octets);
	qsort(top->addresses, top->address_count, sizeof(top->addresses[0]), by_sessions);
	return rc;
}

/* A reload or an upgrade ends the process behind the socket: its successor is asked. */
static void look_again(struct top *top)
{
	const struct control_arguments *arguments = top->arguments;

	top->trouble.code = 0;
	if (top->link->server && look(top, &top->trouble) == 0)
		return;
	control_link_close(top->link);
	if (control_link_open(top->link, arguments->config, arguments->socket, 60, &top->trouble) ==
		    0 &&
	    look(top, &top->trouble) == 0)
		top->trouble.code = 0;
}

/* ---- figures ---- */

static const struct stats *oldest(const struct top *top)
{
	return &top->looks[top->look_count - 1];
}

/* The increase in the window; counters that began anew count from 0. */
static long long added(const struct top *top, const char *name, const char *label)
{
	long long last = stats_sum(&top->looks[0], name, label);
	long long first = stats_sum(oldest(top), name, label);

	return last >= first ? last - first : last;
}

static double rate(const struct top *top, const char *name, const char *label)
{
	double seconds = top->times[0] - top->times[top->look_count - 1];

	return seconds > 0 ? (double)added(top, name, label) / seconds : 0;
}

static void draw_step(const struct top *top, const char *step, const char *words)
{
	uint64_t buckets[STATS_BUCKETS];
	char labels[32];
	const struct stats_value *last, *first;

	snprintf(labels, sizeof(labels), "step=%s", step);
	last = stats_find(&top->looks[0], "valija_login_step_seconds", labels);
	first = stats_find(oldest(top), "valija_login_step_seconds", labels);
	if (!last) {
		screen_line("  %-24s %12s %12s", words, "-", "-");
		return;
	}
	for (size_t i = 0; i < STATS_BUCKETS; i++)
		buckets[i] =
			last->buckets[i] - (first && first != last && first->count < last->count
						    ? first->buckets[i]
						    : 0);
	screen_line("  %-24s %9.1f ms %9.1f ms", words,
		    (double)histogram_quantile(buckets, STATS_BUCKETS, 500) / 1000,
		    (double)histogram_quantile(buckets, STATS_BUCKETS, 990) / 1000);
}

/* The reasons that were given most often since the server was started. */
static void draw_refusals(const struct top *top)
{
	const struct stats *stats = &top->looks[0];
	const struct stats_value *shown[REASONS_MAX] = {0};
	char text[TEXT_MAX * 2] = "";

	for (unsigned n = 0; n < REASONS_MAX; n++) {
		const struct stats_value *most = NULL;

		for (size_t i = 0; i < stats->count; i++) {
			const struct stats_value *value = &stats->values[i];
			bool seen = strcmp(value->name, "valija_login_failures") != 0 ||
				    value->value <= 0;

			for (unsigned k = 0; k < n; k++)
				seen |= shown[k] == value;
			if (!seen && (!most || value->value > most->value))
				most = value;
		}
		shown[n] = most;
		if (most)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "  %s %lld",
				 strrchr(most->labels, '=') + 1, most->value);
	}
	screen_line("refused since the start  %s", *text ? text + 2 : "nobody");
}

static void draw_head(const struct top *top)
{
	const struct stats *stats = &top->looks[0];
	long long started = stats_sum(stats, "valija_start_time_seconds", "");
	long long up = started ? (long long)time(NULL) - started : 0;
	char clock[32];
	time_t seconds = time(NULL);
	struct tm tm;

	strftime(clock, sizeof(clock), "%T", localtime_r(&seconds, &tm));
	screen_line("valija top  %s   up %lld d %02lld:%02lld   generation %lld%s", clock,
		    up / 86400, up / 3600 % 24, up / 60 % 60,
		    stats_sum(stats, "valija_generation", ""),
		    stats_sum(stats, "valija_drained", "") ? "   DRAINED: no new sessions" : "");
	screen_line("sessions  pop3 %lld  pop3s %lld   connections %lld   hashes waiting %lld   "
		    "processes %lld",
		    stats_sum(stats, "valija_sessions", "service=pop3"),
		    stats_sum(stats, "valija_sessions", "service=pop3s"),
		    stats_sum(stats, "valija_connections_open", ""),
		    stats_sum(stats, "valija_auth_queue", ""),
		    stats_sum(stats, "valija_processes", ""));
	screen_line("a second  logins %.1f  failed %.1f  deliveries %.1f  KiB read %.1f",
		    rate(top, "valija_logins", "result=ok"),
		    rate(top, "valija_logins", "") - rate(top, "valija_logins", "result=ok"),
		    rate(top, "valija_deliveries", "result=ok"),
		    rate(top, "valija_retr_octets", "") / 1024);
}

static void draw_addresses(const struct top *top)
{
	char text[TEXT_MAX * 4] = "";

	for (unsigned i = 0; i < top->address_count && i < ADDRESSES_MAX; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "  %s %u",
			 top->addresses[i].text, top->addresses[i].sessions);
	screen_line("busiest  %s", *text ? text + 2 : "no address");
}

static void draw_rows(struct top *top, unsigned lines)
{
	unsigned pages = lines ? (top->row_count + lines - 1) / lines : 1;

	if (top->page >= pages)
		top->page = pages ? pages - 1 : 0;
	screen_line("%-20s %-20s %-9s %-9s %s", "USER", "ADDRESS", "STATE", "OCTETS", "SESSION");
	for (unsigned i = top->page * lines; i < (top->page + 1) * lines; i++) {
		const struct row *row = &top->rows[i];

		if (i < top->row_count)
			screen_line("%-20.20s %-20.20s %-9.9s %-9llu %s", row->user, row->address,
				    row->state, row->octets, row->id);
		else if (!top->arguments->once)
			screen_line("%s", "");
	}
	if (top->arguments->once) {
		if (top->row_count < top->sessions)
			screen_line("%llu sessions in all: `valija who` lists them", top->sessions);
		return;
	}
	screen_line("page %u of %u, %llu sessions   q quit  k kick  b ban  t trace  d drain  "
		    "arrows: pages",
		    top->page + 1, pages ? pages : 1, top->sessions);
}

static void draw(struct top *top)
{
	enum { FIXED = 12 }; /* lines that are no session's */
	unsigned height = screen_height();
	char title[32];

	screen_begin();
	if (top->trouble.code)
		screen_line("valija top: %s", top->trouble.text);
	else
		draw_head(top);
	snprintf(title, sizeof(title), "login, last %d s (or all)", WINDOW);
	screen_line("%-26s %12s %12s", title, "p50", "p99");
	draw_step(top, "credentials", "client sends a password");
	draw_step(top, "verdict", "auth judges it");
	draw_step(top, "maildrop", "keeper opens the mail");
	draw_step(top, "answer", "all of it, server's part");
	draw_refusals(top);
	draw_addresses(top);
	draw_rows(top, height > FIXED ? height - FIXED : 1);
	screen_end();
}

/* ---- keys ---- */

static void run(const struct top *top, char *const words[])
{
	const struct control_arguments *arguments = top->arguments;
	const char *argv[12] = {"valija", words[0]};
	int count = 2, status;
	pid_t pid;

	if (arguments->config) {
		argv[count++] = "-c";
		argv[count++] = arguments->config;
	}
	if (arguments->socket) {
		argv[count++] = "--socket";
		argv[count++] = arguments->socket;
	}
	for (unsigned i = 1; words[i]; i++)
		argv[count++] = words[i];
	pid = fork();
	if (pid == 0) {
		execv("/proc/self/exe", (char *const *)(void *)argv);
		_exit(EX_OSERR);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

/* Asks on the last line, runs the command in front of the screen, and waits for a key. */
static void act(const struct top *top, char key)
{
	static const struct {
		char key;
		const char *question;
		char *command, *verb;
	} acts[] = {
		{'k', "Kick which session, user or address? ", "kick", NULL},
		{'b', "Ban which address or network, for a day? ", "ban", "add"},
		{'t', "Trace which user (Ctrl-C ends it)? ", "trace", NULL},
		{'d', "Take no new sessions until a reload (yes)? ", "drain", NULL},
	};
	char answer[TEXT_MAX];

	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		char *words[6] = {acts[i].command};
		unsigned count = 1;

		if (acts[i].key != key || !screen_ask(acts[i].question, answer, sizeof(answer)))
			continue;
		if (key == 'd' && strcmp(answer, "yes") != 0)
			return;
		if (acts[i].verb)
			words[count++] = acts[i].verb;
		if (key != 'd')
			words[count++] = answer;
		screen_leave();
		run(top, words);
		screen_pause();
		screen_enter();
	}
}

/* False: the person has enough. */
static bool obey(struct top *top, int key)
{
	if (key == 'q')
		return false;
	if (key == SCREEN_NEXT)
		top->page++;
	else if (key == SCREEN_BACK && top->page)
		top->page--;
	else if (key > 0 && key < 128)
		act(top, (char)key);
	return true;
}

static void watch(struct top *top)
{
	screen_enter();
	for (;;) {
		int key;

		look_again(top);
		draw(top);
		key = screen_key(PAUSE_MS);
		if (key == SCREEN_END || !obey(top, key))
			break;
	}
	screen_leave();
}

int control_top(struct control_link *link, const struct control_arguments *arguments, int *ret_code,
		struct err *err)
{
	struct top *top = calloc(1, sizeof(*top));
	int rc = 0;

	(void)ret_code;
	if (!top)
		return err_set(err, EX_OSERR, "no memory");
	top->link = link;
	top->arguments = arguments;
	if (!arguments->once && !screen_is_one()) {
		rc = err_set(err, EX_USAGE, "it needs a terminal; --once prints one screen");
	} else {
		rc = look(top, err);
		if (rc == 0 && arguments->once) {
			(void)poll(NULL, 0, PAUSE_MS);
			rc = look(top, err);
			if (rc == 0)
				draw(top);
		} else if (rc == 0) {
			watch(top);
		}
	}
	for (unsigned i = 0; i <= WINDOW; i++)
		stats_free(&top->looks[i]);
	free(top);
	return rc;
}
