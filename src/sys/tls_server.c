/*
 * See tls_server.h. Contexts are made once, from PEM that the monitor read; no file is opened here.
 * Certificates for the same names with different kinds of key (ECDSA and RSA) share a context, so
 * that the client's abilities choose.
 */
#include "sys/tls_server.h"

#include "base/secret.h"
#include "sys/tls_error.h"
#include "sys/tls_internal.h"
#include "sys/tls_pem.h"
#include "sys/tls_remote.h"
#include "sys/tls_scheme.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define CIPHERS_12 "ECDHE+AESGCM:ECDHE+CHACHA20:!PSK:!aNULL"
/* AES-128 first: as safe and a third faster; ChaCha20 goes to those that ask for it first */
#define CIPHERS_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS_OLD                                                                      \
	CIPHERS_12 ":ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA" \
		   ":ECDHE-RSA-AES256-SHA"
#define GROUPS "X25519:P-256" /* tls_keys.c signs for no others */

enum { NAME_MAX_OCTETS = 255, KEY_NAME_SIZE = 16, KEY_PART_SIZE = 32 };

struct tls_name {
	char *name; /* lower case, may begin with "*." */
	unsigned context;
};

/* ---- tickets ---- */

static int ticket_mac(EVP_MAC_CTX *mac, unsigned char *key)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, KEY_PART_SIZE),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params);
}

/* Returns 1: use this key, 2: use it, but give a fresh ticket, 0: no such key, -1: failure. */
static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
		      EVP_MAC_CTX *mac, int encrypt)
{
	struct tls_server *server = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	unsigned char *key;

	if (encrypt) {
		key = server->keys[0];
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(server->ticket_cipher)) != 1)
			return -1;
		memcpy(name, key, KEY_NAME_SIZE);
		if (!EVP_EncryptInit_ex(cipher, server->ticket_cipher, NULL, key + KEY_NAME_SIZE,
					iv))
			return -1;
		return ticket_mac(mac, key + KEY_NAME_SIZE + KEY_PART_SIZE) ? 1 : -1;
	}
	for (unsigned i = 0; i < server->key_count; i++) {
		key = server->keys[i];
		if (memcmp(name, key, KEY_NAME_SIZE) != 0)
			continue;
		if (!ticket_mac(mac, key + KEY_NAME_SIZE + KEY_PART_SIZE) ||
		    !EVP_DecryptInit_ex(cipher, server->ticket_cipher, NULL, key + KEY_NAME_SIZE,
					iv))
			return -1;
		return i == 0 ? 1 : 2;
	}
	return 0;
}

void tls_server_ticket_keys(struct tls_server *server,
			    const unsigned char (*keys)[TLS_TICKET_KEY_SIZE], unsigned count)
{
	if (!count)
		return;
	server->key_count = count < TLS_TICKET_KEYS ? count : TLS_TICKET_KEYS;
	wipe(server->keys, sizeof(server->keys));
	memcpy(server->keys, keys, server->key_count * sizeof(*keys));
}

/* ---- which certificate, which protocol ---- */

static int compare_names(const void *a, const void *b)
{
	const struct tls_name *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	if (order)
		return order;
	return left->context < right->context ? -1 : left->context > right->context;
}

/* The first context that has the name, -1: none. */
static int find_name(const struct tls_server *server, const char *name)
{
	unsigned low = 0, high = server->name_count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (strcmp(server->names[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < server->name_count && strcmp(server->names[low].name, name) == 0)
		return (int)server->names[low].context;
	return -1;
}

static void lower(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text + ('a' - 'A'));
}

/* An unknown name gets the first certificate: the client decides whether to accept it. */
static int choose_certificate(SSL *ssl, int *alert, void *arg)
{
	struct tls_server *server = arg;
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), *dot;
	char name[NAME_MAX_OCTETS + 2];
	int context;

	(void)alert;
	if (!asked || server->context_count < 2 || strlen(asked) > NAME_MAX_OCTETS)
		return SSL_TLSEXT_ERR_OK;
	snprintf(name, sizeof(name), "%s", asked);
	lower(name);
	context = find_name(server, name);
	dot = strchr(name, '.');
	if (context < 0 && dot && dot > name) { /* "*." stands for one whole label */
		size_t rest = strlen(dot);

		memmove(name + 1, dot, rest + 1);
		name[0] = '*';
		context = find_name(server, name);
	}
	if (context > 0 && !SSL_set_SSL_CTX(ssl, server->contexts[context]))
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
			   const unsigned char *in, unsigned in_size, void *arg)
{
	const struct tls_server *server = arg;
	unsigned size = server->alpn[0] + 1U;

	(void)ssl;
	for (unsigned at = 0; at < in_size; at += in[at] + 1U) {
		if (in_size - at < size || memcmp(in + at, server->alpn, size) != 0)
			continue;
		*out = in + at + 1;
		*out_size = in[at];
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- making it ---- */

static SSL_CTX *make_context(struct tls_server *server)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (!context)
		return NULL;
	SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					     SSL_OP_CIPHER_SERVER_PREFERENCE |
					     SSL_OP_PRIORITIZE_CHACHA | SSL_OP_CLEANSE_PLAINTEXT);
	SSL_CTX_clear_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF |
					       SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION |
					       SSL_OP_NO_TICKET | SSL_OP_NO_TLSv1_3);
	SSL_CTX_set_timeout(context, TLS_TICKET_SECONDS);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_NO_AUTO_CHAIN);
	/* a record in one call; the buffer is released when nothing is left in it */
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, 1);
	SSL_CTX_set_max_early_data(context, 0);
	SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_app_data(context, server);
	SSL_CTX_set_msg_callback(context, tls_wire_watch);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(context, ticket_key);
	SSL_CTX_set_tlsext_servername_callback(context, choose_certificate);
	SSL_CTX_set_tlsext_servername_arg(context, server);
	if (server->alpn[0])
		SSL_CTX_set_alpn_select_cb(context, choose_protocol, server);
	if (!SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) ||
	    !SSL_CTX_set_max_proto_version(context, 0) ||
	    !SSL_CTX_set_cipher_list(context, CIPHERS_12) ||
	    !SSL_CTX_set_ciphersuites(context, CIPHERS_13) ||
	    !SSL_CTX_set1_groups_list(context, GROUPS) ||
	    !SSL_CTX_set1_sigalgs_list(context, TLS_SCHEMES)) {
		SSL_CTX_free(context);
		return NULL;
	}
	return context;
}

struct parsed {
	X509 *leaf;
	STACK_OF(X509) * chain;
	EVP_PKEY *key; /* only its public half is here */
};

static void parsed_finish(struct parsed *parsed)
{
	X509_free(parsed->leaf);
	sk_X509_pop_free(parsed->chain, X509_free);
	EVP_PKEY_free(parsed->key);
}

static unsigned sign(void *context, uint32_t key, const unsigned char *content, size_t size,
		     unsigned char *signature, size_t room)
{
	struct tls_server *server = context;

	if (!server->current)
		return 0;
	return server->sign(server->current, key, content, size, signature, room);
}

static int parse(struct tls_server *server, const struct tls_certificate *from, uint32_t place,
		 struct parsed *parsed, struct err *err)
{
	*parsed = (struct parsed){.chain = sk_X509_new_null()};
	if (!parsed->chain)
		return err_set(err, EX_OSERR, "out of memory");
	parsed->leaf = tls_pem_leaf(from, parsed->chain, err);
	if (!parsed->leaf)
		return -1;
	parsed->key = tls_remote_key(X509_get0_pubkey(parsed->leaf), place, sign, server);
	if (parsed->key)
		return 0;
	err_set(err, EX_CONFIG, "%s: its key is of a kind that is not served (%s)", from->name,
		tls_error_text());
	return -1;
}

static int add_name(struct tls_server *server, const char *text, size_t size, unsigned context)
{
	struct tls_name *grown;
	char *name;

	if (!size || size > NAME_MAX_OCTETS || memchr(text, 0, size))
		return 0; /* no name that a client could send */
	grown = realloc(server->names, (server->name_count + 1) * sizeof(*grown));
	if (!grown)
		return -1;
	server->names = grown;
	name = strndup(text, size);
	if (!name)
		return -1;
	lower(name);
	grown[server->name_count++] = (struct tls_name){name, context};
	return 0;
}

/* subjectAltName rules; the subject's common name only where there is none (RFC 6125 6.4.4). */
static int add_names(struct tls_server *server, X509 *leaf, unsigned context)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	char common[NAME_MAX_OCTETS + 1];
	int result = 0, size;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && result == 0; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS)
			result = add_name(server,
					  (const char *)ASN1_STRING_get0_data(name->d.dNSName),
					  (size_t)ASN1_STRING_length(name->d.dNSName), context);
	}
	if (!names) {
		size = X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName,
						 common, sizeof(common));
		if (size > 0)
			result = add_name(server, common, strlen(common), context);
	}
	GENERAL_NAMES_free(names);
	return result;
}

/* The context with the same names and another kind of key, -1: none. */
static int find_twin(const struct tls_server *server, const struct parsed *parsed)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(parsed->leaf, NID_subject_alt_name, NULL, NULL),
		      *others;
	unsigned char *mine = NULL, *other = NULL;
	int size = i2d_GENERAL_NAMES(names, &mine), other_size, found = -1;

	for (unsigned i = 0; size > 0 && i < server->context_count && found < 0; i++) {
		X509 *leaf = SSL_CTX_get0_certificate(server->contexts[i]);

		if (EVP_PKEY_get_id(X509_get0_pubkey(leaf)) ==
		    EVP_PKEY_get_id(X509_get0_pubkey(parsed->leaf)))
			continue;
		others = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
		other = NULL;
		other_size = i2d_GENERAL_NAMES(others, &other);
		if (other_size == size && memcmp(mine, other, (size_t)size) == 0)
			found = (int)i;
		OPENSSL_free(other);
		GENERAL_NAMES_free(others);
	}
	OPENSSL_free(mine);
	GENERAL_NAMES_free(names);
	return found;
}

static int64_t seconds_of(const ASN1_TIME *time)
{
	int days = 0, seconds = 0;
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int64_t result = 0;

	if (epoch && ASN1_TIME_diff(&days, &seconds, epoch, time))
		result = (int64_t)days * (24 * 3600) + seconds;
	ASN1_TIME_free(epoch);
	return result;
}

struct tls_dates tls_server_dates(const struct tls_server *server, unsigned i)
{
	assert(i < server->date_count);
	return server->dates[i];
}

int tls_server_minimum(struct tls_server *server, enum tls_minimum minimum, struct err *err)
{
	static const int versions[TLS_MINIMA] = {[TLS_MIN_1_2] = TLS1_2_VERSION,
						 [TLS_MIN_1_3] = TLS1_3_VERSION,
						 [TLS_MIN_1_0] = TLS1_VERSION,
						 [TLS_MIN_1_1] = TLS1_1_VERSION};
	bool old = minimum == TLS_MIN_1_0 || minimum == TLS_MIN_1_1, good = true;

	for (unsigned i = 0; i < server->context_count && good; i++) {
		SSL_CTX *context = server->contexts[i];

		if (old) /* the library's levels exclude MD5 and SHA-1, which these versions sign */
			SSL_CTX_set_security_level(context, 0);
		good = SSL_CTX_set_min_proto_version(context, versions[minimum]) &&
		       (!old || SSL_CTX_set_cipher_list(context, CIPHERS_OLD));
	}
	ERR_clear_error();
	return good ? 0
		    : err_set(err, EX_CONFIG,
			      "this OpenSSL does not allow the version of TLS that "
			      "tls_min names");
}

int tls_certificate_judge(const struct tls_certificate *certificate, int64_t now, struct err *err)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *leaf = chain ? tls_pem_leaf(certificate, chain, err) : NULL;
	int result = leaf ? 0 : -1;

	if (!chain)
		err_set(err, EX_OSERR, "out of memory");
	if (leaf && now >= 0 && now > seconds_of(X509_get0_notAfter(leaf)))
		result = err_set(err, EX_CONFIG, "%s: it has expired", certificate->name);
	else if (leaf && now >= 0 && now < seconds_of(X509_get0_notBefore(leaf)))
		result = err_set(err, EX_CONFIG, "%s: it is not valid yet", certificate->name);
	X509_free(leaf);
	sk_X509_pop_free(chain, X509_free);
	return result;
}

void tls_server_succeed(struct tls_server *fresh, const struct tls_server *old, uint32_t first)
{
	fresh->first_key = first;
	if (old)
		tls_server_ticket_keys(fresh, old->keys, old->key_count);
}

/* The names of a certificate: those of its extension, else of its subject. */
static int digest_names(EVP_MD_CTX *digest, const X509 *leaf)
{
	int at = X509_get_ext_by_NID(leaf, NID_subject_alt_name, -1), size, good;
	const ASN1_OCTET_STRING *names =
		at < 0 ? NULL : X509_EXTENSION_get_data(X509_get_ext(leaf, at));
	unsigned char *subject = NULL;

	if (names)
		return EVP_DigestUpdate(digest, ASN1_STRING_get0_data(names),
					(size_t)ASN1_STRING_length(names));
	size = i2d_X509_NAME(X509_get_subject_name(leaf), &subject);
	good = size > 0 && EVP_DigestUpdate(digest, subject, (size_t)size);
	OPENSSL_free(subject);
	return good;
}

static int add_certificate(struct tls_server *server, const struct tls_certificate *from,
			   uint32_t place, EVP_MD_CTX *identity, struct err *err)
{
	struct parsed parsed;
	SSL_CTX *context;
	int result = -1, at;

	if (parse(server, from, place, &parsed, err) < 0)
		goto out;
	at = find_twin(server, &parsed);
	if (at < 0) {
		context = make_context(server);
		if (!context)
			goto fail;
		at = (int)server->context_count;
		server->contexts[server->context_count++] = context;
		if (add_names(server, parsed.leaf, (unsigned)at) < 0)
			goto fail;
	}
	if (!SSL_CTX_use_cert_and_key(server->contexts[at], parsed.leaf, parsed.key, parsed.chain,
				      1))
		goto fail;
	if (!digest_names(identity, parsed.leaf))
		goto fail;
	server->dates[server->date_count++] =
		(struct tls_dates){seconds_of(X509_get0_notBefore(parsed.leaf)),
				   seconds_of(X509_get0_notAfter(parsed.leaf))};
	result = 0;
	goto out;
fail:
	err_set(err, EX_CONFIG, "%s: cannot use this certificate (%s)", from->name,
		tls_error_text());
out:
	ERR_clear_error();
	parsed_finish(&parsed);
	return result;
}

/* Tickets made under certificates of other names are not taken: a name that the site gave up must
 * not go on in resumed sessions. A renewed certificate has the same names, and its tickets go on.
 */
static int bind_tickets(struct tls_server *server, EVP_MD_CTX *identity)
{
	unsigned size;

	EVP_DigestUpdate(identity, server->alpn, sizeof(server->alpn));
	if (!EVP_DigestFinal_ex(identity, server->identity, &size))
		return -1;
	for (unsigned i = 0; i < server->context_count; i++)
		if (!SSL_CTX_set_session_id_context(server->contexts[i], server->identity, size))
			return -1;
	return 0;
}

/* The handshake goes on with a certificate that is not good: it gives no name. */
static int any_certificate(int good, X509_STORE_CTX *store)
{
	(void)good;
	(void)store;
	return 1;
}

/* A client's certificate stands in its ticket: other authorities, other tickets. */
static int bind_to_authorities(struct tls_server *server, pop3_span text)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	unsigned size;
	int good = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) &&
		   EVP_DigestUpdate(digest, server->identity, sizeof(server->identity)) &&
		   EVP_DigestUpdate(digest, text.data, text.size) &&
		   EVP_DigestFinal_ex(digest, server->identity, &size);

	EVP_MD_CTX_free(digest);
	for (unsigned i = 0; i < server->context_count && good; i++)
		good = SSL_CTX_set_session_id_context(server->contexts[i], server->identity, size);
	return good;
}

static int trust(SSL_CTX *context, X509 *authority)
{
	return X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority) &&
	       SSL_CTX_add_client_CA(context, authority);
}

int tls_server_clients(struct tls_server *server, const struct tls_certificate *authorities,
		       struct err *err)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *first = chain ? tls_pem_leaf(authorities, chain, err) : NULL;
	int good = first != NULL;

	if (!chain)
		err_set(err, EX_OSERR, "out of memory");
	for (unsigned i = 0; i < server->context_count && good; i++) {
		good = trust(server->contexts[i], first);
		for (int n = 0; n < sk_X509_num(chain) && good; n++)
			good = trust(server->contexts[i], sk_X509_value(chain, n));
		SSL_CTX_set_verify(server->contexts[i], SSL_VERIFY_PEER, any_certificate);
	}
	if (good && !bind_to_authorities(server, authorities->certificate))
		good = 0;
	if (!good && first)
		err_set(err, EX_CONFIG, "%s: cannot use these authorities (%s)", authorities->name,
			tls_error_text());
	server->asks_clients = good;
	X509_free(first);
	sk_X509_pop_free(chain, X509_free);
	ERR_clear_error();
	return good ? 0 : -1;
}

int tls_server_create(const struct tls_certificate *certificates, unsigned count, const char *alpn,
		      struct tls_server **ret, struct err *err)
{
	struct tls_server *server = calloc(1, sizeof(*server));
	EVP_MD_CTX *identity = EVP_MD_CTX_new();

	if (!server || !identity)
		goto fail_memory;
	server->references = 1;
	if (alpn) {
		assert(strlen(alpn) < sizeof(server->alpn));
		server->alpn[0] = (unsigned char)strlen(alpn);
		memcpy(server->alpn + 1, alpn, server->alpn[0]);
	}
	server->out.octets = malloc(TLS_OUT_SIZE);
	server->contexts = calloc(count, sizeof(SSL_CTX *));
	server->dates = calloc(count, sizeof(*server->dates));
	server->bio = tls_wire_method();
	server->remote = tls_remote_load();
	server->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	server->key_count = 1;
	if (!server->out.octets || !server->contexts || !server->dates || !server->bio ||
	    !server->remote || !server->ticket_cipher ||
	    RAND_bytes(server->keys[0], sizeof(server->keys[0])) != 1 ||
	    !EVP_DigestInit_ex(identity, EVP_sha256(), NULL))
		goto fail_memory;
	for (unsigned i = 0; i < count; i++)
		if (add_certificate(server, &certificates[i], i, identity, err) < 0)
			goto fail;
	if (!count) {
		err_set(err, EX_CONFIG, "no certificate");
		goto fail;
	}
	if (bind_tickets(server, identity) < 0)
		goto fail_memory;
	qsort(server->names, server->name_count, sizeof(*server->names), compare_names);
	EVP_MD_CTX_free(identity);
	*ret = server;
	return 0;
fail_memory:
	err_set(err, EX_OSERR, "cannot set up TLS (%s)", tls_error_text());
fail:
	ERR_clear_error();
	EVP_MD_CTX_free(identity);
	tls_server_destroy(server);
	return -1;
}

struct tls_server *tls_server_keep(struct tls_server *server)
{
	server->references++;
	return server;
}

unsigned tls_server_signing(const struct tls_server *server)
{
	return server->signing;
}

void tls_server_destroy(struct tls_server *server)
{
	if (!server || --server->references)
		return;
	for (unsigned i = 0; i < server->context_count; i++)
		SSL_CTX_free(server->contexts[i]);
	for (unsigned i = 0; i < server->name_count; i++)
		free(server->names[i].name);
	if (server->remote)
		OSSL_PROVIDER_unload(server->remote);
	free(server->contexts);
	free(server->names);
	free(server->dates);
	free(server->out.octets);
	EVP_CIPHER_free(server->ticket_cipher);
	BIO_meth_free(server->bio);
	wipe(server->keys, sizeof(server->keys));
	free(server);
}
