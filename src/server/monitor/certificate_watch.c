/*
 * See certificate_watch.h. Tools that renew a certificate write two files, one after the other, or
 * change a link: a look waits until the folder has been quiet for a moment, and what cannot be used
 * is looked at a second time before it is complained about.
 */
#include "server/monitor/certificate_watch.h"

#include "base/log.h"
#include "base/random.h"
#include "sys/process.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PAUSE = 60000,    /* ms between two looks */
	QUIET = 1000,     /* ms from a change to a look */
	SECOND = 5000,    /* ms to the second look at what cannot be used */
	PATIENCE = 10000, /* ms for a look, and for keys to judge */
};
enum {
	CHANGES = IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_MOVED_FROM,
	CHANGES_ABOVE = IN_MOVED_TO | IN_CREATE | IN_MOVED_FROM,
};

enum found { FOUND_SAME, FOUND_CHANGED, FOUND_FAULT };

/* Descriptors that come with it: of inotify, if events; then, if FOUND_CHANGED, both files. */
struct look {
	enum found found;
	bool events;
	struct certificate_state state;
	uint64_t sizes[PACKED_COUNT];
	char why[200];
};
_Static_assert(1 + PACKED_COUNT <= PROCESS_ANSWER_FDS, "an answer has them all");

static unsigned fds_of(const void *answer)
{
	const struct look *look = answer;

	return look->events + (look->found == FOUND_CHANGED ? PACKED_COUNT : 0);
}

/* ---- in a process of its own: what is watched ---- */

static void watch_folder(int fd, const char *path, uint32_t mask)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	(void)inotify_add_watch(fd, dirname(copy), mask | IN_ONLYDIR);
}

/* The folder of a file's name, the one above it, which may be swapped as a whole, and the folder
 * that a link leads to. */
static void watch_path(int fd, const char *path)
{
	char above[PATH_MAX], target[PATH_MAX], whole[2 * PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	watch_folder(fd, path, CHANGES);
	snprintf(above, sizeof(above), "%s", path);
	watch_folder(fd, dirname(above), CHANGES_ABOVE);
	if (n <= 0)
		return;
	target[n] = '\0';
	snprintf(above, sizeof(above), "%s", path);
	if (target[0] == '/')
		snprintf(whole, sizeof(whole), "%s", target);
	else
		snprintf(whole, sizeof(whole), "%s/%s", dirname(above), target);
	if (strlen(whole) < PATH_MAX)
		watch_folder(fd, whole, CHANGES);
}

/* Watches belong to folders, not to paths: after each change they are made anew. -1: there is the
 * look of each minute. */
static int watch_paths(const struct config *config)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	for (uint32_t i = 0; fd >= 0 && i < config->certificate_count; i++) {
		watch_path(fd, config->certificates[i].certificate);
		watch_path(fd, config->certificates[i].key);
	}
	if (fd >= 0 && config->client_ca[0])
		watch_path(fd, config->client_ca);
	return fd;
}

/* ---- in a process of its own: the look ---- */

static uint64_t stamp_of(const struct config *config, const struct siphash_key *key)
{
	struct {
		uint64_t stamp, device, inode, size, data, data_ns, changed, changed_ns;
	} seen = {0};
	struct stat st;

	for (uint32_t i = 0; i <= 2 * config->certificate_count; i++) {
		const struct config_certificate *c = &config->certificates[i / 2];
		const char *path = i == 2 * config->certificate_count ? config->client_ca
				   : i % 2                            ? c->key
								      : c->certificate;

		memset(&st, 0, sizeof(st));
		if (stat(path, &st) < 0)
			st.st_size = -errno;
		seen.device = st.st_dev;
		seen.inode = st.st_ino;
		seen.size = (uint64_t)st.st_size;
		seen.data = (uint64_t)st.st_mtim.tv_sec;
		seen.data_ns = (uint64_t)st.st_mtim.tv_nsec;
		seen.changed = (uint64_t)st.st_ctim.tv_sec;
		seen.changed_ns = (uint64_t)st.st_ctim.tv_nsec;
		seen.stamp = siphash(key, &seen, sizeof(seen));
	}
	return seen.stamp ? seen.stamp : 1;
}

static void pack(const struct certificate_watch *watch, int *fds, struct look *look)
{
	struct err err;

	look->found = FOUND_CHANGED;
	for (unsigned kind = 0; kind < PACKED_COUNT; kind++) {
		fds[kind] = certificates_pack(watch->files->config, (enum packed_kind)kind,
					      &look->sizes[kind], &err);
		if (fds[kind] >= 0 && certificates_digest(fds[kind], look->sizes[kind], &watch->key,
							  &look->state.digests[kind], &err) == 0)
			continue;
		look->found = FOUND_FAULT;
		snprintf(look->why, sizeof(look->why), "%.*s", (int)sizeof(look->why) - 1,
			 err.text);
		return;
	}
	if (memcmp(look->state.digests, watch->state.digests, sizeof(look->state.digests)) == 0)
		look->found = FOUND_SAME;
}

/* A change while the files are read is an event, or gives them another stamp. */
static void look_at_files(int fd, int out, const void *context)
{
	const struct certificate_watch *watch = context;
	const struct config *config = watch->files->config;
	struct look look = {.found = FOUND_SAME};
	int fds[PROCESS_ANSWER_FDS], events;

	(void)fd;
	look.state.stamp = stamp_of(config, &watch->key);
	if (look.state.stamp != watch->state.stamp) {
		events = watch_paths(config);
		look.events = events >= 0;
		fds[0] = events;
		look.state.stamp = stamp_of(config, &watch->key);
		pack(watch, fds + look.events, &look);
	}
	process_answer(out, &look, sizeof(look), fds, fds_of(&look));
}

/* ---- what was found ---- */

static void drop_judged(struct certificate_watch *watch)
{
	for (unsigned kind = 0; kind < PACKED_COUNT; kind++) {
		if (watch->judged.fds[kind] >= 0)
			close(watch->judged.fds[kind]);
		watch->judged.fds[kind] = -1;
	}
}

static void stop_events(struct certificate_watch *watch)
{
	if (watch->events.fd < 0)
		return;
	loop_watch_finish(&watch->events);
	close(watch->events.fd);
	watch->events.fd = -1;
}

static void happened(struct loop_watch *events, int what)
{
	struct certificate_watch *watch = events->context;
	_Alignas(struct inotify_event) char buffer[4096];

	(void)what;
	while (read(events->fd, buffer, sizeof(buffer)) > 0)
		;
	if (watch->answer_fd >= 0)
		watch->again = true;
	else
		loop_timer_set(&watch->next, QUIET);
}

static void start_events(struct certificate_watch *watch, int fd)
{
	stop_events(watch);
	loop_watch_init(&watch->events, watch->loop, fd, happened, watch);
	loop_watch_want(&watch->events, LOOP_READ);
}

static void look_later(struct certificate_watch *watch, uint64_t ms)
{
	loop_timer_set(&watch->next, watch->again ? QUIET : ms);
	watch->again = false;
}

/* state: what was found; the next look passes over it once it was complained about. */
static void refuse(struct certificate_watch *watch, const struct certificate_state *state,
		   const char *why)
{
	if (++watch->faults < 2) {
		look_later(watch, SECOND);
		return;
	}
	watch->state.stamp = state->stamp;
	if (strcmp(why, watch->said) != 0)
		log_error("changed files of certificates are not used, the old ones go on: %s",
			  why);
	snprintf(watch->said, sizeof(watch->said), "%s", why);
	look_later(watch, PAUSE);
}

static void take(struct certificate_watch *watch, const struct look *look, const int *fds)
{
	if (look->events)
		start_events(watch, *fds++);
	switch (look->found) {
	case FOUND_SAME: /* or changed back, or touched */
		watch->state.stamp = look->state.stamp;
		if (memcmp(look->state.digests, watch->state.digests,
			   sizeof(look->state.digests)) == 0)
			watch->said[0] = '\0';
		watch->faults = 0;
		look_later(watch, PAUSE);
		break;
	case FOUND_FAULT:
		refuse(watch, &look->state, look->why);
		break;
	case FOUND_CHANGED:
		drop_judged(watch);
		memcpy(watch->judged.fds, fds, sizeof(watch->judged.fds));
		memcpy(watch->judged.sizes, look->sizes, sizeof(watch->judged.sizes));
		watch->found = look->state;
		watch->ask(watch->context, &watch->judged, watch->files->certificates_number + 1,
			   ++watch->asked);
		look_later(watch, PATIENCE); /* if keys does not answer: once more */
		break;
	}
}

static void put(int *fd, int with)
{
	close(*fd);
	*fd = with;
}

void certificate_watch_judged(struct certificate_watch *watch, uint32_t ask, bool good,
			      const char *why)
{
	struct generation_files *files = watch->files;

	if (!watch->loop || ask != watch->asked || watch->judged.fds[0] < 0)
		return;
	if (!good) {
		drop_judged(watch);
		refuse(watch, &watch->found, why);
		return;
	}
	put(&files->certificates_fd, watch->judged.fds[PACKED_CERTIFICATES]);
	put(&files->keys_fd, watch->judged.fds[PACKED_KEYS]);
	files->certificates_size = watch->judged.sizes[PACKED_CERTIFICATES];
	files->keys_size = watch->judged.sizes[PACKED_KEYS];
	files->certificates_number++;
	watch->judged = (struct packed){.fds = {-1, -1}};
	watch->state = watch->found;
	watch->faults = 0;
	watch->said[0] = '\0';
	log_info("files of certificates have changed: new handshakes use them");
	watch->use(watch->context);
	look_later(watch, PAUSE);
}

/* ---- a look ---- */

static void end_look(struct certificate_watch *watch)
{
	loop_timer_cancel(&watch->patience);
	loop_watch_finish(&watch->answer);
	close(watch->answer_fd);
	watch->answer_fd = -1;
	watch->pid = 0;
	watch->late = false;
}

static void answered(struct loop_watch *answer, int what)
{
	struct certificate_watch *watch = answer->context;
	struct look look;
	int fds[PROCESS_ANSWER_FDS];
	int came = process_answer_take(watch->answer_fd, &look, sizeof(look), fds_of, fds);

	(void)what;
	if (came == 0)
		return;
	end_look(watch);
	if (came > 0)
		take(watch, &look, fds);
	else
		look_later(watch, PAUSE);
}

/* A process that hangs in the kernel ends when the filesystem answers: there is no second one until
 * then. */
static void lose_patience(struct loop_timer *timer)
{
	struct certificate_watch *watch = timer->context;

	process_ask_kill(watch->pid, watch->answer_fd);
	if (!watch->late)
		log_warning("files of certificates: their filesystem has not answered for %d "
			    "seconds; what is in use goes on",
			    PATIENCE / 1000);
	watch->late = true;
}

static void look(struct loop_timer *timer)
{
	struct certificate_watch *watch = timer->context;
	struct err err;

	if (watch->answer_fd >= 0)
		return; /* its end sets the timer */
	watch->again = false;
	watch->pid = process_ask(look_at_files, watch->files->certificates_fd, watch,
				 &watch->answer_fd, &err);
	if (watch->pid < 0) {
		watch->answer_fd = -1;
		loop_timer_set(&watch->next, PAUSE);
		return;
	}
	loop_watch_init(&watch->answer, watch->loop, watch->answer_fd, answered, watch);
	loop_watch_want(&watch->answer, LOOP_READ);
	loop_timer_set(&watch->patience, PATIENCE);
}

/* ---- life ---- */

void certificate_watch_start(struct certificate_watch *watch, struct loop *loop,
			     struct generation_files *files,
			     void (*ask)(void *context, const struct packed *packed,
					 uint32_t number, uint32_t ask),
			     void (*use)(void *context), void *context)
{
	unsigned char octets[SIPHASH_KEY_SIZE];
	struct err err;

	*watch = (struct certificate_watch){.loop = loop,
					    .files = files,
					    .ask = ask,
					    .use = use,
					    .context = context,
					    .events = {.fd = -1},
					    .answer_fd = -1,
					    .judged = {.fds = {-1, -1}}};
	if (random_octets(octets, sizeof(octets)) < 0)
		memset(octets, 0, sizeof(octets)); /* nobody gains by two files of one digest */
	watch->key = siphash_key_of(octets);
	for (unsigned kind = 0; kind < PACKED_COUNT; kind++)
		(void)certificates_digest(
			kind == PACKED_KEYS ? files->keys_fd : files->certificates_fd,
			kind == PACKED_KEYS ? files->keys_size : files->certificates_size,
			&watch->key, &watch->state.digests[kind], &err);
	loop_timer_init(&watch->next, loop, look, watch);
	loop_timer_init(&watch->patience, loop, lose_patience, watch);
	loop_timer_set(&watch->next, QUIET); /* they may have changed since they were read */
}

void certificate_watch_stop(struct certificate_watch *watch)
{
	if (!watch->loop)
		return;
	process_ask_kill(watch->pid, watch->answer_fd);
	if (watch->answer_fd >= 0)
		end_look(watch);
	loop_timer_cancel(&watch->next);
	loop_timer_cancel(&watch->patience);
	stop_events(watch);
	drop_judged(watch);
	watch->loop = NULL;
}
