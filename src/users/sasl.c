/* See sasl.h. The only file of the server that knows GNU SASL. */
#include "users/sasl.h"

#include "base/text.h"

#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	EXPORTER_MAX = 64,
};

struct sasl_context {
	Gsasl *gsasl;
};

struct sasl_exchange {
	Gsasl_session *session;
	const struct sasl_callbacks *callbacks;
	const struct scram_hash *hash; /* NULL: not SCRAM */
	bool plus, started, login, keys_given;
	char exporter[EXPORTER_MAX * 2]; /* base64, "": none */
	char *output;
	size_t output_size;
};

static pop3_span property(Gsasl_session *session, Gsasl_property name)
{
	const char *value = gsasl_property_fast(session, name);

	return value ? span_of(value) : (pop3_span){"", 0};
}

static int set_octets(Gsasl_session *session, Gsasl_property name, const unsigned char *data,
		      size_t size)
{
	char text[2 * SCRAM_SALT_MAX];
	int status;

	if (base64_encode((pop3_span){(const char *)data, size}, text, sizeof(text)) < 0)
		return -1;
	status = gsasl_property_set(session, name, text);
	wipe(text, sizeof(text));
	return status == GSASL_OK ? 0 : -1;
}

/* Sets salt, count and both keys at once: they belong together. */
static int give_keys(struct sasl_exchange *exchange, Gsasl_session *session)
{
	struct scram_keys keys = {0};
	char iterations[16];
	int status = GSASL_OK;

	if (exchange->keys_given)
		return GSASL_OK;
	exchange->callbacks->scram(exchange->callbacks->argument, exchange->hash,
				   property(session, GSASL_AUTHID),
				   property(session, GSASL_AUTHZID), &keys);
	snprintf(iterations, sizeof(iterations), "%u", (unsigned)keys.iterations);
	if (gsasl_property_set(session, GSASL_SCRAM_ITER, iterations) != GSASL_OK ||
	    set_octets(session, GSASL_SCRAM_SALT, keys.salt, keys.salt_size) < 0 ||
	    set_octets(session, GSASL_SCRAM_STOREDKEY, keys.stored_key, exchange->hash->size) < 0 ||
	    set_octets(session, GSASL_SCRAM_SERVERKEY, keys.server_key, exchange->hash->size) < 0)
		status = GSASL_MALLOC_ERROR;
	exchange->keys_given = status == GSASL_OK;
	wipe(&keys, sizeof(keys));
	return status;
}

static int on_question(Gsasl *gsasl, Gsasl_session *session, Gsasl_property name)
{
	struct sasl_exchange *exchange = session ? gsasl_session_hook_get(session) : NULL;

	(void)gsasl;
	if (!exchange)
		return GSASL_NO_CALLBACK;
	if (name == GSASL_VALIDATE_SIMPLE) {
		exchange->callbacks->simple(
			exchange->callbacks->argument, property(session, GSASL_AUTHID),
			property(session, GSASL_AUTHZID), property(session, GSASL_PASSWORD));
		return GSASL_OK;
	}
	if (exchange->hash && (name == GSASL_SCRAM_ITER || name == GSASL_SCRAM_SALT ||
			       name == GSASL_SCRAM_STOREDKEY || name == GSASL_SCRAM_SERVERKEY))
		return give_keys(exchange, session);
	if (name == GSASL_CB_TLS_EXPORTER && *exchange->exporter)
		return gsasl_property_set(session, name, exchange->exporter);
	return GSASL_NO_CALLBACK;
}

int sasl_context_create(struct sasl_context **ret, struct err *err)
{
	struct sasl_context *context = calloc(1, sizeof(*context));
	int code = context ? gsasl_init(&context->gsasl) : GSASL_MALLOC_ERROR;

	if (code != GSASL_OK) {
		free(context);
		return err_set(err, EX_SOFTWARE, "GNU SASL: %s", gsasl_strerror(code));
	}
	gsasl_callback_set(context->gsasl, on_question);
	*ret = context;
	return 0;
}

void sasl_context_destroy(struct sasl_context *context)
{
	if (!context)
		return;
	gsasl_done(context->gsasl);
	free(context);
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

struct sasl_exchange *sasl_start(struct sasl_context *context, const char *mechanism,
				 pop3_span exporter, const struct sasl_callbacks *callbacks)
{
	struct sasl_exchange *exchange = calloc(1, sizeof(*exchange));

	if (!exchange)
		return NULL;
	exchange->callbacks = callbacks;
	exchange->login = strcmp(mechanism, "LOGIN") == 0;
	exchange->plus = ends_with(mechanism, "-PLUS");
	if (strncmp(mechanism, "SCRAM-SHA-256", 13) == 0)
		exchange->hash = &scram_sha_256;
	else if (strncmp(mechanism, "SCRAM-SHA-1", 11) == 0)
		exchange->hash = &scram_sha_1;
	if (exporter.size > EXPORTER_MAX ||
	    base64_encode(exporter, exchange->exporter, sizeof(exchange->exporter)) < 0 ||
	    gsasl_server_start(context->gsasl, mechanism, &exchange->session) != GSASL_OK) {
		free(exchange);
		return NULL;
	}
	gsasl_session_hook_set(exchange->session, exchange);
	return exchange;
}

static void drop_output(struct sasl_exchange *exchange)
{
	if (!exchange->output)
		return;
	wipe(exchange->output, exchange->output_size);
	gsasl_free(exchange->output);
	exchange->output = NULL;
	exchange->output_size = 0;
}

/* RFC 5802 section 6: without -PLUS a client may not use a binding. GNU SASL would accept a client
 * that names one and then sends it empty. */
static bool asks_for_binding(const struct sasl_exchange *exchange, pop3_span input)
{
	return exchange->hash && !exchange->plus && input.size > 0 && input.data[0] == 'p';
}

enum sasl_status sasl_step(struct sasl_exchange *exchange, pop3_span input, pop3_span *ret_output)
{
	bool first = !exchange->started;
	int code;

	exchange->started = true;
	drop_output(exchange);
	if (first && asks_for_binding(exchange, input))
		return SASL_DENIED;
	/* some clients put the name into AUTH LOGIN's initial response; GNU SASL asks first */
	if (first && exchange->login && input.size) {
		gsasl_step(exchange->session, "", 0, &exchange->output, &exchange->output_size);
		drop_output(exchange);
	}
	code = gsasl_step(exchange->session, input.size ? input.data : "", input.size,
			  &exchange->output, &exchange->output_size);
	if (code != GSASL_OK && code != GSASL_NEEDS_MORE)
		return code == GSASL_MALLOC_ERROR ? SASL_FAILURE : SASL_DENIED;
	*ret_output = exchange->output ? (pop3_span){exchange->output, exchange->output_size}
				       : (pop3_span){"", 0};
	return code == GSASL_OK ? SASL_DONE : SASL_MORE;
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

void sasl_finish(struct sasl_exchange *exchange)
{
	static const Gsasl_property secrets[] = {GSASL_PASSWORD, GSASL_SCRAM_STOREDKEY,
						 GSASL_SCRAM_SERVERKEY,
						 GSASL_SCRAM_SALTED_PASSWORD};

	if (!exchange)
		return;
	drop_output(exchange);
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		wipe_property(exchange->session, secrets[i]);
	gsasl_finish(exchange->session);
	wipe(exchange, sizeof(*exchange));
	free(exchange);
}
