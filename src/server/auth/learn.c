/* See learn.h. */
#include "server/auth/learn.h"

#include "base/descriptor.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/random.h"
#include "base/seal.h"
#include "base/secret.h"
#include "base/text.h"
#include "config/remote.h"
#include "server/auth/recent.h"
#include "users/learned.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	KNOWN = 32 * 1024,
	KNOWN_SECONDS = 24 * 3600, /* what the disk did not take comes again then */
	KEYS_SIZE_MAX = CONFIG_REMOTES_MAX * (SEAL_FILE_MAX + 64),
};

_Static_assert((int)IPC_SEALED == (int)SEAL_TEXT_SIZE, "the row has room for it");
_Static_assert((int)IPC_SECTION_MAX == LEARNED_SECTION_MAX, "and for the section");
_Static_assert(sizeof(((struct config_remote *)0)->name) == LEARNED_SECTION_MAX + 1, "the same");

struct learning {
	const struct config *config;
	struct seal_key *keys[CONFIG_REMOTES_MAX]; /* of sections; NULL: it does not learn */
	struct hmac keyed;                         /* copied for each digest */
	struct recent *known;
};

/* ---- start ---- */

static int read_key(struct learning *learning, const char *name, const char *text, struct err *err)
{
	int place = config_remote_find(learning->config, span_of(name));

	if (place < 0)
		return err_set(err, EX_SOFTWARE, "a key of a section that is not there");
	if (seal_key_read(span_of(text), false, &learning->keys[place], err) == 0)
		return 0;
	return err_prefix(err, "remote %s: %s", name, learning->config->remotes[place].learn);
}

static int read_keys(struct learning *learning, pop3_span text, struct err *err)
{
	const char *name, *key;

	while (text_take_pair(&text, &name, &key))
		if (read_key(learning, name, key, err) < 0)
			return -1;
	return text.size ? err_set(err, EX_SOFTWARE, "the monitor sent half a key") : 0;
}

static int read_file(struct learning *learning, int fd, uint64_t size, struct err *err)
{
	char *text = unseal_octets(fd, size, KEYS_SIZE_MAX);
	int rc;

	if (!text)
		return err_set(err, EX_SOFTWARE, "the keys that seal passwords cannot be read");
	rc = read_keys(learning, (pop3_span){text, size}, err);
	wipe(text, size);
	free(text);
	return rc;
}

static int begin_known(struct learning *learning, struct err *err)
{
	unsigned char key[32];

	if (recent_create(KNOWN, &learning->known, err) < 0)
		return -1;
	if (random_octets(key, sizeof(key)) < 0)
		return err_sys(err, EX_OSERR, errno, "no random octets");
	hmac_init(&learning->keyed, DIGEST_SHA_256, key, sizeof(key));
	wipe(key, sizeof(key));
	return 0;
}

/* One that fails ends with the process. */
int learning_create(const struct config *config, int *fd, uint64_t size, struct learning **ret,
		    struct err *err)
{
	struct learning *learning;
	int rc;

	if (*fd < 0)
		return 0;
	learning = calloc(1, sizeof(*learning));
	if (!learning)
		return err_set(err, EX_OSERR, "out of memory");
	learning->config = config;
	rc = read_file(learning, *fd, size, err);
	close_fd(fd);
	if (rc == 0)
		rc = begin_known(learning, err);
	*ret = learning;
	return rc;
}

/* ---- passwords ---- */

static uint64_t hash_of(const struct learning *learning, pop3_span label, pop3_span password)
{
	struct hmac hmac = learning->keyed;
	unsigned char mac[32];
	uint64_t hash;

	hmac_add(&hmac, label.data, label.size);
	hmac_add(&hmac, "", 1); /* in no label */
	hmac_add(&hmac, password.data, password.size);
	hmac_finish(&hmac, mac);
	memcpy(&hash, mac, sizeof(hash));
	wipe(mac, sizeof(mac));
	return hash;
}

static int send_learned(const struct learning *learning, struct peer *logins, uint32_t place,
			const struct user *user, pop3_span label, pop3_span password)
{
	char text[SEAL_TEXT_SIZE + 1];
	pop3_span texts[] = {span_of(learning->config->remotes[place].name),
			     span_of(user->name),
			     {text, SEAL_TEXT_SIZE}};
	struct ipc_learned message;

	if (seal_password(learning->keys[place], label, password, text) < 0) {
		char shown[4 * USER_NAME_MAX + 1];

		text_escape(shown, sizeof(shown) - 1, span_of(user->name));
		log_warning("the password of %s is not learned: it has more than %d octets, or "
			    "OpenSSL fails",
			    shown, SEAL_PASSWORD_MAX);
		return 0;
	}
	if (!logins || chan_queued(&logins->chan) > LAST_LOGIN_QUEUE_MAX)
		return -1;
	return ipc_send_texts(&logins->chan, IPC_LEARNED, &message, texts, 3);
}

void learn_password(struct learning *learning, const struct last_login_notes *notes,
		    const struct user *user, pop3_span password)
{
	uint32_t place =
		user->migrate_section - 1; /* of a user whose mail stays there: beyond all */
	char buf[LEARNED_LABEL_MAX];
	uint64_t hash, last, now = (uint64_t)time(NULL);
	pop3_span label;

	if (!learning || place >= learning->config->remote_count || !learning->keys[place])
		return;
	label = learned_label(span_of(learning->config->remotes[place].name), span_of(user->name),
			      buf);
	hash = hash_of(learning, label, password);
	if (recent_get(learning->known, hash, &last) && now - last < KNOWN_SECONDS)
		return;
	if (send_learned(learning, notes->logins, place, user, label, password) == 0)
		recent_put(learning->known, hash, now);
}
