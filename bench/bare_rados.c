/*
 * What librados itself takes for the operations of the store in RADOS: the same ones, in the same
 * order and depth, without valijad. Prints one JSON object.
 *
 *   bare_rados fill --users u --first F --maildrops M --count N
 *                                              index objects of N messages, without their bodies
 *   bare_rados listing --path P --laps L       lock, the log in two reads, unlock
 *   bare_rados login --path P --laps L         lock, the end of the log (nothing), unlock
 *   bare_rados deliver --chains N --messages M --octets O
 *                                              N times one after the other: body, append
 *   bare_rados read --path P --depth D --seconds S
 *                                              bodies of P's log, in order, D under way
 *
 * All take --conf FILE, --pool and --bodies, and use the administrator's key beside FILE.
 */
#include "hist.h"
#include "net.h"

#include "maildrop/rados/log/log.h"

#include <pthread.h>
#include <rados/librados.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/time.h>

enum {
	GENERATION = 32,
	NAME_SIZE = 128,
	ROOM_ALL = 262144, /* the store's first reading of a log */
	ROOM_TAIL = 16384, /* and that of a log that it knows */
	LEASE_S = 120,
	CHAINS_MAX = 1024,
};

static const char GEN[] = "00000000000000000000000000000000";
static rados_t cluster;
static rados_ioctx_t indexes, bodies;

static void must(int result, const char *what)
{
	if (result >= 0)
		return;
	fprintf(stderr, "bare_rados: %s: %s\n", what, strerror(-result));
	exit(2);
}

static void reach(int argc, char **argv)
{
	const char *pool = net_option(argc, argv, "pool", "mail");

	must(rados_create(&cluster, NULL), "rados_create");
	must(rados_conf_read_file(cluster, net_option(argc, argv, "conf", "ceph.conf")),
	     "its configuration");
	rados_conf_set(cluster, "rados_osd_op_timeout", "30");
	rados_conf_set(cluster, "client_mount_timeout", "10");
	must(rados_connect(cluster), "connecting");
	must(rados_ioctx_create(cluster, pool, &indexes), pool);
	must(rados_ioctx_create(cluster, net_option(argc, argv, "bodies", "bodies"), &bodies),
	     "the pool of bodies");
}

static void random_id(unsigned char id[DROP_ID])
{
	if (getrandom(id, DROP_ID, 0) != DROP_ID)
		net_die("getrandom");
}

static void index_name(char ret[NAME_SIZE], const char *path)
{
	snprintf(ret, NAME_SIZE, "x/%s", path);
}

static void body_name(char ret[NAME_SIZE], const unsigned char id[DROP_ID])
{
	char text[DROP_ID_TEXT];

	drop_id_text(id, text);
	snprintf(ret, NAME_SIZE, "m/%s", text);
}

static size_t frame_of(const unsigned char id[DROP_ID], uint64_t octets, unsigned char *out)
{
	struct drop_frame frame = {
		.kind = DROP_ADD, .octets = octets, .stored = octets, .flags = DROP_WIRE_FORM};

	memcpy(frame.id, id, DROP_ID);
	return drop_frame_encode(&frame, out);
}

/* ---- indexes ---- */

static rados_write_op_t index_of(const char *data, size_t size)
{
	rados_write_op_t op = rados_create_write_op();

	rados_write_op_create(op, LIBRADOS_CREATE_IDEMPOTENT, NULL);
	rados_write_op_write_full(op, data, size);
	rados_write_op_setxattr(op, "gen", GEN, GENERATION);
	rados_write_op_setxattr(op, "fmt", "1", 1);
	return op;
}

static void make_index(const char *name, const char *data, size_t size)
{
	rados_write_op_t op = index_of(data, size);

	must(rados_write_op_operate(op, indexes, name, NULL, 0), name);
	rados_release_write_op(op);
}

static size_t make_log(unsigned char *data, size_t count)
{
	unsigned char id[DROP_ID];
	size_t size = 0;

	for (size_t i = 0; i < count; i++) {
		random_id(id);
		size += frame_of(id, 4096, data + size);
	}
	return size;
}

static void fill(int argc, char **argv)
{
	unsigned first = (unsigned)net_number(argc, argv, "first", 0),
		 maildrops = (unsigned)net_number(argc, argv, "maildrops", 1);
	size_t count = (size_t)net_number(argc, argv, "count", 100000), size;
	const char *users = net_option(argc, argv, "users", "u");
	unsigned char *data = malloc(count * DROP_FRAME_MAX + 1);
	char name[NAME_SIZE];

	if (!data)
		net_die("memory");
	for (unsigned i = 0; i < maildrops; i++) {
		size = make_log(data, count);
		snprintf(name, sizeof(name), "x/%s%06u", users, first + i);
		make_index(name, (const char *)data, size);
	}
	free(data);
	printf("{\"errors\":0}\n");
}

/* ---- reading an index ---- */

struct index_read {
	uint64_t size;
	size_t got;
};

/* As the store does: attributes, size and octets in one operation. */
static struct index_read read_index(const char *name, char *room, size_t size, uint64_t offset)
{
	rados_read_op_t op = rados_create_read_op();
	rados_xattrs_iter_t attributes;
	struct index_read ret = {0, 0};
	time_t changed;

	rados_read_op_assert_exists(op);
	rados_read_op_getxattrs(op, &attributes, NULL);
	rados_read_op_stat(op, &ret.size, &changed, NULL);
	rados_read_op_read(op, offset, size, room, &ret.got, NULL);
	must(rados_read_op_operate(op, indexes, name, 0), name);
	rados_getxattrs_end(attributes);
	rados_release_read_op(op);
	return ret;
}

/* All of a log. The caller frees *ret. */
static size_t read_log(const char *name, char **ret)
{
	char *room = malloc(ROOM_ALL);
	struct index_read first =
		room ? read_index(name, room, ROOM_ALL, 0) : (struct index_read){0, 0};

	if (first.got < first.size) {
		room = realloc(room, first.size);
		if (room)
			read_index(name, room + first.got, first.size - first.got, first.got);
	}
	if (!room)
		net_die("memory");
	*ret = room;
	return first.size;
}

static void report(const struct hist *hist, double seconds, uint64_t done, const char *name)
{
	printf("{\"errors\":0,\"seconds\":%.6f,\"cpu\":%.6f,\"done\":%llu,\"%s\":", seconds,
	       (double)net_cpu() / 1e9, (unsigned long long)done, name);
	hist_print(hist, stdout);
	printf("}\n");
}

/* The time of a lap is that of the lock and of the reading. */
static void open_and_read(int argc, char **argv, bool all)
{
	unsigned laps = (unsigned)net_number(argc, argv, "laps", 5);
	static struct hist hist;
	char name[NAME_SIZE], *log;
	uint64_t began, first = net_now();
	size_t size;

	index_name(name, net_option(argc, argv, "path", "bare"));
	size = read_log(name, &log);
	for (unsigned i = 0; i < laps; i++) {
		struct timeval lease = {.tv_sec = LEASE_S};

		began = net_now();
		must(rados_lock_exclusive(indexes, name, "valija", "bare", "bench", &lease, 0),
		     "its lock");
		if (all) {
			free(log);
			size = read_log(name, &log);
		} else {
			read_index(name, log, ROOM_TAIL, size);
		}
		hist_add(&hist, net_now() - began);
		must(rados_unlock(indexes, name, "valija", "bare"), "its lock");
	}
	free(log);
	report(&hist, (double)(net_now() - first) / 1e9, laps, "login");
}

/* ---- what is under way ---- */

/* An operation that librados has ended is put on a list; the program's own thread goes on with it,
 * as the store's loop does. */
struct step {
	struct step *next;
	rados_completion_t completion;
	int result;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static struct step *ended, **last_ended = &ended;

static void back(rados_completion_t completion, void *context)
{
	struct step *step = context;

	pthread_mutex_lock(&mutex);
	step->result = rados_aio_get_return_value(completion);
	step->next = NULL;
	*last_ended = step;
	last_ended = &step->next;
	pthread_cond_signal(&filled);
	pthread_mutex_unlock(&mutex);
}

static rados_completion_t expect(struct step *step)
{
	must(rados_aio_create_completion2(step, back, &step->completion), "a completion");
	return step->completion;
}

static struct step *next_ended(void)
{
	struct step *step;

	pthread_mutex_lock(&mutex);
	while (!ended)
		pthread_cond_wait(&filled, &mutex);
	step = ended;
	ended = step->next;
	if (!ended)
		last_ended = &ended;
	pthread_mutex_unlock(&mutex);
	rados_aio_release(step->completion);
	return step;
}

/* ---- deliveries ---- */

struct chain {
	struct step step;
	char index[NAME_SIZE];
	unsigned char id[DROP_ID], frame[DROP_FRAME_MAX];
	size_t frame_size;
	bool appends;
	uint64_t began;
};

static void write_body(struct chain *chain, const char *text, size_t size)
{
	rados_write_op_t op = rados_create_write_op();
	char name[NAME_SIZE];

	chain->appends = false;
	chain->began = net_now();
	random_id(chain->id);
	chain->frame_size = frame_of(chain->id, size, chain->frame);
	body_name(name, chain->id);
	rados_write_op_create(op, LIBRADOS_CREATE_EXCLUSIVE, NULL);
	rados_write_op_write_full(op, text, size);
	rados_write_op_setxattr(op, "maildrop", chain->index + 2, strlen(chain->index + 2));
	rados_write_op_setxattr(op, "valija", (const char *)chain->frame, chain->frame_size);
	must(rados_aio_write_op_operate(op, bodies, expect(&chain->step), name, NULL,
					LIBRADOS_OPERATION_FULL_TRY),
	     name);
	rados_release_write_op(op);
}

static void append(struct chain *chain)
{
	rados_write_op_t op = rados_create_write_op();

	chain->appends = true;
	rados_write_op_assert_exists(op);
	rados_write_op_cmpxattr(op, "gen", LIBRADOS_CMPXATTR_OP_EQ, GEN, GENERATION);
	rados_write_op_append(op, (const char *)chain->frame, chain->frame_size);
	must(rados_aio_write_op_operate(op, indexes, expect(&chain->step), chain->index, NULL,
					LIBRADOS_OPERATION_FULL_TRY),
	     chain->index);
	rados_release_write_op(op);
}

static void deliver(int argc, char **argv)
{
	unsigned count = (unsigned)net_number(argc, argv, "chains", 16);
	uint64_t wanted = (uint64_t)net_number(argc, argv, "messages", 1000), begun = 0, done = 0;
	size_t size = (size_t)net_number(argc, argv, "octets", 4096);
	struct chain *chains = calloc(count, sizeof(*chains));
	char *text = malloc(size);
	static struct hist hist;
	uint64_t first;

	if (!chains || !text || count > CHAINS_MAX)
		net_die("chains");
	memset(text, 'x', size);
	for (unsigned i = 0; i < count; i++) {
		snprintf(chains[i].index, NAME_SIZE, "x/bare%06u", i);
		make_index(chains[i].index, "", 0);
	}
	first = net_now();
	for (; begun < count && begun < wanted; begun++)
		write_body(&chains[begun], text, size);
	while (done < wanted) {
		struct chain *chain = (struct chain *)next_ended();

		must(chain->step.result, "a delivery");
		if (!chain->appends) {
			append(chain);
			continue;
		}
		done++;
		hist_add(&hist, net_now() - chain->began);
		if (begun < wanted) {
			begun++;
			write_body(chain, text, size);
		}
	}
	report(&hist, (double)(net_now() - first) / 1e9, done, "delivery");
	free(chains);
	free(text);
}

/* ---- bodies ---- */

struct reading {
	struct step step;
	char room[32768];
	size_t got, wanted;
	uint64_t began;
	bool over;
};

static void read_body(struct reading *reading, const struct drop_message *message)
{
	rados_read_op_t op = rados_create_read_op();
	char name[NAME_SIZE];

	reading->over = false;
	reading->began = net_now();
	reading->wanted = message->stored;
	body_name(name, message->id);
	rados_read_op_read(op, 0, message->stored, reading->room, &reading->got, NULL);
	must(rados_aio_read_op_operate(op, bodies, expect(&reading->step), name, 0), name);
	rados_release_read_op(op);
}

/* The oldest first, as answers have to go out. */
static uint64_t read_all(const struct drop_log *log, struct reading *readings, size_t depth,
			 uint64_t until, struct hist *hist)
{
	uint64_t begun = 0, done = 0;

	while (done < begun || net_now() < until) {
		struct reading *oldest = &readings[done % depth];

		if (begun < done + depth && net_now() < until) {
			read_body(&readings[begun % depth], &log->messages[begun % log->count]);
			begun++;
			continue;
		}
		while (!oldest->over) {
			struct reading *of = (struct reading *)next_ended();

			must(of->step.result, "a body");
			of->over = true;
			if (of->got != of->wanted)
				net_die("a body is short");
		}
		hist_add(hist, net_now() - oldest->began);
		done++;
	}
	return done;
}

static void read_bodies(int argc, char **argv)
{
	size_t depth = (size_t)net_number(argc, argv, "depth", 32);
	uint64_t until, first;
	struct reading *readings = calloc(depth, sizeof(*readings));
	static struct hist hist;
	struct drop_log log;
	char name[NAME_SIZE], *octets;
	size_t size;

	index_name(name, net_option(argc, argv, "path", "bare"));
	size = read_log(name, &octets);
	drop_log_init(&log);
	if (!readings || drop_log_feed(&log, (pop3_span){octets, size}, NULL) < 0 || !log.count)
		net_die("a log without messages");
	for (size_t i = 0; i < log.count; i++)
		if (log.messages[i].stored > sizeof(readings->room))
			net_die("a message that is too large");
	first = net_now();
	until = first + (uint64_t)(net_number(argc, argv, "seconds", 1) * 1e9);
	uint64_t done = read_all(&log, readings, depth, until, &hist);
	report(&hist, (double)(net_now() - first) / 1e9, done, "read");
	drop_log_finish(&log);
	free(octets);
	free(readings);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	net_prepare();
	net_pin((int)net_number(argc, argv, "core", -1));
	reach(argc, argv);
	if (strcmp(what, "fill") == 0)
		fill(argc, argv);
	else if (strcmp(what, "listing") == 0)
		open_and_read(argc, argv, true);
	else if (strcmp(what, "login") == 0)
		open_and_read(argc, argv, false);
	else if (strcmp(what, "deliver") == 0)
		deliver(argc, argv);
	else if (strcmp(what, "read") == 0)
		read_bodies(argc, argv);
	else
		net_die("which one? see bare_rados.c");
	fflush(stdout);
	rados_ioctx_destroy(indexes);
	rados_ioctx_destroy(bodies);
	rados_shutdown(cluster);
	return 0;
}
