/* See schemes.h. Any thread of auth, and `valija user`. */
#include "users/schemes.h"

#include "base/random.h"
#include "base/text.h"
#include "build-config.h"
#include "users/cram_md5.h"
#include "users/digests.h"
#include "users/scheme_kinds.h"
#include "users/scram.h"

#ifdef HAVE_ARGON2
#include <argon2.h>
#endif
#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Longest password that libxcrypt takes, in octets; the limit of every SCHEME_KIND_CRYPT scheme. */
enum {
	CRYPT_PASSWORD_MAX = 511,
};

struct scheme_name {
	const char *name;
	enum scheme_kind kind;
	const char *prefix; /* crypt_gensalt's, NULL: never made by that */
	unsigned long cost; /* 0: the library's default */
};

static const struct scheme_name names[] = {
	{"YESCRYPT", SCHEME_KIND_CRYPT, "$y$", 0},
	{"BLF-CRYPT", SCHEME_KIND_CRYPT, "$2b$", 10},
	{"SHA512-CRYPT", SCHEME_KIND_CRYPT, "$6$", 0},
	{"SHA256-CRYPT", SCHEME_KIND_CRYPT, "$5$", 0},
	{"MD5-CRYPT", SCHEME_KIND_CRYPT, NULL, 0},
	{"DES-CRYPT", SCHEME_KIND_CRYPT, NULL, 0},
	{"CRYPT", SCHEME_KIND_CRYPT, NULL, 0},
	{"MD5", SCHEME_KIND_CRYPT, NULL, 0},
	{"ARGON2ID", SCHEME_KIND_ARGON2, NULL, 0},
	{"ARGON2I", SCHEME_KIND_ARGON2, NULL, 0},
	{"SCRAM-SHA-1", SCHEME_KIND_SCRAM_SHA_1, NULL, 0},
	{"SCRAM-SHA-256", SCHEME_KIND_SCRAM_SHA_256, NULL, 0},
	{"CRAM-MD5", SCHEME_KIND_CRAM_MD5, NULL, 0},
	{"PLAIN", SCHEME_KIND_PLAIN, NULL, 0},
	{"CLEARTEXT", SCHEME_KIND_PLAIN, NULL, 0},
	{"CLEAR", SCHEME_KIND_PLAIN, NULL, 0},
};

static const struct scheme_name *find_name(pop3_span name)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_equal_nocase(name, span_of(names[i].name)))
			return &names[i];
	return NULL;
}

static pop3_span braced_name(const char *stored)
{
	const char *end = stored[0] == '{' ? strchr(stored, '}') : NULL;

	return end ? (pop3_span){stored + 1, (size_t)(end - stored - 1)} : (pop3_span){"", 0};
}

enum scheme_kind scheme_kind(const char *stored, pop3_span *ret_payload)
{
	pop3_span name = braced_name(stored);
	const struct scheme_name *known = find_name(name);
	enum scheme_kind kind = SCHEME_KIND_UNKNOWN;

	*ret_payload = span_of(stored + (name.size ? name.size + 2 : 0));
	if (stored[0] != '{')
		kind = SCHEME_KIND_CRYPT; /* as in /etc/shadow */
	else if (known)
		kind = known->kind;
	else if (digest_scheme_known(name))
		kind = SCHEME_KIND_DIGEST;
	if (ret_payload->size == 0)
		return SCHEME_KIND_LOCKED;
	if (kind == SCHEME_KIND_CRYPT &&
	    (strchr("*!", ret_payload->data[0]) || strcmp(ret_payload->data, "x") == 0))
		return SCHEME_KIND_LOCKED;
	return kind;
}

static enum scheme_verdict verify_plain(pop3_span payload, const struct secret *password)
{
	return secret_equal(payload, (pop3_span){password->bytes, password->size})
		       ? SCHEME_MATCH
		       : SCHEME_MISMATCH;
}

static enum scheme_verdict verify_crypt(pop3_span payload, const struct secret *password,
					struct err *err)
{
	enum scheme_verdict verdict = SCHEME_BROKEN;
	struct crypt_data *data;
	const char *result;

	/* crypt(3) would stop at a NUL and take the part before it */
	if (password->size > CRYPT_PASSWORD_MAX || memchr(password->bytes, 0, password->size))
		return SCHEME_MISMATCH;
	data = calloc(1, sizeof(*data));
	if (!data) {
		err_set(err, EX_OSERR, "out of memory");
		return SCHEME_BROKEN;
	}
	result = crypt_r(password->bytes, payload.data, data);
	if (!result || result[0] == '*')
		err_set(err, EX_CONFIG, "the stored hash is none that crypt(3) knows");
	else
		verdict = secret_equal(span_of(result), payload) ? SCHEME_MATCH : SCHEME_MISMATCH;
	wipe(data, sizeof(*data));
	free(data);
	return verdict;
}

static enum scheme_verdict verify_argon2(pop3_span payload, const struct secret *password,
					 struct err *err)
{
#ifdef HAVE_ARGON2
	bool id = strncmp(payload.data, "$argon2id$", 10) == 0;
	int code = argon2_verify(payload.data, password->bytes, password->size,
				 id ? Argon2_id : Argon2_i);

	if (code == ARGON2_OK)
		return SCHEME_MATCH;
	if (code == ARGON2_VERIFY_MISMATCH)
		return SCHEME_MISMATCH;
	err_set(err, EX_CONFIG, "the stored hash: %s", argon2_error_message(code));
#else
	(void)payload;
	(void)password;
	err_set(err, EX_CONFIG, "this build has no Argon2");
#endif
	return SCHEME_BROKEN;
}

static enum scheme_verdict verify_scram(const struct scram_hash *hash, pop3_span payload,
					const struct secret *password, struct err *err)
{
	struct scram_keys stored, made;
	bool equal;

	if (scram_parse(hash, payload, &stored) < 0) {
		err_set(err, EX_CONFIG, "the stored %s keys are damaged", hash->name);
		return SCHEME_BROKEN;
	}
	made = stored;
	if (scram_derive(hash, password, &made) < 0) {
		err_set(err, EX_OSERR, "out of memory");
		return SCHEME_BROKEN;
	}
	equal = secret_equal((pop3_span){(const char *)stored.stored_key, hash->size},
			     (pop3_span){(const char *)made.stored_key, hash->size});
	wipe(&stored, sizeof(stored));
	wipe(&made, sizeof(made));
	return equal ? SCHEME_MATCH : SCHEME_MISMATCH;
}

static enum scheme_verdict verify_cram_md5(pop3_span payload, const struct secret *password)
{
	char hex[CRAM_MD5_HEX + 1];
	bool equal;

	cram_md5_make(password, hex);
	equal = secret_equal(payload, (pop3_span){hex, CRAM_MD5_HEX});
	wipe(hex, sizeof(hex));
	return equal ? SCHEME_MATCH : SCHEME_MISMATCH;
}

enum scheme_verdict scheme_verify(const char *stored, const struct secret *password,
				  struct err *err)
{
	enum scheme_verdict verdict;
	pop3_span payload;

	switch (scheme_kind(stored, &payload)) {
	case SCHEME_KIND_PLAIN:
		return verify_plain(payload, password);
	case SCHEME_KIND_CRYPT:
		return verify_crypt(payload, password, err);
	case SCHEME_KIND_ARGON2:
		return verify_argon2(payload, password, err);
	case SCHEME_KIND_SCRAM_SHA_1:
		return verify_scram(&scram_sha_1, payload, password, err);
	case SCHEME_KIND_SCRAM_SHA_256:
		return verify_scram(&scram_sha_256, payload, password, err);
	case SCHEME_KIND_CRAM_MD5:
		return verify_cram_md5(payload, password);
	case SCHEME_KIND_DIGEST:
		verdict = digest_verify(braced_name(stored), payload, password);
		if (verdict == SCHEME_BROKEN)
			err_set(err, EX_CONFIG, "the stored digest is damaged");
		return verdict;
	case SCHEME_KIND_LOCKED:
		return SCHEME_MISMATCH;
	case SCHEME_KIND_UNKNOWN:
	case SCHEME_KIND_COUNT:
		break;
	}
	err_set(err, EX_CONFIG, "the password scheme {%.*s} is not known here",
		(int)braced_name(stored).size, braced_name(stored).data);
	return SCHEME_BROKEN;
}

bool scheme_can_match(const char *stored)
{
	struct scram_keys keys;
	pop3_span payload;
	int salt;

	switch (scheme_kind(stored, &payload)) {
	case SCHEME_KIND_CRYPT:
		salt = crypt_checksalt(payload.data);
		return salt != CRYPT_SALT_INVALID && salt != CRYPT_SALT_METHOD_DISABLED;
	case SCHEME_KIND_SCRAM_SHA_1:
		return scram_parse(&scram_sha_1, payload, &keys) == 0;
	case SCHEME_KIND_SCRAM_SHA_256:
		return scram_parse(&scram_sha_256, payload, &keys) == 0;
	case SCHEME_KIND_PLAIN:
	case SCHEME_KIND_ARGON2:
	case SCHEME_KIND_CRAM_MD5:
	case SCHEME_KIND_DIGEST:
		return true;
	case SCHEME_KIND_LOCKED:
	case SCHEME_KIND_UNKNOWN:
	case SCHEME_KIND_COUNT:
		break;
	}
	return false;
}

void scheme_verify_dummy(const char *like, const struct secret *password)
{
	static const char yescrypt[] =
		"$y$j9T$0123456789abcdefghijk.$0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

	(void)scheme_verify(like ? like : yescrypt, password, NULL);
}

const char *const *scheme_names(void)
{
	static const char *const made[] = {
		"YESCRYPT",      "BLF-CRYPT",   "SHA512-CRYPT", "SHA256-CRYPT",
#ifdef HAVE_ARGON2
		"ARGON2ID",
#endif
		"SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5",     "PLAIN",        NULL};

	return made;
}

static int make_crypt(const struct scheme_name *scheme, const struct secret *password, char *buf,
		      size_t size, struct err *err)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *data;
	const char *hash;
	int n = -1;

	if (password->size > CRYPT_PASSWORD_MAX || memchr(password->bytes, 0, password->size))
		return err_set(err, EX_DATAERR,
			       "the password is longer than %d octets or holds a NUL",
			       CRYPT_PASSWORD_MAX);
	if (!crypt_gensalt_rn(scheme->prefix, scheme->cost, NULL, 0, setting, sizeof(setting)))
		return err_set(err, EX_OSERR, "crypt(3) cannot make {%s} here", scheme->name);
	data = calloc(1, sizeof(*data));
	if (!data)
		return err_set(err, EX_OSERR, "out of memory");
	hash = crypt_r(password->bytes, setting, data);
	if (hash && hash[0] != '*')
		n = snprintf(buf, size, "{%s}%s", scheme->name, hash);
	wipe(data, sizeof(*data));
	free(data);
	if (n < 0 || (size_t)n >= size)
		return err_set(err, EX_OSERR, "crypt(3) cannot make {%s} here", scheme->name);
	return 0;
}

static int make_argon2(const struct secret *password, char *buf, size_t size, struct err *err)
{
#ifdef HAVE_ARGON2
	static const char head[] = "{ARGON2ID}";
	unsigned char salt[16];
	int code = ARGON2_MEMORY_ALLOCATION_ERROR;

	/* 19 MiB, two passes: 20 ms, bearable in several workers at a time */
	if (size > sizeof(head) && random_octets(salt, sizeof(salt)) == 0) {
		memcpy(buf, head, sizeof(head));
		code = argon2id_hash_encoded(2, 19456, 1, password->bytes, password->size, salt,
					     sizeof(salt), 32, buf + sizeof(head) - 1,
					     size - sizeof(head) + 1);
	}
	return code == ARGON2_OK ? 0 : err_set(err, EX_OSERR, "%s", argon2_error_message(code));
#else
	(void)password;
	(void)buf;
	(void)size;
	return err_set(err, EX_UNAVAILABLE, "this build has no Argon2");
#endif
}

static int make_scram(const struct scram_hash *hash, const struct secret *password, char *buf,
		      size_t size, struct err *err)
{
	struct scram_keys keys = {.iterations = SCRAM_ITERATIONS, .salt_size = 16};
	int status = -1;

	if (random_octets(keys.salt, keys.salt_size) == 0 &&
	    scram_derive(hash, password, &keys) == 0 && scram_print(hash, &keys, buf, size) == 0)
		status = 0;
	else
		err_set(err, EX_OSERR, "{%s} could not be made", hash->name);
	wipe(&keys, sizeof(keys));
	return status;
}

static int make_plain(const struct secret *password, char *buf, size_t size, struct err *err)
{
	for (size_t i = 0; i < password->size; i++)
		if (password->bytes[i] == ':' || (unsigned char)password->bytes[i] < 0x20)
			return err_set(err, EX_DATAERR,
				       "{PLAIN} cannot store a colon or a control character; take "
				       "another scheme");
	if (password->size + sizeof("{PLAIN}") > size)
		return err_set(err, EX_DATAERR, "the password is too long");
	snprintf(buf, size, "{PLAIN}%s", password->bytes);
	return 0;
}

int scheme_make(const char *name, const struct secret *password, char *buf, size_t size,
		struct err *err)
{
	const struct scheme_name *scheme = find_name(span_of(name));
	char hex[CRAM_MD5_HEX + 1];

	if (!scheme || (scheme->kind == SCHEME_KIND_CRYPT && !scheme->prefix))
		return err_set(err, EX_USAGE, "there is no scheme %s to store passwords in", name);
	switch (scheme->kind) {
	case SCHEME_KIND_PLAIN:
		return make_plain(password, buf, size, err);
	case SCHEME_KIND_CRYPT:
		return make_crypt(scheme, password, buf, size, err);
	case SCHEME_KIND_ARGON2:
		return make_argon2(password, buf, size, err);
	case SCHEME_KIND_SCRAM_SHA_1:
		return make_scram(&scram_sha_1, password, buf, size, err);
	case SCHEME_KIND_SCRAM_SHA_256:
		return make_scram(&scram_sha_256, password, buf, size, err);
	case SCHEME_KIND_CRAM_MD5:
		cram_md5_make(password, hex);
		snprintf(buf, size, "{CRAM-MD5}%s", hex);
		wipe(hex, sizeof(hex));
		return 0;
	case SCHEME_KIND_DIGEST:
	case SCHEME_KIND_LOCKED:
	case SCHEME_KIND_UNKNOWN:
	case SCHEME_KIND_COUNT:
		break;
	}
	return err_set(err, EX_USAGE, "there is no scheme %s to store passwords in", name);
}
