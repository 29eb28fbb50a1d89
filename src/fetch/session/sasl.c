/* One SASL exchange (GNU SASL), for login.c, which owns it until fetch_sasl_finish. Challenges are
 * hostile: GNU SASL checks them, sizes are bounded here. */
#include "fetch/session/sasl.h"

#include "base/digest.h"
#include "base/text.h"
#include "fetch/session/bearer.h"

#include <gsasl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* GNU SASL has neither of the mechanisms with tokens; its CRAM-MD5 leaves the password behind. */
enum way { BY_LIBRARY, CRAM_MD5, XOAUTH2, OAUTHBEARER };

struct fetch_sasl {
	Gsasl *library;
	Gsasl_session *session;
	const struct fetch_sasl_settings *settings;
	enum way by;
	bool needs_server; /* SCRAM: not complete before the server's proof is checked */
	bool done;
	bool sent;                           /* a token */
	char token_error[BEARER_STATUS_MAX]; /* the server's status of it */
};

static void classify(struct fetch_sasl *sasl, const char *mechanism)
{
	sasl->by = strcmp(mechanism, "CRAM-MD5") == 0      ? CRAM_MD5
		   : strcmp(mechanism, "XOAUTH2") == 0     ? XOAUTH2
		   : strcmp(mechanism, "OAUTHBEARER") == 0 ? OAUTHBEARER
							   : BY_LIBRARY;
	sasl->needs_server = strncmp(mechanism, "SCRAM-", 6) == 0;
}

static int start_session(struct fetch_sasl *sasl, const char *mechanism)
{
	int rc = gsasl_init(&sasl->library);

	return rc == GSASL_OK ? gsasl_client_start(sasl->library, mechanism, &sasl->session) : rc;
}

static void set_properties(Gsasl_session *session, const struct fetch_sasl_settings *s)
{
	char binding[64];

	/* EXTERNAL sends a name that the certificate must be good for */
	if (strcmp(s->mechanism, "EXTERNAL") == 0)
		gsasl_property_set(session, GSASL_AUTHZID, s->user);
	gsasl_property_set(session, GSASL_AUTHID, s->user);
	gsasl_property_set(session, GSASL_PASSWORD, s->password->bytes);
	gsasl_property_set(session, GSASL_SERVICE, "pop");
	gsasl_property_set(session, GSASL_HOSTNAME, s->host);
	if (s->binding &&
	    base64_encode((pop3_span){(const char *)s->binding, 32}, binding, sizeof(binding)) > 0)
		gsasl_property_set(session, GSASL_CB_TLS_EXPORTER, binding);
}

int fetch_sasl_start(const struct fetch_sasl_settings *s, struct fetch_sasl **ret, struct err *err)
{
	struct fetch_sasl *sasl = calloc(1, sizeof(*sasl));
	int rc = GSASL_OK;

	if (!sasl)
		return err_sys(err, EX_OSERR, errno, "memory");
	sasl->settings = s;
	classify(sasl, s->mechanism);
	if (sasl->by == BY_LIBRARY)
		rc = start_session(sasl, s->mechanism);
	if (rc != GSASL_OK) {
		fetch_sasl_finish(sasl);
		return err_set(err, EX_SOFTWARE, "cannot start %s: %s", s->mechanism,
			       gsasl_strerror(rc));
	}
	if (sasl->session)
		set_properties(sasl->session, s);
	*ret = sasl;
	return 0;
}

/* GNU SASL frees its properties without wiping them. */
static void wipe_property(Gsasl_session *session, Gsasl_property name)
{
	const char *value = gsasl_property_fast(session, name);
	char *own;

	if (!value)
		return;
	memcpy(&own, &value, sizeof(own)); /* the session's own copy, which is about to go */
	wipe(own, strlen(own));
}

void fetch_sasl_finish(struct fetch_sasl *sasl)
{
	if (!sasl)
		return;
	if (sasl->session) {
		wipe_property(sasl->session, GSASL_PASSWORD);
		wipe_property(sasl->session, GSASL_SCRAM_SALTED_PASSWORD);
		gsasl_finish(sasl->session);
	}
	if (sasl->library)
		gsasl_done(sasl->library);
	free(sasl);
}

/* SASLprep. ASCII stays as it is: it is not given to the library, which leaves copies behind. */
static int prepare(const char *text, char **ret)
{
	for (const char *at = text; *at; at++)
		if (*at < 0x20 || *at > 0x7e)
			return gsasl_saslprep(text, GSASL_ALLOW_UNASSIGNED, ret, NULL);
	*ret = strdup(text);
	return *ret ? GSASL_OK : GSASL_MALLOC_ERROR;
}

static char *join_cram_md5(const char *user, const char *password, pop3_span challenge)
{
	unsigned char mac[16];
	size_t size = strlen(user);
	char *answer = malloc(size + 2 + 2 * sizeof(mac));

	if (!answer)
		return NULL;
	hmac_of(DIGEST_MD5, password, strlen(password), challenge.data, challenge.size, mac);
	memcpy(answer, user, size);
	answer[size] = ' ';
	hex_encode(mac, sizeof(mac), answer + size + 1);
	return answer;
}

/* RFC 2195. */
static int step_cram_md5(struct fetch_sasl *sasl, pop3_span challenge, char **ret, size_t *ret_size)
{
	const struct fetch_sasl_settings *s = sasl->settings;
	char *user = NULL, *password = NULL;
	int rc = prepare(s->user, &user);

	if (rc == GSASL_OK)
		rc = prepare(s->password->bytes, &password);
	if (rc == GSASL_OK) {
		*ret = join_cram_md5(user, password, challenge);
		*ret_size = *ret ? strlen(*ret) : 0;
		rc = *ret ? GSASL_OK : GSASL_MALLOC_ERROR;
	}
	if (password)
		wipe(password, strlen(password));
	gsasl_free(password);
	gsasl_free(user);
	return rc;
}

/* A challenge behind the token is the server's reason to refuse it; the answer to that carries
 * nothing (RFC 7628 section 3.2.3), then the refusal itself comes. */
static int step_token(struct fetch_sasl *sasl, pop3_span challenge, char **ret, size_t *ret_size)
{
	const struct fetch_sasl_settings *s = sasl->settings;
	pop3_span token = {s->password->bytes, s->password->size};
	size_t cap = token.size + 2 * strlen(s->user) + strlen(s->host) + 1200;
	char *answer = malloc(cap);
	int n;

	if (!answer)
		return GSASL_MALLOC_ERROR;
	if (sasl->sent) {
		bearer_status(challenge, sasl->token_error);
		n = sasl->by == OAUTHBEARER;
		answer[0] = '\1';
	} else if (sasl->by == OAUTHBEARER) {
		n = bearer_oauthbearer(s->user, s->host, s->port, token, answer, cap);
	} else {
		n = bearer_xoauth2(s->user, token, answer, cap);
	}
	if (n < 0) {
		free(answer);
		return GSASL_AUTHENTICATION_ERROR;
	}
	sasl->sent = true;
	*ret = answer;
	*ret_size = (size_t)n;
	return GSASL_OK;
}

/* The value of the attribute, such as "s=", in SCRAM's "a=x,b=y". */
static pop3_span attribute(pop3_span message, const char *name)
{
	while (message.size) {
		const char *comma = memchr(message.data, ',', message.size);
		size_t n = comma ? (size_t)(comma - message.data) : message.size;

		if (n > 2 && memcmp(message.data, name, 2) == 0)
			return (pop3_span){message.data + 2, n - 2};
		n += comma ? 1 : 0;
		message.data += n;
		message.size -= n;
	}
	return (pop3_span){0};
}

/*
 * Salts the password with libcrypto, ten times as fast as the library would. Where this cannot be
 * done (a password that needs SASLprep, a message that is not as it must be) the library does it.
 */
static void salt_password(const struct fetch_sasl *sasl, pop3_span server_first)
{
	const struct fetch_sasl_settings *s = sasl->settings;
	bool sha1 = strncmp(s->mechanism, "SCRAM-SHA-1", 11) == 0;
	unsigned char key[DIGEST_MAX];
	char salt[256], hex[2 * DIGEST_MAX + 1];
	size_t key_size = sha1 ? 20 : 32;
	uint64_t iterations;
	int salt_size = base64_decode(attribute(server_first, "s="), salt, sizeof(salt));

	for (size_t i = 0; i < s->password->size; i++)
		if (s->password->bytes[i] < 0x20 || s->password->bytes[i] > 0x7e)
			return;
	if (salt_size <= 0 ||
	    span_number(attribute(server_first, "i="), 1000000, &iterations) < 0 || iterations == 0)
		return;
	pbkdf2(sha1 ? DIGEST_SHA_1 : DIGEST_SHA_256, s->password->bytes, s->password->size, salt,
	       (size_t)salt_size, (uint32_t)iterations, key);
	hex_encode(key, key_size, hex);
	gsasl_property_set(sasl->session, GSASL_SCRAM_SALTED_PASSWORD, hex);
	wipe(key, sizeof(key));
	wipe(hex, sizeof(hex));
}

static int step(struct fetch_sasl *sasl, pop3_span in, char **ret, size_t *ret_size)
{
	switch (sasl->by) {
	case XOAUTH2:
	case OAUTHBEARER:
		return step_token(sasl, in, ret, ret_size);
	case CRAM_MD5:
		return in.size ? step_cram_md5(sasl, in, ret, ret_size) : GSASL_NEEDS_MORE;
	case BY_LIBRARY:
		break;
	}
	if (sasl->needs_server && attribute(in, "i=").size)
		salt_password(sasl, in);
	return gsasl_step(sasl->session, in.size ? in.data : NULL, in.size, ret, ret_size);
}

/* Not gsasl_step64(): that one frees the answer in clear text, with the password, unwiped. */
int fetch_sasl_step(struct fetch_sasl *sasl, pop3_span challenge, char *out, size_t cap,
		    struct err *err)
{
	char in[8192], *answer = NULL;
	size_t size = 0;
	int rc, n = challenge.size ? base64_decode(challenge, in, sizeof(in)) : 0;

	if (n < 0)
		return err_set(err, EX_PROTOCOL, "the server's challenge cannot be read");
	rc = step(sasl, (pop3_span){in, (size_t)n}, &answer, &size);
	if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE) {
		if (rc == GSASL_AUTHENTICATION_ERROR && sasl->needs_server)
			return err_set(err, EX_NOPERM,
				       "the server could not prove that it knows the password: is "
				       "it the right server?");
		return err_set(err, EX_PROTOCOL, "the login exchange failed: %s",
			       gsasl_strerror(rc));
	}
	sasl->done = rc == GSASL_OK;
	n = base64_encode((pop3_span){answer, size}, out, cap);
	if (answer)
		wipe(answer, size);
	gsasl_free(answer);
	return n < 0 ? err_set(err, EX_DATAERR, "the login's answer is too long") : n;
}

const char *fetch_sasl_token_error(const struct fetch_sasl *sasl)
{
	return sasl->token_error;
}

bool fetch_sasl_complete(const struct fetch_sasl *sasl)
{
	return sasl->done || !sasl->needs_server;
}

void fetch_apop_digest(pop3_span stamp, const struct secret *password, char out[33])
{
	struct digest digest;

	digest_init(&digest, DIGEST_MD5);
	digest_add(&digest, stamp.data, stamp.size);
	digest_add(&digest, password->bytes, password->size);
	digest_finish_name(&digest, out);
}
