/* See tls.h. In the parent of --watch; it looks into no session. */
#include "fetch/watch/tls.h"

#include "base/secret.h"
#include "sys/tls_trust.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	PLACES = 16, /* accounts beyond so many files of authorities read theirs in each run */
	VERIFIED_MS = 6 * 3600 * 1000,
};

struct place {
	char file[FETCH_PATH_MAX]; /* "": the system's, or none */
	bool none;
	unsigned number; /* another one each time it is read */
	struct tls_trust *trust;
};

struct watch_tls {
	struct place places[PLACES];
	unsigned count, numbers;
};

struct watch_tls *watch_tls_create(void)
{
	tls_trust_warm();
	return calloc(1, sizeof(struct watch_tls));
}

void watch_tls_destroy(struct watch_tls *tls)
{
	for (unsigned i = 0; tls && i < tls->count; i++)
		tls_trust_destroy(tls->places[i].trust);
	free(tls);
}

/* NULL: there is no room for one more. */
static struct place *find(struct watch_tls *tls, const struct fetch_account *account)
{
	bool none = !account->ca_file[0] && account->pin_count;
	unsigned i = 0;

	while (i < tls->count &&
	       (tls->places[i].none != none || strcmp(tls->places[i].file, account->ca_file) != 0))
		i++;
	if (i == PLACES)
		return NULL;
	if (i == tls->count) {
		tls->count++;
		tls->places[i] = (struct place){.none = none};
		snprintf(tls->places[i].file, sizeof(tls->places[i].file), "%s", account->ca_file);
	}
	return &tls->places[i];
}

/* A file that cannot be read has no trust: the run tries it, and says so. */
static void refresh(struct watch_tls *tls, struct place *place)
{
	if (place->trust && tls_trust_current(place->trust))
		return;
	tls_trust_destroy(place->trust);
	place->trust = NULL;
	if (tls_trust_create(place->file[0] ? place->file : NULL, place->none, &place->trust,
			     NULL) == 0)
		place->number = ++tls->numbers;
}

static struct tls_client_memory *make_memory(void)
{
	struct tls_client_memory *memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	if (madvise(memory, sizeof(*memory), MADV_DONTFORK) < 0) {
		munmap(memory, sizeof(*memory));
		return NULL;
	}
	madvise(memory, sizeof(*memory), MADV_DONTDUMP);
	return memory;
}

/* With a client certificate a session stands for the client's proof as well: each login is one of
 * its own. */
static bool resumes(const struct fetch_account *account, const struct place *place)
{
	return place->trust && !account->cert_file[0];
}

void watch_tls_lend(struct watch_tls *tls, struct watch_session *session,
		    const struct fetch_account *account, int64_t now, struct tls_client_memory *ret)
{
	struct place *place = tls && account->tls != FETCH_TLS_NONE ? find(tls, account) : NULL;

	ret->trust = NULL;
	ret->size = 0;
	session->awaited = false;
	if (!place)
		return;
	refresh(tls, place);
	ret->trust = place->trust;
	if (!resumes(account, place) || (!session->memory && !(session->memory = make_memory())))
		return;
	if (session->trust == place->number && now - session->verified < VERIFIED_MS) {
		ret->size = session->memory->size;
		memcpy(ret->session, session->memory->session, ret->size);
	}
	if (!ret->size)
		session->verified = now;
	wipe(session->memory->session, session->memory->size);
	session->memory->size = 0;
	session->trust = place->number;
	session->awaited = true;
}

void watch_session_take(struct watch_session *session, int from)
{
	ssize_t n;

	if (!session->awaited)
		return;
	session->awaited = false;
	n = read(from, session->memory->session, sizeof(session->memory->session));
	session->memory->size = n > 0 ? (size_t)n : 0;
}

void watch_session_drop(struct watch_session *session)
{
	if (session->memory) {
		wipe(session->memory, sizeof(*session->memory));
		munmap(session->memory, sizeof(*session->memory));
	}
	*session = (struct watch_session){0};
}
