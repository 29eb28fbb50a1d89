/* TLS sessions of the server against a client of OpenSSL's, both stepped by hand over a socket
 * pair: names, protocols, tickets, bindings, and what attackers do. */
#include "tls_material.h"

#include "sys/tls_client.h"
#include "sys/tls_scheme.h"
#include "sys/tls_trust.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <openssl/rand.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static struct material ec, rsa, wild, plain_name;

struct pair {
	struct tls_server *server;
	struct tls_session *session;
	SSL_CTX *context;
	SSL *client;
	int fds[2];
	enum tls_status status;
	int client_result;
};

/* What signs for each server, until the end. */
static struct {
	const struct tls_server *server;
	struct tls_keys *keys;
} signers[256];
static unsigned signer_count;

static struct tls_keys *keys_of(const struct tls_server *server)
{
	unsigned i = signer_count;

	while (signers[--i].server != server)
		; /* the last one: an address may be used again */
	return signers[i].keys;
}

static struct tls_server *make_server(const struct material *const *materials, unsigned count)
{
	struct tls_certificate list[8];
	struct tls_server *server = NULL;
	struct err err = {.text = ""};

	for (unsigned i = 0; i < count; i++)
		list[i] = materials[i]->pem;
	assert_int_equal(tls_server_create(list, count, "pop3", &server, &err), 0);
	assert_string_equal(err.text, "");
	assert_in_range(signer_count, 0, 255);
	signers[signer_count].server = server;
	assert_int_equal(tls_keys_create(list, count, &signers[signer_count++].keys, &err), 0);
	return server;
}

static void connect_pair(struct pair *pair, const char *name)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair->fds), 0);
	pair->session = tls_session_create(pair->server, pair->fds[0]);
	assert_non_null(pair->session);
	pair->client = material_client(pair->context, pair->fds[1], name);
	pair->status = TLS_WANT_READ;
}

static void open_pair(struct pair *pair, struct tls_server *server, const char *name)
{
	memset(pair, 0, sizeof(*pair));
	pair->server = server;
	pair->context = SSL_CTX_new(TLS_client_method());
	connect_pair(pair, name);
}

static void disconnect_pair(struct pair *pair)
{
	tls_session_destroy(pair->session);
	/* else the library takes the session for a bad one and its ticket is never used */
	SSL_set_shutdown(pair->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(pair->client);
	close(pair->fds[0]);
	close(pair->fds[1]);
}

static void close_pair(struct pair *pair)
{
	disconnect_pair(pair);
	SSL_CTX_free(pair->context);
}

/* Both sides take turns until neither can go on. */
static void handshake(struct pair *pair)
{
	for (int i = 0; i < 20; i++) {
		ERR_clear_error();
		pair->client_result = SSL_do_handshake(pair->client);
		if (pair->status == TLS_WANT_READ || pair->status == TLS_WANT_WRITE)
			pair->status = material_step(pair->session, keys_of(pair->server));
		if (pair->status == TLS_OK)
			assert_int_equal(tls_session_flush(pair->session), TLS_OK);
	}
}

static void assert_secured(struct pair *pair)
{
	char buf[64];

	handshake(pair);
	assert_int_equal(pair->status, TLS_OK);
	assert_int_equal(pair->client_result, 1);
	assert_int_equal(SSL_write(pair->client, "USER x\r\n", 8), 8);
	assert_int_equal(tls_session_read(pair->session, buf, sizeof(buf)), 8);
	assert_memory_equal(buf, "USER x\r\n", 8);
	assert_int_equal(tls_session_read(pair->session, buf, sizeof(buf)), TLS_WANT_READ);
	assert_int_equal(tls_session_write(pair->session, "+OK\r\n", 5), 5);
	assert_int_equal(SSL_read(pair->client, buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "+OK\r\n", 5);
}

/* ---- versions, names, protocols ---- */

static void test_versions_and_ciphers(void **state)
{
	static const struct {
		int version;
		const char *words, *cipher;
	} rows[] = {{TLS1_2_VERSION, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"},
		    {TLS1_3_VERSION, "TLSv1.3", "TLS_AES_128_GCM_SHA256"}};
	struct tls_server *server = make_server((const struct material *[]){&ec}, 1);
	struct pair pair;

	(void)state;
	for (int i = 0; i < 2; i++) {
		open_pair(&pair, server, NULL);
		SSL_set_max_proto_version(pair.client, rows[i].version);
		SSL_set_cipher_list(pair.client, "ECDHE-ECDSA-AES128-GCM-SHA256");
		assert_secured(&pair);
		assert_string_equal(tls_session_version(pair.session), rows[i].words);
		assert_string_equal(tls_session_cipher(pair.session), rows[i].cipher);
		assert_false(tls_session_resumed(pair.session));
		close_pair(&pair);
	}
	tls_server_destroy(server);
}

static void threat_06_old_versions_and_weak_suites(void **state)
{
	struct tls_server *server = make_server((const struct material *[]){&rsa}, 1);
	struct pair pair;

	(void)state;
	for (int i = 0; i < 4; i++) {
		open_pair(&pair, server, NULL);
		SSL_set_security_level(pair.client, 0);
		if (i < 2) {
			SSL_set_min_proto_version(pair.client, TLS1_VERSION);
			SSL_set_max_proto_version(pair.client, i ? TLS1_1_VERSION : TLS1_VERSION);
		} else { /* no forward secrecy; no authenticated encryption */
			SSL_set_max_proto_version(pair.client, TLS1_2_VERSION);
			SSL_set_cipher_list(pair.client,
					    i == 2 ? "AES128-GCM-SHA256" : "ECDHE-RSA-AES128-SHA");
		}
		handshake(&pair);
		assert_int_equal(pair.status, TLS_FAILED);
		assert_true(strlen(tls_session_error(pair.session)) > 0);
		close_pair(&pair);
	}
	tls_server_destroy(server);
}

static void assert_certificate(struct tls_server *server, const char *name,
			       const struct material *expected)
{
	struct pair pair;
	BIO *bio = BIO_new_mem_buf(expected->pem.certificate.data,
				   (int)expected->pem.certificate.size);
	X509 *wanted = PEM_read_bio_X509(bio, NULL, NULL, NULL), *got;

	open_pair(&pair, server, name);
	assert_secured(&pair);
	got = SSL_get1_peer_certificate(pair.client);
	assert_int_equal(X509_cmp(got, wanted), 0);
	X509_free(got);
	X509_free(wanted);
	BIO_free(bio);
	close_pair(&pair);
}

static void test_certificate_by_name(void **state)
{
	struct tls_server *server =
		make_server((const struct material *[]){&ec, &wild, &plain_name}, 3);

	(void)state;
	assert_certificate(server, NULL, &ec);
	assert_certificate(server, "mail.example", &ec);
	assert_certificate(server, "MAIL.Example", &ec);
	assert_certificate(server, "pop.wild.example", &wild);
	assert_certificate(server, "a.b.wild.example", &ec); /* one label only */
	assert_certificate(server, "wild.example", &ec);
	assert_certificate(server, "common.example", &plain_name);
	assert_certificate(server, "nobody.example", &ec);
	assert_certificate(server, ".wild.example", &ec);
	tls_server_destroy(server);
}

/* ECDSA and RSA for one name: the client's abilities choose. */
static void test_two_kinds_of_key(void **state)
{
	struct tls_server *server = make_server((const struct material *[]){&ec, &rsa}, 2);
	struct pair pair;

	(void)state;
	for (int i = 0; i < 2; i++) {
		open_pair(&pair, server, "mail.example");
		SSL_set_max_proto_version(pair.client, TLS1_2_VERSION);
		SSL_set_cipher_list(pair.client, i ? "ECDHE-RSA-AES256-GCM-SHA384"
						   : "ECDHE-ECDSA-AES256-GCM-SHA384");
		assert_secured(&pair);
		close_pair(&pair);
	}
	tls_server_destroy(server);
}

static void test_protocol_by_alpn(void **state)
{
	struct tls_server *server = make_server((const struct material *[]){&ec}, 1);
	const unsigned char good[] = "\x04imap\x04pop3", bad[] = "\x04imap\x05pop3s";
	const unsigned char *chosen;
	unsigned size;
	struct pair pair;

	(void)state;
	open_pair(&pair, server, NULL);
	SSL_set_alpn_protos(pair.client, good, sizeof(good) - 1);
	assert_secured(&pair);
	SSL_get0_alpn_selected(pair.client, &chosen, &size);
	assert_int_equal(size, 4);
	assert_memory_equal(chosen, "pop3", 4);
	close_pair(&pair);
	open_pair(&pair, server, NULL);
	SSL_set_alpn_protos(pair.client, bad, sizeof(bad) - 1);
	handshake(&pair);
	assert_int_equal(pair.status, TLS_FAILED);
	close_pair(&pair);
	tls_server_destroy(server);
}

static void test_bad_certificates_are_named(void **state)
{
	const struct {
		struct tls_certificate certificate;
		const char *words;
	} rows[] = {
		{{{"junk", 4}, ec.pem.key, "a.pem"}, "a.pem: no certificate in PEM form"},
		{{ec.pem.certificate, {"junk", 4}, "b.pem"}, "b.pem: its key is not in PEM form"},
		{{ec.pem.certificate, rsa.pem.key, "c.pem"},
		 "c.pem: the key does not belong to the certificate"},
		{{{"", 0}, {"", 0}, "d.pem"}, "d.pem: no certificate in PEM form"},
	};
	struct tls_server *server = NULL;
	struct tls_keys *keys = NULL;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(tls_keys_create(&rows[i].certificate, 1, &keys, &err), -1);
		assert_memory_equal(err.text, rows[i].words, strlen(rows[i].words));
		assert_null(keys);
		if (strstr(rows[i].words, "key"))
			continue; /* a server does not read it */
		assert_int_equal(tls_server_create(&rows[i].certificate, 1, NULL, &server, &err),
				 -1);
		assert_memory_equal(err.text, rows[i].words, strlen(rows[i].words));
		assert_null(server);
	}
	assert_int_equal(tls_server_create(NULL, 0, NULL, &server, &err), -1);
}

/* ---- keys of another process ---- */

static const struct {
	const char *kind, *md;
	int version;         /* the only one, 0: both */
	const char *schemes; /* that the client takes; NULL: its usual ones */
} kinds[] = {
	{"RSA", "SHA256", 0, "RSA+SHA256:RSA-PSS+SHA256"},
	{"RSA", "SHA256", 0, "RSA+SHA384:RSA-PSS+SHA384"},
	{"RSA", "SHA256", 0, "RSA+SHA512:RSA-PSS+SHA512"},
	{"RSA", "SHA256", TLS1_2_VERSION, "RSA+SHA256"},
	{"RSA", "SHA256", TLS1_2_VERSION, "RSA+SHA512"},
	{"RSA-PSS", "SHA256", 0, NULL},
	{"RSA-PSS", "SHA256", 0, "rsa_pss_pss_sha512"},
	{"P-256", "SHA256", 0, NULL},
	{"P-384", "SHA384", 0, NULL},
	{"P-384", "SHA384", TLS1_2_VERSION, "ECDSA+SHA256"},
	{"P-521", "SHA512", 0, NULL},
	{"ED25519", NULL, 0, NULL},
	{"ED448", NULL, 0, NULL},
};

static void test_every_kind_of_key_and_scheme(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct material material;
		struct tls_server *server;
		struct pair pair;

		material_make(&material, kinds[i].kind, "DNS:mail.example", kinds[i].md);
		server = make_server((const struct material *[]){&material}, 1);
		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
			if (kinds[i].version && kinds[i].version != version)
				continue;
			open_pair(&pair, server, NULL);
			SSL_set_min_proto_version(pair.client, version);
			SSL_set_max_proto_version(pair.client, version);
			if (kinds[i].schemes)
				assert_int_equal(
					SSL_set1_sigalgs_list(pair.client, kinds[i].schemes), 1);
			assert_secured(&pair);
			close_pair(&pair);
		}
		tls_server_destroy(server);
	}
}

/* The answer comes later, not at all, or is another one; the server goes on either way. */
static void test_a_signature_that_is_late_or_wrong(void **state)
{
	struct tls_server *server = make_server((const struct material *[]){&ec}, 1);
	static const struct {
		const char *octets;
		size_t size;
	} wrong[] = {{"", 0},
		     {"0", 1},
		     {"no signature at all, but as long as one of P-256 is "
		      "at the most: 72 octets ..",
		      72}};
	static char long_one[TLS_SIGNATURE_MAX];
	enum tls_status status;
	struct pair pair;

	(void)state;
	for (int i = 0; i < 5; i++) {
		open_pair(&pair, server, NULL);
		SSL_do_handshake(pair.client);
		assert_int_equal(tls_session_handshake(pair.session), TLS_WANT_SIGNATURE);
		assert_int_equal(tls_server_signing(server), 1);
		assert_non_null(tls_session_to_sign(pair.session));
		/* nothing moves before it is here */
		assert_int_equal(tls_session_handshake(pair.session), TLS_WANT_SIGNATURE);
		assert_int_equal(SSL_do_handshake(pair.client), -1);
		if (i == 4) { /* never: the session ends */
			close_pair(&pair);
			assert_int_equal(tls_server_signing(server), 0);
			break;
		}
		status = i < 3 ? tls_session_signed(pair.session, wrong[i].octets, wrong[i].size)
			       : tls_session_signed(pair.session, long_one, sizeof(long_one));
		assert_null(tls_session_to_sign(pair.session));
		assert_int_equal(tls_server_signing(server), 0);
		if (status != TLS_FAILED) { /* the client finds it out */
			assert_int_equal(status, TLS_WANT_READ);
			ERR_clear_error();
			assert_int_equal(SSL_do_handshake(pair.client), -1);
			assert_int_equal(SSL_get_error(pair.client, -1), SSL_ERROR_SSL);
			assert_int_equal(tls_session_handshake(pair.session), TLS_FAILED);
		}
		close_pair(&pair);
	}
	open_pair(&pair, server, NULL);
	assert_secured(&pair);
	close_pair(&pair);
	tls_server_destroy(server);
}

static void test_so_many_wait_for_signatures_and_no_more(void **state)
{
	struct tls_server *server = make_server((const struct material *[]){&ec}, 1);
	static struct pair pairs[TLS_SIGNING_MAX + 2];
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	unsigned i;

	(void)state;
	for (i = 0; i < TLS_SIGNING_MAX + 2; i++) {
		pairs[i] = (struct pair){.server = server, .context = context};
		connect_pair(&pairs[i], NULL);
		SSL_do_handshake(pairs[i].client);
		assert_int_equal(tls_session_handshake(pairs[i].session),
				 i < TLS_SIGNING_MAX ? TLS_WANT_SIGNATURE : TLS_WANT_TURN);
	}
	assert_int_equal(tls_server_signing(server), TLS_SIGNING_MAX);
	disconnect_pair(&pairs[0]);
	assert_secured(&pairs[i - 1]); /* a place is free */
	assert_secured(&pairs[i - 2]);
	while (--i > 0)
		disconnect_pair(&pairs[i]);
	SSL_CTX_free(context);
	tls_server_destroy(server);
}

/* MD5 and SHA-1 sign the key exchange of TLS 1.0 and 1.1, and only where a site allows that. */
static void test_keys_sign_old_handshakes_if_allowed(void **state)
{
	static const char verify[] = "TLS 1.3, server CertificateVerify";
	struct tls_server *server = make_server((const struct material *[]){&ec, &rsa}, 2);
	struct tls_to_sign request = {.scheme = 0x0203, .size = 133}, other;
	struct tls_keys *keys = keys_of(server);
	unsigned char signature[TLS_SIGNATURE_MAX];
	unsigned size;

	(void)state;
	request.content[64] = 3;
	request.content[66] = 23;
	request.content[67] = 65;
	assert_int_equal(tls_keys_sign(keys, &request, signature, &size), TLS_KEYS_MISUSED);
	tls_keys_allow_old(keys);
	assert_int_equal(tls_keys_sign(keys, &request, signature, &size), TLS_KEYS_SIGNED);
	request.key = 1;
	assert_int_equal(tls_keys_sign(keys, &request, signature, &size), TLS_KEYS_FAILED);
	request.scheme = TLS_SCHEME_MD5_SHA1;
	assert_int_equal(tls_keys_sign(keys, &request, signature, &size), TLS_KEYS_SIGNED);
	other = (struct tls_to_sign){.scheme = 0x0203, .size = 64 + sizeof(verify) + 32};
	memset(other.content, ' ', 64);
	memcpy(other.content + 64, verify, sizeof(verify));
	assert_int_equal(tls_keys_sign(keys, &other, signature, &size), TLS_KEYS_MISUSED);
	tls_server_destroy(server);
}

/* What keys sign has the form of a handshake, whoever asks. */
static void test_keys_sign_handshakes_only(void **state)
{
	static const char verify[] = "TLS 1.3, server CertificateVerify";
	struct tls_server *server = make_server((const struct material *[]){&ec, &rsa}, 2);
	struct tls_to_sign good = {.scheme = 0x0403, .size = 64 + sizeof(verify) + 32}, bad;
	struct tls_keys *keys = keys_of(server);
	unsigned char signature[TLS_SIGNATURE_MAX];
	unsigned size;

	(void)state;
	memset(good.content, ' ', 64);
	memcpy(good.content + 64, verify, sizeof(verify));
	assert_int_equal(tls_keys_sign(keys, &good, signature, &size), TLS_KEYS_SIGNED);
	for (uint32_t at = 0; at < 64 + sizeof(verify); at++) {
		bad = good;
		bad.content[at] ^= 1;
		assert_int_equal(tls_keys_sign(keys, &bad, signature, &size), TLS_KEYS_MISUSED);
	}
	for (uint32_t n = 0; n <= TLS_CONTENT_MAX + 1; n++) {
		bad = good;
		bad.size = n;
		assert_int_equal(tls_keys_sign(keys, &bad, signature, &size),
				 n == good.size || n == good.size + 16 ? TLS_KEYS_SIGNED
								       : TLS_KEYS_MISUSED);
	}
	for (unsigned curve = 0; curve < 256; curve++)
		for (uint32_t n = 64; n <= TLS_CONTENT_MAX; n++) {
			bad = (struct tls_to_sign){.scheme = 0x0403, .size = n};
			bad.content[64] = 3;
			bad.content[66] = (unsigned char)curve;
			bad.content[67] = (unsigned char)(n - 68);
			assert_int_equal(tls_keys_sign(keys, &bad, signature, &size),
					 (curve == 29 && n == 100) || (curve == 23 && n == 133)
						 ? TLS_KEYS_SIGNED
						 : TLS_KEYS_MISUSED);
		}
	bad = good;
	bad.key = 2;
	assert_int_equal(tls_keys_sign(keys, &bad, signature, &size), TLS_KEYS_MISUSED);
	for (uint32_t scheme = 0; scheme <= UINT16_MAX; scheme++) {
		bad = good;
		bad.scheme = scheme;
		assert_int_equal(tls_keys_sign(keys, &bad, signature, &size),
				 !tls_scheme(scheme) || tls_scheme_is_old(tls_scheme(scheme))
					 ? TLS_KEYS_MISUSED
				 : scheme == 0x0403 || scheme == 0x0503 || scheme == 0x0603
					 ? TLS_KEYS_SIGNED
					 : TLS_KEYS_FAILED);
	}
	tls_server_destroy(server);
}

/* ---- tickets ---- */

/* Replaces *ticket by the one that came last, when resumed. */
static bool resumes(struct pair *pair, struct tls_server *server, SSL_SESSION **ticket)
{
	bool resumed;

	pair->server = server;
	connect_pair(pair, NULL);
	SSL_set_session(pair->client, *ticket);
	assert_secured(pair);
	resumed = tls_session_resumed(pair->session);
	assert_int_equal(resumed, SSL_session_reused(pair->client));
	if (resumed) {
		SSL_SESSION_free(*ticket);
		*ticket = SSL_get1_session(pair->client);
	}
	disconnect_pair(pair);
	return resumed;
}

static void tickets_outlive(int version)
{
	struct tls_server *first = make_server((const struct material *[]){&ec}, 1);
	struct tls_server *second = make_server((const struct material *[]){&ec}, 1);
	struct tls_server *other = make_server((const struct material *[]){&wild}, 1);
	unsigned char keys[TLS_TICKET_KEYS][TLS_TICKET_KEY_SIZE];
	SSL_SESSION *ticket;
	struct pair pair;

	assert_int_equal(RAND_bytes(keys[0], sizeof(keys)), 1);
	tls_server_ticket_keys(first, &keys[1], 1);
	open_pair(&pair, first, NULL);
	SSL_CTX_set_max_proto_version(pair.context, version);
	SSL_set_max_proto_version(pair.client, version);
	assert_secured(&pair);
	ticket = SSL_get1_session(pair.client);
	disconnect_pair(&pair);
	/* a fresh process: no such key, then the key as an old one, then gone */
	assert_false(resumes(&pair, second, &ticket));
	tls_server_ticket_keys(second, keys, 2);
	assert_true(resumes(&pair, second, &ticket));
	tls_server_ticket_keys(second, keys, 1); /* what came with it is under the new key */
	assert_true(resumes(&pair, second, &ticket));
	/* under another certificate the binding would be wrong */
	tls_server_ticket_keys(other, keys, 1);
	assert_false(resumes(&pair, other, &ticket));
	tls_server_ticket_keys(second, &keys[2], 1);
	assert_false(resumes(&pair, second, &ticket));
	SSL_SESSION_free(ticket);
	SSL_CTX_free(pair.context);
	tls_server_destroy(first);
	tls_server_destroy(second);
	tls_server_destroy(other);
}

/* ---- the client of the fetcher ---- */

static struct tls_kept *newest; /* of the last connection */

/* A connection of it to a server that has the ticket key. What it can resume is left in *kept. */
static bool client_resumes(const unsigned char (*key)[TLS_TICKET_KEY_SIZE],
			   const struct tls_client_settings *settings, char *kept, size_t *size)
{
	struct tls_server *server = make_server((const struct material *[]){&ec}, 1);
	enum tls_client_status done = TLS_CLIENT_WANT_READ;
	enum tls_status status = TLS_WANT_READ;
	struct tls_client_settings with = *settings;
	struct tls_session *session;
	struct tls_client *client;
	struct err err = {0};
	char buf[16], rest[8000];
	bool resumed;
	int fds[2];

	with.session = (pop3_span){kept, with.kept ? 0 : *size};
	tls_server_ticket_keys(server, key, 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	session = tls_session_create(server, fds[0]);
	assert_int_equal(tls_client_create(&with, fds[1], &client, &err), 0);
	for (int i = 0; i < 20; i++) {
		if (done != TLS_CLIENT_OK)
			done = tls_client_handshake(client, &err);
		if (status == TLS_WANT_READ || status == TLS_WANT_WRITE)
			status = material_step(session, keys_of(server));
		if (status == TLS_OK)
			assert_int_equal(tls_session_flush(session), TLS_OK);
	}
	assert_string_equal(err.text, "");
	assert_int_equal(done, TLS_CLIENT_OK);
	assert_int_equal(tls_session_write(session, "+OK\r\n", 5), 5);
	assert_int_equal(tls_client_read(client, buf, sizeof(buf), &err), 5);
	resumed = tls_client_resumed(client);
	assert_int_equal(resumed, tls_session_resumed(session));
	assert_int_equal(tls_client_session(client, kept, 10), 0); /* no room */
	*size = tls_client_session(client, kept, 8000);
	assert_in_range(*size, 100, 8000);
	tls_kept_destroy(newest);
	newest = tls_client_keep(client);
	assert_non_null(newest);
	tls_client_settle(client);
	assert_int_equal(tls_client_session(client, rest, sizeof(rest)), 0); /* it was let go */
	assert_int_equal(tls_session_write(session, "+OK\r\n", 5), 5);
	assert_int_equal(tls_client_read(client, buf, sizeof(buf), &err), 5);
	tls_client_destroy(client);
	tls_session_destroy(session);
	tls_server_destroy(server);
	close(fds[0]);
	close(fds[1]);
	return resumed;
}

static void test_the_client_resumes(void **state)
{
	static const unsigned char key[2][TLS_TICKET_KEY_SIZE] = {{1}, {2}};
	struct tls_client_settings settings = {.host = "mail.example"};
	char path[] = "/tmp/valija-test-XXXXXX", kept[8000];
	int fd = mkstemp(path);
	struct tls_trust *trust;
	size_t size = 0;

	(void)state;
	assert_int_equal(write(fd, ec.pem.certificate.data, ec.pem.certificate.size),
			 ec.pem.certificate.size);
	settings.ca_file = path;
	tls_trust_warm();
	assert_false(client_resumes(&key[0], &settings, kept, &size));
	assert_true(client_resumes(&key[0], &settings, kept, &size));
	assert_int_equal(tls_trust_create(path, false, &trust, NULL), 0);
	settings.trust = trust;
	assert_true(client_resumes(&key[0], &settings, kept, &size));
	assert_false(client_resumes(&key[1], &settings, kept, &size)); /* it does not know it */
	/* what is none costs a whole handshake, wherever it is broken */
	for (size_t at = 0; at < 60; at++) {
		kept[at] ^= (char)0xff;
		assert_false(client_resumes(&key[at % 2], &settings, kept, &size));
	}
	memset(kept, 0x30, sizeof(kept));
	size = sizeof(kept);
	assert_false(client_resumes(&key[1], &settings, kept, &size));
	/* within the process: each time anew, also one that was used, by a connection that was cut
	 */
	for (int i = 0; i < 3; i++) {
		settings.kept = newest;
		newest = NULL;
		assert_true(client_resumes(&key[1], &settings, kept, &size));
		assert_true(client_resumes(&key[1], &settings, kept, &size));
		assert_false(client_resumes(&key[0], &settings, kept, &size));
		assert_true(client_resumes(&key[1], &settings, kept, &size));
		tls_kept_destroy(settings.kept);
	}
	settings.kept = NULL;
	tls_kept_destroy(newest);
	newest = NULL;
	/* a file of authorities is another one when it is written */
	assert_true(tls_trust_current(trust));
	assert_int_equal(write(fd, "\n", 1), 1);
	assert_false(tls_trust_current(trust));
	tls_trust_destroy(trust);
	close(fd);
	unlink(path);
}

static void test_tickets_outlive_server_and_key(void **state)
{
	(void)state;
	tickets_outlive(TLS1_2_VERSION);
	tickets_outlive(TLS1_3_VERSION);
}

/* ---- channel bindings ---- */

static void test_bindings_agree_with_the_client(void **state)
{
	struct tls_server *server = make_server((const struct material *[]){&ec}, 1);
	static const char label[] = "EXPORTER-Channel-Binding";
	unsigned char ours[64], theirs[EVP_MAX_MD_SIZE];
	struct pair pair;

	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		open_pair(&pair, server, NULL);
		assert_int_equal(tls_session_exporter(pair.session, ours, sizeof(ours)), 0);
		SSL_set_max_proto_version(pair.client, version);
		assert_secured(&pair);
		assert_int_equal(tls_session_exporter(pair.session, ours, sizeof(ours)), 32);
		assert_int_equal(SSL_export_keying_material(pair.client, theirs, 32, label,
							    sizeof(label) - 1, theirs, 0, 1),
				 1);
		assert_memory_equal(ours, theirs, 32);
		assert_int_equal(tls_session_exporter(pair.session, ours, 31), 0);
		close_pair(&pair);
	}
	tls_server_destroy(server);
}

/* ---- transport ---- */

/* Sixteen octets at a time through a relay, both ways: every record arrives in pieces. */
static void test_any_split(void **state)
{
	struct tls_server *server = make_server((const struct material *[]){&ec}, 1);
	struct pair pair;
	int inner[2], moved = 1;
	char buf[16], line[64];
	ssize_t got;

	(void)state;
	open_pair(&pair, server, NULL);
	/* the client talks to inner[0]; what comes out of inner[1] is carried on */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, inner), 0);
	SSL_set_fd(pair.client, inner[0]);
	for (int i = 0; i < 3000 && moved; i++) {
		pair.client_result = SSL_do_handshake(pair.client);
		if (pair.status != TLS_OK)
			pair.status = material_step(pair.session, keys_of(server));
		else
			tls_session_flush(pair.session);
		moved = 0;
		if ((got = read(inner[1], buf, 16)) > 0)
			moved += (int)write(pair.fds[1], buf, (size_t)got);
		if ((got = read(pair.fds[1], buf, 16)) > 0)
			moved += (int)write(inner[1], buf, (size_t)got);
	}
	assert_int_equal(pair.status, TLS_OK);
	assert_int_equal(pair.client_result, 1);
	assert_int_equal(SSL_write(pair.client, "NOOP\r\n", 6), 6);
	for (int i = 0; i < 100; i++) {
		got = read(inner[1], buf, 1);
		if (got == 1) {
			assert_int_equal(tls_session_read(pair.session, line, sizeof(line)),
					 TLS_WANT_READ);
			assert_int_equal(write(pair.fds[1], buf, 1), 1);
		}
	}
	assert_int_equal(tls_session_read(pair.session, line, sizeof(line)), 6);
	close(inner[0]);
	close(inner[1]);
	close_pair(&pair);
	tls_server_destroy(server);
}

/* Much more than the socket takes: nothing lost, nothing twice, and the session says when. */
static void test_a_peer_that_reads_slowly(void **state)
{
	enum { TOTAL = 3000000 };
	struct tls_server *server = make_server((const struct material *[]){&ec}, 1);
	char *data = malloc(TOTAL), *back = malloc(TOTAL);
	int size = 4096, refused = 0;
	uint32_t sent = 0, got = 0;
	struct pair pair;

	(void)state;
	for (int i = 0; i < TOTAL; i++)
		data[i] = (char)(i * 31 + i / 251);
	open_pair(&pair, server, NULL);
	setsockopt(pair.fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	assert_secured(&pair);
	while (got < TOTAL) {
		int result = 1;

		while (result > 0 && sent < TOTAL) {
			result = tls_session_write(pair.session, data + sent, TOTAL - sent);
			if (result > 0)
				sent += (uint32_t)result;
		}
		if (sent < TOTAL) {
			assert_int_equal(result, TLS_WANT_WRITE);
			assert_true(tls_session_blocked(pair.session));
			refused++;
		}
		if (tls_session_blocked(pair.session))
			tls_session_flush(pair.session);
		result = SSL_read(pair.client, back + got, (int)(TOTAL - got));
		if (result > 0)
			got += (uint32_t)result;
	}
	assert_true(refused > 10);
	assert_memory_equal(data, back, TOTAL);
	close_pair(&pair);
	tls_server_destroy(server);
	free(data);
	free(back);
}

static void test_how_it_ended(void **state)
{
	struct tls_server *server = make_server((const struct material *[]){&ec}, 1);
	struct pair pair;
	char buf[16];

	(void)state;
	open_pair(&pair, server, NULL);
	assert_secured(&pair);
	SSL_shutdown(pair.client);
	assert_int_equal(tls_session_read(pair.session, buf, sizeof(buf)), TLS_CLOSED);
	assert_int_equal(tls_session_write(pair.session, "+OK\r\n", 5), 5); /* half closed */
	assert_int_equal(SSL_read(pair.client, buf, sizeof(buf)), 5);
	tls_session_shutdown(pair.session);
	assert_int_equal(SSL_read(pair.client, buf, sizeof(buf)), 0);
	assert_int_equal(SSL_get_error(pair.client, 0), SSL_ERROR_ZERO_RETURN);
	close_pair(&pair);

	open_pair(&pair, server, NULL);
	assert_secured(&pair);
	shutdown(pair.fds[1], SHUT_WR);
	assert_int_equal(tls_session_read(pair.session, buf, sizeof(buf)), TLS_CUT);
	assert_int_equal(tls_session_read(pair.session, buf, sizeof(buf)), TLS_CUT);
	assert_int_equal(tls_session_write(pair.session, "x", 1), TLS_CUT);
	close_pair(&pair);

	open_pair(&pair, server, NULL);
	assert_secured(&pair);
	close(pair.fds[1]);
	pair.fds[1] = dup(0);
	/* no signal either */
	assert_int_equal(tls_session_write(pair.session, "x", 1), TLS_CUT);
	close_pair(&pair);

	open_pair(&pair, server, NULL);
	shutdown(pair.fds[1], SHUT_WR);
	assert_int_equal(tls_session_handshake(pair.session), TLS_CUT);
	assert_int_equal(tls_session_handshake(pair.session), TLS_CUT);
	close_pair(&pair);
	tls_server_destroy(server); /* sessions kept it until here */
}

static void test_sessions_keep_the_server(void **state)
{
	struct tls_server *server = make_server((const struct material *[]){&ec}, 1);
	struct pair pair;

	(void)state;
	open_pair(&pair, server, NULL);
	tls_server_destroy(server); /* a reload */
	assert_secured(&pair);
	close_pair(&pair);
}

/* ---- attacks ---- */

static void threat_04_garbage_instead_of_client_hello(void **state)
{
	static const char *const lines[] = {"USER joe\r\nPASS secret\r\n", "GET / HTTP/1.1\r\n\r\n",
					    "\x16\x03\x01\xff\xff\x01\xff\xff\xff\x03\x03"};
	struct tls_server *server = make_server((const struct material *[]){&ec}, 1);
	struct pair pair;

	(void)state;
	for (int i = 0; i < 3; i++) {
		open_pair(&pair, server, NULL);
		assert_true(write(pair.fds[1], lines[i], strlen(lines[i])) > 0);
		assert_int_equal(tls_session_handshake(pair.session), TLS_FAILED);
		assert_true(strlen(tls_session_error(pair.session)) > 0);
		assert_int_equal(tls_session_handshake(pair.session), TLS_FAILED);
		close_pair(&pair);
	}
	tls_server_destroy(server);
}

static void threat_05_renegotiation(void **state)
{
	struct tls_server *server = make_server((const struct material *[]){&ec}, 1);
	struct pair pair;
	char buf[16];

	(void)state;
	open_pair(&pair, server, NULL);
	SSL_set_max_proto_version(pair.client, TLS1_2_VERSION);
	assert_secured(&pair);
	assert_int_equal(SSL_renegotiate(pair.client), 1);
	SSL_do_handshake(pair.client);
	assert_int_equal(tls_session_read(pair.session, buf, sizeof(buf)), TLS_WANT_READ);
	/* the client is told no */
	assert_int_equal(SSL_do_handshake(pair.client), -1);
	assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
	close_pair(&pair);
	tls_server_destroy(server);
}

static void threat_05_key_update_flood(void **state)
{
	struct tls_server *server = make_server((const struct material *[]){&ec}, 1);
	int result = TLS_WANT_READ, updates = 0;
	struct pair pair;
	char buf[64];

	(void)state;
	open_pair(&pair, server, NULL);
	assert_secured(&pair);
	for (; updates < 1000 && result == TLS_WANT_READ; updates++) {
		assert_int_equal(SSL_key_update(pair.client, SSL_KEY_UPDATE_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(pair.client), 1);
		result = tls_session_read(pair.session, buf, sizeof(buf));
		SSL_read(pair.client, buf, sizeof(buf));
	}
	assert_int_equal(result, TLS_FAILED);
	assert_true(updates > 10 && updates < 100);
	assert_string_equal(tls_session_error(pair.session),
			    "too many key updates or renegotiations");
	close_pair(&pair);
	tls_server_destroy(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions_and_ciphers),
		cmocka_unit_test(threat_06_old_versions_and_weak_suites),
		cmocka_unit_test(test_certificate_by_name),
		cmocka_unit_test(test_two_kinds_of_key),
		cmocka_unit_test(test_protocol_by_alpn),
		cmocka_unit_test(test_bad_certificates_are_named),
		cmocka_unit_test(test_every_kind_of_key_and_scheme),
		cmocka_unit_test(test_a_signature_that_is_late_or_wrong),
		cmocka_unit_test(test_so_many_wait_for_signatures_and_no_more),
		cmocka_unit_test(test_keys_sign_old_handshakes_if_allowed),
		cmocka_unit_test(test_keys_sign_handshakes_only),
		cmocka_unit_test(test_tickets_outlive_server_and_key),
		cmocka_unit_test(test_the_client_resumes),
		cmocka_unit_test(test_bindings_agree_with_the_client),
		cmocka_unit_test(test_any_split),
		cmocka_unit_test(test_a_peer_that_reads_slowly),
		cmocka_unit_test(test_how_it_ended),
		cmocka_unit_test(test_sessions_keep_the_server),
		cmocka_unit_test(threat_04_garbage_instead_of_client_hello),
		cmocka_unit_test(threat_05_renegotiation),
		cmocka_unit_test(threat_05_key_update_flood),
	};

	int failed;

	signal(SIGPIPE, SIG_DFL);
	alarm(120);
	material_make(&ec, "EC", "DNS:mail.example", "SHA384");
	material_make(&rsa, "RSA", "DNS:mail.example", "SHA256");
	material_make(&wild, "EC", "DNS:*.wild.example", "SHA256");
	material_make(&plain_name, "EC", NULL, "SHA256");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	while (signer_count)
		tls_keys_destroy(signers[--signer_count].keys);
	return failed;
}
