/* See scram.h. The stored form comes from the users file. */
#include "users/scram.h"

#include "base/digest.h"
#include "base/text.h"
#include "users/sasl_prepare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ITERATIONS_MAX = 10000000,
};

const struct scram_hash scram_sha_1 = {"SCRAM-SHA-1", 20};
const struct scram_hash scram_sha_256 = {"SCRAM-SHA-256", 32};

static enum digest_kind kind_of(const struct scram_hash *hash)
{
	return hash->size == 20 ? DIGEST_SHA_1 : DIGEST_SHA_256;
}

static pop3_span take_field(pop3_span *rest)
{
	const char *comma = rest->size ? memchr(rest->data, ',', rest->size) : NULL;
	pop3_span field = {rest->data, comma ? (size_t)(comma - rest->data) : rest->size};

	rest->data += field.size + (comma ? 1 : 0);
	rest->size -= field.size + (comma ? 1 : 0);
	return field;
}

static int take_key(pop3_span *rest, size_t size, unsigned char *key)
{
	char raw[SCRAM_KEY_MAX + 3];

	if (base64_decode(take_field(rest), raw, sizeof(raw)) != (int)size)
		return -1;
	memcpy(key, raw, size);
	wipe(raw, sizeof(raw));
	return 0;
}

int scram_parse(const struct scram_hash *hash, pop3_span payload, struct scram_keys *ret)
{
	struct scram_keys keys = {0};
	uint64_t iterations;
	int salt;

	if (span_number(take_field(&payload), ITERATIONS_MAX, &iterations) < 0 || iterations == 0)
		return -1;
	salt = base64_decode(take_field(&payload), (char *)keys.salt, sizeof(keys.salt));
	if (salt <= 0 || take_key(&payload, hash->size, keys.stored_key) < 0 ||
	    take_key(&payload, hash->size, keys.server_key) < 0 || payload.size)
		return -1;
	keys.iterations = (uint32_t)iterations;
	keys.salt_size = (size_t)salt;
	*ret = keys;
	wipe(&keys, sizeof(keys));
	return 0;
}

int scram_print(const struct scram_hash *hash, const struct scram_keys *keys, char *buf,
		size_t size)
{
	char salt[SCRAM_SALT_MAX * 2], stored[SCRAM_KEY_MAX * 2], server[SCRAM_KEY_MAX * 2];
	int n;

	if (base64_encode((pop3_span){(const char *)keys->salt, keys->salt_size}, salt,
			  sizeof(salt)) < 0 ||
	    base64_encode((pop3_span){(const char *)keys->stored_key, hash->size}, stored,
			  sizeof(stored)) < 0 ||
	    base64_encode((pop3_span){(const char *)keys->server_key, hash->size}, server,
			  sizeof(server)) < 0)
		return -1;
	n = snprintf(buf, size, "{%s}%u,%s,%s,%s", hash->name, keys->iterations, salt, stored,
		     server);
	wipe(stored, sizeof(stored));
	wipe(server, sizeof(server));
	return n < 0 || (size_t)n >= size ? -1 : 0;
}

/* RFC 5802 section 3: SaltedPassword, ClientKey, StoredKey, ServerKey. */
int scram_derive(const struct scram_hash *hash, const struct secret *password,
		 struct scram_keys *keys)
{
	unsigned char salted[SCRAM_KEY_MAX], client[SCRAM_KEY_MAX];
	struct secret *prepared = malloc(sizeof(*prepared));
	const enum digest_kind kind = kind_of(hash);

	if (!prepared)
		return -1;
	sasl_prepare(password, prepared);
	pbkdf2(kind, prepared->bytes, prepared->size, keys->salt, keys->salt_size, keys->iterations,
	       salted);
	hmac_of(kind, salted, hash->size, "Client Key", 10, client);
	digest_of(kind, client, hash->size, keys->stored_key);
	hmac_of(kind, salted, hash->size, "Server Key", 10, keys->server_key);
	wipe(salted, sizeof(salted));
	wipe(client, sizeof(client));
	secret_finish(prepared);
	free(prepared);
	return 0;
}
