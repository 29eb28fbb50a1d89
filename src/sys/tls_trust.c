/* See tls_trust.h. OpenSSL's context, which is counted and read-only once it is made. */
#include "sys/tls_client_internal.h"

#include "sys/tls_error.h"

#include <openssl/err.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

struct tls_trust {
	SSL_CTX *context;
	char *file; /* that was read; NULL: none, or a folder that is looked into later */
	struct stat seen;
};

/* A directory that holds certificates by hash ("1a2b3c4d.0"), as c_rehash makes it. */
static bool hashed_directory(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool found = false;

	if (!dir)
		return false;
	while (!found && (entry = readdir(dir)))
		found = strspn(entry->d_name, "0123456789abcdef") == 8 && entry->d_name[8] == '.';
	closedir(dir);
	return found;
}

/*
 * The system's store. Its directory by hash is preferred to the bundle: looking one certificate up
 * costs microseconds, parsing the whole bundle 30 ms and more than a megabyte.
 */
static int read_system(SSL_CTX *context, const char **ret_file, struct err *err)
{
	const char *file = getenv(X509_get_default_cert_file_env());
	const char *dir = getenv(X509_get_default_cert_dir_env());

	if (file || !hashed_directory(dir ? dir : X509_get_default_cert_dir())) {
		*ret_file = file ? file : X509_get_default_cert_file();
		if (SSL_CTX_set_default_verify_paths(context) == 1)
			return 0;
	} else if (SSL_CTX_load_verify_dir(context, dir ? dir : X509_get_default_cert_dir()) == 1) {
		return 0;
	}
	return err_set(err, EX_CONFIG, "cannot use the system's certificates: %s",
		       tls_error_text());
}

static SSL_CTX *make_context(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (!context)
		return NULL;
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					     SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS);
	/* each client keeps its own */
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	return context;
}

/* Looked at before it is read: a file that changes meanwhile is another one afterwards. */
static int note_file(struct tls_trust *trust, const char *file, struct err *err)
{
	if (!file)
		return 0;
	trust->file = strdup(file);
	if (!trust->file)
		return err_sys(err, EX_OSERR, errno, "memory");
	if (stat(file, &trust->seen) < 0)
		trust->seen = (struct stat){0};
	return 0;
}

static int read_authorities(struct tls_trust *trust, const char *file, bool none, struct err *err)
{
	const char *read = file;

	if (note_file(trust, file, err) < 0)
		return -1;
	if (file) {
		if (SSL_CTX_load_verify_file(trust->context, file) == 1)
			return 0;
		return err_set(err, EX_CONFIG, "cannot read certificates from %s: %s", file,
			       tls_error_text());
	}
	if (none)
		return 0;
	return read_system(trust->context, &read, err) < 0 ? -1 : note_file(trust, read, err);
}

int tls_trust_create(const char *file, bool none, struct tls_trust **ret, struct err *err)
{
	struct tls_trust *trust = calloc(1, sizeof(*trust));

	if (!trust)
		return err_sys(err, EX_OSERR, errno, "TLS");
	ERR_clear_error();
	trust->context = make_context();
	if (!trust->context) {
		err_set(err, EX_SOFTWARE, "cannot start TLS: %s", tls_error_text());
		tls_trust_destroy(trust);
		return -1;
	}
	if (read_authorities(trust, file, none, err) < 0) {
		tls_trust_destroy(trust);
		return -1;
	}
	*ret = trust;
	return 0;
}

void tls_trust_destroy(struct tls_trust *trust)
{
	if (!trust)
		return;
	SSL_CTX_free(trust->context);
	free(trust->file);
	free(trust);
}

bool tls_trust_current(const struct tls_trust *trust)
{
	struct stat now;

	if (!trust->file)
		return true;
	if (stat(trust->file, &now) < 0)
		now = (struct stat){0};
	return now.st_dev == trust->seen.st_dev && now.st_ino == trust->seen.st_ino &&
	       now.st_size == trust->seen.st_size &&
	       now.st_mtim.tv_sec == trust->seen.st_mtim.tv_sec &&
	       now.st_mtim.tv_nsec == trust->seen.st_mtim.tv_nsec;
}

SSL *tls_trust_connection(const struct tls_trust *trust, int (*note)(SSL *, SSL_SESSION *))
{
	SSL_CTX_sess_set_new_cb(trust->context, note);
	return SSL_new(trust->context);
}
