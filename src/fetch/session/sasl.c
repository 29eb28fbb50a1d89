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

int fetch_sasl_step(struct fetch_sasl *sasl, pop3_span challenge, char *out, size_t cap,
		    struct err *err)
{
	char in[8192], *answer = NULL;
	size_t n;
	int rc;

	if (span_copy(challenge, in, sizeof(in)) < 0)
		return err_set(err, EX_PROTOCOL, "the server's challenge cannot be read");
	rc = gsasl_step64(sasl->session, in, &answer);
	if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE) {
		if (rc == GSASL_AUTHENTICATION_ERROR && sasl->needs_server)
			return err_set(err, EX_NOPERM,
				       "the server could not prove that it knows the password: is "
				       "it the right server?");
		return err_set(err, EX_PROTOCOL, "the login exchange failed: %s",
			       gsasl_strerror(rc));
	}
	sasl->done = rc == GSASL_OK;
	n = strlen(answer);
	if (n >= cap) {
		wipe(answer, n);
		gsasl_free(answer);
		return err_set(err, EX_DATAERR, "the login's answer is too long");
	}
	memcpy(out, answer, n + 1);
	wipe(answer, n);
	gsasl_free(answer);
	return (int)n;
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
