/* The accounts of --watch and their records, at the start and when the configuration is read again.
 * See watch_private.h; in the parent of --watch. */
#include "fetch/watch/watch_private.h"

#include "base/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <time.h>

/* A new one is due at once, unless its server wants some time between two logins. */
static void adopt(struct watch *w, struct watch_account *to, const struct fetch_account *settings,
		  const struct watch_memory *memory)
{
	const struct watch_record *known = watch_memory_find(memory, settings->name);

	*to = (struct watch_account){.settings = settings, .run = {.from = -1}};
	to->due = loop_now(w->loop);
	if (known)
		to->record = *known;
	snprintf(to->record.name, sizeof(to->record.name), "%s", settings->name);
	if (known && known->login_delay && known->last_run) {
		int64_t wait = known->last_run + known->login_delay - time(NULL);

		if (wait > 0 && wait <= known->login_delay)
			to->due += (uint64_t)wait * 1000;
	}
	to->record.next_run = time(NULL) + (int64_t)(to->due - loop_now(w->loop)) / 1000;
}

static struct watch_account *find(const struct watch *w, const char *name)
{
	for (unsigned i = 0; i < w->count; i++)
		if (w->accounts[i].settings && strcmp(w->accounts[i].record.name, name) == 0)
			return &w->accounts[i];
	return NULL;
}

/* An account that waited for a person to mend something is tried at once. */
static void keep(struct watch *w, struct watch_account *to, struct watch_account *from,
		 const struct fetch_account *settings)
{
	uint64_t now = loop_now(w->loop), latest = now + (uint64_t)settings->interval * 1100;

	*to = *from;
	from->settings = NULL;
	from->run.pid = 0; /* moved */
	to->settings = settings;
	switch (to->record.result) {
	case WATCH_LOGIN:
	case WATCH_CONSENT:
	case WATCH_BROKEN:
		to->due = now;
		break;
	case WATCH_GOOD:
	case WATCH_PARTLY:
		if (to->due > latest && !to->record.login_delay)
			to->due = latest;
		break;
	case WATCH_NEVER:
	case WATCH_NETWORK:
	case WATCH_IN_USE:
	case WATCH_TOO_SOON:
	case WATCH_TEMPORARY:
	case WATCH_RESULTS:
		break;
	}
}

/* In pages that no run inherits: it has its own account alone (watch.c lends it), and a fork has
 * less to copy. NULL: no memory. */
static struct fetch_account *move_settings(struct fetch_config *config, size_t *ret_size)
{
	size_t size = (config->count + 1) * sizeof(*config->accounts);
	struct fetch_account *moved =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (moved == MAP_FAILED)
		return NULL;
	madvise(moved, size, MADV_DONTFORK);
	if (config->count)
		memcpy(moved, config->accounts, config->count * sizeof(*moved));
	wipe(config->accounts, config->count * sizeof(*moved));
	free(config->accounts);
	config->accounts = NULL;
	*ret_size = size;
	return moved;
}

void watch_settings_finish(struct watch *w)
{
	if (w->settings)
		munmap(w->settings, w->settings_size);
	w->settings = NULL;
	fetch_config_finish(&w->config);
}

/* The accounts of the moved settings, then those that left them while a run is at work. */
static unsigned fill(struct watch *w, struct watch_account *fresh,
		     const struct fetch_account *settings, unsigned count,
		     const struct watch_memory *memory)
{
	unsigned used = 0;

	for (unsigned i = 0; i < count; i++) {
		struct watch_account *old = find(w, settings[i].name);

		if (old)
			keep(w, &fresh[used++], old, &settings[i]);
		else
			adopt(w, &fresh[used++], &settings[i], memory);
	}
	for (unsigned i = 0; i < w->count; i++) {
		if (w->accounts[i].run.pid <= 0)
			continue;
		fresh[used] = w->accounts[i]; /* until its run has ended */
		fresh[used++].settings = NULL;
	}
	return used;
}

int watch_adopt_all(struct watch *w, struct fetch_config *config, const struct watch_memory *memory,
		    struct err *err)
{
	struct watch_account *fresh =
		calloc(config->count + w->count + 1, sizeof(struct watch_account));
	struct fetch_account *settings;
	size_t size = 0;
	unsigned count;

	settings = fresh ? move_settings(config, &size) : NULL;
	if (!settings) {
		free(fresh);
		return err_sys(err, EX_OSERR, errno, "memory");
	}
	for (unsigned i = 0; i < w->count; i++) /* they belong to the old settings */
		watch_session_drop(&w->accounts[i].session);
	count = fill(w, fresh, settings, config->count, memory);
	free(w->accounts);
	w->accounts = fresh;
	w->count = count;
	watch_settings_finish(w);
	w->settings = settings;
	w->settings_size = size;
	w->config = *config;
	*config = (struct fetch_config){0};
	return 0;
}
