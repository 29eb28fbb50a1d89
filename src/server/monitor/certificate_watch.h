/*
 * Files of certificates and keys that change while they are served: they are taken without a
 * reload. The folders are watched (inotify), and the files are looked at each minute, since not
 * every filesystem reports changes. A process of its own looks, and packs what has changed: a
 * filesystem may hang. The process keys judges; what it accepts is for new handshakes. Runs in the
 * monitor, as root when that is root, for generation.c: of the generation that serves.
 */
#ifndef SERVER_MONITOR_CERTIFICATE_WATCH_H
#define SERVER_MONITOR_CERTIFICATE_WATCH_H

#include "base/siphash.h"
#include "server/certificates.h"
#include "server/monitor/files.h"
#include "sys/loop.h"

#include <sys/types.h>

/* The state of the files: their places, sizes and times, and the digests of their contents. */
struct certificate_state {
	uint64_t stamp;
	uint64_t digests[PACKED_COUNT];
};

struct certificate_watch {
	struct loop *loop; /* NULL: never started */
	struct generation_files *files;
	/* Sends packed files to keys, to be judged. */
	void (*ask)(void *context, const struct packed *packed, uint32_t number, uint32_t ask);
	/* Those in files are others now: sends them to all that use them. */
	void (*use)(void *context);
	void *context;
	struct loop_watch events; /* of inotify; fd -1: there is none */
	struct loop_timer next;   /* the next look */
	struct loop_timer patience;
	struct loop_watch answer;
	int answer_fd; /* -1: no look is under way */
	pid_t pid;
	struct siphash_key key;         /* of stamps and digests */
	struct certificate_state state; /* of what is in use, or was refused */
	struct certificate_state found; /* of what is being judged */
	struct packed judged;           /* descriptors -1: nothing is */
	uint32_t asked;                 /* how often keys was asked */
	unsigned faults;                /* looks in a row that found what cannot be used */
	char said[256];                 /* the last complaint; "": none */
	bool again;                     /* something changed during the look */
	bool late;
};

/* files are in use, and are changed in place. */
void certificate_watch_start(struct certificate_watch *watch, struct loop *loop,
			     struct generation_files *files,
			     void (*ask)(void *context, const struct packed *packed,
					 uint32_t number, uint32_t ask),
			     void (*use)(void *context), void *context);
/* The answer of keys. why: why not. */
void certificate_watch_judged(struct certificate_watch *watch, uint32_t ask, bool good,
			      const char *why);
/* Legal if it was never started. */
void certificate_watch_stop(struct certificate_watch *watch);

#endif
