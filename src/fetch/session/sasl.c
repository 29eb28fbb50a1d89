/* One SASL exchange (GNU SASL), for login.c, which owns it until fetch_sasl_finish. Challenges are
 * hostile: GNU SASL checks them, sizes are bounded here. */
#include "fetch/session/sasl.h"

#include "base/digest.h"
#include "base/text.h"

#include <gsasl.h>

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct fetch_sasl {
	Gsasl *library;
	Gsasl_session *session;
	const struct fetch_sasl_settings *settings;
	bool cram_md5;
	bool needs_server; /* SCRAM: not complete before the server's proof is checked */
	bool done;
};

int fetch_sasl_start(const struct fetch_sasl_settings *s, struct fetch_sasl **ret, struct err *err)
{
	struct fetch_sasl *sasl = calloc(1, sizeof(*sasl));
	char binding[64];
	int rc = GSASL_MALLOC_ERROR;

	if (sasl)
		rc = gsasl_init(&sasl->library);
	if (rc == GSASL_OK)
		rc = gsasl_client_start(sasl->library, s->mechanism, &sasl->session);
	if (rc != GSASL_OK) {
		fetch_sasl_finish(sasl);
		return err_set(err, EX_SOFTWARE, "cannot start %s: %s", s->mechanism,
			       gsasl_strerror(rc));
	}
	sasl->settings = s;
	sasl->cram_md5 = strcmp(s->mechanism, "CRAM-MD5") == 0;
	sasl->needs_server = strncmp(s->mechanism, "SCRAM-", 6) == 0;
	gsasl_property_set(sasl->session, GSASL_AUTHID, s->user);
	gsasl_property_set(sasl->session, GSASL_PASSWORD, s->password->bytes);
	gsasl_property_set(sasl->session, GSASL_SERVICE, "pop");
	gsasl_property_set(sasl->session, GSASL_HOSTNAME, s->host);
	if (s->binding &&
	    base64_encode((pop3_span){(const char *)s->binding, 32}, binding, sizeof(binding)) > 0)
		gsasl_property_set(sasl->session, GSASL_CB_TLS_EXPORTER, binding);
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

/* RFC 2195. Not GNU SASL's: it frees the prepared password unwiped. */
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

/* Not gsasl_step64(): that one frees the answer in clear text, with the password, unwiped. */
int fetch_sasl_step(struct fetch_sasl *sasl, pop3_span challenge, char *out, size_t cap,
		    struct err *err)
{
	char in[8192], *answer = NULL;
	size_t size = 0;
	int rc, n = challenge.size ? base64_decode(challenge, in, sizeof(in)) : 0;

	if (n < 0)
		return err_set(err, EX_PROTOCOL, "the server's challenge cannot be read");
	if (sasl->cram_md5 && n)
		rc = step_cram_md5(sasl, (pop3_span){in, (size_t)n}, &answer, &size);
	else
		rc = gsasl_step(sasl->session, n ? in : NULL, (size_t)n, &answer, &size);
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
