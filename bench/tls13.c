/*
 * See tls13.h. Records come in through the client's one buffer; what is left of a record is kept
 * with its connection. During a handshake its messages are collected (struct shake), because the
 * keys are made of hashes of them.
 */
#include "tls13.h"

#include "net.h"

#include <assert.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	HEADER = 5,
	TAG = 16,
	NONCE = 12,
	HASH_MAX = 48,
	SHARE = 32, /* X25519: of keys and of the secret */
	RECORD_MAX = HEADER + TLS13_WRITE_MAX + 256,
	FLIGHT_MAX = 65536, /* a server's certificates */
	SUITES = 3,

	TYPE_CHANGE_CIPHER = 20,
	TYPE_ALERT = 21,
	TYPE_HANDSHAKE = 22,
	TYPE_DATA = 23,

	SERVER_HELLO = 2,
	FINISHED = 20,
	KEY_UPDATE = 24,
};

/* In a library's usual order. */
static const struct {
	uint16_t number;
	const char *cipher, *hash;
} suite_names[SUITES] = {
	{0x1302, "AES-256-GCM", "SHA384"},
	{0x1303, "ChaCha20-Poly1305", "SHA256"},
	{0x1301, "AES-128-GCM", "SHA256"},
};

struct suite {
	EVP_CIPHER *cipher;
	EVP_MD *hash;
	EVP_MAC_CTX *hmac;
	size_t hash_size, key_size;
	unsigned char derived[HASH_MAX]; /* of the early secret, the same for all */
};

struct tls13_client {
	struct suite suites[SUITES];
	EVP_PKEY *key;
	unsigned char share[SHARE];
	unsigned char in[TLS13_READ_MIN], out[RECORD_MAX];
};

struct way {
	EVP_CIPHER_CTX *context; /* NULL: in the clear */
	unsigned char iv[NONCE];
	uint64_t sequence;
};

struct shake {
	unsigned char messages[FLIGHT_MAX];
	size_t size, done;                                                  /* done: looked at */
	unsigned char secret[HASH_MAX], client[HASH_MAX], server[HASH_MAX]; /* of the handshake */
};

struct tls13 {
	struct tls13_client *client;
	const struct suite *suite;
	struct shake *shake; /* NULL: it is over */
	struct way in, out;
	unsigned char *rest; /* the beginning of a record, NULL: nothing */
	size_t rest_size;
	int fd;
	bool hello_sent, ended; /* ended: nothing comes any more */
};

static unsigned get16(const unsigned char *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static void put16(unsigned char *at, size_t value)
{
	at[0] = (unsigned char)(value >> 8);
	at[1] = (unsigned char)value;
}

/* ---- the key schedule (RFC 8446 section 7.1) ---- */

static void hmac(const struct suite *suite, const unsigned char *key, const unsigned char *data,
		 size_t size, unsigned char *ret)
{
	size_t made;
	if (!EVP_MAC_init(suite->hmac, key, suite->hash_size, NULL) ||
	    !EVP_MAC_update(suite->hmac, data, size) ||
	    !EVP_MAC_final(suite->hmac, ret, &made, HASH_MAX))
		net_die("HMAC");
}

static void hash(const struct suite *suite, const unsigned char *data, size_t size,
		 unsigned char *ret)
{
	if (!EVP_Digest(data, size, ret, NULL, suite->hash, NULL))
		net_die("hash");
}

/* HKDF-Expand-Label; size is at most a hash's, so that one block of it is enough. */
static void expand(const struct suite *suite, const unsigned char *secret, const char *label,
		   const unsigned char *context, size_t context_size, unsigned char *ret,
		   size_t size)
{
	unsigned char info[128], block[HASH_MAX];
	size_t label_size = strlen(label), at = 0;
	put16(info, size);
	at = 2;
	info[at++] = (unsigned char)(6 + label_size);
	memcpy(info + at, "tls13 ", 6);
	memcpy(info + at + 6, label, label_size);
	at += 6 + label_size;
	info[at++] = (unsigned char)context_size;
	if (context_size)
		memcpy(info + at, context, context_size);
	at += context_size;
	info[at++] = 1;
	hmac(suite, secret, info, at, block);
	memcpy(ret, block, size);
}

/* Derive-Secret, of the hash of what was said so far. */
static void derive(const struct suite *suite, const unsigned char *secret, const char *label,
		   const unsigned char *messages, size_t size, unsigned char *ret)
{
	unsigned char said[HASH_MAX];
	hash(suite, messages, size, said);
	expand(suite, secret, label, said, suite->hash_size, ret, suite->hash_size);
}

static void set_keys(const struct suite *suite, struct way *way, const unsigned char *secret,
		     int encrypt)
{
	unsigned char key[32];
	expand(suite, secret, "key", NULL, 0, key, suite->key_size);
	expand(suite, secret, "iv", NULL, 0, way->iv, NONCE);
	way->sequence = 0;
	if (!way->context)
		way->context = EVP_CIPHER_CTX_new();
	if (!way->context ||
	    !EVP_CipherInit_ex(way->context, suite->cipher, NULL, key, NULL, encrypt))
		net_die("cipher");
}

static void shared_secret(const struct tls13_client *client, const unsigned char *share,
			  unsigned char *ret)
{
	size_t size = SHARE;
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, share, SHARE);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(client->key, NULL);
	if (!peer || !context || EVP_PKEY_derive_init(context) != 1 ||
	    EVP_PKEY_derive_set_peer_ex(context, peer, 0) != 1 ||
	    EVP_PKEY_derive(context, ret, &size) != 1)
		net_die("X25519");
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(peer);
}

static void handshake_keys(struct tls13 *tls, const unsigned char *share)
{
	const struct suite *suite = tls->suite;
	struct shake *shake = tls->shake;
	unsigned char common[SHARE];
	shared_secret(tls->client, share, common);
	hmac(suite, suite->derived, common, SHARE, shake->secret);
	derive(suite, shake->secret, "c hs traffic", shake->messages, shake->size, shake->client);
	derive(suite, shake->secret, "s hs traffic", shake->messages, shake->size, shake->server);
	set_keys(suite, &tls->in, shake->server, 0);
	set_keys(suite, &tls->out, shake->client, 1);
}

/* What the Finished message of one side must hold, behind the first size octets. */
static void finished(const struct tls13 *tls, const unsigned char *secret, size_t size,
		     unsigned char *ret)
{
	const struct suite *suite = tls->suite;
	unsigned char key[HASH_MAX], said[HASH_MAX];
	expand(suite, secret, "finished", NULL, 0, key, suite->hash_size);
	hash(suite, tls->shake->messages, size, said);
	hmac(suite, key, said, suite->hash_size, ret);
}

/* ---- records (section 5) ---- */

static void nonce_of(struct way *way, unsigned char *ret)
{
	uint64_t sequence = way->sequence++;
	memcpy(ret, way->iv, NONCE);
	for (int i = 0; i < 8; i++)
		ret[NONCE - 1 - i] ^= (unsigned char)(sequence >> (8 * i));
}

static bool send_all(const struct tls13 *tls, const unsigned char *data, size_t size)
{
	ssize_t sent;
	do
		sent = send(tls->fd, data, size, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0 && (size_t)sent < size) {
		errno = ENOBUFS;
		return false;
	}
	return sent >= 0;
}

/* Makes a record at ret; returns its size. */
static size_t seal(struct tls13 *tls, int type, const void *data, size_t size, unsigned char *ret)
{
	EVP_CIPHER_CTX *context = tls->out.context;
	unsigned char nonce[NONCE], inner = (unsigned char)type;
	int n, more;
	nonce_of(&tls->out, nonce);
	ret[0] = TYPE_DATA;
	put16(ret + 1, 0x0303);
	put16(ret + 3, size + 1 + TAG);
	if (!EVP_EncryptInit_ex(context, NULL, NULL, NULL, nonce) ||
	    !EVP_EncryptUpdate(context, NULL, &n, ret, HEADER) ||
	    !EVP_EncryptUpdate(context, ret + HEADER, &n, data, (int)size) ||
	    !EVP_EncryptUpdate(context, ret + HEADER + n, &more, &inner, 1) ||
	    !EVP_EncryptFinal_ex(context, ret + HEADER + n + more, &more) ||
	    !EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, ret + HEADER + size + 1))
		net_die("encryption");
	return HEADER + size + 1 + TAG;
}

/* The size of a record's plaintext, its type in *type; -1: forged. */
static int unseal(struct tls13 *tls, unsigned char *record, size_t size, unsigned char *ret,
		  int *type)
{
	EVP_CIPHER_CTX *context = tls->in.context;
	unsigned char nonce[NONCE];
	int n, more;
	if (size < HEADER + TAG + 1)
		return -1;
	nonce_of(&tls->in, nonce);
	if (!EVP_DecryptInit_ex(context, NULL, NULL, NULL, nonce) ||
	    !EVP_DecryptUpdate(context, NULL, &n, record, HEADER) ||
	    !EVP_DecryptUpdate(context, ret, &n, record + HEADER, (int)(size - HEADER - TAG)) ||
	    !EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, record + size - TAG) ||
	    EVP_DecryptFinal_ex(context, ret + n, &more) <= 0)
		return -1;
	while (n > 0 && !ret[n - 1])
		n--; /* padding */
	if (n == 0)
		return -1;
	*type = ret[n - 1];
	return n - 1;
}

/* The size of the whole record at data; 0: there is less; -1: too large. */
static int record_size(const unsigned char *data, size_t size)
{
	if (size < HEADER)
		return 0;
	if (get16(data + 3) > RECORD_MAX - HEADER)
		return -1;
	return size < HEADER + get16(data + 3) ? 0 : (int)(HEADER + get16(data + 3));
}

/* What waited and what has come, in the client's buffer. -1: as recv does, when nothing waited
 * either. */
static ssize_t arrive(struct tls13 *tls)
{
	unsigned char *in = tls->client->in;
	const size_t most = sizeof tls->client->in;
	size_t size = tls->rest_size;
	ssize_t got;
	if (size)
		memcpy(in, tls->rest, size);
	free(tls->rest);
	tls->rest = NULL;
	tls->rest_size = 0;
	do
		got = recv(tls->fd, in + size, most - size, 0);
	while (got < 0 && errno == EINTR);
	tls->ended = got == 0 && size < most;
	if (got <= 0 && size == 0)
		return got;
	return (ssize_t)size + (got > 0 ? got : 0);
}

static void keep(struct tls13 *tls, const unsigned char *data, size_t size)
{
	if (!size)
		return;
	tls->rest = malloc(size);
	if (!tls->rest)
		net_die("memory");
	memcpy(tls->rest, data, size);
	tls->rest_size = size;
}

/* ---- the handshake (section 4) ---- */

/* Appends octets to the hello. */
static void add(struct shake *shake, const void *data, size_t size)
{
	memcpy(shake->messages + shake->size, data, size);
	shake->size += size;
}

static bool send_hello(struct tls13 *tls)
{
	static const unsigned char fixed[] = {
		0x00, 0x2b,      0,    3,    2,    0x03,  0x04,       /* supported_versions: 1.3 */
		0x00, 0x2d,      0,    2,    1,    1,                 /* psk_key_exchange_modes */
		0x00, 0x0a,      0,    4,    0,    2,     0x00, 0x1d, /* supported_groups: X25519 */
		0x00, 0x0d,      0,    14,   0,    12,                /* signature_algorithms */
		0x04, 0x03,      0x08, 0x04, 0x04, 0x01,  0x05, 0x03,
		0x08, 0x05,      0x08, 0x06, 0x00, 0x33,  0,    2 + 4 + SHARE,
		0,    4 + SHARE, 0x00, 0x1d, 0,    SHARE, /* key_share */
	};
	struct shake *shake = tls->shake;
	unsigned char random[32 + 1 + 32], octets[4] = {1, 0, 0, 0};
	unsigned char *start = tls->client->out;
	if (RAND_bytes(random, sizeof random) != 1)
		net_die("RAND_bytes");
	random[32] = 32; /* a session id, as everybody sends one (appendix D.4) */
	add(shake, octets, 4);
	add(shake, "\x03\x03", 2);
	add(shake, random, sizeof random);
	put16(octets, SUITES * 2);
	add(shake, octets, 2);
	for (int i = 0; i < SUITES; i++) {
		put16(octets, suite_names[i].number);
		add(shake, octets, 2);
	}
	add(shake, "\1\0", 2); /* no compression */
	put16(octets, sizeof fixed + SHARE);
	add(shake, octets, 2);
	add(shake, fixed, sizeof fixed);
	add(shake, tls->client->share, SHARE);
	put16(shake->messages + 2, shake->size - 4);
	shake->done = shake->size;
	start[0] = TYPE_HANDSHAKE;
	put16(start + 1, 0x0301);
	put16(start + 3, shake->size);
	memcpy(start + HEADER, shake->messages, shake->size);
	return send_all(tls, start, HEADER + shake->size);
}

/* Which suite was chosen, what the server's share is. A HelloRetryRequest has no share. */
static bool take_hello(struct tls13 *tls, const unsigned char *message, size_t size)
{
	const unsigned char *end = message + size, *at = message + 4 + 2 + 32;
	if (size < 4 + 2 + 32 + 1 || (size_t)(end - at) < 1u + at[0] + 2 + 1 + 2)
		return false;
	at += 1 + at[0];
	for (int i = 0; i < SUITES; i++)
		if (suite_names[i].number == get16(at))
			tls->suite = &tls->client->suites[i];
	for (at += 2 + 1 + 2; tls->suite && end - at >= 4; at += 4 + get16(at + 2)) {
		if ((size_t)(end - at) < 4u + get16(at + 2))
			return false;
		if (get16(at) != 0x33)
			continue;
		if (get16(at + 2) != 4 + SHARE || get16(at + 4) != 0x1d)
			return false;
		handshake_keys(tls, at + 8);
		return true;
	}
	return false;
}

/* Checks the server's, sends ours, turns to the keys of the session. */
static bool finish(struct tls13 *tls, const unsigned char *message, size_t size)
{
	const struct suite *suite = tls->suite;
	struct shake *shake = tls->shake;
	unsigned char expected[HASH_MAX], zeros[HASH_MAX] = {0}, master[HASH_MAX], next[HASH_MAX];
	unsigned char ours[4 + HASH_MAX] = {FINISHED, 0, 0, (unsigned char)suite->hash_size};
	unsigned char *out = tls->client->out;
	size_t before = (size_t)(message - shake->messages), made;
	finished(tls, shake->server, before, expected);
	if (size != 4 + suite->hash_size || memcmp(message + 4, expected, suite->hash_size) != 0)
		return false;
	finished(tls, shake->client, before + size, ours + 4);
	memcpy(out, "\x14\x03\x03\0\1\1", 6); /* change_cipher_spec (appendix D.4) */
	made = 6 + seal(tls, TYPE_HANDSHAKE, ours, 4 + suite->hash_size, out + 6);
	derive(suite, shake->secret, "derived", NULL, 0, next);
	hmac(suite, next, zeros, suite->hash_size, master);
	derive(suite, master, "c ap traffic", shake->messages, before + size, next);
	set_keys(suite, &tls->out, next, 1);
	derive(suite, master, "s ap traffic", shake->messages, before + size, next);
	set_keys(suite, &tls->in, next, 0);
	free(shake);
	tls->shake = NULL;
	return send_all(tls, out, made);
}

/* The messages that are whole. */
static bool take_messages(struct tls13 *tls)
{
	struct shake *shake;
	while ((shake = tls->shake) && shake->size - shake->done >= 4) {
		const unsigned char *message = shake->messages + shake->done;
		size_t size = 4 + ((size_t)message[1] << 16 | get16(message + 2));
		if (size > shake->size - shake->done)
			return size <= FLIGHT_MAX;
		shake->done += size;
		if ((message[0] == SERVER_HELLO) != !tls->suite)
			return false;
		if (message[0] == SERVER_HELLO && !take_hello(tls, message, size))
			return false;
		if (message[0] == FINISHED && !finish(tls, message, size))
			return false;
	}
	return true;
}

static bool take_record(struct tls13 *tls, unsigned char *record, size_t size)
{
	struct shake *shake = tls->shake;
	int type = record[0], plain = (int)size - HEADER;
	if (type == TYPE_CHANGE_CIPHER)
		return true;
	if (size > FLIGHT_MAX - shake->size)
		return false;
	if (tls->suite)
		plain = unseal(tls, record, size, shake->messages + shake->size, &type);
	else
		memcpy(shake->messages + shake->size, record + HEADER, size - HEADER);
	if (plain < 0 || type != TYPE_HANDSHAKE)
		return false;
	shake->size += (size_t)plain;
	return take_messages(tls);
}

int tls13_handshake(struct tls13 *tls)
{
	unsigned char *in = tls->client->in;
	ssize_t size;
	size_t at = 0;
	int record = 0;
	if (!tls->hello_sent) {
		tls->hello_sent = true;
		return send_hello(tls) ? 0 : -1;
	}
	size = arrive(tls);
	if (size <= 0)
		return size < 0 && errno == EAGAIN ? 0 : -1;
	while (tls->shake && (record = record_size(in + at, (size_t)size - at)) > 0) {
		if (!take_record(tls, in + at, (size_t)record))
			return -1;
		at += (size_t)record;
	}
	if (record < 0 || (tls->shake && tls->ended))
		return -1;
	keep(tls, in + at, (size_t)size - at);
	return !tls->shake;
}

/* ---- afterwards ---- */

ssize_t tls13_read(struct tls13 *tls, void *data, size_t size)
{
	unsigned char *in = tls->client->in, *out = data;
	size_t at = 0, done = 0;
	ssize_t here = arrive(tls);
	int record = 0, type = 0;
	assert(size >= TLS13_READ_MIN); /* as much as can have come */
	if (here <= 0)
		return here;
	while ((record = record_size(in + at, (size_t)here - at)) > 0) {
		int plain = unseal(tls, in + at, (size_t)record, out + done, &type);
		if (plain < 0 || (type == TYPE_HANDSHAKE && out[done] == KEY_UPDATE)) {
			errno = EPROTO;
			return -1;
		}
		at += (size_t)record;
		if (type == TYPE_ALERT) /* close_notify, or the end anyway */
			return (ssize_t)done;
		if (type == TYPE_DATA) /* and no tickets */
			done += (size_t)plain;
	}
	if (record < 0) {
		errno = EPROTO;
		return -1;
	}
	keep(tls, in + at, (size_t)here - at);
	if (done || tls->ended)
		return (ssize_t)done;
	errno = EAGAIN;
	return -1;
}

ssize_t tls13_write(struct tls13 *tls, const void *data, size_t size)
{
	unsigned char *out = tls->client->out;
	return send_all(tls, out, seal(tls, TYPE_DATA, data, size, out)) ? (ssize_t)size : -1;
}

struct tls13 *tls13_create(struct tls13_client *client, int fd)
{
	struct tls13 *tls = calloc(1, sizeof *tls);
	if (!tls || !(tls->shake = malloc(sizeof *tls->shake)))
		net_die("memory");
	tls->shake->size = tls->shake->done = 0;
	tls->client = client;
	tls->fd = fd;
	return tls;
}

void tls13_destroy(struct tls13 *tls)
{
	if (!tls)
		return;
	EVP_CIPHER_CTX_free(tls->in.context);
	EVP_CIPHER_CTX_free(tls->out.context);
	free(tls->shake);
	free(tls->rest);
	free(tls);
}

static void set_up(struct suite *suite, const char *cipher, const char *hash_name)
{
	unsigned char zeros[HASH_MAX] = {0}, early[HASH_MAX];
	char name[16];
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	OSSL_PARAM digest[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
		OSSL_PARAM_construct_end(),
	};
	strcpy(name, hash_name);
	suite->cipher = EVP_CIPHER_fetch(NULL, cipher, NULL);
	suite->hash = EVP_MD_fetch(NULL, hash_name, NULL);
	suite->hmac = EVP_MAC_CTX_new(mac);
	if (!suite->cipher || !suite->hash || !suite->hmac ||
	    !EVP_MAC_CTX_set_params(suite->hmac, digest))
		net_die(cipher);
	EVP_MAC_free(mac);
	suite->hash_size = (size_t)EVP_MD_get_size(suite->hash);
	suite->key_size = (size_t)EVP_CIPHER_get_key_length(suite->cipher);
	hmac(suite, zeros, zeros, suite->hash_size, early);
	derive(suite, early, "derived", NULL, 0, suite->derived);
}

struct tls13_client *tls13_client_create(void)
{
	struct tls13_client *client = calloc(1, sizeof *client);
	size_t size = SHARE;
	errno = ENOMEM;
	if (!client)
		net_die("memory");
	for (int i = 0; i < SUITES; i++)
		set_up(&client->suites[i], suite_names[i].cipher, suite_names[i].hash);
	client->key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	if (!client->key || EVP_PKEY_get_raw_public_key(client->key, client->share, &size) != 1)
		net_die("X25519");
	return client;
}

void tls13_client_destroy(struct tls13_client *client)
{
	if (!client)
		return;
	for (int i = 0; i < SUITES; i++) {
		EVP_CIPHER_free(client->suites[i].cipher);
		EVP_MD_free(client->suites[i].hash);
		EVP_MAC_CTX_free(client->suites[i].hmac);
	}
	EVP_PKEY_free(client->key);
	free(client);
}
