/* See lookups.h. Paths come from the configuration. */
#include "users/lookups.h"

#include "base/descriptor.h"
#include "base/secret.h"
#include "config/path.h"
#include "config/database.h"
#include "users/program.h"
#include "users/system_user.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	SECRET_FILE_MAX = 64 * 1024, /* octets of one file */
};

static int open_program(const char *name, int *ret, struct err *err)
{
	char program[64], path[PROGRAM_PATH_MAX];

	snprintf(program, sizeof(program), "valija-lookup-%s", name);
	*ret = program_open(program, path);
	if (*ret >= 0)
		return 0;
	return err_sys(
		err, EX_UNAVAILABLE, errno,
		"%s, the program that asks such a database (Debian: valijad for passwd-file, "
		"system and sqlite, valija-lookup-pgsql, -mysql, -ldap, -web for others; "
		"or build Valija with its library)",
		path);
}

/* Secrets are for their owner: a file that others can read would be no secret. */
static int check_mode(int fd, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, EX_NOINPUT, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EX_NOINPUT, "%s: not a regular file", path);
	if (st.st_mode & (S_IROTH | S_IWOTH))
		return err_set(err, EX_NOPERM, "%s can be read by all: chmod 600 %s", path, path);
	return 0;
}

static int secret_path(const char *value, char path[PATH_MAX], struct err *err)
{
	if (config_is_credential(value))
		return config_credential_path(value, path, PATH_MAX, err);
	snprintf(path, PATH_MAX, "%s", value);
	return 0;
}

/* Writes the content of a secret's file, without a line end behind it, and NUL. */
static int put_secret(FILE *out, const char *key, const char *value, struct err *err)
{
	char path[PATH_MAX], *text = malloc(SECRET_FILE_MAX + 1);
	ssize_t n = -1;
	int fd = -1, rc = -1;

	if (!text || secret_path(value, path, err) < 0)
		goto out;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		err_sys(err, EX_NOINPUT, errno, "%s", path);
		goto out;
	}
	if (check_mode(fd, path, err) < 0)
		goto out;
	n = read_all(fd, text, SECRET_FILE_MAX + 1);
	if (n < 0 || n > SECRET_FILE_MAX || memchr(text, 0, (size_t)n)) {
		err_set(err, EX_DATAERR, "%s: not a text of at most %d octets", path,
			SECRET_FILE_MAX);
		goto out;
	}
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	fprintf(out, "%s%c%.*s%c", key, 0, (int)n, text, 0);
	rc = 0;
out:
	if (fd >= 0)
		close(fd);
	if (text && n > 0)
		wipe(text, (size_t)n);
	free(text);
	return rc;
}

static int read_secrets(const struct config *config, const struct config_database *database,
			struct lookup_program *lookup, struct err *err)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int rc = 0;

	if (!out)
		return err_set(err, EX_OSERR, "out of memory");
	for (size_t i = 0; i < config_database_key_count() && rc == 0; i++) {
		const struct database_key *key = config_database_key(i);
		const char *value;

		if (key->kind != DATABASE_SECRET || !(key->drivers & 1u << database->driver))
			continue;
		value = config_database_text(config, database, key->name);
		if (*value)
			rc = put_secret(out, key->name, value, err);
	}
	if (fclose(out) != 0 && rc == 0)
		rc = err_set(err, EX_OSERR, "out of memory");
	if (rc == 0 && (lookup->secrets_fd = seal_octets("secrets", text, size)) < 0)
		rc = err_sys(err, EX_OSERR, errno, "memory for secrets");
	lookup->secrets_size = size;
	if (text)
		wipe(text, size);
	free(text);
	return rc;
}

static const char *password_of(const struct config_remote *remote)
{
	return remote->password_file;
}

static const char *learn_of(const struct config_remote *remote)
{
	return remote->learn;
}

/* The files that sections name, in one memory file. */
static int seal_files(const struct config *config,
		      const char *(*file_of)(const struct config_remote *remote), int *ret_fd,
		      uint64_t *ret_size, struct err *err)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int rc = 0;

	*ret_fd = -1;
	if (!out)
		return err_set(err, EX_OSERR, "out of memory");
	for (uint32_t i = 0; i < config->remote_count && rc == 0; i++) {
		const struct config_remote *remote = &config->remotes[i];

		if (file_of(remote)[0])
			rc = put_secret(out, remote->name, file_of(remote), err);
		if (rc < 0)
			err_prefix(err, "%s:%u: remote %s", config->file, remote->line,
				   remote->name);
	}
	if (fclose(out) != 0 && rc == 0)
		rc = err_set(err, EX_OSERR, "out of memory");
	if (rc == 0 && size && (*ret_fd = seal_octets("secrets", text, size)) < 0)
		rc = err_sys(err, EX_OSERR, errno, "memory for secrets");
	*ret_size = size;
	if (text)
		wipe(text, size);
	free(text);
	return rc;
}

int remotes_open(const struct config *config, int *ret_fd, uint64_t *ret_size, struct err *err)
{
	return seal_files(config, password_of, ret_fd, ret_size, err);
}

int learns_open(const struct config *config, int *ret_fd, uint64_t *ret_size, struct err *err)
{
	return seal_files(config, learn_of, ret_fd, ret_size, err);
}

/* PAM's modules read the passwords of other users only as root. */
static int check_rights(const struct config_database *database, bool root, struct err *err)
{
	if (root || database->driver != DRIVER_SYSTEM || !(database->purposes & CONFIG_FOR_LOGIN))
		return 0;
	return err_set(
		err, EX_NOPERM,
		"passwords of system users are checked by PAM, which needs root (unix_chkpwd "
		"helps a user with nobody's password but the own one): start valijad as root, "
		"or write for = {\"recipient\"}");
}

static int find_ids(const struct config *config, const struct config_database *database,
		    struct lookup_program *lookup, struct err *err)
{
	return system_user_find(config_database_text(config, database, "user"), &lookup->uid,
				&lookup->gid, err);
}

int lookup_open(struct lookup_program *lookup, const struct config *config,
		const struct config_database *database, bool root, struct err *err)
{
	*lookup = (struct lookup_program){.program_fd = -1, .secrets_fd = -1};
	if (check_rights(database, root, err) < 0 ||
	    open_program(config_database_program(config, database), &lookup->program_fd, err) < 0 ||
	    read_secrets(config, database, lookup, err) < 0 ||
	    (root && find_ids(config, database, lookup, err) < 0))
		return err_prefix(err, "%s:%u: database %s", config->file, database->line,
				  database->name);
	return 0;
}

void lookup_close(struct lookup_program *lookup)
{
	if (lookup->program_fd > 0)
		close(lookup->program_fd);
	if (lookup->secrets_fd > 0)
		close(lookup->secrets_fd);
}

int lookups_open(struct lookup_program *lookups, const struct config *config, bool root,
		 struct err *err)
{
	for (uint32_t i = 0; i < config->database_count; i++)
		lookups[i] = (struct lookup_program){.program_fd = -1, .secrets_fd = -1};
	for (uint32_t i = 0; i < config->database_count; i++)
		if (lookup_open(&lookups[i], config, &config->databases[i], root, err) < 0)
			return -1;
	return 0;
}

void lookups_close(struct lookup_program *lookups, const struct config *config)
{
	for (uint32_t i = 0; i < config->database_count; i++)
		lookup_close(&lookups[i]);
}
