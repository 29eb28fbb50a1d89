/* See sasl.h. The only file of the server that knows GNU SASL. PLAIN and LOGIN are done here: the
 * library would leave copies of the password in memory that it has freed. */
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

enum kind { KIND_LIBRARY, KIND_PLAIN, KIND_LOGIN };

struct sasl_exchange {
	Gsasl_session *session; /* NULL: PLAIN or LOGIN */
	enum kind kind;
	char *name; /* LOGIN: what the client sent first. NULL: nothing yet */
	size_t name_size;
	const struct sasl_callbacks *callbacks;
	const struct scram_hash *hash; /* NULL: not SCRAM */
	bool plus, started, keys_given;
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
	if (strcmp(mechanism, "PLAIN") == 0)
		exchange->kind = KIND_PLAIN;
	else if (strcmp(mechanism, "LOGIN") == 0)
		exchange->kind = KIND_LOGIN;
	if (exchange->kind != KIND_LIBRARY)
		return exchange;
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

/* ---- PLAIN (RFC 4616) and LOGIN ---- */

/* authzid NUL authid NUL password; empty at first where the client waits to be asked. */
static enum sasl_status step_plain(struct sasl_exchange *exchange, pop3_span input, bool first,
				   pop3_span *ret_output)
{
	const struct sasl_callbacks *callbacks = exchange->callbacks;
	pop3_span fields[3];
	unsigned count = 0;

	if (!input.size) {
		*ret_output = (pop3_span){"", 0};
		return first ? SASL_MORE : SASL_DENIED;
	}
	fields[0] = (pop3_span){input.data, 0};
	for (size_t i = 0; i < input.size; i++) {
		if (input.data[i])
			fields[count].size++;
		else if (++count < 3)
			fields[count] = (pop3_span){input.data + i + 1, 0};
		else
			return SASL_DENIED;
	}
	if (count != 2)
		return SASL_DENIED;
	callbacks->simple(callbacks->argument, fields[1], fields[0], fields[2]);
	*ret_output = (pop3_span){"", 0};
	return SASL_DONE;
}

/* The name, then the password, each asked for; some clients send the name at once. */
static enum sasl_status step_login(struct sasl_exchange *exchange, pop3_span input, bool first,
				   pop3_span *ret_output)
{
	const struct sasl_callbacks *callbacks = exchange->callbacks;

	if (first && !input.size) {
		*ret_output = SPAN_LITERAL("User Name");
		return SASL_MORE;
	}
	if (input.size && memchr(input.data, 0, input.size))
		return SASL_DENIED;
	if (exchange->name) {
		callbacks->simple(callbacks->argument,
				  (pop3_span){exchange->name, exchange->name_size},
				  (pop3_span){"", 0}, input);
		*ret_output = (pop3_span){"", 0};
		return SASL_DONE;
	}
	exchange->name = malloc(input.size + 1);
	if (!exchange->name)
		return SASL_FAILURE;
	if (input.size)
		memcpy(exchange->name, input.data, input.size);
	exchange->name_size = input.size;
	*ret_output = SPAN_LITERAL("Password");
	return SASL_MORE;
}

enum sasl_status sasl_step(struct sasl_exchange *exchange, pop3_span input, pop3_span *ret_output)
{
	bool first = !exchange->started;
	int code;

	exchange->started = true;
	drop_output(exchange);
	if (exchange->kind == KIND_PLAIN)
		return step_plain(exchange, input, first, ret_output);
	if (exchange->kind == KIND_LOGIN)
		return step_login(exchange, input, first, ret_output);
	if (first && asks_for_binding(exchange, input))
		return SASL_DENIED;
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
	static const Gsasl_property secrets[] = {GSASL_SCRAM_STOREDKEY, GSASL_SCRAM_SERVERKEY,
						 GSASL_SCRAM_SALTED_PASSWORD};

	if (!exchange)
		return;
	drop_output(exchange);
	for (size_t i = 0; exchange->session && i < sizeof(secrets) / sizeof(secrets[0]); i++)
		wipe_property(exchange->session, secrets[i]);
	if (exchange->session)
		gsasl_finish(exchange->session);
	if (exchange->name) /* it may be the password, of a client out of step */
		wipe(exchange->name, exchange->name_size);
	free(exchange->name);
	wipe(exchange, sizeof(*exchange));
	free(exchange);
}
