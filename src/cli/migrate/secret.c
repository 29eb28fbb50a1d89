/* See secret.h. */
#include "cli/migrate/secret.h"

#include "base/descriptor.h"
#include "base/text.h"
#include "cli/asker.h"
#include "users/lookups.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { SECRETS_MAX = (1 << 20) - 1 }; /* octets of the passwords of all sections */

/* The value of a name in "name NUL value NUL …"; -1: it is not there, or too long. */
static int find_value(pop3_span text, const char *name, struct secret *ret)
{
	const char *at, *value;

	while (text_take_pair(&text, &at, &value))
		if (strcmp(at, name) == 0)
			return secret_set(ret, span_of(value));
	return -1;
}

static int section_secret(const struct migrate *m, const struct config_remote *section,
			  struct secret *ret, struct err *err)
{
	uint64_t size = 0;
	int fd = -1, rc = -1;
	char *text;

	if (remotes_open(&m->config, &fd, &size, err) < 0)
		return -1;
	text = unseal_octets(fd, size, SECRETS_MAX);
	if (text) {
		rc = find_value((pop3_span){text, size}, section->name, ret);
		wipe(text, size);
	}
	free(text);
	close_fd(&fd);
	return rc == 0 ? 0
		       : err_set(err, EX_CONFIG,
				 "there is no password for %s: the user has no remote_password, "
				 "and the section no password_file",
				 section->name);
}

static int access_token(const struct migrate *m, const struct move *move, struct secret *ret,
			struct err *err)
{
	const struct config_database *database = &m->config.databases[move->section->database];
	struct asker_answer *answer = calloc(1, sizeof(*answer));
	char key[USER_NAME_MAX + 1];
	int rc;

	if (!answer)
		return err_set(err, EX_OSERR, "out of memory");
	rc = asker_access(&m->config, database, user_name_key(span_of(move->user->name), key),
			  answer, err);
	if (rc == 0 &&
	    (answer->status != LOOKUP_FOUND ||
	     find_value((pop3_span){answer->fields, answer->size}, "access_token", ret) < 0))
		rc = err_set(err, EX_TEMPFAIL,
			     "there is no access token: valija remote check %s%s%s",
			     move->user->name, answer->said[0] ? ": " : "", answer->said);
	wipe(answer, sizeof(*answer));
	free(answer);
	return rc;
}

int secret_known(struct migrate *m, const struct move *move, struct err *err)
{
	if (move->section->credentials != CONFIG_REMOTE_SAME)
		return 1;
	return passwords_have(&m->passwords, &m->config, move->section, move->user->name, err);
}

int secret_find(struct migrate *m, const struct move *move, struct secret *ret, struct err *err)
{
	if (move->section->credentials == CONFIG_REMOTE_OAUTH)
		return access_token(m, move, ret, err);
	if (move->section->credentials == CONFIG_REMOTE_SAME)
		return passwords_find(&m->passwords, &m->config, move->section, move->user->name,
				      ret, err);
	if (move->user->remote_password[0])
		return secret_set(ret, span_of(move->user->remote_password));
	return section_secret(m, move->section, ret, err);
}
