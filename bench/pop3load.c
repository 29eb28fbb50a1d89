/*
 * The load generator: many POP3 sessions in one thread on one core, each carrying out a script
 * (script.h) on libpop3's client machine. Prints one JSON object when it is through.
 *
 *   pop3load --port P --script login,stat,quit --conns 64 --seconds 3
 *
 * Without a gate in the script every connection starts again until --seconds or --sessions are
 * over; --rate R starts R sessions a second instead (latency counts from when each was due). With
 * gates, "gate N" goes to standard output when all have arrived, and a line on standard input opens
 * it: the caller reads the server's clocks there. Exit 0: no error; 1: the JSON says which.
 */
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct run {
	struct load load;
	struct session *session;
	unsigned conns, ramp, started, keys;
	uint64_t limit, began, rate_gap, next_due, seconds, timeout, drip_at;
	bool input_open, waiting;
};

static bool looping(const struct run *run)
{
	const struct load *load = &run->load;
	if (load->script.gated || load->errors > 1000)
		return false;
	if (load->deadline)
		return net_now() < load->deadline;
	return load->sessions + load->errors + load->alive < run->limit;
}

/* Slots are taken in turn, so that with --rate no user comes back sooner than it must. */
static void start_some(struct run *run)
{
	struct load *load = &run->load;
	while (load->starting < run->ramp && load->vacant_count > 0) {
		uint64_t now = net_now(), due = now;
		if (load->script.gated ? run->started == run->conns : !looping(run))
			return;
		if (run->rate_gap) {
			if (now < run->next_due)
				return;
			due = run->next_due;
			run->next_due += run->rate_gap;
		}
		unsigned slot = load->vacant[load->vacant_first];
		load->vacant_first = (load->vacant_first + 1) % load->slots;
		load->vacant_count--;
		run->started++;
		session_start(&run->session[slot], due);
	}
}

static void set_deadline(struct run *run)
{
	if (run->seconds)
		run->load.deadline = net_now() + run->seconds;
}

static void open_gate(struct run *run)
{
	bool deaf = false;
	run->waiting = false;
	set_deadline(run);
	run->load.last_progress = net_now();
	for (unsigned i = 0; i < run->conns; i++) {
		deaf |= run->session[i].deaf;
		session_release(&run->session[i]);
	}
	for (unsigned i = 0; deaf && i < run->conns; i++)
		session_close(&run->session[i]);
}

/* All that live are at the gate: say so once; a line of standard input opens it, its end all. */
static void check_gate(struct run *run)
{
	struct load *load = &run->load;
	if (load->at_gate == 0 || load->at_gate != load->alive || run->started < run->conns)
		return;
	if (!run->waiting) {
		run->waiting = true;
		printf("gate %u\n", load->at_gate);
		fflush(stdout);
	}
	if (run->keys == 0 && run->input_open)
		return;
	run->keys -= run->keys > 0;
	open_gate(run);
}

static void gate_input(struct run *run)
{
	char text[256];
	ssize_t size = read(0, text, sizeof text);
	for (ssize_t i = 0; i < size; i++)
		run->keys += text[i] == '\n';
	if (size <= 0) {
		run->input_open = false;
		epoll_ctl(run->load.epoll, EPOLL_CTL_DEL, 0, NULL);
	}
}

static int next_wait(const struct run *run)
{
	if (run->rate_gap) {
		uint64_t now = net_now();
		return run->next_due > now ? (int)((run->next_due - now) / 1000000) : 0;
	}
	return 100;
}

static void drip(struct run *run)
{
	uint64_t now = net_now();
	if (now < run->drip_at)
		return;
	run->drip_at = now + 1000000000u;
	for (unsigned i = 0; i < run->conns; i++)
		if (run->session[i].deaf)
			session_drip(&run->session[i]);
}

static bool drips(const struct script *script)
{
	for (unsigned i = 0; i < script->count; i++)
		if (script->step[i] == STEP_DRIP)
			return true;
	return false;
}

static void loop(struct run *run)
{
	struct load *load = &run->load;
	struct epoll_event events[512];
	bool dripping = drips(&load->script);
	for (;;) {
		start_some(run);
		check_gate(run);
		bool more = looping(run) || (load->script.gated && run->started < run->conns);
		if (load->alive == 0 && !more)
			return;
		int count = epoll_wait(load->epoll, events, 512, next_wait(run));
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == NULL)
				gate_input(run);
			else
				session_io(events[i].data.ptr, events[i].events);
		}
		if (dripping)
			drip(run);
		if (!run->waiting && net_now() - load->last_progress > run->timeout) {
			if (load->errors++ == 0)
				snprintf(load->why, sizeof load->why,
					 "no progress; %u connections open, %u before the greeting",
					 load->alive, load->starting);
			return;
		}
	}
}

static void print_text(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 32 || *text == '"' || *text == '\\')
			putchar(' ');
		else
			putchar(*text);
}

static void report(const struct run *run, double seconds)
{
	const struct load *load = &run->load;
	printf("{\"seconds\":%.6f,\"cpu\":%.6f,\"sessions\":%llu,\"messages\":%llu,"
	       "\"octets\":%llu,\"errors\":%llu,\"dropped\":%llu,\"error\":\"",
	       seconds, (double)net_cpu() / 1e9, (unsigned long long)load->sessions,
	       (unsigned long long)load->messages, (unsigned long long)load->octets,
	       (unsigned long long)load->errors, (unsigned long long)load->dropped);
	print_text(load->why);
	printf("\",\"greeting\":");
	hist_print(&load->greeting, stdout);
	printf(",\"session\":");
	hist_print(&load->session, stdout);
	for (unsigned i = 0; i < STEP_COUNT; i++)
		if (load->step[i].count) {
			printf(",\"%s\":", step_names[i]);
			hist_print(&load->step[i], stdout);
		}
	printf("}\n");
}

static void set_up(struct run *run, int argc, char **argv)
{
	struct load *load = &run->load;
	const char *space = net_option(argc, argv, "netns", NULL);
	if (space)
		net_enter(space);
	net_pin((int)net_number(argc, argv, "core", -1));
	net_prepare();
	load->address = net_address(net_option(argc, argv, "host", "127.0.0.1"),
				    (unsigned)net_number(argc, argv, "port", 110));
	load->tls = net_flag(argc, argv, "tls") ? tls13_client_create() : NULL;
	load->late = net_flag(argc, argv, "late");
	load->quickack = net_flag(argc, argv, "quickack");
	load->users = net_option(argc, argv, "users", "u");
	load->password = net_option(argc, argv, "password", "secret");
	load->first = (unsigned)net_number(argc, argv, "first", 0);
	load->sources = (unsigned)net_number(argc, argv, "sources", 0);
	load->source = (unsigned)net_number(argc, argv, "source", 1);
	load->window = (unsigned)net_number(argc, argv, "window", 1);
	load->max_messages = (unsigned)net_number(argc, argv, "messages", 0);
	script_parse(&load->script, net_option(argc, argv, "script", "login,stat,quit"));
	if (load->window < 1 || load->window > POP3_CLIENT_WINDOW) {
		errno = EINVAL;
		net_die("--window");
	}
	run->seconds = (uint64_t)(net_number(argc, argv, "seconds", 0) * 1e9);
	load->laps = (unsigned)net_number(argc, argv, "laps", run->seconds ? 0 : 1);
	run->conns = (unsigned)net_number(argc, argv, "conns", 1);
	run->ramp = (unsigned)net_number(argc, argv, "ramp", 256);
	run->limit = (uint64_t)net_number(argc, argv, "sessions", run->conns);
	run->timeout = (uint64_t)(net_number(argc, argv, "timeout", 60) * 1e9);
	double rate = net_number(argc, argv, "rate", 0);
	run->rate_gap = rate > 0 ? (uint64_t)(1e9 / rate) : 0;
	run->session = calloc(run->conns, sizeof *run->session);
	if (!run->session || run->conns == 0)
		net_die("--conns");
	load->slots = load->vacant_count = run->conns;
	load->vacant = calloc(run->conns, sizeof *load->vacant);
	if (!load->vacant)
		net_die("memory");
	for (unsigned i = 0; i < run->conns; i++) {
		load->vacant[i] = i;
		session_init(&run->session[i], load, i);
	}
}

int main(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof *run);
	if (!run)
		net_die("memory");
	set_up(run, argc, argv);
	struct epoll_event input = {.events = EPOLLIN};
	run->load.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (run->load.epoll < 0)
		net_die("epoll");
	run->input_open =
		run->load.script.gated && epoll_ctl(run->load.epoll, EPOLL_CTL_ADD, 0, &input) == 0;
	run->began = run->next_due = run->load.last_progress = net_now();
	if (!run->load.script.gated)
		set_deadline(run);
	loop(run);
	report(run, (double)(net_now() - run->began) / 1e9);
	int status = run->load.errors ? 1 : 0;
	for (unsigned i = 0; i < run->conns; i++)
		session_finish(&run->session[i]);
	tls13_client_destroy(run->load.tls);
	close(run->load.epoll);
	free(run->session);
	free(run->load.vacant);
	free(run);
	return status;
}
